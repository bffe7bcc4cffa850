//! Data sets in MVTec layout: `test/good`, `test/<defect>`, `ground_truth/<defect>`.

use crate::pictures;
use hetmm::builder::Source;
use hetmm::image::{self, Samples};
use hetmm::{Error, Result};
use std::path::{Path, PathBuf};

/// One test picture.
pub struct TestPicture {
    pub source: Source,
    /// The defect's name, or `None` for a good one.
    pub defect: Option<String>,
    /// Its mask, where there is one.
    pub mask: Option<PathBuf>,
}

impl TestPicture {
    /// The files that it is read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.source.path.as_path()).chain(self.mask.as_deref())
    }
}

/// All test pictures of a data set.
pub fn read(folder: &Path) -> Result<Vec<TestPicture>> {
    let test = folder.join("test");
    if !test.is_dir() {
        return Err(Error::image(folder, "no data set in MVTec layout: it has no folder `test`")
            .advise("arrange it as test/good, test/<defect>, ground_truth/<defect>"));
    }
    let mut classes: Vec<PathBuf> = std::fs::read_dir(&test)
        .map_err(|e| Error::io(&test, "the folder cannot be read", &e))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.is_dir())
        .collect();
    classes.sort();
    let mut found = Vec::new();
    for class in &classes {
        let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let masks = folder.join("ground_truth").join(&name);
        for source in pictures::list(std::slice::from_ref(class))? {
            let defect = (name != "good").then(|| name.clone());
            let mask = defect.as_ref().and_then(|_| mask_of(&source.path, &masks));
            found.push(TestPicture { source, defect, mask });
        }
    }
    if found.is_empty() {
        return Err(Error::image(&test, "no pictures in it")
            .advise("put them into test/good and test/<defect>"));
    }
    Ok(found)
}

/// The mask of a picture: the same stem, or with `_mask` behind it, in any format.
fn mask_of(picture: &Path, masks: &Path) -> Option<PathBuf> {
    let stem = picture.file_stem()?.to_string_lossy().into_owned();
    let entries = std::fs::read_dir(masks).ok()?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| {
            let own = p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            image::is_picture_name(p) && (own == stem || own == format!("{stem}_mask"))
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

/// Reads a mask, brought to `width` x `height` by taking the nearest pixel: any value above 0 is
/// defect.
pub fn read_mask(path: &Path, width: usize, height: usize) -> Result<Vec<bool>> {
    let picture = image::read(path)?;
    let (from_width, from_height) = (picture.width as usize, picture.height as usize);
    let set = |pixel: usize| match &picture.samples {
        Samples::Eight(samples) => samples[3 * pixel] > 0,
        Samples::Sixteen(samples) => samples[3 * pixel] > 0,
    };
    let nearest =
        |to: usize, size: usize, from: usize| ((2 * to + 1) * from / (2 * size)).min(from - 1);
    Ok((0..width * height)
        .map(|i| {
            set(nearest(i / width, height, from_height) * from_width
                + nearest(i % width, width, from_width))
        })
        .collect())
}
