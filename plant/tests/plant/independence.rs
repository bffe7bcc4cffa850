//! Tests that the production line does not notice what becomes of `hetmm-plant`.

use crate::desk::{Desk, signal};
use crate::http::request;
use std::time::Duration;

#[test]
fn the_line_goes_on_whatever_happens_to_the_other_program() {
    let mut desk = Desk::new(
        "[modbus]\nlisten = \"MODBUS\"\n[metrics]\nlisten = \"METRICS\"\n[web]\nlisten = \"WEB\"\nusers = \"users.json\"\n\
         anonymous_observer = true\n",
    );
    desk.start();
    for round in 0..4 {
        Desk::kill(&mut desk.plant);
        std::thread::sleep(Duration::from_millis(300));
        desk.start_plant();
        desk.wait("the page", |desk| {
            std::net::TcpStream::connect(("127.0.0.1", desk.web)).is_ok() || round > 100
        });
    }
    let before = desk.status().expect("a status");
    signal(desk.plant.as_ref().expect("runs"), "STOP");
    std::thread::sleep(Duration::from_secs(4));
    let during = desk.status().expect("a status");
    let passed =
        |status: &serde_json::Value| status["counters"]["passed"].as_u64().expect("a number");
    assert!(passed(&during) > passed(&before) + 6, "parts went on");
    signal(desk.plant.as_ref().expect("runs"), "CONT");
    let host = format!("127.0.0.1:{}", desk.web);
    desk.wait("the feed again", |desk| {
        request(desk.web, "GET", "/api/state", &[("Host", &host)], "").json()["feed"] == "alive"
    });
    let after = desk.status().expect("a status");
    let reasons = after["counters"]["rejected_for"].as_object().expect("reasons").clone();
    for (reason, count) in reasons {
        // What the device refuses or cannot do. Parts may be late or close on a busy machine, whoever keeps it busy.
        let is_wrong = matches!(&*reason, "inspection_failed" | "bad_frame" | "overflow" | "safe");
        assert!(count == 0 || !is_wrong, "{reason}: {count}");
    }
    // The other way round: the page outlives the device, and finds it again.
    Desk::kill(&mut desk.edge);
    desk.wait("the end of the feed", |desk| {
        request(desk.web, "GET", "/api/state", &[("Host", &host)], "").json()["feed"] == "silent"
    });
    desk.start_edge();
    desk.wait("the feed again", |desk| {
        let state = request(desk.web, "GET", "/api/state", &[("Host", &host)], "").json();
        state["feed"] == "alive" && state["status"]["state"] == "ready"
    });
    assert_eq!(Desk::stop(&mut desk.plant), Some(0));
    assert_eq!(Desk::stop(&mut desk.edge), Some(0));
}
