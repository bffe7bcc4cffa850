//! Reads a sensor's own samples of 8 to 16 bits and brings them to the full scale of 16 bits.

use super::format::{Packing, PixelFormat};
use super::layout::Layout;
use super::settings::{Align, RawSettings};

/// Brings samples to full scale: black is subtracted, and the largest sample times its gain becomes 65535 or more,
/// which is cut to 65535. The result is within one level of the exact one.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    black: u16,
    /// The factors of red, green and blue.
    pub(super) factors: [f32; 3],
}

impl Scale {
    /// Returns the scale for samples of `bits` bits.
    pub(super) fn new(bits: u32, settings: &RawSettings) -> Self {
        let largest = u16::MAX >> 16_u32.saturating_sub(bits).min(15);
        let span = f32::from(largest.saturating_sub(settings.black).max(1));
        let factors = settings.white_balance.map(|gain| f32::from(u16::MAX) * gain / span);
        Scale { black: settings.black, factors }
    }

    /// Returns a sample at full scale.
    pub(super) fn apply(self, sample: u16, factor: f32) -> u16 {
        let scaled = f32::from(sample.saturating_sub(self.black)) * factor + 0.5;
        // A number below zero or none at all becomes zero, and a larger one the largest.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let level = scaled as u16;
        level
    }
}

/// Returns brightness as three equal samples a pixel, at full scale.
pub(super) fn from_grey(bytes: &[u8], layout: &Layout) -> Result<Vec<u16>, String> {
    let bits = layout.format.sensor_bits().unwrap_or(16);
    let balance = RawSettings { white_balance: [1.0; 3], ..layout.raw };
    let scale = Scale::new(bits, &balance);
    let [factor, ..] = scale.factors;
    let rows = layout.rows(bytes)?;
    let mut samples = vec![0; layout.width as usize];
    let mut out = Vec::with_capacity(layout.sample_count());
    for row in rows {
        unpack(row, layout, &mut samples)?;
        out.extend(samples.iter().flat_map(|&sample| [scale.apply(sample, factor); 3]));
    }
    Ok(out)
}

/// Unpacks a row of samples, `samples.len()` of them, which `row` must hold.
///
/// # Errors
/// Returns why the samples cannot be what `layout` says.
pub(super) fn unpack(row: &[u8], layout: &Layout, samples: &mut [u16]) -> Result<(), String> {
    match layout.format.packing() {
        Some(Packing::Eight) => {
            samples.iter_mut().zip(row).for_each(|(sample, &byte)| *sample = u16::from(byte));
        }
        Some(Packing::Ten) => in_sixteen(row, 10, layout.raw.align, samples)?,
        Some(Packing::Twelve) => in_sixteen(row, 12, layout.raw.align, samples)?,
        Some(Packing::Sixteen) => words(row, samples),
        Some(Packing::MipiTen) => groups::<5, 4>(row, samples, mipi_ten),
        Some(Packing::MipiTwelve) => groups::<3, 2>(row, samples, mipi_twelve),
        None if layout.format == PixelFormat::Y10b => groups::<5, 4>(row, samples, stream_of_ten),
        None => return Err(format!("{} has no samples of a sensor", layout.format)),
    }
    Ok(())
}

fn words(row: &[u8], samples: &mut [u16]) {
    let (words, _) = row.as_chunks::<2>();
    samples.iter_mut().zip(words).for_each(|(sample, word)| *sample = u16::from_le_bytes(*word));
}

/// Unpacks samples of `bits` bits, 1 to 15, in 16.
fn in_sixteen(row: &[u8], bits: u32, align: Align, samples: &mut [u16]) -> Result<(), String> {
    words(row, samples);
    let spare = 16_u32.saturating_sub(bits).min(15);
    if align == Align::High {
        samples.iter_mut().for_each(|sample| *sample >>= spare);
        return Ok(());
    }
    let largest = u16::MAX >> spare;
    if samples.iter().fold(0, |all, &sample| all | sample) <= largest {
        return Ok(());
    }
    let found = samples.iter().copied().max().unwrap_or(0);
    Err(format!(
        "a sample of {found}, and {bits} bits hold no more than {largest}: if this camera puts its samples at the \
         high end of 16 bits, set camera.align = \"high\""
    ))
}

/// Unpacks groups of `BYTES` bytes with `SAMPLES` samples each. The last group may be cut.
fn groups<const BYTES: usize, const SAMPLES: usize>(
    row: &[u8],
    samples: &mut [u16],
    group: impl Fn([u8; BYTES]) -> [u16; SAMPLES],
) {
    for (bytes, samples) in row.chunks(BYTES).zip(samples.chunks_mut(SAMPLES)) {
        let mut whole = [0; BYTES];
        whole.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
        samples.iter_mut().zip(group(whole)).for_each(|(to, from)| *to = from);
    }
}

fn mipi_ten([a, b, c, d, low]: [u8; 5]) -> [u16; 4] {
    let sample = |high: u8, shift: u32| u16::from(high) << 2 | u16::from(low >> shift & 3);
    [sample(a, 0), sample(b, 2), sample(c, 4), sample(d, 6)]
}

fn mipi_twelve([a, b, low]: [u8; 3]) -> [u16; 2] {
    [u16::from(a) << 4 | u16::from(low & 15), u16::from(b) << 4 | u16::from(low >> 4)]
}

fn stream_of_ten([a, b, c, d, e]: [u8; 5]) -> [u16; 4] {
    let [a, b, c, d, e] = [a, b, c, d, e].map(u16::from);
    [a << 2 | b >> 6, (b & 63) << 4 | c >> 4, (c & 15) << 6 | d >> 2, (d & 3) << 8 | e]
}
