//! Checks whether the features of good pictures say anything.
//!
//! A network with broken weights gives features that are zero, that are not numbers, or that are the same whatever it
//! sees. A template built from them finds no defect, and still agrees with itself. [`crate::backbone::require_usable`]
//! checks each picture's features by themselves. This module finds what shows only beside the other pictures.

use crate::backbone::{Identity, require_usable};
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;

/// Vectors whose values all differ by less than this are equal. The difference is rounding from another order of sums.
const SAME: f32 = 1e-6;

/// Holds what has been seen of the features of good pictures, one after the other.
pub struct Usable<'a> {
    backbone: &'a Identity,
    pictures: usize,
    first: Option<(NetworkImage, Vec<FeatureMap>)>,
    /// For every tap, whether its features differ between two pictures.
    tells: Vec<bool>,
    /// Whether two pictures differ at the network's size.
    pictures_differ: bool,
}

impl<'a> Usable<'a> {
    /// Starts a check for features of `backbone`.
    pub fn new(backbone: &'a Identity) -> Self {
        let tells = vec![false; backbone.taps.len()];
        Usable { backbone, pictures: 0, first: None, tells, pictures_differ: false }
    }

    /// Checks the features of a further picture. `image` returns the picture at the network's size.
    ///
    /// # Errors
    /// Returns [`Kind::Model`] if they are zero at a whole tap, or are not numbers. Passes on the errors of `image`.
    pub fn push(
        &mut self,
        maps: &[FeatureMap],
        image: impl FnOnce() -> Result<NetworkImage>,
    ) -> Result<()> {
        require_usable(self.backbone, maps)?;
        self.pictures += 1;
        if self.is_settled() {
            return Ok(());
        }
        let Some((first_image, first_maps)) = &self.first else {
            self.first = Some((image()?, maps.to_vec()));
            return Ok(());
        };
        for ((tells, first), map) in self.tells.iter_mut().zip(first_maps).zip(maps) {
            *tells = *tells || !are_same(first.data(), map.data());
        }
        // Equal pictures have equal features, so the image is rarely needed.
        if !self.pictures_differ {
            self.pictures_differ = !self.tells.contains(&false) || image()? != *first_image;
        }
        if self.is_settled() {
            // The first picture is not needed any more, and it may be large.
            self.first = None;
        }
        Ok(())
    }

    /// Returns whether further pictures can say nothing new.
    pub fn is_settled(&self) -> bool {
        self.pictures > 1 && !self.tells.contains(&false)
    }

    /// Ends the check of all pictures. Returns a warning if they are all one and the same picture.
    ///
    /// # Errors
    /// Returns [`Kind::Model`] if a tap gives the same features for different pictures. Returns [`Kind::Image`] if the
    /// only picture shows nothing.
    pub fn finish(self) -> Result<Option<String>> {
        let Some((_, maps)) = &self.first else { return Ok(None) };
        let count = self.pictures;
        if self.pictures_differ {
            let silent = self.backbone.taps.iter().zip(&self.tells).find(|(_, tells)| !**tells);
            return match silent {
                None => Ok(None),
                Some((tap, _)) => Err(Error::model(format!(
                    "tap {} gives the same features for {count} different pictures",
                    tap.name
                ))
                .advise(
                    "check the weights of the model, or choose other taps: with these features a template finds no \
                     defect",
                )),
            };
        }
        let finest = maps.iter().max_by_key(|map| map.pixels());
        if finest.is_some_and(is_even) {
            return Err(Error::new(
                Kind::Image,
                "the good pictures show nothing, because their features are the same at all positions",
            )
            .advise("give pictures that show the part"));
        }
        Ok(Some(match count {
            1 => {
                "the template knows only a single picture, so it will reject most good parts".into()
            }
            _ => {
                format!("all {count} pictures are the same, to the last pixel, and count as one")
            }
        }))
    }
}

fn are_same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < SAME)
}

