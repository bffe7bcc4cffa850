//! `hetmm calibrate`: a threshold for a rate of false rejects, from good parts alone.
//!
//! What is promised is about the score: its order statistics hold whatever the scores are of. Region
//! rules decide by regions, and a part that they reject at one threshold they may let pass at a lower
//! one (two regions above it can be one above that), so nothing is promised of them: they are tried on
//! the pictures at hand, and the counts are told. Files are written before anything is printed: a
//! reader that goes away takes nothing with it.

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
use hetmm::evaluation::TestPicture;
use hetmm::evaluation::inspect_file;
use hetmm::evaluation::{self, Figures, Outcome};
use hetmm::image::Size;
use hetmm::inspection::{Inspected, Pipeline};
use hetmm::metrics::OperatingCurve;
use hetmm::report::{self, Calibration};
use hetmm::scoring::{Scored, Thresholds, Verdict};
use hetmm::template::{self, Decision, ImageRecord, Template};
use hetmm::wording::{counted, form};
use hetmm::{Error, Result};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Set a template's threshold from fresh pictures of good parts
///
/// The pictures must be of good parts that the template was not built from, taken as on the line.
/// Defects, where known, are only counted: they never move a threshold.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm calibrate part.hetmm --images fresh/ --false-reject 0.5%
  hetmm calibrate part.hetmm --images fresh/ --false-reject 0.5% --review 3%
  hetmm calibrate part.hetmm --images fresh/ --defects known/ --report page.html
  hetmm calibrate part.hetmm --images fresh/ --dry-run     what does the present threshold do to them?")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Fresh pictures of good parts: folders or files
    #[arg(long, required = true, num_args = 1.., value_name = "GOOD")]
    images: Vec<PathBuf>,
    /// Pictures of known defects, to report how many would be missed
    #[arg(long, num_args = 1.., value_name = "BAD")]
    defects: Vec<PathBuf>,
    /// Good parts that may be rejected [default: 1%]
    #[arg(long, value_parser = parse_rate, value_name = "RATE")]
    false_reject: Option<f64>,
    /// Good parts that may be rejected or sent to review together, as in 3%: sets a second, lower threshold. Without
    /// it the template has no review threshold from then on
    #[arg(long, value_parser = parse_rate, value_name = "RATE")]
    review: Option<f64>,
    /// Write here in place of the template itself
    #[arg(short, long, value_name = "T.hetmm")]
    output: Option<PathBuf>,
    /// Print what the present threshold does to these parts and what would be set, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object in place of text
    #[arg(long)]
    json: bool,
    /// Write a page with the scores, what the threshold promises, and the hardest pictures
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// The backbone it was made with, where that is not the bundled one
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Go on past unreadable pictures
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

/// The rate of false rejects where none is given.
const DEFAULT_RATE: f64 = 0.01;

