//! Makes pictures for measurements of speed: what golden probes show, at the size of a camera's pictures.

use crate::error::{Error, Result};
use crate::image::{NetworkImage, Picture, Samples, Size};
use crate::template::{ProbeRecord, Template};

/// The pixels of a picture of no given size are about as many as those of a square with this side.
const USUAL_SIDE: f64 = 1024.0;

/// The name of the golden probe that holds a good picture with all colours inverted.
pub(crate) const INVERTED: &str = "the median one, inverted";

/// Holds pictures of 8 bits for measurements of speed.
pub struct ProbePictures {
    /// A good picture, if the template holds one: the golden probe with inverted colours, inverted back.
    pub good: Option<Picture>,
    /// What the first golden probe shows: a good picture that is disturbed. Most templates reject it.
    pub disturbed: Picture,
}

impl ProbePictures {
    /// Makes the pictures from the golden probes of a template. Without `size` they have about a million pixels and the
    /// shape of the network's input.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Template`] if the template has no golden probe.
    pub fn of(template: &Template, size: Option<Size>) -> Result<Self> {
        let none = || Error::template("the template has no probe");
        let disturbed = template.probe(0).ok_or_else(none)?;
        let size = size.unwrap_or_else(|| usual_size(&disturbed));
        let is_inverted = |record: &ProbeRecord| record.name == INVERTED;
        let inverted = template.header().probes.iter().position(is_inverted);
        let good = inverted.and_then(|at| template.probe(at)).map(|probe| probe.inverted());
        Ok(ProbePictures {
            good: good.map(|good| enlarged(&good, size)),
            disturbed: enlarged(&disturbed, size),
        })
    }

    /// Returns the picture that shows what most pictures show: the good one, or the disturbed one if there is none.
    pub fn usual(&self) -> (&'static str, &Picture) {
        match &self.good {
            Some(good) => ("the median good picture", good),
            None => self.disturbed(),
        }
    }

    /// Returns the disturbed picture, and what it is.
    pub fn disturbed(&self) -> (&'static str, &Picture) {
        ("a disturbed good picture", &self.disturbed)
    }
}

fn usual_size(probe: &NetworkImage) -> Size {
    let times = USUAL_SIDE / ((probe.width() * probe.height()) as f64).sqrt();
    let scaled = |side: usize| (side as f64 * times).round() as u32;
    Size { width: scaled(probe.width()), height: scaled(probe.height()) }
}

fn enlarged(probe: &NetworkImage, Size { width, height }: Size) -> Picture {
    let (columns, rows) = (width as usize, height as usize);
    let mut samples = Vec::with_capacity(columns.saturating_mul(rows).saturating_mul(3));
    for y in 0..rows {
        let v = y * probe.height() / rows;
        for x in 0..columns {
            let at = (v * probe.width() + x * probe.width() / columns) * 3;
            let pixel = probe.samples().get(at..at + 3).unwrap_or(&[0; 3]);
            samples.extend(pixel.iter().map(|sample| (sample / 257) as u8));
        }
    }
    Picture { width, height, samples: Samples::Eight(samples) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_enlarged_pixel_by_pixel() {
        let samples: Vec<u16> = (0..2 * 3 * 3).map(|n| n * 257).collect();
        let probe = NetworkImage::from_samples(2, 3, samples).expect("fits");
        let picture = enlarged(&probe, Size { width: 6, height: 4 });
        let Samples::Eight(samples) = picture.samples else { panic!("8 bits") };
        let rows: Vec<u8> = [[0, 0, 3, 3, 6, 6]; 2].concat();
        let red: Vec<u8> = samples.iter().copied().step_by(3).collect();
        assert_eq!(red[..12], rows);
        assert_eq!(samples[samples.len() - 3..], [15, 16, 17]);
        let Size { width, height } = usual_size(&probe);
        assert_eq!((width, height), (1254, 836));
    }
}
