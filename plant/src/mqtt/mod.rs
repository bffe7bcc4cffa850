//! Publishes to an MQTT 5 broker. `messages` makes topics and contents, `queue` holds what waits, and `client` speaks with
//! the broker.

mod client;
mod messages;
mod queue;

pub use client::{Client, Secrets};
