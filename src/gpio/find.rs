//! Finds GPIO chips and lines as people name them: a chip by path, label or device, a line by number or name.

use super::chips::{ChipRef, SeenChip, choose, expect_lines, seen};
use crate::error::{Error, Kind, Result};
use gpiocdev::Chip;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const MAY_OPEN: &str =
    "check that this user may open the device (group gpio, see firmware-config/)";

/// Names a line of a GPIO chip by its number or its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum LineRef {
    /// The offset of the line on the chip.
    Offset(u32),
    /// The name of the line.
    Name(String),
}

impl std::fmt::Display for LineRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LineRef::Offset(offset) => write!(f, "line {offset}"),
            LineRef::Name(name) => write!(f, "line \"{name}\""),
        }
    }
}

/// Describes a GPIO line that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The device file of its chip.
    pub chip: PathBuf,
    /// The label of its chip.
    pub label: String,
    /// The offset on the chip.
    pub offset: u32,
    /// The program that uses it now. `None` means nobody, and an empty name means the kernel.
    pub user: Option<String>,
    /// What is doubtful about the way in which the chip was named.
    pub warning: Option<String>,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} line {}", self.chip.display(), self.offset)
    }
}

/// Finds a GPIO line.
///
/// # Errors
/// Returns [`Kind::Io`] if there is no such chip or line, if several of them have the name, or if the chip has another
/// number of lines than is expected. The error says what there is.
pub fn find(chip: ChipRef<'_>, line: &LineRef) -> Result<Found> {
    let chips = seen();
    let (seen_chip, warning) = choose(chip.name, &chips)?;
    let path = &seen_chip.path;
    let failed = |e: gpiocdev::Error| {
        Error::new(Kind::Io, format!("{}: {e}", path.display())).advise(MAY_OPEN)
    };
    let opened = Chip::from_path(path).map_err(failed)?;
    let lines = opened.info().map_err(failed)?.num_lines;
    expect_lines(seen_chip, chip.lines, lines)?;
    let offset = match line {
        LineRef::Offset(offset) if *offset < lines => *offset,
        LineRef::Offset(offset) => {
            let what = format!("{} has no line {offset}", path.display());
            let last = lines.saturating_sub(1);
            return Err(Error::new(Kind::Io, what).advise(format!("its lines are 0 to {last}")));
        }
        LineRef::Name(name) => {
            let offsets = offsets_of(&opened, name).map_err(failed)?;
            one_of(seen_chip, name, &offsets, || elsewhere(&chips, path, name))?
        }
    };
    let info = opened.line_info(offset).map_err(failed)?;
    let user = info.used.then_some(info.consumer);
    let (chip, label) = (path.clone(), seen_chip.label.clone());
    Ok(Found { chip, label, offset, user, warning })
}

/// Returns the offsets of all lines of this name.
fn offsets_of(chip: &Chip, name: &str) -> std::result::Result<Vec<u32>, gpiocdev::Error> {
    let named = chip.line_info_iter()?.flatten().filter(|info| info.name == name);
    Ok(named.map(|info| info.offset).collect())
}

/// Returns the only one of the offsets. Otherwise the error lists all of them, or says where else the name is.
fn one_of(
    chip: &SeenChip,
    name: &str,
    offsets: &[u32],
    elsewhere: impl FnOnce() -> Vec<String>,
) -> Result<u32> {
    match offsets {
        [offset] => Ok(*offset),
        [] => {
            let what = format!("{} has no line named \"{name}\"", chip.path.display());
            let others = elsewhere();
            let remedy = match others.is_empty() {
                true => "`gpioinfo` (Debian package gpiod) lists the names".into(),
                false => format!("the name is at {}", others.join(", ")),
            };
            Err(Error::new(Kind::Io, what).advise(remedy))
        }
        several => {
            let list: Vec<String> = several.iter().map(|offset| format!("line {offset}")).collect();
            let what = format!(
                "{} has {} lines named \"{name}\": {}",
                chip.path.display(),
                several.len(),
                list.join(", ")
            );
            Err(Error::new(Kind::Io, what).advise("name the line by its number"))
        }
    }
}

/// Returns where else lines of this name are.
fn elsewhere(chips: &[SeenChip], except: &std::path::Path, name: &str) -> Vec<String> {
    let others = chips.iter().filter(|chip| chip.path != except);
    let lines = others.filter_map(|chip| {
        let offsets =
            Chip::from_path(&chip.path).and_then(|opened| offsets_of(&opened, name)).ok()?;
        Some(offsets.into_iter().map(|offset| format!("{chip} line {offset}")).collect::<Vec<_>>())
    });
    lines.flatten().collect()
}

/// Returns what to do about a GPIO line that was refused.
pub fn remedy(found: &Found) -> String {
    match &found.user {
        Some(user) if user.is_empty() => "the kernel uses it; use another line".into(),
        Some(user) => format!("\"{user}\" uses it; stop that program, or use another line"),
        None => MAY_OPEN.into(),
    }
}

/// Refuses one line for two purposes.
///
/// # Errors
/// Returns [`Kind::Usage`] with both purposes, the chip and the offset.
pub fn refuse_shared<'a>(uses: impl Iterator<Item = (&'a str, &'a Found)> + Clone) -> Result<()> {
    for (index, (name, found)) in uses.clone().enumerate() {
        let same =
            |(_, other): &(&str, &Found)| other.chip == found.chip && other.offset == found.offset;
        if let Some((other, _)) = uses.clone().take(index).find(same) {
            let what = format!("{name}: {found} ({}) is already {other}", found.label);
            return Err(Error::usage(what).advise("wire them to two lines"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip() -> SeenChip {
        let (path, label, device) = ("/dev/gpiochip0".into(), "main".into(), "m.gpio".into());
        SeenChip { path, label, device }
    }

    #[test]
    fn a_name_that_several_lines_have_is_refused_with_all_of_them() {
        assert_eq!(one_of(&chip(), "ng", &[5], Vec::new).expect("one"), 5);
        let error = one_of(&chip(), "ng", &[3, 5], Vec::new).expect_err("two").to_string();
        assert!(error.contains("2 lines named \"ng\": line 3, line 5"), "{error}");
        let error = one_of(&chip(), "ng", &[], || vec!["/dev/gpiochip1 (other) line 4".into()]);
        let error = error.expect_err("none").to_string();
        assert!(error.contains("no line named \"ng\""), "{error}");
        assert!(error.contains("the name is at /dev/gpiochip1 (other) line 4"), "{error}");
    }

    #[test]
    fn one_line_for_two_purposes_is_refused() {
        let found = |offset| Found {
            chip: "/dev/gpiochip0".into(),
            label: "main".into(),
            offset,
            user: None,
            warning: None,
        };
        let lines = [found(1), found(2), found(1)];
        let uses = |names: &[&'static str]| -> Vec<(&'static str, &Found)> {
            names.iter().copied().zip(&lines).collect()
        };
        let good = uses(&["trigger", "outputs.ng"]);
        assert!(refuse_shared(good.iter().copied()).is_ok());
        let bad = uses(&["trigger", "outputs.ng", "outputs.ok"]);
        let error = refuse_shared(bad.iter().copied()).expect_err("shared").to_string();
        let words = "outputs.ok: /dev/gpiochip0 line 1 (main) is already trigger";
        assert!(error.contains(words), "{error}");
    }
}
