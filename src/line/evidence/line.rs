//! Says what the lines of the chain hold.

use super::chain::Head;
use super::moment::{ClockQuality, Moment, utc};
use crate::line::record::{Gate, PartRecord, TimingUs};
use crate::line::template_identity::TemplateIdentity;
use crate::line::tracker::{PartId, Reason};
use crate::scoring::{DecidedBy, Region, Verdict};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The version of the format of the lines.
pub const FORMAT: u32 = 1;
/// The largest number of regions in a line. The worst regions come first.
const MAX_REGIONS: usize = 64;

/// Names the device in every line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceName {
    /// The serial number.
    pub serial: String,
    /// The name from the configuration.
    pub name: String,
    /// The place from the configuration.
    pub site: String,
}

/// Names the program in every line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Software {
    /// The version of the program.
    pub version: &'static str,
    /// The first half of the BLAKE3 of the program's file. It is empty if that file cannot be read.
    pub build: String,
}

/// Holds what is the same in every line of one start of the program.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The number of this start.
    pub run: u64,
    /// The kernel's name of this boot.
    pub boot: String,
    /// The device.
    pub device: DeviceName,
    /// The program.
    pub software: Software,
}

/// Names what happens besides parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// The program was started.
    Start {
        /// Whether the outputs are real. It is false in a trial at the desk.
        drives_outputs: bool,
        /// The BLAKE3 of the resolved configuration.
        configuration_blake3: String,
    },
    /// The program ends in good order.
    Stop {},
    /// Another template, or the same one with another feature extractor, is in use.
    Template {
        /// The template.
        template: TemplateIdentity,
        /// The feature extractor.
        extractor: String,
    },
    /// A slot was selected. The line of its template comes next.
    Select {
        /// The number of the slot.
        slot: u16,
        /// The BLAKE3 of its template.
        blake3: String,
        /// Who asked for it.
        who: String,
    },
    /// An uploaded template was copied into a slot. The line of its selection comes next.
    Install {
        /// The number of the slot.
        slot: u16,
        /// The BLAKE3 of the template.
        blake3: String,
        /// Who asked for it.
        who: String,
    },
    /// A template was refused. The one before it stays in use.
    TemplateRefused {
        /// Why it was refused.
        why: String,
    },
    /// A part was taught as good.
    Teach {
        /// The part.
        part: u64,
        /// The number of the entry in the template's journal.
        entry: u32,
        /// Who asked for it.
        who: String,
        /// Whether it was taught although it looks like a defect.
        forced: bool,
    },
    /// Entries of the template's journal were undone.
    Undo {
        /// The numbers of the entries.
        entries: Vec<u32>,
        /// Who asked for it.
        who: String,
    },
    /// The picture of a part was written to the archive.
    Picture {
        /// The part.
        part: u64,
        /// The stem of its files.
        stem: String,
        /// The BLAKE3 of its picture file.
        blake3: String,
    },
    /// Somebody lets the drift watch learn anew.
    DriftLearn {
        /// Who asked for it.
        who: String,
        /// What it warned of.
        warnings: Vec<String>,
    },
    /// Somebody takes what the drift watch warns of as usual.
    DriftAccept {
        /// Who asked for it.
        who: String,
        /// What it warned of.
        warnings: Vec<String>,
    },
    /// A login on the page of `hetmm-plant` failed.
    LoginFailed {
        /// The user, or `unknown`.
        who: String,
        /// The address of the client.
        from: IpAddr,
        /// The number of failures since the last such line. Failures that follow each other closely share one line.
        failures: u64,
    },
    /// The wall clock was stepped.
    ClockStep {
        /// How far it was stepped forward, in milliseconds.
        by_ms: i64,
    },
    /// The oldest segments are removed.
    Pruned {
        /// The number of the newest line in them.
        through: u64,
        /// The digest of that line.
        hash: String,
        /// The number of removed segments.
        segments: usize,
    },
    /// Records were lost since the line before.
    Lost {
        /// The records that found no room in the queue.
        queue: u64,
        /// The records that could not be written.
        disk: u64,
    },
    /// The disk did not accept earlier lines for good. After a power loss they may be missing.
    SyncFailed {
        /// The number of these lines.
        lines: u64,
    },
    /// The last start of the program did not end in good order.
    Recovered {
        /// The number of bytes of torn lines that were put aside.
        bytes: u64,
        /// The file with these bytes.
        aside: Option<String>,
        /// Further files with such bytes, if power was lost more than once.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        also_aside: Vec<String>,
        /// The longest time before the end whose lines may be missing, in milliseconds.
        may_miss_ms: u64,
    },
    /// The chain is damaged before this line. Nothing was removed.
    Damaged {
        /// The segment.
        segment: String,
        /// Where it is damaged, and how.
        why: String,
    },
}

impl Event {
    /// Returns the kind of the line.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Event::Start { .. } => "start",
            Event::Stop {} => "stop",
            Event::Template { .. } => "template",
            Event::Select { .. } => "select",
            Event::Install { .. } => "install",
            Event::TemplateRefused { .. } => "template_refused",
            Event::Teach { .. } => "teach",
            Event::Undo { .. } => "undo",
            Event::Picture { .. } => "picture",
            Event::DriftLearn { .. } => "drift_learn",
            Event::DriftAccept { .. } => "drift_accept",
            Event::LoginFailed { .. } => "login_failed",
            Event::ClockStep { .. } => "clock",
            Event::Pruned { .. } => "pruned",
            Event::Lost { .. } => "lost",
            Event::SyncFailed { .. } => "sync_failed",
            Event::Recovered { .. } => "recovered",
            Event::Damaged { .. } => "damaged",
        }
    }
}

