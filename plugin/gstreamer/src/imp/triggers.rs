//! Taking triggers, and rejecting the parts of those that get no frame.

use super::{Hetmm, lock};
use crate::message::{self, TRIGGER};
use crate::settings::PostMessages;
use crate::trigger::Lost;
use gst::subclass::prelude::*;

impl Hetmm {
    /// Asks for the next frame.
    pub(super) fn trigger(&self, id: u64) {
        let lost = lock(&self.waiting).ask(id);
        for (id, why) in lost {
            self.lose(id, why);
        }
    }

    /// Takes the trigger of an event, if it is one. Returns whether it is.
    pub(super) fn trigger_of(&self, event: &gst::Event) -> bool {
        let Some(structure) = event.structure().filter(|s| s.name() == TRIGGER) else {
            return false;
        };
        match structure.get::<u64>("id") {
            Ok(id) => {
                self.trigger(id);
                true
            }
            Err(_) => {
                let text = format!(
                    "the event {structure} has no id, so its part gets no result\n  -> give it the field id as uint64"
                );
                gst::element_imp_warning!(self, gst::StreamError::Failed, ("{text}"));
                false
            }
        }
    }

    /// Rejects the part whose trigger still waits.
    pub(super) fn no_more_frames(&self) {
        let lost = lock(&self.waiting).close();
        if let Some((id, why)) = lost {
            self.lose(id, why);
        }
    }

    fn lose(&self, id: u64, why: Lost) {
        lock(&self.tally).fail();
        if lock(&self.settings).frames.post_messages != PostMessages::None {
            message::post(&self.obj(), message::lost(id, why, self.against()));
        }
    }
}
