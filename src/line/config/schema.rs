//! Holds every key of the configuration, with its unit. `firmware-config/line.toml` explains the keys to integrators. A
//! test checks that both agree.

use super::drift::DriftConfig;
use super::expanders::Expanders;
use super::outputs::OutputsConfig;
use super::plant::{MetricsConfig, ModbusConfig, MqttConfig, WebConfig};
use crate::camera::{Align, BayerMode, PixelFormat};
use crate::gpio::{Bias, ChipRef, EdgeKind, LineRef};
use crate::line::slot::Slot;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Holds the configuration of a production line.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// The name of the device.
    #[serde(default)]
    pub device: DeviceConfig,
    /// The template that parts are compared with.
    pub template: TemplateConfig,
    /// What says that a part is there.
    pub trigger: TriggerConfig,
    /// What says how far the belt has moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderConfig>,
    /// The source of frames.
    pub camera: CameraConfig,
    /// When and how parts are rejected.
    pub reject: RejectConfig,
    /// The output lines.
    pub outputs: OutputsConfig,
    /// The expanders that this program drives itself, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expander: Expanders,
    /// The log of parts.
    #[serde(default)]
    pub records: RecordsConfig,
    /// Pictures of rejected parts.
    #[serde(default)]
    pub archive: ArchiveConfig,
    /// The local control socket.
    #[serde(default)]
    pub control: ControlConfig,
    /// The watch for slow changes of light, focus and parts.
    #[serde(default)]
    pub drift: DriftConfig,
    /// Test pulses at the device.
    #[serde(default)]
    pub commissioning: CommissioningConfig,
    /// The local socket that hands out records, status and previews.
    #[serde(default)]
    pub feed: FeedConfig,
    /// The Modbus server of `hetmm-plant`.
    #[serde(default)]
    pub modbus: ModbusConfig,
    /// The MQTT client of `hetmm-plant`.
    #[serde(default)]
    pub mqtt: MqttConfig,
    /// The metrics of `hetmm-plant`.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// The operator page of `hetmm-plant`.
    #[serde(default)]
    pub web: WebConfig,
    /// Priority, memory lock and timeout of the inspection.
    #[serde(default)]
    pub realtime: RealtimeConfig,
}

/// Holds the table `[device]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// The name of the device in records.
    pub name: String,
    /// The place of the device in records.
    pub site: String,
    /// The serial number in records. Without it, it is that of the board, or derived from the system's machine id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The temperature from which on `hetmm-plant` warns, in degrees Celsius. Without it, the kernel's own points count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_temperature_c: Option<u32>,
    /// The file of the key with which the device signs. It is made at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        let (name, site) = ("cam1".into(), "plant".into());
        DeviceConfig { name, site, serial: None, max_temperature_c: None, key_file: None }
    }
}

/// Holds the table `[template]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// The `.hetmm` file. With slots, it is used until one is selected.
    pub file: PathBuf,
    /// More `.hetmm` files, of which one can be selected while the line runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<Slot, PathBuf>,
    /// The folder into which `hetmm-plant` puts an uploaded template. Without it, nothing can be uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox: Option<PathBuf>,
    /// The ONNX model, if it is not the bundled one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<PathBuf>,
    /// The feature extractor.
    #[serde(default)]
    pub device: FeatureDevice,
    /// The library of ONNX Runtime, or its folder. Without it, the program searches for the library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onnxruntime: Option<PathBuf>,
    /// Whether TensorRT may compute with 16-bit numbers.
    #[serde(default)]
    pub fp16: bool,
    /// Whether a GPU may round to TF32.
    #[serde(default)]
    pub tf32: bool,
    /// The folder in which TensorRT keeps the engines that it has built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_cache: Option<PathBuf>,
    /// Whether the usual feature extractor replaces one that fails while parts come.
    #[serde(default = "yes")]
    pub fallback: bool,
    /// Whether pictures of another shape than the template's are accepted and squeezed.
    #[serde(default)]
    pub any_shape: bool,
    /// Whether a changed file is loaded without a request.
    #[serde(default = "yes")]
    pub watch: bool,
    /// The number of threads that compute; 0 means all cores.
    #[serde(default)]
    pub threads: usize,
    /// Whether a part with the verdict *review* passes.
    #[serde(default)]
    pub review_passes: bool,
    /// The public keys, in minisign's form, that may sign templates. Without any, templates need no signature.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Whether the device signs a template that was taught on it.
    #[serde(default)]
    pub device_signs: bool,
}

