//! Named settings: the default, the one before it, and those of the paper.

use super::input_size::InputSize;
use super::{Baseline, Rotations};
use crate::scoring::Fusion;
use crate::selection::HardRule;

/// Settings that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The network's input.
    pub input: InputSize,
    /// Taps of the bundled backbone.
    pub bundled_taps: &'static [&'static str],
    /// Taps of a ResNet of `models/export.py`.
    pub resnet_taps: &'static [&'static str],
    /// Forward window of each layer.
    pub patches_forward: &'static [usize],
    /// Backward window of each layer.
    pub patches_backward: &'static [usize],
    /// Weight of the forward direction.
    pub alpha: f32,
    /// How the layers are joined.
    pub fusion: Fusion,
    /// How much of the mean map of the good parts is taken off.
    pub baseline: Baseline,
    /// Layer weights from the good parts, or all 1 as in the paper.
    pub weights_from_good_parts: bool,
    /// Standard deviation of the blur for an input of 256 x 256 pixels; it grows with the root of the area.
    pub sigma: f32,
    /// Whether turned copies of few pictures are candidates.
    pub rotations: Rotations,
    /// Sheets.
    pub sheets: usize,
    /// Hard-nominal rule.
    pub hard_rule: HardRule,
}

/// All presets; the first is the default.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "default",
        about: "one setting for everything",
        input: InputSize::Area(256 * 256),
        bundled_taps: &[
            "block2.exp",
            "block3.proj",
            "block5.exp",
            "block6.proj",
            "block9.proj",
            "block11.exp",
            "block15.exp",
        ],
        resnet_taps: &["layer1", "layer2", "layer3"],
        patches_forward: &[3, 3, 3, 3, 3, 3, 3],
        patches_backward: &[3, 3, 3, 3, 3, 3, 3],
        alpha: 0.8,
        fusion: Fusion::RootMean,
        baseline: Baseline::ByParts,
        weights_from_good_parts: true,
        sigma: 2.0,
        rotations: Rotations::Auto,
        sheets: 60,
        hard_rule: HardRule::MaxMin,
    },
    Preset {
        name: "classic",
        about: "the default up to version 0.1: a square input, other taps, the whole baseline, a wider blur",
        input: InputSize::square(256),
        bundled_taps: &[
            "block4.exp",
            "block5.exp",
            "block7.exp",
            "block10.exp",
            "block11.exp",
            "block15.exp",
        ],
        resnet_taps: &["layer1", "layer2", "layer3"],
        patches_forward: &[3, 3, 3, 3, 3, 3],
        patches_backward: &[3, 3, 3, 3, 3, 3],
        alpha: 0.8,
        fusion: Fusion::RootMean,
        baseline: Baseline::Share(1.0),
        weights_from_good_parts: true,
        sigma: 4.0,
        rotations: Rotations::None,
        sheets: 60,
        hard_rule: HardRule::MaxMin,
    },
    Preset {
        name: "paper",
        about: "the paper's for MVTec AD: layers 1+2+3, windows 9/7/5, published hard-nominal rule",
        input: InputSize::square(256),
        bundled_taps: &["block2.proj", "block4.proj", "block10.proj"],
        resnet_taps: &["layer1", "layer2", "layer3"],
        patches_forward: &[9, 7, 5],
        patches_backward: &[9, 7, 5],
        alpha: 0.8,
        fusion: Fusion::Sum,
        baseline: Baseline::None,
        weights_from_good_parts: false,
        sigma: 4.0,
        rotations: Rotations::None,
        sheets: 60,
        hard_rule: HardRule::Sum,
    },
    Preset {
        name: "paper-mtd",
        about: "the paper's for magnetic tiles: layers 1+2, windows 3/3",
        input: InputSize::square(256),
        bundled_taps: &["block2.proj", "block4.proj"],
        resnet_taps: &["layer1", "layer2"],
        patches_forward: &[3, 3],
        patches_backward: &[3, 3],
        alpha: 0.8,
        fusion: Fusion::Sum,
        baseline: Baseline::None,
        weights_from_good_parts: false,
        sigma: 4.0,
        rotations: Rotations::None,
        sheets: 60,
        hard_rule: HardRule::Sum,
    },
    Preset {
        name: "paper-loco",
        about: "the paper's for MVTec LOCO (logical anomalies): layers 2+3+4, windows 11/9/7",
        input: InputSize::square(256),
        bundled_taps: &["block4.proj", "block10.proj", "block14.proj"],
        resnet_taps: &["layer2", "layer3", "layer4"],
        patches_forward: &[11, 9, 7],
        patches_backward: &[11, 9, 7],
        alpha: 0.8,
        fusion: Fusion::Sum,
        baseline: Baseline::None,
        weights_from_good_parts: false,
        sigma: 4.0,
        rotations: Rotations::None,
        sheets: 60,
        hard_rule: HardRule::Sum,
    },
];

/// The preset of that name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_window_for_each_of_its_taps_and_a_name_of_its_own() {
        for (at, preset) in PRESETS.iter().enumerate() {
            assert_eq!(preset.patches_forward.len(), preset.patches_backward.len());
            assert_eq!(preset.patches_forward.len(), preset.bundled_taps.len(), "{}", preset.name);
            assert!(preset.patches_forward.len() >= preset.resnet_taps.len(), "{}", preset.name);
            assert!(PRESETS[..at].iter().all(|other| other.name != preset.name));
        }
    }
}
