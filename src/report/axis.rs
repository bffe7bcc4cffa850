//! This module places values on the axis of a chart, and chooses the ticks.

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spread {
    Linear,
    /// By the square root, so that one picture can still be seen beside hundreds.
    Root,
    /// By the logarithm, so that equal ratios are equally far apart. For values above 0.
    Log,
    /// By `asinh(value / unit)`: logarithmic far from 0 and linear near it. 0 and values below it have a place, too.
    Scores {
        unit: f64,
    },
}

/// One axis. Values from `low` to `high` lie between the places `from` and `to`.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    spread: Spread,
    pub low: f64,
    pub high: f64,
    pub from: f64,
    pub to: f64,
}

impl Axis {
    /// Even from `low` to `high`.
    pub fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        Axis { spread: Spread::Linear, low, high, from, to }
    }

    /// Counts from 0 to `most`, by their square root.
    pub fn counts(most: usize, (from, to): (f64, f64)) -> Self {
        Axis { spread: Spread::Root, low: 0.0, high: most.max(1) as f64, from, to }
    }

    /// From `low` to `high`, both above 0, by ratios.
    pub fn logarithmic((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        Axis { spread: Spread::Log, low, high: high.max(low * (1.0 + 1e-9)), from, to }
    }

    /// A linear axis that is wide enough for all `values`, with some room. It is never narrower than `least`.
    pub fn around(values: impl Iterator<Item = f64>, least: f64, ends: (f64, f64)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|v| v.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let wanting = (least - 1.1 * (high - low)).max(0.1 * (high - low)) / 2.0;
        Axis::linear((low - wanting, high + wanting), ends)
    }

    /// An axis that is wide enough for all finite `scores`, with some room.
    pub fn scores(scores: impl Iterator<Item = f32>, (from, to): (f64, f64)) -> Self {
        let mut finite: Vec<f64> = scores.filter(|s| s.is_finite()).map(f64::from).collect();
        finite.sort_by(f64::total_cmp);
        let low = finite.first().copied().unwrap_or(0.0);
        let high = finite.last().copied().unwrap_or(1.0);
        // Near the smallest score, but one stray score near 0 must not stretch the axis.
        let mut sizes: Vec<f64> = finite.iter().map(|v| v.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let usual = sizes.get(sizes.len() / 20).copied().unwrap_or(1.0);
        let largest = sizes.last().copied().unwrap_or(1.0);
        let unit = usual.max(largest / 1e3).max(1e-9);
        let spread = Spread::Scores { unit };
        let (a, b) = (spread.apply(low), spread.apply(high));
        let room = (0.03 * (b - a)).max(0.02);
        let (low, high) = (spread.undo(a - room), spread.undo(b + room));
        Axis { spread, low, high, from, to }
    }

    /// The place of a value. Values beyond the ends are put on the ends.
    pub fn place(&self, value: f64) -> f64 {
        self.from + self.part(value) * (self.to - self.from)
    }

    /// The value at part 0..=1 of the axis.
    pub fn value(&self, part: f64) -> f64 {
        let (a, b) = (self.spread.apply(self.low), self.spread.apply(self.high));
        self.spread.undo(a + part * (b - a))
    }

    /// Which part 0..=1 of the axis lies before `value`.
    pub fn part(&self, value: f64) -> f64 {
        let (a, b) = (self.spread.apply(self.low), self.spread.apply(self.high));
        ((self.spread.apply(value) - a) / (b - a).max(1e-12)).clamp(0.0, 1.0)
    }

    /// Round values with their labels, in rising order, at least `gap` apart on paper.
    pub fn ticks(&self, gap: f64) -> Vec<(f64, String)> {
        let wide = match self.spread {
            Spread::Linear => false,
            Spread::Root => true,
            Spread::Log => self.high > 4.0 * self.low,
            Spread::Scores { unit } => {
                self.low < unit && self.high > 8.0 * self.low.max(unit / 4.0)
            }
        };
        let candidates = if wide { self.decades() } else { self.even(gap) };
        let mut kept: Vec<(f64, String)> = Vec::new();
        for (value, label) in candidates {
            let rounding = 1e-9 * (self.high - self.low);
            let inside = value >= self.low - rounding && value <= self.high + rounding;
            let place = self.place(value);
            if inside && kept.iter().all(|(v, _)| (self.place(*v) - place).abs() >= gap) {
                kept.push((value, label));
            }
        }
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept
    }

    /// 0, then 1, 2 and 5 of every decade, powers of ten first.
    fn decades(&self) -> Vec<(f64, String)> {
        let top = self.high.abs().max(self.low.abs()).max(1e-9).log10().ceil() as i32;
        let bottom = if self.spread == Spread::Root { 0 } else { top - 5 };
        let mut found = match self.spread {
            Spread::Log => vec![],
            _ => vec![(0.0, "0".to_string())],
        };
        for mantissa in [1.0, 2.0, 5.0] {
            for exponent in (bottom..=top).rev() {
                for sign in [1.0, -1.0] {
                    let value = sign * mantissa * 10f64.powi(exponent);
                    found.push((value, label(value, exponent)));
                }
            }
        }
        found
    }

    /// Equal steps of 1, 2 or 5 times a power of ten.
    fn even(&self, gap: f64) -> Vec<(f64, String)> {
        let most = ((self.to - self.from).abs() / gap).max(1.0);
        let least_step = (self.high - self.low).max(1e-12) / most;
        let exponent = least_step.log10().floor() as i32;
        let (step, exponent) = [1.0, 2.0, 5.0, 10.0]
            .map(|m| (m * 10f64.powi(exponent), exponent + i32::from(m == 10.0)))
            .into_iter()
            .find(|(step, _)| *step >= least_step * 0.999)
            .unwrap_or((least_step, exponent));
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step * (1.0 + 1e-12)).floor() as i64;
        (first..=last.min(first + 100))
            .map(|i| (i as f64 * step, label(i as f64 * step, exponent)))
            .collect()
    }
}

