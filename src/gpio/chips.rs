//! Lists the GPIO chips of the machine, and finds the one that a name means.

use crate::error::{Error, Kind, Result};
use gpiocdev::Chip;
use std::path::{Path, PathBuf};

/// Names a GPIO chip, and says what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChipRef<'a> {
    /// Its path, its number as in `gpiochip0`, its label, or the device that it belongs to as in `2200000.gpio`.
    pub name: &'a str,
    /// The number of lines that it must have. `None` accepts any.
    pub lines: Option<u32>,
}

impl<'a> ChipRef<'a> {
    /// Names a chip that may have any number of lines.
    pub fn named(name: &'a str) -> Self {
        ChipRef { name, lines: None }
    }
}

/// Describes a GPIO chip of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeenChip {
    /// The device file.
    pub path: PathBuf,
    /// The label that its driver gives it. It is empty if this user may not open the chip.
    pub label: String,
    /// The device that it belongs to. It is empty if that is not known.
    pub device: String,
}

impl std::fmt::Display for SeenChip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.label)
    }
}

/// Returns every chip of this machine.
pub(super) fn seen() -> Vec<SeenChip> {
    let describe = |path: PathBuf| {
        let info = Chip::from_path(&path).and_then(|chip| chip.info());
        let label = info.map_or_else(|_| String::new(), |info| info.label);
        SeenChip { device: device_of(&path).unwrap_or_default(), path, label }
    };
    gpiocdev::chip::chips().unwrap_or_default().into_iter().map(describe).collect()
}

/// Returns the device that a chip belongs to, by the folder that sysfs puts the chip into.
fn device_of(chip: &Path) -> Option<String> {
    let entry = Path::new("/sys/bus/gpio/devices").join(chip.file_name()?);
    let folder = std::fs::canonicalize(entry).ok()?;
    Some(folder.parent()?.file_name()?.to_string_lossy().into_owned())
}

/// Returns the chip that is meant, and a warning if its name may mean another chip later.
///
/// # Errors
/// Returns [`Kind::Io`] if there is no such chip, or if several chips have the name. The error lists the chips.
pub(super) fn choose<'c>(
    wanted: &str,
    chips: &'c [SeenChip],
) -> Result<(&'c SeenChip, Option<String>)> {
    let path = std::fs::canonicalize(Path::new("/dev").join(wanted)).ok();
    let by_path = path.and_then(|path| chips.iter().find(|chip| chip.path == path));
    let chip = match by_path {
        Some(chip) => chip,
        None => choose_by_name(wanted, chips)?,
    };
    Ok((chip, is_number(wanted).then(|| may_change(chip, chips))))
}

/// Refuses a chip with another number of lines than is expected.
///
/// # Errors
/// Returns [`Kind::Io`] with both numbers.
pub(super) fn expect_lines(chip: &SeenChip, expected: Option<u32>, lines: u32) -> Result<()> {
    let Some(expected) = expected.filter(|expected| *expected != lines) else { return Ok(()) };
    let what = format!("the GPIO chip {chip} has {lines} lines, and not {expected}");
    let remedy = "it may be another chip than at commissioning: look at its wiring, then correct \
                  chip or lines in the configuration";
    Err(Error::new(Kind::Io, what).advise(remedy))
}

fn choose_by_name<'c>(wanted: &str, chips: &'c [SeenChip]) -> Result<&'c SeenChip> {
    let list = |chips: &[&SeenChip]| -> String {
        let described = chips.iter().map(|chip| match chip.device.is_empty() {
            true => chip.to_string(),
            false => format!("{chip} of {}", chip.device),
        });
        described.collect::<Vec<_>>().join(", ")
    };
    let named = |chip: &&SeenChip| chip.label == wanted || chip.device == wanted;
    let found: Vec<&SeenChip> = chips.iter().filter(named).collect();
    match found.as_slice() {
        [chip] => Ok(chip),
        [] => {
            let all: Vec<&SeenChip> = chips.iter().collect();
            let remedy = match all.is_empty() {
                true => "this machine has no GPIO chip that this user may see".into(),
                false => format!("there are: {}", list(&all)),
            };
            Err(Error::new(Kind::Io, format!("there is no GPIO chip \"{wanted}\"")).advise(remedy))
        }
        several => {
            let what =
                format!("{} GPIO chips are named \"{wanted}\": {}", several.len(), list(several));
            Err(Error::new(Kind::Io, what).advise("name the chip by its device or its path"))
        }
    }
}

