//! Starting and stopping again and again. The test is alone in its process, so it can count threads.

mod common;

use common::*;
use gst::prelude::*;
use std::time::{Duration, Instant};

/// The threads of this process that an element has started.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.expect("reads").path().join("comm");
        std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
    };
    tasks.map(name).filter(|name| name.starts_with("hetmm-")).collect()
}

#[test]
fn fifty_starts_and_stops_leave_no_thread() {
    let element = element(&[("processing-latency", "0")]);
    let states = [gst::State::Playing, gst::State::Null, gst::State::Paused, gst::State::Ready];
    for state in states.iter().cycle().take(100) {
        element.set_state(*state).expect("changes");
        let is_running = *state > gst::State::Ready;
        let swaps = || threads().contains(&"hetmm-swap".to_owned());
        assert!(soon(|| swaps() == is_running), "{state:?}");
    }
    element.set_state(gst::State::Null).expect("stops");
    for _ in 0..5 {
        let mut rig = rig(&[("watch", "true")]);
        rig.harness.push(usual_frame(1)).expect("passes");
        rig.element.set_property("template", TEMPLATE);
        assert!(soon(|| threads().len() >= 3), "{:?}", threads());
    }
    // The threads of a pool are told to end, and nobody waits for them.
    assert!(soon(|| threads().is_empty()), "{:?}", threads());
}

/// Returns whether something becomes true. A new thread has its name only when it runs.
fn soon(is_true: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_true() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    is_true()
}
