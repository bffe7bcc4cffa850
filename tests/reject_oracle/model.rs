//! Models the part tracker: a plain account of everything that has happened, and what follows from it.
//!
//! The model keeps every stretch of belt with the facts that are known about it. After each call it asks of each
//! stretch: has it reached the gate, has it left the gate, and what is its outcome? It has no pulses, no list of
//! wake-up times and no order of work inside a call.

mod account;
mod commissioning;
mod events;
mod stretch;

pub use account::Account;
pub use stretch::NEVER;

use commissioning::Commissioning;
use hetmm::clock::LineTime;
use hetmm::line::tracker::{
    Command, Event, Fault, Finished, Line, Outcome, PartId, Reason, Settings, Travel, Watch,
};
use std::time::Duration;
use stretch::Stretch;

/// Describes a strobe: when it is due, and in which call it began.
struct Strobe {
    due: u64,
    begun: Option<u64>,
}

/// Holds everything that has happened.
pub struct Model {
    settings: Settings,
    now: u64,
    count: u64,
    /// Every stretch of belt since the start, in the order of the belt.
    belt: Vec<Stretch>,
    /// The stretches before this one have left the gate and do not matter any more.
    over: usize,
    /// The index of each part in `belt`, by its number less one. It is `None` if the part is not followed.
    parts: Vec<Option<usize>>,
    last_trigger: Option<(u64, u64)>,
    /// The call in which the last rejected stretch left the gate, and the call in which the last part passed.
    last_left: Option<u64>,
    last_pass: Option<u64>,
    strobes: Vec<Strobe>,
    strobes_over: usize,
    beat_due: u64,
    rejects_in_a_row: u32,
    /// Whether each watch may miss parts, in the order of [`Watch::ALL`].
    blind: [bool; 3],
    /// Whether something drifts.
    drifts: bool,
    commissioning: Option<Commissioning>,
    /// What must be true now.
    pub account: Account,
    /// What the part tracker has to say in this call, without the changes of outputs.
    pub said: Vec<Command>,
}

impl Model {
    /// Makes a model of a line that starts at `now`.
    pub fn new(settings: &Settings, now: u64) -> Self {
        let mut model = Model {
            settings: settings.clone(),
            now,
            count: 0,
            belt: vec![],
            over: 0,
            parts: vec![],
            last_trigger: None,
            last_left: None,
            last_pass: None,
            strobes: vec![],
            strobes_over: 0,
            beat_due: now.saturating_add(nanos(settings.heartbeat_half_period)),
            rejects_in_a_row: 0,
            blind: [false; 3],
            drifts: false,
            commissioning: None,
            account: Account::at_start(settings),
            said: vec![],
        };
        model.unknown_belt();
        model
    }

    /// Takes one call of the part tracker and computes what must be true after it.
    pub fn call(&mut self, now: u64, event: Event) {
        self.said.clear();
        self.now = self.now.max(now);
        self.take_stock();
        match event {
            Event::Trigger { at, lost } => self.trigger(at.as_nanos(), lost),
            Event::Count(count) => self.count = self.count.max(count),
            Event::Result { part, reject } => self.answer(part.0, reject),
            Event::Condition { fault, present } => self.set(fault, present),
            Event::Drift { present } => self.drifts = present,
            Event::Blind { watch, parts } => self.go_blind(watch, parts),
            Event::Seeing { watch } => self.see(watch),
            Event::Safe => {
                self.commissioning = None;
                self.safe();
            }
            Event::Resume if self.commissioning.is_some() => {}
            Event::Resume => self.resume(),
            Event::Commission { until } => self.commission(until.as_nanos()),
            Event::TestPulse { due } => self.test_pulse(due.as_nanos()),
            Event::EndCommissioning => self.commissioning = None,
            Event::Acknowledge => self.no_alarm(),
            Event::Tick => {}
        }
        self.take_stock();
        self.write_levels();
    }

