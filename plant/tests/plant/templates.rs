//! Tests what an engineer does with templates and files: comparing, selecting, uploading, and fetching.

use crate::desk::{Desk, demo, program, said_of};
use crate::http::{Answer, parse, raw};
use crate::web::{Browser, WEB, set_up};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

/// Makes a line with two slots, of which the second one has a template with region rules, and an inbox.
fn desk(more: &[(&str, &str)]) -> Desk {
    let desk = Desk::new(WEB);
    std::fs::copy(demo().join("part.hetmm"), desk.path("b.hetmm")).expect("copies");
    let changed = Command::new(program("hetmm"))
        .args(["rules", "--min-area", "3px"])
        .arg(desk.path("b.hetmm"))
        .output()
        .expect("runs");
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    std::fs::create_dir(desk.path("inbox")).expect("makes");
    let text = std::fs::read_to_string(desk.path("line.toml")).expect("reads");
    let slots = "file = \"part.hetmm\"\nslots = { 1 = \"part.hetmm\", 2 = \"b.hetmm\" }\ninbox = \"inbox\"\n";
    let pairs =
        [("file = \"part.hetmm\"\n", slots), ("\"login\"]", "\"login\", \"prove\", \"install\"]")];
    let text = pairs.iter().chain(more).fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    std::fs::write(desk.path("line.toml"), text).expect("writes");
    desk
}

fn digest(desk: &Desk, name: &str) -> String {
    blake3::hash(&std::fs::read(desk.path(name)).expect("reads")).to_hex().to_string()
}

fn used(desk: &Desk) -> Value {
    desk.status().expect("a status")["template"]["identity"]["blake3"].clone()
}

fn inbox(desk: &Desk) -> usize {
    std::fs::read_dir(desk.path("inbox")).expect("lists").count()
}

/// Returns the head of an upload, as the page sends it. `more` are further lines.
fn head(browser: &Browser, more: &str) -> String {
    let host = format!("127.0.0.1:{}", browser.port);
    format!(
        "POST /api/upload HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/octet-stream\r\n\
         Cookie: {}\r\nX-Token: {}\r\nConnection: close\r\n{more}\r\n",
        browser.cookie, browser.token
    )
}

fn upload(browser: &Browser, bytes: &[u8], more: &str) -> Answer {
    let length = format!("Content-Length: {}\r\n{more}", bytes.len());
    parse(&raw(browser.port, &[head(browser, &length).as_bytes(), bytes].concat()))
}

