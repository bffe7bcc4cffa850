//! Tries the GPIO lines of the configuration: it finds each, requests all of them as a run would, and lets go of them.

use super::config::{EncoderConfig, LineConfig, TriggerSource, Wired};
use super::{expanders, feedback, inputs, outputs};
use crate::error::{Error, Kind, Result};
use crate::gpio::{
    self, Bias, BridgeEnd, ChipRef, Edges, Expander, Found, JetsonRelease, LineRef, Output, PinUse,
    Wiring,
};

/// What the names of all users begin with that belong to this program.
const OWN: &str = "hetmm-edge ";
/// The name of the user in a test of a wire.
const CONSUMER: &str = "hetmm-edge check";

/// Says how lines are tried.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Whether the outputs get their safe levels. Otherwise they keep direction and level.
    pub drive: bool,
    /// Whether lines are requested although this machine does not let go of them well.
    pub force: bool,
    /// Whether the program runs with this configuration, and so has the lines.
    pub is_running: bool,
    /// The release of Jetson Linux, if the machine is a Jetson.
    pub jetson: Option<JetsonRelease>,
}

/// Says what a trial of a line found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The line was requested and released.
    Requested,
    /// The running program has the line.
    HeldByRunningProgram,
    /// The line exists. It was not requested, because this machine does not let go of lines well.
    OnlyFound,
}

/// Holds what was found about a line.
#[derive(Debug, Clone)]
pub struct LineReport {
    /// The chip and the offset.
    pub found: Found,
    /// What the trial found.
    pub tried: Tried,
    /// To whom its pin belongs.
    pub pin: PinUse,
}

/// The name of the input that is wired to the valve.
const FEEDBACK: &str = "feedback";

/// Describes a line that the configuration names.
struct Use<'a> {
    name: String,
    chip: Option<ChipRef<'a>>,
    line: &'a LineRef,
    output: Option<Wired<'a>>,
}

/// Tries every GPIO line that a configuration names. Returns the report on each with its name, in the order of the
/// configuration.
pub fn try_lines(config: &LineConfig, trial: Trial) -> Vec<(String, Result<LineReport>)> {
    let uses = uses(config);
    let found: Vec<Result<Found>> = uses.iter().map(locate).collect();
    let mut reports: Vec<(String, Result<LineReport>)> = vec![];
    let requested = request_all(config, trial, &uses, &found);
    for (used, found) in uses.iter().zip(found) {
        let report = found.and_then(|found| {
            let tried = tried(used, &found, trial, &requested)?;
            let pin = gpio::pin_use(&found);
            Ok(LineReport { found, tried, pin })
        });
        reports.push((used.name.clone(), report));
    }
    reports
}

/// Returns every line that the configuration names.
fn uses(config: &LineConfig) -> Vec<Use<'_>> {
    let mut uses = vec![];
    let chip = config.trigger.chip_ref();
    if let (TriggerSource::Gpio, Some(line)) = (config.trigger.source, &config.trigger.line) {
        uses.push(Use { name: "trigger".into(), chip, line, output: None });
        uses.extend(config.encoder.iter().map(|encoder| Use {
            name: "encoder".into(),
            chip,
            line: &encoder.line,
            output: None,
        }));
    }
    if !config.outputs.simulate {
        let wired = config.outputs.wired().into_iter();
        let on_gpio = wired.filter(|wired| expanders::place(&config.expander, wired).is_none());
        uses.extend(on_gpio.map(|wired| Use {
            name: format!("outputs.{}", wired.name),
            chip: wired.chip,
            line: wired.line,
            output: Some(wired),
        }));
        uses.extend(config.outputs.feedback().map(|wired| Use {
            name: FEEDBACK.into(),
            chip: wired.chip,
            line: &wired.config.line,
            output: None,
        }));
    }
    uses
}

/// Looks whether every expander answers. It changes no level. Returns what was found about each with its name.
pub fn try_expanders(config: &LineConfig) -> Vec<(String, Result<String>)> {
    if config.outputs.simulate {
        return vec![];
    }
    let all = config.expander.iter().map(|(name, expander)| {
        let settings = expanders::settings(name, expander, &config.outputs);
        let place = format!("{} address {:#04x}", expander.bus.display(), expander.address);
        (format!("expander.{name}"), Expander::probe(&settings).map(|()| place))
    });
    all.collect()
}