    /// Returns the next moment at which something must change although nothing happens.
    pub fn next_change(&self) -> Option<u64> {
        let mut moments = vec![];
        let by_time = matches!(self.settings.travel, Travel::Time(_));
        let mut held = None;
        for (index, stretch) in self.live() {
            if stretch.entered.is_none() && stretch.verdict().is_none() {
                moments.push(stretch.deadline);
            }
            if stretch.entered.is_some() {
                // The gate opens when the last of them has left.
                held = held.max(Some(stretch.last));
            } else if Some(index) == self.queue().next() {
                moments.extend(by_time.then_some(stretch.first));
            }
        }
        let until = |begin: Option<u64>, width: Duration| {
            begin.map(|t| t.saturating_add(nanos(width))).filter(|end| !self.come(*end))
        };
        moments.extend(held.filter(|_| by_time));
        if held.is_none() && !self.account.safe {
            moments.extend(until(self.last_left, self.settings.ng_width));
        }
        moments.extend(until(self.last_pass, self.settings.ok_width));
        let strobes = &self.strobes[self.strobes_over..];
        moments.extend(strobes.iter().filter(|s| s.begun.is_none()).map(|s| s.due));
        let begun = self.strobes.iter().rev().find_map(|s| s.begun);
        moments.extend(until(begun, self.settings.strobe_width));
        if !self.account.safe && !self.settings.heartbeat_half_period.is_zero() {
            moments.push(self.beat_due);
        }
        moments.extend(self.commissioning_changes());
        moments.into_iter().filter(|moment| *moment != NEVER).min()
    }

    /// Returns the stretches that have not left the gate, with their index in the history.
    fn live(&self) -> impl Iterator<Item = (usize, &Stretch)> {
        let all = self.belt.iter().enumerate().skip(self.over);
        all.filter(|(_, s)| !s.is_over())
    }

    /// Returns the stretches before the gate.
    fn queue(&self) -> impl DoubleEndedIterator<Item = usize> {
        (self.over..self.belt.len())
            .filter(|i| !self.belt[*i].is_over() && self.belt[*i].entered.is_none())
    }

    /// Returns the stretch farthest from the gate.
    fn last_in_queue(&mut self) -> Option<&mut Stretch> {
        let last = self.queue().next_back();
        last.and_then(|index| self.belt.get_mut(index))
    }

    /// Returns whether a moment has come. The end of time never comes.
    fn come(&self, moment: u64) -> bool {
        moment <= self.now && moment != NEVER
    }

    /// Returns whether a place on the belt has reached the gate.
    fn at_gate(&self, place: u64) -> bool {
        match self.settings.travel {
            Travel::Time(_) => self.come(place),
            Travel::Counts(_) => place <= self.count && place != NEVER,
        }
    }

    /// Returns the place at which something that passes the trigger at this moment and count meets the gate.
    fn gate(&self, (at, count): (u64, u64)) -> u64 {
        match self.settings.travel {
            Travel::Time(travel) => at.saturating_add(nanos(travel)),
            Travel::Counts(travel) => count.saturating_add(travel),
        }
    }

    /// Returns the place that is at the gate now.
    fn here(&self) -> u64 {
        match self.settings.travel {
            Travel::Time(_) => self.now,
            Travel::Counts(_) => self.count,
        }
    }

    fn set(&mut self, fault: Fault, present: bool) {
        // As long as parts may come unseen, nothing ends this fault.
        let held = fault == Fault::Unproven && self.is_blind();
        self.account.faults[fault as usize] = present || held;
    }

    fn is_blind(&self) -> bool {
        self.blind.contains(&true)
    }

    /// Returns the watches that are blind, for the world.
    pub fn blind_watches(&self) -> impl Iterator<Item = Watch> {
        Watch::ALL.into_iter().filter(|w| self.blind[*w as usize])
    }

    fn has(&self, fault: Fault) -> bool {
        self.account.faults[fault as usize]
    }

    fn is_ready(&self) -> bool {
        let blocked = Fault::ALL.into_iter().any(|f| f.blocks() && self.has(f));
        let can_inspect = !self.account.safe && !blocked && !self.is_blind();
        can_inspect && self.account.outstanding < self.settings.max_waiting
    }

    /// Rejects the belt between trigger and gate, if the safe state rejects. The belt is unknown after a start.
    fn unknown_belt(&mut self) {
        if self.settings.ng_active_when_safe {
            let last = self.gate((self.now, self.count));
            let mut stretch = Stretch::without_part(self.here(), last);
            stretch.entered = Some(self.now);
            self.belt.push(stretch);
        }
    }

    /// Computes what has become due, by the clock and by the present count.
    fn take_stock(&mut self) {
        self.find_overdue();
        self.meet_the_gate();
        for index in self.over..self.belt.len() {
            let stretch = &self.belt[index];
            if stretch.holds_the_gate() && self.at_gate(stretch.last) {
                self.belt[index].left = Some(self.now);
                self.last_left = Some(self.now);
            }
        }
        while self.belt.get(self.over).is_some_and(Stretch::is_over) {
            self.over += 1;
        }
        self.begin_strobes();
        self.look_at_commissioning();
        let half = nanos(self.settings.heartbeat_half_period);
        if !self.account.safe && half > 0 && self.come(self.beat_due) {
            self.account.levels[Line::Heartbeat.index()] ^= true;
            let next = self.beat_due.saturating_add(half);
            self.beat_due = if next <= self.now { self.now.saturating_add(half) } else { next };
        }
        if self.queue().count() * 2 <= self.settings.max_in_flight {
            self.set(Fault::Overflow, false);
        }
    }

