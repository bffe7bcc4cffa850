//! The page of an ablation: a chart and a table a study.

use super::lines::{Line, Lines, Ticks, lines};
use super::{Section, data, document};
use crate::ablate::{Ablation, Row, Study, name_of};
use crate::figures::percent;
use hetmm::builder::{Options, Sheets};
use maud::{Markup, html};
use std::path::Path;

/// The page about `dataset`; `options` are those that the studies vary.
pub fn ablation(found: &Ablation, dataset: &Path, options: &Options) -> String {
    let studies: Vec<&[Row]> = found.rows.chunk_by(|a, b| a.study == b.study).collect();
    let mut sections: Vec<Section> = studies
        .iter()
        .filter_map(|rows| {
            let (title, _) = rows.first()?.study.titles();
            Some(Section { id: id(rows.first()?.study), title, body: study(rows) })
        })
        .collect();
    sections.push(Section { id: "settings", title: "Settings", body: settings(found, options) });
    let lead = html! {
        p {
            (data("good", found.good, found.good)) " good pictures to build from, "
            (data("test", found.test, found.test)) " to test with, " (data("rows", found.rows.len(), found.rows.len()))
            " settings. Every study varies one thing and leaves the rest as stated at the end. Differences below 0.3 % are noise on sets "
            "of a few hundred pictures."
        }
    };
    document(&format!("Ablation on {}", name_of(dataset)), &lead, &sections)
}

fn id(study: Study) -> &'static str {
    match study {
        Study::Direction => "direction",
        Study::Alpha => "alpha",
        Study::Layers => "layers",
        Study::Patch => "patch",
        Study::Sheets => "sheets",
        Study::Rules => "rules",
        Study::KmeansPixel => "kmeans-pixel",
    }
}

fn study(rows: &[Row]) -> Markup {
    let Some(first) = rows.first() else { return html! {} };
    let (title, axis) = first.study.titles();
    let figures: [(&str, fn(&Row) -> Option<f64>); 3] = [
        ("Image AUROC", |r| r.image_auroc),
        ("Pixel AUROC", |r| r.pixel_auroc),
        ("AUPRO to 30 %", |r| r.aupro30),
    ];
    let x_ticks = match first.study {
        Study::Sheets | Study::Rules | Study::KmeansPixel => Ticks::Ratios,
        _ => Ticks::Numbers,
    };
    let chart = |name: &str, figure: &dyn Fn(&Row) -> Option<f64>, ranges: bool| {
        let curves = curves(rows, figure, ranges);
        lines(&Lines {
            description: format!("{name} against {axis}; the table below has the numbers."),
            x_label: axis,
            y_label: name,
            x_ticks,
            y_ticks: Ticks::Percent,
            lines: &curves,
            points: true,
            marks: Vec::new(),
        })
    };
    html! {
        @if !axis.is_empty() {
            div.charts.two {
                @for (i, (name, figure)) in figures.iter().enumerate().filter(|(_, (_, f))| rows.iter().any(|r| f(r).is_some())) {
                    figure { h3 { (name) } (chart(name, figure, i == 0)) }
                }
            }
        }
        @if rows.iter().any(|r| r.seeds > 1) {
            p.note { "Rules that draw at random: the mean over seeds, in the first chart with the area from the worst to the best." }
        }
        (table(title, rows, &figures))
    }
}

/// The lines of a chart of one figure.
fn curves(rows: &[Row], figure: &dyn Fn(&Row) -> Option<f64>, ranges: bool) -> Vec<Line> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.line.as_str()) {
            names.push(&row.line);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let own: Vec<&Row> = rows.iter().filter(|r| r.line == name).collect();
            let ends = |end: usize| {
                own.iter().filter_map(move |r| r.image_auroc_range.map(|range| (r.x, range[end])))
            };
            let area = match ranges {
                true => {
                    let back: Vec<(f64, f64)> = ends(1).collect();
                    ends(0).chain(back.into_iter().rev()).collect()
                }
                false => Vec::new(),
            };
            let points = own.iter().filter_map(|r| Some((r.x, figure(r)?))).collect();
            Line { name: name.into(), points, area }
        })
        .collect()
}

type Named<'a> = (&'a str, fn(&Row) -> Option<f64>);

fn table(title: &str, rows: &[Row], figures: &[Named; 3]) -> Markup {
    let named = rows.iter().any(|r| !r.line.is_empty());
    let best: Vec<Option<f64>> =
        figures.iter().map(|(_, figure)| rows.iter().filter_map(figure).reduce(f64::max)).collect();
    html! {
        div.wide {
            table {
                caption { (title) "; the best of each column in bold" }
                thead { tr {
                    @if named { th scope="col" { "Line" } }
                    th scope="col" { "Setting" }
                    @for (name, _) in figures { th.n scope="col" { (name) } }
                    th.n scope="col" { "ms a picture" } th.n scope="col" { "Template, MB" }
                } }
                tbody {
                    @for row in rows {
                        tr data-study=(id(row.study)) {
                            @if named { td { (row.line) } }
                            th scope="row" { (row.name) }
                            @for ((_, figure), best) in figures.iter().zip(&best) {
                                @let value = figure(row);
                                td.n {
                                    @if value.is_some() && value == *best { strong { (percent(value)) } } @else { (percent(value)) }
                                }
                            }
                            td.n { (format!("{:.1}", row.ms)) }
                            td.n { (format!("{:.1}", row.template_bytes as f64 / 1e6)) }
                        }
                    }
                }
            }
        }
    }
}

fn settings(found: &Ablation, options: &Options) -> Markup {
    let list =
        |values: &[usize]| values.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let fact = |name: &str, value: String| html! { dt { (name) } dd { (value) } };
    html! {
        dl.facts {
            (fact("Taps", found.taps.join(", ")))
            (fact("Sheets", match options.sheets {
                Sheets::All => "all".into(),
                Sheets::Count(count) => count.to_string(),
            }))
            (fact("Rule", options.rule.to_string()))
            (fact("Windows", format!("{} forward, {} backward", list(&options.patches_forward), list(&options.patches_backward))))
            (fact("Alpha", options.alpha.to_string()))
            (fact("Joined by", options.fusion.to_string()))
            (fact("Baseline", if options.baseline { "mean distance map of the good pictures".into() } else { "none".into() }))
            (fact("Stored as", options.storage.to_string()))
            (fact("Features by", found.engine.clone()))
            (fact("Time", format!(
                "matching and scoring, median, one picture after the other, {} threads ({}); decoding and network come on top",
                rayon::current_num_threads(),
                hetmm::matching::kernel::Kernel::best().name()
            )))
            (fact("Pixel figures", format!("from {} test pictures that have masks or are good", found.with_truth)))
        }
    }
}
