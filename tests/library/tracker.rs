//! Tests the part tracker with a simulated production line, and checks what must always hold.

use hetmm::clock::LineTime;
use hetmm::line::tracker::{
    Command, Event, Fault, Finished, Line, Outcome, PartId, PartTracker, Pitch, PulseRefusal,
    Reason, Settings, Travel, Watch,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

const START: LineTime = LineTime::from_nanos(1_000_000_000_000);

fn us(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds)
}

fn settings() -> Settings {
    Settings {
        travel: Travel::Time(us(200_000)),
        min_pitch: Pitch::Time(us(20_000)),
        deadline: us(150_000),
        ng_width: us(10_000),
        ok_width: us(5_000),
        strobe_delay: us(500),
        strobe_width: us(1_000),
        heartbeat_half_period: us(100_000),
        max_in_flight: 16,
        max_waiting: 4,
        alarm_after: 5,
        ng_active_when_safe: true,
    }
}

/// Holds a part tracker, its clock, and everything that it said.
struct Bench {
    tracker: PartTracker,
    max_in_flight: usize,
    now: LineTime,
    said: Vec<Command>,
    finished: Vec<Finished>,
    /// The changes of every output: when they were carried out, when they were due, the level.
    edges: [Vec<(LineTime, LineTime, bool)>; 8],
    captures: HashMap<PartId, LineTime>,
}

impl Bench {
    fn new(settings: &Settings) -> Self {
        let tracker = PartTracker::new(settings.clone(), START);
        let (said, finished, edges) = (vec![], vec![], Default::default());
        let (max_in_flight, captures) = (settings.max_in_flight, HashMap::new());
        let mut bench =
            Bench { tracker, max_in_flight, now: START, said, finished, edges, captures };
        bench.edges[Line::Ng.index()].push((START, START, settings.ng_active_when_safe));
        bench.edges[Line::Fault.index()].push((START, START, true));
        let off = [Line::Ok, Line::Ready, Line::Busy, Line::Strobe, Line::Heartbeat, Line::Warning];
        for line in off {
            bench.edges[line.index()].push((START, START, false));
        }
        bench
    }

    /// Makes a bench whose line is ready and whose gate is free of unknown parts.
    fn ready(settings: &Settings) -> Self {
        let mut bench = Bench::new(settings);
        for fault in [Fault::Template, Fault::Camera] {
            bench.event(Event::Condition { fault, present: false });
        }
        bench.run_to(START + us(1_000_000), Duration::ZERO);
        assert!(bench.tracker.is_ready());
        bench
    }

    /// Does the same as [`Bench::ready`], also if counts say that the gate is free.
    fn ready_by_counts(settings: &Settings) -> Self {
        let mut bench = Bench::ready(settings);
        bench.event(Event::Count(1000));
        bench.after(1_000_000);
        bench
    }

    fn event(&mut self, event: Event) {
        let mut out = vec![];
        self.tracker.handle(self.now, event, &mut out);
        for command in out {
            match command {
                Command::Set { line, active, at } => {
                    assert!(at <= self.now, "{line:?} was set before its time");
                    let edges = &mut self.edges[line.index()];
                    assert_ne!(edges.last().map(|e| e.2), Some(active), "{line:?} set twice");
                    edges.push((self.now, at, active));
                }
                Command::Capture { part, deadline, .. } => {
                    assert!(self.captures.insert(part, deadline).is_none(), "captured twice");
                }
                Command::Finished(finished) => self.finished.push(finished),
            }
            self.said.push(command);
        }
        let most = self.max_in_flight;
        assert!(self.tracker.followed() <= most, "more stretches than places");
        assert!(self.tracker.deadlines() <= (2 * most).max(16), "more deadlines than places");
    }

    /// Lets time pass. The part tracker is called `lateness` after each moment that it asked for.
    fn run_to(&mut self, end: LineTime, lateness: Duration) {
        while let Some(wake) = self.tracker.next_wake().filter(|w| *w + lateness <= end) {
            self.now = self.now.max(wake + lateness);
            self.event(Event::Tick);
            assert!(self.tracker.next_wake().is_none_or(|w| w > self.now), "the tracker is stuck");
        }
        self.now = self.now.max(end);
    }

    fn trigger(&mut self) -> PartId {
        self.event(Event::Trigger { at: self.now, lost: 0 });
        PartId(self.tracker.counters().triggers)
    }

    fn result(&mut self, part: PartId, reject: Option<Reason>) {
        self.event(Event::Result { part, reject });
    }

    fn after(&mut self, microseconds: u64) -> &mut Self {
        self.run_to(self.now + us(microseconds), Duration::ZERO);
        self
    }

    fn outcome(&self, part: PartId) -> Option<Outcome> {
        let mut of_part = self.finished.iter().filter(|f| f.part == part);
        let outcome = of_part.next().map(|f| f.outcome);
        assert!(of_part.next().is_none(), "{part:?} has two outcomes");
        outcome
    }

    fn level(&self, line: Line) -> bool {
        self.edges[line.index()].last().is_some_and(|e| e.2)
    }

