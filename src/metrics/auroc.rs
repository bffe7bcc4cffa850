//! This module computes the area under the receiver operating characteristic, exact with ties.

use rayon::slice::ParallelSliceMut;

/// Computes the area under the ROC curve of `(score, is_bad)` pairs. It is the probability that a
/// bad one scores higher than a good one, where ties count half (the Mann-Whitney statistic).
///
/// It returns `None` where one of the two classes is empty.
pub fn auroc<T: Copy + PartialOrd + Send>(
    scored: impl IntoIterator<Item = (T, bool)>,
) -> Option<f64> {
    SortedScores::new(scored.into_iter().map(|(score, bad)| (score, u32::from(bad))).collect())
        .auroc()
}

/// Scores with their class, highest first. Every exact curve starts from this list.
///
/// Class 0 is good; any other class is bad (for AUPRO, the number of a region).
pub struct SortedScores<T>(Vec<(T, u32)>);

impl<T: Copy + PartialOrd + Send> SortedScores<T> {
    /// Sorts the scores, highest first. They must be comparable (no NaN).
    pub fn new(mut scored: Vec<(T, u32)>) -> Self {
        scored.par_sort_unstable_by(|a, b| {
            b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal)
        });
        SortedScores(scored)
    }

    /// Returns groups of equal score, highest first. These are the vertices of a curve.
    pub fn ties(&self) -> impl Iterator<Item = &[(T, u32)]> {
        self.0.chunk_by(|a, b| a.0 == b.0)
    }

    /// Computes the area under the ROC curve, as [`auroc`] does.
    pub fn auroc(&self) -> Option<f64> {
        // Twice the number of (bad, good) pairs in the right order. These are integers, so nothing
        // is rounded.
        let (mut pairs, mut bad_above, mut good_count) = (0u128, 0u128, 0u128);
        for tie in self.ties() {
            let bad = tie.iter().filter(|(_, class)| *class != 0).count() as u128;
            let good = tie.len() as u128 - bad;
            pairs += good * (2 * bad_above + bad);
            bad_above += bad;
            good_count += good;
        }
        let all = 2 * bad_above * good_count;
        (all > 0).then(|| pairs as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        type Case = (&'static [(f64, bool)], Option<f64>);
        let cases: [Case; 6] = [
            (&[], None),
            (&[(1.0, true)], None),
            (&[(1.0, false), (2.0, true)], Some(1.0)),
            (&[(2.0, false), (1.0, true)], Some(0.0)),
            (&[(1.0, false), (1.0, true)], Some(0.5)),
            (&[(1.0, false), (1.0, true), (0.0, false), (3.0, true)], Some(7.0 / 8.0)),
        ];
        for (scored, want) in cases {
            assert_eq!(auroc(scored.iter().copied()), want, "{scored:?}");
        }
    }
}
