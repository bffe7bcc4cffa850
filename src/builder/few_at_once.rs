//! Does work for many pictures, but only for a few at the same time, so that their maps fit into memory.

use crate::inspection::Pipeline;
use rayon::prelude::*;

/// The bytes that the maps of one picture take for each pixel of the input, from distances to a score.
pub(super) const MAP_BYTES: u64 = 16;
/// The target size of such maps, in bytes, for all pictures that are scored at the same time.
const MAPS_AT_ONCE_BYTES: u64 = 1 << 30;

/// Returns the largest number of pictures whose maps should be in memory at the same time.
pub(super) fn maps_at_once(pipeline: &Pipeline) -> usize {
    maps_of(pipeline.backbone().identity().pixels())
}

/// Does the same as [`maps_at_once`] for an input of so many pixels.
pub(super) fn maps_of(pixels: u64) -> usize {
    (MAPS_AT_ONCE_BYTES / (MAP_BYTES * pixels).max(1)).clamp(1, 1024) as usize
}

/// Calls `work` for every number below `count` and returns the results in their order. At most `at_once` calls run at
/// the same time. What one call itself does on the thread pool runs in parallel.
pub(super) fn few_at_once<T: Send>(
    count: usize,
    at_once: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let at_once = at_once.max(1);
    let mut results = Vec::with_capacity(count);
    for first in (0..count).step_by(at_once) {
        results.par_extend((first..(first + at_once).min(count)).into_par_iter().map(&work));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn few_are_worked_on_at_once_and_all_in_order() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |i: usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            3 * i
        };
        for (count, at_once) in [(0, 1), (7, 1), (7, 2), (7, 7), (5, 100), (3, 0)] {
            most.store(0, Ordering::SeqCst);
            let results = few_at_once(count, at_once, work);
            assert_eq!(results, (0..count).map(|i| 3 * i).collect::<Vec<_>>());
            assert!(most.load(Ordering::SeqCst) <= at_once.max(1));
        }
    }
}
