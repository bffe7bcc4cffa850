//! Every key of the configuration, with its unit. `firmware-config/line.toml` explains them to
//! integrators; the two are kept together by a test.

use super::outputs::OutputsConfig;
use crate::gpio::{Bias, EdgeKind, LineRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A line.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// What parts are compared with.
    pub template: TemplateConfig,
    /// What tells that a part is there.
    pub trigger: TriggerConfig,
    /// What tells how far the belt has moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderConfig>,
    /// Where frames come from.
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
    /// Priority, memory, watchdog.
    #[serde(default)]
    pub realtime: RealtimeConfig,
}

/// `[template]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// The `.hetmm` file.
    pub file: PathBuf,
    /// The ONNX model, where it is not the bundled one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<PathBuf>,
    /// What computes features.
    #[serde(default)]
    pub device: FeatureDevice,
    /// ONNX Runtime's library, or its folder, where it is not to be looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onnxruntime: Option<PathBuf>,
    /// Whether TensorRT may compute with 16-bit numbers.
    #[serde(default)]
    pub fp16: bool,
    /// Folder in which TensorRT keeps the engines that it has built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_cache: Option<PathBuf>,
    /// Whether tract takes the place of a feature extractor that fails while parts come.
    #[serde(default = "yes")]
    pub fallback: bool,
    /// Whether pictures of another shape than the template's are taken, squeezed.
    #[serde(default)]
    pub any_shape: bool,
    /// Whether a changed file is taken over by itself.
    #[serde(default = "yes")]
    pub watch: bool,
    /// Threads that compute; 0 for all cores.
    #[serde(default)]
    pub threads: usize,
    /// Whether a part that should be looked at passes.
    #[serde(default)]
    pub review_passes: bool,
}

/// What computes features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureDevice {
    /// tract, on the CPU; part of the program.
    #[default]
    Tract,
    /// The first of `TensorRt`, `Cuda`, `Cpu` and `Tract` that can be used and proves the template.
    Auto,
    /// ONNX Runtime on the CPU.
    Cpu,
    /// ONNX Runtime on an NVIDIA GPU.
    Cuda,
    /// TensorRT on an NVIDIA GPU, under ONNX Runtime.
    TensorRt,
}

/// What makes a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerSource {
    /// An edge on a GPIO line.
    Gpio,
    /// Every frame of the camera.
    FreeRun,
    /// Requests on the control socket only.
    Software,
}

/// `[trigger]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerConfig {
    /// What makes a part.
    pub source: TriggerSource,
    /// GPIO chip: its path, name or label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineRef>,
    /// The edge that means a part; not both.
    #[serde(default)]
    pub edge: EdgeKind,
    /// Pull resistor of the board.
    #[serde(default)]
    pub bias: Bias,
    /// The level must last this long to count.
    #[serde(default)]
    pub debounce_us: u64,
}

/// `[encoder]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// GPIO chip; the trigger's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Its line.
    pub line: LineRef,
    /// Edges that count.
    #[serde(default)]
    pub edge: EdgeKind,
    /// Pull resistor of the board.
    #[serde(default)]
    pub bias: Bias,
}

/// Where frames come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameraSource {
    /// A V4L2 device.
    V4l2,
    /// A folder of pictures.
    Folder,
}

/// `[camera]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// Where frames come from.
    pub source: CameraSource,
    /// V4L2 device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<PathBuf>,
    /// Folder of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pixel format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<crate::camera::PixelFormat>,
    /// Frames a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Exposure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_us: Option<u32>,
    /// Gain, in the camera's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<i32>,
    /// Any other control by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub controls: BTreeMap<String, i64>,
    /// Buffers of the driver.
    #[serde(default = "four")]
    pub buffers: u32,
    /// From trigger to the earliest begin of the exposure.
    #[serde(default)]
    pub capture_delay_us: u64,
}

/// `[reject]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RejectConfig {
    /// From trigger to gate on a belt of constant speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_us: Option<u64>,
    /// From trigger to gate in encoder counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_counts: Option<u64>,
    /// From trigger to the moment when a result has to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_us: Option<u64>,
    /// Width of the reject pulse.
    pub pulse_width_us: u64,
    /// Triggers closer than this cannot be told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pitch_us: Option<u64>,
    /// The same in encoder counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pitch_counts: Option<u64>,
    /// Most parts between trigger and gate.
    #[serde(default = "many")]
    pub max_in_flight: usize,
    /// Most parts that wait for their result.
    #[serde(default = "four_parts")]
    pub max_waiting: usize,
    /// Rejects in a row that raise the alarm; 0 for never.
    #[serde(default = "ten")]
    pub alarm_after: u32,
}

/// `[records]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsConfig {
    /// One JSON object a line and part; none are kept without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Every change of an output, one JSON object a line; for commissioning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edges: Option<PathBuf>,
    /// A file is put aside when it is this long.
    pub max_bytes: u64,
    /// Files put aside that are kept.
    pub keep: u32,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        RecordsConfig { file: None, edges: None, max_bytes: 10 << 20, keep: 5 }
    }
}

/// `[archive]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// Folder for pictures of rejected parts; none are kept without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Most parts in it; the oldest are removed.
    pub max_parts: usize,
    /// Nothing is written with less free space than this, in MiB; the oldest are removed.
    pub min_free_mib: u64,
    /// Parts that wait to be written; with more, the oldest are dropped.
    pub queue: usize,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        ArchiveConfig { folder: None, max_parts: 1000, min_free_mib: 500, queue: 8 }
    }
}

/// `[control]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    /// Unix socket for `hetmm-edge status` and its siblings; nothing listens without it.
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

/// `[realtime]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealtimeConfig {
    /// `SCHED_FIFO` priority of the threads that time pulses and read triggers; 0 for none.
    pub priority: u8,
    /// Whether memory is locked.
    pub lock_memory: bool,
    /// An inspection that takes longer has hung.
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
