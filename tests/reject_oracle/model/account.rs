//! What can be seen of the machine after a call.

use hetmm::line::tracker::{Fault, Line, Settings};

/// What must be true after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The level of every output, in the order of [`Line::ALL`].
    pub levels: [bool; 7],
    /// The faults that are present, in the order of [`Fault::ALL`].
    pub faults: [bool; 9],
    /// Triggers, the lost ones included.
    pub triggers: u64,
    /// Parts that passed.
    pub passed: u64,
    /// Parts that were rejected, by reason.
    pub rejected: [u64; 10],
    /// Results that came after their deadline.
    pub late_results: u64,
    /// Times that the alarm was raised.
    pub alarms: u64,
    /// Parts between trigger and gate.
    pub in_flight: usize,
    /// Captures without an answer.
    pub outstanding: usize,
    /// Stretches of belt before the gate, with parts and without.
    pub followed: usize,
    /// Whether the safe state holds.
    pub safe: bool,
}

impl Account {
    /// What a line shows that has just started, without template and camera.
    pub fn at_start(settings: &Settings) -> Self {
        let mut account = Account {
            levels: [false; 7],
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
        };
        account.faults[Fault::Template as usize] = true;
        account.faults[Fault::Camera as usize] = true;
        account.levels[Line::Ng.index()] = settings.ng_active_when_safe;
        account.levels[Line::Fault.index()] = true;
        account
    }
}
