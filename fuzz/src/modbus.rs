//! The Modbus server of `hetmm-plant`, from its own files.

#[path = "../../plant/src/modbus/control.rs"]
#[allow(dead_code)]
pub mod control;
#[path = "../../plant/src/modbus/map.rs"]
#[allow(dead_code)]
pub mod map;
#[path = "../../plant/src/modbus/results.rs"]
#[allow(dead_code)]
pub mod results;
#[path = "../../plant/src/modbus/server.rs"]
mod server;
#[path = "../../plant/src/modbus/stream.rs"]
#[allow(dead_code)]
mod stream;

pub use server::serve;
