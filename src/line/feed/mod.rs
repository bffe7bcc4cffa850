//! Hands records, status and previews to other processes on this device, and never delays the production line.
//!
//! The feed is a local Unix socket that keeps the borders of messages (`SOCK_SEQPACKET`). It exists only if the
//! configuration names it. A subscriber connects, and gets one JSON object per message (`messages`). It may ask for more
//! with the texts `edges on`, `edges off`, `preview on` and `preview off`.
//!
//! - The hub thread only puts a record into a bounded queue (`source`). If the queue is full, the record is not handed
//!   out, and it is counted.
//! - One thread of normal priority (`server`) serves all subscribers and waits for none of them.
//! - What a subscriber has not read yet waits in a ring of its own (`backlog`). If the ring is full, the oldest message
//!   is dropped. A message of the kind `gap` then says how many are missing.
//! - `preview` holds a copy of the latest picture, at most a few a second, and only while somebody asks for it.

mod backlog;
mod messages;
mod preview;
mod server;
mod source;
mod subscriber;

pub use messages::FORMAT;
pub use preview::{Preview, PreviewSlot};
pub use server::FeedSocket;
pub use source::{Feed, Source, feed};
