//! `hetmm-edge collect` saves pictures with the camera and the trigger of the line.

use crate::output::say;
use crate::run::only_instance;
use crate::start::spawn;
use hetmm::line::collect::{Parts, Progress, collect};
use hetmm::line::config::{LineConfig, TriggerSource};
use hetmm::line::inputs::Inputs;
use hetmm::line::outbox::{Outbox, QUEUE};
use hetmm::{Result, camera::Camera};
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Saves `count` pictures into `folder`, and says on standard error what happens.
pub fn run(path: &Path, count: u32, folder: &Path) -> Result<ExitCode> {
    let config = LineConfig::read(path)?;
    let _only = only_instance(path)?;
    let (sender, triggers) = sync_channel(QUEUE);
    // The lines wait until the picture before is taken.
    let (ask, requests) = sync_channel(0);
    let hub = Outbox::new(sender, Arc::default());
    let us = Duration::from_micros;
    let by_trigger = Parts::Triggers {
        triggers: &triggers,
        delay: us(config.camera.capture_delay_us),
        patience: us(config.reject.deadline_us.unwrap_or(0)),
    };
    let (parts, what) = match config.trigger.source {
        TriggerSource::FreeRun => (Parts::Frames, "every frame makes a picture"),
        TriggerSource::Gpio => {
            let (trigger, hub) = (config.trigger.clone(), hub.clone());
            let inputs = Inputs::open(&trigger, None)?;
            spawn("trigger", move || inputs.run(&trigger, None, &hub))?;
            (by_trigger, "every edge of the trigger makes a picture")
        }
        TriggerSource::Software => {
            spawn("lines", move || ask_by_lines(&ask))?;
            let patience = us(config.reject.deadline_us.unwrap_or(0));
            let by_line = Parts::Requests { requests: &requests, patience };
            (by_line, "every line on standard input makes a picture (press Enter)")
        }
    };
    let mut camera = config.open_camera()?;
    say(format_args!("{}; {what}; no output is driven", camera.describe()));
    if config.outputs.strobe.is_some() {
        say("the strobe is not driven either: the light must be on");
    }
    save(&config, count, folder, camera.as_mut(), &parts)
}

fn save(
    config: &LineConfig,
    count: u32,
    folder: &Path,
    camera: &mut dyn Camera,
    parts: &Parts<'_>,
) -> Result<ExitCode> {
    let saved = AtomicU32::new(0);
    let tell = |progress: Progress<'_>| match progress {
        Progress::Saved(path) => {
            let number = saved.fetch_add(1, Ordering::SeqCst).saturating_add(1);
            say(format_args!("{number} of {count}: {}", path.display()));
        }
        Progress::Missed(why) => say(format_args!("a part has no picture: {why}")),
    };
    let done = collect(folder, count, camera, parts, &tell)?;
    let missed = match done.missed {
        0 => String::new(),
        missed => format!(", {missed} parts have none"),
    };
    say(format_args!("{} pictures are in {}{missed}", done.saved, folder.display()));
    if done.saved > 0 {
        let template = config.template.file.display();
        say(format_args!("next: hetmm build {} -o {template}", folder.display()));
    }
    Ok(ExitCode::from(u8::from(done.saved < count)))
}

/// Asks for a picture with each line on standard input.
fn ask_by_lines(ask: &SyncSender<()>) {
    let mut input = std::io::stdin().lock();
    while input.skip_until(b'\n').is_ok_and(|bytes| bytes > 0) && ask.send(()).is_ok() {}
}
