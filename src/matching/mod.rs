//! Hard nominal example-aware template mutual matching, one layer at a time.
//!
//! # What is computed
//! A query map holds one unit vector `q(x,y)` per pixel, a layer's template K of them,
//! `t_k(x,y)`. With `P(x,y,p)` the p x p window around a pixel, clipped at the border:
//!
//! ```text
//! forward   S_f(x,y) = min over k, (u,v) in P(x,y,p_f) of 1 - <q(x,y), t_k(u,v)>    Eqs. 3-4
//! backward  S_b(x,y) = min over k, (u,v) in P(x,y,p_b) of 1 - <t_k(x,y), q(u,v)>    Eq. 5
//! ```
//!
//! Forward finds what no good part shows there (structural anomalies); backward finds what every
//! good part shows there and this one lacks (logical anomalies).
//!
//! # One pass for both
//! Windows are symmetric: (x,y) lies in the window of (u,v) exactly when (u,v) lies in the window
//! of (x,y). So the template pixel is the outer loop. Its block of K vectors is taken against all
//! query pixels of the window; the largest cosine of a column (over k) may raise the forward
//! maximum of that query pixel, the largest of all columns inside the backward window is the
//! backward maximum of the template pixel. Every template byte is read once per picture and no
//! product is computed twice.
//!
//! # Storage
//! [`Sheets`] keeps the block of a pixel contiguous, in *panels* of up to 64 sheets with the
//! sheets innermost, so that a register holds one channel of 4, 8 or 16 sheets and a query value
//! is broadcast against it. [`mod@reference`] is the definition in code; [`fused`] is what runs.

pub mod fused;
pub mod kernel;
pub mod panel;
pub mod reference;
pub mod sheets;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use fused::match_layer;
pub use sheets::{Shape, Sheets, Storage, Values};

/// Full widths of the two windows, odd, in pixels of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Window of the forward direction.
    pub forward: usize,
    /// Window of the backward direction; 0 leaves that direction out.
    pub backward: usize,
}

/// Forward and backward distances of one layer, in pixel order of the layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Distances {
    /// `S_f`, Eqs. 3-4.
    pub forward: Vec<f32>,
    /// `S_b`, Eq. 5; empty where the backward window is 0.
    pub backward: Vec<f32>,
}

/// Leaves out the prototypes that come from one picture, for leave-one-out scores.
#[derive(Clone, Copy)]
pub struct Without<'a> {
    /// Source picture of every prototype, `[pixel][sheet]`.
    pub sources: &'a [u32],
    /// The picture to leave out.
    pub picture: u32,
}
