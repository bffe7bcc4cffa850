//! The element's type, as other Rust programs see it.

use crate::imp;
use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element `hetmm`.
    pub struct Hetmm(ObjectSubclass<imp::Hetmm>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element. No element is plugged on its own account, so the rank is none.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "hetmm", gst::Rank::NONE, Hetmm::static_type())
}
