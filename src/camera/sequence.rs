//! Finds frames that a source counted and nobody got.

/// Follows the numbers of a source's frames.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    last: Option<u32>,
}

impl Sequence {
    /// Returns the number of frames that are missing between the last one and this. Before the first frame none is
    /// missing.
    ///
    /// Numbers wrap at 32 bits. A number that does not rise says nothing about what came in between. It comes from a
    /// driver that counts again from the start or not at all. Then one frame counts as missing, because it cannot be
    /// ruled out.
    pub fn missing_before(&mut self, number: u32) -> u32 {
        const HALF: u32 = 1 << 31;
        match self.last.replace(number).map(|last| number.wrapping_sub(last)) {
            None | Some(1) => 0,
            Some(0 | HALF..) => 1,
            Some(steps) => steps - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_counts_over_the_wrap_and_with_a_driver_that_does_not_count() {
        let mut sequence = Sequence::default();
        let numbers = [7, 8, 9, 12, 13, 13, 5, 6, 5 + (1 << 31), u32::MAX, 0, 1, 3];
        let missing = [0, 0, 0, 2, 0, 1, 1, 0, (1 << 31) - 2, (1 << 31) - 7, 0, 0, 1];
        let got: Vec<u32> = numbers.into_iter().map(|n| sequence.missing_before(n)).collect();
        assert_eq!(got, missing);
    }
}
