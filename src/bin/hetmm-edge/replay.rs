//! `--replay DIR` runs the real program on recorded triggers and pictures.

use hetmm::Result;
use hetmm::camera::{Camera, Recorded, ReplayCamera, read_recording};
use hetmm::clock::LineTime;
use hetmm::line::alive::Alive;
use hetmm::line::config::{CameraSource, LineConfig, TriggerSource};
use hetmm::line::messages::Message;
use hetmm::line::outbox::Outbox;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A recording and the moment at which it was started.
pub struct Replay {
    parts: Vec<Recorded>,
    start: Arc<OnceLock<LineTime>>,
}

impl Replay {
    /// Reads the recording, and replaces camera, trigger and outputs of the configuration.
    pub fn open(folder: &Path, config: &mut LineConfig) -> Result<Self> {
        let parts = read_recording(folder)?;
        config.outputs.simulate = true;
        config.trigger.source = TriggerSource::Software;
        config.camera.source = CameraSource::Folder;
        config.camera.strobe_must_cover = false;
        config.encoder = None;
        // A recording is not the line: what the watch has learned stays as it is.
        config.drift.watch = false;
        if let (Some(_), Some(deadline)) = (config.reject.delay_counts, config.reject.deadline_us) {
            log::warn!("a recording has no encoder, so a part passes the gate at its deadline");
            config.reject.delay_counts = None;
            config.reject.delay_us = Some(deadline);
        }
        if config.reject.min_pitch_counts.take().is_some() {
            config.reject.min_pitch_us = Some(config.reject.pulse_width_us);
        }
        Ok(Replay { parts, start: Arc::default() })
    }

    /// The camera that shows its pictures.
    pub fn camera(&self) -> Box<dyn Camera> {
        Box::new(ReplayCamera::new(self.start.clone(), self.parts.clone()))
    }

    /// Plays the triggers as soon as the device is ready, then waits until the last part has passed the gate.
    pub fn run(&self, hub: &Outbox, alive: &Alive) {
        while !alive.was_ready() {
            if hub.stopped() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let start = LineTime::now() + Duration::from_millis(100);
        let _ = self.start.set(start);
        for part in &self.parts {
            let at = start + part.at;
            std::thread::sleep(at.since(LineTime::now()));
            if hub.stopped() {
                return;
            }
            hub.trigger(at, 0);
        }
        hub.send(Message::Finish);
    }
}
