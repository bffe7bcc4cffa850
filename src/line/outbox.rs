//! Sends messages from every other thread to the hub thread.

use super::messages::{FreeFrame, Message};
use super::tracker::Event;
use crate::clock::LineTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

/// The number of messages that may wait for the hub thread.
pub const QUEUE: usize = 4096;

/// Sends messages to the hub thread.
#[derive(Clone)]
pub struct Outbox {
    sender: SyncSender<Message>,
    stop: Arc<AtomicBool>,
    lost_parts: Arc<AtomicU32>,
}

impl Outbox {
    /// Makes an outbox over a channel of [`QUEUE`] messages.
    pub fn new(sender: SyncSender<Message>, stop: Arc<AtomicBool>) -> Self {
        Outbox { sender, stop, lost_parts: Arc::default() }
    }

    /// Returns whether the device is stopping.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Sends a message and waits for room. If nobody listens, the device is stopping.
    pub fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    /// Sends a message if there is room. Returns whether it was sent.
    pub fn try_send(&self, message: Message) -> bool {
        self.sender.try_send(message).is_ok()
    }

    /// Reports a trigger edge and never waits. If there is no room, the hub thread hears of it in another way: see
    /// [`Outbox::lost_parts`].
    pub fn trigger(&self, at: LineTime, lost: u32) {
        self.part(Message::Event(Event::Trigger { at, lost }), lost);
    }

    /// Reports a frame of a free-running camera, as [`Outbox::trigger`] reports an edge.
    pub fn frame(&self, frame: FreeFrame) {
        let lost = frame.lost;
        self.part(Message::Frame(Box::new(frame)), lost);
    }

    /// Sends a message about a part, and about `lost` parts before it.
    fn part(&self, message: Message, lost: u32) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(message) {
            self.lose_parts(lost.saturating_add(1));
        }
    }

    /// Reports parts that were there and that nobody will see. Their belt is rejected.
    pub fn lose_parts(&self, parts: u32) {
        let add = |before: u32| Some(before.saturating_add(parts));
        let _ = self.lost_parts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        // If the queue has become empty in the meantime, this wakes the hub thread.
        self.try_send(Message::Event(Event::Tick));
    }

    /// Returns the counter of parts that found no room in the queue. The hub thread reads it at every turn, and not
    /// only after it has handled the waiting messages.
    pub fn lost_parts(&self) -> Arc<AtomicU32> {
        self.lost_parts.clone()
    }
}
