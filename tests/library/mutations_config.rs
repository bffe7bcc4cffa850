//! Tests damaged configurations and requests: they are refused or understood, but there is never a panic and never a
//! hang. An accepted configuration is shown and read again, and must mean the same.
//!
//! The test is deterministic. `HETMM_MUTATIONS=1000000` tries more changes, and `HETMM_SEED=7` tries others.

use hetmm::error::Kind;
use hetmm::line::config::LineConfig;
use hetmm::line::request::{DriftRequest, Request};
use hetmm::line::slot::Candidate;
use std::fmt::Write;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// The longest time for a single configuration.
const LIMIT: Duration = Duration::from_secs(10);

/// Gives endless numbers, always the same (splitmix64).
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Returns every configuration that the project ships, and one that sets every key that is explained there.
fn configurations() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-config");
    let entries = std::fs::read_dir(folder).expect("reads").map(|e| e.expect("reads").path());
    let mut seeds: Vec<(String, String)> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).expect("reads"))
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 4, "{seeds:?}");
    for (name, text) in &seeds {
        assert!(LineConfig::parse(text, name).is_ok(), "{name}");
    }
    // These are short, so that most changes hit something. They are of the two kinds that the others are not.
    let small = "[template]\nfile = \"a.hetmm\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
                 source = \"folder\"\nfolder = \"b\"\nframes_per_second = 2.5\n[reject]\n\
                 delay_us = 400000\npulse_width_us = 3000\nmin_pitch_us = 6000\n[outputs]\nsimulate = true\n\
                 ng = { line = 1 }\n[outputs.ok]\nline = \"c\"\nactive = \"low\"\n[control]\nsocket = \"d\"\n";
    let encoder = small
        .replace("delay_us = 400000", "delay_counts = 400\ndeadline_us = 9000")
        .replace("min_pitch_us = 6000", "min_pitch_counts = 4")
        .replace("\"free-run\"", "\"gpio\"\nchip = \"e\"\nline = 7")
        .replace("[camera]", "[encoder]\nline = 8\nedge = \"both\"\n[camera]");
    seeds.push(("small".into(), small.into()));
    let sensor = small
        .replace("\"free-run\"", "\"software\"")
        .replace(
            "\"folder\"\nfolder = \"b\"\nframes_per_second = 2.5",
            "\"v4l2\"\ndevice = \"v\"\nwidth = 64\nheight = 48\nformat = \"RG10\"\nalign = \"high\"\n\
             black = 64\nwhite_balance = [1.5, 1.0, 2.0]\nbayer = \"bilinear\"\nexposure_us = 500\n\
             strobe_must_cover = true",
        )
        .replace("[control]", "[outputs.strobe]\nline = 3\n[control]");
    assert!(LineConfig::parse(&sensor, "sensor").is_ok());
    seeds.push(("encoder".into(), encoder));
    seeds.push(("sensor".into(), sensor));
    seeds
}

const NUMBERS: [&str; 26] = [
    "0",
    "-0",
    "1",
    "-1",
    "7",
    "0.0",
    "-0.0",
    "1e-320",
    "1e308",
    "1e999",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "0xffffffff",
    "1_0.0_1",
];

const PIECES: [&str; 34] = [
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    "\r",
    "\\",
    "\\u0000",
    "\\UFFFFFFFF",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "ü",
    "true",
    "false",
    "1979-05-27T07:32:00Z",
    "x = 1\n",
    "[outputs.ng]\n",
    "[a.b.c]\n",
    "\"\" = 1\n",
    "a.b.c.d = 1\n",
    "chip = \"\"\n",
    "line = \"\"\n",
];

/// Returns the words of a text as places in it: runs of letters, digits, `_`, `-` and `.`.
fn words(text: &str) -> Vec<std::ops::Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let mut words: Vec<std::ops::Range<usize>> = vec![];
    for (at, c) in text.char_indices().filter(|(_, c)| is_word(*c)) {
        match words.last_mut() {
            Some(last) if last.end == at => last.end = at + c.len_utf8(),
            _ => words.push(at..at + c.len_utf8()),
        }
    }
    words
}

