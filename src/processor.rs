//! Says which instruction sets of the processor the program's own kernels may use.
//!
//! They use the best that the processor has. A measurement can allow fewer, to see what the others gain.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set of x86-64 processors, the plainest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Instructions {
    /// What every processor has.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX2 with the VNNI of its registers.
    AvxVnni,
    /// AVX-512, with its VNNI.
    Avx512,
}

/// The best instructions that are allowed.
static BEST: AtomicU8 = AtomicU8::new(Instructions::Avx512 as u8);

/// Allows `best` and what is plainer. Call it before anything is computed, because kernels are chosen once.
pub fn allow_up_to(best: Instructions) {
    BEST.store(best as u8, Ordering::Relaxed);
}

/// Returns whether a kernel may use these instructions, if the processor has them.
pub fn allows(instructions: Instructions) -> bool {
    instructions as u8 <= BEST.load(Ordering::Relaxed)
}
