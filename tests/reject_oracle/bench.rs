//! Runs one production line under test: the part tracker, its twin, the model and the checks, side by side.

use crate::model::{Account, Model};
use crate::safety::Safety;
use crate::tally::Tally;
use hetmm::clock::LineTime;
use hetmm::line::tracker::{Command, Event, Fault, Line, PartId, PartTracker, Settings};

/// Holds one call of the part tracker.
pub type Call = (u64, Event);

/// Holds a part tracker and what watches it.
pub struct Bench {
    pub settings: Settings,
    pub start: u64,
    tracker: PartTracker,
    /// A second part tracker that gets the same calls and has to say the same.
    twin: Option<PartTracker>,
    pub model: Model,
    safety: Safety,
    levels: [bool; 8],
    /// The latest moment at which the part tracker was called.
    pub now: u64,
    /// The moment at which the part tracker wants to be called again.
    pub wake: Option<u64>,
    /// Every call so far.
    pub calls: Vec<Call>,
    /// What the part tracker said in the last call.
    pub said: Vec<Command>,
    pub tally: Tally,
}

impl Bench {
    /// Makes a bench with a part tracker that starts at `start`.
    pub fn new(settings: &Settings, start: u64, with_twin: bool) -> Self {
        let new = || PartTracker::new(settings.clone(), LineTime::from_nanos(start));
        let tracker = new();
        let wake = tracker.next_wake().map(LineTime::as_nanos);
        let model = Model::new(settings, start);
        Bench {
            settings: settings.clone(),
            start,
            tracker,
            twin: with_twin.then(new),
            levels: model.account.levels,
            model,
            safety: Safety::new(settings, start),
            now: start,
            wake,
            calls: vec![],
            said: vec![],
            tally: Tally::default(),
        }
    }

    /// Calls the part tracker and compares everything visible of it with the model.
    pub fn call(&mut self, now: u64, event: Event) -> Result<(), String> {
        self.calls.push((now, event));
        let overdue = self.wake.is_some_and(|wake| wake < now);
        self.now = self.now.max(now);
        self.said.clear();
        self.tracker.handle(LineTime::from_nanos(now), event, &mut self.said);
        self.tally.count_call(event, &self.said);
        self.take_levels(event, overdue)?;
        self.model.call(now, event);
        self.compare_words()?;
        let (expected, found) = (&self.model.account, self.look());
        if found != *expected {
            return Err(format!("the machine shows\n{found:?}\nand the model\n{expected:?}"));
        }
        self.safety.call(now, event, &self.said)?;
        self.check_in_flight()?;
        self.check_wake()?;
        self.ask_the_twin(now, event)
    }

    /// Follows the outputs. Each change must be a real change, and must not come before its time.
    fn take_levels(&mut self, event: Event, overdue: bool) -> Result<(), String> {
        let from_the_past = match event {
            Event::Trigger { at, lost } => lost > 0 || at.as_nanos() < self.now,
            Event::Blind { .. } | Event::Resume => true,
            _ => false,
        };
        for command in &self.said {
            let Command::Set { line, active, at } = *command else { continue };
            let level = &mut self.levels[line.index()];
            if *level == active {
                return Err(format!("{line:?} is set to {active} twice"));
            }
            *level = active;
            let at = at.as_nanos();
            if at > self.now || (at < self.now && !overdue && !from_the_past) {
                return Err(format!("{line:?} is set for {at}, but it is {}", self.now));
            }
        }
        Ok(())
    }

    fn compare_words(&self) -> Result<(), String> {
        let words = self.said.iter().filter(|c| !matches!(c, Command::Set { .. }));
        if words.clone().eq(self.model.said.iter()) {
            return Ok(());
        }
        let words: Vec<_> = words.collect();
        let expected = &self.model.said;
        Err(format!("the machine says\n{words:?}\nand the model\n{expected:?}"))
    }

