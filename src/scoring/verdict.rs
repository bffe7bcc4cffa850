//! This module decides what happens to a part, and why. No other place decides this.
//!
//! A verdict of ok needs evidence: a score or a map that holds NaN is bad, whatever the rules say.

use super::regions::{Found, Region, regions};
use super::rules::{IGNORED, Rules, TOLERATED_PEAK, TOLERATED_SHARE};
use super::scorer::Scored;
use crate::image::Size;
use serde::Serialize;

/// The decision about a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The part passes.
    Ok,
    /// A person should look at the part.
    Review,
    /// The part is rejected.
    Ng,
}

impl Verdict {
    /// Returns the word that results have.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Review => "review",
            Verdict::Ng => "ng",
        }
    }
}

/// The rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The score was compared with the threshold. Nothing is above it, or something is and no other
    /// rule applies.
    Threshold,
    /// The threshold of a zone decided, or an ignored part of the picture.
    Zone,
    /// The least area decided: the region above the threshold is too small to count.
    Area,
    /// The number of tolerated regions decided, or the limits of a tolerated region.
    Count,
    /// The score or the map is NaN, or the score is infinite.
    NotANumber,
}

/// A verdict and the reason for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule that decided, and where.
    pub by: DecidedBy,
    /// The regions above the threshold, or for review above the review threshold. Regions that
    /// count come first, and among them the worst.
    pub regions: Vec<Region>,
}

/// The rule that decided, and where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecidedBy {
    /// The rule.
    pub rule: Rule,
    /// The threshold that was applied there.
    pub limit: f32,
    /// The zone of the region that decided.
    pub zone: Option<String>,
    /// The region that decided, counted from 0 in the list of regions.
    pub region: Option<usize>,
    /// How many regions count.
    pub counting: usize,
}

/// The two thresholds of a template.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// The threshold above which a part is bad.
    pub reject: f32,
    /// The threshold above which a person should look. It is no larger than `reject`.
    pub review: f32,
}

impl Thresholds {
    /// Returns the verdict that a score alone gives, whatever the rules say.
    pub fn verdict(&self, score: f32) -> Verdict {
        if score <= self.review {
            Verdict::Ok
        } else if score <= self.reject {
            Verdict::Review
        } else {
            Verdict::Ng
        }
    }
}

/// The rules of a template, with its label map at the network's input size, where it has one.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// One label per pixel of the map, or nothing where the whole picture is one zone.
    pub labels: &'a [u8],
    /// The columns and rows of the pictures that the template was built from.
    pub built_from: Size,
}

impl<'a> InForce<'a> {
    /// Returns the limit of each pixel at `level`. `level` is the template's own threshold or its
    /// review threshold.
    pub fn limits(&self, level: f32, thresholds: Thresholds) -> Limits<'a> {
        let of_label = (0..=u8::MAX).map(|label| {
            let zone = self.rules.zone(label);
            let limit = match zone {
                Some(zone) => zone.limit.of(level, thresholds.reject),
                None if label == IGNORED => f32::INFINITY,
                None => level,
            };
            (limit, f64::from(self.rules.min_area_px(zone)))
        });
        Limits { of_label: of_label.collect(), labels: self.labels }
    }
}

/// The limit of each pixel of a map.
pub struct Limits<'a> {
    /// The threshold and the least area of every label.
    of_label: Vec<(f32, f64)>,
    labels: &'a [u8],
}

impl Limits<'_> {
    /// Returns the value above which pixel `at` of the map is bad.
    pub fn of_pixel(&self, at: usize) -> f32 {
        self.at(at).0
    }

    /// Returns the area from which a region counts by its pixel `at`. It is in pixels of the
    /// pictures that the template was built from.
    fn least_area_px(&self, at: usize) -> f64 {
        self.at(at).1
    }

    fn at(&self, at: usize) -> (f32, f64) {
        let label = self.labels.get(at).copied().unwrap_or(0);
        self.of_label.get(usize::from(label)).copied().unwrap_or((f32::NEG_INFINITY, 0.0))
    }
}

