//! Sets a camera's controls (exposure, gain, white balance and so on) by name.
//!
//! A picture taken with other settings than the template's is a wrong picture. So every control that is asked for must
//! exist, be writable and accept exactly the value asked for.

use super::v4l2_abi::{self as abi, ControlQuery};
use super::v4l2_device::Device;
use super::v4l2_settings::V4l2Settings;
use crate::error::{Error, Kind, Result};

/// The names of the same control in newer and older kernels.
const AUTO_EXPOSURE: [&str; 2] = ["auto_exposure", "exposure_auto"];
const EXPOSURE_TIME: [&str; 2] = ["exposure_time_absolute", "exposure_absolute"];
const EXPOSURE_IN_DRIVER_UNITS: [&str; 1] = ["exposure"];
const GAIN: [&str; 2] = ["gain", "analogue_gain"];
/// The value of `auto_exposure` that means manual exposure.
const MANUAL_EXPOSURE: i64 = 1;
/// The unit of `exposure_time_absolute`, in microseconds.
const EXPOSURE_UNIT_US: u32 = 100;

/// Describes a control that holds a number.
struct Control {
    name: String,
    query: ControlQuery,
}

/// Holds the controls of a camera that hold a number.
pub struct Controls<'a> {
    device: &'a Device,
    controls: Vec<Control>,
}

impl<'a> Controls<'a> {
    /// Reads the list of controls.
    pub fn of(device: &'a Device) -> Self {
        let controls = device.controls().into_iter().filter(holds_number);
        let controls = controls.map(|query| Control { name: normalised(&query.name), query });
        Controls { device, controls: controls.collect() }
    }

    /// Sets everything that the settings ask for. It sets `controls` first, then exposure and gain. Among `controls`,
    /// switches come before numbers, because automatic modes prevent numbers from being set.
    pub fn apply(&self, settings: &V4l2Settings) -> Result<()> {
        let mut asked = Vec::new();
        for (name, &value) in &settings.controls {
            asked.push((self.find(&[name.as_str()], "controls")?, value));
        }
        asked.sort_by_key(|(control, _)| !is_switch(&control.query));
        for (control, value) in asked {
            self.set(control, value, &format!("controls.{}", control.name))?;
        }
        if let Some(microseconds) = settings.exposure_us {
            self.set_exposure(microseconds)?;
        }
        if let Some(gain) = settings.gain {
            self.set(self.find(&GAIN, "gain")?, i64::from(gain), "gain")?;
        }
        if let Some(microseconds) = settings.sensor_strobe_us {
            self.set_strobe(microseconds)?;
        }
        Ok(())
    }

    /// Lets the sensor drive the light.
    fn set_strobe(&self, microseconds: u32) -> Result<()> {
        let (output, length) = strobe(&self.controls)?;
        match length {
            Some(length) => self.set(length, i64::from(microseconds), "outputs.strobe_width_us")?,
            None => log::warn!(
                "the camera has no control for the length of its strobe: outputs.strobe_width_us means nothing to it"
            ),
        }
        self.set(output, 1, "strobe")
    }

    fn set_exposure(&self, microseconds: u32) -> Result<()> {
        let key = "exposure_us";
        if let Some(mode) = self.get(&AUTO_EXPOSURE) {
            self.set(mode, MANUAL_EXPOSURE, key)?;
        }
        if let Some(time) = self.get(&EXPOSURE_TIME) {
            if microseconds == 0 || !microseconds.is_multiple_of(EXPOSURE_UNIT_US) {
                return Err(Error::usage(format!("`{key} = {microseconds}`: not settable"))
                    .advise(format!("this camera accepts multiples of {EXPOSURE_UNIT_US} us")));
            }
            return self.set(time, i64::from(microseconds / EXPOSURE_UNIT_US), key);
        }
        let exposure = self.find(&EXPOSURE_IN_DRIVER_UNITS, key)?;
        log::warn!(
            "the camera has `exposure` only, whose unit is the driver's own (often rows): it is \
             set to {microseconds}; check with a picture"
        );
        self.set(exposure, i64::from(microseconds), key)
    }

    fn get(&self, names: &[&str]) -> Option<&Control> {
        self.controls.iter().find(|c| names.contains(&c.name.as_str()))
    }

    fn find(&self, names: &[&str], key: &str) -> Result<&Control> {
        self.get(names).ok_or_else(|| {
            let wanted = names.join(" or ");
            Error::usage(format!("`{key}`: the camera has no control {wanted}"))
                .advise(format!("its controls are: {}", self.listing()))
        })
    }

