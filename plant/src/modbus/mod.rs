//! Serves Modbus TCP, for statistics and the change of the template. The reject itself never goes this way.
//!
//! `map` is the table of registers, `results` says which part they show, `control` holds what clients write, and `server`
//! speaks with them.

mod control;
pub mod map;
mod results;
mod server;
mod stream;

pub use server::serve;
