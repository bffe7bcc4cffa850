//! Draws the world around the line at random: parts, belt, inspection and troubles.

use crate::bench::Bench;
use crate::line::{Flood, Habits};
use crate::numbers::Numbers;
use hetmm::clock::LineTime;
use hetmm::line::tracker::{Command, Event, Fault, Line, PartId, Reason, Travel, Watch};
use std::collections::BTreeSet;

/// Holds an answer on its way: when it comes, a running number, the part, what it says.
type Answer = (u64, u64, u64, Option<Reason>);

/// Holds a trial: a line, and what happens to it.
pub struct World {
    pub bench: Bench,
    habits: Habits,
    numbers: Numbers,
    now: u64,
    /// The position of the belt in counts, and the fraction of a count beyond that.
    count: u64,
    part_of_count: u128,
    stands: bool,
    answers: BTreeSet<Answer>,
    /// The captures that nobody answers.
    forgotten: Vec<u64>,
    sent: u64,
}

impl World {
    /// Makes the trial with this number in the run of this seed.
    pub fn new(seed: u64, trial: u64) -> Self {
        let numbers = Numbers::new(seed, trial);
        let habits = Habits::draw(&numbers, trial);
        let with_twin = numbers.below(8) == 0;
        let mut bench = Bench::new(&habits.settings, habits.start, with_twin);
        let tally = &mut bench.tally;
        tally.one("trials");
        tally.one(match habits.settings.travel {
            Travel::Time(_) => "trial: by time",
            Travel::Counts(_) => "trial: by counts",
        });
        for (what, there) in [
            ("trial: with a twin", with_twin),
            ("trial: up to the end of time", habits.start > u64::MAX / 2),
            ("trial: 4096 parts in flight may be", habits.settings.max_in_flight == 4096),
        ] {
            if there {
                tally.one(what);
            }
        }
        World {
            bench,
            now: habits.start,
            habits,
            numbers,
            count: 0,
            part_of_count: 0,
            stands: false,
            answers: BTreeSet::new(),
            forgotten: vec![],
            sent: 0,
        }
    }

    /// Plays the trial to its end.
    pub fn play(&mut self) -> Result<(), String> {
        if self.numbers.permille(950) {
            self.condition(Fault::Template, false)?;
            self.condition(Fault::Camera, false)?;
        }
        if self.numbers.permille(200) {
            self.odd_start()?;
        }
        for step in 0..self.habits.steps {
            let gap = self.gap();
            self.run_for(gap)?;
            match self.habits.flood.filter(|_| step == self.habits.steps / 2) {
                Some(Flood::LostEdges(lost)) => self.trigger(lost)?,
                Some(Flood::UnseenParts(parts)) => self.go_blind(parts)?,
                None => self.happen()?,
            }
            self.recover()?;
            if step % 256 == 100 || step % 2048 == 1900 {
                self.bench.check_queues()?;
            }
        }
        self.end()
    }

    /// Lets troubles come before the first part that is seen.
    fn odd_start(&mut self) -> Result<(), String> {
        let travel = self.habits.travel;
        self.run_for(self.numbers.below(travel * 4))?;
        if self.numbers.permille(200) {
            self.call(Event::Safe)?;
        }
        match self.numbers.below(3) {
            0 => self.go_blind(self.numbers.pick(&[0, 3]))?,
            1 => {
                self.bench.tally.one("trigger: edges lost before the first");
                let at = self.now.saturating_sub(self.numbers.below(travel * 4));
                let (at, lost) = (LineTime::from_nanos(at), self.numbers.pick(&[1, 3]));
                self.call(Event::Trigger { at, lost })?;
            }
            _ => {}
        }
        if self.numbers.permille(500) {
            self.call(Event::Resume)?;
        }
        Ok(())
    }

    /// Returns the time to what happens next.
    fn gap(&mut self) -> u64 {
        let spacing = self.habits.spacing;
        let usual = self.numbers.between(spacing / 2 + 1, spacing * 3 / 2 + 1);
        if self.numbers.below(self.habits.pause) == 0 {
            let long = self.habits.travel * 2 + 1;
            return self.numbers.pick(&[self.numbers.below(long), self.habits.travel * 5]);
        }
        match self.numbers.below(100) {
            0..20 if self.habits.tidy => usual,
            0..10 => 0,
            10..20 => self.numbers.below(spacing / 4 + 2),
            _ => usual,
        }
    }

