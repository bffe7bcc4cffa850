//! `hetmm bench` measures how fast a template runs on this computer.

use crate::console::{Console, say};
use crate::extractor::ExtractorArgs;
use hetmm::feature_map::FeatureMap;
use hetmm::image::{MAX_PIXELS, Picture, Size};
use hetmm::inspection::{Pipeline, ProbePictures, Timing};
use hetmm::matching::Storage;
use hetmm::matching::kernel::Kernel;
use hetmm::matching::panel::{BytePanel, PanelView};
use hetmm::metrics::quantile;
#[cfg(target_arch = "x86_64")]
use hetmm::processor::{self, Instructions};
use hetmm::scoring::Verdict;
use hetmm::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Measure the time of each stage of an inspection on this computer
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm bench part.hetmm
  hetmm bench part.hetmm --picture 1920x1200
  hetmm bench part.hetmm --threads 1 --json | jq .stages.matching.p99")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Number of pictures to time, up to a million. Some thousands give a steady 99th percentile
    #[arg(long, value_name = "N", default_value_t = 100)]
    runs: usize,
    /// Columns and rows of the camera's pictures. Give them to see the true cost of scaling [default: as many pixels as
    /// 1024x1024, in the shape of the template's input]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    picture: Option<(u32, u32)>,
    /// Best instructions that the kernels in eight bits and matching may use, to see what the others gain [default: all
    /// that the processor has]
    #[cfg(target_arch = "x86_64")]
    #[arg(long, value_name = "SET")]
    instructions: Option<InstructionSet>,
    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
    /// ONNX file of the backbone that the template was built with [default: the bundled one]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

/// An instruction set of the processor.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum InstructionSet {
    /// What every processor has
    Portable,
    Avx2,
    /// AVX2 with VNNI
    AvxVnni,
    /// AVX-512 with VNNI
    Avx512,
}

/// The number of first runs that are not counted, because they fill the caches.
const WARM_UP: usize = 3;
/// The largest number of runs. All times are kept in memory.
const MOST_RUNS: usize = 1_000_000;
const STAGES: [&str; 5] = ["resize", "backbone", "matching", "scoring", "total"];

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    if args.runs == 0 {
        return Err(Error::usage("--runs 0 measures nothing")
            .advise("give at least 1, or leave it out for 100 runs"));
    }
    if args.runs > MOST_RUNS {
        return Err(Error::usage(format!("--runs {} is more than {MOST_RUNS}", args.runs)).advise(
            "give less: 100 is the default, and some thousands give a steady 99th percentile",
        ));
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(set) = args.instructions {
        processor::allow_up_to(match set {
            InstructionSet::Portable => Instructions::Portable,
            InstructionSet::Avx2 => Instructions::Avx2,
            InstructionSet::AvxVnni => Instructions::AvxVnni,
            InstructionSet::Avx512 => Instructions::Avx512,
        });
    }
    let started = Instant::now();
    let pipeline =
        Pipeline::open(&args.template, args.backbone.as_deref(), &args.extractor.extractor())?;
    // The picture has the size that was asked for, which may have another shape.
    let pipeline = pipeline.with_any_shape();
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let size = args.picture.map(|(width, height)| Size { width, height });
    let pictures = ProbePictures::of(pipeline.template(), size)?;
    let usual = Timed::new(&pipeline, pictures.usual(), args.runs)?;
    let disturbed = match pictures.good {
        Some(_) => Some(Timed::new(&pipeline, pictures.disturbed(), args.runs)?),
        None => None,
    };
    let (width, height) = (pictures.disturbed.width, pictures.disturbed.height);
    let measured = Measured { load_ms, size: (width, height), usual, disturbed };
    console.print(&report(args, &pipeline, &measured))?;
    Ok(ExitCode::SUCCESS)
}

/// What was measured.
struct Measured {
    load_ms: f64,
    /// Columns and rows of the pictures.
    size: (u32, u32),
    usual: Timed,
    /// A picture that most templates reject. Their regions take time.
    disturbed: Option<Timed>,
}

