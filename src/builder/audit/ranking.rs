//! Turns signals into reasons, and reasons into one ranking. This file handles no pictures, only numbers and words.

use super::robust::Spread;
use serde::Serialize;

/// Says why a picture may not belong to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// Some place of the picture looks like no other picture.
    Unlike,
    /// Most of the picture looks like no other picture.
    Different,
    /// The picture is softer than the others.
    Blurred,
    /// The picture is darker than the others, or more of it is black.
    Dark,
    /// The picture is brighter than the others, or more of it is white.
    Bright,
    /// The picture has another shape than nearly all others.
    Shape,
    /// The same picture, or nearly the same, is there twice.
    Duplicate,
}

/// Holds one reason with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// The kind of the reason.
    pub kind: ReasonKind,
    /// The strength relative to the bar: 1 is at the bar.
    pub strength: f32,
    /// The same in words, with the numbers.
    pub words: String,
}

/// Holds a picture's place in the ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The number of the picture among all pictures.
    #[serde(skip)]
    pub picture: usize,
    /// The strength of its strongest reason.
    pub suspicion: f32,
    /// Whether the suspicion reaches 1, the bar.
    pub suspect: bool,
    /// Whether the suspicion is so strong that the picture cannot be a rare good part. The picture is then a stray.
    pub stray: bool,
    /// Reasons with at least half the strength of their bar, the strongest first. If the picture differs as a whole
    /// beyond the bar, that reason comes first, since the others follow from it. If no reason is that strong, the
    /// strongest one stands alone.
    pub reasons: Vec<Reason>,
    /// The measured values.
    pub signals: Signals,
}

/// Holds what is measured of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signals {
    /// The largest excess over what the others leave. It is about 1 for a usual picture.
    pub unlike: f64,
    /// How far that excess rises above its surroundings, at the place where it does so most.
    pub contrast: f64,
    /// The place of the largest excess, as shares 0..=1 of the picture's width and height.
    pub place: [f64; 2],
    /// The distance of the whole picture to the nearest tenth of the others, relative to the usual distance between any
    /// two.
    pub different: f64,
    /// The mean distance to the nearest other picture at every place. It is 1 for a usual picture.
    pub spread: f64,
    /// The logarithm of coarse detail over finest detail.
    pub softness: f64,
    /// The mean of all samples, 0..=1.
    pub brightness: f64,
    /// The share of black samples, 0..=1.
    pub black: f64,
    /// The share of white samples, 0..=1.
    pub white: f64,
    /// The columns and rows of the picture in the file.
    pub size: [u32; 2],
    /// The other picture that this one nearly equals. The second value is their difference relative to the usual one
    /// between nearest neighbours, or 0 for the same file.
    #[serde(skip)]
    pub duplicate: Option<(usize, f64)>,
}

/// Says what a deviation means, in robust standard deviations. Up to `from` it means nothing. At `bar` it is enough for
/// a suspect.
struct Bar {
    from: f64,
    bar: f64,
}

/// Only the unlikeness orders the pictures that are not suspect. Clean folders reach 4.
const UNLIKE: Bar = Bar { from: 0.0, bar: 4.5 };
/// Clean folders reach 4.
const DIFFERENT: Bar = Bar { from: 3.5, bar: 5.5 };
/// Clean folders reach 3.
const BLURRED: Bar = Bar { from: 3.0, bar: 5.0 };
/// Light varies for many harmless reasons. Clean folders reach 6.
const LIGHT: Bar = Bar { from: 5.0, bar: 8.0 };
/// The smallest deviations. A smaller one is rounding or does not matter.
const LEAST_LOG: f64 = 0.05;
const LEAST_BRIGHTNESS: f64 = 0.01;
const LEAST_CLIPPED: f64 = 0.02;
/// The share of the pictures that must have the same shape before another shape is odd, and how much the ratio of the
/// sides may differ.
const SAME_SHAPE: f64 = 0.9;
const SHAPE: f64 = 0.02;
/// The strength from which a picture with one odd place is a stray: something else than a rare good part.
const STRAY_BY_PLACE: f32 = 2.0;
/// The same limit for a picture that is too dark, too bright, blurred or of another shape. A dark or blurred picture
/// reaches 4 to 14. `docs/thresholds.md` says what this limit leaves out of clean folders.
const STRAY_AS_A_WHOLE: f32 = 4.0;
/// The same limit for a picture whose features differ as a whole. Good parts in another light reach 4.4. If parts lie
/// in one place, a dark, blurred or shifted picture and another product reach 11 and more.
const STRAY_BY_FEATURES: f32 = 5.5;
/// The strength from which a picture may not vouch for others.
pub const DOUBTFUL: f64 = 0.8;

