//! Holds named settings: the default, the one before it, those of the HETMM paper, and those of larger backbones.

use super::input_size::InputSize;
use super::{Baseline, Rotations};
use crate::scoring::Fusion;
use crate::selection::HardRule;

/// Names the taps of the layers on one kind of backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taps {
    /// The taps of the layers that match at their own positions.
    pub positional: &'static [&'static str],
    /// The taps of the position-free layers.
    pub position_free: &'static [&'static str],
}

/// Returns taps of layers that match at their own positions, and no others.
const fn positional(positional: &'static [&'static str]) -> Taps {
    Taps { positional, position_free: &[] }
}

/// Holds settings that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// The name by which a person chooses it.
    pub name: &'static str,
    /// What the preset is for.
    pub about: &'static str,
    /// The size of the network's input.
    pub input: InputSize,
    /// The names of the backbones that the preset is made for, as in their metadata. With these backbones it is used if
    /// nobody asks for a preset.
    pub backbones: &'static [&'static str],
    /// The taps of the layers, for each kind of backbone of `models/export.py`. The first entry that a backbone has is
    /// used.
    pub taps: &'static [Taps],
    /// The forward window of each layer.
    pub patches_forward: &'static [usize],
    /// The backward window of each layer.
    pub patches_backward: &'static [usize],
    /// The weight of the forward direction, 0..=1.
    pub alpha: f32,
    /// How the layers are joined.
    pub fusion: Fusion,
    /// How much of the mean map of the good parts is subtracted.
    pub baseline: Baseline,
    /// Whether the layer weights come from the good parts. Otherwise all are 1, as in the HETMM paper.
    pub weights_from_good_parts: bool,
    /// The standard deviation of the blur for an input of 256 x 256 pixels. It grows with the square root of the area.
    pub sigma: f32,
    /// Whether turned copies of few pictures are candidates.
    pub rotations: Rotations,
    /// The number of sheets.
    pub sheets: usize,
    /// The hard-nominal rule of PTS.
    pub hard_rule: HardRule,
}

const DEFAULT: Preset = Preset {
    name: "default",
    about: "one setting for everything",
    input: InputSize::Area(256 * 256),
    backbones: &[],
    taps: &[
        Taps {
            positional: &["layer1", "layer2", "layer3"],
            position_free: &["layer1", "layer2", "layer3"],
        },
        Taps {
            positional: &["block3.proj", "block5.exp", "block9.proj", "block11.exp", "block15.exp"],
            position_free: &[
                "block3.proj",
                "block5.exp",
                "block6.proj",
                "block9.proj",
                "block15.exp",
            ],
        },
    ],
    patches_forward: &[3, 3, 3, 3, 3],
    patches_backward: &[3, 3, 3, 3, 3],
    alpha: 0.8,
    fusion: Fusion::RootMean,
    baseline: Baseline::ByParts,
    weights_from_good_parts: true,
    sigma: 2.0,
    rotations: Rotations::Auto,
    sheets: 60,
    hard_rule: HardRule::MaxMin,
};

const CLASSIC: Preset = Preset {
    name: "classic",
    about: "the default up to version 0.1: a square input, other taps, the whole baseline, a wider blur",
    input: InputSize::square(256),
    backbones: &[],
    taps: &[
        positional(&["layer1", "layer2", "layer3"]),
        positional(&[
            "block4.exp",
            "block5.exp",
            "block7.exp",
            "block10.exp",
            "block11.exp",
            "block15.exp",
        ]),
    ],
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
};

const PAPER: Preset = Preset {
    name: "paper",
    about: "the paper's for MVTec AD: layers 1+2+3, windows 9/7/5, published hard-nominal rule",
    input: InputSize::square(256),
    backbones: &[],
    taps: &[
        positional(&["layer1", "layer2", "layer3"]),
        positional(&["block2.proj", "block4.proj", "block10.proj"]),
    ],
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
};

const PAPER_MTD: Preset = Preset {
    name: "paper-mtd",
    about: "the paper's for magnetic tiles: layers 1+2, windows 3/3",
    taps: &[positional(&["layer1", "layer2"]), positional(&["block2.proj", "block4.proj"])],
    patches_forward: &[3, 3],
    patches_backward: &[3, 3],
    ..PAPER
};

