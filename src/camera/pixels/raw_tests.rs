//! Compares the conversions of a sensor's own samples with a slow reference: pixel by pixel and bit by bit.

use super::format::{Mosaic, Packing};
use super::tests::layout;
use super::*;
use proptest::prelude::*;

/// Returns the sample of column `x`, put together of its single bits as the kernel's pages on pixel formats show them.
fn reference_sample(row: &[u8], format: PixelFormat, x: usize) -> u32 {
    // The place of each bit, the highest first: a byte, and a bit in it, counted from the lowest.
    let ten_and_twelve = |whole: usize, pixels: usize, low: usize| -> Vec<(usize, usize)> {
        let group = x / pixels * whole;
        let high = (0..8).rev().map(|bit| (group + x % pixels, bit));
        high.chain((0..low).rev().map(|bit| (group + pixels, x % pixels * low + bit))).collect()
    };
    let places: Vec<(usize, usize)> = match format.packing() {
        Some(Packing::Eight) => (0..8).rev().map(|bit| (x, bit)).collect(),
        Some(Packing::Ten | Packing::Twelve | Packing::Sixteen) => {
            (0..16).rev().map(|bit| (2 * x + bit / 8, bit % 8)).collect()
        }
        Some(Packing::MipiTen) => ten_and_twelve(5, 4, 2),
        Some(Packing::MipiTwelve) => ten_and_twelve(3, 2, 4),
        None => (0..10).map(|bit| ((10 * x + bit) / 8, 7 - (10 * x + bit) % 8)).collect(),
    };
    places.iter().fold(0, |value, &(byte, bit)| value << 1 | u32::from(row[byte] >> bit & 1))
}

/// Returns a sample at full scale, exactly.
fn reference_level(sample: u32, bits: u32, layout: &Layout, colour: usize) -> f64 {
    let sample = match layout.raw.align {
        Align::High if layout.format.has_spare_bits() => sample >> (16 - bits),
        _ => sample,
    };
    let black = f64::from(layout.raw.black);
    let span = f64::from((1u32 << bits) - 1) - black;
    let gain = f64::from(layout.raw.white_balance[colour]);
    ((f64::from(sample) - black).max(0.0) * gain * 65535.0 / span).min(65535.0)
}

/// Returns the colour of a pixel of the sensor: 0 for red, 1 for green, 2 for blue.
fn reference_colour(mosaic: Mosaic, x: usize, y: usize) -> usize {
    let name = format!("{mosaic:?}").to_uppercase();
    let letter = name.as_bytes()[y % 2 * 2 + x % 2];
    b"RGB".iter().position(|&colour| colour == letter).expect("a colour")
}

/// Returns the samples of the whole picture.
fn reference(bytes: &[u8], layout: &Layout) -> Vec<f64> {
    let (width, height) = (layout.width as usize, layout.height as usize);
    let stride = match layout.bytes_per_line as usize {
        0 => layout.format.row_bytes(width),
        stride => stride,
    };
    let bits = layout.format.sensor_bits().expect("a sensor's samples");
    let level = |x: usize, y: usize, colour| {
        let sample = reference_sample(&bytes[y * stride..], layout.format, x);
        reference_level(sample, bits, layout, colour)
    };
    let mean = |levels: Vec<f64>| levels.iter().sum::<f64>() / levels.len() as f64;
    let mut out = Vec::new();
    let PixelFormat::Bayer(mosaic, _) = layout.format else {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            out.extend([level(x, y, 1); 3]);
        }
        return out;
    };
    // All pixels in reach, those of one colour taken together.
    let of_colour = |colour: usize, pixels: &[(usize, usize)]| -> Vec<f64> {
        let has = |&&(x, y): &&(usize, usize)| reference_colour(mosaic, x, y) == colour;
        pixels.iter().filter(has).map(|&(x, y)| level(x, y, colour)).collect()
    };
    if layout.raw.bayer == BayerMode::Half {
        for (y, x) in
            (0..height).step_by(2).flat_map(|y| (0..width).step_by(2).map(move |x| (y, x)))
        {
            let block = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)];
            out.extend([0, 1, 2].map(|colour| mean(of_colour(colour, &block))));
        }
        return out;
    }
    let mirror = |at: usize, step: i64, size: usize| -> usize {
        let at = at as i64 + step;
        let last = size as i64 - 1;
        (if at < 0 {
            -at
        } else if at > last {
            2 * last - at
        } else {
            at
        }) as usize
    };
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let around: Vec<(usize, usize)> = (-1..=1)
            .flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)))
            .map(|(dx, dy)| (mirror(x, dx, width), mirror(y, dy, height)))
            .collect();
        for colour in 0..3 {
            let own = of_colour(colour, &[(x, y)]);
            out.push(mean(if own.is_empty() { of_colour(colour, &around) } else { own }));
        }
    }
    out
}

fn sensor_formats() -> Vec<PixelFormat> {
    let formats: Vec<_> = PixelFormat::all().filter(|f| f.sensor_bits().is_some()).collect();
    assert_eq!(formats.len(), 6 + 24);
    formats
}

fn sixteen(planes: &[&[u8]], layout: &Layout) -> Vec<u16> {
    match to_picture(planes, layout).expect("converts").samples {
        Samples::Sixteen(samples) => samples,
        Samples::Eight(_) => panic!("16 bits"),
    }
}

