//! Holds what can be seen of the part tracker after a call.

use hetmm::line::tracker::{Fault, Line, Settings};

/// Holds what must be true after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The level of every output, in the order of [`Line::ALL`].
    pub levels: [bool; 8],
    /// The faults that are present, in the order of [`Fault::ALL`].
    pub faults: [bool; 9],
    /// The number of triggers, including lost ones.
    pub triggers: u64,
    /// The number of parts that passed.
    pub passed: u64,
    /// The numbers of rejected parts, by reason.
    pub rejected: [u64; 10],
    /// The number of results that came after their deadline.
    pub late_results: u64,
    /// The number of times that the alarm was raised.
    pub alarms: u64,
    /// The number of parts between trigger and gate.
    pub in_flight: usize,
    /// The number of captures without an answer.
    pub outstanding: usize,
    /// The number of stretches of belt before the gate, with parts and without.
    pub followed: usize,
    /// Whether the safe state holds.
    pub safe: bool,
    /// The moment at which commissioning ends, while it lasts.
    pub commissioning: Option<u64>,
}

impl Account {
    /// Returns what a line shows that has just started, without template and camera.
    pub fn at_start(settings: &Settings) -> Self {
        let mut account = Account {
            levels: [false; 8],
            faults: [false; 9],
            triggers: 0,
            passed: 0,
            rejected: [0; 10],
            late_results: 0,
            alarms: 0,
            in_flight: 0,
            outstanding: 0,
            followed: 0,
            safe: false,
            commissioning: None,
        };
        account.faults[Fault::Template as usize] = true;
        account.faults[Fault::Camera as usize] = true;
        account.levels[Line::Ng.index()] = settings.ng_active_when_safe;
        account.levels[Line::Fault.index()] = true;
        account
    }
}
