//! The size of the defects that a template is laid out for: how the user gives it, and what the program says about it.

use hetmm::backbone::{Identity, ModelFacts};
use hetmm::builder::presets::Preset;
use hetmm::describe::defects::digits;
use hetmm::image::Size;
use hetmm::template::header::{DEFECT, DEFECT_NETWORK_PX, HeaderV1};
use hetmm::{Error, Result};
use std::fmt;

/// An input with this many times the pixels of the usual one gets a note about its cost.
const WORTH_A_WORD: f64 = 1.25;

/// The diameter of a defect, as the user gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefectSize {
    /// In pixels of the pictures.
    Px(f64),
    /// In millimetres on the part.
    Mm(f64),
}

impl fmt::Display for DefectSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DefectSize::Px(px) => write!(f, "{px}px"),
            DefectSize::Mm(mm) => write!(f, "{mm}mm"),
        }
    }
}

impl DefectSize {
    /// In pixels of the pictures, of which each shows `mm_per_pixel` millimetres.
    ///
    /// # Errors
    /// [`hetmm::error::Kind::Usage`] if the scale is needed and not known, or if the result is less than a pixel.
    pub fn px(self, mm_per_pixel: Option<f64>) -> Result<f64> {
        let px = match (self, mm_per_pixel) {
            (DefectSize::Px(px), _) => px,
            (DefectSize::Mm(mm), Some(scale)) => mm / scale,
            (DefectSize::Mm(_), None) => {
                return Err(Error::usage(format!(
                    "--defect {self} is in millimetres, but the size of a pixel is not known"
                ))
                .advise("add the size of a pixel, as in --mm-per-pixel 0.05, or give the defect in pixels"));
            }
        };
        if px < 1.0 {
            return Err(Error::usage(format!(
                "--defect {self} is {px:.2} px in these pictures, and less than one pixel cannot be seen"
            ))
            .advise("take pictures in which the defect covers several pixels"));
        }
        Ok(px)
    }
}

/// Reads a size such as `12px`, `12` or `0.5mm`.
pub fn parse_size(text: &str) -> std::result::Result<DefectSize, String> {
    let text = text.trim();
    let (number, of): (&str, fn(f64) -> DefectSize) = match text.strip_suffix("mm") {
        Some(number) => (number, DefectSize::Mm),
        None => (text.strip_suffix("px").unwrap_or(text), DefectSize::Px),
    };
    match number.trim().parse::<f64>() {
        Ok(size) if size.is_finite() && size > 0.0 => Ok(of(size)),
        _ => Err("give a size above 0 in pixels or millimetres, as in 12px or 0.5mm".into()),
    }
}

/// Reads the size of a pixel in millimetres.
pub fn parse_scale(text: &str) -> std::result::Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(scale) if scale.is_finite() && scale > 0.0 => Ok(scale),
        _ => Err("give a number of millimetres above 0, as in 0.05".into()),
    }
}

/// What a build takes, in bytes.
pub struct Cost {
    /// The size of the template.
    pub template: u64,
    /// The most memory of the program during the build.
    pub memory: u64,
    /// The size of the scratch file.
    pub scratch: u64,
}

impl Cost {
    /// A note about the cost of an input that is larger than that of `preset`. Empty for other inputs.
    pub fn note(
        &self,
        (preset, facts): (&Preset, &ModelFacts),
        backbone: &Identity,
    ) -> Vec<String> {
        let input = Size { width: backbone.width, height: backbone.height };
        let usual = preset.input.of_picture(input, facts.multiple);
        let times = input.pixels() as f64 / usual.pixels() as f64;
        if times < WORTH_A_WORD {
            return Vec::new();
        }
        // Rounded up, because these are limits.
        let gb = |bytes: u64| (bytes as f64 / 1e7).ceil() / 1e2;
        let mut line = format!(
            "note: an input of {input} has {times:.1} times the pixels of the usual {usual}. An estimate of the cost: a picture \
         takes about {times:.1} times as long, the template {:.0} MB, and the build up to {:.2} GB of memory",
            self.template as f64 / 1e6,
            gb(self.memory)
        );
        if self.scratch > 0 {
            line += &format!(" and a scratch file of {:.2} GB", gb(self.scratch));
        }
        vec![line]
    }
}

/// A warning if the pictures have too few pixels for the defects that were asked for.
pub fn warning(header: &HeaderV1) -> Option<String> {
    let (_, asked) = header.build.options.iter().find(|(key, _)| key == DEFECT)?;
    let asked = parse_size(asked).ok()?;
    let px = asked.px(header.build.mm_per_pixel()).ok()?;
    let smallest = header.smallest_defect_px()?;
    // Sides are rounded to the step of the network.
    (px < 0.9 * smallest && px < DEFECT_NETWORK_PX).then(|| {
        format!(
            "warning: a defect of {asked} covers {} pixels of the pictures, but the network needs {DEFECT_NETWORK_PX}. The \
             template is laid out for defects from {} px. Take pictures with more pixels",
            digits(px),
            digits(smallest)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_pixels_and_millimetres() {
        let cases = [
            ("12px", Some(DefectSize::Px(12.0))),
            ("12", Some(DefectSize::Px(12.0))),
            (" 7.5 px ", Some(DefectSize::Px(7.5))),
            ("0.5mm", Some(DefectSize::Mm(0.5))),
        ];
        let refused = ["", "px", "mm", "0px", "-1px", "NaN", "infmm", "1cm", "1e400px"];
        for (text, want) in cases.into_iter().chain(refused.map(|text| (text, None))) {
            assert_eq!(parse_size(text).ok(), want, "{text}");
        }
        assert_eq!(parse_scale("0.05"), Ok(0.05));
        assert!(["0", "-1", "NaN", "inf", "x"].iter().all(|text| parse_scale(text).is_err()));
    }

    #[test]
    fn millimetres_take_a_scale() {
        assert_eq!(DefectSize::Mm(0.5).px(Some(0.05)).ok(), Some(10.0));
        assert_eq!(DefectSize::Px(12.0).px(Some(0.05)).ok(), Some(12.0));
        assert!(DefectSize::Mm(0.5).px(None).is_err());
        assert!(DefectSize::Mm(0.01).px(Some(0.05)).is_err());
    }

    #[test]
    fn numbers_have_two_digits_that_count() {
        for (value, want) in [(123.4, "123"), (12.34, "12"), (1.234, "1.2"), (0.01234, "0.012")] {
            assert_eq!(digits(value), want);
        }
    }
}
