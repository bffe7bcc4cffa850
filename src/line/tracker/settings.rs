//! What the part tracker has to know about the line.

use std::time::Duration;

/// How far it is from the trigger to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Travel {
    /// A belt of constant speed: this long.
    Time(Duration),
    /// A belt of any speed: so many encoder counts.
    Counts(u64),
}

/// How close two triggers may be before their parts cannot be told apart at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pitch {
    /// So long.
    Time(Duration),
    /// So many encoder counts.
    Counts(u64),
}

/// What the part tracker has to know about the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// From trigger to gate.
    pub travel: Travel,
    /// Smallest distance of two triggers.
    pub min_pitch: Pitch,
    /// From trigger to the moment when a result has to be there. With [`Travel::Time`] no longer
    /// than the travel.
    pub deadline: Duration,
    /// Width of the reject pulse.
    pub ng_width: Duration,
    /// Width of the pulse for a part that passes.
    pub ok_width: Duration,
    /// From trigger to strobe.
    pub strobe_delay: Duration,
    /// Width of the strobe.
    pub strobe_width: Duration,
    /// The heartbeat changes its level this often; zero for no heartbeat.
    pub heartbeat_half_period: Duration,
    /// Most parts between camera and gate that are followed one by one.
    pub max_in_flight: usize,
    /// Most parts that wait for a result; with more, the line is not ready.
    pub max_waiting: usize,
    /// So many rejects in a row raise the alarm; zero for never.
    pub alarm_after: u32,
    /// Whether the safe state holds the reject output active.
    pub ng_active_when_safe: bool,
}
