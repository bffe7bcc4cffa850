//! Holds the options of a build.

use crate::backbone::Identity;
use crate::error::{Choice, Error, Kind, NextStep, Result};
use crate::image::{Mask, Reading};
use crate::matching::Storage;
use crate::scoring::Fusion;
use crate::selection::Rule;
use crate::template::LayerUse;
use crate::wording::counted;
use regex_lite::Regex;

/// Says how many sheets a template holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sheets {
    /// One sheet per picture, and one per turned copy if copies are asked for.
    All,
    /// At most this many sheets.
    Count(usize),
}

impl Sheets {
    /// Returns the number of sheets of a template from so many pictures and turned copies.
    pub fn of(self, candidates: usize) -> usize {
        match self {
            Sheets::All => candidates,
            Sheets::Count(count) => count.min(candidates),
        }
    }
}

/// Says whether turned copies of the good pictures are candidates for prototypes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotations {
    /// Copies are added if there are few pictures and these show that parts lie turned or are round.
    Auto,
    /// No copies.
    None,
    /// So many copies of each picture, evenly all the way round.
    Copies(usize),
}

/// Says how much of the mean leave-one-out distance map of the good pictures is subtracted from every layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Baseline {
    /// Nothing is subtracted, as in the HETMM paper.
    None,
    /// This share of the map, above 0 up to 1.
    Share(f32),
    /// Nearly all of the map for many parts, and less for few: see [`Baseline::share`].
    ByParts,
}

/// With so many parts, half of the mean map is subtracted. If one of few parts is left out, it leaves a hole that no
/// other part fills. So the mean map of few parts is larger than what a fresh part will leave.
const PARTS_FOR_HALF: f32 = 50.0;

/// The smallest number of votes of a positional layer.
const LEAST_VOTES: f32 = 0.05;

impl Baseline {
    /// Returns the share of the mean map that is subtracted in a template from so many parts, 0..=1.
    pub fn share(self, parts: usize) -> f32 {
        match self {
            Baseline::None => 0.0,
            Baseline::Share(share) => share,
            Baseline::ByParts => {
                let parts = parts as f32;
                parts / (parts + PARTS_FOR_HALF)
            }
        }
    }
}

/// Describes a layer whose prototypes serve all positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionFree {
    /// The number of its tap among the taps of the backbone.
    pub tap: usize,
    /// The number of patches that it holds.
    pub patches: usize,
}

/// Says how much each layer counts in the sum over layers (Eq. 10).
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// The weights are set from the leave-one-out maps of the good pictures.
    FromGoodParts,
    /// One number per layer.
    Given(Vec<f32>),
}

/// Says what happens to pictures that look unlike the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspects {
    /// All of them are reported and kept.
    Keep,
    /// Strays are left out. Weaker suspects and doubles are reported and kept.
    LeaveOutStrays,
    /// All of them are left out.
    LeaveOut,
}

/// Holds everything that a caller can choose for a build, apart from backbone and pictures.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many sheets the template holds.
    pub sheets: Sheets,
    /// Whether turned copies of the pictures are candidates, too.
    pub rotations: Rotations,
    /// How prototypes are chosen if there are more candidates than sheets.
    pub rule: Rule,
    /// The taps of the layers that match at their own positions, as numbers among those of the backbone.
    pub layers: Vec<usize>,
    /// The full width of the forward window of each of these layers, odd.
    pub patches_forward: Vec<usize>,
    /// The full width of the backward window of each of these layers, odd.
    pub patches_backward: Vec<usize>,
    /// The position-free layers, which come after the others.
    pub position_free: Vec<PositionFree>,
    /// The weight of the forward direction, 0..=1.
    pub alpha: f32,
    /// How much of the mean distance map of the good pictures is subtracted.
    pub baseline: Baseline,
    /// How the layers are joined.
    pub fusion: Fusion,
    /// The layer weights.
    pub weights: Weights,
    /// The standard deviation of the blur, in pixels at network size.
    pub sigma: f32,
    /// How values are stored.
    pub storage: Storage,
    /// The region of interest at network size.
    pub mask: Option<Mask>,
    /// Whether only what is opaque in all pictures counts, in addition to the region of interest.
    pub opaque_only: bool,
    /// How the samples of the pictures are to be understood, now and when parts are inspected.
    pub reading: Reading,
    /// A threshold to use in place of one from held-out scores.
    pub threshold: Option<f32>,
    /// The false-reject rate for which the threshold is set, with a promise. Without it, the threshold is an estimate
    /// for the usual rate.
    pub false_reject: Option<f64>,
    /// The number of folds that are held out in turn for the threshold. See [`Options::folds_of`] for the usual number.
    pub folds: Option<usize>,
    /// Finds in a picture's name which item it shows: the first group, or the whole match. Pictures of one item are
    /// then held out together.
    pub group_by: Option<Regex>,
    /// The bytes of features to hold in memory. A scratch file takes the rest.
    pub max_memory: u64,
    /// Whether unreadable pictures are left out. Otherwise they end the build.
    pub skip_unreadable: bool,
    /// Whether the build looks for pictures that look unlike the rest.
    pub audit: bool,
    /// What happens to such pictures.
    pub suspects: Suspects,
    /// Options worth recording in the template.
    pub provenance: Vec<(String, String)>,
}

