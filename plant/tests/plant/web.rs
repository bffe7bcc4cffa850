//! Tests the page from outside: set-up, every role against every request, and requests that a browser would not make.

use crate::desk::{Desk, PATIENCE};
use crate::http::{Answer, parse, raw, request};
use crate::load::chain;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub const WEB: &str = "[web]\nlisten = \"WEB\"\nusers = \"users.json\"\n";
pub const PASSWORD: &str = "seven quiet gears turn";

/// A browser that logs in, and can be told to be another one.
#[derive(Clone)]
pub struct Browser {
    pub port: u16,
    pub cookie: String,
    pub token: String,
}

impl Browser {
    pub fn new(desk: &Desk) -> Self {
        Browser { port: desk.web, cookie: String::new(), token: String::new() }
    }

    pub fn get(&self, path: &str) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        request(self.port, "GET", path, &[("Host", &host), ("Cookie", &self.cookie)], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        let origin = format!("http://{host}");
        let headers = [
            ("Host", &*host),
            ("Origin", &origin),
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/json"),
            ("Cookie", &self.cookie),
            ("X-Token", &self.token),
        ];
        request(self.port, "POST", path, &headers, &body.to_string())
    }

    /// Logs in, or sets up. Returns the status.
    pub fn enter(&mut self, path: &str, body: &Value) -> u16 {
        let answer = self.post(path, body);
        if let Some(cookie) = answer.header("set-cookie") {
            assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
            self.cookie = cookie.split(';').next().expect("a pair").to_owned();
            self.token = answer.json()["token"].as_str().expect("a token").to_owned();
        }
        answer.status
    }
}

/// Sets the first engineer up, as a new user does.
pub fn set_up(desk: &Desk) -> Browser {
    let printed = desk.run("hetmm-plant", &["setup"]);
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    let code = printed.lines().next().expect("a code");
    let mut engineer = Browser::new(desk);
    let body = json!({"code": code, "user": "erika", "password": PASSWORD});
    assert_eq!(engineer.enter("/api/setup", &body), 200);
    engineer
}

/// Adds a user and logs in.
pub fn user(desk: &Desk, engineer: &Browser, name: &str, role: &str) -> Browser {
    let body = json!({"name": name, "role": role, "password": PASSWORD});
    assert_eq!(engineer.post("/api/users", &body).status, 200);
    let mut browser = Browser::new(desk);
    assert_eq!(browser.enter("/api/login", &json!({"user": name, "password": PASSWORD})), 200);
    browser
}

#[test]
fn a_failed_login_stands_in_the_records_without_the_name_of_nobody() {
    let mut desk = Desk::new(WEB);
    desk.start();
    set_up(&desk);
    let enter = |user: &str| {
        let body = json!({"user": user, "password": "seven wrong gears turn"});
        assert_eq!(Browser::new(&desk).enter("/api/login", &body), 401);
    };
    let failures = || {
        let lines = chain(&desk).into_iter().filter(|line| line["kind"] == "login_failed");
        lines.collect::<Vec<Value>>()
    };
    enter("my password in the wrong field");
    desk.wait("the line of the first failure", |_| failures().len() == 1);
    assert_eq!(failures()[0]["who"], "unknown");
    assert_eq!(failures()[0]["from"], "127.0.0.1");
    assert_eq!(failures()[0]["failures"], 1);
    // The next ones share a line, which comes 10 s after the first at the earliest.
    enter("erika");
    let begun = Instant::now();
    while failures().len() < 2 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_secs(3));
        enter("erika");
    }
    assert_eq!(failures()[1]["who"], "erika");
    assert!(failures()[1]["failures"].as_u64() > Some(1), "{:?}", failures());
}

