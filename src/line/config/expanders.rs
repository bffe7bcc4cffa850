//! Holds the keys of the expanders.

use crate::gpio::ExpanderKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Holds the tables `[expander.NAME]` by their names. An output whose `chip` is such a name is a pin of the expander.
pub type Expanders = BTreeMap<String, ExpanderConfig>;

/// Holds a table `[expander.NAME]`: an I2C or SPI expander that this program drives itself.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExpanderConfig {
    /// The chip.
    pub kind: ExpanderKind,
    /// The device file of the bus.
    pub bus: PathBuf,
    /// The address of the chip on the bus.
    pub address: u8,
    /// Whether the reject output may be on it, although its pulses then wait for a bus.
    #[serde(default)]
    pub allow_ng: bool,
}
