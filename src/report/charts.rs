//! This module draws charts as inline SVG. Colours and text sizes come from the style sheet of the report. So one
//! drawing serves light mode, dark mode and paper, and a phone gets larger text.

use super::axis::Axis;
use maud::{Markup, html};

/// Pictures of one kind, for a chart of scores.
pub struct Series {
    /// What they are: "good", or the defect.
    pub name: String,
    pub defective: bool,
    /// Score and name of each picture.
    pub pictures: Vec<(f32, String)>,
}

/// A threshold with its name, as ("ng", 1.25).
pub type Level<'a> = (&'a str, f32);

/// A curve in a square with both axes in percent.
pub struct Curve<'a> {
    /// What the chart is, for those who cannot see it.
    pub description: String,
    pub x_label: &'a str,
    pub y_label: &'a str,
    /// End of the x axis (0..=1). Both axes begin at 0, and the y axis ends at 1.
    pub x_to: f64,
    /// Vertices, (x, y), parts of 1.
    pub points: &'a [(f64, f64)],
    /// Whether the curve has steps at its vertices in place of straight lines between them.
    pub steps: bool,
    /// The line of a ranking by chance, from left to right.
    pub chance: Option<[(f64, f64); 2]>,
    /// Named points on the curve.
    pub marks: Vec<(String, (f64, f64))>,
}

/// Width of the charts of scores, in the units of the drawing.
const WIDTH: f64 = 560.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
/// Bars of a histogram.
const BARS: usize = 44;

/// Histograms of good and defective scores one above the other, over one axis, with the levels.
pub fn histogram(series: &[Series], levels: &[Level]) -> Markup {
    const PANEL: f64 = 104.0;
    const GAP: f64 = 16.0;
    let axis = score_axis(series, levels);
    let panels: Vec<(&str, bool, Vec<usize>)> = [("good", false), ("defective", true)]
        .into_iter()
        .filter(|(_, bad)| series.iter().any(|s| s.defective == *bad))
        .map(|(name, bad)| (name, bad, counts(&axis, series, bad)))
        .collect();
    let top = head(levels);
    let bottom = top + panels.len() as f64 * (PANEL + GAP) - GAP;
    let bar = (axis.to - axis.from) / BARS as f64;
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (bottom + 46.0) } role="img"
            aria-label={ "Histograms of scores, good above defective, with " (spoken(levels)) "." } {
            @for (i, (name, bad, counts)) in panels.iter().enumerate() {
                @let foot = top + i as f64 * (PANEL + GAP) + PANEL;
                @let most = counts.iter().copied().max().unwrap_or(0);
                @let up = Axis::counts(most, (foot, foot - PANEL + 20.0));
                @for (value, label) in up.ticks(18.0) {
                    @let y = at(up.place(value));
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                    text.tick x=(LEFT - 6.0) y=(y) dy=".35em" text-anchor="end" { (label) }
                }
                g class=(if *bad { "bad" } else { "good" }) {
                    @for (bin, &count) in counts.iter().enumerate().filter(|(_, c)| **c > 0) {
                        @let y = up.place(count as f64);
                        rect.bar x=(at(axis.from + bin as f64 * bar + 0.5)) y=(at(y))
                            width=(at(bar - 1.0)) height=(at(foot - y)) {
                            title {
                                (edge(&axis, bin)) " to " (edge(&axis, bin + 1)) ": " (count) " " (name)
                            }
                        }
                    }
                    text.series x=(axis.to - 4.0) y=(at(foot - PANEL + 12.0)) text-anchor="end" {
                        (name)
                    }
                }
                line.base x1=(LEFT) x2=(WIDTH - RIGHT) y1=(foot) y2=(foot) {}
            }
            (level_lines(&axis, levels, bottom))
            (score_ticks(&axis, bottom))
        }
    }
}

/// One row per kind and one tick per picture. A pointer over a tick shows its name and score.
pub fn strips(series: &[Series], levels: &[Level]) -> Markup {
    const ROW: f64 = 38.0;
    let axis = score_axis(series, levels);
    let top = head(levels);
    let bottom = top + series.len() as f64 * ROW + 4.0;
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (bottom + 46.0) } role="img"
            aria-label={ "The score of every picture, one row per kind, with " (spoken(levels))
                ". The table below has the numbers." } {
            (level_lines(&axis, levels, bottom))
            @for (row, series) in series.iter().enumerate() {
                @let y = top + row as f64 * ROW;
                g class=(if series.defective { "bad" } else { "good" }) {
                    text.series x=(LEFT) y=(at(y + 14.0)) {
                        (series.name) " (" (series.pictures.len()) ")"
                    }
                    @for (score, name) in series.pictures.iter().filter(|(s, _)| s.is_finite()) {
                        path.score d={ "M" (at(axis.place(f64::from(*score)))) " " (y + 19.0) "v15" } {
                            title { (name) " " (format!("{score:.4}")) }
                        }
                    }
                }
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y + ROW - 1.0) y2=(y + ROW - 1.0) {}
            }
            (score_ticks(&axis, bottom))
        }
    }
}