    /// Returns the active stretches of an output as it was driven. One that still lasts ends at the end of time.
    fn active(&self, line: Line) -> Vec<(LineTime, LineTime)> {
        let edges = &self.edges[line.index()];
        let ends = edges.iter().skip(1).map(|e| e.0).chain([LineTime::from_nanos(u64::MAX)]);
        edges.iter().zip(ends).filter(|(e, _)| e.2).map(|(e, end)| (e.0, end)).collect()
    }

    /// Returns the active stretches after the line became ready, relative to `from`, in microseconds.
    fn pulses(&self, line: Line, from: LineTime) -> Vec<(u64, u64)> {
        let relative = |t: LineTime| (t.as_nanos() - from.as_nanos()) / 1000;
        let all = self.active(line).into_iter().filter(|(begin, _)| *begin >= from);
        all.map(|(begin, end)| (relative(begin), relative(end))).collect()
    }
}

#[test]
fn a_good_part_passes_and_a_bad_one_is_rejected_at_the_gate() {
    let mut bench = Bench::ready(&settings());
    let t0 = bench.now;
    let good = bench.trigger();
    assert!(bench.level(Line::Busy));
    bench.after(30_000).result(good, None);
    assert!(!bench.level(Line::Busy));
    bench.after(30_000);
    let bad = bench.trigger();
    bench.after(30_000).result(bad, Some(Reason::Defect));
    assert_eq!(bench.outcome(bad), None, "the outcome belongs to the gate");
    bench.after(500_000);
    assert_eq!(bench.outcome(good), Some(Outcome::Passed));
    assert_eq!(bench.outcome(bad), Some(Outcome::Rejected(Reason::Defect)));
    assert_eq!(bench.pulses(Line::Ok, t0), [(200_000, 205_000)]);
    assert_eq!(bench.pulses(Line::Ng, t0), [(260_000, 270_000)]);
    assert_eq!(bench.pulses(Line::Strobe, t0), [(500, 1_500), (60_500, 61_500)]);
    assert!(bench.tracker.faults().next().is_none());
}

#[test]
fn commissioning_rejects_every_part_and_ends_by_itself_in_the_safe_state() {
    let mut bench = Bench::ready(&settings());
    let before = bench.trigger();
    bench.after(10_000).result(before, None);
    let until = bench.now + us(5_000_000);
    bench.event(Event::Commission { until });
    assert_eq!(bench.outcome(before), Some(Outcome::Rejected(Reason::Safe)));
    assert_eq!(bench.tracker.commissioning_until(), Some(until));
    bench.event(Event::Commission { until: until + us(1_000_000) });
    assert_eq!(bench.tracker.commissioning_until(), Some(until), "it is not made longer");
    bench.event(Event::Resume);
    let during = bench.trigger();
    bench.result(during, None);
    assert_eq!(bench.outcome(during), Some(Outcome::Rejected(Reason::Safe)));
    assert!(bench.level(Line::Fault) && !bench.level(Line::Ready) && bench.level(Line::Ng));
    bench.run_to(until, Duration::ZERO);
    assert_eq!(bench.tracker.commissioning_until(), None);
    assert!(bench.tracker.is_safe() && bench.level(Line::Fault) && bench.level(Line::Ng));
    bench.event(Event::Resume);
    assert!(bench.tracker.is_ready());
}

#[test]
fn a_test_pulse_has_its_width_and_keeps_its_distance() {
    for safe_level in [true, false] {
        let settings = Settings { ng_active_when_safe: safe_level, ..settings() };
        let mut bench = Bench::ready(&settings);
        let t0 = bench.now;
        let not_yet = bench.tracker.may_pulse(t0, t0);
        assert_eq!(not_yet, Err(PulseRefusal::NotCommissioning));
        bench.event(Event::Commission { until: t0 + us(3_000_000) });
        let edges = bench.edges[Line::Ng.index()].len();
        let due = |microseconds| t0 + us(microseconds);
        for (at, refusal) in [
            (100_000, None),
            (100_000, Some(PulseRefusal::TooSoon)),
            (2_990_000, Some(PulseRefusal::TooSoon)),
        ] {
            assert_eq!(bench.tracker.may_pulse(bench.now, due(at)).err(), refusal);
            bench.event(Event::TestPulse { due: due(at) });
        }
        bench.run_to(due(500_000), Duration::ZERO);
        for (at, refusal) in [
            (1_099_999, Some(PulseRefusal::TooSoon)),
            (2_990_000, Some(PulseRefusal::NoTime)),
            (2_989_999, None),
            (1_100_000, None),
        ] {
            assert_eq!(bench.tracker.may_pulse(bench.now, due(at)).err(), refusal, "{at}");
        }
        bench.event(Event::TestPulse { due: due(1_100_000) });
        // The second pulse begins 2 ms late, and has its full width all the same.
        bench.run_to(due(1_099_999), Duration::ZERO);
        bench.run_to(due(1_200_000), us(2_000));
        let pulses: Vec<(u64, bool)> = bench.edges[Line::Ng.index()][edges..]
            .iter()
            .map(|(done, _, active)| (done.since(t0).as_micros() as u64, *active))
            .collect();
        let expected = [(100_000, !safe_level), (110_000, safe_level), (1_102_000, !safe_level)];
        assert_eq!(pulses[..3], expected);
        assert_eq!(pulses[3], (1_114_000, safe_level), "12 ms after it was due, called 2 ms late");
        assert_eq!(pulses.len(), 4);
    }
}