    /// Lets time pass. The part tracker is called when it asks for it, or later, and answers come.
    fn run_for(&mut self, time: u64) -> Result<(), String> {
        let end = self.now.saturating_add(time);
        let begin = self.now;
        loop {
            let lateness = self.numbers.below(self.habits.lateness.saturating_add(1));
            let wake = self.bench.wake.filter(|_| !self.habits.sleepy);
            // A moment at the end of time never comes.
            let wake = wake.filter(|w| *w != u64::MAX);
            let wake = wake.map_or(u64::MAX, |w| w.saturating_add(lateness).max(self.now));
            let answer = self.answers.first().map_or(u64::MAX, |a| a.0.max(self.now));
            if wake.min(answer) > end || (wake == u64::MAX && self.answers.is_empty()) {
                break;
            }
            self.now = wake.min(answer);
            if answer <= wake && !self.answers.is_empty() {
                self.next_answer()?;
            } else {
                self.call(Event::Tick)?;
            }
        }
        self.now = end;
        self.move_belt(end - begin)
    }

    /// Moves the belt by what it has moved meanwhile, except when it stands.
    fn move_belt(&mut self, time: u64) -> Result<(), String> {
        if self.numbers.permille(20) {
            self.stands = !self.stands;
        }
        let in_use = matches!(self.habits.settings.travel, Travel::Counts(_));
        if self.stands && self.numbers.permille(900) || !(in_use || self.numbers.permille(50)) {
            return Ok(());
        }
        let (counts, travel) = (u128::from(self.habits.counts), u128::from(self.habits.travel));
        self.part_of_count += u128::from(time) * counts;
        self.count += u64::try_from(self.part_of_count / travel).unwrap_or(0);
        self.part_of_count %= travel;
        if self.numbers.permille(850) { self.call(Event::Count(self.count)) } else { Ok(()) }
    }

    /// Lets one thing happen.
    fn happen(&mut self) -> Result<(), String> {
        if !self.numbers.permille(self.habits.trouble) {
            return self.trigger(0);
        }
        match self.numbers.below(100) {
            0..15 => {
                let present = self.numbers.permille(600);
                let fault = self.numbers.pick(&Fault::ALL);
                self.condition(fault, present)
            }
            15..25 => self.call(Event::Safe),
            25..35 => self.call(Event::Resume),
            35..40 => self.call(Event::Acknowledge),
            40..43 => self.call(Event::Tick),
            43..47 => {
                let present = self.numbers.permille(500);
                self.call(Event::Drift { present })
            }
            47..50 => self.commission(),
            50..60 => {
                let most = 2 * self.bench.model.account.triggers + 3;
                let part = self.numbers.pick(&[0, u64::MAX, most / 2, most]);
                let part = if self.numbers.permille(700) { self.numbers.below(most) } else { part };
                self.answer(part, None)
            }
            60..65 => {
                let count = self.numbers.below(self.count + 1);
                self.call(Event::Count(count))
            }
            65..67 => self.trigger(self.numbers.pick(&[10, 40])),
            67..78 => self.go_blind(self.numbers.pick(&[0, 0, 0, 1, 2, 10])),
            78..80 => {
                let watch = self.numbers.pick(&Watch::ALL);
                self.call(Event::Seeing { watch })
            }
            _ => {
                let lost = self.numbers.pick(&[1, 1, 1, 2, 3]);
                self.trigger(lost)
            }
        }
    }

    /// Plays commissioning: test pulses, parts that come meanwhile, and one of the ways in which it ends.
    fn commission(&mut self) -> Result<(), String> {
        let second = 1_000_000_000;
        let length = self.numbers.pick(&[self.habits.travel, 3 * second, u64::MAX / 4]);
        let until = self.now.saturating_add(self.numbers.below(length));
        self.call(Event::Commission { until: LineTime::from_nanos(until) })?;
        for _ in 0..self.numbers.below(8) {
            match self.numbers.below(8) {
                0..4 => self.test_pulse()?,
                4 => self.call(Event::Resume)?,
                5 => self.call(Event::Commission { until: LineTime::from_nanos(until) })?,
                6 => self.trigger(self.numbers.pick(&[0, 0, 2]))?,
                _ => self.go_blind(self.numbers.pick(&[0, 1]))?,
            }
            let width = u64::try_from(self.habits.settings.ng_width.as_nanos()).unwrap_or(0);
            let wait = self.numbers.pick(&[0, width / 2, width + 1, second / 2, second]);
            // Outside commissioning there may be a heartbeat, and a second has very many of its periods.
            if self.bench.model.account.commissioning.is_none() {
                break;
            }
            self.run_for(wait)?;
        }
        match self.numbers.below(4) {
            0 => self.call(Event::Safe),
            1 if length < u64::MAX / 4 => {
                let rest = until.saturating_sub(self.now);
                self.run_for(rest)?;
                self.call(Event::Tick)
            }
            _ => self.call(Event::EndCommissioning),
        }
    }

