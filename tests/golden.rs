//! Checks the golden vectors of the method: NumPy float64 with scikit-learn and SciPy as oracles.
//!
//! They are read from `$HETMM_GOLDEN_DIR`, or else from `../shared/reference/golden`. A small set of the same form is
//! always read from `tests/golden`.

use hetmm::feature_map::FeatureMap;
use hetmm::matching::kernel::Kernel;
use hetmm::matching::{Shape, Sheets, Storage, Values, Windows, Without, fused, reference, sheets};
use hetmm::metrics::{PixelTruth, aupro, auroc};
use hetmm::scoring::blur::GaussianBlur;
use hetmm::scoring::fusion::{DistanceMap, add_upsampled, mutual};
#[cfg(feature = "desktop")]
use hetmm::selection::{HardRule, gram::Gram, optics, pts, xi};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Packed {
    shape: Vec<usize>,
    data: Vec<Option<f64>>,
}

impl Packed {
    fn f64s(&self) -> Vec<f64> {
        self.data.iter().map(|v| v.unwrap_or(f64::INFINITY)).collect()
    }
    fn f32s(&self) -> Vec<f32> {
        self.data.iter().map(|v| v.unwrap_or(f64::INFINITY) as f32).collect()
    }
    fn indices(&self) -> Vec<i64> {
        self.data.iter().map(|v| v.unwrap_or(-1.0) as i64).collect()
    }
}

fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let outside = match std::env::var_os("HETMM_GOLDEN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/golden"),
    };
    if outside.is_dir() {
        return vec![own, outside];
    }
    assert!(
        std::env::var_os("HETMM_GOLDEN_DIR").is_none(),
        "HETMM_GOLDEN_DIR is not a folder: {}",
        outside.display()
    );
    eprintln!(
        "SKIPPED: no full golden vectors at {}; only the small set is checked",
        outside.display()
    );
    vec![own]
}

fn for_each_file<T: DeserializeOwned>(name: &str, check: impl Fn(T)) {
    for folder in folders() {
        let path = folder.join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        check(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    }
}

fn assert_close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*got) - want).abs() <= tolerance, "{what} [{i}]: {got}, want {want}");
    }
}

#[test]
fn matching() {
    #[derive(Deserialize)]
    struct Case {
        patch_forward: usize,
        patch_backward: usize,
        alpha: f64,
        query: Packed,
        template: Packed,
        forward: Packed,
        backward: Packed,
        fused: Packed,
    }
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    for_each_file("matching.json", |file: File| {
        for case in &file.cases {
            let [sheets, height, width, channels] = case.template.shape[..] else {
                panic!("shape")
            };
            let shape = Shape { height, width, channels, sheets };
            let query = FeatureMap::normalised(height, width, channels, case.query.f32s());
            let template = case.template.f32s();
            let mut stored = vec![0.0; shape.values(Storage::F32).expect("fits")];
            for (p, block) in stored.chunks_exact_mut(shape.block(Storage::F32)).enumerate() {
                let vectors: Vec<&[f32]> = (0..sheets)
                    .map(|k| &template[(k * height * width + p) * channels..][..channels])
                    .collect();
                sheets::pack(shape, &vectors, block);
            }
            let view = Sheets::new(shape, Values::F32(&stored)).expect("sizes agree");
            let windows = Windows { forward: case.patch_forward, backward: case.patch_backward };
            let mut results =
                vec![("reference", reference::match_layer(&query, &view, windows, None))];
            for kernel in Kernel::all() {
                results.push((
                    kernel.name(),
                    fused::match_layer_with(kernel, &query, &view, windows, None),
                ));
            }
            for (name, got) in results {
                let what = format!("{name}, {shape:?}");
                assert_close(&got.forward, &case.forward.f64s(), 1e-5, &what);
                assert_close(&got.backward, &case.backward.f64s(), 1e-5, &what);
                let fused = mutual(&got.forward, &got.backward, case.alpha as f32);
                assert_close(&fused, &case.fused.f64s(), 1e-5, &what);
            }
        }
    });
}

