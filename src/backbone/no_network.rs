//! This module stands in for `open` in a program that computes no network, such as `hetmm-plant`.

use super::device::ExtractorOptions;
use super::interface::{Backbone, Request};
use crate::error::{Error, Kind, Result};
use std::sync::Arc;

/// Refuses every request, because this program has no network.
///
/// # Errors
/// [`Kind::Model`], unless the options are refused before.
pub fn open(_: &Request, extractor: &ExtractorOptions) -> Result<Arc<dyn Backbone>> {
    extractor.check()?;
    Err(Error::new(Kind::Model, "this program was built without a network")
        .advise("build it with its feature network"))
}
