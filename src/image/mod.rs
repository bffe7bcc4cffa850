//! This module handles pictures: decoding, the resize to the network's size, the mask of the region
//! of interest.
//!
//! Workstation and device take this one path, so that a template and a live picture are made of the
//! same numbers.

mod appearance;
mod decode;
mod facts;
mod jpeg;
mod limits;
mod mask;
mod names;
mod network_image;
mod picture;
mod reading;
mod samples;
mod shape;
mod tiff;
mod turn;
mod view;
mod webp;

pub use appearance::Appearance;
pub use decode::{decode, decode_with_opacity, load, read, size_of, size_of_file};
pub use facts::Facts;
pub use limits::{MAX_PIXELS, MIN_SIDE};
pub use mask::{Mask, require_black_and_white};
pub use names::{is_picture_name, is_system_name};
pub use network_image::NetworkImage;
pub use picture::{Decoded, Picture, Samples};
pub use reading::Reading;
pub use shape::Size;
pub use turn::Turn;
pub use view::{PictureView, PixelFormat};