#[test]
fn fusion() {
    #[derive(Deserialize)]
    struct Case {
        maps: Vec<Packed>,
        weights: Vec<f32>,
        size: usize,
        anomaly_map: Packed,
        blurred: Packed,
        image_score: f64,
    }
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    for_each_file("fusion.json", |file: File| {
        for case in &file.cases {
            let mut sum = vec![0.0; case.size * case.size];
            for (map, &weight) in case.maps.iter().zip(&case.weights) {
                let map =
                    DistanceMap { height: map.shape[0], width: map.shape[1], data: map.f32s() };
                add_upsampled(&map, weight, &mut sum, case.size, case.size);
            }
            assert_close(&sum, &case.anomaly_map.f64s(), 1e-5, "anomaly map");
            let blurred = GaussianBlur::new(4.0).apply(&sum, case.size);
            assert_close(&blurred, &case.blurred.f64s(), 1e-5, "blurred map");
            let score = blurred.iter().copied().fold(f32::MIN, f32::max);
            assert_close(&[score], &[case.image_score], 1e-5, "image score");
        }
    });
}

#[test]
#[cfg(feature = "desktop")]
fn optics_equals_scikit_learn() {
    #[derive(Deserialize)]
    struct Case {
        min_samples: usize,
        features: Packed,
        labels: Packed,
        ordering: Packed,
        reachability: Packed,
        core_distances: Packed,
        predecessor: Packed,
    }
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    for_each_file("optics.json", |file: File| {
        for case in &file.cases {
            let mut gram = Gram::default();
            gram.compute(&case.features.f32s(), case.features.shape[1]);
            let ordering = optics::optics(&gram, case.min_samples);
            let order: Vec<i64> = ordering.order.iter().map(|&i| i as i64).collect();
            assert_eq!(order, case.ordering.indices());
            let predecessor: Vec<i64> =
                ordering.predecessor.iter().map(|p| p.map_or(-1, |p| p as i64)).collect();
            assert_eq!(predecessor, case.predecessor.indices());
            // The vectors hold nine significant digits.
            let pairs = [
                (&ordering.reachability, &case.reachability),
                (&ordering.core_distance, &case.core_distances),
            ];
            for (got, want) in pairs {
                for (got, want) in got.iter().zip(want.f64s()) {
                    assert!(
                        *got == want || (got - want).abs() <= 1e-8 * want,
                        "{got}, want {want}"
                    );
                }
            }
            assert_eq!(
                labels(&xi::extract_regions(&ordering, case.min_samples)),
                case.labels.indices()
            );
        }
    });
}

#[cfg(feature = "desktop")]
fn labels(regions: &[Option<usize>]) -> Vec<i64> {
    regions.iter().map(|r| r.map_or(-1, |r| r as i64)).collect()
}

#[test]
#[cfg(feature = "desktop")]
fn pts_equals_the_published_algorithm() {
    #[derive(Deserialize)]
    struct Case {
        k: usize,
        min_samples: usize,
        features: Packed,
        labels: Packed,
        selected: Packed,
    }
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    for_each_file("pts.json", |file: File| {
        for case in &file.cases {
            let mut gram = Gram::default();
            gram.compute(&case.features.f32s(), case.features.shape[1]);
            assert_eq!(pts::min_samples(gram.size(), case.k), case.min_samples);
            let regions =
                xi::extract_regions(&optics::optics(&gram, case.min_samples), case.min_samples);
            assert_eq!(labels(&regions), case.labels.indices());
            let selected: Vec<i64> =
                pts::select(&gram, case.k, HardRule::Sum).iter().map(|&i| i as i64).collect();
            assert_eq!(selected, case.selected.indices());
        }
    });
}

