//! The map of registers. The server answers from this table, and `docs/plant.md` prints it.

use super::control::Control;
use super::results::Results;
use crate::board::{Now, name_of};
use crate::part::{Outcome, Part};
use hetmm::line::config::WordOrder;
use hetmm::line::drift::Chart;
use hetmm::line::tracker::{Fault, Reason};
use serde_json::Value;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The version of the map. It changes if a register gets another meaning.
pub const VERSION: u16 = 1;
/// The number of input registers. The same values stand in the holding registers from [`MIRROR`].
pub const REGISTERS: u16 = 256;
/// The address of the first holding register that repeats an input register.
pub const MIRROR: u16 = 1000;
/// The number of discrete inputs: 16 acknowledgement bits and 16 status bits.
pub const DISCRETE_INPUTS: u16 = 32;

/// Holds everything that the registers show, at one moment.
pub struct View<'a> {
    /// What is known of the production line.
    pub now: &'a Now,
    /// Which part is shown.
    pub results: &'a Results,
    /// What clients have written.
    pub control: &'a Control,
    /// The name of the device.
    pub device: &'a str,
    /// The order of the registers of one number.
    pub order: WordOrder,
    /// Whether the clock is synchronized.
    pub clock: bool,
    /// The time within which the PLC has to toggle its sign of life. Zero means never.
    pub plc_alive: Duration,
    /// The present moment.
    pub at: Instant,
}

/// Holds the value of one or more registers.
enum Number {
    U16(u16),
    U32(u32),
    I32(i32),
    U64(u64),
    F32(f32),
    /// ASCII, two characters a register, padded with zeros.
    Text(String),
}