/// Judges a picture of `size` (columns, rows) by its score and its blurred map of `map_width`
/// columns.
pub fn decide(
    scored: &Scored,
    map_width: usize,
    size: Size,
    thresholds: Thresholds,
    in_force: Option<InForce>,
) -> Decided {
    let unusable = scored.score.is_nan() || scored.score == f32::INFINITY;
    if unusable || scored.blurred.iter().any(|v| v.is_nan()) {
        let by = DecidedBy {
            rule: Rule::NotANumber,
            limit: thresholds.reject,
            zone: None,
            region: None,
            counting: 0,
        };
        return Decided { verdict: Verdict::Ng, by, regions: Vec::new() };
    }
    let judge = Judge { scored, map_width, size, thresholds, in_force };
    let rejected = judge.at(thresholds.reject);
    if rejected.is_too_much {
        return rejected.decided(Verdict::Ng);
    }
    if thresholds.review < thresholds.reject {
        let reviewed = judge.at(thresholds.review);
        if reviewed.is_too_much {
            return reviewed.decided(Verdict::Review);
        }
    }
    rejected.decided(Verdict::Ok)
}

/// One picture and everything that judges it.
struct Judge<'a> {
    scored: &'a Scored,
    map_width: usize,
    size: Size,
    thresholds: Thresholds,
    in_force: Option<InForce<'a>>,
}

/// The result of comparing a picture with one threshold.
struct Finding {
    is_too_much: bool,
    by: DecidedBy,
    regions: Vec<Region>,
}

impl Finding {
    fn decided(self, verdict: Verdict) -> Decided {
        Decided { verdict, by: self.by, regions: self.regions }
    }
}

impl Judge<'_> {
    /// Compares the picture with one of the two thresholds.
    fn at(&self, level: f32) -> Finding {
        match self.in_force {
            None => self.by_score(level),
            Some(in_force) => self.by_regions(level, in_force),
        }
    }

    fn by_score(&self, level: f32) -> Finding {
        let found = regions(&self.scored.blurred, self.map_width, &|_| level, self.size);
        let by = DecidedBy {
            rule: Rule::Threshold,
            limit: level,
            zone: None,
            region: (!found.is_empty()).then_some(0),
            counting: found.len(),
        };
        let regions = found.into_iter().map(|found| found.region).collect();
        Finding { is_too_much: self.scored.score > level, by, regions }
    }

    fn by_regions(&self, level: f32, in_force: InForce) -> Finding {
        let InForce { rules, labels, built_from } = in_force;
        let limits = in_force.limits(level, self.thresholds);
        let map = self.scored.for_rules();
        let found = regions(map, self.map_width, &|at| limits.of_pixel(at), self.size);
        let map_pixel = built_from.pixels() as f64 / map.len().max(1) as f64;
        // A tolerated region is tolerated at both levels. A part with a weak region does not go to
        // review for it.
        let of_rejects = in_force.limits(self.thresholds.reject, self.thresholds);
        let mut has_intolerable = false;
        let by_rules = |Found { mut region, pixels, extent }: Found| {
            let area = extent as f64 * map_pixel;
            // The smallest of the least areas that the region touches decides. A zone that asks for
            // a larger area must not hide a defect beside it.
            let (deciding, others): (Vec<usize>, Vec<usize>) =
                pixels.iter().partition(|&&at| area >= limits.least_area_px(at));
            let counts = !deciding.is_empty();
            let excess = |at: usize| map[at] - limits.of_pixel(at);
            let worst_at = (if counts { deciding } else { others })
                .into_iter()
                .max_by(|&a, &b| excess(a).total_cmp(&excess(b)).then(b.cmp(&a)))
                .unwrap_or_default();
            let zone = rules.zone(labels.get(worst_at).copied().unwrap_or(0));
            region.counts = Some(counts);
            region.zone = zone.map(|zone| zone.name.clone());
            region.area_mm2 = rules.mm2(area);
            if counts && !is_tolerable(map, &pixels, &of_rejects) {
                has_intolerable = true;
            }
            (region, limits.of_pixel(worst_at))
        };
        let mut found: Vec<(Region, f32)> = found.into_iter().map(by_rules).collect();
        // Regions that count come first. Within both groups the worst come first.
        found.sort_by_key(|(region, _)| region.counts != Some(true));
        let counting = found.iter().filter(|(region, _)| region.counts == Some(true)).count();
        let is_too_much = counting > rules.max_regions as usize || has_intolerable;
        let rule = match found.first() {
            Some(_) if is_too_much && rules.max_regions > 0 => Rule::Count,
            Some((first, _)) if is_too_much && first.zone.is_some() => Rule::Zone,
            Some(_) if is_too_much => Rule::Threshold,
            Some(_) if counting > 0 => Rule::Count,
            Some(_) => Rule::Area,
            // The map is above the template's threshold somewhere, but not above that of its zone.
            None if self.scored.score > level => Rule::Zone,
            None => Rule::Threshold,
        };
        let by = DecidedBy {
            rule,
            limit: found.first().map_or(level, |(_, limit)| *limit),
            zone: found.first().and_then(|(first, _)| first.zone.clone()),
            region: (!found.is_empty()).then_some(0),
            counting,
        };
        let regions = found.into_iter().map(|(region, _)| region).collect();
        Finding { is_too_much, by, regions }
    }
}

