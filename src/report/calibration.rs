//! The report of a calibration: where the threshold lies among the scores of fresh good parts, what it guarantees, and
//! which thresholds other rates give.

use super::charts::Level;
use super::lines::{Line, Lines, Ticks};
use super::page::{Section, data, document};
use super::{charts, lines, pictures, series, tables, template};
use crate::Result;
use crate::builder::calibration::{self, Threshold};
use crate::evaluation::{Figures, Outcome, operating_curve};
use crate::inspection::Pipeline;
use crate::template::Template;
use crate::wording::percent;
use maud::{Markup, html};
use std::path::Path;

/// What a calibration found.
pub struct Calibration {
    /// Fresh good parts and known defects, with the verdicts of the new thresholds.
    pub outcomes: Vec<Outcome>,
    /// The rates that were asked for: of false rejects, and of review if that was asked for.
    pub asked: (f64, Option<f64>),
    /// The threshold for the first rate.
    pub threshold: Threshold,
    /// The threshold for the second rate.
    pub review: Option<Threshold>,
    /// The threshold before, and the review threshold before if there was one.
    pub before: (f32, Option<f32>),
    /// Whether the template has been written.
    pub written: bool,
}

impl Calibration {
    /// The number of good parts that score above `threshold`, whatever their verdict is.
    pub fn good_above(&self, threshold: f32) -> usize {
        let good = self.outcomes.iter().filter(|o| o.picture.defect.is_none());
        // A score that is not a number counts as above every threshold.
        good.filter(|o| o.score.is_nan() || o.score > threshold).count()
    }
}

/// Rates in the table of other rates, if there are enough pictures to guarantee them.
const RATES: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];
/// The number of further parts for which a range of rejects is stated.
const NEXT: usize = 200;

/// The report. `pipeline` has the new thresholds, and `template` is the file to describe.
pub fn calibration(pipeline: &Pipeline, template: &Path, found: &Calibration) -> Result<String> {
    let levels = super::levels(pipeline);
    let figures = Figures::new(&found.outcomes, None, None, found.threshold.score, &[]);
    let mut sections = vec![
        Section {
            id: "promise",
            title: "What is guaranteed",
            body: promise(found, pipeline.template(), &figures),
        },
        Section { id: "scores", title: "Scores", body: scores(found, &levels) },
        Section {
            id: "choice",
            title: "The choice of the threshold",
            body: super::operating::operating(
                &operating_curve(&found.outcomes),
                &with_old(found, &levels),
                pipeline.template().settings().rules.is_some(),
            ),
        },
        Section { id: "rates", title: "Other rates", body: rates(found) },
        Section {
            id: "decisions",
            title: "Decisions",
            body: tables::decisions(&figures, &found.outcomes, &levels),
        },
        Section {
            id: "pictures",
            title: "Pictures",
            body: pictures(pipeline, &found.outcomes, &levels)?,
        },
    ];
    sections.push(Section {
        id: "template",
        title: "Template",
        body: template::facts(pipeline, template)?,
    });
    let name = template.file_name().unwrap_or(template.as_os_str()).to_string_lossy();
    let lead = html! {
        p {
            "Template " code { (name) } " with " (data("good", figures.good, figures.good)) " fresh pictures of good parts"
            @if figures.defective > 0 {
                " and " (data("defects", figures.defective, figures.defective)) " pictures of known defects, which are only counted and never change the threshold"
            }
            "."
            @if !found.written { " This was a dry run: the file was not changed, and the digest below is that of the unchanged file." }
        }
        (tiles(found, &figures))
    };
    Ok(document(&format!("Calibration of {name}"), &lead, &sections))
}

fn tiles(found: &Calibration, figures: &Figures) -> Markup {
    let tile = |name: &str, value: Markup, note: String| {
        html! { div { dt { (name) } dd { (value) small { (note) } } } }
    };
    let score = |id: &str, score: f32| data(id, score, format!("{score:.4}"));
    let t = &found.threshold;
    html! {
        dl.tiles {
            (tile("Threshold", score("threshold", t.score), format!("before: {:.4}", found.before.0)))
            @if let Some(review) = &found.review {
                (tile("Review threshold", score("review", review.score), match found.before.1 {
                    Some(before) => format!("before: {before:.4}"),
                    None => "before: none".into(),
                }))
            }
            (tile("False rejects asked for", data("asked", found.asked.0, short(found.asked.0)), format!("rank {} of {}", t.rank, t.pictures)))
            (tile("Expected in 10,000", data("expected", 1e4 * t.rate(), format!("{:.0}", 1e4 * t.rate())), "good parts rejected".into()))
            (tile("True rate, 95 % confidence", html! { (between(t.interval)) }, "of good parts".into()))
            @if figures.defective > 0 {
                (tile("Defects missed", data("missed", figures.missed, figures.missed), match found.review {
                    Some(_) => format!("of {}, and {} reviewed", figures.defective, figures.reviewed),
                    None => format!("of {}", figures.defective),
                }))
            }
        }
    }
}

