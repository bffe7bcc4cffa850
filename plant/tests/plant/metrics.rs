//! Tests the metrics with Prometheus' own checker.

use crate::desk::{Desk, PLANT, is_installed};
use crate::http::{raw, request};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn prometheus_understands_the_metrics_and_they_count_the_parts() {
    let mut desk = Desk::new("[metrics]\nlisten = \"METRICS\"\n");
    desk.start();
    let host = format!("127.0.0.1:{}", desk.metrics);
    let get = || request(desk.metrics, "GET", "/metrics", &[("Host", &host)], "");
    let answer = get();
    assert_eq!(answer.status, 200);
    assert!(
        answer.header("content-type").expect("a type").starts_with("text/plain; version=0.0.4")
    );
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name).to_owned();
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    desk.wait("a rejected part and six good ones", |_| {
        let text = get().text();
        value(&text, "hetmm_parts_total{outcome=\"passed\"") >= 6.0
            && value(&text, "hetmm_parts_total{outcome=\"rejected\",reason=\"defect\"") >= 1.0
    });
    let text = get().text();
    assert_eq!(value(&text, "hetmm_up "), 1.0);
    assert!(value(&text, "hetmm_score_ratio_count") >= 1.0);
    if is_installed("promtool") {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        promtool.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("writes");
        let said = promtool.wait_with_output().expect("ends");
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && words.is_empty(), "{words}");
    }
    // Without the device the numbers stay, and say so.
    Desk::kill(&mut desk.edge);
    desk.wait("the end of the feed", |_| value(&get().text(), "hetmm_up ") == 0.0);
    assert!(value(&get().text(), "hetmm_parts_total{outcome=\"passed\"") >= 6.0);
    for garbage in
        [&b"GET /metrics\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"POST /metrics HTTP/1.1\r\n\r\n"]
    {
        assert!(!raw(desk.metrics, garbage).starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(get().status, 200);
    assert_eq!(Desk::stop(&mut desk.plant), Some(0));
}

#[test]
fn the_version_for_other_programs_names_the_map_of_the_registers() {
    let out = Command::new(PLANT).args(["--version", "--json"]).output().expect("runs");
    assert!(out.status.success());
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).expect("is JSON");
    assert_eq!(said["program"], "hetmm-plant");
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(said["formats"]["modbus"], "1");
    assert_eq!(said["formats"]["feed"], "1");
}
