//! The C library of hetmm: templates, inspectors and inspections as opaque handles.
//!
//! `include/hetmm.h` is the interface. [`ffi`] is the boundary and the only file with unsafe code; [`guard`] turns
//! errors and panics into a status.

pub mod ffi;
mod guard;