/// Describes one value of the map.
pub struct Entry {
    /// The address of its first register, from 0.
    pub at: u16,
    /// The number of its registers.
    pub length: u16,
    /// The kind of number.
    pub kind: &'static str,
    /// What it means.
    pub what: &'static str,
    value: fn(&View<'_>) -> Number,
}

macro_rules! map {
    ($($at:literal $length:literal $kind:ident $what:literal $value:expr;)*) => {
        /// Every value, in the order of addresses. Registers that no value has are 0.
        pub const MAP: &[Entry] = &[$(Entry {
            at: $at,
            length: $length,
            kind: stringify!($kind),
            what: $what,
            value: |view| number!($kind, ($value)(view)),
        }),*];
    };
}

macro_rules! number {
    (bits, $value:expr) => {
        Number::U16($value)
    };
    (u16, $value:expr) => {
        Number::U16($value)
    };
    (u32, $value:expr) => {
        Number::U32($value)
    };
    (i32, $value:expr) => {
        Number::I32($value)
    };
    (u64, $value:expr) => {
        Number::U64($value)
    };
    (f32, $value:expr) => {
        Number::F32($value)
    };
    (text, $value:expr) => {
        Number::Text($value)
    };
}

map! {
    0 1 u16 "version of this map" |_: &View<'_>| VERSION;
    1 1 bits "acknowledged coils" |v: &View<'_>| v.control.coils();
    2 1 bits "status" status_bits;
    3 1 u16 "heartbeat of the line; no change for 2 s is a fault" |v: &View<'_>| v.count("/heartbeat") as u16;
    4 2 u32 "always 0x01020304, to find the order of registers" |_: &View<'_>| 0x0102_0304;
    6 1 bits "faults" |v: &View<'_>| bits(Fault::ALL.map(|fault| v.now.lists("/faults", &name_of(fault))));
    7 1 bits "warnings" warning_bits;
    8 2 u32 "triggers" |v: &View<'_>| v.count("/counters/triggers");
    10 2 u32 "passed parts" |v: &View<'_>| v.count("/counters/passed");
    12 2 u32 "rejected parts" |v: &View<'_>| v.count("/counters/rejected");
    14 2 u32 "parts rejected as defect" |v: &View<'_>| v.count("/counters/rejected_for/defect");
    16 2 u32 "parts rejected without an inspection in time" unproven;
    18 2 u32 "late results" |v: &View<'_>| v.count("/counters/late_results");
    20 2 u32 "alarms" |v: &View<'_>| v.count("/counters/alarms");
    22 2 u32 "records that were lost" |v: &View<'_>| v.now.records_lost() as u32;
    24 2 u32 "number of the start of hetmm-edge, as in the records; 0 without a chain of records" |v: &View<'_>| v.count("/records/chain/run");
    30 1 u16 "last command" |v: &View<'_>| v.control.last().0;
    31 1 u16 "its outcome: 0 none, 1 done, 2 refused, 3 failed, 4 unknown, 5 not allowed, 6 busy" |v: &View<'_>| v.control.last().1 as u16;
    32 2 u32 "detail of its outcome: the entry of the journal" |v: &View<'_>| v.control.last().2;
    40 1 u16 "number of the result, counts up with each part" |v: &View<'_>| v.result();
    41 4 u64 "part" |v: &View<'_>| v.part().map_or(0, |part| part.part);
    45 1 u16 "outcome: 0 none, 1 passed, 2 rejected" |v: &View<'_>| v.part().map_or(0, outcome);
    46 1 u16 "reason: 0 none, else the row of the table of reasons" |v: &View<'_>| v.part().map_or(0, reason);
    47 2 f32 "score" |v: &View<'_>| v.part().and_then(|part| part.score).unwrap_or(0.0);
    49 2 f32 "threshold" |v: &View<'_>| v.part().and_then(|part| part.threshold).unwrap_or(0.0);
    51 1 u16 "score in thousandths of the threshold; 65535 is that or more" |v: &View<'_>| v.part().and_then(Part::ratio).map_or(0, |ratio| (ratio * 1000.0).round() as u16);
    52 2 u32 "microseconds from trigger to result" |v: &View<'_>| small(v.part().and_then(Part::trigger_to_result_us));
    54 2 u32 "microseconds by which the gate was told late" |v: &View<'_>| small(v.part().and_then(Part::gate_lateness_us));
    56 1 u16 "number of regions" |v: &View<'_>| v.part().map_or(0, |part| part.regions.len() as u16);
    57 1 u16 "zone of the largest region: its place among the zones of the template, from 1; 0 none" |v: &View<'_>| v.zone();
    58 2 u32 "template: the first four bytes of its BLAKE3" |v: &View<'_>| template(v.part());
    60 1 u16 "slot of the template; 0 none" |v: &View<'_>| v.part().and_then(|part| part.template.as_ref()?.slot).unwrap_or(0);
    61 2 u32 "seconds since 1970 at the gate" |v: &View<'_>| small(v.part().map(|part| part.unix_ms / 1000));
    63 1 u16 "number of the result again; if it differs from 40, read again" |v: &View<'_>| v.result();
    70 2 u32 "99 % of results took at most so many microseconds" |v: &View<'_>| v.count("/latency_us/trigger_to_result/p99");
    72 2 u32 "99.9 % of results took at most so many microseconds" |v: &View<'_>| v.count("/latency_us/trigger_to_result/p999");
    74 2 u32 "99.9 % of pulses were at most so many microseconds late" |v: &View<'_>| v.count("/latency_us/pulse_lateness/p999");
    76 2 i32 "microseconds from a result to its deadline: the least of the latest 4096 parts; below 0 it was late" |v: &View<'_>| v.now.least_slack_us().unwrap_or(0);
    80 1 u16 "drift: 0 learning or off, 1 good, 2 warning" drift_state;
    81 1 u16 "chart score up, in hundredths of a standard deviation" |v: &View<'_>| v.chart(0);
    82 1 u16 "chart brightness up" |v: &View<'_>| v.chart(1);
    83 1 u16 "chart brightness down" |v: &View<'_>| v.chart(2);
    84 1 u16 "chart sharpness down" |v: &View<'_>| v.chart(3);
    85 1 u16 "chart clipped pixels up" |v: &View<'_>| v.chart(4);
    86 1 u16 "hours until good parts reach the threshold; 65535 unknown" hours;
    200 16 text "name of the device" |v: &View<'_>| v.device.to_owned();
    216 16 text "version of hetmm-edge" |v: &View<'_>| v.now.version.clone();
    232 16 text "name of the template" |v: &View<'_>| v.now.text("/template/identity/name").to_owned();
}

/// The names of the status bits, from bit 0.
pub const STATUS_BITS: [&str; 16] = [
    "online: the device answers",
    "ready: a trigger would be accepted",
    "busy: a part waits for its result",
    "result valid: the result is new",
    "results overrun: a result was dropped",
    "the part that is shown has passed",
    "safe state",
    "a fault is present",
    "alarm: too many rejects in a row",
    "something drifts",
    "a template is being loaded",
    "a command is being carried out",
    "the last command was done",
    "the last command failed",
    "commissioning",
    "the clock is synchronized",
];

/// The names of the warning bits, from bit 0.
pub const WARNING_BITS: [&str; 8] = [
    "drift",
    "the clock is not synchronized",
    "records were lost",
    "pictures were lost",
    "too little disk space for records",
    "the last template was refused, for example for its signature",
    "the device is too hot",
    "the PLC has stopped toggling its coil",
];

impl View<'_> {
    fn part(&self) -> Option<&Part> {
        self.results.shown().map(|(_, part)| part)
    }

