//! Tests that any bytes of a picture file give an answer, soon, without much reserved memory, and never a panic.
//!
//! It tries 20,000 changed pictures. `HETMM_MUTATIONS=10000000 cargo test --release --test mutations_pictures` tries
//! that many, and `HETMM_SEED` makes others.
#![allow(unsafe_code)]

mod by_hand;

use by_hand::{Page, Png, repair_png, run_length_bmp, tiff};
use hetmm::image::decode;
use image::{DynamicImage, ImageBuffer, ImageFormat, ImageReader};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The bytes that may be reserved beside the picture that a file declares.
const MOST_BYTES: usize = 256 << 20;
/// The bytes that the picture itself may take for each of its pixels: four samples of 16 bits as the file has them, and
/// three of 16 bits as they are passed on.
const BYTES_PER_PIXEL: usize = 14;
/// The size up to which a file reserves no more than [`MOST_BYTES`], whatever it declares.
const SMALL_FILE: usize = 8 << 10;
const MOST_TIME: Duration = Duration::from_secs(10);

/// Counts the bytes that each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is passed on to the system's allocator as it came. The counters beside it are thread-local and
// never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Both blocks may exist while the bytes are copied.
        count(new_size as isize);
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Holds the result of decoding some bytes.
struct Seen {
    accepted: bool,
    words: String,
    peak_bytes: usize,
    time: Duration,
}

/// Returns how long this thread has computed. The wall clock would also count what other programs do.
fn time_on_cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says it");
    let nanoseconds = told.split_whitespace().next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

fn look(bytes: &[u8]) -> Seen {
    let before = HELD.get();
    PEAK.set(before);
    let start = time_on_cpu();
    let result = catch_unwind(AssertUnwindSafe(|| decode(bytes)));
    let time = time_on_cpu() - start;
    let peak_bytes = (PEAK.get() - before) as usize;
    let result = result.unwrap_or_else(|_| panic!("a panic escaped: {}", hex(bytes)));
    let words = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    Seen { accepted: result.is_ok(), words, peak_bytes, time }
}

/// Returns the pixels that a file declares, or 0 if that cannot be said.
fn declared_pixels(bytes: &[u8]) -> usize {
    let by_image = || {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
        reader.into_dimensions().ok()
    };
    let by_tiff = || tiff::decoder::Decoder::new(Cursor::new(bytes)).ok()?.dimensions().ok();
    let size = catch_unwind(by_image).ok().flatten();
    let size = size.or_else(|| catch_unwind(by_tiff).ok().flatten()).unwrap_or_default();
    (size.0 as usize).saturating_mul(size.1 as usize)
}

fn check(bytes: &[u8], case: &str) -> Seen {
    let seen = look(bytes);
    if seen.peak_bytes > MOST_BYTES {
        // A picture with more pixels than are accepted takes nothing, and a small file declares only few.
        let pixels = declared_pixels(bytes).min(hetmm::image::MAX_PIXELS as usize);
        let most = MOST_BYTES + BYTES_PER_PIXEL * pixels;
        assert!(bytes.len() > SMALL_FILE, "{case}: {} bytes: {}", seen.peak_bytes, hex(bytes));
        assert!(seen.peak_bytes <= most, "{case}: {} bytes: {}", seen.peak_bytes, hex(bytes));
    }
    assert!(seen.time < MOST_TIME, "{case}: {:?}: {}", seen.time, hex(bytes));
    seen
}

/// Returns the first 8 KB of the bytes in hexadecimal, to make a case of them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(8192).map(|byte| format!("{byte:02x}")).collect()
}

/// Silences contained panics on standard error. Others are still printed.
fn stay_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !hetmm::containment::is_contained() {
            usual(panic);
        }
    }));
}

/// Gives random numbers that a seed repeats (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

