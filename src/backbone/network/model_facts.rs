//! This module reads what a model's metadata say about it, apart from its preprocessing.

use super::bundled::{self, BUNDLED_NAME};
use super::refusal::unusable_model;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::image::Size;
use std::collections::HashMap;
use std::path::Path;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

/// The largest model file that is read: 2 GiB, the most that an ONNX file can have.
pub(super) const MOST_MODEL_BYTES: u64 = 1 << 31;
/// The sides of the input are multiples of this number of pixels where a model states no multiple.
const USUAL_MULTIPLE: u32 = 32;
/// The most rows and the most columns that an input may have.
pub const LARGEST_SIDE: u32 = 4096;
/// The largest multiple that is accepted. A file that claims more is damaged.
const LARGEST_MULTIPLE: u32 = 2048;
/// The most attention heads that are accepted, more than any network has. A file that claims more
/// is damaged.
const MOST_HEADS: u32 = 1024;

/// The name of a model and the facts that decide about the size of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// The value of `hetmm.name`, or `None` where the model does not state it.
    pub name: Option<String>,
    /// The value of `hetmm.multiple`, 1..=2048. The sides of the input are multiples of this number
    /// of pixels.
    pub multiple: u32,
    /// The value of `hetmm.attention_heads`. A layer computes this number of matrices of patches x
    /// patches. It is 0 for a network of convolutions.
    pub attention_heads: u32,
}

impl ModelFacts {
    /// Reads the facts of the ONNX file `model`, or of the bundled backbone.
    ///
    /// # Errors
    /// [`Kind::Model`] where the file is no ONNX model, or where its metadata make no sense.
    pub fn of(model: Option<&Path>) -> Result<Self> {
        let Some(path) = model else { return Self::of_bytes(BUNDLED_NAME, bundled::MODEL) };
        let bytes = files::read_regular(path, MOST_MODEL_BYTES, Kind::Model)?;
        Self::of_bytes(&path.display().to_string(), &bytes)
    }

    /// Reads the facts from the bytes of an ONNX file that messages call `name`.
    fn of_bytes(name: &str, mut bytes: &[u8]) -> Result<Self> {
        tract_onnx::onnx()
            .proto_model_for_read(&mut bytes)
            .map_err(|e| unusable_model(&e.to_string()))
            .and_then(|proto| Self::of_metadata(&metadata(&proto)))
            .map_err(|e| e.within(name))
    }

    /// Reads the facts from a model's metadata.
    ///
    /// # Errors
    /// [`Kind::Model`] where a value is not a number, or is out of its range.
    pub(super) fn of_metadata(metadata: &HashMap<&str, &str>) -> Result<Self> {
        let number = |key: &str, usual: u32, most: u32, least: u32| match metadata.get(key) {
            None => Ok(usual),
            Some(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| {
                    unusable_model(&format!(
                        "its metadata {key} is not a number from {least} to {most}: {text}"
                    ))
                }),
        };
        Ok(ModelFacts {
            name: metadata.get("hetmm.name").map(|name| name.to_string()),
            multiple: number("hetmm.multiple", USUAL_MULTIPLE, LARGEST_MULTIPLE, 1)?,
            attention_heads: number("hetmm.attention_heads", 0, MOST_HEADS, 0)?,
        })
    }

    /// Refuses an input size that the model cannot have, and names the nearest size that it can
    /// have.
    ///
    /// # Errors
    /// [`Kind::Usage`].
    pub(super) fn check_size(&self, height: usize, width: usize) -> Result<()> {
        let (multiple, most) = (self.multiple as usize, LARGEST_SIDE as usize);
        let fits = |side: usize| side > 0 && side <= most && side.is_multiple_of(multiple);
        if fits(height) && fits(width) {
            return Ok(());
        }
        let nearest = |side: usize| {
            let steps = (side.min(most) + multiple / 2) / multiple;
            steps.clamp(1, most / multiple) * multiple
        };
        let what = format!("an input of {width} x {height} pixels does not suit the backbone");
        Err(Error::usage(what).advise(format!(
            "take multiples of {multiple}, up to {most}, for columns and rows, as {} x {}",
            nearest(width),
            nearest(height)
        )))
    }

