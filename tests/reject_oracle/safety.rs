//! Checks what must hold whatever the model says: no part passes that may be bad, and the gate is shut wherever a bad
//! or unseen part may be.
//!
//! These checks know nothing of queues, of their limits or of the order of work. They see the events, the outcomes and
//! the level of the reject output, and compute with places on the belt.

use crate::model::NEVER;
use hetmm::line::tracker::{
    Command, Event, Finished, Line, Outcome, Pitch, Reason, Settings, TEST_PULSE_PITCH, Travel,
    Watch,
};
use std::collections::BTreeMap;

/// Describes belt that must not pass an open gate.
struct Demand {
    from: u64,
    to: u64,
    /// The number of the call in which it became known.
    known: u64,
    /// Whether no part that is counted as passed may lie inside. It is false for the belt of a start, because nobody
    /// can say where parts lie that were triggered before it.
    bars: bool,
    /// The moment at which the last point met the gate, or was seen to have met it.
    closed: Option<u64>,
}

/// Describes a part without an outcome.
struct Open {
    /// The place at which it meets the gate. It is `None` for a part that nobody saw.
    gate: Option<u64>,
    deadline: u64,
    captured: bool,
    /// Its first answer, and whether it came before the deadline.
    answer: Option<(bool, bool)>,
    /// The number of the call in which it became too close to a neighbour or to unseen parts.
    spoiled: Option<u64>,
}

/// Holds commissioning that lasts.
struct Commissioning {
    until: u64,
    /// The beginnings of the test pulses that were asked for.
    asked: Vec<u64>,
    /// The call in which the reject output left its safe level, while it is away from it.
    away: Option<u64>,
    /// The last call in which it left its safe level.
    left: Option<u64>,
}

/// Holds the checks and what they remember.
pub struct Safety {
    settings: Settings,
    /// The number of calls so far.
    calls: u64,
    now: u64,
    count: u64,
    safe: bool,
    ng: bool,
    fault: bool,
    triggers: u64,
    last_trigger: Option<(u64, u64)>,
    open: BTreeMap<u64, Open>,
    demands: Vec<Demand>,
    blind: Vec<Watch>,
    commissioning: Option<Commissioning>,
}

impl Safety {
    pub fn new(settings: &Settings, now: u64) -> Self {
        let mut safety = Safety {
            settings: settings.clone(),
            calls: 0,
            now,
            count: 0,
            safe: false,
            ng: settings.ng_active_when_safe,
            fault: true,
            triggers: 0,
            last_trigger: None,
            open: BTreeMap::new(),
            demands: vec![],
            blind: vec![],
            commissioning: None,
        };
        safety.unknown_belt();
        safety
    }

    /// Returns the number of parts that have no outcome yet.
    pub fn without_outcome(&self) -> usize {
        self.open.len()
    }

    /// Returns whether this part has no outcome yet.
    pub fn has_no_outcome(&self, part: u64) -> bool {
        self.open.contains_key(&part)
    }