/// Returns pictures of every kind that is read, and of some that are not.
fn seeds() -> Vec<Vec<u8>> {
    let wide: DynamicImage = ImageBuffer::from_fn(24, 20, |x, y| {
        image::Rgba([x as u16 * 2700, y as u16 * 3200, (x * y) as u16 * 131, 65535 - x as u16 * 99])
    })
    .into();
    let eight = DynamicImage::from(wide.to_rgba8());
    let mut seeds = Vec::new();
    for image in [
        DynamicImage::from(wide.to_luma8()),
        wide.to_luma_alpha8().into(),
        wide.to_rgb8().into(),
        eight.clone(),
        wide.to_luma16().into(),
        wide.to_luma_alpha16().into(),
        wide.to_rgb16().into(),
        wide.clone(),
    ] {
        seeds.push(encoded(&image, ImageFormat::Png));
    }
    for image in [DynamicImage::from(wide.to_luma8()), wide.to_rgb8().into()] {
        for format in [ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::Tiff] {
            seeds.push(encoded(&image, format));
        }
    }
    for image in [DynamicImage::from(wide.to_rgb16()), wide.to_rgb32f().into(), eight.clone()] {
        seeds.push(encoded(&image, ImageFormat::Tiff));
    }
    for image in [DynamicImage::from(wide.to_rgb8()), eight.clone()] {
        seeds.push(encoded(&image, ImageFormat::WebP));
    }
    seeds.push(encoded(&eight, ImageFormat::Bmp));
    seeds.extend(pngs());
    seeds.extend(jpegs(&wide.to_rgb8()));
    seeds.extend(tiffs());
    seeds.push(run_length_bmp(24, 20));
    for text in [
        "P1\n8 8\n0 1 0 1 0 1 0 1 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 1 0 1 0 1 0 1 1 1 1 1 1 1 1 1 0 0 0 0 \
         0 0 0 0 0 1 0 1 0 1 0 1 1 1 1 1 1 1 1 1\n",
        "P4\n# a comment\n16 8\n0123456789abcdef",
        "P5\n8 8\n4095\n0123456789012345678901234567890123456789012345678901234567890123\
         0123456789012345678901234567890123456789012345678901234567890123",
        "P7\nWIDTH 8\nHEIGHT 8\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n\
         01234567890123456789012345678901234567890123456789012345678901230123456789012345678901\
         234567890123456789012345678901234567890123",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}

fn pngs() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (bits, colour) in
        [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (1, 3), (2, 3), (4, 3), (8, 3), (16, 4), (8, 6)]
    {
        for interlaced in [false, true] {
            let mut png = Png::new(24, 20, bits, colour);
            png.interlaced = interlaced;
            if colour == 3 {
                png.palette.truncate(3 << bits.min(4));
                png.transparency = vec![0, 100];
            }
            seeds.push(png.bytes(17));
        }
    }
    seeds
}

fn jpegs(image: &image::RgbImage) -> Vec<Vec<u8>> {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    let mut seeds = Vec::new();
    let cmyk: Vec<u8> = image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 40]).collect();
    for progressive in [false, true] {
        for (sampling, restart) in
            [(SamplingFactor::F_1_1, 0), (SamplingFactor::F_2_2, 2), (SamplingFactor::F_2_1, 1)]
        {
            for (data, kind) in [(image.as_raw(), ColorType::Rgb), (&cmyk, ColorType::Cmyk)] {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, 90);
                encoder.set_progressive(progressive);
                encoder.set_sampling_factor(sampling);
                if restart > 0 {
                    encoder.set_restart_interval(restart);
                }
                encoder.encode(data, 24, 20, kind).expect("encodes");
                seeds.push(bytes);
            }
        }
    }
    seeds
}