/// Every kind of line of this format. A reader refuses others, so that no line can be turned into one that means
/// nothing.
pub(super) const KINDS: [&str; 21] = [
    "segment",
    "part",
    "checkpoint",
    "start",
    "stop",
    "template",
    "select",
    "install",
    "template_refused",
    "teach",
    "undo",
    "picture",
    "drift_learn",
    "drift_accept",
    "login_failed",
    "clock",
    "pruned",
    "lost",
    "sync_failed",
    "recovered",
    "damaged",
];

/// The body of a line that is no part.
#[derive(Serialize)]
struct EventBody<'a, T: Serialize> {
    kind: &'static str,
    run: u64,
    utc: String,
    clock: ClockQuality,
    boot: &'a str,
    #[serde(flatten)]
    content: T,
}

/// The body of the first line of a segment.
#[derive(Serialize)]
struct SegmentBody<'a> {
    format: u32,
    device: &'a DeviceName,
    software: &'a Software,
    key: Option<&'a str>,
    monotonic_us: u64,
    unix_ms: u64,
}

/// The body of a part's line.
#[derive(Serialize)]
struct PartBody<'a> {
    kind: &'static str,
    run: u64,
    part: PartId,
    utc: String,
    clock: ClockQuality,
    boot: &'a str,
    trigger_us: u64,
    exposure_us: Option<u64>,
    result_us: Option<u64>,
    gate_us: u64,
    template: Option<&'a TemplateIdentity>,
    device: &'a DeviceName,
    software: &'a Software,
    outcome: &'static str,
    why: Option<Reason>,
    score: Option<f32>,
    threshold: Option<f32>,
    verdict: Option<Verdict>,
    decided_by: Option<&'a DecidedBy>,
    regions: &'a [Region],
    #[serde(skip_serializing_if = "is_zero")]
    regions_left_out: usize,
    timing_us: Option<TimingUs>,
    gate: Option<Gate>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Origin {
    /// Writes the line of a part after `head`, without a line end.
    pub fn part(&self, head: &Head, record: &PartRecord, clock: ClockQuality, line: &mut String) {
        let shown = record.regions.get(..MAX_REGIONS).unwrap_or(&record.regions);
        let body = PartBody {
            kind: "part",
            run: self.run,
            part: record.part,
            utc: utc(record.unix_ms),
            clock: clock.at(record.unix_ms),
            boot: &self.boot,
            trigger_us: record.trigger_us,
            exposure_us: record.exposure_us,
            result_us: record.result_us,
            gate_us: record.gate_us,
            template: record.template.as_deref(),
            device: &self.device,
            software: &self.software,
            outcome: record.outcome,
            why: record.why,
            score: record.score,
            threshold: record.threshold,
            verdict: record.verdict,
            decided_by: record.decided_by.as_ref(),
            regions: shown,
            regions_left_out: record.regions.len().saturating_sub(shown.len()),
            timing_us: record.timing_us,
            gate: record.gate,
        };
        append(head, &body, line);
    }

    /// Writes the line of an event.
    pub fn event(&self, head: &Head, event: &Event, now: &Moment, line: &mut String) {
        self.body(head, event.kind(), event, now, line);
    }

    /// Writes the first line of a segment. `key` is the public key that signs its checkpoints.
    pub fn segment(&self, head: &Head, key: Option<&str>, now: &Moment, line: &mut String) {
        let body = SegmentBody {
            format: FORMAT,
            device: &self.device,
            software: &self.software,
            key,
            monotonic_us: now.at.as_nanos() / 1000,
            unix_ms: now.unix_ms,
        };
        self.body(head, "segment", body, now, line);
    }

    /// Writes a checkpoint. `sign` signs what is written before the signature.
    pub fn checkpoint(
        &self,
        head: &Head,
        key: &str,
        sign: impl FnOnce(&[u8]) -> String,
        now: &Moment,
        line: &mut String,
    ) {
        self.body(head, "checkpoint", serde_json::json!({ "key": key }), now, line);
        // The signature covers all that stands before it.
        line.pop();
        let signature = sign(line.as_bytes());
        line.push_str(SIGNATURE);
        line.push_str(&signature);
        line.push_str("\"}");
    }

    fn body(
        &self,
        head: &Head,
        kind: &'static str,
        content: impl Serialize,
        now: &Moment,
        line: &mut String,
    ) {
        let (utc, clock) = (utc(now.unix_ms), now.clock);
        let body = EventBody { kind, run: self.run, utc, clock, boot: &self.boot, content };
        append(head, &body, line);
    }
}

/// What stands between the signed bytes of a checkpoint and its signature.
pub(super) const SIGNATURE: &str = ",\"signature\":\"";

/// Appends the fields of `body` to the beginning that links a line to `head`.
fn append(head: &Head, body: &impl Serialize, line: &mut String) {
    head.begin_next(line);
    let fields = serde_json::to_string(body).unwrap_or_else(|_| "{\"kind\":\"unwritable\"}".into());
    line.push_str(fields.strip_prefix('{').unwrap_or(&fields));
}

/// Holds what a reader needs of every line.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Gist<'a> {
    /// The kind of the line.
    pub kind: &'a str,
    /// The number of the start of the program.
    pub run: u64,
}

impl<'a> Gist<'a> {
    /// Reads a line without its line end. Returns `None` if it is no line of the chain.
    pub fn of(line: &'a [u8]) -> Option<Gist<'a>> {
        serde_json::from_slice(line).ok()
    }
}