    /// Returns the memory that attention takes for an input of `size`, in bytes. It counts the
    /// logits, their exponentials and the shares of one layer, which grow with the square of the
    /// input's area.
    pub fn attention_bytes(&self, size: Size) -> u64 {
        let side = |pixels: u32| u64::from(pixels / self.multiple);
        let patches = 1 + side(size.width) * side(size.height);
        3 * 4 * u64::from(self.attention_heads) * patches * patches
    }
}

/// Returns a model's metadata by key.
pub(super) fn metadata(proto: &ModelProto) -> HashMap<&str, &str> {
    proto.metadata_props.iter().map(|p| (p.key.as_str(), p.value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_model_says_its_name_and_its_multiple() {
        let facts = ModelFacts::of(None).expect("reads");
        let name = Some("efficientnet_lite0".to_string());
        assert_eq!(facts, ModelFacts { name, multiple: 32, attention_heads: 0 });
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let (multiple, heads) = ("hetmm.multiple", "hetmm.attention_heads");
        let cases = [
            (multiple, "14", Some((14, 0))),
            (multiple, " 2048 ", Some((2048, 0))),
            (multiple, "0", None),
            (multiple, "2049", None),
            (multiple, "-14", None),
            (multiple, "", None),
            (heads, "12", Some((32, 12))),
            (heads, "4294967296", None),
            (heads, "many", None),
        ];
        for (key, text, want) in cases {
            let found = ModelFacts::of_metadata(&HashMap::from([(key, text)]));
            match (found, want) {
                (Ok(facts), Some(want)) => {
                    assert_eq!((facts.multiple, facts.attention_heads), want);
                }
                (Err(e), None) => assert!(e.to_string().contains(key), "{e}"),
                (found, want) => panic!("{key} {text}: {found:?}, wanted {want:?}"),
            }
        }
    }

    #[test]
    fn a_size_that_does_not_fit_is_refused_with_the_nearest_that_does() {
        // Each case: (multiple, rows, columns, advised size).
        let cases = [
            (14, 448, 224, None),
            (14, 256, 256, Some("as 252 x 252")),
            (14, 5, 9000, Some("as 4088 x 14")),
            (32, 0, 2048, Some("as 2048 x 32")),
            (2048, 2048, 2048, None),
            (2048, 1, 1, Some("as 2048 x 2048")),
            (1, 1, 4097, Some("as 4096 x 1")),
        ];
        for (multiple, height, width, advice) in cases {
            let facts = ModelFacts { name: None, multiple, attention_heads: 0 };
            match (facts.check_size(height, width), advice) {
                (Ok(()), None) => {}
                (Err(e), Some(advice)) => assert!(e.to_string().contains(advice), "{e}"),
                (found, _) => panic!("{multiple}: {width} x {height}: {found:?}"),
            }
        }
    }

    #[test]
    fn attention_takes_memory_by_the_square_of_the_patches() {
        let facts = ModelFacts { name: None, multiple: 14, attention_heads: 6 };
        let bytes = |width, height| facts.attention_bytes(Size { width, height });
        assert_eq!(bytes(448, 448), 12 * 6 * 1025 * 1025);
        // The largest input must not overflow.
        assert_eq!(bytes(4088, 4088), 12 * 6 * (1 + 292 * 292) * (1 + 292 * 292));
        let most = ModelFacts { name: None, multiple: 1, attention_heads: MOST_HEADS };
        let pixels = u64::from(LARGEST_SIDE) * u64::from(LARGEST_SIDE);
        let size = Size { width: LARGEST_SIDE, height: LARGEST_SIDE };
        assert!(most.attention_bytes(size) > u64::from(MOST_HEADS) * pixels * pixels);
        let plain = ModelFacts { attention_heads: 0, ..facts };
        assert_eq!(plain.attention_bytes(Size { width: 448, height: 448 }), 0);
    }
}
