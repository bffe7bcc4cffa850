//! Tests the feedback of the valve in the real program. Outputs and input are simulated; the virtual board has lines of
//! the kernel (`cross/board/line-test.sh`).

use super::*;

/// Makes a desk whose valve follows *ng* if `edge` is rising.
fn desk(edge: &str) -> Desk {
    let ng = format!("ng = {{ line = 1, feedback = {{ line = 9, edge = \"{edge}\" }} }}\n");
    Desk::new(
        &CONFIG
            .replace("ng = { line = 1 }\n", &ng)
            .replace("[records]\n", "[records]\nfolder = \"records\"\nmin_free_mib = 0\n"),
    )
}

/// Returns what the lines of the parts in the chain say about the gate.
fn gates(desk: &Desk) -> Vec<Value> {
    let entries = std::fs::read_dir(desk.path("records")).expect("reads");
    let files = entries.map(|entry| entry.expect("reads").path());
    let chain = files.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let text: String = chain.map(|path| std::fs::read_to_string(path).expect("reads")).collect();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["kind"] == "part").map(|line| line["gate"].clone()).collect()
}

#[test]
fn the_record_says_when_the_valve_has_followed() {
    let desk = desk("rising");
    let defect = picture("missing-screw", 0);
    let status = desk.replay(&[
        (0, Some(&good()[0]), 0),
        (400_000, Some(&defect), 1_000),
        (1_400_000, Some(&good()[1]), 0),
        (1_410_000, Some(&good()[2]), 0),
    ]);
    assert_eq!(status["faults"], serde_json::json!([]), "{status}");
    assert_eq!(desk.outcomes(), ["passed", "defect", "too_close", "too_close"]);
    let gates = gates(&desk);
    assert_eq!(gates.len(), 4, "no line is lost that has to wait");
    assert_eq!(gates[0].get("seen_us"), None, "nothing is to be seen of a part that passes");
    for gate in &gates[1..] {
        assert_eq!(gate["seen_us"], gate["at_us"], "a simulated valve follows at once: {gate}");
    }
    assert_eq!(gates[2], gates[3], "they share a pulse");
    let key = desk.path("device.pub");
    let verified = Command::new(EDGE)
        .args(["records", "verify", "--key"])
        .arg(key)
        .arg(desk.path("records"))
        .output()
        .expect("runs");
    assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
}

#[test]
fn a_valve_that_does_not_follow_is_a_fault_and_the_record_says_so() {
    let mut desk = desk("falling");
    std::fs::copy(picture("scratch", 0), desk.path("pictures/0.png")).expect("copies");
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["why"], "defect");
    let status = desk.wait_for("the fault", |s| s["faults"][0] == "outputs");
    assert_eq!(status["state"], "not_ready");
    assert_eq!(desk.ask("trigger")["why"], "missed", "parts are not inspected any more");
    assert!(desk.ask("lines --json")["inputs"][0]["name"] == "feedback");
    assert_eq!(desk.stop(), 0);
    let gates = gates(&desk);
    assert_eq!(gates.len(), 2);
    for gate in gates {
        assert!(gate.get("seen_us").is_some_and(Value::is_null), "{gate}");
    }
    assert!(desk.log().contains("no edge came at the feedback input in time after pulse 1"));
}
