//! The bundled backbone of `hetmm`: EfficientNet-Lite0 with ImageNet weights, without its classifier, as an ONNX file.
//! It is licensed under Apache-2.0. The crate's `README.md` says where it comes from.

#[cfg(test)]
mod planes;

/// The bytes of `efficientnet_lite0.onnx`.
// A `const` would be written into the crate's metadata, as bytes and as text: 42 MB that every user of the crate reads.
pub static MODEL: &[u8] = include_bytes!(env!("HETMM_EFFICIENTNET_LITE0"));
