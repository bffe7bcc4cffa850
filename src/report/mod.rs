//! This module writes reports: HTML files that need no network and no script, with pictures and charts inside.
//!
//! [`document`] is the frame of every report. Charts, galleries and the section about the template are functions of
//! their own, so that several reports can use them. Numbers stand in `data` elements with the full number as their
//! value, so that programs can read a report, too.

mod audit;
mod axis;
mod calibration;
mod charts;
mod gallery;
pub mod lines;
mod operating;
mod outline;
pub mod page;
mod pod;
mod sensitivity;
mod tables;
mod template;

pub use audit::audit;
pub use calibration::{Calibration, calibration};
pub use sensitivity::{Sensitivity, sensitivity};

use crate::Result;
use crate::evaluation::{Evaluation, Figures, Outcome};
use crate::inspection::Pipeline;
use crate::metrics::Point;
use crate::scoring::Verdict;
use crate::wording::{counted, form, percent};
use charts::{Curve, Level, Series};
use maud::{Markup, html};
pub use page::FORMAT;

use page::{Section, data, data_percent, document};
use std::path::Path;

/// The number of good pictures with the highest scores that are shown, and of defective ones with the lowest scores.
const HARDEST: usize = 12;
/// The largest number of kinds of which a typical picture is shown.
const KINDS: usize = 8;

/// One line of advice: what it says, and the command that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdviceLine {
    /// What it says.
    pub words: String,
    /// The command to type.
    pub command: Option<String>,
}

/// The report of an evaluation of the template at `template` on the data set at `dataset`, with `advice` for its
/// reader.
pub fn evaluation(
    pipeline: &Pipeline,
    template: &Path,
    dataset: &Path,
    evaluation: &Evaluation,
    advice: &[AdviceLine],
) -> Result<String> {
    let levels = levels(pipeline);
    let outcomes = &evaluation.outcomes;
    let has_rules = pipeline.template().settings().rules.is_some();
    let sections = [
        Section {
            id: "choice",
            title: "The choice of the threshold",
            body: operating::operating(&evaluation.curve, &levels, has_rules),
        },
        Section {
            id: "decisions",
            title: "Decisions",
            body: tables::decisions(&evaluation.figures, outcomes, &levels),
        },
        Section { id: "scores", title: "Scores", body: scores(outcomes, &levels) },
        Section {
            id: "curves",
            title: "Curves",
            body: curve_figures(pipeline, evaluation, &levels),
        },
        Section { id: "pictures", title: "Pictures", body: pictures(pipeline, outcomes, &levels)? },
        Section { id: "time", title: "Time", body: tables::times(&evaluation.times) },
        Section { id: "template", title: "Template", body: template::facts(pipeline, template)? },
    ];
    let figures = &evaluation.figures;
    let set = dataset.file_name().unwrap_or(dataset.as_os_str()).to_string_lossy();
    let lead = html! {
        p {
            "Template " code { (template.file_name().unwrap_or_default().to_string_lossy()) }
            " on the data set " code { (set) } ": "
            (data("images", figures.images, figures.images)) (form(figures.images, " picture, ", " pictures, "))
            (data("good", figures.good, figures.good)) " good and "
            (data("defective", figures.defective, figures.defective)) " defective."
        }
        (tiles(figures))
        (advice_box(evaluation, advice))
        (words())
    };
    Ok(document(&format!("Evaluation of {set}"), &lead, &sections))
}

/// The thresholds of a template, the lowest first: for review, if there is one, and for rejection.
pub fn levels(pipeline: &Pipeline) -> Vec<Level<'static>> {
    let threshold = pipeline.template().header().calibration.threshold;
    let review = pipeline.template().decision().map(|d| d.review).filter(|r| *r < threshold);
    review.map(|r| ("review", r)).into_iter().chain([("ng", threshold)]).collect()
}