#[test]
fn a_test_pulse_ends_at_once_with_commissioning() {
    for end in [Event::EndCommissioning, Event::Safe] {
        let mut bench = Bench::ready(&settings());
        let t0 = bench.now;
        bench.event(Event::Commission { until: t0 + us(3_000_000) });
        bench.event(Event::TestPulse { due: t0 });
        assert!(bench.tracker.is_pulsing() && !bench.level(Line::Ng), "away from its safe level");
        bench.after(4_000).event(end);
        assert!(!bench.tracker.is_pulsing() && bench.level(Line::Ng));
        assert!(bench.tracker.is_safe() && bench.tracker.commissioning_until().is_none());
    }
}

/// The clock ends after 584 years, and what would be due at its very end is never done.
#[test]
fn a_test_pulse_that_would_never_end_does_not_begin() {
    let end = LineTime::NEVER.as_nanos();
    for (asked_at, due, called_at, begins) in [
        (end - 1_000_000_000, end - 900_000_000, end - 100_000_000, true),
        // The call comes so late that the pulse would last for ever.
        (end - 1_000_000_000, end - 900_000_000, end - 1_000_000, false),
        (end - 1_000_000_000, end - 900_000_000, end, false),
    ] {
        let mut tracker = PartTracker::new(settings(), LineTime::from_nanos(asked_at));
        let mut commands = vec![];
        let mut tell = |at, event| tracker.handle(LineTime::from_nanos(at), event, &mut commands);
        tell(asked_at, Event::Commission { until: LineTime::NEVER });
        tell(asked_at, Event::TestPulse { due: LineTime::from_nanos(due) });
        let safe_level = tracker.reject_output_is_active();
        tracker.handle(LineTime::from_nanos(called_at), Event::Tick, &mut commands);
        let is_away = tracker.reject_output_is_active() != safe_level;
        assert_eq!((is_away, tracker.is_pulsing()), (begins, begins), "called at {called_at}");
    }
}

#[test]
fn a_result_at_its_deadline_is_late() {
    for (delay, passes) in [(149_999, true), (150_000, false), (190_000, false), (250_000, false)] {
        let mut bench = Bench::ready(&settings());
        let part = bench.trigger();
        bench.after(delay).result(part, None);
        assert_eq!(bench.level(Line::Fault), !passes, "a late part shows at the fault line");
        bench.after(500_000);
        let late = Outcome::Rejected(Reason::Late);
        assert_eq!(bench.outcome(part), Some(if passes { Outcome::Passed } else { late }));
        assert_eq!(bench.tracker.counters().late_results, u64::from(!passes));
        let next = bench.trigger();
        bench.after(1000).result(next, None);
        assert!(!bench.level(Line::Fault), "a good part in time ends the fault");
    }
}

#[test]
fn a_trigger_while_not_ready_is_missed_and_its_part_rejected() {
    for fault in Fault::ALL.into_iter().filter(|f| f.blocks()) {
        let mut bench = Bench::ready(&settings());
        bench.event(Event::Condition { fault, present: true });
        assert!(!bench.level(Line::Ready) && bench.level(Line::Fault));
        let t0 = bench.now;
        let part = bench.trigger();
        assert!(!bench.captures.contains_key(&part));
        bench.after(500_000);
        assert_eq!(bench.outcome(part), Some(Outcome::Rejected(Reason::Missed)));
        assert_eq!(bench.pulses(Line::Ng, t0), [(200_000, 210_000)]);
    }
}

#[test]
fn the_line_is_not_ready_while_too_many_parts_wait() {
    let mut bench = Bench::ready(&settings());
    let parts: Vec<PartId> = (0..4)
        .map(|_| {
            assert!(bench.level(Line::Ready));
            let part = bench.trigger();
            bench.after(25_000);
            part
        })
        .collect();
    assert!(!bench.level(Line::Ready));
    let missed = bench.trigger();
    bench.result(parts[0], None);
    assert!(bench.level(Line::Ready));
    bench.after(500_000);
    assert_eq!(bench.outcome(missed), Some(Outcome::Rejected(Reason::Missed)));
    assert_eq!(bench.outcome(parts[0]), Some(Outcome::Passed));
    assert_eq!(bench.outcome(parts[1]), Some(Outcome::Rejected(Reason::Late)));
}

#[test]
fn parts_that_touch_are_both_rejected_in_one_pulse() {
    let mut bench = Bench::ready(&settings());
    let t0 = bench.now;
    let first = bench.trigger();
    bench.after(1000).result(first, None);
    bench.after(5_000);
    let second = bench.trigger();
    bench.after(500_000);
    for part in [first, second] {
        assert_eq!(bench.outcome(part), Some(Outcome::Rejected(Reason::TooClose)));
    }
    assert_eq!(bench.pulses(Line::Ng, t0), [(200_000, 216_000)]);
}

