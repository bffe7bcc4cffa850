//! Watches and moves the lines of a gpio-sim chip, for tests on the virtual board.
//!
//! Every line of output is `NANOSECONDS LINE LEVEL`, the time that of CLOCK_MONOTONIC; a closing
//! line that starts with `#` says how good the times are.

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

const HELP: &str = "\
gpio_watch sample DIR LINE... --seconds S [--count N]
    reads DIR/sim_gpioLINE/value again and again and prints every change, and first the levels
gpio_watch trace BASE LINE... --seconds S [--count N]
    prints when the kernel was told to set a line (BASE is the chip's first global number), by
    its own clock to the microsecond; misses the fall of a line whose holder goes away
gpio_watch pulse DIR LINE --count N --period-us P --width-us W [--low] [--at NS] [--every-us J,...]
    pulls LINE up for W us every P us (--low: down, idling high), the first at NS on the clock or
    one period from now; prints the time of each write. --every-us: these steps in turn, for P
gpio_watch follow DIR FROM TO --seconds S [--delay-us D]
    pulls TO to the level of FROM, D us after each change, as a valve that follows its output; prints
    each change of TO
gpio_watch without-v1 PROGRAM WORD...
    runs a program on a kernel that has no version 1 of the GPIO interface: a filter answers its
    calls as such a kernel does
gpio_watch now
    prints the clock
All stop early after --count changes. Lines are numbers within the chip.";

/// Tracing of GPIO events, where Linux has it.
const TRACING: &str = "/sys/kernel/tracing";

type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("sample") => Arguments::parse(&words[1..]).and_then(|a| sample(&a)),
        Some("trace") => Arguments::parse(&words[1..]).and_then(|a| trace(&a)),
        Some("pulse") => Arguments::parse(&words[1..]).and_then(|a| pulse(&a)),
        Some("follow") => Arguments::parse(&words[1..]).and_then(|a| follow(&a)),
        Some("without-v1") => without_v1(&words[1..]),
        Some("now") => now().and_then(|t| print(&format!("{t}\n"))),
        _ => Err(format!("usage:\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpio_watch: {error}");
            ExitCode::from(2)
        }
    }
}

/// Becomes the program, for which the calls of version 1 of the GPIO interface are unknown.
fn without_v1(words: &[String]) -> Outcome<()> {
    // Line info, handles, events and watches of version 1. The upper half of a call's number holds a size.
    const V1: [u64; 4] = [0xb402, 0xb403, 0xb404, 0xb40b];
    let (program, words) = words.split_first().ok_or("no program")?;
    let filter = || -> Result<BpfProgram, seccompiler::BackendError> {
        let rule = |call| {
            let is_the_call = SeccompCmpOp::MaskedEq(0xffff);
            let condition = SeccompCondition::new(1, SeccompCmpArgLen::Dword, is_the_call, call)?;
            SeccompRule::new(vec![condition])
        };
        let rules = V1.into_iter().map(rule).collect::<Result<_, _>>()?;
        let rules = [(nix::libc::SYS_ioctl, rules)].into_iter().collect();
        let unknown = SeccompAction::Errno(nix::libc::EINVAL as u32);
        let here = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules, SeccompAction::Allow, unknown, here)?.try_into()
    };
    let filter = filter().map_err(|e| format!("the filter: {e}"))?;
    seccompiler::apply_filter(&filter).map_err(|e| format!("the filter: {e}"))?;
    Err(format!("{program}: {}", Command::new(program).args(words).exec()))
}

#[derive(Default)]
struct Arguments {
    /// The chip: its sysfs folder, or its first global number.
    chip: String,
    lines: Vec<u32>,
    seconds: Option<f64>,
    count: Option<u64>,
    steps_us: Vec<i64>,
    width_us: Option<i64>,
    delay_us: i64,
    at: Option<i64>,
    low: bool,
}

