//! Joins the parts of the watch: from judged parts to a warning.

use super::block::{Block, Closed, Collector};
use super::chart::{Chart, Cusum};
use super::day_one::GoodPictures;
use super::forecast::{Hours, hours_to_threshold};
use super::reference::Reference;
use super::sample::{Sample, Series};
use super::saved::{Binding, Decision, Phase, Saved};
use super::settings::Settings;
use super::status::{self, Status};
use crate::clock::LineTime;

/// The weight of a new block in the trend (EWMA). Only the drawing of charts uses it.
const TREND: f64 = 0.05;
/// The largest deviation that counts for the trend, in standard deviations.
const MOST_TREND: f64 = 1000.0;

/// Says what has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Notice {
    /// The reference is learned. From now on the watch can warn.
    Learned,
    /// The scores of the first day are so many standard deviations above those of the template's good pictures.
    DayOne(f64),
    /// A chart begins to warn.
    Begins(Chart),
    /// A chart does not warn any more.
    Ends(Chart),
    /// The state has changed and is worth keeping.
    Changed,
}

/// Watches for drift. See the documentation of the module.
#[derive(Debug, Clone)]
pub struct Watch {
    settings: Settings,
    state: Saved,
    good_pictures: Option<GoodPictures>,
    collector: Collector,
    hours: Hours,
    /// The moment at which this run began, and the seconds that the watch had run before.
    began: Option<LineTime>,
    ran_s: f64,
    small_blocks: u64,
}

impl Watch {
    /// Makes a watch that knows nothing.
    pub fn new(settings: Settings) -> Self {
        let state = Saved {
            binding: None,
            phase: Phase::Learning(vec![]),
            charts: Default::default(),
            trends: Default::default(),
            day_one: None,
            day_one_accepted: false,
            run_s: 0.0,
            hours: vec![],
            decisions: vec![],
        };
        Self::of(settings, state)
    }

    /// Continues with a state that [`Watch::save`] has returned.
    ///
    /// # Errors
    /// Returns why the bytes cannot be used.
    pub fn restore(settings: Settings, bytes: &[u8]) -> Result<Self, String> {
        Ok(Self::of(settings, Saved::from_bytes(bytes)?))
    }

    fn of(settings: Settings, state: Saved) -> Self {
        Watch {
            settings,
            good_pictures: None,
            collector: Collector::new(),
            hours: Hours::new(&state.hours),
            began: None,
            ran_s: state.run_s,
            small_blocks: 0,
            state,
        }
    }

    /// Returns the state, to be kept in a file.
    pub fn save(&self) -> Vec<u8> {
        Saved { hours: self.hours.points(), ..self.state.clone() }.to_bytes()
    }

    /// Says which template and camera settings the next parts belong to. If they are not those of the state, the watch
    /// learns anew. Returns whether it does.
    pub fn bind(&mut self, binding: Binding, good_pictures: Option<GoodPictures>) -> bool {
        self.good_pictures = good_pictures;
        if self.state.binding.as_ref() == Some(&binding) {
            return false;
        }
        self.state.binding = Some(binding);
        self.state.day_one_accepted = false;
        self.begin_learning();
        true
    }

    /// Takes a judged part.
    pub fn part(&mut self, sample: &Sample) -> Vec<Notice> {
        let notices = self.tick(sample.at);
        self.collector.add(sample);
        self.hours.add(self.state.run_s, sample.ratio);
        notices
    }

    /// Takes note of the time. It closes a block whose time is over.
    pub fn tick(&mut self, now: LineTime) -> Vec<Notice> {
        let began = *self.began.get_or_insert(now);
        self.state.run_s = self.ran_s + now.since(began).as_secs_f64();
        self.hours.close(self.state.run_s, self.settings.block_parts);
        match self.collector.close(now, &self.settings) {
            None => vec![],
            Some(Closed::TooFew) => {
                self.small_blocks = self.small_blocks.saturating_add(1);
                vec![]
            }
            Some(Closed::Whole(block)) => self.block(&block),
        }
    }