/// A curve with axes and marks.
pub fn curve(curve: &Curve) -> Markup {
    const SIDE: f64 = 250.0;
    let x = Axis::linear((0.0, curve.x_to), (70.0, 70.0 + SIDE));
    let y = Axis::linear((0.0, 1.0), (12.0 + SIDE, 12.0));
    let xy = |&(a, b): &(f64, f64)| format!("{} {}", at(x.place(a)), at(y.place(b)));
    let mut path = String::new();
    for (i, point) in curve.points.iter().enumerate() {
        match i {
            0 => path.push_str(&format!("M{}", xy(point))),
            _ if curve.steps => {
                path.push_str(&format!("V{}H{}", at(y.place(point.1)), at(x.place(point.0))));
            }
            _ => path.push_str(&format!("L{}", xy(point))),
        }
    }
    html! {
        svg.chart viewBox={ "0 0 346 " (SIDE + 62.0) } role="img" aria-label=(curve.description) {
            @for (value, label) in percent_ticks(&x, 48.0) {
                @let place = at(x.place(value));
                line.grid x1=(place) x2=(place) y1=(y.to) y2=(y.from) {}
                text.tick x=(place) y=(y.from + 17.0) text-anchor="middle" { (label) }
            }
            @for (value, label) in percent_ticks(&y, 36.0) {
                @let place = at(y.place(value));
                line.grid x1=(x.from) x2=(x.to) y1=(place) y2=(place) {}
                text.tick x=(x.from - 6.0) y=(place) dy=".35em" text-anchor="end" { (label) }
            }
            @if let Some([from, to]) = &curve.chance {
                path.chance d={ "M" (xy(from)) "L" (xy(to)) } {}
            }
            path.curve d=(path) {}
            @for (i, (name, point)) in curve.marks.iter().enumerate() {
                (mark(&x, &y, i, name, *point))
            }
            text.label x=((x.from + x.to) / 2.0) y=(y.from + 40.0) text-anchor="middle" {
                (curve.x_label)
            }
            text.label x="14" y=((y.from + y.to) / 2.0) text-anchor="middle"
                transform={ "rotate(-90 14 " ((y.from + y.to) / 2.0) ")" } { (curve.y_label) }
        }
    }
}

/// A named point. Its name lies towards the middle of the chart.
pub fn mark(x: &Axis, y: &Axis, number: usize, name: &str, (a, b): (f64, f64)) -> Markup {
    let (px, py) = (x.place(a), y.place(b));
    let right = x.part(a) < 0.5;
    let down = y.part(b) > 0.5;
    let (dx, anchor) = if right { (10.0, "start") } else { (-10.0, "end") };
    let dy = if down { 20.0 } else { -10.0 } + if number % 2 == 1 { 18.0 } else { 0.0 };
    html! {
        circle.mark cx=(at(px)) cy=(at(py)) r="5" { title { (name) } }
        text.mark x=(at(px + dx)) y=(at(py + dy)) text-anchor=(anchor) { (name) }
    }
}

fn score_axis(series: &[Series], levels: &[Level]) -> Axis {
    let scores = series.iter().flat_map(|s| s.pictures.iter().map(|(score, _)| *score));
    Axis::scores(scores.chain(levels.iter().map(|(_, v)| *v)), (LEFT, WIDTH - RIGHT))
}

/// Pictures in each bar.
fn counts(axis: &Axis, series: &[Series], defective: bool) -> Vec<usize> {
    let mut counts = vec![0; BARS];
    let pictures = series.iter().filter(|s| s.defective == defective).flat_map(|s| &s.pictures);
    for (score, _) in pictures.filter(|(score, _)| score.is_finite()) {
        let bin = (axis.part(f64::from(*score)) * BARS as f64) as usize;
        counts[bin.min(BARS - 1)] += 1;
    }
    counts
}

/// Room above the panels for the names of the levels.
fn head(levels: &[Level]) -> f64 {
    8.0 + 18.0 * levels.len() as f64
}

fn level_lines(axis: &Axis, levels: &[Level], bottom: f64) -> Markup {
    html! {
        @for (i, (name, value)) in levels.iter().enumerate() {
            @let x = axis.place(f64::from(*value));
            @let y = 14.0 + 18.0 * i as f64;
            // To the right of its line, where no line of a lower level passes, as long as there is room.
            @let label = format!("{name} {value:.3}");
            @let has_room = x + 5.0 + 8.0 * label.chars().count() as f64 <= axis.to + RIGHT;
            @let (dx, anchor) = if has_room { (5.0, "start") } else { (-5.0, "end") };
            line.level x1=(at(x)) x2=(at(x)) y1=(y - 10.0) y2=(bottom) {}
            text.level x=(at(x + dx)) y=(y) text-anchor=(anchor) { (label) }
        }
    }
}

/// The axis of scores below a chart.
fn score_ticks(axis: &Axis, bottom: f64) -> Markup {
    html! {
        line.base x1=(LEFT) x2=(WIDTH - RIGHT) y1=(bottom) y2=(bottom) {}
        @for (value, label) in axis.ticks(44.0) {
            @let x = at(axis.place(value));
            line.base x1=(x) x2=(x) y1=(bottom) y2=(bottom + 5.0) {}
            text.tick x=(x) y=(bottom + 19.0) text-anchor="middle" { (label) }
        }
        text.label x=((axis.from + axis.to) / 2.0) y=(bottom + 40.0) text-anchor="middle" { "score" }
    }
}

fn percent_ticks(axis: &Axis, gap: f64) -> Vec<(f64, String)> {
    axis.ticks(gap).into_iter().map(|(v, _)| (v, format!("{:.0} %", 100.0 * v))).collect()
}

fn edge(axis: &Axis, bin: usize) -> String {
    format!("{:.3}", axis.value(bin as f64 / BARS as f64))
}

fn spoken(levels: &[Level]) -> String {
    let names = levels.iter().map(|(name, value)| format!("{name} at {value:.4}"));
    names.collect::<Vec<_>>().join(" and ")
}

/// A place on paper: a tenth of a unit is enough.
pub fn at(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}
