//! This module chooses the instructions that compute the cosines of a panel.
//!
//! A [`Kernel`] is a token. A token for an instruction set exists only where the processor has that
//! set.

use super::panel::{BytePanel, PanelView};
use super::query::{ByteQuery, CHANNEL_GROUP, quantise};
use crate::feature_map::FeatureMap;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// A way of computing that this processor supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(super::x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(super::x86::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(super::aarch64::Neon),
}

impl Kernel {
    /// Returns every kernel that runs here, the plainest first and the best last.
    pub fn all() -> Vec<Kernel> {
        let sets = [
            Some(Set::Portable),
            #[cfg(target_arch = "x86_64")]
            super::x86::Avx2::detect().map(Set::Avx2),
            #[cfg(target_arch = "x86_64")]
            super::x86::Avx512::detect().map(Set::Avx512),
            #[cfg(target_arch = "aarch64")]
            super::aarch64::Neon::detect().map(Set::Neon),
        ];
        sets.into_iter().flatten().map(Kernel).collect()
    }

    /// Returns the best kernel that runs here.
    pub fn best() -> Kernel {
        static BEST: std::sync::OnceLock<Kernel> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| *Kernel::all().last().unwrap_or(&Kernel(Set::Portable)))
    }

    /// Returns the kernel's name, for people.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => "avx2+fma",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => "avx512f",
            #[cfg(target_arch = "aarch64")]
            Set::Neon(_) => "neon",
        }
    }

    /// Widens 16-bit values. `out` is as long as `halves`. The result is exact, so every processor
    /// gives the same values.
    pub fn widen(self, halves: &[f16], out: &mut [f32]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(isa) => isa.widen(halves, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => match super::x86::Avx2::detect() {
                Some(isa) => isa.widen(halves, out),
                None => halves.convert_to_f32_slice(out),
            },
            _ => halves.convert_to_f32_slice(out),
        }
    }

    /// Raises `best[i]` to the largest cosine over the lanes of `panel`, for every `pixels[i]`.
    ///
    /// `query` holds the vectors of all pixels, `rows.len() / width` values each.
    ///
    /// # Panics
    /// If a pixel lies outside `query`, or `best` is shorter than `pixels`.
    pub fn largest_cosines(
        self,
        panel: &PanelView,
        query: &[f32],
        pixels: &[u32],
        best: &mut [f32],
    ) {
        assert!((4..=64).contains(&panel.width) && panel.width.is_multiple_of(4));
        let channels = panel.rows.len() / panel.width;
        let vectors = query.len() / channels.max(1);
        assert!(pixels.iter().all(|&p| (p as usize) < vectors), "pixel outside the query");
        assert!(best.len() >= pixels.len() && panel.rows.len().is_multiple_of(panel.width));
        match self.0 {
            Set::Portable => portable(panel, query, pixels, best),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(isa) => isa.largest_cosines(panel, query, pixels, best),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(isa) => isa.largest_cosines(panel, query, pixels, best),
            #[cfg(target_arch = "aarch64")]
            Set::Neon(isa) => isa.largest_cosines(panel, query, pixels, best),
        }
    }
}

impl Kernel {
    /// Rounds every vector of `query` to 8 bits. The values are those of [`quantise`], whatever the
    /// kernel; they can be used by this kernel alone.
    pub fn byte_query(self, query: &FeatureMap) -> ByteQuery {
        let channels = query.channels().next_multiple_of(CHANNEL_GROUP);
        let mut values = vec![0; query.pixels() * channels];
        let mut scales = Vec::with_capacity(query.pixels());
        for (pixel, out) in values.chunks_exact_mut(channels).enumerate() {
            scales.push(self.quantise(query.vector(pixel), out));
        }
        ByteQuery { values, channels, scales, raised: self.raises_queries() }
    }

    /// Returns whether the kernel wants query bytes with 128 added.
    fn raises_queries(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(isa) => isa.vnni().is_some(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(isa) => isa.vnni().is_some(),
            _ => false,
        }
    }

    /// Rounds a vector of a query to 8 bits as [`quantise`] does, and returns the scale. Raises the
    /// bytes if the kernel wants that. What is left of `out` are zeros.
    fn quantise(self, vector: &[f32], out: &mut [i8]) -> f32 {
        #[cfg(target_arch = "x86_64")]
        if let Set::Avx512(isa) = self.0
            && let Some(vnni) = isa.vnni()
        {
            return vnni.quantise_raised(vector, out);
        }
        out[vector.len()..].fill(0);
        let scale = quantise(vector, out);
        if self.raises_queries() {
            out.iter_mut().for_each(|byte| *byte ^= i8::MIN);
        }
        scale
    }

