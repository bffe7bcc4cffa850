//! What makes two backbones the same.

use crate::error::{Error, Result};
use crate::image::Size;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything about a backbone that features depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Name from the model's metadata, or its file name. Not compared: the digest says it all.
    pub name: String,
    /// BLAKE3 of the model file.
    pub digest: [u8; 32],
    /// Rows of the input.
    pub height: u32,
    /// Columns of the input.
    pub width: u32,
    /// Mean of each of R, G, B for samples in 0..1.
    pub mean: [f32; 3],
    /// Standard deviation of each of R, G, B for samples in 0..1.
    pub std: [f32; 3],
    /// The taps, in the order of the layers.
    pub taps: Vec<TapIdentity>,
}

/// One tap and the size of its maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapIdentity {
    /// Output name in the model.
    pub name: String,
    /// Channels.
    pub channels: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// Bytes that the feature maps of pictures aim at that are computed or compared at the same time.
const AT_ONCE_BYTES: u64 = 1 << 30;

/// Bytes of the feature maps of one picture.
fn feature_bytes(taps: &[TapIdentity]) -> u64 {
    let values =
        |tap: &TapIdentity| u64::from(tap.height) * u64::from(tap.width) * u64::from(tap.channels);
    4 * taps.iter().map(values).sum::<u64>()
}

/// Most pictures whose features are to be in memory at the same time: one, or as many as 1 GiB holds.
pub fn pictures_at_once(taps: &[TapIdentity]) -> usize {
    (AT_ONCE_BYTES / feature_bytes(taps).max(1)).clamp(1, 1024) as usize
}

impl Identity {
    /// Bytes of the feature maps of one picture.
    pub fn feature_bytes(&self) -> u64 {
        feature_bytes(&self.taps)
    }

    /// Columns and rows of the input.
    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }

    /// Pixels of the input.
    pub fn pixels(&self) -> u64 {
        u64::from(self.height) * u64::from(self.width)
    }

    /// See [`pictures_at_once`].
    pub fn pictures_at_once(&self) -> usize {
        pictures_at_once(&self.taps)
    }

    /// What makes two backbones different, in words; nothing where they are the same.
    pub fn differences(&self, other: &Identity) -> Vec<&'static str> {
        let mut differences = Vec::new();
        if self.digest != other.digest {
            differences.push("model file");
        }
        if (self.height, self.width) != (other.height, other.width) {
            differences.push("input size");
        }
        if (self.mean, self.std) != (other.mean, other.std) {
            differences.push("preprocessing");
        }
        if self.taps != other.taps {
            differences.push("taps");
        }
        differences
    }

    /// Refuses a template that was made with another backbone, naming both and what differs.
    pub fn require_same_as(&self, template: &Identity) -> Result<()> {
        let differences = self.differences(template);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::template(format!(
            "the template was made with another backbone (different: {})\n  template: {template}\n  here:     {self}",
            differences.join(", ")
        ))
        .advise("use the model the template was made with (--backbone), or build the template again"))
    }

    /// The model's digest, short, for people.
    pub fn short_digest(&self) -> String {
        self.digest[..6].iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, input {}x{}", self.name, self.short_digest(), self.width, self.height)?;
        write!(f, ", mean {:?}, std {:?}, taps", self.mean, self.std)?;
        for tap in &self.taps {
            write!(f, " {} ({} x {}x{})", tap.name, tap.channels, tap.height, tap.width)?;
        }
        Ok(())
    }
}
