//! What the tests share: the element in a harness, frames, and the comparison with the Rust interface.
#![allow(dead_code)]

use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoFormat;
use hetmm::{Inspection, Inspector, Options, PictureView};
use std::path::Path;
use std::sync::{LazyLock, Once};
use std::time::{Duration, Instant};

pub const TEMPLATE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/template_v1.hetmm");
/// The columns and rows of the frames. With three bytes a pixel, GStreamer pads each row by one byte.
pub const SIDE: usize = 33;

/// Registers the plugin as a program does that links it.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        // What GLib calls critical is a fault of ours.
        let fatal = gst::glib::LogLevels::LEVEL_ERROR | gst::glib::LogLevels::LEVEL_CRITICAL;
        gst::glib::log_set_always_fatal(fatal);
        gsthetmm::plugin_register_static().expect("registers");
    });
}

/// The inspector of the Rust interface, with which everything is compared.
pub fn inspector() -> &'static Inspector {
    static INSPECTOR: LazyLock<Inspector> =
        LazyLock::new(|| Inspector::open(TEMPLATE, &Options::default()).expect("opens"));
    &INSPECTOR
}

/// A picture of SIDE x SIDE pixels that the template has not seen, as packed RGB.
pub fn pixels() -> Vec<u8> {
    (0..3 * SIDE * SIDE).map(|i| (i * i % 251) as u8).collect()
}

/// The result of the Rust interface for [`pixels`].
pub fn expected() -> Inspection {
    let (pixels, side) = (pixels(), SIDE as u32);
    let view = PictureView::rgb8(&pixels, side, side, 3 * SIDE).expect("fits");
    inspector().inspect(&view).expect("inspects")
}

/// A good picture that the template holds itself, as packed RGB, with its side.
pub fn good_pixels() -> (Vec<u8>, usize) {
    let probe = inspector().template().probe(0).expect("a probe");
    assert_eq!(probe.width(), probe.height());
    let pixels = probe.samples().iter().map(|&sample| (sample >> 8) as u8).collect();
    (pixels, probe.width())
}

/// Rows of `row` bytes with the padding that GStreamer expects where no meta says otherwise.
pub fn padded(pixels: &[u8], row: usize) -> Vec<u8> {
    let stride = row.next_multiple_of(4);
    let rows = pixels.chunks(row).map(|row| {
        let mut row = row.to_vec();
        row.resize(stride, 0xEE);
        row
    });
    rows.flatten().collect()
}

pub fn frame(bytes: Vec<u8>, number: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(bytes);
    let filled = buffer.get_mut().expect("nobody else has it");
    filled.set_pts(gst::ClockTime::from_mseconds(40 * number));
    filled.set_duration(gst::ClockTime::from_mseconds(40));
    buffer
}

/// [`pixels`] as a frame of the usual layout.
pub fn usual_frame(number: u64) -> gst::Buffer {
    frame(padded(&pixels(), 3 * SIDE), number)
}

pub fn caps(format: VideoFormat, width: usize, height: usize) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format(format)
        .width(width as i32)
        .height(height as i32)
        .framerate((25, 1).into())
        .build()
}

/// The element between two pads, with its messages.
pub struct Rig {
    pub harness: Harness,
    pub element: gst::Element,
    pub bus: gst::Bus,
}

pub fn element(set: &[(&str, &str)]) -> gst::Element {
    init();
    let made = gst::ElementFactory::make("hetmm").build().expect("is registered");
    for (name, value) in [("template", TEMPLATE), ("threads", "2")].iter().chain(set) {
        made.set_property_from_str(name, value);
    }
    made
}

/// The element in a harness that plays, with frames of RGB.
pub fn rig(set: &[(&str, &str)]) -> Rig {
    init();
    rig_of(set, caps(VideoFormat::Rgb, SIDE, SIDE))
}

pub fn rig_of(set: &[(&str, &str)], caps: gst::Caps) -> Rig {
    let element = element(set);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps(caps);
    Rig { harness, element, bus }
}

