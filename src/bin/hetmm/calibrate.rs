//! `hetmm calibrate` sets a threshold for a rate of false rejects, from good parts alone.
//!
//! The guarantee is about the score alone: ranks of sorted scores hold for any distribution. It does not cover region
//! rules, because they can reject a part at one threshold and pass it at a lower one. Two regions above the first
//! threshold can be one region above the second. So the command tries the rules on the given pictures and prints the
//! counts. It writes all files before it prints anything, so no file is lost if the reader of its output goes away.

use crate::console::{Console, say};
use crate::extractor::ExtractorArgs;
use crate::operating;
use crate::outputs::{Outputs, Replace};
use crate::pictures::{self, FolderArgs, ShapeArgs};
use crate::rate::parse_rate;
use hetmm::adjust::threshold::FromFreshParts;
use hetmm::builder::audit::Look;
use hetmm::builder::calibration::Threshold;
use hetmm::builder::{Source, calibration, exposures, too_few};
use hetmm::describe::threshold::{ABOUT_THE_SCORE, promise};
use hetmm::error::Kind;
use hetmm::evaluation::{self, Figures, Outcome};
use hetmm::evaluation::{FileInspected, Panics, TestPicture, inspect_files};
use hetmm::image::Size;
use hetmm::inspection::{Inspected, Pipeline};
use hetmm::metrics::OperatingCurve;
use hetmm::report::{self, Calibration};
use hetmm::scoring::{Thresholds, Verdict};
use hetmm::template::{self, Decision, ImageRecord, Template};
use hetmm::wording::{counted, form};
use hetmm::{Error, Result};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Set a template's threshold from fresh pictures of good parts
///
/// The pictures must show good parts that the template was not built from, taken as on the production line. Pictures of
/// known defects are only counted. They never change the threshold.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm calibrate part.hetmm --images fresh/ --false-reject 0.5%
  hetmm calibrate part.hetmm --images fresh/ --false-reject 0.5% --review 3%
  hetmm calibrate part.hetmm --images fresh/ --defects known/ --report page.html
  hetmm calibrate part.hetmm --images fresh/ --dry-run     only say what the present threshold does")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Fresh pictures of good parts: folders or files
    #[arg(long, required = true, num_args = 1.., value_name = "GOOD")]
    images: Vec<PathBuf>,
    /// Pictures of known defects: folders or files. The command says how many of them would pass
    #[arg(long, num_args = 1.., value_name = "BAD")]
    defects: Vec<PathBuf>,
    /// Rate of good parts that may be rejected. A rate of 1 % needs 99 parts, 2 % needs 49, 5 % needs 19 [default: 1%]
    #[arg(long, value_parser = parse_rate, value_name = "RATE")]
    false_reject: Option<f64>,
    /// Rate of good parts that may be rejected or sent to review together, for example 3%. It must be larger than
    /// --false-reject and sets a second, lower threshold. Without it the command removes a review threshold
    #[arg(long, value_parser = parse_rate, value_name = "RATE")]
    review: Option<f64>,
    /// Write the result to this file. The original template stays unchanged
    #[arg(short, long, value_name = "T.hetmm")]
    output: Option<PathBuf>,
    /// Only print what the present threshold does to these parts, and which threshold would be set. The template stays
    /// unchanged
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
    /// Write a report to this file: the scores, the guarantee of the threshold, and the hardest pictures
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// ONNX file of the backbone that the template was built with [default: the bundled one]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Leave out unreadable pictures. Without it, one unreadable picture is an error
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

/// The rate of false rejects, if none is given.
const DEFAULT_RATE: f64 = 0.01;

