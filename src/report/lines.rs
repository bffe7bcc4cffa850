//! This module draws charts of several lines, which differ in colour, marker and name.

use super::axis::Axis;
use super::charts::at;
use maud::{Markup, html};

/// One line of a chart.
pub struct Line {
    /// Its name, in the key.
    pub name: String,
    /// In the order of x.
    pub points: Vec<(f64, f64)>,
    /// Corners of the area of uncertainty around the line, or empty.
    pub area: Vec<(f64, f64)>,
}

/// How values of an axis are spread and written.
#[derive(Clone, Copy, PartialEq)]
pub enum Ticks {
    /// Even, as they are.
    Numbers,
    /// By ratios, as they are.
    Ratios,
    /// By ratios, parts of 1 written in percent.
    PercentRatios,
    /// Even, parts of 1 written in percent.
    Percent,
}

/// A chart of lines.
pub struct Lines<'a> {
    /// What the chart is, for those who cannot see it.
    pub description: String,
    /// What the x axis shows.
    pub x_label: &'a str,
    /// What the y axis shows.
    pub y_label: &'a str,
    /// How its values are written.
    pub x_ticks: Ticks,
    /// How its values are written.
    pub y_ticks: Ticks,
    /// The lines.
    pub lines: &'a [Line],
    /// Whether every point is marked; without, a line is drawn as steps.
    pub points: bool,
    /// Named points.
    pub marks: Vec<(String, (f64, f64))>,
}

/// Lines that are told apart.
pub const STYLES: usize = 8;
const LEFT: f64 = 62.0;
const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 250.0;
const TOP: f64 = 12.0;

/// The chart, with the names of its lines below where there is more than one.
pub fn lines(chart: &Lines) -> Markup {
    let all = || chart.lines.iter().flat_map(|l| l.points.iter().chain(&l.area)).copied();
    let (ends, up) = ((LEFT, LEFT + WIDTH), (TOP + HEIGHT, TOP));
    let x = match chart.x_ticks {
        Ticks::Ratios | Ticks::PercentRatios => {
            let positive = || all().map(|p| p.0).filter(|x| *x > 0.0);
            let (low, high) =
                (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
            if low < high {
                Axis::logarithmic((low / 1.08, high * 1.08), ends)
            } else {
                Axis::logarithmic((0.5, 2.0), ends)
            }
        }
        _ => Axis::around(all().map(|p| p.0), 1e-3, ends),
    };
    let least = if chart.y_ticks == Ticks::Percent { 0.01 } else { 1e-3 };
    let y = Axis::around(all().map(|p| p.1), least, up);
    let place = |&(a, b): &(f64, f64)| format!("{} {}", at(x.place(a)), at(y.place(b)));
    let legend = chart.lines.len() > 1;
    let rows = if legend { chart.lines.len().div_ceil(2) } else { 0 };
    let foot = TOP + HEIGHT + 52.0;
    html! {
        svg.chart.lines viewBox={ "0 0 " (LEFT + WIDTH + 14.0) " " (foot + 20.0 * rows as f64) } role="img"
            aria-label=(chart.description) {
            @for (value, label) in ticks(&x, chart.x_ticks, 46.0) {
                @let place = at(x.place(value));
                line.grid x1=(place) x2=(place) y1=(y.to) y2=(y.from) {}
                text.tick x=(place) y=(y.from + 17.0) text-anchor="middle" { (label) }
            }
            @for (value, label) in ticks(&y, chart.y_ticks, 34.0) {
                @let place = at(y.place(value));
                line.grid x1=(x.from) x2=(x.to) y1=(place) y2=(place) {}
                text.tick x=(x.from - 6.0) y=(place) dy=".35em" text-anchor="end" { (label) }
            }
            @for (i, line) in chart.lines.iter().enumerate() {
                g.{ "line" (i % STYLES) } {
                    @if !line.area.is_empty() {
                        path.area d={ "M" (line.area.iter().map(place).collect::<Vec<_>>().join("L")) "Z" } {}
                    }
                    path.thread d=(path(line, chart.points, &place)) {}
                    @if chart.points {
                        @for point in &line.points {
                            @let (px, py) = (at(x.place(point.0)), at(y.place(point.1)));
                            path.dot d={ "M" (px) " " (py) (marker(i)) } {
                                title { (line.name) ", " (written(point.0, chart.x_ticks)) ": " (written(point.1, chart.y_ticks)) }
                            }
                        }
                    }
                }
            }
            @for (i, (name, point)) in chart.marks.iter().enumerate() {
                (super::charts::mark(&x, &y, i, name, *point))
            }
            text.label x=((x.from + x.to) / 2.0) y=(TOP + HEIGHT + 40.0) text-anchor="middle" { (chart.x_label) }
            text.label x="14" y=((y.from + y.to) / 2.0) text-anchor="middle"
                transform={ "rotate(-90 14 " ((y.from + y.to) / 2.0) ")" } { (chart.y_label) }
            @if legend {
                @for (i, line) in chart.lines.iter().enumerate() {
                    @let left = LEFT + (i % 2) as f64 * WIDTH / 2.0;
                    @let row = foot + 8.0 + 20.0 * (i / 2) as f64;
                    g.{ "line" (i % STYLES) } {
                        path.thread d={ "M" (left) " " (row) "h28" } {}
                        @if chart.points { path.dot d={ "M" (left + 14.0) " " (row) (marker(i)) } {} }
                        text x=(left + 36.0) y=(row) dy=".35em" { (line.name) }
                    }
                }
            }
        }
    }
}

fn path(line: &Line, straight: bool, place: &dyn Fn(&(f64, f64)) -> String) -> String {
    let mut path = String::new();
    for (i, point) in line.points.iter().enumerate() {
        match i {
            0 => path.push('M'),
            _ if straight => path.push('L'),
            _ => path += &format!("L{}L", place(&(point.0, line.points[i - 1].1))),
        }
        path += &place(point);
    }
    path
}

/// A closed shape around the current point, another one for every line.
fn marker(number: usize) -> &'static str {
    const SHAPES: [&str; STYLES] = [
        "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
        "m-4 -4h8v8h-8Z",
        "m0 -5l5 9h-10Z",
        "m0 -5l5 5l-5 5l-5 -5Z",
        "m0 5l5 -9h-10Z",
        "m-5 -1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5Z",
        "m-5 -2.5h10v5h-10Z",
        "m-2.5 -5h5v10h-5Z",
    ];
    SHAPES[number % STYLES]
}