    /// Returns what can be seen of the part tracker.
    fn look(&self) -> Account {
        let counters = self.tracker.counters();
        let mut faults = [false; 9];
        self.tracker.faults().for_each(|fault| faults[fault as usize] = true);
        Account {
            levels: self.levels,
            faults,
            triggers: counters.triggers,
            passed: counters.passed,
            rejected: counters.rejected,
            late_results: counters.late_results,
            alarms: counters.alarms,
            in_flight: self.tracker.in_flight(),
            outstanding: self.tracker.outstanding(),
            followed: self.tracker.followed(),
            safe: self.tracker.is_safe(),
            commissioning: self.tracker.commissioning_until().map(LineTime::as_nanos),
        }
    }

    fn check_in_flight(&self) -> Result<(), String> {
        let (parts, followed) = (self.tracker.in_flight(), self.tracker.followed());
        let most = self.settings.max_in_flight;
        let without_outcome = self.safety.without_outcome();
        if followed > most || parts != without_outcome {
            return Err(format!(
                "{parts} parts are in flight, {without_outcome} have no outcome, \
                 {followed} stretches are followed and {most} may be"
            ));
        }
        let last = self.tracker.counters().triggers;
        let on_its_way = self.tracker.is_on_its_way(PartId(last));
        if on_its_way != self.safety.has_no_outcome(last) {
            return Err(format!("the machine says that part {last} is on its way: {on_its_way}"));
        }
        let shown = self.tracker.is_ready() == self.levels[Line::Ready.index()]
            && self.tracker.reject_output_is_active() == self.levels[Line::Ng.index()];
        if shown { Ok(()) } else { Err("the machine's state differs from its outputs".into()) }
    }

    /// Checks that the part tracker asks to be called in time for every change, and never for the past.
    fn check_wake(&mut self) -> Result<(), String> {
        self.wake = self.tracker.next_wake().map(LineTime::as_nanos);
        let (wake, needed) = (self.wake, self.model.next_change());
        if wake.is_some_and(|wake| wake <= self.now && wake != u64::MAX) {
            return Err(format!("it is {} and the machine wants a call at {wake:?}", self.now));
        }
        match needed {
            Some(moment) if wake.is_none_or(|wake| wake > moment) => {
                Err(format!("something is due at {moment}; the machine asks for {wake:?}"))
            }
            _ => Ok(()),
        }
    }

    fn ask_the_twin(&mut self, now: u64, event: Event) -> Result<(), String> {
        let Some(twin) = &mut self.twin else { return Ok(()) };
        let mut said = vec![];
        twin.handle(LineTime::from_nanos(now), event, &mut said);
        if said == self.said { Ok(()) } else { Err(format!("the twin says\n{said:?}")) }
    }

    /// Checks that the queues inside the part tracker are always bounded.
    pub fn check_queues(&mut self) -> Result<(), String> {
        let most = self.settings.max_in_flight;
        let queues = [
            ("waiting", self.tracker.followed(), most),
            ("deadlines", self.tracker.deadlines(), (2 * most).max(16)),
        ];
        for (queue, items, limit) in queues {
            self.tally.at_least(queue, items as u64);
            if items > most {
                self.tally.one("more deadlines than parts in flight may be");
            }
            if items > limit {
                return Err(format!("{items} items are in {queue}; the limit is {limit}"));
            }
        }
        Ok(())
    }

    /// Returns whether commissioning lasts, and whether a test pulse was asked for that has not ended.
    pub fn commissioning(&self) -> (bool, bool) {
        (self.tracker.commissioning_until().is_some(), self.tracker.is_pulsing())
    }

    /// Returns the conditions that keep the production line from being ready.
    pub fn blocking(&self) -> impl Iterator<Item = Fault> {
        let faults = self.model.account.faults;
        Fault::ALL.into_iter().filter(move |f| f.blocks() && faults[*f as usize])
    }

    /// Returns what the part tracker was told last, for a report.
    pub fn story(&self, most: usize) -> String {
        let skipped = self.calls.len().saturating_sub(most);
        let lines: Vec<String> = self.calls[skipped..]
            .iter()
            .map(|(now, event)| format!("  {now}: {event:?}"))
            .collect();
        let Bench { settings, start, .. } = self;
        format!("{settings:?}\nstart {start}, {skipped} calls left out\n{}", lines.join("\n"))
    }
}
