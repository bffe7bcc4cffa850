//! Measures what the C boundary adds to an inspection: the same picture by Rust and by C, in turns.
//!
//!     cargo run --release -p hetmm-capi --example c_overhead -- part.hetmm picture.png [RUNS]
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use hetmm_capi::ffi::*;
use std::ffi::CString;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

fn main() -> hetmm::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [template, picture, more @ ..] = &arguments[..] else {
        eprintln!("usage: c_overhead TEMPLATE PICTURE [RUNS]");
        std::process::exit(2);
    };
    let runs = more.first().and_then(|runs| runs.parse().ok()).unwrap_or(200);
    let picture = hetmm::image::read(Path::new(picture))?;
    let hetmm::image::Samples::Eight(rgb) = &picture.samples else {
        eprintln!("give a picture with 8 bits per sample");
        std::process::exit(2);
    };
    let (width, height) = (picture.width, picture.height);
    let own = hetmm::Inspector::open(template, &hetmm::Options::default())?;
    let path = CString::new(template.as_str()).expect("a path without 0");
    let (mut opened, mut inspector) = (null_mut(), null_mut());
    unsafe {
        assert_eq!(hetmm_template_open(path.as_ptr(), &mut opened), HETMM_OK);
        assert_eq!(hetmm_inspector_new(opened, null(), &mut inspector), HETMM_OK);
    }
    let (mut of_rust, mut of_c) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let start = Instant::now();
        let view = hetmm::PictureView::rgb8(rgb, width, height, 3 * width as usize)?;
        let want = own.inspect(&view)?;
        of_rust.push(start.elapsed());

        let (mut verdict, mut found) = (HETMM_VERDICT_NONE, null_mut());
        let start = Instant::now();
        let given = hetmm_picture {
            struct_size: size_of::<hetmm_picture>(),
            data: rgb.as_ptr().cast(),
            data_size: rgb.len(),
            width,
            height,
            stride: 3 * width as usize,
            format: HETMM_RGB8,
            reserved: 0,
        };
        let status = unsafe { hetmm_inspect(inspector, &given, &mut verdict, &mut found) };
        of_c.push(start.elapsed());
        assert_eq!(status, HETMM_OK);
        unsafe {
            assert_eq!(hetmm_inspection_score(found).to_bits(), want.score.to_bits());
            hetmm_inspection_free(found);
        }
    }
    let differences = of_c.iter().zip(&of_rust).map(|(c, rust)| ms(*c) - ms(*rust)).collect();
    println!(
        "{runs} runs: Rust {:.3} ms, C {:.3} ms; median of the differences {:+.3} ms",
        median(of_rust.iter().map(|time| ms(*time)).collect()),
        median(of_c.iter().map(|time| ms(*time)).collect()),
        median(differences)
    );
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