    /// Does the same as [`Kernel::largest_cosines`] on bytes. Sums are exact, so every kernel gives
    /// the same values up to the rounding of two multiplications.
    ///
    /// # Panics
    /// If a pixel lies outside `query`, the sizes contradict each other, or `query` was rounded for
    /// another kernel.
    pub fn largest_cosines_of_bytes(
        self,
        panel: &BytePanel,
        query: &ByteQuery,
        pixels: &[u32],
        best: &mut [f32],
    ) {
        let count = query.scales.len();
        assert_eq!(query.raised, self.raises_queries(), "a query for another kernel");
        assert!(pixels.iter().all(|&p| (p as usize) < count), "pixel outside the query");
        assert!(best.len() >= pixels.len() && panel.scale.len() == panel.width);
        assert!((4..=64).contains(&panel.width) && panel.width.is_multiple_of(4));
        assert!(
            panel.rows.len() == query.channels * panel.width && query.channels.is_multiple_of(4)
        );
        assert!(query.values.len() == count * query.channels);
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(isa) => match isa.vnni() {
                Some(vnni) => vnni.largest_cosines_of_bytes(panel, query, pixels, best),
                None => isa.largest_cosines_of_bytes(panel, query, pixels, best),
            },
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(isa) => match (isa.vnni(), super::x86::Avx2::detect()) {
                (Some(vnni), _) => vnni.largest_cosines_of_bytes(panel, query, pixels, best),
                (None, Some(avx2)) => avx2.largest_cosines_of_bytes(panel, query, pixels, best),
                (None, None) => portable_bytes(panel, query, pixels, best),
            },
            #[cfg(target_arch = "aarch64")]
            Set::Neon(isa) => isa.largest_cosines_of_bytes(panel, query, pixels, best),
            Set::Portable => portable_bytes(panel, query, pixels, best),
        }
    }
}

/// The number of lanes of a plain Rust tile. Panels are padded to a multiple of it.
const TILE: usize = 4;

/// Computes cosines of bytes in plain Rust.
fn portable_bytes(panel: &BytePanel, query: &ByteQuery, pixels: &[u32], best: &mut [f32]) {
    for (&pixel, best) in pixels.iter().zip(best) {
        let p = pixel as usize;
        let vector = &query.values[p * query.channels..(p + 1) * query.channels];
        for first in (0..panel.width).step_by(TILE) {
            let mut sum = [0i32; TILE];
            for (row, q) in panel.rows.chunks_exact(4 * panel.width).zip(vector.chunks_exact(4)) {
                let row = &row[4 * first..4 * (first + TILE)];
                for (sum, t) in sum.iter_mut().zip(row.chunks_exact(4)) {
                    for (t, q) in t.iter().zip(q) {
                        *sum += i32::from(*t) * i32::from(*q);
                    }
                }
            }
            for (lane, sum) in (first..).zip(sum) {
                let cosine = sum as f32 * panel.scale[lane] * query.scales[p] + panel.start[lane];
                *best = best.max(cosine);
            }
        }
    }
}

/// Computes cosines in plain Rust that a compiler can vectorise for any processor. It takes two
/// query pixels at a time.
fn portable(panel: &PanelView, query: &[f32], pixels: &[u32], best: &mut [f32]) {
    let channels = panel.rows.len() / panel.width;
    let vector = |p: u32| &query[p as usize * channels..(p as usize + 1) * channels];
    for first in (0..panel.width).step_by(TILE) {
        let mut start = [0.0f32; TILE];
        start.copy_from_slice(&panel.start[first..first + TILE]);
        for (pair, best) in pixels.chunks(2).zip(best.chunks_mut(2)) {
            let (a, b) = (vector(pair[0]), vector(*pair.last().unwrap_or(&pair[0])));
            let (mut sum_a, mut sum_b) = (start, start);
            for ((row, &a), &b) in panel.rows.chunks_exact(panel.width).zip(a).zip(b) {
                let row = &row[first..first + TILE];
                for lane in 0..TILE {
                    sum_a[lane] += row[lane] * a;
                    sum_b[lane] += row[lane] * b;
                }
            }
            for (best, sum) in best.iter_mut().zip([sum_a, sum_b]) {
                *best = sum.iter().fold(*best, |m, &v| m.max(v));
            }
        }
    }
}
