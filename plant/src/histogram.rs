//! Counts times and scores of parts in fixed classes.

use crate::part::Part;

/// Holds the distribution of one value. Bounds and sum have the unit of the values.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// The upper ends of the classes, in ascending order.
    pub bounds: &'static [f64],
    /// The number of values in each class. The last one has no upper end.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Histogram { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let class = self.bounds.iter().position(|bound| value <= *bound);
        if let Some(count) = self.counts.get_mut(class.unwrap_or(self.bounds.len())) {
            *count += 1;
            self.sum += value;
        }
    }
}

/// Holds the distributions of everything that is measured of a part. Times are in seconds.
#[derive(Debug, Clone)]
pub struct Histograms {
    /// From the trigger to the result.
    pub trigger_to_result: Histogram,
    /// From the result to its deadline, of results in time.
    pub gate_slack: Histogram,
    /// From the moment at which the pulse was due to its beginning.
    pub pulse_lateness: Histogram,
    /// The score as a multiple of the threshold.
    pub score_ratio: Histogram,
    /// The durations of the stages, with their names.
    pub stages: Vec<(&'static str, Histogram)>,
}

const RESULT: &[f64] =
    &[0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.35, 0.5, 1.0, 2.5];
const SLACK: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
const LATENESS: &[f64] =
    &[0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05];
const RATIO: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 5.0];
const STAGES: [&str; 5] = ["frame", "prepare", "backbone", "matching", "scoring"];

impl Default for Histograms {
    fn default() -> Self {
        Histograms {
            trigger_to_result: Histogram::new(RESULT),
            gate_slack: Histogram::new(SLACK),
            pulse_lateness: Histogram::new(LATENESS),
            score_ratio: Histogram::new(RATIO),
            stages: STAGES.map(|stage| (stage, Histogram::new(RESULT))).into(),
        }
    }
}

impl Histograms {
    /// Adds a part. `deadline_us` is the deadline of its result, in microseconds from the trigger.
    pub fn add(&mut self, part: &Part, deadline_us: Option<u64>) {
        if let Some(took_us) = part.trigger_to_result_us() {
            self.trigger_to_result.add(seconds(took_us));
            if let Some(slack) = deadline_us.and_then(|deadline| deadline.checked_sub(took_us)) {
                self.gate_slack.add(seconds(slack));
            }
        }
        if let Some(late_us) = part.gate_lateness_us() {
            self.pulse_lateness.add(seconds(late_us));
        }
        if let Some(ratio) = part.ratio() {
            self.score_ratio.add(f64::from(ratio));
        }
        let Some(timing) = &part.timing_us else { return };
        for (stage, histogram) in &mut self.stages {
            if let Some(us) = timing.get(*stage).and_then(serde_json::Value::as_u64) {
                histogram.add(seconds(us));
            }
        }
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        [0.5, 1.0, 1.5, 2.0, 3.0, f64::NAN].into_iter().for_each(|value| histogram.add(value));
        assert_eq!(histogram.counts, [2, 2, 1]);
        assert!((histogram.sum - 8.0).abs() < 1e-12);
    }

    #[test]
    fn a_late_result_has_no_slack() {
        let part = |result_us: u64| {
            let message = json!({
                "part": 1, "unix_ms": 0, "trigger_us": 1000, "outcome": "passed", "why": null, "score": 2.0,
                "threshold": 4.0, "result_us": result_us, "timing_us": {"backbone": 3000},
                "gate": {"due_us": 10, "at_us": 25},
            });
            Part::read(message).expect("a part")
        };
        let mut all = Histograms::default();
        all.add(&part(21_000), Some(50_000));
        all.add(&part(71_000), Some(50_000));
        assert_eq!(all.trigger_to_result.counts.iter().sum::<u64>(), 2);
        assert_eq!(all.gate_slack.counts.iter().sum::<u64>(), 1);
        assert!((all.gate_slack.sum - 0.03).abs() < 1e-9);
        assert_eq!(all.pulse_lateness.counts[1], 2, "15 us");
        assert_eq!(all.score_ratio.counts[4], 2, "half of the threshold");
        assert_eq!(all.stages[2].1.counts[1], 2, "3 ms of the backbone");
    }
}
