//! This module implements hard nominal example-aware template mutual matching, one layer at a time.
//!
//! # What is computed
//! A query map holds one unit vector `q(x,y)` per pixel, and a layer's template holds K of them,
//! `t_k(x,y)`. Let `P(x,y,p)` be the p x p window around a pixel, clipped at the border:
//!
//! ```text
//! forward   S_f(x,y) = min over k, (u,v) in P(x,y,p_f) of 1 - <q(x,y), t_k(u,v)>    Eqs. 3-4
//! backward  S_b(x,y) = min over k, (u,v) in P(x,y,p_b) of 1 - <t_k(x,y), q(u,v)>    Eq. 5
//! ```
//!
//! Forward finds what no good part shows at a position (structural anomalies). Backward finds what
//! every good part shows there and this part lacks (logical anomalies).
//!
//! # One pass for both
//! Windows are symmetric: (x,y) lies in the window of (u,v) exactly when (u,v) lies in the window
//! of (x,y). So the template pixel is the outer loop. Its block of K vectors is multiplied with all
//! query pixels of the window. The largest cosine of a query pixel (over k) may raise the forward
//! maximum of that query pixel. The largest cosine over all query pixels inside the backward window
//! is the backward maximum of the template pixel. No product is computed twice.
//!
//! # Why every template byte is read once
//! A template is larger than the caches near a core: 13 to 19 MB with the default of 60 sheets in 8
//! bits. A query is small: 0.3 MB in 8 bits. If the query pixel were the outer loop, every block
//! would come from memory once for each of the p^2 query pixels around it. With the template pixel
//! outside, a block comes from memory once per picture, in the order in which it lies in the file.
//! It then serves the whole window, while a handful of query vectors stays in the first cache. The
//! work on a byte of the template is p^2 multiply-adds, which is 9 with the default window of 3.
//!
//! The one pixel of a position-free layer is compared with all query pixels. There the panel is
//! outside, and stays in a near cache while the query streams past it.
//!
//! # Memory layout
//! [`Sheets`] keeps the block of a pixel contiguous, in *panels* of up to 64 sheets with the sheets
//! innermost. A register holds one channel of 4, 8 or 16 sheets (in 8 bits: four channels of each).
//! A query value is broadcast against it. So the maximum over the sheets needs no shuffling until
//! the very end. A sum stays in its register from the first channel to the last. Panels are read in
//! place, from the template's bytes in memory. The last register of a row is loaded through a mask.
//! While a kernel works on a panel, it fetches the next one from memory, a few cache lines per row.
//! Without that, the processor's own prefetching stops at every page. Only 16-bit values are first
//! widened into a small buffer.
//!
//! # Blocking
//! The unit of work is a panel against a tile of query pixels. With AVX-512 a tile has up to 4
//! registers of sheets x 6 pixels, which is 24 sums in 32 registers. For every channel (or group of
//! four), a tile loads its sheets once, broadcasts one value per pixel, and does one multiply-add
//! per sum. A window of 9 pixels makes two tiles, of 5 and 4. The second tile finds the panel in the
//! second cache. With bytes and VNNI, the 9 pixels make one tile against half of a panel, so that
//! every byte is loaded once.
//!
//! # Operations
//! A layer takes `sum over template pixels of |window| * sheets * channels` multiply-adds, at most
//! `H * W * p^2 * K * C`. That is 350 million per picture with the default. The cost is linear in
//! the sheets and in the pixels; `docs/performance.md` has measurements.
//!
//! # Error bounds
//! The bounds hold for unit vectors of C channels, against exact arithmetic:
//!
//! | storage | a cosine is off by at most |
//! | --- | --- |
//! | f32 | `C * 2^-24`, the rounding of C additions |
//! | f16 | `2^-11` more, the rounding of a value to 11 bits |
//! | i8  | `sqrt(C)/2 * (s_t + s_q + s_t * s_q * sqrt(C)/2)` |
//!
//! In 8 bits, `t = s_t * b_t + e_t` with `|e_t| <= s_t / 2` for every value. So the error vector
//! has length at most `sqrt(C)/2 * s_t`, and likewise for q. The bound is the triangle inequality
//! on `<t, q> - s_t s_q <b_t, b_q>`. The sums of bytes themselves are exact. A test holds every
//! kernel to these bounds. On real data a score moves by far less (`docs/performance.md`).
//!
//! [`mod@reference`] is the definition in code, [`fused`] is the implementation that runs, and
//! [`kernel`] chooses the instructions.

pub mod fused;
pub mod kernel;
pub mod panel;
pub mod query;
pub mod reference;
pub mod sheets;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "x86_64")]
mod vnni;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use fused::{Query, match_layer, match_query};
pub use sheets::{Shape, Sheets, Storage, Values};

/// The full widths of the two windows. They are odd, or 0, and count pixels of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The window of the forward direction. 0 compares every pixel with all prototypes of the layer
    /// (position-free).
    pub forward: usize,
    /// The window of the backward direction. 0 leaves that direction out.
    pub backward: usize,
}

/// The forward and backward distances of one layer, in pixel order of the layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Distances {
    /// The forward distances `S_f`, Eqs. 3-4.
    pub forward: Vec<f32>,
    /// The backward distances `S_b`, Eq. 5. The list is empty where the backward window is 0.
    pub backward: Vec<f32>,
}

/// Leaves out the prototypes that come from one picture, for leave-one-out scores.
#[derive(Clone, Copy)]
pub struct Without<'a> {
    /// The source picture of every prototype, `[pixel][sheet]`.
    pub sources: &'a [u32],
    /// The picture to leave out.
    pub picture: u32,
}
