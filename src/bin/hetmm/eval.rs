//! `hetmm eval` measures a template on a data set.

use crate::advice::{self, Names};
use crate::console::{Console, complain, say};
use crate::dataset::{self, DatasetArgs};
use crate::extractor::ExtractorArgs;
use crate::operating;
use crate::outputs::{Outputs, Replace, has_keys};
use crate::pictures::{Remarks, ShapeArgs};
use hetmm::builder::Source;
use hetmm::evaluation::{self, Evaluation, Figures, Outcome, TestPicture};
use hetmm::evaluation::{FileInspected, Panics, inspect_file, inspect_files};
use hetmm::files::outputs::Format;
use hetmm::image::{Facts, Size};
use hetmm::inspection::Pipeline;
use hetmm::inspection::Timing;
use hetmm::metrics::advice::advise;
use hetmm::metrics::{PixelTruth, pro_curve};
use hetmm::report;
use hetmm::scoring::Verdict;
use hetmm::wording::{counted, form, percent, printable};
use hetmm::{Error, Result};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a file of results is recognised before another one replaces it.
const FORMAT: Format = Format {
    name: "a file of results",
    reads: 1 << 24,
    is_one: |bytes| has_keys(bytes, &["images", "image_auroc", "timing_ms"]),
};

/// Measure a template on a data set in MVTec layout
///
/// The command inspects the first 20 pictures one after the other, each on all threads, and measures their times. It
/// inspects the others side by side.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm eval part.hetmm dataset/
  hetmm eval part.hetmm dataset/ --json figures.json --report report.html
  hetmm eval part.hetmm dataset/ --require image_auroc=0.95   (exit code 1 if it is less)")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Folder of the data set, with test/good, test/<defect> and ground_truth/<defect>
    dataset: PathBuf,
    /// Write the results as JSON to this file and print the text as well. With "-", print the JSON in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report to this file, with results, charts and the hardest pictures
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// End with exit code 1 if a result is below this value. Results are image_auroc, pixel_auroc and aupro30. Repeat
    /// it for several results
    #[arg(long, value_name = "RESULT=VALUE", value_parser = parse_requirement)]
    require: Vec<(Figure, f64)>,
    /// Write one line per picture (defect, score, path) to this file
    #[arg(long, value_name = "FILE.tsv")]
    scores: Option<PathBuf>,
    /// ONNX file of the backbone that the template was built with [default: the bundled one]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Leave out unreadable pictures. Without it, one unreadable picture is an error
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    layout: DatasetArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

/// How a table of scores is recognised before another one replaces it: by its first line.
const SCORES: Format = Format { name: "a table of scores", reads: 65_536, is_one: are_scores };

/// The results that can be required.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Figure {
    ImageAuroc,
    PixelAuroc,
    Aupro30,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let pictures = dataset::read(&args.dataset, &args.layout, console)?;
    let outputs = claim(args, &pictures)?;
    let pipeline =
        Pipeline::open(&args.template, args.backbone.as_deref(), &args.extractor.extractor())?;
    let pipeline = args.shape.apply(pipeline);
    let evaluation = evaluate(&pipeline, pictures, args.skip_unreadable, console)?;
    let outcomes = &evaluation.outcomes;
    if let Some(path) = &args.scores {
        let lines: String = outcomes
            .iter()
            .map(|o| {
                let defect = o.picture.defect.as_deref().unwrap_or("good");
                format!("{defect}\t{:.6}\t{}\n", o.score, o.picture.source.path.display())
            })
            .collect();
        outputs.write(path, &SCORES, lines.as_bytes())?;
        console.changed(path);
    }
    if let Some(path) = &args.report {
        let advice = advice::of_evaluation(&evaluation, &Names::without_folders(&args.template));
        let page =
            report::evaluation(&pipeline, &args.template, &args.dataset, &evaluation, &advice)?;
        outputs.write(path, &report::FORMAT, page.as_bytes())?;
        console.changed(path);
    }
    let json = serde_json::to_string_pretty(&evaluation.written())
        .map_err(|e| Error::usage(format!("the results cannot be written: {e}")))?;
    if let Some(path) = args.json_file() {
        outputs.write(path, &FORMAT, json.as_bytes())?;
        console.changed(path);
    }
    match args.json.is_some() && args.json_file().is_none() {
        true => console.print(&(json + "\n"))?,
        false => {
            let names = Names::of(&args.template, &args.dataset);
            let levels = report::levels(&pipeline);
            console
                .print(&(in_words(&evaluation, &levels) + &advice_in_words(&evaluation, &names)))?;
        }
    }
    let mut met = true;
    for (figure, wanted) in &args.require {
        let got = figure.of(&evaluation.figures);
        if !got.is_some_and(|got| got >= *wanted) {
            complain(format_args!(
                "{} must be at least {wanted}, but it is {}",
                figure.name(),
                percent(got)
            ));
            met = false;
        }
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Args {
    /// The file for the results, if they do not go to standard output.
    fn json_file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|path| path.as_os_str() != "-")
    }
}

