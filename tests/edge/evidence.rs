//! Tests the chain of records and the signatures of templates, with the real program and with programs from outside:
//! Python's reader of tables, and `minisign`.

use super::*;

/// Returns the configuration with a chain of records, and with these further lines below `[template]`.
fn config(template: &str) -> String {
    CONFIG
        .replace("file = \"part.hetmm\"\n", &format!("file = \"part.hetmm\"\n{template}"))
        .replace("[records]\n", "[records]\nfolder = \"records\"\nmin_free_mib = 0\nsync_ms = 50\n")
}

impl Desk {
    fn records(&self, arguments: &[&str]) -> Output {
        let (task, options) = arguments.split_first().expect("a task");
        let mut command = Command::new(EDGE);
        command.args(["records", task]).arg(self.path("records")).args(options);
        command.output().expect("runs")
    }

    fn verify(&self) -> Output {
        let key = self.path("device.pub");
        self.records(&["verify", "--key", key.to_str().expect("text")])
    }

    /// Returns the files of the chain, the oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("records")).expect("reads");
        let paths = entries.map(|entry| entry.expect("reads").path());
        let mut paths: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
        paths.sort();
        paths
    }

    fn chain(&self) -> Vec<Value> {
        let texts = self.segments().into_iter().map(|p| std::fs::read_to_string(p).expect("reads"));
        let text: String = texts.collect();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn of_kind(&self, kind: &str) -> Vec<Value> {
        self.chain().into_iter().filter(|line| line["kind"] == kind).collect()
    }
}

/// Reads the table with Python's reader, which is not ours.
fn rows_by_python(table: &[u8]) -> Vec<Value> {
    let program = "import csv, json, sys, io\n\
        text = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8', newline='')\n\
        print(json.dumps(list(csv.DictReader(text, strict=True))))";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    child.stdin.take().expect("a pipe").write_all(table).expect("writes");
    let out = child.wait_with_output().expect("ends");
    assert!(out.status.success());
    serde_json::from_slice(&out.stdout).expect("JSON")
}

