//! Divides a list of pictures among several jobs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The largest number of shards.
const MOST: u32 = 1 << 20;

/// Names one of several parts of a list. The parts are numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The number of this part, from 1.
    pub number: u32,
    /// The number of parts.
    pub of: u32,
}

impl Shard {
    /// Returns whether there can be such a part.
    pub fn is_possible(self) -> bool {
        (1..=self.of).contains(&self.number) && self.of <= MOST
    }

    /// Returns this part of `list`. The parts are runs of neighbours: one after the other they are the list. Their
    /// lengths differ by at most one. A part is empty if the list is shorter than the number of parts.
    pub fn part_of<T>(self, list: &[T]) -> &[T] {
        let border = |shards: u32| list.len() as u128 * u128::from(shards) / u128::from(self.of);
        match self.is_possible() {
            true => &list[border(self.number - 1) as usize..border(self.number) as usize],
            false => &[],
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// Reads a shard such as `3/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            Some(Shard { number: number.trim().parse().ok()?, of: of.trim().parse().ok()? })
        });
        parsed.filter(|shard| shard.is_possible()).ok_or_else(|| {
            "give the number of the shard, from 1, and how many there are, as in 3/8".into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shards_are_read_from_text() {
        let cases = [
            ("3/8", Some((3, 8))),
            ("1 / 1", Some((1, 1))),
            ("1048576/1048576", Some((MOST, MOST))),
        ];
        let wrong = ["", "3", "0/8", "9/8", "1/0", "-1/8", "1/8/2", "1/1048577", "a/b", "1.0/8"];
        for (text, want) in cases.into_iter().chain(wrong.map(|text| (text, None))) {
            let want = want.map(|(number, of)| Shard { number, of });
            assert_eq!(text.parse().ok(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn shards_one_after_the_other_are_the_list(length in 0usize..200, of in 1u32..50) {
            let list: Vec<usize> = (0..length).collect();
            let parts: Vec<&[usize]> = (1..=of).map(|number| Shard { number, of }.part_of(&list)).collect();
            prop_assert_eq!(&parts.concat(), &list);
            let lengths = parts.iter().map(|part| part.len());
            let (least, most) = (lengths.clone().min().unwrap(), lengths.max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
