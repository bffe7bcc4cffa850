//! The fused pass with every kernel and storage against the definition in double precision.

use crate::bytes::{Bytes, Numbers};
use half::f16;
use hetmm::feature_map::FeatureMap;
use hetmm::matching::kernel::Kernel;
use hetmm::matching::{Distances, Shape, Sheets, Storage, Values, Windows, Without};
use hetmm::matching::{fused, reference, sheets};

fn map(height: usize, width: usize, channels: usize, numbers: &mut Numbers) -> FeatureMap {
    let zero = numbers.next().is_multiple_of(8);
    let mut values: Vec<f32> = (0..height * width * channels).map(|_| numbers.unit()).collect();
    if zero {
        values[..channels].fill(0.0);
    }
    FeatureMap::normalised(height, width, channels, values)
}

/// The values of a layer in all three storages.
struct Stored {
    f32s: Vec<f32>,
    f16s: Vec<f16>,
    i8s: Vec<i8>,
    scales: Vec<f32>,
}

fn stored(shape: Shape, numbers: &mut Numbers) -> Stored {
    let mut f32s = vec![0.0; shape.values(Storage::F32).expect("fits")];
    let mut i8s = vec![0; shape.values(Storage::I8).expect("fits")];
    let mut scales = vec![0.0; shape.scales()];
    for p in 0..shape.pixels() {
        let vectors = map(1, shape.sheets, shape.channels, numbers);
        let vectors: Vec<&[f32]> = (0..shape.sheets).map(|k| vectors.vector(k)).collect();
        let block = |storage| p * shape.block(storage)..(p + 1) * shape.block(storage);
        sheets::pack(shape, &vectors, &mut f32s[block(Storage::F32)]);
        let padded = p * shape.padded_sheets()..(p + 1) * shape.padded_sheets();
        sheets::pack_bytes(shape, &vectors, &mut i8s[block(Storage::I8)], &mut scales[padded]);
    }
    // The other conversion is an instruction that Miri does not know.
    let f16s = f32s.iter().map(|&v| f16::from_f32_const(v)).collect();
    Stored { f32s, f16s, i8s, scales }
}

pub fn run(input: &[u8]) {
    let mut bytes = Bytes(input);
    let mut numbers = bytes.numbers();
    let anywhere = bytes.u8() % 4 == 0;
    let [height, width] = [bytes.between(1, 5), bytes.between(1, 5)];
    let (channels, count) = (bytes.between(1, 24), bytes.between(1, 72));
    let windows = match anywhere {
        true => Windows { forward: 0, backward: 0 },
        false => Windows {
            forward: 2 * bytes.between(0, 3) + 1,
            backward: [0, 1, 3, 5][bytes.between(0, 3)],
        },
    };
    let pixels = if anywhere { [1, 1] } else { [height, width] };
    let shape = Shape { height: pixels[0], width: pixels[1], channels, sheets: count };
    let query = map(height, width, channels, &mut numbers);
    let values = stored(shape, &mut numbers);
    let most = bytes.between(1, 4) as u64;
    let sources: Vec<u32> =
        (0..shape.pixels() * count).map(|_| (numbers.next() % most) as u32).collect();
    let without = bytes.flag().then_some(Without { sources: &sources, picture: 0 });
    let of_scale = |values: &[f32]| values.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 127.0;
    let root = (channels as f32).sqrt();
    // Only the query is rounded: the definition reads the stored bytes.
    let bytes_bound = root / 2.0 * of_scale(query.data()) * 1.1 + 2e-6;
    for (values, bound) in [
        (Values::F32(&values.f32s), 2e-6),
        (Values::F16(&values.f16s), 2e-6),
        (Values::I8 { values: &values.i8s, scales: &values.scales }, bytes_bound),
    ] {
        let view = Sheets::new(shape, values).expect("sizes agree");
        let want = match anywhere {
            true => anywhere_in(&query, &view, without),
            false => reference::match_layer(&query, &view, windows, without),
        };
        for kernel in Kernel::all() {
            let got = fused::match_layer_with(kernel, &query, &view, windows, without);
            assert_eq!(got.backward.len(), want.backward.len());
            let pairs = got.forward.iter().zip(&want.forward);
            for (got, want) in pairs.chain(got.backward.iter().zip(&want.backward)) {
                let off = (got - want).abs();
                assert!(off <= bound, "{} {}: {got}, not {want}", view.storage(), kernel.name());
            }
        }
    }
}

/// The definition for a position-free layer.
fn anywhere_in(query: &FeatureMap, view: &Sheets, without: Option<Without>) -> Distances {
    let cosine = |q: usize, k: usize| -> f64 {
        let values = query.vector(q).iter().enumerate();
        values.map(|(c, v)| f64::from(*v) * f64::from(view.value(0, k, c))).sum()
    };
    let kept = |k: &usize| without.is_none_or(|w| w.sources[*k] != w.picture);
    let forward = (0..query.pixels()).map(|q| {
        let best = (0..view.shape().sheets).filter(kept).map(|k| cosine(q, k));
        let best = best.fold(f64::NEG_INFINITY, f64::max);
        if best == f64::NEG_INFINITY { 2.0 } else { (1.0 - best) as f32 }
    });
    Distances { forward: forward.collect(), backward: vec![] }
}
