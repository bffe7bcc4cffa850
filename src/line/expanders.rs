//! Opens the expanders of the configuration, with the outputs that are on each.

use super::config::{ExpanderConfig, Expanders, OutputsConfig, SafeLevel, Wired};
use crate::error::Result;
use crate::gpio::{Expander, ExpanderSettings, LineRef};

/// Holds an open expander with its name.
pub(super) type Opened<'a> = (&'a str, Expander);

/// Opens every expander, and gives the outputs on it their safe levels. Each thread calls `prepare` first.
///
/// # Errors
/// Returns [`crate::error::Kind::Io`] if an expander does not answer.
pub(super) fn open<'a>(
    expanders: &'a Expanders,
    outputs: &OutputsConfig,
    prepare: impl Fn() + Clone + Send + 'static,
) -> Result<Vec<Opened<'a>>> {
    let open = |(name, config): (&'a String, &ExpanderConfig)| {
        let expander = Expander::open(&settings(name, config, outputs), prepare.clone())?;
        Ok((name.as_str(), expander))
    };
    expanders.iter().map(open).collect()
}

/// Returns the pin of an output and the name of its expander, if it is on one.
pub(super) fn place<'a>(expanders: &Expanders, wired: &Wired<'a>) -> Option<(&'a str, u8)> {
    let name = wired.chip?.name;
    let config = expanders.get(name)?;
    match wired.line {
        LineRef::Offset(pin) if *pin < config.kind.pins() => Some((name, u8::try_from(*pin).ok()?)),
        _ => None,
    }
}

/// Returns what is known of an expander: its outputs and their safe levels.
pub(super) fn settings<'a>(
    name: &'a str,
    config: &'a ExpanderConfig,
    outputs: &OutputsConfig,
) -> ExpanderSettings<'a> {
    let (mut mask, mut levels) = (0u16, 0u16);
    for wired in outputs.wired() {
        let LineRef::Offset(pin) = *wired.line else { continue };
        if wired.chip.is_none_or(|chip| chip.name != name) {
            continue;
        }
        let bit = 1u16.checked_shl(pin).unwrap_or(0);
        mask |= bit;
        if wired.active.is_high(safe_level(outputs, &wired)) {
            levels |= bit;
        }
    }
    let ExpanderConfig { kind, bus, address, .. } = config;
    ExpanderSettings { name, kind: *kind, bus, address: *address, outputs: mask, levels }
}

/// Returns whether an output is active in the safe state.
pub(super) fn safe_level(config: &OutputsConfig, wired: &Wired<'_>) -> bool {
    let ng_active = config.ng.as_ref().is_some_and(|ng| ng.safe == SafeLevel::Active);
    wired.line_kind.active_when_safe(ng_active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::config::LineConfig;

    #[test]
    fn an_expander_begins_with_the_safe_levels_of_its_outputs() {
        let text = "[template]\nfile = \"-\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
            source = \"folder\"\nfolder = \"-\"\nframes_per_second = 1\n[reject]\n\
            delay_us = 1000\npulse_width_us = 1000\n[outputs]\nchip = \"x\"\n\
            ng = { line = 15 }\nok = { line = 0, active = \"low\" }\nready = { line = 1 }\n\
            busy = { chip = \"gpiochip0\", line = 2 }\n\
            [expander.x]\nkind = \"mcp23017\"\nbus = \"/dev/i2c-1\"\naddress = 0x20\nallow_ng = true\n";
        let config = LineConfig::parse(text, "test").expect("reads");
        let (name, expander) = config.expander.iter().next().expect("one");
        let settings = settings(name, expander, &config.outputs);
        assert_eq!(settings.outputs, 0b1000_0000_0000_0011);
        assert_eq!(settings.levels, 0b1000_0000_0000_0001, "ng rejects, ok is off, which is high");
        let places: Vec<_> =
            config.outputs.wired().iter().map(|w| place(&config.expander, w)).collect();
        assert_eq!(places, [Some(("x", 15)), Some(("x", 0)), Some(("x", 1)), None]);
    }
}
