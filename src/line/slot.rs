//! Numbers the places for templates, and says which template a request means or expects.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Numbers a place for a template in the configuration, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slot(u16);

impl Slot {
    /// Reads a number from 1 to 65535, as it is written in a request or as a key. Returns `None` if the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let slot = Slot::of_number(text.parse().ok()?)?;
        // Two texts for one number would be two keys for one slot.
        (slot.to_string() == text).then_some(slot)
    }

    /// Returns the slot with this number. Returns `None` for 0.
    pub fn of_number(number: u16) -> Option<Self> {
        (number > 0).then_some(Slot(number))
    }

    /// Returns the number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Slot {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Slot::parse(&text)
            .ok_or_else(|| format!("`{text}` is no slot: give a number from 1 to 65535"))
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> String {
        slot.to_string()
    }
}

/// Names a template that is to be checked without being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidate {
    /// The template of a slot.
    Slot(Slot),
    /// The template that was uploaded.
    Upload,
}

/// Holds the BLAKE3 of a template, or its first digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestPrefix {
    digits: [u8; DigestPrefix::MOST],
    count: usize,
}

impl DigestPrefix {
    /// The smallest number of digits. Fewer could mean another template by chance.
    pub const LEAST: usize = 8;
    /// The number of digits of a whole BLAKE3.
    pub const MOST: usize = 64;

    /// Reads 8 to 64 hexadecimal digits. Returns `None` if the text is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digest = (Self::LEAST..=Self::MOST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            return None;
        }
        let mut digits = [0; Self::MOST];
        for (digit, byte) in digits.iter_mut().zip(text.bytes()) {
            *digit = byte.to_ascii_lowercase();
        }
        Some(DigestPrefix { digits, count: text.len() })
    }

    /// Returns whether a BLAKE3 in lower-case hexadecimal digits begins with these digits.
    pub fn is_of(&self, blake3: &str) -> bool {
        self.digits.get(..self.count).is_some_and(|digits| blake3.as_bytes().starts_with(digits))
    }
}

impl fmt::Display for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits.get(..self.count).unwrap_or_default();
        digits.iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_name() {
        for text in ["1", "2", "65535"] {
            assert_eq!(Slot::parse(text).expect("a slot").to_string(), text);
        }
        for text in ["", "0", "01", "+1", "-1", "65536", "a", "1 ", "1.0"] {
            assert_eq!(Slot::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_digest_may_be_shortened_to_eight_digits() {
        let blake3 = "0123456789abcdef".repeat(4);
        for count in [8, 9, 64] {
            assert!(DigestPrefix::parse(&blake3[..count]).expect("digits").is_of(&blake3));
        }
        let upper = DigestPrefix::parse("01234567 89AB".replace(' ', "").as_str()).expect("digits");
        assert!(upper.is_of(&blake3) && upper.to_string() == "0123456789ab");
        assert!(!DigestPrefix::parse("0123456889").expect("digits").is_of(&blake3));
        assert!(!upper.is_of("01234567"), "a shorter digest is another one");
        let long = format!("{blake3}0");
        for text in ["", "0123456", "0123456g", long.as_str()] {
            assert_eq!(DigestPrefix::parse(text), None, "{text:?}");
        }
    }
}
