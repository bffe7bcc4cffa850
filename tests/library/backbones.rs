//! Tests backbones that are not convolutional networks, or not the bundled one. A tiny network of DINOv2's kind, which
//! `models/golden_dinov2.py` wrote, is compared with PyTorch and run through the program.

use crate::common::{Bench, assert_code, hetmm, stdout, text};
use hetmm::backbone::{self, Backbone, Device, ExtractorOptions, Request};
use hetmm::image::NetworkImage;
use prost::Message;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tract_onnx::pb::{ModelProto, NodeProto, StringStringEntryProto, ValueInfoProto};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny_dinov2.onnx");
const GOLDEN: &str = include_str!("../golden/tiny_dinov2.json");
/// The largest difference of a value of vectors of length 1.
const TOLERANCE: f32 = 2e-5;

/// Returns the feature extractors that this machine has: tract, and ONNX Runtime with one picture and with two at a
/// time.
fn extractors() -> Vec<ExtractorOptions> {
    let mut extractors = vec![ExtractorOptions::default()];
    if cfg!(feature = "onnxruntime")
        && std::env::var_os("ORT_DYLIB_PATH").is_some_and(|library| !library.is_empty())
    {
        let of_batch =
            |batch| ExtractorOptions { device: Device::Cpu, batch, ..ExtractorOptions::default() };
        extractors.extend([of_batch(None), of_batch(Some(2))]);
    } else {
        eprintln!("SKIPPED: ORT_DYLIB_PATH names no ONNX Runtime; see models/fetch_onnxruntime.sh");
    }
    extractors
}

/// Returns the picture of the golden file's formula.
fn picture(height: usize, width: usize) -> NetworkImage {
    let samples = (0..height * width * 3).map(|i| {
        let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
        ((7 * x + 13 * y + 29 * c + (x * y) % 11) % 256) as u16 * 257
    });
    NetworkImage::from_samples(height, width, samples.collect()).expect("fits")
}

/// Writes the tiny network with what `change` does to it, as a file of that name.
fn changed(bench: &Bench, name: &str, change: impl FnOnce(&mut ModelProto)) -> PathBuf {
    let mut model = ModelProto::decode(&std::fs::read(TINY).expect("reads")[..]).expect("parses");
    change(&mut model);
    let path = bench.path(name);
    std::fs::write(&path, model.encode_to_vec()).expect("writes");
    path
}

fn set(model: &mut ModelProto, key: &str, value: &str) {
    model.metadata_props.retain(|entry| entry.key != key);
    let entry = StringStringEntryProto { key: key.into(), value: value.into() };
    model.metadata_props.push(entry);
}

fn build(images: &Path, template: &Path, more: &[&str]) -> std::process::Output {
    let start = ["build", text(images), "-o", text(template), "--sheets", "4", "--threshold", "2"];
    hetmm(&[&start[..], more].concat())
}