/// The times of a picture.
struct Timed {
    /// What the picture shows.
    shows: &'static str,
    verdict: Verdict,
    /// Milliseconds of each run, stage by stage.
    stages: [Vec<f64>; 5],
}

impl Timed {
    fn new(
        pipeline: &Pipeline,
        (shows, picture): (&'static str, &Picture),
        runs: usize,
    ) -> Result<Self> {
        let started = Instant::now();
        let view = picture.view()?;
        let mut timed = Timed { shows, verdict: Verdict::Ok, stages: Default::default() };
        for run in 0..WARM_UP + runs {
            let found = std::hint::black_box(pipeline.inspect(&view, &|| started.elapsed())?);
            timed.verdict = found.decided.verdict;
            if run >= WARM_UP {
                let t = Timing::new(Duration::ZERO, found.times);
                let stages =
                    [t.preprocess_ms, t.backbone_ms, t.matching_ms, t.scoring_ms, t.total_ms];
                timed.stages.iter_mut().zip(stages).for_each(|(times, ms)| times.push(ms));
            }
        }
        Ok(timed)
    }

    /// Median, 99th percentile and maximum of each stage.
    fn quantiles(&self) -> impl Iterator<Item = (&'static str, [f64; 3])> {
        let of = |times: &Vec<f64>| [0.5, 0.99, 1.0].map(|q| quantile(times, q));
        STAGES.into_iter().zip(self.stages.iter().map(of))
    }

    fn to_json(&self) -> Value {
        let stage = |(name, [p50, p99, max]): (&str, [f64; 3])| {
            (name.to_string(), json!({"p50": p50, "p99": p99, "max": max}))
        };
        let stages: Map<String, Value> = self.quantiles().map(stage).collect();
        json!({"shows": self.shows, "verdict": self.verdict.name(), "stages": stages})
    }
}

/// What was measured, for people or for programs.
fn report(args: &Args, pipeline: &Pipeline, measured: &Measured) -> String {
    let mut text = String::new();
    let template = pipeline.template();
    let Measured { load_ms, size, usual, disturbed } = measured;
    let products: u64 = (0..template.layers()).map(|layer| multiply_adds(pipeline, layer)).sum();
    let rate = products as f64 / (quantile(&usual.stages[2], 0.5) * 1e6);
    let bare = bare_kernel_rate(template.header().storage);
    if args.json {
        let mut all = json!({
            "load_ms": load_ms, "runs": args.runs, "threads": rayon::current_num_threads(),
            "engine": pipeline.extractor(), "kernel": Kernel::best().name(), "storage": template.header().storage.to_string(),
            "multiply_adds": products, "giga_multiply_adds_per_s": rate,
            "bare_kernel_giga_multiply_adds_per_s": bare, "resident_mb": resident_mb(),
            "picture": [size.0, size.1], "disturbed": disturbed.as_ref().map(Timed::to_json),
        });
        if let (Some(all), Value::Object(usual)) = (all.as_object_mut(), usual.to_json()) {
            all.extend(usual);
        }
        say!(text, "{all:#}");
        return text;
    }
    say!(
        text,
        "{}: loaded and checked in {load_ms:.0} ms, {} threads, features by {}",
        args.template.display(),
        rayon::current_num_threads(),
        pipeline.extractor()
    );
    say!(text, "{:10} {:>9} {:>9} {:>9}   ms over {} runs", "", "median", "p99", "max", args.runs);
    for (name, [p50, p99, max]) in usual.quantiles() {
        say!(text, "{name:10} {p50:9.2} {p99:9.2} {max:9.2}");
    }
    say!(
        text,
        "The picture: {}, {} x {}, verdict {}",
        usual.shows,
        size.0,
        size.1,
        usual.verdict.name()
    );
    if let Some(other) = disturbed {
        let [scoring, total] = [3, 4].map(|stage: usize| quantile(&other.stages[stage], 0.5));
        say!(
            text,
            "For {}, verdict {}: scoring {scoring:.2} ms, total {total:.2} ms (medians)",
            other.shows,
            other.verdict.name()
        );
    }
    say!(
        text,
        "matching: {:.0} million multiply-adds per picture, {rate:.1} billion per second ({}, {})\n\
         The kernel alone, on one thread and with all data in its cache: {bare:.1} billion per second",
        products as f64 / 1e6,
        template.header().storage,
        Kernel::best().name()
    );
    if let Some(resident) = resident_mb() {
        let file = std::fs::metadata(&args.template).map_or(0.0, |m| m.len() as f64 / 1e6);
        say!(
            text,
            "memory: {resident:.0} MB resident, including up to {file:.0} MB of the template"
        );
    }
    text
}

/// Billions of multiply-adds per second of the kernel alone, on a panel that stays in the first cache. It is the best
/// of many short runs, and the most that matching could reach.
fn bare_kernel_rate(storage: Storage) -> f64 {
    const LANES: usize = 64;
    const CHANNELS: usize = 192;
    const PIXELS: usize = 48;
    let kernel = Kernel::best();
    let pixels: Vec<u32> = (0..PIXELS as u32).map(|p| p % 6).collect();
    let mut best = [0.0; PIXELS];
    let start = [0.0; LANES];
    let (bytes, floats) = (vec![7i8; CHANNELS * LANES], vec![0.01f32; CHANNELS * LANES]);
    let map = FeatureMap::normalised(1, 6, CHANNELS, vec![0.02; CHANNELS * 6]);
    let query = kernel.byte_query(&map);
    let mut fastest = f64::INFINITY;
    for _ in 0..300 {
        let begin = Instant::now();
        for _ in 0..10 {
            if storage == Storage::I8 {
                let panel = BytePanel {
                    rows: &bytes,
                    ahead: &[],
                    width: LANES,
                    scale: &[0.01; LANES],
                    start: &start,
                };
                kernel.largest_cosines_of_bytes(&panel, &query, &pixels, &mut best);
            } else {
                let panel = PanelView { rows: &floats, ahead: &[], width: LANES, start: &start };
                kernel.largest_cosines(&panel, map.data(), &pixels, &mut best);
            }
            std::hint::black_box(&mut best);
        }
        fastest = fastest.min(begin.elapsed().as_secs_f64() / 10.0);
    }
    (LANES * CHANNELS * PIXELS) as f64 / fastest / 1e9
}

/// Memory of this process, in megabytes. `None` if the system does not say.
fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e6)
}

