//! Tests a free-running camera: every frame is a part, and so is every frame that nobody got.

use super::{CONFIG, Desk};
use serde_json::Value;
use std::time::Duration;

fn free_running() -> Desk {
    let config = CONFIG
        .replace("source = \"software\"", "source = \"free-run\"")
        .replace("folder = \"pictures\"", "folder = \"pictures\"\nframes_per_second = 4")
        .replace("delay_us = 1000000", "delay_us = 600000")
        .replace("deadline_us = 900000", "deadline_us = 500000");
    Desk::new(&config)
}

/// Returns when the reject output was active: from when to when, in microseconds.
fn reject_pulses(desk: &Desk) -> Vec<(u64, u64)> {
    let edges = desk.lines("edges.jsonl");
    let due = |edge: &Value| edge["due_us"].as_u64().expect("a time");
    let ng: Vec<&Value> = edges.iter().filter(|edge| edge["line"] == "ng").collect();
    let ends = ng.iter().skip(1).map(|edge| due(edge)).chain([u64::MAX]);
    ng.iter()
        .zip(ends)
        .filter(|(edge, _)| edge["active"] == true)
        .map(|(e, end)| (due(e), end))
        .collect()
}

/// Covers a former fault: such a frame was no part. There was no reject, no record and no fault, and the part went
/// through the gate.
#[test]
fn a_frame_that_cannot_be_used_is_a_part_that_is_rejected_at_its_gate() {
    let mut desk = free_running();
    let whole = std::fs::read(desk.path("pictures/1.png")).expect("reads");
    std::fs::write(desk.path("pictures/1.png"), &whole[..whole.len() / 2]).expect("writes");
    desk.start();
    desk.wait_for("six passed", |s| s["counters"]["passed"].as_u64() >= Some(6));
    desk.wait_for("a fault", |s| {
        s["faults"].as_array().is_some_and(|f| f.contains(&"unproven".into()))
    });
    let status = desk.ask("status");
    assert!(status["counters"]["rejected_for"]["bad_frame"].as_u64() >= Some(2), "{status}");
    assert_eq!(desk.stop(), 0);
    let (records, pulses) = (desk.lines("parts.jsonl"), reject_pulses(&desk));
    let bad: Vec<&Value> = records.iter().filter(|r| r["why"] == "bad_frame").collect();
    assert!(bad.len() >= 2, "{records:?}");
    for record in bad {
        let gate = record["gate_us"].as_u64().expect("a time");
        let rejected = pulses.iter().any(|(begin, end)| *begin <= gate && gate + 20_000 <= *end);
        assert!(rejected, "{record} meets {pulses:?}");
    }
    // The neighbours of a bad frame pass.
    let passed = records.iter().filter(|r| r["outcome"] == "passed").count();
    assert!(passed >= 6, "{records:?}");
}

/// While the camera is gone, parts go by that nobody sees.
#[test]
fn belt_that_passes_a_camera_that_is_gone_is_rejected_until_it_sees_again() {
    let mut desk = free_running();
    desk.start();
    desk.wait_for("two passed", |s| s["counters"]["passed"].as_u64() >= Some(2));
    std::fs::rename(desk.path("pictures"), desk.path("away")).expect("renames");
    let gone = |s: &Value| s["faults"].as_array().is_some_and(|f| f.contains(&"camera".into()));
    desk.wait_for("a fault", gone);
    // This is longer than the way from camera to gate.
    std::thread::sleep(Duration::from_millis(1500));
    let passed = desk.ask("status")["counters"]["passed"].as_u64();
    std::fs::rename(desk.path("away"), desk.path("pictures")).expect("renames");
    desk.wait_for("another passed", |s| s["counters"]["passed"].as_u64() > passed);
    assert_eq!(desk.stop(), 0);
    let records = desk.lines("parts.jsonl");
    let lost = records.iter().position(|r| r["why"] == "lost_trigger").expect("a record");
    let time = |record: &Value| record["trigger_us"].as_u64().expect("a time");
    let next = records.iter().skip(lost + 1).find(|r| r["why"] != "too_close").expect("a part");
    // The pulse lasts from the gate of the loss to the gate of the first part that was seen again.
    let (from, to) =
        (time(&records[lost]) + 600_000, time(next).min(time(&records[lost + 1])) + 600_000);
    let pulses = reject_pulses(&desk);
    assert!(
        pulses.iter().any(|(begin, end)| *begin <= from && to <= *end),
        "{from} to {to} meets {pulses:?}"
    );
}
