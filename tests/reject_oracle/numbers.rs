//! A deterministic source of numbers.

use std::cell::Cell;

/// Random numbers that depend on nothing but the seed (SplitMix64).
pub struct Numbers(Cell<u64>);

impl Numbers {
    /// The numbers of one trial of one run.
    pub fn new(seed: u64, trial: u64) -> Self {
        let key = Numbers(Cell::new(seed)).next() ^ trial.wrapping_mul(0xd134_2543_de82_ef95);
        Numbers(Cell::new(key))
    }

    /// Any number.
    pub fn next(&self) -> u64 {
        let mut z = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(z);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound - 1`; 0 where the bound is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least).saturating_add(1))
    }

    /// True in `share` of 1000 cases.
    pub fn permille(&self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// One of the values.
    pub fn pick<T: Copy>(&self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}
