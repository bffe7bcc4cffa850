//! Adds each event to the account.

use super::stretch::{NEVER, Stretch};
use super::{Model, Strobe, nanos};
use hetmm::clock::LineTime;
use hetmm::line::tracker::{Command, Fault, Line, Outcome, PartId, Pitch, Reason, Watch};

/// The largest number of lost edges of one event that become parts.
const MAX_LOST: u32 = 10_000;
/// The largest number of strobes that wait for their beginning.
const MAX_STROBES: usize = 1024;

impl Model {
    fn new_part(&mut self) -> u64 {
        self.parts.push(None);
        self.account.triggers += 1;
        self.parts.len() as u64
    }

    /// Adds parts of which it is only known that they exist.
    fn unseen_parts(&mut self, parts: u32, at: u64) {
        for _ in 0..parts.min(MAX_LOST) {
            let part = self.new_part();
            self.finish(part, at, self.now, Outcome::Rejected(Reason::LostTrigger), false);
        }
        self.set(Fault::Unproven, true);
    }

    /// Returns where the belt begins on which unseen parts may lie.
    fn begin_of_doubt(&self) -> u64 {
        self.last_trigger.map_or(self.here(), |trigger| self.gate(trigger))
    }

    /// Marks the last stretch before the gate as doubtful. It cannot be told from its neighbour.
    fn doubt_the_last(&mut self) {
        if let Some(last) = self.last_in_queue() {
            last.doubted = true;
        }
    }

    fn is_full(&self) -> bool {
        self.queue().count() >= self.settings.max_in_flight
    }

    pub(super) fn trigger(&mut self, at: u64, lost: u32) {
        let at = at.min(self.now).max(self.last_trigger.map_or(0, |(at, _)| at));
        let gate = self.gate((at, self.count));
        let close = self.last_trigger.is_some_and(|last| match self.settings.min_pitch {
            Pitch::Time(pitch) => at - last.0 < nanos(pitch),
            Pitch::Counts(pitch) => self.count - last.1 < pitch,
        });
        if close || lost > 0 {
            self.doubt_the_last();
        }
        if lost > 0 {
            self.unseen_parts(lost, at);
            if !self.account.safe {
                self.lost_belt(gate);
            }
        }
        self.last_trigger = Some((at, self.count));
        self.place(at, gate, close || lost > 0);
    }

    /// Rejects the belt from the last trigger to this one.
    fn lost_belt(&mut self, gate: u64) {
        if !self.is_full() {
            let from = self.begin_of_doubt();
            self.belt.push(Stretch::without_part(from, gate));
        } else if let Some(last) = self.last_in_queue() {
            last.last = last.last.max(gate);
        }
    }

    pub(super) fn go_blind(&mut self, watch: Watch, parts: u32) {
        self.unseen_parts(parts, self.now);
        let was_blind = self.is_blind();
        self.blind[watch as usize] = true;
        if !was_blind && !self.account.safe {
            self.doubt_the_last();
            self.blind_belt();
        }
    }

    /// Rejects the belt from the last trigger on, until every watch sees again.
    fn blind_belt(&mut self) {
        if !self.is_full() {
            let mut stretch = Stretch::without_part(self.begin_of_doubt(), NEVER);
            stretch.without_end = true;
            self.belt.push(stretch);
        } else if let Some(last) = self.last_in_queue() {
            last.last = NEVER;
            last.without_end = true;
        }
    }

    pub(super) fn see(&mut self, watch: Watch) {
        let was_blind = self.is_blind();
        self.blind[watch as usize] = false;
        if was_blind && !self.is_blind() {
            let end = self.gate((self.now, self.count));
            for stretch in &mut self.belt[self.over..] {
                if std::mem::take(&mut stretch.without_end) {
                    stretch.last = end;
                }
            }
            self.last_trigger = Some((self.now, self.count));
        }
    }

    /// Places the part of a trigger on the belt.
    fn place(&mut self, at: u64, gate: u64, doubtful: bool) {
        let part = self.new_part();
        if self.account.safe {
            return self.finish(part, at, self.now, Outcome::Rejected(Reason::Safe), false);
        }
        if self.is_full() {
            self.set(Fault::Overflow, true);
            if let Some(last) = self.last_in_queue() {
                last.last = last.last.max(gate);
                last.grown = true;
            }
            return self.finish(part, at, self.now, Outcome::Rejected(Reason::Overflow), false);
        }
        let deadline = at.saturating_add(nanos(self.settings.deadline));
        let mut stretch = Stretch::of_part(part, at, gate, deadline);
        if doubtful {
            stretch.placed = Some(Reason::TooClose);
        } else if !self.is_ready() {
            stretch.placed = Some(Reason::Missed);
            self.set(Fault::Unproven, true);
        } else {
            self.capture(part, at, deadline);
        }
        self.parts[part as usize - 1] = Some(self.belt.len());
        self.belt.push(stretch);
    }

    fn capture(&mut self, part: u64, at: u64, deadline: u64) {
        self.account.outstanding += 1;
        let waiting = self.strobes.len() - self.strobes_over;
        if !self.settings.strobe_width.is_zero() && waiting < MAX_STROBES {
            let due = at.saturating_add(nanos(self.settings.strobe_delay));
            self.strobes.push(Strobe { due, begun: None });
        }
        let (triggered_at, deadline) = (LineTime::from_nanos(at), LineTime::from_nanos(deadline));
        self.said.push(Command::Capture { part: PartId(part), triggered_at, deadline });
    }

    pub(super) fn answer(&mut self, part: u64, reject: Option<Reason>) {
        self.account.outstanding = self.account.outstanding.saturating_sub(1);
        let known = part.checked_sub(1).and_then(|i| self.parts.get(i as usize).copied().flatten());
        let followed =
            known.filter(|i| !self.belt[*i].is_over() && self.belt[*i].entered.is_none());
        let late = Outcome::Rejected(Reason::Late);
        match followed.map(|index| (index, self.belt[index].verdict())) {
            Some((index, None)) => {
                self.belt[index].answer = Some(reject);
                self.set(Fault::Unproven, reject.is_some_and(Reason::is_unproven));
            }
            Some((_, Some(verdict))) if verdict != late => {}
            _ => self.account.late_results += u64::from(!self.account.safe),
        }
    }

    pub(super) fn safe(&mut self) {
        self.account.safe = true;
        for index in self.over..self.belt.len() {
            let stretch = &mut self.belt[index];
            let given_up = stretch.part.filter(|_| stretch.entered.is_none() && !stretch.wiped);
            stretch.wiped = true;
            if let Some((part, triggered_at)) = given_up {
                self.finish(part, triggered_at, self.now, Outcome::Rejected(Reason::Safe), false);
            }
        }
        (self.last_left, self.last_pass) = (None, None);
        self.strobes.clear();
        self.strobes_over = 0;
        self.account.levels[Line::Heartbeat.index()] = false;
    }

    pub(super) fn resume(&mut self) {
        if self.account.safe {
            self.account.safe = false;
            self.no_alarm();
            self.beat_due = self.now.saturating_add(nanos(self.settings.heartbeat_half_period));
            self.unknown_belt();
            if self.is_blind() {
                self.blind_belt();
            }
        }
    }
}
