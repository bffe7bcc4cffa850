//! Tests that a picture with missing or damaged data is refused, whatever a viewer would show. Data behind a complete
//! picture does no harm.

use crate::by_hand::{Page, Png, tiff};
use hetmm::image::{Picture, Samples, decode, decode_with_opacity};
use image::{DynamicImage, ImageBuffer, ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use std::io::Cursor;

const END: [u8; 2] = [0xFF, 0xD9];

/// Makes a picture with so much detail that its data does not repeat.
fn photo(width: u32, height: u32) -> RgbImage {
    let mut state = 7u32;
    ImageBuffer::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 27) as u8;
        let disc = (x as i32 - 30).pow(2) + (y as i32 - 20).pow(2) < 150;
        image::Rgb([
            (x * 3) as u8 + noise,
            if disc { 220 } else { (y * 4) as u8 + noise },
            noise * 4,
        ])
    })
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

/// Returns JPEGs of every kind that is decoded, each with a name.
fn jpegs() -> Vec<(String, Vec<u8>)> {
    let (width, height) = (61, 45);
    let image = photo(width, height);
    let grey: Vec<u8> = image.pixels().map(|p| p.0[1]).collect();
    let cmyk: Vec<u8> = image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 30]).collect();
    let mut all = Vec::new();
    for progressive in [false, true] {
        for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2] {
            for restart in [0, 1, 3] {
                for (data, kind) in [
                    (image.as_raw(), ColorType::Rgb),
                    (&grey, ColorType::Luma),
                    (&cmyk, ColorType::Cmyk),
                ] {
                    // The decoder has no code for CMYK of fewer colours than brightness.
                    let is_read = kind != ColorType::Cmyk || sampling == SamplingFactor::F_1_1;
                    // The encoder's optimised tables lack codes that are needed after a restart.
                    let tables = if restart == 0 { &[false, true][..] } else { &[false] };
                    for &optimised in tables.iter().filter(|_| is_read) {
                        let mut bytes = Vec::new();
                        let mut encoder = Encoder::new(&mut bytes, 85);
                        encoder.set_progressive(progressive);
                        encoder.set_sampling_factor(sampling);
                        encoder.set_optimized_huffman_tables(optimised);
                        if restart > 0 {
                            encoder.set_restart_interval(restart);
                        }
                        encoder.encode(data, width as u16, height as u16, kind).expect("encodes");
                        let name =
                            format!("{progressive} {sampling:?} {restart} {kind:?} {optimised}");
                        all.push((name, bytes));
                    }
                }
            }
        }
    }
    all.push(("image".into(), encoded(&DynamicImage::from(photo(61, 45)), ImageFormat::Jpeg)));
    all
}

/// Returns where the data of the first scan begins.
fn first_scan(bytes: &[u8]) -> usize {
    let at = bytes.windows(2).position(|w| w == [0xFF, 0xDA]).expect("a scan");
    at + 2 + usize::from(bytes[at + 2]) * 256 + usize::from(bytes[at + 3])
}

#[test]
fn whole_jpegs_of_every_kind_are_read() {
    for (name, bytes) in jpegs() {
        let picture = decode(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((picture.width, picture.height), (61, 45), "{name}");
    }
}

/// Covers a former fault: the decoder filled the rest with grey, and with little missing the verdict was ok.
#[test]
fn a_jpeg_that_is_cut_and_closed_with_an_end_marker_is_unreadable() {
    for (name, bytes) in jpegs() {
        for cut in (first_scan(&bytes)..bytes.len() - 2).rev().step_by(17) {
            let closed = [&bytes[..cut], &END].concat();
            let error = match decode(&closed) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("{name}: cut at {cut} of {} is read", bytes.len()),
            };
            assert!(error.contains("->"), "{error}");
            assert!(decode(&bytes[..cut]).is_err(), "{name}: cut at {cut} without an end");
        }
    }
}

