//! Holds the output lines. Each is requested once with its safe level, and held until the process ends.
//!
//! [`Bank::safe`] can be called from any thread and from the panic hook. After it, no other call changes an output.

use super::config::{OutputsConfig, SafeLevel, Wired};
use super::tracker::Line;
use crate::error::{Error, Result};
use crate::gpio::{MemoryPin, Output, PinError, Wiring};

/// Holds an output with its safe level.
struct SafeOutput {
    output: Output,
    active_when_safe: bool,
}

/// Holds all outputs of the device.
pub struct Bank {
    outputs: [Option<SafeOutput>; Line::ALL.len()],
    /// Whether the outputs keep their safe levels until the process ends.
    latched: bool,
    /// Whether the outputs keep their safe levels until [`Bank::release`].
    held: bool,
}

impl Bank {
    /// Requests every output that the configuration names. The system call that requests it also sets its safe level.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Io`] if a chip is missing or a GPIO line is in use. The error then names its user.
    pub fn open(config: &OutputsConfig) -> Result<Self> {
        let mut bank = Bank { outputs: Default::default(), latched: false, held: false };
        let ng_active = config.ng.as_ref().is_some_and(|ng| ng.safe == SafeLevel::Active);
        for wired in config.wired() {
            let active_when_safe = wired.line_kind.active_when_safe(ng_active);
            let output = match config.simulate {
                true => Output::variable(wired.active, active_when_safe),
                false => request(&wired, active_when_safe)?,
            };
            if let Some(slot) = bank.outputs.get_mut(wired.line_kind.index()) {
                *slot = Some(SafeOutput { output, active_when_safe });
            }
        }
        Ok(bank)
    }

    /// Drives an output. An output that is not wired accepts every level. After [`Bank::safe`] and during
    /// [`Bank::hold`], nothing changes.
    ///
    /// # Errors
    /// Returns an error if the pin refuses.
    pub fn set(&mut self, line: Line, active: bool) -> std::result::Result<(), PinError> {
        if self.latched || self.held {
            return Ok(());
        }
        match self.outputs.get_mut(line.index()).and_then(Option::as_mut) {
            Some(safe) => safe.output.set(active),
            None => Ok(()),
        }
    }

    /// Returns whether [`Bank::set`] changes this output: it is wired, and the outputs are not kept at their safe
    /// levels.
    pub fn drives(&self, line: Line) -> bool {
        let is_wired = self.outputs.get(line.index()).is_some_and(Option::is_some);
        is_wired && !self.latched && !self.held
    }

    /// Gives every output its safe level and keeps it. If one pin refuses, the others still get theirs.
    pub fn safe(&mut self) {
        self.latched = true;
        self.give_safe_levels();
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
        for SafeOutput { output, active_when_safe } in self.outputs.iter_mut().flatten() {
            if let Err(why) = output.set(*active_when_safe) {
                log::error!("an output cannot be set to its safe level: {why}");
            }
        }
    }

    /// Returns the pin behind an output if it is a variable.
    pub fn memory(&self, line: Line) -> Option<MemoryPin> {
        self.outputs.get(line.index())?.as_ref()?.output.memory()
    }
}

fn request(wired: &Wired<'_>, active: bool) -> Result<Output> {
    let name = format!("outputs.{}", wired.name);
    let Some(chip) = wired.chip else {
        return Err(Error::usage(format!("{name} has no GPIO chip")).advise("give outputs.chip"));
    };
    let consumer = format!("hetmm-edge {}", wired.name);
    let wiring = Wiring { name: &name, consumer: &consumer, chip, line: wired.line };
    Output::request(&wiring, wired.active, active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpio::{LineRef, Polarity};
    use crate::line::config::{FaultConfig, NgConfig, OutputConfig};

    fn bank(safe: SafeLevel) -> Bank {
        let line = |n| LineRef::Offset(n);
        let config = OutputsConfig {
            chip: None,
            simulate: true,
            ok_pulse_width_us: 1000,
            strobe_delay_us: 0,
            strobe_width_us: 1000,
            heartbeat_half_period_us: 1000,
            ng: Some(NgConfig { chip: None, line: line(1), active: Polarity::Low, safe }),
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
