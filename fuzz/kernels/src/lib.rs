//! The kernels of hetmm, from its own files: all of `matching`, and what computes in eight bits. Their paths are those of
//! the library, so the fuzz targets run on them unchanged.
// The library uses more of these files.
#![allow(dead_code)]

#[path = "../../../src/feature_map.rs"]
pub mod feature_map;
#[path = "../../../src/matching/mod.rs"]
pub mod matching;
#[path = "../../../src/processor.rs"]
pub mod processor;

pub mod backbone;