fn tiles(f: &Figures) -> Markup {
    let of = |count: usize, all: usize| match all {
        0 => "none tested".to_string(),
        _ => format!("of {all}, {:.1} %", 100.0 * count as f64 / all as f64),
    };
    let masked = |value: Option<f64>, note: &str| match value {
        Some(_) => note.to_string(),
        None => "no masks given".into(),
    };
    let both = match f.image_auroc {
        Some(_) => "chance gives 50 %",
        None => "needs good and defective pictures",
    };
    let tile = |name: &str, value: Markup, note: String| {
        html! { div { dt { (name) } dd { (value) small { (note) } } } }
    };
    html! {
        dl.tiles {
            (tile("Image AUROC", data_percent("image_auroc", f.image_auroc), both.into()))
            (tile("Good rejected", data("false_rejects", f.false_rejects, f.false_rejects), of(f.false_rejects, f.good)))
            (tile("Defects missed", data("missed", f.missed, f.missed), of(f.missed, f.defective)))
            (tile("Pixel AUROC", data_percent("pixel_auroc", f.pixel_auroc), masked(f.pixel_auroc, "pixel by pixel")))
            (tile("AUPRO to 30 %", data_percent("aupro30", f.aupro30), masked(f.aupro30, "overlap with regions")))
            (tile("Threshold", data("threshold", f.threshold, format!("{:.4}", f.threshold)), "a picture above it is rejected".into()))
            (tile("Time per picture", html! { (data("total_p50", f.timing_ms.total_p50, format!("{:.1}", f.timing_ms.total_p50))) " ms" },
                format!("median; p99 {:.1} ms", f.timing_ms.total_p99)))
        }
    }
}

fn scores(outcomes: &[Outcome], levels: &[Level]) -> Markup {
    let series = series(outcomes);
    let left_out = outcomes.iter().filter(|o| !o.score.is_finite()).count();
    html! {
        p {
            "The higher the score, the more a picture differs from the good ones. The axis is linear near 0 and logarithmic beyond. "
            "The height of a bar is the square root of its count, so that a single picture can be seen."
        }
        @if left_out > 0 {
            p { (counted(left_out, "picture")) (form(left_out, " has no finite score and is", " have no finite score and are")) " not shown." }
        }
        div.charts.two {
            figure { (charts::histogram(&series, levels)) figcaption { "Number of pictures by score, good above defective." } }
            figure {
                (charts::strips(&series, levels))
                figcaption { "Every picture, by kind. Hold the pointer over a tick for its name." }
            }
        }
        details { summary { "All " (outcomes.len()) " pictures, highest score first" } (tables::all(outcomes)) }
    }
}