    fn test_pulse(&mut self) -> Result<(), String> {
        let late = self.numbers.pick(&[0, 0, self.habits.spacing, self.habits.travel]);
        let due = self.now.saturating_add(self.numbers.below(late.saturating_add(1)));
        let due = if self.numbers.below(20) == 0 { due / 2 } else { due };
        self.call(Event::TestPulse { due: LineTime::from_nanos(due) })
    }

    /// Removes what keeps parts from passing, after a while.
    fn recover(&mut self) -> Result<(), String> {
        if self.bench.model.account.safe && self.numbers.permille(200) {
            self.call(Event::Resume)?;
        }
        if self.numbers.permille(300) {
            let blocking = self.bench.blocking().next();
            if let Some(fault) = blocking {
                self.condition(fault, false)?;
            }
        }
        if self.numbers.permille(150) {
            let blind = self.bench.model.blind_watches().next();
            if let Some(watch) = blind {
                self.call(Event::Seeing { watch })?;
            }
        }
        if self.bench.model.account.commissioning.is_some() && self.numbers.permille(200) {
            self.call(Event::EndCommissioning)?;
        }
        let account = &self.bench.model.account;
        let stuck = account.outstanding >= self.habits.settings.max_waiting;
        if stuck && self.answers.is_empty() && self.numbers.permille(300) {
            let part = self.forgotten.pop().unwrap_or(1);
            self.answer(part, None)?;
        }
        Ok(())
    }

    fn go_blind(&mut self, parts: u32) -> Result<(), String> {
        let watch = self.numbers.pick(&Watch::ALL);
        let full = self.bench.model.account.followed >= self.habits.settings.max_in_flight;
        let before: Vec<Watch> = self.bench.model.blind_watches().collect();
        let (safe, first) = (self.bench.model.account.safe, self.bench.model.account.triggers == 0);
        let tally = &mut self.bench.tally;
        for (what, there) in [
            ("blind: first watch", before.is_empty()),
            ("blind: second watch", !before.is_empty() && !before.contains(&watch)),
            ("blind: again", before.contains(&watch)),
            ("blind: while safe", safe),
            ("blind: with a full queue", before.is_empty() && full),
            ("blind: very many parts", parts > 10_000),
            ("blind: before the first part", first),
        ] {
            if there {
                tally.one(what);
            }
        }
        self.call(Event::Blind { watch, parts })
    }

    fn trigger(&mut self, lost: u32) -> Result<(), String> {
        let (spacing, travel) = (self.habits.spacing, self.habits.travel);
        let odd = self.numbers.permille(self.habits.disorder);
        let at = match self.numbers.below(8) {
            _ if !odd => self.now,
            0..4 => self.now.saturating_sub(self.numbers.below(spacing * 2)),
            4 => self.now.saturating_sub(self.numbers.below(travel * 3)),
            5 => self.numbers.pick(&[0, u64::MAX]),
            _ => self.now.saturating_add(self.numbers.below(travel * 2)),
        };
        if odd {
            self.bench.tally.one(match at <= self.now {
                true => "trigger: from the past",
                false => "trigger: from the future",
            });
        }
        self.call(Event::Trigger { at: LineTime::from_nanos(at), lost })
    }

    fn condition(&mut self, fault: Fault, present: bool) -> Result<(), String> {
        self.call(Event::Condition { fault, present })
    }

    fn next_answer(&mut self) -> Result<(), String> {
        match self.answers.pop_first() {
            Some((_, _, part, reject)) => self.answer(part, reject),
            None => Ok(()),
        }
    }

    fn answer(&mut self, part: u64, reject: Option<Reason>) -> Result<(), String> {
        let before = &self.bench.model.account;
        let (late, known) = (before.late_results, (1..=before.triggers).contains(&part));
        self.call(Event::Result { part: PartId(part), reject })?;
        let tally = &mut self.bench.tally;
        if !known {
            tally.one("answer: unknown part");
        } else if self.bench.model.account.late_results > late {
            tally.one("answer: after the deadline");
        }
        Ok(())
    }

    /// Calls the part tracker and sends an answer on its way for every capture.
    fn call(&mut self, event: Event) -> Result<(), String> {
        let mut now = self.now;
        if self.habits.backwards && self.numbers.permille(30) {
            now = now.saturating_sub(self.numbers.below(self.habits.travel * 2));
            self.bench.tally.one("call: with an earlier time");
        }
        self.count_kinds(now, event);
        let before = self.bench.commissioning();
        self.bench.call(now, event)?;
        self.count_commissioning(before, event);
        for index in 0..self.bench.said.len() {
            if let Command::Capture { part, triggered_at, deadline } = self.bench.said[index] {
                self.inspect(part.0, triggered_at.as_nanos(), deadline.as_nanos());
            }
        }
        Ok(())
    }

