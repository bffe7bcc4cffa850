//! Says how many false alarms are to be expected.

use super::settings::Settings;
use std::time::Duration;

/// The false alarms of one chart in a year of blocks of ten minutes, by the correlation of neighbouring blocks. The
/// reference is learned from 144 blocks, and again after each alarm. From a simulation of 1000 camera-years for each
/// correlation with normal deviations (2026-11-28); `tests/library/drift.rs` repeats it.
const TABLE: [(f64, f64); 10] = [
    (0.0, 0.000),
    (0.1, 0.001),
    (0.2, 0.008),
    (0.3, 0.041),
    (0.4, 0.118),
    (0.5, 0.161),
    (0.6, 0.171),
    (0.7, 0.183),
    (0.8, 0.210),
    (0.9, 0.281),
];
/// The time of a block in the table.
const BLOCK: Duration = Duration::from_secs(600);

/// Returns how many false alarms one chart is expected to have in a year in which parts come all the time, or `None` for
/// settings that were not simulated. `lag1` is the correlation of neighbouring blocks.
pub fn false_alarms_a_year(lag1: f64, settings: &Settings) -> Option<f64> {
    let Settings { k, h, learn_blocks, .. } = Settings::default();
    if (settings.k, settings.h) != (k, h) || settings.learn_blocks < learn_blocks {
        return None;
    }
    let blocks = BLOCK.as_secs_f64() / settings.block.as_secs_f64().max(1.0);
    let (_, most) = TABLE.last()?;
    let pairs = TABLE.iter().zip(TABLE.iter().skip(1));
    let within = |((low, few), (high, many)): (&(f64, f64), &(f64, f64))| {
        let share = (lag1 - low) / (high - low);
        (share <= 1.0).then_some(few + share.max(0.0) * (many - few))
    };
    Some(blocks * pairs.filter_map(within).next().unwrap_or(*most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_rows_is_interpolated() {
        let plain = Settings::default();
        let table =
            [(-0.5, 0.0), (0.0, 0.0), (0.35, 0.0795), (0.5, 0.161), (0.9, 0.281), (1.0, 0.281)];
        for (lag1, wanted) in table {
            let found = false_alarms_a_year(lag1, &plain).expect("is known");
            assert!((found - wanted).abs() < 1e-9, "{lag1}: {found}");
        }
        let quick = Settings { block: Duration::from_secs(60), ..plain };
        let of_minutes = false_alarms_a_year(0.9, &quick).expect("is known");
        assert!((of_minutes - 2.81).abs() < 1e-9, "{of_minutes}");
        for other in [
            Settings { k: 0.5, ..plain },
            Settings { h: 5.0, ..plain },
            Settings { learn_blocks: 100, ..plain },
        ] {
            assert_eq!(false_alarms_a_year(0.5, &other), None, "{other:?}");
        }
    }
}
