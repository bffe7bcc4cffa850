//! The curves of a ranking: receiver operating characteristic and precision over recall.

use hetmm::metrics::SortedScores;

/// One point of a ranking, all pictures above some score taken for defective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Good pictures rejected, part 0..=1 of the good ones.
    pub false_rejects: f64,
    /// Defective pictures found, part 0..=1 of the defective ones.
    pub found: f64,
    /// Defective pictures among those rejected, 0..=1; 1 where none is rejected.
    pub precision: f64,
}

/// The vertices of both curves, from "nothing is rejected" on, one a distinct score.
///
/// `None` where one of the two classes is empty: neither curve exists.
pub fn vertices(scored: &[(f32, bool)]) -> Option<Vec<Point>> {
    let bad = scored.iter().filter(|(_, bad)| *bad).count();
    let good = scored.len() - bad;
    if good == 0 || bad == 0 {
        return None;
    }
    let sorted = SortedScores::new(scored.iter().map(|&(s, bad)| (s, u32::from(bad))).collect());
    let (mut rejected, mut found) = (0, 0);
    let mut points = vec![point(0, 0, good, bad)];
    for tie in sorted.ties() {
        let hits = tie.iter().filter(|(_, class)| *class != 0).count();
        found += hits;
        rejected += tie.len() - hits;
        points.push(point(rejected, found, good, bad));
    }
    Some(points)
}

/// Where a threshold lies: what is not at most `threshold` is rejected, as the verdict does.
pub fn operating_point(scored: &[(f32, bool)], threshold: f32) -> Point {
    let count = |bad: bool, rejected: bool| {
        // A score that is no number is rejected.
        let passes = |score: f32| score <= threshold;
        scored.iter().filter(|(s, b)| *b == bad && !(rejected && passes(*s))).count()
    };
    point(count(false, true), count(true, true), count(false, false), count(true, false))
}

/// Average precision: the mean over the defective pictures of the precision at which each is
/// found, ties taken together.
pub fn average_precision(vertices: &[Point]) -> f64 {
    vertices.windows(2).map(|pair| (pair[1].found - pair[0].found) * pair[1].precision).sum()
}

fn point(rejected_good: usize, found_bad: usize, good: usize, bad: usize) -> Point {
    let part = |count: usize, of: usize| if of == 0 { 0.0 } else { count as f64 / of as f64 };
    let rejected = rejected_good + found_bad;
    Point {
        false_rejects: part(rejected_good, good),
        found: part(found_bad, bad),
        precision: if rejected == 0 { 1.0 } else { part(found_bad, rejected) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORED: [(f32, bool); 6] =
        [(0.1, false), (0.4, true), (0.4, false), (0.3, false), (0.8, true), (0.9, true)];

    #[test]
    fn vertices_of_a_small_ranking() {
        let points = vertices(&SCORED).expect("both classes");
        let found: Vec<_> =
            points.iter().map(|p| (p.false_rejects * 3.0, p.found * 3.0, p.precision)).collect();
        let want = [
            (0.0, 0.0, 1.0),
            (0.0, 1.0, 1.0),
            (0.0, 2.0, 1.0),
            (1.0, 3.0, 0.75),
            (2.0, 3.0, 0.6),
            (3.0, 3.0, 0.5),
        ];
        assert_eq!(found, want);
        assert!((average_precision(&points) - (2.0 + 0.75) / 3.0).abs() < 1e-12);
        assert_eq!(vertices(&SCORED[..1]), None);
    }

    #[test]
    fn the_operating_point_lies_on_the_curve_and_a_score_at_the_threshold_passes() {
        let points = vertices(&SCORED).expect("both classes");
        for threshold in [0.0, 0.1, 0.3, 0.4, 0.8, 0.9, 2.0] {
            assert!(points.contains(&operating_point(&SCORED, threshold)), "{threshold}");
        }
        assert_eq!(operating_point(&SCORED, 0.4).found * 3.0, 2.0);
        assert_eq!(operating_point(&[(f32::NAN, true)], 0.4).found, 1.0);
    }
}
