//! Tests slots for templates in the real program: selecting, what follows the selection, and what survives a restart.

use super::*;
use serde_json::json;

/// Makes a desk with a chain of records and two slots. The template of the second one has other bytes.
fn desk() -> Desk {
    let desk = Desk::new(
        &CONFIG
            .replace(
                "file = \"part.hetmm\"\n",
                "file = \"part.hetmm\"\nslots = { 1 = \"part.hetmm\", 2 = \"b.hetmm\" }\n",
            )
            .replace("[records]\n", "[records]\nfolder = \"records\"\nmin_free_mib = 0\n"),
    );
    std::fs::copy(template(), desk.path("b.hetmm")).expect("copies");
    let changed = Command::new(env!("CARGO_BIN_EXE_hetmm"))
        .args(["rules", "--min-area", "3px"])
        .arg(desk.path("b.hetmm"))
        .output()
        .expect("runs");
    assert!(changed.status.success(), "{}", stderr(&changed));
    assert_ne!(digest(&desk.path("b.hetmm")), digest(&desk.path("part.hetmm")));
    desk
}

fn digest(file: &Path) -> String {
    blake3::hash(&std::fs::read(file).expect("reads")).to_hex().to_string()
}

fn chain(desk: &Desk, kind: &str) -> Vec<Value> {
    let entries = std::fs::read_dir(desk.path("records")).expect("reads");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("reads").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let texts = files.iter().map(|path| std::fs::read_to_string(path).expect("reads"));
    let text: String = texts.collect();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["kind"] == kind).collect()
}

#[test]
fn the_selected_slot_is_used_recorded_taught_and_kept() {
    let mut desk = desk();
    std::fs::copy(picture("scratch", 0), desk.path("pictures/0.png")).expect("copies");
    desk.start();
    let status = desk.wait_until_ready();
    assert_eq!(status["template"]["slot"], 1, "template.file is in slot 1");
    let first = desk.ask("trigger");
    assert_eq!(first["why"], "defect");
    desk.wait_for("the picture", |s| s["records"]["pictures_written"] == 1);
    let second = digest(&desk.path("b.hetmm"));
    let done = desk.ask(&format!("select 2 --digest {}", &second[..12]));
    assert!(done["done"].is_string() && done["blake3"] == second.as_str(), "{done}");
    let template = desk.ask("status")["template"].clone();
    assert_eq!((&template["slot"], &template["identity"]["slot"]), (&2.into(), &2.into()));
    assert!(template["file"].as_str().is_some_and(|file| file.ends_with("b.hetmm")), "{template}");
    let slots = desk.ask("slots")["slots"].clone();
    let active = |at: usize| slots[at]["active"].as_bool();
    assert_eq!((active(0), active(1)), (Some(false), Some(true)), "{slots}");
    assert_eq!(slots[1]["blake3"], second.as_str());
    // The part was inspected with slot 1, so it says nothing about slot 2.
    let before = [digest(&desk.path("part.hetmm")), second];
    let refused = desk.ask("teach 1 --force");
    let why = refused["error"].as_str().unwrap_or_default();
    assert!(why.contains("compared with slot 1, and slot 2 is selected"), "{refused}");
    while desk.ask("trigger")["outcome"] != "rejected" {}
    desk.wait_for("the picture", |s| s["records"]["pictures_written"] == 2);
    let part = desk.ask("status")["counters"]["triggers"].clone();
    let taught = desk.ask(&format!("teach {part} --force"));
    assert!(taught["done"].is_string(), "{taught}");
    let after = [digest(&desk.path("part.hetmm")), digest(&desk.path("b.hetmm"))];
    assert!(after[0] == before[0] && after[1] != before[1], "only slot 2 has learned");
    assert_eq!(desk.ask("history")["journal"].as_array().map(Vec::len), Some(1));
    assert_eq!(desk.stop(), 0);
    let selected = chain(&desk, "select");
    assert_eq!(selected.len(), 1);
    assert_eq!(
        (&selected[0]["slot"], &selected[0]["blake3"]),
        (&2.into(), &before[1].as_str().into())
    );
    assert!(selected[0]["who"].as_str().is_some_and(|who| who.contains("user ")), "{selected:?}");
    let used: Vec<Value> =
        chain(&desk, "part").iter().map(|line| line["template"]["slot"].clone()).collect();
    assert_eq!(used[0], 1);
    assert!(used.len() > 1 && used[1..].iter().all(|slot| *slot == 2), "{used:?}");
    desk.start();
    assert_eq!(desk.wait_until_ready()["template"]["slot"], 2, "after a restart");
    assert!(desk.ask("undo")["done"].is_string());
    assert_eq!(digest(&desk.path("b.hetmm")), before[1], "slot 2 is as before");
    assert_eq!(desk.stop(), 0);
}