/// Returns whether the features are the same at all positions in the middle half of the map. The border does not count,
/// because a network also sees the padding there.
fn is_even(map: &FeatureMap) -> bool {
    let (height, width) = (map.height(), map.width());
    let middle = |size: usize| size / 4..size - size / 4;
    let positions = || middle(height).flat_map(|y| middle(width).map(move |x| y * width + x));
    let Some(first) = positions().next() else { return false };
    map.pixels() > 1 && positions().all(|at| are_same(map.vector(first), map.vector(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::TapIdentity;

    fn identity() -> Identity {
        let tap = |name: &str, side| TapIdentity {
            name: name.into(),
            channels: 2,
            height: side,
            width: side,
        };
        Identity {
            name: "net".into(),
            digest: [0; 32],
            height: 8,
            width: 8,
            mean: [0.0; 3],
            std: [1.0; 3],
            taps: vec![tap("fine", 4), tap("coarse", 2)],
        }
    }

    fn image(value: u16) -> NetworkImage {
        NetworkImage::from_samples(8, 8, vec![value; 192]).expect("fits")
    }

    /// Makes vectors at angles that begin with `first` and go on by `step` from position to position.
    fn map(side: usize, first: f32, step: f32) -> FeatureMap {
        let angle = |at: usize| first + step * at as f32;
        let data = (0..side * side).flat_map(|at| [angle(at).cos(), angle(at).sin()]).collect();
        FeatureMap::normalised(side, side, 2, data)
    }

    /// Returns what is said of pictures. Each is given by the value of its samples, the first angle at both taps, and
    /// the step.
    fn said(pictures: &[(u16, f32, f32, f32)]) -> Result<Option<String>> {
        let id = identity();
        let mut usable = Usable::new(&id);
        for &(value, fine, coarse, step) in pictures {
            usable.push(&[map(4, fine, step), map(2, coarse, step)], || Ok(image(value)))?;
        }
        usable.finish()
    }

    #[test]
    fn features_that_differ_are_usable() {
        for pictures in [
            &[(1, 0.1, 0.2, 0.01), (2, 0.11, 0.21, 0.01)][..],
            // These are even pictures that differ. One tap needs a third picture to tell.
            &[(1, 0.1, 0.2, 0.0), (2, 0.11, 0.21, 0.0)],
            &[(1, 0.1, 0.2, 0.01), (2, 0.11, 0.2, 0.01), (3, 0.1, 0.3, 0.01)],
        ] {
            assert_eq!(said(pictures).expect("usable"), None, "{pictures:?}");
        }
    }

    #[test]
    fn features_that_say_nothing_are_refused_with_the_reason() {
        for (pictures, kind, reason) in [
            // A tap, or both, give the same for pictures that differ.
            (
                &[(1, 0.1, 0.2, 0.01), (2, 0.11, 0.2, 0.01)][..],
                Kind::Model,
                "tap coarse gives the same",
            ),
            (&[(1, 0.1, 0.2, 0.01), (2, 0.1, 0.2, 0.01)], Kind::Model, "tap fine gives the same"),
            // There is one even picture, once or twice.
            (&[(1, 0.1, 0.2, 0.0)], Kind::Image, "show nothing"),
            (&[(1, 0.1, 0.2, 0.0), (1, 0.1, 0.2, 0.0)], Kind::Image, "show nothing"),
        ] {
            let error = said(pictures).expect_err(reason);
            assert!(error.kind() == kind && error.to_string().contains(reason), "{error}");
            assert!(error.to_string().contains("->"), "{error}");
        }
    }

    #[test]
    fn one_picture_or_the_same_one_is_warned_of() {
        let one = (1, 0.1, 0.2, 0.01);
        let warning = |pictures: &[_]| said(pictures).expect("usable").expect("a warning");
        assert!(warning(&[one]).contains("a single picture"));
        assert!(warning(&[one, one, one]).contains("all 3 pictures are the same"));
    }

    #[test]
    fn zeros_at_a_whole_tap_and_what_is_no_number_are_refused_at_once() {
        let id = identity();
        let zero = FeatureMap::normalised(2, 2, 2, vec![0.0; 8]);
        let mut values = vec![0.5; 8];
        values[3] = f32::INFINITY;
        let infinite = FeatureMap::normalised(2, 2, 2, values);
        for (coarse, reason) in [(zero, "zero at every position"), (infinite, "not finite")] {
            let maps = [map(4, 0.1, 0.2), coarse];
            let error = Usable::new(&id).push(&maps, || Ok(image(1))).expect_err(reason);
            assert_eq!(error.kind(), Kind::Model);
            assert!(
                error.to_string().contains(reason) && error.to_string().contains("tap coarse"),
                "{error}"
            );
        }
    }
}
