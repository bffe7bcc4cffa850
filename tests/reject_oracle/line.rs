//! The line of a trial: its settings and its habits.

use crate::numbers::Numbers;
use hetmm::line::engine::{Pitch, Settings, Travel};
use std::time::Duration;

/// A line and how its parts, its belt and its troubles come.
pub struct Habits {
    pub settings: Settings,
    /// When the line starts.
    pub start: u64,
    /// How long a part takes to the gate as a rule, in nanoseconds.
    pub travel: u64,
    /// How far the belt moves in that time, in counts.
    pub counts: u64,
    /// The usual time between two parts, in nanoseconds.
    pub spacing: u64,
    /// One in so many steps follows a pause.
    pub pause: u64,
    /// Steps of the trial.
    pub steps: u64,
    /// In how many of 1000 steps something other than a part comes.
    pub trouble: u64,
    /// In how many of 1000 cases a part, an answer or an edge is not as it should be.
    pub disorder: u64,
    /// Calls come up to so many nanoseconds late.
    pub lateness: u64,
    /// Whether calls come only when something happens.
    pub sleepy: bool,
    /// Whether some calls come with an earlier time.
    pub backwards: bool,
    /// Whether parts keep their distance.
    pub tidy: bool,
    /// Edges that are lost, or parts that come unseen, once in the middle of the trial.
    pub flood: Option<Flood>,
}

/// More unseen parts than are counted one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    LostEdges(u32),
    UnseenParts(u32),
}

impl Habits {
    /// Draws a line. One in 2000 is large, one in 40 lives at the end of time, and one in 1000 has a
    /// flood of each kind.
    pub fn draw(numbers: &Numbers, trial: u64) -> Self {
        let large = trial % 2000 == 100;
        // Small numbers of nanoseconds make moments coincide.
        let unit = numbers.pick(&[1, 1, 1000, 1_000_000]);
        let (short, long) = match large {
            true => (8000, 20_000),
            false => (1, numbers.pick(&[20, 60, 400])),
        };
        let travel = numbers.between(short, long) * unit + numbers.below(unit);
        let counts = numbers.between(1, numbers.pick(&[5, 60, 1000]));
        let max_in_flight = match large {
            true => 4096,
            false => numbers.pick(&[1, 1, 2, 3, 4, 8, 8, 16, 16, 64, 256]),
        };
        let tenths = if large {
            [50_000, 10_000, 500][(trial / 2000 % 3) as usize]
        } else {
            numbers.pick(&[3, 10, 20, 40, max_in_flight * 5, max_in_flight * 8, max_in_flight * 13])
        };
        let spacing = (travel * 10 / tenths).max(1);
        let steps = match large {
            true => 2 * tenths / 10 + 1000,
            false => numbers.between(40, 400),
        };
        let at_the_end = numbers.below(40) == 0;
        let late = numbers.below(10) < 3;
        let most = numbers.pick(&[20_000, 10_001, u32::MAX]);
        let flood = match trial % 1000 {
            300 => Some(Flood::LostEdges(most)),
            800 => Some(Flood::UnseenParts(most)),
            _ => None,
        };
        let calm = large || numbers.permille(600);
        let start = match at_the_end {
            true => u64::MAX - numbers.below(numbers.pick(&[2, 20, 200]) * spacing),
            false => numbers.pick(&[0, 1, 1_000_000_000_000]),
        };
        Habits {
            settings: settings(numbers, travel, counts, spacing, max_in_flight),
            start,
            travel,
            counts,
            spacing,
            pause: numbers.pick(&[25, 25, 100, 4 * tenths / 10 + 25]),
            steps,
            trouble: numbers.pick(if calm { &[1, 4, 15] } else { &[60, 200, 500] }),
            disorder: numbers.pick(if calm { &[0, 10] } else { &[10, 40, 200] }),
            lateness: if late { numbers.below(travel.max(2)) } else { 0 },
            sleepy: numbers.below(15) == 0,
            backwards: numbers.below(4) == 0,
            tidy: calm,
            flood,
        }
    }
}

fn settings(n: &Numbers, travel: u64, counts: u64, spacing: u64, most: u64) -> Settings {
    let time = Duration::from_nanos;
    let by_time = n.permille(550);
    let pitch_in_time = match n.below(4) {
        0 => 0,
        1 => n.below(spacing / 10 + 2),
        _ => n.below(spacing / 2 + 1),
    };
    let spacing_in_counts = u128::from(spacing) * u128::from(counts) / u128::from(travel);
    let pitch_in_counts = match n.below(3) {
        0 => 0,
        _ => n.below(spacing_in_counts as u64 / 2 + 2),
    };
    let pitch_by_time = if n.permille(900) { by_time } else { !by_time };
    let deadline = match (by_time, n.below(20)) {
        (_, 0) => n.between(1, travel),
        (true, _) => n.between(travel - travel / 3, travel),
        (false, 1) => n.pick(&[travel * 200, u64::MAX]),
        (false, _) => n.between(travel / 2 + 1, travel * 3),
    };
    let pulse = if n.permille(10) { 0 } else { n.between(1, spacing * n.pick(&[1, 1, 4])) };
    Settings {
        travel: if by_time { Travel::Time(time(travel)) } else { Travel::Counts(counts) },
        min_pitch: match pitch_by_time {
            true => Pitch::Time(time(pitch_in_time)),
            false => Pitch::Counts(pitch_in_counts),
        },
        deadline: time(deadline),
        ng_width: time(pulse),
        ok_width: time(if n.permille(100) { 0 } else { n.between(1, spacing * 2) }),
        strobe_delay: time(if n.permille(200) { 0 } else { n.below(spacing * 2) }),
        strobe_width: time(if n.permille(200) { 0 } else { n.between(1, spacing) }),
        heartbeat_half_period: time(match n.below(5) {
            0 => 0,
            _ => n.between(travel / 8 + 1, travel * 2),
        }),
        max_in_flight: most as usize,
        max_waiting: n.pick(&[1, 2, 4, 16, 64, 64, most]) as usize,
        alarm_after: n.pick(&[0, 1, 2, 3, 5, 20]),
        ng_active_when_safe: n.permille(500),
    }
}
