//! The result of an inspection as a structure, for the bus and for the meta.

use crate::report;
use crate::trigger::Lost;
use gst::prelude::*;
use hetmm::{Error, Inspection, Region};
use serde_json::{Value, json};

/// The name of the message that says what was found in a frame.
pub const INSPECTION: &str = "hetmm-inspection";
/// The name of the message that says which template is in use.
pub const TEMPLATE: &str = "hetmm-template";
/// The name of the event that asks for the next frame.
pub const TRIGGER: &str = "hetmm-trigger";

/// The rule of a verdict that follows from a failure.
const FAILED: &str = "failed";

/// What is known of a frame, whatever is found on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// The number of the frame, from 1. It is 0 if there was no frame.
    pub frame: u64,
    /// The trigger that asked for it.
    pub trigger: Option<u64>,
    /// The columns and rows of the frame.
    pub size: (u32, u32),
    /// The time stamp of the buffer.
    pub timestamp: Option<gst::ClockTime>,
    /// The time stamp as the stream has it.
    pub stream_time: Option<gst::ClockTime>,
    /// The time stamp as the pipeline's clock has it.
    pub running_time: Option<gst::ClockTime>,
    /// The duration of the frame.
    pub duration: Option<gst::ClockTime>,
}

/// The template against which a frame was to be inspected.
#[derive(Debug, Clone, Copy, Default)]
pub struct Against {
    /// Its threshold.
    pub threshold: f32,
    /// Its number.
    pub generation: u64,
}

/// The words and numbers that differ between a result and a failure.
struct Told {
    verdict: String,
    rule: String,
    score: f32,
    limit: f32,
    counting: u32,
    against: Against,
    regions: gst::Array,
    json: String,
}

/// Returns the structure of a result.
pub fn inspected(found: &Inspection, moment: &Moment) -> gst::Structure {
    let json = found.to_json();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = Told {
        verdict: word(&json["verdict"]),
        rule: word(&json["decided_by"]["rule"]),
        score: found.score,
        limit: found.decided_by.limit,
        counting: u32::try_from(found.decided_by.counting).unwrap_or(u32::MAX),
        against: Against { threshold: found.threshold, generation: found.generation },
        regions: gst::Array::new(found.regions.iter().map(region)),
        json: json.to_string(),
    };
    structure(told, moment)
}

/// Returns the structure of a frame that could not be inspected. The part on it is rejected.
pub fn failed(error: &Error, moment: &Moment, against: Against) -> gst::Structure {
    failure(&report::words(error), moment, against)
}

/// Returns the structure of a trigger that gets no frame. Its part is rejected.
pub fn lost(id: u64, why: Lost, against: Against) -> gst::Structure {
    let moment = Moment { trigger: Some(id), ..Moment::default() };
    failure(why.words(), &moment, against)
}

/// Returns the structure of a failure. The score is infinite: however it is compared, the part is rejected.
fn failure(why: &str, moment: &Moment, against: Against) -> gst::Structure {
    let json = json!({
        "score": null, "threshold": against.threshold, "verdict": "ng",
        "decided_by": {
            "rule": FAILED, "limit": against.threshold, "zone": null, "region": null, "counting": 0,
        },
        "regions": [], "peak": null, "timing_ms": null, "error": why,
    });
    let told = Told {
        verdict: "ng".into(),
        rule: FAILED.into(),
        score: f32::INFINITY,
        limit: against.threshold,
        counting: 0,
        against,
        regions: gst::Array::new(std::iter::empty::<gst::Structure>()),
        json: json.to_string(),
    };
    let mut made = structure(told, moment);
    made.set("what", why);
    made
}

fn structure(told: Told, moment: &Moment) -> gst::Structure {
    let ns = |time: Option<gst::ClockTime>| time.map_or(u64::MAX, gst::ClockTime::nseconds);
    gst::Structure::builder(INSPECTION)
        .field("verdict", told.verdict)
        .field("score", told.score)
        .field("threshold", told.against.threshold)
        .field("rule", told.rule)
        .field("limit", told.limit)
        .field("counting", told.counting)
        .field("regions", told.regions)
        .field("width", moment.size.0)
        .field("height", moment.size.1)
        .field("timestamp", ns(moment.timestamp))
        .field("stream-time", ns(moment.stream_time))
        .field("running-time", ns(moment.running_time))
        .field("duration", ns(moment.duration))
        .field("frame", moment.frame)
        .field_if_some("trigger-id", moment.trigger)
        .field("generation", told.against.generation)
        .field("json", told.json)
        .build()
}

fn region(region: &Region) -> gst::Structure {
    gst::Structure::builder("hetmm-region")
        .field("x", region.x)
        .field("y", region.y)
        .field("width", region.width)
        .field("height", region.height)
        .field("area", region.area)
        .field("peak", region.peak)
        .field_if_some("zone", region.zone.clone())
        .field_if_some("area-mm2", region.area_mm2)
        .field_if_some("counts", region.counts)
        .build()
}

/// Returns the structure that says whether a template is in use. `generation` is that of the template that is.
pub fn template(file: &str, in_use: bool, generation: u64, what: &str) -> gst::Structure {
    gst::Structure::builder(TEMPLATE)
        .field("file", file)
        .field("in-use", in_use)
        .field("generation", generation)
        .field("what", what)
        .build()
}

/// Posts a structure on the bus of `element`.
pub fn post(element: &crate::Hetmm, structure: gst::Structure) {
    let message = gst::message::Element::builder(structure).src(element).build();
    // Without a bus nobody listens.
    let _ = element.post_message(message);
}
