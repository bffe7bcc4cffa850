//! The line: from trigger edge to reject pulse.
//!
//! [`time`] is the one clock; [`camera`] turns triggers into pictures.

pub mod camera;
pub mod time;
