//! `hetmm ablate`: what each part of the method gives on a data set.

pub mod measure;
pub mod studies;

use crate::build::Network;
use crate::console::Console;
use crate::dataset::{self, DatasetArgs};
use crate::figures::percent;
use crate::pictures;
use crate::report::{self, Ablation};
use hetmm::{Error, Result};
use measure::{Bench, Row};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use studies::{Base, Study, Variant};

/// Measure what each part of the method gives on a data set: windows, directions, layers, sheets, rules
///
/// Builds a template for every row and measures it, with everything else as in the preset. Features are
/// computed once for each choice of layers. Random rules and k-means have one fixed seed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm ablate dataset/ --report page.html
  hetmm ablate dataset/ --studies windows,alpha --json rows.json
  hetmm ablate dataset/ --pictures 100               from the first 100 good pictures: quicker

Studies: windows (pixel to pixel against patch to patch, in each direction), alpha (weight of the forward
direction), patches (sides of the window), layers, sheets, selection (rules), selection-slow (k-means
at every pixel: many minutes).")]
pub struct Args {
    /// The data set: train/good, test/good, test/<defect>, ground_truth/<defect>
    dataset: PathBuf,
    /// Studies to run [default: all but selection-slow]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STUDY,..")]
    studies: Vec<Study>,
    /// Build from the first pictures only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pictures: Option<u32>,
    /// Write the rows to this file (\"-\" for standard output, in place of text)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with tables and charts to this file
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    #[command(flatten)]
    layout: DatasetArgs,
    #[command(flatten)]
    network: Network,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let preset = args.network.preset(None)?;
    let mut train =
        pictures::list(&[args.dataset.join("train/good")], args.layout.folders, console)?;
    train.truncate(args.pictures.map_or(usize::MAX, |n| n as usize));
    if train.len() < 2 {
        return Err(Error::image(&args.dataset, "one good picture is too few to build from")
            .advise("put more into train/good"));
    }
    let test = dataset::read(&args.dataset, &args.layout, console)?;
    for (of, class) in [(true, "good"), (false, "defective")] {
        if !test.iter().any(|picture| picture.defect.is_none() == of) {
            let what = format!("no {class} pictures in its folder `test`");
            return Err(Error::image(&args.dataset, what)
                .advise("rows are compared by how well they tell good from defective pictures: put some of both there"));
        }
    }
    let backbone = args.network.open(preset)?;
    let base = Base::new(preset, backbone.identity(), train.len());
    let chosen = if args.studies.is_empty() { Study::USUAL.to_vec() } else { args.studies.clone() };
    let variants: Vec<Variant> = chosen.iter().flat_map(|study| study.variants(&base)).collect();
    let to_stdout = args.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let bar = console.bar("ablating", variants.len());
    let mut bench = Bench::new(&args.network, preset, &train, &test)?;
    let mut rows: Vec<Row> = Vec::with_capacity(variants.len());
    let mut has_reader = !to_stdout;
    let is_for_reader_alone = args.report.is_none() && args.json.is_none();
    for variant in &variants {
        let row = bench.measure(variant)?;
        if has_reader {
            let is_first = rows.last().is_none_or(|last| last.study != row.study);
            has_reader = bar.suspend(|| print(&row, is_first)).is_ok();
            if !has_reader && is_for_reader_alone {
                return Ok(ExitCode::SUCCESS);
            }
        }
        rows.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let ablation = Ablation {
        dataset: args.dataset.display().to_string(),
        preset: preset.name,
        train: train.len(),
        test: test.len(),
        rows: &rows,
    };
    if let Some(page) = &args.report {
        hetmm::files::write_whole(page, report::ablation(&ablation).as_bytes())?;
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&ablation)
            .map_err(|e| Error::usage(format!("the rows cannot be written: {e}")))?;
        match to_stdout {
            true => println!("{text}"),
            false => hetmm::files::write_whole(path, text.as_bytes())?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a row while others are still measured. An error says that nobody reads them any more; the
/// files that were asked for are written all the same.
fn print(row: &Row, with_head: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if with_head {
        writeln!(
            out,
            "\n{:<44} {:>9} {:>9} {:>9} {:>9} {:>7}",
            row.study.name(),
            "image",
            "pixel",
            "AUPRO",
            "match ms",
            "MB"
        )?;
    }
    writeln!(
        out,
        "{:<44} {:>9} {:>9} {:>9} {:>9.1} {:>7.1}",
        row.name,
        percent(row.image_auroc),
        percent(row.pixel_auroc),
        percent(row.aupro30),
        row.matching_ms,
        row.template_bytes as f64 / 1e6
    )?;
    out.flush()
}
