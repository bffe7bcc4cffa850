//! The part of the backbone that computes in eight bits.

#[cfg(target_arch = "aarch64")]
#[path = "../../../src/backbone/network/int8/aarch64.rs"]
mod aarch64;
#[path = "../../../src/backbone/network/int8/convolve.rs"]
mod convolve;
#[path = "../../../src/backbone/network/int8/kernel.rs"]
mod kernel;
#[path = "../../../src/backbone/network/int8/lanes.rs"]
mod lanes;
#[cfg(target_arch = "x86_64")]
#[path = "../../../src/backbone/network/int8/x86.rs"]
mod x86;

/// What the fuzz targets call.
pub mod kernels {
    pub use super::convolve::{Matrix, Panels, ROW_WEIGHTS, Spatial, WINDOWS};
    pub use super::kernel::{Kernel, PointwiseTask, SpatialTask, TOGETHER};
    pub use super::lanes::{Block, Finish, Weights};
}
