//! Drives output lines. They are requested with a level, and driven by what the level means.
//!
//! An output goes through [`OutputPin`], so a GPIO line, an expander or a variable can stand behind it. Polarity is
//! applied here and nowhere else.

use super::chips::ChipRef;
use super::expander::ExpanderPin;
use super::find::{Found, LineRef, find, refuse_shared, remedy};
use super::pin_error::PinError;
use crate::error::{Error, Kind, Result};
use embedded_hal::digital::{ErrorType, OutputPin, PinState};
use gpiocdev::chip::Chip;
use gpiocdev::line::{Offset, Value};
use gpiocdev::{AbiVersion, Request};
use serde::{Deserialize, Serialize};
use std::path::Path;
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

impl Polarity {
    /// Returns whether the line is high when the output is active or inactive.
    pub fn is_high(self, active: bool) -> bool {
        (self == Polarity::High) == active
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

/// Holds a line of a GPIO chip. The request to the kernel may hold further lines of the chip.
struct GpioLine {
    request: Arc<Request>,
    offset: Offset,
}

impl GpioLine {
    fn set(&self, value: Value) -> std::result::Result<(), PinError> {
        self.request.set_value(self.offset, value).map_err(|e| PinError::new(&e.to_string()))
    }
}

/// Holds a pin of either kind.
enum Pin {
    /// A line of a GPIO chip.
    Gpio(GpioLine),
    /// A pin of an expander. Its thread makes the change later.
    Expander(ExpanderPin),
    /// A variable.
    Memory(MemoryPin),
}

impl ErrorType for Pin {
    type Error = PinError;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> std::result::Result<(), PinError> {
        match self {
            Pin::Gpio(line) => line.set(Value::Inactive),
            Pin::Expander(pin) => pin.set(false),
            Pin::Memory(pin) => {
                pin.0.store(false, Ordering::SeqCst);
                Ok(())
            }
        }
    }

    fn set_high(&mut self) -> std::result::Result<(), PinError> {
        match self {
            Pin::Gpio(line) => line.set(Value::Active),
            Pin::Expander(pin) => pin.set(true),
            Pin::Memory(pin) => {
                pin.0.store(true, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

/// Says where an output is wired to, and how it begins.
#[derive(Debug, Clone, Copy)]
pub struct Wiring<'a> {
    /// The name in error messages.
    pub name: &'a str,
    /// The GPIO chip.
    pub chip: ChipRef<'a>,
    /// The line on the chip.
    pub line: &'a LineRef,
    /// The level that means active.
    pub polarity: Polarity,
    /// Whether it begins active or inactive. `None` leaves direction and level as they are. It is for trials, and such
    /// an output must not be set.
    pub first: Option<bool>,
}

/// Holds an output line, or a variable in its place.
pub struct Output {
    pin: Pin,
    polarity: Polarity,
}

impl Output {
    /// Requests GPIO lines as `consumer`, in their order. All lines of a chip belong to one request to the kernel, and
    /// the same system call gives them their first levels. Where the kernel has only version 1 of its GPIO interface,
    /// every line has a request of its own, because version 1 sets all lines of a request at once.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if a chip is missing or a GPIO line is in use. The error then names its user. Returns
    /// [`Kind::Usage`] if two outputs are one line.
    pub fn request(consumer: &str, wirings: &[Wiring<'_>]) -> Result<Vec<Self>> {
        let locate = |w: &Wiring<'_>| find(w.chip, w.line).map_err(|e| e.within(w.name));
        let found = wirings.iter().map(locate).collect::<Result<Vec<Found>>>()?;
        refuse_shared(wirings.iter().map(|w| w.name).zip(&found))?;
        let Some(first) = found.first() else { return Ok(vec![]) };
        let abi = abi_of(&first.chip)?;
        if abi == AbiVersion::V1 {
            log::warn!("outputs use the old GPIO interface of the kernel (version 1)");
        }
        let lines = wirings.iter().zip(&found).enumerate();
        let lines: Vec<Wanted<'_>> =
            lines.map(|(index, (wiring, found))| Wanted { index, wiring, found }).collect();
        let mut outputs = vec![];
        for together in requests_of(abi, &lines) {
            let request = Arc::new(request(consumer, abi, &together)?);
            outputs.extend(together.iter().map(|line| {
                let pin = GpioLine { request: request.clone(), offset: line.found.offset };
                let polarity = line.wiring.polarity;
                (line.index, Output { pin: Pin::Gpio(pin), polarity })
            }));
        }
        outputs.sort_by_key(|(index, _)| *index);
        Ok(outputs.into_iter().map(|(_, output)| output).collect())
    }

    /// Makes an output of a pin of an expander, which has its first level.
    pub fn on_expander(pin: ExpanderPin, polarity: Polarity) -> Self {
        Output { pin: Pin::Expander(pin), polarity }
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
        self.pin.set_state(PinState::from(self.polarity.is_high(active)))
    }

    /// Returns the level that means active.
    pub fn polarity(&self) -> Polarity {
        self.polarity
    }

    /// Returns the variable behind the output, if it is one.
    pub fn memory(&self) -> Option<MemoryPin> {
        match &self.pin {
            Pin::Memory(pin) => Some(pin.clone()),
            Pin::Gpio(_) | Pin::Expander(_) => None,
        }
    }
}

/// Returns the newest version of the GPIO interface that the kernel has. It is asked for before any request, so that a
/// request that fails is never tried again with version 1. That would hide why it failed.
///
/// # Errors
/// Returns [`Kind::Io`] if the kernel has neither version.
fn abi_of(chip: &Path) -> Result<AbiVersion> {
    let found = Chip::from_path(chip).and_then(|chip| chip.detect_abi_version());
    found.map_err(|e| Error::new(Kind::Io, format!("{}: {e}", chip.display())))
}

/// Holds an output line that is to be requested, with its place among the outputs.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    index: usize,
    wiring: &'a Wiring<'a>,
    found: &'a Found,
}

/// Returns the lines that belong to one request each: with version 2 those of one chip.
fn requests_of<'a>(abi: AbiVersion, lines: &[Wanted<'a>]) -> Vec<Vec<Wanted<'a>>> {
    let mut requests: Vec<Vec<Wanted<'a>>> = vec![];
    for line in lines {
        let same = |request: &&mut Vec<Wanted<'_>>| {
            let first = request.first();
            abi == AbiVersion::V2 && first.is_some_and(|first| first.found.chip == line.found.chip)
        };
        match requests.iter_mut().find(same) {
            Some(request) => request.push(*line),
            None => requests.push(vec![*line]),
        }
    }
    requests
}

/// Requests lines of one chip together.
fn request(consumer: &str, abi: AbiVersion, lines: &[Wanted<'_>]) -> Result<Request> {
    let mut builder = Request::builder();
    builder.with_consumer(consumer).using_abi_version(abi);
    for Wanted { wiring, found, .. } in lines {
        if let Some(warning) = &found.warning {
            log::warn!("{}: {warning}", wiring.name);
        }
        builder.on_chip(&found.chip).with_line(found.offset);
        match wiring.first {
            Some(active) => builder.as_output(Value::from(wiring.polarity.is_high(active))),
            None => builder.as_is(),
        };
    }
    builder.request().map_err(|why| refused(lines, &why))
}

/// Says which of the lines is in use. If nobody uses any, the reason is that of all lines.
fn refused(lines: &[Wanted<'_>], why: &gpiocdev::Error) -> Error {
    let used = lines.iter().find(|line| line.found.user.is_some());
    let Some(line) = used.or(lines.first()) else { return Error::new(Kind::Io, why.to_string()) };
    let names = match used {
        Some(used) => used.wiring.name.to_owned(),
        None => lines.iter().map(|line| line.wiring.name).collect::<Vec<_>>().join(", "),
    };
    let what = match lines.len() > 1 && used.is_none() {
        true => format!("{names}: lines of {}: {why}", line.found.chip.display()),
        false => format!("{names}: {} of {}: {why}", line.wiring.line, line.found.chip.display()),
    };
    Error::new(Kind::Io, what).advise(remedy(line.found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_requests_all_lines_of_a_chip_at_once_and_version_1_each_alone() {
        let found = |chip: &str, offset| Found {
            chip: chip.into(),
            label: String::new(),
            offset,
            user: None,
            warning: None,
        };
        let places = [found("/dev/a", 1), found("/dev/b", 1), found("/dev/a", 7)];
        let line = LineRef::Offset(1);
        let wiring = Wiring {
            name: "ng",
            chip: ChipRef::named("a"),
            line: &line,
            polarity: Polarity::High,
            first: Some(true),
        };
        let lines = places.iter().enumerate();
        let lines: Vec<Wanted<'_>> =
            lines.map(|(index, found)| Wanted { index, wiring: &wiring, found }).collect();
        let requests = |abi| -> Vec<Vec<usize>> {
            let requests = requests_of(abi, &lines).into_iter();
            requests.map(|lines| lines.iter().map(|line| line.index).collect()).collect()
        };
        assert_eq!(requests(AbiVersion::V2), [vec![0, 2], vec![1]]);
        assert_eq!(requests(AbiVersion::V1), [vec![0], vec![1], vec![2]]);
    }
}