#[test]
fn metrics() {
    #[derive(Deserialize)]
    struct Ranking {
        scores: Packed,
        labels: Packed,
        auroc: f64,
    }
    #[derive(Deserialize)]
    struct Overlap {
        maps: Vec<Packed>,
        masks: Vec<Packed>,
        aupro30: f64,
        pixel_auroc: f64,
    }
    #[derive(Deserialize)]
    struct File {
        auroc: Vec<Ranking>,
        aupro: Vec<Overlap>,
    }
    for_each_file("metrics.json", |file: File| {
        for case in &file.auroc {
            let bad = case.labels.indices().into_iter().map(|l| l == 1);
            let got = auroc(case.scores.f64s().into_iter().zip(bad)).expect("both classes");
            assert!((got - case.auroc).abs() <= 1e-9, "{got}, want {}", case.auroc);
        }
        for case in &file.aupro {
            let maps: Vec<Vec<f64>> = case.maps.iter().map(Packed::f64s).collect();
            let truths: Vec<PixelTruth> = case
                .masks
                .iter()
                .map(|m| {
                    let defect: Vec<bool> = m.indices().iter().map(|&v| v == 1).collect();
                    PixelTruth::new(&defect, m.shape[1])
                })
                .collect();
            let pictures: Vec<(&[f64], &PixelTruth)> =
                maps.iter().map(Vec::as_slice).zip(&truths).collect();
            let (pro, pixel) = aupro(&pictures, 0.3);
            let (pro, pixel) = (pro.expect("regions"), pixel.expect("both classes"));
            assert!((pro - case.aupro30).abs() <= 1e-9, "{pro}, want {}", case.aupro30);
            assert!((pixel - case.pixel_auroc).abs() <= 1e-9, "{pixel}, want {}", case.pixel_auroc);
        }
    });
}

/// A fuzz target found that one kernel took a lane that is not there for a very bad prototype.
#[test]
fn where_all_prototypes_are_left_out_every_kernel_finds_none() {
    for count in [1, 3, 4, 17, 64, 70] {
        let shape = Shape { height: 2, width: 3, channels: 5, sheets: count };
        let raw = (0..30).map(|i| (i * 37 % 19) as f32 - 9.0).collect();
        let query = FeatureMap::normalised(2, 3, 5, raw);
        let f32s = vec![0.4; shape.values(Storage::F32).expect("fits")];
        let f16s = vec![half::f16::from_f32(0.4); f32s.len()];
        let i8s = vec![50; shape.values(Storage::I8).expect("fits")];
        let scales = vec![0.008; shape.scales()];
        let sources = vec![7; 6 * count];
        let without = Some(Without { sources: &sources, picture: 7 });
        let windows = Windows { forward: 3, backward: 1 };
        let bytes = Values::I8 { values: &i8s, scales: &scales };
        for values in [Values::F32(&f32s), Values::F16(&f16s), bytes] {
            let view = Sheets::new(shape, values).expect("sizes agree");
            for kernel in Kernel::all() {
                let got = fused::match_layer_with(kernel, &query, &view, windows, without);
                let case = format!("{} {} {count}", view.storage(), kernel.name());
                assert_eq!((got.forward, got.backward), (vec![2.0; 6], vec![0.0; 6]), "{case}");
            }
        }
    }
}

