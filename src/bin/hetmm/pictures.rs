//! Which pictures a command line means.

use hetmm::builder::Source;
use hetmm::{Error, Result, image};
use std::path::{Path, PathBuf};

/// The pictures that `arguments` name: files as they are, folders with all pictures directly in
/// them, in the order of their names.
pub fn list(arguments: &[PathBuf]) -> Result<Vec<Source>> {
    let mut pictures = Vec::new();
    for argument in arguments {
        if argument.is_dir() {
            pictures.extend(in_folder(argument)?);
        } else if argument.exists() {
            pictures.push(Source { path: argument.clone() });
        } else {
            return Err(Error::image(argument, "no such file or folder").advise("check the path"));
        }
    }
    Ok(pictures)
}

fn in_folder(folder: &Path) -> Result<Vec<Source>> {
    let unreadable = |e| Error::io(folder, "the folder cannot be read", &e);
    let mut found = Vec::new();
    let mut others = 0;
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && image::is_picture_name(&path) {
            found.push(Source { path });
        } else {
            others += 1;
        }
    }
    if found.is_empty() {
        let why = if others == 0 { "an empty folder" } else { "no pictures in this folder" };
        return Err(Error::image(folder, why)
            .advise("give a folder with PNG, JPEG, BMP, TIFF, PNM or WebP files directly in it"));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
