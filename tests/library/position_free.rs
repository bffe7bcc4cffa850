//! Tests layers whose patches serve all positions: from outside, and the kernel against its definition.

use crate::common::{Bench, assert_code, hetmm, stdout, text};
use hetmm::feature_map::FeatureMap;
use hetmm::matching::fused::match_layer_with;
use hetmm::matching::kernel::Kernel;
use hetmm::matching::sheets::{pack, pack_bytes};
use hetmm::matching::{Shape, Sheets, Storage, Values, Windows, Without};
use std::path::{Path, PathBuf};

/// The options for two positional layers and two position-free ones, one of which shares its tap with a positional one.
const LAYERS: [&str; 12] = [
    "--size",
    "64",
    "--layers",
    "block1.exp,block4.exp",
    "--patches",
    "3,3",
    "--position-free",
    "block4.exp,block3.proj",
    "--free-patches",
    "40",
    "--sheets",
    "4",
];

fn build(bench: &Bench, name: &str, options: &[&str]) -> (PathBuf, Vec<u8>) {
    let good = bench.parts("good", 0..8);
    let path = bench.path(name);
    let command = [&["build", text(&good), "-o", text(&path)], &LAYERS[..], options].concat();
    assert_code(&hetmm(&command), 0, "");
    let bytes = std::fs::read(&path).expect("reads");
    (path, bytes)
}

fn json(output: &std::process::Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).expect("JSON")
}

fn score(template: &Path, picture: &Path) -> f64 {
    let told = json(&hetmm(&["inspect", text(template), text(picture), "--json"]));
    told["score"].as_f64().expect("a score")
}

#[test]
fn threads_and_a_features_file_give_the_same_template_and_it_passes_its_check() {
    let bench = Bench::new();
    let (path, bytes) = build(&bench, "a.hetmm", &["--threads", "1"]);
    let (_, three) = build(&bench, "b.hetmm", &["--threads", "3"]);
    assert!(bytes == three, "threads change the bytes");
    let features = bench.path("good.features");
    let good = bench.parts("good", 0..8);
    let taps = &LAYERS[..4];
    let free = &LAYERS[6..8];
    let order = [&["features", text(&good), "-o", text(&features)], taps, free].concat();
    assert_code(&hetmm(&order), 0, "");
    let again = bench.path("c.hetmm");
    let from = [&["build", text(&features), "-o", text(&again)], &LAYERS[2..]].concat();
    assert_code(&hetmm(&from), 0, "");
    assert!(bytes == std::fs::read(&again).expect("reads"), "a features file changes the bytes");
    assert_code(&hetmm(&["check", text(&path)]), 0, "");
    let info = json(&hetmm(&["info", text(&path), "--json"]));
    let layers = info["layers"].as_array().expect("layers");
    let free: Vec<bool> =
        layers.iter().map(|layer| layer["position_free"].as_bool().expect("a flag")).collect();
    assert_eq!(free, [false, false, true, true]);
    assert_eq!(layers[2]["tap"], "block4.exp");
    assert_eq!(layers[3]["sheets"], 40);
    assert!(layers[0]["votes"].as_f64() < layers[3]["votes"].as_f64());
    assert!(stdout(&hetmm(&["info", text(&path)])).contains("40 patches for all positions"));
}

#[test]
fn a_part_is_learned_by_its_patches_and_undo_restores_the_bytes() {
    for storage in ["f32", "f16", "i8"] {
        let bench = Bench::new();
        let (path, before) = build(&bench, "part.hetmm", &["--storage", storage]);
        let part = bench.blotted_parts("new", 20..21).join("020.png");
        let alone = score(&path, &part);
        let insert = ["insert", text(&path), text(&part), "--json", "--force"];
        let told = json(&hetmm(&insert));
        let after = score(&path, &part);
        assert!((told["images"][0]["score_after"].as_f64().expect("a score") - after).abs() < 1e-5);
        assert!(after < alone, "{storage}: {alone} -> {after}");
        assert_code(&hetmm(&["check", text(&path)]), 0, "");
        let info = json(&hetmm(&["info", text(&path), "--json"]));
        let patches = [2, 3].map(|at| info["layers"][at]["sheets"].as_u64().expect("a number"));
        assert!(patches.iter().all(|count| (41..=104).contains(count)), "{storage}: {patches:?}");
        assert_code(&hetmm(&["undo", text(&path)]), 0, "");
        assert!(before == std::fs::read(&path).expect("reads"), "{storage}");
    }
}

#[test]
fn patches_come_from_inside_the_region_of_interest_alone() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..8);
    let first = image::open(good.join("000.png")).expect("a picture");
    let mask = image::GrayImage::from_fn(first.width(), first.height(), |x, _| {
        image::Luma([if x < first.width() / 2 { 255 } else { 0 }])
    });
    let roi = bench.path("roi.png");
    mask.save(&roi).expect("writes");
    let (all, _) = build(&bench, "all.hetmm", &[]);
    let (half, _) = build(&bench, "half.hetmm", &["--mask", text(&roi)]);
    let patches = |path: &Path| {
        let template = hetmm::template::Template::map(path).expect("opens");
        let sheets = template.sheets(3);
        let shape = sheets.shape();
        let vector = |sheet| -> Vec<u32> {
            (0..shape.channels).map(|c| sheets.value(0, sheet, c).to_bits()).collect()
        };
        (0..shape.sheets).map(vector).collect::<Vec<_>>()
    };
    let (all, half) = (patches(&all), patches(&half));
    assert_eq!(all.len(), half.len());
    assert_ne!(all, half, "the mask has no say");
}

