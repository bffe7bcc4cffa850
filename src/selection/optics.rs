//! OPTICS orders vectors by density (Ankerst et al., SIGMOD 1999). Here it has no distance limit.
//!
//! It starts from the first vector and always visits the vector with the smallest reachability
//! next. A visited vector offers every unvisited one a reachability of
//! `max(core distance, distance)`. The core distance is the distance to the `min_samples`-th
//! nearest vector, where a vector counts itself. Ties are resolved as in scikit-learn: the smallest
//! index is visited first, and only a strictly smaller reachability replaces another.

use super::gram::Gram;

/// The density ordering of N vectors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ordering {
    /// The vectors in the order of visit.
    pub order: Vec<usize>,
    /// The reachability of each vector. It is infinite where no other vector led to it.
    pub reachability: Vec<f64>,
    /// The core distance of each vector.
    pub core_distance: Vec<f64>,
    /// For each vector, the vector whose visit set its final reachability.
    pub predecessor: Vec<Option<usize>>,
}

/// Orders the vectors of `gram`. A `min_samples` above N counts as N.
pub fn optics(gram: &Gram, min_samples: usize) -> Ordering {
    let n = gram.size();
    if n == 0 {
        return Ordering::default();
    }
    let core_distance = core_distances(gram, min_samples.clamp(1, n));
    let mut reachability = vec![f64::INFINITY; n];
    let mut predecessor = vec![None; n];
    let mut order = Vec::with_capacity(n);
    // The unvisited vectors are in rising order. So the first of several smallest ones has the
    // smallest index.
    let mut waiting: Vec<usize> = (0..n).collect();
    let mut next = 0;
    while !waiting.is_empty() {
        let point = waiting.remove(next);
        order.push(point);
        let core = core_distance[point];
        let distances = gram.distances(point);
        let mut best = f64::INFINITY;
        next = 0;
        for (position, &other) in waiting.iter().enumerate() {
            let offered = distances[other].max(core);
            if offered < reachability[other] {
                reachability[other] = offered;
                predecessor[other] = Some(point);
            }
            if reachability[other] < best {
                best = reachability[other];
                next = position;
            }
        }
    }
    Ordering { order, reachability, core_distance, predecessor }
}

fn core_distances(gram: &Gram, min_samples: usize) -> Vec<f64> {
    let mut row = Vec::with_capacity(gram.size());
    (0..gram.size())
        .map(|i| {
            row.clear();
            row.extend_from_slice(gram.distances(i));
            *row.select_nth_unstable_by(min_samples - 1, f64::total_cmp).1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_vectors_are_visited_in_index_order() {
        let features = [1.0, 0.0].repeat(6);
        let mut gram = Gram::default();
        gram.compute(&features, 2);
        let ordering = optics(&gram, 2);
        assert_eq!(ordering.order, [0, 1, 2, 3, 4, 5]);
        assert_eq!(ordering.predecessor[5], Some(0));
        assert_eq!(ordering.core_distance, [0.0; 6]);
    }

    #[test]
    fn nothing_and_one_vector_are_ordered_too() {
        let mut gram = Gram::default();
        gram.compute(&[], 3);
        assert_eq!(optics(&gram, 2), Ordering::default());
        gram.compute(&[1.0, 0.0, 0.0], 3);
        assert_eq!(optics(&gram, 2).order, [0]);
    }
}
