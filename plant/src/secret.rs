//! Checks that only their owner may read the files of keys and passwords.

use hetmm::error::{Error, Kind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses a file that others may read.
///
/// # Errors
/// [`Kind::Usage`] if they may, [`Kind::Io`] if the file cannot be looked at.
pub fn is_private(path: &Path) -> Result<()> {
    let metadata =
        std::fs::metadata(path).map_err(|e| Error::io(path, "the file cannot be read", &e))?;
    if metadata.mode() & 0o007 != 0 {
        let what = format!("{}: everybody on this machine may read it", path.display());
        return Err(Error::new(Kind::Usage, what)
            .advise("chmod o-rwx it, and give it to the group of hetmm-plant"));
    }
    Ok(())
}