#[test]
fn belt_with_lost_edges_is_rejected_from_the_trigger_before_to_the_one_after() {
    let mut bench = Bench::ready(&settings());
    let t0 = bench.now;
    let before = bench.trigger();
    bench.after(1000).result(before, None);
    bench.after(99_000);
    bench.event(Event::Trigger { at: bench.now, lost: 2 });
    bench.after(500_000);
    assert_eq!(bench.tracker.counters().triggers, 4);
    assert_eq!(bench.tracker.counters().rejected_for(Reason::LostTrigger), 2);
    assert_eq!(bench.tracker.counters().rejected_for(Reason::TooClose), 2);
    assert_eq!(bench.pulses(Line::Ng, t0), [(200_000, 310_000)]);
}

#[test]
fn a_belt_with_an_encoder_may_stop_between_trigger_and_gate() {
    let by_counts = Settings {
        travel: Travel::Counts(1000),
        min_pitch: Pitch::Counts(100),
        ng_active_when_safe: false,
        ..settings()
    };
    let mut bench = Bench::ready(&by_counts);
    bench.event(Event::Count(500));
    let bad = bench.trigger();
    bench.after(10_000).result(bad, Some(Reason::Defect));
    bench.event(Event::Count(700));
    let good = bench.trigger();
    bench.after(10_000).result(good, None);
    bench.after(60_000_000).event(Event::Count(1499));
    assert_eq!(bench.outcome(bad), None);
    let at_gate = bench.now;
    bench.event(Event::Count(1500));
    assert_eq!(bench.outcome(bad), Some(Outcome::Rejected(Reason::Defect)));
    bench.after(100_000).event(Event::Count(1800));
    bench.after(100_000);
    assert_eq!(bench.outcome(good), Some(Outcome::Passed));
    assert_eq!(bench.pulses(Line::Ng, at_gate), [(0, 10_000)]);
    // The encoder stands still while triggers come, so the parts lie on one spot.
    let (a, b) = (bench.trigger(), bench.after(50_000).trigger());
    bench.after(1000).event(Event::Count(9000));
    for part in [a, b] {
        assert_eq!(bench.outcome(part), Some(Outcome::Rejected(Reason::TooClose)));
    }
}

#[test]
fn a_part_that_reaches_the_gate_before_its_deadline_without_result_is_late() {
    let fast_belt = Settings {
        travel: Travel::Counts(10),
        min_pitch: Pitch::Counts(1),
        ng_active_when_safe: false,
        ..settings()
    };
    let mut bench = Bench::ready(&fast_belt);
    let part = bench.trigger();
    bench.after(1000).event(Event::Count(10));
    assert_eq!(bench.outcome(part), Some(Outcome::Rejected(Reason::Late)));
    bench.result(part, None);
    assert_eq!(bench.tracker.counters().late_results, 1);
}

#[test]
fn the_gate_stays_shut_until_parts_from_before_the_start_have_passed() {
    for active in [true, false] {
        let mut bench = Bench::new(&Settings { ng_active_when_safe: active, ..settings() });
        bench.after(1_000_000);
        let expected = if active { vec![(0, 210_000)] } else { vec![] };
        assert_eq!(bench.pulses(Line::Ng, START), expected);
    }
}

#[test]
fn a_pulse_begun_late_still_has_its_width() {
    let mut bench = Bench::ready(&settings());
    let t0 = bench.now;
    let part = bench.trigger();
    bench.after(1000).result(part, Some(Reason::Defect));
    bench.run_to(bench.now + us(180_000), Duration::ZERO);
    bench.run_to(bench.now + us(500_000), us(15_000));
    let pulses = bench.pulses(Line::Ng, t0);
    assert_eq!(pulses.len(), 1);
    assert!(pulses[0].1 - pulses[0].0 >= 10_000, "{pulses:?}");
}

#[test]
fn rejects_in_a_row_raise_the_alarm_until_a_part_passes_or_somebody_looks() {
    let mut bench = Bench::ready(&settings());
    let reject = |bench: &mut Bench, times: usize| {
        for _ in 0..times {
            let part = bench.trigger();
            bench.after(1000).result(part, Some(Reason::Defect));
            bench.after(300_000);
        }
    };
    reject(&mut bench, 4);
    assert!(!bench.level(Line::Fault));
    reject(&mut bench, 1);
    assert!(bench.level(Line::Fault) && bench.level(Line::Ready));
    let good = bench.trigger();
    bench.after(1000).result(good, None);
    bench.after(300_000);
    assert!(!bench.level(Line::Fault));
    reject(&mut bench, 5);
    bench.event(Event::Acknowledge);
    assert!(!bench.level(Line::Fault));
    assert_eq!(bench.tracker.counters().alarms, 2);
}

#[test]
fn more_parts_than_can_be_followed_pass_the_gate_as_one_reject() {
    let mut bench = Bench::ready(&Settings { min_pitch: Pitch::Time(us(0)), ..settings() });
    let t0 = bench.now;
    for _ in 0..40 {
        bench.trigger();
        bench.after(100);
    }
    assert!(bench.tracker.faults().any(|f| f == Fault::Overflow));
    bench.after(1_000_000);
    assert_eq!(bench.finished.len(), 40);
    assert_eq!(bench.tracker.counters().passed, 0);
    assert_eq!(bench.pulses(Line::Ng, t0), [(200_000, 213_900)]);
    assert!(!bench.tracker.faults().any(|f| f == Fault::Overflow));
}

