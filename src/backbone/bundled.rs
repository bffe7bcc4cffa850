//! This module holds the backbone that both programs carry: EfficientNet-Lite0 with ImageNet
//! weights, licensed under Apache-2.0.

/// The name of the bundled backbone in messages and templates.
pub const BUNDLED_NAME: &str = "efficientnet_lite0 (bundled)";

/// The bytes of `models/efficientnet_lite0.onnx`. `models/README.md` says where it comes from.
// A `const` would be written into the crate's metadata, as bytes and as text: 42 MB that every user of the crate reads.
pub static MODEL: &[u8] = include_bytes!("../../models/efficientnet_lite0.onnx");
