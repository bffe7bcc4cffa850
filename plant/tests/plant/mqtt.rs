//! Tests MQTT with a real broker, and with some that are none.

use crate::desk::{Desk, free_port, is_installed, said_of, signal};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Returns whether a broker and its tools are installed.
fn has_broker() -> bool {
    ["mosquitto", "mosquitto_sub", "mosquitto_pub", "mosquitto_rr"].into_iter().all(is_installed)
}

/// A broker that ends with the test.
struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    fn start(desk: &Desk, port: u16, more: &str) -> Self {
        let config = desk.path("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n{more}");
        std::fs::write(&config, text).expect("writes");
        let log = std::fs::File::create(desk.path("mosquitto.log")).expect("a log");
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("starts");
        let end = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the broker does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Broker { child, port }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects what a subscriber prints: topic, whether it is retained, and content.
struct Subscriber {
    child: Child,
    lines: Arc<Mutex<Vec<(String, bool, String)>>>,
}

impl Subscriber {
    fn new(port: u16, more: &[&str]) -> Self {
        let mut child = Command::new("mosquitto_sub")
            .args(["-V", "5", "-h", "127.0.0.1", "-p", &port.to_string(), "-t", "hetmm/#"])
            .args(["-q", "1", "-F", "%t %r %p"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let mut words = line.splitn(3, ' ');
                let mut word = || words.next().unwrap_or_default().to_owned();
                let (topic, retained, content) = (word(), word() == "1", word());
                kept.lock().expect("locks").push((topic, retained, content));
            }
        });
        Subscriber { child, lines }
    }

    fn find(&self, end: &str, matches: impl Fn(bool, &str) -> bool) -> Option<String> {
        let lines = self.lines.lock().expect("locks");
        let found = lines.iter().find(|(topic, retained, content)| {
            topic == &format!("hetmm/v1/plant/cam1/{end}") && matches(*retained, content)
        });
        found.map(|(_, _, content)| content.clone())
    }
}

impl Subscriber {
    /// Returns the lines that the validator reads: topics without their beginning, and contents.
    fn messages(&self) -> String {
        let lines = self.lines.lock().expect("locks");
        let short = |topic: &str| topic.strip_prefix("hetmm/v1/plant/cam1/").map(str::to_owned);
        let own = lines.iter().filter_map(|(topic, _, content)| Some((short(topic)?, content)));
        let own = own.filter(|(topic, _)| !topic.starts_with("cmd/"));
        own.map(|(topic, content)| format!("{topic} {content}\n")).collect()
    }
}

/// Returns whether the validator of JSON schemas is installed.
fn has_validator() -> bool {
    let found = Command::new("python3").args(["-c", "import jsonschema"]).output();
    let is_there = found.is_ok_and(|found| found.status.success());
    if !is_there {
        eprintln!("SKIPPED: python3-jsonschema is not installed; no message was validated");
    }
    is_there
}

