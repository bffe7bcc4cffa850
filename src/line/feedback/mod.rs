//! Watches whether the valve follows the reject output, with an input that is wired to the valve.
//!
//! The hub thread tells of every pulse and never waits. The thread of this module finds the edge that follows it, by the
//! time stamps of the kernel. It tells the records, and it raises the fault of the outputs if the edge is missing.

mod matcher;

use super::config::WiredFeedback;
use super::gate::{Followed, Pulse};
use super::live::Traffic;
use super::messages::Message;
use super::outbox::Outbox;
use super::records::Reporter;
use super::tracker::{Event, Fault};
use crate::clock::LineTime;
use crate::error::{Error, Result};
use crate::gpio::{EdgeInput, Edges};
use matcher::Matcher;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// The name under which the kernel lists the user of the input line.
const CONSUMER: &str = "hetmm-edge feedback";
/// The number of pulses that may wait for the thread.
const QUEUE: usize = 256;
/// The longest wait for an edge. The thread looks for pulses after it.
const WAIT: Duration = Duration::from_millis(5);
/// How much later than its stamp the kernel may hand over an edge, when the machine is busy.
const GRACE: Duration = Duration::from_millis(50);
/// How much longer the records wait than this thread, in case that it never answers.
const SLACK: Duration = Duration::from_millis(250);

/// Returns how long a record waits for the answer about its pulse, if an edge may come so long after it.
pub fn patience(limit: Duration) -> Duration {
    limit.saturating_add(GRACE).saturating_add(SLACK)
}

/// Tells the thread of pulses.
#[derive(Debug, Clone)]
pub struct Teller(SyncSender<Pulse>);

impl Teller {
    /// Tells of a pulse that has begun, and never waits. Returns false if nobody will watch it.
    pub fn began(&self, pulse: Pulse) -> bool {
        self.0.try_send(pulse).is_ok()
    }
}

/// Gives the edges of the input.
enum Source {
    /// A GPIO line.
    Gpio(Edges),
    /// A trial at the desk: the input follows the output at once, if the edges that are wanted are those of the output.
    Simulated { follows: bool },
}

/// Holds what the thread works with.
pub struct Feedback {
    source: Source,
    pulses: Receiver<Pulse>,
    matcher: Matcher,
    hub: Outbox,
    reporter: Reporter,
    traffic: Arc<Traffic>,
    /// The number of the last edge that was read.
    number: u32,
    /// Whether the edge of the last pulse was missing.
    is_missing: bool,
}

impl Feedback {
    /// Requests the input, or simulates one if the outputs are simulated. `limit` is the longest time from a pulse to its
    /// edge. Also returns the way to tell of pulses.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Io`] if the chip is missing or the line is in use. The error then names its user.
    pub fn open(
        wired: &WiredFeedback<'_>,
        limit: Duration,
        hub: Outbox,
        reporter: Reporter,
    ) -> Result<(Feedback, Teller)> {
        let source = match wired.follows_simulated {
            Some(follows) => Source::Simulated { follows },
            None => Source::Gpio(request(wired)?),
        };
        let (sender, pulses) = sync_channel(QUEUE);
        let matcher = Matcher::new(limit, GRACE);
        let traffic = Arc::default();
        let (number, is_missing) = (0, false);
        let feedback =
            Feedback { source, pulses, matcher, hub, reporter, traffic, number, is_missing };
        Ok((feedback, Teller(sender)))
    }

    /// Returns the edges that can be seen from outside.
    pub fn traffic(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }

    /// Watches until the hub thread has ended and every pulse has its answer.
    pub fn run(mut self) {
        let mut hub_lives = true;
        while hub_lives || !self.matcher.is_idle() {
            if let Err(why) = self.read_edges() {
                log::error!("the feedback input fails: {why}");
                self.raise();
                // From now on no edge comes, so every pulse is answered as one that nobody saw.
                self.source = Source::Simulated { follows: false };
            }
            // An edge that was stamped before this moment was handed over, or is within the grace.
            let now = LineTime::now();
            hub_lives = self.take_pulses();
            while let Some(answer) = self.matcher.answer(now) {
                self.answer(answer);
            }
        }
    }

    /// Waits a moment for edges and takes those that are there.
    fn read_edges(&mut self) -> std::result::Result<(), crate::gpio::EdgeError> {
        let Source::Gpio(edges) = &self.source else {
            std::thread::sleep(WAIT);
            return Ok(());
        };
        if !edges.wait(WAIT)? {
            return Ok(());
        }
        loop {
            if let Some(edge) = edges.read()? {
                let lost = edge.number.wrapping_sub(self.number).saturating_sub(1);
                self.number = edge.number;
                self.traffic.note(edge.at, lost);
                self.matcher.edge(edge.at);
            }
            if !edges.is_there()? {
                return Ok(());
            }
        }
    }

    /// Takes the pulses that wait. Returns false if there will be no more.
    fn take_pulses(&mut self) -> bool {
        loop {
            match self.pulses.try_recv() {
                Ok(pulse) => {
                    if let Source::Simulated { follows: true } = self.source {
                        self.traffic.note(pulse.at, 0);
                        self.matcher.edge(pulse.at);
                    }
                    self.matcher.pulse(pulse);
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn answer(&mut self, answer: Followed) {
        let was_missing = std::mem::replace(&mut self.is_missing, answer.seen.is_none());
        if self.is_missing && !was_missing {
            log::error!(
                "no edge came at the feedback input in time after pulse {} of the reject output",
                answer.pulse
            );
            self.raise();
        }
        self.reporter.followed(answer);
    }

    fn raise(&self) {
        let event = Event::Condition { fault: Fault::Outputs, present: true };
        self.hub.send(Message::Event(event));
    }
}

/// Requests the input line.
///
/// # Errors
/// Returns the same errors as [`Feedback::open`].
pub(super) fn request(wired: &WiredFeedback<'_>) -> Result<Edges> {
    let Some(chip) = wired.chip else {
        let what = "outputs.ng.feedback has no GPIO chip";
        return Err(Error::usage(what).advise("give outputs.chip"));
    };
    let input = EdgeInput {
        name: "feedback",
        line: &wired.config.line,
        edge: wired.config.edge,
        bias: wired.config.bias,
        debounce: None,
    };
    Edges::open(chip, CONSUMER, &[input])
}

#[cfg(test)]
mod tests;
