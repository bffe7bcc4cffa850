//! `hetmm demo` runs the whole program on artificial parts.

mod draw;

use crate::advice::{self, Names};
use crate::build::{self, Settings};
use crate::console::Console;
use crate::dataset::{self, DatasetArgs};
use crate::eval;
use crate::outputs::{Outputs, Replace};
use crate::pictures::{self, FolderArgs};
use draw::{Defect, Part};
use hetmm::backbone::ExtractorOptions;
use hetmm::builder::Input;
use hetmm::evaluation::inspect_file;
use hetmm::files::outputs::Format;
use hetmm::heatmap;
use hetmm::inspection::Pipeline;
use hetmm::report;
use hetmm::scoring::Verdict;
use hetmm::{Error, Result, template};
use image::{RgbImage, imageops};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Generate pictures of artificial parts, then build, inspect and evaluate: a first look in one command
#[derive(clap::Args)]
#[command(after_help = "Example:\n  hetmm demo --out first-look")]
pub struct Args {
    /// Folder for everything that the demo writes
    #[arg(long, value_name = "DIR", default_value = "hetmm-demo")]
    out: PathBuf,
    #[command(flatten)]
    replace: Replace,
}

/// How a generated part is recognised before another one replaces it.
const PART: Format = Format {
    name: "a picture that the demo has generated",
    reads: 256,
    is_one: |bytes| heatmap::is_marked_png(bytes, DRAWN),
};
const DRAWN: &str = "demo part";

/// The numbers of good pictures to build from, of good ones to test with, and of defective ones of each kind.
const TRAIN: u64 = 40;
const GOOD: u64 = 20;
const BAD: u64 = 6;

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let files = Files::new(&args.out);
    let outputs = files.claim(&args.replace)?;
    draw_parts(&files.data, &outputs, console)?;

    console.note(format!(
        "Building a template from the {TRAIN} good pictures in {}.",
        files.data.join("train/good").display()
    ));
    let Files { data, template, page, heatmaps, result } = &files;
    let good = pictures::list(&[data.join("train/good")], FolderArgs::default(), console)?;
    let built = build::build(template, Input::Pictures(&good), &Settings::default(), console)?;
    let header = &built.report.header;
    console.note(format!(
        "  {} ({:.1} MB), threshold {:.4}",
        template.display(),
        built.report.size as f64 / 1e6,
        header.calibration.threshold
    ));
    built.finds.iter().for_each(|line| console.note(format!("  {line}")));

    console.note("Testing it on parts that it was not built from.");
    let pipeline = Pipeline::open(template, None, &ExtractorOptions::default())?;
    let pictures = dataset::read(data, &DatasetArgs::default(), console)?;
    let evaluation = eval::evaluate(&pipeline, pictures, false, console)?;
    let outcomes = &evaluation.outcomes;
    let advice = advice::of_evaluation(&evaluation, &Names::without_folders(template));
    let text = report::evaluation(&pipeline, template, data, &evaluation, &advice)?;
    outputs.write(page, &report::FORMAT, text.as_bytes())?;
    let mut examples = Vec::new();
    let mut shown = std::collections::BTreeSet::new();
    for outcome in outcomes {
        let done = inspect_file(&pipeline, &outcome.picture.source)?;
        let drawn = heatmap::draw(&pipeline, &done.kept, &done.found.scored);
        let kind = outcome.picture.defect.as_deref().unwrap_or("good");
        let name = format!("{kind}_{}", outcome.picture.source.name());
        let png = heatmap::marked_png(&drawn, heatmap::HEAT_MAP)?;
        outputs.write(&heatmaps.join(name), &heatmap::FORMAT, &png)?;
        if shown.insert(kind.to_string()) {
            examples.push(drawn);
        }
    }
    let png = heatmap::marked_png(&stacked(&examples), heatmap::HEAT_MAP)?;
    outputs.write(result, &heatmap::FORMAT, &png)?;
    console.changed(&args.out);
    console.print(&eval::in_words(&evaluation, &report::levels(&pipeline)))?;

    console.note("The demo has written:");
    console.note(format!(
        "  {}   one part of each kind: picture, outline of the defect, heat map",
        result.display()
    ));
    console.note(format!("  {}   a report with the results and the hardest parts", page.display()));
    console.note(format!("  {}   a heat map of every tested part", heatmaps.display()));
    console.note(format!(
        "Try next: hetmm inspect {} {}",
        template.display(),
        data.join("test/missing-screw").display()
    ));
    let found = outcomes.iter().all(|o| o.picture.defect.is_none() || o.verdict != Verdict::Ok);
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The paths of everything that the demo writes.
struct Files {
    /// The parts, in MVTec layout.
    data: PathBuf,
    template: PathBuf,
    page: PathBuf,
    /// The folder of heat maps.
    heatmaps: PathBuf,
    result: PathBuf,
}

