//! The element's life: starting, triggers, other templates, flushes and ends.

mod common;

use common::*;
use gst::prelude::*;
use gst_video::VideoFormat;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// The error that the element posts when it is to start with these properties.
fn error_at_start(set: &[(&str, &str)]) -> gst::glib::Error {
    let element = element(set);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err(), "{set:?}");
    let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
    let gst::MessageView::Error(told) = message.view() else { unreachable!("filtered") };
    element.set_state(gst::State::Null).expect("stops");
    told.error()
}

#[test]
fn what_is_missing_at_the_start_is_an_error_with_its_kind_and_a_next_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let damaged = folder.path().join("damaged.hetmm");
    let mut bytes = std::fs::read(TEMPLATE).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&damaged, bytes).expect("writes");
    let damaged = damaged.to_str().expect("UTF-8");
    use gst::ResourceError::{NotFound, Read, Settings};
    type Case<'a> = (&'a [(&'a str, &'a str)], gst::ResourceError, &'a str);
    let cases: [Case; 5] = [
        (&[("template", "")], Settings, "no template is set"),
        (&[("template", "/nowhere/part.hetmm")], NotFound, "/nowhere/part.hetmm"),
        (&[("template", damaged)], Read, "damaged.hetmm"),
        (&[("device", "abacus")], Settings, "abacus"),
        (&[("onnxruntime", "/nowhere/libonnxruntime.so")], Settings, "the property onnxruntime"),
    ];
    for (set, kind, word) in cases {
        let error = error_at_start(set);
        assert!(error.matches(kind), "{set:?}: {error:?}");
        assert!(error.message().contains(word) && error.message().contains("->"), "{error}");
    }
    let error = error_at_start(&[("backbone", TEMPLATE)]);
    assert!(error.message().contains("golden"), "{error}");
}

#[test]
fn only_frames_that_were_asked_for_are_inspected() {
    let mut rig = rig(&[("mode", "triggered")]);
    let back = rig.harness.push_and_pull(usual_frame(1)).expect("passes");
    assert!(meta_of(&back).is_none() && rig.message(gsthetmm::INSPECTION).is_none());
    rig.element.emit_by_name::<()>("inspect-next", &[&7u64]);
    let back = rig.harness.push_and_pull(usual_frame(2)).expect("passes");
    let told = rig.message(gsthetmm::INSPECTION).expect("a result");
    assert_same(&told, &expected());
    assert_eq!(told.get::<u64>("trigger-id"), Ok(7));
    assert_eq!(told.get::<u64>("frame"), Ok(2));
    assert_eq!(meta_of(&back).expect("a meta").get::<u64>("trigger-id"), Ok(7));
    rig.harness.push(usual_frame(3)).expect("passes");
    assert_eq!([rig.count("skipped"), rig.count("inspected")], [2, 1]);
    rig.element.set_property_from_str("mode", "every-frame");
    rig.harness.push(usual_frame(4)).expect("passes");
    assert_eq!(rig.answers(), [("threshold".into(), None)]);
}

fn trigger(id: u64) -> gst::Structure {
    gst::Structure::builder(gsthetmm::TRIGGER).field("id", id).build()
}

#[test]
fn events_from_both_sides_are_triggers() {
    let mut rig = rig(&[("mode", "triggered")]);
    assert!(rig.harness.push_event(gst::event::CustomDownstream::new(trigger(1))));
    rig.harness.push(usual_frame(1)).expect("passes");
    assert!(rig.harness.push_event(gst::event::CustomDownstreamOob::new(trigger(2))));
    rig.harness.push(usual_frame(2)).expect("passes");
    assert!(rig.harness.push_upstream_event(gst::event::CustomUpstream::new(trigger(3))));
    rig.harness.push(usual_frame(3)).expect("passes");
    let rule = expected().to_json()["decided_by"]["rule"].as_str().expect("a rule").to_owned();
    let want = [1, 2, 3].map(|id| (rule.clone(), Some(id)));
    assert_eq!(rig.answers(), want);
    let nameless = gst::Structure::builder(gsthetmm::TRIGGER).field("id", "four").build();
    rig.harness.push_upstream_event(gst::event::CustomUpstream::new(nameless));
    let told = rig.complaint().expect("a warning");
    assert!(told.contains("uint64") && told.contains("->"), "{told}");
    rig.harness.push(usual_frame(4)).expect("passes");
    assert_eq!(rig.answers(), []);
}

fn failed(ids: &[u64]) -> Vec<(String, Option<u64>)> {
    ids.iter().map(|id| ("failed".into(), Some(*id))).collect()
}

#[test]
fn triggers_that_come_before_a_frame_are_all_rejected() {
    let mut rig = rig(&[("mode", "triggered")]);
    let ask = |rig: &Rig, id: u64| rig.element.emit_by_name::<()>("inspect-next", &[&id]);
    ask(&rig, 1);
    ask(&rig, 2);
    assert_eq!(rig.answers(), failed(&[1, 2]));
    ask(&rig, 3);
    assert_eq!(rig.answers(), failed(&[3]));
    rig.harness.push(usual_frame(1)).expect("passes");
    assert_eq!(rig.answers(), [], "the frame may show any of the three parts");
    ask(&rig, 4);
    rig.harness.push(usual_frame(2)).expect("passes");
    let told = rig.message(gsthetmm::INSPECTION).expect("a result");
    assert_same(&told, &expected());
    assert_eq!([rig.count("failed"), rig.count("inspected"), rig.count("skipped")], [3, 1, 1]);
}

