//! Trigger and encoder: what their edges mean to the part tracker.
//!
//! Both lines belong to one request, so that the kernel keeps their edges in one order: a
//! trigger's place on the belt is the encoder count at its edge. Edges that the kernel had to drop
//! show as gaps in its sequence numbers and are told to the part tracker.

use super::config::{EncoderConfig, TriggerConfig};
use super::messages::Message;
use super::outbox::Outbox;
use super::tracker::{Event, Fault, Watch};
use crate::error::{Error, Result};
use crate::gpio::{Edge, EdgeError, EdgeInput, Edges};
use std::time::Duration;

/// How long one wait lasts, so that the thread sees a stop.
const WAIT: Duration = Duration::from_millis(100);
/// Pause before lost inputs are tried again.
const BACK_OFF: Duration = Duration::from_millis(500);
/// The places of the lines among the inputs.
const TRIGGER: usize = 0;
const ENCODER: usize = 1;

/// The requested input lines.
pub struct Inputs {
    edges: Edges,
    trigger_seen: u32,
    encoder_seen: u32,
    counted: u64,
}

impl Inputs {
    /// Requests the lines.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] where the chip is missing, or a line is in use, with its user.
    pub fn open(trigger: &TriggerConfig, encoder: Option<&EncoderConfig>) -> Result<Self> {
        let (Some(chip), Some(line)) = (&trigger.chip, &trigger.line) else {
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
        let edges = Edges::open(chip, "hetmm-edge trigger", &inputs)?;
        Ok(Inputs { edges, trigger_seen: 0, encoder_seen: 0, counted: 0 })
    }

    /// Waits for edges and sends them on, as long as anybody listens. Inputs that fail are a
    /// fault, and are opened again.
    pub fn run(mut self, trigger: &TriggerConfig, encoder: Option<&EncoderConfig>, hub: &Outbox) {
        while !hub.stopped() {
            let Err(why) = self.forward(hub) else { continue };
            log::error!("the trigger input fails: {why}");
            hub.send(Message::Event(Event::Condition { fault: Fault::Inputs, present: true }));
            // What happens on the lines from now on is not known. With a belt of constant speed all of
            // it is rejected that passes the trigger until the lines work again. Without counts
            // nobody knows where the parts are: the safe state is taken.
            let watch = Watch::Inputs;
            hub.send(Message::Event(Event::Blind { watch, parts: 1 }));
            if encoder.is_some() {
                hub.send(Message::Event(Event::Safe));
            }
            while !hub.stopped() {
                std::thread::sleep(BACK_OFF);
                let Ok(mut again) = Inputs::open(trigger, encoder) else { continue };
                again.counted = self.counted;
                self = again;
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
    }

    /// The encoder's count after this edge. The edge's number counts those that the kernel dropped, too.
    fn encoder_edge(&mut self, edge: Edge) -> u64 {
        self.counted += u64::from(edge.number.wrapping_sub(self.encoder_seen));
        self.encoder_seen = edge.number;
        self.counted
    }
}
