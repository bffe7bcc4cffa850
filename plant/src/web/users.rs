//! Keeps users, their roles and the hashes of their passwords in a file that only this program may read.

use hetmm::error::{Error, Kind, Result};
use hetmm::files;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The largest file of users, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The most users.
const MOST: usize = 200;

/// Says what somebody may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Observer,
    /// May teach, undo, acknowledge, and take the safe state.
    Operator,
    /// May do everything that can be done over a network.
    Engineer,
}

/// Holds a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name, which stands in the journal of what the user did.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The hash of the password.
    pub hash: String,
}

/// The file of users.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    /// Held while the file is changed.
    changing: Mutex<()>,
}

impl Users {
    /// Names the file.
    pub fn new(path: &Path) -> Self {
        Users { path: path.to_owned(), changing: Mutex::default() }
    }

    /// Returns all users. Without a file there are none.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the file is damaged, [`Kind::Io`] if it cannot be read.
    pub fn list(&self) -> Result<Vec<User>> {
        if !self.path.exists() {
            return Ok(vec![]);
        }
        let bytes = files::read_regular(&self.path, MAX_BYTES, Kind::Usage)?;
        serde_json::from_slice(&bytes).map_err(|why| {
            Error::new(
                Kind::Usage,
                format!("{}: the file of users is damaged: {why}", self.path.display()),
            )
            .advise("remove it and run `hetmm-plant setup`, or put a copy back")
        })
    }

    /// Returns a user.
    ///
    /// # Errors
    /// As [`Users::list`].
    pub fn find(&self, name: &str) -> Result<Option<User>> {
        Ok(self.list()?.into_iter().find(|user| user.name == name))
    }

    /// Adds a user, or gives an existing one another role and password.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the name cannot be used or there are too many users, [`Kind::Io`] if the file cannot be written.
    pub fn put(&self, user: User) -> Result<()> {
        if !is_name(&user.name) {
            return Err(Error::usage("this name cannot be used")
                .advise("take 1 to 32 letters, digits, spaces, dots, dashes or underscores"));
        }
        self.change(|users| {
            users.retain(|old| old.name != user.name);
            if users.len() >= MOST {
                return Err(Error::usage(format!("there are {MOST} users already")));
            }
            users.push(user);
            Ok(())
        })
    }

    /// Removes a user. Returns whether there was one. The last engineer stays.
    ///
    /// # Errors
    /// [`Kind::Usage`] if nobody would be left to manage users, [`Kind::Io`] if the file cannot be written.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let mut was_there = false;
        self.change(|users| {
            was_there = users.iter().any(|user| user.name == name);
            users.retain(|user| user.name != name);
            let is_left = users.iter().any(|user| user.role == Role::Engineer);
            match was_there && !is_left {
                true => {
                    Err(Error::usage("this is the last engineer")
                        .advise("make another engineer first"))
                }
                false => Ok(()),
            }
        })?;
        Ok(was_there)
    }

    /// Removes all users.
    ///
    /// # Errors
    /// [`Kind::Io`] if the file cannot be written.
    pub fn clear(&self) -> Result<()> {
        self.change(|users| {
            users.clear();
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<User>) -> Result<()>) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut users = self.list()?;
        change(&mut users)?;
        let text = serde_json::to_vec_pretty(&users)
            .map_err(|why| Error::new(Kind::Io, format!("users cannot be written: {why}")))?;
        // A temporary file is private to its owner from its first moment, and renaming keeps that.
        files::write_whole(&self.path, &text)?;
        private(&self.path)
    }
}

/// Lets nobody but the owner read a file.
fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| Error::io(path, "the file cannot be made private", &e))
}

/// Returns whether a name can stand in a journal, a table and a request.
pub fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_');
    (1..=32).contains(&name.chars().count()) && name.trim() == name && name.chars().all(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn user(name: &str, role: Role) -> User {
        User { name: name.into(), role, hash: "h".into() }
    }

    #[test]
    fn users_are_kept_in_a_private_file_and_the_last_engineer_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.json");
        let users = Users::new(&path);
        assert_eq!(users.list().expect("reads"), []);
        users.put(user("anna", Role::Engineer)).expect("adds");
        users.put(user("bert", Role::Operator)).expect("adds");
        users.put(user("bert", Role::Observer)).expect("changes");
        assert_eq!(users.find("bert").expect("reads"), Some(user("bert", Role::Observer)));
        let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(users.remove("anna").is_err());
        assert!(users.remove("bert").expect("removes") && !users.remove("carl").expect("reads"));
        assert_eq!(users.list().expect("reads"), [user("anna", Role::Engineer)]);
        std::fs::write(&path, "[{\"name\": 1}]").expect("writes");
        assert!(users.list().expect_err("damaged").to_string().contains("is damaged"));
        assert!(users.put(user("dora", Role::Observer)).is_err(), "a damaged file is not replaced");
    }

    #[test]
    fn names_can_stand_anywhere() {
        for (name, is_good) in [
            ("anna", true),
            ("Änne K.", true),
            ("a-b_c", true),
            ("", false),
            (" anna", false),
            ("a\"b", false),
            ("a\nb", false),
            ("a/b", false),
            ("<b>", false),
        ] {
            assert_eq!(is_name(name), is_good, "{name:?}");
        }
        assert!(!is_name(&"a".repeat(33)));
    }
}