impl Reason {
    /// Returns whether the reason says that its picture shows something else than the rest. All other reasons follow
    /// from that.
    fn is_another(&self) -> bool {
        self.kind == ReasonKind::Different && self.strength >= 1.0
    }

    /// Returns whether this reason alone makes its picture a stray. Being there twice does not. If the picture differs
    /// as a whole, its odd places need the higher limit, because all of the picture is odd.
    fn is_of_a_stray(&self, differs_as_a_whole: bool) -> bool {
        match self.kind {
            ReasonKind::Duplicate => false,
            ReasonKind::Unlike if !differs_as_a_whole => self.strength >= STRAY_BY_PLACE,
            ReasonKind::Different => self.strength >= STRAY_BY_FEATURES,
            _ => self.strength >= STRAY_AS_A_WHOLE,
        }
    }
}

impl Bar {
    fn strength(&self, z: f64) -> f64 {
        ((z - self.from) / (self.bar - self.from)).max(0.0)
    }
}

/// Holds the spread of every signal of a folder.
pub struct Spreads {
    unlike: Spread,
    contrast: Spread,
    spread: Spread,
    different: Spread,
    softness: Spread,
    brightness: Spread,
    black: Spread,
    white: Spread,
    /// The shape of nearly all pictures: the logarithm of width over height, and a size with this shape.
    shape: Option<(f64, [u32; 2])>,
}

/// Holds a reason, its strength, and its words.
type Measured = (ReasonKind, f64, String);

impl Spreads {
    /// Computes the spreads over the pictures for which `counts` is true.
    pub fn new(signals: &[Signals], counts: &[bool]) -> Self {
        let of = |value: &dyn Fn(&Signals) -> f64, least: f64| {
            let used = signals.iter().zip(counts).filter(|(_, counts)| **counts);
            Spread::of(used.map(|(s, _)| value(s)), least)
        };
        Spreads {
            unlike: of(&|s| log(s.unlike), LEAST_LOG),
            contrast: of(&|s| log(s.contrast), LEAST_LOG),
            spread: of(&|s| log(s.spread), LEAST_LOG),
            different: of(&|s| log(s.different), LEAST_LOG),
            softness: of(&|s| s.softness, LEAST_LOG),
            brightness: of(&|s| s.brightness, LEAST_BRIGHTNESS),
            black: of(&|s| s.black, LEAST_CLIPPED),
            white: of(&|s| s.white, LEAST_CLIPPED),
            shape: usual_shape(signals),
        }
    }

    /// Returns the unlikeness at which a picture becomes a suspect.
    pub fn unlike_bar(&self) -> f64 {
        (self.unlike.centre + UNLIKE.bar * self.unlike.deviation).exp()
    }

    /// Returns how odd the oddest place of a picture is: the mean of two deviations, that of its excess and that of the
    /// contrast to the surroundings. A defect stands out. What is odd all around is seldom a defect.
    fn unlike_z(&self, s: &Signals) -> f64 {
        (self.unlike.z(log(s.unlike)) + self.contrast.z(log(s.contrast))) / 2.0
    }

    /// Returns the largest strength among what a picture shows, its sharpness and its light. A picture that is a little
    /// odd in many places gets no reason for that, but it is doubtful.
    pub fn doubt(&self, s: &Signals) -> f64 {
        let strengths = self.content(s).into_iter().map(|(_, strength, _)| strength);
        strengths.fold(UNLIKE.strength(self.spread.z(log(s.spread))), f64::max)
    }

