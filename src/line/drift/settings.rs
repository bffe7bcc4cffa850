//! Holds the settings of the drift watch.

use std::time::Duration;

/// Holds the settings of the drift watch. The defaults are derived in `docs/drift.md`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The shortest time of a block.
    pub block: Duration,
    /// The smallest number of judged parts in a block.
    pub block_parts: u32,
    /// The number of blocks from which the reference is learned.
    pub learn_blocks: u32,
    /// What every block must deviate by to add to a sum, in standard deviations of a block.
    pub k: f64,
    /// The sum above which a chart warns, in standard deviations of a block.
    pub h: f64,
    /// How far the forecast looks ahead, in hours.
    pub horizon_h: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            block: Duration::from_secs(600),
            block_parts: 50,
            learn_blocks: 144,
            k: 1.0,
            h: 14.0,
            horizon_h: 72.0,
        }
    }
}

impl Settings {
    /// Returns the longest time of a block: an hour for a block of ten minutes.
    pub fn longest_block(&self) -> Duration {
        self.block.saturating_mul(6)
    }
}