#[test]
fn layers_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..8);
    let out = bench.path("t.hetmm");
    let with = |options: &[&str]| {
        let small = ["--size", "64", "--layers", "block1.exp", "--patches", "3"];
        hetmm(&[&["build", text(&good), "-o", text(&out)], &small[..], options].concat())
    };
    let cases: [(&[&str], i32, &str); 3] = [
        (&["--position-free", "block99.exp"], 4, "no tap called block99.exp"),
        (&["--position-free", "block1.exp", "--free-patches", "0"], 2, "needs patches"),
        (&["--position-free", "block1.exp", "--weights", "1"], 2, "--weights: needs 2 numbers"),
    ];
    for (options, code, message) in cases {
        assert_code(&with(options), code, message);
    }
    assert_code(&with(&["--position-free", "none"]), 0, "");
}

/// Follows the definition: every pixel is compared with every patch, except those of a picture that is left out.
#[test]
fn every_kernel_finds_the_nearest_patch_wherever_it_comes_from() {
    for (channels, patches, (height, width)) in
        [(5, 3, (2, 3)), (24, 64, (7, 5)), (40, 70, (9, 9)), (130, 200, (3, 17))]
    {
        let value = |i: usize| ((i.wrapping_mul(2_654_435_761) >> 7) % 1000) as f32 / 500.0 - 1.0;
        let numbers = |count: usize, from: usize| (0..count).map(|i| value(i + from)).collect();
        let query =
            FeatureMap::normalised(height, width, channels, numbers(height * width * channels, 7));
        let bank =
            FeatureMap::normalised(1, patches, channels, numbers(patches * channels, 99_991));
        let vectors: Vec<&[f32]> = (0..patches).map(|patch| bank.vector(patch)).collect();
        let shape = Shape { height: 1, width: 1, channels, sheets: patches };
        let mut f32s = vec![0.0; shape.block(Storage::F32)];
        pack(shape, &vectors, &mut f32s);
        let mut i8s = vec![0i8; shape.block(Storage::I8)];
        let mut scales = vec![0.0; shape.padded_sheets()];
        pack_bytes(shape, &vectors, &mut i8s, &mut scales);
        let sources: Vec<u32> = (0..patches as u32).map(|patch| patch % 3).collect();
        let windows = Windows { forward: 0, backward: 0 };
        for left_out in [None, Some(1)] {
            let without = left_out.map(|picture| Without { sources: &sources, picture });
            let want: Vec<f32> = (0..query.pixels())
                .map(|pixel| {
                    let counts = |patch: &usize| Some(sources[*patch]) != left_out;
                    let cosine = |patch: usize| -> f32 {
                        query.vector(pixel).iter().zip(vectors[patch]).map(|(a, b)| a * b).sum()
                    };
                    let best = (0..patches).filter(counts).map(cosine).fold(-1.0, f32::max);
                    1.0 - best
                })
                .collect();
            for (values, bound) in
                [(Values::F32(&f32s), 1e-5), (Values::I8 { values: &i8s, scales: &scales }, 0.02)]
            {
                let sheets = Sheets::new(shape, values).expect("sizes that fit");
                let mut first: Option<Vec<f32>> = None;
                for kernel in Kernel::all() {
                    let found = match_layer_with(kernel, &query, &sheets, windows, without);
                    assert!(found.backward.is_empty());
                    for (found, want) in found.forward.iter().zip(&want) {
                        assert!((found - want).abs() <= bound, "{}: {found} {want}", kernel.name());
                    }
                    let first = first.get_or_insert_with(|| found.forward.clone());
                    let same = found.forward.iter().zip(first.iter());
                    assert!(
                        same.into_iter().all(|(a, b)| (a - b).abs() < 1e-5),
                        "{}",
                        kernel.name()
                    );
                }
                let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
                let by = |kernel| match_layer_with(kernel, &query, &sheets, windows, without);
                let alone = one.install(|| by(Kernel::best()));
                assert_eq!(alone, by(Kernel::best()), "threads change the distances");
            }
        }
    }
}

/// A layer with fewer positions in all pictures than patches ended the build with a panic.
#[test]
fn a_template_from_few_positions_has_a_threshold_of_held_out_parts() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..8);
    let path = bench.path("t.hetmm");
    let command = ["build", text(&good), "-o", text(&path), "--size", "64", "--sheets", "4"];
    assert_code(&hetmm(&command), 0, "an estimate");
    let info = json(&hetmm(&["info", text(&path), "--json"]));
    let free = info["layers"].as_array().expect("layers").iter();
    let patches: Vec<u64> = free
        .filter(|layer| layer["position_free"] == true)
        .filter_map(|layer| layer["sheets"].as_u64())
        .collect();
    assert!(patches.contains(&(8 * 2 * 2)), "all positions of a tap of 2 x 2: {patches:?}");
}
