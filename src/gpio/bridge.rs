//! Toggles an output that is wired to an input, and looks whether the input follows. Only this proves a wire.

use super::chips::ChipRef;
use super::edges::Bias;
use super::find::{Found, LineRef, find, refuse_shared, remedy};
use super::output::{Output, Wiring};
use crate::error::{Error, Kind, Result};
use gpiocdev::Request;
use std::time::Duration;

/// The number of changes of the output.
pub const TOGGLES: u32 = 10;
/// The time that an input has to follow its output.
const SETTLE: Duration = Duration::from_millis(20);

/// Names the input at the other end of a wire.
#[derive(Debug, Clone, Copy)]
pub struct BridgeEnd<'a> {
    /// The name in error messages.
    pub name: &'a str,
    /// The GPIO chip.
    pub chip: ChipRef<'a>,
    /// The line on the chip.
    pub line: &'a LineRef,
    /// What the board does with the input while it is open.
    pub bias: Bias,
}

/// Changes an output [`TOGGLES`] times, and returns how often the input had the level of the output afterwards. At the
/// end the output has its first level, and both lines are released.
///
/// # Errors
/// Returns [`Kind::Io`] if a line cannot be requested or read, and [`Kind::Usage`] if both are one line.
pub fn toggle(consumer: &str, output: &Wiring<'_>, input: &BridgeEnd<'_>) -> Result<u32> {
    let from = find(output.chip, output.line).map_err(|e| e.within(output.name))?;
    let to = find(input.chip, input.line).map_err(|e| e.within(input.name))?;
    refuse_shared([(output.name, &from), (input.name, &to)].into_iter())?;
    let read = open(consumer, input, &to)?;
    let first = output.first.unwrap_or(false);
    let wiring = Wiring { first: Some(first), ..*output };
    let mut outputs = Output::request(consumer, &[wiring])?;
    let Some(driven) = outputs.first_mut() else { return Ok(0) };
    let mut followed = 0;
    for step in 0..TOGGLES {
        let active = first != (step % 2 == 0);
        let set = driven.set(active);
        set.map_err(|e| Error::new(Kind::Io, format!("{}: {from}: {e}", output.name)))?;
        std::thread::sleep(SETTLE);
        let value = read.value(to.offset);
        let value =
            value.map_err(|e| Error::new(Kind::Io, format!("{}: {to}: {e}", input.name)))?;
        // A line that is not marked as active low is active when it is high.
        followed += u32::from(bool::from(value) == output.polarity.is_high(active));
    }
    Ok(followed)
}

fn open(consumer: &str, input: &BridgeEnd<'_>, found: &Found) -> Result<Request> {
    let mut builder = Request::builder();
    builder
        .on_chip(&found.chip)
        .with_consumer(consumer)
        .with_line(found.offset)
        .as_input()
        .with_bias(input.bias.of_the_kernel());
    builder.request().map_err(|e| {
        let what = format!("{}: {} of {}: {e}", input.name, input.line, found.chip.display());
        Error::new(Kind::Io, what).advise(remedy(found))
    })
}
