//! This module names the faults in the data of a JPEG.

/// A fault in a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The scan ends before its last block.
    Missing,
    /// The scan holds something that no encoder writes.
    Nonsense,
}
