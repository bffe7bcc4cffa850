//! This module finds the instruction sets of the processor and runs the kernels with one of them.
#![allow(unsafe_code)]

use super::convolve::{Matrix, Panels, Spatial, pointwise, spatial};
use super::lanes::{Block, Isa, Portable};
#[cfg(target_arch = "x86_64")]
use super::x86::Two;

/// The panels of outputs that are computed together.
pub const TOGETHER: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(super::x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(super::x86::AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx512(super::x86::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(super::aarch64::Neon<false>),
    #[cfg(target_arch = "aarch64")]
    NeonDot(super::aarch64::Neon<true>),
}

/// The kernels of one instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Set);

impl Kernel {
    /// Returns the kernels that run here, the best last.
    pub fn all() -> Vec<Kernel> {
        let sets = [
            Some(Set::Portable),
            #[cfg(target_arch = "x86_64")]
            super::x86::Avx2::detect().map(Set::Avx2),
            #[cfg(target_arch = "x86_64")]
            super::x86::AvxVnni::detect().map(Set::AvxVnni),
            #[cfg(target_arch = "x86_64")]
            super::x86::Avx512::detect().map(Set::Avx512),
            #[cfg(target_arch = "aarch64")]
            super::aarch64::Neon::detect().map(Set::Neon),
            #[cfg(target_arch = "aarch64")]
            super::aarch64::Neon::detect().map(Set::NeonDot),
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
            Set::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni(_) => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => "avx512vnni",
            #[cfg(target_arch = "aarch64")]
            Set::Neon(_) => "neon",
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot(_) => "neon+dotprod",
        }
    }

    /// Computes a 1x1 convolution. See [`super::convolve::pointwise`].
    pub fn pointwise(self, task: PointwiseTask) {
        match self.0 {
            Set::Portable => pointwise_as::<_, 1>(Portable, task),
            // SAFETY: each token proves the features of its function.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(isa) => unsafe { pointwise_avx2(Two(isa), task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni(isa) => unsafe { pointwise_avxvnni(Two(isa), task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(isa) => unsafe { pointwise_avx512(isa, task) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::Neon(isa) => unsafe { pointwise_neon(isa, task) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot(isa) => unsafe { pointwise_neondot(isa, task) },
        }
    }

    /// Computes a 1x1 and a depthwise convolution. See [`super::convolve::spatial`].
    pub fn spatial(self, task: SpatialTask) {
        match self.0 {
            Set::Portable => spatial_as::<_, 1>(Portable, task),
            // SAFETY: each token proves the features of its function.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(isa) => unsafe { spatial_avx2(Two(isa), task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni(isa) => unsafe { spatial_avxvnni(Two(isa), task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(isa) => unsafe { spatial_avx512(isa, task) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::Neon(isa) => unsafe { spatial_neon(isa, task) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot(isa) => unsafe { spatial_neondot(isa, task) },
        }
    }
}

/// The arguments of [`Kernel::pointwise`].
pub struct PointwiseTask<'a, 'b, 'c> {
    /// The weights.
    pub matrix: Matrix<'a>,
    /// The first panel of outputs.
    pub panel: usize,
    /// The map that is read.
    pub input: Panels<'a>,
    /// The first block, in every panel.
    pub first: usize,
    /// A map that is added before the rounding, in the layout of the output.
    pub added: Option<Panels<'a>>,
    /// One slice per panel, of equal lengths.
    pub out: &'b mut [&'c mut [Block]],
}

/// The arguments of [`Kernel::spatial`].
pub struct SpatialTask<'a> {
    /// The layer.
    pub layer: &'a Spatial<'a>,
    /// The first panel.
    pub panel: usize,
    /// The number of panels, at most [`TOGETHER`].
    pub panels: usize,
    /// The map that is read.
    pub input: Panels<'a>,
    /// [`Spatial::ring`] blocks of zeros for each panel.
    pub ring: &'a mut [Block],
    /// The blocks of the panels, one panel after the other.
    pub out: &'a mut [Block],
}

/// Runs a task by `B` blocks. With one block, a tile has one panel, because few registers are left.
#[inline(always)]
fn pointwise_as<I: Isa, const B: usize>(isa: I, task: PointwiseTask) {
    let PointwiseTask { matrix, panel, input, first, added, out } = task;
    let together = if B == 1 { 1 } else { TOGETHER };
    for (i, out) in out.chunks_mut(together).enumerate() {
        let panel = panel + i * together;
        match out.len() {
            1 => pointwise::<I, B, 1>(isa, matrix, panel, input, first, added, out),
            2 => pointwise::<I, B, 2>(isa, matrix, panel, input, first, added, out),
            _ => pointwise::<I, B, TOGETHER>(isa, matrix, panel, input, first, added, out),
        }
    }
}

/// As [`pointwise_as`].
#[inline(always)]
fn spatial_as<I: Isa, const B: usize>(isa: I, task: SpatialTask) {
    let SpatialTask { layer, panel, panels, input, ring, out } = task;
    if B > 1 {
        return match panels {
            1 => spatial::<I, B, 1>(isa, layer, panel, input, ring, out),
            2 => spatial::<I, B, 2>(isa, layer, panel, input, ring, out),
            _ => spatial::<I, B, TOGETHER>(isa, layer, panel, input, ring, out),
        };
    }
    let (of_ring, of_out) = (layer.ring(), out.len() / panels.max(1));
    let parts = ring.chunks_exact_mut(of_ring).zip(out.chunks_exact_mut(of_out.max(1)));
    for (p, (ring, out)) in parts.enumerate().take(panels) {
        spatial::<I, 1, 1>(isa, layer, panel + p, input, ring, out);
    }
}

macro_rules! compiled {
    ($($arch:literal $features:literal $isa:ty, $blocks:literal: $pointwise:ident $spatial:ident;)*) => {$(
        #[cfg(target_arch = $arch)]
        #[target_feature(enable = $features)]
        fn $pointwise(isa: $isa, task: PointwiseTask) {
            pointwise_as::<_, $blocks>(isa, task);
        }

        #[cfg(target_arch = $arch)]
        #[target_feature(enable = $features)]
        fn $spatial(isa: $isa, task: SpatialTask) {
            spatial_as::<_, $blocks>(isa, task);
        }
    )*};
}

compiled! {
    "x86_64" "avx2" Two<super::x86::Avx2>, 1: pointwise_avx2 spatial_avx2;
    "x86_64" "avx2,avxvnni" Two<super::x86::AvxVnni>, 1: pointwise_avxvnni spatial_avxvnni;
    "x86_64" "avx512f,avx512bw,avx512vnni" super::x86::Avx512, 2: pointwise_avx512 spatial_avx512;
    "aarch64" "neon" super::aarch64::Neon<false>, 1: pointwise_neon spatial_neon;
    "aarch64" "neon,dotprod" super::aarch64::Neon<true>, 1: pointwise_neondot spatial_neondot;
}
