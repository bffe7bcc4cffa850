//! This module computes features in eight bits, for networks of 1x1 and depthwise convolutions such
//! as EfficientNet-Lite.
//!
//! Weights are bytes with one scale per output, and maps are bytes. Products are summed exactly in
//! 32 bits, so every processor and any number of threads give the same bits. What it cannot
//! compute, it refuses with the reason, and tract takes over.
//!
//! `network` reads the graph, `quantise` turns it into layers of bytes with the ranges of `ranges`,
//! `run` keeps the maps, and `convolve` has the kernels, which `kernel` compiles for each
//! instruction set.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod convolve;
mod kernel;
mod lanes;
mod network;
mod picture;
mod quantise;
mod ranges;
mod run;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The kernels and what they work on, for the fuzz targets.
#[cfg(fuzzing)]
pub mod kernels {
    pub use super::convolve::{Matrix, Panels, ROW_WEIGHTS, Spatial, WINDOWS};
    pub use super::kernel::{Kernel, PointwiseTask, SpatialTask, TOGETHER};
    pub use super::lanes::{Block, Finish, Weights};
}

use self::convolve::Panels;
use self::kernel::Kernel;
use self::lanes::LANES;
use self::network::Unsupported;
use self::quantise::{Map, Preprocessing, Range};
use self::run::Runner;
use super::device::INT8;
use super::identity::{Identity, TapIdentity};
use super::interface::{Backbone, Saturation};
use super::model_facts::metadata;
use super::onnx::{check_weights, choose_taps, first_identity, read};
use super::refusal::{loaded, require_size};
use crate::error::Result;
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;

/// A network that computes in eight bits.
pub struct Int8Backbone {
    identity: Identity,
    runner: Runner,
}

impl Int8Backbone {
    /// Loads `model` with the taps of the first list in `taps` that it has. `model` holds the bytes
    /// of an ONNX file that messages call `name`. The inner error says why the network cannot be
    /// computed in eight bits.
    ///
    /// # Errors
    /// [`crate::error::Kind::Model`] where the file is no usable model, or has no such tap.
    pub fn new(
        name: &str,
        model: &[u8],
        taps: &[Vec<String>],
        height: usize,
        width: usize,
    ) -> Result<std::result::Result<Self, Unsupported>> {
        loaded(name, || Self::load(model, taps, height, width))
    }

    fn load(
        model: &[u8],
        taps: &[Vec<String>],
        height: usize,
        width: usize,
    ) -> Result<std::result::Result<Self, Unsupported>> {
        let proto = read(model)?;
        let mut identity = first_identity(&proto, model, height, width)?;
        check_weights(&proto)?;
        let taps = choose_taps(&proto, taps)?;
        let ranges = ranges::of_model(model, &metadata(&proto))?;
        let made = (|| {
            let network = network::read(&proto, taps)?;
            let of_value = |name: &str| -> Option<Range> { ranges.get(name).copied() };
            let preprocessing = Preprocessing { mean: identity.mean, std: identity.std };
            quantise::quantise(&network, [height, width], preprocessing, &of_value)
        })();
        Ok(made.map(|network| {
            let runner = Runner::new(network, Kernel::best());
            log::debug!("int8 computes with {}", Kernel::best().name());
            let sizes = taps.iter().zip(runner.taps());
            identity.taps.extend(sizes.map(|(name, map)| TapIdentity {
                name: name.clone(),
                channels: map.channels as u32,
                height: map.height as u32,
                width: map.width as u32,
            }));
            Int8Backbone { identity, runner }
        }))
    }
}

impl Backbone for Int8Backbone {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn extractor(&self) -> &str {
        INT8
    }

    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        require_size(&self.identity, image)?;
        Ok(self.runner.run(&bytes(image), |_, map, panels| feature_map(map, panels)))
    }

    fn saturation(&self, image: &NetworkImage) -> Result<Saturation> {
        require_size(&self.identity, image)?;
        Ok(self.runner.saturation(&bytes(image)))
    }

    fn working_bytes(&self, pictures: usize, threads: usize) -> u64 {
        (pictures.min(threads) * self.runner.bytes()) as u64
    }
}

/// The samples in eight bits. They are stored times 257.
fn bytes(image: &NetworkImage) -> Vec<u8> {
    image.samples().iter().map(|&v| ((u32::from(v) + 128) / 257) as u8).collect()
}

/// Turns bytes into unit vectors.
fn feature_map(map: &Map, panels: Panels) -> FeatureMap {
    let mut data = vec![0.0; map.height * map.width * map.channels];
    for (pixel, vector) in data.chunks_exact_mut(map.channels).enumerate() {
        let (y, x) = (pixel / map.width, pixel % map.width);
        let at = y * map.row() + x / 4;
        for (panel, values) in vector.chunks_mut(LANES).enumerate() {
            let block = &panels.blocks[panel * panels.pitch + at];
            let bytes = &block[LANES * (x % 4)..][..LANES];
            for (value, &byte) in values.iter_mut().zip(bytes) {
                *value = f32::from(i16::from(byte) - i16::from(map.bytes.zero));
            }
        }
    }
    FeatureMap::normalised(map.height, map.width, map.channels, data)
}

