//! Makes pictures for measurements of speed: what a golden probe shows, at the size of a camera's pictures.

use crate::error::{Error, Result};
use crate::image::{NetworkImage, Picture, Samples, Size};
use crate::template::Template;

/// The pixels of a picture of no given size are about as many as those of a square with this side.
const USUAL_SIDE: f64 = 1024.0;

/// Returns a picture of 8 bits that shows what the template's first golden probe shows. Without `size` it has about a
/// million pixels and the shape of the network's input.
///
/// # Errors
/// Returns [`crate::error::Kind::Template`] if the template has no golden probe.
pub fn probe_picture(template: &Template, size: Option<Size>) -> Result<Picture> {
    let probe = template.probe(0).ok_or_else(|| Error::template("the template has no probe"))?;
    Ok(enlarged(&probe, size.unwrap_or_else(|| usual_size(&probe))))
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