/// Returns what `info` says of a template.
fn info(template: &Path) -> Value {
    let output = hetmm(&["info", text(template), "--json"]);
    assert_code(&output, 0, "");
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

#[test]
fn a_network_with_attention_agrees_with_pytorch_at_every_size_and_in_every_engine() {
    let golden: Value = serde_json::from_str(GOLDEN).expect("parses");
    let number = |of: &Value, key: &str| of[key].as_u64().expect("a number") as usize;
    for (input, extractor) in golden["inputs"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|input| extractors().into_iter().map(move |extractor| (input, extractor)))
    {
        let (height, width) = (number(input, "height"), number(input, "width"));
        let taps = input["taps"].as_object().expect("taps");
        let names = taps.keys().cloned().collect();
        let request = Request {
            model: Some(Path::new(TINY)),
            taps: vec![names],
            height,
            width,
            made_by: None,
        };
        let backbone: Arc<dyn Backbone> = backbone::open(&request, &extractor).expect("opens");
        let picture = picture(height, width);
        let pictures = vec![&picture; backbone.batch().min(2)];
        let maps = backbone.features_of_batch(&pictures).expect("runs");
        for ((name, tap), map) in maps.iter().flat_map(|maps| taps.iter().zip(maps)) {
            let what = format!("{name} at {width} x {height} by {}", backbone.extractor());
            let sizes = ["channels", "height", "width"].map(|key| number(tap, key));
            assert_eq!([map.channels(), map.height(), map.width()], sizes, "{what}");
            let want = tap["values"].as_str().expect("text").split(' ');
            let want: Vec<f32> = want.map(|v| v.parse().expect("a number")).collect();
            assert_eq!(want.len(), sizes.iter().product::<usize>(), "{what}");
            for (at, want) in want.chunks(map.channels()).enumerate() {
                for (got, want) in map.vector(at).iter().zip(want) {
                    assert!((got - want).abs() < TOLERANCE, "{what}, patch {at}: {got}, {want}");
                }
            }
        }
    }
}

#[test]
fn the_input_has_sides_that_the_network_can_have_without_a_word() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..6);
    let (template, features) = (bench.path("t.hetmm"), bench.path("t.features"));
    let network = ["--backbone", TINY, "--layers", "block0,block1.norm"];
    let more = [&network[..], &["--patches", "3,3"]].concat();
    assert_code(&build(&good, &template, &more), 0, "");
    let found = info(&template);
    // The input has the shape of 80 x 60 and the area of 256 x 256. Both sides are multiples of 14.
    assert_eq!(
        (&found["backbone"]["width"], &found["backbone"]["height"]),
        (&294.into(), &224.into())
    );
    let bytes = std::fs::read(&template).expect("reads");
    let make = ["features", text(&good), "-o", text(&features)];
    assert_code(&hetmm(&[&make[..], &network].concat()), 0, "");
    assert_code(&build(&features, &template, &more), 0, "");
    assert!(std::fs::read(&template).expect("reads") == bytes, "other bytes from features");

    let blotted = bench.blotted_parts("blotted", 6..7);
    let mut scores = Vec::new();
    for extractor in extractors() {
        let device = if extractor.device == Device::Cpu { "cpu" } else { "tract" };
        let with = ["--backbone", TINY, "--device", device];
        assert_code(&hetmm(&[&["check", text(&template)], &with[..]].concat()), 0, "");
        let inspect = ["inspect", text(&template), text(&blotted), "--json"];
        let output = hetmm(&[&inspect[..], &with[..]].concat());
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", crate::common::stderr(&output));
        let line: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        scores.push(line["score"].as_f64().expect("a score"));
    }
    let off = scores.iter().map(|score| (score / scores[0] - 1.0).abs()).fold(0.0, f64::max);
    assert!(scores[0] > 0.0 && off < 1e-3, "{scores:?}");
}

#[test]
fn sizes_and_metadata_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let template = bench.path("t.hetmm");
    let no_multiple = changed(&bench, "zero.onnx", |model| set(model, "hetmm.multiple", "0"));
    let heads = changed(&bench, "heads.onnx", |m| set(m, "hetmm.attention_heads", "1024"));
    let cases: [(&str, &[&str], i32, &str); 4] = [
        (TINY, &["--size", "256"], 2, "as 252 x 252"),
        (TINY, &["--size", "448x450"], 2, "take multiples of 14"),
        (text(&no_multiple), &[], 4, "hetmm.multiple is not a number from 1"),
        // This would take 5.6 TB on a thread.
        (text(&heads), &["--size", "2044"], 2, "GB of memory"),
    ];
    for (model, more, code, message) in cases {
        let network = ["--backbone", model, "--layers", "block1", "--patches", "3"];
        let output = build(&good, &template, &[&network[..], more].concat());
        assert_code(&output, code, message);
        assert!(!template.exists());
    }
}

#[test]
fn a_backbone_brings_the_preset_that_is_made_for_it() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..4);
    let template = bench.path("t.hetmm");
    let taps = [
        "block2.norm",
        "block5.norm",
        "block8.norm",
        "block11.norm",
        "block5.norm",
        "block11.norm",
    ];
    let model = changed(&bench, "vits.onnx", |model| {
        set(model, "hetmm.name", "dinov2_vits14");
        let graph = model.graph.as_mut().expect("a graph");
        let output = graph.output.iter().find(|o| o.name == "block1.norm").expect("there").clone();
        for tap in taps {
            graph.node.push(NodeProto {
                op_type: "Identity".into(),
                input: vec!["block1.norm".into()],
                output: vec![tap.into()],
                ..NodeProto::default()
            });
            graph.output.push(ValueInfoProto { name: tap.into(), ..output.clone() });
        }
    });
    let backbone = ["--backbone", text(&model)];
    assert_code(&build(&good, &template, &backbone), 0, "");
    let found = info(&template);
    // The input has the shape of 80 x 60 and the area of 448 x 448.
    let input = (&found["backbone"]["width"], &found["backbone"]["height"]);
    assert_eq!(input, (&518.into(), &392.into()));
    let layers = found["layers"].as_array().expect("layers");
    let names: Vec<_> = layers.iter().map(|layer| layer["tap"].as_str().expect("a name")).collect();
    assert_eq!(names, taps);
    assert_eq!(found["build"]["options"]["preset"], "dinov2");
    // What is asked for has priority.
    let asked = build(&good, &template, &[&backbone[..], &["--preset", "default"]].concat());
    assert_code(&asked, 4, "has no tap called");
}
