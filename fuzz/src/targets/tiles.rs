//! A network by tiles against the same network on the whole picture.

use crate::bytes::Bytes;
use hetmm::backbone::{Backbone, MODEL, Request, TractBackbone, open_by_tiles};
use hetmm::image::NetworkImage;
use std::sync::{Arc, OnceLock};

const SIDE: usize = 160;

fn both() -> &'static [Arc<dyn Backbone>; 2] {
    static BOTH: OnceLock<[Arc<dyn Backbone>; 2]> = OnceLock::new();
    BOTH.get_or_init(|| {
        let taps = vec![vec!["block1.exp".to_owned()]];
        let whole = TractBackbone::new("model", MODEL, &taps, SIDE, SIDE).expect("loads");
        let request = Request { model: None, taps, height: SIDE, width: SIDE, made_by: None };
        [Arc::new(whole), open_by_tiles(MODEL, &request, 64).expect("can be cut")]
    })
}

pub fn run(input: &[u8]) {
    let mut bytes = Bytes(input);
    let mut numbers = bytes.numbers();
    let mut samples = vec![u16::from(bytes.u8()) * 257; SIDE * SIDE * 3];
    // Rectangles of noise, so that there are edges everywhere between the tiles.
    for _ in 0..bytes.between(1, 6) {
        let [left, top] = [bytes.between(0, SIDE - 1), bytes.between(0, SIDE - 1)];
        let [width, height] = [bytes.between(1, 80), bytes.between(1, 80)];
        for y in top..(top + height).min(SIDE) {
            for x in left..(left + width).min(SIDE) {
                for channel in 0..3 {
                    samples[(y * SIDE + x) * 3 + channel] = numbers.next() as u16;
                }
            }
        }
    }
    let image = NetworkImage::from_samples(SIDE, SIDE, samples).expect("fits");
    let [whole, tiled] =
        both().each_ref().map(|backbone| backbone.features(&image).expect("computes"));
    for (whole, tiled) in whole.iter().zip(&tiled) {
        assert_eq!(
            (whole.height(), whole.width(), whole.channels()),
            (tiled.height(), tiled.width(), tiled.channels())
        );
        let off = whole.data().iter().zip(tiled.data()).map(|(a, b)| (a - b).abs());
        let most = off.fold(0.0, f32::max);
        assert!(most < 1e-3, "features differ by {most}");
    }
}
