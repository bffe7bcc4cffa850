//! The chart of the probability of detection against the size.

use super::axis::Axis;
use super::charts::at;
use super::lines::STYLES;
use crate::sensitivity::Pod;
use crate::sensitivity::pod::SHARE;
use maud::{Markup, html};

const LEFT: f64 = 62.0;
const WIDTH: f64 = 430.0;
const TOP: f64 = 12.0;
const HEIGHT: f64 = 230.0;
/// Radius of the dot for the size with the most tries.
const LARGEST_DOT: f64 = 6.0;

/// One contrast of a kind.
pub struct Curve<'a> {
    pub contrast: Option<f32>,
    pub pod: &'a Pod,
}

/// The curves of one kind, over sizes from the first to the second of `ends`.
pub fn chart(kind: &str, curves: &[Curve], ends: (f64, f64)) -> Markup {
    let x = Axis::logarithmic((ends.0 / 1.08, ends.1 * 1.08), (LEFT, LEFT + WIDTH));
    let y = Axis::linear((0.0, 1.0), (TOP + HEIGHT, TOP));
    let foot = TOP + HEIGHT + 52.0;
    let share = at(y.place(SHARE));
    html! {
        svg.chart.lines viewBox={ "0 0 " (LEFT + WIDTH + 14.0) " " (foot + 20.0 * curves.len() as f64) } role="img"
            aria-label={ "Probability of detection of a " (kind) " against its size. The table has the sizes." } {
            @for (value, label) in x.ticks(40.0) {
                @let place = at(x.place(value));
                line.grid x1=(place) x2=(place) y1=(y.to) y2=(y.from) {}
                text.tick x=(place) y=(y.from + 17.0) text-anchor="middle" { (label) }
            }
            @for (value, label) in y.ticks(36.0) {
                @let place = at(y.place(value));
                line.grid x1=(x.from) x2=(x.to) y1=(place) y2=(place) {}
                text.tick x=(x.from - 6.0) y=(place) dy=".35em" text-anchor="end" {
                    (format!("{:.0} %", 100.0 * label.parse().unwrap_or(value))) }
            }
            path.chance d={ "M" (x.from) " " (share) "H" (x.to) } {}
            @for (i, curve) in curves.iter().enumerate() { (drawn(curve, i, &x, &y)) }
            text.label x=((x.from + x.to) / 2.0) y=(y.from + 40.0) text-anchor="middle" { "size in pixels of the picture" }
            text.label x="14" y=((y.from + y.to) / 2.0) text-anchor="middle"
                transform={ "rotate(-90 14 " ((y.from + y.to) / 2.0) ")" } { "found" }
            @for (i, curve) in curves.iter().enumerate() {
                @let row = foot + 8.0 + 20.0 * i as f64;
                g.{ "line" (i % STYLES) } {
                    path.thread d={ "M" (LEFT) " " (row) "h28" } {}
                    text x=(LEFT + 36.0) y=(row) dy=".35em" { (name(curve)) }
                }
            }
        }
    }
}

fn name(curve: &Curve) -> String {
    let stated = crate::describe::sensitivity::limit(curve.pod.a90_95, None);
    match curve.contrast {
        Some(contrast) => format!("contrast {contrast}: {stated}"),
        None => stated,
    }
}

/// The band, the curve, the tries, and the size that is stated.
fn drawn(curve: &Curve, number: usize, x: &Axis, y: &Axis) -> Markup {
    let Pod { sizes, curve: points, a90_95, .. } = curve.pod;
    let place = |px: f64, share: f64| format!("{} {}", at(x.place(px)), at(y.place(share)));
    let lower = points.iter().map(|p| place(p.px, p.lower));
    let upper = points.iter().rev().map(|p| place(p.px, p.upper));
    let band: Vec<String> = lower.chain(upper).collect();
    let line: Vec<String> = points.iter().map(|p| place(p.px, p.pod)).collect();
    let most = sizes.iter().map(|s| s.tries).max().unwrap_or(1).max(1) as f64;
    let stated = at(x.place(a90_95.px()));
    html! {
        g.{ "line" (number % STYLES) } {
            @if !points.is_empty() {
                path.area d={ "M" (band.join("L")) "Z" } {}
                path.thread d={ "M" (line.join("L")) } {}
            }
            @for size in sizes {
                @let share = size.found as f64 / size.tries.max(1) as f64;
                @let radius = (LARGEST_DOT * (size.tries as f64 / most).sqrt()).max(2.0);
                circle.dot cx=(at(x.place(size.px))) cy=(at(y.place(share))) r=(at(radius)) {
                    title { (format!("{} px", size.px)) ": " (size.found) " of " (size.tries) " found" }
                }
            }
            @if a90_95.is_reached() {
                path.stated d={ "M" (stated) " " (at(y.place(SHARE))) "V" (y.from) } {}
            }
        }
    }
}
