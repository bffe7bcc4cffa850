//! The GStreamer element `hetmm`: inspects every frame of a video, or those that were asked for.
//!
//! [`Hetmm`] is the element. The result of a frame is a message on the bus and a meta on the buffer. Both hold the same
//! structure, which the module `message` makes. The module `imp` joins the element's parts:
//!
//! | module | holds |
//! | --- | --- |
//! | `settings` | the properties |
//! | `picture` | the way from a buffer to a view of its pixels |
//! | `message`, `meta` | the result as a structure, and as metas on a buffer |
//! | `trigger` | the triggers that wait for a frame |
//! | `swap` | the thread that takes over another template |
//! | `latency` | the time that an inspection takes |
//! | `tally` | the numbers of the property `stats` |
//! | `report` | errors as GStreamer has them |
//!
//! A frame whose inspection failed is never "ok".

mod element;
mod imp;
mod latency;
mod message;
mod meta;
mod picture;
mod report;
mod settings;
mod swap;
mod tally;
mod trigger;

pub use element::Hetmm;
pub use message::{INSPECTION, TEMPLATE, TRIGGER};
pub use meta::META;
pub use registration::plugin_register_static;
pub use settings::{Mode, OnError, PostMessages};

// What the macro defines has no documentation.
#[allow(missing_docs)]
mod registration {
    /// Registers what the plugin has.
    fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
        crate::meta::register();
        crate::element::register(plugin)
    }

    gst::plugin_define!(
        hetmm,
        "Visual inspection from good pictures alone",
        plugin_init,
        env!("CARGO_PKG_VERSION"),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        "hetmm"
    );
}