fn promise(found: &Calibration, template: &Template, figures: &Figures) -> Markup {
    let t = &found.threshold;
    let [low, high] = t.expected(NEXT);
    html! {
        p {
            "You asked that at most " strong { (short(found.asked.0)) } " of good parts are rejected. With "
            (t.pictures) " fresh good parts, the threshold for this is the " strong { (ordinal(t.rank)) } " largest of their scores, "
            strong { (format!("{:.4}", t.score)) } ". The next good part, made and photographed like these, scores above it with a probability of "
            (t.rank) " in " (t.pictures + 1) ". This holds for any distribution of the scores. Expect "
            strong { (format!("{:.0}", 1e4 * t.rate())) } " rejected of 10,000 good parts."
        }
        p {
            (t.pictures) " parts are a sample. The true rate of this threshold lies between "
            strong { (between(t.interval)) } " in 95 % of all such samples. In 95 % of the cases, "
            strong { (data("range-low", low, low)) " to " (data("range-high", high, high)) } " of the next " (NEXT) " good parts are rejected."
        }
        @if let (Some(rate), Some(review)) = (found.asked.1, &found.review) {
            @let [low, high] = review.expected(NEXT);
            p {
                "The review threshold is the " (ordinal(review.rank)) " largest score, " strong { (format!("{:.4}", review.score)) }
                ". At most " (short(rate)) " of good parts are rejected or reviewed: expect "
                (format!("{:.0}", 1e4 * review.rate())) " of 10,000. The true rate is " (between(review.interval)) ", and "
                (low) " to " (high) " of the next " (NEXT) " good parts are rejected or reviewed."
            }
        }
        @if template.settings().rules.is_some() {
            p {
                (crate::describe::threshold::ABOUT_THE_SCORE) " With these rules, "
                strong { (data("rejected", figures.false_rejects, figures.false_rejects)) " of the " (figures.good) }
                " good parts are rejected. " (found.good_above(t.score)) " score above the threshold. Verdicts and missed defects on "
                "this page include the rules. Scores and rates do not."
            }
        }
        p.note {
            "This holds only for parts like the fresh ones. After a change of lighting, camera or batch, calibrate again with fresh "
            "parts. It says nothing about how many defects the template finds."
        }
    }
}

fn scores(found: &Calibration, levels: &[Level]) -> Markup {
    let all = series(&found.outcomes);
    let shown = with_old(found, levels);
    html! {
        p {
            "The axis is linear near 0 and logarithmic beyond. The height of a bar is the square root of its count. A threshold never "
            "changes a score."
        }
        div.charts.two {
            figure { (charts::histogram(&all, &shown)) figcaption { "Number of pictures by score, with the new and the old thresholds." } }
            figure {
                (charts::strips(&all, &shown))
                figcaption { "Every picture, by kind. Hold the pointer over a tick for its name." }
            }
        }
        details { summary { "All " (found.outcomes.len()) " pictures, highest score first" } (tables::all(&found.outcomes)) }
    }
}

/// The thresholds, and those from before if they differ, the lowest first.
fn with_old<'a>(found: &Calibration, levels: &[Level<'a>]) -> Vec<Level<'a>> {
    let mut shown: Vec<Level> = levels.to_vec();
    let differs = |old: f32| levels.iter().all(|(_, new)| *new != old);
    shown.extend(found.before.1.filter(|r| differs(*r)).map(|r| ("old review", r)));
    shown.extend(Some(found.before.0).filter(|t| differs(*t)).map(|t| ("old ng", t)));
    shown.sort_by(|a, b| a.1.total_cmp(&b.1));
    shown
}

/// The threshold at every rank that is worth drawing, with the interval of its true rate.
fn curve_of_ranks(found: &Calibration, good: &[f32]) -> Line {
    let n = good.len();
    let ranks = found.review.as_ref().map_or(0, |r| r.rank).max(found.threshold.rank);
    let last = (3 * ranks).max(n / 10).max(20).min(n);
    let at_rank = |k: usize| calibration::threshold(good, k as f64 / (n + 1) as f64).ok();
    let drawn: Vec<Threshold> =
        (1..=last).filter_map(at_rank).filter(|t| t.score.is_finite()).collect();
    Line {
        name: "threshold".into(),
        points: drawn.iter().map(|t| (t.rate(), f64::from(t.score))).collect(),
        area: (drawn.iter().map(|t| (t.interval[0], f64::from(t.score))))
            .chain(drawn.iter().rev().map(|t| (t.interval[1], f64::from(t.score))))
            .collect(),
    }
}

