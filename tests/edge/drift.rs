//! Tests the drift watch in the real program, and with real pictures that become darker and less sharp.

use super::{CONFIG, Desk, demo, good, picture, template};
use hetmm::backbone::ExtractorOptions;
use hetmm::clock::LineTime;
use hetmm::image::{Appearance, Picture, Samples, read};
use hetmm::inspection::Pipeline;
use hetmm::line::drift::{Notice, Sample, Settings, Watch};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WATCH: &str = "[drift]\nwatch = true\nfile = \"drift.json\"\nblock_s = 1\nblock_parts = 3\n";

/// Makes a desk whose line sees good parts and defects in turn.
fn desk(drift: &str) -> Desk {
    let outputs = if drift.is_empty() { "" } else { "warning = { line = 4 }\n" };
    let config = CONFIG.replace("ok = { line = 3 }\n", &format!("ok = {{ line = 3 }}\n{outputs}"));
    let desk = Desk::new(&format!("{config}{drift}"));
    for number in [1, 3] {
        let to = desk.path(&format!("pictures/{number}.png"));
        std::fs::copy(picture("scratch", 0), to).expect("copies");
    }
    desk
}

/// Changes a kept state as `change` says, and makes its digest right.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let text = std::fs::read_to_string(path).expect("a state");
    let mut file: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    change(&mut file["state"]);
    let line = file.to_string();
    let digest = blake3::hash(line.as_bytes()).to_hex();
    std::fs::write(path, format!("{line}\n{digest}\n")).expect("writes");
}

/// Lets the program begin its state, and makes it a state that has learned and warns of darkness.
fn make_it_warn(desk: &mut Desk) {
    desk.start();
    desk.wait_until_ready();
    desk.ask("trigger");
    desk.wait_for("a state", |_| desk.path("drift.json").exists());
    assert_eq!(desk.ask("drift status")["state"], "learning");
    assert_eq!(desk.stop(), 0);
    edit(&desk.path("drift.json"), |state| {
        let usual = |centre: f64| json!({"centre": centre, "sigma": 0.01, "lag1": 0.2});
        let series = [usual(-1.0), usual(0.9), usual(-1.0), usual(0.0)];
        state["phase"] = json!({"watching": {"series": series}});
        state["charts"][2] = json!({"sum": 27.0, "warns": true});
    });
}

#[test]
fn a_warning_shows_at_the_output_and_in_the_status_until_it_is_accepted() {
    let mut desk = desk(WATCH);
    make_it_warn(&mut desk);
    desk.start();
    desk.wait_until_ready();
    let status = desk.wait_for("a warning", |s| s["drift"]["state"] == "warning");
    assert_eq!(status["drift"]["warnings"], json!(["pictures are darker than usual"]));
    assert_eq!(status["faults"], json!([]), "drift is no fault");
    desk.wait_for("the output", |_| {
        desk.lines("edges.jsonl").iter().any(|e| e["line"] == "warning")
    });
    let full = desk.ask("drift status");
    assert_eq!(full["charts"][2]["chart"], "brightness_down");
    assert_eq!(full["reference"][0]["lag1"], 0.2);
    assert!(full["false_alarms_a_year"].is_number(), "{full}");
    let accepted = desk.ask("drift accept");
    assert!(accepted["done"].is_string() && accepted["before"]["state"] == "warning", "{accepted}");
    let status = desk.wait_for("learning", |s| s["drift"]["state"] == "learning");
    assert_eq!(status["drift"]["warnings"], json!([]));
    desk.wait_for("the output", |_| {
        desk.lines("edges.jsonl").iter().any(|e| e["line"] == "warning" && e["active"] == false)
    });
    let out = desk.command().args(["drift", "accept"]).output().expect("runs");
    assert_eq!(out.status.code(), Some(1));
    let refused: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(refused["error"].as_str().is_some_and(|e| e.contains("nothing can be accepted")));
    assert!(desk.ask("drift learn")["done"].is_string());
    assert_eq!(desk.stop(), 0);
    // What was decided is there after the next start.
    desk.start();
    desk.wait_until_ready();
    let decisions = desk.ask("drift status")["decisions"].clone();
    assert_eq!(decisions[0]["accepted"], true);
    assert_eq!(decisions[0]["warned"], json!(["brightness_down"]));
    assert!(decisions[0]["who"].as_str().is_some_and(|who| who.contains("user ")), "{decisions}");
    assert_eq!(decisions[1]["accepted"], false);
    assert_eq!(desk.stop(), 0);
}

/// Has eight parts inspected, and returns what decides about each of them.
fn verdicts(desk: &Desk) -> Vec<Value> {
    let part = |_| {
        let record = desk.ask("trigger");
        assert!(record["score"].is_number(), "{record}");
        json!([
            record["outcome"],
            record["why"],
            record["score"],
            record["threshold"],
            record["verdict"],
            record["decided_by"],
            record["regions"]
        ])
    };
    (0..8).map(part).collect()
}

