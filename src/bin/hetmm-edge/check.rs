//! `hetmm-edge --check` checks everything that can be known before the device inspects parts.

use crate::check_lines::{self, LineOptions};
use crate::output;
use crate::run;
use hetmm::image::Size;
use hetmm::inspection::Pipeline;
use hetmm::line::config::{CameraSource, LineConfig};
use hetmm::line::control::PlantUser;
use hetmm::line::evidence::device_key::DeviceKey;
use hetmm::line::proof::{self, Recipe};
use hetmm::line::slots::Selected;
use hetmm::{Error, Result};
use std::path::Path;
use std::process::ExitCode;

/// Tries every device file, checks the template, and prints the complete configuration.
pub fn run(path: &Path, config: &LineConfig, lines: &LineOptions) -> Result<ExitCode> {
    output::print(format_args!("{}\n", config.to_toml()?))?;
    let mut wrong: Vec<Error> = vec![];
    let mut note = |what: String, result: Result<String>| match result {
        Ok(found) => output::say(format_args!("ok    {what}: {found}")),
        Err(why) => {
            output::say(format_args!("WRONG {what}: {why}"));
            wrong.push(why);
        }
    };
    let is_running = run::is_running(path);
    check_lines::run(config, lines, is_running, &mut note);
    // A camera has one user. Whoever opens it a second time could change its settings.
    let is_taken = is_running && config.camera.source == CameraSource::V4l2;
    let camera = (!is_taken).then(|| config.open_camera());
    let size = camera.as_ref().and_then(|camera| camera.as_ref().ok()?.picture_size());
    let described = match camera {
        Some(camera) => camera.map(|camera| camera.describe()),
        None => Ok("the running program uses it, so it was not opened".into()),
    };
    note("camera".into(), described);
    let (records, archive) = (&config.records, config.archive.folder.as_deref());
    for (name, path) in [("records.file", &records.file), ("records.edges", &records.edges)] {
        if let Some(path) = path {
            note(name.into(), writable(path, "regular file", Path::is_file));
        }
    }
    if let Some(folder) = &records.folder {
        note("records.folder".into(), writable(folder, "folder", Path::is_dir));
    }
    if let Some(path) = &config.device.key_file {
        note("device.key_file".into(), device_key(path));
    }
    if let Some(folder) = archive {
        note("archive.folder".into(), writable(folder, "folder", Path::is_dir));
    }
    if let Some(file) = config.drift.file.as_ref().filter(|_| config.drift.watch) {
        note("drift.file".into(), writable(file, "regular file", Path::is_file));
    }
    if let Some(name) = &config.control.plant_user {
        let found = PlantUser::find(name, &config.control.plant_may);
        note("control.plant_user".into(), found.map(|found| format!("user {}", found.user)));
    }
    templates(config, size, &mut note);
    match wrong.into_iter().next() {
        None => Ok(ExitCode::SUCCESS),
        Some(first) => Ok(ExitCode::from(first.kind().exit_code())),
    }
}

/// Checks the template of `template.file` and those of all slots. `size` is that of the camera's pictures.
fn templates(
    config: &LineConfig,
    size: Option<Size>,
    note: &mut impl FnMut(String, Result<String>),
) {
    let slots = config.slots();
    let first = slots.unselected();
    let others = slots.all().filter(|other| other.file != config.template.file);
    for Selected { file, slot } in std::iter::once(first.clone()).chain(others) {
        let of_slot = slot.map_or_else(String::new, |slot| format!(" of slot {slot}"));
        let recipe = Recipe { file, slot, ..config.recipe() };
        let proven = proof::load(&recipe);
        let shape = match (&proven, size) {
            (Ok(proven), Some(size)) => Some(shape(&proven.pipeline, size)),
            _ => None,
        };
        note(format!("template{of_slot}"), proven.map(|proven| proven.describe(&recipe.file)));
        if let Some(shape) = shape {
            note(format!("shape{of_slot}"), shape);
        }
    }
    if !config.template.slots.is_empty() {
        let selected = slots.read().map(|selected| match selected.unwrap_or(first) {
            Selected { file, slot: Some(slot) } => format!("slot {slot}, {}", file.display()),
            Selected { file, slot: None } => {
                format!("no slot yet, so {} is used", file.display())
            }
        });
        note("selected template".into(), selected);
    }
}

/// Checks that a path has the right kind, or does not exist yet.
fn writable(path: &Path, kind: &str, is_of_kind: fn(&Path) -> bool) -> Result<String> {
    match (is_of_kind(path), std::fs::symlink_metadata(path)) {
        (true, _) => Ok(path.display().to_string()),
        (false, Err(e)) if e.kind() == std::io::ErrorKind::NotFound => {
            Ok(format!("{}, which is created when it is needed", path.display()))
        }
        _ => {
            let what = format!("{}: not a {kind}, so nothing can be written there", path.display());
            Err(Error::new(hetmm::error::Kind::Io, what)
                .advise("give another path in the configuration"))
        }
    }
}

/// Checks the key with which the device signs. It is not made here, because another user may run the check.
fn device_key(path: &Path) -> Result<String> {
    Ok(match DeviceKey::read_if_there(path)? {
        Some(key) => {
            format!("{}, key {}: {}", path.display(), key.public().id(), key.public().to_text())
        }
        None => format!("{}, which is made at the first start", path.display()),
    })
}

/// Whether the camera's pictures have the shape of those that the template was built from.
fn shape(pipeline: &Pipeline, size: Size) -> Result<String> {
    pipeline.check_shape(size)?;
    Ok(match pipeline.other_size(size) {
        None => format!("the camera's pictures are {size}, like those of the template"),
        Some(built_from) => {
            let what = if size.has_shape_of(built_from) { "scaled" } else { "squeezed" };
            format!(
                "the camera's pictures are {size}, the template's {built_from}: they are {what}"
            )
        }
    })
}
