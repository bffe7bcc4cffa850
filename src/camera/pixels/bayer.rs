//! Makes pictures in colour of a Bayer sensor's samples.

use super::format::{Mosaic, PixelFormat};
use super::layout::Layout;
use super::raw::{Scale, unpack};
use super::settings::BayerMode;

/// Converts a frame of a Bayer sensor, with fixed black level and white balance.
pub(super) fn from_bayer(bytes: &[u8], layout: &Layout) -> Result<Vec<u16>, String> {
    let PixelFormat::Bayer(mosaic, _) = layout.format else {
        return Err(format!("{} is no Bayer format", layout.format));
    };
    let samples = balanced(bytes, layout, mosaic)?;
    let mut out = Vec::with_capacity(layout.sample_count());
    let width = layout.width as usize;
    match layout.raw.bayer {
        BayerMode::Half => half(&samples, width, mosaic, &mut out),
        BayerMode::Bilinear => bilinear(&samples, width, mosaic, &mut out),
    }
    Ok(out)
}

/// Returns one sample a pixel, at full scale, with black level and white balance applied.
fn balanced(bytes: &[u8], layout: &Layout, mosaic: Mosaic) -> Result<Vec<u16>, String> {
    let scale = Scale::new(layout.format.sensor_bits().unwrap_or(16), &layout.raw);
    let [red, green, blue] = scale.factors;
    // The factors of the first two pixels of even rows and of odd rows.
    let factors = match mosaic {
        Mosaic::Rggb => [[red, green], [green, blue]],
        Mosaic::Grbg => [[green, red], [blue, green]],
        Mosaic::Gbrg => [[green, blue], [red, green]],
        Mosaic::Bggr => [[blue, green], [green, red]],
    };
    let rows = layout.rows(bytes)?;
    let width = layout.width as usize;
    let mut samples = vec![0; width.saturating_mul(layout.height as usize)];
    let row_factors = factors.iter().cycle();
    for ((row, out), &[even, odd]) in rows.zip(samples.chunks_mut(width.max(1))).zip(row_factors) {
        unpack(row, layout, out)?;
        for pair in out.as_chunks_mut::<2>().0 {
            let [first, second] = *pair;
            *pair = [scale.apply(first, even), scale.apply(second, odd)];
        }
    }
    Ok(samples)
}

/// Makes one pixel of two by two.
fn half(samples: &[u16], width: usize, mosaic: Mosaic, out: &mut Vec<u16>) {
    let pixel = |[a, b]: [u16; 2], [c, d]: [u16; 2]| match mosaic {
        Mosaic::Rggb => [a, mean([b, c]), d],
        Mosaic::Grbg => [b, mean([a, d]), c],
        Mosaic::Gbrg => [c, mean([a, d]), b],
        Mosaic::Bggr => [d, mean([b, c]), a],
    };
    for rows in samples.chunks(width.saturating_mul(2).max(1)) {
        let (upper, lower) = rows.split_at_checked(width).unwrap_or_default();
        let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
        pairs.for_each(|(&upper, &lower)| out.extend(pixel(upper, lower)));
    }
}

/// What a pixel of the sensor measures.
#[derive(Clone, Copy)]
enum Site {
    Red,
    Blue,
    /// Green, with red beside it and blue above it.
    GreenByRed,
    /// Green, with blue beside it and red above it.
    GreenByBlue,
}

impl Site {
    /// Returns the sites of the first two pixels of even rows and of odd rows.
    fn of(mosaic: Mosaic) -> [[Site; 2]; 2] {
        let (red_green, green_red) = ([Site::Red, Site::GreenByRed], [Site::GreenByRed, Site::Red]);
        let (green_blue, blue_green) =
            ([Site::GreenByBlue, Site::Blue], [Site::Blue, Site::GreenByBlue]);
        match mosaic {
            Mosaic::Rggb => [red_green, green_blue],
            Mosaic::Grbg => [green_red, blue_green],
            Mosaic::Gbrg => [green_blue, red_green],
            Mosaic::Bggr => [blue_green, green_red],
        }
    }

    /// Returns the colour of the pixel in the middle of three rows of three.
    fn colour(self, above: [u16; 3], here: [u16; 3], below: [u16; 3]) -> [u16; 3] {
        let ([a, above, b], [left, own, right], [c, below, d]) = (above, here, below);
        match self {
            Site::Red => [own, mean([above, left, right, below]), mean([a, b, c, d])],
            Site::Blue => [mean([a, b, c, d]), mean([above, left, right, below]), own],
            Site::GreenByRed => [mean([left, right]), own, mean([above, below])],
            Site::GreenByBlue => [mean([above, below]), own, mean([left, right])],
        }
    }
}

/// Takes the mean of the neighbours for each missing colour. Beyond the edge, the picture is mirrored at the pixels of
/// the edge, so that every pixel keeps its colour.
fn bilinear(samples: &[u16], width: usize, mosaic: Mosaic, out: &mut Vec<u16>) {
    let rows: Vec<Vec<u16>> = samples.chunks(width.max(1)).map(mirrored).collect();
    let last = rows.len().saturating_sub(1);
    for ((y, here), sites) in rows.iter().enumerate().zip(Site::of(mosaic).iter().cycle()) {
        let above = if y == 0 { 1 } else { y.saturating_sub(1) };
        let below = if y == last { last.saturating_sub(1) } else { y.saturating_add(1) };
        let (Some(above), Some(below)) = (rows.get(above), rows.get(below)) else { return };
        let columns = above.windows(3).zip(here.windows(3)).zip(below.windows(3));
        for (((above, here), below), site) in columns.zip(sites.iter().cycle()) {
            let (&[a, b, c], &[d, e, f], &[g, h, i]) = (above, here, below) else { return };
            out.extend(site.colour([a, b, c], [d, e, f], [g, h, i]));
        }
    }
}

/// Returns a row with its second pixel before the first, and its last but one behind the last.
fn mirrored(row: &[u16]) -> Vec<u16> {
    let ([_, second, ..], [.., last_but_one, _]) = (row, row) else { return row.to_vec() };
    let mut out = Vec::with_capacity(row.len().saturating_add(2));
    out.push(*second);
    out.extend_from_slice(row);
    out.push(*last_but_one);
    out
}

/// Returns the mean, rounded half up.
fn mean<const N: usize>(samples: [u16; N]) -> u16 {
    let sum: u32 = samples.iter().map(|&sample| u32::from(sample)).sum();
    let count = u32::try_from(N).unwrap_or(1).max(1);
    u16::try_from((sum + count / 2) / count).unwrap_or(u16::MAX)
}
