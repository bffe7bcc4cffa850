//! Runs the part tracker's state machine.

use super::belt::{Belt, Gate, Stretch};
use super::command::{Command, Line};
use super::commissioning::{Commissioning, PulseRefusal, Step};
use super::counters::Counters;
use super::deadlines::Deadlines;
use super::event::{Event, Fault, Watch};
use super::part::{Finished, Outcome, PartId, Reason};
use super::pulse::{Level, Pulse};
use super::settings::{Pitch, Settings};
use crate::clock::LineTime;
use std::time::Duration;

/// The largest number of lost edges in one gap that get an outcome each. More of them mean a broken input.
const MAX_LOST: u32 = 10_000;

/// Follows parts from trigger to gate. The module's documentation describes its contract.
#[derive(Debug)]
pub struct PartTracker {
    settings: Settings,
    now: LineTime,
    count: u64,
    last_part: u64,
    last_trigger: Option<(LineTime, u64)>,
    belt: Belt,
    deadlines: Deadlines,
    /// The number of captures that have not been answered yet.
    outstanding: usize,
    consecutive_rejects: u32,
    faults: [bool; Fault::ALL.len()],
    /// Whether each watch may miss parts at present, by its place in [`Watch::ALL`].
    blind: [bool; Watch::ALL.len()],
    safe: bool,
    /// It is there only in the safe state.
    commissioning: Option<Commissioning>,
    ng: Pulse,
    ok: Pulse,
    strobe: Pulse,
    ready: Level,
    busy: Level,
    fault: Level,
    heartbeat: Level,
    warning: Level,
    /// Whether something drifts.
    drifts: bool,
    heartbeat_next: LineTime,
    counters: Counters,
}

impl PartTracker {
    /// Makes a part tracker without template and camera. Its outputs have their safe levels.
    ///
    /// Nothing is known of parts that are between trigger and gate at this moment. If the safe level of the reject
    /// output is active, it is held until the last of them has passed.
    pub fn new(settings: Settings, now: LineTime) -> Self {
        let mut ng = Pulse::new(Line::Ng, settings.ng_width);
        let mut belt = Belt::new(settings.travel, settings.max_in_flight);
        if settings.ng_active_when_safe {
            ng.hold(now, &mut Vec::new());
            belt.pass_rejected(belt.gate_of(now, 0));
        }
        let faults = Fault::ALL.map(|fault| matches!(fault, Fault::Template | Fault::Camera));
        PartTracker {
            now,
            count: 0,
            last_part: 0,
            last_trigger: None,
            belt,
            deadlines: Deadlines::new(settings.max_in_flight),
            outstanding: 0,
            consecutive_rejects: 0,
            faults,
            blind: [false; Watch::ALL.len()],
            safe: false,
            commissioning: None,
            ng,
            ok: Pulse::new(Line::Ok, settings.ok_width),
            strobe: Pulse::new(Line::Strobe, settings.strobe_width),
            ready: Level::new(Line::Ready, false),
            busy: Level::new(Line::Busy, false),
            fault: Level::new(Line::Fault, true),
            heartbeat: Level::new(Line::Heartbeat, false),
            warning: Level::new(Line::Warning, false),
            drifts: false,
            heartbeat_next: now + settings.heartbeat_half_period,
            counters: Counters::default(),
            settings,
        }
    }

    /// Takes an event at `now`, and adds what has to be done to `out`, in order.
    ///
    /// Time never runs backwards here: an earlier `now` counts as the latest one. What would be due at
    /// [`LineTime::NEVER`] is never done.
    pub fn handle(&mut self, now: LineTime, event: Event, out: &mut Vec<Command>) {
        let now = self.now.max(now);
        self.advance(now, out);
        match event {
            Event::Trigger { at, lost } => self.trigger(at, lost, out),
            Event::Blind { watch, parts } => self.go_blind(watch, parts, out),
            Event::Seeing { watch } => self.see_again(watch),
            Event::Count(count) => self.count(count, out),
            Event::Result { part, reject } => self.result(part, reject),
            Event::Condition { fault, present } => self.set_fault(fault, present),
            Event::Drift { present } => self.drifts = present,
            Event::Safe => self.enter_safe(out),
            Event::Resume => self.resume(),
            Event::Commission { until } => self.commission(until, out),
            Event::TestPulse { due } => self.test_pulse(due),
            Event::EndCommissioning => self.end_commissioning(self.now, out),
            Event::Acknowledge => {
                self.consecutive_rejects = 0;
                self.set_fault(Fault::Alarm, false);
            }
            Event::Tick => {}
        }
        self.advance(now, out);
        self.show(out);
    }

