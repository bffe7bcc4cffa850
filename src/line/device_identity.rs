//! Says which device this is, and which program runs on it.

use super::evidence::Software;
use crate::error::Kind;
use crate::files;
use std::path::Path;

/// Where the device tree has the serial number of the board.
const DEVICE_TREE: &str = "/proc/device-tree/serial-number";
/// The file with the number that the system gave itself when it was installed.
const MACHINE_ID: &str = "/etc/machine-id";
/// The longest of these files, in bytes.
const MAX_BYTES: u64 = 4096;

/// Returns the serial number of the board. If the device tree has none, it is derived from the machine id of the
/// system. That one itself should stay on the device.
pub fn serial() -> String {
    let read = |path: &str| {
        let bytes = std::fs::File::open(path).ok().and_then(|file| {
            let mut bytes = vec![];
            std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_BYTES), &mut bytes)
                .ok()?;
            Some(bytes)
        });
        let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let derived = |id: String| {
        let hash =
            blake3::derive_key("hetmm-edge 2026-11 serial number of a device", id.as_bytes());
        super::evidence::hex(hash.get(..8).unwrap_or_default())
    };
    let board = read(DEVICE_TREE);
    board.or_else(|| read(MACHINE_ID).map(derived)).unwrap_or_else(|| "unknown".into())
}

/// Returns the kernel's name of this boot.
pub fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| "unknown".into(), |id| id.trim().to_owned())
}

/// Returns the version of this program, and the digest of its file.
pub fn software() -> Software {
    let digest = || {
        let file = files::open_regular(Path::new("/proc/self/exe"), u64::MAX, Kind::Io).ok()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).ok()?;
        hasher.finalize().to_hex().get(..32).map(str::to_owned)
    };
    Software { version: env!("CARGO_PKG_VERSION"), build: digest().unwrap_or_default() }
}
