//! The studies say which templates are compared with each other.

use crate::build::{HardRuleName, Select};
use clap::ValueEnum;
use hetmm::builder::Sheets;
use hetmm::builder::layers::LayerNames;
use hetmm::builder::presets::{FREE_PATCHES, Preset};
use hetmm::selection::HardRule;
use hetmm::wording::counted;
use serde::Serialize;

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Study {
    Windows,
    Alpha,
    Patches,
    Layers,
    PositionFree,
    Sheets,
    Selection,
    SelectionSlow,
}

/// The settings that stay the same.
pub struct Base {
    taps: Vec<String>,
    position_free: Vec<String>,
    free_patches: usize,
    patches: Vec<usize>,
    alpha: f32,
    sheets: usize,
    hard_rule: HardRuleName,
    pictures: usize,
}

/// One template.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    pub study: Study,
    /// What is different.
    pub name: String,
    /// The number that is varied, if a number is varied.
    pub x: Option<f64>,
    /// Taps of the positional layers.
    pub taps: Vec<String>,
    /// Taps of the position-free layers.
    pub position_free: Vec<String>,
    /// Patches of each of them.
    pub free_patches: usize,
    /// One window per positional layer.
    pub patches: Vec<usize>,
    pub alpha: f32,
    pub sheets: Sheets,
    pub select: Select,
    pub hard_rule: HardRuleName,
}

impl Base {
    /// The settings of the preset for these layers, with windows of 3 if it has none for them.
    pub fn new(preset: &Preset, layers: LayerNames, pictures: usize) -> Self {
        let LayerNames { positional: taps, position_free } = layers;
        let fits = preset.patches_forward.len() >= taps.len();
        let patches =
            if fits { preset.patches_forward[..taps.len()].to_vec() } else { vec![3; taps.len()] };
        let hard_rule = match preset.hard_rule {
            HardRule::MaxMin => HardRuleName::Maxmin,
            HardRule::Sum => HardRuleName::Sum,
        };
        let (alpha, sheets) = (preset.alpha, preset.sheets);
        let free_patches = FREE_PATCHES;
        Base { taps, position_free, free_patches, patches, alpha, sheets, hard_rule, pictures }
    }

    fn variant(&self, study: Study, name: impl Into<String>) -> Variant {
        Variant {
            study,
            name: name.into(),
            x: None,
            taps: self.taps.clone(),
            position_free: self.position_free.clone(),
            free_patches: self.free_patches,
            patches: self.patches.clone(),
            alpha: self.alpha,
            sheets: Sheets::Count(self.sheets),
            select: Select::Pts,
            hard_rule: self.hard_rule,
        }
    }
}

impl Study {
    /// The studies that run by default.
    pub const USUAL: [Study; 7] = [
        Study::Windows,
        Study::Alpha,
        Study::Patches,
        Study::Layers,
        Study::PositionFree,
        Study::Sheets,
        Study::Selection,
    ];

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The templates that it compares.
    pub fn variants(self, base: &Base) -> Vec<Variant> {
        let layers = base.taps.len();
        match self {
            Study::Windows => windows(self, base),
            Study::Alpha => (0..=10)
                .map(|tenths| {
                    let alpha = tenths as f32 / 10.0;
                    let x = Some(f64::from(tenths) / 10.0);
                    Variant { alpha, x, ..base.variant(self, format!("alpha {alpha}")) }
                })
                .collect(),
            Study::Patches => [1, 3, 5, 7, 9]
                .into_iter()
                .map(|side| Variant {
                    patches: vec![side; layers],
                    x: Some(side as f64),
                    ..base.variant(self, format!("window {side}"))
                })
                .collect(),
            Study::Layers => subsets(layers)
                .into_iter()
                .map(|subset| {
                    let taps: Vec<String> = subset.iter().map(|&i| base.taps[i].clone()).collect();
                    let patches = subset.iter().map(|&i| base.patches[i]).collect();
                    let name = if taps.len() == layers { "all".into() } else { taps.join("+") };
                    Variant { taps, patches, ..base.variant(self, name) }
                })
                .collect(),
            Study::PositionFree => position_free(self, base),
            Study::Sheets => [1, 2, 5, 10, 20, 40, 60, 120, 240, 480]
                .into_iter()
                .filter(|&count| count < base.pictures)
                .chain([base.pictures])
                .map(|count| Variant {
                    sheets: Sheets::Count(count),
                    x: Some(count as f64),
                    ..base.variant(self, counted(count, "sheet"))
                })
                .collect(),
            Study::Selection => selection(self, base),
            Study::SelectionSlow => {
                vec![Variant { select: Select::KmeansPixel, ..base.variant(self, "kmeans-pixel") }]
            }
        }
    }
}