    /// Returns the latest moment at which [`PartTracker::handle`] has to be called again.
    pub fn next_wake(&self) -> Option<LineTime> {
        let beats = !self.safe && self.settings.heartbeat_half_period > Duration::ZERO;
        let moments = [
            self.belt.next_move(),
            self.deadlines.next(),
            self.ng.next().filter(|_| !self.safe),
            self.ok.next(),
            self.strobe.next(),
            beats.then_some(self.heartbeat_next),
            self.commissioning.as_ref().map(Commissioning::next),
        ];
        moments.into_iter().flatten().filter(|at| *at < LineTime::NEVER).min()
    }

    /// Returns the counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns whether a trigger would be accepted.
    pub fn is_ready(&self) -> bool {
        self.can_inspect() && self.outstanding < self.settings.max_waiting
    }

    /// Returns whether the part tracker is in the safe state.
    pub fn is_safe(&self) -> bool {
        self.safe
    }

    /// Returns the moment at which commissioning ends by itself, while it lasts.
    pub fn commissioning_until(&self) -> Option<LineTime> {
        self.commissioning.as_ref().map(Commissioning::until)
    }

    /// Returns whether a test pulse that begins at `due` may be asked for at `now`.
    pub fn may_pulse(&self, now: LineTime, due: LineTime) -> Result<(), PulseRefusal> {
        match &self.commissioning {
            Some(commissioning) => commissioning.may_pulse(now, due, self.settings.ng_width),
            None => Err(PulseRefusal::NotCommissioning),
        }
    }

    /// Returns whether a test pulse waits for its beginning or lasts.
    pub fn is_pulsing(&self) -> bool {
        self.commissioning.as_ref().is_some_and(Commissioning::is_pulsing)
    }