    fn result(&self) -> u16 {
        self.results.shown().map_or(0, |(number, _)| number)
    }

    /// Returns the place of the zone that the largest region of the part lies in.
    fn zone(&self) -> u16 {
        let regions = self.part().map_or(&[][..], |part| &part.regions);
        let area = |region: &&Value| region["area"].as_u64().unwrap_or(0);
        let largest = regions.iter().max_by_key(area);
        largest.map_or(0, |region| self.now.zone(region["zone"].as_str()))
    }

    /// Returns a counter. It wraps at 2^32.
    fn count(&self, path: &str) -> u32 {
        self.now.number(path) as u32
    }

    fn chart(&self, index: usize) -> u16 {
        let chart = Chart::ALL.get(index).map(|chart| name_of(*chart)).unwrap_or_default();
        let sum = self.now.status.pointer(&format!("/drift/sums/{chart}")).and_then(Value::as_f64);
        (sum.unwrap_or(0.0) * 100.0).round() as u16
    }

    /// Returns all registers.
    pub fn registers(&self) -> [u16; REGISTERS as usize] {
        let mut registers = [0; REGISTERS as usize];
        for entry in MAP {
            let words = words((entry.value)(self), self.order);
            let places = registers.iter_mut().skip(entry.at.into()).take(entry.length.into());
            places.zip(words).for_each(|(place, word)| *place = word);
        }
        registers
    }

    /// Returns the discrete inputs: the acknowledged coils, then the status bits.
    pub fn discrete_inputs(&self) -> [bool; DISCRETE_INPUTS as usize] {
        let all = u32::from(self.control.coils()) | (u32::from(status_bits(self)) << 16);
        std::array::from_fn(|bit| all & (1 << bit) != 0)
    }
}

/// Returns the registers of a number.
fn words(number: Number, order: WordOrder) -> Vec<u16> {
    let bytes = match number {
        Number::U16(value) => return vec![value],
        Number::U32(value) => value.to_be_bytes().to_vec(),
        Number::I32(value) => value.to_be_bytes().to_vec(),
        Number::F32(value) => value.to_be_bytes().to_vec(),
        Number::U64(value) => value.to_be_bytes().to_vec(),
        Number::Text(text) => {
            let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c as u8 } else { b'?' };
            let mut bytes: Vec<u8> = text.chars().map(plain).collect();
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            return pairs(&bytes);
        }
    };
    let mut words = pairs(&bytes);
    if order == WordOrder::LowFirst {
        words.reverse();
    }
    words
}

fn pairs(bytes: &[u8]) -> Vec<u16> {
    let word = |pair: &[u8]| pair.iter().fold(0, |word, byte| (word << 8) | u16::from(*byte));
    bytes.chunks(2).map(word).collect()
}

fn bits<const N: usize>(set: [bool; N]) -> u16 {
    set.iter().enumerate().map(|(bit, is_set)| u16::from(*is_set) << bit).sum()
}

