//! Names the requests of the control socket, and how they are written.
//!
//! `hetmm-plant` writes `for "NAME"` before a request that it makes for a person.

use super::slot::{Candidate, DigestPrefix, Slot};
use super::tracker::PartId;
use std::net::IpAddr;

/// Names what can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Return counters, faults and percentiles.
    Status,
    /// Make a part now. The answer is its record.
    Trigger,
    /// Load the template again.
    Reload,
    /// Change to the template of a slot, if it has this digest.
    Select(Slot, Option<DigestPrefix>),
    /// Return the slots with their templates.
    Slots,
    /// Check a template without using it, and compare it with the one in use.
    Prove(Candidate),
    /// Copy the uploaded template into a slot, if it has this digest, and change to it.
    Install(Slot, DigestPrefix),
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
    /// Note in the chain of records that a login on the page has failed, and from which address.
    LoginFailed(IpAddr),
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
    pub const FORMS: &'static str = "status, trigger, reload, select SLOT [DIGEST], slots, prove SLOT, prove upload, \
                                     install SLOT DIGEST, safe, resume, acknowledge, \
                                     teach PART [force], undo [ENTRY], history, \
                                     drift status|learn|accept, lines, commission on, commission off, pulse ng, \
                                     login failed ADDRESS";

    /// The words that name requests where rights are given. They are the first words of [`Request::FORMS`]; of the drift
    /// watch, what changes it has names of its own.
    pub const VERBS: [&'static str; 20] = [
        "status",
        "trigger",
        "reload",
        "select",
        "slots",
        "prove",
        "install",
        "safe",
        "resume",
        "acknowledge",
        "teach",
        "undo",
        "history",
        "drift",
        "drift learn",
        "drift accept",
        "lines",
        "commission",
        "pulse",
        "login",
    ];

    /// Returns the one of [`Request::VERBS`] that stands for the request.
    pub const fn verb(self) -> &'static str {
        match self {
            Request::Status => "status",
            Request::Trigger => "trigger",
            Request::Reload => "reload",
            Request::Select(..) => "select",
            Request::Slots => "slots",
            Request::Prove(_) => "prove",
            Request::Install(..) => "install",
            Request::Safe => "safe",
            Request::Resume => "resume",
            Request::Acknowledge => "acknowledge",
            Request::Teach(..) => "teach",
            Request::Undo(_) => "undo",
            Request::History => "history",
            Request::Drift(DriftRequest::Status) => "drift",
            Request::Drift(DriftRequest::Learn) => "drift learn",
            Request::Drift(DriftRequest::Accept) => "drift accept",
            Request::Lines => "lines",
            Request::Commission | Request::EndCommissioning => "commission",
            Request::PulseNg => "pulse",
            Request::LoginFailed(_) => "login",
        }
    }

    /// Parses the request of a line of text.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let request = match words.next()? {
            "status" => Request::Status,
            "trigger" => Request::Trigger,
            "reload" => Request::Reload,
            "select" => {
                let slot = Slot::parse(words.next()?)?;
                let digest = words.next().map(|digest| DigestPrefix::parse(digest).ok_or(()));
                Request::Select(slot, digest.transpose().ok()?)
            }
            "slots" => Request::Slots,
            "prove" => Request::Prove(match words.next()? {
                "upload" => Candidate::Upload,
                slot => Candidate::Slot(Slot::parse(slot)?),
            }),
            "install" => {
                Request::Install(Slot::parse(words.next()?)?, DigestPrefix::parse(words.next()?)?)
            }
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
            "login" if words.next()? == "failed" => {
                Request::LoginFailed(words.next()?.parse().ok()?)
            }
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

/// Holds a request, and the person for whom another program makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Petition {
    /// What is asked.
    pub request: Request,
    /// The name of the person.
    pub person: Option<String>,
}

impl Petition {
    /// The longest name of a person, in bytes.
    const LONGEST_NAME: usize = 64;

    /// Parses a line of text: a request, perhaps after `for "NAME"`.
    pub fn parse(line: &str) -> Option<Self> {
        let Some(rest) = line.strip_prefix("for \"") else {
            return Request::parse(line).map(|request| Petition { request, person: None });
        };
        let (name, rest) = rest.split_once('"')?;
        let is_name = (1..=Self::LONGEST_NAME).contains(&name.len())
            && name.trim() == name
            && !name.contains(char::is_control);
        let request = Request::parse(rest.strip_prefix(' ')?)?;
        is_name.then(|| Petition { request, person: Some(name.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_a_person_names_the_person() {
        let named = |name: &str, request| Some(Petition { request, person: Some(name.into()) });
        for (text, petition) in [
            ("safe", Some(Petition { request: Request::Safe, person: None })),
            ("for \"anna\" safe", named("anna", Request::Safe)),
            ("for \"Anna B.\" teach 3", named("Anna B.", Request::Teach(PartId(3), false))),
            ("for \"\" safe", None),
            ("for \" a\" safe", None),
            ("for \"a\tb\" safe", None),
            ("for anna safe", None),
            ("for \"anna\"", None),
            ("for \"anna\"safe", None),
            ("for \"anna\" for \"bert\" safe", None),
        ] {
            assert_eq!(Petition::parse(text), petition, "{text}");
        }
    }

    #[test]
    fn every_request_has_a_verb() {
        for form in Request::FORMS.split(", ").flat_map(|form| form.split('|')) {
            let first = form.split(' ').next().expect("a word");
            let is_known = Request::VERBS.iter().any(|verb| verb.split(' ').any(|w| w == first));
            assert!(is_known, "{form}");
        }
        for request in [Request::Status, Request::Drift(DriftRequest::Learn), Request::PulseNg] {
            assert!(Request::VERBS.contains(&request.verb()));
        }
    }

    #[test]
    fn requests_are_read_as_they_are_written() {
        let slot = Slot::parse("2").expect("a slot");
        let whole = "0123456789abcdef".repeat(4);
        let with_digest = format!("select 2 {whole}");
        let install = DigestPrefix::parse("01234567").map(|digest| Request::Install(slot, digest));
        for (text, request) in [
            ("select 2", Some(Request::Select(slot, None))),
            (&with_digest, Some(Request::Select(slot, DigestPrefix::parse(&whole)))),
            ("slots", Some(Request::Slots)),
            ("prove 2", Some(Request::Prove(Candidate::Slot(slot)))),
            ("prove upload", Some(Request::Prove(Candidate::Upload))),
            ("install 2 01234567", install),
            ("prove", None),
            ("prove 0", None),
            ("prove upload now", None),
            ("install 2", None),
            ("install upload 01234567", None),
            ("select", None),
            ("select 0", None),
            ("select b.hetmm", None),
            ("select 2 0123456", None),
            ("select 2 01234567 now", None),
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