/// Names the feature extractor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureDevice {
    /// What the template was made with: `Int8` or `Tract`.
    #[default]
    Usual,
    /// Eight bits on the CPU. It is part of the program.
    Int8,
    /// tract, 32 bits on the CPU. It is part of the program.
    Tract,
    /// The first of `TensorRt`, `Cuda`, `Cpu` and `Usual` that can be used and computes the template's golden probes
    /// correctly.
    Auto,
    /// ONNX Runtime on the CPU.
    Cpu,
    /// ONNX Runtime on an NVIDIA GPU.
    Cuda,
    /// TensorRT on an NVIDIA GPU, under ONNX Runtime.
    TensorRt,
}

/// Says what makes a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerSource {
    /// An edge on a GPIO line.
    Gpio,
    /// Every frame of the camera.
    FreeRun,
    /// Only requests on the control socket.
    Software,
}

/// Holds the table `[trigger]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerConfig {
    /// What makes a part.
    pub source: TriggerSource,
    /// The GPIO chip: its path, name or label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// The number of lines that this chip must have. Without it, any number is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// The GPIO line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineRef>,
    /// The edge that means a part. It cannot be both edges.
    #[serde(default)]
    pub edge: EdgeKind,
    /// The pull resistor of the board.
    #[serde(default)]
    pub bias: Bias,
    /// The time for which the level must last to count, in microseconds.
    #[serde(default)]
    pub debounce_us: u64,
}

impl TriggerConfig {
    /// Returns the GPIO chip, if one is named.
    pub fn chip_ref(&self) -> Option<ChipRef<'_>> {
        self.chip.as_deref().map(|name| ChipRef { name, lines: self.lines })
    }
}

/// Holds the table `[encoder]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The GPIO chip. It must be that of the trigger, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// The GPIO line.
    pub line: LineRef,
    /// The edges that count.
    #[serde(default)]
    pub edge: EdgeKind,
    /// The pull resistor of the board.
    #[serde(default)]
    pub bias: Bias,
}

/// Names the source of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameraSource {
    /// A V4L2 device.
    V4l2,
    /// A folder of pictures.
    Folder,
}

/// Holds the table `[camera]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// The source of frames.
    pub source: CameraSource,
    /// The V4L2 device file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<PathBuf>,
    /// The folder of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The number of columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The number of rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The pixel format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<PixelFormat>,
    /// Where samples of 10 and 12 bits lie in their 16. It is for formats that have such samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// The sample that means black, in the sensor's own unit: 0 to half of the largest sample. It is for formats that
    /// hold a sensor's own samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub black: Option<u16>,
    /// What red, green and blue are multiplied with, 0.1 to 16. It is for Bayer formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub white_balance: Option<[f64; 3]>,
    /// How the missing colours are found. It is for Bayer formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bayer: Option<BayerMode>,
    /// The number of frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// The exposure time, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_us: Option<u32>,
    /// The gain, in the camera's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<i32>,
    /// Any other controls of the camera, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub controls: BTreeMap<String, i64>,
    /// The number of buffers of the driver.
    #[serde(default = "four")]
    pub buffers: u32,
    /// The time from the trigger to the earliest beginning of the exposure, in microseconds.
    #[serde(default)]
    pub capture_delay_us: u64,
    /// What drives the light.
    #[serde(default)]
    pub strobe: StrobeSource,
    /// Whether a frame counts only if its whole exposure was inside the light.
    #[serde(default)]
    pub strobe_must_cover: bool,
}

/// Names what drives the light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StrobeSource {
    /// The output `outputs.strobe`, if there is one.
    #[default]
    Gpio,
    /// The sensor's own output.
    Sensor,
}

/// Holds the table `[reject]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RejectConfig {
    /// The time from trigger to gate on a belt of constant speed, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_us: Option<u64>,
    /// The distance from trigger to gate in encoder counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_counts: Option<u64>,
    /// The time from the trigger to the moment at which a result must be there, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_us: Option<u64>,
    /// The width of the reject pulse, in microseconds.
    pub pulse_width_us: u64,
    /// The smallest time between two triggers, in microseconds. Closer parts cannot be told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pitch_us: Option<u64>,
    /// The same distance in encoder counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pitch_counts: Option<u64>,
    /// The largest number of parts between trigger and gate.
    #[serde(default = "many")]
    pub max_in_flight: usize,
    /// The largest number of parts that wait for their result.
    #[serde(default = "four_parts")]
    pub max_waiting: usize,
    /// The number of rejects in a row that raises the alarm; 0 means never.
    #[serde(default = "ten")]
    pub alarm_after: u32,
}