const PAPER_LOCO: Preset = Preset {
    name: "paper-loco",
    about: "the paper's for MVTec LOCO (logical anomalies): layers 2+3+4, windows 11/9/7",
    taps: &[
        positional(&["layer2", "layer3", "layer4"]),
        positional(&["block4.proj", "block10.proj", "block14.proj"]),
    ],
    patches_forward: &[11, 9, 7],
    patches_backward: &[11, 9, 7],
    ..PAPER
};

/// Uses the same places as the default in a network of the family with more blocks: the first, second or last block of
/// the same stages.
const EFFICIENTNET_LITE1: Preset = Preset {
    name: "efficientnet-lite1",
    about: "the default with EfficientNet-Lite1 as the backbone",
    backbones: &["efficientnet_lite1"],
    taps: &[Taps {
        positional: &["block4.proj", "block7.exp", "block12.proj", "block15.exp", "block20.exp"],
        position_free: &["block4.proj", "block7.exp", "block8.proj", "block12.proj", "block20.exp"],
    }],
    ..DEFAULT
};

/// Uses the settings of Lite1, because Lite2 has the same blocks with more channels.
const EFFICIENTNET_LITE2: Preset = Preset {
    name: "efficientnet-lite2",
    about: "the default with EfficientNet-Lite2 as the backbone",
    backbones: &["efficientnet_lite2"],
    ..EFFICIENTNET_LITE1
};

/// Uses the blocks that Meta's own dense heads read. A patch has 14 pixels, so the area is larger: 448 x 448 gives maps
/// of 32 x 32, like a stride of 8 at 256 x 256. Nobody has measured this choice, because no weights were at hand.
const DINOV2: Preset = Preset {
    name: "dinov2",
    about: "the default with DINOv2 ViT-S/14 or ViT-B/14 as the backbone; not measured",
    input: InputSize::Area(448 * 448),
    backbones: &["dinov2_vits14", "dinov2_vitb14"],
    taps: &[Taps {
        positional: &["block2.norm", "block5.norm", "block8.norm", "block11.norm"],
        position_free: &["block5.norm", "block11.norm"],
    }],
    patches_forward: &[3, 3, 3, 3],
    patches_backward: &[3, 3, 3, 3],
    ..DEFAULT
};

/// The number of patches of a position-free layer.
pub const FREE_PATCHES: usize = 1024;

/// All presets. The first is the default.
pub const PRESETS: [Preset; 8] = [
    DEFAULT,
    CLASSIC,
    PAPER,
    PAPER_MTD,
    PAPER_LOCO,
    EFFICIENTNET_LITE1,
    EFFICIENTNET_LITE2,
    DINOV2,
];

/// Returns the preset of that name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|p| p.name == name)
}

/// Returns the preset that is made for the backbone of that name, or else the default.
pub fn of_backbone(name: Option<&str>) -> &'static Preset {
    let made_for = |preset: &&Preset| name.is_some_and(|name| preset.backbones.contains(&name));
    PRESETS.iter().find(made_for).unwrap_or(&PRESETS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_window_for_each_of_its_taps_and_a_name_of_its_own() {
        for (at, preset) in PRESETS.iter().enumerate() {
            assert_eq!(preset.patches_forward.len(), preset.patches_backward.len());
            assert!(!preset.taps.is_empty(), "{}", preset.name);
            let most = preset.taps.iter().map(|taps| taps.positional.len()).max();
            assert_eq!(most, Some(preset.patches_forward.len()), "{}", preset.name);
            assert!(PRESETS[..at].iter().all(|other| other.name != preset.name));
        }
    }

    #[test]
    fn a_backbone_brings_the_preset_that_is_made_for_it() {
        let cases = [
            (None, "default"),
            (Some("efficientnet_lite0"), "default"),
            (Some("wide_resnet101_2"), "default"),
            (Some("efficientnet_lite1"), "efficientnet-lite1"),
            (Some("efficientnet_lite2"), "efficientnet-lite2"),
            (Some("dinov2_vits14"), "dinov2"),
            (Some("dinov2_vitb14"), "dinov2"),
        ];
        for (backbone, want) in cases {
            assert_eq!(of_backbone(backbone).name, want, "{backbone:?}");
        }
    }
}
