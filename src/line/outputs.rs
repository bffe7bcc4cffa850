//! Holds the output lines. Each is requested once with its safe level, and held until the process ends.
//!
//! [`Bank::safe`] can be called from any thread and from the panic hook. After it, no other call changes an output.

use super::config::{Expanders, OutputsConfig, Wired};
use super::expanders::{self, safe_level};
use super::live::Levels;
use super::tracker::Line;
use crate::error::{Error, Result};
use crate::gpio::{Expander, ExpanderHealth, MemoryPin, Output, PinError, Wiring};
use std::sync::Arc;
use std::time::Duration;

/// The name under which the kernel lists the user of the output lines.
pub const CONSUMER: &str = "hetmm-edge outputs";

/// The time for which [`Bank::safe`] waits for the buses of expanders.
const BUS: Duration = Duration::from_millis(5);

/// Holds an output with its safe level.
struct SafeOutput {
    output: Output,
    line: Line,
    active_when_safe: bool,
}

impl SafeOutput {
    fn set(&mut self, active: bool, levels: &Levels) -> std::result::Result<(), PinError> {
        self.output.set(active)?;
        levels.note(self.line, active, self.output.polarity().is_high(active));
        Ok(())
    }
}

/// Holds all outputs of the device.
pub struct Bank {
    outputs: [Option<SafeOutput>; Line::ALL.len()],
    expanders: Vec<Expander>,
    levels: Arc<Levels>,
    /// Whether the outputs keep their safe levels until the process ends.
    latched: bool,
    /// Whether the outputs keep their safe levels until [`Bank::release`].
    held: bool,
}

impl Bank {
    /// Requests every output that the configuration names. The system call that requests the outputs of a chip also
    /// sets their safe levels.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Io`] if a chip is missing or a GPIO line is in use. The error then names its user.
    /// Returns [`crate::error::Kind::Usage`] if two outputs are one line.
    pub fn open(config: &OutputsConfig) -> Result<Self> {
        Self::open_with(config, &Expanders::new(), || ())
    }

    /// Does the same for outputs of which some are on expanders. The thread of each expander calls `prepare` first.
    ///
    /// # Errors
    /// Returns the errors of [`Bank::open`], and [`crate::error::Kind::Io`] if an expander does not answer.
    pub fn open_with(
        config: &OutputsConfig,
        expanders: &Expanders,
        prepare: impl Fn() + Clone + Send + 'static,
    ) -> Result<Self> {
        let mut bank = Bank {
            outputs: Default::default(),
            expanders: vec![],
            levels: Arc::default(),
            latched: false,
            held: false,
        };
        let wired = config.wired();
        if config.simulate {
            for wired in &wired {
                bank.add(config, wired, Output::variable(wired.active, safe_level(config, wired)));
            }
            return Ok(bank);
        }
        let is_on_gpio = |wired: &&Wired<'_>| expanders::place(expanders, wired).is_none();
        let on_gpio: Vec<Wired<'_>> = wired.iter().filter(is_on_gpio).copied().collect();
        for (wired, output) in on_gpio.iter().zip(request(config, &on_gpio, true)?) {
            bank.add(config, wired, output);
        }
        let opened = expanders::open(expanders, config, prepare)?;
        for wired in &wired {
            let Some((name, pin)) = expanders::place(expanders, wired) else { continue };
            if let Some((_, expander)) = opened.iter().find(|(opened, _)| *opened == name) {
                let output = Output::on_expander(expander.pin(pin), wired.active);
                bank.add(config, wired, output);
            }
        }
        bank.expanders = opened.into_iter().map(|(_, expander)| expander).collect();
        Ok(bank)
    }

    /// Adds an output that has its safe level.
    fn add(&mut self, config: &OutputsConfig, wired: &Wired<'_>, output: Output) {
        let (line, active_when_safe) = (wired.line_kind, safe_level(config, wired));
        self.levels.note(line, active_when_safe, output.polarity().is_high(active_when_safe));
        if let Some(slot) = self.outputs.get_mut(line.index()) {
            *slot = Some(SafeOutput { output, line, active_when_safe });
        }
    }

    /// Returns what says whether the expanders work.
    pub fn expanders(&self) -> Vec<ExpanderHealth> {
        self.expanders.iter().map(Expander::health).collect()
    }

    /// Drives an output. An output that is not wired accepts every level. After [`Bank::safe`] and during
    /// [`Bank::hold`], nothing changes.
    ///
    /// # Errors
    /// Returns an error if the pin refuses.
    pub fn set(&mut self, line: Line, active: bool) -> std::result::Result<(), PinError> {
        if self.is_frozen() {
            return Ok(());
        }
        match self.outputs.get_mut(line.index()).and_then(Option::as_mut) {
            Some(safe) => safe.set(active, &self.levels),
            None => Ok(()),
        }
    }

    /// Returns whether [`Bank::set`] changes this output: it is wired, and the outputs are not kept at their safe
    /// levels.
    pub fn drives(&self, line: Line) -> bool {
        let is_wired = self.outputs.get(line.index()).is_some_and(Option::is_some);
        is_wired && !self.latched && !self.held
    }