fn ticks(axis: &Axis, kind: Ticks, gap: f64) -> Vec<(f64, String)> {
    let ticks = axis.ticks(gap);
    match kind {
        Ticks::Numbers | Ticks::Ratios => ticks,
        // Values have as many digits as their step needs: in percent two fewer.
        Ticks::Percent | Ticks::PercentRatios => ticks
            .into_iter()
            .map(|(value, label)| {
                let digits = label.split_once('.').map_or(0, |(_, d)| d.len()).saturating_sub(2);
                (value, format!("{:.digits$} %", 100.0 * value))
            })
            .collect(),
    }
}

fn written(value: f64, ticks: Ticks) -> String {
    match ticks {
        Ticks::Percent | Ticks::PercentRatios => format!("{:.2} %", 100.0 * value),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, x_ticks: Ticks) -> String {
        let line = |name: &str| Line { name: name.into(), points: points.clone(), area: vec![] };
        let lines_of = [line("one"), line("two")];
        lines(&Lines {
            description: "a chart".into(),
            x_label: "x",
            y_label: "y",
            x_ticks,
            y_ticks: Ticks::Percent,
            lines: &lines_of,
            points: true,
            marks: vec![],
        })
        .into_string()
    }

    #[test]
    fn any_points_give_a_drawing_without_holes() {
        for ticks in [Ticks::Numbers, Ticks::Ratios, Ticks::PercentRatios, Ticks::Percent] {
            for points in [
                vec![],
                vec![(1.0, 0.5)],
                vec![(0.0, 0.5), (0.0, 0.5)],
                vec![(1.0, 0.1), (700.0, 0.99)],
            ] {
                let drawn = chart(points.clone(), ticks);
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{points:?}: {drawn}");
                assert_eq!(drawn.matches("<title>").count(), 2 * points.len());
            }
        }
        let drawn = chart(vec![(1.0, 0.951), (60.0, 0.972)], Ticks::Ratios);
        assert!(drawn.contains(">96.0 %<") && drawn.contains(">97.0 %<"), "{drawn}");
        assert!(drawn.contains("two, 60: 97.20 %"), "{drawn}");
    }
}
