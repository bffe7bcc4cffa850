//! This module implements pixel-level template selection (Sec. 3.3 and Alg. 1 of the paper).

use super::HardRule;
use super::gram::Gram;
use super::optics::optics;
use super::xi::extract_regions;

/// Returns the OPTICS neighbourhood for choosing `sheets` of `vectors`: N / K, but at least 2.
pub fn min_samples(vectors: usize, sheets: usize) -> usize {
    vectors.checked_div(sheets).unwrap_or(0).max(2)
}

/// Selects the prototypes of one pixel. Returns their indices in the order of selection, at most
/// `sheets` of them.
///
/// Easy-nominal prototypes come first: the medoid of every OPTICS region, in region order, or the
/// global medoid where there is no region. Hard-nominal prototypes by `rule` follow until there are
/// `sheets`.
pub fn select(gram: &Gram, sheets: usize, rule: HardRule) -> Vec<usize> {
    let min_samples = min_samples(gram.size(), sheets);
    let regions = extract_regions(&optics(gram, min_samples), min_samples);
    prototypes(gram, sheets, &regions, rule)
}

/// Does the same as [`select`] with known regions.
pub fn prototypes(
    gram: &Gram,
    sheets: usize,
    regions: &[Option<usize>],
    rule: HardRule,
) -> Vec<usize> {
    let wanted = sheets.min(gram.size());
    let mut chosen = medoids(gram, regions);
    chosen.truncate(wanted);
    filled_up(gram, chosen, vec![true; gram.size()], wanted, rule)
}

/// Returns what becomes of `chosen` where only the `kept` vectors may be used. It keeps the rest of
/// `chosen` and adds kept vectors by `rule` until there are `sheets`. It does not search for
/// regions again.
pub fn without(
    gram: &Gram,
    chosen: &[usize],
    kept: &[bool],
    sheets: usize,
    rule: HardRule,
) -> Vec<usize> {
    let wanted = sheets.min(kept.iter().filter(|kept| **kept).count());
    let mut remaining: Vec<usize> = chosen.iter().copied().filter(|&i| kept[i]).collect();
    if remaining.is_empty() {
        let all: Vec<usize> = (0..gram.size()).filter(|&i| kept[i]).collect();
        remaining.extend(medoid(gram, &all));
    }
    remaining.truncate(wanted);
    filled_up(gram, remaining, kept.to_vec(), wanted, rule)
}

/// Returns `chosen` and the hardest of the `free` vectors by `rule`, until there are `wanted`.
fn filled_up(
    gram: &Gram,
    mut chosen: Vec<usize>,
    mut free: Vec<bool>,
    wanted: usize,
    rule: HardRule,
) -> Vec<usize> {
    let n = gram.size();
    // This is how well the chosen vectors cover each vector. The least covered vector is taken
    // next.
    let mut covered = match rule {
        HardRule::Sum => vec![0.0; n],
        HardRule::MaxMin => vec![f64::NEG_INFINITY; n],
    };
    for &prototype in &chosen {
        free[prototype] = false;
        cover(&mut covered, gram.similarities(prototype), rule);
    }
    while chosen.len() < wanted {
        let hardest = (0..n)
            .filter(|&i| free[i])
            .reduce(|best, i| if covered[i] < covered[best] { i } else { best });
        let Some(hardest) = hardest else { break };
        chosen.push(hardest);
        free[hardest] = false;
        cover(&mut covered, gram.similarities(hardest), rule);
    }
    chosen
}

fn cover(covered: &mut [f64], similarities: &[f64], rule: HardRule) {
    for (covered, &similarity) in covered.iter_mut().zip(similarities) {
        *covered = match rule {
            HardRule::Sum => *covered + similarity,
            HardRule::MaxMin => covered.max(similarity),
        };
    }
}

/// Returns the medoid of every region in order, or of all vectors where there is no region. A
/// medoid is the vector whose summed similarity to its region is largest.
fn medoids(gram: &Gram, regions: &[Option<usize>]) -> Vec<usize> {
    let count = regions.iter().flatten().max().map_or(0, |&last| last + 1);
    let mut members = vec![Vec::new(); count];
    for (vector, region) in regions.iter().enumerate() {
        if let Some(region) = region {
            members[*region].push(vector);
        }
    }
    if count == 0 && gram.size() > 0 {
        members.push((0..gram.size()).collect());
    }
    members.iter().filter_map(|members| medoid(gram, members)).collect()
}

/// Returns the first member with the largest summed cosine to all members.
fn medoid(gram: &Gram, members: &[usize]) -> Option<usize> {
    let sum = |i: usize| -> f64 {
        let similarities = gram.similarities(i);
        members.iter().map(|&j| similarities[j]).sum()
    };
    members
        .iter()
        .map(|&i| (i, sum(i)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fan(angles: &[f32]) -> Gram {
        let features: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
        let mut gram = Gram::default();
        gram.compute(&features, 2);
        gram
    }

    #[test]
    fn farthest_first_looks_at_the_nearest_prototype_and_the_sum_rule_at_all() {
        let gram = fan(&[0.0, 0.01, 0.02, 0.7, 1.40, 1.41, 1.42]);
        let regions = [Some(0), Some(0), Some(0), None, None, None, None];
        assert_eq!(prototypes(&gram, 3, &regions, HardRule::MaxMin), [1, 6, 3]);
        assert_eq!(prototypes(&gram, 3, &regions, HardRule::Sum), [1, 6, 0]);
        assert_eq!(prototypes(&gram, 3, &[None; 7], HardRule::MaxMin), [3, 6, 0]);
    }

    #[test]
    fn what_is_left_out_is_replaced_by_the_hardest_of_the_rest() {
        let gram = fan(&[0.0, 0.01, 0.02, 0.7, 1.40, 1.41, 1.44]);
        let kept = [true, true, true, true, true, true, false];
        assert_eq!(without(&gram, &[1, 6, 3], &kept, 3, HardRule::MaxMin), [1, 3, 5]);
        assert_eq!(without(&gram, &[1, 3], &kept, 2, HardRule::MaxMin), [1, 3]);
        let last = [false, false, false, false, true, true, true];
        assert_eq!(without(&gram, &[1, 3], &last, 5, HardRule::MaxMin), [5, 6, 4]);
    }

    #[test]
    fn never_more_than_asked_for_and_never_twice() {
        let gram = fan(&[0.0, 0.1, 0.2, 0.3, 2.0]);
        for rule in [HardRule::MaxMin, HardRule::Sum] {
            for sheets in 1..8 {
                let mut chosen = select(&gram, sheets, rule);
                assert_eq!(chosen.len(), sheets.min(5));
                chosen.sort_unstable();
                chosen.dedup();
                assert_eq!(chosen.len(), sheets.min(5));
            }
        }
    }
}
