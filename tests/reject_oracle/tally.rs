//! Counts what was exercised.

use hetmm::line::tracker::{Command, Event, Outcome, Reason, Watch};
use std::collections::BTreeMap;

/// Holds how often each thing happened.
#[derive(Default, Clone)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

/// What a run must have exercised, and the smallest number of times in a million parts.
const NEEDED: &[(&str, u64)] = &[
    ("passed", 100_000),
    ("rejected: defect", 2000),
    ("rejected: late", 2000),
    ("rejected: no frame", 500),
    ("rejected: bad frame", 500),
    ("rejected: inspection failed", 500),
    ("rejected: missed", 2000),
    ("rejected: too close", 2000),
    ("rejected: lost trigger", 2000),
    ("rejected: overflow", 2000),
    ("rejected: safe", 2000),
    ("trigger: one edge lost", 100),
    ("trigger: some edges lost", 100),
    ("trigger: very many edges lost", 1),
    ("trigger: from the past", 2000),
    ("trigger: from the future", 500),
    ("answer: good", 100_000),
    ("answer: bad", 2000),
    ("count", 20_000),
    ("condition begins", 1000),
    ("condition ends", 1000),
    ("blind: camera", 200),
    ("blind: inputs", 200),
    ("blind: queue", 200),
    ("blind: first watch", 200),
    ("blind: second watch", 50),
    ("blind: again", 50),
    ("blind: while safe", 50),
    ("blind: with a full queue", 50),
    ("blind: very many parts", 1),
    ("blind: before the first part", 50),
    ("trigger: edges lost before the first", 50),
    ("blind: resumed", 20),
    ("blind: a trigger comes", 500),
    ("blind: a good answer comes", 50),
    ("seeing: camera", 200),
    ("seeing: inputs", 200),
    ("seeing: queue", 200),
    ("seeing: last watch", 200),
    ("seeing: not blind", 50),
    ("drift begins", 100),
    ("drift ends", 100),
    ("safe", 500),
    ("resume", 500),
    ("acknowledge", 500),
    ("commissioning begins", 200),
    ("commissioning ends by request", 50),
    ("commissioning ends by the safe state", 20),
    ("commissioning ends by itself", 20),
    ("commissioning: asked for again", 20),
    ("commissioning: a part comes", 500),
    ("commissioning: resumed", 20),
    ("test pulse begins", 200),
    ("test pulse ends", 100),
    ("test pulse refused", 100),
    ("tick", 100_000),
    ("call: late", 20_000),
    ("call: with an earlier time", 1000),
    ("trial: by time", 100),
    ("trial: by counts", 100),
    ("trial: up to the end of time", 10),
    ("trial: 4096 parts in flight may be", 1),
    ("trial: with a twin", 10),
    ("waiting", 3000),
    ("more deadlines than parts in flight may be", 20),
    ("answer: unknown part", 100),
    ("answer: not the first", 500),
    ("answer: after the deadline", 500),
];

impl Tally {
    /// Counts one more.
    pub fn one(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Remembers the largest value.
    pub fn at_least(&mut self, what: &'static str, value: u64) {
        let most = self.counts.entry(what).or_default();
        *most = value.max(*most);
    }

    /// Counts what a call did.
    pub fn count_call(&mut self, event: Event, said: &[Command]) {
        self.one(match event {
            Event::Trigger { lost: 0, .. } => "trigger: plain",
            Event::Trigger { lost: 1, .. } => "trigger: one edge lost",
            Event::Trigger { lost: 10_001.., .. } => "trigger: very many edges lost",
            Event::Trigger { .. } => "trigger: some edges lost",
            Event::Count(_) => "count",
            Event::Result { reject: None, .. } => "answer: good",
            Event::Result { .. } => "answer: bad",
            Event::Condition { present: true, .. } => "condition begins",
            Event::Condition { .. } => "condition ends",
            Event::Blind { watch: Watch::Camera, .. } => "blind: camera",
            Event::Blind { watch: Watch::Inputs, .. } => "blind: inputs",
            Event::Blind { watch: Watch::Queue, .. } => "blind: queue",
            Event::Seeing { watch: Watch::Camera } => "seeing: camera",
            Event::Seeing { watch: Watch::Inputs } => "seeing: inputs",
            Event::Seeing { watch: Watch::Queue } => "seeing: queue",
            Event::Drift { present: true } => "drift begins",
            Event::Drift { present: false } => "drift ends",
            Event::Safe => "safe",
            Event::Resume => "resume",
            Event::Acknowledge => "acknowledge",
            Event::Commission { .. } => "commission",
            Event::TestPulse { .. } => "test pulse",
            Event::EndCommissioning => "end of commissioning",
            Event::Tick => "tick",
        });
        for command in said {
            match command {
                Command::Finished(finished) => {
                    self.one("parts");
                    self.one(match finished.outcome {
                        Outcome::Passed => "passed",
                        Outcome::Rejected(reason) => name_of(reason),
                    });
                }
                Command::Capture { .. } => self.one("captures"),
                Command::Set { .. } => {}
            }
        }
    }

    /// Returns the number of parts that have their outcome.
    pub fn parts(&self) -> u64 {
        self.counts.get("parts").copied().unwrap_or(0)
    }

    /// Adds the counts of a trial. `waiting` and `deadlines` are largest values.
    pub fn add(&mut self, other: &Tally) {
        for (what, count) in &other.counts {
            match *what {
                "waiting" | "deadlines" => self.at_least(what, *count),
                _ => *self.counts.entry(what).or_default() += count,
            }
        }
    }

    /// Returns what was exercised too seldom.
    pub fn gaps(&self) -> Vec<String> {
        let seen = |what: &&str| self.counts.get(what).copied().unwrap_or(0);
        let short = NEEDED.iter().filter(|(what, least)| seen(what) < *least);
        short.map(|(what, least)| format!("{what}: {} of {least}", seen(what))).collect()
    }

    /// Returns every count, one per line of text.
    pub fn report(&self) -> String {
        let lines = self.counts.iter().map(|(what, count)| format!("{count:>12}  {what}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Returns the name of a reason, for counting.
fn name_of(reason: Reason) -> &'static str {
    match reason {
        Reason::Defect => "rejected: defect",
        Reason::Late => "rejected: late",
        Reason::NoFrame => "rejected: no frame",
        Reason::BadFrame => "rejected: bad frame",
        Reason::InspectionFailed => "rejected: inspection failed",
        Reason::Missed => "rejected: missed",
        Reason::TooClose => "rejected: too close",
        Reason::LostTrigger => "rejected: lost trigger",
        Reason::Overflow => "rejected: overflow",
        Reason::Safe => "rejected: safe",
    }
}
