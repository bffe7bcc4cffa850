//! Fills in and checks the keys of the camera.

use super::locate::Located;
use super::schema::{CameraConfig, CameraSource, LineConfig, StrobeSource, TriggerSource};
use crate::error::Result;

/// The smallest and the largest factor of a colour.
const WHITE_BALANCE: std::ops::RangeInclusive<f64> = 0.1..=16.0;

/// Fills in the keys that only some formats have.
pub(super) fn fill_in(camera: &mut CameraConfig) {
    let Some(format) = camera.format.filter(|_| camera.source == CameraSource::V4l2) else {
        return;
    };
    if format.has_spare_bits() {
        camera.align.get_or_insert_default();
    }
    if format.sensor_bits().is_some() {
        camera.black.get_or_insert(0);
    }
    if format.is_bayer() {
        camera.white_balance.get_or_insert([1.0; 3]);
        camera.bayer.get_or_insert_default();
    }
}

pub(super) fn check(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    source(config, at)?;
    samples(&config.camera, at)?;
    strobe(config, at)
}

fn source(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let camera = &config.camera;
    let v4l2 = camera.source == CameraSource::V4l2;
    let source = if v4l2 { "v4l2" } else { "folder" };
    let needed = [
        ("camera.device", v4l2, camera.device.is_some()),
        ("camera.width", v4l2, camera.width.is_some()),
        ("camera.height", v4l2, camera.height.is_some()),
        ("camera.format", v4l2, camera.format.is_some()),
        ("camera.folder", !v4l2, camera.folder.is_some()),
    ];
    for (path, needed, given) in needed {
        if needed && !given {
            let why = format!("is missing, and source = \"{source}\" needs it");
            return Err(at.error(path, &why, "firmware-config/line.toml shows how to give it"));
        }
        if !needed && given {
            let why = format!("has no meaning with source = \"{source}\"");
            return Err(at.error(path, &why, "remove it, or change camera.source"));
        }
    }
    let free_folder = !v4l2 && config.trigger.source == TriggerSource::FreeRun;
    if free_folder && camera.frames_per_second.is_none() {
        let why = "is missing, and a folder has no rate of its own";
        return Err(at.error(
            "camera.frames_per_second",
            why,
            "give the number of parts per second",
        ));
    }
    Ok(())
}

/// Checks the keys for a sensor's own samples.
fn samples(camera: &CameraConfig, at: &Located<'_>) -> Result<()> {
    let format = camera.format;
    let given = [
        ("camera.align", camera.align.is_some(), format.is_some_and(|f| f.has_spare_bits())),
        ("camera.black", camera.black.is_some(), format.is_some_and(|f| f.sensor_bits().is_some())),
        (
            "camera.white_balance",
            camera.white_balance.is_some(),
            format.is_some_and(|f| f.is_bayer()),
        ),
        ("camera.bayer", camera.bayer.is_some(), format.is_some_and(|f| f.is_bayer())),
    ];
    for (path, is_given, has_meaning) in given {
        if is_given && !has_meaning {
            let why = match format {
                Some(format) => format!("has no meaning with format = \"{format}\""),
                None => "has no meaning without camera.format".into(),
            };
            return Err(at.error(path, &why, "remove it, or change camera.format"));
        }
    }
    if let (Some(black), Some(bits)) = (camera.black, format.and_then(|f| f.sensor_bits())) {
        let most = u16::MAX >> 16_u32.saturating_sub(bits).min(15) >> 1;
        if black > most {
            let remedy = format!("give a value from 0 to {most}, half of the largest sample");
            return Err(at.error("camera.black", &format!("{black} is out of range"), &remedy));
        }
    }
    let factors = camera.white_balance.unwrap_or([1.0; 3]);
    if let Some(factor) = factors.iter().find(|factor| !WHITE_BALANCE.contains(*factor)) {
        let why = format!("{factor} is out of range");
        let remedy = "give the factors of red, green and blue, each from 0.1 to 16";
        return Err(at.error("camera.white_balance", &why, remedy));
    }
    Ok(())
}

/// Checks the keys of the light.
fn strobe(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let (camera, outputs) = (&config.camera, &config.outputs);
    let v4l2 = camera.source == CameraSource::V4l2;
    if camera.strobe == StrobeSource::Sensor {
        if !v4l2 {
            let why = "\"sensor\" needs a camera";
            return Err(at.error("camera.strobe", why, "remove it, or set source = \"v4l2\""));
        }
        if outputs.strobe.is_some() {
            let why = "the sensor drives the light, because camera.strobe is \"sensor\"";
            let remedy = "remove [outputs.strobe], or set camera.strobe = \"gpio\"";
            return Err(at.error("outputs.strobe", why, remedy));
        }
    }
    if !camera.strobe_must_cover {
        return Ok(());
    }
    let wrong = [
        (
            camera.strobe == StrobeSource::Sensor,
            "a sensor times its light itself, so there is nothing to compare",
        ),
        (!v4l2, "pictures of a folder have no exposure"),
        (
            outputs.strobe.is_none(),
            "there is no [outputs.strobe] that an exposure could be compared with",
        ),
        (
            config.trigger.source == TriggerSource::FreeRun,
            "in free run the strobe comes after the exposure",
        ),
        (
            camera.exposure_us.is_none(),
            "the end of an exposure is known only with a fixed camera.exposure_us",
        ),
        (
            camera.exposure_us.is_some_and(|us| u64::from(us) > outputs.strobe_width_us),
            "camera.exposure_us is longer than outputs.strobe_width_us",
        ),
    ];
    match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, why)) => {
            Err(at.error("camera.strobe_must_cover", why, "change that, or set it to false"))
        }
        None => Ok(()),
    }
}