impl Args {
    /// The rate of good parts that may be rejected.
    fn rate(&self) -> f64 {
        self.false_reject.unwrap_or(DEFAULT_RATE)
    }
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    if args.review.is_some_and(|review| review <= args.rate()) {
        return Err(Error::usage("--review must be larger than --false-reject").advise(
            "give the rate of good parts that are rejected or reviewed together, as in --false-reject 0.5% --review 3%",
        ));
    }
    let output = args.output.as_ref().unwrap_or(&args.template);
    let good = pictures::list(&args.images, args.folders, console)?;
    let bad = pictures::list(&args.defects, args.folders, console)?;
    let outputs = claim(args, &good, &bad)?;
    let lock = if args.dry_run { None } else { hetmm::files::lock_if_there(output)? };
    let pipeline = args.shape.apply(open(args)?);
    let template = pipeline.template();
    let (good, bad) = scored(args, &pipeline, good, bad, console)?;
    let present = match args.dry_run {
        true => Some(present(&pipeline, &good, &bad)?),
        false => None,
    };
    let (threshold, review) = match (asked(args, &good), &present) {
        (Err(refusal), Some(present)) => return tell_present(args, present, refusal, console),
        (asked, _) => asked?,
    };
    let fresh =
        FromFreshParts { reject: &threshold, review: review.as_ref(), false_reject: args.rate() };
    let of_bad = |scored: &(Source, f32)| Some(kind_of(&scored.0));
    let mut outcomes = outcomes(&pipeline, good, |_| None, fresh.thresholds())?;
    outcomes.extend(self::outcomes(&pipeline, bad, of_bad, fresh.thresholds())?);
    let before = template.header().calibration.threshold;
    let found = Calibration {
        outcomes,
        asked: (args.rate(), args.review),
        threshold: threshold.clone(),
        review: review.clone(),
        before: (before, template.decision().map(|d| d.review).filter(|r| *r < before)),
        written: !args.dry_run,
    };
    if !args.dry_run {
        fresh.write(template, output, lock.as_ref())?;
        console.changed(output);
        console.note(format!("{}: the threshold is {:.4}", output.display(), threshold.score));
    }
    if let Some(page) = &args.report {
        write_page(args, page, &outputs, &pipeline, &found, &fresh)?;
        console.changed(page);
    }
    if let (Some(review), None) = (found.before.1, args.review) {
        let is = if args.dry_run { "would be" } else { "is" };
        console.note(format!(
            "note: the review threshold {review:.4} {is} removed, so no part is sent to review. --review RATE sets a new one."
        ));
    }
    console.print(&told(args, &found, &fresh, template, present.as_ref()))?;
    Ok(ExitCode::SUCCESS)
}

/// The pictures of fresh good parts, each part once, and of known defects, with their scores.
type Scores = (Vec<(Source, f32)>, Vec<(Source, f32)>);

/// Scores the good pictures that the template does not know, and the defects.
fn scored(
    args: &Args,
    pipeline: &Pipeline,
    good: Vec<Source>,
    bad: Vec<Source>,
    console: &Console,
) -> Result<Scores> {
    let good = different(good, console);
    // Every picture of a defect counts, as for `eval`. A file that was given twice is one picture.
    let bad = files(bad);
    let good = without_known(pipeline.template(), good, console)?;
    let good = one_of_each_part(scores(pipeline, &good, args, console)?, console);
    let bad = scores(pipeline, &bad, args, console)?;
    Ok((good, bad.into_iter().map(|s| (s.source, s.score)).collect()))
}

/// The thresholds for the rates that were asked for: for rejects, and for review if that was asked for.
fn asked(args: &Args, good: &[(Source, f32)]) -> Result<(Threshold, Option<Threshold>)> {
    let scores: Vec<f32> = good.iter().map(|(_, score)| *score).collect();
    let at = |rate| calibration::threshold(&scores, rate).map_err(|e| too_few(&e, rate));
    Ok((at(args.rate())?, args.review.map(at).transpose()?))
}

/// Writes the report. If that fails, the error says that the threshold is already set.
fn write_page(
    args: &Args,
    page: &Path,
    outputs: &Outputs,
    pipeline: &Pipeline,
    found: &Calibration,
    fresh: &FromFreshParts,
) -> Result<()> {
    let output = args.output.as_ref().unwrap_or(&args.template);
    let told = |e: Error| match args.dry_run {
        true => e,
        false => e.within(format!(
            "{}: the threshold is set to {:.4}, but the report is not written",
            output.display(),
            found.threshold.score
        )),
    };
    let text = page_text(args, pipeline, found, fresh).map_err(told)?;
    outputs.write(page, &report::FORMAT, text.as_bytes()).map_err(told)
}

