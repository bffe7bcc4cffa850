//! Computes the distance of every picture to the nearest of the others, pixel by pixel.
//!
//! The pictures are matched as against an 8-bit template of all pictures without the picture itself. The same kernels
//! are used.

use crate::backbone::{TapIdentity, pictures_at_once};
use crate::builder::few_at_once::few_at_once;
use crate::builder::store::Store;
use crate::matching::sheets::pack_bytes;
use crate::matching::{Distances, Shape, Sheets, Storage, Values, Windows, Without, match_layer};
use rayon::prelude::*;

/// The window of the match where the layer is large enough, as in the default.
const WINDOW: usize = 3;

/// Holds the vectors of some pictures at every pixel of a layer.
struct Packed {
    shape: Shape,
    values: Vec<i8>,
    scales: Vec<f32>,
    /// The group of every vector, `[pixel][sheet]`.
    groups: Vec<u32>,
}

/// Names the pictures of a store that others are compared with.
pub struct References<'a> {
    /// The store that holds their features.
    pub store: &'a Store,
    /// The indices of the pictures in the store.
    pub pictures: Vec<usize>,
    /// The group of each picture.
    pub groups: Vec<u32>,
}

/// Computes the distances of every picture of `store` to the nearest of all `references` that is not of its own group.
/// The result is `[picture][layer]`. `groups` holds the group of every picture. `step` is called once per picture.
pub fn distances(
    store: &Store,
    taps: &[TapIdentity],
    references: &[References],
    groups: &[u32],
    step: &(dyn Fn() + Sync),
) -> Vec<Vec<Distances>> {
    let packed: Vec<Packed> =
        taps.iter().enumerate().map(|(layer, tap)| Packed::new(layer, tap, references)).collect();
    let of_picture = |picture: usize| {
        let maps = store.maps(picture);
        let of_layer = |(map, packed): (_, &Packed)| {
            let values = Values::I8 { values: &packed.values, scales: &packed.scales };
            let without = Some(Without { sources: &packed.groups, picture: groups[picture] });
            let least = packed.shape.height.min(packed.shape.width);
            let windows = Windows { forward: WINDOW.min(least), backward: 0 };
            // `Sheets::new` cannot fail here, because the sizes are those of the shape.
            Sheets::new(packed.shape, values)
                .map(|sheets| match_layer(map, &sheets, windows, without))
        };
        let distances = maps.iter().zip(&packed).filter_map(of_layer).collect();
        step();
        distances
    };
    few_at_once(store.pictures(), pictures_at_once(taps), of_picture)
}

/// Returns the bytes that [`distances`] of so many pictures takes, with its result: `references` in 8 bits, and one
/// distance for each picture and position.
pub fn memory(pictures: usize, references: usize, taps: &[TapIdentity]) -> u64 {
    let of_tap = |tap: &TapIdentity| {
        let shape = shape(tap, references);
        let of_sheet = size_of::<f32>() + size_of::<u32>();
        let packed = shape.block(Storage::I8) + of_sheet * shape.padded_sheets();
        (shape.pixels() * (packed + size_of::<f32>() * pictures)) as u64
    };
    taps.iter().map(of_tap).sum()
}

/// Returns the shape of a template of so many sheets of a tap.
fn shape(tap: &TapIdentity, sheets: usize) -> Shape {
    Shape {
        height: tap.height as usize,
        width: tap.width as usize,
        channels: tap.channels as usize,
        sheets,
    }
}

impl Packed {
    fn new(layer: usize, tap: &TapIdentity, references: &[References]) -> Self {
        let shape = shape(tap, references.iter().map(|r| r.pictures.len()).sum());
        let block = shape.block(Storage::I8);
        let mut values = vec![0i8; block * shape.pixels()];
        let mut scales = vec![0.0f32; shape.scales()];
        values
            .par_chunks_mut(block)
            .zip(scales.par_chunks_mut(shape.padded_sheets()))
            .enumerate()
            .for_each_init(
                || vec![Vec::new(); references.len()],
                |vectors, (pixel, (values, scales))| {
                    for (vectors, from) in vectors.iter_mut().zip(references) {
                        from.store.vectors(layer, pixel, vectors);
                    }
                    let chosen: Vec<&[f32]> = (vectors.iter().zip(references))
                        .flat_map(|(vectors, from)| {
                            let at = |i: &usize| i * shape.channels..(i + 1) * shape.channels;
                            from.pictures.iter().map(move |i| &vectors[at(i)])
                        })
                        .collect();
                    pack_bytes(shape, &chosen, values, scales);
                },
            );
        let of_pixel: Vec<u32> = references.iter().flat_map(|r| r.groups.clone()).collect();
        Packed { shape, values, scales, groups: of_pixel.repeat(shape.pixels()) }
    }
}