fn status_bits(view: &View<'_>) -> u16 {
    let (state, results, control) = (view.now.text("/state"), view.results, view.control);
    let (_, last, _) = control.last();
    let is_alive = view.now.is_alive(view.at);
    let faults = view.now.status.pointer("/faults").and_then(Value::as_array);
    bits([
        is_alive,
        is_alive && state == "ready",
        view.now.number("/waiting_for_result") > 0,
        results.is_valid(),
        results.has_overrun(),
        view.part().is_some_and(|part| part.outcome == Outcome::Passed),
        state == "safe" || state == "commissioning",
        faults.is_some_and(|faults| !faults.is_empty()),
        view.now.lists("/faults", &name_of(Fault::Alarm)),
        view.now.drifts(),
        view.now.status.pointer("/template/changing") == Some(&true.into()),
        control.is_executing(),
        last == super::control::Outcome::Done,
        !control.is_executing() && last as u16 > super::control::Outcome::Done as u16,
        state == "commissioning",
        view.clock,
    ])
}

fn warning_bits(view: &View<'_>) -> u16 {
    bits([
        view.now.drifts(),
        !view.clock,
        view.now.records_lost() > 0,
        view.now.pictures_lost() > 0,
        view.now.lacks_space(),
        view.now.has_refused_a_template(),
        view.now.is_too_hot(),
        view.control.is_plc_silent(view.plc_alive, view.at),
    ])
}

fn unproven(view: &View<'_>) -> u32 {
    let all = view.now.number("/counters/rejected");
    all.saturating_sub(view.now.number("/counters/rejected_for/defect")) as u32
}

fn drift_state(view: &View<'_>) -> u16 {
    match view.now.text("/drift/state") {
        "good" => 1,
        "warning" => 2,
        _ => 0,
    }
}

fn hours(view: &View<'_>) -> u16 {
    let hours = view.now.status.pointer("/drift/hours_to_threshold").and_then(Value::as_f64);
    hours.map_or(u16::MAX, |hours| hours.round() as u16)
}

fn outcome(part: &Part) -> u16 {
    match part.outcome {
        Outcome::Passed => 1,
        Outcome::Rejected => 2,
    }
}

fn reason(part: &Part) -> u16 {
    let why = part.why.as_deref();
    let row = Reason::ALL.iter().position(|reason| why == Some(&*name_of(*reason)));
    row.map_or(0, |row| row as u16 + 1)
}

fn template(part: Option<&Part>) -> u32 {
    let digest = part.and_then(|part| part.template.as_ref()).map(|template| &template.blake3);
    let first = digest.and_then(|digest| digest.get(..8));
    first.and_then(|first| u32::from_str_radix(first, 16).ok()).unwrap_or(0)
}

