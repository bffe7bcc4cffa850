//! Draws the production line of a trial: its settings and its habits.

use crate::numbers::Numbers;
use hetmm::line::tracker::{Pitch, Settings, Travel};
use std::time::Duration;

/// Describes a production line and how its parts, its belt and its troubles come.
pub struct Habits {
    pub settings: Settings,
    /// The moment at which the production line starts.
    pub start: u64,
    /// The usual time of a part to the gate, in nanoseconds.
    pub travel: u64,
    /// The distance that the belt moves in that time, in counts.
    pub counts: u64,
    /// The usual time between two parts, in nanoseconds.
    pub spacing: u64,
    /// One in so many steps follows a pause.
    pub pause: u64,
    /// The number of steps of the trial.
    pub steps: u64,
    /// The number of steps in 1000 in which something other than a part comes.
    pub trouble: u64,
    /// The number of cases in 1000 in which a part, an answer or an edge is not as it should be.
    pub disorder: u64,
    /// The longest delay of a call, in nanoseconds.
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

/// Holds more unseen parts than are counted one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    LostEdges(u32),
    UnseenParts(u32),
}

impl Habits {
    /// Draws a production line. One in 2000 is large, one in 40 runs at the end of time, and one in 1000 has a flood of
    /// each kind.
    pub fn draw(numbers: &Numbers, trial: u64) -> Self {
        let large = trial % 2000 == 100;
        let size = if large { Size::large(numbers, trial) } else { Size::usual(numbers) };
        let Size { travel, spacing, steps, .. } = size;
        let counts = numbers.between(1, numbers.pick(&[5, 60, 1000]));
        let at_the_end = !large && numbers.below(40) == 0;
        let late = numbers.below(10) < 3;
        let calm = numbers.permille(600);
        Habits {
            settings: settings(numbers, &size, counts),
            start: match at_the_end {
                true => u64::MAX - numbers.below(numbers.pick(&[2, 20, 200]) * spacing),
                false => numbers.pick(&[0, 1, 1_000_000_000_000]),
            },
            travel,
            counts,
            spacing,
            pause: match large {
                true => 2 * steps,
                false => numbers.pick(&[25, 25, 100, 4 * travel / spacing + 25]),
            },
            steps,
            trouble: match (large, calm) {
                (true, _) => 1,
                (_, true) => numbers.pick(&[1, 4, 15]),
                _ => numbers.pick(&[60, 200, 500]),
            },
            disorder: numbers.pick(if calm { &[0, 10] } else { &[10, 40, 200] }),
            lateness: if late { numbers.below(travel.max(2)) } else { 0 },
            sleepy: numbers.below(15) == 0,
            backwards: numbers.below(4) == 0,
            tidy: large || calm,
            flood: flood(numbers, trial),
        }
    }
}

/// Says how long and how crowded a production line is, and how long the trial takes.
struct Size {
    travel: u64,
    spacing: u64,
    steps: u64,
    max_in_flight: u64,
}

impl Size {
    /// Draws a line with up to 5000 parts between trigger and gate.
    fn large(numbers: &Numbers, trial: u64) -> Self {
        let unit = numbers.pick(&[1, 1000]);
        let travel = numbers.between(8000, 20_000) * unit + numbers.below(unit);
        let parts = [5000, 1000, 50][(trial / 2000 % 3) as usize];
        let (spacing, steps) = (travel / parts, 2 * parts + 1000);
        Size { travel, spacing, steps, max_in_flight: 4096 }
    }

    /// Draws a line with a third of a part up to more parts between trigger and gate than can be followed.
    fn usual(numbers: &Numbers) -> Self {
        // Small numbers of nanoseconds make moments coincide.
        let unit = numbers.pick(&[1, 1, 1000, 1_000_000]);
        let travel = numbers.between(1, numbers.pick(&[20, 60, 400])) * unit + numbers.below(unit);
        let most = numbers.pick(&[1, 1, 2, 3, 4, 8, 8, 16, 16, 64, 256]);
        let tenths = numbers.pick(&[3, 10, 20, 40, most * 5, most * 8, most * 13]);
        let (spacing, steps) = ((travel * 10 / tenths).max(1), numbers.between(40, 400));
        Size { travel, spacing, steps, max_in_flight: most }
    }
}

fn flood(numbers: &Numbers, trial: u64) -> Option<Flood> {
    let most = numbers.pick(&[20_000, 10_001, u32::MAX]);
    match trial % 1000 {
        300 => Some(Flood::LostEdges(most)),
        800 => Some(Flood::UnseenParts(most)),
        _ => None,
    }
}

fn settings(n: &Numbers, size: &Size, counts: u64) -> Settings {
    let Size { travel, spacing, max_in_flight: most, .. } = *size;
    let time = Duration::from_nanos;
    let by_time = n.permille(550);
    let deadline = match (by_time, n.below(20)) {
        (_, 0) => n.between(1, travel),
        (true, _) => n.between(travel - travel / 3, travel),
        (false, 1) => n.pick(&[travel * 200, u64::MAX]),
        (false, _) => n.between(travel / 2 + 1, travel * 3),
    };
    let pulse = match n.below(100) {
        0 => 0,
        1..4 => n.between(1, travel * 3),
        _ => n.between(1, spacing * n.pick(&[1, 1, 4])),
    };
    let strobe_delay = match n.below(20) {
        0..4 => 0,
        4 => n.below(travel * 2),
        _ => n.below(spacing * 2),
    };
    Settings {
        travel: if by_time { Travel::Time(time(travel)) } else { Travel::Counts(counts) },
        min_pitch: pitch(n, size, counts, by_time),
        deadline: time(deadline),
        ng_width: time(pulse),
        ok_width: time(if n.permille(100) { 0 } else { n.between(1, spacing * 2) }),
        strobe_delay: time(strobe_delay),
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

/// Draws a pitch from zero to half the usual distance. One in ten is not in the unit of the travel.
fn pitch(n: &Numbers, size: &Size, counts: u64, by_time: bool) -> Pitch {
    let half = size.spacing / 2;
    let half_in_counts = u128::from(half) * u128::from(counts) / u128::from(size.travel);
    let in_time = n.pick(&[0, n.below(half / 5 + 2), n.below(half + 1), n.below(half + 1)]);
    let in_counts = n.pick(&[0, n.below(half_in_counts as u64 + 2)]);
    match n.permille(900) == by_time {
        true => Pitch::Time(Duration::from_nanos(in_time)),
        false => Pitch::Counts(in_counts),
    }
}
