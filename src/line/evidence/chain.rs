//! Links lines to a chain. Every line begins with its number and the BLAKE3 of the line before it.

use std::fmt::Write as _;

/// The longest line in bytes, with its line end. Nothing longer is written or read.
pub(super) const MAX_LINE: usize = 1 << 20;
/// How every line begins. The number follows.
const SEQ: &str = "{\"seq\":";
/// What stands between the number and the digest of the line before.
const PREV: &str = ",\"prev\":\"";

/// Holds the end of a chain: what the next line is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the newest line. Lines count from 1. It is 0 if there is no line yet.
    pub seq: u64,
    /// The BLAKE3 of the newest line without its line end. It is zero if there is no line yet.
    pub hash: [u8; 32],
}

impl Head {
    /// The head of a chain without lines.
    pub const EMPTY: Head = Head { seq: 0, hash: [0; 32] };

    /// Begins the line that follows, up to the comma after its digest.
    pub(super) fn begin_next(&self, line: &mut String) {
        line.clear();
        // Writing to memory cannot fail.
        let _ = write!(line, "{SEQ}{}{PREV}", self.seq.saturating_add(1));
        push_hex(line, &self.hash);
        line.push_str("\",");
    }

    /// Returns the head after `line`, which has no line end.
    ///
    /// # Errors
    /// Returns in words why the line does not follow.
    pub(super) fn follow(&self, line: &[u8]) -> Result<Head, String> {
        let link = Link::of(line).ok_or("it does not begin with a number and a digest")?;
        if Some(link.seq) != self.seq.checked_add(1) {
            return Err(format!("its number is {}, and {} should follow", link.seq, self.seq + 1));
        }
        if link.prev != self.hash {
            return Err("it does not hold the digest of the line before it: one of the two was \
                        changed, or lines between them were removed"
                .into());
        }
        Ok(link.head(line))
    }
}

/// Holds the beginning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the line.
    pub seq: u64,
    /// The digest of the line before it.
    pub prev: [u8; 32],
}

impl Link {
    /// Reads the beginning of a line. There is only one way to write it, so that no byte of it can change unseen.
    pub fn of(line: &[u8]) -> Option<Link> {
        let rest = line.strip_prefix(SEQ.as_bytes())?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = rest.split_at_checked(digits)?;
        let rest = rest.strip_prefix(PREV.as_bytes())?;
        let (digest, rest) = rest.split_at_checked(64)?;
        rest.strip_prefix(b"\",")?;
        let number = std::str::from_utf8(number).ok()?;
        let is_plain = !number.starts_with('0');
        let seq = number.parse().ok().filter(|_| is_plain)?;
        Some(Link { seq, prev: unhex(digest)? })
    }

    /// Returns the head after `line`, whose beginning this is.
    pub fn head(&self, line: &[u8]) -> Head {
        Head { seq: self.seq, hash: blake3::hash(line).into() }
    }
}

/// Writes bytes as hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
}

/// Reads exactly `N` bytes of hexadecimal digits in lower case.
pub(super) fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if Some(text.len()) != N.checked_mul(2) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}