/// Holds the table `[records]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsConfig {
    /// The file for records of parts, one JSON object per line and part. Without it, no records are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The file for every change of an output, one JSON object per line. It is for commissioning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edges: Option<PathBuf>,
    /// The size in bytes at which a file is put aside.
    pub max_bytes: u64,
    /// The number of put-aside files that are kept.
    pub keep: u32,
    /// The folder for records with a chain, which show every later change. Without it, no chain is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The size in MiB at which a new file of the chain begins.
    pub segment_mib: u64,
    /// The longest time for which a line of the chain is not on the disk for good, in milliseconds.
    pub sync_ms: u64,
    /// The number of days for which files of the chain are kept; 0 means for ever.
    pub keep_days: u64,
    /// The free space in MiB below which no line is written. The oldest files of the chain are removed before.
    pub min_free_mib: u64,
    /// Whether the device signs the chain.
    pub sign: bool,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        RecordsConfig {
            file: None,
            edges: None,
            max_bytes: 10 << 20,
            keep: 5,
            folder: None,
            segment_mib: 64,
            sync_ms: 1000,
            keep_days: 0,
            min_free_mib: 500,
            sign: true,
        }
    }
}

/// Holds the table `[archive]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// The folder for pictures. Without it, none are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The largest number of rejected parts in the folder, and of passed ones. The oldest are removed.
    pub max_parts: usize,
    /// The free space in MiB below which nothing is written. The oldest parts are removed, rejected ones last.
    pub min_free_mib: u64,
    /// The number of days for which pictures are kept; 0 means for ever.
    pub keep_days: u64,
    /// Every passed part of this number is kept; 0 means that none is.
    pub passed_every: u64,
    /// The number of parts that may wait to be written. If there are more, the oldest are dropped.
    pub queue: usize,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        ArchiveConfig {
            folder: None,
            max_parts: 1000,
            min_free_mib: 500,
            keep_days: 0,
            passed_every: 0,
            queue: 8,
        }
    }
}

/// Holds the table `[control]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    /// The Unix socket for `hetmm-edge status` and similar commands. Without it, nothing listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Whether `hetmm-edge teach` and `undo` may change the template.
    pub teach: bool,
    /// The user that runs `hetmm-plant`. Without it, no request may be made in somebody's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plant_user: Option<String>,
    /// The requests that this user may make, by their first words.
    pub plant_may: Vec<String>,
}

impl Default for ControlConfig {
    fn default() -> Self {
        let plant_may = ["status", "history", "lines", "drift", "safe", "login"];
        let plant_may = plant_may.map(String::from).into();
        ControlConfig { socket: None, teach: true, plant_user: None, plant_may }
    }
}

/// Holds the table `[commissioning]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommissioningConfig {
    /// Whether `hetmm-edge commission on` is accepted.
    pub allowed: bool,
    /// The time after which commissioning ends by itself, in minutes.
    pub minutes: u64,
}

impl Default for CommissioningConfig {
    fn default() -> Self {
        CommissioningConfig { allowed: false, minutes: 15 }
    }
}

/// Holds the table `[feed]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedConfig {
    /// The Unix socket for processes that want records, status and previews. Without it, nothing listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// The largest number of previews per second.
    pub preview_per_second: f64,
    /// The number of messages that may wait for a subscriber. If there are more, the oldest are dropped.
    pub queue: usize,
}

impl Default for FeedConfig {
    fn default() -> Self {
        FeedConfig { socket: None, preview_per_second: 2.0, queue: 1024 }
    }
}

/// Holds the table `[realtime]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealtimeConfig {
    /// The `SCHED_FIFO` priority of the threads that time pulses and read triggers; 0 means none.
    pub priority: u8,
    /// Whether the memory of the process is locked.
    pub lock_memory: bool,
    /// The time after which an inspection counts as hanging, in microseconds.
    pub inspection_timeout_us: u64,
}

impl Default for RealtimeConfig {
    fn default() -> Self {
        RealtimeConfig { priority: 50, lock_memory: true, inspection_timeout_us: 5_000_000 }
    }
}

fn yes() -> bool {
    true
}

fn four() -> u32 {
    4
}

fn four_parts() -> usize {
    4
}

fn many() -> usize {
    256
}

fn ten() -> u32 {
    10
}
