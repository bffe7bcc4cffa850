//! `hetmm-edge bench` measures how fast this device is with the template of its configuration.

use crate::output;
use hetmm::Result;
use hetmm::camera::PixelFormat;
use hetmm::clock::LineTime;
use hetmm::containment::Containment;
use hetmm::image::{MAX_PIXELS, MIN_SIDE, Size};
use hetmm::inspection::{Pipeline, StageTimes, Timing, probe_picture};
use hetmm::line::bench::{self, PulseTimes};
use hetmm::line::config::LineConfig;
use hetmm::line::proof;
use hetmm::matching::kernel::Kernel;
use hetmm::metrics::quantile;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// The options of `hetmm-edge bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Number of inspections to time, 1 to 100000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// Number of reject pulses to time, 50 a second, on simulated outputs; 1 to 100000
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pulses: u32,
    /// Columns and rows of the pictures [default: those of the camera, if the configuration has a camera]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    picture: Option<Size>,
    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
}

/// What was measured.
struct Measured {
    load_ms: f64,
    threads: usize,
    picture: Size,
    stages: Vec<StageTimes>,
    pulses: PulseTimes,
}

pub fn run(args: &Args, config: &LineConfig) -> Result<ExitCode> {
    let begun = LineTime::now();
    let recipe = config.recipe();
    let pipeline = proof::load(&recipe)?.pipeline.with_any_shape();
    let load_ms = LineTime::now().since(begun).as_secs_f64() * 1e3;
    let picture = probe_picture(pipeline.template(), args.picture.or_else(|| camera_size(config)))?;
    let pool = Containment::default().pool(recipe.threads)?;
    let stages = pool.install(|| bench::stages(&pipeline, &picture, args.runs))?;
    let pulses = bench::pulses(config, args.pulses, || {
        pool.install(|| bench::stages(&pipeline, &picture, 1)).map(drop)
    })?;
    let size = Size { width: picture.width, height: picture.height };
    let threads = pool.current_num_threads();
    let measured = Measured { load_ms, threads, picture: size, stages, pulses };
    output::print(match args.json {
        true => format!("{:#}\n", as_json(&pipeline, &measured)),
        false => as_text(&pipeline, &measured),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The size of the camera's pictures, if the configuration says it.
fn camera_size(config: &LineConfig) -> Option<Size> {
    let camera = &config.camera;
    let sensor = Size { width: camera.width?, height: camera.height? };
    let format = camera.format.unwrap_or(PixelFormat::Grey);
    Some(format.picture_size(sensor, camera.bayer.unwrap_or_default()))
}

/// The names of the stages and the milliseconds of each run.
fn by_stage(stages: &[StageTimes]) -> [(&'static str, Vec<f64>); 5] {
    let of = |ms: fn(Timing) -> f64| -> Vec<f64> {
        stages.iter().map(|times| ms(Timing::new(Duration::ZERO, *times))).collect()
    };
    [
        ("resize", of(|t| t.preprocess_ms)),
        ("backbone", of(|t| t.backbone_ms)),
        ("matching", of(|t| t.matching_ms)),
        ("scoring", of(|t| t.scoring_ms)),
        ("total", of(|t| t.total_ms)),
    ]
}

fn as_json(pipeline: &Pipeline, measured: &Measured) -> Value {
    let stages: Map<String, Value> = by_stage(&measured.stages)
        .into_iter()
        .map(|(name, ms)| {
            let at = |q| quantile(&ms, q);
            (name.to_owned(), json!({"p50": at(0.5), "p99": at(0.99), "max": at(1.0)}))
        })
        .collect();
    let header = pipeline.template().header();
    json!({
        "version": env!("CARGO_PKG_VERSION"), "load_ms": measured.load_ms, "runs": measured.stages.len(),
        "threads": measured.threads, "engine": pipeline.extractor(), "kernel": Kernel::best().name(),
        "storage": header.storage.to_string(), "input": [header.backbone.width, header.backbone.height],
        "picture": [measured.picture.width, measured.picture.height], "stages": stages,
        "pulse_lateness_us": measured.pulses.lateness.to_json(),
        "realtime": measured.pulses.not_realtime.is_none(),
    })
}

fn as_text(pipeline: &Pipeline, measured: &Measured) -> String {
    let id = &pipeline.template().header().backbone;
    let mut text = format!(
        "loaded and checked in {:.0} ms, {} threads, features by {}, matching by {}\n\
         pictures of {}, network input {} x {}\n\n{:10} {:>9} {:>9} {:>9}   ms over {} runs\n",
        measured.load_ms,
        measured.threads,
        pipeline.extractor(),
        Kernel::best().name(),
        measured.picture,
        id.width,
        id.height,
        "",
        "median",
        "p99",
        "max",
        measured.stages.len()
    );
    for (name, ms) in by_stage(&measured.stages) {
        let [median, p99, max] = [0.5, 0.99, 1.0].map(|q| quantile(&ms, q));
        text += &format!("{name:10} {median:9.2} {p99:9.2} {max:9.2}\n");
    }
    let late = measured.pulses.lateness.to_json();
    let us = |key: &str| late.get(key).and_then(Value::as_u64).unwrap_or(0);
    let [count, median, p99, p999, max] = ["count", "p50", "p99", "p999", "max"].map(us);
    text += &format!(
        "\noutputs while parts are inspected without a pause: {count} edges were late by {median} us (median), \
         {p99} us (p99), {p999} us (p999), {max} us (max)\n"
    );
    if let Some(why) = &measured.pulses.not_realtime {
        text += &format!("without real-time priority: {why}\n");
    }
    text
}

fn parse_size(text: &str) -> std::result::Result<Size, String> {
    let size = text.split_once('x').and_then(|(width, height)| {
        Some(Size { width: width.parse().ok()?, height: height.parse().ok()? })
    });
    let is_readable =
        |s: &Size| s.width >= MIN_SIDE && s.height >= MIN_SIDE && s.pixels() <= MAX_PIXELS;
    size.filter(is_readable).ok_or_else(|| {
        format!(
            "give columns x rows, each at least {MIN_SIDE}, with at most {} million pixels, as in 1024x768",
            MAX_PIXELS / 1_000_000
        )
    })
}