fn locate(used: &Use<'_>) -> Result<Found> {
    let chip = used.chip.ok_or_else(|| {
        let what = "the configuration names no GPIO chip for this line";
        Error::usage(what).advise("give outputs.chip")
    })?;
    gpio::find(chip, used.line)
}

/// Holds the lines of a trial until all of them are requested.
struct Requested {
    inputs: Result<Option<Edges>>,
    feedback: Result<Option<Edges>>,
    outputs: Result<Vec<Output>>,
    /// Why lines that exist are wrong all the same: two purposes have one of them.
    shared: Result<()>,
}

/// Requests all lines at once, except for those that cannot be requested anyway.
fn request_all(
    config: &LineConfig,
    trial: Trial,
    uses: &[Use<'_>],
    found: &[Result<Found>],
) -> Requested {
    let there = || {
        let all = uses.iter().zip(found);
        all.filter_map(|(used, found)| Some((used, found.as_ref().ok()?)))
    };
    let shared = gpio::refuse_shared(there().map(|(used, found)| (used.name.as_str(), found)));
    let free = |(_, found): &(&Use<'_>, &Found)| found.user.is_none();
    let is_trial = may_request(trial) && shared.is_ok();
    let is_input = |used: &Use<'_>| used.output.is_none() && used.name != FEEDBACK;
    let inputs_free = there().filter(free).filter(|(used, _)| is_input(used)).count();
    let inputs_all = uses.iter().filter(|used| is_input(used)).count();
    let inputs = match is_trial && inputs_all > 0 && inputs_free == inputs_all {
        true => inputs::request(&config.trigger, config.encoder.as_ref()).map(Some),
        false => Ok(None),
    };
    let is_feedback_free = there().filter(free).any(|(used, _)| used.name == FEEDBACK);
    let wired_feedback = config.outputs.feedback().filter(|_| is_trial && is_feedback_free);
    let feedback = wired_feedback.map(|wired| feedback::request(&wired)).transpose();
    let wired: Vec<Wired<'_>> =
        there().filter(free).filter(|_| is_trial).filter_map(|(used, _)| used.output).collect();
    let outputs = outputs::request(&config.outputs, &wired, trial.drive);
    Requested { inputs, feedback, outputs, shared }
}

/// Returns whether lines can be requested and released without harm.
fn may_request(trial: Trial) -> bool {
    trial.force || !trial.jetson.is_some_and(JetsonRelease::loses_released_lines)
}

/// Says what the trial found about one line.
fn tried(used: &Use<'_>, found: &Found, trial: Trial, requested: &Requested) -> Result<Tried> {
    requested.shared.clone()?;
    match &found.user {
        Some(user) if trial.is_running && user.starts_with(OWN) => {
            return Ok(Tried::HeldByRunningProgram);
        }
        Some(user) if user.starts_with(OWN) => {
            let what = format!("{found}: a hetmm-edge with another configuration has it");
            return Err(Error::new(Kind::Io, what).advise("stop that one, or use another line"));
        }
        Some(user) => {
            let user = if user.is_empty() { "the kernel" } else { user };
            let what = format!("{found} is already in use by \"{user}\"");
            return Err(Error::new(Kind::Io, what).advise(gpio::remedy(found)));
        }
        None if !may_request(trial) => return Ok(Tried::OnlyFound),
        None => {}
    }
    let refusal = match used.output {
        Some(_) => requested.outputs.as_ref().err(),
        None if used.name == FEEDBACK => requested.feedback.as_ref().err(),
        None => requested.inputs.as_ref().err(),
    };
    match refusal {
        Some(why) => Err(why.clone()),
        None => Ok(Tried::Requested),
    }
}

/// Toggles an output that is wired to an input, by their names in the configuration: `ng` and `trigger`, for example.
/// Returns how many of [`gpio::TOGGLES`] changes the input followed.
///
/// # Errors
/// Returns [`Kind::Usage`] if the configuration has no such output or input, and [`Kind::Io`] if a line cannot be
/// requested.
pub fn try_wire(config: &LineConfig, output: &str, input: &str) -> Result<u32> {
    let uses = uses(config);
    let names = |is_output: bool| -> String {
        let named = uses.iter().filter(|used| used.output.is_some() == is_output);
        named.map(|used| used.name.trim_start_matches("outputs.")).collect::<Vec<_>>().join(", ")
    };
    let of_name = |name: &str, is_output: bool| {
        let matches = |used: &&Use<'_>| {
            used.output.is_some() == is_output && used.name.trim_start_matches("outputs.") == name
        };
        let kind = if is_output { "output" } else { "input" };
        uses.iter().find(matches).ok_or_else(|| {
            let what = format!("the configuration has no {kind} \"{name}\"");
            Error::usage(what).advise(format!("there are: {}", names(is_output)))
        })
    };
    let (from, to) = (of_name(output, true)?, of_name(input, false)?);
    let (Some(wired), Some(chip), Some(end)) = (from.output, from.chip, to.chip) else {
        return Err(Error::usage("a line has no GPIO chip").advise("give outputs.chip"));
    };
    let first = Some(expanders::safe_level(&config.outputs, &wired));
    let polarity = wired.active;
    let wiring = Wiring { name: &from.name, chip, line: from.line, polarity, first };
    let bias = bias_of(config, to);
    let end = BridgeEnd { name: &to.name, chip: end, line: to.line, bias };
    gpio::toggle(CONSUMER, &wiring, &end)
}

fn bias_of(config: &LineConfig, input: &Use<'_>) -> Bias {
    let encoder = |encoder: &EncoderConfig| encoder.bias;
    match input.name.as_str() {
        FEEDBACK => config.outputs.feedback().map_or(Bias::AsIs, |wired| wired.config.bias),
        "encoder" => config.encoder.as_ref().map_or(Bias::AsIs, encoder),
        _ => config.trigger.bias,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[template]\nfile = \"-\"\n[trigger]\nsource = \"gpio\"\nchip = \"a\"\n\
        line = 1\n[camera]\nsource = \"folder\"\nfolder = \"-\"\n[reject]\ndelay_us = 100000\n\
        pulse_width_us = 1000\n[outputs]\nchip = \"b\"\nng = { line = 1 }\nfault = { line = 2 }\n";

    fn found(user: Option<&str>) -> Found {
        Found {
            chip: "/dev/gpiochip0".into(),
            label: "a".into(),
            offset: 1,
            user: user.map(str::to_owned),
            warning: None,
        }
    }

    #[test]
    fn a_line_in_use_is_right_only_where_the_running_program_has_it() {
        let config = LineConfig::parse(CONFIG, "test").expect("reads");
        let uses = uses(&config);
        let names: Vec<&str> = uses.iter().map(|used| used.name.as_str()).collect();
        assert_eq!(names, ["trigger", "outputs.ng", "outputs.fault"]);
        let requested =
            Requested { inputs: Ok(None), feedback: Ok(None), outputs: Ok(vec![]), shared: Ok(()) };
        let affected = JetsonRelease { major: 36, revision: (4, 4) };
        let trial = Trial { drive: false, force: false, is_running: false, jetson: None };
        let running = Trial { is_running: true, ..trial };
        let jetson = Trial { jetson: Some(affected), ..trial };
        let forced = Trial { force: true, ..jetson };
        for (user, trial, expected) in [
            (None, trial, Ok(Tried::Requested)),
            (None, jetson, Ok(Tried::OnlyFound)),
            (None, forced, Ok(Tried::Requested)),
            (Some("hetmm-edge outputs"), running, Ok(Tried::HeldByRunningProgram)),
            (Some("hetmm-edge outputs"), trial, Err("another configuration")),
            (Some("gpioset"), running, Err("in use by \"gpioset\"")),
            (Some(""), trial, Err("in use by \"the kernel\"")),
        ] {
            let result = tried(&uses[1], &found(user), trial, &requested);
            match (result, expected) {
                (Ok(tried), Ok(expected)) => assert_eq!(tried, expected, "{user:?}"),
                (Err(error), Err(word)) => assert!(error.to_string().contains(word), "{error}"),
                (result, expected) => panic!("{user:?}: {result:?} and not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_wire_has_two_ends_that_the_configuration_names() {
        let config = LineConfig::parse(CONFIG, "test").expect("reads");
        for (output, input, word) in [
            ("ok", "trigger", "no output \"ok\"\n  -> there are: ng, fault"),
            ("ng", "encoder", "no input \"encoder\"\n  -> there are: trigger"),
            ("trigger", "ng", "no output \"trigger\""),
        ] {
            let error = try_wire(&config, output, input).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