/// The number of folds if each of them needs a selection of its own.
const FOLDS: usize = 10;
/// The number of folds if every picture is a sheet. Then another fold costs next to nothing, and a template that lacks
/// less is more like the one that is delivered.
const FOLDS_OF_ALL: usize = 20;

impl Options {
    /// Returns the number of folds of a template from so many pictures.
    pub fn folds_of(&self, pictures: usize) -> usize {
        let usual = if self.sheets.of(pictures) == pictures { FOLDS_OF_ALL } else { FOLDS };
        self.folds.unwrap_or(usual)
    }

    /// Says how the layers of a template from so many `candidates` at a position use the taps. It is empty if each of
    /// them matches the tap of its own number at its own positions.
    ///
    /// Beside position-free layers, a positional one has n / (n + 50) votes for n candidates, as the baseline has a
    /// share of the parts. Few candidates cover each position thinly, but all positions together well.
    pub(super) fn uses(&self, candidates: usize) -> Vec<LayerUse> {
        if self.position_free.is_empty() && self.layers.iter().copied().eq(0..self.layers.len()) {
            return Vec::new();
        }
        let votes = match self.position_free.is_empty() {
            true => 1.0,
            false => Baseline::ByParts.share(candidates).max(LEAST_VOTES),
        };
        let positional = self.layers.iter().map(|&tap| (tap, false, votes));
        let free = self.position_free.iter().map(|layer| (layer.tap, true, 1.0));
        let layer_use = |(tap, position_free, votes): (usize, bool, f32)| LayerUse {
            tap: tap as u16,
            position_free,
            votes,
        };
        positional.chain(free).map(layer_use).collect()
    }

    /// Refuses options that contradict each other or the backbone.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`], which names the wrong choice.
    pub fn check(&self, backbone: &Identity) -> Result<()> {
        self.check_layers(backbone)?;
        self.check_windows()?;
        self.check_weights()?;
        self.check_numbers()?;
        self.check_threshold()?;
        self.check_mask(backbone)
    }

    fn check_layers(&self, backbone: &Identity) -> Result<()> {
        let taps = self.layers.iter().chain(self.position_free.iter().map(|layer| &layer.tap));
        if self.layers.is_empty() || taps.copied().any(|tap| tap >= backbone.taps.len()) {
            return Err(Error::usage("a layer names no tap of the backbone")
                .advise("name taps that the backbone has"));
        }
        if self.position_free.iter().any(|layer| layer.patches == 0) {
            return Err(Error::usage("a position-free layer needs patches")
                .advise("give at least 1; 1024 is the default"));
        }
        Ok(())
    }

    fn check_windows(&self) -> Result<()> {
        let layers = self.layers.len();
        let windows = [
            (Choice::Patches, &self.patches_forward),
            (Choice::PatchesBackward, &self.patches_backward),
        ];
        for (choice, patches) in windows {
            if patches.len() != layers {
                let reason =
                    format!("{} given for {layers} layers", counted(patches.len(), "number"));
                return Err(Error::choice(choice, reason).next(NextStep::Choose(
                    choice,
                    "one odd number for each layer, as in 9,7,5".into(),
                )));
            }
            if let Some(even) = patches.iter().find(|&&p| p % 2 == 0 || p > 255) {
                let reason = format!("{even} is not an odd number up to 255");
                return Err(Error::choice(choice, reason).advise(
                    "give an odd number such as 1, 3 or 5, because a window has a centre",
                ));
            }
        }
        Ok(())
    }