#[test]
fn a_jpeg_that_lost_a_byte_of_its_data_is_more_often_than_not_unreadable() {
    let (mut damaged, mut read) = (0, 0);
    for (_, bytes) in jpegs().into_iter().step_by(5) {
        for at in (first_scan(&bytes)..bytes.len() - 2).step_by(3) {
            // A byte in the middle of a scan is lost, as on a bad cable.
            let mut lost = bytes.clone();
            lost.remove(at);
            damaged += 1;
            read += u32::from(decode(&lost).is_ok());
        }
    }
    println!("{read} of {damaged} JPEGs that lost a byte are read");
    // What is left may be what an encoder could have written, because codes fall into step again.
    assert!(read * 2 < damaged, "{read} of {damaged} that lost a byte are read");
}

#[test]
fn a_restart_interval_that_is_lost_is_noticed() {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 85);
    encoder.set_restart_interval(2);
    encoder.encode(photo(61, 45).as_raw(), 61, 45, ColorType::Rgb).expect("encodes");
    let is_restart = |w: &[u8]| w[0] == 0xFF && (0xD0..=0xD7).contains(&w[1]);
    let marks: Vec<usize> = (first_scan(&bytes)..bytes.len() - 2)
        .filter(|&at| is_restart(&bytes[at..at + 2]))
        .collect();
    assert!(marks.len() > 3);
    for pair in marks.windows(2) {
        let lost = [&bytes[..pair[0]], &bytes[pair[1]..]].concat();
        assert!(decode(&lost).is_err(), "an interval is lost at {}", pair[0]);
    }
}

#[test]
fn what_follows_a_picture_does_no_harm() {
    let jpeg = jpegs().pop().expect("one").1;
    let png = Png::new(24, 20, 8, 2).bytes(3);
    let webp = encoded(&DynamicImage::from(photo(24, 20)), ImageFormat::WebP);
    let bmp = encoded(&DynamicImage::from(photo(24, 20)), ImageFormat::Bmp);
    let tif = encoded(&DynamicImage::from(photo(24, 20)), ImageFormat::Tiff);
    for bytes in [&jpeg, &png, &webp, &bmp, &tif] {
        let whole = decode(bytes).expect("reads");
        for more in [&b"\0\0\0\0"[..], b"some text that a camera wrote", &jpeg, &[0xFF; 9]] {
            let longer = [bytes, more].concat();
            assert_eq!(decode(&longer).as_ref().ok(), Some(&whole), "{:?}", &bytes[..4]);
        }
    }
    // Cameras fill the data up to a multiple of some bytes.
    for fill in [vec![0; 64], vec![0xFF; 64], vec![7; 4]] {
        let filled = [&jpeg[..jpeg.len() - 2], &fill, &END].concat();
        assert_eq!(decode(&filled).ok(), decode(&jpeg).ok(), "{fill:?}");
    }
    let too_much = [&jpeg[..jpeg.len() - 2], &[7; 50], &END].concat();
    assert!(decode(&too_much).is_err(), "data for which there is no picture");
}

/// Cameras leave out the tables that all JPEGs of a motion JPEG share.
#[test]
fn a_motion_jpeg_frame_without_tables_is_read_and_a_cut_one_is_not() {
    let jpeg = encoded(&DynamicImage::from(photo(61, 45)), ImageFormat::Jpeg);
    let mut bytes = b"\xFF\xD8\xFF\xE0\x00\x10AVI1\0\0\0\0\0\0\0\0\0\0".to_vec();
    let mut at = 2;
    while jpeg[at + 1] != 0xDA {
        let end = at + 2 + usize::from(jpeg[at + 2]) * 256 + usize::from(jpeg[at + 3]);
        if jpeg[at + 1] != 0xC4 {
            bytes.extend(&jpeg[at..end]);
        }
        at = end;
    }
    bytes.extend(&jpeg[at..]);
    assert_eq!(decode(&bytes).expect("reads").samples, decode(&jpeg).expect("reads").samples);
    for part in [10, 30, 50, 70, 90, 99] {
        let start = first_scan(&bytes);
        let cut = start + (bytes.len() - start) * part / 100;
        assert!(decode(&[&bytes[..cut], &END].concat()).is_err(), "{part} %");
    }
}

#[test]
fn a_png_with_a_flipped_bit_in_its_data_is_unreadable() {
    let bytes = encoded(&DynamicImage::from(photo(40, 30)), ImageFormat::Png);
    let data = bytes.windows(4).position(|w| w == b"IDAT").expect("data");
    for at in data + 4..bytes.len() - 12 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(decode(&flipped).is_err(), "bit flipped at {at} of {}", bytes.len());
    }
}