#[test]
fn verdicts_and_template_are_the_same_with_a_warning_and_without_a_watch() {
    let mut plain = desk("");
    plain.start();
    plain.wait_until_ready();
    assert_eq!(plain.ask("status")["drift"], json!({"state": "off"}));
    assert!(plain.ask("drift status")["error"].to_string().contains("drift.watch = false"));
    let expected = verdicts(&plain);
    assert_eq!(plain.stop(), 0);
    let outcomes: Vec<&Value> = expected.iter().map(|verdict| &verdict[0]).collect();
    assert_eq!(outcomes[..4], ["passed", "rejected", "passed", "rejected"]);
    let mut watched = desk(WATCH);
    let before = std::fs::read(watched.path("part.hetmm")).expect("reads");
    make_it_warn(&mut watched);
    watched.start();
    watched.wait_until_ready();
    watched.wait_for("a warning", |s| s["drift"]["state"] == "warning");
    assert_eq!(verdicts(&watched), expected);
    assert_eq!(watched.ask("status")["drift"]["state"], "warning");
    assert_eq!(watched.stop(), 0);
    assert_eq!(std::fs::read(watched.path("part.hetmm")).expect("reads"), before);
}

#[test]
fn a_state_that_cannot_be_used_costs_what_was_learned_and_nothing_else() {
    let mut desk = desk(WATCH);
    std::fs::write(desk.path("drift.json"), "{\"hetmm_drift\":1}\nnothing\n").expect("writes");
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert_eq!(desk.ask("drift status")["state"], "learning");
    assert_eq!(desk.stop(), 0);
    assert!(
        desk.log().contains("its digest is wrong; the drift watch learns anew"),
        "{}",
        desk.log()
    );
    // A folder that has vanished costs the file.
    let lost = WATCH.replace("drift.json", "nowhere/drift.json");
    let mut desk = self::desk(&lost);
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert!(
        desk.wait_for("a part", |_| desk.ask("drift status")["writes_failed"] != 0).is_object()
    );
    assert_eq!(desk.stop(), 0);
}

/// Holds what real pictures show at one moment of a slow change: ln(score) and appearance of each picture.
struct Moment {
    hour: f64,
    scores: Vec<f64>,
    looks: Vec<Appearance>,
}

/// Returns a picture as it looks with so much of the light, through a lens that blurs by a box of `2 r + 1` pixels of
/// which the outermost count by a share.
fn changed(picture: &Picture, light: f64, radius: f64) -> Picture {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let Samples::Eight(samples) = &picture.samples else { panic!("8 bits") };
    let mut values: Vec<f64> = samples.iter().map(|v| f64::from(*v) * light).collect();
    let reach = radius.ceil() as isize;
    let weight = |at: isize| (radius + 1.0 - at.unsigned_abs() as f64).clamp(0.0, 1.0);
    for (length, step) in [(width, 3), (height, 3 * width)] {
        let old = values.clone();
        for (at, value) in values.iter_mut().enumerate() {
            let place = at % (step * length) / step;
            let start = at - place * step;
            let (mut sum, mut weights) = (0.0, 0.0);
            for by in -reach..=reach {
                let other = (place as isize + by).clamp(0, length as isize - 1) as usize;
                sum += weight(by) * old[start + other * step];
                weights += weight(by);
            }
            *value = sum / weights;
        }
    }
    let samples = values.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    Picture { samples: Samples::Eight(samples), ..*picture }
}

/// Inspects good pictures at moments of a change.
fn moments(pipeline: &Pipeline, change: impl Fn(&Picture, f64) -> Picture) -> Vec<Moment> {
    let folder = demo().join("parts/test/good");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("reads").map(|e| e.expect("reads").path()).collect();
    files.sort();
    let pictures: Vec<Picture> = files.iter().map(|file| read(file).expect("reads")).collect();
    let moment = |step: u32| {
        let hour = 16.0 * f64::from(step);
        let see = |picture: &Picture| {
            let picture = change(picture, hour);
            let view = picture.view().expect("fits");
            let found = pipeline.inspect(&view, &|| Duration::ZERO).expect("inspects");
            let look = pipeline.appearance(&found.image).expect("pixels");
            (f64::from(found.scored.score).ln(), look)
        };
        let (scores, looks) = pictures.iter().map(see).unzip();
        Moment { hour, scores, looks }
    };
    (0..=6).map(moment).collect()
}

