//! The result of an inspection as metas on the buffer.

use gst_video::VideoRegionOfInterestMeta;
use hetmm::{Inspection, Region};
use std::sync::Once;

/// The name of the meta, and of the structure in it.
pub const META: &str = "GstHetmmInspectionMeta";
/// The type of the metas of regions.
const REGION: &str = "hetmm-defect";

/// Makes the meta known. It has no tags, so every element that copies metas copies it.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| gst::meta::CustomMeta::register_simple(META));
}

/// Attaches a result to the buffer: `structure`, and the map of `map` if it is wanted.
///
/// # Errors
/// Returns an error if GStreamer does not know the meta.
pub fn attach(
    buffer: &mut gst::BufferRef,
    structure: &gst::StructureRef,
    map: Option<&Inspection>,
) -> Result<(), gst::glib::BoolError> {
    let mut meta = gst::meta::CustomMeta::add(buffer, META)?;
    let inside = meta.mut_structure();
    for (name, value) in structure.iter() {
        inside.set_value(name, value.clone());
    }
    if let Some(found) = map {
        let map = found.map();
        inside.set("map", bytes(map.values));
        // Regions are where this is above 0. Hosts draw outlines with it.
        inside.set("excess", bytes(&found.excess()));
        inside.set("map-width", map.width as u32);
        inside.set("map-height", map.height as u32);
    }
    Ok(())
}

/// Returns the numbers one after the other, in the processor's byte order.
fn bytes(values: &[f32]) -> gst::glib::Bytes {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    gst::glib::Bytes::from_owned(bytes)
}

/// Attaches each region as a region of interest.
pub fn attach_regions(buffer: &mut gst::BufferRef, regions: &[Region], verdict: &str) {
    for region in regions {
        let place = (region.x, region.y, region.width, region.height);
        let mut meta = VideoRegionOfInterestMeta::add(buffer, REGION, place);
        meta.add_param(
            gst::Structure::builder("hetmm")
                .field("peak", region.peak)
                .field("verdict", verdict)
                .field_if_some("counts", region.counts)
                .field_if_some("zone", region.zone.clone())
                .build(),
        );
    }
}
