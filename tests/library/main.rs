//! Tests the library through its interface, and its sources. All these tests are one program, because each program is
//! compiled and linked anew. A test that must be alone in its process has a program of its own, beside this folder.
#![cfg(all(feature = "desktop", feature = "edge"))]

#[path = "../by_hand/mod.rs"]
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/forged.rs"]
mod forged;

mod architecture;
mod backbones;
mod drift;
mod embed;
mod mutations_config;
mod mutations_features;
mod onnxruntime;
mod position_free;
mod tiles;
mod tracker;
mod whole_pictures;
