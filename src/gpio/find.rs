//! Finds GPIO chips and lines as people name them: a chip by path, name or label, a line by number or name.

use crate::error::{Error, Kind, Result};
use gpiocdev::Chip;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// The offset on the chip.
    pub offset: u32,
    /// The program that uses it now. `None` means nobody, and an empty name means the kernel.
    pub user: Option<String>,
}

/// Finds a GPIO line.
///
/// # Errors
/// Returns [`Kind::Io`] if there is no such chip or line. The error says what there is.
pub fn find(chip: &str, line: &LineRef) -> Result<Found> {
    let path = find_chip(chip)?;
    let failed = |e: gpiocdev::Error| Error::new(Kind::Io, format!("{}: {e}", path.display()));
    let opened = Chip::from_path(&path).map_err(failed)?;
    let lines = opened.info().map_err(failed)?.num_lines;
    let info = match line {
        LineRef::Offset(offset) if *offset < lines => opened.line_info(*offset).map_err(failed)?,
        LineRef::Offset(offset) => {
            let what = format!("{} has no line {offset}", path.display());
            return Err(Error::new(Kind::Io, what)
                .advise(format!("its lines are 0 to {}", lines - lines.min(1))));
        }
        LineRef::Name(name) => opened.find_line_info(name).ok_or_else(|| {
            let what = format!("{} has no line named \"{name}\"", path.display());
            Error::new(Kind::Io, what).advise("`gpioinfo` (Debian package gpiod) lists the names")
        })?,
    };
    let user = info.used.then_some(info.consumer);
    Ok(Found { chip: path, offset: info.offset, user })
}

/// Returns what to do about a GPIO line that was refused.
pub fn remedy(found: &Found) -> String {
    match &found.user {
        Some(user) if user.is_empty() => "the kernel uses it; use another line".into(),
        Some(user) => format!("\"{user}\" uses it; stop that program, or use another line"),
        None => {
            "check that this user may open the device (group gpio, see firmware-config/)".into()
        }
    }
}

fn find_chip(wanted: &str) -> Result<PathBuf> {
    let absolute = Path::new("/dev").join(wanted);
    if let Ok(path) = gpiocdev::chip::is_chip(&absolute) {
        return Ok(path);
    }
    let mut there = vec![];
    for path in gpiocdev::chip::chips().unwrap_or_default() {
        let label = Chip::from_path(&path).and_then(|c| c.info()).map(|i| i.label);
        let label = label.unwrap_or_default();
        if label == wanted {
            return Ok(path);
        }
        there.push(format!("{} ({label})", path.display()));
    }
    let remedy = if there.is_empty() {
        "this machine has no GPIO chip that this user may see".into()
    } else {
        format!("there are: {}", there.join(", "))
    };
    Err(Error::new(Kind::Io, format!("there is no GPIO chip \"{wanted}\"")).advise(remedy))
}
