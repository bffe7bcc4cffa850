//! One program with all fuzz targets, driven by libFuzzer. `fuzz/run.sh` builds and runs it; `docs/testing.md` describes it.
//!
//! `HETMM_FUZZ_TARGET` names the target. With `HETMM_FUZZ_SEEDS`, the program writes the first inputs of the target into
//! that folder and ends.

#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

mod bytes;
mod harness;
mod seeds;
mod targets;

// The C boundary and the parts of `hetmm-plant` that read what others send. Both name their files from the crate's root.
#[path = "../../plant/src/board.rs"]
#[allow(dead_code)]
mod board;
#[path = "../../plant/src/clock.rs"]
#[allow(dead_code)]
mod clock;
#[path = "../../plant/src/device.rs"]
#[allow(dead_code)]
mod device;
#[path = "../../plugin/capi/src/ffi.rs"]
#[allow(dead_code)]
mod ffi;
#[path = "../../plugin/capi/src/guard.rs"]
mod guard;
#[path = "../../plant/src/histogram.rs"]
#[allow(dead_code)]
mod histogram;
#[path = "../../plant/src/metrics.rs"]
#[allow(dead_code)]
mod metrics;
mod modbus;
#[path = "../../plant/src/part.rs"]
#[allow(dead_code)]
mod part;
#[path = "../../plant/src/place.rs"]
mod place;
#[path = "../../plant/src/preview.rs"]
#[allow(dead_code)]
mod preview;