/// Returns whether a region with these pixels of a map is weak and small enough to be tolerated.
/// `of_rejects` holds the limits that reject a part.
fn is_tolerable(map: &[f32], pixels: &[usize], of_rejects: &Limits) -> bool {
    let is_weak = |&at: &usize| map[at] <= TOLERATED_PEAK * of_rejects.of_pixel(at);
    pixels.len() as f64 <= TOLERATED_SHARE * map.len() as f64 && pixels.iter().all(is_weak)
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Limit, Zone};
    use super::super::scorer::{Fusion, Scorer};
    use super::*;

    const SIZE: Size = Size { width: 80, height: 80 };

    const WIDTH: usize = 8;
    const THRESHOLDS: Thresholds = Thresholds { reject: 1.0, review: 0.5 };

    /// Makes a map of 8 x 8 pixels with these values. Pictures have 80 x 80, so a pixel of the map
    /// is 100 of theirs.
    fn scored(values: &[(usize, f32)]) -> Scored {
        let mut blurred = vec![0.1; WIDTH * WIDTH];
        values.iter().for_each(|&(at, value)| blurred[at] = value);
        let score = blurred.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Scored { score, blurred, judged: None }
    }

    fn judged(values: &[(usize, f32)], rules: Option<(&Rules, &[u8])>) -> Decided {
        let in_force = rules.map(|(rules, labels)| InForce { rules, labels, built_from: SIZE });
        decide(&scored(values), WIDTH, SIZE, THRESHOLDS, in_force)
    }

    /// The upper half is zone 7 ("lid"), and the last row is ignored.
    fn labels() -> Vec<u8> {
        (0..64)
            .map(|at| {
                if at < 32 {
                    7
                } else if at >= 56 {
                    IGNORED
                } else {
                    0
                }
            })
            .collect()
    }

    fn lid(limit: Limit, min_area_px: Option<f32>) -> Zone {
        Zone { label: 7, name: "lid".into(), limit, min_area_px }
    }

    #[test]
    fn without_rules_the_score_decides() {
        let cases = [
            (0.5, Verdict::Ok),
            (0.6, Verdict::Review),
            (1.0, Verdict::Review),
            (1.1, Verdict::Ng),
        ];
        for (value, verdict) in cases {
            let decided = judged(&[(9, value)], None);
            assert_eq!((decided.verdict, decided.by.rule), (verdict, Rule::Threshold), "{value}");
            assert_eq!(THRESHOLDS.verdict(value), verdict, "{value}");
            assert_eq!(decided.regions.len(), usize::from(verdict != Verdict::Ok), "{value}");
        }
    }

    #[test]
    fn what_is_no_number_is_bad_whatever_the_rules_say() {
        let lenient = Rules { max_regions: 100, min_area_px: 1e6, ..Rules::default() };
        for rules in [None, Some((&lenient, &[][..]))] {
            let decided = judged(&[(9, f32::NAN)], rules);
            assert_eq!((decided.verdict, decided.by.rule), (Verdict::Ng, Rule::NotANumber));
        }
        let by_score = Scored { score: f32::NAN, blurred: vec![0.0; 64], judged: None };
        assert_eq!(decide(&by_score, WIDTH, SIZE, THRESHOLDS, None).verdict, Verdict::Ng);
        let infinite = vec![f32::INFINITY; 64];
        let infinite =
            Scored { score: f32::INFINITY, blurred: infinite, judged: Some(vec![0.0; 64]) };
        for in_force in [None, Some(InForce { rules: &lenient, labels: &[], built_from: SIZE })] {
            let decided = decide(&infinite, WIDTH, SIZE, THRESHOLDS, in_force);
            assert_eq!((decided.verdict, decided.by.rule), (Verdict::Ng, Rule::NotANumber));
        }
    }

    /// The strongest defect must not pass where one region is tolerated.
    #[test]
    fn a_tolerated_region_is_weak_and_small() {
        let one = Rules { max_regions: 1, ..Rules::default() };
        let lax = Rules { zones: vec![lid(Limit::Factor(3.0), None)], ..one.clone() };
        let cases = [
            (&[(42, 2.0)][..], &one, Verdict::Ok, Rule::Count),
            (&[(42, 2.1)], &one, Verdict::Ng, Rule::Count),
            (&[(42, 1.1), (43, 1.1)], &one, Verdict::Ng, Rule::Count),
            (&[(42, 0.9), (43, 0.9)], &one, Verdict::Review, Rule::Count),
            (&[(42, 0.9)], &one, Verdict::Ok, Rule::Threshold),
            (&[(9, 5.9)], &lax, Verdict::Ok, Rule::Count),
            (&[(9, 6.1)], &lax, Verdict::Ng, Rule::Count),
        ];
        for (i, (map, rules, verdict, rule)) in cases.into_iter().enumerate() {
            let decided = judged(map, Some((rules, &labels())));
            assert_eq!((decided.verdict, decided.by.rule), (verdict, rule), "case {i}");
        }
    }

    #[test]
    fn rules_decide_as_they_say() {
        let (none, labels) = (Rules::default(), labels());
        let area = Rules { min_area_px: 200.0, mm_per_pixel: 0.1, ..none.clone() };
        let count = Rules { max_regions: 1, ..none.clone() };
        let twice = Rules { zones: vec![lid(Limit::Factor(2.0), None)], ..none.clone() };
        let strict = Rules { zones: vec![lid(Limit::Score(0.8), Some(200.0))], ..none.clone() };
        let huge = Rules { zones: vec![lid(Limit::Factor(0.5), Some(3000.0))], ..none.clone() };
        let one = &[(42, 1.5)][..];
        let (two_wide, far) = (&[(42, 1.5), (43, 1.2)][..], &[(42, 1.5), (46, 1.2)][..]);
        let (in_lid, ignored) = (&[(9, 1.5)][..], &[(60, 9.0)][..]);
        let in_lid_wide = &[(9, 0.9), (10, 0.9)][..];
        // Each case: map, rules, verdict, the rule, the number of regions that count.
        let cases = [
            (one, &none, Verdict::Ng, Rule::Threshold, 1),
            (one, &area, Verdict::Ok, Rule::Area, 0),
            (two_wide, &area, Verdict::Ng, Rule::Threshold, 1),
            (far, &area, Verdict::Ok, Rule::Area, 0),
            (one, &count, Verdict::Ok, Rule::Count, 1),
            (far, &count, Verdict::Ng, Rule::Count, 2),
            (in_lid, &twice, Verdict::Review, Rule::Zone, 1),
            (&[(9, 2.1)], &twice, Verdict::Ng, Rule::Zone, 1),
            (&[(9, 0.9)], &twice, Verdict::Ok, Rule::Threshold, 0),
            (one, &twice, Verdict::Ng, Rule::Threshold, 1),
            (in_lid, &strict, Verdict::Ok, Rule::Area, 0),
            (in_lid_wide, &strict, Verdict::Ng, Rule::Zone, 1),
            (&[(9, 0.7), (10, 0.7)], &strict, Verdict::Review, Rule::Zone, 1),
            (ignored, &none, Verdict::Ok, Rule::Zone, 0),
            // This region spans a zone and the rest of the picture. It belongs to the part where it
            // is worst.
            (&[(26, 1.1), (34, 1.9)], &strict, Verdict::Ng, Rule::Threshold, 1),
            // This region belongs to the part for which it is large enough, although it is worse in
            // the other.
            (&[(26, 1.9), (34, 1.1)], &huge, Verdict::Ng, Rule::Threshold, 1),
            (&[(26, 1.9), (27, 1.9)], &huge, Verdict::Ok, Rule::Area, 0),
        ];
        for (i, (map, rules, verdict, rule, counting)) in cases.into_iter().enumerate() {
            let decided = judged(map, Some((rules, &labels)));
            let got = (decided.verdict, decided.by.rule, decided.by.counting);
            assert_eq!(got, (verdict, rule, counting), "case {i}: {decided:?}");
            let by = &decided.by;
            assert!(verdict == Verdict::Ok || by.region == Some(0), "case {i}");
            assert!(verdict != Verdict::Ng || decided.regions[0].peak > by.limit, "case {i}");
        }
        let decided = judged(two_wide, Some((&area, &labels)));
        assert!((decided.regions[0].area_mm2.expect("known") - 2.0).abs() < 1e-6);
        let decided = judged(in_lid, Some((&twice, &labels)));
        assert_eq!((decided.by.zone.as_deref(), decided.by.limit), (Some("lid"), 1.0));
    }

    proptest::proptest! {
        #[test]
        fn rules_that_say_nothing_decide_as_the_score_does(
            values in proptest::collection::vec(0.0f32..1.5, 64)
        ) {
            let values: Vec<_> = values.into_iter().enumerate().collect();
            let plain = judged(&values, None);
            let ruled = judged(&values, Some((&Rules::default(), &[])));
            proptest::prop_assert_eq!(plain.verdict, ruled.verdict);
            proptest::prop_assert_eq!(plain.by, ruled.by);
        }

        #[test]
        fn what_asks_for_more_never_makes_a_part_worse(
            values in proptest::collection::vec(0.0f32..1.5, 64),
            min_area in 0.0f32..500.0, more in 0.0f32..500.0, ignored in 0usize..64
        ) {
            let values: Vec<_> = values.into_iter().enumerate().collect();
            let rank = |rules: &Rules, labels: &[u8]| judged(&values, Some((rules, labels))).verdict as u8;
            let rules = Rules { min_area_px: min_area, ..Rules::default() };
            let larger = Rules { min_area_px: min_area + more, ..rules.clone() };
            proptest::prop_assert!(rank(&larger, &[]) <= rank(&rules, &[]));
            let mut labels = vec![0; 64];
            let before = rank(&Rules::default(), &labels);
            labels[ignored] = IGNORED;
            proptest::prop_assert!(rank(&Rules::default(), &labels) <= before);
        }

        /// The change is a lower threshold or a smaller least area, of a zone or of the rest.
        #[test]
        fn a_stricter_zone_never_makes_a_part_better(
            values in proptest::collection::vec(0.0f32..1.5, 64),
            labels in proptest::collection::vec(0u8..3, 64),
            factors in proptest::array::uniform2(0.3f32..2.0),
            areas in proptest::array::uniform3(0.0f32..1500.0),
            (stricter, times, less) in (0usize..3, 0.2f32..1.0, 0.0f32..1.0)
        ) {
            let values: Vec<_> = values.into_iter().enumerate().collect();
            let rank = |factors: [f32; 2], areas: [f32; 3]| {
                let zone = |i: usize| Zone {
                    label: i as u8 + 1,
                    name: i.to_string(),
                    limit: Limit::Factor(factors[i]),
                    min_area_px: Some(areas[i + 1]),
                };
                let zones = vec![zone(0), zone(1)];
                let rules = Rules { min_area_px: areas[0], zones, ..Rules::default() };
                judged(&values, Some((&rules, &labels))).verdict as u8
            };
            let (mut lower, mut smaller) = (factors, areas);
            lower[stricter % 2] *= times;
            smaller[stricter] *= less;
            let before = rank(factors, areas);
            proptest::prop_assert!(rank(lower, areas) >= before);
            proptest::prop_assert!(rank(factors, smaller) >= before);
        }

        #[test]
        fn what_is_ignored_decides_nothing(
            map in proptest::collection::vec(0.0f32..1.5, 64),
            other in proptest::collection::vec(0.0f32..9.0, 64),
            ignored in proptest::collection::vec(proptest::bool::ANY, 64),
            min_area_px in 0.0f32..500.0
        ) {
            let scorer = Scorer::new((WIDTH, WIDTH), 1.0, Fusion::Sum, Vec::new(), 1.0, None);
            let plain = scorer.score(&map).score;
            let scorer = scorer.ignoring(&ignored);
            let labels: Vec<u8> = ignored.iter().map(|&i| if i { IGNORED } else { 0 }).collect();
            let changed: Vec<f32> =
                (0..64).map(|at| if ignored[at] { other[at] } else { map[at] }).collect();
            let rules = Rules { min_area_px, ..Rules::default() };
            let regions = [&map, &changed].map(|map| {
                let in_force = InForce { rules: &rules, labels: &labels, built_from: SIZE };
                decide(&scorer.score(map), WIDTH, SIZE, THRESHOLDS, Some(in_force))
            });
            let [before, after] = regions;
            proptest::prop_assert_eq!(before.verdict, after.verdict);
            proptest::prop_assert_eq!(before.regions, after.regions);
            proptest::prop_assert_eq!(scorer.score(&map).score, plain);
        }
    }
}
