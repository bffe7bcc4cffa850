//! Remembers the latest pulses at the gate, so that the record of a part says how its outcome was carried out.

use super::record::{Gate, in_us};
use super::tracker::{Finished, Line, Outcome};
use crate::clock::LineTime;
use std::time::Duration;

/// The number of pulses of an output that are remembered. More than one is needed only if the hub thread was late.
const KEPT: usize = 16;

/// Describes a pulse whose edge is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Its number on the reject output.
    pub number: u64,
    /// The moment right before the system call that began it. No edge of it is earlier.
    pub from: LineTime,
    /// The moment right after that call.
    pub at: LineTime,
}

/// Says whether the edge of a pulse came in time, so that the valve has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// The number of the pulse.
    pub pulse: u64,
    /// The moment of its edge. `None` if none came in time.
    pub seen: Option<LineTime>,
}

/// Holds the latest pulses of *ng* and *ok*. It allocates nothing.
#[derive(Debug, Default)]
pub struct Gates {
    ng: Pulses,
    ok: Pulses,
}

#[derive(Debug, Default)]
struct Pulses {
    count: u64,
    /// The latest pulses with the moments at which they were due. A pulse stands at its number modulo [`KEPT`].
    latest: [Option<(LineTime, Gate)>; KEPT],
}

impl Gates {
    /// Notes that a pulse on `line` began at `at`, when it was due at `due`. The system call took `took`. Returns the
    /// number of the pulse. Other lines than *ng* and *ok* are ignored.
    pub fn began(
        &mut self,
        line: Line,
        due: LineTime,
        at: LineTime,
        took: Duration,
    ) -> Option<u64> {
        let pulses = match line {
            Line::Ng => &mut self.ng,
            Line::Ok => &mut self.ok,
            _ => return None,
        };
        pulses.count = pulses.count.wrapping_add(1);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (due_us, at_us, pulse) = (in_us(due), in_us(at), pulses.count);
        let gate = Gate { line, due_us, at_us, took_us, pulse, seen_us: None };
        if let Some(slot) = pulses.latest.get_mut((pulses.count % KEPT as u64) as usize) {
            *slot = Some((due, gate));
        }
        Some(pulse)
    }

    /// Returns the pulse that carried out the outcome of a part: the last one that was due when the part was at the
    /// gate. Parts in one merged pulse get the same one.
    pub fn of(&self, finished: &Finished) -> Option<Gate> {
        let pulses = match finished.outcome {
            _ if !finished.at_gate => return None,
            Outcome::Passed => &self.ok,
            Outcome::Rejected(_) => &self.ng,
        };
        let due = pulses.latest.iter().flatten().filter(|(due, _)| *due <= finished.at);
        due.max_by_key(|(_, gate)| gate.pulse).map(|(_, gate)| *gate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tracker::{PartId, Reason};

    fn ms(ms: u64) -> LineTime {
        LineTime::from_nanos(ms * 1_000_000)
    }

    fn finished(at: u64, outcome: Outcome, at_gate: bool) -> Finished {
        Finished { part: PartId(1), triggered_at: ms(0), at: ms(at), outcome, at_gate }
    }

    #[test]
    fn a_part_gets_its_pulse_also_if_the_thread_was_late() {
        let mut gates = Gates::default();
        let ng = Outcome::Rejected(Reason::Defect);
        assert_eq!(gates.of(&finished(10, ng, true)), None, "no output is wired");
        // The thread comes late and begins three pulses at 100 ms.
        for due in [10, 20, 30] {
            gates.began(Line::Ng, ms(due), ms(100), Duration::from_micros(7));
            gates.began(Line::Busy, ms(due), ms(100), Duration::ZERO);
        }
        let pulse = |at, outcome| gates.of(&finished(at, outcome, true)).map(|gate| gate.pulse);
        assert_eq!([pulse(10, ng), pulse(20, ng), pulse(30, ng)], [Some(1), Some(2), Some(3)]);
        assert_eq!(pulse(25, ng), Some(2), "it merged with the pulse of the part before");
        assert_eq!(pulse(30, Outcome::Passed), None);
        assert_eq!(gates.of(&finished(30, ng, false)), None, "it never reached the gate");
        let gate = gates.of(&finished(30, ng, true)).expect("a pulse");
        assert_eq!((gate.due_us, gate.at_us, gate.took_us), (30_000, 100_000, 7));
    }

    #[test]
    fn a_pulse_that_is_forgotten_is_nobody_elses() {
        let mut gates = Gates::default();
        for number in 1..=KEPT as u64 + 3 {
            gates.began(Line::Ok, ms(number * 10), ms(number * 10), Duration::ZERO);
        }
        assert_eq!(gates.of(&finished(30, Outcome::Passed, true)), None);
        let of = |at| gates.of(&finished(at, Outcome::Passed, true)).map(|gate| gate.pulse);
        assert_eq!(of(40), Some(4));
        assert_eq!(of(1000), Some(KEPT as u64 + 3));
    }
}
