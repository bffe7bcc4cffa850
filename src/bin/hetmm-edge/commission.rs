//! `hetmm-edge commission on` begins commissioning and stays, because commissioning ends with this program.

use crate::output;
use hetmm::error::{Error, Kind, Result};
use hetmm::line::control;
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

/// Begins commissioning. Returns when it has ended.
pub fn attend(socket: &Path) -> Result<ExitCode> {
    let mut refused = false;
    let mut said = false;
    control::attend(socket, "commission on", |line| {
        let answer: Value = serde_json::from_str(line).map_err(|e| {
            Error::new(Kind::Io, format!("the answer of the device is incomplete: {e}"))
        })?;
        refused |= answer.get("error").is_some();
        output::print(format_args!("{answer:#}\n"))?;
        if let Some(minutes) = answer.get("minutes").filter(|_| !said) {
            said = true;
            output::say(format_args!(
                "The device is in commissioning for {minutes} minutes, or until this program ends (Ctrl-C). All parts \
                 are rejected. `hetmm-edge pulse ng` pulses the reject output."
            ));
        }
        Ok(())
    })?;
    Ok(if refused { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
