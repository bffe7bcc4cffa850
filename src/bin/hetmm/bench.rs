//! `hetmm bench`: how fast a template runs on this machine.

use crate::engine::EngineArgs;
use crate::timing::quantile;
use hetmm::inspection::Inspector;
use hetmm::matching::kernel::Kernel;
use hetmm::{Error, Result};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Time a template on this machine, stage by stage
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm bench part.hetmm
  hetmm bench part.hetmm --threads 1 --json | jq .stages.matching.p99")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Pictures to time
    #[arg(long, value_name = "N", default_value_t = 100)]
    runs: usize,
    /// One JSON object in place of text
    #[arg(long)]
    json: bool,
    /// The backbone it was made with, where that is not the bundled one
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs that are not counted, to fill caches.
const WARM_UP: usize = 3;
const STAGES: [&str; 4] = ["backbone", "matching", "scoring", "total"];

pub fn run(args: &Args) -> Result<ExitCode> {
    if args.runs == 0 {
        return Err(Error::usage("--runs 0 times nothing").advise("100 is the default"));
    }
    let started = Instant::now();
    let inspector =
        Inspector::open(&args.template, args.backbone.as_deref(), &args.engine.engine())?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let template = inspector.template();
    let image = template.probe(0).ok_or_else(|| Error::template("the template has no probe"))?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for run in 0..WARM_UP + args.runs {
        let start = Instant::now();
        let features = inspector.features(&image)?;
        let seen = Instant::now();
        let distances = inspector.distances(&features, None);
        let matched = Instant::now();
        inspector.score(&inspector.anomaly_map(&distances));
        let end = Instant::now();
        if run >= WARM_UP {
            let spans = [(start, seen), (seen, matched), (matched, end), (start, end)];
            for (times, (from, to)) in times.iter_mut().zip(spans) {
                times.push(to.duration_since(from).as_secs_f64() * 1e3);
            }
        }
    }
    report(args, &inspector, load_ms, &times);
    Ok(ExitCode::SUCCESS)
}

fn report(args: &Args, inspector: &Inspector, load_ms: f64, times: &[Vec<f64>; 4]) {
    let template = inspector.template();
    let products: u64 = (0..template.layers()).map(|layer| multiply_adds(inspector, layer)).sum();
    let rate = products as f64 / (quantile(&times[1], 0.5) * 1e6);
    let stage = |times: &[f64]| (quantile(times, 0.5), quantile(times, 0.99), quantile(times, 1.0));
    if args.json {
        let stages: serde_json::Map<String, serde_json::Value> = STAGES
            .iter()
            .zip(times)
            .map(|(name, times)| {
                let (p50, p99, max) = stage(times);
                (name.to_string(), json!({"p50": p50, "p99": p99, "max": max}))
            })
            .collect();
        let all = json!({
            "load_ms": load_ms, "runs": args.runs, "threads": rayon::current_num_threads(),
            "kernel": Kernel::best().name(), "storage": template.header().storage.to_string(),
            "stages": stages, "multiply_adds": products, "giga_multiply_adds_per_s": rate,
        });
        println!("{all:#}");
        return;
    }
    println!(
        "{}: loaded and proven in {load_ms:.0} ms, {} threads",
        args.template.display(),
        rayon::current_num_threads()
    );
    println!("{:10} {:>9} {:>9} {:>9}   ms over {} runs", "", "median", "p99", "max", args.runs);
    for (name, times) in STAGES.iter().zip(times) {
        let (p50, p99, max) = stage(times);
        println!("{name:10} {p50:9.2} {p99:9.2} {max:9.2}");
    }
    println!(
        "matching: {:.0} million multiply-adds a picture, {rate:.1} billion a second ({}, {})",
        products as f64 / 1e6,
        template.header().storage,
        Kernel::best().name()
    );
}

/// Products that the matching of a layer takes, borders counted exactly.
fn multiply_adds(inspector: &Inspector, layer: usize) -> u64 {
    let header = inspector.template().header();
    let (Some(shape), Some(windows)) = (header.shape(layer), header.windows(layer)) else {
        return 0;
    };
    let radius = windows.forward.max(windows.backward) / 2;
    let pairs = |size: usize| -> usize {
        (0..size).map(|at| (at + radius + 1).min(size) - at.saturating_sub(radius)).sum()
    };
    (pairs(shape.height) * pairs(shape.width) * shape.sheets * shape.channels) as u64
}
