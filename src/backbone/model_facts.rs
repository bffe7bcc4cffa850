//! What a model says about itself in its metadata, apart from its preprocessing.

use super::bundled::{self, BUNDLED_NAME};
use super::refusal::unusable_model;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::image::Size;
use std::collections::HashMap;
use std::path::Path;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

/// Largest model file that is read: 2 GiB, the most that an ONNX file can have.
pub(super) const MOST_MODEL_BYTES: u64 = 1 << 31;
/// The input sides are multiples of this where a model does not say.
const USUAL_MULTIPLE: u32 = 32;
/// Most rows and columns of an input.
pub const LARGEST_SIDE: u32 = 4096;
/// Largest multiple; a file that claims more is damaged.
const LARGEST_MULTIPLE: u32 = 2048;
/// More heads than any network has; a file that claims more is damaged.
const MOST_HEADS: u32 = 1024;

/// What decides about the size of a model's input, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// `hetmm.name`; `None` where the model does not say.
    pub name: Option<String>,
    /// `hetmm.multiple`: the sides of the input are multiples of so many pixels, 1..=2048.
    pub multiple: u32,
    /// `hetmm.attention_heads`: how many matrices of patches x patches a layer computes; 0 for a network of
    /// convolutions.
    pub attention_heads: u32,
}

impl ModelFacts {
    /// Those of the ONNX file `model`, or of the bundled backbone.
    ///
    /// # Errors
    /// [`Kind::Model`] where the file is no ONNX model, or its metadata make no sense.
    pub fn of(model: Option<&Path>) -> Result<Self> {
        let Some(path) = model else { return Self::of_bytes(BUNDLED_NAME, bundled::MODEL) };
        let bytes = files::read_regular(path, MOST_MODEL_BYTES, Kind::Model)?;
        Self::of_bytes(&path.display().to_string(), &bytes)
    }

    /// Those of the bytes of an ONNX file called `name` in messages.
    fn of_bytes(name: &str, mut bytes: &[u8]) -> Result<Self> {
        tract_onnx::onnx()
            .proto_model_for_read(&mut bytes)
            .map_err(|e| unusable_model(&e.to_string()))
            .and_then(|proto| Self::of_metadata(&metadata(&proto)))
            .map_err(|e| e.within(name))
    }

    /// Those that stand in a model's metadata.
    ///
    /// # Errors
    /// [`Kind::Model`] where a number is none, or out of its range.
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

    /// Refuses an input that the model cannot have, and names the nearest one that it can.
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

    /// Bytes that attention takes while it computes an input of `size`: logits, their exponentials and the shares
    /// of one layer, which grow with the square of the input's area.
    pub fn attention_bytes(&self, size: Size) -> u64 {
        let side = |pixels: u32| u64::from(pixels / self.multiple);
        let patches = 1 + side(size.width) * side(size.height);
        3 * 4 * u64::from(self.attention_heads) * patches * patches
    }
}

/// A model's metadata by key.
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
        // (multiple, rows, columns, what is advised)
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
        // The largest input: no overflow.
        assert_eq!(bytes(4088, 4088), 12 * 6 * (1 + 292 * 292) * (1 + 292 * 292));
        let most = ModelFacts { name: None, multiple: 1, attention_heads: MOST_HEADS };
        let pixels = u64::from(LARGEST_SIDE) * u64::from(LARGEST_SIDE);
        let size = Size { width: LARGEST_SIDE, height: LARGEST_SIDE };
        assert!(most.attention_bytes(size) > u64::from(MOST_HEADS) * pixels * pixels);
        let plain = ModelFacts { attention_heads: 0, ..facts };
        assert_eq!(plain.attention_bytes(Size { width: 448, height: 448 }), 0);
    }
}