#[test]
fn every_part_has_a_line_that_says_what_was_done_and_the_table_shows_it() {
    let desk = Desk::new(&config(""));
    let defect = picture("missing-screw", 0);
    desk.replay(&[
        (0, Some(&good()[0]), 0),
        (400_000, Some(&defect), 1_000),
        (1_400_000, Some(&good()[1]), 0),
        (1_410_000, Some(&good()[2]), 0),
        (2_600_000, None, 0),
    ]);
    let out = desk.verify();
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert!(stderr(&out).contains("good: nothing was changed"));
    let parts = desk.of_kind("part");
    assert_eq!(parts.len(), 5);
    let bytes = std::fs::read(desk.path("part.hetmm")).expect("reads");
    let digest = blake3::hash(&bytes).to_hex().to_string();
    let edges = desk.lines("edges.jsonl");
    let plain = desk.lines("parts.jsonl");
    for (part, plain) in parts.iter().zip(&plain) {
        for key in ["part", "outcome", "why", "score", "threshold", "gate_us", "regions"] {
            assert_eq!(part[key], plain[key], "{key}");
        }
        let line = if part["outcome"] == "passed" { "ok" } else { "ng" };
        let gate = &part["gate"];
        assert_eq!(gate["line"], line);
        // The pulse is one of the edges that were driven, with the same lateness.
        let edge =
            edges.iter().find(|edge| edge["line"] == line && edge["due_us"] == gate["due_us"]);
        let late =
            gate["at_us"].as_u64().expect("a time") - gate["due_us"].as_u64().expect("a time");
        let seen = edge.expect("an edge")["late_us"].as_u64().expect("a time");
        assert!(late.abs_diff(seen) <= 1, "{late} and {seen}");
        if part["score"].is_number() {
            assert_eq!(part["template"]["blake3"], digest.as_str());
            let moments = ["trigger_us", "exposure_us", "result_us", "gate_us"];
            let moments = moments.map(|key| part[key].as_u64().expect("a moment"));
            assert!(moments.is_sorted(), "{moments:?}");
        }
    }
    // The third and fourth part are too close, so their pulses merge.
    assert_eq!(parts[2]["gate"], parts[3]["gate"]);
    assert_ne!(parts[1]["gate"], parts[2]["gate"]);
    assert_eq!(plain.first().expect("a part").get("gate"), None, "records.file stays as it was");
    let start = desk.of_kind("start");
    assert_eq!((start.len(), &start[0]["drives_outputs"]), (1, &Value::from(false)));
    assert_eq!(desk.of_kind("template")[0]["template"]["blake3"], digest.as_str());
    let pictures = desk.of_kind("picture");
    let picture = pictures.iter().find(|line| line["part"] == 2).expect("the defect is archived");
    let stem = picture["stem"].as_str().expect("a name");
    let file = std::fs::read(desk.path(&format!("archive/{stem}.png"))).expect("reads");
    assert_eq!(picture["blake3"], blake3::hash(&file).to_hex().as_str());

    let table = desk.records(&["export", "--csv"]);
    assert_eq!(table.status.code(), Some(0), "{}", stderr(&table));
    let rows = rows_by_python(&table.stdout);
    assert_eq!(rows.len(), 5);
    for (row, part) in rows.iter().zip(&parts) {
        for (column, value) in [
            ("seq", &part["seq"]),
            ("utc", &part["utc"]),
            ("outcome", &part["outcome"]),
            ("why", &part["why"]),
            ("score", &part["score"]),
            ("gate_pulse", &part["gate"]["pulse"]),
            ("device_serial", &part["device"]["serial"]),
        ] {
            let shown = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(row[column], shown.as_str(), "{column}");
        }
    }
    assert_eq!((&rows[1]["picture"], &rows[0]["picture"]), (&picture["stem"], &"".into()));
    let none = desk.records(&["export", "--csv", "--to", "2020-01-01"]);
    assert!(rows_by_python(&none.stdout).is_empty());

    let path = desk.segments().remove(0);
    let mut bytes = std::fs::read(&path).expect("reads");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).expect("writes");
    let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let out = desk.verify();
    assert_eq!(out.status.code(), Some(1));
    let named = |line: usize| stderr(&out).contains(&format!("line {line}:"));
    assert!(named(line) || named(line + 1), "{line}: {}", stderr(&out));
}

/// A limit on the length of files is a full disk that ends in the middle of a line.
#[test]
fn a_full_disk_costs_records_that_the_chain_counts_and_no_part() {
    let mut desk = Desk::new(&config(""));
    let log = std::fs::File::create(desk.path("log")).expect("creates");
    let line = desk.path("line.toml");
    // The signal that comes with such an error is ignored.
    let command = "trap '' XFSZ; exec \"$0\" --config \"$1\"";
    let child = Command::new("bash").args(["-c", command, EDGE]).arg(&line).stderr(log).spawn();
    desk.child = Some(child.expect("starts"));
    desk.wait_until_ready();
    let limit = |desk: &Desk, bytes: &str| {
        let id = desk.child.as_ref().expect("runs").id().to_string();
        let set =
            Command::new("prlimit").args([&format!("--fsize={bytes}:"), "--pid", &id]).status();
        assert!(set.expect("prlimit runs").success());
    };
    limit(&desk, "5000");
    let mut parts = 0_u64;
    let trigger = |parts: &mut u64| {
        assert_eq!(desk.ask("trigger")["outcome"], "passed", "{}", desk.log());
        *parts += 1;
    };
    let chain = |name: &str| desk.ask("status")["records"]["chain"][name].clone();
    while chain("lost").as_u64() < Some(3) {
        trigger(&mut parts);
        assert!(parts < 50, "the disk is never full");
    }
    assert!(chain("error").as_str().is_some_and(|why| why.contains("a record is lost")));
    limit(&desk, "unlimited");
    let lost = chain("lost").as_u64().expect("a number");
    trigger(&mut parts);
    assert_eq!(desk.stop(), 0);
    assert_eq!(desk.verify().status.code(), Some(0), "{}", stderr(&desk.verify()));
    let told: u64 =
        desk.of_kind("lost").iter().map(|line| line["disk"].as_u64().unwrap_or(0)).sum();
    assert_eq!(told, lost);
    assert_eq!(desk.of_kind("part").len() as u64 + lost, parts);
}

