//! Tables of an evaluation.

use super::charts::Level;
use super::gallery::badge;
use super::page::data;
use crate::evaluation::{Figures, Outcome};
use crate::inspection::Timing;
use crate::metrics::quantile;
use crate::scoring::Verdict;
use crate::wording::percent;
use maud::{Markup, html};

/// The confusion matrix, and a row for each kind of defect.
pub fn decisions(figures: &Figures, outcomes: &[Outcome], levels: &[Level]) -> Markup {
    html! {
        div.columns {
            (confusion(outcomes, levels.len() > 1))
            @if !figures.per_defect.is_empty() { (by_defect(figures, outcomes)) }
        }
    }
}

fn confusion(outcomes: &[Outcome], review: bool) -> Markup {
    const VERDICTS: [(Verdict, &str); 3] =
        [(Verdict::Ok, "ok"), (Verdict::Review, "review"), (Verdict::Ng, "ng")];
    let count = |bad: bool, verdict: Option<Verdict>| {
        let of = |o: &&Outcome| {
            o.picture.defect.is_some() == bad && verdict.is_none_or(|v| v == o.verdict)
        };
        outcomes.iter().filter(of).count()
    };
    let class = |bad: bool, verdict: Verdict| match (bad, verdict) {
        (_, Verdict::Review) => "review",
        (true, Verdict::Ng) | (false, Verdict::Ok) => "right",
        _ => "wrong",
    };
    html! {
        div {
            h3 { "Verdicts" }
            div.wide {
                table.matrix {
                    caption { "Kind of picture and verdict of the template" }
                    thead { tr { td {} @for (_, name) in VERDICTS { th.n scope="col" { (name) } } } }
                    tbody {
                        @for (bad, name) in [(false, "good"), (true, "defective")] {
                            @let all = count(bad, None);
                            tr {
                                th scope="row" { (name) }
                                @for (verdict, word) in VERDICTS {
                                    @let n = count(bad, Some(verdict));
                                    td.(if n > 0 { class(bad, verdict) } else { "none" }) {
                                        strong { (data(&format!("{name}-{word}"), n, n)) }
                                        @if all > 0 { (format!("{:.1} %", 100.0 * n as f64 / all as f64)) } @else { "-" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if !review { p.note { "The template has no review threshold." } }
        }
    }
}

fn by_defect(figures: &Figures, outcomes: &[Outcome]) -> Markup {
    let median = |kind: Option<&str>| {
        let scores: Vec<f64> = (outcomes.iter())
            .filter(|o| o.picture.defect.as_deref() == kind)
            .map(|o| f64::from(o.score))
            .collect();
        quantile(&scores, 0.5)
    };
    html! {
        div {
            h3 { "By defect" }
            div.wide {
                table {
                    caption { "Each kind of defect, compared with all good pictures" }
                    thead { tr {
                        th scope="col" { "Kind" } th.n scope="col" { "Pictures" } th.n scope="col" { "Image AUROC" }
                        th.n scope="col" { "Missed" } th.n scope="col" { "Median score" }
                    } }
                    tbody {
                        @if figures.good > 0 {
                            tr {
                                th scope="row" { "good" } td.n { (figures.good) } td.n { "-" } td.n { "-" }
                                td.n { (format!("{:.4}", median(None))) }
                            }
                        }
                        @for (name, auroc) in &figures.per_defect {
                            @let counts = figures.defects.get(name);
                            tr data-defect=(name) {
                                th scope="row" { (name) }
                                td.n { (counts.map_or(0, |c| c.images)) }
                                td.n {
                                    data value=(auroc.map_or(String::new(), |v| v.to_string())) { (percent(*auroc)) }
                                }
                                td.n { (counts.map_or(0, |c| c.missed)) }
                                td.n { (format!("{:.4}", median(Some(name)))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Median and 99th percentile of every stage, with a bar for its share of the total.
pub fn times(times: &[Timing]) -> Markup {
    type Stage = (&'static str, &'static str, fn(&Timing) -> f64);
    const STAGES: [Stage; 6] = [
        ("decode", "Read and decode", |t| t.decode_ms),
        ("preprocess", "Resize", |t| t.preprocess_ms),
        ("backbone", "Network", |t| t.backbone_ms),
        ("matching", "Matching", |t| t.matching_ms),
        ("scoring", "Scoring", |t| t.scoring_ms),
        ("total", "Whole picture", |t| t.total_ms),
    ];
    let of = |stage: fn(&Timing) -> f64, part: f64| {
        quantile(&times.iter().map(stage).collect::<Vec<_>>(), part)
    };
    let whole = of(|t| t.total_ms, 0.5).max(1e-9);
    html! {
        p {
            "Measured on this computer, one picture after the other, on " (times.len()) " pictures with "
            (rayon::current_num_threads()) " threads (" (crate::matching::kernel::Kernel::best().name()) ")."
        }
        div.wide {
            table {
                caption { "Milliseconds per picture" }
                thead { tr {
                    th scope="col" { "Stage" } th.n scope="col" { "Median" } th.n scope="col" { "p99" }
                    th scope="col" { "Share of the total" }
                } }
                tbody {
                    @for (id, name, stage) in STAGES {
                        @let median = of(stage, 0.5);
                        tr {
                            th scope="row" { (name) }
                            td.n { (data(&format!("timing-{id}"), median, format!("{median:.2}"))) }
                            td.n { (format!("{:.2}", of(stage, 0.99))) }
                            td { span.meter style={ "width:" (format!("{:.1}", 9.0 * median / whole)) "rem" } {} }
                        }
                    }
                }
            }
        }
    }
}

/// Every picture, highest score first.
pub fn all(outcomes: &[Outcome]) -> Markup {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    html! {
        div.wide {
            table id="all" {
                thead { tr {
                    th scope="col" { "Kind" } th scope="col" { "Picture" } th.n scope="col" { "Score" } th scope="col" { "Verdict" }
                } }
                tbody {
                    @for outcome in sorted {
                        tr {
                            td { (outcome.picture.defect.as_deref().unwrap_or("good")) }
                            td.path { (outcome.picture.source.name()) }
                            td.n { (format!("{:.4}", outcome.score)) }
                            td { (badge(outcome)) }
                        }
                    }
                }
            }
        }
    }
}
