//! Visual inspection that learns from pictures of good parts alone.
//!
//! The program `hetmm build` makes a template from pictures of good parts. This library compares new pictures with
//! the template: each gets a score, a verdict and the regions where it differs.
//!
//! ```
//! use hetmm::{Inspector, Options, PictureView, Template, Verdict};
//!
//! # fn grab() -> (Vec<u8>, u32, u32, usize) { (vec![90; 64 * 200], 64, 64, 200) }
//! # fn reject_part() {}
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/template_v1.hetmm");
//! fn inspect(path: &str) -> hetmm::Result<()> {
//!     let options = Options::builder().threads(4).build();
//!     let inspector = Inspector::new(Template::open(path)?, &options)?;
//!     let (pixels, width, height, stride) = grab(); // from any camera
//!     let picture = PictureView::bgr8(&pixels, width, height, stride)?;
//!     let found = inspector.inspect(&picture)?;
//!     println!("{:?}: score {} of {}", found.verdict, found.score, found.threshold);
//!     for region in &found.regions {
//!         println!("at {},{}: {}", region.x, region.y, region.peak);
//!     }
//!     if found.verdict != Verdict::Ok {
//!         reject_part(); // review and ng both stop here
//!     }
//!     inspector.replace(Template::open(path)?)?; // while other threads inspect
//!     Ok(())
//! }
//! # inspect(path).unwrap();
//! ```
//!
//! An inspection that failed says nothing about the part: reject it.
//!
//! # Where to find what
//! | what | where |
//! | --- | --- |
//! | Open a template and inspect pictures from memory, from many threads | [`Inspector`], [`PictureView`], [`Options`] |
//! | Read the result, draw it, pass it on as JSON | [`Inspection`], [`Verdict`], [`Region`], [`DecidedBy`] |
//! | Teach a template a good part, and undo it | [`Teacher`] |
//! | Decode a picture's file as the programs do | [`image::read`] |
//! | What failed, and what to do about it | [`Error`], [`ErrorKind`] |
//!
//! These names keep their meaning: changes to them follow semantic versioning. The modules below are those of the two
//! programs and may change with any version.
//!
//! # Features
//! A program that embeds the library needs one of the default features: take it with `default-features = false` and
//! `network`, and with `onnxruntime` where ONNX Runtime is to compute features. Without `network` it cannot inspect.
//! `desktop` is what builds and measures templates, `edge` is what runs at a production line, and both bring the
//! command line of their program (`cli`). `line` is `edge` without command line and network, for a program beside it.

#[cfg(feature = "desktop")]
pub mod adjust;
pub mod backbone;
#[cfg(feature = "desktop")]
pub mod builder;
#[cfg(feature = "line")]
pub mod camera;
#[cfg(feature = "line")]
pub mod clock;
pub mod containment;
#[cfg(feature = "desktop")]
pub mod describe;
pub mod embed;
pub mod error;
#[cfg(feature = "desktop")]
pub mod evaluation;
pub mod feature_map;
pub mod files;
#[cfg(feature = "line")]
pub mod gpio;
pub mod heatmap;
pub mod image;
pub mod inspection;
#[cfg(feature = "line")]
pub mod line;
pub mod matching;
pub mod metrics;
pub mod processor;
pub mod release;
#[cfg(feature = "desktop")]
pub mod report;
pub mod scoring;
pub mod selection;
#[cfg(feature = "desktop")]
pub mod sensitivity;
pub mod template;
pub mod update;
pub mod wording;
#[cfg(feature = "desktop")]
pub mod workers;

pub use backbone::Device;
pub use embed::{Inspection, Inspector, Map, Options, OptionsBuilder, Teacher, Timing};
pub use error::{Error, Kind as ErrorKind, Result};
pub use image::{Picture, PictureView, PixelFormat};
pub use scoring::{DecidedBy, Region, Verdict};
pub use template::Template;