/// Returns whether this is a number that the kernel gave the chip when it was found.
fn is_number(name: &str) -> bool {
    let number = name.strip_prefix("/dev/").unwrap_or(name).strip_prefix("gpiochip");
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Warns of a number, and gives a name that stays.
fn may_change(chip: &SeenChip, chips: &[SeenChip]) -> String {
    let alone = |same: fn(&SeenChip) -> &str| {
        let name = same(chip);
        let alone = chips.iter().filter(|other| same(other) == name).count() == 1;
        Some(name).filter(|name| alone && !name.is_empty())
    };
    let number = chip.path.display();
    match (alone(|chip| &chip.label), alone(|chip| &chip.device)) {
        (Some(label), _) => {
            format!("the number in {number} may change; the chip's label \"{label}\" stays")
        }
        (None, Some(device)) => {
            format!("the number in {number} may change; its device \"{device}\" stays")
        }
        (None, None) => format!("the number in {number} may change"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chips() -> Vec<SeenChip> {
        let chip = |path: &str, label: &str, device: &str| SeenChip {
            path: path.into(),
            label: label.into(),
            device: device.into(),
        };
        vec![
            chip("/dev/gpiochip900", "tegra234-gpio", "2200000.gpio"),
            chip("/dev/gpiochip901", "pcf8574", "1-0020"),
            chip("/dev/gpiochip902", "pcf8574", "1-0021"),
            chip("/dev/gpiochip903", "", ""),
        ]
    }

    #[test]
    fn a_chip_is_found_by_label_and_by_device() {
        for (name, path) in [
            ("tegra234-gpio", "/dev/gpiochip900"),
            ("2200000.gpio", "/dev/gpiochip900"),
            ("1-0021", "/dev/gpiochip902"),
        ] {
            let chips = chips();
            let (chip, warning) = choose(name, &chips).expect(name);
            assert_eq!(chip.path, Path::new(path));
            assert_eq!(warning, None, "{name} stays");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused_with_all_candidates() {
        let error = |name: &str| choose(name, &chips()).expect_err(name).to_string();
        let two = error("pcf8574");
        assert!(two.contains("2 GPIO chips are named \"pcf8574\""), "{two}");
        assert!(two.contains("/dev/gpiochip901 (pcf8574) of 1-0020"), "{two}");
        assert!(two.contains("/dev/gpiochip902 (pcf8574) of 1-0021"), "{two}");
        let none = error("tegra194-gpio");
        assert!(none.contains("/dev/gpiochip900 (tegra234-gpio) of 2200000.gpio"), "{none}");
    }

    #[test]
    fn a_chip_with_another_number_of_lines_is_refused() {
        let chips = chips();
        for (expected, accepted) in [(None, true), (Some(164), true), (Some(32), false)] {
            let result = expect_lines(&chips[0], expected, 164);
            assert_eq!(result.is_ok(), accepted, "{expected:?}");
        }
        let error = expect_lines(&chips[0], Some(32), 164).expect_err("refused").to_string();
        assert!(error.contains("(tegra234-gpio) has 164 lines, and not 32"), "{error}");
    }

    #[test]
    fn a_number_comes_with_a_warning_and_the_name_to_take() {
        for (name, number) in [
            ("gpiochip0", true),
            ("/dev/gpiochip12", true),
            ("gpiochip", false),
            ("gpiochip0a", false),
            ("tegra234-gpio", false),
            ("/dev/belt", false),
        ] {
            assert_eq!(is_number(name), number, "{name}");
        }
        let chips = chips();
        let words = |index: usize| may_change(&chips[index], &chips);
        assert!(words(0).contains("label \"tegra234-gpio\" stays"), "{}", words(0));
        assert!(words(1).contains("device \"1-0020\" stays"), "{}", words(1));
        assert!(words(3).ends_with("may change"), "{}", words(3));
    }
}
