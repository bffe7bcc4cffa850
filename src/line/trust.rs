//! Decides which templates the device may use: those that a trusted key has signed, and those that the device has signed
//! itself after somebody taught it.
//!
//! The signature of a trusted key stays in `part.hetmm.minisig`, also while parts are taught. The device signs a taught
//! template in a file that carries the digest of the template in its name. So the template and its signature never
//! change at two moments: whenever power is lost, the template that is there has a signature that is there. An uploaded
//! template comes into a slot in the same way.

use super::evidence::device_key::DeviceKey;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::template::Template;
use crate::template::signature::{Signature, SignedBy, TrustedKey, trusted_comment};
use crate::update::{self, journal};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The largest template in bytes that the device signs.
const MAX_BYTES: u64 = 1 << 32;

/// Says whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The keys that may sign templates. If there are none, templates need no signature.
    pub keys: Vec<TrustedKey>,
    /// The key with which the device signs what was taught on it, if it may do so.
    pub device_key: Option<PathBuf>,
}

impl Trust {
    /// Returns whether a template needs a signature.
    pub fn is_required(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Checks the signature of a template. `bytes` are its bytes, and `file` is the path that its signature stands
    /// beside. Returns `None` if no signature is required.
    ///
    /// # Errors
    /// Returns [`Kind::Template`] if there is no signature that counts, or [`Kind::Io`] if something cannot be read.
    pub fn check(&self, file: &Path, bytes: &[u8]) -> Result<Option<SignedBy>> {
        if !self.is_required() {
            return Ok(None);
        }
        let why = match self.by_trusted_key(file, bytes) {
            Ok(signed) => return Ok(Some(signed)),
            Err(why) => why,
        };
        match self.by_digest(file, bytes)? {
            Some(signed) => Ok(Some(signed)),
            None => Err(why),
        }
    }

    fn by_trusted_key(&self, file: &Path, mut bytes: &[u8]) -> Result<SignedBy> {
        let path = Signature::path_of(file);
        let Some(signature) = Signature::read(&path)? else {
            let what = format!("the template is not signed: there is no {}", path.display());
            let known: Vec<&str> = self.keys.iter().map(TrustedKey::id).collect();
            return Err(Error::template(what)
                .advise(format!("sign it with a key that is trusted here: {}", known.join(", "))));
        };
        signature.check(&mut bytes, &self.keys)
    }

    /// Checks the signature for exactly these bytes whose file carries their digest in its name, if there is one. The
    /// device has made it, or it came with a template that was installed.
    fn by_digest(&self, file: &Path, mut bytes: &[u8]) -> Result<Option<SignedBy>> {
        let path = signature_by_digest(file, blake3::hash(bytes).to_hex().as_str());
        let Some(signature) = Signature::read(&path)? else { return Ok(None) };
        let mut keys = self.keys.clone();
        if let Some(key) = &self.device_key {
            let key = DeviceKey::read_if_there(key)?;
            keys.extend(key.and_then(|key| TrustedKey::parse(&key.public().to_text())));
        }
        signature.check(&mut bytes, &keys).map(Some)
    }

    /// Copies the signature of the template at `from`, whose bytes are `bytes`, to the place where it counts for these
    /// bytes at `file`. The signature of what is at `file` now stays until [`Trust::settle`]. Without a signature at `from`
    /// it does nothing.
    ///
    /// # Errors
    /// Returns [`Kind::Template`] if it is no signature, or if signatures are required and it does not count. Returns
    /// [`Kind::Io`] if it cannot be copied.
    pub fn carry_over(&self, from: &Path, file: &Path, mut bytes: &[u8]) -> Result<()> {
        let from = Signature::path_of(from);
        if !from.exists() && !self.is_required() {
            return Ok(());
        }
        let text = files::read_regular(&from, Signature::MOST_BYTES, Kind::Template)?;
        let place = signature_by_digest(file, blake3::hash(bytes).to_hex().as_str());
        let signature = Signature::parse(&String::from_utf8_lossy(&text))?;
        if self.is_required() {
            // What is copied is what counts, also if somebody has exchanged the file since it was checked.
            signature.check(&mut bytes, &self.keys)?;
        }
        files::write_whole(&place, &text)
    }

    /// Makes the signature that was carried over the usual one of `file`, which has the digest `blake3` by now. If none
    /// was carried over, it removes that of the template before.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if the signature cannot be written or removed.
    pub fn settle(&self, file: &Path, blake3: &str) -> Result<()> {
        let (carried, usual) = (signature_by_digest(file, blake3), Signature::path_of(file));
        if Signature::read(&carried)?.is_some() {
            let text = files::read_regular(&carried, Signature::MOST_BYTES, Kind::Template)?;
            files::write_whole(&usual, &text)?;
        } else if usual.exists() {
            let failed = |e| Error::io(&usual, "the signature of the template before stays", &e);
            std::fs::remove_file(&usual).map_err(failed)?;
        }
        self.tidy(file);
        Ok(())
    }

    /// Does `change` to a copy of the template at `file`, and puts the copy in place when it has a signature that
    /// counts. If no signature is required, it changes the file itself.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if the device may not sign. Returns [`Kind::Template`] if what is left without the taught
    /// parts was not signed by a trusted key. Otherwise it returns the errors of `change`. The file stays as it was.
    pub fn change<T>(&self, file: &Path, change: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        if !self.is_required() {
            return change(file);
        }
        let Some(key_file) = &self.device_key else {
            let what = "the template is signed, and the device may not sign a changed one \
                        (template.device_signs = false)";
            return Err(Error::usage(what).advise(
                "use hetmm insert on the workstation, sign the result, and copy both files",
            ));
        };
        let lock = files::lock(file)?;
        let copy = copy_of(file)?;
        let done = change(&copy)?;
        self.sign(file, &copy, key_file)?;
        let opened = File::options().read(true).write(true).open(&copy);
        let opened = opened.map_err(|e| Error::io(file, "its copy cannot be opened", &e))?;
        let copy = tempfile::NamedTempFile::from_parts(opened, copy);
        files::put_in_place_if(copy, file, || lock.check())?;
        Ok(done)
    }

    /// Signs the changed `copy` with the device key, if a trusted key has signed what it was before parts were taught.
    fn sign(&self, file: &Path, copy: &Path, key_file: &Path) -> Result<()> {
        let path = Signature::path_of(file);
        let unsigned = || Error::template("the template without the taught parts is not signed");
        let signature = Signature::read(&path)?.ok_or_else(unsigned)?;
        let named = signature.digest().ok_or_else(unsigned)?.to_owned();
        let bytes = files::read_regular(copy, MAX_BYTES, Kind::Template)?;
        let changed = blake3::hash(&bytes);
        if changed.to_hex().as_str() == named {
            // Everything that was taught was taken back.
            return signature.check(&mut bytes.as_slice(), &self.keys).map(drop);
        }
        let base = copy_of(copy)?;
        let template = Template::open(copy)?;
        let entries = journal::read(&template)?;
        let first = entries.iter().find(|(entry, _)| {
            let before = entry.file_before.map(|before| blake3::Hash::from_bytes(before).to_hex());
            before.is_some_and(|before| before.as_str() == named)
        });
        let (entry, _) = first.ok_or_else(|| {
            unsigned().advise("copy the template and its signature again, and teach then")
        })?;
        update::undo(&base, Some(entry.id))?;
        let mut base = File::open(&base).map_err(|e| Error::io(&base, "cannot be opened", &e))?;
        let signed = signature.check(&mut base, &self.keys)?;
        let key = DeviceKey::read_or_make(key_file)?;
        let comment = trusted_comment(&signed.name, changed.as_bytes());
        let text = key.sign_file(&bytes, &comment);
        let path = signature_by_digest(file, changed.to_hex().as_str());
        files::write_whole(&path, text.as_bytes())
    }

    /// Removes the signatures by digest for other states of the template than the one that is there.
    pub fn tidy(&self, file: &Path) {
        let Ok(bytes) = File::open(file) else { return };
        let mut hasher = blake3::Hasher::new();
        if hasher.update_reader(bytes).is_err() {
            return;
        }
        let kept = signature_by_digest(file, hasher.finalize().to_hex().as_str());
        for entry in std::fs::read_dir(files::folder_of(file)).into_iter().flatten().flatten() {
            let path = entry.path();
            if is_signature_by_digest(file, &path) && path != kept {
                // A signature that stays is for bytes that are no longer there.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Returns the file of the signature that counts only for a template with this digest.
fn signature_by_digest(file: &Path, digest: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.minisig", digest.get(..16).unwrap_or(digest)));
    name.into()
}

fn is_signature_by_digest(file: &Path, path: &Path) -> bool {
    let (Some(file), Some(name)) = (file.file_name(), path.file_name()) else { return false };
    let digest = || {
        let rest = name.to_str()?.strip_prefix(file.to_str()?)?;
        rest.strip_prefix('.')?.strip_suffix(".minisig")
    };
    digest().is_some_and(|d| d.len() == 16 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Makes a copy of a file beside it. The copy is removed when it is dropped.
fn copy_of(file: &Path) -> Result<tempfile::TempPath> {
    let failed = |e: std::io::Error| Error::io(file, "cannot be copied", &e);
    let mut copy = files::temporary(files::folder_of(file)).map_err(failed)?;
    let mut from = files::open_regular(file, MAX_BYTES, Kind::Template)?;
    std::io::copy(&mut from, copy.as_file_mut()).map_err(failed)?;
    Ok(copy.into_temp_path())
}
