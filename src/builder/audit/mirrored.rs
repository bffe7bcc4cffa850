//! Computes features of mirrored pictures, which serve as further references.
//!
//! If parts lie in any orientation, only a few pictures of a folder show a place as another picture shows it. Every
//! picture is mirrored left to right, top to bottom, and both, so it stands for four. If parts always lie alike,
//! mirrored pictures are far from all others and change nothing.

use crate::backbone::Backbone;
use crate::builder::features::{of_images, pictures_together};
use crate::builder::gather::Gathered;
use crate::builder::store::{Store, scratch_folder};
use crate::builder::{Progress, Stage};
use crate::error::Result;
use crate::image::NetworkImage;
use rayon::prelude::*;

/// The mirrors to apply: (left to right, top to bottom).
const MIRRORS: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

/// Computes the features of the mirrored `references` and returns them with the pictures that they come from. At most
/// `max_memory` bytes of them are in memory.
///
/// # Errors
/// Returns an error if a picture can no longer be read, or if the backbone or the scratch disk fails.
pub fn features(
    gathered: &Gathered,
    references: &[usize],
    backbone: &dyn Backbone,
    max_memory: u64,
    progress: Progress,
) -> Result<(Store, Vec<usize>)> {
    let id = backbone.identity();
    let size = id.size();
    let images: Vec<NetworkImage> = references
        .par_iter()
        .map(|&picture| gathered.image(picture, size))
        .collect::<Result<_>>()?;
    let jobs: Vec<(usize, (bool, bool))> =
        (0..images.len()).flat_map(|image| MIRRORS.map(|mirror| (image, mirror))).collect();
    let mut store = Store::new(&id.taps, jobs.len(), max_memory, scratch_folder()?);
    for chunk in jobs.chunks(pictures_together(backbone)) {
        let mirrored: Vec<NetworkImage> = chunk
            .par_iter()
            .map(|&(image, (columns, rows))| images[image].mirrored(columns, rows))
            .collect();
        for maps in of_images(&mirrored, backbone)? {
            store.push(&maps)?;
        }
        progress(Stage::Mirrored, store.pictures(), jobs.len());
    }
    Ok((store, jobs.iter().map(|&(image, _)| references[image]).collect()))
}