    /// Counts what is worth counting about the state that an event meets.
    fn count_kinds(&mut self, now: u64, event: Event) {
        let blind = self.bench.model.blind_watches().count();
        let safe = self.bench.model.account.safe;
        let sees = |watch| !self.bench.model.blind_watches().any(|w| w == watch);
        let kind = match event {
            Event::Trigger { .. } if blind > 0 => Some("blind: a trigger comes"),
            Event::Result { reject: None, .. } if blind > 0 => Some("blind: a good answer comes"),
            Event::Resume if blind > 0 && safe => Some("blind: resumed"),
            Event::Seeing { watch } if sees(watch) => Some("seeing: not blind"),
            Event::Seeing { .. } if blind == 1 => Some("seeing: last watch"),
            _ => None,
        };
        let late = self.bench.wake.is_some_and(|wake| wake < now).then_some("call: late");
        for what in kind.into_iter().chain(late) {
            self.bench.tally.one(what);
        }
    }

    /// Counts what became of commissioning in a call. `before` says whether it lasted, and whether a pulse was asked for.
    fn count_commissioning(&mut self, before: (bool, bool), event: Event) {
        let after = self.bench.commissioning();
        let pulsed =
            self.bench.said.iter().any(|c| matches!(c, Command::Set { line: Line::Ng, .. }));
        let lasts = before.0 && after.0;
        let ended = before.0 && !after.0;
        for (what, there) in [
            ("commissioning begins", !before.0 && after.0),
            ("commissioning ends by request", ended && event == Event::EndCommissioning),
            ("commissioning ends by the safe state", ended && event == Event::Safe),
            ("commissioning ends by itself", ended && event == Event::Tick),
            ("commissioning: asked for again", lasts && matches!(event, Event::Commission { .. })),
            ("commissioning: a part comes", lasts && matches!(event, Event::Trigger { .. })),
            ("commissioning: resumed", lasts && event == Event::Resume),
            ("test pulse begins", lasts && pulsed && after.1),
            ("test pulse ends", lasts && pulsed && before.1 && !after.1),
            (
                "test pulse refused",
                !before.1 && !after.1 && !pulsed && matches!(event, Event::TestPulse { .. }),
            ),
        ] {
            if there {
                self.bench.tally.one(what);
            }
        }
    }

    /// Draws what the inspection says of a part, and when.
    fn inspect(&mut self, part: u64, triggered_at: u64, deadline: u64) {
        let n = &self.numbers;
        let time = (deadline - triggered_at).min(self.habits.travel);
        let mut comes = triggered_at.saturating_add(n.below(time * 4 / 5 + 1));
        let mut reject = (n.below(12) == 0).then_some(Reason::Defect);
        let odd = n.permille(self.habits.disorder);
        match n.below(10) {
            _ if !odd => {}
            0 => comes = deadline,
            1 => comes = deadline.saturating_sub(1),
            2 => comes = deadline.saturating_add(n.below(self.habits.travel)),
            3 => return self.forgotten.push(part),
            4..6 => {
                self.sent += 1;
                let other = [None, Some(Reason::Defect)][n.below(2) as usize];
                let again = comes.saturating_add(n.below(self.habits.travel));
                self.answers.insert((again, self.sent, part, other));
                self.bench.tally.one("answer: not the first");
            }
            6..8 => reject = Some(n.pick(&Reason::ALL)),
            8 => reject = Some(n.pick(&[Reason::NoFrame, Reason::BadFrame])),
            _ => reject = Some(Reason::InspectionFailed),
        }
        self.sent += 1;
        self.answers.insert((comes, self.sent, part, reject));
    }

    /// Ends the trial well: all parts leave, and the part tracker asks for nothing but the heartbeat.
    fn end(&mut self) -> Result<(), String> {
        self.bench.check_queues()?;
        for fault in Fault::ALL {
            self.condition(fault, false)?;
        }
        for watch in Watch::ALL {
            self.call(Event::Seeing { watch })?;
        }
        self.call(Event::EndCommissioning)?;
        self.call(Event::Resume)?;
        self.run_for(self.habits.travel)?;
        self.count += 10 * self.habits.counts + 1;
        self.call(Event::Count(self.count))?;
        self.run_for(self.habits.travel * 4)?;
        self.call(Event::Tick)?;
        let (parts, now) = (self.bench.model.account.in_flight, self.now);
        if parts > 0 && now < u64::MAX {
            return Err(format!("{parts} parts have not left the line"));
        }
        if self.habits.start > u64::MAX / 2 || self.numbers.permille(50) {
            self.now = u64::MAX;
            for event in [Event::Tick, Event::Safe, Event::Resume, Event::Count(self.count + 1)] {
                self.call(event)?;
                self.trigger(1)?;
            }
        }
        Ok(())
    }
}