fn tiffs() -> Vec<Vec<u8>> {
    let size = (24, 20);
    let deflated = by_hand::stored(&[9; 24 * 20 * 3]);
    // These are the code that clears the table, 9 bits, and the one that ends. Nothing lies between them.
    let lzw = vec![0x80, 0x40, 0x40];
    let half: Vec<u8> = vec![77; 16 * 16 * 3];
    let mut tiled = Page::new(size, 8, 3, 2)
        .with(322, 4, vec![16])
        .with(323, 4, vec![16])
        .holding(vec![half; 4]);
    tiled.tiled = true;
    tiled.entries.retain(|entry| entry.0 != 278);
    let pages = vec![
        Page::new(size, 1, 1, 0),
        Page::new(size, 4, 1, 1),
        Page::new(size, 8, 1, 3).with(320, 3, (0..768).map(|i| i * 85).collect()),
        Page::new(size, 8, 2, 1).with(338, 3, vec![2]),
        Page::new(size, 16, 4, 2).with(338, 3, vec![1]),
        Page::new(size, 8, 4, 5),
        Page::new(size, 32, 1, 1).with(339, 3, vec![3]).holding(vec![vec![0x3e; 24 * 20 * 4]]),
        Page::new(size, 8, 3, 2).with(259, 3, vec![8]).holding(vec![deflated]),
        Page::new(size, 8, 3, 2).with(259, 3, vec![5]).holding(vec![lzw]),
        Page::new(size, 8, 3, 2).with(284, 3, vec![2]).holding(vec![vec![5; 480]; 3]),
        Page::new(size, 1, 1, 0).with(259, 3, vec![4]),
        tiled,
    ];
    let mut seeds: Vec<Vec<u8>> = pages
        .into_iter()
        .flat_map(|page| [false, true].map(|big| tiff(std::slice::from_ref(&page), big)))
        .collect();
    seeds.push(tiff(&[Page::new(size, 8, 1, 1), Page::new(size, 8, 1, 1)], false));
    seeds
}

/// The numbers at which code often goes wrong.
const NUMBERS: [u32; 12] =
    [0, 1, 7, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// Returns a seed with one to four changes.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            break;
        }
        // Most of what a decoder relies on stands at the beginning.
        let reach = if random.below(2) == 0 { bytes.len().min(160) } else { bytes.len() };
        let at = random.below(reach);
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 | 3 => {
                let number = NUMBERS[random.below(NUMBERS.len())];
                let length = [1, 2, 4][random.below(3)].min(bytes.len() - at);
                let both = [number.to_be_bytes(), number.to_le_bytes()];
                let from =
                    if random.below(2) == 0 { &both[0][4 - length..] } else { &both[1][..length] };
                bytes[at..at + length].copy_from_slice(from);
            }
            4 => bytes.truncate(at),
            5 => {
                let end = (at + 1 + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let end = (at + 1 + random.below(40)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let end = (from + 1 + random.below(60)).min(other.len());
                let length = (end - from).min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&other[from..from + length]);
            }
        }
    }
    if bytes.starts_with(b"\x89PNG") && random.below(8) > 0 {
        repair_png(&mut bytes);
    }
    bytes
}

#[test]
fn no_changed_picture_ends_the_program_or_takes_much_memory_or_time() {
    stay_quiet();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("HETMM_MUTATIONS").unwrap_or(20_000);
    let mut random = Random(number("HETMM_SEED").unwrap_or(20_261_127));
    let seeds = seeds();
    let refused: Vec<String> = (seeds.iter().map(|seed| check(seed, "a seed")))
        .filter(|seen| !seen.accepted)
        .map(|seen| seen.words)
        .collect();
    // The refused seeds are: two pages; LZW and fax data without a picture, each as TIFF and BigTIFF; kinds of
    // progressive JPEG for which the decoder has no code.
    assert!(refused.len() <= 8, "{} of {}: {refused:#?}", refused.len(), seeds.len());
    let (mut accepted, mut contained, mut slowest, mut largest) = (0u64, 0u64, Duration::ZERO, 0);
    for round in 0..rounds {
        let bytes = mutated(&seeds, &mut random);
        let seen = check(&bytes, &format!("round {round}"));
        accepted += u64::from(seen.accepted);
        if seen.words.contains("failed because of a bug") {
            contained += 1;
            println!("contained, round {round}: {}", seen.words.lines().next().unwrap_or_default());
        }
        slowest = slowest.max(seen.time);
        largest = largest.max(seen.peak_bytes);
    }
    println!(
        "{rounds} changed pictures: {accepted} read, {contained} panics contained, slowest {slowest:?}, \
         most bytes at once {largest}"
    );
    assert!(accepted > rounds / 50, "too few are still pictures: {accepted}");
    assert!(accepted < rounds * 9 / 10, "too few are broken: {accepted}");
}

