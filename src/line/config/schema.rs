//! Holds every key of the configuration, with its unit. `firmware-config/line.toml` explains the keys to integrators. A
//! test checks that both agree.

use super::outputs::OutputsConfig;
use crate::gpio::{Bias, EdgeKind, LineRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Holds the configuration of a production line.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
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
    /// The log of parts.
    #[serde(default)]
    pub records: RecordsConfig,
    /// Pictures of rejected parts.
    #[serde(default)]
    pub archive: ArchiveConfig,
    /// The local control socket.
    #[serde(default)]
    pub control: ControlConfig,
    /// The local socket that hands out records, status and previews.
    #[serde(default)]
    pub feed: FeedConfig,
    /// Priority, memory lock and timeout of the inspection.
    #[serde(default)]
    pub realtime: RealtimeConfig,
}

/// Holds the table `[template]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// The `.hetmm` file.
    pub file: PathBuf,
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
    pub format: Option<crate::camera::PixelFormat>,
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
}

impl Default for RecordsConfig {
    fn default() -> Self {
        RecordsConfig { file: None, edges: None, max_bytes: 10 << 20, keep: 5 }
    }
}

/// Holds the table `[archive]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// The folder for pictures of rejected parts. Without it, none are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The largest number of parts in the folder. The oldest are removed.
    pub max_parts: usize,
    /// The free space in MiB below which nothing is written. The oldest parts are removed.
    pub min_free_mib: u64,
    /// The number of parts that may wait to be written. If there are more, the oldest are dropped.
    pub queue: usize,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        ArchiveConfig { folder: None, max_parts: 1000, min_free_mib: 500, queue: 8 }
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
}

impl Default for ControlConfig {
    fn default() -> Self {
        ControlConfig { socket: None, teach: true }
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