#[test]
fn every_storage_stays_within_its_bound_on_every_kernel() {
    for (channels, sheets) in [(1, 70), (4, 1), (37, 60), (130, 70), (5, 33), (8, 17), (3, 48)] {
        let shape = Shape { height: 5, width: 6, channels, sheets };
        let value = |i: usize| ((i * 7919 % 1009) as f32 - 500.0) / 300.0;
        let query = FeatureMap::normalised(
            5,
            6,
            channels,
            (0..30 * channels).map(|i| value(i + 5)).collect(),
        );
        let mut f32s = vec![0.0; shape.values(Storage::F32).expect("fits")];
        let mut i8s = vec![0; shape.values(Storage::I8).expect("fits")];
        let mut scales = vec![0.0; shape.scales()];
        for p in 0..30 {
            let raw = (0..sheets * channels).map(|i| value(i * 3 + p)).collect();
            let map = FeatureMap::normalised(1, sheets, channels, raw);
            let vectors: Vec<&[f32]> = (0..sheets).map(|k| map.vector(k)).collect();
            let block = |storage| p * shape.block(storage)..(p + 1) * shape.block(storage);
            hetmm::matching::sheets::pack(shape, &vectors, &mut f32s[block(Storage::F32)]);
            let padded = p * shape.padded_sheets()..(p + 1) * shape.padded_sheets();
            hetmm::matching::sheets::pack_bytes(
                shape,
                &vectors,
                &mut i8s[block(Storage::I8)],
                &mut scales[padded],
            );
        }
        let f16s: Vec<half::f16> = f32s.iter().map(|&v| half::f16::from_f32(v)).collect();
        let windows = Windows { forward: 3, backward: 5 };
        let exact = Sheets::new(shape, Values::F32(&f32s)).expect("sizes agree");
        let want = reference::match_layer(&query, &exact, windows, None);
        // The scale of a byte vector is its largest magnitude over 127.
        let largest = |values: &[f32]| values.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 127.0;
        let (s_q, s_t) = (largest(query.data()), scales.iter().fold(0.0f32, |m, &s| m.max(s)));
        let root = (channels as f32).sqrt();
        let bytes_bound = root / 2.0 * (s_t + s_q + s_t * s_q * root / 2.0) + 1e-6;
        let stored = [
            (Storage::F32, Values::F32(&f32s), 1e-6),
            // A unit vector rounded to 11 bits moves a cosine by at most 2^-11.
            (Storage::F16, Values::F16(&f16s), 4.9e-4),
            (Storage::I8, Values::I8 { values: &i8s, scales: &scales }, bytes_bound),
        ];
        for (storage, values, bound) in stored {
            let view = Sheets::new(shape, values).expect("sizes agree");
            let mut of_bytes: Option<hetmm::matching::Distances> = None;
            for kernel in Kernel::all() {
                let got = fused::match_layer_with(kernel, &query, &view, windows, None);
                let pairs = got
                    .forward
                    .iter()
                    .zip(&want.forward)
                    .chain(got.backward.iter().zip(&want.backward));
                for (got, want) in pairs {
                    assert!(
                        (got - want).abs() <= bound,
                        "{storage} {}: {got}, want {want}",
                        kernel.name()
                    );
                }
                if storage == Storage::I8 {
                    // Integer sums are exact, so kernels differ only by the rounding of two products.
                    let first = of_bytes.get_or_insert_with(|| got.clone());
                    for (got, first) in got.forward.iter().zip(&first.forward) {
                        assert!((got - first).abs() <= 3e-7, "{}: {got}, {first}", kernel.name());
                    }
                }
            }
        }
    }
}

#[test]
fn prototypes_of_a_picture_left_out_never_win() {
    let shape = Shape { height: 4, width: 3, channels: 5, sheets: 6 };
    let value = |i: usize| ((i * 31 % 17) as f32 - 8.0) / 5.0;
    let query = FeatureMap::normalised(4, 3, 5, (0..60).map(value).collect());
    let mut stored = vec![0.0; shape.values(Storage::F32).expect("fits")];
    for (p, block) in stored.chunks_exact_mut(shape.block(Storage::F32)).enumerate() {
        let map = FeatureMap::normalised(1, 6, 5, (0..30).map(|i| value(i * 5 + p * 2)).collect());
        // Sheet p % 6 is the query's own vector and comes from picture 9.
        let vectors: Vec<&[f32]> =
            (0..6).map(|k| if k == p % 6 { query.vector(p) } else { map.vector(k) }).collect();
        hetmm::matching::sheets::pack(shape, &vectors, block);
    }
    let sources: Vec<u32> = (0..72).map(|i| if i % 6 == (i / 6) % 6 { 9 } else { 1 }).collect();
    let view = Sheets::new(shape, Values::F32(&stored)).expect("sizes agree");
    let windows = Windows { forward: 3, backward: 3 };
    for picture in [9, 1, 4] {
        let without = Some(hetmm::matching::Without { sources: &sources, picture });
        let want = reference::match_layer(&query, &view, windows, without);
        assert_eq!(picture != 9, want.forward.iter().all(|&d| d.abs() < 1e-6));
        for kernel in Kernel::all() {
            let got = fused::match_layer_with(kernel, &query, &view, windows, without);
            for (got, want) in got.forward.iter().zip(&want.forward) {
                assert!((got - want).abs() < 1e-5, "{}", kernel.name());
            }
            for (got, want) in got.backward.iter().zip(&want.backward) {
                assert!((got - want).abs() < 1e-5, "{}", kernel.name());
            }
        }
    }
}
