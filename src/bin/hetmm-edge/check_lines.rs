//! The part of `--check` that is about GPIO lines: what was found about each, in words.

use crate::output;
use hetmm::Result;
use hetmm::gpio::{JetsonRelease, PinUse, TOGGLES};
use hetmm::line::config::LineConfig;
use hetmm::line::wiring::{LineReport, Trial, Tried, try_expanders, try_lines, try_wire};

/// What the command line says about the lines.
#[derive(Debug, Clone, Default)]
pub struct LineOptions {
    /// Whether outputs get their safe levels.
    pub drive: bool,
    /// Whether lines are requested on a machine that does not let go of them well.
    pub force: bool,
    /// The names of an output and an input that are wired together for a trial.
    pub wire: Option<(String, String)>,
}

/// Tries every GPIO line, and hands over what was found about each with its name.
pub fn run(
    config: &LineConfig,
    options: &LineOptions,
    is_running: bool,
    mut note: impl FnMut(String, Result<String>),
) {
    let jetson = JetsonRelease::of_this_machine();
    if let Some(release) = jetson.filter(|release| release.loses_released_lines()) {
        output::say(format_args!(
            "note  {release} (JetPack 6.2.1) switches a pad away from GPIO when its line is released. This also happens \
             whenever hetmm-edge restarts: update to JetPack 6.2.2, and until then rely on the pull resistors only. \
             --force-request requests the lines all the same"
        ));
    }
    let trial = Trial { drive: options.drive, force: options.force, is_running, jetson };
    for (name, report) in try_lines(config, trial) {
        let words = report.map(|report| {
            for doubt in doubts(&report) {
                output::say(format_args!("note  {name}: {doubt}"));
            }
            in_words(&report, options.drive && name.starts_with("outputs."))
        });
        note(name, words);
    }
    for (name, report) in try_expanders(config) {
        note(name, report);
    }
    if let Some((output, input)) = &options.wire {
        let result = try_wire(config, output, input).and_then(followed_in_words);
        note(format!("wire from {output} to {input}"), result);
    }
}

fn in_words(report: &LineReport, driven: bool) -> String {
    let tried = match report.tried {
        Tried::Requested if driven => "requested with its safe level",
        Tried::Requested => "requested",
        Tried::HeldByRunningProgram => "held by the running program",
        Tried::OnlyFound => "not requested",
    };
    let pin = match &report.pin {
        PinUse::Gpio => "the pin belongs to GPIO".into(),
        PinUse::Other(function) => format!("the pin belongs to {function}"),
        PinUse::InputOnly => "the pad is input only".into(),
        PinUse::Unknown => "the use of the pin is unknown".into(),
        PinUse::NotVerified => {
            "the use of the pin was not verified (root sees it below /sys/kernel/debug)".to_owned()
        }
    };
    format!("{} ({}), {tried}; {pin}", report.found, report.found.label)
}

/// Says what a person has to look at, although the line can be requested.
fn doubts(report: &LineReport) -> Vec<String> {
    let mut doubts: Vec<String> = report.found.warning.iter().cloned().collect();
    match &report.pin {
        PinUse::Other(function) => {
            doubts.push(format!(
                "{function} has the pin, so the line has no effect: change the pin multiplexing"
            ));
        }
        PinUse::InputOnly => {
            doubts.push(
                "the pad is input only, so an output has no effect: change the pin multiplexing"
                    .into(),
            );
        }
        PinUse::Gpio | PinUse::Unknown | PinUse::NotVerified => {}
    }
    doubts
}

fn followed_in_words(followed: u32) -> Result<String> {
    let words = format!("the input followed {followed} of {TOGGLES} changes");
    if followed == TOGGLES {
        return Ok(words);
    }
    let remedy = "look at the wire, at the pin multiplexing and at the pull resistor of the input";
    Err(hetmm::Error::new(hetmm::error::Kind::Io, words).advise(remedy))
}
