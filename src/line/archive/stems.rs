//! Knows the files in the archive's folder, and which of them are removed first.
//!
//! The files of one part have one stem, such as `000000042-part17-defect`. The number in front continues over restarts,
//! so the oldest files are known without a clock.

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What stands at the end of the stem of a part that passed.
pub(super) const PASSED: &str = "passed";
/// What the files of a part end with.
const EXTENSIONS: [&str; 3] = [".png", ".map.png", ".json"];
/// The beginning of 2024 in milliseconds since 1970. A file with an earlier time was written before the clock was set.
const YEAR_2024_MS: u64 = 1_704_067_200_000;

/// Holds the stems in the folder.
pub(super) struct Stems {
    folder: PathBuf,
    rejected: BTreeSet<String>,
    passed: BTreeSet<String>,
    next: u64,
}

impl Stems {
    /// Reads the stems in the folder. A folder that cannot be read has no stems yet.
    pub fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names: BTreeSet<String> = entries
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|name| number(name).is_some())
            .filter_map(|name| name.split('.').next().map(str::to_owned))
            .collect();
        let next =
            names.last().and_then(|name| number(name)).map_or(0, |number| number.saturating_add(1));
        let (passed, rejected) = names.into_iter().partition(|name| is_passed(name));
        Stems { folder: folder.to_owned(), rejected, passed, next }
    }

    /// Returns the number that the next stem gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Returns the number of parts of one kind.
    pub fn count(&self, passed: bool) -> usize {
        self.of(passed).len()
    }

    /// Returns the newest stem of a part, and its number.
    pub fn newest_of(&self, part: u64) -> Option<(&str, u64)> {
        let of_part = format!("part{part}-");
        let is_of_part = |stem: &&String| {
            stem.split_once('-').is_some_and(|(_, tail)| tail.starts_with(&of_part))
        };
        let newest =
            [&self.rejected, &self.passed].map(|stems| stems.iter().rev().find(is_of_part));
        let stem = newest.into_iter().flatten().max()?;
        Some((stem.as_str(), number(stem)?))
    }

    /// Returns all stems, the newest first.
    pub fn newest_first(&self) -> Vec<String> {
        let mut all: Vec<String> = self.rejected.union(&self.passed).cloned().collect();
        all.reverse();
        all
    }

    /// Returns the files of all rejected parts that are there, the oldest part first.
    pub fn rejected_files(&self) -> Vec<PathBuf> {
        let of_stem =
            |stem: &String| EXTENSIONS.map(|end| self.folder.join(format!("{stem}{end}")));
        self.rejected.iter().flat_map(of_stem).filter(|file| file.is_file()).collect()
    }

    /// Adds a stem for a part that was rejected for this reason, or that has passed, and returns it.
    pub fn add(&mut self, part: u64, reason: Option<&str>) -> String {
        let stem = format!("{:09}-part{part}-{}", self.next, reason.unwrap_or(PASSED));
        self.next = self.next.saturating_add(1);
        self.of_mut(reason.is_none()).insert(stem.clone());
        stem
    }

    /// Removes the files of the oldest part of one kind. Returns false if there is none.
    pub fn remove_oldest(&mut self, passed: bool) -> Result<bool> {
        let Some(stem) = self.of(passed).first().cloned() else { return Ok(false) };
        self.remove(&stem)?;
        Ok(true)
    }

    /// Removes the files of one part that were written before a moment in milliseconds since 1970: of one that passed,
    /// if there is any. Returns false if there are none. A file that was written before the clock was set stays.
    pub fn remove_older(&mut self, than_unix_ms: u64) -> Result<bool> {
        let is_old = |stem: &&String| {
            let written = self.written_ms(stem);
            written.is_some_and(|at| (YEAR_2024_MS..than_unix_ms).contains(&at))
        };
        // Stems are in the order of time, but for those that were written before the clock was set.
        let oldest = |stems: &BTreeSet<String>| {
            let is_young =
                |stem: &String| self.written_ms(stem).is_some_and(|at| at >= than_unix_ms);
            stems.iter().take_while(|stem| !is_young(stem)).find(is_old).cloned()
        };
        let Some(stem) = oldest(&self.passed).or_else(|| oldest(&self.rejected)) else {
            return Ok(false);
        };
        self.remove(&stem)?;
        Ok(true)
    }

    /// Returns when the picture of a stem was written, in milliseconds since 1970.
    fn written_ms(&self, stem: &str) -> Option<u64> {
        let picture = self.folder.join(format!("{stem}.png"));
        let written = std::fs::metadata(picture).ok()?.modified().ok()?;
        u64::try_from(written.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    fn remove(&mut self, stem: &str) -> Result<()> {
        for extension in EXTENSIONS {
            let path = self.folder.join(format!("{stem}{extension}"));
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io(&path, "cannot be removed", &e)),
            }
        }
        self.of_mut(is_passed(stem)).remove(stem);
        Ok(())
    }

    fn of(&self, passed: bool) -> &BTreeSet<String> {
        if passed { &self.passed } else { &self.rejected }
    }

    fn of_mut(&mut self, passed: bool) -> &mut BTreeSet<String> {
        if passed { &mut self.passed } else { &mut self.rejected }
    }
}