impl Rig {
    /// The next element message called `name` that is on the bus already.
    pub fn message(&self, name: &str) -> Option<gst::Structure> {
        let next = || self.bus.pop_filtered(&[gst::MessageType::Element]);
        let structure = |message: gst::Message| message.structure().map(ToOwned::to_owned);
        std::iter::from_fn(next).filter_map(structure).find(|s| s.name() == name)
    }

    /// The next element message called `name`.
    pub fn message_within(&self, name: &str, time: Duration) -> Option<gst::Structure> {
        let start = Instant::now();
        loop {
            let found = self.message(name);
            if found.is_some() || start.elapsed() > time {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All verdicts on the bus, with the triggers that they answer.
    pub fn answers(&self) -> Vec<(String, Option<u64>)> {
        let next = || self.message(gsthetmm::INSPECTION);
        std::iter::from_fn(next)
            .map(|found| {
                let verdict = found.get::<String>("rule").expect("a rule");
                (verdict, found.get::<u64>("trigger-id").ok())
            })
            .collect()
    }

    /// The text of the next error or warning.
    pub fn complaint(&self) -> Option<String> {
        complaint(&self.bus)
    }

    pub fn stats(&self) -> gst::Structure {
        self.element.property::<gst::Structure>("stats")
    }

    pub fn count(&self, name: &str) -> u64 {
        self.stats().get::<u64>(name).expect("a number")
    }
}

pub fn complaint(bus: &gst::Bus) -> Option<String> {
    let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
    let message = bus.pop_filtered(&kinds)?;
    Some(match message.view() {
        gst::MessageView::Error(told) => format!("{:?} {}", told.error(), told.error()),
        gst::MessageView::Warning(told) => format!("{:?} {}", told.error(), told.error()),
        _ => unreachable!("filtered"),
    })
}

pub fn meta_of(buffer: &gst::BufferRef) -> Option<gst::Structure> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, gsthetmm::META).ok()?;
    Some(meta.structure().to_owned())
}

/// Asserts that `told` says the same as the Rust interface, bit for bit.
pub fn assert_same(told: &gst::StructureRef, want: &Inspection) {
    let float = |name| told.get::<f32>(name).expect("a float").to_bits();
    let text = |name| told.get::<String>(name).expect("a string");
    let wanted = want.to_json();
    assert_eq!(float("score"), want.score.to_bits());
    assert_eq!(float("threshold"), want.threshold.to_bits());
    assert_eq!(float("limit"), want.decided_by.limit.to_bits());
    assert_eq!(told.get::<u32>("counting").expect("a number") as usize, want.decided_by.counting);
    assert_eq!(text("verdict"), wanted["verdict"]);
    assert_eq!(text("rule"), wanted["decided_by"]["rule"]);
    let regions = told.get::<gst::Array>("regions").expect("an array");
    assert_eq!(regions.len(), want.regions.len());
    for (told, want) in regions.iter().zip(&want.regions) {
        let told = told.get::<gst::Structure>().expect("a structure");
        let number = |name| told.get::<u32>(name).expect("a number");
        let place = [number("x"), number("y"), number("width"), number("height"), number("area")];
        assert_eq!(place, [want.x, want.y, want.width, want.height, want.area]);
        assert_eq!(told.get::<f32>("peak").expect("a float").to_bits(), want.peak.to_bits());
        assert_eq!(told.get::<bool>("counts").ok(), want.counts);
        assert_eq!(told.get::<String>("zone").ok(), want.zone);
        assert_eq!(told.get::<f64>("area-mm2").ok(), want.area_mm2);
    }
    let mut json: serde_json::Value = serde_json::from_str(&text("json")).expect("JSON");
    let mut wanted = wanted;
    for object in [&mut json, &mut wanted] {
        object.as_object_mut().expect("an object").remove("timing_ms").expect("times");
    }
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(&wanted.to_string()).expect("JSON"));
}

/// Puts `bytes` in the place of `file` at once, as `hetmm` does.
pub fn replace(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    std::fs::write(&new, bytes).expect("writes");
    std::fs::rename(new, file).expect("renames");
}