/// After each kill the chain is right, and the next start says what happened.
#[test]
fn killed_at_any_moment_the_chain_goes_on() {
    let mut desk = Desk::new(
        &config("")
            .replace("delay_us = 1000000", "delay_us = 300000")
            .replace("deadline_us = 900000", "deadline_us = 300000"),
    );
    let mut answered = 0;
    for round in 0..8_u64 {
        desk.start();
        desk.wait_until_ready();
        for _ in 0..2 {
            answered += u64::from(desk.ask("trigger")["outcome"].is_string());
        }
        std::thread::sleep(Duration::from_millis(100 + 3 * round));
        let mut child = desk.child.take().expect("runs");
        child.kill().expect("kills");
        child.wait().expect("ends");
        // What a power loss does to the newest line.
        if round % 2 == 1 {
            let path = desk.segments().pop().expect("a segment");
            let bytes = std::fs::read(&path).expect("reads");
            std::fs::write(&path, &bytes[..bytes.len() - 9 * round as usize]).expect("writes");
            assert_eq!(desk.verify().status.code(), Some(1), "a torn line is found");
        }
    }
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.stop(), 0);
    let out = desk.verify();
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert_eq!(desk.of_kind("recovered").len(), 8);
    assert_eq!(desk.of_kind("start").len(), 9);
    let parts = desk.of_kind("part").len() as u64;
    assert!(parts <= answered && parts + 4 >= answered, "{parts} of {answered}");
}

/// Returns whether `minisign` is installed, and says so if it is not. CI has to have it.
fn has_minisign() -> bool {
    let found = Command::new("minisign").arg("-v").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "apt-get install minisign");
    if !found {
        eprintln!("SKIPPED: minisign is not installed; no signature was tried");
    }
    found
}

/// Makes a key with `minisign`, and returns its public half as text.
fn make_key(desk: &Desk, name: &str) -> String {
    let made = Command::new("minisign")
        .args(["-G", "-W", "-p", &format!("{name}.pub"), "-s", &format!("{name}.key")])
        .current_dir(desk.folder.path())
        .output()
        .expect("minisign is installed: apt-get install minisign");
    assert!(made.status.success(), "{}", stderr(&made));
    let text = std::fs::read_to_string(desk.path(&format!("{name}.pub"))).expect("reads");
    text.lines().nth(1).expect("a key").to_owned()
}

fn sign(desk: &Desk, key: &str) {
    sign_file(desk, key, "part.hetmm");
}

fn sign_file(desk: &Desk, key: &str, file: &str) {
    let bytes = std::fs::read(desk.path(file)).expect("reads");
    let comment = format!("bracket 4711 blake3:{}", blake3::hash(&bytes).to_hex());
    let signed = Command::new("minisign")
        .args(["-S", "-s", &format!("{key}.key"), "-m", file, "-t", &comment])
        .current_dir(desk.folder.path())
        .output()
        .expect("runs");
    assert!(signed.status.success(), "{}", stderr(&signed));
}

fn with_keys(desk: &Desk, more: &str) {
    let key = make_key(desk, "ours");
    let text = config(&format!("keys = [\"{key}\"]\n{more}"));
    std::fs::write(desk.path("line.toml"), text).expect("writes");
}