    fn listing(&self) -> String {
        let one = |c: &Control| format!("{} {}..{}", c.name, c.query.minimum, c.query.maximum);
        match self.controls.iter().map(one).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "none".into(),
            some => some,
        }
    }

    fn set(&self, control: &Control, value: i64, key: &str) -> Result<()> {
        let Control { name, query } = control;
        let refused = |why: String| Error::usage(format!("`{key}`: {name} = {value}: {why}"));
        if query.flags & (abi::CONTROL_FLAG_READ_ONLY | abi::CONTROL_FLAG_DISABLED) != 0 {
            return Err(refused("the camera shows this control, but it cannot be set".into())
                .advise("remove it"));
        }
        // A bit mask is unsigned, so its maximum may be read as a negative number.
        let bounded = query.kind != abi::CONTROL_BITMASK;
        if bounded && !(query.minimum..=query.maximum).contains(&value) {
            let range = format!("{} to {}", query.minimum, query.maximum);
            return Err(refused("out of range".into()).advise(format!("it goes from {range}")));
        }
        let taken = self.device.set_control(query, value).map_err(|e| {
            Error::new(Kind::Io, format!("`{key}`: {name} = {value}: {e}"))
                .advise("an automatic mode may have to be switched off first, under `controls`")
        })?;
        if taken == value {
            return Ok(());
        }
        Err(refused(format!("the camera uses {taken} instead"))
            .advise(format!("choose a value that it has; steps are {}", query.step)))
    }
}

/// Returns the controls that switch the sensor's strobe output on and set its length, if the driver has the second one.
fn strobe(controls: &[Control]) -> Result<(&Control, Option<&Control>)> {
    let by_number = |id| controls.iter().find(move |control: &&Control| control.query.id == id);
    let output = by_number(abi::CONTROL_FLASH_STROBE_OUTPUT).ok_or_else(|| {
        Error::usage("`strobe = \"sensor\"`: the camera's driver has no control for a strobe output").advise(
            "use strobe = \"gpio\" with [outputs.strobe]; Linux has had this control since 2026 only, and few drivers \
             have it",
        )
    })?;
    Ok((output, by_number(abi::CONTROL_FLASH_DURATION)))
}

fn holds_number(query: &ControlQuery) -> bool {
    let single = query.elements <= 1 && query.dimension_count == 0;
    single
        && (is_switch(query)
            || [abi::CONTROL_INTEGER, abi::CONTROL_INTEGER64, abi::CONTROL_BITMASK]
                .contains(&query.kind))
}

fn is_switch(query: &ControlQuery) -> bool {
    [abi::CONTROL_BOOLEAN, abi::CONTROL_MENU, abi::CONTROL_INTEGER_MENU].contains(&query.kind)
}

/// Returns the name as `v4l2-ctl` writes it: letters and digits in lower case, and one `_` for anything between them.
fn normalised(name: &[u8]) -> String {
    let text = name.split(|&b| b == 0).next().unwrap_or_default();
    let words = text.split(|b| !b.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let words = words.map(|w| String::from_utf8_lossy(w).to_ascii_lowercase());
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_v4l2_ctl() {
        for (name, want) in [
            ("Exposure, Auto\0\0junk", "exposure_auto"),
            ("Exposure Time, Absolute", "exposure_time_absolute"),
            ("White Balance Temperature (K) ", "white_balance_temperature_k"),
            ("  Gain", "gain"),
            ("", ""),
        ] {
            assert_eq!(normalised(name.as_bytes()), want);
        }
    }

    #[test]
    fn a_strobe_needs_the_drivers_control() {
        let control = |id| Control {
            name: format!("control {id}"),
            query: ControlQuery { id, ..Default::default() },
        };
        let (output, length) = (abi::CONTROL_FLASH_STROBE_OUTPUT, abi::CONTROL_FLASH_DURATION);
        let why = strobe(&[control(1), control(length)]).err().expect("refused").to_string();
        assert!(why.contains("no control for a strobe output") && why.contains("gpio"), "{why}");
        let both = [control(length), control(output)];
        let (found, found_length) = strobe(&both).expect("is there");
        assert_eq!((found.query.id, found_length.map(|c| c.query.id)), (output, Some(length)));
        let (_, none) = strobe(&both[1..]).expect("is there");
        assert!(none.is_none());
    }

    #[test]
    fn only_single_numbers_can_be_set() {
        let of = |kind, elements| ControlQuery { kind, elements, ..Default::default() };
        for (query, want) in [
            (of(abi::CONTROL_INTEGER, 1), true),
            (of(abi::CONTROL_MENU, 1), true),
            (of(abi::CONTROL_INTEGER, 9), false),
            (of(4, 1), false),
            (of(6, 0), false),
            (of(7, 1), false),
        ] {
            assert_eq!(holds_number(&query), want, "kind {}", query.kind);
        }
    }
}