/// Makes one change in a text.
fn change(text: &mut String, seeds: &[(String, String)], random: &mut Random) {
    let kind = random.below(12);
    if kind < 3 {
        let mut bytes = std::mem::take(text).into_bytes();
        let at = random.below(bytes.len() + 1);
        match kind {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << random.below(8)),
            1 => bytes.insert(at, random.next() as u8),
            _ => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len()))),
        }
        return *text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let line = random.below(lines.len());
    let found = words(text);
    let word = found.get(random.below(found.len())).cloned().unwrap_or(0..0);
    let numbers: Vec<_> =
        (found.iter()).filter(|w| text[(*w).clone()].parse::<f64>().is_ok()).cloned().collect();
    *text = match kind {
        3 => [&text[..word.start], *random.pick(&PIECES), &text[word.end..]].concat(),
        4 => [&text[..word.start], *random.pick(&PIECES), &text[word.start..]].concat(),
        5 => {
            let other = &random.pick(seeds).1;
            let others = words(other);
            let new = random.pick(&others).clone();
            [&text[..word.start], &other[new], &text[word.end..]].concat()
        }
        6 | 7 => {
            let at = numbers.get(random.below(numbers.len())).cloned().unwrap_or(word);
            [&text[..at.start], *random.pick(&NUMBERS), &text[at.end..]].concat()
        }
        8 => {
            drop(lines.drain(line..(line + 1).min(lines.len())));
            lines.concat()
        }
        9 => {
            let copied = lines.get(line).copied().unwrap_or_default();
            lines.insert(random.below(lines.len() + 1), copied);
            lines.concat()
        }
        10 => {
            // This sets a key that is explained but not set.
            let explained: Vec<usize> =
                (0..lines.len()).filter(|i| lines[*i].starts_with('#')).collect();
            if let Some(&at) = explained.get(random.below(explained.len())) {
                lines[at] = lines[at].trim_start_matches('#');
            }
            lines.concat()
        }
        _ => {
            let other = random.below(lines.len());
            if other < lines.len() {
                lines.swap(line, other);
            }
            lines.concat()
        }
    };
}

/// Says what became of a configuration.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused,
}

fn try_configuration(text: &str) -> Outcome {
    let config = match LineConfig::parse(text, "line.toml") {
        Ok(config) => config,
        Err(why) => {
            assert_eq!(why.kind(), Kind::Usage, "{why}");
            assert!(why.to_string().starts_with("line.toml:"), "{why}");
            return Outcome::Refused;
        }
    };
    let shown = config.to_toml().expect("what is accepted can be shown");
    let again = LineConfig::parse(&shown, "shown").expect("and read again");
    assert_eq!(again, config);
    assert_eq!(again.tracker_settings(), config.tracker_settings());
    assert_eq!(again.recipe().extractors, config.recipe().extractors);
    assert_eq!(again.to_toml().expect("shows"), shown);
    Outcome::Accepted
}

