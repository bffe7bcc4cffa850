//! `hetmm-edge bench` measures how fast this device is with the template of its configuration.

use crate::output;
use hetmm::Result;
use hetmm::camera::PixelFormat;
use hetmm::clock::LineTime;
use hetmm::containment::Containment;
use hetmm::image::{MAX_PIXELS, MIN_SIDE, Picture, Size};
use hetmm::inspection::{Pipeline, ProbePictures, StageTimes, Timing};
use hetmm::line::bench::{self, PulseTimes};
use hetmm::line::config::LineConfig;
use hetmm::line::proof;
use hetmm::matching::kernel::Kernel;
use hetmm::metrics::quantile;
use hetmm::scoring::Verdict;
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
    usual: Timed,
    /// A picture that most templates reject. Their regions take time.
    disturbed: Option<Timed>,
    pulses: PulseTimes,
}

/// The times of a picture.
struct Timed {
    /// What the picture shows.
    shows: &'static str,
    verdict: Verdict,
    stages: Vec<StageTimes>,
}

pub fn run(args: &Args, config: &LineConfig) -> Result<ExitCode> {
    let begun = LineTime::now();
    let recipe = config.recipe();
    let pipeline = proof::load(&recipe)?.pipeline.with_any_shape();
    let load_ms = LineTime::now().since(begun).as_secs_f64() * 1e3;
    let size = args.picture.or_else(|| camera_size(config));
    let pictures = ProbePictures::of(pipeline.template(), size)?;
    let pool = Containment::default().pool(recipe.threads)?;
    let timed = |(shows, picture): (&'static str, &Picture)| {
        let (stages, verdict) = pool.install(|| bench::stages(&pipeline, picture, args.runs))?;
        Ok::<_, hetmm::Error>(Timed { shows, verdict, stages })
    };
    let usual = timed(pictures.usual())?;
    let disturbed = match pictures.good {
        Some(_) => Some(timed(pictures.disturbed())?),
        None => None,
    };
    let pulses = bench::pulses(config, args.pulses, || {
        pool.install(|| bench::stages(&pipeline, pictures.usual().1, 1)).map(drop)
    })?;
    let Picture { width, height, .. } = pictures.disturbed;
    let (threads, picture) = (pool.current_num_threads(), Size { width, height });
    let measured = Measured { load_ms, threads, picture, usual, disturbed, pulses };
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

/// What was timed, the verdict, and the quantiles of each stage.
fn timed_as_json(timed: &Timed) -> Map<String, Value> {
    let stages: Map<String, Value> = by_stage(&timed.stages)
        .into_iter()
        .map(|(name, ms)| {
            let at = |q| quantile(&ms, q);
            (name.to_owned(), json!({"p50": at(0.5), "p99": at(0.99), "max": at(1.0)}))
        })
        .collect();
    let all = [("shows", json!(timed.shows)), ("verdict", json!(timed.verdict.name()))];
    let all = all.into_iter().chain([("stages", Value::Object(stages))]);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn as_json(pipeline: &Pipeline, measured: &Measured) -> Value {
    let header = pipeline.template().header();
    let mut all = json!({
        "version": env!("CARGO_PKG_VERSION"), "load_ms": measured.load_ms, "runs": measured.usual.stages.len(),
        "threads": measured.threads, "engine": pipeline.extractor(), "kernel": Kernel::best().name(),
        "storage": header.storage.to_string(), "input": [header.backbone.width, header.backbone.height],
        "picture": [measured.picture.width, measured.picture.height],
        "disturbed": measured.disturbed.as_ref().map(timed_as_json),
        "pulse_lateness_us": measured.pulses.lateness.to_json(),
        "realtime": measured.pulses.not_realtime.is_none(),
    });
    if let Some(all) = all.as_object_mut() {
        all.extend(timed_as_json(&measured.usual));
    }
    all
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
        measured.usual.stages.len()
    );
    for (name, ms) in by_stage(&measured.usual.stages) {
        let [median, p99, max] = [0.5, 0.99, 1.0].map(|q| quantile(&ms, q));
        text += &format!("{name:10} {median:9.2} {p99:9.2} {max:9.2}\n");
    }
    text += &format!(
        "The picture: {}, verdict {}\n",
        measured.usual.shows,
        measured.usual.verdict.name()
    );
    if let Some(other) = &measured.disturbed {
        let [_, _, _, (_, scoring), (_, total)] = by_stage(&other.stages);
        text += &format!(
            "For {}, verdict {}: scoring {:.2} ms, total {:.2} ms (medians)\n",
            other.shows,
            other.verdict.name(),
            quantile(&scoring, 0.5),
            quantile(&total, 0.5)
        );
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
