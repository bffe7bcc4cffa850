//! Turns a preset, and what a person asks for in its place, into the options of a build.

use super::layers::LayerNames;
use super::options::{Baseline, Options, Rotations, Sheets, Suspects, Weights};
use super::presets::{FREE_PATCHES, Preset};
use crate::backbone::Identity;
use crate::error::{Choice, Error, NextStep, Result};
use crate::image::Reading;
use crate::matching::Storage;
use crate::scoring::Fusion;
use crate::selection::{HardRule, Rule};

/// Holds what is asked for in place of a preset's own values. `None` means the preset's value.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// How many sheets the template holds.
    pub sheets: Option<Sheets>,
    /// Whether turned copies of the pictures are candidates.
    pub rotations: Option<Rotations>,
    /// A rule other than PTS.
    pub rule: Option<Rule>,
    /// The hard-nominal rule of PTS.
    pub hard_rule: Option<HardRule>,
    /// The full widths of the forward windows, odd, one for each positional layer.
    pub patches: Option<Vec<usize>>,
    /// The full widths of the backward windows. Without them, the given forward widths count for both.
    pub patches_backward: Option<Vec<usize>>,
    /// The number of patches that each position-free layer holds.
    pub free_patches: Option<usize>,
    /// The weight of the forward direction, 0..=1.
    pub alpha: Option<f32>,
    /// How much of the mean map of good parts is subtracted.
    pub baseline: Option<Baseline>,
    /// How layers are joined.
    pub fusion: Option<Fusion>,
    /// The weights of the layers.
    pub weights: Option<Weights>,
    /// The standard deviation of the blur, in pixels at network size.
    pub sigma: Option<f32>,
    /// How values are stored.
    pub storage: Option<Storage>,
}

impl Overrides {
    /// Returns the options of a build with the layers `names` of `backbone`. Everything else has its default: no mask,
    /// an estimated threshold, strays left out.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Usage`] if the backbone has no such tap, or if layers other than the preset's have
    /// no windows.
    pub fn over(
        &self,
        preset: &Preset,
        backbone: &Identity,
        names: &LayerNames,
    ) -> Result<Options> {
        let free_patches = self.free_patches.unwrap_or(FREE_PATCHES);
        let (layers, position_free) = names.numbers(backbone, free_patches)?;
        let (patches_forward, patches_backward) = self.windows(preset, names)?;
        let count = layers.len() + position_free.len();
        let side = (backbone.pixels() as f32).sqrt();
        Ok(Options {
            sheets: self.sheets.unwrap_or(Sheets::Count(preset.sheets)),
            rotations: self.rotations.unwrap_or(preset.rotations),
            rule: self.rule.unwrap_or(Rule::Pts(self.hard_rule.unwrap_or(preset.hard_rule))),
            layers,
            patches_forward,
            patches_backward,
            position_free,
            alpha: self.alpha.unwrap_or(preset.alpha),
            baseline: self.baseline.unwrap_or(preset.baseline),
            fusion: self.fusion.unwrap_or(preset.fusion),
            weights: match &self.weights {
                Some(weights) => weights.clone(),
                None if preset.weights_from_good_parts => Weights::FromGoodParts,
                None => Weights::Given(vec![1.0; count]),
            },
            sigma: self.sigma.unwrap_or(preset.sigma * side / 256.0),
            storage: self.storage.unwrap_or(Storage::I8),
            mask: None,
            opaque_only: false,
            reading: Reading::default(),
            threshold: None,
            false_reject: None,
            folds: None,
            group_by: None,
            max_memory: 0,
            skip_unreadable: false,
            audit: true,
            suspects: Suspects::LeaveOutStrays,
            provenance: vec![("preset".into(), preset.name.into())],
        })
    }

    /// Returns the windows of each positional layer. A preset's windows are for its own taps only.
    fn windows(&self, preset: &Preset, names: &LayerNames) -> Result<(Vec<usize>, Vec<usize>)> {
        let layers = names.positional.len();
        let of_preset =
            preset.taps.iter().any(|taps| names.positional.iter().eq(taps.positional.iter()));
        let forward = match &self.patches {
            Some(patches) => patches.clone(),
            None if preset.patches_forward.len() >= layers && of_preset => {
                preset.patches_forward[..layers].to_vec()
            }
            None => {
                let what = "one odd window for each layer, as in 9,7,5".into();
                return Err(Error::usage("layers that are given need a window for each of them")
                    .next(NextStep::Choose(Choice::Patches, what)));
            }
        };
        let backward = match (&self.patches_backward, &self.patches) {
            (Some(patches), _) => patches.clone(),
            (None, Some(_)) => forward.clone(),
            (None, None) => preset.patches_backward[..layers].to_vec(),
        };
        Ok((forward, backward))
    }
}
