//! This module reads data sets in MVTec layout: `test/good`, `test/<defect>` and `ground_truth/<defect>`.

use crate::console::Console;
use crate::pictures::{self, FolderArgs};
use hetmm::evaluation::TestPicture;
use hetmm::image;
use hetmm::wording::form;
use hetmm::{Error, Result};
use std::path::{Path, PathBuf};

/// Other names that folders of good pictures often have.
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
/// The options that say how a data set is read.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct DatasetArgs {
    /// Name of a folder of good pictures in test/. Repeat it for several folders [default: good]
    #[arg(long = "good", value_name = "NAME")]
    good: Vec<String>,
    #[command(flatten)]
    pub folders: FolderArgs,
}

/// Reads the list of all test pictures of a data set.
pub fn read(folder: &Path, how: &DatasetArgs, console: &Console) -> Result<Vec<TestPicture>> {
    let test = folder.join("test");
    if !test.is_dir() {
        return Err(Error::image(folder, "no data set in MVTec layout: the folder `test` is missing")
            .advise("sort the pictures into test/good and test/<defect>, and the masks into ground_truth/<defect>"));
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
        return Err(Error::image(&test, "there are no pictures in this folder")
            .advise("put the pictures into test/good and test/<defect>"));
    }
    tell_without_masks(&found, console);
    Ok(found)
}

/// The folders among `names` in `test` that hold good pictures.
fn good_among(
    test: &Path,
    names: &[String],
    said: &[String],
    console: &Console,
) -> Result<Vec<String>> {
    if let Some(missing) = said.iter().find(|name| !names.contains(name)) {
        return Err(
            Error::image(test, format!("there is no folder {missing}")).advise("check the name")
        );
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
                format!("besides `good`, {} may also hold good pictures", list.join(", ")),
                format!(
                    "name all folders of good pictures, as in --good good --good {first}, or only --good good"
                ),
            ),
            false => (
                format!(
                    "there is no folder `good`, but {} may hold the good pictures",
                    list.join(", ")
                ),
                format!("name the folder with --good {first}, or rename it to `good`"),
            ),
        };
        return Err(Error::image(test, what).advise(advice));
    }
    if !has_good {
        console.note(format!(
            "note: {} has no folder `good`, so there are no results for good pictures (--good names another folder)",
            test.display()
        ));
    }
    Ok(vec!["good".into()])
}

/// Says how many pictures of defects have no mask.
fn tell_without_masks(pictures: &[TestPicture], console: &Console) {
    let defective = pictures.iter().filter(|p| p.defect.is_some());
    let without: Vec<&TestPicture> = defective.clone().filter(|p| p.mask.is_none()).collect();
    if let Some(first) = without.first() {
        console.note(format!(
            "note: {} of {} pictures of defects {} no mask in ground_truth, for example {}. Pixel AUROC and AUPRO leave {} out.",
            without.len(),
            defective.count(),
            form(without.len(), "has", "have"),
            first.source.path.display(),
            form(without.len(), "it", "them")
        ));
    }
}

/// The mask of a picture, in any format. Its name is the stem of the picture, with or without `_mask`. It can also be a
/// folder with this name that holds several masks.
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
