//! Measures the milliseconds per picture of the bundled backbone: int8, tract and ONNX Runtime, in turn.
//!
//!     ORT_DYLIB_PATH=$(models/fetch_onnxruntime.sh) cargo run --release --example extractor_times [ROUNDS]
//!
//! It measures with one and with two threads. *alone* is one picture at a time. *together* is as many callers as
//! threads, as in `hetmm build`. Taps and input are those of the default preset. The figures are medians over the
//! rounds.

use hetmm::backbone::{self, Backbone, Device, ExtractorOptions, Request};
use hetmm::builder::presets::PRESETS;
use hetmm::image::NetworkImage;
use rayon::prelude::*;
use std::sync::Arc;
use std::time::Instant;

/// The side of the input in pixels, as in the default for square pictures.
const SIDE: usize = 256;
/// The number of pictures that a thread computes in a round.
const PICTURES: usize = 8;

struct Case {
    name: String,
    pool: rayon::ThreadPool,
    backbone: Arc<dyn Backbone>,
    together: bool,
    times_ms: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(25), |n| n.parse())?;
    let preset = &PRESETS[0];
    let size = SIDE;
    let request = Request {
        model: None,
        taps: vec![preset.taps[1].positional.iter().map(|t| t.to_string()).collect()],
        height: size,
        width: size,
        made_by: None,
    };
    let samples = (0..size * size * 3).map(|i| (i as u32).wrapping_mul(40_503) as u16).collect();
    let image = NetworkImage::from_samples(size, size, samples).ok_or("size")?;
    let mut cases = Vec::new();
    for threads in [1, 2] {
        for device in [Device::Int8, Device::Tract, Device::Cpu] {
            for together in [false, true] {
                if together && threads == 1 {
                    continue;
                }
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                let extractor = ExtractorOptions { device, ..ExtractorOptions::default() };
                let backbone = pool.install(|| backbone::open(&request, &extractor))?;
                let how = if together { "together" } else { "alone" };
                let name = format!("{} threads {threads} {how}", backbone.extractor());
                cases.push(Case { name, pool, backbone, together, times_ms: Vec::new() });
            }
        }
    }
    for round in 0..rounds + 2 {
        for case in &mut cases {
            let backbone = case.backbone.as_ref();
            let count = if case.together { 2 * PICTURES } else { PICTURES };
            let start = Instant::now();
            case.pool.install(|| match case.together {
                true => {
                    (0..count).into_par_iter().try_for_each(|_| backbone.features(&image).map(drop))
                }
                false => (0..count).try_for_each(|_| backbone.features(&image).map(drop)),
            })?;
            // The first rounds fill caches and make sessions, so they do not count.
            if round >= 2 {
                case.times_ms.push(start.elapsed().as_secs_f64() * 1e3 / count as f64);
            }
        }
    }
    println!("{:40} {:>8} {:>8}   ms a picture, {rounds} rounds", "", "median", "least");
    for case in &mut cases {
        case.times_ms.sort_by(f64::total_cmp);
        println!("{:40} {:8.2} {:8.2}", case.name, case.times_ms[rounds / 2], case.times_ms[0]);
    }
    Ok(())
}
