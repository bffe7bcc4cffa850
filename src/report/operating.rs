//! The operating curve in a report: how many good pictures each threshold rejects, and how many defects it catches.

use super::axis::Axis;
use super::charts::{Level, at};
use super::page::data;
use crate::metrics::OperatingCurve;
use crate::metrics::advice::RATES;
use crate::wording::percent;
use maud::{Markup, html};

/// Rates at which the axis has ticks.
const TICKS: [f64; 8] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// The curve with the thresholds of the template, and a table beside it.
pub fn operating(curve: &OperatingCurve, levels: &[Level], has_rules: bool) -> Markup {
    if curve.caught_at(0.0).is_none() {
        return html! { p { "The choice needs good and defective pictures, but here is only one of the two." } };
    }
    html! {
        p {
            "A lower threshold catches more defects and rejects more good parts. The curve shows every choice. The marked "
            "points are the thresholds of the template."
            @if has_rules { " The curve uses the score alone, but the region rules of the template decide, too." }
        }
        div.columns.choice {
            figure { (chart(curve, levels)) figcaption {
                "Good pictures rejected against defects caught. The horizontal axis gives more room to small rates."
            } }
            (table(curve, levels))
        }
    }
}

fn chart(curve: &OperatingCurve, levels: &[Level]) -> Markup {
    const LEFT: f64 = 70.0;
    const FOOT: f64 = 276.0;
    let x = Axis::counts(1, (LEFT, LEFT + 440.0));
    let y = Axis::linear((0.0, 1.0), (FOOT, 16.0));
    // At rate 0 the threshold may lie far above every good picture.
    let corners = std::iter::once((0.0, 0.0)).chain(curve.corners(1.0));
    let line: Vec<String> =
        corners.map(|(a, b)| format!("{} {}", at(x.place(a)), at(y.place(b)))).collect();
    let place = |level: f32| (curve.rate_of(level).unwrap_or_default(), curve.shares(level).1);
    let marks: Vec<(String, (f64, f64))> = (levels.iter())
        .map(|(name, level)| (format!("{name} {level:.3}"), place(*level)))
        .collect();
    html! {
        svg.chart viewBox="0 0 530 336" role="img"
            aria-label="Defective pictures caught against good pictures rejected. The table has the numbers." {
            @for tick in TICKS {
                line.grid x1=(at(x.place(tick))) x2=(at(x.place(tick))) y1=(y.to) y2=(y.from) {}
                text.tick x=(at(x.place(tick))) y=(FOOT + 17.0) text-anchor="middle" { (format!("{:.0}", 100.0 * tick)) }
            }
            @for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
                line.grid x1=(x.from) x2=(x.to) y1=(at(y.place(tick))) y2=(at(y.place(tick))) {}
                text.tick x=(LEFT - 6.0) y=(at(y.place(tick))) dy=".35em" text-anchor="end" { (format!("{:.0} %", 100.0 * tick)) }
            }
            path.curve d={ "M" (line.join("L")) } {}
            @for rate in RATES {
                @let caught = curve.caught_at(rate).unwrap_or_default();
                circle.rate cx=(at(x.place(rate))) cy=(at(y.place(caught))) r="4" {
                    title { (format!("{:.0} %", 100.0 * rate)) " rejected: " (percent(Some(caught))) " caught" }
                }
            }
            @for (label, (px, py), below) in labels(&x, &y, &marks) {
                circle.mark cx=(at(px)) cy=(at(py)) r="5" { title { (label) } }
                text.mark x=(at(px + 10.0)) y=(at(below)) { (label) }
            }
            text.label x=((x.from + x.to) / 2.0) y=(FOOT + 40.0) text-anchor="middle" { "good pictures rejected, in %" }
            text.label x="14" y=((y.from + y.to) / 2.0) text-anchor="middle"
                transform={ "rotate(-90 14 " ((y.from + y.to) / 2.0) ")" } { "defects caught" }
        }
    }
}

/// The marks with their places on paper and the height of their names: below and to the right of a mark, where no
/// curve that rises passes, and one below the other where marks lie close together.
fn labels(x: &Axis, y: &Axis, marks: &[(String, (f64, f64))]) -> Vec<(String, (f64, f64), f64)> {
    const LINE: f64 = 16.0;
    let mut placed: Vec<(String, (f64, f64), f64)> = Vec::new();
    let mut from_top = marks.to_vec();
    from_top.sort_by(|(_, a), (_, b)| b.1.total_cmp(&a.1));
    for (label, (rate, caught)) in from_top {
        let (px, py) = (x.place(rate), y.place(caught));
        let lowest = placed.iter().map(|(.., below)| below + LINE).fold(0.0, f64::max);
        placed.push((label, (px, py), (py + LINE).max(lowest)));
    }
    placed
}

fn table(curve: &OperatingCurve, levels: &[Level]) -> Markup {
    let all = curve.counts();
    html! {
        div.wide {
            table id="operating" {
                caption { "What a threshold would do to these " (all.good) " good and " (all.defective) " defective pictures" }
                thead { tr {
                    td {} th.n scope="col" { "Good rejected" } th.n scope="col" { "Threshold" } th.n scope="col" { "Defects caught" }
                } }
                tbody {
                    @for rate in RATES {
                        @let caught = curve.caught_at(rate).unwrap_or_default();
                        tr {
                            td {}
                            td.n { (format!("{:.0} %", 100.0 * rate)) }
                            td.n { (format!("{:.4}", curve.limit(rate).unwrap_or_default())) }
                            td.n { (data(&format!("caught_at_{:.0}", 100.0 * rate), caught, percent(Some(caught)))) }
                        }
                    }
                    @for (name, level) in levels {
                        @let (good, caught) = curve.shares(*level);
                        @let above = curve.rejected(*level);
                        tr.own {
                            th scope="row" { (name) }
                            td.n { (percent(Some(good))) " (" (above.good) ")" }
                            td.n { (format!("{level:.4}")) }
                            td.n { (percent(Some(caught))) " (" (above.defective) ")" }
                        }
                    }
                }
            }
            p.note {
                "The thresholds for 1, 2 and 5 % lie between the sorted scores of the good pictures. With fewer than 100 good pictures, "
                "the first rows depend on one or two pictures."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_marks_lie_below_them_and_not_on_each_other() {
        let (x, y) = (Axis::counts(1, (0.0, 400.0)), Axis::linear((0.0, 1.0), (200.0, 0.0)));
        let mark = |name: &str, caught: f64| (name.to_string(), (0.05, caught));
        let placed = labels(&x, &y, &[mark("low", 0.2), mark("high", 0.9), mark("near", 0.88)]);
        let heights: Vec<(&str, f64)> =
            placed.iter().map(|(name, _, below)| (name.as_str(), at(*below))).collect();
        assert_eq!(heights, [("high", 36.0), ("near", 52.0), ("low", 176.0)]);
    }

    #[test]
    fn a_chart_needs_both_classes_and_has_a_row_for_every_threshold() {
        let curve = OperatingCurve::new((0..9).map(|i| (i as f32, false)));
        assert!(!operating(&curve, &[("ng", 3.0)], false).into_string().contains("<svg"));
        let scored = (0..9).map(|i| (i as f32, i > 5));
        let page = operating(&OperatingCurve::new(scored), &[("review", 3.0), ("ng", 99.0)], true);
        let page = page.into_string();
        assert_eq!(page.matches("<tr class=\"own\">").count(), 2);
        assert_eq!(page.matches("class=\"mark\"").count(), 4, "a point and a name each");
        assert!(page.contains("region rules") && !page.contains("NaN"), "{page}");
    }
}
