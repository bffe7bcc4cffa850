//! Holds the keys of the drift watch.

use crate::line::drift::Settings;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Holds the table `[drift]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftConfig {
    /// Whether slow changes of scores, light and focus are watched.
    pub watch: bool,
    /// The file that keeps what the watch has learned. It is needed if `watch` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The shortest time of a block of parts, in seconds.
    pub block_s: u64,
    /// The smallest number of parts in a block.
    pub block_parts: u32,
    /// The number of blocks from which the watch learns what is usual.
    pub learn_blocks: u32,
    /// What a block must deviate by to count, in standard deviations of a block.
    pub k: f64,
    /// The sum of deviations above which the watch warns, in standard deviations of a block.
    pub h: f64,
    /// How far the forecast looks ahead, in hours.
    pub horizon_h: f64,
}

impl Default for DriftConfig {
    fn default() -> Self {
        let Settings { block, block_parts, learn_blocks, k, h, horizon_h } = Settings::default();
        let block_s = block.as_secs();
        DriftConfig {
            watch: false,
            file: None,
            block_s,
            block_parts,
            learn_blocks,
            k,
            h,
            horizon_h,
        }
    }
}

impl DriftConfig {
    /// Returns the settings of the watch.
    pub fn settings(&self) -> Settings {
        Settings {
            block: Duration::from_secs(self.block_s),
            block_parts: self.block_parts,
            learn_blocks: self.learn_blocks,
            k: self.k,
            h: self.h,
            horizon_h: self.horizon_h,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::config::LineConfig;

    const SMALL: &str = "[template]\nfile = \"a\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
        source = \"folder\"\nfolder = \"b\"\nframes_per_second = 2.5\n[reject]\n\
        delay_us = 400000\npulse_width_us = 3000\n[outputs]\nsimulate = true\n";

    #[test]
    fn the_watch_is_off_unless_it_is_asked_for() {
        let config = LineConfig::parse(SMALL, "test").expect("reads");
        assert_eq!(config.drift, DriftConfig::default());
        assert!(!config.drift.watch);
        assert_eq!(config.drift.settings(), Settings::default());
        let asked =
            format!("{SMALL}warning = {{ line = 4 }}\n[drift]\nwatch = true\nfile = \"d\"\n");
        let config = LineConfig::parse(&asked, "test").expect("reads");
        assert!(config.drift.watch && config.outputs.wired().len() == 1);
    }

    #[test]
    fn wrong_values_are_refused_with_their_place_and_a_remedy() {
        let file = "[drift]\nfile = \"d\"\n";
        // Each row holds what comes after the small configuration, the line of the mistake, and a word of the message.
        let table = [
            ("[drift]\nwatch = true\n".to_owned(), 14, "drift.file: is missing"),
            (format!("{file}block_s = 0\n"), 16, "0 is out of range"),
            (format!("{file}block_parts = 0\n"), 16, "0 is out of range"),
            (format!("{file}learn_blocks = 19\n"), 16, "19 is out of range"),
            (format!("{file}k = nan\n"), 16, "NaN is out of range"),
            (format!("{file}h = inf\n"), 16, "inf is out of range"),
            (format!("{file}horizon_h = -1.0\n"), 16, "-1 is out of range"),
            (format!("{file}sigma = 1.0\n"), 16, "unknown field `sigma`"),
            ("warning = { line = 4 }\n".into(), 14, "nothing would ever switch this output on"),
        ];
        for (text, line, word) in table {
            let error = LineConfig::parse(&format!("{SMALL}{text}"), "test").expect_err(word);
            let error = error.to_string();
            assert!(error.starts_with(&format!("test:{line}: ")), "{text}: {error}");
            assert!(error.contains(word) && error.contains("\n  -> "), "{text}: {error}");
        }
    }
}
