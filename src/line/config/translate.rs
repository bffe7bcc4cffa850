//! Translates the configuration into the settings of the part tracker, the inspection and the camera.

use super::outputs::SafeLevel;
use super::schema::{CameraSource, FeatureDevice, LineConfig, StrobeSource, TriggerSource};
use crate::backbone::{self, Device};
use crate::camera::{
    BayerMode, Camera, FolderCamera, FolderSettings, RawSettings, V4l2Camera, V4l2Settings,
};
use crate::error::{Error, Result};
use crate::image::Size;
use crate::line::device_identity;
use crate::line::evidence::{DeviceName, Event, Settings as Evidence, Software};
use crate::line::inbox::Inbox;
use crate::line::proof::{BayerPictures, Recipe};
use crate::line::slots::Slots;
use crate::line::tracker::{Pitch, Settings, Travel};
use crate::line::trust::Trust;
use crate::template::signature::TrustedKey;
use std::time::Duration;

impl LineConfig {
    /// Returns the settings of the part tracker.
    pub fn tracker_settings(&self) -> Settings {
        let us = Duration::from_micros;
        let (reject, outputs) = (&self.reject, &self.outputs);
        let deadline = reject.deadline_us.unwrap_or(0);
        Settings {
            travel: match reject.delay_counts {
                Some(counts) => Travel::Counts(counts),
                None => Travel::Time(us(reject.delay_us.unwrap_or(deadline))),
            },
            min_pitch: match reject.min_pitch_counts {
                Some(counts) => Pitch::Counts(counts),
                None => Pitch::Time(us(reject.min_pitch_us.unwrap_or(reject.pulse_width_us))),
            },
            deadline: us(deadline),
            ng_width: us(reject.pulse_width_us),
            ok_width: us(outputs.ok_pulse_width_us),
            strobe_delay: us(outputs.strobe_delay_us),
            strobe_width: if outputs.strobe.is_some() {
                us(outputs.strobe_width_us)
            } else {
                Duration::ZERO
            },
            heartbeat_half_period: if outputs.heartbeat.is_some() {
                us(outputs.heartbeat_half_period_us)
            } else {
                Duration::ZERO
            },
            max_in_flight: reject.max_in_flight,
            max_waiting: reject.max_waiting,
            alarm_after: reject.alarm_after,
            ng_active_when_safe: outputs.ng.as_ref().is_some_and(|n| n.safe == SafeLevel::Active),
        }
    }

    /// Returns what is needed to load the template and to check its golden probes.
    pub fn recipe(&self) -> Recipe {
        let template = &self.template;
        let devices: &[Device] = match template.device {
            FeatureDevice::Usual => &[Device::Usual],
            FeatureDevice::Int8 => &[Device::Int8],
            FeatureDevice::Tract => &[Device::Tract],
            FeatureDevice::Auto => &[Device::TensorRt, Device::Cuda, Device::Cpu, Device::Usual],
            FeatureDevice::Cpu => &[Device::Cpu],
            FeatureDevice::Cuda => &[Device::Cuda],
            FeatureDevice::TensorRt => &[Device::TensorRt],
        };
        let extractor = |&device: &Device| {
            let ours = matches!(device, Device::Usual | Device::Int8 | Device::Tract);
            let tensorrt = device == Device::TensorRt;
            backbone::ExtractorOptions {
                device,
                library: template.onnxruntime.clone().filter(|_| !ours),
                index: 0,
                // Parts come one by one.
                batch: (!ours).then_some(1),
                fp16: template.fp16 && tensorrt,
                tf32: template.tf32 && (tensorrt || device == Device::Cuda),
                tensorrt_cache: template.engine_cache.clone().filter(|_| tensorrt),
            }
        };
        Recipe {
            file: template.file.clone(),
            slot: None,
            backbone: template.backbone.clone(),
            extractors: devices.iter().map(extractor).collect(),
            threads: template.threads,
            any_shape: template.any_shape,
            bayer: self.bayer_pictures(),
            trust: Trust {
                keys: template.keys.iter().filter_map(|key| TrustedKey::parse(key)).collect(),
                device_key: self.device.key_file.clone().filter(|_| template.device_signs),
            },
        }
    }

    /// Returns the slots for templates.
    pub fn slots(&self) -> Slots {
        let slots = Slots::new(self.template.file.clone(), self.template.slots.clone());
        slots.with_inbox(self.inbox())
    }

    /// Returns the place of uploaded templates, if there is one.
    pub fn inbox(&self) -> Option<Inbox> {
        self.template.inbox.clone().map(Inbox::new)
    }

