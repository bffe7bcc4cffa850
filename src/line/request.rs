//! Names the requests of the control socket, and how they are written.

use super::tracker::PartId;

/// Names what can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Return counters, faults and percentiles.
    Status,
    /// Make a part now. The answer is its record.
    Trigger,
    /// Load the template again.
    Reload,
    /// Take the safe state.
    Safe,
    /// Leave the safe state.
    Resume,
    /// Acknowledge the alarm.
    Acknowledge,
    /// Insert the archived picture of a part into the template. The flag says whether to do so even if it looks like a
    /// defect.
    Teach(PartId, bool),
    /// Undo an entry of the template's journal, or the last one.
    Undo(Option<u32>),
    /// Return the template's journal.
    History,
    /// Ask the drift watch.
    Drift(DriftRequest),
    /// Return counts and levels of the GPIO lines.
    Lines,
    /// Begin commissioning. It lasts as long as the client stays.
    Commission,
    /// End commissioning.
    EndCommissioning,
    /// Give the reject output one test pulse.
    PulseNg,
}

/// Names what can be asked of the drift watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftRequest {
    /// Return what it sees.
    Status,
    /// Learn anew what is usual.
    Learn,
    /// Take what it warns of as usual.
    Accept,
}

impl Request {
    /// The forms in which requests are written.
    pub const FORMS: &'static str = "status, trigger, reload, safe, resume, acknowledge, \
                                     teach PART [force], undo [ENTRY], history, \
                                     drift status|learn|accept, lines, commission on, commission off, pulse ng";

    /// Parses the request of a line of text.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let request = match words.next()? {
            "status" => Request::Status,
            "trigger" => Request::Trigger,
            "reload" => Request::Reload,
            "safe" => Request::Safe,
            "resume" => Request::Resume,
            "acknowledge" => Request::Acknowledge,
            "history" => Request::History,
            "drift" => Request::Drift(match words.next()? {
                "status" => DriftRequest::Status,
                "learn" => DriftRequest::Learn,
                "accept" => DriftRequest::Accept,
                _ => return None,
            }),
            "lines" => Request::Lines,
            "commission" => match words.next()? {
                "on" => Request::Commission,
                "off" => Request::EndCommissioning,
                _ => return None,
            },
            "pulse" if words.next()? == "ng" => Request::PulseNg,
            "undo" => Request::Undo(words.next().map(str::parse).transpose().ok()?),
            "teach" => {
                let part = PartId(words.next()?.parse().ok()?);
                match words.next() {
                    None => Request::Teach(part, false),
                    Some("force") => Request::Teach(part, true),
                    Some(_) => return None,
                }
            }
            _ => return None,
        };
        words.next().is_none().then_some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        for (text, request) in [
            ("lines", Some(Request::Lines)),
            ("commission on", Some(Request::Commission)),
            ("commission off", Some(Request::EndCommissioning)),
            ("pulse ng", Some(Request::PulseNg)),
            ("teach 17 force", Some(Request::Teach(PartId(17), true))),
            ("undo", Some(Request::Undo(None))),
            ("undo 3", Some(Request::Undo(Some(3)))),
            ("commission", None),
            ("commission maybe", None),
            ("commission on now", None),
            ("pulse", None),
            ("pulse ok", None),
            ("pulse ng twice", None),
            ("", None),
        ] {
            assert_eq!(Request::parse(text), request, "{text}");
        }
    }
}