impl Args {
    /// Good parts that may be rejected.
    fn rate(&self) -> f64 {
        self.false_reject.unwrap_or(DEFAULT_RATE)
    }
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    if args.review.is_some_and(|review| review <= args.rate()) {
        return Err(Error::usage("--review must be above --false-reject").advise(
            "it is the rate of good parts rejected or reviewed, as in --false-reject 0.5% --review 3%",
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
        console.note(format!("{}: threshold {:.4}", output.display(), threshold.score));
    }
    if let Some(page) = &args.report {
        write_page(args, page, &outputs, &pipeline, &found, &fresh)?;
        console.changed(page);
    }
    if let (Some(review), None) = (found.before.1, args.review) {
        let is = if args.dry_run { "would be" } else { "is" };
        console.note(format!(
            "The review threshold {review:.4} {is} removed: no part is sent to review. --review RATE sets a new one."
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
    // Every picture of a defect counts, as for `eval`; a file that was given twice is one picture.
    let bad = files(bad);
    let good = without_known(pipeline.template(), good, console)?;
    let good = one_of_each_part(scores(pipeline, &good, args, console)?, console);
    let bad = scores(pipeline, &bad, args, console)?;
    Ok((good, bad.into_iter().map(|s| (s.source, s.score)).collect()))
}

/// The thresholds for the rates that were asked for: to reject, and to review where that was asked for.
fn asked(args: &Args, good: &[(Source, f32)]) -> Result<(Threshold, Option<Threshold>)> {
    let scores: Vec<f32> = good.iter().map(|(_, score)| *score).collect();
    let at = |rate| calibration::threshold(&scores, rate).map_err(|e| too_few(&e, rate));
    Ok((at(args.rate())?, args.review.map(at).transpose()?))
}

/// Writes the page. Where that fails, the error says that the threshold is set all the same.
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
            "{}: the threshold is set to {:.4}, but there is no page",
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

/// Claims what is to be written: the template, unless it is changed in its place, and the page.
fn claim(args: &Args, good: &[Source], bad: &[Source]) -> Result<Outputs> {
    let pictures = good.iter().chain(bad).map(|source| source.path.as_path());
    let mut outputs = args.replace.outputs(pictures.chain(args.backbone.as_deref()));
    let of_template = args.output.as_deref().filter(|_| !args.dry_run);
    outputs.claim_if(of_template, &template::FORMAT)?;
    // The template may be changed in its place, but no page replaces it.
    outputs.reads([args.template.as_path()]);
    outputs.claim_if(args.report.as_deref(), &report::FORMAT)?;
    Ok(outputs)
}

/// What the thresholds that stand do to the pictures.
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
            _ => format!("; it misses {missed} of {}", counted(*defects, "known defect")),
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

/// Ends a dry run with too few pictures for a rate: says what the present threshold does, and why there is no other
/// one. That is an error where the rate was asked for, and where a page was, which needs another threshold.
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
            console.note(format!("note: no other threshold is tried: {refusal}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The template, in memory of this process's own, with what computes its features.
fn open(args: &Args) -> Result<Pipeline> {
    let template = Template::open(&args.template)?;
    Pipeline::join(template, args.backbone.as_deref(), &args.extractor.extractor()).map_err(|e| {
        match e.kind() {
            Kind::Io => e,
            _ => e.within(args.template.display()),
        }
    })
}

/// Whether region rules decide beside the score.
fn is_ruled(template: &Template) -> bool {
    template.settings().rules.is_some()
}

/// The page, from a pipeline with the new thresholds: after a dry run that of a file which
/// goes again.
fn page_text(
    args: &Args,
    old: &Pipeline,
    found: &Calibration,
    fresh: &FromFreshParts,
) -> Result<String> {
    let written = args.output.as_ref().unwrap_or(&args.template);
    let scratch;
    let (described, opened) = if args.dry_run {
        let failed = |e| Error::io(&std::env::temp_dir(), "a folder cannot be made in it", &e);
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

/// What was found, for programs. What is rejected or reviewed is so by verdict: under the template's
/// region rules, where it has any.
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
    say!(text, "Of the next 200 good parts {low} to {high} are rejected, in 95 % of the cases.");
    let (rate, asked) = (found.threshold.rate(), found.asked.0);
    if rate < 0.9 * asked {
        say!(
            text,
            "{} allow only some rates: {:.2} % is the largest that is not above {:.2} %.",
            counted(found.threshold.pictures, "good part"),
            100.0 * rate,
            100.0 * asked
        );
    }
    if is_ruled {
        say!(
            text,
            "{ABOUT_THE_SCORE} Under them {} of the {} good parts are rejected; {} score above the threshold.",
            figures.false_rejects,
            figures.good,
            found.good_above(found.threshold.score)
        );
    }
    if figures.defective > 0 {
        say!(
            text,
            "Of {} known defects {} would be missed{}{}.",
            figures.defective,
            figures.missed,
            match found.review {
                Some(_) => format!(" and {} reviewed", figures.reviewed),
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

/// The pictures with the verdicts that they get from `thresholds`. Where region rules decide, they are
/// inspected again: their maps are not kept.
fn outcomes(
    pipeline: &Pipeline,
    scored: Vec<(Source, f32)>,
    defect: impl Fn(&(Source, f32)) -> Option<String> + Sync,
    thresholds: Thresholds,
) -> Result<Vec<Outcome>> {
    let is_ruled = is_ruled(pipeline.template());
    let outcome = |one: (Source, f32)| {
        let verdict = match is_ruled {
            true => decided(pipeline, &one.0, thresholds)?,
            false => thresholds.verdict(one.1),
        };
        let defect = defect(&one);
        let (source, score) = one;
        Ok(Outcome { picture: TestPicture { source, defect, mask: None }, score, verdict })
    };
    let mut outcomes = Vec::with_capacity(scored.len());
    let mut scored = scored.into_iter();
    loop {
        let few: Vec<(Source, f32)> = scored.by_ref().take(pipeline.pictures_at_once()).collect();
        if few.is_empty() {
            return Ok(outcomes);
        }
        let few: Result<Vec<Outcome>> = few.into_par_iter().map(&outcome).collect();
        outcomes.extend(few?);
    }
}

fn decided(pipeline: &Pipeline, source: &Source, thresholds: Thresholds) -> Result<Verdict> {
    let (scored, size) = inspect(pipeline, source)?;
    Ok(pipeline.decide_at(&scored, size, thresholds).verdict)
}

/// What a picture scores, and its columns and rows.
fn inspect(pipeline: &Pipeline, source: &Source) -> Result<(Scored, Size)> {
    let found = inspect_file(pipeline, source)?.found;
    Ok((found.scored, found.size))
}

/// What a known defect is called: as the folder that it lies in.
fn kind_of(source: &Source) -> String {
    let folder = source.path.parent().and_then(Path::file_name);
    folder.map_or_else(|| "defect".into(), |name| name.to_string_lossy().into_owned())
}

/// A picture with the BLAKE3 of its file; none where it cannot be read, which is told when it is scored.
pub type Listed = (Source, Option<[u8; 32]>);

/// The pictures without doubles: the same file, or the same bytes under another name, is one part.
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
            "{doubles} of {count} pictures {}: each is a double of another one, and every picture counts once",
            form(doubles, "was left out", "were left out")
        ));
    }
    once
}

fn sources(listed: Vec<Listed>) -> Vec<Source> {
    listed.into_iter().map(|(source, _)| source).collect()
}

/// The pictures that the template was not built from; those it was are counted and left out, since
/// they would score too low.
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
            "{left_out} of {count} pictures {}: the template was built from {}",
            form(left_out, "was left out", "were left out"),
            form(left_out, "it", "them")
        ));
    }
    if fresh.is_empty() {
        return Err(Error::new(
            Kind::Image,
            "no fresh picture: the template was built from all of them",
        )
        .advise("take pictures of further good parts, or build with --false-reject"));
    }
    Ok(fresh)
}

/// A picture's score, and what tells whether another one shows the same exposure.
struct ScoredPicture {
    source: Source,
    score: f32,
    record: ImageRecord,
    look: Look,
}

/// The pictures that could be read with their scores, all cores, in their order. A map that holds no
/// numbers is rejected whatever its largest value: its score counts as no number.
fn scores(
    pipeline: &Pipeline,
    pictures: &[Source],
    args: &Args,
    console: &Console,
) -> Result<Vec<ScoredPicture>> {
    let bar = console.bar("scoring", pictures.len());
    let one = |source: &Source| -> Result<ScoredPicture> {
        let (picture, digest) = source.read()?;
        let found = picture.view().and_then(|view| pipeline.inspect(&view, &|| Duration::ZERO));
        let found = found.map_err(|e| e.within(source.path.display()))?;
        let Inspected { size: Size { width, height }, image, scored, .. } = found;
        let is_number = scored.blurred.iter().all(|v| !v.is_nan());
        Ok(ScoredPicture {
            source: source.clone(),
            score: if is_number { scored.score } else { f32::NAN },
            record: ImageRecord { name: source.name(), digest, width, height, score: f32::NAN },
            look: Look::new(&image),
        })
    };
    let counted = |source: &Source| {
        let scored = one(source);
        bar.inc(1);
        scored
    };
    let mut results: Vec<Result<ScoredPicture>> = Vec::with_capacity(pictures.len());
    for few in pictures.chunks(pipeline.pictures_at_once()) {
        results.par_extend(few.par_iter().map(counted));
    }
    bar.finish_and_clear();
    let (scores, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let failed: Vec<Error> = failed.into_iter().filter_map(Result::err).collect();
    if !failed.is_empty() && !args.skip_unreadable {
        return Err(Error::unreadable(&failed, pictures.len()));
    }
    failed.iter().for_each(|e| console.note(format!("skipped: {e}")));
    Ok(scores.into_iter().flatten().collect())
}

/// The first picture of every part: further pictures of the same exposure say nothing new about good parts.
fn one_of_each_part(scored: Vec<ScoredPicture>, console: &Console) -> Vec<(Source, f32)> {
    let records: Vec<ImageRecord> = scored.iter().map(|s| s.record.clone()).collect();
    let looks: Vec<Look> = scored.iter().map(|s| s.look.clone()).collect();
    let parts = exposures::find(&records, &looks).parts;
    let (count, left_out) = (scored.len(), scored.len() - parts.count());
    if left_out > 0 {
        console.note(format!(
            "{left_out} of {count} pictures {} the same exposure as others, and each part counts once",
            form(left_out, "was left out: it shows", "were left out: they show")
        ));
    }
    let is_first = |picture: &usize| parts.first.contains(picture);
    let numbered = scored.into_iter().enumerate();
    numbered.filter(|(i, _)| is_first(i)).map(|(_, s)| (s.source, s.score)).collect()
}

/// Every file once, in their order.
fn files(pictures: Vec<Source>) -> Vec<Source> {
    let mut seen = HashSet::new();
    let mut is_new = |picture: &Source| {
        let path = std::fs::canonicalize(&picture.path).unwrap_or_else(|_| picture.path.clone());
        seen.insert(path)
    };
    pictures.into_iter().filter(|picture| is_new(picture)).collect()
}
