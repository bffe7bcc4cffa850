//! The first inputs of the targets, all made here or taken from files of the project.

#[path = "../../tests/by_hand/mod.rs"]
pub mod by_hand;
#[path = "../../tests/common/forged.rs"]
pub mod forged;

use by_hand::{Page, Png, run_length_bmp, tiff};
use forged::Parts;
use hetmm::template::Settings;
use hetmm::template::container::SectionKind;
use hetmm::template::header::Header;
use image::{DynamicImage, ImageBuffer, ImageFormat};
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Returns a new folder in memory, if the system has one there. `fuzz/run.sh` removes it.
pub fn scratch() -> PathBuf {
    let prefix = format!("hetmm-fuzz-{}-", std::env::var("HETMM_FUZZ_TARGET").unwrap_or_default());
    let made = tempfile::Builder::new().prefix(&prefix).tempdir_in("/dev/shm");
    made.or_else(|_| tempfile::tempdir()).expect("a folder").keep()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes().chunks_exact(2);
    digits
        .map(|two| u8::from_str_radix(&String::from_utf8_lossy(two), 16).expect("digits"))
        .collect()
}

const HEADERS: [&str; 6] = [
    include_str!("../../tests/golden/header_v1.hex"),
    include_str!("../../tests/golden/header_v2.hex"),
    include_str!("../../tests/golden/header_v3.hex"),
    include_str!("../../tests/golden/header_v4.hex"),
    include_str!("../../tests/golden/header_v5.hex"),
    include_str!("../../tests/golden/header_v6.hex"),
];
const JOURNALS: [&str; 2] = [
    include_str!("../../tests/golden/journal_v1.hex"),
    include_str!("../../tests/golden/journal_v2.hex"),
];

pub fn headers() -> Vec<Vec<u8>> {
    HEADERS.map(from_hex).to_vec()
}

pub fn journals() -> Vec<Vec<u8>> {
    JOURNALS.map(from_hex).to_vec()
}

/// A template of two pictures with one layer of 2 x 4 positions, 3 channels and 5 sheets in 16 bits.
fn parts() -> Parts {
    let header: Header = postcard::from_bytes(&from_hex(HEADERS[0])).expect("a header");
    let (mut header, _) = header.into_parts();
    header.build.images.push(header.build.images[0].clone());
    let shape = header.shape(0).expect("a layer");
    let mut values = vec![half::f16::ZERO; shape.values(header.storage).expect("fits")];
    for pixel in 0..shape.pixels() {
        for sheet in 0..shape.sheets {
            let place = shape.place(header.storage, sheet, (pixel + sheet) % shape.channels);
            values[pixel * shape.block(header.storage) + place] = half::f16::ONE;
        }
    }
    let values = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let sources = vec![0; 4 * shape.pixels() * shape.sheets];
    let id = &header.backbone;
    let probe = vec![90; 6 * (id.height * id.width) as usize];
    Parts {
        header: header.encode(&Settings::default()).expect("encodes"),
        sections: vec![
            (SectionKind::Values, 0, values),
            (SectionKind::Sources, 0, sources),
            (SectionKind::Probe, 0, probe),
        ],
    }
}

/// A small template.
pub fn template() -> Vec<u8> {
    parts().sealed()
}

/// A small template with these entries of its journal.
pub fn with_journal(entries: &[&[u8]]) -> Vec<u8> {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    let mut parts = PARTS.get_or_init(parts).clone();
    for (number, entry) in entries.iter().enumerate() {
        parts.sections.push((SectionKind::Journal, number as u16, entry.to_vec()));
    }
    parts.sealed()
}