#[test]
fn a_template_is_compared_before_it_is_selected() {
    let mut desk = desk(&[]);
    desk.start();
    let engineer = set_up(&desk);
    let may = engineer.get("/api/state").json()["may"].as_array().expect("a list").clone();
    assert!(may.contains(&json!("prove")) && may.contains(&json!("install")), "{may:?}");
    let (first, second) = (digest(&desk, "part.hetmm"), digest(&desk, "b.hetmm"));
    let compared = engineer.post("/api/prove", &json!({"slot": 2}));
    assert_eq!(compared.status, 200, "{}", compared.text());
    let compared = compared.json();
    assert_eq!(compared["candidate"]["identity"]["blake3"], second.as_str());
    assert_eq!(compared["in_use"]["identity"]["blake3"], first.as_str());
    assert_eq!(
        (&compared["candidate"]["rules"], &compared["in_use"]["rules"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(used(&desk), first.as_str(), "nothing has changed");
    assert_eq!(engineer.post("/api/prove", &json!({"slot": 3})).status, 409);
    assert_eq!(engineer.post("/api/prove", &json!({})).status, 400);
    let select =
        |digest: &str| engineer.post("/api/select", &json!({"slot": 2, "digest": digest})).status;
    assert_eq!((select("0000"), select(&first), select(&second)), (400, 409, 200));
    assert_eq!(used(&desk), second.as_str());
    assert_eq!(desk.status().expect("a status")["state"], "ready");
}

#[test]
fn an_uploaded_template_is_checked_before_it_is_used_and_nothing_else_stays() {
    let mut desk = desk(&[]);
    std::fs::write(desk.path("inbox/incomplete-x"), "left by a power loss").expect("writes");
    std::fs::write(desk.path("inbox/upload.hetmm"), "never confirmed").expect("writes");
    desk.start();
    assert_eq!(inbox(&desk), 0, "what was left is removed");
    let engineer = set_up(&desk);
    let whole = std::fs::read(desk.path("b.hetmm")).expect("reads");
    let (first, second) = (digest(&desk, "part.hetmm"), digest(&desk, "b.hetmm"));
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for (bytes, word) in [
        (&b"no template"[..], "upload.hetmm"),
        (&b""[..], "upload.hetmm"),
        (&whole[..100_000], "upload.hetmm"),
        (&changed[..], "section"),
    ] {
        let refused = upload(&engineer, bytes, "");
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.text().contains(word), "{word}: {}", refused.text());
        assert_eq!(inbox(&desk), 0, "the inbox is emptied");
    }
    assert_eq!(upload(&engineer, b"x", "X-Signature: ?\r\n").status, 400);
    // A second upload has to wait for the first one, which is then given up by its client.
    let mut slow = TcpStream::connect(("127.0.0.1", desk.web)).expect("connects");
    slow.write_all(head(&engineer, "Content-Length: 100000\r\n").as_bytes()).expect("writes");
    slow.write_all(&whole[..50_000]).expect("writes");
    desk.wait("the first upload", |desk| inbox(desk) == 1);
    assert_eq!(upload(&engineer, b"x", "").status, 409);
    drop(slow);
    desk.wait("the end of the first upload", |desk| inbox(desk) == 0);
    // What is too long, or of unknown length, is refused before it is read.
    let long = parse(&raw(desk.web, head(&engineer, "Content-Length: 1073741825\r\n").as_bytes()));
    let unknown = head(&engineer, "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n";
    assert_eq!((long.status, parse(&raw(desk.web, unknown.as_bytes())).status), (413, 411));
    let found = upload(&engineer, &whole, "X-Signature: c2lnbmF0dXJl\r\n");
    assert_eq!(found.status, 200, "{}", found.text());
    assert_eq!(found.json()["candidate"]["identity"]["blake3"], second.as_str());
    assert_eq!(
        std::fs::read(desk.path("inbox/upload.hetmm.minisig")).expect("reads"),
        b"signature"
    );
    assert_eq!(engineer.post("/api/upload/discard", &json!({})).status, 200);
    assert_eq!((inbox(&desk), used(&desk)), (0, first.as_str().into()));
    let install =
        |digest: &str| engineer.post("/api/install", &json!({"slot": 1, "digest": digest})).status;
    assert_eq!(install(&second), 409, "nothing is there");
    assert_eq!(upload(&engineer, &whole, "").status, 200);
    assert_eq!((install(&first), install(&second)), (409, 200));
    assert_eq!((inbox(&desk), used(&desk)), (0, second.as_str().into()));
    assert_eq!(digest(&desk, "part.hetmm"), second);
    let passed = |desk: &Desk| desk.status().expect("a status")["counters"]["passed"].as_u64();
    let before = passed(&desk);
    desk.wait("parts that pass", |desk| passed(desk) > before);
}

#[test]
fn an_upload_leaves_room_for_records_and_pictures() {
    let mut desk = desk(&[("min_free_mib = 0", "min_free_mib = 1000000000")]);
    desk.start();
    let engineer = set_up(&desk);
    let refused = upload(&engineer, b"a template", "");
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(inbox(&desk), 0);
    // The check of the configuration finds out whether uploads can be written at all.
    let check = |code: i32, word: &str| {
        let checked = desk.run("hetmm-plant", &["--check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.code() == Some(code) && said.contains(word), "{said}");
    };
    check(0, "ok     uploads");
    std::fs::remove_dir(desk.path("inbox")).expect("removes");
    check(1, "WRONG  uploads");
}

#[test]
fn an_engineer_fetches_records_pictures_and_a_diagnosis() {
    let mut desk = desk(&[]);
    desk.start();
    let engineer = set_up(&desk);
    desk.wait("an archived picture", |desk| {
        let rejected = std::fs::read_dir(desk.path("archive")).into_iter().flatten().flatten();
        rejected
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .any(|name| name.ends_with("-defect.json"))
    });
    let listed = |bytes: &[u8]| {
        let said = said_of(Command::new("tar").args(["-t", "-f", "-"]), bytes);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("text")
    };
    let pictures = engineer.get("/api/pictures.tar");
    let names = listed(&pictures.body);
    assert!(names.contains("-defect.png") && names.contains("-defect.map.png"), "{names}");
    assert!(!names.contains("-passed"), "{names}");
    let diagnosis = engineer.get("/api/diagnosis.tar").body;
    let names = listed(&diagnosis);
    for name in [
        "status.json",
        "history.json",
        "lines.json",
        "slots.json",
        "parts.json",
        "metrics.txt",
        "line.toml",
        "versions.json",
    ] {
        assert!(names.contains(name), "{name}: {names}");
    }
    let said =
        said_of(Command::new("tar").args(["-x", "-O", "-f", "-", "status.json"]), &diagnosis);
    let status: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    assert!(status["counters"]["triggers"].as_u64() > Some(0));
    // After the end of the device, its records are complete. What was fetched is verified as they would be.
    assert_eq!(Desk::stop(&mut desk.edge), Some(0));
    let segments =
        engineer.get("/api/records").json()["segments"].as_array().expect("a list").clone();
    assert_eq!(segments.len(), 1, "{segments:?}");
    let name = segments[0]["name"].as_str().expect("a name").to_owned();
    let segment = engineer.get(&format!("/api/records/{name}"));
    assert!(segment.header("content-disposition").is_some_and(|value| value.contains(&name)));
    assert_eq!(segment.body.len() as u64, segments[0]["bytes"].as_u64().expect("a number"));
    let copy = desk.path("copy");
    std::fs::create_dir(&copy).expect("makes");
    std::fs::write(copy.join(&name), &segment.body).expect("writes");
    let verified = Command::new(program("hetmm-edge"))
        .args(["records", "verify"])
        .arg(&copy)
        .output()
        .expect("runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert_eq!(engineer.get("/api/records/evidence-000000999999.jsonl").status, 404);
}
