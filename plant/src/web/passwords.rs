//! Hashes and checks passwords: Argon2id with 19 MiB and 2 passes, as OWASP recommends.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// The length of a password, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=128;
/// The power of ten of the guesses that a password has to withstand. The most common passwords fall far below it.
const GUESSES: f64 = 9.0;

/// Returns why a password may not be used. `name` and what else the user would write are easily guessed.
pub fn weakness(password: &str, name: &str) -> Option<&'static str> {
    if !LENGTH.contains(&password.chars().count()) {
        return Some("a password has 12 to 128 characters");
    }
    let guessed = zxcvbn::zxcvbn(password, &[name, "hetmm", "inspection", "camera"]);
    (guessed.guesses_log10() < GUESSES).then_some("this password is too easily guessed")
}

/// Hashes a password, with the parameters in the result. It takes some 30 ms.
///
/// # Errors
/// Says that the system has no random numbers.
pub fn hash(password: &str) -> Result<String, String> {
    let hash: PasswordHash =
        hasher()?.hash_password(password.as_bytes()).map_err(|why| why.to_string())?;
    Ok(hash.to_string())
}

/// Returns whether a password has this hash. A hash that cannot be read fits no password.
pub fn verify(password: &str, hash: &str) -> bool {
    let (Ok(hasher), Ok(hash)) = (hasher(), PasswordHash::new(hash)) else { return false };
    hasher.verify_password(password.as_bytes(), &hash).is_ok()
}

fn hasher() -> Result<Argon2<'static>, String> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|why| why.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_password_only() {
        let hash = hash("correct horse battery").expect("hashes");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse battery", &hash));
        assert!(!verify("correct horse batterx", &hash));
        assert!(!verify("", "") && !verify("a", "$argon2id$nothing"));
    }

    #[test]
    fn weak_passwords_are_refused() {
        for (password, is_weak) in [
            ("short", true),
            ("passwordpassword", true),
            ("123456789012", true),
            ("aaaaaaaaaaaaaaaa", true),
            ("annaannaanna", true),
            ("qwertyuiop[]", true),
            ("hetmm-inspection", true),
            ("seven quiet gears turn", false),
            ("Xk3!vR8pQz-w", false),
        ] {
            assert_eq!(weakness(password, "anna").is_some(), is_weak, "{password}");
        }
        assert!(weakness(&"x9 Q".repeat(33), "anna").is_some(), "132 characters");
    }
}
