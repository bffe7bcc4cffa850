//! Says when good parts reach the threshold if scores go on as in the last day.

use super::statistics::{median, quantile};
use super::thinned::Thinned;
use std::collections::VecDeque;

/// The number of seconds whose parts make one point.
const HOUR_S: f64 = 3600.0;
/// The number of hours that the forecast looks back.
const DAY_H: f64 = 24.0;
/// The quantile of an hour's parts.
const SHARE: f64 = 0.95;
/// The smallest number of points. Fewer cannot be significant.
const LEAST_POINTS: usize = 8;
/// The normal deviate whose two-sided probability is 0.001.
const SIGNIFICANT: f64 = 3.2905;
/// The largest number of parts that an hour keeps.
const MOST_PARTS: usize = 8192;

/// Collects one point for each hour: the hour in which its parts came, and the 95 % quantile of ln(score / threshold).
#[derive(Debug, Clone)]
pub(super) struct Hours {
    begun_s: Option<f64>,
    ratios: Thinned<f64>,
    points: VecDeque<[f64; 2]>,
}

impl Hours {
    /// Makes a collector from the points of earlier hours.
    pub(super) fn new(points: &[[f64; 2]]) -> Self {
        let points = points.iter().copied().collect();
        Hours { begun_s: None, ratios: Thinned::new(MOST_PARTS), points }
    }

    /// Adds a part at `run_s` seconds of run time.
    pub(super) fn add(&mut self, run_s: f64, ratio: f64) {
        self.begun_s.get_or_insert(run_s);
        self.ratios.push(ratio);
    }

    /// Makes a point of the present hour if the hour is over. An hour with fewer than `least` parts makes none.
    pub(super) fn close(&mut self, run_s: f64, least: u32) {
        let Some(begun_s) = self.begun_s.filter(|begun_s| run_s - begun_s >= HOUR_S) else {
            return;
        };
        if self.ratios.seen() >= least
            && let Some(level) = quantile(self.ratios.values(), SHARE)
        {
            self.points.push_back([begun_s / HOUR_S + 0.5, level]);
        }
        self.begun_s = None;
        self.ratios.clear();
        let oldest = run_s / HOUR_S - DAY_H;
        self.points.retain(|[hour, _]| *hour >= oldest);
    }

    /// Returns the points of the last day.
    pub(super) fn points(&self) -> Vec<[f64; 2]> {
        self.points.iter().copied().collect()
    }
}

/// Returns in how many hours after `now_h` the level reaches 0, or `None` if it does not rise significantly. Each point
/// is an hour and a level.
///
/// The slope is that of Theil (1950) and Sen (1968). It is significant by Kendall's rank correlation (1938) at 0.001.
pub fn hours_to_threshold(points: &[[f64; 2]], now_h: f64) -> Option<f64> {
    if points.len() < LEAST_POINTS || !rises_significantly(points) {
        return None;
    }
    let slope = median(&slopes(points).collect::<Vec<f64>>()).filter(|slope| *slope > 0.0)?;
    let intercepts: Vec<f64> = points.iter().map(|[hour, level]| level - slope * hour).collect();
    let hours = -median(&intercepts)? / slope - now_h;
    hours.is_finite().then(|| hours.max(0.0))
}

/// Returns the slope between each two points.
fn slopes(points: &[[f64; 2]]) -> impl Iterator<Item = f64> {
    let pairs = points.iter().enumerate().flat_map(|(at, first)| {
        points.iter().skip(at.saturating_add(1)).map(move |second| (first, second))
    });
    pairs
        .filter(|([from, _], [to, _])| to > from)
        .map(|([from, low], [to, high])| (high - low) / (to - from))
}

/// Returns whether the levels rise more than they would by chance. Equal levels count for neither direction.
fn rises_significantly(points: &[[f64; 2]]) -> bool {
    let sign = |slope: f64| if slope == 0.0 { 0.0 } else { slope.signum() };
    let score: f64 = slopes(points).map(sign).sum();
    let n = points.len() as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    // One is taken off because the score is a whole number (the usual correction for continuity).
    (score - 1.0) / deviation > SIGNIFICANT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(hours: u32, level: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
        (0..hours).map(f64::from).map(|hour| [hour, level(hour)]).collect()
    }

    #[test]
    fn a_steady_rise_reaches_the_threshold_when_a_ruler_says_so() {
        let rise = line(24, |hour| -0.5 + 0.01 * hour);
        let hours = hours_to_threshold(&rise, 24.0).expect("rises");
        assert!((hours - 26.0).abs() < 1e-9, "{hours}");
        // A few wild hours change nothing.
        let mut wild = rise.clone();
        wild[3][1] = 5.0;
        wild[17][1] = -9.0;
        let hours = hours_to_threshold(&wild, 24.0).expect("rises");
        assert!((hours - 26.0).abs() < 0.5, "{hours}");
        let above = line(24, |hour| 0.1 + 0.01 * hour);
        assert_eq!(hours_to_threshold(&above, 24.0), Some(0.0));
    }

    #[test]
    fn what_does_not_rise_has_no_forecast() {
        let table: [(&str, Vec<[f64; 2]>); 5] = [
            ("falls", line(24, |hour| -0.01 * hour)),
            ("stays", line(24, |_| -0.5)),
            ("few", line(7, |hour| -0.5 + 0.01 * hour)),
            ("none", vec![]),
            ("swings", line(24, |hour| -0.5 + 0.2 * (hour * 2.4).sin())),
        ];
        for (what, points) in table {
            assert_eq!(hours_to_threshold(&points, 24.0), None, "{what}");
        }
        assert!(hours_to_threshold(&line(8, |hour| -0.5 + 0.01 * hour), 8.0).is_some());
        let same_hour = vec![[1.0, -0.5]; 24];
        assert_eq!(hours_to_threshold(&same_hour, 1.0), None);
    }

    #[test]
    fn hours_need_their_parts_and_are_forgotten_after_a_day() {
        let mut hours = Hours::new(&[]);
        for second in 0..30 * 3600 {
            let run_s = f64::from(second);
            hours.close(run_s, 50);
            // Every third hour has too few parts.
            if second / 3600 % 3 < 2 || second % 3600 < 20 {
                hours.add(run_s, f64::from(second / 3600));
            }
        }
        hours.close(30.0 * 3600.0, 50);
        let points = hours.points();
        assert_eq!(points.len(), 16, "{points:?}");
        for [hour, level] in points {
            assert!((level - hour.floor()).abs() <= 1.0 && hour >= 6.0, "{hour} {level}");
        }
    }
}
