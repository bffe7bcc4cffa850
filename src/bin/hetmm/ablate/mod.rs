//! `hetmm ablate` measures what each step of the method contributes on a data set.

pub mod measure;
mod page;
pub mod studies;

use crate::console::{Console, say};
use crate::dataset::{self, DatasetArgs};
use crate::network::Network;
use crate::outputs::{Outputs, Replace, has_keys};
use crate::pictures;
use hetmm::builder::Source;
use hetmm::evaluation::TestPicture;
use hetmm::files::outputs::Format;
use hetmm::report;
use hetmm::wording::{counted, percent};
use hetmm::{Error, Result};
use measure::{Bench, Row};
use page::Ablation;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use studies::{Base, Study, Variant};

/// Measure what each step of the method contributes on a data set: windows, directions, layers, sheets, rules
///
/// The command builds and measures one template for every row. A row changes one thing and keeps the rest of the
/// preset. Features are computed once for each choice of layers. Random rules and k-means use one fixed start value. It
/// takes many minutes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm ablate dataset/ --report page.html
  hetmm ablate dataset/ --studies windows,alpha --json rows.json
  hetmm ablate dataset/ --pictures 100               faster, from the first 100 good pictures

Studies: windows (pixel to pixel and patch to patch, in each direction), alpha (weight of the forward direction), \
patches (side of the window), layers, position-free (without all, without each, numbers of patches), sheets, \
selection (rules), selection-slow (k-means at every pixel, which takes many minutes).")]
pub struct Args {
    /// Folder of the data set, with train/good, test/good, test/<defect> and ground_truth/<defect>
    dataset: PathBuf,
    /// Studies to run [default: all but selection-slow]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STUDY,..")]
    studies: Vec<Study>,
    /// Build from this number of pictures only [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pictures: Option<u32>,
    /// Write the rows as JSON to this file and print the text as well. With "-", print the JSON in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report to this file, with tables and charts
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    layout: DatasetArgs,
    #[command(flatten)]
    network: Network,
}

/// How a file of rows is recognised before another one replaces it.
const ROWS: Format = Format {
    name: "a file of rows",
    reads: 1 << 24,
    is_one: |bytes| has_keys(bytes, &["dataset", "preset", "rows"]),
};

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let preset = args.network.preset(None)?;
    let mut train =
        pictures::list(&[args.dataset.join("train/good")], args.layout.folders, console)?;
    train.truncate(args.pictures.map_or(usize::MAX, |n| n as usize));
    if train.len() < 2 {
        return Err(Error::image(
            &args.dataset,
            "a template cannot be built from one good picture",
        )
        .advise("put more good pictures into train/good"));
    }
    let test = dataset::read(&args.dataset, &args.layout, console)?;
    for (of, class) in [(true, "good"), (false, "defective")] {
        if !test.iter().any(|picture| picture.defect.is_none() == of) {
            let what = format!("there are no {class} pictures in its folder `test`");
            return Err(Error::image(&args.dataset, what)
                .advise("put some good and some defective pictures there: the command measures how well they are told apart"));
        }
    }
    let outputs = claim(args, &train, &test)?;
    let size = args.network.input_size(preset, &train)?;
    let backbone = args.network.open(preset, size)?;
    let layers = args.network.layers(preset, backbone.identity())?;
    let base = Base::new(preset, layers, train.len());
    let chosen = if args.studies.is_empty() { Study::USUAL.to_vec() } else { args.studies.clone() };
    let variants: Vec<Variant> = chosen.iter().flat_map(|study| study.variants(&base)).collect();
    let to_stdout = args.json.is_some() && args.json_file().is_none();
    let bar = console.bar("ablating", variants.len());
    let mut bench = Bench::new(&args.network, (preset, size), &train, &test)?;
    let mut rows: Vec<Row> = Vec::with_capacity(variants.len());
    // The output files are written also if rows can no longer be printed.
    let mut printed = Ok(());
    let is_for_reader_alone = args.report.is_none() && args.json.is_none();
    for variant in &variants {
        let started = Instant::now();
        let row = bench.measure(variant)?;
        // The first row also computes the features, so it takes longer than the others.
        if rows.len() == 1 {
            tell_time_left(started.elapsed(), variants.len() - 2, console);
        }
        if !to_stdout && printed.is_ok() {
            let is_first = rows.last().is_none_or(|last| last.study != row.study);
            printed = bar.suspend(|| console.print(&in_words(&row, is_first)));
            if is_for_reader_alone && (printed.is_err() || !console.has_reader()) {
                return printed.map(|()| ExitCode::SUCCESS);
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
        outputs.write(page, &report::FORMAT, page::ablation(&ablation).as_bytes())?;
        console.changed(page);
    }
    if args.json.is_some() {
        let text = serde_json::to_string_pretty(&ablation)
            .map_err(|e| Error::usage(format!("the rows cannot be written: {e}")))?;
        match args.json_file() {
            Some(path) => outputs.write(path, &ROWS, text.as_bytes())?,
            None => printed = console.print(&(text + "\n")),
        }
    }
    printed.map(|()| ExitCode::SUCCESS)
}

impl Args {
    /// The file for the rows, if they do not go to standard output.
    fn json_file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|path| path.as_os_str() != "-")
    }
}

/// Estimates the time for `rows` more rows, if one row has taken `one`.
fn tell_time_left(one: Duration, rows: usize, console: &Console) {
    if rows > 0 {
        let minutes = one.as_secs_f64() * rows as f64 / 60.0;
        console.note(format!("note: {} left, about {minutes:.0} min", counted(rows, "row")));
    }
}

/// Claims all output files.
fn claim(args: &Args, train: &[Source], test: &[TestPicture]) -> Result<Outputs> {
    let pictures = train.iter().map(|source| source.path.as_path());
    let of_test: Vec<PathBuf> = test.iter().flat_map(TestPicture::files).collect();
    let inputs = pictures.chain(of_test.iter().map(PathBuf::as_path));
    let mut outputs = args.replace.outputs(inputs.chain(args.network.files()));
    outputs.claim_if(args.report.as_deref(), &report::FORMAT)?;
    outputs.claim_if(args.json_file(), &ROWS)?;
    Ok(outputs)
}

/// A row of the table. The head of the table comes first if a study begins.
fn in_words(row: &Row, with_head: bool) -> String {
    let mut text = String::new();
    if with_head {
        say!(
            text,
            "\n{:<44} {:>9} {:>9} {:>9} {:>9} {:>7}",
            row.study.name(),
            "image",
            "pixel",
            "AUPRO",
            "match ms",
            "MB"
        );
    }
    say!(
        text,
        "{:<44} {:>9} {:>9} {:>9} {:>9.1} {:>7.1}",
        row.name,
        percent(row.image_auroc),
        percent(row.pixel_auroc),
        percent(row.aupro30),
        row.matching_ms,
        row.template_bytes as f64 / 1e6
    );
    text
}