impl Spread {
    fn apply(self, value: f64) -> f64 {
        match self {
            Spread::Linear => value,
            Spread::Root => value.max(0.0).sqrt(),
            Spread::Log => value.max(f64::MIN_POSITIVE).ln(),
            Spread::Scores { unit } => (value / unit).asinh(),
        }
    }

    fn undo(self, value: f64) -> f64 {
        match self {
            Spread::Linear => value,
            Spread::Root => value * value,
            Spread::Log => value.exp(),
            Spread::Scores { unit } => value.sinh() * unit,
        }
    }
}

/// A value with the digits that a step of 10^`exponent` needs.
fn label(value: f64, exponent: i32) -> String {
    format!("{value:.*}", (-exponent).max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, gap: f64) -> String {
        axis.ticks(gap).into_iter().map(|(_, l)| l).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_apart() {
        let place = (0.0, 500.0);
        let scores = |scores: &[f32]| Axis::scores(scores.iter().copied(), place);
        let cases = [
            (Axis::linear((0.0, 1.0), place), 60.0, "0.0 0.2 0.4 0.6 0.8 1.0"),
            (Axis::linear((0.0, 0.3), place), 80.0, "0.00 0.05 0.10 0.15 0.20 0.25 0.30"),
            (Axis::logarithmic((1.0, 762.0), place), 30.0, "1 2 5 10 20 50 100 200 500"),
            (Axis::logarithmic((0.003, 0.5), place), 50.0, "0.005 0.01 0.02 0.05 0.1 0.2 0.5"),
            (Axis::around([0.95, 0.99].into_iter(), 0.01, place), 80.0, "0.95 0.96 0.97 0.98 0.99"),
            (Axis::counts(190, place), 30.0, "0 1 5 10 20 50 100"),
            (Axis::counts(0, place), 30.0, "0 1"),
            (scores(&[0.22, 0.4, 1.0, 3.0, 13.0]), 40.0, "0.2 0.5 1 2 5 10"),
            (scores(&[0.9, 1.0, 1.1]), 80.0, "0.90 0.95 1.00 1.05 1.10"),
            (scores(&[-2.0, 0.1, 0.2, 30.0]), 50.0, "-1 -0.2 0 0.2 1 10"),
        ];
        for (axis, gap, want) in cases {
            assert_eq!(labels(&axis, gap), want);
        }
    }

    #[test]
    fn any_scores_give_a_usable_axis() {
        for scores in [
            &[][..],
            &[1.0],
            &[0.0, 0.0],
            &[f32::NAN, f32::INFINITY, 2.0],
            &[-5.0, -4.0],
            &[1e-9, 1e9],
            &[f32::MIN, f32::MAX],
        ] {
            let axis = Axis::scores(scores.iter().copied(), (10.0, 90.0));
            assert!(axis.low < axis.high, "{scores:?}: {axis:?}");
            assert!(axis.ticks(20.0).len() <= 5, "{scores:?}");
            for &score in scores.iter().filter(|s| s.is_finite()) {
                let place = axis.place(f64::from(score));
                assert!((10.0..=90.0).contains(&place), "{scores:?}: {place}");
                let back = axis.value(axis.part(f64::from(score)));
                assert!((back - f64::from(score)).abs() <= 1e-6 * f64::from(score).abs().max(1.0));
            }
        }
    }
}
