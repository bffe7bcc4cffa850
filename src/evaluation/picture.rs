//! A picture of a test set, and its mask, which shows where the defect is.

use crate::builder::Source;
use crate::image::{self, Samples, Size};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Values of a JPEG mask below this are noise of its compression.
const JPEG_NOISE: u8 = 128;

/// One test picture.
pub struct TestPicture {
    /// Its file.
    pub source: Source,
    /// The name of the defect, or `None` for a good picture.
    pub defect: Option<String>,
    /// Its mask, if it has one: a file, or a folder of several masks that count together.
    pub mask: Option<PathBuf>,
}

impl TestPicture {
    /// The files that it is read from.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let masks = self.mask.iter().flat_map(|mask| mask_files(mask).unwrap_or_default());
        std::iter::once(self.source.path.clone()).chain(masks)
    }
}

/// The files of a mask: the file itself, or the pictures in its folder.
///
/// # Errors
/// [`crate::error::Kind::Image`] if the file does not exist, or if the folder holds no picture.
fn mask_files(mask: &Path) -> Result<Vec<PathBuf>> {
    if !mask.is_dir() {
        return match mask.exists() {
            true => Ok(vec![mask.to_owned()]),
            false => Err(Error::image(mask, "no such file or folder").advise("check the path")),
        };
    }
    let unreadable = |e| Error::io(mask, "the folder cannot be read", &e);
    let entries = std::fs::read_dir(mask).map_err(unreadable)?.collect::<Vec<_>>().into_iter();
    let paths = entries.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>();
    let is_picture = |path: &PathBuf| {
        path.is_file() && image::is_picture_name(path) && !image::is_system_name(path)
    };
    let mut files: Vec<PathBuf> =
        paths.map_err(unreadable)?.into_iter().filter(is_picture).collect();
    files.sort();
    match files.is_empty() {
        true => Err(Error::image(mask, "there are no pictures in this folder")
            .advise("put the masks into this folder, or remove it")),
        false => Ok(files),
    }
}

/// Where a mask says that the defect is.
pub struct Marked {
    /// One flag per pixel.
    pub pixels: Vec<bool>,
    /// Whether more than half of the picture is marked.
    pub mostly: bool,
}

/// Reads the mask of a picture of `size` and scales it to `width` x `height` by taking the nearest pixel. Any value
/// above 0 in any channel marks a defect. If the whole mask is black, what is opaque marks the defect. Several masks in
/// a folder count together.
///
/// # Errors
/// [`crate::error::Kind::Image`] if it has another shape than the picture.
pub fn read_mask(path: &Path, size: Size, width: usize, height: usize) -> Result<Marked> {
    let mut pixels = vec![false; width * height];
    for file in &mask_files(path)? {
        let one = read_one(file, size, width, height)?;
        pixels.iter_mut().zip(one).for_each(|(all, one)| *all |= one);
    }
    let marked = pixels.iter().filter(|&&marked| marked).count();
    Ok(Marked { mostly: 2 * marked > pixels.len(), pixels })
}

fn read_one(path: &Path, size: Size, width: usize, height: usize) -> Result<Vec<bool>> {
    let bytes = image::load(path)?;
    let decoded = image::decode_with_opacity(&bytes).map_err(|e| e.within(path.display()))?;
    let picture = &decoded.picture;
    let own = Size { width: picture.width, height: picture.height };
    if !own.has_shape_of(size) {
        return Err(Error::image(
            path,
            format!(
                "the mask has {own} pixels, but its picture has {size}, which is another shape"
            ),
        )
        .advise("draw the mask again on the picture, or remove the mask"));
    }
    let (from_width, from_height) = (picture.width as usize, picture.height as usize);
    let least = if bytes.starts_with(&[0xFF, 0xD8]) { JPEG_NOISE } else { 1 };
    let opacity = decoded.opacity.as_ref();
    let set = |pixel: usize| {
        let rgb = 3 * pixel..3 * pixel + 3;
        match &picture.samples {
            Samples::Eight(samples) => samples[rgb].iter().any(|&v| v >= least),
            Samples::Sixteen(samples) => samples[rgb].iter().any(|&v| v > 0),
        }
    };
    let all_black = (0..from_width * from_height).all(|pixel| !set(pixel));
    let marked = |pixel: usize| match opacity {
        Some(opacity) if all_black => opacity[pixel] > 0,
        _ => set(pixel),
    };
    let nearest =
        |to: usize, size: usize, from: usize| ((2 * to + 1) * from / (2 * size)).min(from - 1);
    Ok((0..width * height)
        .map(|i| {
            marked(
                nearest(i / width, height, from_height) * from_width
                    + nearest(i % width, width, from_width),
            )
        })
        .collect())
}
