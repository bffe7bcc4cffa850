//! What the control socket can be asked, and how it is written.

use super::tracker::PartId;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Counters, faults, percentiles.
    Status,
    /// A part, now; the answer is its record.
    Trigger,
    /// Load the template again.
    Reload,
    /// Take the safe state.
    Safe,
    /// Leave the safe state.
    Resume,
    /// Acknowledge the alarm.
    Acknowledge,
    /// Insert the archived picture of a part into the template, whether it looks like a defect or not.
    Teach(PartId, bool),
    /// Take back an entry of the template's journal, or the last one.
    Undo(Option<u32>),
    /// The template's journal.
    History,
}

impl Request {
    /// How requests are written.
    pub const FORMS: &'static str = "status, trigger, reload, safe, resume, acknowledge, \
                                     teach PART [force], undo [ENTRY], history";

    /// The request of a line.
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
