//! Measures a test pulse of the reject output, and makes the answer for the one who asked for it.

use super::reply::{Answer, Reply};
use super::tracker::PulseRefusal;
use crate::clock::LineTime;
use serde_json::{Value, json};
use std::time::Duration;

/// The time from the request to the pulse. It is long enough for the pulse to begin by a timer, as the pulse of a part
/// does.
pub(super) const LEAD: Duration = Duration::from_millis(100);

/// Holds an edge of the pulse: when it was due, and when the output had changed.
#[derive(Debug, Clone, Copy)]
struct Edge {
    due: LineTime,
    at: LineTime,
}

impl Edge {
    fn to_json(self) -> Value {
        let late = self.at.since(self.due).as_micros();
        json!({
            "due_us": self.due.as_nanos() / 1000,
            "at_us": self.at.as_nanos() / 1000,
            "late_us": u64::try_from(late).unwrap_or(u64::MAX),
        })
    }
}

/// Holds a test pulse that waits for its beginning or lasts.
pub(super) struct TestPulse {
    reply: Reply,
    begin: Option<Edge>,
    end: Option<Edge>,
    is_refused: bool,
}

impl TestPulse {
    /// Makes a pulse without edges.
    pub(super) fn new(reply: Reply) -> Self {
        TestPulse { reply, begin: None, end: None, is_refused: false }
    }

    /// Notes a change of the reject output that was due at `due` and made at `at`, or was refused.
    pub(super) fn note(&mut self, due: LineTime, at: LineTime, accepted: bool) {
        self.is_refused |= !accepted;
        let edge = if self.begin.is_none() { &mut self.begin } else { &mut self.end };
        *edge = Some(Edge { due, at });
    }

    /// Gives the answer. `is_whole` says whether nothing has cut the pulse off.
    pub(super) fn finish(self, is_whole: bool) {
        let answer = match (self.begin, self.end) {
            _ if self.is_refused => Answer::Failed("the output refuses; see the log".into()),
            (Some(begin), Some(end)) if is_whole => {
                let width = end.at.since(begin.at).as_micros();
                Answer::Json(json!({
                    "pulse": "ng",
                    "begin": begin.to_json(),
                    "end": end.to_json(),
                    "width_us": u64::try_from(width).unwrap_or(u64::MAX),
                }))
            }
            _ => Answer::Failed("commissioning ended before the pulse did".into()),
        };
        self.reply.give(answer);
    }
}

/// Returns why a test pulse is refused, in words.
pub(super) fn in_words(refusal: PulseRefusal) -> &'static str {
    match refusal {
        PulseRefusal::NotCommissioning => {
            "the device is not in commissioning: run `hetmm-edge commission on` first"
        }
        PulseRefusal::TooSoon => "only one pulse in a second: try again",
        PulseRefusal::NoTime => "commissioning would end before the pulse does: begin it again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::reply::Bell;
    use std::sync::mpsc::Receiver;

    fn at(microseconds: u64) -> LineTime {
        LineTime::from_nanos(microseconds * 1000)
    }

    fn pulse() -> (TestPulse, Receiver<Answer>) {
        let (bell, _ear) = Bell::new().expect("a bell");
        let (reply, answer) = Reply::new(&bell);
        (TestPulse::new(reply), answer)
    }

    #[test]
    fn both_edges_are_measured() {
        let (mut pulse, answer) = pulse();
        pulse.note(at(1000), at(1040), true);
        pulse.note(at(31_000), at(31_050), true);
        pulse.finish(true);
        let Ok(Answer::Json(said)) = answer.try_recv() else { panic!("another answer") };
        let edge = |due: u64, at: u64| json!({"due_us": due, "at_us": at, "late_us": at - due});
        assert_eq!(
            said,
            json!({
                "pulse": "ng", "begin": edge(1000, 1040), "end": edge(31_000, 31_050),
                "width_us": 30_010,
            })
        );
    }

    #[test]
    fn a_pulse_that_was_not_whole_is_no_success() {
        for (edges, accepted, is_whole, word) in [
            (2, true, false, "ended before"),
            (1, true, false, "ended before"),
            (0, true, false, "ended before"),
            (2, false, true, "refuses"),
        ] {
            let (mut pulse, answer) = pulse();
            for _ in 0..edges {
                pulse.note(at(1000), at(1001), accepted);
            }
            pulse.finish(is_whole);
            match answer.try_recv() {
                Ok(Answer::Failed(why)) => assert!(why.contains(word), "{why}"),
                _ => panic!("another answer"),
            }
        }
    }
}
