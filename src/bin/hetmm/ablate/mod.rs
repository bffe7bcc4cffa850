//! `hetmm ablate`: what every part of the method gives on a data set.

mod studies;

pub use studies::Study;

use crate::build::Settings;
use crate::console::Console;
use crate::dataset::{self, TestPicture};
use crate::figures::percent;
use crate::{pictures, report};
use hetmm::builder::ablation::{Material, Measured, Setting};
use hetmm::builder::{Input, Pass, Source};
use hetmm::metrics::{PixelTruth, auroc, pro_curve};
use hetmm::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use studies::Case;

/// Measure what directions, windows, layers, sheets and selection rules give on a data set
///
/// The features of train/good and test are computed once; every row is what a template with these
/// settings gives. Studies vary one thing each and leave the rest as given here, or as the default.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm ablate dataset/ --report ablation.html > ablation.tsv
  hetmm ablate dataset/ --studies alpha,patch --pictures 40
  hetmm ablate dataset/ --backbone wrn101.onnx --preset paper")]
pub struct Args {
    /// The data set: train/good, test/good, test/<defect>, ground_truth/<defect>
    dataset: PathBuf,
    /// What to vary [default: all but kmeans-pixel]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STUDY,..")]
    studies: Option<Vec<Study>>,
    /// Test pictures to take of every kind, evenly [default: all]
    #[arg(long, value_name = "N")]
    pictures: Option<usize>,
    /// Write all rows to this file ("-" for standard output, in place of the table)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with charts and tables to this file
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// One row: what a setting gives, as the mean over its seeds.
#[derive(Serialize)]
pub struct Row {
    pub study: Study,
    pub line: String,
    pub name: String,
    pub x: f64,
    pub image_auroc: Option<f64>,
    pub pixel_auroc: Option<f64>,
    pub aupro30: Option<f64>,
    /// Milliseconds of matching and scoring a picture.
    pub ms: f64,
    pub template_bytes: u64,
    pub seeds: usize,
    /// Smallest and largest image AUROC of the seeds.
    pub image_auroc_range: Option<[f64; 2]>,
}

/// Everything that was measured.
#[derive(Serialize)]
pub struct Ablation {
    pub good: usize,
    pub test: usize,
    /// Test pictures with pixel truth: those with masks, and the good ones.
    pub with_truth: usize,
    pub taps: Vec<String>,
    pub engine: String,
    pub rows: Vec<Row>,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let folder = args.dataset.join("train").join("good");
    if !folder.is_dir() {
        return Err(Error::image(&args.dataset, "it has no folder `train/good`")
            .advise("arrange it as train/good, test/good, test/<defect>, ground_truth/<defect>"));
    }
    let good = pictures::list(&[folder])?;
    let test = some(dataset::read(&args.dataset)?, args.pictures);
    if test.iter().all(|t| t.defect.is_some()) || test.iter().all(|t| t.defect.is_none()) {
        return Err(Error::image(
            &args.dataset,
            "settings are compared by good and defective test pictures; one kind is missing",
        )
        .advise("add pictures to test/good and test/<defect>"));
    }
    let (backbone, options) = args.settings.resolve(Input::Pictures(&good))?;
    let pass = Pass {
        max_memory: options.max_memory,
        skip_unreadable: options.skip_unreadable,
        looks: false,
    };
    let sources: Vec<Source> = test.iter().map(|t| t.source.clone()).collect();
    let step = |stage, done, total| console.build_step(stage, done, total);
    let mut material = Material::gather(&good, &sources, backbone.as_ref(), pass, &step)?;
    let taps: Vec<String> = material.taps().iter().map(|t| t.to_string()).collect();
    let names: Vec<&str> = taps.iter().map(String::as_str).collect();
    let mut studies = args.studies.clone().unwrap_or_else(|| Study::USUAL.to_vec());
    studies.sort();
    studies.dedup();
    let cases: Vec<Case> = studies
        .iter()
        .flat_map(|&study| studies::cases(study, &options, &names, material.good()))
        .collect();
    let id = backbone.identity();
    let truth = truth(&test, (id.width as usize, id.height as usize))?;
    let bar = console.bar("settings", cases.iter().map(|c| c.settings.len()).sum());
    let to_stdout = args.json.as_deref().is_some_and(|p| p.as_os_str() == "-");
    if !to_stdout {
        bar.suspend(|| println!("{HEAD}"));
    }
    let mut rows = Vec::new();
    for case in cases {
        let mut measured = Vec::new();
        for setting in &case.settings {
            measured.push(measure(&mut material, setting, &test, &truth)?);
            bar.inc(1);
        }
        let row = row(case, &measured);
        if !to_stdout {
            bar.suspend(|| println!("{}", tsv(&row)));
        }
        rows.push(row);
    }
    bar.finish_and_clear();
    let ablation = Ablation {
        good: material.good(),
        test: test.len(),
        with_truth: truth.iter().flatten().count(),
        taps,
        engine: backbone.engine().into(),
        rows,
    };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&ablation)
            .map_err(|e| Error::usage(format!("the rows cannot be written: {e}")))?;
        match to_stdout {
            true => println!("{text}"),
            false => hetmm::files::write_whole(path, text.as_bytes())?,
        }
    }
    if let Some(path) = &args.report {
        let page = report::ablation(&ablation, &args.dataset, &options);
        hetmm::files::write_whole(path, page.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// At most `most` pictures of every kind, evenly taken.
fn some(pictures: Vec<TestPicture>, most: Option<usize>) -> Vec<TestPicture> {
    let Some(most) = most else { return pictures };
    let mut kinds: std::collections::BTreeMap<Option<String>, Vec<TestPicture>> =
        Default::default();
    for picture in pictures {
        kinds.entry(picture.defect.clone()).or_default().push(picture);
    }
    let of_kind = |kind: Vec<TestPicture>| {
        let (count, wanted) = (kind.len(), most.min(kind.len()));
        let chosen: std::collections::HashSet<usize> =
            (0..wanted).map(|i| i * count / wanted).collect();
        kind.into_iter().enumerate().filter(move |(i, _)| chosen.contains(i)).map(|(_, p)| p)
    };
    kinds.into_values().flat_map(of_kind).collect()
}

/// The truth about every test picture at network size, where it is known.
fn truth(test: &[TestPicture], (width, height): (usize, usize)) -> Result<Vec<Option<PixelTruth>>> {
    let masked = test.iter().any(|t| t.mask.is_some());
    test.par_iter()
        .map(|picture| {
            let defect = match (&picture.defect, &picture.mask) {
                (None, _) if masked => vec![false; width * height],
                (Some(_), Some(mask)) => dataset::read_mask(mask, width, height)?,
                _ => return Ok(None),
            };
            Ok(Some(PixelTruth::new(&defect, width)))
        })
        .collect()
}

/// Figures of one setting.
struct Figures {
    image_auroc: Option<f64>,
    pixel_auroc: Option<f64>,
    aupro30: Option<f64>,
    ms: f64,
    bytes: u64,
}

fn measure(
    material: &mut Material,
    setting: &Setting,
    test: &[TestPicture],
    truth: &[Option<PixelTruth>],
) -> Result<Figures> {
    let Measured { pictures, ms, bytes } = material.measure(setting, &|_, _, _| {})?;
    let scored = pictures.iter().zip(test).map(|((score, _), t)| (*score, t.defect.is_some()));
    let with_truth: Vec<(&[f32], &PixelTruth)> = (pictures.iter().zip(truth))
        .filter_map(|((_, map), truth)| Some((map.as_slice(), truth.as_ref()?)))
        .collect();
    let curve = pro_curve(&with_truth, 0.3);
    Ok(Figures {
        image_auroc: auroc(scored),
        pixel_auroc: curve.pixel_auroc,
        aupro30: curve.aupro,
        ms,
        bytes,
    })
}

fn row(case: Case, measured: &[Figures]) -> Row {
    let mean = |value: &dyn Fn(&Figures) -> Option<f64>| {
        let values: Option<Vec<f64>> = measured.iter().map(value).collect();
        values.filter(|v| !v.is_empty()).map(|v| v.iter().sum::<f64>() / v.len() as f64)
    };
    let aurocs: Vec<f64> = measured.iter().filter_map(|f| f.image_auroc).collect();
    let range = [f64::min as fn(f64, f64) -> f64, f64::max]
        .map(|pick| aurocs.iter().copied().reduce(pick).unwrap_or(0.0));
    Row {
        study: case.study,
        line: case.line,
        name: case.name,
        x: case.x,
        image_auroc: mean(&|f| f.image_auroc),
        pixel_auroc: mean(&|f| f.pixel_auroc),
        aupro30: mean(&|f| f.aupro30),
        ms: mean(&|f| Some(f.ms)).unwrap_or(0.0),
        template_bytes: measured.first().map_or(0, |f| f.bytes),
        seeds: measured.len(),
        image_auroc_range: (measured.len() > 1).then_some(range),
    }
}

const HEAD: &str =
    "study\tline\tsetting\timage AUROC\tpixel AUROC\tAUPRO 30 %\tms\tMB\tseeds\trange";

fn tsv(row: &Row) -> String {
    let study = clap::ValueEnum::to_possible_value(&row.study);
    let study = study.map_or_else(String::new, |v| v.get_name().to_string());
    let range = row.image_auroc_range.map_or_else(
        || "-".into(),
        |[low, high]| format!("{} to {}", percent(Some(low)), percent(Some(high))),
    );
    format!(
        "{study}\t{}\t{}\t{}\t{}\t{}\t{:.1}\t{:.1}\t{}\t{range}",
        if row.line.is_empty() { "-" } else { &row.line },
        row.name,
        percent(row.image_auroc),
        percent(row.pixel_auroc),
        percent(row.aupro30),
        row.ms,
        row.template_bytes as f64 / 1e6,
        row.seeds
    )
}

/// What a data set is called: as its folder.
pub fn name_of(dataset: &Path) -> String {
    dataset.file_name().unwrap_or(dataset.as_os_str()).to_string_lossy().into_owned()
}
