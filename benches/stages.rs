//! Measures every stage of inspection and of selection alone: `cargo bench --bench stages [-- FILTER]`.
//!
//! Sizes are those of the preset `classic` (bundled network, six taps, windows of 3, 60 sheets). Values are
//! pseudo-random, which does not change the number of operations. For a template on real data use `hetmm bench`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hetmm::backbone::{self, ExtractorOptions, Request};
use hetmm::feature_map::FeatureMap;
use hetmm::image::{NetworkImage, Picture, Samples};
use hetmm::matching::kernel::Kernel;
use hetmm::matching::{Distances, Shape, Sheets, Storage, Values, Windows, fused, sheets};
use hetmm::scoring::{Fusion, Layer, Scorer};
use hetmm::selection::gram::Gram;
use hetmm::selection::{HardRule, optics, pts, xi};
use std::hint::black_box;
use std::time::Duration;

/// The taps of `classic`: name, channels, side of the map in pixels.
const TAPS: [(&str, usize, usize); 6] = [
    ("block4.exp", 240, 32),
    ("block5.exp", 240, 16),
    ("block7.exp", 480, 16),
    ("block10.exp", 672, 16),
    ("block11.exp", 672, 8),
    ("block15.exp", 1152, 8),
];
const SHEETS: usize = 60;
const WINDOWS: Windows = Windows { forward: 3, backward: 3 };

fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        })
        .collect()
}

fn map(side: usize, channels: usize, seed: u64) -> FeatureMap {
    FeatureMap::normalised(side, side, channels, noise(side * side * channels, seed))
}

/// Holds one layer's template in every storage type.
struct Stored {
    shape: Shape,
    f32s: Vec<f32>,
    f16s: Vec<half::f16>,
    i8s: Vec<i8>,
    scales: Vec<f32>,
}

impl Stored {
    fn new(side: usize, channels: usize) -> Self {
        let shape = Shape { height: side, width: side, channels, sheets: SHEETS };
        let count = |storage| shape.values(storage).unwrap_or(0);
        let mut f32s = vec![0.0; count(Storage::F32)];
        let mut i8s = vec![0; count(Storage::I8)];
        let mut scales = vec![0.0; shape.scales()];
        for pixel in 0..shape.pixels() {
            let map =
                FeatureMap::normalised(1, SHEETS, channels, noise(SHEETS * channels, pixel as u64));
            let vectors: Vec<&[f32]> = (0..SHEETS).map(|k| map.vector(k)).collect();
            let block = |storage| pixel * shape.block(storage)..(pixel + 1) * shape.block(storage);
            sheets::pack(shape, &vectors, &mut f32s[block(Storage::F32)]);
            let padded = pixel * shape.padded_sheets()..(pixel + 1) * shape.padded_sheets();
            sheets::pack_bytes(shape, &vectors, &mut i8s[block(Storage::I8)], &mut scales[padded]);
        }
        let f16s = f32s.iter().map(|&v| half::f16::from_f32(v)).collect();
        Stored { shape, f32s, f16s, i8s, scales }
    }

    fn view(&self, storage: Storage) -> Option<Sheets<'_>> {
        let values = match storage {
            Storage::F32 => Values::F32(&self.f32s),
            Storage::F16 => Values::F16(&self.f16s),
            Storage::I8 => Values::I8 { values: &self.i8s, scales: &self.scales },
        };
        Sheets::new(self.shape, values)
    }
}

fn picture(side: u32) -> Picture {
    let samples = noise((side * side * 3) as usize, 5).iter().map(|v| (v * 255.0) as u8).collect();
    Picture { width: side, height: side, samples: Samples::Eight(samples) }
}

fn path(c: &mut Criterion) {
    let picture = picture(1024);
    let mut jpeg = Vec::new();
    let mut png = Vec::new();
    if let Samples::Eight(samples) = &picture.samples {
        let image = image::RgbImage::from_raw(1024, 1024, samples.clone()).expect("fits");
        image
            .write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg)
            .expect("encodes");
        image
            .write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)
            .expect("encodes");
    }
    c.bench_function("decode/jpeg-1024", |b| {
        b.iter(|| hetmm::image::decode(&jpeg).expect("decodes"))
    });
    c.bench_function("decode/png-1024", |b| {
        b.iter(|| hetmm::image::decode(&png).expect("decodes"))
    });
    let view = picture.view().expect("fits");
    let input = hetmm::image::Size { width: 256, height: 256 };
    c.bench_function("resize/1024-to-256", |b| {
        b.iter(|| NetworkImage::new(black_box(&view), input).expect("resizes"))
    });
    let image = NetworkImage::new(&view, input).expect("resizes");
    let taps = vec![TAPS.iter().map(|(name, ..)| name.to_string()).collect()];
    let request = Request { model: None, taps, height: 256, width: 256, made_by: None };
    let network = backbone::open(&request, &ExtractorOptions::default()).expect("opens");
    c.bench_function("backbone/default-taps", |b| {
        b.iter(|| network.features(black_box(&image)).expect("runs"))
    });
}

