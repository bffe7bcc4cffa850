//! This module words the size of defects that a template is laid out for.

use crate::template::Template;

/// One line about the size of defects that a template is laid out for. `None` if the size of its pictures is not known.
pub fn laid_out_for(template: &Template) -> Option<String> {
    let header = template.header();
    let px = header.smallest_defect_px()?;
    let rules = template.settings().rules.as_ref();
    let of_rules = rules.map(|rules| f64::from(rules.mm_per_pixel)).filter(|scale| *scale > 0.0);
    let scale = of_rules.or(header.build.mm_per_pixel());
    let mm = scale.map(|scale| format!(" ({} mm)", digits(px * scale)));
    Some(format!(
        "laid out for defects from {} px{} in pictures of {}",
        digits(px),
        mm.unwrap_or_default(),
        header.picture_size()
    ))
}

/// A number with two significant digits.
pub fn digits(value: f64) -> String {
    let places = (1.0 - value.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.places$}")
}
