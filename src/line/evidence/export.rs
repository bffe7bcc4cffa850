//! Exports parts as a table for other programs: comma-separated values as RFC 4180 describes them.

use super::device_key::PublicKey;
use super::moment::parse_utc;
use super::verify::{Line, Verified, verify};
use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// The columns of the table, and where their values stand in the line of a part.
const COLUMNS: [(&str, &str); 38] = [
    ("seq", "/seq"),
    ("run", "/run"),
    ("part", "/part"),
    ("utc", "/utc"),
    ("clock_state", "/clock/state"),
    ("clock_error_us", "/clock/error_us"),
    ("boot", "/boot"),
    ("trigger_us", "/trigger_us"),
    ("exposure_us", "/exposure_us"),
    ("result_us", "/result_us"),
    ("gate_us", "/gate_us"),
    ("template_name", "/template/name"),
    ("template_blake3", "/template/blake3"),
    ("template_base_blake3", "/template/base_blake3"),
    ("template_signer", "/template/signer"),
    ("template_journal", "/template/journal"),
    ("template_slot", "/template/slot"),
    ("device_serial", "/device/serial"),
    ("device_name", "/device/name"),
    ("device_site", "/device/site"),
    ("software_version", "/software/version"),
    ("software_build", "/software/build"),
    ("outcome", "/outcome"),
    ("why", "/why"),
    ("score", "/score"),
    ("threshold", "/threshold"),
    ("verdict", "/verdict"),
    ("decided_by", "/decided_by/rule"),
    ("decided_in_zone", "/decided_by/zone"),
    ("regions", "/regions"),
    ("gate_line", "/gate/line"),
    ("gate_due_us", "/gate/due_us"),
    ("gate_at_us", "/gate/at_us"),
    ("gate_took_us", "/gate/took_us"),
    ("gate_pulse", "/gate/pulse"),
    ("gate_seen_us", "/gate/seen_us"),
    ("picture", PICTURE),
    ("picture_blake3", PICTURE_DIGEST),
];
/// The values that stand in lines of their own.
const PICTURE: &str = "picture";
const PICTURE_DIGEST: &str = "picture digest";

/// Says which parts are exported, by the wall clock in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// The first moment.
    pub from: Option<u64>,
    /// The first moment that is left out.
    pub to: Option<u64>,
}

/// The picture of a part: the stem of its files and its digest.
#[derive(Deserialize)]
struct Picture {
    run: u64,
    part: u64,
    stem: String,
    blake3: String,
}

/// The pictures by the start of the program and the number of the part.
type Pictures = HashMap<(u64, u64), Picture>;

/// Writes the parts in `folder` to `out`, one row for each part. It checks the chain as [`verify`] does and stops at
/// the first line that is wrong, which is in the result.
///
/// # Errors
/// Returns the errors of [`verify`], or [`Kind::Io`] if `out` cannot be written.
pub fn export(
    folder: &Path,
    key: Option<&PublicKey>,
    period: Period,
    out: &mut dyn Write,
) -> Result<Verified> {
    let mut pictures = Pictures::new();
    // The picture of a part is written after the part, so its line comes later.
    let first = verify(folder, key, &mut |line| {
        if line.kind == "picture"
            && let Ok(picture) = serde_json::from_slice::<Picture>(line.text)
        {
            pictures.insert((picture.run, picture.part), picture);
        }
        Ok(())
    })?;
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let failed = |e: csv::Error| Error::new(Kind::Io, format!("the table cannot be written: {e}"));
    table.write_record(COLUMNS.map(|(name, _)| name)).map_err(failed)?;
    let mut verified = verify(folder, key, &mut |line| {
        let Some(part) = part_in(&line, period) else { return Ok(()) };
        table.write_record(row(&part, &pictures)).map_err(failed)
    })?;
    table.flush().map_err(|e| failed(e.into()))?;
    verified.bad = verified.bad.or(first.bad);
    Ok(verified)
}

/// Returns the line if it is a part of the period.
fn part_in(line: &Line<'_>, period: Period) -> Option<Value> {
    if line.kind != "part" {
        return None;
    }
    let part: Value = serde_json::from_slice(line.text).ok()?;
    let at = parse_utc(part.get("utc")?.as_str()?)?;
    let is_in = period.from.is_none_or(|from| at >= from) && period.to.is_none_or(|to| at < to);
    is_in.then_some(part)
}

fn row(part: &Value, pictures: &Pictures) -> Vec<String> {
    let number = |name: &str| part.get(name).and_then(Value::as_u64);
    let picture = number("run").zip(number("part")).and_then(|of| pictures.get(&of));
    let cell = |(_, place): (&str, &str)| match place {
        PICTURE => picture.map_or_else(String::new, |picture| picture.stem.clone()),
        PICTURE_DIGEST => picture.map_or_else(String::new, |picture| picture.blake3.clone()),
        _ => part.pointer(place).map_or_else(String::new, words),
    };
    COLUMNS.into_iter().map(|column| guarded(cell(column))).collect()
}

/// Returns a value as a cell shows it. Of a list it is the length.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.len().to_string(),
        other => other.to_string(),
    }
}

/// Keeps a spreadsheet from computing a cell. Text that it would take for a formula gets a quote in front.
fn guarded(cell: String) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_digits = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let is_number = cell.chars().all(is_digits) && cell.parse::<f64>().is_ok();
    match is_formula && !is_number {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_cell_that_a_spreadsheet_would_compute_gets_a_quote() {
        let rows = [
            ("=1+1", "'=1+1"),
            ("+A1", "'+A1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("-inf", "'-inf"),
            ("-1.5e-3", "-1.5e-3"),
            ("+7", "+7"),
            ("part=1", "part=1"),
            ("", ""),
        ];
        for (cell, guard) in rows {
            assert_eq!(guarded(cell.into()), guard);
        }
    }
}
