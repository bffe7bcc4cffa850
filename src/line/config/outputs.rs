//! Holds the keys of the output lines.

use crate::gpio::{Bias, ChipRef, EdgeKind, LineRef, Polarity};
use crate::line::tracker::Line;
use serde::{Deserialize, Serialize};

/// Says what the reject output does in the safe state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SafeLevel {
    /// The output is held active, so everything is rejected.
    #[default]
    Active,
    /// The output stays inactive. The fault output has to stop the belt.
    Inactive,
}

/// Describes an output.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// The GPIO chip, if it differs from that of `[outputs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// The GPIO line of the output.
    pub line: LineRef,
    /// The level that means active.
    #[serde(default)]
    pub active: Polarity,
}

/// Describes the reject output.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NgConfig {
    /// The GPIO chip, if it differs from that of `[outputs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// The GPIO line of the output.
    pub line: LineRef,
    /// The level that means active.
    #[serde(default)]
    pub active: Polarity,
    /// What the output does in the safe state.
    #[serde(default)]
    pub safe: SafeLevel,
    /// The input that shows that the valve follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<FeedbackConfig>,
}

/// Describes the input that is wired to the valve.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackConfig {
    /// The GPIO chip, if it differs from that of `[outputs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// The GPIO line.
    pub line: LineRef,
    /// The edge that follows the beginning of a pulse. It cannot be both edges.
    #[serde(default)]
    pub edge: EdgeKind,
    /// The pull resistor of the board.
    #[serde(default)]
    pub bias: Bias,
}

/// Describes the fault output.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultConfig {
    /// The GPIO chip, if it differs from that of `[outputs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// The GPIO line of the output.
    pub line: LineRef,
    /// The level that means healthy.
    #[serde(default)]
    pub healthy: Polarity,
}

/// Holds the table `[outputs]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputsConfig {
    /// The GPIO chip of outputs that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// The number of lines that this chip must have. Without it, any number is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Whether no GPIO line is driven, for a trial at the desk.
    #[serde(default)]
    pub simulate: bool,
    /// The width of the pulse on *ok*, in microseconds.
    #[serde(default = "pulse")]
    pub ok_pulse_width_us: u64,
    /// The time from trigger to strobe, in microseconds.
    #[serde(default)]
    pub strobe_delay_us: u64,
    /// The width of the strobe, in microseconds.
    #[serde(default = "strobe")]
    pub strobe_width_us: u64,
    /// The longest time from a pulse on *ng* to the edge of its feedback, in microseconds.
    #[serde(default = "follow")]
    pub feedback_max_us: u64,
    /// The time after which the heartbeat changes its level, in microseconds.
    #[serde(default = "beat")]
    pub heartbeat_half_period_us: u64,
    /// The output that rejects a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ng: Option<NgConfig>,
    /// The output that shows that something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultConfig>,
    /// The output that shows that a part passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<OutputConfig>,
    /// The output that shows that a trigger would be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<OutputConfig>,
    /// The output that shows that a part waits for its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<OutputConfig>,
    /// The output that switches the light for an exposure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strobe: Option<OutputConfig>,
    /// The output that changes its level as a sign of life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<OutputConfig>,
    /// The output that shows that light, focus or parts drift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<OutputConfig>,
}

/// Describes an output that the configuration names.
#[derive(Debug, Clone, Copy)]
pub struct Wired<'a> {
    /// The key of the output below `[outputs]`.
    pub name: &'static str,
    /// The meaning of the output.
    pub line_kind: Line,
    /// The GPIO chip of the output.
    pub chip: Option<ChipRef<'a>>,
    /// The GPIO line on that chip.
    pub line: &'a LineRef,
    /// The level that means active.
    pub active: Polarity,
}

/// Describes the feedback of the reject output.
#[derive(Debug, Clone, Copy)]
pub struct WiredFeedback<'a> {
    /// The GPIO chip of the input.
    pub chip: Option<ChipRef<'a>>,
    /// The keys of the input.
    pub config: &'a FeedbackConfig,
    /// Whether the input follows the output, if both are simulated. `None` if they are real.
    pub follows_simulated: Option<bool>,
}

impl OutputsConfig {
    /// Returns the feedback of the reject output, if there is one.
    pub fn feedback(&self) -> Option<WiredFeedback<'_>> {
        let ng = self.ng.as_ref()?;
        let config = ng.feedback.as_ref()?;
        let chip = config.chip.as_deref().map(ChipRef::named).or_else(|| self.common_chip());
        let edge = if ng.active.is_high(true) { EdgeKind::Rising } else { EdgeKind::Falling };
        let follows_simulated = self.simulate.then_some(config.edge == edge);
        Some(WiredFeedback { chip, config, follows_simulated })
    }

    /// Returns the chip of lines that name none.
    fn common_chip(&self) -> Option<ChipRef<'_>> {
        self.chip.as_deref().map(|name| ChipRef { name, lines: self.lines })
    }

    /// Returns every output that the configuration names.
    pub fn wired(&self) -> Vec<Wired<'_>> {
        let plain = [
            ("ok", Line::Ok, &self.ok),
            ("ready", Line::Ready, &self.ready),
            ("busy", Line::Busy, &self.busy),
            ("strobe", Line::Strobe, &self.strobe),
            ("heartbeat", Line::Heartbeat, &self.heartbeat),
            ("warning", Line::Warning, &self.warning),
        ];
        let plain = plain.into_iter().filter_map(|(name, line_kind, output)| {
            let o = output.as_ref()?;
            Some((name, line_kind, o.chip.as_ref(), &o.line, o.active))
        });
        let ng = self.ng.iter().map(|o| ("ng", Line::Ng, o.chip.as_ref(), &o.line, o.active));
        // Energised means healthy. So the line that is active when something is wrong has the opposite polarity.
        let fault = self.fault.iter().map(|o| {
            let active = match o.healthy {
                Polarity::High => Polarity::Low,
                Polarity::Low => Polarity::High,
            };
            ("fault", Line::Fault, o.chip.as_ref(), &o.line, active)
        });
        let all = ng.chain(fault).chain(plain);
        all.map(|(name, line_kind, chip, line, active)| {
            let chip = chip.map(|chip| ChipRef::named(chip)).or_else(|| self.common_chip());
            Wired { name, line_kind, chip, line, active }
        })
        .collect()
    }
}

fn pulse() -> u64 {
    20_000
}

fn strobe() -> u64 {
    5_000
}

fn follow() -> u64 {
    20_000
}

fn beat() -> u64 {
    500_000
}
