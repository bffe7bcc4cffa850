//! The way to the line's thread, for every other thread.

use super::messages::{FreeFrame, Message};
use super::tracker::Event;
use crate::clock::LineTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

/// Messages that may wait for the line's thread.
pub const QUEUE: usize = 4096;

/// The way to the line's thread, for every other thread.
#[derive(Clone)]
pub struct Outbox {
    sender: SyncSender<Message>,
    stop: Arc<AtomicBool>,
    lost_parts: Arc<AtomicU32>,
}

impl Outbox {
    /// An outbox over a channel of [`QUEUE`] messages.
    pub fn new(sender: SyncSender<Message>, stop: Arc<AtomicBool>) -> Self {
        Outbox { sender, stop, lost_parts: Arc::default() }
    }

    /// Whether the device is stopping.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Sends a message, waiting for room. Nobody listening means that the device is stopping.
    pub fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    /// Sends a message if there is room.
    pub fn try_send(&self, message: Message) -> bool {
        self.sender.try_send(message).is_ok()
    }

    /// Reports a trigger edge without ever waiting. Where there is no room, the line's thread hears of
    /// it by another way; see [`Outbox::lost_parts`].
    pub fn trigger(&self, at: LineTime, lost: u32) {
        self.part(Message::Event(Event::Trigger { at, lost }), lost);
    }

    /// Reports a frame of a free-running camera, as [`Outbox::trigger`] does an edge.
    pub fn frame(&self, frame: FreeFrame) {
        let lost = frame.lost;
        self.part(Message::Frame(Box::new(frame)), lost);
    }

    /// Sends a message that tells of a part, and of `lost` parts before it.
    fn part(&self, message: Message, lost: u32) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(message) {
            self.lose_parts(lost.saturating_add(1));
        }
    }

    /// Reports parts that were there and that nobody will see: their belt is rejected.
    pub fn lose_parts(&self, parts: u32) {
        let add = |before: u32| Some(before.saturating_add(parts));
        let _ = self.lost_parts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        // If the queue has become empty in the meantime, this wakes the line's thread.
        self.try_send(Message::Event(Event::Tick));
    }

    /// Parts that found no room in the queue. The line's thread looks here at every turn, and not only
    /// when it has worked through what waits in the queue.
    pub fn lost_parts(&self) -> Arc<AtomicU32> {
        self.lost_parts.clone()
    }
}
