//! Makes the code with which the first engineer is set up. There is no default password.

use hetmm::error::{Error, Kind, Result};
use hetmm::files;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The time for which a code can be used, in seconds.
const LIFE_S: u64 = 30 * 60;
/// The number of wrong codes after which the code is worth nothing.
const TRIES: u8 = 5;
/// The characters of a code: 32 that are not confused when they are read aloud.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// The number of characters, of 5 bits each: 80 bits.
const CHARACTERS: usize = 16;

/// Holds what is kept of a code.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    blake3: String,
    until_unix_s: u64,
    tries_left: u8,
}

/// Returns the file in which the code's hash is kept, beside the file of users.
fn file_of(users: &Path) -> PathBuf {
    users.with_file_name("setup-code.json")
}

/// Makes a code, and returns it in groups of four characters.
///
/// # Errors
/// [`Kind::Io`] if there are no random numbers, or if the file cannot be written.
pub fn new_code(users: &Path, now_unix_s: u64) -> Result<String> {
    let mut bytes = [0; CHARACTERS];
    getrandom::fill(&mut bytes)
        .map_err(|why| Error::new(Kind::Io, format!("no random numbers: {why}")))?;
    let code: String =
        bytes.iter().map(|b| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()])).collect();
    let until_unix_s = now_unix_s.saturating_add(LIFE_S);
    keep(users, &Kept { blake3: digest(&code), until_unix_s, tries_left: TRIES })?;
    let groups: Vec<&str> =
        (0..CHARACTERS / 4).filter_map(|i| code.get(4 * i..4 * i + 4)).collect();
    Ok(groups.join("-"))
}

/// Returns whether a code is right. A wrong one counts, and a right one is used up.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be written.
pub fn try_code(users: &Path, said: &str, now_unix_s: u64) -> Result<bool> {
    let path = file_of(users);
    let Ok(bytes) = files::read_regular(&path, 4096, Kind::Usage) else { return Ok(false) };
    let Ok(kept) = serde_json::from_slice::<Kept>(&bytes) else { return Ok(false) };
    if kept.tries_left == 0 || now_unix_s >= kept.until_unix_s {
        return Ok(false);
    }
    let plain: String =
        said.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let is_right = digest(&plain) == kept.blake3;
    let tries_left = if is_right { 0 } else { kept.tries_left.saturating_sub(1) };
    keep(users, &Kept { tries_left, ..kept })?;
    Ok(is_right)
}

fn digest(code: &str) -> String {
    blake3::hash(code.as_bytes()).to_hex().to_string()
}

/// Writes the file, for the owner of its folder: root makes the code, and another user checks it.
fn keep(users: &Path, kept: &Kept) -> Result<()> {
    let path = file_of(users);
    let text = serde_json::to_vec(kept)
        .map_err(|why| Error::new(Kind::Io, format!("the code cannot be kept: {why}")))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = |e: std::io::Error| Error::io(&path, "the code cannot be kept", &e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    files::write_whole(&path, &text)?;
    let owner = std::fs::metadata(folder).map_err(failed)?;
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_works_once_and_not_for_long_and_not_after_five_wrong_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let users = folder.path().join("users.json");
        let tried = |said: &str, now| try_code(&users, said, now).expect("tries");
        assert!(!tried("AAAA", 0), "there is no code");
        let code = new_code(&users, 1000).expect("a code");
        assert_eq!(code.len(), 19, "{code}");
        assert!(!tried("", 1000));
        assert!(tried(&code.to_lowercase().replace('-', " "), 1000 + LIFE_S - 1));
        assert!(!tried(&code, 1000), "it is used up");
        let code = new_code(&users, 1000).expect("a code");
        assert!(!tried(&code, 1000 + LIFE_S));
        (0..5).for_each(|_| assert!(!tried("WRONG", 1000)));
        assert!(!tried(&code, 1000));
        let text = std::fs::read_to_string(file_of(&users)).expect("reads");
        assert!(!text.contains(&code.replace('-', "")), "the code itself is not kept");
    }
}