/// These bytes are written by hand from the tables of the kernel's documentation.
#[test]
fn samples_come_from_the_bits_that_the_kernel_names() {
    let cases: [(&str, &[u8], [u32; 4]); 6] = [
        ("Y10P", &[0xFF, 0x00, 0x80, 0x01, 0b11_01_00_10], [0x3FE, 0x000, 0x201, 0x007]),
        ("Y12P", &[0xFF, 0x00, 0x5A, 0x80, 0x01, 0xF1], [0xFFA, 0x005, 0x801, 0x01F]),
        (
            "Y10B",
            &[0b1111_1111, 0b11_000000, 0b0001_1010, 0b1010_1001, 0x80],
            [1023, 1, 0x2AA, 384],
        ),
        ("Y10", &[0xFF, 0x03, 0, 0, 1, 0, 0, 2], [1023, 0, 1, 512]),
        ("Y12", &[0xFF, 0x0F, 0, 0, 1, 0, 0, 2], [4095, 0, 1, 512]),
        ("Y16", &[0xFF, 0xFF, 0, 0, 1, 0, 0, 2], [65535, 0, 1, 512]),
    ];
    for (name, bytes, want) in cases {
        let layout = layout(name.parse().expect("a format"), 4, 1);
        let mut got = [0; 4];
        raw::unpack(bytes, &layout, &mut got).expect("unpacks");
        assert_eq!(got.map(u32::from), want, "{name}");
        let reference = [0, 1, 2, 3].map(|x| reference_sample(bytes, layout.format, x));
        assert_eq!(reference, want, "{name}: the reference");
    }
}

#[test]
fn black_and_white_reach_both_ends_of_the_scale() {
    for format in sensor_formats() {
        let layout = layout(format, 4, 4);
        let bits = format.sensor_bits().expect("has bits");
        let full = ((1u32 << bits) - 1) as u16;
        let white = match format.has_spare_bits() {
            true => full.to_le_bytes().repeat(16),
            false => vec![0xFF; 4 * format.row_bytes(4)],
        };
        assert!(sixteen(&[&white], &layout).iter().all(|&s| s == 65535), "{format}");
        let black = vec![0; white.len()];
        assert!(sixteen(&[&black], &layout).iter().all(|&s| s == 0), "{format}");
    }
}

#[test]
fn bits_above_the_depth_name_the_key() {
    for name in ["Y10", "Y12", "RG10", "BA12"] {
        let low = layout(name.parse().expect("a format"), 4, 2);
        let mut bytes = vec![0; 16];
        bytes[15] = 0x40;
        let why = to_picture(&[&bytes], &low).expect_err(name);
        assert!(why.contains("16384") && why.contains("camera.align"), "{why}");
        let (align, bayer) = (Align::High, BayerMode::Bilinear);
        let high = Layout { raw: RawSettings { align, bayer, ..low.raw }, ..low };
        let largest = sixteen(&[&bytes], &high).into_iter().max().expect("samples");
        assert!(largest.abs_diff(16400) < 20, "{name} {largest}");
    }
}

#[test]
fn a_black_level_beyond_every_sample_gives_no_nonsense() {
    let raw = RawSettings { black: u16::MAX, white_balance: [f32::MAX; 3], ..Default::default() };
    for format in sensor_formats() {
        let layout = Layout { raw, ..layout(format, 4, 4) };
        let bytes = vec![1; 4 * format.row_bytes(4)];
        assert!(sixteen(&[&bytes], &layout).iter().all(|&s| s == 0), "{format}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_conversion_is_the_slow_one(
        (format, bilinear, high) in (0..30usize, any::<bool>(), any::<bool>()),
        (columns, rows, padding) in (1u32..=9, 1u32..=5, 0u32..9),
        (black, gains) in (0.0f32..0.5, [0.25f32..4.0, 0.25f32..4.0, 0.25f32..4.0]),
        random in proptest::collection::vec(any::<u8>(), 45 * 10),
    ) {
        let format = sensor_formats()[format];
        let (width, height) = (2 * columns, 2 * rows);
        let bits = format.sensor_bits().expect("has bits");
        let raw = RawSettings {
            align: if high { Align::High } else { Align::Low },
            black: (black * ((1u32 << bits) - 1) as f32) as u16,
            white_balance: if format.is_bayer() { gains } else { [1.0; 3] },
            bayer: if bilinear { BayerMode::Bilinear } else { BayerMode::Half },
        };
        let row = format.row_bytes(width as usize) as u32;
        let bytes_per_line = if padding == 0 { 0 } else { row + padding - 1 };
        let layout = Layout { bytes_per_line, raw, ..layout(format, width, height) };
        let stride = bytes_per_line.max(row) as usize;
        // The last row has no padding.
        let length = stride * (height as usize - 1) + row as usize;
        let mut bytes: Vec<u8> = random.iter().cycle().take(length).copied().collect();
        if format.has_spare_bits() && !high {
            for line in bytes.chunks_mut(stride) {
                let end = row as usize;
                line[..end].chunks_mut(2).for_each(|word| word[1] &= (0xFFu16 >> (16 - bits)) as u8);
            }
        }
        let (got, want) = (sixteen(&[&bytes], &layout), reference(&bytes, &layout));
        prop_assert_eq!(got.len(), want.len());
        // A sample is rounded once, and a mean of samples once more.
        let limit = if format.is_bayer() { 1.02 } else { 0.51 };
        for (got, want) in got.iter().zip(&want) {
            prop_assert!((f64::from(*got) - want).abs() <= limit, "{} {:?}: {} not {}", format, raw, got, want);
        }
        let short = to_picture(&[&bytes[..length - 1]], &layout);
        prop_assert!(short.is_err());
    }
}