#[cfg(test)]
mod tests {
    use super::super::bundled::{BUNDLED_NAME, MODEL};
    use super::super::tract::TractBackbone;
    use super::*;

    fn taps() -> Vec<Vec<String>> {
        let names = ["block2.exp", "block3.proj", "block9.proj", "block15.exp", "block15.proj"];
        vec![names.map(String::from).to_vec()]
    }

    fn bundled(height: usize, width: usize) -> Int8Backbone {
        Int8Backbone::new(BUNDLED_NAME, MODEL, &taps(), height, width)
            .expect("loads")
            .expect("can be computed")
    }

    /// A picture with gradients, edges and noise.
    fn picture(height: usize, width: usize) -> NetworkImage {
        let samples = (0..height * width * 3).map(|i| {
            let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
            let edge = if (x / 16 + y / 24) % 2 == 0 { 90 } else { 0 };
            ((3 * x + 2 * y + 29 * c + edge + (x * y) % 13) % 256) as u16 * 257
        });
        NetworkImage::from_samples(height, width, samples.collect()).expect("fits")
    }

    #[test]
    fn eight_bits_stay_close_to_32_for_any_shape() {
        for (height, width) in [(96, 64), (64, 160), (32, 32)] {
            let ours = bundled(height, width);
            let tract = TractBackbone::new(BUNDLED_NAME, MODEL, &taps(), height, width);
            let tract = tract.expect("loads");
            assert_eq!(ours.identity(), tract.identity());
            let image = picture(height, width);
            let (ours, theirs) =
                (ours.features(&image).expect("runs"), tract.features(&image).expect("runs"));
            for ((ours, theirs), tap) in ours.iter().zip(&theirs).zip(&taps()[0]) {
                let cosines = (0..ours.pixels()).map(|p| -> f32 {
                    ours.vector(p).iter().zip(theirs.vector(p)).map(|(a, b)| a * b).sum()
                });
                let mean = cosines.sum::<f32>() / ours.pixels() as f32;
                assert!(mean > 0.93, "{tap} at {width} x {height}: mean cosine {mean}");
            }
        }
    }

    /// The digest comes from x86-64. The same test runs on aarch64.
    #[test]
    fn every_processor_gives_the_same_bits() {
        let mut digest = blake3::Hasher::new();
        for (height, width) in [(96, 64), (64, 96)] {
            for map in bundled(height, width).features(&picture(height, width)).expect("runs") {
                map.data().iter().for_each(|value| {
                    digest.update(&value.to_le_bytes());
                });
            }
        }
        assert_eq!(digest.finalize().to_hex().as_str(), DIGEST);
    }

    const DIGEST: &str = "c0f8bea555bc5c78332b0d3486525750699181d056206b7b9410e14bf7ade37b";

    #[test]
    fn values_at_the_ends_of_their_ranges_are_counted() {
        let backbone = bundled(96, 160);
        let counted = backbone.saturation(&picture(96, 160)).expect("runs");
        // The outputs of the blocks: 16 channels of 48 x 80 pixels, 2 x 24 of 24 x 40, and so on.
        let maps = [(16, 2), (24, 4), (24, 4), (40, 8), (40, 8)]
            .into_iter()
            .chain([(80, 16); 3])
            .chain([(112, 16); 3])
            .chain([(192, 32); 4])
            .chain([(320, 32)]);
        let values: u64 =
            maps.map(|(channels, stride)| channels * 96 * 160 / stride / stride).sum();
        assert_eq!(counted.values, values);
        assert!(counted.share() < 1e-3, "{counted:?}");
        // With a tenth of the ranges, far more values lie beyond them.
        let proto = read(MODEL).expect("reads");
        let ranges = ranges::of_model(MODEL, &metadata(&proto)).expect("known");
        let narrow = |name: &str| -> Option<Range> {
            ranges.get(name).map(|r| Range { low: 0.1 * r.low, high: 0.1 * r.high })
        };
        let network = network::read(&proto, &taps()[0]).expect("is supported");
        let Identity { mean, std, .. } = *backbone.identity();
        let preprocessing = Preprocessing { mean, std };
        let narrow = quantise::quantise(&network, [96, 160], preprocessing, &narrow);
        let runner = Runner::new(narrow.expect("can be computed"), Kernel::best());
        let beyond = runner.saturation(&bytes(&picture(96, 160)));
        assert_eq!(beyond.values, counted.values);
        assert!(beyond.share() > 0.05, "{beyond:?}");
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let (backbone, image) = (bundled(96, 160), picture(96, 160));
        let features = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| backbone.features(&image).expect("runs"))
        };
        let alone = features(1);
        for threads in [2, 3, 7] {
            assert_eq!(features(threads), alone, "{threads} threads");
        }
    }

    #[test]
    fn a_picture_of_another_size_is_refused() {
        assert!(bundled(64, 64).features(&picture(64, 96)).is_err());
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for model in [&b""[..], b"this is no ONNX file", &MODEL[..MODEL.len() / 2]] {
            let Err(error) = Int8Backbone::new("m.onnx", model, &taps(), 64, 64) else {
                panic!("took a damaged model")
            };
            assert!(error.to_string().contains("not a usable ONNX model"), "{error}");
        }
    }
}