    fn check_weights(&self) -> Result<()> {
        let Weights::Given(weights) = &self.weights else { return Ok(()) };
        let layers = self.layers.len() + self.position_free.len();
        let wrong = |reason: String| {
            let what = "one number for each layer, as in 1,1,0.5".into();
            Error::choice(Choice::Weights, reason).next(NextStep::Choose(Choice::Weights, what))
        };
        if weights.len() != layers || !weights.iter().all(|w| w.is_finite() && *w >= 0.0) {
            return Err(wrong(format!("needs {layers} numbers, none below 0")));
        }
        match weights.iter().all(|&w| w == 0.0) {
            true => Err(wrong("at least one must be above 0".into())),
            false => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<()> {
        let wrong = |choice, reason: String, next: &'static str| {
            Err(Error::choice(choice, reason).advise(next))
        };
        if !(0.0..=1.0).contains(&self.alpha) {
            let reason = format!("{} is not between 0 and 1", self.alpha);
            return wrong(
                Choice::Alpha,
                reason,
                "give a number from 0 (backward only) to 1 (forward only)",
            );
        }
        if let Baseline::Share(share) = self.baseline
            && !(share > 0.0 && share <= 1.0)
        {
            let reason = format!("a share of {share} of the baseline is not above 0 and up to 1");
            return Err(Error::usage(reason).advise(
                "give a share up to 1, which subtracts the whole mean map of the good pictures",
            ));
        }
        if !(0.0..=64.0).contains(&self.sigma) {
            let reason = format!("{} is not between 0 and 64", self.sigma);
            return wrong(
                Choice::Sigma,
                reason,
                "give a number from 0 to 64; 2 fits an input of 256 x 256 pixels",
            );
        }
        if self.sheets == Sheets::Count(0) {
            let reason = "0 sheets leave nothing to compare with".into();
            return wrong(Choice::Sheets, reason, "give at least 1; 60 is the default");
        }
        if self.folds.is_some_and(|folds| folds < 2) {
            return wrong(Choice::Folds, "must be at least 2".into(), "leave it out for 10");
        }
        Ok(())
    }

    fn check_threshold(&self) -> Result<()> {
        if self.threshold.is_some_and(|t| !t.is_finite() || t <= 0.0) {
            return Err(Error::choice(Choice::Threshold, "must be a number above 0")
                .advise("leave it out, and the build sets it from the good pictures"));
        }
        if self.false_reject.is_some() && self.threshold.is_some() {
            let reason = "a threshold and a rate of false rejects contradict each other";
            return Err(Error::choice(Choice::Threshold, reason).next(NextStep::OneOf(vec![
                NextStep::LeaveOut(Choice::Threshold),
                NextStep::LeaveOut(Choice::FalseReject),
            ])));
        }
        match self.suspects == Suspects::LeaveOut && !self.audit {
            true => {
                Err(Error::usage("suspects cannot be left out if the audit that finds them is off")
                    .advise("do not switch the audit off"))
            }
            false => Ok(()),
        }
    }

    fn check_mask(&self, backbone: &Identity) -> Result<()> {
        let size = (backbone.height as usize, backbone.width as usize);
        let wrong = |reason: &str, next: &'static str| Err(Error::usage(reason).advise(next));
        match &self.mask {
            Some(mask) if (mask.height(), mask.width()) != size => {
                wrong("the mask has another size than the network input", "make the mask again")
            }
            Some(mask) if mask.count() == 0 => wrong(
                "the whole mask is black, so nothing would be inspected",
                "paint white what the template must inspect",
            ),
            _ => Ok(()),
        }
    }

    /// Returns the same options with a region of interest that holds only what is `opaque`, if that was asked for.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Image`] if it was asked for and nothing says what is opaque, or nothing is opaque.
    pub(super) fn within_opaque(&self, opaque: Option<&Mask>) -> Result<Options> {
        let mut options = self.clone();
        if !self.opaque_only {
            return Ok(options);
        }
        let no_region = |what: &str| {
            Error::new(Kind::Image, what).advise(
                "draw the region of interest as a picture of its own, white where defects count",
            )
        };
        let opaque = opaque.ok_or_else(|| {
            no_region("no picture is transparent anywhere, so the alpha channel does not show what counts")
        })?;
        let mask = match &self.mask {
            Some(mask) => mask.and(opaque).unwrap_or_else(|| opaque.clone()),
            None => opaque.clone(),
        };
        if mask.count() == 0 {
            return Err(no_region("nothing is opaque in all of the pictures"));
        }
        options.mask = Some(mask);
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_baseline_grows_with_the_parts() {
        let cases = [
            (Baseline::None, 100, 0.0),
            (Baseline::Share(0.7), 1, 0.7),
            (Baseline::ByParts, 0, 0.0),
            (Baseline::ByParts, 10, 1.0 / 6.0),
            (Baseline::ByParts, 50, 0.5),
            (Baseline::ByParts, 950, 0.95),
        ];
        for (baseline, parts, want) in cases {
            assert!((baseline.share(parts) - want).abs() < 1e-6, "{baseline:?} {parts}");
        }
    }
}