fn is_passed(stem: &str) -> bool {
    stem.rsplit('-').next() == Some(PASSED)
}

/// Returns the number in front of a name that the archive made. Other files in the folder are left alone.
fn number(name: &str) -> Option<u64> {
    let (digits, rest) = name.split_once('-')?;
    let ours = digits.len() == 9 && rest.starts_with("part");
    if ours { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    /// Makes the files of a part that were written at this moment.
    fn make(stems: &mut Stems, part: u64, reason: Option<&str>, at_ms: u64) -> String {
        let stem = stems.add(part, reason);
        for extension in EXTENSIONS {
            let file =
                File::create(stems.folder.join(format!("{stem}{extension}"))).expect("makes");
            file.set_modified(UNIX_EPOCH + Duration::from_millis(at_ms)).expect("sets");
        }
        stem
    }

    fn left(stems: &Stems) -> Vec<u64> {
        let again = Stems::read(&stems.folder);
        assert_eq!(
            (again.count(true), again.count(false)),
            (stems.count(true), stems.count(false))
        );
        let all = again.passed.union(&again.rejected);
        all.filter_map(|stem| number(stem)).collect()
    }

    #[test]
    fn old_pictures_go_and_those_of_rejected_parts_go_last() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("notes.txt"), "mine").expect("writes");
        let mut stems = Stems::read(folder.path());
        let year = |year: u64| YEAR_2024_MS + (year - 2024) * 31_557_600_000;
        make(&mut stems, 1, Some("defect"), year(2025));
        make(&mut stems, 2, None, year(2025));
        make(&mut stems, 3, Some("late"), year(2026));
        make(&mut stems, 4, None, year(2027));
        // The clock was not set when this one was written, so nobody knows how old it is.
        make(&mut stems, 5, Some("defect"), 1000);
        let oldest = year(2026) + 1;
        let mut order = vec![];
        while stems.remove_older(oldest).expect("removes") {
            order.push(left(&stems));
        }
        assert_eq!(order, [vec![0, 2, 3, 4], vec![2, 3, 4], vec![3, 4]]);
        assert!(folder.path().join("notes.txt").exists());
        assert_eq!(stems.next(), 5);
    }

    #[test]
    fn what_was_written_before_the_clock_was_set_hides_nothing_behind_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stems = Stems::read(folder.path());
        make(&mut stems, 1, Some("defect"), 1000);
        make(&mut stems, 2, Some("defect"), YEAR_2024_MS);
        assert!(stems.remove_older(YEAR_2024_MS + 1).expect("removes"));
        assert!(!stems.remove_older(YEAR_2024_MS + 1).expect("removes"));
        assert_eq!(left(&stems), [0]);
        std::fs::remove_file(folder.path().join("000000000-part1-defect.map.png"))
            .expect("removes");
        make(&mut stems, 3, None, 1000);
        let numbers: Vec<_> = stems.newest_first().iter().filter_map(|stem| number(stem)).collect();
        assert_eq!(numbers, [2, 0]);
        let files = stems.rejected_files();
        let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
        assert_eq!(names, ["000000000-part1-defect.png", "000000000-part1-defect.json"]);
    }

    #[test]
    fn the_newest_stem_of_a_part_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stems = Stems::read(folder.path());
        make(&mut stems, 7, Some("defect"), 1);
        let passed = make(&mut stems, 7, None, 1);
        make(&mut stems, 71, Some("defect"), 1);
        assert_eq!(stems.newest_of(7), Some((passed.as_str(), 1)));
        assert_eq!(stems.newest_of(1), None);
        assert_eq!(Stems::read(folder.path()).newest_of(71).map(|(_, number)| number), Some(2));
    }
}
