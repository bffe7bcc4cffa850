//! This module reads and checks the signature of a template, a file in minisign's format beside it.
//!
//! Only the prehashed form is accepted, which `minisign` writes by default. The trusted comment has to hold a name and
//! the BLAKE3 of the template, as in `bracket 4711 blake3:9f86d0...`. The name is shown to people.

use crate::error::{Error, Kind, Result};
use crate::files;
use base64::prelude::{BASE64_STANDARD, Engine};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What stands before the digest in the trusted comment.
const DIGEST: &str = "blake3:";

/// Holds a key that may sign templates, as `minisign` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    key: minisign_verify::PublicKey,
    id: String,
}

impl TrustedKey {
    /// Reads a key such as `RWQf6LRC...`. Returns `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let key = minisign_verify::PublicKey::from_base64(text).ok()?;
        Some(TrustedKey { key, id: key_id(text)? })
    }

    /// Returns the id of the key as `minisign` shows it: hexadecimal digits without leading zeros.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Holds a signature that was read and not checked yet.
pub struct Signature {
    signature: minisign_verify::Signature,
    id: String,
    name: String,
    digest: Option<String>,
}

/// Says who has signed a template, after the signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// The id of the key.
    pub key_id: String,
    /// The name in the trusted comment.
    pub name: String,
}

impl Signature {
    /// No signature file is longer, in bytes.
    pub const MOST_BYTES: u64 = 16 << 10;

    /// Returns the file of the signature of the template at `template`.
    pub fn path_of(template: &Path) -> PathBuf {
        let mut name = template.as_os_str().to_owned();
        name.push(".minisig");
        name.into()
    }

    /// Reads a signature file. Returns `None` if there is none.
    ///
    /// # Errors
    /// Returns [`Kind::Template`] if it is no signature of the prehashed form, or [`Kind::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let bytes = files::read_regular(path, Self::MOST_BYTES, Kind::Template)?;
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map(Some).map_err(|e| e.within(path.display()))
    }

    /// Reads the text of a signature file.
    ///
    /// # Errors
    /// Returns [`Kind::Template`] if it is no signature of the prehashed form.
    pub fn parse(text: &str) -> Result<Self> {
        let broken = |why: &str| {
            Error::template(why)
                .advise("sign the template again with minisign, and copy both files")
        };
        let signature = minisign_verify::Signature::decode(text)
            .map_err(|e| broken(&format!("the signature cannot be read: {e}")))?;
        let encoded = text.lines().nth(1).unwrap_or_default();
        let id = key_id(encoded).ok_or_else(|| broken("the signature names no key"))?;
        let comment = signature.trusted_comment();
        let (name, digest) = match comment.rsplit_once(DIGEST) {
            Some((name, rest)) => {
                let digest = rest.split_whitespace().next().filter(|d| is_digest(d));
                (name, digest.map(str::to_owned))
            }
            None => (comment, None),
        };
        let name = name.trim().to_owned();
        Ok(Signature { signature, id, name, digest })
    }

    /// Returns the id of the key that the signature names. It proves nothing before [`Signature::check`].
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// Returns the name in the trusted comment. It proves nothing before [`Signature::check`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the BLAKE3 in the trusted comment. It proves nothing before [`Signature::check`].
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Checks that one of `keys` has signed exactly the bytes that `from` gives, and that the trusted comment says so.
    ///
    /// # Errors
    /// Returns [`Kind::Template`], which names the id of the key, if the key is not one of `keys`, if the signature was
    /// not made for these bytes, if it has the legacy form, or if the trusted comment holds another digest or none.
    /// Returns [`Kind::Io`] if `from` cannot be read.
    pub fn check(&self, from: &mut dyn Read, keys: &[TrustedKey]) -> Result<SignedBy> {
        let id = &self.id;
        let Some(trusted) = keys.iter().find(|key| key.id == *id) else {
            let known: Vec<&str> = keys.iter().map(TrustedKey::id).collect();
            let what = format!("the template is signed with the unknown key {id}");
            let next = format!("sign it with a key that is trusted here: {}", known.join(", "));
            return Err(Error::template(what).advise(next));
        };
        let mut stream = trusted.key.verify_stream(&self.signature).map_err(|_| {
            Error::template(format!("the signature of key {id} has minisign's legacy form"))
                .advise("sign the template again without -l")
        })?;
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), vec![0; 1 << 16]);
        loop {
            let read = match from.read(&mut bytes) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.map_err(|e| {
                    Error::new(Kind::Io, format!("the signed template cannot be read: {e}"))
                })?,
            };
            let Some(read) = bytes.get(..read).filter(|read| !read.is_empty()) else { break };
            hasher.update(read);
            stream.update(read);
        }
        stream.finalize().map_err(|_| {
            Error::template(format!("the signature of key {id} is not for this template"))
                .advise("sign the template again after each change, and copy both files")
        })?;
        self.check_comment(hasher.finalize().to_hex().as_str())
    }

    fn check_comment(&self, digest: &str) -> Result<SignedBy> {
        let id = &self.id;
        if self.digest() == Some(digest) {
            return Ok(SignedBy { key_id: id.clone(), name: self.name.clone() });
        }
        let found = self.digest().map_or("no digest".into(), |d| format!("the digest {d}"));
        let what = format!(
            "the trusted comment of the signature of key {id} holds {found}, and the template \
             has {digest}"
        );
        let next = format!("sign it with minisign -t \"NAME {DIGEST}{digest}\"");
        Err(Error::template(what).advise(next))
    }
}