pub fn templates() -> Vec<Vec<u8>> {
    let journal = journals();
    vec![template(), with_journal(&[&journal[0]]), with_journal(&[&journal[1]])]
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

/// A picture of 24 x 20 pixels with different values everywhere.
fn picture() -> DynamicImage {
    let value = |x: u32, y: u32| {
        image::Rgba([x as u16 * 2700, y as u16 * 3200, (x * y) as u16 * 131, 65535 - x as u16 * 99])
    };
    ImageBuffer::from_fn(24, 20, value).into()
}

pub fn pngs() -> Vec<Vec<u8>> {
    let mut seeds = vec![];
    for (bits, colour) in [
        (1, 0),
        (2, 0),
        (4, 0),
        (8, 0),
        (16, 0),
        (1, 3),
        (2, 3),
        (4, 3),
        (8, 3),
        (8, 2),
        (16, 2),
        (16, 4),
        (8, 6),
    ] {
        for interlaced in [false, true] {
            let mut png = Png::new(16, 12, bits, colour);
            png.interlaced = interlaced;
            if colour == 3 {
                png.palette.truncate(3 << bits.min(4));
                png.transparency = vec![0, 100];
            }
            seeds.push(png.bytes(17));
        }
    }
    let wide = picture();
    seeds.extend(
        [wide.to_rgb8().into(), DynamicImage::from(wide.to_luma_alpha8())]
            .map(|p| encoded(&p, ImageFormat::Png)),
    );
    seeds
}

pub fn jpegs() -> Vec<Vec<u8>> {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    let image = picture().to_rgb8();
    let cmyk: Vec<u8> = image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 40]).collect();
    let grey = picture().to_luma8();
    let mut seeds = vec![];
    for progressive in [false, true] {
        for (sampling, restart) in
            [(SamplingFactor::F_1_1, 0), (SamplingFactor::F_2_2, 2), (SamplingFactor::F_2_1, 1)]
        {
            for (data, kind) in [
                (image.as_raw(), ColorType::Rgb),
                (&cmyk, ColorType::Cmyk),
                (grey.as_raw(), ColorType::Luma),
            ] {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, 50);
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

pub fn tiffs() -> Vec<Vec<u8>> {
    let size = (16, 12);
    let deflated = by_hand::stored(&[9; 16 * 12 * 3]);
    let tile: Vec<u8> = vec![77; 16 * 16 * 3];
    let mut tiled =
        Page::new(size, 8, 3, 2).with(322, 4, vec![16]).with(323, 4, vec![16]).holding(vec![tile]);
    tiled.tiled = true;
    tiled.entries.retain(|entry| entry.0 != 278);
    let pages = vec![
        Page::new(size, 1, 1, 0),
        Page::new(size, 4, 1, 1),
        Page::new(size, 8, 1, 3).with(320, 3, (0..768).map(|i| i * 85).collect()),
        Page::new(size, 8, 2, 1).with(338, 3, vec![2]),
        Page::new(size, 16, 4, 2).with(338, 3, vec![1]),
        Page::new(size, 8, 4, 5),
        Page::new(size, 32, 1, 1).with(339, 3, vec![3]).holding(vec![vec![0x3e; 16 * 12 * 4]]),
        Page::new(size, 8, 3, 2).with(259, 3, vec![8]).holding(vec![deflated]),
        Page::new(size, 8, 3, 2).with(259, 3, vec![5]).holding(vec![vec![0x80, 0x40, 0x40]]),
        Page::new(size, 1, 1, 1).with(259, 3, vec![4]).holding(vec![[0x26, 0xa0].repeat(30)]),
        Page::new(size, 8, 1, 1).with(259, 3, vec![32773]).holding(vec![[0xf1, 7].repeat(12)]),
        tiled,
    ];
    let mut seeds: Vec<Vec<u8>> = pages.into_iter().map(|page| tiff(&[page], false)).collect();
    seeds.push(tiff(&[Page::new(size, 8, 3, 2)], true));
    let wide = picture();
    seeds.extend(
        [wide.to_rgb16().into(), DynamicImage::from(wide.to_luma8())]
            .map(|p| encoded(&p, ImageFormat::Tiff)),
    );
    seeds
}

pub fn webps() -> Vec<Vec<u8>> {
    // No encoder at hand writes the lossy kind. This is the beginning of one.
    let lossy = b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\x01\0\x9d\x01\x2a\x10\0\x10\0\x02\0\x34\x25\xa4\0\x03\x70\0\xfe\xfb\xfd\x50\0";
    let wide = picture();
    let lossless =
        [DynamicImage::from(wide.to_rgb8()), wide.to_rgba8().into(), wide.to_luma8().into()];
    lossless.iter().map(|p| encoded(p, ImageFormat::WebP)).chain([lossy.to_vec()]).collect()
}

pub fn bmps() -> Vec<Vec<u8>> {
    let wide = picture();
    let mut seeds = vec![run_length_bmp(24, 20)];
    seeds.extend(
        [DynamicImage::from(wide.to_rgb8()), wide.to_rgba8().into(), wide.to_luma8().into()]
            .map(|p| encoded(&p, ImageFormat::Bmp)),
    );
    seeds
}

pub fn pnms() -> Vec<Vec<u8>> {
    let plain = "0 1 ".repeat(32);
    let bytes = "0123456789abcdef".repeat(12);
    vec![
        format!("P1\n8 8\n{plain}").into(),
        format!("P2\n# grey\n8 8\n255\n{}", "17 ".repeat(64)).into(),
        format!("P3\n8 8\n15\n{}", "1 2 3 ".repeat(64)).into(),
        b"P4\n# a comment\n16 8\n0123456789abcdef".to_vec(),
        format!("P5\n8 8\n4095\n{}", &bytes[..128]).into(),
        format!("P6\n8 8\n255\n{bytes}").into(),
        format!(
            "P7\nWIDTH 8\nHEIGHT 8\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n{}",
            &bytes[..128]
        )
        .into(),
    ]
}

/// A configuration that is short, so that most changes hit something.
pub const CONFIGURATION: &str = "[template]\nfile = \"a.hetmm\"\n[trigger]\nsource = \"free-run\"\n[camera]\nsource = \"folder\"\nfolder = \"b\"\nframes_per_second = 2.5\n[reject]\ndelay_us = 400000\npulse_width_us = 3000\nmin_pitch_us = 6000\n[outputs]\nsimulate = true\nng = { line = 1 }\n[control]\nsocket = \"d\"\n";

pub fn configurations() -> Vec<Vec<u8>> {
    let encoder = CONFIGURATION
        .replace("delay_us = 400000", "delay_counts = 400\ndeadline_us = 9000")
        .replace("min_pitch_us = 6000", "min_pitch_counts = 4")
        .replace("\"free-run\"", "\"gpio\"\nchip = \"e\"\nline = 7")
        .replace("[camera]", "[encoder]\nline = 8\nedge = \"both\"\n[camera]");
    let shipped = [
        include_str!("../../firmware-config/jetson-orin-nano.toml"),
        include_str!("../../firmware-config/jetson-xavier-nx.toml"),
        include_str!("../../firmware-config/usb-camera-gpio-expander.toml"),
    ];
    let shipped = shipped.map(|text| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
    });
    [CONFIGURATION.into(), encoder.into()].into_iter().chain(shipped).collect()
}

pub fn requests() -> Vec<Vec<u8>> {
    [
        "status",
        "trigger",
        "reload",
        "select 2",
        "select 12 0123456789abcdef",
        "slots",
        "safe",
        "resume",
        "acknowledge",
        "history",
        "drift status",
        "drift learn",
        "drift accept",
        "lines",
        "commission on",
        "commission off",
        "pulse ng",
        "login failed 2001:db8::7",
        "undo",
        "undo 4294967295",
        "teach 1",
        "teach 18446744073709551615 force",
        " \t safe \r",
        "for \"anna\" safe",
        "for \"Anna B.\" teach 3 force",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub fn signatures() -> Vec<Vec<u8>> {
    let digits = "9f86d081884c7d65".repeat(4);
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let line = "RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=";
    vec![
        format!(
            "untrusted comment: x\n{line}\ntrusted comment: bracket 4711 blake3:{digits}\n{line}\n"
        )
        .into(),
        key.into(),
        digits.into(),
        "2026-11-28T12:00:00Z".into(),
    ]
}

pub fn recordings() -> Vec<Vec<u8>> {
    vec![
        b"at_us,picture,exposure_delay_us\n0,a.png,10\n5000,,0\n9000,b c.png,20\n".to_vec(),
        b"at_us,picture,exposure_delay_us\r\n18446744073709551615,a.png,10\r\n".to_vec(),
    ]
}

pub fn modbus() -> Vec<Vec<u8>> {
    let frame = |body: &[u8]| [&[0, 1, 0, 0, 0, body.len() as u8 + 1, 1], body].concat();
    let mut seeds: Vec<Vec<u8>> = [
        &[1, 0, 0, 0, 16][..],
        &[2, 0, 0, 0, 32],
        &[3, 0, 0, 0, 4],
        &[3, 3, 232, 0, 100],
        &[4, 0, 0, 0, 125],
        &[5, 0, 3, 255, 0],
        &[6, 0, 1, 0, 7],
        &[15, 0, 0, 0, 16, 2, 255, 0],
        &[16, 0, 0, 0, 4, 8, 0, 1, 0, 1, 0, 0, 0, 9],
        &[22, 0, 0, 0, 1, 0, 2],
        &[23, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 1],
        &[43, 14, 1, 0],
        &[43, 14, 4, 5],
    ]
    .map(frame)
    .to_vec();
    seeds.push([seeds[0].clone(), seeds[4].clone()].concat());
    seeds
}

pub fn feed() -> Vec<Vec<u8>> {
    let part = |number: u64, outcome: &str| {
        format!(
            "{{\"type\":\"part\",\"part\":{number},\"unix_ms\":1795867200000,\"trigger_us\":5,\"gate_us\":9,\"outcome\":\"{outcome}\",\"why\":\"defect\",\"score\":1.5,\"threshold\":1.0,\"regions\":[{{\"x\":1,\"y\":2,\"width\":3,\"height\":4,\"area\":5,\"peak\":1.5}}],\"result_us\":99,\"timing_us\":{{\"features\":10,\"matching\":3}},\"gate\":{{\"due_us\":1,\"at_us\":3}},\"template\":{{\"blake3\":\"00ff\"}}}}"
        )
    };
    let status = "{\"type\":\"status\",\"status\":{\"state\":\"running\",\"counters\":{\"passed\":3,\"rejected\":1},\"faults\":[\"camera\"],\"records\":{\"records_dropped\":1,\"chain\":{\"lost\":2}},\"drift\":{\"warnings\":[{}]},\"slot\":2,\"uptime_s\":9.5}}";
    let preview = |bits: u32| {
        format!(
            "{{\"type\":\"preview\",\"part\":1,\"width\":16,\"height\":8,\"channels\":3,\"bits\":{bits}}}"
        )
    };
    vec![
        [
            "{\"type\":\"hello\",\"format\":1,\"version\":\"0.1.0\",\"name\":\"a\"}",
            status,
            "{\"type\":\"gap\",\"lost\":3}",
        ]
        .join("\n")
        .into(),
        [part(1, "passed"), part(2, "rejected"), part(3, "rejected")].join("\n").into(),
        [preview(8), preview(16)].join("\n").into(),
    ]
}

/// For targets that read a few numbers and make the rest of them.
pub fn few_bytes() -> Vec<Vec<u8>> {
    (0..16u8).map(|i| (0..24).map(|j| i.wrapping_mul(37) ^ (j * 11)).collect()).collect()
}
