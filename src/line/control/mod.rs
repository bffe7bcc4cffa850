//! The control socket: one request a connection, one JSON line back.
//!
//! A local Unix socket, there only where the configuration names it, open to its user and group. The peer is
//! not trusted, and nothing that it does can delay the line or keep another peer from taking the safe state:
//!
//! - One thread (`server`) serves all connections and waits for none of them. A connection has a time limit
//!   for its whole request and another one for its whole answer.
//! - `safe`, `status` and `acknowledge` reach the line's thread on a way of their own
//!   ([`Asked`](super::reply::Asked)), which events cannot fill.
//! - What takes long waits elsewhere, in bounded numbers: parts that were triggered here, and changes of the
//!   template, which have threads of their own.
//! - `safe` needs no place in any of these numbers. Where the line's thread does not answer, the outputs are taken
//!   to their safe levels without it.

mod answers;
mod ask;
mod client;
mod limits;
mod server;

pub use answers::Control;
pub use ask::ask;
pub use server::Socket;

#[cfg(test)]
mod tests;
