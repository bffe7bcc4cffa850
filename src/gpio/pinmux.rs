//! Says what the pin controller does with a GPIO line: a pin can belong to another function, and then nothing reaches
//! it.
//!
//! The kernel tells this in files below `/sys/kernel/debug`, which only root may read. Their form is that of
//! `drivers/pinctrl/core.c` and `pinmux.c` in Linux 5.10 to 6.12, and of `pinctrl-tegra.c` for the pad settings.

use super::find::Found;
use std::path::Path;

/// The folder of the files.
const DEBUG: &str = "/sys/kernel/debug";

/// Says to whom the pin of a GPIO line belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinUse {
    /// The GPIO controller has the pin.
    Gpio,
    /// Another function has the pin.
    Other(String),
    /// The pad can only be read, so an output has no effect.
    InputOnly,
    /// The pin controller does not say, or there is none.
    Unknown,
    /// Only root may see it.
    NotVerified,
}

/// Returns to whom the pin of a GPIO line belongs.
pub fn pin_use(found: &Found) -> PinUse {
    let debug = Path::new(DEBUG);
    let Ok(chips) = std::fs::read_to_string(debug.join("gpio")) else {
        return PinUse::NotVerified;
    };
    let name = found.chip.file_name().unwrap_or_default().to_string_lossy();
    let Some(number) = base_of(&chips, &name).and_then(|base| base.checked_add(found.offset))
    else {
        return PinUse::Unknown;
    };
    let controllers = std::fs::read_dir(debug.join("pinctrl")).into_iter().flatten().flatten();
    for controller in controllers {
        let read = |file| std::fs::read_to_string(controller.path().join(file)).unwrap_or_default();
        if let Some(pin) = pin_of(&read("gpio-ranges"), &found.label, number) {
            return owner_of(&read("pinmux-pins"), &read("pinconf-groups"), pin);
        }
    }
    PinUse::Unknown
}

/// Returns the first number of a chip, by a line such as `gpiochip0: GPIOs 348-511, parent: platform/2200000.gpio,
/// tegra234-gpio:`.
fn base_of(chips: &str, name: &str) -> Option<u32> {
    let line = chips.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": GPIOs "))?;
    line.split('-').next()?.parse().ok()
}

/// Returns the pin of a GPIO number, by a line such as `0: tegra234-gpio GPIOS [348 - 511] PINS [0 - 163]`.
fn pin_of(ranges: &str, label: &str, number: u32) -> Option<u32> {
    ranges.lines().find_map(|line| {
        let range = line.split_once(": ")?.1.strip_prefix(label)?.strip_prefix(" GPIOS [")?;
        let (gpios, pins) = range.split_once("] PINS ")?;
        let (first, last) = gpios.split_once(" - ")?;
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let index = number.checked_sub(first).filter(|_| number <= last)?;
        if let Some(list) = pins.strip_prefix('{') {
            let pin = list.trim_end_matches('}').split(", ").nth(usize::try_from(index).ok()?)?;
            return pin.parse().ok();
        }
        let first: u32 = pins.strip_prefix('[')?.split(" - ").next()?.parse().ok()?;
        first.checked_add(index)
    })
}

/// Returns the owner of a pin, by a line such as `pin 144 (SOC_GPIO41_PH0): 3210000.spi (GPIO UNCLAIMED) function spi1
/// group soc_gpio41_ph0`.
fn owner_of(pins: &str, groups: &str, pin: u32) -> PinUse {
    let begin = format!("pin {pin} (");
    let Some(rest) = pins.lines().find_map(|line| line.strip_prefix(&begin)) else {
        return PinUse::Unknown;
    };
    let Some((name, owner)) = rest.split_once("): ") else { return PinUse::Unknown };
    let (owner, function) = match owner.split_once(" function ") {
        Some((owner, function)) => (owner, function.split(' ').next().unwrap_or_default()),
        None => (owner, ""),
    };
    let is_gpio = function.starts_with("gpio");
    match other_owner(owner).filter(|_| !is_gpio) {
        Some(device) if function.is_empty() => PinUse::Other(device.into()),
        Some(device) => PinUse::Other(format!("{function} of {device}")),
        None if is_tristate(groups, &name.to_lowercase()) => PinUse::InputOnly,
        None if is_gpio || !owner.contains("UNCLAIMED") => PinUse::Gpio,
        None if owner.starts_with("(MUX UNCLAIMED)") && !owner.contains("(GPIO UNCLAIMED)") => {
            PinUse::Gpio
        }
        None => PinUse::Unknown,
    }
}

