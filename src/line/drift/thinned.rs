//! Keeps a bounded number of values of a stream, evenly spread over it.

/// Keeps every value at first. When there are too many, it keeps every second one of them, and from then on only every
/// second, fourth, ... new one. So it needs no random numbers and has a bound.
#[derive(Debug, Clone)]
pub(super) struct Thinned<T> {
    values: Vec<T>,
    most: usize,
    /// Every so many values, one is kept.
    stride: u32,
    /// The number of values that came since the last one that was kept.
    skipped: u32,
    seen: u32,
}

impl<T> Thinned<T> {
    /// Makes an empty list of at most `most` values.
    pub(super) fn new(most: usize) -> Self {
        Thinned { values: Vec::new(), most: most.max(2), stride: 1, skipped: 0, seen: 0 }
    }

    /// Adds a value.
    pub(super) fn push(&mut self, value: T) {
        self.seen = self.seen.saturating_add(1);
        self.skipped = self.skipped.saturating_add(1);
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        if self.values.len() >= self.most {
            let mut at = 0_usize;
            self.values.retain(|_| {
                at = at.wrapping_add(1);
                at % 2 == 1
            });
            self.stride = self.stride.saturating_mul(2);
        }
        self.values.push(value);
    }

    /// Returns the kept values in their order.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    /// Returns how many values came.
    pub(super) fn seen(&self) -> u32 {
        self.seen
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        (self.stride, self.skipped, self.seen) = (1, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_all_kept_and_many_are_spread_over_the_stream() {
        let mut kept = Thinned::new(100);
        (0..100).for_each(|value| kept.push(value));
        assert_eq!(kept.values(), (0..100).collect::<Vec<u32>>());
        (100..100_000).for_each(|value| kept.push(value));
        assert_eq!(kept.seen(), 100_000);
        let values = kept.values();
        assert!((50..=100).contains(&values.len()), "{}", values.len());
        let middle = values[values.len() / 2];
        assert!((45_000..55_000).contains(&middle), "{middle}");
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
        kept.clear();
        kept.push(7);
        assert_eq!((kept.values(), kept.seen()), (&[7][..], 1));
    }
}
