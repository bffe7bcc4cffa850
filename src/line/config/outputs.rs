//! The keys of the output lines.

use crate::gpio::{LineRef, Polarity};
use crate::line::tracker::Line;
use serde::{Deserialize, Serialize};

/// What the reject output does in the safe state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SafeLevel {
    /// It is held: everything is rejected.
    #[default]
    Active,
    /// It is left alone; the fault line has to stop the belt.
    Inactive,
}

/// An output line.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// GPIO chip, where it is not that of `[outputs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Its line.
    pub line: LineRef,
    /// Which level is active.
    #[serde(default)]
    pub active: Polarity,
}

/// The reject output.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NgConfig {
    /// GPIO chip, where it is not that of `[outputs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Its line.
    pub line: LineRef,
    /// Which level is active.
    #[serde(default)]
    pub active: Polarity,
    /// What it does in the safe state.
    #[serde(default)]
    pub safe: SafeLevel,
}

/// The fault output.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultConfig {
    /// GPIO chip, where it is not that of `[outputs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Its line.
    pub line: LineRef,
    /// The level that means healthy.
    #[serde(default)]
    pub healthy: Polarity,
}

/// `[outputs]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputsConfig {
    /// GPIO chip of lines that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// No line is driven; for a trial at the desk.
    #[serde(default)]
    pub simulate: bool,
    /// Width of the pulse on ok.
    #[serde(default = "pulse")]
    pub ok_pulse_width_us: u64,
    /// From trigger to strobe.
    #[serde(default)]
    pub strobe_delay_us: u64,
    /// Width of the strobe.
    #[serde(default = "strobe")]
    pub strobe_width_us: u64,
    /// The heartbeat changes its level this often.
    #[serde(default = "beat")]
    pub heartbeat_half_period_us: u64,
    /// Reject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ng: Option<NgConfig>,
    /// Unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultConfig>,
    /// Pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<OutputConfig>,
    /// A trigger would be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<OutputConfig>,
    /// A part waits for its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<OutputConfig>,
    /// Light.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strobe: Option<OutputConfig>,
    /// Sign of life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<OutputConfig>,
}

/// An output that is given.
#[derive(Debug, Clone, Copy)]
pub struct Wired<'a> {
    /// Its name below `[outputs]`.
    pub name: &'static str,
    /// What it means.
    pub line_kind: Line,
    /// Its GPIO chip.
    pub chip: Option<&'a String>,
    /// Its line there.
    pub line: &'a LineRef,
    /// Which level is active.
    pub active: Polarity,
}

impl OutputsConfig {
    /// Every output that is given.
    pub fn wired(&self) -> Vec<Wired<'_>> {
        let plain = [
            ("ok", Line::Ok, &self.ok),
            ("ready", Line::Ready, &self.ready),
            ("busy", Line::Busy, &self.busy),
            ("strobe", Line::Strobe, &self.strobe),
            ("heartbeat", Line::Heartbeat, &self.heartbeat),
        ];
        let plain = plain.into_iter().filter_map(|(name, line_kind, output)| {
            let o = output.as_ref()?;
            Some((name, line_kind, o.chip.as_ref(), &o.line, o.active))
        });
        let ng = self.ng.iter().map(|o| ("ng", Line::Ng, o.chip.as_ref(), &o.line, o.active));
        // Energised means healthy: the line that is active when something is wrong has the
        // opposite polarity.
        let fault = self.fault.iter().map(|o| {
            let active = match o.healthy {
                Polarity::High => Polarity::Low,
                Polarity::Low => Polarity::High,
            };
            ("fault", Line::Fault, o.chip.as_ref(), &o.line, active)
        });
        let all = ng.chain(fault).chain(plain);
        all.map(|(name, line_kind, chip, line, active)| {
            let chip = chip.or(self.chip.as_ref());
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

fn beat() -> u64 {
    500_000
}