fn matching(c: &mut Criterion) {
    let layers: Vec<(FeatureMap, Stored)> = TAPS
        .iter()
        .map(|&(_, channels, side)| (map(side, channels, 3), Stored::new(side, channels)))
        .collect();
    let mut group = c.benchmark_group("matching");
    let pairs = |side: usize| (3 * side - 2).pow(2);
    let work: usize = TAPS.iter().map(|&(_, channels, side)| pairs(side) * channels * SHEETS).sum();
    group.throughput(Throughput::Elements(work as u64));
    for storage in [Storage::I8, Storage::F16, Storage::F32] {
        for kernel in Kernel::all() {
            group.bench_function(format!("{storage}/{}", kernel.name()), |b| {
                b.iter(|| {
                    for (query, stored) in &layers {
                        let view = stored.view(storage).expect("sizes agree");
                        black_box(fused::match_layer_with(kernel, query, &view, WINDOWS, None));
                    }
                })
            });
        }
    }
    group.finish();
}

/// Measures a matrix product of a well-maintained library on this machine, for comparison with `matching/f32`.
fn gemm(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    let (m, k, n) = (768, 480, 256);
    let a = ndarray::Array2::from_shape_vec((m, k), noise(m * k, 1)).expect("fits");
    let b = ndarray::Array2::from_shape_vec((k, n), noise(k * n, 2)).expect("fits");
    group.throughput(Throughput::Elements((m * k * n) as u64));
    group.bench_function("ndarray-f32-768x480x256", |bench| bench.iter(|| black_box(a.dot(&b))));
    group.finish();
}

fn scoring(c: &mut Criterion) {
    let layers = TAPS.iter().map(|&(_, _, side)| Layer {
        votes: 1.0,
        height: side,
        width: side,
        weight: 1.0,
        baseline: vec![0.1; side * side],
    });
    let scorer = Scorer::new((256, 256), 0.8, Fusion::RootMean, layers.collect(), 4.0, None);
    let distances: Vec<Distances> = TAPS
        .iter()
        .map(|&(_, _, side)| Distances {
            forward: noise(side * side, 1),
            backward: noise(side * side, 2),
        })
        .collect();
    c.bench_function("scoring/map", |b| b.iter(|| scorer.anomaly_map(black_box(&distances))));
    let map = scorer.anomaly_map(&distances);
    c.bench_function("scoring/blur-and-maximum", |b| b.iter(|| scorer.score(black_box(&map))));
}

fn selection(c: &mut Criterion) {
    let mut group = c.benchmark_group("selection-one-pixel");
    for pictures in [209, 762] {
        let vectors =
            FeatureMap::normalised(1, pictures, 480, noise(pictures * 480, 9)).data().to_vec();
        let mut gram = Gram::default();
        group.bench_function(format!("gram/{pictures}"), |b| {
            b.iter(|| gram.compute(black_box(&vectors), 480))
        });
        gram.compute(&vectors, 480);
        let min_samples = pts::min_samples(pictures, SHEETS);
        group.bench_function(format!("optics/{pictures}"), |b| {
            b.iter(|| optics::optics(black_box(&gram), min_samples))
        });
        group.bench_function(format!("regions/{pictures}"), |b| {
            b.iter_batched(
                || optics::optics(&gram, min_samples),
                |ordering| xi::extract_regions(&ordering, min_samples),
                BatchSize::SmallInput,
            )
        });
        group.bench_function(format!("whole/{pictures}"), |b| {
            b.iter(|| {
                gram.compute(black_box(&vectors), 480);
                pts::select(&gram, SHEETS, HardRule::MaxMin)
            })
        });
    }
    group.finish();
}

fn brief() -> Criterion {
    Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .sample_size(20)
}

criterion_group! { name = stages; config = brief(); targets = path, matching, gemm, scoring, selection }
criterion_main!(stages);