    /// Takes a block. [`Watch::part`] and [`Watch::tick`] call it.
    pub fn block(&mut self, block: &Block) -> Vec<Notice> {
        let mut notices = match &mut self.state.phase {
            Phase::Learning(blocks) => {
                blocks.push(block.medians);
                let is_enough = blocks.len() >= self.settings.learn_blocks as usize;
                match is_enough.then(|| Reference::learn(blocks)).flatten() {
                    Some(reference) => self.begin_watching(reference),
                    None => vec![],
                }
            }
            Phase::Watching(reference) => {
                let deviations = reference.deviations(&block.medians);
                self.compare(deviations)
            }
        };
        notices.push(Notice::Changed);
        notices
    }

    fn begin_learning(&mut self) {
        self.state.phase = Phase::Learning(vec![]);
        self.state.charts = Default::default();
        self.state.trends = Default::default();
        self.state.day_one = None;
        self.collector.clear();
        self.hours = Hours::new(&[]);
    }

    fn begin_watching(&mut self, reference: Reference) -> Vec<Notice> {
        let (scores, blocks) = (reference.of(Series::Score), self.settings.learn_blocks);
        self.state.day_one =
            self.good_pictures.map(|pictures| pictures.sigmas_below(&scores, blocks));
        self.state.phase = Phase::Watching(reference);
        let mut notices = vec![Notice::Learned];
        let far = self.state.day_one.filter(|_| status::warns_of_day_one(&self.state));
        notices.extend(far.map(Notice::DayOne));
        notices
    }

    /// Adds a block to the charts. `deviations` are those of [`Reference::deviations`].
    fn compare(&mut self, deviations: [f64; Series::ALL.len()]) -> Vec<Notice> {
        for (z, trend) in deviations.into_iter().zip(&mut self.state.trends) {
            *trend += TREND * (z.clamp(-MOST_TREND, MOST_TREND) - *trend);
        }
        let (k, h) = (self.settings.k, self.settings.h);
        let charts = Chart::ALL.into_iter().zip(&mut self.state.charts);
        charts
            .filter_map(|(chart, cusum)| {
                let z = chart.sign() * chart.series().of(&deviations);
                let warns = cusum.add(z, k, h)?;
                Some(if warns { Notice::Begins(chart) } else { Notice::Ends(chart) })
            })
            .collect()
    }

    /// Returns whether anything has drifted.
    pub fn warns(&self) -> bool {
        self.state.charts.iter().any(Cusum::warns) || status::warns_of_day_one(&self.state)
    }

    /// Learns anew, because `who` asks for it at `unix_s` seconds since 1970.
    pub fn learn(&mut self, who: &str, unix_s: u64) {
        self.decide(false, who, unix_s);
        self.begin_learning();
    }

    /// Takes what is there now as usual: learns anew, and does not compare it with the template's good pictures again.
    /// Returns whether there was a warning to accept. Without one, nothing changes.
    pub fn accept(&mut self, who: &str, unix_s: u64) -> bool {
        if !self.warns() {
            return false;
        }
        self.decide(true, who, unix_s);
        self.begin_learning();
        self.state.day_one_accepted = true;
        true
    }

    fn decide(&mut self, accepted: bool, who: &str, unix_s: u64) {
        let charts = Chart::ALL.into_iter().zip(&self.state.charts);
        let warned = charts.filter(|(_, cusum)| cusum.warns()).map(|(chart, _)| chart).collect();
        let sums = self.state.charts.each_ref().map(Cusum::sum);
        let who = who.chars().take(50).collect();
        self.state.decide(Decision { accepted, who, unix_s, warned, sums });
    }

    /// Says what the watch sees.
    pub fn status(&self) -> Status {
        let hours = hours_to_threshold(&self.hours.points(), self.state.run_s / 3600.0);
        let hours = hours.filter(|hours| *hours <= self.settings.horizon_h);
        let counts = (self.collector.parts(), self.small_blocks);
        Status::new(&self.state, &self.settings, self.good_pictures, hours, counts)
    }
}