/// Covers a former fault: one in two edges was lost for hours, and 200,007 stretches were followed with a limit of 16.
#[test]
fn lost_edges_take_no_more_places_than_there_are() {
    let far = Settings { travel: Travel::Time(us(3_600_000_000)), ..settings() };
    let mut bench = Bench::ready(&Settings { ng_active_when_safe: false, ..far });
    let t0 = bench.now;
    for _ in 0..1000 {
        bench.after(1_000);
        bench.event(Event::Trigger { at: bench.now, lost: 1 });
        assert!(bench.tracker.followed() <= 16);
    }
    bench.after(4_000_000_000);
    assert_eq!((bench.finished.len(), bench.tracker.counters().passed), (2000, 0));
    assert_eq!(bench.pulses(Line::Ng, t0).len(), 1, "the belt is rejected as a whole");
}

/// Covers a former fault: with an encoder, the gate stayed open until the next count.
#[test]
fn a_lost_edge_whose_belt_is_at_the_gate_closes_it_at_once_with_an_encoder_too() {
    let by_counts = Settings {
        travel: Travel::Counts(10),
        min_pitch: Pitch::Counts(1),
        ng_active_when_safe: false,
        ..settings()
    };
    let mut bench = Bench::ready(&by_counts);
    let part = bench.trigger();
    bench.after(1000).result(part, None);
    bench.after(1000).event(Event::Count(15));
    bench.after(100_000);
    let t0 = bench.now;
    bench.event(Event::Trigger { at: t0, lost: 1 });
    assert!(bench.level(Line::Ng), "the belt behind the gate may carry the lost part");
    bench.after(1000).event(Event::Count(25));
    bench.after(100_000);
    assert_eq!(bench.pulses(Line::Ng, t0), [(0, 11_000)]);
}

/// Covers a former fault: with a heartbeat, `handle` did not return at the end of the clock.
#[test]
fn at_the_end_of_time_the_tracker_returns() {
    for travel in [Travel::Time(us(200_000)), Travel::Counts(10)] {
        let start = LineTime::from_nanos(u64::MAX - 10);
        let mut tracker = PartTracker::new(Settings { travel, ..settings() }, start);
        let mut out = vec![];
        for event in [Event::Tick, Event::Trigger { at: start, lost: 3 }, Event::Tick] {
            tracker.handle(LineTime::NEVER, event, &mut out);
        }
        assert!(tracker.next_wake().is_none_or(|wake| wake < LineTime::NEVER));
    }
}

#[test]
fn belt_that_passes_a_blind_watch_is_rejected_from_the_part_before_to_the_part_after() {
    for watch in Watch::ALL {
        let mut bench = Bench::ready(&settings());
        let t0 = bench.now;
        let before = bench.trigger();
        bench.after(1000).result(before, None);
        bench.after(99_000).event(Event::Blind { watch, parts: 2 });
        assert!(bench.level(Line::Fault) && !bench.level(Line::Ready));
        assert_eq!(bench.tracker.counters().rejected_for(Reason::LostTrigger), 2);
        let during = bench.after(100_000).trigger();
        bench.after(10_000).event(Event::Seeing { watch });
        assert!(bench.level(Line::Ready));
        let after = bench.after(50_000).trigger();
        bench.after(1000).result(after, None);
        assert!(!bench.level(Line::Fault), "a good part in time ends the fault");
        bench.after(500_000);
        assert_eq!(bench.outcome(before), Some(Outcome::Rejected(Reason::TooClose)));
        assert_eq!(bench.outcome(during), Some(Outcome::Rejected(Reason::Missed)));
        assert_eq!(bench.outcome(after), Some(Outcome::Passed));
        // The pulse lasts from the gate of the part before to the gate of what passed the trigger when it saw again.
        assert_eq!(bench.pulses(Line::Ng, t0), [(200_000, 420_000)]);
    }
}

#[test]
fn a_blind_watch_closes_the_gate_at_once_where_the_last_part_has_left_and_where_none_is_known() {
    for first in [true, false] {
        let mut bench = Bench::ready(&settings());
        if first {
            let part = bench.trigger();
            bench.after(1000).result(part, None);
            bench.after(1_000_000);
            assert_eq!(bench.outcome(part), Some(Outcome::Passed));
        }
        let t0 = bench.now;
        bench.event(Event::Blind { watch: Watch::Inputs, parts: 1 });
        assert!(bench.level(Line::Ng));
        bench.after(60_000_000).event(Event::Seeing { watch: Watch::Inputs });
        bench.after(1_000_000);
        assert_eq!(bench.pulses(Line::Ng, t0), [(0, 60_210_000)]);
    }
}

