//! Reads the configuration of the production line: a TOML file that is checked strictly.
//!
//! An unknown key, a value out of range and two contradicting keys are errors. Each names the file, the line number and
//! the remedy. Defaults are filled in for what the file leaves out. So a resolved configuration holds every value.

mod camera;
mod check;
mod check_expanders;
mod check_plant;
mod drift;
mod expanders;
mod locate;
mod outputs;
mod plant;
mod schema;
mod translate;

pub use drift::DriftConfig;
pub use expanders::{ExpanderConfig, Expanders};
pub use outputs::{
    FaultConfig, FeedbackConfig, NgConfig, OutputConfig, OutputsConfig, SafeLevel, Wired,
    WiredFeedback,
};
pub use plant::{
    Broker, Language, MetricsConfig, ModbusConfig, MqttConfig, PublishedParts, WebConfig, WordOrder,
};
pub use schema::*;

use crate::error::{Error, Kind, Result};
use locate::Located;
use std::path::Path;

/// The largest configuration file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

impl LineConfig {
    /// Reads and checks a configuration file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] with file, line number and remedy, or [`Kind::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let unreadable = |e| Error::io(path, "the configuration cannot be read", &e);
        let bytes = crate::files::read_regular(path, MAX_BYTES, Kind::Usage)?;
        let text = String::from_utf8(bytes)
            .map_err(|e| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, e)))?;
        let mut config = Self::parse(&text, &path.display().to_string())?;
        let absolute = std::path::absolute(path).map_err(unreadable)?;
        config.resolve_paths(crate::files::folder_of(&absolute));
        Ok(config)
    }

    /// Checks a configuration. Errors begin with `name` and the line number.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let located = Located::new(text, name);
        let mut config: LineConfig = toml::from_str(text).map_err(|e| {
            let at = located.line_of(e.span());
            Error::new(Kind::Usage, format!("{name}:{at}: {}", e.message().replace('\n', "; ")))
                .advise("every key is explained in firmware-config/line.toml")
        })?;
        config.fill_in();
        check::check(&config, &located)?;
        Ok(config)
    }

    /// Returns the resolved configuration as the text of a file that could be read again.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self)
            .map_err(|e| Error::usage(format!("the configuration cannot be shown: {e}")))
    }

    /// Fills in the values that follow from others.
    fn fill_in(&mut self) {
        let reject = &mut self.reject;
        if reject.deadline_us.is_none() {
            reject.deadline_us = reject.delay_us;
        }
        if reject.min_pitch_us.is_none() && reject.min_pitch_counts.is_none() {
            match reject.delay_counts {
                Some(_) => reject.min_pitch_counts = Some(1),
                None => reject.min_pitch_us = Some(reject.pulse_width_us),
            }
        }
        camera::fill_in(&mut self.camera);
        let template = &mut self.template;
        let tensorrt = matches!(template.device, FeatureDevice::TensorRt | FeatureDevice::Auto);
        if tensorrt && template.engine_cache.is_none() {
            template.engine_cache = Some(crate::files::folder_of(&template.file).join("tensorrt"));
        }
        if self.device.key_file.is_none() && (self.template.device_signs || self.signs_records()) {
            let beside = self.records.folder.as_ref().unwrap_or(&self.template.file);
            self.device.key_file = Some(crate::files::folder_of(beside).join("device.key"));
        }
        if self.encoder.as_ref().is_some_and(|e| e.chip.is_none())
            && let Some(encoder) = &mut self.encoder
        {
            encoder.chip.clone_from(&self.trigger.chip);
        }
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let paths = [
            Some(&mut self.template.file),
            self.template.backbone.as_mut(),
            self.template.onnxruntime.as_mut(),
            self.template.engine_cache.as_mut(),
            self.template.inbox.as_mut(),
            self.camera.folder.as_mut(),
            self.records.file.as_mut(),
            self.records.edges.as_mut(),
            self.records.folder.as_mut(),
            self.device.key_file.as_mut(),
            self.archive.folder.as_mut(),
            self.control.socket.as_mut(),
            self.drift.file.as_mut(),
            self.feed.socket.as_mut(),
            self.mqtt.ca.as_mut(),
            self.mqtt.cert.as_mut(),
            self.mqtt.key_file.as_mut(),
            self.mqtt.password_file.as_mut(),
            self.web.tls_cert.as_mut(),
            self.web.tls_key.as_mut(),
            Some(&mut self.web.users),
        ];
        let slots = self.template.slots.values_mut().map(Some);
        let buses = self.expander.values_mut().map(|expander| Some(&mut expander.bus));
        for path in paths.into_iter().chain(slots).chain(buses).flatten() {
            *path = folder.join(&path);
        }
    }
}

#[cfg(test)]
mod tests;
