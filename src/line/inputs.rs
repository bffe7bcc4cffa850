//! Reads trigger and encoder, and tells the part tracker what their edges mean.
//!
//! Both GPIO lines belong to one request to the kernel, so the kernel keeps their edges in one order. A trigger's place
//! on the belt is the encoder count at its edge. Edges that the kernel had to drop show as gaps in its sequence
//! numbers. They are reported to the part tracker.

use super::config::{EncoderConfig, TriggerConfig};
use super::live::Traffic;
use super::messages::Message;
use super::outbox::Outbox;
use super::tracker::{Event, Fault, Watch};
use crate::error::{Error, Result};
use crate::gpio::{Edge, EdgeError, EdgeInput, Edges};
use std::sync::Arc;
use std::time::Duration;

/// The name under which the kernel lists the user of the input lines.
pub const CONSUMER: &str = "hetmm-edge trigger";
/// The length of one wait. It bounds the time until the thread sees a stop.
const WAIT: Duration = Duration::from_millis(100);
/// The pause before lost inputs are tried again.
const BACK_OFF: Duration = Duration::from_millis(500);
/// The places of the GPIO lines among the inputs.
const TRIGGER: usize = 0;
const ENCODER: usize = 1;

/// Holds the requested input lines.
pub struct Inputs {
    edges: Edges,
    /// The edges of the inputs that can be seen from outside, in the order of the inputs.
    traffic: [Arc<Traffic>; 2],
    trigger_seen: u32,
    encoder_seen: u32,
    counted: u64,
}

impl Inputs {
    /// Requests the GPIO lines.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Io`] if the chip is missing, or if a GPIO line is in use. The error then names its
    /// user.
    pub fn open(trigger: &TriggerConfig, encoder: Option<&EncoderConfig>) -> Result<Self> {
        let edges = request(trigger, encoder)?;
        let traffic = Default::default();
        Ok(Inputs { edges, traffic, trigger_seen: 0, encoder_seen: 0, counted: 0 })
    }

    /// Returns the edges of the inputs that are in use, with the names of the inputs.
    pub fn traffic(&self, encoder: Option<&EncoderConfig>) -> Vec<(&'static str, Arc<Traffic>)> {
        let count = if encoder.is_some() { 2 } else { 1 };
        let named = ["trigger", "encoder"].into_iter().zip(self.traffic.iter().cloned());
        named.take(count).collect()
    }

    /// Waits for edges and sends them on until the device stops. Inputs that fail are a fault, and are opened again.
    pub fn run(mut self, trigger: &TriggerConfig, encoder: Option<&EncoderConfig>, hub: &Outbox) {
        while !hub.stopped() {
            let Err(why) = self.forward(hub) else { continue };
            log::error!("the trigger input fails: {why}");
            hub.send(Message::Event(Event::Condition { fault: Fault::Inputs, present: true }));
            // From now on nobody knows what happens on the inputs. On a belt of constant speed, everything that passes
            // the trigger is rejected until the inputs work again. Without counts nobody knows where the parts are, so
            // the safe state is taken.
            let watch = Watch::Inputs;
            hub.send(Message::Event(Event::Blind { watch, parts: 1 }));
            if encoder.is_some() {
                hub.send(Message::Event(Event::Safe));
            }
            while !hub.stopped() {
                std::thread::sleep(BACK_OFF);
                let Ok(edges) = request(trigger, encoder) else { continue };
                self = Inputs { edges, trigger_seen: 0, encoder_seen: 0, ..self };
                hub.send(Message::Event(Event::Seeing { watch }));
                log::info!("the trigger input works again");
                let healthy = Event::Condition { fault: Fault::Inputs, present: false };
                hub.send(Message::Event(healthy));
                if encoder.is_some() {
                    log::error!("counts were lost: clear the belt, then `hetmm-edge resume`");
                }
                break;
            }
        }
    }

    /// Waits once and sends on everything that is there.
    fn forward(&mut self, hub: &Outbox) -> std::result::Result<(), EdgeError> {
        if !self.edges.wait(WAIT)? {
            return Ok(());
        }
        let mut count = None;
        loop {
            match self.edges.read()? {
                Some(edge) if edge.input == TRIGGER => {
                    if let Some(count) = count.take() {
                        hub.send(Message::Event(Event::Count(count)));
                    }
                    self.trigger_edge(edge, hub);
                }
                Some(edge) if edge.input == ENCODER => count = Some(self.encoder_edge(edge)),
                _ => {}
            }
            if !self.edges.is_there()? {
                break;
            }
        }
        if let Some(count) = count {
            hub.send(Message::Event(Event::Count(count)));
        }
        Ok(())
    }

    fn trigger_edge(&mut self, edge: Edge, hub: &Outbox) {
        let lost = edge.number.wrapping_sub(self.trigger_seen).saturating_sub(1);
        self.trigger_seen = edge.number;
        hub.trigger(edge.at, lost);
        self.note(edge, lost);
    }

    fn note(&self, edge: Edge, lost: u32) {
        if let Some(traffic) = self.traffic.get(edge.input) {
            traffic.note(edge.at, lost);
        }
    }

    /// Returns the encoder's count after this edge. The edge's number includes those that the kernel dropped.
    fn encoder_edge(&mut self, edge: Edge) -> u64 {
        let moved = edge.number.wrapping_sub(self.encoder_seen);
        self.counted = self.counted.saturating_add(u64::from(moved));
        self.encoder_seen = edge.number;
        self.note(edge, moved.saturating_sub(1));
        self.counted
    }
}

/// Requests the GPIO lines of trigger and encoder together.
///
/// # Errors
/// Returns the same errors as [`Inputs::open`].
pub(super) fn request(trigger: &TriggerConfig, encoder: Option<&EncoderConfig>) -> Result<Edges> {
    let (Some(chip), Some(line)) = (trigger.chip_ref(), &trigger.line) else {
        return Err(Error::usage("trigger: no chip and line"));
    };
    let debounce = Duration::from_micros(trigger.debounce_us);
    let mut inputs = vec![EdgeInput {
        name: "trigger",
        line,
        edge: trigger.edge,
        bias: trigger.bias,
        debounce: Some(debounce).filter(|debounce| !debounce.is_zero()),
    }];
    inputs.extend(encoder.map(|encoder| EdgeInput {
        name: "encoder",
        line: &encoder.line,
        edge: encoder.edge,
        bias: encoder.bias,
        debounce: Some(Duration::ZERO),
    }));
    Edges::open(chip, CONSUMER, &inputs)
}