#[test]
fn the_belt_stays_rejected_until_every_watch_sees_again_and_after_a_resume() {
    let mut bench = Bench::ready(&Settings { ng_active_when_safe: false, ..settings() });
    bench.event(Event::Blind { watch: Watch::Camera, parts: 0 });
    bench.event(Event::Blind { watch: Watch::Queue, parts: 7 });
    bench.after(300_000).event(Event::Seeing { watch: Watch::Queue });
    bench.after(300_000);
    assert!(bench.level(Line::Ng));
    bench.event(Event::Safe);
    assert!(!bench.level(Line::Ng), "the safe state decides");
    bench.after(300_000).event(Event::Resume);
    assert!(bench.level(Line::Ng) && !bench.level(Line::Ready));
    bench.after(300_000).event(Event::Seeing { watch: Watch::Camera });
    assert!(bench.level(Line::Ready));
    bench.after(300_000);
    assert!(!bench.level(Line::Ng));
    assert_eq!(bench.tracker.counters().rejected_for(Reason::LostTrigger), 7);
}

/// Says what the world does, one step after another.
#[derive(Debug, Clone)]
enum Step {
    Wait(u32),
    Trigger { reported_late_us: u32, lost: u8 },
    Result { which: u8, reject: u8 },
    Condition { fault: u8, present: bool },
    Count(u16),
    Blind { watch: u8, parts: u8 },
    Seeing { watch: u8 },
    Safe,
    Resume,
    Acknowledge,
    Drift(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u32..60_000).prop_map(Step::Wait),
        6 => (0u32..3_000, prop_oneof![19 => Just(0u8), 1 => 1u8..4])
            .prop_map(|(reported_late_us, lost)| Step::Trigger { reported_late_us, lost }),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(which, reject)| Step::Result { which, reject }),
        1 => (any::<u8>(), any::<bool>())
            .prop_map(|(fault, present)| Step::Condition { fault, present }),
        2 => any::<u16>().prop_map(Step::Count),
        1 => (any::<u8>(), 0u8..3).prop_map(|(watch, parts)| Step::Blind { watch, parts }),
        2 => any::<u8>().prop_map(|watch| Step::Seeing { watch }),
        1 => prop_oneof![3 => Just(Step::Resume), 1 => Just(Step::Safe)],
        1 => Just(Step::Acknowledge),
        1 => any::<bool>().prop_map(Step::Drift),
    ];
    prop::collection::vec(step, 1..200)
}

fn line_settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), any::<bool>(), 1usize..8, 1u64..30, 0u64..40, 1u64..200).prop_map(
        |(by_time, ng_active_when_safe, max_waiting, width, pitch, deadline)| Settings {
            travel: if by_time { Travel::Time(us(200_000)) } else { Travel::Counts(100) },
            min_pitch: if by_time { Pitch::Time(us(pitch * 1000)) } else { Pitch::Counts(pitch) },
            deadline: us(deadline * 1000),
            ng_width: us(width * 1000),
            ng_active_when_safe,
            max_waiting,
            max_in_flight: 8,
            ..settings()
        },
    )
}

/// Holds what the checks need to know about a part, kept apart from the part tracker.
#[derive(Default)]
struct Seen {
    good_in_time: bool,
}