    fn content(&self, s: &Signals) -> Vec<Measured> {
        let [x, y] = [0, 1].map(|axis| s.place[axis] * f64::from(s.size[axis]));
        let times = |value: f64, spread: &Spread| value / spread.centre.exp();
        let percent = |value: f64| 100.0 * value;
        let light = |name: &str, value: f64, spread: &Spread| {
            format!("{name} {:.1} % (usual {:.1} %)", percent(value), percent(spread.centre))
        };
        use ReasonKind::{Blurred, Bright, Dark, Different, Unlike};
        vec![
            (
                Unlike,
                UNLIKE.strength(self.unlike_z(s)),
                format!(
                    "differs from all others at x = {x:.0}, y = {y:.0}, {:.1} times as much as a usual picture",
                    times(s.unlike, &self.unlike)
                ),
            ),
            (
                Different,
                DIFFERENT.strength(self.different.z(log(s.different))),
                format!(
                    "differs from the others as a whole, {:.1} times as much as a usual picture",
                    times(s.different, &self.different)
                ),
            ),
            (
                Blurred,
                BLURRED.strength(self.softness.z(s.softness)),
                format!(
                    "blurred: the finest detail is {:.0} % of the usual one",
                    percent((self.softness.centre - s.softness).exp())
                ),
            ),
            (
                Dark,
                LIGHT.strength(-self.brightness.z(s.brightness)),
                light("dark: mean brightness", s.brightness, &self.brightness),
            ),
            (
                Dark,
                LIGHT.strength(self.black.z(s.black)),
                light("dark: black pixels", s.black, &self.black),
            ),
            (
                Bright,
                LIGHT.strength(self.brightness.z(s.brightness)),
                light("bright: mean brightness", s.brightness, &self.brightness),
            ),
            (
                Bright,
                LIGHT.strength(self.white.z(s.white)),
                light("bright: white pixels", s.white, &self.white),
            ),
        ]
    }

    /// Returns all reasons of a picture, each kind once, in the order of [`Finding::reasons`].
    fn reasons(&self, s: &Signals, names: &[String]) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self
            .content(s)
            .into_iter()
            .map(|(kind, strength, words)| Reason { kind, strength: strength as f32, words })
            .collect();
        if let Some((usual, [width, height])) = self.shape {
            let off = (aspect(s.size) - usual).abs() / SHAPE;
            reasons.push(Reason {
                kind: ReasonKind::Shape,
                strength: off as f32,
                words: format!(
                    "{} x {} pixels: another shape than nearly all others, which have {width} x {height}",
                    s.size[0], s.size[1]
                ),
            });
        }
        if let Some((other, part)) = s.duplicate {
            let name = names.get(other).map_or("another", String::as_str);
            reasons.push(Reason {
                kind: ReasonKind::Duplicate,
                strength: 1.0,
                words: match part {
                    0.0 => format!("the same picture as {name}"),
                    _ => format!(
                        "nearly the same picture as {name}, with {:.0} % of the usual difference",
                        100.0 * part
                    ),
                },
            });
        }
        reasons.sort_by(|a, b| {
            b.is_another().cmp(&a.is_another()).then(b.strength.total_cmp(&a.strength))
        });
        let mut seen = std::collections::HashSet::new();
        reasons.retain(|r| seen.insert(r.kind));
        reasons
    }
}

/// Ranks all pictures, the most suspicious first. `names` are the names of the pictures.
pub fn rank(signals: Vec<Signals>, spreads: &Spreads, names: &[String]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = signals
        .into_iter()
        .enumerate()
        .map(|(picture, signals)| {
            let mut reasons = spreads.reasons(&signals, names);
            let suspicion = reasons.iter().map(|r| r.strength).fold(0.0, f32::max);
            let differs = reasons.iter().any(Reason::is_another);
            let stray = reasons.iter().any(|reason| reason.is_of_a_stray(differs));
            let said = reasons.iter().filter(|r| r.strength >= 0.5).count().max(1);
            reasons.truncate(said);
            Finding { picture, suspicion, suspect: suspicion >= 1.0, stray, reasons, signals }
        })
        .collect();
    findings.sort_by(|a, b| b.suspicion.total_cmp(&a.suspicion));
    findings
}

/// Returns the shape that nearly all pictures have, or `None`.
fn usual_shape(signals: &[Signals]) -> Option<(f64, [u32; 2])> {
    let spread = Spread::of(signals.iter().map(|s| aspect(s.size)), 0.0);
    let like = |s: &&Signals| (aspect(s.size) - spread.centre).abs() < SHAPE / 2.0;
    let count = signals.iter().filter(like).count();
    let example = signals.iter().find(like)?;
    (count as f64 >= SAME_SHAPE * signals.len() as f64).then_some((spread.centre, example.size))
}

fn aspect([width, height]: [u32; 2]) -> f64 {
    (f64::from(width) / f64::from(height)).ln()
}