/// Returns the device that has a pin for another purpose. A strict controller names one owner of a pin. The others name
/// that of the multiplexer first, and then that of the GPIO.
fn other_owner(owner: &str) -> Option<&str> {
    let owner = match owner.strip_prefix("device ") {
        Some(device) => device,
        None if owner.starts_with("GPIO ") || owner.starts_with('(') => return None,
        None => owner,
    };
    owner.split(' ').next().filter(|device| *device != "UNCLAIMED")
}

/// Returns whether the driver of a pad is off, by a line `tristate=1` below the name of its group.
fn is_tristate(groups: &str, name: &str) -> bool {
    let head = format!("({name}):");
    let mut lines = groups.lines().skip_while(|line| !line.contains(&head));
    let settings = lines.by_ref().skip(1).take_while(|line| line.starts_with(char::is_whitespace));
    settings.map(str::trim).any(|line| line == "tristate=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_followed_to_its_pin() {
        let chips = "gpiochip0: GPIOs 348-511, parent: platform/2200000.gpio, tegra234-gpio:\n\
                     gpiochip1: GPIOs 316-347, parent: platform/c2f0000.gpio, tegra234-gpio-aon:\n";
        assert_eq!(base_of(chips, "gpiochip0"), Some(348));
        assert_eq!(base_of(chips, "gpiochip1"), Some(316));
        assert_eq!(base_of("gpiochip0: 164 GPIOs, parent: x\n", "gpiochip0"), None);
        let ranges = "GPIO ranges handled:\n0: tegra234-gpio GPIOS [348 - 511] PINS [0 - 163]\n\
                      8: bank GPIOS [10 - 12] PINS {7, 3, 9}\n";
        assert_eq!(pin_of(ranges, "tegra234-gpio", 348), Some(0));
        assert_eq!(pin_of(ranges, "tegra234-gpio", 511), Some(163));
        assert_eq!(pin_of(ranges, "tegra234-gpio", 512), None);
        assert_eq!(pin_of(ranges, "tegra234", 348), None);
        assert_eq!(pin_of(ranges, "bank", 12), Some(9));
        assert_eq!(pin_of(ranges, "bank", 9), None);
    }

    #[test]
    fn the_owner_of_a_pin_is_named() {
        let pins = "Pinmux settings per pin\nFormat: pin (name): mux_owner gpio_owner hog?\n\
            pin 0 (PA0): (MUX UNCLAIMED) (GPIO UNCLAIMED)\n\
            pin 1 (PA1): (MUX UNCLAIMED) tegra234-gpio:349\n\
            pin 2 (PA2): 3210000.spi (GPIO UNCLAIMED) function spi1 group pa2\n\
            pin 3 (PA3): 2430000.pinmux (GPIO UNCLAIMED) (HOG) function gpio group pa3\n\
            pin 4 (PA4): UNCLAIMED\n\
            pin 5 (PA5): device fe201000.serial function alt0 group gpio14\n\
            pin 6 (PA6): GPIO pinctrl-bcm2711:6\n\
            pin 7 (PA7): (MUX UNCLAIMED) tegra234-gpio:355\n";
        let groups = "Pin config settings per pin group\n0 (pa1):\n\tpull=0\n\ttristate=0\n\
            7 (pa7):\n\tpull=0\n\ttristate=1\n\tenable-input=1\n8 (pa8):\n\ttristate=1\n";
        let other = |what: &str| PinUse::Other(what.into());
        for (pin, expected) in [
            (0, PinUse::Unknown),
            (1, PinUse::Gpio),
            (2, other("spi1 of 3210000.spi")),
            (3, PinUse::Gpio),
            (4, PinUse::Unknown),
            (5, other("alt0 of fe201000.serial")),
            (6, PinUse::Gpio),
            (7, PinUse::InputOnly),
            (8, PinUse::Unknown),
        ] {
            assert_eq!(owner_of(pins, groups, pin), expected, "pin {pin}");
        }
    }
}