/// Each direction alone and both together, pixel by pixel and in windows.
fn windows(study: Study, base: &Base) -> Vec<Variant> {
    let layers = base.taps.len();
    let directions = [("forward", 1.0), ("backward", 0.0), ("mutual", base.alpha)];
    let windows = [("pixel to pixel", vec![1; layers]), ("patch to patch", base.patches.clone())];
    (windows.iter())
        .flat_map(|(window, patches)| {
            directions.map(|(direction, alpha)| Variant {
                patches: patches.clone(),
                alpha,
                ..base.variant(study, format!("{window}, {direction}"))
            })
        })
        .collect()
}

/// Without position-free layers, without each of them, and with other numbers of patches.
fn position_free(study: Study, base: &Base) -> Vec<Variant> {
    let with = |position_free: Vec<String>, free_patches, name: String| Variant {
        position_free,
        free_patches,
        ..base.variant(study, name)
    };
    let all = &base.position_free;
    let none = with(Vec::new(), base.free_patches, "none".into());
    let each = all.iter().map(|tap| {
        let others = all.iter().filter(|other| *other != tap).cloned().collect();
        with(others, base.free_patches, format!("without {tap}"))
    });
    let counts =
        [256, 512, 1024, 2048].map(|count| with(all.clone(), count, format!("{count} patches")));
    let each: Vec<Variant> = each.collect();
    std::iter::once(none)
        .chain(each)
        .chain(counts)
        .filter(|variant| !all.is_empty() || variant.position_free == *all)
        .collect()
}

/// Each way to choose prototypes that takes minutes.
fn selection(study: Study, base: &Base) -> Vec<Variant> {
    let pts = |rule, name: &str| Variant {
        hard_rule: rule,
        ..base.variant(study, format!("pts, {name}"))
    };
    let by = |select, name: &str| Variant { select, ..base.variant(study, name) };
    vec![
        pts(HardRuleName::Maxmin, "maxmin"),
        pts(HardRuleName::Sum, "sum"),
        by(Select::RandomImage, "random-image"),
        by(Select::RandomPixel, "random-pixel"),
        by(Select::KmeansImage, "kmeans-image"),
    ]
}

/// Each layer alone, all layers but one, neighbouring pairs, and all layers. No subset appears twice.
fn subsets(layers: usize) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..layers).collect();
    let alone = all.iter().map(|&i| vec![i]);
    let pairs = all.windows(2).map(<[usize]>::to_vec);
    let but_one = all.iter().map(|&out| all.iter().copied().filter(|&i| i != out).collect());
    let mut subsets: Vec<Vec<usize>> = Vec::new();
    for subset in alone.chain(pairs).chain(but_one).chain([all.clone()]) {
        if !subset.is_empty() && !subsets.contains(&subset) {
            subsets.push(subset);
        }
    }
    subsets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_each_there_once() {
        assert_eq!(subsets(1), [vec![0]]);
        assert_eq!(subsets(2), [vec![0], vec![1], vec![0, 1]]);
        assert_eq!(
            subsets(3),
            [vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 2], vec![0, 1, 2]]
        );
        assert_eq!(subsets(6).len(), 6 + 5 + 6 + 1);
    }
}
