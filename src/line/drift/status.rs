//! Holds what the watch says about itself.

use super::chart::{Chart, Cusum};
use super::day_one;
use super::day_one::GoodPictures;
use super::expectation::false_alarms_a_year;
use super::sample::Series;
use super::saved::{Decision, Phase, Saved};
use super::settings::Settings;
use serde::Serialize;

/// Names what the watch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The watch learns what is usual. It cannot warn yet.
    Learning,
    /// Nothing has drifted.
    Good,
    /// Something has drifted.
    Warning,
}

/// Holds what `hetmm-edge drift status` shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// What the watch does.
    pub state: State,
    /// What has drifted, in words.
    pub warnings: Vec<String>,
    /// The number of blocks that were learned so far.
    pub learned_blocks: u32,
    /// The number of blocks that the reference needs.
    pub learn_blocks: u32,
    /// The number of parts in the present block.
    pub parts_in_block: u32,
    /// The number of blocks that did not count because they had too few parts, since the start.
    pub small_blocks: u64,
    /// The number of hours until 5 % of the parts exceed the threshold, if scores go on as in the last day.
    pub hours_to_threshold: Option<f64>,
    /// The comparison with the good pictures of the template.
    pub day_one: DayOne,
    /// The charts.
    pub charts: Vec<ChartStatus>,
    /// What is usual, when it has been learned.
    pub reference: Vec<SeriesStatus>,
    /// The expected number of false alarms a year of all charts, if it is known.
    pub false_alarms_a_year: Option<f64>,
    /// What people have decided, the newest last.
    pub decisions: Vec<Decision>,
}

/// Compares the first day with the good pictures of the template.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DayOne {
    /// The scores of the good pictures, if the template holds enough of them.
    pub good_pictures: Option<GoodPictures>,
    /// How far the first day's scores were above them, in standard deviations of the difference.
    pub sigmas: Option<f64>,
    /// Whether somebody has accepted the difference.
    pub accepted: bool,
}

/// Holds the state of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChartStatus {
    /// The chart.
    pub chart: Chart,
    /// Its sum, in standard deviations of a block.
    pub sum: f64,
    /// The sum above which it warns.
    pub warns_above: f64,
    /// Whether it warns.
    pub warns: bool,
    /// The smoothed deviation in the direction of the chart, in standard deviations of a block.
    pub trend: f64,
}

/// Holds what is usual for a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeriesStatus {
    /// The series.
    pub series: Series,
    /// The median of the blocks, in the unit of the series.
    pub centre: f64,
    /// The standard deviation of a block, in the unit of the series.
    pub sigma: f64,
    /// The correlation of a block with the one before it.
    pub lag1: f64,
    /// The factor by which the charts widen the standard deviation because of it.
    pub widening: f64,
}

impl Status {
    /// Describes a state.
    pub(super) fn new(
        saved: &Saved,
        settings: &Settings,
        good_pictures: Option<GoodPictures>,
        hours_to_threshold: Option<f64>,
        (parts_in_block, small_blocks): (u32, u64),
    ) -> Self {
        let reference = series(&saved.phase);
        let learned_blocks = match &saved.phase {
            Phase::Learning(blocks) => u32::try_from(blocks.len()).unwrap_or(u32::MAX),
            Phase::Watching(_) => settings.learn_blocks,
        };
        let warnings = warnings(saved);
        let state = match (&saved.phase, warnings.is_empty()) {
            (Phase::Learning(_), _) => State::Learning,
            (_, true) => State::Good,
            (_, false) => State::Warning,
        };
        let accepted = saved.day_one_accepted;
        Status {
            state,
            warnings,
            learned_blocks,
            learn_blocks: settings.learn_blocks,
            parts_in_block,
            small_blocks,
            hours_to_threshold,
            day_one: DayOne { good_pictures, sigmas: saved.day_one, accepted },
            charts: charts(saved, settings),
            false_alarms_a_year: expected(&reference, settings),
            reference,
            decisions: saved.decisions.clone(),
        }
    }
}

/// Returns what has drifted, in words.
pub(super) fn warnings(saved: &Saved) -> Vec<String> {
    let warn = Chart::ALL.into_iter().zip(&saved.charts).filter(|(_, cusum)| cusum.warns());
    let mut words: Vec<String> = warn.map(|(chart, _)| chart.words().to_owned()).collect();
    if warns_of_day_one(saved) {
        words.push(
            "scores of the first day are higher than those of the template's good pictures".into(),
        );
    }
    words
}

/// Returns whether the first day differs from the good pictures of the template.
pub(super) fn warns_of_day_one(saved: &Saved) -> bool {
    !saved.day_one_accepted && saved.day_one.is_some_and(day_one::is_far)
}

fn charts(saved: &Saved, settings: &Settings) -> Vec<ChartStatus> {
    let status = |(chart, cusum): (Chart, &Cusum)| ChartStatus {
        chart,
        sum: cusum.sum(),
        warns_above: settings.h,
        warns: cusum.warns(),
        trend: chart.sign() * chart.series().of(&saved.trends),
    };
    Chart::ALL.into_iter().zip(&saved.charts).map(status).collect()
}

fn series(phase: &Phase) -> Vec<SeriesStatus> {
    let Phase::Watching(reference) = phase else { return vec![] };
    let status = |series: Series| {
        let usual = reference.of(series);
        SeriesStatus {
            series,
            centre: usual.centre,
            sigma: usual.sigma,
            lag1: usual.lag1,
            widening: usual.widening(),
        }
    };
    Series::ALL.into_iter().map(status).collect()
}

/// Returns the expected false alarms of all charts.
fn expected(reference: &[SeriesStatus], settings: &Settings) -> Option<f64> {
    let of = |chart: Chart| {
        let series = reference.iter().find(|status| status.series == chart.series())?;
        false_alarms_a_year(series.lag1, settings)
    };
    (!reference.is_empty()).then(|| Chart::ALL.into_iter().map(of).sum::<Option<f64>>())?
}
