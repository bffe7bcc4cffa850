//! Tests the metrics with Prometheus' own checker.

use crate::desk::{Desk, PLANT, free_port, is_installed, said_of};
use crate::http::{raw, request};
use serde_json::Value;
use std::process::{Child, Command, Stdio};

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
        let said = said_of(Command::new("promtool").args(["check", "metrics"]), text.as_bytes());
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

/// Prometheus itself. It ends with the test.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// Starts it on a desk, to ask `hetmm-plant` once a second.
    fn start(desk: &Desk) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: hetmm, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]\n",
            desk.metrics
        );
        std::fs::write(desk.path("prometheus.yml"), config).expect("writes");
        let (port, log) = (free_port(), std::fs::File::create(desk.path("prometheus.log")));
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", desk.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", desk.path("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("starts");
        Prometheus { child, port }
    }

    /// Returns what it answers to a query of letters and `_`, or `None` as long as it has no answer.
    fn ask(&self, query: &str) -> Option<f64> {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let host = format!("127.0.0.1:{}", self.port);
        let path = format!("/api/v1/query?query={query}");
        let answer: Value = request(self.port, "GET", &path, &[("Host", &host)], "").json();
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_scrapes_the_running_program() {
    if !is_installed("prometheus") {
        return;
    }
    let mut desk = Desk::new("[metrics]\nlisten = \"METRICS\"\n");
    desk.start();
    let prometheus = Prometheus::start(&desk);
    let log = || std::fs::read_to_string(desk.path("prometheus.log")).unwrap_or_default();
    desk.wait("the first scrape", |_| prometheus.ask("up") == Some(1.0));
    assert_eq!(prometheus.ask("hetmm_up"), Some(1.0), "{}", log());
    let triggers = prometheus.ask("hetmm_triggers_total").expect("a number");
    desk.wait("more parts", |_| {
        prometheus.ask("hetmm_triggers_total").is_some_and(|now| now > triggers)
            && prometheus.ask("hetmm_trigger_to_result_seconds_count").is_some_and(|now| now > 0.0)
            && prometheus.ask("sum(hetmm_parts_total)").is_some_and(|now| now > 0.0)
    });
    let own = prometheus.ask("scrape_samples_scraped").expect("a number");
    assert!((50.0..=200.0).contains(&own), "{own} series");
    Desk::kill(&mut desk.plant);
    desk.wait("the end of the program", |_| prometheus.ask("up") == Some(0.0));
}