fn parse_size(text: &str) -> std::result::Result<(u32, u32), String> {
    let size: Option<(u32, u32)> =
        text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let is_readable =
        |(w, h): &(u32, u32)| *w >= 8 && *h >= 8 && u64::from(*w) * u64::from(*h) <= MAX_PIXELS;
    let usage = || {
        let most = MAX_PIXELS / 1_000_000;
        format!(
            "give columns x rows, each at least 8, with at most {most} million pixels, as in 1024x1024"
        )
    };
    size.filter(is_readable).ok_or_else(usage)
}

/// The number of multiply-adds for the matching of a layer, with borders counted exactly.
fn multiply_adds(pipeline: &Pipeline, layer: usize) -> u64 {
    let header = pipeline.template().header();
    let (Some(shape), Some(windows)) = (header.shape(layer), header.windows(layer)) else {
        return 0;
    };
    if header.layer_use(layer).position_free {
        let pixels = header.map_pixels(layer).unwrap_or(0);
        return (pixels * shape.sheets * shape.channels) as u64;
    }
    let radius = windows.forward.max(windows.backward) / 2;
    let pairs = |size: usize| -> usize {
        (0..size).map(|at| (at + radius + 1).min(size) - at.saturating_sub(radius)).sum()
    };
    (pairs(shape.height) * pairs(shape.width) * shape.sheets * shape.channels) as u64
}
