//! `hetmm calibrate`: a threshold for a rate of false rejects, from good parts alone.

use crate::build::parse_rate;
use crate::console::Console;
use crate::dataset::TestPicture;
use crate::engine::EngineArgs;
use crate::figures::Outcome;
use crate::pictures;
use crate::report::{self, Calibration};
use hetmm::builder::calibration::{self, Threshold};
use hetmm::builder::{Source, too_few, unreadable};
use hetmm::inspection::Inspector;
use hetmm::metrics::auroc;
use hetmm::template::{Basis, Decision, HeaderV1, Settings, writer};
use hetmm::{Error, Result};
use rayon::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Set a template's threshold from fresh pictures of good parts
///
/// The pictures must be of good parts that the template was not built from, taken as on the line.
/// Defects, where known, are only counted: they never move a threshold.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm calibrate part.hetmm --images fresh/ --false-reject 0.5%
  hetmm calibrate part.hetmm --images fresh/ --false-reject 0.5% --review 3%
  hetmm calibrate part.hetmm --images fresh/ --defects known/ --report page.html
  hetmm calibrate part.hetmm --images fresh/ --defects known/ --dry-run")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Fresh pictures of good parts: folders or files
    #[arg(long, required = true, num_args = 1.., value_name = "GOOD")]
    images: Vec<PathBuf>,
    /// Pictures of known defects, to report how many would be missed
    #[arg(long, num_args = 1.., value_name = "BAD")]
    defects: Vec<PathBuf>,
    /// Good parts that may be rejected
    #[arg(long, value_parser = parse_rate, value_name = "RATE", default_value = "1%")]
    false_reject: f64,
    /// Good parts that may be rejected or sent to review: sets a second, lower threshold
    #[arg(long, value_parser = parse_rate, value_name = "RATE")]
    review: Option<f64>,
    /// Write here in place of the template itself
    #[arg(short, long, value_name = "T.hetmm")]
    output: Option<PathBuf>,
    /// Print what would be set and write nothing
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
    engine: EngineArgs,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    if args.review.is_some_and(|review| review <= args.false_reject) {
        return Err(Error::usage("--review must be above --false-reject").advise(
            "it is the rate of good parts rejected or reviewed, as in --false-reject 0.5% --review 3%",
        ));
    }
    let output = args.output.as_ref().unwrap_or(&args.template);
    let changes_in_place = !args.dry_run && *output == args.template;
    let _lock = changes_in_place.then(|| hetmm::files::lock(output)).transpose()?;
    let inspector =
        Inspector::open(&args.template, args.backbone.as_deref(), &args.engine.engine())?;
    let good = pictures::list(&args.images)?;
    let bad = pictures::list(&args.defects)?;
    let fresh = without_known(&inspector, &good, console)?;
    let scored_good = scores(&inspector, &fresh, args.skip_unreadable, console)?;
    let scored_bad = scores(&inspector, &bad, args.skip_unreadable, console)?;
    let only = |scored: &[(Source, f32)]| scored.iter().map(|(_, s)| *s).collect::<Vec<f32>>();
    let (good_scores, bad_scores) = (only(&scored_good), only(&scored_bad));
    let at = |rate| calibration::threshold(&good_scores, rate).map_err(|e| too_few(&e, rate));
    let threshold = at(args.false_reject)?;
    let review = args.review.map(at).transpose()?;
    let mut header = inspector.template().header().clone();
    header.calibration.threshold = threshold.score;
    header.calibration.pictures = good_scores.len() as u32;
    let decision = Decision {
        review: review.as_ref().map_or(threshold.score, |r| r.score),
        basis: Basis::FreshParts,
        false_reject: args.false_reject as f32,
        rank: threshold.rank as u32,
        interval: threshold.interval.map(|v| v as f32),
    };
    let ranks =
        good_scores.iter().map(|&s| (s, false)).chain(bad_scores.iter().map(|&s| (s, true)));
    let image_auroc = auroc(ranks);
    let missed = bad_scores.iter().filter(|&&s| s <= threshold.score).count();
    let reviewed =
        bad_scores.iter().filter(|&&s| s > decision.review && s <= threshold.score).count();
    if args.json {
        let figures = json!({
            "threshold": threshold.score, "review": decision.review, "pictures": threshold.pictures,
            "rank": threshold.rank, "false_reject": args.false_reject, "expected_rate": threshold.rate(),
            "interval": threshold.interval, "expected_per_10000": threshold.rate() * 1e4,
            "range_per_200": threshold.expected(200),
            "before": inspector.template().header().calibration.threshold,
            "defects": bad_scores.len(), "missed": missed, "missed_but_reviewed": reviewed,
            "image_auroc": image_auroc, "written": !args.dry_run,
        });
        println!("{figures:#}");
    } else {
        println!("{}", promise(&header, &decision));
        let [low, high] = threshold.expected(200);
        println!("Of the next 200 good parts {low} to {high} are rejected, in 95 % of the cases.");
        if !bad_scores.is_empty() {
            println!(
                "Of {} known defects {missed} would be missed{}{}.",
                bad_scores.len(),
                if args.review.is_some() {
                    format!(", {reviewed} of them sent to review")
                } else {
                    String::new()
                },
                image_auroc
                    .map_or_else(String::new, |a| format!(" (image AUROC {:.2} %)", 100.0 * a))
            );
        }
    }
    if !args.dry_run {
        let rules = inspector.template().settings().rules.clone();
        let settings = Settings { decision: Some(decision.clone()), rules };
        let zones = inspector.template().zones();
        writer::rewrite(output, inspector.template(), header.clone(), settings, zones)?;
        console.note(format!("{}: threshold {:.4}", output.display(), threshold.score));
    }
    if let Some(page) = &args.report {
        let calibrated = Calibrated { header, decision, threshold, review };
        write_report(args, page, &inspector, calibrated, (scored_good, scored_bad))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The thresholds, as numbers and as a template has them.
struct Calibrated {
    header: HeaderV1,
    decision: Decision,
    threshold: Threshold,
    review: Option<Threshold>,
}

/// Pictures and their scores.
type Scores = Vec<(Source, f32)>;

/// Writes the page, from an inspector with the new thresholds: after a dry run that of a file which
/// goes again.
fn write_report(
    args: &Args,
    page: &Path,
    old: &Inspector,
    new: Calibrated,
    (good, bad): (Scores, Scores),
) -> Result<()> {
    let written = args.output.as_ref().unwrap_or(&args.template);
    let scratch;
    let (described, opened) = if args.dry_run {
        let failed = |e| Error::io(&std::env::temp_dir(), "a folder cannot be made in it", &e);
        scratch = tempfile::tempdir().map_err(failed)?;
        let path = scratch.path().join("dry-run.hetmm");
        let rules = old.template().settings().rules.clone();
        let settings = Settings { decision: Some(new.decision), rules };
        writer::rewrite(&path, old.template(), new.header, settings, old.template().zones())?;
        (&args.template, path)
    } else {
        (written, written.clone())
    };
    let inspector = Inspector::open(&opened, args.backbone.as_deref(), &args.engine.engine())?;
    let outcome = |(source, score): (Source, f32), defect: Option<String>| Outcome {
        verdict: inspector.thresholds().verdict(score),
        picture: TestPicture { source, defect, mask: None },
        score,
    };
    let outcomes = good
        .into_iter()
        .map(|scored| outcome(scored, None))
        .chain(bad.into_iter().map(|scored| {
            let kind = kind_of(&scored.0);
            outcome(scored, Some(kind))
        }))
        .collect();
    let before = old.template().header().calibration.threshold;
    let old_review = old.template().decision().map(|d| d.review).filter(|r| *r < before);
    let found = Calibration {
        outcomes,
        asked: (args.false_reject, args.review),
        threshold: new.threshold,
        review: new.review,
        before: (before, old_review),
        written: !args.dry_run,
    };
    let text = report::calibration(&inspector, described, &found)?;
    hetmm::files::write_whole(page, text.as_bytes())
}

/// What a known defect is called: as the folder that it lies in.
fn kind_of(source: &Source) -> String {
    let folder = source.path.parent().and_then(Path::file_name);
    folder.map_or_else(|| "defect".into(), |name| name.to_string_lossy().into_owned())
}

/// What a threshold promises, for people.
pub fn promise(header: &HeaderV1, decision: &Decision) -> String {
    let n = header.calibration.pictures;
    let rate = f64::from(decision.rank) / f64::from(n + 1);
    let [low, high] = decision.interval.map(|v| 100.0 * f64::from(v));
    let review = if decision.review < header.calibration.threshold {
        format!(", review from {:.4}", decision.review)
    } else {
        String::new()
    };
    format!(
        "Threshold {:.4}{review}: asked for {:.3} % false rejects, from {n} good parts ({}).\n\
         Expect {:.0} of 10,000 good parts rejected; the true rate lies between {low:.2} and {high:.2} % \
         (95 %).",
        header.calibration.threshold,
        100.0 * decision.false_reject,
        decision.basis,
        1e4 * rate,
    )
}

/// The pictures that the template was not built from; those it was are named and left out, since
/// they would score too low.
fn without_known(
    inspector: &Inspector,
    pictures: &[Source],
    console: &Console,
) -> Result<Vec<Source>> {
    let known: std::collections::HashSet<[u8; 32]> =
        inspector.template().header().build.images.iter().map(|i| i.digest).collect();
    let mut fresh = Vec::new();
    for picture in pictures {
        let bytes = hetmm::image::load(&picture.path);
        match bytes {
            Ok(bytes) if known.contains(blake3::hash(&bytes).as_bytes()) => {}
            _ => fresh.push(picture.clone()),
        }
    }
    let left_out = pictures.len() - fresh.len();
    if left_out > 0 {
        console.note(format!(
            "{left_out} of {} pictures were left out: the template was built from them",
            pictures.len()
        ));
    }
    if fresh.is_empty() {
        return Err(Error::new(
            hetmm::error::Kind::Image,
            "no fresh picture: the template was built from all of them",
        )
        .advise("take pictures of further good parts, or build with --false-reject"));
    }
    Ok(fresh)
}

/// The pictures that could be read with their scores, all cores, in their order.
fn scores(
    inspector: &Inspector,
    pictures: &[Source],
    skip_unreadable: bool,
    console: &Console,
) -> Result<Vec<(Source, f32)>> {
    let bar = console.bar("scoring", pictures.len());
    let results: Vec<Result<(Source, f32)>> = pictures
        .par_iter()
        .map(|picture| {
            let score = hetmm::image::read(&picture.path)
                .and_then(|p| inspector.prepare(&p).map_err(|e| e.within(picture.path.display())))
                .and_then(|image| inspector.run(&image));
            bar.inc(1);
            Ok((picture.clone(), score?.score))
        })
        .collect();
    bar.finish_and_clear();
    let (scores, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let failed: Vec<Error> = failed.into_iter().filter_map(Result::err).collect();
    if !failed.is_empty() && !skip_unreadable {
        return Err(unreadable(&failed, pictures.len()));
    }
    failed.iter().for_each(|e| console.note(format!("skipped: {e}")));
    Ok(scores.into_iter().flatten().collect())
}