/// What was found, for people or for programs.
fn told(
    args: &Args,
    found: &Calibration,
    fresh: &FromFreshParts,
    template: &Template,
    present: Option<&Present>,
) -> String {
    let figures = Figures::new(&found.outcomes, None, None, found.threshold.score, &[]);
    let decision = fresh.decision();
    let mut text = String::new();
    if args.json {
        let mut told = to_json(found, &figures, &decision, is_ruled(template));
        present.iter().for_each(|present| told["present"] = present.to_json());
        say!(text, "{told:#}");
        return text;
    }
    present.iter().for_each(|present| say!(text, "{}", present.in_words()));
    let promise = promise(&fresh.apply(template).0, &decision);
    text + &in_words(found, &figures, &promise, is_ruled(template))
}

/// Claims the output files: the template, unless it is changed in its place, and the report.
fn claim(args: &Args, good: &[Source], bad: &[Source]) -> Result<Outputs> {
    let pictures = good.iter().chain(bad).map(|source| source.path.as_path());
    let mut outputs = args.replace.outputs(pictures.chain(args.backbone.as_deref()));
    let of_template = args.output.as_deref().filter(|_| !args.dry_run);
    outputs.claim_if(of_template, &template::FORMAT)?;
    // The template may be changed in its place, but a report must not replace it.
    outputs.reads([args.template.as_path()]);
    outputs.claim_if(args.report.as_deref(), &report::FORMAT)?;
    Ok(outputs)
}

/// What the present thresholds do to the pictures.
struct Present {
    thresholds: Thresholds,
    good: usize,
    rejected: usize,
    reviewed: usize,
    defects: usize,
    missed: usize,
    curve: OperatingCurve,
}

/// Tries the template's own thresholds on the pictures.
fn present(pipeline: &Pipeline, good: &[(Source, f32)], bad: &[(Source, f32)]) -> Result<Present> {
    let thresholds = pipeline.thresholds();
    let of = |scored: &[(Source, f32)]| -> Result<Vec<Verdict>> {
        let all = outcomes(pipeline, scored.to_vec(), |_| None, thresholds)?;
        Ok(all.into_iter().map(|outcome| outcome.verdict).collect())
    };
    let count = |of: &[Verdict], verdict| of.iter().filter(|v| **v == verdict).count();
    let (of_good, of_bad) = (of(good)?, of(bad)?);
    let with_class = |of: &[(Source, f32)], is_defective| -> Vec<(f32, bool)> {
        of.iter().map(|(_, score)| (*score, is_defective)).collect()
    };
    Ok(Present {
        thresholds,
        good: good.len(),
        rejected: count(&of_good, Verdict::Ng),
        reviewed: count(&of_good, Verdict::Review),
        defects: bad.len(),
        missed: count(&of_bad, Verdict::Ok),
        curve: OperatingCurve::new([with_class(good, false), with_class(bad, true)].concat()),
    })
}

impl Present {
    fn in_words(&self) -> String {
        let Present { good, rejected, reviewed, defects, missed, .. } = self;
        let review = match reviewed {
            0 => String::new(),
            count => format!(" and sends {count} to review"),
        };
        let of_defects = match defects {
            0 => String::new(),
            _ => format!(". It lets {missed} of {} pass", counted(*defects, "known defect")),
        };
        let threshold = self.thresholds.reject;
        format!(
            "Nothing is written. The present threshold {threshold:.4} rejects {rejected} of these {}{review}{of_defects}.",
            counted(*good, "good part")
        )
    }

    fn to_json(&self) -> Value {
        let Thresholds { reject, review } = self.thresholds;
        json!({"threshold": reject, "review": review, "good": self.good, "rejected": self.rejected,
               "good_reviewed": self.reviewed, "defects": self.defects, "missed": self.missed})
    }
}

