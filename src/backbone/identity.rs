//! This module says when two backbones are the same.

use crate::error::{Choice, Error, NextStep, Result};
use crate::image::Size;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything about a backbone that its features depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The name from the model's metadata, or its file name. It is not compared, because the digest
    /// identifies the file.
    pub name: String,
    /// The BLAKE3 digest of the model file.
    pub digest: [u8; 32],
    /// The number of rows of the input.
    pub height: u32,
    /// The number of columns of the input.
    pub width: u32,
    /// The mean of each of R, G, B, for samples in 0..1.
    pub mean: [f32; 3],
    /// The standard deviation of each of R, G, B, for samples in 0..1.
    pub std: [f32; 3],
    /// The taps, in the order of the layers.
    pub taps: Vec<TapIdentity>,
}

/// One tap and the size of its maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapIdentity {
    /// The name of the output in the model.
    pub name: String,
    /// The number of channels.
    pub channels: u32,
    /// The number of rows.
    pub height: u32,
    /// The number of columns.
    pub width: u32,
}

/// The target size, in bytes, of all feature maps that are computed or compared at the same time.
const AT_ONCE_BYTES: u64 = 1 << 30;

/// Returns the size of the feature maps of one picture, in bytes.
fn feature_bytes(taps: &[TapIdentity]) -> u64 {
    let values =
        |tap: &TapIdentity| u64::from(tap.height) * u64::from(tap.width) * u64::from(tap.channels);
    4 * taps.iter().map(values).sum::<u64>()
}

/// Returns how many pictures may have their features in memory at the same time. It is as many as 1
/// GiB holds, at least 1 and at most 1024.
pub fn pictures_at_once(taps: &[TapIdentity]) -> usize {
    (AT_ONCE_BYTES / feature_bytes(taps).max(1)).clamp(1, 1024) as usize
}

impl Identity {
    /// Returns the size of the feature maps of one picture, in bytes.
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

    /// Names what makes two backbones different. The list is empty where they are the same.
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

    /// Refuses a template that was made with another backbone. The error names both backbones and
    /// what differs.
    pub fn require_same_as(&self, template: &Identity) -> Result<()> {
        let differences = self.differences(template);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::template(format!(
            "the template was made with another backbone (different: {})\n  template: {template}\n  here:     {self}",
            differences.join(", ")
        ))
        .next(NextStep::OneOf(vec![
            NextStep::Choose(Choice::Backbone, "the model that the template was made with".into()),
            NextStep::Do("build the template again".into()),
        ])))
    }

    /// Returns the first six bytes of the model's digest in hexadecimal, for people to read.
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