fn play(settings: &Settings, steps: &[Step], lateness: Duration) -> (Bench, BTreeMap<u64, Seen>) {
    let mut bench = Bench::new(settings);
    for fault in [Fault::Template, Fault::Camera] {
        bench.event(Event::Condition { fault, present: false });
    }
    let mut seen = BTreeMap::new();
    let (mut unanswered, mut count) = (vec![], 0);
    for step in steps {
        match *step {
            Step::Wait(time) => bench.run_to(bench.now + us(u64::from(time)), lateness),
            Step::Trigger { reported_late_us, lost } => {
                let at = bench.now - us(u64::from(reported_late_us));
                let (captured, from) = (bench.captures.len(), bench.tracker.counters().triggers);
                bench.event(Event::Trigger { at, lost: u32::from(lost) });
                for part in from + 1..=bench.tracker.counters().triggers {
                    seen.insert(part, Seen::default());
                }
                if bench.captures.len() > captured {
                    unanswered.push(PartId(bench.tracker.counters().triggers));
                }
            }
            Step::Result { which, reject } => {
                if unanswered.is_empty() {
                    continue;
                }
                let part = unanswered.remove(usize::from(which) % unanswered.len());
                let reason = Reason::ALL[usize::from(reject) % Reason::ALL.len()];
                let reject = (reject % 2 == 0).then_some(reason);
                let deadline = bench.captures[&part];
                if let Some(seen) = seen.get_mut(&part.0) {
                    seen.good_in_time = reject.is_none() && bench.now < deadline;
                }
                bench.result(part, reject);
            }
            Step::Condition { fault, present } => {
                let fault = Fault::ALL[usize::from(fault) % Fault::ALL.len()];
                bench.event(Event::Condition { fault, present });
            }
            Step::Count(by) => {
                count += u64::from(by % 80);
                bench.event(Event::Count(count));
            }
            Step::Blind { watch, parts } => {
                let watch = Watch::ALL[usize::from(watch) % Watch::ALL.len()];
                let from = bench.tracker.counters().triggers;
                bench.event(Event::Blind { watch, parts: u32::from(parts) });
                for part in from + 1..=bench.tracker.counters().triggers {
                    seen.insert(part, Seen::default());
                }
            }
            Step::Seeing { watch } => {
                let watch = Watch::ALL[usize::from(watch) % Watch::ALL.len()];
                bench.event(Event::Seeing { watch });
            }
            Step::Safe => {
                bench.event(Event::Safe);
                for line in Line::ALL {
                    let expected = line.active_when_safe(settings.ng_active_when_safe);
                    assert_eq!(bench.level(line), expected, "{line:?} in the safe state");
                }
                assert_eq!(bench.tracker.in_flight(), 0);
            }
            Step::Resume => bench.event(Event::Resume),
            Step::Acknowledge => bench.event(Event::Acknowledge),
            Step::Drift(present) => bench.event(Event::Drift { present }),
        }
    }
    for watch in Watch::ALL {
        bench.event(Event::Seeing { watch });
    }
    bench.run_to(bench.now + us(2_000_000), lateness);
    bench.event(Event::Count(count + 1_000_000));
    bench.run_to(bench.now + us(2_000_000), lateness);
    (bench, seen)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens(settings in line_settings(), steps in steps(), late in 0u64..3) {
        let lateness = us(late * 700);
        let (bench, seen) = play(&settings, &steps, lateness);
        // Every trigger gets exactly one outcome.
        let mut parts: Vec<u64> = bench.finished.iter().map(|f| f.part.0).collect();
        parts.sort_unstable();
        prop_assert_eq!(parts, (1..=bench.tracker.counters().triggers).collect::<Vec<_>>());
        let counters = bench.tracker.counters();
        prop_assert_eq!(counters.passed + counters.rejected_total(), counters.triggers);
        for finished in &bench.finished {
            let part = &seen[&finished.part.0];
            if finished.outcome == Outcome::Passed {
                // No part passes without a good result in time.
                prop_assert!(part.good_in_time, "{:?} passed", finished.part);
            }
        }
        // Parts that were followed to the gate leave in the order of their triggers.
        let at_gate = bench.finished.iter().filter(|f| !matches!(
            f.outcome,
            Outcome::Rejected(Reason::Overflow | Reason::LostTrigger | Reason::Safe)
        ));
        prop_assert!(at_gate.map(|f| f.part).is_sorted());
        // No pulse is short.
        for (line, width) in [(Line::Ng, settings.ng_width), (Line::Ok, settings.ok_width)] {
            let safe_cuts = steps.iter().any(|s| matches!(s, Step::Safe));
            for (begin, end) in bench.active(line) {
                prop_assert!(safe_cuts || end.since(begin) >= width, "{line:?} is short");
            }
        }
        // Every rejected part meets an active reject output, from gate to gate plus width.
        if let Travel::Time(delay) = settings.travel {
            let active = bench.active(Line::Ng);
            for finished in &bench.finished {
                let Outcome::Rejected(reason) = finished.outcome else { continue };
                if reason == Reason::Safe || steps.iter().any(|s| matches!(s, Step::Safe)) {
                    continue;
                }
                // The part tracker clamps trigger times to be monotone, so its own time counts.
                let begin = finished.triggered_at + delay + lateness + us(3_000);
                let end = finished.triggered_at + delay + settings.ng_width;
                prop_assert!(
                    begin >= end || active.iter().any(|(a, b)| *a <= begin && *b >= end),
                    "{:?} at {:?} meets {:?}", finished, end, active
                );
            }
        }
        // The same events give the same commands.
        prop_assert_eq!(&play(&settings, &steps, lateness).0.said, &bench.said);
    }

    /// However parts come, no more stretches are followed than there are places (every call checks it). A part that
    /// finds no place is rejected and counted at once.
    #[test]
    fn a_flood_takes_no_more_places_than_there_are(
        settings in line_settings(),
        places in 1usize..6,
        bursts in prop::collection::vec((1usize..50, 0u32..3, 0u32..60_000, 0u8..8), 1..20),
    ) {
        let settings = Settings { max_in_flight: places, ..settings };
        let mut bench = Bench::ready_by_counts(&settings);
        let mut count = 1000;
        for (triggers, lost, pause, trouble) in bursts {
            for _ in 0..triggers {
                // The stretch of lost edges takes the last place first.
                let taken = bench.tracker.followed() + usize::from(lost > 0);
                let rejected = |bench: &Bench| bench.tracker.counters().rejected_for(Reason::Overflow);
                let before = rejected(&bench);
                bench.event(Event::Trigger { at: bench.now, lost });
                prop_assert_eq!(rejected(&bench) - before, u64::from(taken >= places));
            }
            let watch = Watch::ALL[usize::from(trouble) % Watch::ALL.len()];
            if trouble > 4 {
                bench.event(Event::Blind { watch, parts: 1 });
            }
            bench.after(u64::from(pause));
            count += u64::from(pause) / 1000;
            bench.event(Event::Count(count));
            bench.event(Event::Seeing { watch });
        }
        for captured in bench.captures.keys().copied().collect::<Vec<_>>() {
            bench.result(captured, None);
        }
        bench.event(Event::Count(count + 1000));
        bench.after(10_000_000);
        let counters = bench.tracker.counters();
        prop_assert_eq!(counters.passed + counters.rejected_total(), counters.triggers);
        prop_assert_eq!((bench.tracker.followed(), bench.tracker.in_flight()), (0, 0));
    }

    #[test]
    fn no_pulse_without_a_reject(gaps in prop::collection::vec((25_000u32..90_000, 1_000u32..140_000, any::<bool>()), 1..60)) {
        let settings = Settings { max_waiting: 100, max_in_flight: 100, ..settings() };
        let mut bench = Bench::ready(&settings);
        let mut results: Vec<(LineTime, PartId, bool)> = vec![];
        let (mut at, mut rejected, t0) = (bench.now, vec![], bench.now);
        for (gap, delay, good) in gaps {
            at = at + us(u64::from(gap));
            results.sort_unstable();
            while let Some(&(due, part, good)) = results.first().filter(|r| r.0 <= at) {
                bench.run_to(due, Duration::ZERO);
                bench.result(part, (!good).then_some(Reason::Defect));
                results.remove(0);
            }
            bench.run_to(at, Duration::ZERO);
            let part = bench.trigger();
            results.push((at + us(u64::from(delay)), part, good));
            if !good {
                rejected.push(at + us(200_000));
            }
        }
        results.sort_unstable();
        for (due, part, good) in results {
            bench.run_to(due, Duration::ZERO);
            bench.result(part, (!good).then_some(Reason::Defect));
        }
        bench.after(1_000_000);
        // Every reject has exactly one pulse of exactly the width. No pulse is lost, early, short, long or without a
        // reason.
        let pulses: Vec<(LineTime, LineTime)> =
            bench.active(Line::Ng).into_iter().filter(|p| p.0 >= t0).collect();
        let expected: Vec<(LineTime, LineTime)> =
            rejected.iter().map(|gate| (*gate, *gate + settings.ng_width)).collect();
        prop_assert_eq!(pulses, expected);
    }
}

