//! Holds the key with which the device signs: checkpoints of its records, and templates that were taught on it.
//!
//! The key is made at the first start. The file with the secret half has mode 0600. The public half is a file beside
//! it, in minisign's format, so that `minisign` and other programs can read it.

use crate::error::{Error, Kind, Result};
use crate::files;
use base64::prelude::{BASE64_STANDARD, Engine};
use blake2::{Blake2b512, Digest};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The first line of the file with the secret half.
const TITLE: &str = "untrusted comment: hetmm-edge device key, secret: keep it on this device";
/// No file of a key is longer, in bytes.
const MAX_BYTES: u64 = 4096;

/// Holds both halves of the key.
pub struct DeviceKey {
    secret: SigningKey,
    public: PublicKey,
}

/// Holds the public half of a key, as minisign writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: [u8; 8],
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads a key such as `RWQf6LRC...`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text.trim()).ok()?;
        let (id, key) = bytes.strip_prefix(b"Ed")?.split_first_chunk::<8>()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        Some(PublicKey { id: *id, key })
    }

    /// Reads a file with a key, as minisign or this program has written it, or with the key alone.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if it holds no key, or [`Kind::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_regular(path, MAX_BYTES, Kind::Usage)?;
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().rev().find(|line| !line.trim().is_empty());
        line.and_then(Self::parse).ok_or_else(|| {
            Error::usage(format!("{}: no public key of minisign's format", path.display()))
                .advise("give the device.pub of the device")
        })
    }

    /// Returns the key as minisign writes it.
    pub fn to_text(&self) -> String {
        let bytes = [b"Ed".as_slice(), &self.id, self.key.as_bytes()].concat();
        BASE64_STANDARD.encode(bytes)
    }

    /// Returns the id of the key as minisign shows it: hexadecimal digits without leading zeros.
    pub fn id(&self) -> String {
        format!("{:X}", u64::from_le_bytes(self.id))
    }

    /// Returns whether `signature`, 64 bytes, was made by this key for `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl DeviceKey {
    /// Reads the key, or makes it if there is none.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if others may read the key or the file holds no key, or [`Kind::Io`] if it cannot be
    /// read or made.
    pub fn read_or_make(path: &Path) -> Result<Self> {
        if let Some(key) = Self::read_if_there(path)? {
            return Ok(key);
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|e| Error::new(Kind::Io, format!("no random numbers for a key: {e}")))?;
        let key = Self::of_seed(&seed);
        let folder = files::folder_of(path);
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::io(folder, "the folder of the key cannot be made", &e))?;
        // The public half comes first: a key without it would be no use to a reader.
        let public = format!(
            "untrusted comment: hetmm-edge device key {}\n{}\n",
            key.public.id(),
            key.public.to_text()
        );
        files::write_whole(&public_path(path), public.as_bytes())?;
        write_secret(path, &format!("{TITLE}\n{}\n", BASE64_STANDARD.encode(seed)))?;
        Ok(key)
    }

    /// Reads the key. Returns `None` if there is none.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if others may read the key or the file holds no key, or [`Kind::Io`] if it cannot be
    /// read.
    pub fn read_if_there(path: &Path) -> Result<Option<Self>> {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let file = files::open_regular(path, MAX_BYTES, Kind::Usage)?;
        let failed = |e: std::io::Error| Error::io(path, "the device key cannot be read", &e);
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            let what = format!("{}: others may read the device key", path.display());
            return Err(Error::usage(what).advise(
                "remove the file and its .pub, so that a new key is made: this one is no secret \
                 any more",
            ));
        }
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
        let seed = |text: &str| -> Option<[u8; 32]> {
            let line = text.strip_prefix(TITLE)?.trim();
            BASE64_STANDARD.decode(line).ok()?.try_into().ok()
        };
        let seed = seed(&text).ok_or_else(|| {
            Error::usage(format!("{}: no device key", path.display()))
                .advise("give a path without a file, so that a key is made there")
        })?;
        Ok(Some(Self::of_seed(&seed)))
    }

    /// Makes the key of 32 random bytes.
    pub(in crate::line) fn of_seed(seed: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(seed);
        let key = secret.verifying_key();
        let digest = blake3::hash(key.as_bytes());
        let id = digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
        DeviceKey { secret, public: PublicKey { id, key } }
    }

    /// Returns the public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }

    /// Returns the text of a signature file of minisign's prehashed format for a file with these bytes.
    /// `trusted_comment` is one line of text.
    pub fn sign_file(&self, bytes: &[u8], trusted_comment: &str) -> String {
        let comment: String = trusted_comment.chars().filter(|c| !c.is_control()).collect();
        let signature = self.sign(&Blake2b512::digest(bytes));
        let global = self.sign(&[signature.as_slice(), comment.as_bytes()].concat());
        let whole = [b"ED".as_slice(), &self.public.id, &signature].concat();
        format!(
            "untrusted comment: signed by hetmm-edge with its device key {}\n{}\n\
             trusted comment: {comment}\n{}\n",
            self.public.id(),
            BASE64_STANDARD.encode(whole),
            BASE64_STANDARD.encode(global)
        )
    }
}

/// Returns the file with the public half of the key at `path`.
pub fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

/// Writes a new file that only its owner may read, whole or not at all. A key that is there already stays.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(path, "the device key cannot be written", &e);
    // A temporary file has mode 0600.
    let mut file = files::temporary(files::folder_of(path)).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|e| failed(e.error))?;
    std::fs::File::open(files::folder_of(path)).and_then(|f| f.sync_all()).map_err(failed)
}