    /// Returns whether the device signs a chain of records.
    pub(super) fn signs_records(&self) -> bool {
        self.records.folder.is_some() && self.records.sign
    }

    /// Returns where and how the chain of records is written, if one is asked for.
    pub fn evidence(&self) -> Option<Evidence> {
        let records = &self.records;
        let resolved = self.to_toml().unwrap_or_default();
        Some(Evidence {
            folder: records.folder.clone()?,
            segment_bytes: records.segment_mib.saturating_mul(1 << 20),
            sync: Duration::from_millis(records.sync_ms),
            keep_days: records.keep_days,
            min_free_bytes: records.min_free_mib.saturating_mul(1 << 20),
            key_file: self.device.key_file.clone().filter(|_| self.signs_records()),
            device: DeviceName {
                serial: self.device.serial.clone().unwrap_or_else(device_identity::serial),
                name: self.device.name.clone(),
                site: self.device.site.clone(),
            },
            software: Software { version: env!("CARGO_PKG_VERSION"), build: String::new() },
            boot: device_identity::boot(),
            start: Event::Start {
                drives_outputs: !self.outputs.simulate,
                configuration_blake3: blake3::hash(resolved.as_bytes()).to_hex().to_string(),
            },
        })
    }

    /// Returns which pictures a Bayer sensor gives, if the camera has one.
    fn bayer_pictures(&self) -> Option<BayerPictures> {
        let camera = &self.camera;
        let is_live = camera.source == CameraSource::V4l2;
        let format = camera.format.filter(|format| is_live && format.is_bayer())?;
        let sensor = Size { width: camera.width?, height: camera.height? };
        let mode = camera.bayer.unwrap_or_default();
        let other_mode = match mode {
            BayerMode::Half => BayerMode::Bilinear,
            BayerMode::Bilinear => BayerMode::Half,
        };
        let size = format.picture_size(sensor, mode);
        Some(BayerPictures { mode, size, other_size: format.picture_size(sensor, other_mode) })
    }

    /// Returns the exposure that has to be inside the light, if that is asked for.
    pub fn exposure_in_light(&self) -> Option<Duration> {
        let exposure = self.camera.exposure_us.filter(|_| self.camera.strobe_must_cover)?;
        Some(Duration::from_micros(exposure.into()))
    }

    fn v4l2_settings(&self) -> Result<V4l2Settings> {
        let camera = &self.camera;
        let missing = |key: &str| Error::usage(format!("camera.{key} is missing"));
        let by_sensor = camera.strobe == StrobeSource::Sensor;
        // The values were checked. They are far below the largest numbers of 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let raw = RawSettings {
            align: camera.align.unwrap_or_default(),
            black: camera.black.unwrap_or(0),
            white_balance: camera.white_balance.unwrap_or([1.0; 3]).map(|factor| factor as f32),
            bayer: camera.bayer.unwrap_or_default(),
        };
        let strobe_us = u32::try_from(self.outputs.strobe_width_us).unwrap_or(u32::MAX);
        Ok(V4l2Settings {
            device: camera.device.clone().ok_or_else(|| missing("device"))?,
            width: camera.width.ok_or_else(|| missing("width"))?,
            height: camera.height.ok_or_else(|| missing("height"))?,
            frames_per_second: camera.frames_per_second,
            format: camera.format.ok_or_else(|| missing("format"))?,
            raw,
            buffers: camera.buffers,
            exposure_us: camera.exposure_us,
            gain: camera.gain,
            sensor_strobe_us: by_sensor.then_some(strobe_us),
            needs_exposure_start: camera.strobe_must_cover,
            controls: camera.controls.clone(),
        })
    }

    /// Opens the camera.
    ///
    /// # Errors
    /// Returns an error if the camera is missing, in use, or cannot do what is asked for.
    pub fn open_camera(&self) -> Result<Box<dyn Camera>> {
        let camera = &self.camera;
        let missing = |key: &str| Error::usage(format!("camera.{key} is missing"));
        match camera.source {
            CameraSource::V4l2 => Ok(Box::new(V4l2Camera::open(&self.v4l2_settings()?)?)),
            CameraSource::Folder => {
                let folder = camera.folder.as_ref().ok_or_else(|| missing("folder"))?;
                // Triggers set the pace, unless every picture is a part.
                let free = self.trigger.source == TriggerSource::FreeRun;
                let rate = camera.frames_per_second.filter(|_| free);
                let interval = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
                let settings = FolderSettings { interval, ..FolderSettings::default() };
                Ok(Box::new(FolderCamera::open(folder, settings)?))
            }
        }
    }
}