/// Ends a dry run that has too few pictures for a rate. It says what the present threshold does, and why there is no
/// other one. That is an error if the user asked for the rate, or for a report, which needs another threshold.
fn tell_present(
    args: &Args,
    present: &Present,
    refusal: Error,
    console: &Console,
) -> Result<ExitCode> {
    let mut text = String::new();
    if args.json {
        let mut told = json!({"threshold": null, "written": false, "false_reject": args.rate(),
                              "refused": refusal.what(), "present": present.to_json()});
        operating::add_to_json(&present.curve, &mut told);
        say!(text, "{told:#}");
    } else {
        say!(text, "{}", present.in_words());
        let Thresholds { reject, review } = present.thresholds;
        let review = (review < reject).then_some(("review", review));
        let levels: Vec<_> = review.into_iter().chain([("ng", reject)]).collect();
        text += &operating::in_words(&present.curve, &levels);
    }
    console.print(&text)?;
    match args.false_reject.is_some() || args.report.is_some() {
        true => Err(refusal),
        false => {
            console.note(format!("note: the command tries no other threshold: {refusal}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The template in memory of this process, with its feature extractor.
fn open(args: &Args) -> Result<Pipeline> {
    let template = Template::open(&args.template)?;
    Pipeline::join(template, args.backbone.as_deref(), &args.extractor.extractor()).map_err(|e| {
        match e.kind() {
            Kind::Io => e,
            _ => e.within(args.template.display()),
        }
    })
}

/// Whether the template has region rules.
fn is_ruled(template: &Template) -> bool {
    template.settings().rules.is_some()
}

/// The text of the report, from a pipeline with the new thresholds. In a dry run it is the pipeline of a temporary
/// file.
fn page_text(
    args: &Args,
    old: &Pipeline,
    found: &Calibration,
    fresh: &FromFreshParts,
) -> Result<String> {
    let written = args.output.as_ref().unwrap_or(&args.template);
    let scratch;
    let (described, opened) = if args.dry_run {
        let failed =
            |e| Error::io(&std::env::temp_dir(), "a temporary folder cannot be made in it", &e);
        scratch = tempfile::tempdir().map_err(failed)?;
        let path = scratch.path().join("dry-run.hetmm");
        fresh.write(old.template(), &path, None)?;
        (&args.template, path)
    } else {
        (written, written.clone())
    };
    let pipeline = Pipeline::new(Template::map(&opened)?, old.backbone().clone())?.with_any_shape();
    report::calibration(&pipeline, described, found)
}

/// What was found, for programs. Rejected and reviewed parts are counted by verdict, so region rules have an effect.
fn to_json(found: &Calibration, figures: &Figures, decision: &Decision, is_ruled: bool) -> Value {
    let threshold = &found.threshold;
    json!({
        "threshold": threshold.score, "review": decision.review, "pictures": threshold.pictures,
        "rank": threshold.rank, "false_reject": found.asked.0, "expected_rate": threshold.rate(),
        "interval": threshold.interval, "expected_per_10000": threshold.rate() * 1e4,
        "range_per_200": threshold.expected(200), "before": found.before.0,
        "region_rules": is_ruled, "rejected": figures.false_rejects,
        "above_threshold": found.good_above(threshold.score),
        "defects": figures.defective, "missed": figures.missed, "reviewed": figures.reviewed,
        "image_auroc": figures.image_auroc, "caught_at_1": figures.caught_at_1,
        "caught_at_2": figures.caught_at_2, "caught_at_5": figures.caught_at_5, "written": found.written,
    })
}

/// What was found, for people.
fn in_words(found: &Calibration, figures: &Figures, promise: &str, is_ruled: bool) -> String {
    let mut text = String::new();
    say!(text, "{promise}");
    let [low, high] = found.threshold.expected(200);
    say!(text, "In 95 % of the cases, {low} to {high} of the next 200 good parts are rejected.");
    let (rate, asked) = (found.threshold.rate(), found.asked.0);
    if rate < 0.9 * asked {
        say!(
            text,
            "Only some rates are possible with {}: {:.2} % is the largest that is not above {:.2} %.",
            counted(found.threshold.pictures, "good part"),
            100.0 * rate,
            100.0 * asked
        );
    }
    if is_ruled {
        say!(
            text,
            "{ABOUT_THE_SCORE} With these rules, {} of the {} good parts are rejected. {} score above the threshold.",
            figures.false_rejects,
            figures.good,
            found.good_above(found.threshold.score)
        );
    }
    if figures.defective > 0 {
        say!(
            text,
            "Of {} known defects, {} would pass{}{}.",
            figures.defective,
            figures.missed,
            match found.review {
                Some(_) => format!(" and {} would be reviewed", figures.reviewed),
                None => String::new(),
            },
            figures
                .image_auroc
                .map_or_else(String::new, |a| format!(" (image AUROC {:.2} %)", 100.0 * a))
        );
        let curve = evaluation::operating_curve(&found.outcomes);
        let review = found.review.as_ref().map(|review| ("review", review.score));
        let before = ("before", found.before.0);
        let levels: Vec<_> =
            review.into_iter().chain([("ng", found.threshold.score), before]).collect();
        text += &operating::in_words(&curve, &levels);
    }
    text
}

/// The pictures with the verdicts that they get from `thresholds`. If the template has region rules, the pictures are
/// inspected again, because their maps are not kept.
fn outcomes(
    pipeline: &Pipeline,
    scored: Vec<(Source, f32)>,
    defect: impl Fn(&(Source, f32)) -> Option<String>,
    thresholds: Thresholds,
) -> Result<Vec<Outcome>> {
    let verdicts = match is_ruled(pipeline.template()) {
        true => decided(pipeline, &scored, thresholds)?,
        false => scored.iter().map(|(_, score)| thresholds.verdict(*score)).collect(),
    };
    let outcome = |(one, verdict): ((Source, f32), Verdict)| {
        let defect = defect(&one);
        let (source, score) = one;
        Outcome { picture: TestPicture { source, defect, mask: None }, score, verdict }
    };
    Ok(scored.into_iter().zip(verdicts).map(outcome).collect())
}

/// The verdicts that pictures get by the region rules.
fn decided(
    pipeline: &Pipeline,
    scored: &[(Source, f32)],
    thresholds: Thresholds,
) -> Result<Vec<Verdict>> {
    let sources: Vec<&Source> = scored.iter().map(|(source, _)| source).collect();
    let each = |_, done: FileInspected<()>| {
        let Inspected { scored, size, .. } = done.found;
        Ok(pipeline.decide_at(&scored, size, thresholds).verdict)
    };
    let mut verdicts = Vec::with_capacity(scored.len());
    inspect_files(
        pipeline,
        &sources,
        Panics::GoOn,
        |_, _| (),
        each,
        |_, verdict| {
            verdicts.push(verdict?);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(verdicts)
}

/// The name of a known defect: the folder that its picture lies in.
fn kind_of(source: &Source) -> String {
    let folder = source.path.parent().and_then(Path::file_name);
    folder.map_or_else(|| "defect".into(), |name| name.to_string_lossy().into_owned())
}

/// A picture with the BLAKE3 of its file. It is `None` if the file cannot be read; scoring reports that error.
pub type Listed = (Source, Option<[u8; 32]>);

/// The pictures without doubles. The same file, or the same bytes under another name, is one part.
pub fn different(pictures: Vec<Source>, console: &Console) -> Vec<Listed> {
    let count = pictures.len();
    let digest = |picture: Source| {
        let digest = picture.digest().ok();
        (picture, digest)
    };
    let listed: Vec<Listed> = pictures.into_par_iter().map(digest).collect();
    let mut seen = HashSet::new();
    let once: Vec<Listed> = listed
        .into_iter()
        .filter(|(_, digest)| digest.is_none_or(|digest| seen.insert(digest)))
        .collect();
    let doubles = count - once.len();
    if doubles > 0 {
        console.note(format!(
            "note: {doubles} of {count} pictures {}, because the same picture is there twice and counts once",
            form(doubles, "was left out", "were left out")
        ));
    }
    once
}

fn sources(listed: Vec<Listed>) -> Vec<Source> {
    listed.into_iter().map(|(source, _)| source).collect()
}

/// The pictures that the template was not built from. The others are left out, because their scores would be too low. A
/// note says how many.
pub fn without_known(
    template: &Template,
    pictures: Vec<Listed>,
    console: &Console,
) -> Result<Vec<Source>> {
    let known: HashSet<[u8; 32]> =
        template.header().build.images.iter().map(|i| i.digest).collect();
    let count = pictures.len();
    let is_fresh =
        |(_, digest): &Listed| digest.as_ref().is_none_or(|digest| !known.contains(digest));
    let fresh = sources(pictures.into_iter().filter(is_fresh).collect());
    let left_out = count - fresh.len();
    if left_out > 0 {
        console.note(format!(
            "note: {left_out} of {count} pictures {}, because the template was built from {}",
            form(left_out, "was left out", "were left out"),
            form(left_out, "it", "them")
        ));
    }
    if fresh.is_empty() {
        return Err(Error::new(
            Kind::Image,
            "there is no fresh picture: the template was built from all of them",
        )
        .advise("take pictures of other good parts, or build the template with --false-reject"));
    }
    Ok(fresh)
}

/// The score of a picture, and the data that finds other pictures of the same exposure.
struct ScoredPicture {
    source: Source,
    score: f32,
    record: ImageRecord,
    look: Look,
}

/// Scores the pictures on all cores and keeps their order. A map with values that are not numbers is always rejected,
/// so its score counts as not a number.
fn scores(
    pipeline: &Pipeline,
    pictures: &[Source],
    args: &Args,
    console: &Console,
) -> Result<Vec<ScoredPicture>> {
    let bar = console.bar("scoring", pictures.len());
    let sources: Vec<&Source> = pictures.iter().collect();
    let keep = |bytes: Vec<u8>, _| blake3::hash(&bytes).into();
    let each = |index: usize, done| Ok(scored_picture(sources[index], done));
    let mut results: Vec<Result<ScoredPicture>> = Vec::with_capacity(pictures.len());
    inspect_files(pipeline, &sources, Panics::GoOn, keep, each, |_, result| {
        results.push(result);
        bar.inc(1);
        Ok(ControlFlow::Continue(()))
    })?;
    bar.finish_and_clear();
    let (scores, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let failed: Vec<Error> = failed.into_iter().filter_map(Result::err).collect();
    if !failed.is_empty() && !args.skip_unreadable {
        return Err(Error::unreadable(&failed, pictures.len()));
    }
    failed.iter().for_each(|e| console.note(format!("skipped: {e}")));
    Ok(scores.into_iter().flatten().collect())
}

/// `done` holds the BLAKE3 of the picture's file.
fn scored_picture(source: &Source, done: FileInspected<[u8; 32]>) -> ScoredPicture {
    let Inspected { size: Size { width, height }, image, scored, .. } = done.found;
    let (name, digest) = (source.name(), done.kept);
    let is_number = scored.blurred.iter().all(|v| !v.is_nan());
    ScoredPicture {
        source: source.clone(),
        score: if is_number { scored.score } else { f32::NAN },
        record: ImageRecord { name, digest, width, height, score: f32::NAN },
        look: Look::new(&image),
    }
}

/// The first picture of every part. Other pictures of the same exposure say nothing new about good parts.
fn one_of_each_part(scored: Vec<ScoredPicture>, console: &Console) -> Vec<(Source, f32)> {
    let records: Vec<ImageRecord> = scored.iter().map(|s| s.record.clone()).collect();
    let looks: Vec<Look> = scored.iter().map(|s| s.look.clone()).collect();
    let parts = exposures::find(&records, &looks).parts;
    let (count, left_out) = (scored.len(), scored.len() - parts.count());
    if left_out > 0 {
        console.note(format!(
            "note: {left_out} of {count} pictures {} the same exposure as another one, and each part counts once",
            form(left_out, "was left out, because it shows", "were left out, because they show")
        ));
    }
    let is_first = |picture: &usize| parts.first.contains(picture);
    let numbered = scored.into_iter().enumerate();
    numbered.filter(|(i, _)| is_first(i)).map(|(_, s)| (s.source, s.score)).collect()
}

/// Every file once, in the given order.
fn files(pictures: Vec<Source>) -> Vec<Source> {
    let mut seen = HashSet::new();
    let mut is_new = |picture: &Source| {
        let path = std::fs::canonicalize(&picture.path).unwrap_or_else(|_| picture.path.clone());
        seen.insert(path)
    };
    pictures.into_iter().filter(|picture| is_new(picture)).collect()
}
