//! This module finds the pictures that a command line names, and says what is special about them.

use crate::console::Console;
use hetmm::builder::{Notice, Source};
use hetmm::inspection::Pipeline;
use hetmm::wording::{counted, form, printable};
use hetmm::{Error, Result, image};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The depth up to which subfolders are searched.
const DEEPEST: usize = 32;
/// The number of subfolders and of kinds of files that are listed.
const LISTED: usize = 4;

/// The options that say how folders of pictures are read.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct FolderArgs {
    /// Also take the pictures in subfolders
    #[arg(long)]
    recursive: bool,
}

/// The options that say which shapes of pictures are accepted.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct ShapeArgs {
    /// Also take pictures of another shape than those of the template. They are squeezed, so a round part looks oval.
    /// Without it such a picture is an error
    #[arg(long)]
    pub any_shape: bool,
}

impl ShapeArgs {
    /// The pipeline with these options.
    pub fn apply(self, pipeline: Pipeline) -> Pipeline {
        if self.any_shape { pipeline.with_any_shape() } else { pipeline }
    }
}

/// The pictures that `arguments` name: single files, and all pictures of folders in the order of their names. A note
/// says what is left out of a folder.
pub fn list(arguments: &[PathBuf], how: FolderArgs, console: &Console) -> Result<Vec<Source>> {
    let mut pictures = Vec::new();
    for argument in arguments {
        if argument.is_dir() {
            pictures.extend(in_folder(argument, how, console)?);
        } else if argument.exists() {
            pictures.push(Source { path: argument.clone() });
        } else {
            return Err(Error::image(argument, "no such file or folder").advise("check the path"));
        }
    }
    Ok(pictures)
}

fn in_folder(folder: &Path, how: FolderArgs, console: &Console) -> Result<Vec<Source>> {
    let mut found = Found::default();
    found.look_into(folder, if how.recursive { DEEPEST } else { 0 })?;
    let left_out = found.left_out();
    if found.pictures.is_empty() {
        let why = match left_out.is_empty() {
            true => "the folder is empty".into(),
            false => format!("there are no pictures in this folder, but {left_out}"),
        };
        let advice = match found.folders.is_empty() {
            true => "give a folder with PNG, JPEG, BMP, TIFF, PNM or WebP files directly in it",
            false => {
                "name the subfolder, or add --recursive to take the pictures of all subfolders"
            }
        };
        return Err(Error::image(folder, why).advise(advice));
    }
    if !left_out.is_empty() {
        let hint = if found.folders.is_empty() {
            ""
        } else {
            " (--recursive also takes the pictures in subfolders)"
        };
        let folder = printable(&folder.display().to_string());
        console.note(format!("note: {folder}: {left_out} left out{hint}"));
    }
    found.pictures.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found.pictures)
}

/// The contents of a folder.
#[derive(Default)]
struct Found {
    pictures: Vec<Source>,
    /// Subfolders that were not searched.
    folders: Vec<String>,
    /// The number of other files of each extension.
    others: BTreeMap<String, usize>,
}

impl Found {
    fn look_into(&mut self, folder: &Path, depth: usize) -> Result<()> {
        let unreadable = |e| Error::io(folder, "the folder cannot be read", &e);
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            if image::is_system_name(&path) {
                continue;
            }
            // A link to a folder above would lead into an endless circle.
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if path.is_dir() {
                match depth > 0 && !is_link {
                    true => self.look_into(&path, depth - 1)?,
                    false => self.folders.push(name_of(&path)),
                }
            } else if path.is_file() && image::is_picture_name(&path) {
                self.pictures.push(Source { path });
            } else {
                let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
                let kind =
                    extension.map_or_else(|| "without an extension".into(), |e| format!(".{e}"));
                *self.others.entry(printable(&kind)).or_default() += 1;
            }
        }
        Ok(())
    }

    /// What was left out, in words. Empty if nothing was left out.
    fn left_out(&self) -> String {
        let mut parts = Vec::new();
        let count = self.folders.len();
        if count > 0 {
            let mut names = self.folders.clone();
            names.sort();
            let more = if count > LISTED { ", .." } else { "" };
            names.truncate(LISTED);
            let word = if count == 1 { "subfolder" } else { "subfolders" };
            parts.push(format!("{count} {word} ({}{more})", names.join(", ")));
        }
        let files: usize = self.others.values().sum();
        if files > 0 {
            let kinds =
                self.others.iter().take(LISTED).map(|(kind, count)| format!("{count} {kind}"));
            let more = if self.others.len() > LISTED { ", .." } else { "" };
            let word = if files == 1 {
                "file that is not a picture"
            } else {
                "files that are not pictures"
            };
            let kinds: Vec<String> = kinds.collect();
            parts.push(format!("{files} {word} of a known kind ({}{more})", kinds.join(", ")));
        }
        parts.join(" and ")
    }
}

