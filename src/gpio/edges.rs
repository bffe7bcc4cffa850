//! Reads edges on input lines, with the kernel's time stamps and never by polling.

use super::chips::ChipRef;
use super::find::{Found, LineRef, find, refuse_shared, remedy};
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use gpiocdev::chip::Chip;
use gpiocdev::line::{self, EdgeDetection, EventClock};
use gpiocdev::{AbiVersion, Request};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use gpiocdev::Error as EdgeError;

/// The number of edges that the kernel keeps for the program.
const KERNEL_BUFFER: u32 = 4096;

/// Says which edges count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// Edges from low to high.
    #[default]
    Rising,
    /// Edges from high to low.
    Falling,
    /// Both kinds of edges.
    Both,
}

/// Says what the board does with an open input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// It keeps what was set up before.
    #[default]
    AsIs,
    /// It does nothing.
    Disabled,
    /// It pulls the input to high.
    PullUp,
    /// It pulls the input to low.
    PullDown,
}

impl Bias {
    /// Returns the bias as the kernel is asked for it.
    pub(super) fn of_the_kernel(self) -> Option<line::Bias> {
        match self {
            Bias::AsIs => None,
            Bias::Disabled => Some(line::Bias::Disabled),
            Bias::PullUp => Some(line::Bias::PullUp),
            Bias::PullDown => Some(line::Bias::PullDown),
        }
    }
}

/// Describes an input line whose edges are wanted.
#[derive(Debug, Clone, Copy)]
pub struct EdgeInput<'a> {
    /// The name in error messages.
    pub name: &'a str,
    /// The GPIO line.
    pub line: &'a LineRef,
    /// The edges that are wanted.
    pub edge: EdgeKind,
    /// What the board does with the input while it is open.
    pub bias: Bias,
    /// The time for which the level must last to count. Zero switches the filter off. `None` does not change the
    /// filter.
    pub debounce: Option<Duration>,
}

/// Describes an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The place of its GPIO line among the inputs that were asked for.
    pub input: usize,
    /// The moment of the edge.
    pub at: LineTime,
    /// The kernel's number for the edge on its GPIO line, from 1. Edges that the kernel had to drop have a number, too.
    /// It wraps at 32 bits.
    pub number: u32,
}

/// Holds input lines of one chip. They belong to one request to the kernel, so the kernel keeps their edges in one
/// order.
#[derive(Debug)]
pub struct Edges {
    request: Request,
    /// The inputs' offsets on the chip, in their order.
    offsets: Vec<u32>,
}

impl Edges {
    /// Requests the GPIO lines, as `consumer`. If the request fails and nobody uses any of them, the error names the first
    /// one.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if the chip is missing, if the kernel is too old, or if a GPIO line is in use. The error
    /// then names its user. Returns [`Kind::Usage`] if two inputs are one line.
    pub fn open(chip: ChipRef<'_>, consumer: &str, inputs: &[EdgeInput<'_>]) -> Result<Self> {
        let locate =
            |input: &EdgeInput<'_>| find(chip, input.line).map_err(|e| e.within(input.name));
        let found = inputs.iter().map(locate).collect::<Result<Vec<Found>>>()?;
        let (Some(first), Some(input)) = (found.first(), inputs.first()) else {
            return Err(Error::usage("no input line is asked for"));
        };
        refuse_shared(inputs.iter().map(|input| input.name).zip(&found))?;
        if let Some(warning) = &first.warning {
            log::warn!("{}: {warning}", input.name);
        }
        refuse_old_kernel(first)?;
        let mut builder = Request::builder();
        builder
            .on_chip(&first.chip)
            .with_consumer(consumer)
            .using_abi_version(AbiVersion::V2)
            .with_kernel_event_buffer_size(KERNEL_BUFFER);
        for (input, found) in inputs.iter().zip(&found) {
            builder
                .with_line(found.offset)
                .as_input()
                .with_bias(input.bias.of_the_kernel())
                .with_edge_detection(detection(input.edge))
                .with_event_clock(EventClock::Monotonic);
            if let Some(debounce) = input.debounce {
                builder.with_debounce_period(debounce);
            }
        }
        let request = builder.request().map_err(|e| {
            let used = inputs.iter().zip(&found).find(|(_, found)| found.user.is_some());
            let (input, found) = used.unwrap_or((input, first));
            let what = format!("{}: {} of {}: {e}", input.name, input.line, found.chip.display());
            Error::new(Kind::Io, what).advise(remedy(found))
        })?;
        Ok(Edges { request, offsets: found.iter().map(|found| found.offset).collect() })
    }

    /// Waits up to `limit` for an edge. Returns false if none came.
    ///
    /// # Errors
    /// Returns an error if the chip is gone.
    pub fn wait(&self, limit: Duration) -> std::result::Result<bool, EdgeError> {
        self.request.wait_edge_event(limit)
    }

    /// Returns whether an edge is there to be read.
    ///
    /// # Errors
    /// Returns an error if the chip is gone.
    pub fn is_there(&self) -> std::result::Result<bool, EdgeError> {
        self.request.has_edge_event()
    }

    /// Waits for the next edge and returns it. Returns `None` for an edge of a GPIO line that was not asked for.
    ///
    /// # Errors
    /// Returns an error if the chip is gone.
    pub fn read(&self) -> std::result::Result<Option<Edge>, EdgeError> {
        let event = self.request.read_edge_event()?;
        let input = self.offsets.iter().position(|offset| *offset == event.offset);
        let at = LineTime::from_nanos(event.timestamp_ns);
        Ok(input.map(|input| Edge { input, at, number: event.line_seqno }))
    }
}

/// Refuses a kernel that cannot filter, stamp and number edges.
fn refuse_old_kernel(found: &Found) -> Result<()> {
    let chip = Chip::from_path(&found.chip);
    chip.and_then(|chip| chip.supports_abi_version(AbiVersion::V2)).map_err(|e| {
        let what =
            format!("{}: inputs need version 2 of the GPIO interface: {e}", found.chip.display());
        Error::new(Kind::Io, what).advise("use Linux 5.10 or later")
    })
}

fn detection(kind: EdgeKind) -> EdgeDetection {
    match kind {
        EdgeKind::Rising => EdgeDetection::RisingEdge,
        EdgeKind::Falling => EdgeDetection::FallingEdge,
        EdgeKind::Both => EdgeDetection::BothEdges,
    }
}