/// Gives endless numbers, always the same (splitmix64).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Returns nearly normal numbers of mean 0 and standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Returns the share of parts above `threshold` if ln(score) is normal.
fn rejects(scores: &[f64], threshold: f64) -> f64 {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let sigma = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n).sqrt();
    let z = (threshold - mean) / sigma.max(1e-9);
    // The normal distribution's tail (Abramowitz and Stegun, 26.2.17).
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = t
        * (0.319_381_53
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * poly;
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// Returns the hour at which the false rejects are twice those of the beginning.
fn doubled(moments: &[Moment], threshold: f64) -> f64 {
    let share = |moment: &Moment| rejects(&moment.scores, threshold);
    let twice = 2.0 * share(&moments[0]);
    let after = moments.iter().position(|moment| share(moment) >= twice);
    let Some(after) = after else { return f64::INFINITY };
    let (before, after) = (&moments[after - 1], &moments[after]);
    let (low, high) = (share(before), share(after));
    before.hour + (twice - low) / (high - low) * (after.hour - before.hour)
}

/// Plays a line that learns for a day and then changes: a part every ten seconds, each one of the pictures with a little
/// noise, and with light that fluctuates from block to block. Returns the hour of the change at which the watch warns.
fn hour_of_warning(moments: &[Moment], seed: u64) -> f64 {
    let (mut random, mut watch) = (Random(seed), Watch::new(Settings::default()));
    let (mut second, mut common) = (0_u64, 0.0);
    let learned = 25 * 3600;
    while second < learned + 96 * 3600 {
        if second % 600 == 0 {
            common = 0.5 * common + 0.866 * random.normal();
        }
        second += 10;
        let hour = (second as f64 - learned as f64).max(0.0) / 3600.0;
        let after = moments.iter().position(|m| m.hour > hour).unwrap_or(moments.len() - 1);
        let (low, high) = (&moments[after - 1], &moments[after]);
        let share = ((hour - low.hour) / (high.hour - low.hour)).min(1.0);
        let which = (random.uniform() * low.scores.len() as f64) as usize % low.scores.len();
        let mix = |low: f64, high: f64| low + share * (high - low);
        let look = |of: fn(&Appearance) -> f32| {
            let value = mix(f64::from(of(&low.looks[which])), f64::from(of(&high.looks[which])));
            (value * (1.0 + 0.003 * common + 0.002 * random.normal())) as f32
        };
        let [brightness, sharpness, clipped] = [
            |a: &Appearance| a.brightness,
            |a: &Appearance| a.sharpness,
            |a: &Appearance| a.clipped,
        ]
        .map(look);
        let noise = 0.02 * common + 0.05 * random.normal();
        let score = (mix(low.scores[which], high.scores[which]) + noise).exp() as f32;
        let seen = Appearance { brightness, sharpness, clipped };
        let at = LineTime::from_nanos(0) + Duration::from_secs(second);
        let notices = watch.part(&Sample::new(at, score, 1.0, seen).expect("numbers"));
        if notices.iter().any(|notice| matches!(notice, Notice::Begins(_))) {
            return hour;
        }
    }
    f64::INFINITY
}

/// The figure to reach: in 95 % of the runs, the watch warns eight hours before the false rejects have doubled.
/// `HETMM_DRIFT_RUNS=200` plays the whole number of runs.
#[test]
fn real_pictures_that_change_slowly_are_warned_of_before_false_rejects_double() {
    let runs = std::env::var("HETMM_DRIFT_RUNS").map_or(20, |runs| runs.parse().expect("a number"));
    let pipeline = Pipeline::open(&template(), None, &ExtractorOptions::default()).expect("opens");
    let threshold = f64::from(pipeline.template().header().calibration.threshold).ln();
    assert!(!good().is_empty());
    let dimmed = |picture: &Picture, hour: f64| changed(picture, 0.995_f64.powf(hour), 0.0);
    let blurred = |picture: &Picture, hour: f64| changed(picture, 1.0, 0.004 * hour);
    for (what, moments) in
        [("dimmed", moments(&pipeline, dimmed)), ("blurred", moments(&pipeline, blurred))]
    {
        let doubled = doubled(&moments, threshold);
        let mut hours: Vec<f64> = (0..runs).map(|run| hour_of_warning(&moments, run)).collect();
        hours.sort_by(f64::total_cmp);
        let early = hours.iter().filter(|hour| **hour > 0.0 && **hour + 8.0 <= doubled).count();
        let (first, middle) = (hours[0], hours[hours.len() / 2]);
        let last = hours[hours.len() - 1];
        eprintln!(
            "{what}: warned after {first:.1} to {last:.1} h, half of the runs after {middle:.1} h; false rejects \
             double after {doubled:.1} h; {early} of {runs} runs are 8 h ahead"
        );
        assert!(
            early as f64 >= 0.95 * runs as f64,
            "{what}: {early} of {runs}, {doubled}: {hours:?}"
        );
    }
}
