//! Runs the workstation tool from outside. All these tests are one program, because each program is compiled and linked
//! anew. A test that must be alone in its process has a program of its own, beside this folder.
#![cfg(all(feature = "desktop", feature = "edge"))]

#[path = "../by_hand/mod.rs"]
mod by_hand;
#[path = "../common/mod.rs"]
mod common;

mod ablate;
mod audit;
mod calibration;
mod choice;
mod cli;
mod features;
mod first_use;
mod guard;
mod input_size;
mod keyboard;
mod memory;
mod outputs;
mod pictures_gate;
mod report;
mod rotations;
mod rules;
mod sensitivity;
mod threshold;
mod unreadable_pictures;
mod update;