/// Good pictures first, then every kind of defect.
fn series(outcomes: &[Outcome]) -> Vec<Series> {
    let mut kinds: Vec<Option<&str>> =
        outcomes.iter().map(|o| o.picture.defect.as_deref()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
        .into_iter()
        .map(|kind| Series {
            name: kind.unwrap_or("good").to_string(),
            defective: kind.is_some(),
            pictures: outcomes
                .iter()
                .filter(|o| o.picture.defect.as_deref() == kind)
                .map(|o| (o.score, o.picture.source.name()))
                .collect(),
        })
        .collect()
}

fn curve_figures(pipeline: &Pipeline, evaluation: &Evaluation, levels: &[Level]) -> Markup {
    let scored: Vec<(f32, bool)> =
        evaluation.outcomes.iter().map(|o| (o.score, o.picture.defect.is_some())).collect();
    let Some(vertices) = crate::metrics::vertices(&scored) else {
        return html! { p { "Curves need good and defective pictures, but this data set has only one of the two." } };
    };
    let figures = &evaluation.figures;
    let points: Vec<_> = levels
        .iter()
        .map(|(name, value)| (*name, crate::metrics::operating_point(&scored, *value)))
        .collect();
    let roc: Vec<(f64, f64)> = vertices.iter().map(|p| (p.false_rejects, p.found)).collect();
    let pr: Vec<(f64, f64)> = vertices.iter().map(|p| (p.found, p.precision)).collect();
    let average = crate::metrics::average_precision(&vertices);
    let share = figures.defective as f64 / figures.images.max(1) as f64;
    html! {
        p {
            "The curves and their points use the score alone. The points are the thresholds of the template."
            @if pipeline.template().settings().rules.is_some() {
                " Its region rules decide, too: the counts of rejected and missed pictures on this page are by verdict."
            }
        }
        div.charts.three {
            (roc_figure(figures, &roc, &points))
            (pr_figure(&pr, (average, share), &points))
            @if !evaluation.pro.is_empty() { (pro_figure(evaluation)) }
        }
    }
}

fn roc_figure(figures: &Figures, roc: &[(f64, f64)], points: &[(&str, Point)]) -> Markup {
    html! {
        figure {
            h3 { "Receiver operating characteristic" }
            (charts::curve(&Curve {
                description: format!("Defective pictures above a score against good ones above it, area {}", percent(figures.image_auroc)),
                x_label: "good pictures above a score",
                y_label: "defective pictures above it",
                x_to: 1.0,
                points: roc,
                steps: false,
                chance: Some([(0.0, 0.0), (1.0, 1.0)]),
                marks: points.iter().map(|(n, p)| (n.to_string(), (p.false_rejects, p.found))).collect(),
            }))
            figcaption {
                "Area (image AUROC) " (percent(figures.image_auroc)) "."
                @for (name, p) in points {
                    " Score above " (name) ": " (percent(Some(p.false_rejects))) " of the good pictures and " (percent(Some(p.found)))
                    " of the defective ones."
                }
            }
        }
    }
}

fn pr_figure(pr: &[(f64, f64)], (average, share): (f64, f64), points: &[(&str, Point)]) -> Markup {
    html! {
        figure {
            h3 { "Precision and recall" }
            (charts::curve(&Curve {
                description: format!("Precision against recall, average precision {}", percent(Some(average))),
                x_label: "recall: defective pictures above a score",
                y_label: "precision",
                x_to: 1.0,
                points: pr,
                steps: true,
                chance: Some([(0.0, share), (1.0, share)]),
                marks: points.iter().map(|(n, p)| (n.to_string(), (p.found, p.precision))).collect(),
            }))
            figcaption {
                "Average precision " (data("average_precision", average, percent(Some(average)))) "."
                @for (name, p) in points {
                    " Score above " (name) ": " (percent(Some(p.precision))) " of the pictures are defective."
                }
                " In the whole set it is " (percent(Some(share))) " (dotted line)."
            }
        }
    }
}

fn pro_figure(evaluation: &Evaluation) -> Markup {
    let figures = &evaluation.figures;
    html! {
        figure {
            h3 { "Per-region overlap" }
            (charts::curve(&Curve {
                description: format!("Mean overlap with the regions of defects against good pixels marked by mistake, area {}", percent(figures.aupro30)),
                x_label: "good pixels marked by mistake",
                y_label: "mean overlap with regions",
                x_to: 0.3,
                points: &evaluation.pro,
                steps: false,
                chance: Some([(0.0, 0.0), (0.3, 0.3)]),
                marks: Vec::new(),
            }))
            figcaption {
                "Area to 30 % (AUPRO) " (percent(figures.aupro30)) ", pixel AUROC " (percent(figures.pixel_auroc))
                ", from the pictures with masks and all good ones."
            }
        }
    }
}

fn pictures(pipeline: &Pipeline, outcomes: &[Outcome], levels: &[Level]) -> Result<Markup> {
    let mut good: Vec<&Outcome> = outcomes.iter().filter(|o| o.picture.defect.is_none()).collect();
    let mut bad: Vec<&Outcome> = outcomes.iter().filter(|o| o.picture.defect.is_some()).collect();
    good.sort_by(|a, b| b.score.total_cmp(&a.score));
    bad.sort_by(|a, b| a.score.total_cmp(&b.score));
    let hardest = |id: &str, all: &[&Outcome]| {
        gallery::gallery(pipeline, levels, id, &all[..all.len().min(HARDEST)])
    };
    let masks = outcomes.iter().any(|o| o.picture.mask.is_some());
    let typical = typical(outcomes);
    let rejected = good.iter().filter(|o| o.verdict == Verdict::Ng).count();
    let missed = bad.iter().filter(|o| o.verdict == Verdict::Ok).count();
    let (good_cards, bad_cards) = (hardest("good", &good)?, hardest("bad", &bad)?);
    Ok(html! {
        p {
            "Each picture stands beside its heat map. Open one to see it in full. "
            span.key.found {} " encloses what lies above the threshold"
            @if masks { ", and " span.key.truth {} " encloses the defect as the data set marks it" }
            ". A colour means the same value in all pictures of this template:"
        }
        (gallery::colour_bar(crate::heatmap::Scale::of(pipeline.template().header()), levels))
        h3 id="typical" { "Typical pictures" }
        p.note { "The picture with the median score of each kind." }
        (gallery::gallery(pipeline, levels, "typical", &typical)?)
        @if !good.is_empty() {
            h3 id="worst-good" { "Good pictures with the highest scores" }
            p.note { "The highest score comes first. " (rejected) " of " (good.len()) (form(good.len(), " picture ", " pictures ")) (form(rejected, "is", "are")) " rejected." }
            (good_cards)
        }
        @if !bad.is_empty() {
            h3 id="hidden-bad" { "Defective pictures with the lowest scores" }
            p.note { "The lowest score comes first. " (missed) " of " (bad.len()) (form(bad.len(), " picture ", " pictures ")) (form(missed, "passes", "pass")) "." }
            (bad_cards)
        }
    })
}

/// What the results mean and what to try next.
fn advice_box(evaluation: &Evaluation, lines: &[AdviceLine]) -> Markup {
    html! {
        @if !lines.is_empty() {
            div.advice data-advice=(evaluation.advice.name()) {
                @for line in lines {
                    p { (line.words) @if let Some(command) = &line.command { " " code { (command) } } }
                }
            }
        }
    }
}

/// The words of the report, for readers who do not know them.
fn words() -> Markup {
    const WORDS: [(&str, &str); 7] = [
        (
            "score",
            "How much a picture differs from the good ones, at its worst place. With default options a fresh good part scores about 1.",
        ),
        (
            "threshold",
            "A picture with a higher score is rejected (ng). If the template has region rules, they decide, too.",
        ),
        (
            "ok, review, ng",
            "The verdict. The part passes (ok), a person should look at it (review), or it is rejected (ng, not good).",
        ),
        (
            "image AUROC",
            "The share of all pairs of a defective and a good picture in which the defective one has the higher score. 100 % is a perfect ranking, 50 % is chance. No threshold changes it.",
        ),
        ("pixel AUROC", "The same for single pixels inside and outside the marked defects."),
        (
            "AUPRO",
            "How well the heat map covers the marked defects, while at most 30 % of the good pixels are marked by mistake.",
        ),
        ("caught", "The share of defective pictures that a threshold rejects."),
    ];
    html! {
        details.words {
            summary { "What the words mean" }
            dl.facts { @for (word, meaning) in WORDS { dt { (word) } dd { (meaning) } } }
        }
    }
}

/// The picture with the median score of each kind, good first.
fn typical(outcomes: &[Outcome]) -> Vec<&Outcome> {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted
        .sort_by(|a, b| a.picture.defect.cmp(&b.picture.defect).then(a.score.total_cmp(&b.score)));
    sorted
        .chunk_by(|a, b| a.picture.defect == b.picture.defect)
        .filter_map(|kind| kind.get(kind.len() / 2).copied())
        .take(KINDS)
        .collect()
}