    /// Marks parts without an outcome at their deadline as late.
    fn find_overdue(&mut self) {
        for index in self.over..self.belt.len() {
            let stretch = &self.belt[index];
            if stretch.awaits_answer() && self.come(stretch.deadline) {
                self.belt[index].overdue = true;
                self.set(Fault::Unproven, true);
            }
        }
    }

    /// Returns the first stretch before the gate, once it has reached the gate.
    fn next_at_gate(&self) -> Option<usize> {
        self.queue().next().filter(|index| self.at_gate(self.belt[*index].first))
    }

    /// Lets stretches meet the gate in their order. A stretch without an outcome there is late.
    fn meet_the_gate(&mut self) {
        while let Some(index) = self.next_at_gate() {
            self.belt[index].entered = Some(self.now);
            let outcome = self.belt[index].verdict().unwrap_or_else(|| {
                self.belt[index].overdue = true;
                self.set(Fault::Unproven, true);
                Outcome::Rejected(Reason::Late)
            });
            if outcome == Outcome::Passed && !self.settings.ok_width.is_zero() {
                self.last_pass = Some(self.now);
            }
            let at = match self.settings.travel {
                Travel::Time(_) => self.belt[index].first,
                Travel::Counts(_) => self.now,
            };
            if let Some((part, triggered_at)) = self.belt[index].part {
                self.finish(part, triggered_at, at, outcome, true);
            }
        }
    }

    fn begin_strobes(&mut self) {
        for index in self.strobes_over..self.strobes.len() {
            if !self.come(self.strobes[index].due) {
                break;
            }
            self.strobes[index].begun = Some(self.now);
            self.strobes_over = index + 1;
        }
    }

    fn finish(&mut self, part: u64, triggered_at: u64, at: u64, outcome: Outcome, at_gate: bool) {
        match outcome {
            Outcome::Passed => {
                self.account.passed += 1;
                self.no_alarm();
            }
            Outcome::Rejected(reason) => {
                self.account.rejected[reason.index()] += 1;
                self.rejects_in_a_row += u32::from(reason != Reason::Safe);
                let limit = self.settings.alarm_after;
                let enough = reason != Reason::Safe && self.rejects_in_a_row >= limit;
                if limit > 0 && enough && !self.has(Fault::Alarm) {
                    self.account.alarms += 1;
                    self.set(Fault::Alarm, true);
                }
            }
        }
        let (triggered_at, at) = (LineTime::from_nanos(triggered_at), LineTime::from_nanos(at));
        self.said.push(Command::Finished(Finished {
            part: PartId(part),
            triggered_at,
            at,
            outcome,
            at_gate,
        }));
    }

    fn no_alarm(&mut self) {
        self.rejects_in_a_row = 0;
        self.set(Fault::Alarm, false);
    }

    fn write_levels(&mut self) {
        let lasts = |begin: Option<u64>, width: Duration| {
            begin.is_some_and(|t| !self.come(t.saturating_add(nanos(width))))
        };
        let held = self.live().any(|(_, s)| s.holds_the_gate());
        let rejecting = held || lasts(self.last_left, self.settings.ng_width);
        let safe = self.account.safe;
        let safe_level = self.settings.ng_active_when_safe != self.is_pulsing();
        let ng = if safe { safe_level } else { rejecting };
        let ok = lasts(self.last_pass, self.settings.ok_width);
        let begun = self.strobes[..self.strobes_over].last().and_then(|s| s.begun);
        let strobe = lasts(begun, self.settings.strobe_width);
        let fault = safe || Fault::ALL.into_iter().any(|f| self.has(f));
        let busy = self.account.outstanding > 0 && !safe;
        let warning = self.drifts && !safe;
        let ready = self.is_ready();
        let parts = self.queue().filter(|i| self.belt[*i].part.is_some()).count();
        let levels = &mut self.account.levels;
        for (line, level) in [
            (Line::Ok, ok),
            (Line::Ng, ng),
            (Line::Ready, ready),
            (Line::Busy, busy),
            (Line::Strobe, strobe),
            (Line::Fault, fault),
            (Line::Warning, warning),
        ] {
            levels[line.index()] = level;
        }
        self.account.commissioning = self.commissioning.as_ref().map(|c| c.until);
        self.account.in_flight = parts;
        self.account.followed = self.queue().count();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
