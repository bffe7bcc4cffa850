//! Decides which taps of a backbone the layers of a template match.

use super::PositionFree;
use super::presets::{Preset, Taps};
use crate::backbone::Identity;
use crate::error::{Error, Result};

/// Holds the names of the taps that the layers match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerNames {
    /// The taps of the layers that match at their own positions.
    pub positional: Vec<String>,
    /// The taps of the position-free layers.
    pub position_free: Vec<String>,
}

/// Holds what was asked for in place of a preset's layers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The layers that match at their own positions.
    pub positional: Option<&'a [String]>,
    /// The position-free layers.
    pub position_free: Option<&'a [String]>,
}

impl LayerNames {
    /// Returns the layers that `preset` can have, one entry for each kind of backbone that it knows. What was `asked`
    /// for replaces the preset's own layers. If the caller names positional layers, there are no position-free layers
    /// unless the caller names them, too.
    pub fn candidates(preset: &Preset, asked: Asked) -> Vec<LayerNames> {
        if let Some(positional) = asked.positional {
            let position_free = asked.position_free.unwrap_or_default().to_vec();
            return vec![LayerNames { positional: positional.to_vec(), position_free }];
        }
        let named = |taps: &[&str]| -> Vec<String> { taps.iter().map(|t| t.to_string()).collect() };
        let of_kind = |taps: &Taps| LayerNames {
            positional: named(taps.positional),
            position_free: asked
                .position_free
                .map_or_else(|| named(taps.position_free), <[String]>::to_vec),
        };
        preset.taps.iter().map(of_kind).collect()
    }

    /// Returns the layers for features of the taps `taps`. These are the layers of the preset or those asked for, if
    /// the features have them. Otherwise every tap becomes a layer that matches at its own positions.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Usage`] if the features do not have the layers that were asked for.
    pub fn of_features(preset: &Preset, asked: Asked, taps: &[String]) -> Result<LayerNames> {
        let has = |names: &LayerNames| names.taps().iter().all(|tap| taps.contains(tap));
        let candidates = LayerNames::candidates(preset, asked);
        if let Some(names) = candidates.into_iter().find(has) {
            return Ok(names);
        }
        if asked.positional.is_some() || asked.position_free.is_some() {
            return Err(Error::usage(format!(
                "the features are from the taps {}, but other layers were asked for",
                taps.join(",")
            ))
            .advise("ask for layers among these, or compute the features again"));
        }
        Ok(LayerNames { positional: taps.to_vec(), position_free: Vec::new() })
    }

    /// Returns every tap once, in the order in which layers first name them.
    pub fn taps(&self) -> Vec<String> {
        let mut taps: Vec<String> = Vec::new();
        for name in self.positional.iter().chain(&self.position_free) {
            if !taps.contains(name) {
                taps.push(name.clone());
            }
        }
        taps
    }

    /// Returns the numbers of the taps of the positional layers, and the position-free layers with so many patches
    /// each.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Usage`] if the backbone has no such tap.
    pub fn numbers(
        &self,
        backbone: &Identity,
        patches: usize,
    ) -> Result<(Vec<usize>, Vec<PositionFree>)> {
        let number = |name: &String| {
            backbone.taps.iter().position(|tap| tap.name == *name).ok_or_else(|| {
                Error::usage(format!("the backbone has no tap {name}"))
                    .advise("name taps that the backbone has")
            })
        };
        let positional = self.positional.iter().map(number).collect::<Result<_>>()?;
        let free = |name| number(name).map(|tap| PositionFree { tap, patches });
        Ok((positional, self.position_free.iter().map(free).collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::presets::PRESETS;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn layers_of_ones_own_replace_those_of_the_preset() {
        let preset = &PRESETS[0];
        let (own, free) = (names(&["a", "b"]), names(&["b", "c"]));
        let of = |positional, position_free| {
            LayerNames::candidates(preset, Asked { positional, position_free })
        };
        let only = of(Some(&own), None);
        assert_eq!(only, [LayerNames { positional: own.clone(), position_free: vec![] }]);
        let both = &of(Some(&own), Some(&free))[0];
        assert_eq!(both.taps(), ["a", "b", "c"]);
        let usual = of(None, Some(&[]));
        assert!(usual.iter().all(|names| names.position_free.is_empty()));
        assert!(of(None, None).iter().all(|names| !names.position_free.is_empty()));
    }

    #[test]
    fn features_of_other_taps_make_every_tap_a_layer() {
        let taps = names(&["x", "y"]);
        let found = LayerNames::of_features(&PRESETS[0], Asked::default(), &taps).expect("taps");
        assert_eq!((found.positional, found.position_free), (taps.clone(), vec![]));
        let asked = Asked { positional: Some(&names(&["z"])), position_free: None };
        assert!(LayerNames::of_features(&PRESETS[0], asked, &taps).is_err());
        let some = Asked { positional: Some(&names(&["y"])), position_free: Some(&names(&["x"])) };
        let found = LayerNames::of_features(&PRESETS[0], some, &taps).expect("taps");
        assert_eq!((found.positional, found.position_free), (names(&["y"]), names(&["x"])));
    }
}
