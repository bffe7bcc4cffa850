//! Trigger and encoder: edges with the kernel's time stamps, never by polling.
//!
//! Both lines belong to one request, so that the kernel keeps their edges in one order: a
//! trigger's place on the belt is the encoder count at its edge. Edges that the kernel had to drop
//! show as gaps in its sequence numbers and are told to the part tracker.

use super::config::{Bias, EdgeKind, EncoderConfig, TriggerConfig};
use super::gpio;
use super::hub::{Message, Outbox};
use super::tracker::{Event, Fault, Watch};
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use gpiocdev::Request;
use gpiocdev::line::{self, EdgeDetection, EdgeEvent, EventClock};
use std::time::Duration;

/// Edges that the kernel keeps for us.
const KERNEL_BUFFER: u32 = 4096;
/// How long one wait lasts, so that the thread sees a stop.
const WAIT: Duration = Duration::from_millis(100);
/// Pause before lost inputs are tried again.
const BACK_OFF: Duration = Duration::from_millis(500);

/// The requested input lines.
pub struct Inputs {
    request: Request,
    trigger: u32,
    encoder: Option<u32>,
    trigger_seen: u32,
    encoder_seen: u32,
    counted: u64,
}

impl Inputs {
    /// Requests the lines.
    ///
    /// # Errors
    /// [`Kind::Io`] where the chip is missing, or a line is in use, with its user.
    pub fn open(trigger: &TriggerConfig, encoder: Option<&EncoderConfig>) -> Result<Self> {
        let (Some(chip), Some(line)) = (&trigger.chip, &trigger.line) else {
            return Err(Error::usage("trigger: no chip and line"));
        };
        let found = gpio::find(chip, line).map_err(|e| e.within("trigger"))?;
        let counted = match encoder {
            Some(e) => Some((gpio::find(chip, &e.line).map_err(|e| e.within("encoder"))?, e)),
            None => None,
        };
        let mut builder = Request::builder();
        builder
            .on_chip(&found.chip)
            .with_consumer("hetmm-edge trigger")
            .with_kernel_event_buffer_size(KERNEL_BUFFER)
            .with_line(found.offset)
            .as_input()
            .with_bias(bias(trigger.bias))
            .with_edge_detection(edge(trigger.edge))
            .with_event_clock(EventClock::Monotonic);
        if trigger.debounce_us > 0 {
            builder.with_debounce_period(Duration::from_micros(trigger.debounce_us));
        }
        if let Some((found, config)) = &counted {
            builder
                .with_line(found.offset)
                .as_input()
                .with_bias(bias(config.bias))
                .with_edge_detection(edge(config.edge))
                .with_event_clock(EventClock::Monotonic)
                .with_debounce_period(Duration::ZERO);
        }
        let request = builder.request().map_err(|e| {
            let what = format!("trigger: {line} of {}: {e}", found.chip.display());
            Error::new(Kind::Io, what).advise(gpio::remedy(&found))
        })?;
        let encoder = counted.map(|(found, _)| found.offset);
        let trigger = found.offset;
        Ok(Inputs { request, trigger, encoder, trigger_seen: 0, encoder_seen: 0, counted: 0 })
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
    fn forward(&mut self, hub: &Outbox) -> std::result::Result<(), gpiocdev::Error> {
        if !self.request.wait_edge_event(WAIT)? {
            return Ok(());
        }
        let mut count = None;
        loop {
            let edge = self.request.read_edge_event()?;
            if edge.offset == self.trigger {
                if let Some(count) = count.take() {
                    hub.send(Message::Event(Event::Count(count)));
                }
                self.trigger_edge(&edge, hub);
            } else if Some(edge.offset) == self.encoder {
                // The line's own number counts dropped edges too. It wraps at 32 bits.
                self.counted += u64::from(edge.line_seqno.wrapping_sub(self.encoder_seen));
                self.encoder_seen = edge.line_seqno;
                count = Some(self.counted);
            }
            if !self.request.has_edge_event()? {
                break;
            }
        }
        if let Some(count) = count {
            hub.send(Message::Event(Event::Count(count)));
        }
        Ok(())
    }

    fn trigger_edge(&mut self, edge: &EdgeEvent, hub: &Outbox) {
        let lost = edge.line_seqno.wrapping_sub(self.trigger_seen).saturating_sub(1);
        self.trigger_seen = edge.line_seqno;
        hub.trigger(LineTime::from_nanos(edge.timestamp_ns), lost);
    }
}

fn edge(kind: EdgeKind) -> EdgeDetection {
    match kind {
        EdgeKind::Rising => EdgeDetection::RisingEdge,
        EdgeKind::Falling => EdgeDetection::FallingEdge,
        EdgeKind::Both => EdgeDetection::BothEdges,
    }
}

fn bias(bias: Bias) -> Option<line::Bias> {
    match bias {
        Bias::AsIs => None,
        Bias::Disabled => Some(line::Bias::Disabled),
        Bias::PullUp => Some(line::Bias::PullUp),
        Bias::PullDown => Some(line::Bias::PullDown),
    }
}
