//! Output lines: requested with a level, driven by what the level means.
//!
//! An output goes through [`OutputPin`], so that a GPIO line, an expander or a variable can stand
//! behind it. Polarity is applied here and nowhere else.

use super::find::{LineRef, find, remedy};
use crate::error::{Error, Kind, Result};
use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin, PinState};
use linux_embedded_hal::CdevPin;
use linux_embedded_hal::gpio_cdev::{Chip, LineRequestFlags};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether active means high or low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// Active is high.
    #[default]
    High,
    /// Active is low.
    Low,
}

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

/// Where an output is wired to.
#[derive(Debug, Clone, Copy)]
pub struct Wiring<'a> {
    /// What error messages call it.
    pub name: &'a str,
    /// As whose line the kernel shows it.
    pub consumer: &'a str,
    /// Its GPIO chip.
    pub chip: &'a str,
    /// Its line there.
    pub line: &'a LineRef,
}

/// An output line, or a variable in its place.
pub struct Output {
    pin: Pin,
    polarity: Polarity,
}

impl Output {
    /// Requests a line and gives it its first level in the same system call.
    ///
    /// # Errors
    /// [`Kind::Io`] where the chip is missing or the line is in use, with its user.
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

    /// A variable with this first level.
    pub fn variable(polarity: Polarity, active: bool) -> Self {
        let mut output = Output { pin: Pin::Memory(MemoryPin::default()), polarity };
        // A variable cannot refuse.
        let _ = output.set(active);
        output
    }

    /// Makes it active or inactive.
    ///
    /// # Errors
    /// Where the pin refuses.
    pub fn set(&mut self, active: bool) -> std::result::Result<(), PinError> {
        self.pin.set_state(state(self.polarity, active))
    }

    /// The variable behind it, where it is one.
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
