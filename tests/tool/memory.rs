//! Compares the memory that a build states with the memory that it takes.
#![cfg(target_os = "linux")]

use crate::common::*;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The time between two looks at the memory of the program.
const LOOK: Duration = Duration::from_millis(2);

/// Returns the memory of a process that is in no file, in bytes. It is `None` after its end.
fn anonymous(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
}

/// Builds a template with a larger input than usual. Returns the memory that the build stated and the most that it took,
/// in bytes.
fn build(good: &Path, template: &Path, more: &[&str]) -> (f64, f64) {
    let files = ["build", text(good), "-o", text(template), "--size", "288", "--threads", "2"];
    let arguments = [&files[..], &["--keep-suspects", "--rotations", "none"], more].concat();
    let mut child =
        command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut most = 0;
    while child.try_wait().expect("runs").is_none() {
        most = most.max(anonymous(child.id()).unwrap_or(0));
        std::thread::sleep(LOOK);
    }
    let output = child.wait_with_output().expect("ends");
    assert_code(&output, 0, "the build up to ");
    let told = stderr(&output);
    let stated = told.split("the build up to ").nth(1).and_then(|rest| rest.split(' ').next());
    (1e9 * stated.expect("a number").parse::<f64>().expect("a number"), most as f64)
}

#[test]
fn a_build_takes_the_memory_that_it_states_and_keeps_the_limit() {
    let bench = Bench::new();
    let (good, template) = (bench.parts("good", 0..140), bench.path("part.hetmm"));
    let (stated, taken) = build(&good, &template, &[]);
    assert!(taken <= stated && stated <= 1.25 * taken, "{stated} stated, {taken} taken");
    let whole = std::fs::read(&template).expect("reads");
    let (stated, taken) = build(&good, &template, &["--max-memory", "60M"]);
    assert!(taken <= stated && stated <= 1.25 * taken, "{stated} stated, {taken} taken");
    assert_eq!(std::fs::read(&template).expect("reads"), whole, "the same template");
}
