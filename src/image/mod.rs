//! Pictures: decoding, the resize to the network's size, the region-of-interest mask.
//!
//! Workstation and device take this one path, so that a template and a live picture are made of
//! the same numbers.

mod decode;
mod facts;
mod jpeg;
mod mask;
mod network_image;
mod reading;
mod samples;
mod shape;
mod tiff;
mod turn;
mod webp;

pub use decode::{Decoded, MAX_PIXELS, MIN_SIDE, Picture, Samples};
pub use decode::{
    decode, decode_with_opacity, is_picture_name, is_system_name, load, read, size_of, size_of_file,
};
pub use facts::Facts;
pub use mask::{Mask, require_black_and_white};
pub use network_image::NetworkImage;
pub use reading::Reading;
pub use shape::Size;
pub use turn::Turn;
