//! Writes metrics for Prometheus: text format 0.0.4, one snapshot, base units, no part numbers.

use crate::board::{Board, Now, name_of};
use crate::histogram::Histogram;
use hetmm::line::evidence::ClockState;
use hetmm::line::tracker::{Fault, Reason};
use serde_json::Value;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const STATES: [&str; 4] = ["ready", "not_ready", "safe", "commissioning"];

/// Returns all metrics.
pub fn text(board: &Board) -> String {
    let now = board.now();
    let mut text = Text::default();
    let at = |path: &str| now.number(path);
    text.gauge("hetmm_up", "Whether the device answers.");
    text.line("hetmm_up", &[], u8::from(now.is_alive(Instant::now())));
    text.gauge(
        "hetmm_info",
        "The version of hetmm-edge, the device's serial number, and the number of its start.",
    );
    let (serial, run) = (now.text("/records/chain/serial"), at("/records/chain/run").to_string());
    let info = [("version", &*now.version), ("serial", serial), ("run", &run)];
    text.line("hetmm_info", &info, 1);
    text.gauge("hetmm_template_info", "The template in use.");
    let id: String = now.text("/template/identity/blake3").chars().take(8).collect();
    let name = now.text("/template/identity/name");
    let slot = now.status.pointer("/template/identity/slot").and_then(Value::as_u64);
    let slot = slot.map_or_else(String::new, |slot| slot.to_string());
    text.line("hetmm_template_info", &[("id", &id), ("name", name), ("slot", &slot)], 1);
    text.gauge("hetmm_state", "The state of the line: 1 for the present one.");
    for state in STATES {
        text.line("hetmm_state", &[("state", state)], u8::from(now.text("/state") == state));
    }
    text.gauge("hetmm_fault", "Whether a fault is present.");
    for fault in Fault::ALL {
        let name = name_of(fault);
        text.line("hetmm_fault", &[("fault", &name)], u8::from(now.lists("/faults", &name)));
    }
    text.counter("hetmm_triggers_total", "Parts that were triggered.");
    text.line("hetmm_triggers_total", &[], at("/counters/triggers"));
    text.counter("hetmm_parts_total", "Parts that have left, by outcome and reason.");
    let passed = [("outcome", "passed"), ("reason", "")];
    text.line("hetmm_parts_total", &passed, at("/counters/passed"));
    for reason in Reason::ALL {
        let name = name_of(reason);
        let count = at(&format!("/counters/rejected_for/{name}"));
        text.line("hetmm_parts_total", &[("outcome", "rejected"), ("reason", &name)], count);
    }
    text.counter("hetmm_late_results_total", "Results that came after their deadline.");
    text.line("hetmm_late_results_total", &[], at("/counters/late_results"));
    text.counter("hetmm_alarms_total", "Alarms for too many rejects in a row.");
    text.line("hetmm_alarms_total", &[], at("/counters/alarms"));
    text.counter("hetmm_lost_total", "What was not kept or not sent.");
    let (records, pictures) = (now.records_lost(), now.pictures_lost());
    let mqtt = board.mqtt_dropped.load(Ordering::Relaxed);
    for (what, count) in
        [("record", records), ("picture", pictures), ("feed", now.lost), ("mqtt", mqtt)]
    {
        text.line("hetmm_lost_total", &[("what", what)], count);
    }
    text.gauge("hetmm_parts_in_flight", "Parts between trigger and gate.");
    text.line("hetmm_parts_in_flight", &[], at("/in_flight"));
    text.gauge("hetmm_parts_waiting", "Parts that wait for their result.");
    text.line("hetmm_parts_waiting", &[], at("/waiting_for_result"));
    text.gauge("hetmm_queue_length", "Messages that wait for the broker.");
    let waiting = board.mqtt_waiting.load(Ordering::Relaxed);
    text.line("hetmm_queue_length", &[("queue", "mqtt")], waiting);
    text.gauge("hetmm_client_connections", "Connections of clients.");
    let open = &board.connections;
    for (kind, count) in
        [("modbus", &open.modbus), ("page", &open.page), ("metrics", &open.metrics)]
    {
        text.line("hetmm_client_connections", &[("kind", kind)], count.load(Ordering::Relaxed));
    }
    let clock = board.clock.quality();
    text.gauge("hetmm_clock_synchronized", "Whether a time server keeps the clock right.");
    let is_synchronized = clock.state == ClockState::Synchronized;
    text.line("hetmm_clock_synchronized", &[], u8::from(is_synchronized));
    if let Some(error_us) = clock.error_us {
        text.gauge("hetmm_clock_error_seconds", "The largest expected error of the clock.");
        text.line("hetmm_clock_error_seconds", &[], error_us as f64 / 1e6);
    }
    if let Some(free) = now.status.pointer("/records/chain/free_bytes").and_then(Value::as_u64) {
        text.gauge("hetmm_disk_free_bytes", "The free space where records are kept.");
        text.line("hetmm_disk_free_bytes", &[], free);
    }
    text.gauge("hetmm_drift_sigma", "The sums of the drift watch, in standard deviations.");
    for (chart, sum) in fields(&now, "/drift/sums") {
        text.line("hetmm_drift_sigma", &[("chart", chart)], sum);
    }
    text.gauge("hetmm_temperature_celsius", "The temperatures that the kernel knows.");
    for (zone, celsius) in fields(&now, "/temperature/zones") {
        text.line("hetmm_temperature_celsius", &[("zone", zone)], celsius);
    }
    text.gauge("hetmm_warning", "Whether a warning is present.");
    for (warning, is_present) in [
        ("drift", now.drifts()),
        ("records", records > 0),
        ("pictures", pictures > 0),
        ("clock", !is_synchronized),
        ("disk", now.lacks_space()),
        ("template", now.has_refused_a_template()),
        ("temperature", now.is_too_hot()),
    ] {
        text.line("hetmm_warning", &[("warning", warning)], u8::from(is_present));
    }
    text.gauge("hetmm_drift_warning", "Whether something drifts.");
    text.line("hetmm_drift_warning", &[], u8::from(now.drifts()));
    let all = &now.histograms;
    let seconds = [
        (
            "hetmm_trigger_to_result_seconds",
            "From the trigger to the result.",
            &all.trigger_to_result,
        ),
        ("hetmm_gate_slack_seconds", "From a result in time to its deadline.", &all.gate_slack),
        ("hetmm_pulse_lateness_seconds", "How late pulses began.", &all.pulse_lateness),
        ("hetmm_score_ratio", "Scores as multiples of the threshold.", &all.score_ratio),
    ];
    for (name, help, histogram) in seconds {
        text.head(name, help, "histogram");
        text.histogram(name, None, histogram);
    }
    text.head("hetmm_stage_seconds", "The stages of an inspection.", "histogram");
    for (stage, histogram) in &all.stages {
        text.histogram("hetmm_stage_seconds", Some(stage), histogram);
    }
    text.0
}