#[test]
fn only_signed_templates_are_used_and_the_old_one_stays() {
    if !has_minisign() {
        return;
    }
    let mut desk = Desk::new(CONFIG);
    with_keys(&desk, "");
    let check = |desk: &Desk| {
        let out = desk.command().arg("--check").output().expect("runs");
        (out.status.code(), stderr(&out))
    };
    let (code, said) = check(&desk);
    assert!(code == Some(4) && said.contains("is not signed: there is no"), "{said}");
    make_key(&desk, "theirs");
    sign(&desk, "theirs");
    let (code, said) = check(&desk);
    assert!(code == Some(4) && said.contains("unknown key"), "{said}");
    sign(&desk, "ours");
    let (code, said) = check(&desk);
    assert!(code == Some(0) && said.contains("signed by key"), "{said}");
    assert!(said.contains("as \"bracket 4711\""), "{said}");
    desk.start();
    let status = desk.wait_until_ready();
    assert_eq!(status["template"]["identity"]["name"], "bracket 4711");
    let used = status["template"]["identity"]["blake3"].clone();
    // Another file under the same name is refused until it is signed.
    let part = desk.path("part.hetmm");
    let ruled = Command::new(env!("CARGO_BIN_EXE_hetmm"))
        .args(["rules", "--min-area", "40px"])
        .arg(&part)
        .output()
        .expect("runs");
    assert!(ruled.status.success(), "{}", stderr(&ruled));
    let refused = |status: &Value| status["template"]["refused"].is_string();
    let status = desk.wait_for("the refusal", refused);
    assert!(status["template"]["refused"].as_str().is_some_and(|w| w.contains("not for this")));
    assert_eq!(
        (&status["template"]["identity"]["blake3"], &status["state"]),
        (&used, &"ready".into())
    );
    sign(&desk, "ours");
    let is_taken = |status: &Value| status["template"]["identity"]["blake3"] != used;
    let status = desk.wait_for("the signed file", is_taken);
    assert!(!refused(&status), "{status}");
    let teach = desk.ask("teach 1");
    assert!(teach["error"].is_string());
    assert_eq!(desk.stop(), 0);
    assert_eq!(desk.of_kind("template").len(), 2);
    assert_eq!(desk.of_kind("template_refused").len(), 1);
}

#[test]
fn the_device_signs_what_it_was_taught_only_if_it_may_and_only_on_a_signed_base() {
    if !has_minisign() {
        return;
    }
    let mut desk = Desk::new(CONFIG);
    std::fs::copy(picture("scratch", 0), desk.path("pictures/0.png")).expect("copies");
    for i in 1..4 {
        std::fs::remove_file(desk.path(&format!("pictures/{i}.png"))).expect("removes");
    }
    with_keys(&desk, "");
    sign(&desk, "ours");
    let base = std::fs::read(desk.path("part.hetmm")).expect("reads");
    let reject = |desk: &Desk| {
        let part = desk.ask("trigger");
        assert_eq!(part["why"], "defect", "{part}");
        desk.wait_for("the picture", |s| s["records"]["pictures_written"] != 0);
    };
    desk.start();
    desk.wait_until_ready();
    reject(&desk);
    let refused = desk.ask("teach 1 --force");
    assert!(
        refused["error"].as_str().is_some_and(|e| e.contains("device_signs = false")),
        "{refused}"
    );
    assert_eq!(desk.stop(), 0);
    assert_eq!(std::fs::read(desk.path("part.hetmm")).expect("reads"), base);

    let text = std::fs::read_to_string(desk.path("line.toml")).expect("reads");
    let signs = text.replace("[trigger]", "device_signs = true\n[trigger]");
    std::fs::write(desk.path("line.toml"), signs).expect("writes");
    desk.start();
    desk.wait_until_ready();
    reject(&desk);
    let taught = desk.ask("teach 1 --force");
    assert_eq!(taught["passes"], true, "{taught}");
    let status = desk.ask("status");
    let identity = &status["template"]["identity"];
    assert_eq!(identity["journal"], 1);
    assert_eq!(identity["base_blake3"], blake3::hash(&base).to_hex().as_str());
    assert_eq!(identity["name"], "bracket 4711");
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert_eq!(desk.stop(), 0);
    // `minisign` accepts the device's signature, and the device accepts it at its next start.
    let bytes = std::fs::read(desk.path("part.hetmm")).expect("reads");
    let digest = blake3::hash(&bytes).to_hex().to_string();
    let signature = format!("part.hetmm.{}.minisig", &digest[..16]);
    let seen = Command::new("minisign")
        .args(["-V", "-p", "device.pub", "-m", "part.hetmm", "-x", &signature])
        .current_dir(desk.folder.path())
        .output()
        .expect("runs");
    assert!(seen.status.success(), "{}", stderr(&seen));
    assert!(String::from_utf8_lossy(&seen.stdout).contains(&digest));
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("undo")["entries"], Value::from(vec![1]));
    assert_eq!(std::fs::read(desk.path("part.hetmm")).expect("reads"), base);
    assert!(!desk.path(&signature).exists(), "a signature for nothing is removed");
    assert_eq!(desk.stop(), 0);
    // The device does not sign what was inserted elsewhere, without a signed base.
    std::fs::write(desk.path("part.hetmm"), &bytes).expect("writes");
    let out = desk.command().arg("--check").output().expect("runs");
    assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
    for kind in ["teach", "undo"] {
        assert_eq!(desk.of_kind(kind).len(), 1, "{kind}");
    }
    assert_eq!(desk.verify().status.code(), Some(0), "{}", stderr(&desk.verify()));
}

