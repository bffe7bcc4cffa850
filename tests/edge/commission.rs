//! Tests commissioning from outside: test pulses, refused parts, and every way in which it ends.

use super::*;

/// Returns a configuration that allows commissioning.
fn allowed() -> String {
    format!("{CONFIG}[commissioning]\nallowed = true\n")
}

/// Begins commissioning with the program, which stays.
fn commission(desk: &Desk) -> Child {
    let mut command = desk.command();
    command.args(["commission", "on"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("starts");
    desk.wait_for("commissioning", |status| status["state"] == "commissioning");
    child
}

#[test]
fn a_test_pulse_is_one_edge_pair_and_no_part_passes_meanwhile() {
    let mut desk = Desk::new(&allowed());
    desk.start();
    desk.wait_until_ready();
    let refused = desk.ask("pulse ng");
    assert!(refused["error"].to_string().contains("commission on"), "{refused}");
    let mut attends = commission(&desk);
    let status = desk.ask("status");
    let left = status["commissioning_s"].as_u64().expect("a number");
    assert!((800..=900).contains(&left), "{left} s of 15 minutes");
    let before = desk.lines("edges.jsonl").len();
    let pulse = desk.ask("pulse ng");
    assert_eq!(pulse["pulse"], "ng", "{pulse}");
    let number = |path: &str| pulse.pointer(path).and_then(Value::as_u64).expect(path);
    // A pulse that begins late keeps its width.
    let longer = number("/end/due_us") - number("/begin/due_us") - 20_000;
    assert!(longer <= number("/begin/late_us") + 1, "{pulse}");
    let part = desk.ask("trigger");
    assert!(part["done"].to_string().contains("in its safe state"), "{part}");
    let refused = desk.ask("resume");
    assert!(refused["error"].to_string().contains("in commissioning"), "{refused}");
    let second = desk.ask("commission on");
    assert!(second["error"].to_string().contains("already"), "{second}");
    assert_eq!(desk.ask("commission off")["done"], "commissioning has ended; the safe state stays");
    assert_eq!(attends.wait().expect("ends").code(), Some(0), "the program is told");
    desk.wait_for("safe", |status| status["state"] == "safe");
    assert_eq!(desk.ask("resume")["done"], "resumed");
    let status = desk.wait_until_ready();
    assert_eq!(status["counters"]["rejected_for"]["safe"], 1);
    assert_eq!(status["counters"]["passed"], 0);
    desk.stop();
    let edges: Vec<Value> = desk.lines("edges.jsonl").split_off(before);
    let ng: Vec<&Value> = edges.iter().filter(|edge| edge["line"] == "ng").collect();
    let pulses: Vec<bool> = ng.iter().take(2).filter_map(|edge| edge["active"].as_bool()).collect();
    // The reject output is on in the safe state here, so the pulse is its opposite.
    assert_eq!(pulses, [false, true]);
}

#[test]
fn commissioning_ends_with_the_one_who_attends_it() {
    let mut desk = Desk::new(&allowed());
    desk.start();
    desk.wait_until_ready();
    for ends in ["kill", "safe"] {
        let mut attends = commission(&desk);
        let out = match ends {
            "kill" => {
                attends.kill().expect("kills");
                None
            }
            word => Some(desk.ask(word)),
        };
        assert!(out.is_none_or(|out| out["done"] == "safe"));
        attends.wait().expect("ends");
        desk.wait_for("safe", |status| status["state"] == "safe");
        let lines = desk.ask("lines --json");
        let row = |name: &str| {
            let rows = lines["outputs"].as_array().expect("rows");
            rows.iter().find(|row| row["name"] == name).expect(name).clone()
        };
        assert_eq!((&row("ng")["active"], &row("fault")["level"]), (&true.into(), &"low".into()));
        assert_eq!(desk.ask("resume")["done"], "resumed");
        desk.wait_until_ready();
    }
    let mut attends = commission(&desk);
    assert_eq!(desk.stop(), 0);
    assert_eq!(attends.wait().expect("ends").code(), Some(1), "the device has stopped");
}

#[test]
fn without_leave_nobody_commissions_the_device() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    for request in ["commission on", "pulse ng"] {
        let out = desk.command().args(request.split(' ')).output().expect("runs");
        assert_eq!(out.status.code(), Some(1), "{request}: {}", stderr(&out));
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains("commissioning.allowed = false"), "{said}");
    }
    let table = desk.command().arg("lines").output().expect("runs");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert_eq!(table.lines().count(), 3, "once, because this is no terminal: {table}");
    assert!(table.contains("out  fault      healthy    high"), "{table}");
}
