//! From signals to reasons, and from reasons to one ranking. No pictures here: numbers in, numbers
//! and words out.

use super::robust::Spread;
use serde::Serialize;

/// Why a picture may not belong to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// Some place of it looks like no other picture.
    Unlike,
    /// Most of it looks like no other picture.
    Different,
    /// It is softer than the others.
    Blurred,
    /// It is darker than the others, or more of it is black.
    Dark,
    /// It is brighter than the others, or more of it is white.
    Bright,
    /// It has another shape than nearly all others.
    Shape,
    /// It is there twice, or nearly.
    Duplicate,
}

/// One reason, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// Which.
    pub kind: ReasonKind,
    /// How far beyond its bar, 1 at the bar.
    pub strength: f32,
    /// The same in words, with the numbers.
    pub words: String,
}

/// A picture's place in the ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Its number among the pictures.
    #[serde(skip)]
    pub picture: usize,
    /// The strength of its strongest reason.
    pub suspicion: f32,
    /// Whether that is beyond the bar.
    pub suspect: bool,
    /// Whether it is so far beyond that the picture cannot be a rare good part: it is a stray.
    pub stray: bool,
    /// Reasons of at least half their bar's strength, strongest first, but for one: what differs as a whole
    /// beyond the bar does so first, since the others follow from it. The strongest of all where none is.
    pub reasons: Vec<Reason>,
    /// What was measured.
    pub signals: Signals,
}

/// What is measured of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signals {
    /// Largest excess over what the others leave, about 1 for a usual picture.
    pub unlike: f64,
    /// How far that excess rises above its surroundings, where it does so most.
    pub contrast: f64,
    /// Where the largest excess is, parts 0..=1 of the picture's width and height.
    pub place: [f64; 2],
    /// Distance of the whole picture to the nearest tenth of the others, in parts of the usual one
    /// between any two.
    pub different: f64,
    /// Mean distance to the nearest other at every place, 1 for a usual picture.
    pub spread: f64,
    /// Logarithm of coarse over finest detail.
    pub softness: f64,
    /// Mean of all samples, 0..=1.
    pub brightness: f64,
    /// Part of the samples that are black, 0..=1.
    pub black: f64,
    /// Part of the samples that are white, 0..=1.
    pub white: f64,
    /// Columns and rows of the file's picture.
    pub size: [u32; 2],
    /// The other picture that it is nearly the same as, and the difference in parts of the usual
    /// one between nearest neighbours; 0 for the same file.
    #[serde(skip)]
    pub duplicate: Option<(usize, f64)>,
}

/// What a deviation says, in robust standard deviations: nothing up to `from`, enough for a suspect at
/// `bar`.
struct Bar {
    from: f64,
    bar: f64,
}

/// The unlikeness alone orders what is not suspect; clean folders reach 4.
const UNLIKE: Bar = Bar { from: 0.0, bar: 4.5 };
/// Clean folders reach 4.
const DIFFERENT: Bar = Bar { from: 3.5, bar: 5.5 };
/// Clean folders reach 3.
const BLURRED: Bar = Bar { from: 3.0, bar: 5.0 };
/// Light varies for many harmless reasons; clean folders reach 6.
const LIGHT: Bar = Bar { from: 5.0, bar: 8.0 };
/// Least deviations: what is smaller is rounding or of no account.
const LEAST_LOG: f64 = 0.05;
const LEAST_BRIGHTNESS: f64 = 0.01;
const LEAST_CLIPPED: f64 = 0.02;
/// Part of the pictures that must share a shape before another one is odd, and how much the ratio of
/// the sides may differ.
const SAME_SHAPE: f64 = 0.9;
const SHAPE: f64 = 0.02;
/// The strength from which on a picture with one odd place is a stray, that is no rare good part but something else.
const STRAY_BY_PLACE: f32 = 2.0;
/// The same for a picture that is too dark, too bright, blurred or of another shape; a dark or blurred frame reaches 4
/// to 14. `docs/thresholds.md` has what this leaves out of clean folders.
const STRAY_AS_A_WHOLE: f32 = 4.0;
/// The same for a picture whose features differ as a whole. Good parts in another light reach 4.4; a dark, blurred or
/// shifted frame and another product reach 11 and more where parts lie in one place.
const STRAY_BY_FEATURES: f32 = 5.5;
/// The strength from which on a picture may not vouch for others.
pub const DOUBTFUL: f64 = 0.8;

impl Reason {
    /// Whether it says that its picture is another one than the rest: everything else then follows from that.
    fn is_another(&self) -> bool {
        self.kind == ReasonKind::Different && self.strength >= 1.0
    }

    /// Whether it alone makes its picture a stray, which differs as a whole or not. Being there twice does not. Places
    /// of a picture that differs as a whole are odd because all of it is.
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

/// How all signals of a folder are spread.
pub struct Spreads {
    unlike: Spread,
    contrast: Spread,
    spread: Spread,
    different: Spread,
    softness: Spread,
    brightness: Spread,
    black: Spread,
    white: Spread,
    /// The shape of nearly all: the logarithm of width over height, and a size that has it.
    shape: Option<(f64, [u32; 2])>,
}

/// A reason, its strength, and what says it in words.
type Measured = (ReasonKind, f64, String);

impl Spreads {
    /// Over the pictures that `counts`.
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

    /// The unlikeness at which a picture becomes a suspect.
    pub fn unlike_bar(&self) -> f64 {
        (self.unlike.centre + UNLIKE.bar * self.unlike.deviation).exp()
    }

    /// How odd the oddest place of a picture is: the mean of the deviations of its excess and of what
    /// that rises above its surroundings. A defect stands out; what is odd all around seldom is one.
    fn unlike_z(&self, s: &Signals) -> f64 {
        (self.unlike.z(log(s.unlike)) + self.contrast.z(log(s.contrast))) / 2.0
    }

    /// The largest strength of what a picture shows, of its sharpness and of its light. What is a
    /// little odd in many places is no reason of its own, but enough for doubt.
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

    /// All reasons of a picture, each kind once, in the order of [`Finding::reasons`].
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

/// All pictures, the most suspicious first; `names` are theirs.
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

/// The shape that nearly all pictures have.
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

/// The logarithm, of at least a hundredth.
fn log(value: f64) -> f64 {
    value.max(0.01).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A usual picture, a little different from every other.
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