#[test]
fn an_uploaded_template_brings_its_signature_and_a_foreign_key_is_refused() {
    if !has_minisign() {
        return;
    }
    let mut desk = Desk::new(CONFIG);
    with_keys(&desk, "inbox = \"inbox\"\nslots = { 1 = \"part.hetmm\" }\n");
    make_key(&desk, "theirs");
    sign(&desk, "ours");
    let old = std::fs::read(desk.path("part.hetmm.minisig")).expect("reads");
    desk.start();
    desk.wait_until_ready();
    std::fs::create_dir(desk.path("inbox")).expect("makes");
    let upload = desk.path("inbox/upload.hetmm");
    std::fs::copy(desk.path("part.hetmm"), &upload).expect("copies");
    let ruled = Command::new(env!("CARGO_BIN_EXE_hetmm"))
        .args(["rules", "--min-area", "3px"])
        .arg(&upload)
        .output()
        .expect("runs");
    assert!(ruled.status.success(), "{}", stderr(&ruled));
    let digest = blake3::hash(&std::fs::read(&upload).expect("reads")).to_hex().to_string();
    let refused = |word: &str| {
        for request in ["prove".to_owned(), format!("install 1 --digest {digest}")] {
            let answer = desk.ask(&request);
            assert!(answer["error"].to_string().contains(word), "{answer}");
        }
    };
    refused("is not signed");
    sign_file(&desk, "theirs", "inbox/upload.hetmm");
    refused("unknown key");
    sign_file(&desk, "ours", "inbox/upload.hetmm");
    let new = std::fs::read(desk.path("inbox/upload.hetmm.minisig")).expect("reads");
    assert_eq!(desk.ask("prove")["candidate"]["identity"]["name"], "bracket 4711");
    let done = desk.ask(&format!("install 1 --digest {digest}"));
    assert_eq!(done["blake3"], digest.as_str(), "{done}");
    assert_eq!(std::fs::read(desk.path("part.hetmm.minisig")).expect("reads"), new);
    assert_eq!(std::fs::read_dir(desk.path("inbox")).expect("lists").count(), 0);
    assert_eq!(desk.stop(), 0);
    // Power was lost after the template was renamed, and before its signature was.
    std::fs::write(desk.path("part.hetmm.minisig"), &old).expect("writes");
    let by_digest = desk.path(&format!("part.hetmm.{}.minisig", &digest[..16]));
    assert_eq!(std::fs::read(&by_digest).expect("reads"), new);
    desk.start();
    let status = desk.wait_until_ready();
    assert_eq!(status["template"]["identity"]["blake3"], digest.as_str());
    assert_eq!(desk.stop(), 0);
    // Without that file, the old signature does not fit.
    std::fs::remove_file(&by_digest).expect("removes");
    let out = desk.command().arg("--check").output().expect("runs");
    assert!(stderr(&out).contains("not for this template"), "{}", stderr(&out));
}
