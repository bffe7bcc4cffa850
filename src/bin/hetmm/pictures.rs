//! Which pictures a command line means.

use crate::console::Console;
use hetmm::builder::{Notice, Source};
use hetmm::inspection::Pipeline;
use hetmm::wording::{counted, form, printable};
use hetmm::{Error, Result, image};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders within folders are looked into up to this depth.
const DEEPEST: usize = 32;
/// Names of subfolders and kinds of files that are listed.
const LISTED: usize = 4;

/// How folders of pictures are read.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct FolderArgs {
    /// Take the pictures in subfolders, too
    #[arg(long)]
    recursive: bool,
}

/// Which shapes of pictures a template takes.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct ShapeArgs {
    /// Take pictures of another shape than the template's, too: they are squeezed
    #[arg(long)]
    pub any_shape: bool,
}

impl ShapeArgs {
    /// The pipeline, as these options have it.
    pub fn apply(self, pipeline: Pipeline) -> Pipeline {
        if self.any_shape { pipeline.with_any_shape() } else { pipeline }
    }
}

/// The pictures that `arguments` name: files as they are, folders with all pictures in them, in the
/// order of their names. What is left out of a folder is said.
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
            true => "an empty folder".into(),
            false => format!("no pictures in this folder, but {left_out}"),
        };
        let advice = match found.folders.is_empty() {
            true => "give a folder with PNG, JPEG, BMP, TIFF, PNM or WebP files directly in it",
            false => "name the subfolder, or take the pictures of all of them with --recursive",
        };
        return Err(Error::image(folder, why).advise(advice));
    }
    if !left_out.is_empty() {
        let hint =
            if found.folders.is_empty() { "" } else { " (--recursive goes into subfolders)" };
        let folder = printable(&folder.display().to_string());
        console.note(format!("{folder}: left out {left_out}{hint}"));
    }
    found.pictures.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found.pictures)
}

/// What lies in a folder.
#[derive(Default)]
struct Found {
    pictures: Vec<Source>,
    /// Subfolders that were not looked into.
    folders: Vec<String>,
    /// How many other files there are of each extension.
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
            // A link to a folder above would lead round in a circle.
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

    /// What was left out, in words; empty for nothing.
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
            let word =
                if files == 1 { "file that is no picture" } else { "files that are no pictures" };
            let kinds: Vec<String> = kinds.collect();
            parts.push(format!("{files} {word} of a known kind ({}{more})", kinds.join(", ")));
        }
        parts.join(" and ")
    }
}

fn name_of(path: &Path) -> String {
    printable(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// Says what pictures say of themselves, and what can be done about it.
pub fn tell(notices: &[Notice], console: &Console) {
    for notice in notices {
        let next = match notice {
            Notice::Blank { .. } => "look at them, and take them out of the folder".into(),
            Notice::Transparent { .. } => {
                "--mask-from-alpha leaves out what is transparent in any of them".into()
            }
            Notice::FewerBits { bits, .. } => format!("--bits {bits} takes them for what they are"),
        };
        console.note(format!("warning: {}\n  -> {next}", printable_lines(&notice.to_string())));
    }
}

fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// What is said once about all pictures of a run, after it.
#[derive(Default)]
pub struct Remarks {
    transparent: Remark,
    blank: Remark,
    other_size: Remark,
}

#[derive(Default)]
struct Remark {
    count: usize,
    /// The first of them, and what else there is to say of it.
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
    /// Takes note of a picture of `size` that a template inspects; `built_from` is another size that
    /// the template's pictures have.
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
            self.other_size.add(picture, format!("{size}, and the template is of {built_from}"));
        }
    }

    /// Says it.
    pub fn tell(&self, console: &Console) {
        let say = |remark: &Remark, one: &str, more: &str| {
            let what = form(remark.count, one, more);
            if let Some((name, detail)) = &remark.first {
                let colon = if detail.is_empty() { "" } else { ": " };
                console.note(format!(
                    "note: {} {what}, as {name}{colon}{detail}",
                    counted(remark.count, "picture")
                ));
            }
        };
        say(
            &self.transparent,
            "is transparent in places, which count as black",
            "are transparent in places, which count as black",
        );
        say(
            &self.blank,
            "shows nothing, all pixels are alike",
            "show nothing, all pixels are alike",
        );
        say(
            &self.other_size,
            "has another size than the template's, but its shape, and is scaled",
            "have another size than the template's, but its shape, and are scaled",
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
            "2 subfolders (monday, tuesday) and 1 file that is no picture of a known kind (1 .gif)"
        );
        found.folders = (0..9).map(|i| i.to_string()).collect();
        found.others.insert("without an extension".into(), 3);
        assert_eq!(
            found.left_out(),
            "9 subfolders (0, 1, 2, 3, ..) and 4 files that are no pictures of a known kind \
             (1 .gif, 3 without an extension)"
        );
    }
}
