//! Drives output lines. They are requested with a level, and driven by what the level means.
//!
//! An output goes through [`OutputPin`], so a GPIO line, an expander or a variable can stand behind it. Polarity is
//! applied here and nowhere else.

use super::find::{LineRef, find, remedy};
use crate::error::{Error, Kind, Result};
use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin, PinState};
use linux_embedded_hal::CdevPin;
use linux_embedded_hal::gpio_cdev::{Chip, LineRequestFlags};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says whether active means high or low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// Active is high.
    #[default]
    High,
    /// Active is low.
    Low,
}

/// Holds what a pin says when it refuses.
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

/// Holds a pin that is a variable, for trials at the desk and for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryPin(Arc<AtomicBool>);

impl MemoryPin {
    /// Returns whether the pin is high.
    pub fn is_high(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Holds a pin of either kind.
enum Pin {
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

/// Says where an output is wired to.
#[derive(Debug, Clone, Copy)]
pub struct Wiring<'a> {
    /// The name in error messages.
    pub name: &'a str,
    /// The name under which the kernel lists the user of the GPIO line.
    pub consumer: &'a str,
    /// The GPIO chip.
    pub chip: &'a str,
    /// The line on the chip.
    pub line: &'a LineRef,
}

/// Holds an output line, or a variable in its place.
pub struct Output {
    pin: Pin,
    polarity: Polarity,
}

impl Output {
    /// Requests a GPIO line. The same system call gives it its first level.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if the chip is missing or the GPIO line is in use. The error then names its user.
    pub fn request(wiring: &Wiring<'_>, polarity: Polarity, active: bool) -> Result<Self> {
        let Wiring { name, consumer, chip, line } = wiring;
        let found = find(chip, line).map_err(|e| e.within(name))?;
        let refused = |why: &dyn std::fmt::Display| {
            let what = format!("{name}: {line} of {}: {why}", found.chip.display());
            Error::new(Kind::Io, what).advise(remedy(&found))
        };
        let level = u8::from(state(polarity, active) == PinState::High);
        let mut chip = Chip::new(&found.chip).map_err(|e| refused(&e))?;
        let line = chip.get_line(found.offset).map_err(|e| refused(&e))?;
        let handle =
            line.request(LineRequestFlags::OUTPUT, level, consumer).map_err(|e| refused(&e))?;
        let pin = CdevPin::new(handle).map(Pin::Gpio).map_err(|e| refused(&e))?;
        Ok(Output { pin, polarity })
    }

    /// Makes an output that is a variable with this first level.
    pub fn variable(polarity: Polarity, active: bool) -> Self {
        let mut output = Output { pin: Pin::Memory(MemoryPin::default()), polarity };
        // A variable cannot refuse.
        let _ = output.set(active);
        output
    }

    /// Makes the output active or inactive.
    ///
    /// # Errors
    /// Returns an error if the pin refuses.
    pub fn set(&mut self, active: bool) -> std::result::Result<(), PinError> {
        self.pin.set_state(state(self.polarity, active))
    }

    /// Returns the variable behind the output, if it is one.
    pub fn memory(&self) -> Option<MemoryPin> {
        match &self.pin {
            Pin::Memory(pin) => Some(pin.clone()),
            Pin::Gpio(_) => None,
        }
    }
}

fn state(polarity: Polarity, active: bool) -> PinState {
    PinState::from((polarity == Polarity::High) == active)
}