/// Returns a number that is too large for its registers as the largest one.
fn small(number: Option<u64>) -> u32 {
    number.map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Returns the tables of the map, as `docs/plant.md` prints them.
pub fn markdown() -> String {
    let mut text = String::from("| input register | kind | what |\n| --- | --- | --- |\n");
    let mut row = |at: String, kind: &str, what: &str| {
        // Writing to a text does not fail.
        let _ = writeln!(text, "| {at} | {kind} | {what} |");
    };
    for entry in MAP {
        let at = match entry.length {
            1 => entry.at.to_string(),
            length => format!("{} to {}", entry.at, entry.at + length - 1),
        };
        row(at, entry.kind, entry.what);
    }
    let tables = [
        ("status bit", 0, STATUS_BITS.map(String::from).to_vec()),
        ("warning bit", 0, WARNING_BITS.map(String::from).to_vec()),
        ("fault bit", 0, Fault::ALL.map(name_of).to_vec()),
        ("reason", 1, Reason::ALL.map(name_of).to_vec()),
    ];
    for (title, first, names) in tables {
        let _ = writeln!(text, "\n| {title} | what |\n| --- | --- |");
        for (number, name) in names.iter().enumerate() {
            let _ = writeln!(text, "| {} | {name} |", number + first);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use serde_json::json;

    fn registers(order: WordOrder) -> [u16; 256] {
        let board = Board::new(Some(400));
        board.hello("0.2.0");
        board.temperature(json!({"zones": {}, "too_hot": true}));
        board.status(json!({
            "state": "ready", "heartbeat": 65537, "faults": ["template", "alarm"],
            "counters": {"triggers": 0x0001_0002_u64, "rejected": 9, "rejected_for": {"defect": 4}},
            "template": {
                "identity": {"name": "part.hetmm"}, "changing": true, "refused": "no signature", "zones": ["a", "b"],
            },
            "records": {"chain": {"run": 12}},
            "drift": {"state": "warning", "warnings": ["score_up"], "sums": {"score_up": 14.25}},
        }));
        let mut results = Results::default();
        let message = json!({
            "part": 0x0001_0002_0003_0004_u64, "unix_ms": 5000, "trigger_us": 10, "result_us": 1010,
            "outcome": "rejected", "why": "no_frame", "score": 3.0, "threshold": 2.0,
            "gate": {"due_us": 1, "at_us": 8},
            "regions": [{"area": 7}, {"area": 9, "zone": "b"}, {"area": 8, "zone": "a"}], "template": {"name": "a", "blake3": "00c0ffee11", "slot": 7},
        });
        let part = Part::read(message).expect("a part");
        board.part(part.clone());
        results.add(std::sync::Arc::new(part));
        let (control, now) = (Control::default(), board.now());
        let view = View {
            now: &now,
            results: &results,
            control: &control,
            device: "cäm1",
            order,
            clock: true,
            plc_alive: Duration::ZERO,
            at: Instant::now(),
        };
        let inputs = view.discrete_inputs();
        let registers = view.registers();
        assert_eq!(bits::<16>(inputs[16..].try_into().expect("16 bits")), registers[2]);
        registers
    }

    #[test]
    fn the_registers_show_what_the_table_says() {
        let found = registers(WordOrder::HighFirst);
        let bit = |register: usize, bit: u16| found[register] & (1 << bit) != 0;
        assert_eq!((found[0], found[3], found[4], found[5]), (1, 1, 0x0102, 0x0304));
        let status: Vec<u16> = (0..16).filter(|at| bit(2, *at)).collect();
        assert_eq!(status, [0, 1, 3, 7, 8, 9, 10, 15]);
        assert_eq!((found[6], found[7]), (0b1000_0001, 0b110_0001));
        assert_eq!((found[8], found[9], found[17]), (1, 2, 5));
        assert_eq!((&found[40..47], found[63]), (&[1, 1, 2, 3, 4, 2, 3][..], 1));
        assert_eq!((found[25], found[56], found[57]), (12, 3, 2));
        assert_eq!((found[76], found[77]), (u16::MAX, u16::MAX - 599), "600 us late");
        assert_eq!((found[51], found[53], found[55]), (1500, 1000, 7));
        assert_eq!((&found[58..61], found[62]), (&[0x00c0, 0xffee, 7][..], 5));
        assert_eq!((found[80], found[81], found[86]), (2, 1425, u16::MAX));
        assert_eq!(&found[200..203], [0x633f, 0x6d31, 0], "c?m1");
        assert_eq!(f32::from_bits((u32::from(found[47]) << 16) | u32::from(found[48])), 3.0);
    }

    #[test]
    fn the_order_of_registers_can_be_turned() {
        let (high, low) = (registers(WordOrder::HighFirst), registers(WordOrder::LowFirst));
        for entry in MAP {
            let range = usize::from(entry.at)..usize::from(entry.at + entry.length);
            let mut turned = low[range.clone()].to_vec();
            if entry.kind != "text" {
                turned.reverse();
            }
            assert_eq!(high[range], turned, "{}", entry.at);
        }
    }

    #[test]
    fn values_do_not_overlap_and_stay_in_the_map() {
        let mut end = 0;
        for entry in MAP {
            let length = match entry.kind {
                "u32" | "i32" | "f32" => 2,
                "u64" => 4,
                "text" => 16,
                _ => 1,
            };
            assert_eq!(entry.length, length, "{}", entry.at);
            assert!(entry.at >= end && entry.at + entry.length <= REGISTERS, "{}", entry.at);
            end = entry.at + entry.length;
        }
    }

    #[test]
    fn the_documentation_prints_this_map() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plant.md");
        let text = std::fs::read_to_string(path).expect("reads");
        for table in markdown().split("\n\n") {
            assert!(text.contains(table.trim_end()), "docs/plant.md lacks this table:\n{table}");
        }
    }
}
