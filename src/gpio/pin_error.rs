//! Says why a pin refuses to change.

use embedded_hal::digital::{Error, ErrorKind};

/// Holds what a pin says when it refuses.
#[derive(Debug, Clone)]
pub struct PinError(String);

impl PinError {
    pub(super) fn new(why: &str) -> Self {
        PinError(why.into())
    }
}

impl std::fmt::Display for PinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for PinError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