    /// Returns whether an output is wired.
    pub fn has(&self, line: Line) -> bool {
        self.outputs.get(line.index()).is_some_and(Option::is_some)
    }

    /// Returns whether [`Bank::set`] changes nothing at present.
    pub fn is_frozen(&self) -> bool {
        self.latched || self.held
    }

    /// Returns the levels that the outputs were set to last.
    pub fn levels(&self) -> Arc<Levels> {
        self.levels.clone()
    }

    /// Gives every output its safe level and keeps it. If one pin refuses, the others still get theirs. It waits up to
    /// 5 ms for the buses of expanders, and for nothing else.
    pub fn safe(&mut self) {
        self.latched = true;
        self.give_safe_levels();
        for expander in &self.expanders {
            expander.latch();
        }
        for expander in &self.expanders {
            expander.settle(BUS);
        }
    }

    /// Gives every output its safe level and keeps it until [`Bank::release`]. It is for callers that cannot wait for
    /// the hub thread to do so.
    pub fn hold(&mut self) {
        self.held = true;
        self.give_safe_levels();
    }

    /// Ends [`Bank::hold`]. The hub thread calls it when it has taken the safe state itself.
    pub fn release(&mut self) {
        self.held = false;
    }

    fn give_safe_levels(&mut self) {
        for output in self.outputs.iter_mut().flatten() {
            if let Err(why) = output.set(output.active_when_safe, &self.levels) {
                log::error!("an output cannot be set to its safe level: {why}");
            }
        }
    }

    /// Returns the pin behind an output if it is a variable.
    pub fn memory(&self, line: Line) -> Option<MemoryPin> {
        self.outputs.get(line.index())?.as_ref()?.output.memory()
    }
}

/// Requests outputs, all at once for each chip. With `drive` they get their safe levels. Otherwise they keep the
/// direction and the level that they have, which is for trials.
///
/// # Errors
/// Returns the same errors as [`Bank::open`].
pub(super) fn request(
    config: &OutputsConfig,
    wired: &[Wired<'_>],
    drive: bool,
) -> Result<Vec<Output>> {
    let names: Vec<String> = wired.iter().map(|w| format!("outputs.{}", w.name)).collect();
    let mut wirings = vec![];
    for (wired, name) in wired.iter().zip(&names) {
        let Some(chip) = wired.chip else {
            let what = format!("{name} has no GPIO chip");
            return Err(Error::usage(what).advise("give outputs.chip"));
        };
        let first = drive.then(|| safe_level(config, wired));
        wirings.push(Wiring { name, chip, line: wired.line, polarity: wired.active, first });
    }
    Output::request(CONSUMER, &wirings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpio::{LineRef, Polarity};
    use crate::line::config::{FaultConfig, NgConfig, OutputConfig, SafeLevel};

    fn bank(safe: SafeLevel) -> Bank {
        let line = |n| LineRef::Offset(n);
        let config = OutputsConfig {
            chip: None,
            lines: None,
            simulate: true,
            ok_pulse_width_us: 1000,
            strobe_delay_us: 0,
            strobe_width_us: 1000,
            feedback_max_us: 20_000,
            heartbeat_half_period_us: 1000,
            ng: Some(NgConfig {
                chip: None,
                line: line(1),
                active: Polarity::Low,
                safe,
                feedback: None,
            }),
            fault: Some(FaultConfig { chip: None, line: line(2), healthy: Polarity::High }),
            ok: Some(OutputConfig { chip: None, line: line(3), active: Polarity::High }),
            ready: None,
            busy: None,
            strobe: None,
            heartbeat: None,
            warning: None,
        };
        Bank::open(&config).expect("variables open")
    }

    fn levels(bank: &Bank) -> Vec<bool> {
        [Line::Ng, Line::Fault, Line::Ok]
            .iter()
            .map(|l| bank.memory(*l).expect("wired").is_high())
            .collect()
    }

    #[test]
    fn lines_begin_and_end_with_their_safe_levels() {
        for (safe, ng_high) in [(SafeLevel::Active, false), (SafeLevel::Inactive, true)] {
            let mut bank = bank(safe);
            let expected = vec![ng_high, false, false];
            assert_eq!(levels(&bank), expected, "at the start");
            for line in Line::ALL {
                bank.set(line, line == Line::Ok).expect("sets");
            }
            assert_eq!(levels(&bank), [true, true, true], "healthy, passing");
            bank.hold();
            bank.set(Line::Ok, true).expect("is ignored");
            assert_eq!(levels(&bank), expected, "held");
            bank.release();
            for line in Line::ALL {
                bank.set(line, line == Line::Ok).expect("sets");
            }
            assert_eq!(levels(&bank), [true, true, true], "released");
            bank.safe();
            assert_eq!(levels(&bank), expected, "safe");
            bank.set(Line::Ok, true).expect("is ignored");
            assert_eq!(levels(&bank), expected, "latched");
        }
    }
}