/// Returns the numbers of an object of the status, by their names.
fn fields<'a>(now: &'a Now, path: &str) -> impl Iterator<Item = (&'a str, f64)> {
    let found = now.status.pointer(path).and_then(Value::as_object);
    found.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)))
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, help, "gauge");
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.head(name, help, "counter");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let pairs: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels =
            if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn histogram(&mut self, name: &str, stage: Option<&str>, histogram: &Histogram) {
        let stage: Vec<(&str, &str)> = stage.map(|stage| ("stage", stage)).into_iter().collect();
        let mut sum = 0;
        let bounds = histogram.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&histogram.counts) {
            sum += count;
            let labels: Vec<(&str, &str)> =
                stage.iter().copied().chain([("le", &*bound)]).collect();
            self.line(&format!("{name}_bucket"), &labels, sum);
        }
        self.line(&format!("{name}_sum"), &stage, histogram.sum);
        self.line(&format!("{name}_count"), &stage, sum);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use serde_json::json;

    #[test]
    fn one_snapshot_becomes_few_lines_without_part_numbers() {
        let board = Board::new(None);
        assert!(text(&board).contains("\nhetmm_up 0\n"));
        let _viewer = Place::take(&board.connections.page, 1);
        board.hello("0.2.0");
        board.temperature(json!({"zones": {"cpu-thermal": 61.5}, "too_hot": true}));
        board.status(json!({
            "state": "safe", "faults": ["camera"],
            "template": {"identity": {"blake3": "0123456789", "name": "a \"b\"\\\n.hetmm", "slot": 2}},
            "drift": {"sums": {"score_up": 3.5}},
            "records": {"chain": {"run": 3, "serial": "A7", "free_bytes": 5000}},
            "counters": {"triggers": 12, "passed": 7, "rejected_for": {"defect": 5}},
        }));
        let text = text(&board);
        for line in [
            "hetmm_up 1",
            "hetmm_info{version=\"0.2.0\",serial=\"A7\",run=\"3\"} 1",
            "hetmm_queue_length{queue=\"mqtt\"} 0",
            "hetmm_client_connections{kind=\"page\"} 1",
            "hetmm_disk_free_bytes 5000",
            "hetmm_warning{warning=\"template\"} 0",
            "hetmm_state{state=\"safe\"} 1",
            "hetmm_state{state=\"ready\"} 0",
            "hetmm_fault{fault=\"camera\"} 1",
            "hetmm_parts_total{outcome=\"passed\",reason=\"\"} 7",
            "hetmm_parts_total{outcome=\"rejected\",reason=\"defect\"} 5",
            "hetmm_temperature_celsius{zone=\"cpu-thermal\"} 61.5",
            "hetmm_warning{warning=\"temperature\"} 1",
            "hetmm_warning{warning=\"disk\"} 0",
            "hetmm_drift_sigma{chart=\"score_up\"} 3.5",
            "hetmm_template_info{id=\"01234567\",name=\"a \\\"b\\\"\\\\\\n.hetmm\",slot=\"2\"} 1",
            "hetmm_score_ratio_bucket{le=\"+Inf\"} 0",
            "hetmm_stage_seconds_bucket{stage=\"backbone\",le=\"0.002\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series <= 200, "{series} series");
        // Each name is described once, before its first line.
        for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
            assert_eq!(text.matches(line).count(), 1, "{line}");
        }
    }
}
