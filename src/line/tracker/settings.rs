//! Holds what the part tracker has to know about the production line.

use std::time::Duration;

/// Says how far it is from the trigger to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Travel {
    /// The time on a belt of constant speed.
    Time(Duration),
    /// The number of encoder counts on a belt of any speed.
    Counts(u64),
}

/// Says how close two triggers may be before their parts cannot be told apart at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pitch {
    /// A time.
    Time(Duration),
    /// A number of encoder counts.
    Counts(u64),
}

/// Holds what the part tracker has to know about the production line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The distance from trigger to gate.
    pub travel: Travel,
    /// The smallest distance of two triggers.
    pub min_pitch: Pitch,
    /// The time from the trigger to the moment at which a result must be there. With [`Travel::Time`] it is not longer
    /// than the travel.
    pub deadline: Duration,
    /// The width of the reject pulse.
    pub ng_width: Duration,
    /// The width of the pulse for a part that passes.
    pub ok_width: Duration,
    /// The time from trigger to strobe.
    pub strobe_delay: Duration,
    /// The width of the strobe.
    pub strobe_width: Duration,
    /// The time after which the heartbeat changes its level. Zero means no heartbeat.
    pub heartbeat_half_period: Duration,
    /// The largest number of parts between trigger and gate that are followed one by one.
    pub max_in_flight: usize,
    /// The largest number of parts that wait for a result. With more, the production line is not ready.
    pub max_waiting: usize,
    /// The number of rejects in a row that raises the alarm. Zero means never.
    pub alarm_after: u32,
    /// Whether the safe state holds the reject output active.
    pub ng_active_when_safe: bool,
}