/// The thresholds for usual rates and for those that were asked for, the lowest rate first.
fn rows_of_rates(found: &Calibration, good: &[f32]) -> Vec<(f64, Threshold)> {
    let mut rows: Vec<(f64, Threshold)> = RATES
        .into_iter()
        .filter(|rate| {
            let asked = [Some(found.asked.0), found.asked.1];
            asked.iter().flatten().all(|a| (a / rate - 1.0).abs() > 1e-9)
        })
        .filter_map(|rate| Some((rate, calibration::threshold(good, rate).ok()?)))
        .chain([(found.asked.0, found.threshold.clone())])
        .chain(found.asked.1.zip(found.review.clone()))
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows
}

/// Thresholds for other rates, as a chart and as a table.
fn rates(found: &Calibration) -> Markup {
    let of = |bad: bool| -> Vec<f32> {
        let kind = found.outcomes.iter().filter(|o| o.picture.defect.is_some() == bad);
        kind.map(|o| o.score).collect()
    };
    let (good, bad) = (of(false), of(true));
    let n = good.len();
    let curve = curve_of_ranks(found, &good);
    let marks = [("ng", Some(&found.threshold)), ("review", found.review.as_ref())];
    let rows = rows_of_rates(found, &good);
    html! {
        p {
            "Each rank of the sorted scores gives a threshold and its rate. The line shows them. The area is the 95 % interval of the "
            "true rate, which is narrower with more fresh parts. The smallest rate that " (n) " parts can guarantee is "
            (percent(Some(1.0 / (n + 1) as f64))) "."
        }
        div.charts {
            figure {
                (lines::lines(&Lines {
                    description: format!("Threshold against the rate of false rejects, from {n} scores. The table has the numbers."),
                    x_label: "good parts rejected",
                    y_label: "threshold",
                    x_ticks: Ticks::PercentRatios,
                    y_ticks: Ticks::Numbers,
                    lines: &[curve],
                    points: false,
                    marks: marks
                        .iter()
                        .filter_map(|(name, t)| t.map(|t| (name.to_string(), (t.rate(), f64::from(t.score)))))
                        .collect(),
                }))
                figcaption { "Sorted scores of the good parts against their rank, divided by " (n + 1) "." }
            }
            div.wide {
                table id="other-rates" {
                    caption { "Thresholds for other rates. The rates that you asked for are bold." }
                    thead { tr {
                        th.n scope="col" { "Rate" } th.n scope="col" { "Rank" } th.n scope="col" { "Threshold" }
                        th.n scope="col" { "In 10,000" } th.n scope="col" { "True rate, 95 % confidence" } th.n scope="col" { "Of the next " (NEXT) }
                        @if !bad.is_empty() { th.n scope="col" { "Defects score below" } }
                    } }
                    tbody {
                        @for (rate, t) in &rows {
                            @let asked = *rate == found.asked.0 || Some(*rate) == found.asked.1;
                            @let [low, high] = t.expected(NEXT);
                            tr.asked[asked] {
                                th.n scope="row" { @if asked { strong { (short(*rate)) } } @else { (short(*rate)) } }
                                td.n { (t.rank) } td.n { (format!("{:.4}", t.score)) }
                                td.n { (format!("{:.0}", 1e4 * t.rate())) } td.n { (between(t.interval)) }
                                td.n { (low) " to " (high) }
                                @if !bad.is_empty() { td.n { (bad.iter().filter(|s| **s <= t.score).count()) " of " (bad.len()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn between([low, high]: [f64; 2]) -> String {
    format!("{:.2} to {:.2} %", 100.0 * low, 100.0 * high)
}

/// A rate in percent, without zeros at its end.
fn short(rate: f64) -> String {
    let text = format!("{:.3}", 100.0 * rate);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn ordinal(rank: usize) -> String {
    let ending = match (rank % 10, rank % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{rank}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        for (rank, want) in
            [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (22, "22nd"), (113, "113th")]
        {
            assert_eq!(ordinal(rank), want);
        }
        for (rate, want) in [(0.01, "1 %"), (0.005, "0.5 %"), (0.1, "10 %"), (0.00125, "0.125 %")] {
            assert_eq!(short(rate), want);
        }
    }
}
