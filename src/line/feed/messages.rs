//! Makes the messages of the feed: one JSON object each, with its kind in `type`.

use super::preview::Preview;
use crate::line::record::{EdgeRecord, Gate, PartRecord};
use crate::line::template_identity::TemplateIdentity;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// One message, as it is sent.
pub(super) type Packet = Arc<[u8]>;

/// The number of the format. Fields are only added while it stays.
pub const FORMAT: u32 = 1;
/// The most regions of a part that are handed out.
const MOST_REGIONS: usize = 64;

/// Everything that the feed says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'a> {
    /// The first message of a connection.
    Hello { format: u32, version: &'a str, name: &'a str },
    /// A part that has left, with the fields of its record.
    Part {
        #[serde(flatten)]
        record: &'a PartRecord,
        /// The end of its inspection on the monotonic clock, in microseconds.
        result_us: Option<u64>,
        /// What the gate was told.
        gate: Option<Gate>,
        /// The template that it was compared with.
        template: Option<&'a TemplateIdentity>,
        /// Whether the part has more regions than are listed.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        regions_cut: bool,
    },
    /// A change of an output.
    Edge {
        #[serde(flatten)]
        record: &'a EdgeRecord,
    },
    /// What `hetmm-edge status` says.
    Status { status: &'a Value },
    /// Messages that were dropped before the next one.
    Gap { lost: u64 },
    /// The latest picture. Its samples come with the message, as a file in memory.
    Preview(&'a Preview),
}

fn packet(message: &Message<'_>) -> Packet {
    // Only maps with keys that are no texts, or a writer that fails, could make this fail. There is neither.
    serde_json::to_vec(message).unwrap_or_default().into()
}

pub(super) fn hello(name: &str) -> Packet {
    packet(&Message::Hello { format: FORMAT, version: env!("CARGO_PKG_VERSION"), name })
}

pub(super) fn part(record: &PartRecord) -> Packet {
    let (result_us, gate) = (record.result_us, record.gate);
    let template = record.template.as_deref();
    let message = |record, regions_cut| {
        packet(&Message::Part { record, result_us, gate, template, regions_cut })
    };
    if record.regions.len() <= MOST_REGIONS {
        return message(record, false);
    }
    let mut short = record.clone();
    short.regions.truncate(MOST_REGIONS);
    message(&short, true)
}

pub(super) fn edge(record: &EdgeRecord) -> Packet {
    packet(&Message::Edge { record })
}

pub(super) fn status(status: &Value) -> Packet {
    packet(&Message::Status { status })
}

pub(super) fn gap(lost: u64) -> Packet {
    packet(&Message::Gap { lost })
}

pub(super) fn preview(preview: &Preview) -> Packet {
    packet(&Message::Preview(preview))
}