/// Covers a former fault: a palette of 61 bytes made the `png` crate panic, which ended the device program and the
/// tool.
#[test]
fn a_palette_that_is_no_multiple_of_three_long_is_an_unreadable_picture() {
    stay_quiet();
    let mut refused = 0;
    for (length, bits) in [(1, 1), (2, 4), (4, 2), (46, 4), (47, 4), (61, 4), (766, 8), (767, 8)] {
        let mut png = Png::new(24, 24, bits, 3);
        png.palette = (0..length).map(|i| i as u8).collect();
        let seen = check(&png.bytes(0), "palette");
        assert!(
            seen.accepted || seen.words.contains("cannot be decoded"),
            "{length}: {}",
            seen.words
        );
        refused += u32::from(!seen.accepted);
    }
    assert!(refused > 0, "the case that panicked is among them");
}

/// Covers a former fault: a TIFF of 5 KB declared a width of 3,866,648 pixels, and 1.47 GiB were reserved for it.
#[test]
fn a_small_tiff_that_says_that_it_is_huge_reserves_nothing() {
    let floats = Page::new((24, 17), 32, 3, 2).with(339, 3, vec![3, 3, 3]);
    for compression in [1, 5, 8, 32_773] {
        let page =
            Page { entries: floats.entries.clone(), chunks: floats.chunks.clone(), tiled: false };
        let page = page.with(256, 4, vec![3_866_648]).with(259, 3, vec![compression]);
        let seen = check(&tiff(&[page], false), "huge");
        assert!(!seen.accepted && seen.words.contains("->"), "{}", seen.words);
        // One strip may be decoded before it turns out that the file does not have the data.
        let most = if compression == 1 { 1 << 20 } else { 3_866_648 * 17 * 12 + (1 << 20) };
        assert!(seen.peak_bytes <= most, "compression {compression}: {}", seen.peak_bytes);
    }
}

/// Tiles, channels and entries are declared far larger than the picture or the file.
#[test]
fn what_a_tiff_says_of_tiles_channels_and_entries_reserves_nothing() {
    let page = || Page::new((24, 20), 8, 3, 2);
    let tile = |side: u32| {
        let mut page = page().with(322, 4, vec![side]).with(323, 4, vec![16]);
        page.tiled = true;
        page.entries.retain(|entry| entry.0 != 278);
        page.holding(vec![vec![1; 100]; 2])
    };
    let mut long_entry = tiff(&[page().with(700, 3, vec![7; 50])], false);
    let at = long_entry.windows(4).position(|w| w == [0xbc, 2, 3, 0]).expect("the entry");
    long_entry[at + 4..at + 8].copy_from_slice(&50_000_000u32.to_le_bytes());
    let cases = [
        tiff(&[tile(4_000_000_000)], false),
        tiff(&[tile(60_000)], true),
        tiff(&[page().with(277, 3, vec![65_535])], false),
        long_entry,
    ];
    for (case, bytes) in cases.iter().enumerate() {
        let seen = check(bytes, "tiff");
        assert!(!seen.accepted && seen.peak_bytes < 16 << 20, "case {case}: {}", seen.peak_bytes);
    }
}

/// The largest picture that is allowed is read, whatever its format. A picture with one row more is not.
#[test]
fn the_largest_picture_is_read_without_much_beside_it() {
    let grey = |height: u32| {
        let mut bytes = format!("P5\n10000 {height}\n255\n").into_bytes();
        bytes.resize(bytes.len() + 10_000 * height as usize, 60);
        bytes
    };
    let strips = |height: u32| {
        let page = Page::new((10_000, 8), 8, 1, 1).with(257, 4, vec![height]);
        tiff(
            &[page.with(278, 4, vec![height]).holding(vec![vec![9; 10_000 * height as usize]])],
            false,
        )
    };
    let pixels = 10_000 * 10_000;
    for (whole, larger) in [(grey(10_000), grey(10_001)), (strips(10_000), strips(10_001))] {
        let seen = check(&whole, "100 megapixels");
        assert!(seen.accepted, "{}", seen.words);
        assert!(seen.peak_bytes <= 4 * pixels + (16 << 20), "{} bytes", seen.peak_bytes);
        let seen = check(&larger, "more");
        assert!(seen.words.contains("more than 100 million"), "{}", seen.words);
        assert!(seen.peak_bytes < 16 << 20, "{} bytes", seen.peak_bytes);
    }
}