#[test]
fn a_trigger_without_a_frame_is_rejected_at_a_flush_at_the_end_and_at_the_stop() {
    let mut rig = rig(&[("mode", "triggered")]);
    let ask = |rig: &Rig, id: u64| rig.element.emit_by_name::<()>("inspect-next", &[&id]);
    ask(&rig, 1);
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    assert_eq!(rig.answers(), failed(&[1]));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    rig.harness.push(usual_frame(1)).expect("passes after the flush");
    assert_eq!(rig.answers(), []);
    ask(&rig, 2);
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    assert_eq!(rig.answers(), failed(&[2]));
    ask(&rig, 3);
    assert_eq!(rig.answers(), failed(&[3]), "no frame comes after the end");
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    ask(&rig, 4);
    assert_eq!(rig.answers(), []);
    // Stopping empties the bus of an element, so the answer is heard at once.
    let bus = rig.bus.clone();
    let (send, heard) = std::sync::mpsc::channel();
    bus.set_sync_handler(move |_, message| {
        if let Some(told) = message.structure().filter(|s| s.name() == gsthetmm::INSPECTION) {
            send.send(told.get::<u64>("trigger-id").ok()).expect("is heard");
        }
        gst::BusSyncReply::Drop
    });
    rig.element.set_state(gst::State::Null).expect("stops");
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Some(4)]);
    ask(&rig, 5);
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Some(5)]);
}

#[test]
fn messages_are_posted_as_they_are_wanted() {
    let (good, side) = good_pixels();
    let both = |rig: &mut Rig| {
        for pixels in [good.clone(), vec![7; 3 * side * side]] {
            rig.harness.push(frame(padded(&pixels, 3 * side), 1)).expect("passes");
        }
        let verdict = |found: gst::Structure| found.get::<String>("verdict").expect("a verdict");
        std::iter::from_fn(|| rig.message(gsthetmm::INSPECTION)).map(verdict).collect::<Vec<_>>()
    };
    let wanted: [(&str, &[&str]); 3] = [("all", &["ok", "ng"]), ("not-ok", &["ng"]), ("none", &[])];
    for (posts, verdicts) in wanted {
        let set = [("post-messages", posts), ("attach-meta", "false")];
        let mut rig = rig_of(&set, caps(VideoFormat::Rgb, side, side));
        assert_eq!(both(&mut rig), verdicts, "{posts}");
        let back = rig.harness.pull().expect("passes");
        assert!(meta_of(&back).is_none());
        assert_eq!([rig.count("inspected"), rig.count("ok"), rig.count("ng")], [2, 1, 1]);
        let ms = ["mean-ms", "max-ms"].map(|name| rig.stats().get::<f64>(name).expect("a number"));
        assert!(ms[0] > 0.0 && ms[1] >= ms[0], "{ms:?}");
    }
}

#[test]
fn the_latency_of_a_live_pipeline_grows_by_that_of_an_inspection() {
    let own = gst::ClockTime::from_mseconds(7);
    let before = gst::ClockTime::from_mseconds(30);
    let mut rig = rig(&[("processing-latency", "7000000")]);
    rig.harness.set_upstream_latency(before);
    assert_eq!(rig.harness.query_latency(), Some(before + own));
    let mut measured = self::rig(&[]);
    measured.harness.set_upstream_latency(before);
    let found = measured.harness.query_latency().expect("live");
    assert!(found > before && found < before + gst::ClockTime::from_seconds(20), "{found}");
    rig.harness.set_live(false);
    let mut query = gst::query::Latency::new();
    assert!(rig.element.query(&mut query));
    assert_eq!(query.result().1, before, "a file does not wait");
}

