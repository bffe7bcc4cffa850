//! `hetmm-edge lines` shows the inputs and outputs of the running device: again and again on a terminal, else once.

use crate::output;
use hetmm::error::{Error, Kind, Result};
use hetmm::line::control;
use serde_json::Value;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The time between two looks at the device.
const PERIOD: Duration = Duration::from_millis(250);

/// Shows the lines until the program is stopped, or once.
pub fn show(socket: &Path, as_json: bool) -> Result<ExitCode> {
    let is_live = !as_json && std::io::stdout().is_terminal();
    let mut shown = 0;
    loop {
        let answer = control::ask(socket, "lines")?;
        let answer: Value = serde_json::from_str(&answer).map_err(|e| {
            Error::new(Kind::Io, format!("the answer of the device is incomplete: {e}"))
        })?;
        if as_json || answer.get("error").is_some() {
            output::print(format_args!("{answer:#}\n"))?;
            let code = if answer.get("error").is_some() { 1 } else { 0 };
            return Ok(ExitCode::from(code));
        }
        let table = table(&answer);
        if shown > 0 {
            // Back to the first line of the table, and nothing stays below it.
            output::print(format_args!("\x1b[{shown}A\x1b[J"))?;
        }
        output::print(&table)?;
        if !is_live {
            return Ok(ExitCode::SUCCESS);
        }
        shown = table.lines().count();
        std::thread::sleep(PERIOD);
    }
}

/// Makes a table with a line of text for each input and output.
fn table(answer: &Value) -> String {
    let mut text = String::new();
    let rows = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let word = |row: &Value, key: &str| -> String {
        row.get(key).and_then(Value::as_str).unwrap_or("?").to_owned()
    };
    for row in rows("inputs") {
        let count = row.get("count").and_then(Value::as_u64).unwrap_or(0);
        let last = match (row.get("last_us").and_then(Value::as_u64), row.get("ago_us")) {
            (Some(last), Some(ago)) => {
                format!(
                    "last at {:.6} s, {:.1} s ago",
                    seconds(last),
                    seconds(ago.as_u64().unwrap_or(0))
                )
            }
            _ => "none yet".into(),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "in   {:<10} {count:>10} edges   {last}", word(&row, "name"));
    }
    for row in rows("outputs") {
        let active = match row.get("active").and_then(Value::as_bool) {
            Some(true) => "on",
            Some(false) => "off",
            None => "?",
        };
        let active = if word(&row, "name") == "fault" { fault(active) } else { active };
        let (name, level) = (word(&row, "name"), word(&row, "level"));
        let _ = writeln!(text, "out  {name:<10} {active:<10} {level}");
    }
    if text.is_empty() {
        text.push_str("no input and no output is wired\n");
    }
    text
}

/// Says what the fault output means: it is inside out, because energised means healthy.
fn fault(active: &str) -> &str {
    match active {
        "on" => "fault",
        "off" => "healthy",
        other => other,
    }
}

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_line_has_a_row() {
        let answer = json!({
            "at_us": 7_000_000,
            "inputs": [
                {"name": "trigger", "count": 12, "last_us": 5_250_000, "ago_us": 1_750_000},
                {"name": "encoder", "count": 0, "last_us": null, "ago_us": null},
            ],
            "outputs": [
                {"name": "ng", "active": true, "level": "low"},
                {"name": "fault", "active": false, "level": "high"},
            ],
        });
        let table = table(&answer);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 4, "{table}");
        assert_eq!(
            rows.first(),
            Some(&"in   trigger            12 edges   last at 5.250000 s, 1.8 s ago")
        );
        assert_eq!(rows.get(1), Some(&"in   encoder             0 edges   none yet"));
        assert_eq!(rows.get(2), Some(&"out  ng         on         low"));
        assert_eq!(rows.get(3), Some(&"out  fault      healthy    high"));
    }
}
