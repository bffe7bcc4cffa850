//! Serves the control socket: one request per connection, and one line of JSON as the answer.
//!
//! It is a local Unix socket, open to its user and group. It exists only if the configuration names it. The peer is not
//! trusted. Nothing that it does can delay the production line or keep another peer from taking the safe state:
//!
//! - One thread (`server`) serves all connections and waits for none of them. A connection has a time limit for its
//!   whole request and another one for its whole answer.
//! - `safe`, `status` and `acknowledge` reach the hub thread on a channel of their own
//!   ([`Asked`](super::reply::Asked)), which events cannot fill.
//! - What takes long waits elsewhere, in bounded numbers: parts that requests triggered, and changes of the template,
//!   which have threads of their own.
//! - Commissioning lasts as long as the client stays that asked for it. Only root and the user that runs the program may
//!   ask, because nobody else is at the device.
//! - `hetmm-plant`, which serves a network, runs as a user of its own. That user may only ask for what the configuration
//!   allows it, and only that user may speak for a person.
//! - `safe` needs no place in any of these numbers. If the hub thread does not answer, the outputs are taken to their
//!   safe levels without it.

mod answers;
mod ask;
mod client;
mod limits;
mod logins;
mod plant_user;
mod server;

pub use answers::Control;
pub use ask::{ask, attend};
pub use logins::Logins;
pub use plant_user::PlantUser;
pub use server::Socket;

#[cfg(test)]
mod tests;
