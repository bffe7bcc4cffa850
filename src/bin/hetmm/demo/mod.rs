//! `hetmm demo`: the whole way, on parts that it draws itself.

mod draw;

use crate::build::{self, Settings};
use crate::console::Console;
use crate::dataset::{self, DatasetArgs};
use crate::pictures::{self, FolderArgs};
use crate::{eval, report, timing};
use draw::{Defect, Part};
use hetmm::backbone::Engine;
use hetmm::builder::Input;
use hetmm::heatmap;
use hetmm::inspection::Inspector;
use hetmm::scoring::Verdict;
use hetmm::{Error, Result};
use image::{RgbImage, imageops};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Draw parts, good and bad, then build, inspect and evaluate: a first look in one command
#[derive(clap::Args)]
#[command(after_help = "Example:\n  hetmm demo --out first-look")]
pub struct Args {
    /// Folder for everything that the demo makes
    #[arg(long, value_name = "DIR", default_value = "hetmm-demo")]
    out: PathBuf,
}

/// Good pictures to build from, good ones to test with, bad ones of each kind.
const TRAIN: u64 = 40;
const GOOD: u64 = 20;
const BAD: u64 = 6;

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let data = args.out.join("parts");
    draw_parts(&data, console)?;

    console.note(format!(
        "Building a template from the {TRAIN} good pictures in {}",
        data.join("train/good").display()
    ));
    let template = args.out.join("part.hetmm");
    let good = pictures::list(&[data.join("train/good")], FolderArgs::default(), console)?;
    let built = build::build(&template, Input::Pictures(&good), &Settings::default(), console)?;
    let header = &built.header;
    console.note(format!(
        "  {} ({:.1} MB), threshold {:.4}",
        template.display(),
        built.size as f64 / 1e6,
        header.calibration.threshold
    ));

    console.note("Evaluating it on parts it has not seen");
    let inspector = Inspector::open(&template, None, &Engine::default())?;
    let pictures = dataset::read(&data, &DatasetArgs::default(), console)?;
    let evaluation = eval::evaluate(&inspector, pictures, false, console)?;
    let outcomes = &evaluation.outcomes;
    eval::print(&evaluation.figures);
    let page = args.out.join("report.html");
    hetmm::files::write_whole(
        &page,
        report::evaluation(&inspector, &template, &data, &evaluation)?.as_bytes(),
    )?;

    let heatmaps = args.out.join("heatmaps");
    make_folder(&heatmaps)?;
    let mut examples = Vec::new();
    let mut shown = std::collections::BTreeSet::new();
    for outcome in outcomes {
        let done = timing::inspect(&inspector, &outcome.picture.source)?;
        let drawn = heatmap::draw(&inspector, &done.picture, &done.scored);
        let kind = outcome.picture.defect.as_deref().unwrap_or("good");
        let name = format!("{kind}_{}", outcome.picture.source.name());
        hetmm::files::write_whole(&heatmaps.join(name), &heatmap::png(&drawn)?)?;
        if shown.insert(kind.to_string()) {
            examples.push(drawn);
        }
    }
    let result = args.out.join("result.png");
    hetmm::files::write_whole(&result, &heatmap::png(&stacked(&examples))?)?;

    console.note("Look at:");
    console.note(format!(
        "  {}   one part of each kind: picture, outline of what is wrong, anomaly map",
        result.display()
    ));
    console.note(format!("  {}   the figures and the hardest parts, as a page", page.display()));
    console.note(format!("  {}   every tested part", heatmaps.display()));
    console.note(format!(
        "Try: hetmm inspect {} {}",
        template.display(),
        data.join("test/missing-screw").display()
    ));
    let found = outcomes.iter().all(|o| o.picture.defect.is_none() || o.verdict != Verdict::Ok);
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Draws the data set, in MVTec layout.
fn draw_parts(data: &Path, console: &Console) -> Result<()> {
    let total = TRAIN + GOOD + BAD * Defect::ALL.len() as u64;
    console.note(format!("Drawing {total} parts into {}", data.display()));
    let bar = console.bar("drawing", total as usize);
    let mut seed = 0;
    let mut write = |folder: &str, count: u64, defect: Option<Defect>| -> Result<()> {
        for number in 0..count {
            seed += 1;
            let part = Part::draw(seed, defect);
            save(&data.join(folder), number, &part.picture)?;
            if let Some(defect) = defect {
                save(&data.join("ground_truth").join(defect.name()), number, &part.mask)?;
            }
            bar.inc(1);
        }
        Ok(())
    };
    write("train/good", TRAIN, None)?;
    write("test/good", GOOD, None)?;
    for defect in Defect::ALL {
        write(&format!("test/{}", defect.name()), BAD, Some(defect))?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn save(folder: &Path, number: u64, image: &RgbImage) -> Result<()> {
    make_folder(folder)?;
    hetmm::files::write_whole(&folder.join(format!("{number:03}.png")), &heatmap::png(image)?)
}

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "the folder cannot be made", &e))
}

/// Pictures of equal width, one below the other.
fn stacked(images: &[RgbImage]) -> RgbImage {
    const GAP: u32 = 8;
    let width = images.iter().map(RgbImage::width).max().unwrap_or(1);
    let height = images.iter().map(|i| i.height() + GAP).sum::<u32>().max(1);
    let mut all = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    let mut y = 0;
    for image in images {
        imageops::replace(&mut all, image, 0, i64::from(y));
        y += image.height() + GAP;
    }
    all
}