impl Arguments {
    fn parse(words: &[String]) -> Outcome<Self> {
        let mut this = Self::default();
        let mut words = words.iter();
        this.chip = words.next().ok_or("no chip")?.clone();
        while let Some(word) = words.next() {
            if let Ok(line) = word.parse() {
                this.lines.push(line);
                continue;
            }
            if word == "--low" {
                this.low = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let bad = |_| format!("{word} {value}: not a number");
            match word.as_str() {
                "--seconds" => this.seconds = Some(value.parse().map_err(|e| format!("{e}"))?),
                "--count" => this.count = Some(value.parse().map_err(bad)?),
                "--period-us" => this.steps_us = vec![value.parse().map_err(bad)?],
                "--every-us" => {
                    let steps = value.split(',').map(str::parse);
                    this.steps_us = steps.collect::<Result<_, _>>().map_err(bad)?;
                }
                "--width-us" => this.width_us = Some(value.parse().map_err(bad)?),
                "--delay-us" => this.delay_us = value.parse().map_err(bad)?,
                "--at" => this.at = Some(value.parse().map_err(bad)?),
                _ => return Err(format!("{word}: no such option")),
            }
        }
        if this.lines.is_empty() { Err("no line".into()) } else { Ok(this) }
    }

    fn end(&self) -> Outcome<i64> {
        let seconds = self.seconds.ok_or("--seconds is missing")?;
        Ok(now()? + (seconds * 1e9) as i64)
    }

    fn enough(&self, changes: u64) -> bool {
        self.count.is_some_and(|n| changes >= n)
    }
}

fn now() -> Outcome<i64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|e| format!("clock: {e}"))?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

fn print(text: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| format!("output: {e}"))
}

