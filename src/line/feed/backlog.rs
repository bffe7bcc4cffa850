//! Holds the messages that a subscriber has not read yet.

use super::messages::{self, Packet};
use std::collections::VecDeque;

/// A ring of messages. If it is full, the oldest is dropped and counted.
#[derive(Debug)]
pub(super) struct Backlog {
    waiting: VecDeque<Packet>,
    capacity: usize,
    /// The messages that are missing before the first one that waits.
    lost: u64,
    /// The message of the gap, while it waits to be sent. Its number no longer grows.
    gap: Option<Packet>,
}

impl Backlog {
    /// Makes a ring with room for `capacity` messages, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Backlog { waiting: VecDeque::new(), capacity: capacity.max(1), lost: 0, gap: None }
    }

    /// Adds a message.
    pub(super) fn push(&mut self, packet: Packet) {
        if self.waiting.len() >= self.capacity {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(packet);
    }

    /// Returns the message to be sent next: that of a gap first, because what is missing was older.
    pub(super) fn next(&mut self) -> Option<Packet> {
        if self.lost > 0 && self.gap.is_none() {
            self.gap = Some(messages::gap(std::mem::take(&mut self.lost)));
        }
        self.gap.as_ref().or_else(|| self.waiting.front()).cloned()
    }

    /// Forgets the message that [`Backlog::next`] gave, because it was sent.
    pub(super) fn sent(&mut self) {
        if self.gap.take().is_none() {
            self.waiting.pop_front();
        }
    }

    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.gap.is_none() && self.lost == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(n: usize) -> Packet {
        n.to_string().into_bytes().into()
    }

    fn next(backlog: &mut Backlog) -> String {
        let packet = backlog.next().expect("waits");
        backlog.sent();
        String::from_utf8(packet.to_vec()).expect("text")
    }

    #[test]
    fn every_message_comes_once_in_order_or_is_counted_in_a_gap_before_the_next_one() {
        let mut backlog = Backlog::new(3);
        assert!(backlog.is_empty() && backlog.next().is_none());
        (0..5).for_each(|n| backlog.push(packet(n)));
        assert_eq!(next(&mut backlog), r#"{"type":"gap","lost":2}"#);
        assert_eq!(next(&mut backlog), "2");
        (5..8).for_each(|n| backlog.push(packet(n)));
        assert_eq!(next(&mut backlog), r#"{"type":"gap","lost":2}"#);
        for n in 5..8 {
            assert_eq!(next(&mut backlog), n.to_string());
        }
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_gap_that_could_not_be_sent_yet_does_not_hide_later_losses() {
        let mut backlog = Backlog::new(1);
        (0..3).for_each(|n| backlog.push(packet(n)));
        let gap = backlog.next().expect("waits");
        backlog.push(packet(3));
        assert_eq!(backlog.next().expect("waits"), gap, "the same message until it is sent");
        assert_eq!(next(&mut backlog), r#"{"type":"gap","lost":2}"#);
        assert_eq!(next(&mut backlog), r#"{"type":"gap","lost":1}"#);
        assert_eq!(next(&mut backlog), "3");
        assert!(backlog.is_empty());
    }
}
