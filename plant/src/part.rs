//! Holds a part as the feed describes it.

use serde::Deserialize;
use serde_json::Value;

/// Holds what the feed says of a part that has left. Fields that nothing here needs stay in `json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    /// The number of the part since the start of `hetmm-edge`.
    pub part: u64,
    /// The wall clock when the part left, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The moment of the trigger, in microseconds of the device's monotonic clock.
    pub trigger_us: u64,
    /// What became of the part.
    pub outcome: Outcome,
    /// Why it was rejected, by the name of a [`hetmm::line::tracker::Reason`].
    pub why: Option<String>,
    /// The score of its picture.
    pub score: Option<f32>,
    /// The threshold of the template.
    pub threshold: Option<f32>,
    /// The regions where the part differs from the template.
    #[serde(default)]
    pub regions: Vec<Value>,
    /// The end of the inspection, in microseconds of the device's monotonic clock.
    pub result_us: Option<u64>,
    /// The durations of its stages, in microseconds, by their names.
    pub timing_us: Option<serde_json::Map<String, Value>>,
    /// What the gate was told.
    pub gate: Option<Gate>,
    /// The template that it was compared with.
    pub template: Option<Template>,
    /// The whole message.
    #[serde(skip)]
    pub json: Value,
}

/// Says what became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It passed the gate.
    Passed,
    /// It was rejected.
    Rejected,
}

/// Says when the gate was told, in microseconds of the device's monotonic clock.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Gate {
    /// The moment at which the pulse was due.
    pub due_us: u64,
    /// The moment at which it began.
    pub at_us: u64,
}

/// Names a template.
#[derive(Debug, Clone, Deserialize)]
pub struct Template {
    /// The BLAKE3 of its file, in hexadecimal digits.
    pub blake3: String,
    /// Its slot, if it is in one.
    pub slot: Option<u16>,
}

impl Part {
    /// Reads a part from a message of the feed.
    ///
    /// # Errors
    /// Says what is missing or of another kind.
    pub fn read(message: Value) -> Result<Self, String> {
        let part: Part = serde_json::from_value(message.clone()).map_err(|e| e.to_string())?;
        Ok(Part { json: message, ..part })
    }

    /// Returns the time from the trigger to the result, in microseconds.
    pub fn trigger_to_result_us(&self) -> Option<u64> {
        Some(self.result_us?.saturating_sub(self.trigger_us))
    }

    /// Returns how late the gate was told, in microseconds.
    pub fn gate_lateness_us(&self) -> Option<u64> {
        self.gate.map(|gate| gate.at_us.saturating_sub(gate.due_us))
    }

    /// Returns the score as a multiple of the threshold.
    pub fn ratio(&self) -> Option<f32> {
        let ratio = self.score? / self.threshold?;
        ratio.is_finite().then_some(ratio)
    }

    /// Returns what lists and charts show of the part.
    pub fn summary(&self) -> Value {
        let keys = ["part", "unix_ms", "outcome", "why", "score", "threshold", "regions"];
        let field = |key: &str| (key.to_owned(), self.json.get(key).cloned().unwrap_or_default());
        Value::Object(keys.into_iter().map(field).collect())
    }
}
