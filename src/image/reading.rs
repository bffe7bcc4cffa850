//! This module says how to read the samples of a line's pictures.

use super::limits::unreadable;
use super::picture::{Picture, Samples};
use super::shape::Size;
use super::view::{Packed, PictureView};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How to read the samples of pictures. It is the same for a template's good pictures and for all
/// pictures that are inspected with the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// How many of the 16 bits of a sample the camera fills, from the lowest on. 0 stands for all.
    bits: u8,
}

impl Reading {
    /// Reads samples of `bits` bits in 16.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] where `bits` is not 8 to 16.
    pub fn of_bits(bits: u8) -> Result<Self> {
        match bits {
            8..=15 => Ok(Reading { bits }),
            16 => Ok(Reading::default()),
            _ => Err(Error::usage(format!("samples of {bits} bits in 16"))
                .advise("give the bits that the camera fills, from 8 to 16: 12, say")),
        }
    }

    /// Returns how many of the 16 bits of a sample count, or `None` for all.
    pub fn bits(&self) -> Option<u8> {
        (self.bits != 0).then_some(self.bits)
    }

    /// Returns whether the number of bits is one that [`Reading::of_bits`] makes.
    pub(crate) fn is_valid(&self) -> bool {
        matches!(self.bits, 0 | 8..=15)
    }

    /// The picture at full scale; `None` where it is so already, as pictures of 8 bits are.
    ///
    /// # Errors
    /// [`crate::error::Kind::Image`] where a sample is larger than the bits allow.
    pub fn at_full_scale(&self, picture: &PictureView) -> Result<Option<Picture>> {
        let Some(bits) = self.bits() else { return Ok(None) };
        let Packed::Sixteen(values) = picture.packed() else { return Ok(None) };
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
        let Size { width, height } = picture.size();
        Ok(Some(Picture { width, height, samples }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(samples: Samples) -> Picture {
        Picture { width: 8, height: 8, samples }
    }

    #[test]
    fn twelve_bits_are_brought_to_full_scale() {
        let reading = Reading::of_bits(12).expect("12 bits");
        let scaled = |reading: Reading, picture: &Picture| {
            reading.at_full_scale(&picture.view().expect("fits"))
        };
        let filled = |first: [u16; 6]| {
            let samples = first.into_iter().chain(std::iter::repeat(0)).take(192).collect();
            picture(Samples::Sixteen(samples))
        };
        let dark = filled([0, 1, 2048, 4094, 4095, 16]);
        let read = scaled(reading, &dark).expect("reads").expect("is scaled");
        assert_eq!(read, filled([0, 16, 32776, 65519, 65535, 256]));
        let why = scaled(reading, &filled([0, 0, 0, 0, 0, 4096])).expect_err("too bright");
        assert!(why.to_string().contains("4096") && why.to_string().contains("12 bits"), "{why}");
        let eight = picture(Samples::Eight(vec![200; 192]));
        assert_eq!(scaled(reading, &eight).expect("reads"), None);
        assert_eq!(scaled(Reading::default(), &dark).expect("reads"), None);
    }

    #[test]
    fn bits_that_no_camera_has_are_refused() {
        for bits in [0, 1, 7, 17, 255] {
            assert!(Reading::of_bits(bits).is_err(), "{bits}");
        }
        assert_eq!(Reading::of_bits(16).expect("all").bits(), None);
    }
}
