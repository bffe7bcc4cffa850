//! The report of an ablation: one table per study, and a chart if a number is varied.

use super::measure::Row;
use super::studies::Study;
use hetmm::report::lines::{Line, Lines, Ticks, lines};
use hetmm::report::page::{Section, data, document};
use hetmm::wording::percent;
use maud::{Markup, html};
use serde::Serialize;

/// The rows of an ablation and what they were measured on. `--json` writes this.
#[derive(Serialize)]
pub struct Ablation<'a> {
    pub dataset: String,
    pub preset: &'a str,
    pub train: usize,
    pub test: usize,
    pub rows: &'a [Row],
}

/// The report about all rows of an ablation.
pub fn ablation(found: &Ablation) -> String {
    let studies: Vec<&[Row]> = found.rows.chunk_by(|a, b| a.study == b.study).collect();
    let sections: Vec<Section> = studies
        .iter()
        .filter_map(|rows| {
            let (id, title, _) = titles(rows.first()?.study);
            Some(Section { id, title, body: study(rows) })
        })
        .collect();
    let lead = html! {
        p {
            "The templates are built from " (data("train", found.train, found.train)) " good pictures and measured on "
            (data("test", found.test, found.test)) " others, with the preset " (found.preset) ". Every row changes one thing and keeps "
            "the rest of the preset. Rules that choose at random have one fixed start value, so small differences between them mean "
            "nothing. Matching was timed one picture at a time. Other programs on the computer disturb the time."
        }
    };
    document(&format!("Ablation on {}", found.dataset), &lead, &sections)
}

/// The name of a study in the report, and what it varies.
fn titles(study: Study) -> (&'static str, &'static str, &'static str) {
    match study {
        Study::Windows => ("windows", "Windows and directions", ""),
        Study::Alpha => ("alpha", "Weight of the forward direction", "alpha"),
        Study::Patches => {
            ("patches", "Sides of the window", "side of the window, in positions of a layer")
        }
        Study::Layers => ("layers", "Layers", ""),
        Study::PositionFree => ("position-free", "Position-free layers", ""),
        Study::Sheets => ("sheets", "Sheets", "sheets"),
        Study::Selection => ("selection", "Selection rules", ""),
        Study::SelectionSlow => ("selection-slow", "k-means at every pixel", ""),
    }
}

type Figure = (&'static str, fn(&Row) -> Option<f64>);
const FIGURES: [Figure; 3] = [
    ("Image AUROC", |row| row.image_auroc),
    ("Pixel AUROC", |row| row.pixel_auroc),
    ("AUPRO to 30 %", |row| row.aupro30),
];

fn study(rows: &[Row]) -> Markup {
    let known: Vec<&Figure> =
        FIGURES.iter().filter(|(_, figure)| rows.iter().any(|r| figure(r).is_some())).collect();
    let best: Vec<Option<f64>> =
        known.iter().map(|(_, figure)| rows.iter().filter_map(figure).reduce(f64::max)).collect();
    html! {
        @if rows.iter().all(|row| row.x.is_some()) {
            div.charts {
                @for (name, figure) in &known { figure { h3 { (name) } (chart(rows, name, *figure)) } }
            }
        }
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" { "row" }
                        @for (name, _) in &known { th.number scope="col" { (name) } }
                        th.number scope="col" { "matching, ms" }
                        th.number scope="col" { "template, MB" }
                        th.number scope="col" { "build, s" }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (row.name) }
                            @for ((_, figure), best) in known.iter().zip(&best) {
                                @let value = figure(row);
                                td.number { @if value.is_some() && value == *best { strong { (percent(value)) } } @else { (percent(value)) } }
                            }
                            td.number { (format!("{:.1}", row.matching_ms)) }
                            td.number { (format!("{:.1}", row.template_bytes as f64 / 1e6)) }
                            td.number { (format!("{:.1}", row.build_s)) }
                        }
                    }
                }
            }
        }
    }
}

fn chart(rows: &[Row], name: &str, figure: fn(&Row) -> Option<f64>) -> Markup {
    let study = rows.first().map_or(Study::Sheets, |row| row.study);
    let (_, title, axis) = titles(study);
    let points = rows.iter().filter_map(|row| Some((row.x?, figure(row)?))).collect();
    let line = Line { name: name.into(), points, area: Vec::new() };
    lines(&Lines {
        description: format!("{name} against {title}; the table below has the numbers."),
        x_label: axis,
        y_label: name,
        x_ticks: if study == Study::Sheets { Ticks::Ratios } else { Ticks::Numbers },
        y_ticks: Ticks::Percent,
        lines: &[line],
        points: true,
        marks: Vec::new(),
    })
}
