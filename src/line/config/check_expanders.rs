//! Refuses what the configuration must not say about expanders.

use super::locate::Located;
use super::outputs::Wired;
use super::schema::LineConfig;
use crate::error::Result;
use crate::gpio::LineRef;
use crate::line::tracker::Line;

pub(super) fn check(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    tables(config, at)?;
    inputs(config, at)?;
    for wired in config.outputs.wired() {
        output(config, &wired, at)?;
    }
    Ok(())
}

fn tables(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    for (index, (name, expander)) in config.expander.iter().enumerate() {
        let path = format!("expander.{name}");
        let ranges = expander.kind.addresses();
        if !ranges.iter().any(|range| range.contains(&expander.address)) {
            let list: Vec<String> = (ranges.iter())
                .map(|range| format!("{:#x} to {:#x}", range.start(), range.end()))
                .collect();
            let why = format!("{:#x} is not an address of this chip", expander.address);
            let remedy = format!("give {}", list.join(" or "));
            return Err(at.error(&format!("{path}.address"), &why, &remedy));
        }
        let mut before = config.expander.iter().take(index);
        let same = before.find(|(_, e)| e.bus == expander.bus && e.address == expander.address);
        if let Some((other, _)) = same {
            let why = format!("expander.{other} has this address on this bus");
            return Err(at.error(&path, &why, "give each chip an address of its own"));
        }
        let is_used = |wired: &Wired<'_>| wired.chip.is_some_and(|chip| chip.name == name);
        if !config.outputs.wired().iter().any(is_used) {
            let remedy = format!("remove it, or name it in an output: chip = \"{name}\"");
            return Err(at.error(&path, "no output is on it", &remedy));
        }
    }
    Ok(())
}

fn inputs(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let encoder = config.encoder.as_ref().and_then(|encoder| encoder.chip.as_ref());
    let feedback = config.outputs.feedback().and_then(|feedback| feedback.chip);
    for (path, chip) in [
        ("trigger.chip", config.trigger.chip.as_deref()),
        ("encoder.chip", encoder.map(String::as_str)),
        ("outputs.ng.feedback", feedback.map(|chip| chip.name)),
    ] {
        if chip.is_some_and(|chip| config.expander.contains_key(chip)) {
            let why = "an expander has no time stamps, so no input may be on it";
            return Err(at.error(path, why, "wire it to a GPIO chip"));
        }
    }
    Ok(())
}

fn output(config: &LineConfig, wired: &Wired<'_>, at: &Located<'_>) -> Result<()> {
    let Some(name) = wired.chip.map(|chip| chip.name) else { return Ok(()) };
    let Some(expander) = config.expander.get(name) else { return Ok(()) };
    let path = format!("outputs.{}", wired.name);
    match wired.line_kind {
        Line::Fault | Line::Heartbeat => {
            let why =
                "must not depend on a bus, and an expander keeps its level when the program ends";
            return Err(at.error(&path, why, "wire it to a GPIO chip"));
        }
        Line::Ng if !expander.allow_ng => {
            let why = "its pulses would wait for a bus";
            let remedy = format!("wire it to a GPIO chip, or set expander.{name}.allow_ng = true");
            return Err(at.error(&path, why, &remedy));
        }
        _ => {}
    }
    let pins = expander.kind.pins();
    match wired.line {
        LineRef::Offset(pin) if *pin < pins => Ok(()),
        line => {
            let why = format!("an expander of this kind has no {line}");
            let remedy = format!("give a pin from 0 to {}", pins.saturating_sub(1));
            Err(at.error(&format!("{path}.line"), &why, &remedy))
        }
    }
}