fn open(path: &Path, options: &OpenOptions) -> Outcome<File> {
    options.open(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The level that the file of a line holds.
fn level(file: &File) -> Outcome<u8> {
    let mut byte = [0];
    match file.read_at(&mut byte, 0) {
        Ok(1) => Ok(byte[0] - b'0'),
        Ok(_) => Err("a line's value is empty".into()),
        Err(e) => Err(format!("reading a line: {e}")),
    }
}

fn sample(arguments: &Arguments) -> Outcome<()> {
    let folder = Path::new(&arguments.chip);
    let mut lines = Vec::new();
    for &line in &arguments.lines {
        let path = folder.join(format!("sim_gpio{line}/value"));
        lines.push((line, open(&path, OpenOptions::new().read(true))?, None));
    }
    let end = arguments.end()?;
    let (mut rounds, mut changes, mut longest) = (0u64, 0u64, 0);
    let start = now()?;
    let mut before = start;
    let mut text = String::new();
    loop {
        for (line, file, last) in &mut lines {
            let level = level(file)?;
            if *last != Some(level) {
                // Between the reading before and this one; this is the later end.
                let _ = writeln!(text, "{} {line} {level}", now()?);
                changes += u64::from(last.is_some());
                *last = Some(level);
            }
        }
        if !text.is_empty() {
            print(&text)?;
            text.clear();
        }
        let after = now()?;
        longest = longest.max(after - before);
        before = after;
        rounds += 1;
        if after >= end || arguments.enough(changes) {
            let mean = (after - start) / rounds as i64;
            return print(&format!(
                "# {rounds} readings, one every {:.1} us, longest gap {:.1} us\n",
                mean as f64 / 1e3,
                longest as f64 / 1e3
            ));
        }
    }
}

fn trace(arguments: &Arguments) -> Outcome<()> {
    let base: u32 = arguments.chip.parse().map_err(|_| "BASE is not a number")?;
    let end = arguments.end()?;
    // Buffers of its own: what is read from a pipe is gone for other readers.
    let folder = Path::new(TRACING).join(format!("instances/gpio_watch_{}", std::process::id()));
    fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let set = |file: &str, value: &str| {
        let path = folder.join(file);
        fs::write(&path, value).map_err(|e| format!("{}: {e}", path.display()))
    };
    set("trace_clock", "mono")?;
    set("events/gpio/gpio_value/filter", "get==0")?;
    set("events/gpio/gpio_value/enable", "1")?;
    // O_NONBLOCK, as Linux has it on every architecture that it runs gpio-sim on.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    let mut pipe = open(&folder.join("trace_pipe"), &options)?;
    print(&format!("# from {}\n", now()?))?;
    let (mut pending, mut buffer, mut changes) = (String::new(), [0; 4096], 0);
    loop {
        match pipe.read(&mut buffer) {
            Ok(n) => pending.push_str(&String::from_utf8_lossy(&buffer[..n])),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if now()? >= end || arguments.enough(changes) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Err(e) => return Err(format!("trace_pipe: {e}")),
        }
        while let Some(newline) = pending.find('\n') {
            let text: String = pending.drain(..=newline).collect();
            if let Some((time, number, level)) = traced(&text)
                && let Some(line) = number.checked_sub(base)
                && arguments.lines.contains(&line)
            {
                print(&format!("{time} {line} {level}\n"))?;
                changes += 1;
            }
        }
    }
    drop(pipe);
    set("events/gpio/gpio_value/enable", "0")?;
    fs::remove_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    print(&format!("# {changes} settings, to the microsecond\n"))
}

/// Time, global number and level of a line such as
/// `hetmm-edge-77 [001] ..... 12.345678: gpio_value: 509 set 1`.
fn traced(text: &str) -> Option<(i64, u32, u8)> {
    let (head, event) = text.split_once(": gpio_value: ")?;
    let (seconds, micros) = head.split_whitespace().last()?.split_once('.')?;
    let (seconds, micros): (i64, i64) = (seconds.parse().ok()?, micros.parse().ok()?);
    let mut words = event.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let level = (words.next()? == "set").then(|| words.next()?.parse().ok())??;
    Some((seconds * 1_000_000_000 + micros * 1_000, number, level))
}

fn follow(arguments: &Arguments) -> Outcome<()> {
    let [from, to] = arguments.lines[..] else { return Err("follow takes two lines".into()) };
    let file = |line: u32, name: &str, options: &OpenOptions| {
        open(&Path::new(&arguments.chip).join(format!("sim_gpio{line}/{name}")), options)
    };
    let value = file(from, "value", OpenOptions::new().read(true))?;
    let pull = file(to, "pull", OpenOptions::new().write(true))?;
    let end = arguments.end()?;
    let mut last = None;
    let mut changes = 0;
    loop {
        let level = level(&value)?;
        if last != Some(level) {
            wait_until(now()? + arguments.delay_us * 1_000)?;
            let word: &[u8] = if level == 1 { b"pull-up" } else { b"pull-down" };
            pull.write_at(word, 0).map_err(|e| format!("line {to}: {e}"))?;
            print(&format!("{} {to} {level}\n", now()?))?;
            changes += u64::from(last.is_some());
            last = Some(level);
        }
        if now()? >= end || arguments.enough(changes) {
            return print(&format!("# followed {changes} changes\n"));
        }
        // Other programs have to run, too, where there is one processor.
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
}

fn pulse(arguments: &Arguments) -> Outcome<()> {
    let [line] = arguments.lines[..] else { return Err("pulse moves one line".into()) };
    let count = arguments.count.ok_or("--count is missing")?;
    let width = arguments.width_us.ok_or("--width-us is missing")? * 1_000;
    let steps = &arguments.steps_us;
    if steps.is_empty() || steps.iter().any(|s| s * 1_000 <= width) || width <= 0 {
        return Err("--period-us is missing or not above --width-us".into());
    }
    let path = Path::new(&arguments.chip).join(format!("sim_gpio{line}/pull"));
    let file = open(&path, OpenOptions::new().write(true))?;
    let mut due = arguments.at.map_or_else(|| Ok(now()? + steps[0] * 1_000), Outcome::Ok)?;
    let (mut latest, mut sum) = (0, 0);
    for i in 0..count {
        for (at, active) in [(due, true), (due + width, false)] {
            let level = u8::from(active != arguments.low);
            wait_until(at)?;
            let time = now()?;
            let word: &[u8] = if level == 1 { b"pull-up" } else { b"pull-down" };
            file.write_at(word, 0).map_err(|e| format!("{}: {e}", path.display()))?;
            print(&format!("{time} {line} {level}\n"))?;
            latest = latest.max(time - at);
            sum += time - at;
        }
        due += steps[i as usize % steps.len()] * 1_000;
    }
    print(&format!(
        "# {count} pulses, writes {:.1} us late in the mean, {:.1} us at most\n",
        sum as f64 / 1e3 / (2 * count).max(1) as f64,
        latest as f64 / 1e3
    ))
}

/// Sleeps to shortly before the time, then watches the clock.
fn wait_until(time: i64) -> Outcome<()> {
    const WATCHED: i64 = 300_000;
    let early = time - WATCHED;
    if now()? < early {
        let until = nix::sys::time::TimeSpec::new(early / 1_000_000_000, early % 1_000_000_000);
        let flags = ClockNanosleepFlags::TIMER_ABSTIME;
        clock_nanosleep(ClockId::CLOCK_MONOTONIC, flags, &until).map_err(|e| format!("{e}"))?;
    }
    while now()? < time {}
    Ok(())
}
