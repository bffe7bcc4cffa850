//! `hetmm-edge --check`: everything that can be known before the line runs.

use crate::output;
use hetmm::gpio::{self, LineRef};
use hetmm::image::Size;
use hetmm::inspection::Pipeline;
use hetmm::line::config::{LineConfig, TriggerSource};
use hetmm::line::proof;
use hetmm::{Error, Result};
use std::path::Path;
use std::process::ExitCode;

/// Finds every device, proves the template, prints the resolved configuration.
pub fn run(config: &LineConfig) -> Result<ExitCode> {
    output::print(format_args!("{}\n", config.to_toml()?))?;
    let mut wrong: Vec<Error> = vec![];
    let mut note = |what: String, result: Result<String>| match result {
        Ok(found) => output::say(format_args!("ok    {what}: {found}")),
        Err(why) => {
            output::say(format_args!("WRONG {what}: {why}"));
            wrong.push(why);
        }
    };
    for (name, chip, line) in lines(config) {
        note(name, find(chip, line));
    }
    let camera = config.open_camera();
    let size = camera.as_ref().ok().and_then(|camera| camera.picture_size());
    note("camera".into(), camera.map(|camera| camera.describe()));
    let (records, archive) = (&config.records, config.archive.folder.as_deref());
    for (name, path) in [("records.file", &records.file), ("records.edges", &records.edges)] {
        if let Some(path) = path {
            note(name.into(), writable(path, "regular file", Path::is_file));
        }
    }
    if let Some(folder) = archive {
        note("archive.folder".into(), writable(folder, "folder", Path::is_dir));
    }
    let recipe = config.recipe();
    let proven = proof::load(&recipe);
    let shape = match (&proven, size) {
        (Ok(proven), Some(size)) => Some(shape(&proven.pipeline, size)),
        _ => None,
    };
    note("template".into(), proven.map(|proven| proven.describe(&recipe.file)));
    if let Some(shape) = shape {
        note("shape".into(), shape);
    }
    match wrong.into_iter().next() {
        None => Ok(ExitCode::SUCCESS),
        Some(first) => Ok(ExitCode::from(first.kind().exit_code())),
    }
}

/// That a path is of the right kind, or nothing yet.
fn writable(path: &Path, kind: &str, is_of_kind: fn(&Path) -> bool) -> Result<String> {
    match (is_of_kind(path), std::fs::symlink_metadata(path)) {
        (true, _) => Ok(path.display().to_string()),
        (false, Err(e)) if e.kind() == std::io::ErrorKind::NotFound => {
            Ok(format!("{}, made when it is needed", path.display()))
        }
        _ => {
            let what = format!("{}: not a {kind}, so nothing would be written", path.display());
            Err(Error::new(hetmm::error::Kind::Io, what).advise("name another one"))
        }
    }
}

/// Whether the camera's pictures have the shape of those that the template was built from.
fn shape(pipeline: &Pipeline, size: Size) -> Result<String> {
    pipeline.check_shape(size)?;
    Ok(match pipeline.other_size(size) {
        None => format!("the camera's pictures are {size}, as the template's"),
        Some(built_from) => {
            format!(
                "the camera's pictures are {size}, the template's {built_from}: they are scaled"
            )
        }
    })
}

type Wired<'a> = (String, Option<&'a String>, &'a LineRef);

/// Every GPIO line of the configuration.
fn lines(config: &LineConfig) -> Vec<Wired<'_>> {
    let mut lines: Vec<Wired<'_>> = vec![];
    if let (TriggerSource::Gpio, Some(line)) = (config.trigger.source, &config.trigger.line) {
        lines.push(("trigger".into(), config.trigger.chip.as_ref(), line));
    }
    if let Some(encoder) = &config.encoder {
        lines.push(("encoder".into(), encoder.chip.as_ref(), &encoder.line));
    }
    if !config.outputs.simulate {
        lines.extend(
            config
                .outputs
                .wired()
                .into_iter()
                .map(|wired| (format!("outputs.{}", wired.name), wired.chip, wired.line)),
        );
    }
    lines
}

fn find(chip: Option<&String>, line: &LineRef) -> Result<String> {
    let chip = chip.ok_or_else(|| Error::usage("no GPIO chip"))?;
    let found = gpio::find(chip, line)?;
    let place = format!("{} line {}", found.chip.display(), found.offset);
    match &found.user {
        None => Ok(place),
        Some(user) => {
            let what = format!("{place} is in use by \"{user}\"");
            Err(Error::new(hetmm::error::Kind::Io, what).advise(gpio::remedy(&found)))
        }
    }
}