    /// Returns the faults that are present.
    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(|f| self.has(*f))
    }

    /// Returns the number of parts between trigger and gate.
    pub fn in_flight(&self) -> usize {
        self.belt.parts()
    }

    /// Returns the number of followed stretches of belt between trigger and gate: parts, and belt on which unseen parts
    /// may lie. It is never more than [`Settings::max_in_flight`].
    pub fn followed(&self) -> usize {
        self.belt.followed()
    }

    /// Returns the number of deadlines that are kept. It is never more than twice [`Settings::max_in_flight`], or 16 if
    /// that is more.
    pub fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// Returns whether a part is between trigger and gate.
    pub fn is_on_its_way(&self, part: PartId) -> bool {
        self.belt.holds(part)
    }

    /// Returns whether the reject output is active.
    pub fn reject_output_is_active(&self) -> bool {
        self.ng.is_active()
    }

    /// Returns the number of captures that have not been answered yet.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn can_inspect(&self) -> bool {
        !self.safe && !self.is_blind() && !self.faults().any(Fault::blocks)
    }

    /// Returns whether parts may pass the trigger unseen at present.
    fn is_blind(&self) -> bool {
        self.blind.contains(&true)
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.get(fault as usize).copied().unwrap_or(true)
    }

    /// Sets or ends a fault. While a watch is blind, nothing ends [`Fault::Unproven`].
    fn set_fault(&mut self, fault: Fault, present: bool) {
        let present = present || (fault == Fault::Unproven && self.is_blind());
        if let Some(slot) = self.faults.get_mut(fault as usize) {
            *slot = present;
        }
    }

    fn trigger(&mut self, at: LineTime, lost: u32, out: &mut Vec<Command>) {
        let earliest = self.last_trigger.map_or(LineTime::default(), |(at, _)| at);
        let at = at.min(self.now).max(earliest);
        let gate = self.belt.gate_of(at, self.count);
        let too_close = self.too_close(at);
        if lost > 0 || too_close {
            self.belt.doubt_last();
        }
        if lost > 0 {
            self.lose_parts(lost, at, out);
            self.cover_unseen(gate);
        }
        self.last_trigger = Some((at, self.count));
        let part = self.new_part();
        if self.safe {
            return self.finish(part, at, Reason::Safe, out);
        }
        let outcome = if lost > 0 || too_close {
            Some(Outcome::Rejected(Reason::TooClose))
        } else if self.is_ready() {
            None
        } else {
            Some(Outcome::Rejected(Reason::Missed))
        };
        if !self.belt.push(Stretch { part: Some((part, at)), gate, tail: gate, outcome }) {
            return self.overflow(part, at, gate, out);
        }
        match outcome {
            None => self.capture(part, at, out),
            Some(Outcome::Rejected(Reason::Missed)) => self.set_fault(Fault::Unproven, true),
            Some(_) => {}
        }
    }

    fn capture(&mut self, part: PartId, triggered_at: LineTime, out: &mut Vec<Command>) {
        let deadline = triggered_at + self.settings.deadline;
        self.deadlines.push(deadline, part, self.belt.first_part());
        self.outstanding += 1;
        self.strobe.schedule(triggered_at + self.settings.strobe_delay);
        out.push(Command::Capture { part, triggered_at, deadline });
    }

    fn too_close(&self, at: LineTime) -> bool {
        let Some((last_at, last_count)) = self.last_trigger else { return false };
        match self.settings.min_pitch {
            Pitch::Time(pitch) => at.since(last_at) < pitch,
            Pitch::Counts(pitch) => self.count.saturating_sub(last_count) < pitch,
        }
    }

    /// Gives a number and an outcome to parts that nobody saw.
    fn lose_parts(&mut self, parts: u32, at: LineTime, out: &mut Vec<Command>) {
        for _ in 0..parts.min(MAX_LOST) {
            let part = self.new_part();
            self.finish(part, at, Reason::LostTrigger, out);
        }
        self.set_fault(Fault::Unproven, true);
    }

    /// Rejects all belt between the last trigger and `tail`, because parts that nobody saw lie somewhere on it. If no
    /// trigger is known, it begins with what is at the gate now.
    fn cover_unseen(&mut self, tail: Gate) {
        if self.safe {
            return;
        }
        let gate = match self.last_trigger {
            Some((at, count)) => self.belt.gate_of(at, count),
            None => self.belt.at_gate(self.now, self.count),
        };
        let outcome = Some(Outcome::Rejected(Reason::LostTrigger));
        if !self.belt.push(Stretch { part: None, gate, tail, outcome }) {
            self.belt.grow_last(tail, Reason::LostTrigger);
        }
    }

    fn go_blind(&mut self, watch: Watch, parts: u32, out: &mut Vec<Command>) {
        self.lose_parts(parts, self.now, out);
        let was_blind = self.is_blind();
        if let Some(blind) = self.blind.get_mut(watch as usize) {
            *blind = true;
        }
        if !was_blind {
            self.belt.doubt_last();
            self.cover_unseen(Gate::Open);
        }
    }

    fn see_again(&mut self, watch: Watch) {
        let was_blind = self.is_blind();
        if let Some(blind) = self.blind.get_mut(watch as usize) {
            *blind = false;
        }
        if !was_blind || self.is_blind() {
            return;
        }
        self.belt.end_open(self.belt.gate_of(self.now, self.count));
        self.last_trigger = Some((self.now, self.count));
    }

    /// Rejects a part because there are too many to follow one by one. The last stretch grows over it and is rejected,
    /// too.
    fn overflow(&mut self, part: PartId, at: LineTime, gate: Gate, out: &mut Vec<Command>) {
        self.set_fault(Fault::Overflow, true);
        self.belt.grow_last(gate, Reason::Overflow);
        self.finish(part, at, Reason::Overflow, out);
    }

    fn new_part(&mut self) -> PartId {
        self.last_part += 1;
        self.counters.triggers += 1;
        PartId(self.last_part)
    }

    fn count(&mut self, count: u64, out: &mut Vec<Command>) {
        self.count = self.count.max(count);
        self.move_belt(self.now, out);
    }

    fn result(&mut self, part: PartId, reject: Option<Reason>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        match self.belt.stretch_of(part) {
            Some(stretch) if stretch.outcome.is_none() => {
                stretch.outcome = Some(reject.map_or(Outcome::Passed, Outcome::Rejected));
                self.set_fault(Fault::Unproven, reject.is_some_and(Reason::is_unproven));
            }
            Some(stretch) if stretch.outcome != Some(Outcome::Rejected(Reason::Late)) => {}
            _ if self.safe => {}
            _ => self.counters.late_results += 1,
        }
    }

    fn enter_safe(&mut self, out: &mut Vec<Command>) {
        self.safe = true;
        self.commissioning = None;
        self.deadlines.clear();
        let parts: Vec<_> = self.belt.clear().collect();
        for (part, triggered_at) in parts {
            self.finish(part, triggered_at, Reason::Safe, out);
        }
        let at = self.now;
        self.ng.freeze(self.settings.ng_active_when_safe, at, out);
        self.ok.freeze(false, at, out);
        self.strobe.freeze(false, at, out);
        self.heartbeat.set(false, at, out);
    }

    fn resume(&mut self) {
        if !self.safe || self.commissioning.is_some() {
            return;
        }
        self.safe = false;
        self.consecutive_rejects = 0;
        self.set_fault(Fault::Alarm, false);
        self.heartbeat_next = self.now + self.settings.heartbeat_half_period;
        if self.settings.ng_active_when_safe {
            self.belt.pass_rejected(self.belt.gate_of(self.now, self.count));
        }
        if self.is_blind() {
            self.cover_unseen(Gate::Open);
        }
    }

    fn commission(&mut self, until: LineTime, out: &mut Vec<Command>) {
        if self.commissioning.is_none() {
            self.enter_safe(out);
            self.commissioning = Some(Commissioning::new(until));
        }
    }

    fn test_pulse(&mut self, due: LineTime) {
        if self.may_pulse(self.now, due).is_ok()
            && let Some(commissioning) = &mut self.commissioning
        {
            commissioning.schedule(due);
        }
    }

    /// Does what commissioning has due at `at`. A test pulse is the opposite of the safe level.
    fn step_commissioning(&mut self, at: LineTime, out: &mut Vec<Command>) {
        let (now, width) = (self.now, self.settings.ng_width);
        let Some(commissioning) = &mut self.commissioning else { return };
        let safe_level = self.settings.ng_active_when_safe;
        match commissioning.step(now, at, width) {
            Some(Step::Begin) => self.ng.freeze(!safe_level, at, out),
            Some(Step::End) => self.ng.freeze(safe_level, at, out),
            Some(Step::Over) => self.end_commissioning(at, out),
            None => {}
        }
    }

    fn end_commissioning(&mut self, at: LineTime, out: &mut Vec<Command>) {
        if self.commissioning.take().is_some() {
            self.ng.freeze(self.settings.ng_active_when_safe, at, out);
        }
    }

    /// Does all that is due up to `now`, in the order of time.
    fn advance(&mut self, now: LineTime, out: &mut Vec<Command>) {
        self.now = now;
        if self.belt.moves_by_counts() {
            // A stretch that begins behind the gate is at the gate without a new count.
            self.move_belt(now, out);
        }
        while let Some(at) = self.next_wake().filter(|at| *at <= now) {
            self.expire(at);
            self.move_belt(at, out);
            if !self.safe {
                self.ng.advance(now, at, out);
            }
            self.ok.advance(now, at, out);
            self.strobe.advance(now, at, out);
            self.beat(at, out);
            self.step_commissioning(at, out);
        }
        if self.has(Fault::Overflow) && self.belt.has_much_room() {
            self.set_fault(Fault::Overflow, false);
        }
    }

    /// Rejects parts that have no result at their deadline.
    fn expire(&mut self, at: LineTime) {
        while let Some(part) = self.deadlines.take_due(at) {
            let found = self.belt.stretch_of(part);
            if let Some(stretch) = found.filter(|s| s.outcome.is_none()) {
                stretch.outcome = Some(Outcome::Rejected(Reason::Late));
                self.set_fault(Fault::Unproven, true);
            }
        }
    }

    /// Moves through the gate what has reached it at `at` and at the present count.
    fn move_belt(&mut self, at: LineTime, out: &mut Vec<Command>) {
        while let Some(stretch) = self.belt.take_at_gate(at, self.count) {
            let due = stretch.gate.moment().map_or(at, |due| due.min(at));
            self.through_gate(&stretch, due, out);
        }
        if let Some(due) = self.belt.take_passed(at, self.count) {
            self.ng.release(self.now, due);
        }
    }

    fn through_gate(&mut self, stretch: &Stretch, due: LineTime, out: &mut Vec<Command>) {
        let late = Outcome::Rejected(Reason::Late);
        let outcome = stretch.outcome.unwrap_or_else(|| {
            self.set_fault(Fault::Unproven, true);
            late
        });
        match outcome {
            Outcome::Passed => self.ok.fire(self.now, due, out),
            Outcome::Rejected(_) => {
                self.ng.hold(due, out);
                self.belt.pass_rejected(stretch.tail);
            }
        }
        if let Some((part, triggered_at)) = stretch.part {
            self.close(Finished { part, triggered_at, at: due, outcome, at_gate: true }, out);
        }
    }

    /// Rejects a part before it reaches the gate.
    fn finish(&mut self, part: PartId, at: LineTime, reason: Reason, out: &mut Vec<Command>) {
        let outcome = Outcome::Rejected(reason);
        let (triggered_at, at) = (at, self.now);
        self.close(Finished { part, triggered_at, at, outcome, at_gate: false }, out);
    }

    fn close(&mut self, finished: Finished, out: &mut Vec<Command>) {
        self.counters.finish(finished.outcome);
        match finished.outcome {
            Outcome::Passed => {
                self.consecutive_rejects = 0;
                self.set_fault(Fault::Alarm, false);
            }
            Outcome::Rejected(Reason::Safe) => {}
            Outcome::Rejected(_) => {
                self.consecutive_rejects = self.consecutive_rejects.saturating_add(1);
                let limit = self.settings.alarm_after;
                if limit > 0 && self.consecutive_rejects >= limit && !self.has(Fault::Alarm) {
                    self.counters.alarms += 1;
                    self.set_fault(Fault::Alarm, true);
                }
            }
        }
        out.push(Command::Finished(finished));
    }

    fn beat(&mut self, at: LineTime, out: &mut Vec<Command>) {
        let half = self.settings.heartbeat_half_period;
        if self.safe || half == Duration::ZERO || self.heartbeat_next > at {
            return;
        }
        self.heartbeat.set(!self.heartbeat.active(), at, out);
        // After a pause the heartbeat continues from now. It does not catch up in a burst.
        let next = at + half;
        self.heartbeat_next = if next <= self.now { self.now + half } else { next };
    }

    /// Updates the outputs that have a level.
    fn show(&mut self, out: &mut Vec<Command>) {
        let (ready, at) = (self.is_ready(), self.now);
        self.ready.set(ready, at, out);
        self.busy.set(self.outstanding > 0 && !self.safe, at, out);
        let unhealthy = self.safe || self.faults().next().is_some();
        self.fault.set(unhealthy, at, out);
        self.warning.set(self.drifts && !self.safe, at, out);
    }
}
