//! Finds the user that runs `hetmm-plant`.

use crate::error::{Error, Kind, Result};
use crate::files;
use std::path::Path;

/// The file of the users of this machine. The system's own functions are not used: in a static program they load
/// libraries that a board may not have.
const USERS: &str = "/etc/passwd";
/// The largest file of users that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Says which user runs `hetmm-plant`, and what that program may ask for.
#[derive(Debug, Clone)]
pub struct PlantUser {
    /// The number of the user.
    pub user: u32,
    /// The verbs of [`crate::line::request::Request::VERBS`] that this user may ask for.
    pub may: Vec<String>,
}

impl PlantUser {
    /// Finds a user of this machine by name.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there is no such user, [`Kind::Io`] if the users cannot be read.
    pub fn find(name: &str, may: &[String]) -> Result<Self> {
        let text = files::read_regular(Path::new(USERS), MAX_BYTES, Kind::Io)?;
        let user = number_of(name, &String::from_utf8_lossy(&text)).ok_or_else(|| {
            Error::usage(format!("control.plant_user: {USERS} has no user {name}"))
                .advise("the script that installs hetmm-plant makes its user")
        })?;
        Ok(PlantUser { user, may: may.to_vec() })
    }
}

/// Returns the number of a user. A line holds name, password, number and more, separated by colons.
fn number_of(name: &str, users: &str) -> Option<u32> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nhetmm-plant2:x:7:7::/:\nhetmm-plant:x:998:997::/:/x\nodd\nbad:x:y:1\n";
        for (name, number) in [
            ("root", Some(0)),
            ("hetmm-plant", Some(998)),
            ("hetmm", None),
            ("odd", None),
            ("bad", None),
            ("", None),
        ] {
            assert_eq!(number_of(name, users), number, "{name}");
        }
        assert_eq!(PlantUser::find("root", &[]).expect("finds").user, 0);
        assert!(PlantUser::find("nobody-has-this-name", &[]).is_err());
    }
}