/// Returns the text of a trusted comment for a template.
pub fn trusted_comment(name: &str, digest: &[u8; 32]) -> String {
    format!("{name} {DIGEST}{}", blake3::Hash::from_bytes(*digest).to_hex())
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the id of the key in an encoded key or signature: the eight bytes after the algorithm.
fn key_id(encoded: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:X}", u64::from_le_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Makes a key with `minisign`. Returns its folder and its text.
    fn key() -> (tempfile::TempDir, TrustedKey) {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Command::new("minisign")
            .args(["-G", "-W", "-p", "m.pub", "-s", "m.key"])
            .current_dir(folder.path())
            .output()
            .expect("minisign is installed: apt-get install minisign");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(folder.path().join("m.pub")).expect("reads");
        let key = TrustedKey::parse(text.lines().nth(1).expect("a key")).expect("is a key");
        assert!(text.contains(key.id()), "{} in {text}", key.id());
        (folder, key)
    }

    fn sign(folder: &Path, bytes: &[u8], comment: &str, more: &[&str]) -> Signature {
        let file = folder.join("part.hetmm");
        std::fs::write(&file, bytes).expect("writes");
        let signed = Command::new("minisign")
            .args(["-S", "-s", "m.key", "-m", "part.hetmm", "-t", comment])
            .args(more)
            .current_dir(folder)
            .output()
            .expect("runs");
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        Signature::read(&Signature::path_of(&file)).expect("reads").expect("is there")
    }

    #[test]
    fn the_id_of_a_key_has_no_leading_zeros_as_minisign_shows_it() {
        // "untrusted comment: minisign public key 61E424705F26597"
        let text = "RWSXZfIFR0IeBgFinMeFUitEx6W4lC9v43LX7veAvKI+8xuMZP39ciJL";
        assert_eq!(TrustedKey::parse(text).expect("is a key").id(), "61E424705F26597");
    }

    #[test]
    fn what_minisign_signs_is_accepted_and_everything_else_is_refused() {
        let ((folder, ours), (_other, theirs)) = (key(), key());
        let bytes = b"a template".as_slice();
        let comment = trusted_comment("bracket 4711", blake3::hash(bytes).as_bytes());
        let good = sign(folder.path(), bytes, &comment, &[]);
        let signed = good.check(&mut &*bytes, &[theirs.clone(), ours.clone()]).expect("is right");
        assert_eq!((signed.key_id.as_str(), signed.name.as_str()), (ours.id(), "bracket 4711"));
        let why = |signature: &Signature, mut bytes: &[u8], keys: &[TrustedKey]| {
            let why = signature.check(&mut bytes, keys).expect_err("is refused");
            assert_eq!(why.kind(), Kind::Template);
            assert!(why.to_string().contains(ours.id()), "names the key: {why}");
            why.to_string()
        };
        let ours = [ours.clone()];
        assert!(why(&good, bytes, &[theirs]).contains("unknown key"));
        assert!(why(&good, b"A template", &ours).contains("not for this template"));
        let legacy = sign(folder.path(), bytes, &comment, &["-l"]);
        assert!(why(&legacy, bytes, &ours).contains("legacy"));
        let other = trusted_comment("bracket 4711", blake3::hash(b"other").as_bytes());
        assert!(why(&sign(folder.path(), bytes, &other, &[]), bytes, &ours).contains("the digest"));
        assert!(
            why(&sign(folder.path(), bytes, "bracket", &[]), bytes, &ours).contains("no digest")
        );
        // A trusted comment that somebody has changed.
        let path = folder.path().join("part.hetmm.minisig");
        sign(folder.path(), bytes, &comment, &[]);
        let text = std::fs::read_to_string(&path).expect("reads").replace("4711", "4712");
        let changed = Signature::parse(&text).expect("reads");
        assert!(why(&changed, bytes, &ours).contains("not for this template"));
        assert!(Signature::read(&folder.path().join("none")).expect("reads").is_none());
        assert!(Signature::parse("untrusted comment: x\nRU\ntrusted comment: y\nz\n").is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None, ..Default::default()
        })]

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,300}", cut in 0usize..400, at in 0usize..400, byte: u8) {
            let _ = Signature::parse(&text);
            let _ = TrustedKey::parse(&text);
            let mut bytes = b"untrusted comment: signature from minisign secret key\n\
                RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
                trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
                wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n".to_vec();
            bytes.truncate(cut);
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            let _ = Signature::parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