#[test]
fn other_formats_cut_anywhere_in_their_data_are_unreadable() {
    let image = DynamicImage::from(photo(40, 30));
    for format in [ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::WebP, ImageFormat::Tiff] {
        let bytes = encoded(&image, format);
        // A TIFF has its directory behind its data.
        for cut in (0..bytes.len() - 1).step_by(7) {
            assert!(decode(&bytes[..cut]).is_err(), "{format:?} cut at {cut} of {}", bytes.len());
        }
    }
}

#[test]
fn animations_and_pages_are_refused_by_their_name() {
    let page = || Page::new((24, 20), 8, 1, 1);
    let thumbnail = || page().with(254, 4, vec![1]);
    let said = |bytes: &[u8]| decode(bytes).expect_err("refused").to_string();
    for big in [false, true] {
        let words = said(&tiff(&[page(), page(), page()], big));
        assert!(words.contains("a TIFF of 3 pages") && words.contains("->"), "{words}");
        assert!(decode(&tiff(&[page(), thumbnail()], big)).is_ok(), "a thumbnail is no page");
    }
    let png = Png::new(24, 20, 8, 2).bytes(3);
    let mut control = Vec::new();
    crate::by_hand::chunk(&mut control, b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let animated = [&png[..33], &control, &png[33..]].concat();
    assert!(said(&animated).contains("animation"), "{}", said(&animated));
    let mut webp = encoded(&DynamicImage::from(photo(24, 20)), ImageFormat::WebP);
    let mut extended = b"VP8X\x0a\0\0\0\x02\0\0\0\x17\0\0\x13\0\0".to_vec();
    extended.extend(&webp[12..]);
    webp.truncate(12);
    webp.extend(extended);
    let length = (webp.len() - 8) as u32;
    webp[4..8].copy_from_slice(&length.to_le_bytes());
    assert!(said(&webp).contains("animation"), "{}", said(&webp));
}

fn eight(picture: &Picture) -> &[u8] {
    match &picture.samples {
        Samples::Eight(values) => values,
        Samples::Sixteen(_) => panic!("8 bits"),
    }
}

/// Every kind of TIFF that is read shows what its bytes say.
#[test]
fn kinds_of_tiff_that_are_read() {
    let size = (10, 9);
    let pixels = 90usize;
    let strip = |page: &Page| page.chunks[0].clone();
    for big in [false, true] {
        let read = |page: Page| decode_with_opacity(&tiff(&[page], big)).expect("reads");
        let grey = Page::new(size, 8, 1, 1);
        let bytes = strip(&grey);
        let want: Vec<u8> = bytes.iter().flat_map(|&v| [v; 3]).collect();
        assert_eq!(eight(&read(grey).picture), want, "grey");
        let inverted: Vec<u8> = bytes.iter().flat_map(|&v| [255 - v; 3]).collect();
        assert_eq!(eight(&read(Page::new(size, 8, 1, 0)).picture), inverted, "white is zero");
        let palette =
            Page::new(size, 8, 1, 3).with(320, 3, (0..768).map(|i| i % 256 * 256).collect());
        assert_eq!(eight(&read(palette).picture), want, "palette");
        let pairs = Page::new(size, 8, 2, 1).with(338, 3, vec![2]);
        let bytes = strip(&pairs);
        let decoded = read(pairs);
        let opacity: Vec<u8> = bytes.chunks(2).map(|pair| pair[1]).collect();
        assert_eq!(decoded.opacity.as_deref(), Some(&opacity[..]), "grey with alpha");
        let shown = |pair: &[u8]| ((u32::from(pair[0]) * u32::from(pair[1]) + 127) / 255) as u8;
        let want: Vec<u8> = bytes.chunks(2).flat_map(|pair| [shown(pair); 3]).collect();
        assert_eq!(eight(&decoded.picture), want, "grey with alpha");
        let bilevel = Page::new(size, 1, 1, 1).holding(vec![[0b1010_0000, 0b0100_0000].repeat(9)]);
        let row = [255, 0, 255, 0, 0, 0, 0, 0, 0, 255].map(|v| [v; 3]).concat();
        assert_eq!(eight(&read(bilevel).picture), row.repeat(9), "1 bit");
        let nibbles =
            Page::new(size, 4, 1, 1).holding(vec![[0x0F, 0x12, 0x34, 0x56, 0x78].repeat(9)]);
        let row: Vec<u8> =
            [0, 15, 1, 2, 3, 4, 5, 6, 7, 8].iter().flat_map(|&v| [v * 17; 3]).collect();
        assert_eq!(eight(&read(nibbles).picture), row.repeat(9), "4 bits");
        let planes = Page::new(size, 8, 3, 2).with(284, 3, vec![2]).holding(vec![
            vec![10; pixels],
            vec![20; pixels],
            vec![30; pixels],
        ]);
        assert_eq!(eight(&read(planes).picture), [10, 20, 30].repeat(pixels), "planes");
        let cmyk = Page::new(size, 8, 4, 5).holding(vec![[0, 255, 128, 51].repeat(pixels)]);
        assert_eq!(eight(&read(cmyk).picture), [204, 0, 101].repeat(pixels), "CMYK");
        let floats: Vec<u8> =
            [0.0f32, 0.5, 1.0].repeat(30).iter().flat_map(|v| v.to_le_bytes()).collect();
        let float = Page::new(size, 32, 1, 1).with(339, 3, vec![3]).holding(vec![floats]);
        let Samples::Sixteen(got) = read(float).picture.samples else { panic!("16 bits") };
        assert_eq!(got[..9], [0, 0, 0, 32768, 32768, 32768, 65535, 65535, 65535], "floats");
        let multiplied = Page::new(size, 8, 4, 2)
            .with(338, 3, vec![1])
            .holding(vec![[100, 50, 25, 128].repeat(pixels)]);
        assert_eq!(
            eight(&read(multiplied).picture),
            [100, 50, 25].repeat(pixels),
            "multiplied already"
        );
    }
}

#[test]
fn tiles_lie_where_they_belong() {
    // There are 20 x 18 pixels in four tiles of 16 x 16, each with a value of its own.
    let mut page = Page::new((20, 18), 8, 1, 1)
        .with(322, 4, vec![16])
        .with(323, 4, vec![16])
        .holding((1..=4).map(|i| vec![i * 10; 256]).collect());
    page.tiled = true;
    page.entries.retain(|entry| entry.0 != 278);
    let picture = decode(&tiff(&[page], false)).expect("reads");
    for (i, pixel) in eight(&picture).chunks(3).enumerate() {
        let (right, below) = (i % 20 >= 16, i / 20 >= 16);
        let want = 10 * (1 + u8::from(right) + 2 * u8::from(below));
        assert_eq!(pixel, [want; 3], "pixel {i}");
    }
}

#[test]
fn kinds_of_tiff_that_are_not_read_are_named() {
    let size = (10, 9);
    let floats = |value: f32| {
        let bytes = value.to_le_bytes().repeat(90);
        Page::new(size, 32, 1, 1).with(339, 3, vec![3]).holding(vec![bytes])
    };
    let cases = [
        (floats(200.0), "between 0 and 1"),
        (floats(f32::NAN), "between 0 and 1"),
        (floats(-0.2), "between 0 and 1"),
        (Page::new(size, 8, 3, 6), "YCbCr"),
        (Page::new(size, 8, 3, 2).with(259, 3, vec![7]), "JPEG"),
        (Page::new(size, 32, 1, 1), "32-bit integers"),
        (Page::new(size, 8, 1, 1).with(339, 3, vec![2]), "signed 8-bit integers"),
        (Page::new(size, 8, 5, 1), "5 grey channels"),
        (Page::new(size, 8, 3, 8), "Lab"),
        (Page::new(size, 16, 1, 3).with(320, 3, vec![0; 3]), "palette for 16 bits"),
    ];
    for (page, words) in cases {
        let said = decode(&tiff(&[page], false)).expect_err(words).to_string();
        assert!(said.contains(words) && said.contains("->"), "{words}: {said}");
    }
    assert!(decode(&tiff(&[floats(1.005)], false)).is_ok(), "a little above is clipped");
}