#[test]
fn the_first_engineer_needs_the_code_and_passwords_must_be_good() {
    let mut desk = Desk::new(WEB);
    desk.start();
    let mut browser = Browser::new(&desk);
    let session = browser.get("/api/session").json();
    assert_eq!((&session["setup"], &session["role"]), (&json!(true), &json!("none")));
    let attempt =
        |code: &str, password: &str| json!({"code": code, "user": "erika", "password": password});
    assert_eq!(browser.enter("/api/setup", &attempt("AAAA-AAAA-AAAA-AAAA", PASSWORD)), 403);
    let out = desk.run("hetmm-plant", &["setup"]);
    let code = String::from_utf8_lossy(&out.stdout).lines().next().expect("a code").to_owned();
    assert_eq!(
        browser.enter("/api/setup", &attempt(&code, "passwordpassword")),
        400,
        "a weak password"
    );
    assert_eq!(browser.enter("/api/setup", &attempt(&code, PASSWORD)), 200);
    assert_eq!(browser.get("/api/session").json()["role"], "engineer");
    assert_eq!(browser.enter("/api/setup", &attempt(&code, PASSWORD)), 409, "there is a user");
    assert_eq!(desk.run("hetmm-plant", &["setup"]).status.code(), Some(2));
    let list = desk.run("hetmm-plant", &["user", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("erika"), "{list:?}");
    // A change of the password ends the other sessions of this user.
    let mut other = Browser::new(&desk);
    assert_eq!(other.enter("/api/login", &json!({"user": "erika", "password": PASSWORD})), 200);
    let change = json!({"old": PASSWORD, "new": "eight loud gears rest"});
    assert_eq!(browser.enter("/api/password", &change), 200);
    assert_eq!(other.get("/api/users").status, 401);
    assert_eq!(browser.get("/api/users").status, 200);
    assert_eq!(
        browser.post("/api/users/delete", &json!({"name": "erika"})).status,
        409,
        "the last one"
    );
    assert_eq!(browser.post("/api/logout", &json!({})).status, 200);
    assert_eq!(browser.get("/api/users").status, 401);
    let reset = desk.run("hetmm-plant", &["user", "reset", "erika"]);
    assert!(String::from_utf8_lossy(&reset.stdout).contains("all users are removed"), "{reset:?}");
    assert_eq!(browser.get("/api/session").json()["setup"], true);
}

#[test]
fn guessing_a_password_takes_longer_and_longer() {
    let mut desk = Desk::new(WEB);
    desk.start();
    set_up(&desk);
    let wrong = json!({"user": "erika", "password": "wrong wrong wrong"});
    let unknown = json!({"user": "nobody", "password": "wrong wrong wrong"});
    let browser = Browser::new(&desk);
    assert_eq!(browser.post("/api/login", &unknown).status, 401);
    assert_eq!(
        browser.post("/api/login", &unknown).text(),
        browser.post("/api/login", &wrong).text()
    );
    let statuses: Vec<u16> = (0..4).map(|_| browser.post("/api/login", &wrong).status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    let refused = browser.post("/api/login", &json!({"user": "erika", "password": PASSWORD}));
    assert_eq!(refused.status, 429, "also with the right one");
    let seconds: u64 = refused.header("retry-after").expect("a time").parse().expect("a number");
    assert!(seconds <= 61);
    std::thread::sleep(Duration::from_secs(seconds.min(10)));
    let mut again = Browser::new(&desk);
    assert_eq!(again.enter("/api/login", &json!({"user": "erika", "password": PASSWORD})), 200);
}

#[test]
fn every_role_sees_and_does_what_it_may_and_no_more() {
    let mut desk = Desk::new(WEB);
    desk.start();
    let engineer = set_up(&desk);
    let operator = user(&desk, &engineer, "otto", "operator");
    let observer = user(&desk, &engineer, "oda", "observer");
    let nobody = Browser::new(&desk);
    // The rows hold what nobody, observer, operator and engineer get.
    let looks = [
        ("/", [200, 200, 200, 200]),
        ("/api/session", [200, 200, 200, 200]),
        ("/api/state", [401, 200, 200, 200]),
        ("/api/history", [401, 200, 200, 200]),
        ("/api/slots", [401, 200, 200, 200]),
        ("/api/drift", [401, 409, 409, 409]),
        ("/api/preview.jpg?part=999999", [401, 404, 404, 404]),
        ("/api/rejects/999999.jpg", [401, 404, 404, 404]),
        ("/api/rejects/..%2Fline.toml", [401, 404, 404, 404]),
        ("/api/day.csv", [401, 403, 200, 200]),
        ("/api/lines", [401, 403, 403, 200]),
        ("/api/records", [401, 403, 403, 200]),
        ("/api/records/..%2Fline.toml", [401, 403, 403, 404]),
        ("/api/pictures.tar", [401, 403, 403, 200]),
        ("/api/diagnosis.tar", [401, 403, 403, 200]),
        ("/api/users", [401, 403, 403, 200]),
        ("/users.json", [404, 404, 404, 404]),
        ("/../line.toml", [404, 404, 404, 404]),
    ];
    let all = [&nobody, &observer, &operator, &engineer];
    for (path, wanted) in looks {
        let found = all.map(|browser| browser.get(path).status);
        assert_eq!(found, wanted, "{path}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let changes = [
        ("/api/teach", json!({"part": 999_999}), [401, 403, 409, 409]),
        ("/api/teach", json!({"part": 999_999, "force": true}), [401, 403, 403, 409]),
        ("/api/undo", json!({"entry": 999_999}), [401, 403, 403, 409]),
        ("/api/acknowledge", json!({}), [401, 403, 200, 200]),
        ("/api/select", json!({"slot": 1, "digest": "00000000"}), [401, 403, 403, 409]),
        ("/api/prove", json!({"slot": 1}), [401, 403, 403, 409]),
        ("/api/install", json!({"slot": 1, "digest": "00000000"}), [401, 403, 403, 409]),
        ("/api/install", json!({"slot": 1, "digest": "0"}), [401, 403, 403, 400]),
        ("/api/upload", json!({}), [401, 403, 403, 403]),
        ("/api/upload/discard", json!({}), [401, 403, 403, 200]),
        ("/api/pulse", json!({}), [401, 403, 403, 409]),
        ("/api/drift", json!({"do": "learn"}), [401, 403, 403, 409]),
        (
            "/api/users",
            json!({"name": "x", "role": "king", "password": PASSWORD}),
            [401, 403, 403, 400],
        ),
        ("/api/users/delete", json!({"name": "x"}), [401, 403, 403, 404]),
        ("/api/state", json!({}), [405, 405, 405, 405]),
        ("/api/resume", json!({}), [404, 404, 404, 404]),
    ];
    for (path, body, wanted) in changes {
        let found = all.map(|browser| browser.post(path, &body).status);
        assert_eq!(found, wanted, "{path} {body}");
        std::thread::sleep(Duration::from_millis(250));
    }
    let may = |browser: &Browser| browser.get("/api/state").json()["may"].clone();
    assert_eq!(may(&observer), json!([]));
    assert_eq!(may(&operator), json!(["acknowledge", "safe", "teach", "undo"]));
    assert_eq!(
        may(&engineer),
        json!(["acknowledge", "safe", "teach", "teach_force", "undo", "select"])
    );
    assert_eq!(operator.post("/api/safe", &json!({})).status, 200);
    assert_eq!(desk.status().expect("a status")["state"], "safe");
}

#[test]
fn teaching_a_part_from_the_page_changes_the_next_verdict() {
    let mut desk = Desk::new(WEB);
    desk.start();
    let engineer = set_up(&desk);
    let rejected =
        || engineer.get("/api/state").json()["rejects"].as_array().cloned().unwrap_or_default();
    desk.wait("an archived reject", |_| rejected().iter().any(|part| part["picture"] == true));
    let part =
        rejected().iter().find(|part| part["picture"] == true).expect("a part")["part"].clone();
    let picture = engineer.get(&format!("/api/rejects/{part}.jpg"));
    assert_eq!((picture.status, &picture.body[..2]), (200, &[0xff, 0xd8][..]));
    let taught = engineer.post("/api/teach", &json!({"part": part, "force": true}));
    assert_eq!(taught.status, 200, "{}", taught.text());
    let entry = taught.json()["entry"].clone();
    let history = engineer.get("/api/history").json();
    assert_eq!(history["journal"][0]["who"], "erika, by hetmm-plant");
    let operator = user(&desk, &engineer, "otto", "operator");
    let may_undo =
        |browser: &Browser| browser.get("/api/history").json()["journal"][0]["may_undo"].clone();
    assert_eq!((may_undo(&engineer), may_undo(&operator)), (true.into(), false.into()));
    assert_eq!(operator.post("/api/undo", &json!({"entry": entry})).status, 403, "it is another's");
    // The four pictures come again and again; from now on all of them pass.
    let last = |count: usize| {
        let parts =
            engineer.get("/api/state").json()["parts"].as_array().cloned().unwrap_or_default();
        parts[parts.len().saturating_sub(count)..].iter().all(|part| part["outcome"] == "passed")
    };
    desk.wait("five passes in a row", |_| last(5));
    assert_eq!(engineer.post("/api/undo", &json!({"entry": entry})).status, 200);
    desk.wait("a reject again", |_| !last(5));
}

#[test]
fn events_and_pictures_reach_an_observer_without_a_password_if_that_is_wanted() {
    let mut desk = Desk::new(&format!("{WEB}anonymous_observer = true\n"));
    desk.start();
    let browser = Browser::new(&desk);
    assert_eq!(browser.get("/api/session").json()["role"], "observer");
    assert_eq!(browser.post("/api/logout", &json!({})).status, 403, "there is no session to end");
    let mut stream = TcpStream::connect(("127.0.0.1", desk.web)).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("sets");
    let ask = format!("GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", desk.web);
    stream.write_all(ask.as_bytes()).expect("writes");
    let (mut text, end) = (String::new(), Instant::now() + PATIENCE);
    while !["event: part", "event: status", "event: preview"]
        .iter()
        .all(|event| text.contains(event))
    {
        assert!(Instant::now() < end, "{text}");
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).expect("reads");
        text += &String::from_utf8_lossy(&bytes[..count]);
    }
    assert!(text.contains("text/event-stream"));
    desk.wait("a picture", |_| {
        let preview = browser.get("/api/state").json()["preview"].clone();
        let answer = browser.get(&format!("/api/preview.jpg?part={}", preview["part"]));
        answer.status == 200 && answer.body.starts_with(&[0xff, 0xd8])
    });
}

#[test]
fn requests_from_elsewhere_and_broken_ones_are_refused() {
    let mut desk = Desk::new(WEB);
    desk.start();
    let engineer = set_up(&desk);
    let (port, host) = (desk.web, format!("127.0.0.1:{}", desk.web));
    let get = |host: &str| request(port, "GET", "/api/session", &[("Host", host)], "").status;
    for (name, wanted) in [
        (&*host, 200),
        ("localhost", 200),
        ("cam1", 200),
        ("LOCALHOST:80", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("", 421),
    ] {
        assert_eq!(get(name), wanted, "{name}");
    }
    let twice =
        request(port, "GET", "/api/session", &[("Host", "localhost"), ("Host", "evil")], "");
    assert_eq!(twice.status, 421);
    let origin = format!("http://{host}");
    let good = [
        ("Host", &*host),
        ("Origin", &origin),
        ("Content-Type", "application/json"),
        ("Cookie", &engineer.cookie),
        ("X-Token", &engineer.token),
    ];
    let post = |headers: &[(&str, &str)], body: &str| {
        request(port, "POST", "/api/acknowledge", headers, body).status
    };
    assert_eq!(post(&good, "{}"), 200);
    let without =
        |name: &str| good.iter().copied().filter(|(key, _)| *key != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| {
        without(name).into_iter().chain([(name, value)]).collect::<Vec<_>>()
    };
    for (headers, wanted, what) in [
        (without("Origin"), 403, "no origin"),
        (with("Origin", "http://evil.example"), 403, "another origin"),
        (with("Origin", "null"), 403, "a hidden origin"),
        (with("Sec-Fetch-Site", "cross-site"), 403, "another site"),
        (with("Content-Type", "text/plain"), 403, "a form"),
        (without("X-Token"), 403, "no token"),
        (with("X-Token", "AAAA"), 403, "a wrong token"),
        (with("Cookie", "hetmm=AAAA"), 401, "an unknown session"),
    ] {
        assert_eq!(post(&headers, "{}"), wanted, "{what}");
    }
    std::thread::sleep(Duration::from_secs(2));
    let login = |body: &str| request(port, "POST", "/api/login", &good, body).status;
    assert_eq!(login("{"), 400);
    assert_eq!(login("[]"), 400);
    assert_eq!(login("{\"user\": 1}"), 400);
    assert_eq!(login(&format!("{{\"user\": \"{}\"}}", "x".repeat(70_000))), 413);
    let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(parse(&raw(port, head.as_bytes())).status, 431);
    let begun = Instant::now();
    raw(port, b"GET / HTTP/1.1\r\nHost:");
    assert!(begun.elapsed() < Duration::from_secs(10), "a slow head ends the connection");
    let headers = engineer.get("/").head.to_ascii_lowercase();
    for header in [
        "content-security-policy: default-src 'self'",
        "x-content-type-options: nosniff",
        "no-store",
    ] {
        assert!(headers.contains(header), "{header}\n{headers}");
    }
}

#[test]
fn too_many_connections_and_requests_get_503_and_the_others_go_on() {
    let mut desk = Desk::new(&format!("{WEB}max_connections = 8\nanonymous_observer = true\n"));
    desk.start();
    let browser = Browser::new(&desk);
    let held: Vec<TcpStream> =
        (0..8).map(|_| TcpStream::connect(("127.0.0.1", desk.web)).expect("connects")).collect();
    desk.wait("a full server", |_| browser.get("/api/state").status == 503);
    drop(held);
    desk.wait("a free place", |_| browser.get("/api/state").status == 200);
    let statuses: Vec<u16> = (0..120).map(|_| browser.get("/api/session").status).collect();
    assert!(statuses.contains(&503) && statuses.contains(&200));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(browser.get("/api/state").status, 200);
    let status = desk.status().expect("a status");
    assert_eq!(status["state"], "ready");
}
