//! Data sets in MVTec layout: `test/good`, `test/<defect>`, `ground_truth/<defect>`.

use crate::console::Console;
use crate::pictures::{self, FolderArgs};
use hetmm::builder::Source;
use hetmm::image::{self, Samples, Size};
use hetmm::wording::form;
use hetmm::{Error, Result};
use std::path::{Path, PathBuf};

/// Names that folders of good pictures have elsewhere.
const LIKE_GOOD: [&str; 12] = [
    "good",
    "ok",
    "okay",
    "normal",
    "pass",
    "passed",
    "fine",
    "nominal",
    "defect_free",
    "defect-free",
    "no_defect",
    "goods",
];
/// Values of a JPEG mask below this are noise of its compression.
const JPEG_NOISE: u8 = 128;

/// One test picture.
pub struct TestPicture {
    pub source: Source,
    /// The defect's name, or `None` for a good one.
    pub defect: Option<String>,
    /// Its mask, where there is one: a file, or a folder of several that count together.
    pub mask: Option<PathBuf>,
}

impl TestPicture {
    /// The files that it is read from.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let masks = self.mask.iter().flat_map(|mask| mask_files(mask).unwrap_or_default());
        std::iter::once(self.source.path.clone()).chain(masks)
    }
}

/// How a data set is read.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct DatasetArgs {
    /// Name of the folder of good pictures in test/, where that is not "good"; may be given
    /// several times
    #[arg(long = "good", value_name = "NAME")]
    good: Vec<String>,
    #[command(flatten)]
    pub folders: FolderArgs,
}

/// All test pictures of a data set.
pub fn read(folder: &Path, how: &DatasetArgs, console: &Console) -> Result<Vec<TestPicture>> {
    let test = folder.join("test");
    if !test.is_dir() {
        return Err(Error::image(folder, "no data set in MVTec layout: it has no folder `test`")
            .advise("arrange it as test/good, test/<defect>, ground_truth/<defect>"));
    }
    let mut classes: Vec<PathBuf> = std::fs::read_dir(&test)
        .map_err(|e| Error::io(&test, "the folder cannot be read", &e))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.is_dir() && !image::is_system_name(path))
        .collect();
    classes.sort();
    let name = |class: &Path| class.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = classes.iter().map(|class| name(class)).collect();
    let good = good_among(&test, &names, &how.good, console)?;
    let mut found = Vec::new();
    for (class, name) in classes.iter().zip(&names) {
        let masks = folder.join("ground_truth").join(name);
        for source in pictures::list(std::slice::from_ref(class), how.folders, console)? {
            let defect = (!good.contains(name)).then(|| name.clone());
            let mask = defect.as_ref().and_then(|_| mask_of(&source.path, &masks));
            found.push(TestPicture { source, defect, mask });
        }
    }
    if found.is_empty() {
        return Err(Error::image(&test, "no pictures in it")
            .advise("put them into test/good and test/<defect>"));
    }
    tell_without_masks(&found, console);
    Ok(found)
}

/// Which of the folders `names` in `test` hold good pictures.
fn good_among(
    test: &Path,
    names: &[String],
    said: &[String],
    console: &Console,
) -> Result<Vec<String>> {
    if let Some(missing) = said.iter().find(|name| !names.contains(name)) {
        return Err(Error::image(test, format!("no folder {missing}")).advise("check the name"));
    }
    if !said.is_empty() {
        return Ok(said.to_vec());
    }
    let alike =
        |name: &&String| LIKE_GOOD.contains(&name.to_lowercase().as_str()) && *name != "good";
    let alike: Vec<&String> = names.iter().filter(alike).collect();
    let has_good = names.iter().any(|name| name == "good");
    if let Some(first) = alike.first() {
        let list: Vec<&str> = alike.iter().map(|name| name.as_str()).collect();
        let (what, advice) = match has_good {
            true => (
                format!("there is `good`, and {} may hold good pictures, too", list.join(", ")),
                format!("say which are good: --good good --good {first}, or --good good alone"),
            ),
            false => (
                format!("no folder `good`, but {} may hold the good pictures", list.join(", ")),
                format!("say so with --good {first}, or name the folder `good`"),
            ),
        };
        return Err(Error::image(test, what).advise(advice));
    }
    if !has_good {
        console.note(format!(
            "note: {}: no folder `good`, so nothing can be said about good pictures (--good names another)",
            test.display()
        ));
    }
    Ok(vec!["good".into()])
}

/// Says how many pictures of defects have no mask, where others have one or there are none at all.
fn tell_without_masks(pictures: &[TestPicture], console: &Console) {
    let defective = pictures.iter().filter(|p| p.defect.is_some());
    let without: Vec<&TestPicture> = defective.clone().filter(|p| p.mask.is_none()).collect();
    if let Some(first) = without.first() {
        console.note(format!(
            "note: {} of {} pictures of defects {} no mask in ground_truth, as {}: pixel figures leave {} out",
            without.len(),
            defective.count(),
            form(without.len(), "has", "have"),
            first.source.path.display(),
            form(without.len(), "it", "them")
        ));
    }
}

/// The mask of a picture: the same stem, or with `_mask` behind it, in any format; or a folder of
/// that stem with several masks.
fn mask_of(picture: &Path, masks: &Path) -> Option<PathBuf> {
    let stem = picture.file_stem()?.to_string_lossy().into_owned();
    let entries = std::fs::read_dir(masks).ok()?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| {
            let own = p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let is_mask = image::is_picture_name(p) || p.is_dir();
            is_mask && (own == stem || own == format!("{stem}_mask"))
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

/// The files of a mask: itself, or those in it where it is a folder.
fn mask_files(mask: &Path) -> Result<Vec<PathBuf>> {
    let listed = pictures::list(&[mask.to_owned()], FolderArgs::default(), &Console::new(true))?;
    Ok(listed.into_iter().map(|source| source.path).collect())
}

/// Where a mask says that the defect is.
pub struct Marked {
    /// One flag a pixel.
    pub pixels: Vec<bool>,
    /// Whether more than half of the picture is marked.
    pub mostly: bool,
}

/// Reads the mask of a picture of `size`, brought to `width` x `height` by taking the nearest pixel. Any value
/// above 0 in any channel is defect; where a mask is the same everywhere but for its transparency,
/// what is opaque is. Several masks in a folder count together.
///
/// # Errors
/// [`hetmm::error::Kind::Image`] where it has another shape than the picture.
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
            format!("the mask has {own} pixels, its picture {size}: another shape"),
        )
        .advise("make the mask anew on the picture, or take it out"));
    }
    let (from_width, from_height) = (picture.width as usize, picture.height as usize);
    let least = if bytes.starts_with(&[0xFF, 0xD8]) { JPEG_NOISE } else { 1 };
    let opacity = decoded.opacity.as_ref();
    let set = |pixel: usize| {
        let rgb = 3 * pixel..3 * pixel + 3;
        let coloured = match &picture.samples {
            Samples::Eight(samples) => samples[rgb].iter().any(|&v| v >= least),
            Samples::Sixteen(samples) => samples[rgb].iter().any(|&v| v > 0),
        };
        // A black mask whose transparency says it.
        coloured
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
