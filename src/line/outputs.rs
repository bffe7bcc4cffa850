//! The output lines: requested once with their safe level, and held until the process ends.
//!
//! An output goes through [`OutputPin`], so that a GPIO line, an expander or a variable can stand
//! behind it. Polarity is applied here and nowhere else. [`Bank::safe`] can be called from any
//! thread and from the panic hook; after it no other call changes a line.

use super::config::{OutputsConfig, Polarity, SafeLevel, Wired};
use super::gpio;
use super::tracker::Line;
use crate::error::{Error, Kind, Result};
use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin, PinState};
use linux_embedded_hal::CdevPin;
use linux_embedded_hal::gpio_cdev::{Chip, LineRequestFlags};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a pin says when it refuses.
#[derive(Debug, Clone)]
pub struct PinError(String);

impl std::fmt::Display for PinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl embedded_hal::digital::Error for PinError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// A pin that is a variable, for trials at the desk and for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryPin(Arc<AtomicBool>);

impl MemoryPin {
    /// Whether it is high.
    pub fn is_high(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A pin of either kind.
pub enum Pin {
    /// A line of a GPIO chip.
    Gpio(CdevPin),
    /// A variable.
    Memory(MemoryPin),
}

impl ErrorType for Pin {
    type Error = PinError;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> std::result::Result<(), PinError> {
        match self {
            Pin::Gpio(pin) => pin.set_low().map_err(|e| PinError(e.to_string())),
            Pin::Memory(pin) => {
                pin.0.store(false, Ordering::SeqCst);
                Ok(())
            }
        }
    }

    fn set_high(&mut self) -> std::result::Result<(), PinError> {
        match self {
            Pin::Gpio(pin) => pin.set_high().map_err(|e| PinError(e.to_string())),
            Pin::Memory(pin) => {
                pin.0.store(true, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

struct Output {
    pin: Pin,
    active: Polarity,
    active_when_safe: bool,
}

impl Output {
    fn set(&mut self, active: bool) -> std::result::Result<(), PinError> {
        self.pin.set_state(state(self.active, active))
    }
}

/// All output lines of the device.
pub struct Bank {
    outputs: [Option<Output>; Line::ALL.len()],
    /// Whether the lines keep their safe levels until the process ends.
    latched: bool,
    /// Whether they keep them until [`Bank::release`].
    held: bool,
}

impl Bank {
    /// Requests every line that the configuration names, each with its safe level in the same
    /// system call.
    ///
    /// # Errors
    /// [`Kind::Io`] where a chip is missing or a line is in use, with its user.
    pub fn open(config: &OutputsConfig) -> Result<Self> {
        let mut bank = Bank { outputs: Default::default(), latched: false, held: false };
        let ng_active = config.ng.as_ref().is_some_and(|ng| ng.safe == SafeLevel::Active);
        for wired in config.wired() {
            let active_when_safe = wired.line_kind.active_when_safe(ng_active);
            let pin = if config.simulate {
                Pin::Memory(MemoryPin::default())
            } else {
                request(&wired, active_when_safe)?
            };
            let mut output = Output { pin, active: wired.active, active_when_safe };
            if config.simulate {
                // A variable cannot refuse.
                let _ = output.set(active_when_safe);
            }
            if let Some(slot) = bank.outputs.get_mut(wired.line_kind.index()) {
                *slot = Some(output);
            }
        }
        Ok(bank)
    }

    /// Drives a line. A line that is not wired takes every level. In the safe state, and while they are
    /// held, nothing changes.
    ///
    /// # Errors
    /// Where the pin refuses.
    pub fn set(&mut self, line: Line, active: bool) -> std::result::Result<(), PinError> {
        if self.latched || self.held {
            return Ok(());
        }
        match self.outputs.get_mut(line.index()).and_then(Option::as_mut) {
            Some(output) => output.set(active),
            None => Ok(()),
        }
    }

    /// Gives every line its safe level and keeps it. A pin that refuses does not keep the others
    /// from theirs.
    pub fn safe(&mut self) {
        self.latched = true;
        self.give_safe_levels();
    }

    /// Gives every line its safe level and keeps it until [`Bank::release`]: for who cannot wait for the line's
    /// thread to do so.
    pub fn hold(&mut self) {
        self.held = true;
        self.give_safe_levels();
    }

    /// Ends [`Bank::hold`]. Called by the thread that drives the lines when it has taken the safe state itself.
    pub fn release(&mut self) {
        self.held = false;
    }

    fn give_safe_levels(&mut self) {
        for output in self.outputs.iter_mut().flatten() {
            if let Err(why) = output.set(output.active_when_safe) {
                log::error!("an output does not take its safe level: {why}");
            }
        }
    }

    /// The pin behind a line, where it is a variable.
    pub fn memory(&self, line: Line) -> Option<MemoryPin> {
        match self.outputs.get(line.index())?.as_ref()?.pin {
            Pin::Memory(ref pin) => Some(pin.clone()),
            Pin::Gpio(_) => None,
        }
    }
}

fn state(polarity: Polarity, active: bool) -> PinState {
    PinState::from((polarity == Polarity::High) == active)
}

fn request(output: &Wired<'_>, active: bool) -> Result<Pin> {
    let name = format!("outputs.{}", output.name);
    let Some(chip) = output.chip else {
        return Err(Error::usage(format!("{name} has no GPIO chip")).advise("give outputs.chip"));
    };
    let found = gpio::find(chip, output.line).map_err(|e| e.within(&name))?;
    let refused = |why: &dyn std::fmt::Display| {
        let what = format!("{name}: {} of {}: {why}", output.line, found.chip.display());
        Error::new(Kind::Io, what).advise(gpio::remedy(&found))
    };
    let level = u8::from(state(output.active, active) == PinState::High);
    let mut chip = Chip::new(&found.chip).map_err(|e| refused(&e))?;
    let line = chip.get_line(found.offset).map_err(|e| refused(&e))?;
    let consumer = format!("hetmm-edge {}", output.name);
    let handle =
        line.request(LineRequestFlags::OUTPUT, level, &consumer).map_err(|e| refused(&e))?;
    CdevPin::new(handle).map(Pin::Gpio).map_err(|e| refused(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::config::{FaultConfig, LineRef, NgConfig, OutputConfig};

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
