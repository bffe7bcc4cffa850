//! Holds the messages that wait for the broker. If there are too many, the oldest are dropped and counted.

use super::messages::Message;
use std::collections::VecDeque;

/// Holds messages in the order in which they came.
#[derive(Debug)]
pub struct Queue {
    most: usize,
    waiting: VecDeque<Message>,
    /// The number of messages that were dropped, and have not been told yet.
    untold: u64,
}

impl Queue {
    /// Makes an empty queue for at most so many messages.
    pub fn new(most: usize) -> Self {
        Queue { most, waiting: VecDeque::new(), untold: 0 }
    }

    /// Adds a message. A retained one replaces an older one of the same topic, because only the newest counts. Returns
    /// the number of messages that were dropped for it.
    pub fn push(&mut self, message: Message) -> u64 {
        if message.is_retained {
            self.waiting.retain(|old| !(old.is_retained && old.topic == message.topic));
        }
        let dropped = u64::from(self.waiting.len() >= self.most);
        if dropped > 0 {
            self.waiting.pop_front();
        }
        self.untold += dropped;
        self.waiting.push_back(message);
        dropped
    }

    /// Returns the number of messages that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Notes messages that never came here.
    pub fn lose(&mut self, count: u64) {
        self.untold += count;
    }

    /// Returns the next message. A part says how many messages before it were dropped.
    pub fn next(&self) -> Option<Message> {
        let next = self.waiting.front()?;
        Some(if self.untold > 0 { next.after_losing(self.untold) } else { next.clone() })
    }

    /// Forgets the next message, which the client has taken.
    pub fn taken(&mut self) {
        if self.waiting.pop_front().is_some_and(|message| message.tells_losses) {
            self.untold = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn part(number: u64) -> Message {
        let content = json!({"part": number});
        Message {
            topic: "part".into(),
            content,
            is_retained: false,
            at_least_once: false,
            tells_losses: true,
        }
    }

    fn status(word: &str) -> Message {
        let content = json!(word);
        Message {
            topic: "status".into(),
            content,
            is_retained: true,
            at_least_once: true,
            tells_losses: false,
        }
    }

    #[test]
    fn the_oldest_is_dropped_and_the_next_part_says_so() {
        let mut queue = Queue::new(2);
        let dropped: Vec<u64> = (1..=4).map(|number| queue.push(part(number))).collect();
        assert_eq!(dropped, [0, 0, 1, 1]);
        queue.lose(3);
        assert_eq!(queue.next().expect("a message").content, json!({"part": 3, "dropped": 5}));
        queue.taken();
        assert_eq!(queue.next().expect("a message").content, json!({"part": 4}));
        queue.taken();
        assert!(queue.next().is_none());
    }

    #[test]
    fn of_retained_messages_only_the_newest_waits() {
        let mut queue = Queue::new(3);
        for message in [status("old"), part(1), status("new")] {
            queue.push(message);
        }
        let mut found: Vec<Value> = vec![];
        while let Some(next) = queue.next() {
            found.push(next.content);
            queue.taken();
        }
        assert_eq!(found, [json!({"part": 1}), json!("new")]);
    }
}