impl Files {
    fn new(out: &Path) -> Self {
        let path = |name: &str| out.join(name);
        Files {
            data: path("parts"),
            template: path("part.hetmm"),
            page: path("report.html"),
            heatmaps: path("heatmaps"),
            result: path("result.png"),
        }
    }

    /// Creates the folders and claims every file.
    fn claim(&self, replace: &Replace) -> Result<Outputs> {
        let mut outputs = replace.outputs([]);
        make_folder(&self.heatmaps)?;
        for planned in plan() {
            for (_, folder) in planned.folders() {
                make_folder(&self.data.join(folder))?;
            }
            for (_, path) in planned.files(&self.data) {
                outputs.claim(&path, &PART)?;
            }
            if let Some(name) = planned.heatmap() {
                outputs.claim(&self.heatmaps.join(name), &heatmap::FORMAT)?;
            }
        }
        outputs.claim(&self.template, &template::FORMAT)?;
        outputs.claim(&self.page, &report::FORMAT)?;
        outputs.claim(&self.result, &heatmap::FORMAT)?;
        Ok(outputs)
    }
}

/// A part that will be generated.
struct Planned {
    /// Its class below the data set, as in `test/good`.
    class: String,
    number: u64,
    defect: Option<Defect>,
}

/// What a picture shows: the part itself, or the mask of its defect.
#[derive(Clone, Copy)]
enum Drawn {
    Picture,
    Mask,
}

impl Planned {
    fn name(&self) -> String {
        format!("{:03}.png", self.number)
    }

    /// The folders that it goes into, below the data set.
    fn folders(&self) -> Vec<(Drawn, String)> {
        let mask =
            self.defect.map(|defect| (Drawn::Mask, format!("ground_truth/{}", defect.name())));
        [(Drawn::Picture, self.class.clone())].into_iter().chain(mask).collect()
    }

    /// The files that it goes into.
    fn files(&self, data: &Path) -> Vec<(Drawn, PathBuf)> {
        let file = |(drawn, folder): (Drawn, String)| (drawn, data.join(folder).join(self.name()));
        self.folders().into_iter().map(file).collect()
    }

    /// The name of its heat map, if the part is used for the test.
    fn heatmap(&self) -> Option<String> {
        let kind = self.class.strip_prefix("test/")?;
        Some(format!("{kind}_{}", self.name()))
    }
}

/// All parts, in the order in which they are generated.
fn plan() -> Vec<Planned> {
    let good = [("train/good", TRAIN), ("test/good", GOOD)];
    let good = good.map(|(class, count)| (class.to_owned(), count, None));
    let bad = Defect::ALL.map(|defect| (format!("test/{}", defect.name()), BAD, Some(defect)));
    let all = good.into_iter().chain(bad);
    all.flat_map(|(class, count, defect)| {
        (0..count).map(move |number| Planned { class: class.clone(), number, defect })
    })
    .collect()
}

/// Generates the data set, in MVTec layout.
fn draw_parts(data: &Path, outputs: &Outputs, console: &Console) -> Result<()> {
    let plan = plan();
    console.note(format!("Generating {} pictures of parts in {}.", plan.len(), data.display()));
    let bar = console.bar("generating", plan.len());
    for (seed, planned) in (1..).zip(&plan) {
        let part = Part::draw(seed, planned.defect);
        for (drawn, path) in planned.files(data) {
            let picture = match drawn {
                Drawn::Picture => &part.picture,
                Drawn::Mask => &part.mask,
            };
            outputs.write(&path, &PART, &heatmap::marked_png(picture, DRAWN)?)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::io(folder, "the folder cannot be created", &e))
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
