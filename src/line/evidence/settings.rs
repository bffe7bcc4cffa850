//! Says where and how the chain is written.

use super::line::{DeviceName, Event, Software};
use std::path::PathBuf;
use std::time::Duration;

/// Holds what the writer of a chain has to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the segments.
    pub folder: PathBuf,
    /// The size in bytes at which a new segment begins.
    pub segment_bytes: u64,
    /// The longest time for which a line is not on the disk for good.
    pub sync: Duration,
    /// The number of days for which segments are kept; 0 means for ever.
    pub keep_days: u64,
    /// With less free space, the oldest segments are removed, and then nothing is written. In bytes.
    pub min_free_bytes: u64,
    /// The file of the device key that signs checkpoints. Without it, there are none.
    pub key_file: Option<PathBuf>,
    /// The device.
    pub device: DeviceName,
    /// The program.
    pub software: Software,
    /// The kernel's name of this boot.
    pub boot: String,
    /// What the first line of a start says.
    pub start: Event,
}
