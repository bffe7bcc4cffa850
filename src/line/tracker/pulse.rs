//! Makes pulses on one output. They begin on time, are never short, and merge if they touch.

use super::command::{Command, Line};
use crate::clock::LineTime;
use std::collections::VecDeque;
use std::time::Duration;

/// The largest number of pulses that wait for their beginning.
const MAX_SCHEDULED: usize = 1024;

/// Holds an output that carries pulses.
#[derive(Debug)]
pub(super) struct Pulse {
    line: Line,
    width: Duration,
    active: bool,
    /// Whether the output is active without a known end.
    is_held: bool,
    /// The moment at which the output becomes inactive, unless it is held.
    until: LineTime,
    /// The beginnings that lie ahead, in their order.
    begins: VecDeque<LineTime>,
}

impl Pulse {
    /// Makes an inactive output.
    pub fn new(line: Line, width: Duration) -> Self {
        let (until, begins) = (LineTime::default(), VecDeque::new());
        Pulse { line, width, active: false, is_held: false, until, begins }
    }

    /// Returns whether the output is active.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Schedules a pulse that begins at `at`.
    pub fn schedule(&mut self, at: LineTime) {
        if self.width > Duration::ZERO && self.begins.len() < MAX_SCHEDULED {
            self.begins.push_back(at);
        }
    }

    /// Makes the output active, due at `at`, until [`Pulse::release`].
    pub fn hold(&mut self, at: LineTime, out: &mut Vec<Command>) {
        self.is_held = true;
        self.set(true, at, out);
    }

    /// Ends the hold, due at `at`. The output stays active for one more width. A pulse that began late, at `now`, still
    /// gets its full width.
    pub fn release(&mut self, now: LineTime, at: LineTime) {
        self.is_held = false;
        self.last_until(now, at);
    }

    fn last_until(&mut self, now: LineTime, at: LineTime) {
        self.until = self.until.max(now.max(at) + self.width);
    }

    /// Begins a pulse now that was due at `at`.
    pub fn fire(&mut self, now: LineTime, at: LineTime, out: &mut Vec<Command>) {
        if self.width > Duration::ZERO {
            self.set(true, at, out);
            self.last_until(now, at);
        }
    }

    /// Returns the next moment at which something has to be done.
    pub fn next(&self) -> Option<LineTime> {
        let end = (self.active && !self.is_held).then_some(self.until);
        let begin = self.begins.front().copied();
        match (end, begin) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does what is due at `at`. The caller takes care of the order.
    pub fn advance(&mut self, now: LineTime, at: LineTime, out: &mut Vec<Command>) {
        // A beginning at the very moment of an end merges, so the output does not blink.
        while self.begins.front().is_some_and(|begin| *begin <= at) {
            if let Some(begin) = self.begins.pop_front() {
                self.fire(now, begin, out);
            }
        }
        if self.active && !self.is_held && self.until <= at {
            self.set(false, self.until, out);
        }
    }

    /// Forgets every pulse and takes a fixed level.
    pub fn freeze(&mut self, active: bool, at: LineTime, out: &mut Vec<Command>) {
        self.begins.clear();
        self.until = at;
        self.is_held = active;
        self.set(active, at, out);
    }

    fn set(&mut self, active: bool, at: LineTime, out: &mut Vec<Command>) {
        if self.active != active {
            self.active = active;
            out.push(Command::Set { line: self.line, active, at });
        }
    }
}

/// Holds an output with a level.
#[derive(Debug)]
pub(super) struct Level {
    line: Line,
    active: bool,
}

impl Level {
    /// Makes an output that has the level `active`.
    pub fn new(line: Line, active: bool) -> Self {
        Level { line, active }
    }

    /// Returns whether the output is active.
    pub fn active(&self) -> bool {
        self.active
    }

    /// Changes the level if it differs.
    pub fn set(&mut self, active: bool, at: LineTime, out: &mut Vec<Command>) {
        if self.active != active {
            self.active = active;
            out.push(Command::Set { line: self.line, active, at });
        }
    }
}
