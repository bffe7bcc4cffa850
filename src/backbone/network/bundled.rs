//! This module holds the backbone that both programs carry: EfficientNet-Lite0 with ImageNet
//! weights, licensed under Apache-2.0.

/// The name of the bundled backbone in messages and templates.
pub const BUNDLED_NAME: &str = "efficientnet_lite0 (bundled)";

/// The bytes of `models/efficientnet_lite0.onnx`. `models/README.md` says where it comes from.
pub use hetmm_efficientnet_lite0::MODEL;