    /// Takes what the part tracker said to an event.
    pub fn call(&mut self, now: u64, event: Event, said: &[Command]) -> Result<(), String> {
        self.calls += 1;
        self.now = self.now.max(now);
        let was_safe = self.safe;
        self.take_event(event);
        for command in said {
            match *command {
                Command::Finished(finished) if was_safe && finished.outcome == Outcome::Passed => {
                    return Err(format!("{finished:?} passes in the safe state"));
                }
                Command::Set { line: Line::Ng, active, .. } => self.set_ng(active),
                Command::Set { line: Line::Fault, active, .. } => self.fault = active,
                Command::Set { .. } => {}
                Command::Capture { part, .. } => {
                    let open = self.open.get_mut(&part.0).ok_or("a capture of an unknown part")?;
                    let blind = !self.blind.is_empty();
                    if open.captured || open.spoiled.is_some() || blind || self.safe {
                        return Err(format!("{part:?} must not be captured"));
                    }
                    open.captured = true;
                }
                Command::Finished(finished) => self.outcome(&finished)?,
            }
        }
        if let Event::Safe | Event::Commission { .. } = event {
            self.demands.clear();
        }
        if !self.blind.is_empty() && !self.fault {
            return Err("a watch is blind and the fault output says healthy".into());
        }
        self.check_gate()
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Trigger { at, lost } => self.trigger(at.as_nanos(), lost),
            Event::Count(count) => self.count = self.count.max(count),
            Event::Result { part, reject } => {
                let now = self.now;
                if let Some(open) = self.open.get_mut(&part.0) {
                    let before = now < open.deadline || open.deadline == NEVER;
                    let in_time = open.captured && before;
                    open.answer.get_or_insert((reject.is_none(), in_time));
                }
            }
            Event::Safe => (self.safe, self.commissioning) = (true, None),
            Event::Commission { until } => self.commission(until.as_nanos()),
            Event::EndCommissioning => self.commissioning = None,
            Event::TestPulse { due } => {
                if let Some(commissioning) = &mut self.commissioning {
                    commissioning.asked.push(due.as_nanos());
                }
            }
            Event::Resume => {
                let lasts = |c: &Commissioning| self.now < c.until || c.until == NEVER;
                if !self.commissioning.as_ref().is_some_and(lasts) && std::mem::take(&mut self.safe)
                {
                    self.unknown_belt();
                    if !self.blind.is_empty() {
                        self.blind_belt();
                    }
                }
            }
            Event::Blind { watch, parts } => self.go_blind(watch, parts),
            Event::Seeing { watch } => self.see(watch),
            Event::Condition { .. } | Event::Drift { .. } | Event::Acknowledge | Event::Tick => {}
        }
    }

    fn trigger(&mut self, at: u64, lost: u32) {
        let last = self.last_trigger;
        let at = at.min(self.now).max(last.map_or(0, |(at, _)| at));
        let close = last.is_some_and(|last| match self.settings.min_pitch {
            Pitch::Time(pitch) => u128::from(at - last.0) < pitch.as_nanos(),
            Pitch::Counts(pitch) => self.count - last.1 < pitch,
        });
        let spoiled = (close || lost > 0).then_some(self.calls);
        if let Some(mut neighbour) = self.open.last_entry() {
            let neighbour = neighbour.get_mut();
            neighbour.spoiled = neighbour.spoiled.or(spoiled);
        }
        let gate = self.gate(at, self.count);
        if lost > 0 && !self.safe {
            let from = last.map_or(self.here(), |(at, count)| self.gate(at, count));
            self.demand(from, gate);
        }
        for _ in 0..lost.min(10_000) {
            self.open_part(None, 0, None);
        }
        let deadline = u64::try_from(self.settings.deadline.as_nanos()).unwrap_or(NEVER);
        self.open_part(Some(gate), at.saturating_add(deadline), spoiled);
        self.last_trigger = Some((at, self.count));
    }

    fn go_blind(&mut self, watch: Watch, parts: u32) {
        for _ in 0..parts.min(10_000) {
            self.open_part(None, 0, None);
        }
        if self.blind.is_empty() && !self.safe {
            let last_seen = self.open.iter_mut().rev().find(|(_, open)| open.gate.is_some());
            if let Some((_, last)) = last_seen {
                last.spoiled = last.spoiled.or(Some(self.calls));
            }
            self.blind_belt();
        }
        if !self.blind.contains(&watch) {
            self.blind.push(watch);
        }
    }

    /// Demands that nothing passes from the last trigger on.
    fn blind_belt(&mut self) {
        let from = self.last_trigger.map_or(self.here(), |(at, count)| self.gate(at, count));
        self.demand(from, NEVER);
    }

    fn see(&mut self, watch: Watch) {
        let was_blind = !self.blind.is_empty();
        self.blind.retain(|w| *w != watch);
        if was_blind && self.blind.is_empty() {
            let end = self.gate(self.now, self.count);
            for demand in self.demands.iter_mut().filter(|d| d.to == NEVER && d.bars) {
                demand.to = end.max(demand.from);
            }
            self.last_trigger = Some((self.now, self.count));
        }
    }

    fn open_part(&mut self, gate: Option<u64>, deadline: u64, spoiled: Option<u64>) {
        self.triggers += 1;
        let open = Open { gate, deadline, captured: false, answer: None, spoiled };
        self.open.insert(self.triggers, open);
    }

    fn outcome(&mut self, finished: &Finished) -> Result<(), String> {
        let open = self.open.remove(&finished.part.0);
        let open = open.ok_or_else(|| format!("{finished:?} is not a part without outcome"))?;
        let gate = match (finished.outcome, open.gate) {
            (Outcome::Rejected(_), _) if self.safe => return Ok(()),
            (Outcome::Rejected(Reason::LostTrigger), None) => return Ok(()),
            (_, None) => return Err(format!("{finished:?} is a part that nobody saw")),
            (_, Some(gate)) => gate,
        };
        if finished.outcome == Outcome::Passed {
            return self.may_pass(&open, gate).map_err(|why| format!("{finished:?}: {why}"));
        }
        self.demand(gate, gate);
        Ok(())
    }

    fn may_pass(&self, open: &Open, gate: u64) -> Result<(), String> {
        if open.answer != Some((true, true)) {
            return Err(format!("it passes with the answer (good, in time) {:?}", open.answer));
        }
        if open.spoiled.is_some_and(|call| call < self.calls) {
            return Err("it passes although it is too close to a neighbour".into());
        }
        let doubtful = |d: &&Demand| d.bars && d.known < self.calls && d.from < gate && gate < d.to;
        match self.demands.iter().find(doubtful) {
            Some(d) => Err(format!("it passes at {gate} within {}..{}", d.from, d.to)),
            None => Ok(()),
        }
    }

    /// Checks that the gate is shut over every demand and for one more width of the pulse.
    fn check_gate(&mut self) -> Result<(), String> {
        if self.safe {
            return self.check_safe_levels();
        }
        let width = u64::try_from(self.settings.ng_width.as_nanos()).unwrap_or(NEVER);
        let (now, ng, place) = (self.now, self.ng, self.here());
        let by_time = matches!(self.settings.travel, Travel::Time(_));
        if by_time && now == NEVER {
            // The last moment of the clock is never reached, so nothing is at the gate then.
            return Ok(());
        }
        let reached = |p: u64| p <= place && p != NEVER;
        let mut failed = None;
        self.demands.retain_mut(|demand| {
            if demand.closed.is_none() && reached(demand.to) {
                demand.closed = Some(now);
            }
            let end = demand.closed.map_or(NEVER, |closed| closed.saturating_add(width));
            let lasts = now < end || end == NEVER;
            if reached(demand.from) && lasts && !ng {
                failed = Some((demand.from, demand.to));
            }
            lasts
        });
        let unit = if by_time { "ns" } else { "counts" };
        match failed {
            Some((from, to)) => Err(format!("the gate is open at {place} {unit} in {from}..{to}")),
            None => Ok(()),
        }
    }

    fn set_ng(&mut self, active: bool) {
        self.ng = active;
        let is_back = active == self.settings.ng_active_when_safe;
        if let Some(commissioning) = self.commissioning.as_mut().filter(|_| is_back) {
            commissioning.away = None;
        }
    }

    fn commission(&mut self, until: u64) {
        let lasts = |c: &Commissioning| self.now < c.until || c.until == NEVER;
        if !self.commissioning.as_ref().is_some_and(lasts) {
            let (asked, away, left) = (vec![], None, None);
            self.commissioning = Some(Commissioning { until, asked, away, left });
        }
        self.safe = true;
    }

    /// Checks that the safe state has its levels. Only in commissioning may the reject output leave its own: if that
    /// was asked for, for one width of the pulse, and not again before the pitch of test pulses is over.
    fn check_safe_levels(&mut self) -> Result<(), String> {
        if !self.fault {
            return Err("the safe state says healthy".into());
        }
        let (now, width) = (self.now, self.settings.ng_width.as_nanos());
        let is_away = self.ng != self.settings.ng_active_when_safe;
        let over = |c: &Commissioning| c.until <= now && c.until != NEVER;
        let Some(commissioning) = self.commissioning.as_mut().filter(|c| !over(c)) else {
            return if is_away { Err("the safe state has wrong levels".into()) } else { Ok(()) };
        };
        if !is_away {
            return Ok(());
        }
        let Some(since) = commissioning.away else {
            let again = commissioning.left.replace(now);
            commissioning.away = Some(now);
            let pitch = TEST_PULSE_PITCH.as_nanos();
            let is_close = again.is_some_and(|left| u128::from(now - left) < pitch);
            let is_asked = commissioning.asked.iter().any(|due| *due <= now);
            return if is_asked && !is_close {
                Ok(())
            } else {
                Err(format!("a test pulse begins: asked {is_asked}, too close {is_close}"))
            };
        };
        match u128::from(now - since) >= width && u128::from(since) + width < u128::from(NEVER) {
            true => Err("a test pulse is longer than its width".into()),
            false => Ok(()),
        }
    }

    fn demand(&mut self, from: u64, to: u64) {
        let (to, known) = (to.max(from), self.calls);
        self.demands.push(Demand { from, to, known, bars: true, closed: None });
    }

    fn unknown_belt(&mut self) {
        if self.settings.ng_active_when_safe {
            let (from, to) = (self.here(), self.gate(self.now, self.count));
            self.demands.push(Demand { from, to, known: self.calls, bars: false, closed: None });
        }
    }

    fn here(&self) -> u64 {
        match self.settings.travel {
            Travel::Time(_) => self.now,
            Travel::Counts(_) => self.count,
        }
    }

    fn gate(&self, at: u64, count: u64) -> u64 {
        match self.settings.travel {
            Travel::Time(travel) => {
                at.saturating_add(u64::try_from(travel.as_nanos()).unwrap_or(NEVER))
            }
            Travel::Counts(travel) => count.saturating_add(travel),
        }
    }
}
