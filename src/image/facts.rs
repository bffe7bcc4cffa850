//! This module finds facts about a picture before anything is computed from it.

use super::picture::Decoded;
use super::samples::Sample;
use super::{Picture, Samples};

/// The pixels of a blank picture may differ by this number of steps of 8 bits.
const BLANK_STEPS: u32 = 2;

/// Facts about a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// Whether the picture is blank: no pixel differs from the first one by more than two steps of
    /// 8 bits.
    pub is_blank: bool,
    /// The largest sample of a picture of 16 bits, or `None` for a picture of 8 bits.
    pub largest: Option<u16>,
    /// The part of the pixels that are not fully opaque, 0..=1.
    pub transparent: f32,
}

impl Facts {
    /// Finds the facts of a decoded picture.
    pub fn of(decoded: &Decoded) -> Self {
        let Picture { samples, .. } = &decoded.picture;
        let (is_blank, largest) = match samples {
            Samples::Eight(values) => (is_blank(values), None),
            Samples::Sixteen(values) => (is_blank(values), values.iter().copied().max()),
        };
        let transparent = decoded.opacity.as_ref().map_or(0.0, |values| {
            values.iter().filter(|&&opacity| opacity < 255).count() as f32 / values.len() as f32
        });
        Facts { is_blank, largest, transparent }
    }
}

/// Returns whether all pixels are like the first. It stops at the first pixel that is not, so an
/// ordinary picture costs next to no time.
fn is_blank<T: Sample>(samples: &[T]) -> bool {
    let most = BLANK_STEPS * T::FULL / 255;
    let Some((first, _)) = samples.split_first_chunk::<3>() else { return true };
    let like_first =
        |pixel: &[T]| pixel.iter().zip(first).all(|(a, b)| a.number().abs_diff(b.number()) <= most);
    samples.chunks_exact(3).all(like_first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(samples: Samples, opacity: Option<Vec<u8>>) -> Facts {
        Facts::of(&Decoded { picture: Picture { width: 2, height: 2, samples }, opacity })
    }

    #[test]
    fn blank_pictures_and_their_largest_samples() {
        let eight = |last: u8| Samples::Eight([vec![100; 11], vec![last]].concat());
        let sixteen = |last: u16| Samples::Sixteen([vec![1000; 11], vec![last]].concat());
        let cases = [
            (eight(100), true, None),
            (eight(102), true, None),
            (eight(103), false, None),
            (eight(0), false, None),
            (sixteen(1514), true, Some(1514)),
            (sixteen(1515), false, Some(1515)),
        ];
        for (samples, is_blank, largest) in cases {
            let seen = facts(samples.clone(), None);
            assert_eq!((seen.is_blank, seen.largest), (is_blank, largest), "{samples:?}");
        }
    }

    #[test]
    fn the_part_that_is_not_opaque() {
        assert_eq!(facts(Samples::Eight(vec![0; 12]), None).transparent, 0.0);
        let opacity = Some(vec![255, 254, 0, 255]);
        assert_eq!(facts(Samples::Eight(vec![0; 12]), opacity).transparent, 0.5);
    }
}