#[test]
fn changed_configurations_are_refused_or_mean_what_they_show() {
    let seeds = configurations();
    let count = from_environment("HETMM_MUTATIONS", 20_000);
    let seed = from_environment("HETMM_SEED", 1);
    let (mut accepted, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    for trial in 0..count {
        let mut random = Random(seed.wrapping_mul(0x1_0000_0001).wrapping_add(trial));
        let mut text = random.pick(&seeds).1.clone();
        for _ in 0..1 + random.below(3) {
            change(&mut text, &seeds, &mut random);
        }
        let begun = Instant::now();
        let tried = catch_unwind(|| try_configuration(&text));
        slowest = slowest.max(begun.elapsed());
        assert!(slowest < LIMIT, "trial {trial} of seed {seed} takes {slowest:?}:\n{text}");
        match tried {
            Ok(Outcome::Accepted) => accepted += 1,
            Ok(Outcome::Refused) => refused += 1,
            Err(_) => panic!("trial {trial} of seed {seed}:\n{text}"),
        }
        if trial % 1_000_000 == 999_999 {
            eprintln!("{} tried, {accepted} accepted", trial + 1);
        }
    }
    eprintln!("{accepted} accepted, {refused} refused, the slowest took {slowest:?}");
    // Both outcomes must occur often enough.
    assert!(accepted > count / 20 && refused > count / 20, "{accepted} {refused}");
}

#[test]
fn configurations_that_are_deep_or_long_are_refused_soon() {
    let repeated = |what: &str, times: usize| what.repeat(times);
    let cases = [
        format!("x = {}", repeated("[", 100_000)),
        format!("x = {}", repeated("{a=", 100_000)),
        format!("x = {}{}", repeated("[", 5_000), repeated("]", 5_000)),
        format!("{}x = 1", repeated("a.", 100_000)),
        format!("[{}x]", repeated("a.", 100_000)),
        repeated("[a]\n", 100_000),
        repeated("[[a]]\n", 100_000),
        (0..50_000).fold(String::new(), |mut text, i| {
            let _ = writeln!(text, "k{i} = {i}");
            text
        }),
        format!("x = \"{}", repeated("\\\"", 200_000)),
        format!("x = {}", repeated("9", 500_000)),
        repeated("#", 1_000_000),
        repeated("\u{0}", 500_000),
    ];
    for (number, text) in cases.iter().enumerate() {
        let begun = Instant::now();
        assert_eq!(try_configuration(text), Outcome::Refused, "case {number}");
        assert!(begun.elapsed() < LIMIT, "case {number}: {:?}", begun.elapsed());
    }
}

/// Returns a request as it is written.
fn written(request: Request) -> String {
    match request {
        Request::Status => "status".into(),
        Request::Trigger => "trigger".into(),
        Request::Reload => "reload".into(),
        Request::Safe => "safe".into(),
        Request::Resume => "resume".into(),
        Request::Acknowledge => "acknowledge".into(),
        Request::History => "history".into(),
        Request::Slots => "slots".into(),
        Request::Select(slot, None) => format!("select {slot}"),
        Request::Select(slot, Some(digest)) => format!("select {slot} {digest}"),
        Request::Prove(Candidate::Upload) => "prove upload".into(),
        Request::Prove(Candidate::Slot(slot)) => format!("prove {slot}"),
        Request::Install(slot, digest) => format!("install {slot} {digest}"),
        Request::Lines => "lines".into(),
        Request::Commission => "commission on".into(),
        Request::EndCommissioning => "commission off".into(),
        Request::PulseNg => "pulse ng".into(),
        Request::LoginFailed(from) => format!("login failed {from}"),
        Request::Drift(DriftRequest::Status) => "drift status".into(),
        Request::Drift(DriftRequest::Learn) => "drift learn".into(),
        Request::Drift(DriftRequest::Accept) => "drift accept".into(),
        Request::Undo(None) => "undo".into(),
        Request::Undo(Some(entry)) => format!("undo {entry}"),
        Request::Teach(part, force) => {
            format!("teach {}{}", part.0, if force { " force" } else { "" })
        }
    }
}

#[test]
fn changed_requests_are_refused_or_mean_what_they_say() {
    let seeds = [
        "status",
        "trigger",
        "reload",
        "select 2",
        "select 12 0123456789abcdef",
        "slots",
        "prove 2",
        "prove upload",
        "install 2 01234567",
        "safe",
        "resume",
        "acknowledge",
        "history",
        "drift status",
        "drift learn",
        "drift accept",
        "login failed 192.0.2.7",
        "drift",
        "lines",
        "commission on",
        "commission off",
        "commission",
        "pulse ng",
        "pulse ok",
        "undo",
        "undo 3",
        "undo 4294967295",
        "undo 4294967296",
        "teach 1",
        "teach 18446744073709551615 force",
        "teach 18446744073709551616",
        " \t safe \r",
        "teach -1",
        "teach +1",
        "teach 1 force force",
        "",
    ];
    let count = from_environment("HETMM_MUTATIONS", 200_000);
    let mut random = Random(from_environment("HETMM_SEED", 1));
    let mut accepted = 0;
    for trial in 0..count {
        let mut line = random.pick(&seeds).as_bytes().to_vec();
        for _ in 0..random.below(3) {
            let at = random.below(line.len() + 1);
            match random.below(5) {
                0 => line.insert(at, random.next() as u8),
                1 => line.insert(at, *random.pick(b" \t\r\x0b\x0c09+-._\xff\0")),
                2 => drop(line.drain(at..(at + random.below(4)).min(line.len()))),
                3 => line.extend_from_slice(random.pick(&seeds).as_bytes()),
                _ => line.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << random.below(8)),
            }
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let parsed = catch_unwind(|| Request::parse(&line));
        let Ok(parsed) = parsed else { panic!("trial {trial}: {line:?}") };
        let Some(request) = parsed else { continue };
        accepted += 1;
        // The words say the same, except for how a number and a digest are written.
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (said, number) = (written(request), |word: &str| word.parse::<u64>().ok());
        assert_eq!(Request::parse(&said), Some(request), "{line:?}");
        let same = |(a, b): (&&str, &str)| {
            a.eq_ignore_ascii_case(b) || (number(a).is_some() && number(a) == number(b))
        };
        assert_eq!(words.len(), said.split(' ').count(), "{line:?} {said:?}");
        assert!(words.iter().zip(said.split(' ')).all(same), "{line:?} {said:?}");
    }
    assert!(accepted > count / 10 && accepted < count, "{accepted} of {count}");
}