fn name_of(path: &Path) -> String {
    printable(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// Prints the notices about pictures, with the next step for each.
pub fn tell(notices: &[Notice], console: &Console) {
    for notice in notices {
        let next = match notice {
            Notice::Blank { .. } => "look at them, and remove them from the folder".into(),
            Notice::Transparent { .. } => {
                "use --mask-from-alpha to ignore what is transparent in any of them".into()
            }
            Notice::FewerBits { bits, .. } => {
                format!("use --bits {bits} to read them at their full brightness")
            }
        };
        console.note(format!("warning: {}\n  -> {next}", printable_lines(&notice.to_string())));
    }
}

fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Remarks about the pictures of a run. Each is printed once, after the run.
#[derive(Default)]
pub struct Remarks {
    transparent: Remark,
    blank: Remark,
    scaled: Remark,
    squeezed: Remark,
}

#[derive(Default)]
struct Remark {
    count: usize,
    /// The first of them, with details.
    first: Option<(String, String)>,
}

impl Remark {
    fn add(&mut self, picture: &Source, detail: impl Into<String>) {
        self.count += 1;
        self.first
            .get_or_insert_with(|| (printable(&picture.path.display().to_string()), detail.into()));
    }
}

impl Remarks {
    /// Takes note of an inspected picture of `size`. `built_from` is the size of the template's pictures, if none of
    /// them has `size`.
    pub fn add(
        &mut self,
        picture: &Source,
        facts: &image::Facts,
        size: image::Size,
        built_from: Option<image::Size>,
    ) {
        if facts.transparent > 0.0 {
            self.transparent.add(picture, "");
        }
        if facts.is_blank {
            self.blank.add(picture, "");
        }
        if let Some(built_from) = built_from {
            let is_scaled = size.has_shape_of(built_from);
            let remark = if is_scaled { &mut self.scaled } else { &mut self.squeezed };
            remark.add(picture, format!("{size} in place of {built_from}"));
        }
    }

    /// Prints the remarks.
    pub fn tell(&self, console: &Console) {
        let say = |remark: &Remark, one: &str, more: &str| {
            let what = form(remark.count, one, more);
            if let Some((name, detail)) = &remark.first {
                let colon = if detail.is_empty() { "" } else { ": " };
                console.note(format!(
                    "note: {} {what}. The first is {name}{colon}{detail}",
                    counted(remark.count, "picture")
                ));
            }
        };
        say(
            &self.transparent,
            "has transparent places, which count as black",
            "have transparent places, which count as black",
        );
        say(
            &self.blank,
            "shows nothing, because all pixels are alike",
            "show nothing, because all pixels are alike",
        );
        say(
            &self.scaled,
            "has another size than the pictures of the template, but the same shape, and is scaled",
            "have another size than the pictures of the template, but the same shape, and are scaled",
        );
        say(
            &self.squeezed,
            "has another shape than the pictures of the template and is squeezed",
            "have another shape than the pictures of the template and are squeezed",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_by_kind() {
        let mut found = Found::default();
        assert_eq!(found.left_out(), "");
        found.folders = vec!["tuesday".into(), "monday".into()];
        found.others.insert(".gif".into(), 1);
        assert_eq!(
            found.left_out(),
            "2 subfolders (monday, tuesday) and 1 file that is not a picture of a known kind (1 .gif)"
        );
        found.folders = (0..9).map(|i| i.to_string()).collect();
        found.others.insert("without an extension".into(), 3);
        assert_eq!(
            found.left_out(),
            "9 subfolders (0, 1, 2, 3, ..) and 4 files that are not pictures of a known kind \
             (1 .gif, 3 without an extension)"
        );
    }
}
