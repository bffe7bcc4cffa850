//! How the samples of a line's pictures are to be understood.

use super::limits::unreadable;
use super::{Picture, Samples};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How the samples of pictures are to be understood: the same for a template's good pictures and for
/// all that are inspected with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// How many of the 16 bits of a sample the camera fills, from the lowest on; 0 for all.
    bits: u8,
}

impl Reading {
    /// Samples of `bits` bits in 16.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] where that is not 8 to 16.
    pub fn of_bits(bits: u8) -> Result<Self> {
        match bits {
            8..=15 => Ok(Reading { bits }),
            16 => Ok(Reading::default()),
            _ => Err(Error::usage(format!("samples of {bits} bits in 16"))
                .advise("give the bits that the camera fills, from 8 to 16: 12, say")),
        }
    }

    /// How many of the 16 bits of a sample count; `None` for all.
    pub fn bits(&self) -> Option<u8> {
        (self.bits != 0).then_some(self.bits)
    }

    /// Whether it makes sense.
    pub(crate) fn is_valid(&self) -> bool {
        matches!(self.bits, 0 | 8..=15)
    }

    /// The picture at full scale. Pictures of 8 bits stay as they are.
    ///
    /// # Errors
    /// [`crate::error::Kind::Image`] where a sample is larger than the bits allow.
    pub fn apply<'a>(&self, picture: &'a Picture) -> Result<Cow<'a, Picture>> {
        let (Some(bits), Samples::Sixteen(values)) = (self.bits(), &picture.samples) else {
            return Ok(Cow::Borrowed(picture));
        };
        let full = (1u32 << bits) - 1;
        let largest = values.iter().copied().max().unwrap_or(0);
        if u32::from(largest) > full {
            return Err(unreadable(format!(
                "a sample of {largest}, and {bits} bits hold no more than {full}"
            ))
            .advise(
                "check how many bits the camera gives, and whether this picture comes from it",
            ));
        }
        let scaled = |&value: &u16| ((u32::from(value) * 65535 + full / 2) / full) as u16;
        let samples = Samples::Sixteen(values.iter().map(scaled).collect());
        Ok(Cow::Owned(Picture { samples, ..*picture }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(samples: Samples) -> Picture {
        Picture { width: 2, height: 1, samples }
    }

    #[test]
    fn twelve_bits_are_brought_to_full_scale() {
        let reading = Reading::of_bits(12).expect("12 bits");
        let dark = picture(Samples::Sixteen(vec![0, 1, 2048, 4094, 4095, 16]));
        let read = reading.apply(&dark).expect("reads").into_owned();
        assert_eq!(read.samples, Samples::Sixteen(vec![0, 16, 32776, 65519, 65535, 256]));
        let bright = picture(Samples::Sixteen(vec![0, 0, 0, 0, 0, 4096]));
        let why = reading.apply(&bright).expect_err("too bright").to_string();
        assert!(why.contains("4096") && why.contains("12 bits"), "{why}");
        let eight = picture(Samples::Eight(vec![200; 6]));
        assert_eq!(*reading.apply(&eight).expect("reads"), eight);
        assert_eq!(*Reading::default().apply(&dark).expect("reads"), dark);
    }

    #[test]
    fn bits_that_no_camera_has_are_refused() {
        for bits in [0, 1, 7, 17, 255] {
            assert!(Reading::of_bits(bits).is_err(), "{bits}");
        }
        assert_eq!(Reading::of_bits(16).expect("all").bits(), None);
    }
}