#[test]
fn what_is_refused_leaves_the_slot_and_check_looks_at_all_of_them() {
    let mut desk = desk();
    let checked = desk.command().arg("--check").output().expect("runs");
    let words = stderr(&checked);
    assert_eq!(checked.status.code(), Some(0), "{words}");
    for expected in [
        "ok    template of slot 1:",
        "ok    template of slot 2:",
        "ok    selected template: slot 1",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    desk.start();
    desk.wait_until_ready();
    let refused = |arguments: &[&str]| {
        let out = desk.command().args(arguments).output().expect("runs");
        assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
        let answer: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        answer["error"].as_str().expect("a reason").to_owned()
    };
    assert!(refused(&["select", "2", "--digest", "00000000"]).contains("00000000 is expected"));
    assert!(refused(&["select", "3"]).contains("no slot 3"));
    std::fs::write(desk.path("b.hetmm"), b"nothing").expect("writes");
    assert!(refused(&["select", "2"]).contains("b.hetmm"));
    assert_eq!(desk.ask("status")["template"]["slot"], 1);
    assert!(!desk.path("part.hetmm.slot").exists(), "nothing was selected");
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    let usage = desk.command().args(["select", "2", "--digest", "0000000"]).output().expect("runs");
    assert_eq!(usage.status.code(), Some(2), "seven digits are too few");
    assert_eq!(desk.stop(), 0);
    let checked = desk.command().arg("--check").output().expect("runs");
    assert_eq!(checked.status.code(), Some(4), "{}", stderr(&checked));
    assert!(stderr(&checked).contains("WRONG template of slot 2: "), "{}", stderr(&checked));
    std::fs::write(desk.path("part.hetmm.slot"), b"hetmm-edge slot 2\n").expect("writes");
    desk.start();
    let template = desk.wait_until_ready()["template"].clone();
    assert_eq!(template["slot"], 1);
    assert!(template["selection_error"].to_string().contains("damaged"), "{template}");
    assert!(desk.log().contains("part.hetmm is used"), "{}", desk.log());
    assert_eq!(desk.stop(), 0);
}

/// Each product has its own reference for drift.
#[test]
fn every_slot_has_a_drift_state_of_its_own() {
    let mut desk = desk();
    let config = std::fs::read_to_string(desk.path("line.toml")).expect("reads");
    let drift = "[drift]\nwatch = true\nfile = \"drift.json\"\nblock_s = 1\nblock_parts = 3\n";
    std::fs::write(desk.path("line.toml"), format!("{config}{drift}")).expect("writes");
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    desk.wait_for("a state", |_| desk.path("drift.json.slot1").exists());
    let decisions = || desk.ask("drift status")["decisions"].as_array().map(Vec::len);
    assert!(desk.ask("drift learn")["done"].is_string());
    assert_eq!(decisions(), Some(1));
    assert!(desk.ask("select 2")["done"].is_string());
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    desk.wait_for("the other state", |_| desk.path("drift.json.slot2").exists());
    assert_eq!(decisions(), Some(0), "nobody has decided anything about slot 2");
    assert!(desk.ask("select 1")["done"].is_string());
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    desk.wait_for("the first state", |_| decisions() == Some(1));
    assert_eq!(desk.stop(), 0);
    let told = chain(&desk, "drift_learn");
    assert_eq!(told.len(), 1);
    assert!(told[0]["who"].as_str().is_some_and(|who| who.contains("user ")), "{told:?}");
    assert!(told[0]["warnings"].is_array(), "{told:?}");
}

/// Puts a template into the inbox, as `hetmm-plant` does.
fn upload(desk: &Desk, bytes: &[u8]) {
    std::fs::create_dir_all(desk.path("inbox")).expect("makes");
    std::fs::write(desk.path("inbox/upload.hetmm"), bytes).expect("writes");
}

#[test]
fn an_uploaded_template_is_compared_first_and_comes_into_a_slot_when_its_digest_is_named() {
    let mut desk = desk();
    let config = std::fs::read_to_string(desk.path("line.toml")).expect("reads");
    let with_inbox =
        config.replace("file = \"part.hetmm\"\n", "file = \"part.hetmm\"\ninbox = \"inbox\"\n");
    std::fs::write(desk.path("line.toml"), with_inbox).expect("writes");
    std::fs::copy(picture("scratch", 0), desk.path("pictures/0.png")).expect("copies");
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("prove 2")["archived"], json!({"judged": 0, "changed": 0, "parts": []}));
    let first_part = desk.ask("trigger");
    assert_eq!(first_part["why"], "defect");
    desk.wait_for("the picture", |s| s["records"]["pictures_written"] == 1);
    let compared = desk.ask("prove 2");
    assert_eq!(compared["archived"]["judged"], 1, "{compared}");
    assert_eq!(compared["archived"]["changed"], 0, "a scratch is larger than three pixels");
    let (second, first) = (digest(&desk.path("b.hetmm")), digest(&desk.path("part.hetmm")));
    assert_eq!(compared["candidate"]["identity"]["blake3"], second.as_str());
    assert_eq!(compared["in_use"]["identity"]["blake3"], first.as_str());
    assert_eq!(
        (&compared["candidate"]["rules"], &compared["in_use"]["rules"]),
        (&true.into(), &false.into())
    );
    for side in ["candidate", "in_use"] {
        let has = |key: &str| compared[side][key].as_f64().is_some_and(|number| number > 0.0);
        assert!(
            has("threshold") && has("pictures") && has("smallest_defect_px") && has("probes"),
            "{compared}"
        );
    }
    assert_eq!(desk.ask("status")["template"]["slot"], 1, "nothing has changed");
    assert!(desk.ask("prove")["error"].to_string().contains("no template was uploaded"));
    // A template with a rule that no scratch is large enough for would let the archived part pass.
    std::fs::copy(desk.path("b.hetmm"), desk.path("kept.hetmm")).expect("copies");
    let ruled = Command::new(env!("CARGO_BIN_EXE_hetmm"))
        .args(["rules", "--min-area", "90000px"])
        .arg(desk.path("b.hetmm"))
        .output()
        .expect("runs");
    assert!(ruled.status.success(), "{}", stderr(&ruled));
    let archived = desk.ask("prove 2")["archived"].clone();
    assert_eq!((&archived["judged"], &archived["changed"]), (&1.into(), &1.into()), "{archived}");
    let part = &archived["parts"][0];
    assert_eq!(
        (&part["part"], &part["passed"], &part["passes"]),
        (&1.into(), &false.into(), &true.into())
    );
    std::fs::rename(desk.path("kept.hetmm"), desk.path("b.hetmm")).expect("renames");
    // What is refused changes nothing, and the answer names what is damaged.
    let whole = std::fs::read(desk.path("b.hetmm")).expect("reads");
    let install = |slot: u8, digest: &str| desk.ask(&format!("install {slot} --digest {digest}"));
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for (bytes, word) in [
        (&b"no template"[..], "upload.hetmm"),
        (&whole[..1000], "upload.hetmm"),
        (&changed[..], "section"),
    ] {
        upload(&desk, bytes);
        for answer in [desk.ask("prove"), install(1, &second[..8])] {
            assert!(answer["error"].to_string().contains(word), "{answer}");
        }
    }
    // The user of the other program may put anything there. Nobody waits for it, or reads it without end.
    let file = desk.path("inbox/upload.hetmm");
    std::fs::remove_file(&file).expect("removes");
    assert!(Command::new("mkfifo").arg(&file).status().expect("runs").success());
    assert!(desk.ask("prove")["error"].to_string().contains("not a regular file"));
    std::fs::remove_file(&file).expect("removes");
    std::fs::File::create(&file).expect("makes").set_len((1 << 30) + 1).expect("is sparse");
    assert!(desk.ask("prove")["error"].to_string().contains("more than 1073741824"));
    upload(&desk, &whole);
    assert_eq!(desk.ask("prove")["candidate"]["identity"]["blake3"], second.as_str());
    assert!(install(1, &first[..8])["error"].to_string().contains("is expected"));
    assert!(install(3, &second)["error"].to_string().contains("no slot 3"));
    assert_eq!(digest(&desk.path("part.hetmm")), first, "slot 1 is as before");
    assert_eq!(desk.ask("status")["template"]["identity"]["blake3"], first.as_str());
    let done = install(1, &second);
    assert_eq!((&done["slot"], &done["blake3"]), (&1.into(), &second.as_str().into()), "{done}");
    assert_eq!(digest(&desk.path("part.hetmm")), second);
    assert_eq!(desk.ask("status")["template"]["identity"]["blake3"], second.as_str());
    assert!(!desk.path("inbox/upload.hetmm").exists(), "the inbox is empty");
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert_eq!(desk.stop(), 0);
    let installed = chain(&desk, "install");
    assert_eq!(installed.len(), 1);
    assert_eq!(
        (&installed[0]["slot"], &installed[0]["blake3"]),
        (&1.into(), &second.as_str().into())
    );
    assert!(chain(&desk, "template_refused").len() >= 3, "what was refused is recorded");
}
