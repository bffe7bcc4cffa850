//! The table of targets. Each reads bytes as a program reads them from outside, or computes something in two ways.

mod boundary;
mod camera;
mod evidence;
mod features;
mod kernels;
mod layer;
mod model;
mod network;
mod picture;
mod plant;
mod template;
mod text;
mod tiles;

use crate::seeds;

/// What is fuzzed.
pub struct Target {
    pub name: &'static str,
    /// The longest input, in bytes.
    pub longest: usize,
    /// Reads an input, or computes with it. A panic is a finding.
    pub run: fn(&[u8]),
    /// The first inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(
    name: &'static str,
    longest: usize,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
) -> Target {
    Target { name, longest, run, seeds }
}

/// Every target.
pub const ALL: &[Target] = &[
    target("template", 24_576, template::whole, seeds::templates),
    target("header", 4096, template::header, seeds::headers),
    target("journal", 2048, template::journal, seeds::journals),
    target("features", 8192, features::run, features::seeds),
    target("png", 4096, picture::png, seeds::pngs),
    target("jpeg", 4096, picture::jpeg, seeds::jpegs),
    target("tiff", 4096, picture::tiff, seeds::tiffs),
    target("webp", 4096, picture::webp, seeds::webps),
    target("bmp", 4096, picture::bmp, seeds::bmps),
    target("pnm", 2048, picture::pnm, seeds::pnms),
    target("config", 4096, text::config, seeds::configurations),
    target("request", 256, text::request, seeds::requests),
    target("signature", 1024, text::signature, seeds::signatures),
    target("recording", 1024, text::recording, seeds::recordings),
    target("evidence", 16_384, evidence::run, evidence::seeds),
    target("frame", 1024, camera::run, camera::seeds),
    target("onnx", 16_384, model::run, model::seeds),
    target("modbus", 260, plant::modbus, seeds::modbus),
    target("feed", 4096, plant::feed, seeds::feed),
    target("kernels", 64, kernels::run, seeds::few_bytes),
    target("layer", 64, layer::run, seeds::few_bytes),
    target("int8", 64, network::run, seeds::few_bytes),
    target("tiles", 64, tiles::run, seeds::few_bytes),
    target("boundary", 4096, boundary::run, boundary::seeds),
];
