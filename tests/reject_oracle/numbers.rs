//! Gives deterministic numbers.

use std::cell::Cell;

/// Gives random numbers that depend only on the seed (SplitMix64).
pub struct Numbers(Cell<u64>);

impl Numbers {
    /// Makes the numbers of one trial of one run.
    pub fn new(seed: u64, trial: u64) -> Self {
        let key = Numbers(Cell::new(seed)).next() ^ trial.wrapping_mul(0xd134_2543_de82_ef95);
        Numbers(Cell::new(key))
    }

    /// Returns any number.
    pub fn next(&self) -> u64 {
        let mut z = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(z);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `bound - 1`, or 0 if the bound is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// Returns a number from `least` to `most`, both included.
    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least).saturating_add(1))
    }

    /// Returns true in `share` of 1000 cases.
    pub fn permille(&self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// Returns one of the values.
    pub fn pick<T: Copy>(&self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}