/// Claims all output files.
fn claim(args: &Args, pictures: &[TestPicture]) -> Result<Outputs> {
    let files: Vec<PathBuf> = pictures.iter().flat_map(TestPicture::files).collect();
    let inputs = files.iter().map(PathBuf::as_path);
    let of_template = [Some(args.template.as_path()), args.backbone.as_deref()];
    let mut outputs = args.replace.outputs(inputs.chain(of_template.into_iter().flatten()));
    outputs.claim_if(args.scores.as_deref(), &SCORES)?;
    outputs.claim_if(args.report.as_deref(), &report::FORMAT)?;
    outputs.claim_if(args.json_file(), &FORMAT)?;
    Ok(outputs)
}

/// Whether the first line has a defect, a score and a path.
fn are_scores(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut fields = text.lines().next().unwrap_or_default().split('\t').skip(1);
    let is_score = fields.next().is_some_and(|score| score.parse::<f32>().is_ok());
    is_score && fields.next().is_some_and(|path| !path.is_empty())
}

/// The number of pictures that are inspected one after the other and timed, each on all threads. The others are
/// inspected side by side.
const TIMED: usize = 20;

/// Inspects all pictures and computes the results.
pub fn evaluate(
    pipeline: &Pipeline,
    pictures: Vec<TestPicture>,
    skip_unreadable: bool,
    console: &Console,
) -> Result<Evaluation> {
    let bar = console.bar("evaluating", pictures.len());
    let (timed, others) = pictures.split_at(pictures.len().min(TIMED));
    let one = |picture: &TestPicture| {
        let done = inspect_file(pipeline, &picture.source);
        bar.inc(1);
        measured(pipeline, picture, done?)
    };
    let mut results: Vec<Result<Measured>> = timed.iter().map(one).collect();
    let times: Vec<Timing> = results.iter().flatten().map(|m| m.timing).collect();
    let sources: Vec<&Source> = others.iter().map(|picture| &picture.source).collect();
    let each = |index: usize, done| measured(pipeline, &others[index], done);
    inspect_files(
        pipeline,
        &sources,
        Panics::GoOn,
        |_, _| (),
        each,
        |_, result| {
            results.push(result);
            bar.inc(1);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    bar.finish_and_clear();
    let (count, mut failed) = (pictures.len(), Vec::new());
    let (mut outcomes, mut pixels) = (Vec::new(), Vec::new());
    let (mut remarks, mut inverted) = (Remarks::default(), Inverted::default());
    for (picture, result) in pictures.into_iter().zip(results) {
        match result {
            Err(e) => failed.push(e),
            Ok(Measured { score, verdict, map, facts, size, mostly_marked, .. }) => {
                remarks.add(&picture.source, &facts, size, pipeline.other_size(size));
                inverted.add(&picture, mostly_marked);
                outcomes.push(Outcome { picture, score, verdict });
                pixels.extend(map);
            }
        }
    }
    if !failed.is_empty() && !skip_unreadable {
        return Err(hetmm::Error::unreadable(&failed, count));
    }
    failed.iter().for_each(|e| console.note(format!("skipped: {e}")));
    remarks.tell(console);
    if inverted.tell(console) {
        pixels.clear();
    }
    let maps: Vec<(&[f32], &PixelTruth)> = pixels.iter().map(|(m, t)| (m.as_slice(), t)).collect();
    let curve = pro_curve(&maps, 0.3);
    let threshold = pipeline.template().header().calibration.threshold;
    let figures = Figures::new(&outcomes, curve.pixel_auroc, curve.aupro, threshold, &times);
    let operating = evaluation::operating_curve(&outcomes);
    let prepared = advice::prepared(pipeline.template());
    let advice = advise(&operating, &figures.decisions(&outcomes), &prepared);
    Ok(Evaluation { figures, outcomes, times, pro: curve.points, curve: operating, advice })
}

/// The result of one picture.
struct Measured {
    score: f32,
    verdict: Verdict,
    timing: Timing,
    facts: Facts,
    size: Size,
    /// Whether its mask marks more than half of it. `None` if it has no mask.
    mostly_marked: Option<bool>,
    /// Its anomaly map and the truth about it, if that is known.
    map: Option<(Vec<f32>, PixelTruth)>,
}

/// Compares what was found in a picture with its mask.
fn measured<K>(
    pipeline: &Pipeline,
    picture: &TestPicture,
    done: FileInspected<K>,
) -> Result<Measured> {
    let id = &pipeline.template().header().backbone;
    let (width, height) = (id.width as usize, id.height as usize);
    let (facts, size) = (done.facts, done.found.size);
    let (truth, mostly_marked) = match (&picture.defect, &picture.mask) {
        (None, _) => (Some(vec![false; width * height]), None),
        (Some(_), Some(mask)) => {
            let marked = evaluation::read_mask(mask, size, width, height)?;
            (Some(marked.pixels), Some(marked.mostly))
        }
        (Some(_), None) => (None, None),
    };
    let map = truth.map(|truth| (done.found.anomaly_map, PixelTruth::new(&truth, width)));
    let verdict = done.found.decided.verdict;
    let (score, timing) = (done.found.scored.score, done.timing);
    Ok(Measured { score, verdict, timing, facts, size, mostly_marked, map })
}

/// Masks that mark most of their picture. A mask that is black on the defect does that.
#[derive(Default)]
struct Inverted {
    masks: usize,
    suspicious: Vec<PathBuf>,
}

impl Inverted {
    fn add(&mut self, picture: &TestPicture, mostly_marked: Option<bool>) {
        self.masks += usize::from(mostly_marked.is_some());
        if mostly_marked == Some(true) {
            self.suspicious.extend(picture.mask.clone());
        }
    }

    /// Warns about them. Returns whether they are so many that the masks must not be used.
    fn tell(&self, console: &Console) -> bool {
        let Some(first) = self.suspicious.first() else { return false };
        let most = 2 * self.suspicious.len() > self.masks;
        let (count, of) = (self.suspicious.len(), self.masks);
        let then = match most {
            true => {
                ". They look inverted: the defect must be white. So there is no pixel AUROC and no AUPRO."
            }
            false => ".",
        };
        let first = printable(&first.display().to_string());
        let (mark, their) = (form(count, "marks", "mark"), form(count, "its", "their"));
        console.note(format!(
            "warning: {count} of {of} masks {mark} more than half of {their} picture, for example {first}{then}"
        ));
        most
    }
}

/// What the results mean and what to try next, for people.
fn advice_in_words(evaluation: &Evaluation, names: &Names) -> String {
    let mut text = String::new();
    for line in advice::of_evaluation(evaluation, names) {
        say!(text, "{}", line.words);
        if let Some(command) = line.command {
            say!(text, "  -> {command}");
        }
    }
    text
}

/// The results for people. `levels` are the thresholds of the template.
pub fn in_words(evaluation: &Evaluation, levels: &[(&str, f32)]) -> String {
    let f = &evaluation.figures;
    let mut text = String::new();
    say!(text, "pictures       {} ({} good, {} defective)", f.images, f.good, f.defective);
    say!(text, "image AUROC    {}", percent(f.image_auroc));
    say!(text, "pixel AUROC    {}", percent(f.pixel_auroc));
    say!(text, "AUPRO to 30 %  {}", percent(f.aupro30));
    say!(
        text,
        "threshold      {:.4}: {} of {} good rejected, {} of {} defective missed, {} reviewed",
        f.threshold,
        f.false_rejects,
        f.good,
        f.missed,
        f.defective,
        f.reviewed
    );
    text += &operating::in_words(&evaluation.curve, levels);
    for (name, auroc) in &f.per_defect {
        let (images, missed) = f.defects.get(name).map_or((0, 0), |d| (d.images, d.missed));
        say!(
            text,
            "  {name:24} {} of {}, missed {missed}",
            percent(*auroc),
            counted(images, "picture")
        );
    }
    let t = &f.timing_ms;
    say!(
        text,
        "ms per picture {:.1} median, {:.1} p99 (decode {:.1}, resize {:.1}, backbone {:.1}, matching {:.1}, scoring {:.1})",
        t.total_p50,
        t.total_p99,
        t.decode,
        t.preprocess,
        t.backbone,
        t.matching,
        t.scoring
    );
    text
}

impl Figure {
    const ALL: [Figure; 3] = [Figure::ImageAuroc, Figure::PixelAuroc, Figure::Aupro30];

    fn name(self) -> &'static str {
        match self {
            Figure::ImageAuroc => "image_auroc",
            Figure::PixelAuroc => "pixel_auroc",
            Figure::Aupro30 => "aupro30",
        }
    }

    fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Figure::ImageAuroc => figures.image_auroc,
            Figure::PixelAuroc => figures.pixel_auroc,
            Figure::Aupro30 => figures.aupro30,
        }
    }
}

fn parse_requirement(text: &str) -> std::result::Result<(Figure, f64), String> {
    let names = Figure::ALL.map(Figure::name).join(", ");
    let usage = || format!("give RESULT=VALUE with one of {names}, as in image_auroc=0.95");
    let (name, value) = text.split_once('=').ok_or_else(usage)?;
    let figure = Figure::ALL.into_iter().find(|f| f.name() == name).ok_or_else(usage)?;
    Ok((figure, value.parse().map_err(|_| usage())?))
}
