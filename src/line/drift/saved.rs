//! Holds the state of the watch as it is kept in a file.
//!
//! The file has two lines: the state as JSON, and the BLAKE3 of the first line. A file whose digest or numbers are
//! wrong is refused as a whole.

use super::chart::{Chart, Cusum};
use super::reference::Reference;
use super::sample::Series;
use serde::{Deserialize, Serialize};

/// The version of the file.
const FORMAT: u32 = 1;
/// The largest numbers of blocks, hours and decisions in a file.
const MOST_BLOCKS: usize = 10_000;
const MOST_HOURS: usize = 48;
const MOST_DECISIONS: usize = 50;
/// The largest number of characters of a name.
const MOST_NAME: usize = 200;

/// Says what a reference belongs to. Another template, camera setting or block begins a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The BLAKE3 of the template's file, in hexadecimal.
    pub template: String,
    /// The BLAKE3 of the camera's settings, in hexadecimal.
    pub camera: String,
    /// The shortest time of a block, in seconds.
    pub block_s: u64,
    /// The smallest number of parts in a block.
    pub block_parts: u32,
}

/// Records that somebody had the watch learn anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether a warning was accepted as the new normal.
    pub accepted: bool,
    /// Who asked for it.
    pub who: String,
    /// The wall clock, in seconds since 1970. It is for people. Nothing is timed by it.
    pub unix_s: u64,
    /// The charts that warned.
    pub warned: Vec<Chart>,
    /// The sums of all charts, in the order of [`Chart::ALL`].
    pub sums: [f64; Chart::ALL.len()],
}

/// Says whether the watch learns or watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Phase {
    /// The watch learns from these blocks so far.
    Learning(Vec<[f64; Series::ALL.len()]>),
    /// The watch compares with what it has learned.
    Watching(Reference),
}

/// Holds what is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// What the state belongs to, if any part was judged yet.
    pub binding: Option<Binding>,
    /// What the watch does.
    pub phase: Phase,
    /// The sums, in the order of [`Chart::ALL`].
    pub charts: [Cusum; Chart::ALL.len()],
    /// The smoothed deviations of the series, in standard deviations.
    pub trends: [f64; Series::ALL.len()],
    /// How far the first day's scores were above those of the template's good pictures, in standard deviations.
    pub day_one: Option<f64>,
    /// Whether that difference was accepted.
    pub day_one_accepted: bool,
    /// For how many seconds the watch has run.
    pub run_s: f64,
    /// The points of the forecast.
    pub hours: Vec<[f64; 2]>,
    /// What people have decided, the newest last.
    pub decisions: Vec<Decision>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    hetmm_drift: u32,
    state: Saved,
}

impl Saved {
    /// Adds a decision, and forgets the oldest ones.
    pub(super) fn decide(&mut self, decision: Decision) {
        self.decisions.push(decision);
        let surplus = self.decisions.len().saturating_sub(MOST_DECISIONS);
        self.decisions.drain(..surplus);
    }

    /// Returns the contents of the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let file = File { hetmm_drift: FORMAT, state: self.clone() };
        let line = serde_json::to_string(&file).unwrap_or_default();
        format!("{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex()).into_bytes()
    }

    /// Reads the contents of a file, or says why they cannot be used.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        let (line, digest) = text.split_once('\n').ok_or("its second line is missing")?;
        if digest != format!("{}\n", blake3::hash(line.as_bytes()).to_hex()) {
            return Err("it is damaged: its digest is wrong".into());
        }
        let file: File =
            serde_json::from_str(line).map_err(|e| format!("it cannot be understood: {e}"))?;
        match (file.hetmm_drift, file.state.validate()) {
            (FORMAT, Ok(())) => Ok(file.state),
            (FORMAT, Err(what)) => Err(format!("it is not valid: {what}")),
            (version, _) => Err(format!("it is of version {version}; this program reads 1")),
        }
    }

    /// Refuses numbers that the watch does not write. The error names them.
    fn validate(&self) -> Result<(), &'static str> {
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        let check = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        match &self.phase {
            Phase::Learning(blocks) => {
                check(blocks.len() <= MOST_BLOCKS, "blocks")?;
                check(blocks.iter().all(|block| finite(block)), "blocks")?;
            }
            Phase::Watching(reference) => check(reference.is_valid(), "reference")?,
        }
        check(self.charts.iter().all(Cusum::is_valid), "charts")?;
        check(finite(&self.trends), "trends")?;
        check(self.day_one.is_none_or(f64::is_finite), "day_one")?;
        check((0.0..1e12).contains(&self.run_s), "run_s")?;
        check(self.hours.len() <= MOST_HOURS, "hours")?;
        check(self.hours.iter().all(|point| finite(point)), "hours")?;
        check(self.decisions.len() <= MOST_DECISIONS, "decisions")?;
        check(self.decisions.iter().all(Decision::is_valid), "decisions")?;
        let is_digest = |text: &String| text.len() == 64;
        let bound = self.binding.as_ref();
        check(bound.is_none_or(|b| is_digest(&b.template) && is_digest(&b.camera)), "binding")
    }
}

impl Decision {
    fn is_valid(&self) -> bool {
        self.who.len() <= MOST_NAME
            && self.warned.len() <= Chart::ALL.len()
            && self.sums.iter().all(|sum| sum.is_finite())
    }
}
