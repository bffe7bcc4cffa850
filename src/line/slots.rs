//! Keeps which template is selected: that of a slot, or `template.file` as long as no slot was selected.
//!
//! The number of the slot stands in a small file beside `template.file`. The file is written whole and has a check. If
//! it is missing or damaged, `template.file` is selected.

use super::inbox::Inbox;
use super::slot::Slot;
use crate::error::{Error, Kind, Result};
use crate::files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the text in the file begins with.
const HEAD: &str = "hetmm-edge slot";
/// The number of digits of the check.
const CHECK: usize = 16;
/// No such file is longer, in bytes.
const MAX_BYTES: u64 = 256;

/// Holds the files of the slots.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// The template as long as no slot is selected.
    file: PathBuf,
    slots: BTreeMap<Slot, PathBuf>,
    inbox: Option<Inbox>,
}

/// Names the template that is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The file of the template.
    pub file: PathBuf,
    /// The slot that has this file, if there is one.
    pub slot: Option<Slot>,
}

impl Slots {
    /// Makes the list of a configuration. `file` is the template as long as no slot is selected.
    pub fn new(file: PathBuf, slots: BTreeMap<Slot, PathBuf>) -> Self {
        Slots { file, slots, inbox: None }
    }

    /// Returns the same list, whose slots can be filled from an inbox.
    pub fn with_inbox(self, inbox: Option<Inbox>) -> Self {
        Slots { inbox, ..self }
    }

    /// Returns the inbox.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if the configuration names none.
    pub fn inbox(&self) -> Result<&Inbox> {
        self.inbox.as_ref().ok_or_else(|| {
            Error::usage("no template can be uploaded here")
                .advise("set template.inbox to a folder in which hetmm-plant may write")
        })
    }

    /// Returns every slot with its file, in the order of the numbers.
    pub fn all(&self) -> impl Iterator<Item = Selected> {
        self.slots.iter().map(|(slot, file)| Selected { file: file.clone(), slot: Some(*slot) })
    }

    /// Returns a slot with its file.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if the configuration has no such slot.
    pub fn get(&self, slot: Slot) -> Result<Selected> {
        let file = self.slots.get(&slot).cloned();
        let file = file.ok_or_else(|| self.unknown(slot, "the configuration has no slot"))?;
        Ok(Selected { file, slot: Some(slot) })
    }

    /// Returns what is selected if nothing says which slot is: `template.file`, with the slot that has this file.
    pub fn unselected(&self) -> Selected {
        let slot = self.slots.iter().find(|(_, file)| **file == self.file).map(|(slot, _)| *slot);
        Selected { file: self.file.clone(), slot }
    }

    /// Reads what is selected. Returns `None` if no slot was selected yet.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if the file is damaged or cannot be read, and [`Kind::Usage`] if the configuration does not
    /// have the selected slot any more.
    pub fn read(&self) -> Result<Option<Selected>> {
        let path = self.path();
        if self.slots.is_empty() || !path.exists() {
            return Ok(None);
        }
        let bytes = files::read_regular(&path, MAX_BYTES, Kind::Io)?;
        let slot = parse(&bytes).ok_or_else(|| {
            let what = format!("{}: the selection of the slot is damaged", path.display());
            Error::new(Kind::Io, what).advise("select the slot again: hetmm-edge select SLOT")
        })?;
        let gone = || self.unknown(slot, &format!("{} selects slot", path.display()));
        let file = self.slots.get(&slot).cloned().ok_or_else(gone)?;
        Ok(Some(Selected { file, slot: Some(slot) }))
    }

    /// Writes that a slot is selected. After an error, the file is as before.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if the file cannot be written.
    pub fn write(&self, slot: Slot) -> Result<()> {
        files::write_whole(&self.path(), text(slot).as_bytes())
    }

    /// Returns the file that holds the selection.
    fn path(&self) -> PathBuf {
        let mut name = self.file.as_os_str().to_owned();
        name.push(".slot");
        Path::new(&name).to_owned()
    }

    fn unknown(&self, slot: Slot, what: &str) -> Error {
        let known: Vec<String> = self.slots.keys().map(Slot::to_string).collect();
        let known = match known.is_empty() {
            true => "none: add them to template.slots".to_owned(),
            false => known.join(", "),
        };
        Error::usage(format!("{what} {slot}, and template.slots has {known}"))
            .advise("select another slot, or change template.slots")
    }
}

/// Returns the text of the file: the number, and a check of it.
fn text(slot: Slot) -> String {
    let said = format!("{HEAD} {slot}");
    let check = blake3::hash(said.as_bytes()).to_hex();
    format!("{said} {}\n", check.get(..CHECK).unwrap_or_default())
}

fn parse(bytes: &[u8]) -> Option<Slot> {
    let said = std::str::from_utf8(bytes).ok()?.strip_prefix(HEAD)?;
    let slot = Slot::parse(said.split_whitespace().next()?)?;
    (text(slot).as_bytes() == bytes).then_some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: &str) -> Slot {
        Slot::parse(number).expect("a slot")
    }

    fn slots(folder: &Path) -> Slots {
        let files = [("1", "a.hetmm"), ("20", "b.hetmm")];
        let files = files.map(|(number, file)| (slot(number), folder.join(file)));
        Slots::new(folder.join("a.hetmm"), files.into())
    }

    #[test]
    fn a_selection_is_kept_and_one_that_is_damaged_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let slots = slots(folder.path());
        assert_eq!(slots.read().expect("reads"), None, "nothing was selected");
        assert_eq!(slots.unselected(), slots.get(slot("1")).expect("is there"));
        slots.write(slot("20")).expect("writes");
        let selected = slots.get(slot("20")).expect("is there");
        assert_eq!(slots.read().expect("reads"), Some(selected));
        let path = slots.path();
        let whole = std::fs::read(&path).expect("reads");
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).expect("writes");
            let why = slots.read().expect_err("damaged").to_string();
            assert!(why.contains("is damaged"), "{place}: {why}");
            std::fs::write(&path, &whole[..place]).expect("writes");
            assert!(slots.read().is_err(), "{place} bytes are left");
        }
    }

    #[test]
    fn a_slot_that_the_configuration_does_not_have_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let slots = slots(folder.path());
        let why = slots.get(slot("2")).expect_err("unknown").to_string();
        assert!(why.contains("no slot 2, and template.slots has 1, 20"), "{why}");
        slots.write(slot("2")).expect("writes");
        let why = slots.read().expect_err("gone").to_string();
        assert!(why.contains("a.hetmm.slot selects slot 2"), "{why}");
        let none = Slots::new(folder.path().join("a.hetmm"), BTreeMap::new());
        assert_eq!(none.read().expect("reads"), None, "without slots nothing is selected");
        assert!(none.get(slot("1")).expect_err("none").to_string().contains("add them to"));
    }
}
