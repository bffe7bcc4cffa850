//! Finds what a set of good pictures shows about itself before anything is computed from it.

use crate::error::{Error, Kind, Result};
use crate::image::Facts;
use std::fmt;

/// The numbers of bits that cameras store in samples of 16 bits.
const CAMERA_BITS: [u8; 4] = [8, 10, 12, 14];
/// The number of names that a message lists.
const NAMED: usize = 3;

/// Says something that a person should know about a set of good pictures and may want to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Some pictures show nothing: all of their pixels are alike.
    Blank {
        /// The names of these pictures.
        names: Vec<String>,
        /// The number of all pictures.
        of: usize,
    },
    /// Some pictures are not fully opaque.
    Transparent {
        /// The names of these pictures.
        names: Vec<String>,
        /// The number of all pictures.
        of: usize,
    },
    /// All samples have 16 bits, and none uses the upper ones.
    FewerBits {
        /// The number of bits of a camera that gives such samples.
        bits: u8,
        /// The largest sample.
        largest: u16,
        /// The number of all pictures.
        pictures: usize,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Blank { names, of } => {
                write!(
                    f,
                    "{} of {of} pictures show nothing, because all pixels are alike: {}",
                    names.len(),
                    list(names)
                )
            }
            Notice::Transparent { names, of } => write!(
                f,
                "{} of {of} pictures have transparent places, which count as black: {}",
                names.len(),
                list(names)
            ),
            Notice::FewerBits { bits, largest, pictures } => write!(
                f,
                "no sample of the {pictures} pictures with 16 bits is above {largest}. The camera seems to give only {bits} bits in 16, \
                 so the pictures are read with {:.1} % of their brightness",
                f64::from(*largest) / 655.35
            ),
        }
    }
}

/// Returns the first names in words.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Returns the notices about pictures with these names. `bits` is the number of bits with which they are read, if it is
/// known.
///
/// # Errors
/// Returns [`Kind::Image`] if no picture shows anything.
pub(super) fn of_set(pictures: &[(String, Facts)], bits: Option<u8>) -> Result<Vec<Notice>> {
    let of = pictures.len();
    let names = |holds: fn(&Facts) -> bool| -> Vec<String> {
        pictures.iter().filter(|(_, facts)| holds(facts)).map(|(name, _)| name.clone()).collect()
    };
    let (blank, transparent) = (names(|f| f.is_blank), names(|f| f.transparent > 0.0));
    if of > 0 && blank.len() == of {
        let what = format!(
            "none of the {of} pictures shows anything, because all pixels are alike: {}",
            list(&blank)
        );
        return Err(Error::new(Kind::Image, what).advise(
            "look at the pictures: they may be masks, or their samples may have an unknown scale",
        ));
    }
    let mut notices = Vec::new();
    if !blank.is_empty() {
        notices.push(Notice::Blank { names: blank, of });
    }
    if !transparent.is_empty() {
        notices.push(Notice::Transparent { names: transparent, of });
    }
    let largest: Option<Vec<u16>> = pictures.iter().map(|(_, facts)| facts.largest).collect();
    if let (None, Some(largest)) = (bits, largest.and_then(|all| all.into_iter().max())) {
        let fits = |bits: &&u8| u32::from(largest) < 1 << **bits;
        if let Some(&bits) = CAMERA_BITS.iter().find(fits) {
            notices.push(Notice::FewerBits { bits, largest, pictures: of });
        }
    }
    Ok(notices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(is_blank: bool, largest: Option<u16>, transparent: f32) -> Facts {
        Facts { is_blank, largest, transparent }
    }

    fn said(pictures: &[Facts], bits: Option<u8>) -> Vec<String> {
        let named: Vec<(String, Facts)> =
            pictures.iter().enumerate().map(|(i, f)| (format!("{i}.png"), *f)).collect();
        of_set(&named, bits).expect("usable").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ordinary_pictures_say_nothing() {
        assert!(said(&[facts(false, None, 0.0); 3], None).is_empty());
        assert!(
            said(&[facts(false, Some(65535), 0.0), facts(false, Some(900), 0.0)], None).is_empty()
        );
        // If one picture among them has 8 bits, there is no notice: nobody stores 12 bits so.
        assert!(said(&[facts(false, None, 0.0), facts(false, Some(900), 0.0)], None).is_empty());
        assert!(of_set(&[], None).expect("none").is_empty());
    }

    #[test]
    fn blank_and_transparent_pictures_are_named() {
        let mut pictures = vec![facts(false, None, 0.0); 6];
        pictures[1] = facts(true, None, 0.5);
        let words = said(&pictures, None);
        assert_eq!(words.len(), 2);
        assert!(words[0].contains("1 of 6 pictures show nothing") && words[0].ends_with("1.png"));
        assert!(words[1].contains("1 of 6 pictures have transparent places"), "{}", words[1]);
        let words = said(&[facts(false, None, 0.1); 5], None);
        assert!(words[0].ends_with("0.png, 1.png, 2.png and 2 more"), "{}", words[0]);
    }

    #[test]
    fn a_set_in_which_nothing_shows_is_refused() {
        let named = [("a.tif".to_string(), facts(true, None, 0.0))];
        let error = of_set(&named, None).expect_err("refused");
        assert_eq!(error.kind(), Kind::Image);
        assert!(error.to_string().contains("a.tif") && error.to_string().contains("->"));
    }

    #[test]
    fn bits_that_no_sample_uses() {
        for (largest, bits) in [(255, 8), (256, 10), (1023, 10), (4095, 12), (16383, 14)] {
            let words = said(&[facts(false, Some(largest), 0.0), facts(false, Some(3), 0.0)], None);
            assert!(words[0].contains(&format!("{bits} bits in 16")), "{largest}: {words:?}");
        }
        assert!(said(&[facts(false, Some(16384), 0.0)], None).is_empty());
        assert!(said(&[facts(false, Some(4095), 0.0)], Some(12)).is_empty(), "known already");
    }
}