/// Returns the natural logarithm of the value, or of 0.01 if the value is smaller.
fn log(value: f64) -> f64 {
    value.max(0.01).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the signals of a usual picture, which differs a little from every other.
    fn usual(number: usize) -> Signals {
        let noise = (number * 37 % 101) as f64 / 101.0 - 0.5;
        Signals {
            unlike: (0.8 * noise).exp(),
            contrast: (0.8 * noise).exp(),
            place: [0.25, 0.5],
            different: (0.3 * noise).exp(),
            spread: (0.2 * noise).exp(),
            softness: 0.2 * noise,
            brightness: 0.5 + 0.1 * noise,
            black: 0.0,
            white: 0.01,
            size: [200, 100],
            duplicate: None,
        }
    }

    fn findings(odd: &[Signals]) -> Vec<Finding> {
        let mut signals: Vec<Signals> = (0..100).map(usual).collect();
        signals.extend_from_slice(odd);
        let spreads = Spreads::new(&signals, &vec![true; signals.len()]);
        let names: Vec<String> = (0..signals.len()).map(|i| format!("{i}.png")).collect();
        rank(signals, &spreads, &names)
    }

    #[test]
    fn each_reason_makes_a_suspect_and_says_why() {
        let base = usual(0);
        let cases = [
            (
                Signals { unlike: 12.0, contrast: 9.0, ..base.clone() },
                ReasonKind::Unlike,
                "at x = 50, y = 50, 12",
            ),
            (
                Signals { different: 4.0, ..base.clone() },
                ReasonKind::Different,
                "as a whole, 4.0 times",
            ),
            (Signals { softness: 1.5, ..base.clone() }, ReasonKind::Blurred, "detail is 22 %"),
            (
                Signals { brightness: 0.05, ..base.clone() },
                ReasonKind::Dark,
                "brightness 5.0 % (usual 49.9 %)",
            ),
            (Signals { black: 0.4, ..base.clone() }, ReasonKind::Dark, "black pixels 40.0 %"),
            (Signals { brightness: 0.95, ..base.clone() }, ReasonKind::Bright, "brightness 95.0 %"),
            (
                Signals { white: 0.4, ..base.clone() },
                ReasonKind::Bright,
                "white pixels 40.0 % (usual 1.0 %)",
            ),
            (Signals { size: [200, 120], ..base.clone() }, ReasonKind::Shape, "200 x 120 pixels"),
            (
                Signals { duplicate: Some((7, 0.0)), ..base.clone() },
                ReasonKind::Duplicate,
                "the same picture as 7.png",
            ),
            (
                Signals { duplicate: Some((7, 0.1)), ..base.clone() },
                ReasonKind::Duplicate,
                "nearly the same picture as 7.png, with 10 %",
            ),
        ];
        for (odd, kind, words) in cases {
            let findings = findings(std::slice::from_ref(&odd));
            let first = &findings[0];
            assert!(first.suspect && first.picture == 100, "{odd:?}: {first:?}");
            assert_eq!(first.reasons[0].kind, kind, "{first:?}");
            assert!(first.reasons[0].words.contains(words), "{words}: {first:?}");
            assert_eq!(findings.iter().filter(|f| f.suspect).count(), 1, "{odd:?}");
        }
    }

    #[test]
    fn another_product_is_told_as_one_whatever_else_is_odd_about_it() {
        let other = Signals { different: 2.0, brightness: 0.05, ..usual(0) };
        let first = &findings(&[other])[0];
        let kinds: Vec<ReasonKind> = first.reasons.iter().map(|r| r.kind).collect();
        assert_eq!(kinds, [ReasonKind::Different, ReasonKind::Dark], "{first:?}");
        assert!(first.reasons[0].strength < first.reasons[1].strength, "{first:?}");
        assert_eq!(first.suspicion, first.reasons[1].strength);
    }

    #[test]
    fn clean_pictures_are_ranked_by_their_unlikeness_alone() {
        let findings = findings(&[]);
        assert!(findings.iter().all(|f| !f.suspect));
        assert!(findings.iter().all(|f| f.reasons.len() == 1));
        let half = findings.iter().filter(|f| f.suspicion > 0.0).count();
        assert!((40..=60).contains(&half), "{half}");
        let ranked: Vec<f64> = findings.iter().take(half).map(|f| f.signals.unlike).collect();
        assert!(ranked.windows(2).all(|two| two[0] >= two[1]), "{ranked:?}");
    }

    #[test]
    fn other_shapes_are_told_only_where_nearly_all_share_one() {
        let other = Signals { size: [100, 100], ..usual(3) };
        let kinds = |count: usize| {
            let findings = findings(&vec![other.clone(); count]);
            findings.iter().filter(|f| f.suspect).count()
        };
        assert_eq!((kinds(1), kinds(10), kinds(30)), (1, 10, 0));
    }
}
