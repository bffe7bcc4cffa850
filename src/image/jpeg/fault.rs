//! What may be wrong with the data of a JPEG.

/// What may be wrong with a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends before its last block.
    Missing,
    /// It holds what no encoder writes.
    Nonsense,
}