/// A copy of the template in a folder of its own.
fn own_template(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let file = folder.path().join("part.hetmm");
    std::fs::copy(TEMPLATE, &file).expect("copies");
    file
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The next message about a template: whether it is in use, its generation, and what is said of it.
fn news(rig: &Rig) -> (bool, u64, String) {
    let told = rig.message_within(gsthetmm::TEMPLATE, SOON).expect("news");
    let what = told.get::<String>("what").expect("a text");
    (told.get("in-use").expect("a truth"), told.get("generation").expect("a number"), what)
}

#[test]
fn another_template_is_taken_over_while_frames_come_and_a_bad_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = own_template(&folder);
    let mut rig = rig(&[]);
    assert_eq!(news(&rig), (true, 1, "in use from the start".into()));
    rig.element.set_property("template", text(&file));
    let generation = |rig: &mut Rig| {
        rig.harness.push(usual_frame(1)).expect("passes");
        let told = rig.message(gsthetmm::INSPECTION).expect("a result");
        assert_same(&told, &expected());
        told.get::<u64>("generation").expect("a number")
    };
    assert_eq!(news(&rig), (true, 2, "taken over".into()));
    assert_eq!(generation(&mut rig), 2);
    rig.element.set_property("template", "/nowhere/part.hetmm");
    let (in_use, kept, what) = news(&rig);
    assert!(!in_use && kept == 2 && what.contains("/nowhere/part.hetmm"), "{what}");
    assert_eq!(generation(&mut rig), 2);
    assert_eq!(rig.element.property::<String>("template"), text(&file), "the one in use");
    std::fs::write(&file, b"not a template").expect("writes");
    assert!(!rig.element.emit_by_name::<bool>("reload", &[]));
    assert_eq!(generation(&mut rig), 2);
    rig.element.set_property("template", None::<&str>);
    replace(&file, &std::fs::read(TEMPLATE).expect("reads"));
    rig.element.set_property("template", text(&file));
    assert!(rig.element.emit_by_name::<bool>("reload", &[]));
    assert!(generation(&mut rig) > 2);
    rig.element.set_state(gst::State::Null).expect("stops");
    assert!(!rig.element.emit_by_name::<bool>("reload", &[]), "nothing runs");
}

#[test]
fn a_refusal_is_a_warning_with_the_reason() {
    let rig = rig(&[("post-messages", "none")]);
    assert!(matches!(news(&rig), (true, 1, _)));
    rig.element.set_property("template", "/nowhere/part.hetmm");
    let kinds = [gst::MessageType::Warning];
    let message = rig.bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    let message = message.expect("a warning");
    let gst::MessageView::Warning(told) = message.view() else { unreachable!("filtered") };
    let told = told.error().to_string();
    assert!(told.contains("/nowhere/part.hetmm") && told.contains("stays in use"), "{told}");
    rig.element.set_property("template", None::<&str>);
    let told = rig.complaint().expect("a warning");
    assert!(told.contains("empty") && told.contains("->"), "{told}");
}

#[test]
fn a_watched_file_is_taken_over_when_it_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = own_template(&folder);
    let rig = rig(&[("template", text(&file)), ("watch", "true")]);
    assert!(matches!(news(&rig), (true, 1, _)));
    let good = std::fs::read(TEMPLATE).expect("reads");
    replace(&file, &good);
    assert!(matches!(news(&rig), (true, 2, _)));
    replace(&file, &good[..good.len() / 2]);
    let (in_use, generation, what) = news(&rig);
    assert!(!in_use && generation == 2 && what.contains("part.hetmm"), "{what}");
    // A refused file is not tried again and again.
    assert!(rig.message_within(gsthetmm::TEMPLATE, Duration::from_secs(2)).is_none());
    std::fs::remove_file(&file).expect("removes");
    assert!(rig.message_within(gsthetmm::TEMPLATE, Duration::from_secs(2)).is_none());
    replace(&file, &good);
    assert!(matches!(news(&rig), (true, 3, _)));
    rig.element.set_property("watch", false);
    replace(&file, &good);
    assert!(rig.message_within(gsthetmm::TEMPLATE, Duration::from_secs(2)).is_none());
}

#[test]
fn metas_survive_queue_tee_and_videoconvert() {
    init();
    let pipeline = "appsrc name=source ! hetmm name=hetmm ! tee name=tee \
         tee. ! queue ! videoconvert ! video/x-raw,format=I420 ! appsink name=a sync=false \
         tee. ! queue ! videoconvert ! video/x-raw,format=BGRx ! appsink name=b sync=false";
    let pipeline = gst::parse::launch(pipeline).expect("install gstreamer1.0-plugins-base");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    pipeline.by_name("hetmm").expect("the element").set_property("template", TEMPLATE);
    let source = pipeline.by_name("source").and_downcast::<gst_app::AppSrc>().expect("a source");
    source.set_format(gst::Format::Time);
    source.set_caps(Some(&caps(VideoFormat::Rgb, SIDE, SIDE)));
    pipeline.set_state(gst::State::Playing).expect("plays");
    source.push_buffer(usual_frame(1)).expect("is taken");
    source.end_of_stream().expect("ends");
    for name in ["a", "b"] {
        let sink = pipeline.by_name(name).and_downcast::<gst_app::AppSink>().expect("a sink");
        let sample = sink.pull_sample().expect("a frame");
        let buffer = sample.buffer().expect("a buffer");
        assert_same(&meta_of(buffer).expect("the meta survives"), &expected());
        let regions = buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>().count();
        assert_eq!(regions, expected().regions.len());
    }
    pipeline.set_state(gst::State::Null).expect("stops");
}

/// Eight streams in one process, as on a machine with many cameras.
#[test]
fn elements_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut rig = rig(&[("threads", "1"), ("processing-latency", "0")]);
                for number in 0..5 {
                    rig.harness.push(usual_frame(number)).expect("passes");
                    let told = rig.message(gsthetmm::INSPECTION).expect("a result");
                    assert_same(&told, &expected());
                }
            });
        }
    });
}