/// Gives deterministic numbers for the long run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn a_million_parts() {
    const PARTS: u64 = 1_000_000;
    let settings = Settings { max_in_flight: 64, max_waiting: 8, alarm_after: 0, ..settings() };
    let mut tracker = PartTracker::new(settings.clone(), START);
    let mut out = vec![];
    for fault in [Fault::Template, Fault::Camera] {
        tracker.handle(START, Event::Condition { fault, present: false }, &mut out);
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut now = START + us(1_000_000);
    tracker.handle(now, Event::Tick, &mut out);
    out.clear();
    // These are results on their way: when they arrive, and what they say.
    let mut pending: BTreeMap<(LineTime, u64), Option<Reason>> = BTreeMap::new();
    let mut good_in_time: HashMap<u64, bool> = HashMap::new();
    let (mut finished, mut ng, mut ng_since, mut max_followed) = (0u64, false, now, 0);
    let mut next_trigger = now;
    let mut triggers = 0;
    while finished < triggers || triggers < PARTS {
        let trigger = (triggers < PARTS).then_some(next_trigger);
        let result = pending.keys().next().map(|k| k.0);
        let next = [trigger, result, tracker.next_wake()].into_iter().flatten().min();
        now = now.max(next.expect("something is always due"));
        if trigger == Some(now) {
            triggers += 1;
            tracker.handle(now, Event::Trigger { at: now, lost: 0 }, &mut out);
            // One in fifty bounces, one in a hundred comes after a pause.
            next_trigger = now
                + match numbers.below(100) {
                    0 | 1 => us(1 + numbers.below(15_000)),
                    2 => us(2_000_000),
                    _ => us(21_000 + numbers.below(40_000)),
                };
        } else if result == Some(now) {
            let ((_, part), reject) = pending.pop_first().expect("there is one");
            tracker.handle(now, Event::Result { part: PartId(part), reject }, &mut out);
        } else {
            tracker.handle(now, Event::Tick, &mut out);
        }
        max_followed = max_followed.max(tracker.in_flight());
        for command in out.drain(..) {
            match command {
                Command::Capture { part, deadline, .. } => {
                    // One in two hundred takes far too long.
                    let delay = match numbers.below(200) {
                        0 => 400_000,
                        _ => 5_000 + numbers.below(60_000),
                    };
                    let reject = (numbers.below(20) == 0).then_some(Reason::Defect);
                    let arrives = now + us(delay);
                    good_in_time.insert(part.0, reject.is_none() && arrives < deadline);
                    pending.insert((arrives, part.0), reject);
                }
                Command::Finished(f) => {
                    finished += 1;
                    let good = good_in_time.remove(&f.part.0).unwrap_or(false);
                    if f.outcome == Outcome::Passed {
                        assert!(good, "{f:?}");
                        assert_eq!(f.at, f.triggered_at + us(200_000));
                    }
                }
                Command::Set { line: Line::Ng, active, .. } => {
                    assert!(active || now.since(ng_since) >= settings.ng_width);
                    (ng, ng_since) = (active, now);
                }
                Command::Set { .. } => {}
            }
        }
    }
    let counters = tracker.counters();
    assert_eq!((counters.triggers, counters.passed + counters.rejected_total()), (PARTS, PARTS));
    for reason in [Reason::Defect, Reason::Late, Reason::TooClose] {
        assert!(counters.rejected_for(reason) > 1000, "{reason:?} was not exercised");
    }
    assert!(max_followed <= 64 && !ng | (tracker.in_flight() == 0));
}