/// Validates lines of topic and content against the schema. Returns whether all are right, and what the validator says.
fn validated(messages: &str) -> (bool, String) {
    let at = |path: &str| format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let mut validator = Command::new("python3");
    validator.arg(at("tests/plant/validate.py")).arg(at("mqtt-v1.schema.json"));
    let said = said_of(&mut validator, messages.as_bytes());
    let words = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (said.status.success(), words.concat())
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(port: u16, more: &str) -> String {
    format!("[mqtt]\nbroker = \"mqtt://127.0.0.1:{port}\"\n{more}")
}

#[test]
fn a_broker_gets_parts_and_state_and_hears_of_the_end() {
    if !has_broker() {
        return;
    }
    let port = free_port();
    let mut desk = Desk::new(&config(port, "queue = 16\n"));
    let broker = Broker::start(&desk, port, "");
    let early = Subscriber::new(port, &[]);
    desk.start();
    desk.wait("a part that passed", |_| {
        early.find("part", |_, content| content.contains("\"passed\"")).is_some()
    });
    desk.wait("a rejected part", |_| {
        early.find("part", |_, content| content.contains("\"rejected\"")).is_some()
    });
    let part: Value = serde_json::from_str(
        &early.find("part", |_, content| content.contains("passed")).expect("a part"),
    )
    .expect("JSON");
    assert!(part["part"].is_u64() && part["score"].is_number() && part["type"].is_null(), "{part}");
    // What is retained comes to those who are late.
    let late = Subscriber::new(port, &[]);
    desk.wait("the retained state", |_| late.find("status", |retained, _| retained).is_some());
    assert_eq!(late.find("alive", |retained, _| retained).as_deref(), Some("online"));
    let status: Value =
        serde_json::from_str(&late.find("status", |_, _| true).expect("it")).expect("JSON");
    assert_eq!(status["state"], "ready");
    assert!(late.find("evidence/head", |_, content| content.contains("blake3")).is_some());
    // A killed program leaves its will; one that stops says so itself.
    Desk::kill(&mut desk.plant);
    desk.wait("the will", |_| early.find("alive", |_, content| content == "offline").is_some());
    // While the broker is gone, parts wait, the oldest are dropped, and the next one says how many.
    desk.start_plant();
    desk.wait("the connection", |desk| desk.log().contains("MQTT: connected"));
    drop(broker);
    std::thread::sleep(Duration::from_secs(8));
    let broker = Broker::start(&desk, port, "");
    let after = Subscriber::new(broker.port, &[]);
    desk.wait("a gap", |_| {
        after.find("part", |_, content| content.contains("\"dropped\"")).is_some()
    });
    assert_eq!(Desk::stop(&mut desk.plant), Some(0));
    desk.wait("the end", |_| after.find("alive", |_, content| content == "offline").is_some());
    if !has_validator() {
        return;
    }
    let (is_good, said) = validated(&[&early, &late, &after].map(Subscriber::messages).concat());
    assert!(is_good, "{said}");
    for topic in ["alive=", "status=", "part=", "drift=", "evidence/head="] {
        assert!(said.contains(topic), "{topic} {said}");
    }
    // What the schema does not name is found, and so is what is missing or of another kind.
    let changes: [fn(&mut Value); 4] = [
        |part| part["colour"] = "red".into(),
        |part| part["template"]["date"] = 1.into(),
        |part| part["outcome"] = "late".into(),
        |part| drop(part.as_object_mut().expect("an object").remove("score")),
    ];
    assert!(validated(&format!("part {part}\n")).0);
    for (case, change) in changes.iter().enumerate() {
        let mut changed = part.clone();
        change(&mut changed);
        let (is_good, said) = validated(&format!("part {changed}\n"));
        assert!(!is_good && said.contains("part: $"), "{case}: {said}");
    }
}

#[test]
fn commands_are_answered_and_retained_ones_are_ignored() {
    if !has_broker() {
        return;
    }
    let port = free_port();
    let mut desk = Desk::new(&config(port, "commands = true\n"));
    let _broker = Broker::start(&desk, port, "");
    let at = ["-h", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
    // Somebody has left a command behind, long ago.
    let left = Command::new("mosquitto_pub")
        .args(&at)
        .args(["-r", "-q", "1", "-t", "hetmm/v1/plant/cam1/cmd/safe", "-m", " "])
        .status();
    assert!(left.expect("runs").success());
    desk.start();
    desk.wait("the connection", |desk| desk.log().contains("MQTT: connected"));
    let ask = |verb: &str, argument: &str| -> Value {
        let out = Command::new("mosquitto_rr")
            .args(&at)
            .args(["-V", "5", "-q", "1", "-W", "20", "-e", "hetmm/answers/1"])
            .args(["-t", &format!("hetmm/v1/plant/cam1/cmd/{verb}"), "-m", argument])
            .output()
            .expect("runs");
        serde_json::from_slice(&out.stdout).expect("an answer in JSON")
    };
    assert_eq!(ask("status", "")["state"], "ready", "the retained command was not carried out");
    assert!(ask("fly", "high")["error"].is_string());
    assert!(ask("resume", "")["error"].to_string().contains("plant_may"));
    assert!(ask("teach", "1")["error"].to_string().contains("TLS"));
    let answers = [ask("history", ""), ask("fly", "high"), ask("safe", "")];
    assert_eq!(answers[2]["done"], "safe");
    if has_validator() {
        let lines = answers.map(|answer| format!("answer {answer}\n")).concat();
        assert_eq!(validated(&lines), (true, "answer=3\n".to_owned()));
    }
    assert_eq!(desk.status().expect("a status")["state"], "safe");
}

#[test]
fn the_connection_is_encrypted_and_a_password_is_kept_in_a_file() {
    if !has_broker() || !is_installed("openssl") {
        return;
    }
    let port = free_port();
    let more = "ca = \"ca.pem\"\nuser = \"cam1\"\npassword_file = \"password\"\n";
    let mut desk = Desk::new(&config(port, more).replace("mqtt://127.0.0.1", "mqtts://localhost"));
    let path = |name: &str| desk.path(name).to_str().expect("text").to_owned();
    let run = |program: &str, args: &[&str]| {
        let out = Command::new(program).args(args).output().expect("runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let (key, cert) = (path("broker.key"), path("ca.pem"));
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key,
            "-out",
            &cert,
        ],
    );
    run("mosquitto_passwd", &["-c", "-b", &path("passwords"), "cam1", "seven quiet gears"]);
    std::fs::write(desk.path("password"), "seven quiet gears\n").expect("writes");
    let public = desk.run("hetmm-plant", &["--check"]);
    assert_eq!(public.status.code(), Some(2), "everybody may read the password");
    run("chmod", &["600", &path("password")]);
    let secured = format!(
        "certfile {cert}\nkeyfile {key}\npassword_file {}\nallow_anonymous false\n",
        path("passwords")
    );
    let _broker = Broker::start(&desk, port, &secured.replace("allow_anonymous false\n", ""));
    desk.start();
    desk.wait("the connection", |desk| desk.log().contains("MQTT: connected"));
    let sub = Subscriber::new(
        port,
        &["--cafile", &cert, "-u", "cam1", "-P", "seven quiet gears", "--insecure"],
    );
    desk.wait("a part", |_| sub.find("part", |_, _| true).is_some());
}

/// Brokers that are none: mute, talking garbage, and closing at once. The line and the other fronts do not notice.
#[test]
fn a_bad_broker_costs_nothing_but_messages() {
    for kind in ["mute", "garbage", "flapping"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let count = Arc::new(Mutex::new(0));
        let counted = count.clone();
        std::thread::spawn(move || {
            let mut kept = vec![];
            for stream in listener.incoming().map_while(Result::ok) {
                *counted.lock().expect("locks") += 1;
                let mut stream = stream;
                match kind {
                    "mute" => kept.push(stream),
                    "garbage" => {
                        let _ = stream.read(&mut [0; 1024]);
                        let _ = stream.write_all(&[0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
                    }
                    _ => {}
                }
            }
        });
        let mut desk = Desk::new(&format!(
            "{}[metrics]\nlisten = \"METRICS\"\n",
            config(port, "queue = 16\n")
        ));
        desk.start();
        std::thread::sleep(Duration::from_secs(5));
        let tries = *count.lock().expect("locks");
        assert!((1..=5).contains(&tries), "{kind}: {tries} connections in five seconds");
        let plant = desk.plant.as_ref().expect("runs");
        signal(plant, "0");
        let status = desk.status().expect("a status");
        assert_eq!(status["state"], "ready", "{kind}");
        let host = format!("127.0.0.1:{}", desk.metrics);
        let text =
            crate::http::request(desk.metrics, "GET", "/metrics", &[("Host", &host)], "").text();
        assert!(text.contains("hetmm_up 1"), "{kind}");
        assert_eq!(Desk::stop(&mut desk.plant), Some(0), "{kind}");
    }
}
