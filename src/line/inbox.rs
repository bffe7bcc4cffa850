//! Names the files of the inbox: the folder into which `hetmm-plant` puts a template that somebody uploads.
//!
//! Nothing in the inbox is ever used. The device checks the template there, and copies it into a slot if somebody asks for
//! that and names its digest.

use crate::error::{Error, Result};
use crate::template::signature::Signature;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Holds the place of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    folder: PathBuf,
}

impl Inbox {
    /// The largest template that may be uploaded, in bytes.
    pub const MOST_BYTES: u64 = 1 << 30;

    /// Names the folder. It need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Inbox { folder }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the file of the uploaded template.
    pub fn template(&self) -> PathBuf {
        self.folder.join("upload.hetmm")
    }

    /// Returns the file of its signature.
    pub fn signature(&self) -> PathBuf {
        Signature::path_of(&self.template())
    }

    /// Returns the file of the uploaded template if there is one. Whoever reads it has to expect that it is exchanged at
    /// any moment.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Usage`] if nothing was uploaded.
    pub fn uploaded(&self) -> Result<PathBuf> {
        let file = self.template();
        match file.exists() {
            true => Ok(file),
            false => {
                let what = format!("{}: no template was uploaded", self.folder.display());
                Err(Error::usage(what).advise("upload one on the operator page"))
            }
        }
    }

    /// Removes the uploaded template and its signature, if they are there.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Io`] if one of them cannot be removed.
    pub fn empty(&self) -> Result<()> {
        for file in [self.template(), self.signature()] {
            match std::fs::remove_file(&file) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(&file, "cannot be removed", &e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_has_one_template_and_can_be_emptied() {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = Inbox::new(folder.path().to_owned());
        let why = inbox.uploaded().expect_err("is empty").to_string();
        assert!(why.contains("no template was uploaded"), "{why}");
        inbox.empty().expect("there is nothing to remove");
        std::fs::write(inbox.template(), "a template").expect("writes");
        std::fs::write(inbox.signature(), "a signature").expect("writes");
        assert_eq!(inbox.uploaded().expect("is there"), inbox.template());
        inbox.empty().expect("removes");
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 0);
    }
}
