//! Agrees with a V4L2 camera on format, size and rate.
//!
//! Drivers answer a wish with what they can do. Here anything but exactly what was asked for is an error, which lists
//! what the camera offers. A template fits only one size, and a guess would show only as wrong verdicts.

use super::pixels::{Layout, PixelFormat};
use super::v4l2_abi::{self as abi, Fraction, FrameInterval, FrameSize};
use super::v4l2_buffers::FrameFormat;
use super::v4l2_device::{Device, seconds};
use super::v4l2_settings::V4l2Settings;
use crate::error::{Error, Kind, Result};
use std::time::Duration;
use yuv::{YuvRange, YuvStandardMatrix};

/// The fastest rate that may be asked for, in frames per second.
const MAX_RATE: f64 = 10_000.0;
/// The largest relative deviation from the rate that was asked for. 29.97 is accepted for 30, and 25 is not.
const RATE_TOLERANCE: f64 = 0.01;

/// Checks that the device file is a camera that streams. Returns its card and driver name.
pub fn check_capability(device: &Device) -> Result<String> {
    let capability = device.capability().map_err(|e| {
        Error::new(Kind::Io, format!("not a V4L2 device: {e}")).advise("check `device`")
    })?;
    let able = capability.abilities();
    let lacks = |what: &str| {
        Error::usage(format!("{}: {what}", text(&capability.card)))
            .advise("`device` names another node of the camera, or one of another kind")
    };
    if able & (abi::CAPABILITY_VIDEO_CAPTURE | abi::CAPABILITY_VIDEO_CAPTURE_MPLANE) == 0 {
        return Err(lacks("captures no video"));
    }
    if able & abi::CAPABILITY_STREAMING == 0 {
        return Err(lacks("has no streaming"));
    }
    Ok(format!("{}, driver {}", text(&capability.card), text(&capability.driver)))
}

/// Sets format and size.
pub fn set_format(device: &Device, settings: &V4l2Settings) -> Result<()> {
    let code = settings.format.four_character_code();
    let got = device.set_format(code, settings.width, settings.height).map_err(|e| {
        match e.raw_os_error() {
            Some(code) if code == nix::errno::Errno::EBUSY as i32 => {
                Error::new(Kind::Io, format!("the camera is in use: {e}"))
                    .advise("stop the other program that reads it")
            }
            _ => refused(device, format!("the camera refuses {}: {e}", wish(settings))),
        }
    })?;
    check_format(device, settings, &got)
}

/// Returns how the frames will be laid out. Call it after all settings are made, because some controls change the size
/// (rotation) or the colours.
pub fn layout(device: &Device, settings: &V4l2Settings) -> Result<Layout> {
    let got = device.format().map_err(|e| {
        Error::new(Kind::Io, format!("the camera does not say its format: {e}"))
            .advise("this camera's driver cannot be used")
    })?;
    check_format(device, settings, &got)?;
    let (range, matrix) = colours(&got);
    let [bytes_per_line, chroma_bytes_per_line] = match settings.format {
        PixelFormat::Mjpg => [0, 0],
        _ => got.bytes_per_line,
    };
    let layout = Layout {
        format: settings.format,
        width: got.width,
        height: got.height,
        bytes_per_line,
        chroma_bytes_per_line,
        range,
        matrix,
        raw: settings.raw,
    };
    layout.check().map_err(|why| refused(device, format!("{}: {why}", wish(settings))))?;
    Ok(layout)
}

fn refused(device: &Device, what: String) -> Error {
    let offer = offer(device);
    Error::usage(what)
        .advise(format!("change `format`, `width` or `height`; the camera offers {offer}"))
}

fn check_format(device: &Device, settings: &V4l2Settings, got: &FrameFormat) -> Result<()> {
    let wanted = (settings.format.four_character_code(), settings.width, settings.height);
    if (got.pixel_format, got.width, got.height) != wanted {
        let got = format!("{} {} x {}", code(got.pixel_format), got.width, got.height);
        let what = format!("the camera gives {got} in place of {}", wish(settings));
        return Err(refused(device, what));
    }
    if got.field != abi::FIELD_NONE {
        return Err(refused(device, format!("{} comes interlaced", wish(settings))));
    }
    if got.planes != settings.format.planes() {
        let what = format!("{} comes in {} buffers a frame", wish(settings), got.planes);
        return Err(refused(device, what));
    }
    Ok(())
}

/// Sets the rate, if one is asked for.
pub fn set_rate(device: &Device, settings: &V4l2Settings) -> Result<()> {
    let Some(rate) = settings.frames_per_second else { return Ok(()) };
    if !(rate > 0.0 && rate <= MAX_RATE) {
        return Err(Error::usage(format!("`frames_per_second = {rate}` is no rate")));
    }
    let settable = device.set_frame_interval(fraction(rate)).map_err(|e| {
        Error::new(Kind::Io, format!("`frames_per_second = {rate}`: {e}"))
            .advise(format!("the camera offers {}", rates(device, settings)))
    })?;
    if !settable {
        log::warn!("the camera has no setting for its rate; {rate} frames/s are assumed");
    }
    Ok(())
}

/// Returns the time between frames as negotiated. Call it after all settings are made, because some change it. If a
/// camera does not say its rate, the rate of the settings counts.
pub fn frame_interval(device: &Device, settings: &V4l2Settings) -> Result<Duration> {
    let asked = settings.frames_per_second;
    match (device.frame_interval(), asked) {
        (Some(interval), Some(rate)) => {
            let got = 1.0 / interval.as_secs_f64();
            if (got / rate - 1.0).abs() <= RATE_TOLERANCE {
                return Ok(interval);
            }
            Err(Error::usage(format!("the camera gives {got:.2} frames/s in place of {rate}"))
                .advise(format!(
                    "change `frames_per_second`; the camera offers {}",
                    rates(device, settings)
                )))
        }
        (Some(interval), None) => Ok(interval),
        (None, Some(rate)) => Ok(Duration::from_secs_f64(1.0 / rate)),
        (None, None) => Err(Error::usage("the camera does not say its rate")
            .advise("set `frames_per_second`: the times of the frames need it")),
    }
}

fn fraction(rate: f64) -> Fraction {
    let whole = rate.fract() == 0.0;
    // The rate was checked before. It is positive and at most ten thousand.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let times = |factor: f64| (rate * factor).round().max(1.0) as u32;
    if whole {
        Fraction { numerator: 1, denominator: times(1.0) }
    } else {
        Fraction { numerator: 1000, denominator: times(1000.0) }
    }
}

/// Returns which YUV a driver gives. The defaults of the V4L2 specification hold for what it leaves open.
fn colours(pix: &FrameFormat) -> (YuvRange, YuvStandardMatrix) {
    let range = match (pix.quantization, pix.colorspace) {
        (1, _) | (0, 7) => YuvRange::Full,
        _ => YuvRange::Limited,
    };
    let matrix = match (pix.ycbcr_encoding, pix.colorspace) {
        (2 | 4, _) | (0, 3 | 12) => YuvStandardMatrix::Bt709,
        (6 | 7, _) | (0, 10) => YuvStandardMatrix::Bt2020,
        (8, _) | (0, 2) => YuvStandardMatrix::Smpte240,
        _ => YuvStandardMatrix::Bt601,
    };
    (range, matrix)
}

fn wish(settings: &V4l2Settings) -> String {
    format!("{} {} x {}", settings.format, settings.width, settings.height)
}

/// Returns what the camera offers among the formats that can be read.
fn offer(device: &Device) -> String {
    let known = |code| PixelFormat::all().find(|f| f.four_character_code() == code);
    let one = |format: PixelFormat| {
        let sizes = device.frame_sizes(format.four_character_code());
        let sizes: Vec<String> = sizes.iter().map(size_text).collect();
        format!("{format} ({})", sizes.join(", "))
    };
    let formats = device.formats();
    let readable: Vec<String> = formats.iter().filter_map(|&c| known(c)).map(one).collect();
    if readable.is_empty() {
        let names: Vec<String> = formats.into_iter().map(code).collect();
        return format!("none that can be read: {}", names.join(", "));
    }
    readable.join("; ")
}

fn rates(device: &Device, settings: &V4l2Settings) -> String {
    let format = settings.format.four_character_code();
    let intervals = device.frame_intervals(format, settings.width, settings.height);
    match intervals.iter().filter_map(interval_text).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "no list of rates".into(),
        some => format!("{some} frames/s"),
    }
}

fn size_text(size: &FrameSize) -> String {
    match (size.kind, size.size) {
        (abi::ENUMERATION_DISCRETE, [width, height, ..]) => format!("{width} x {height}"),
        (_, [least_width, most_width, _, least_height, most_height, _]) => {
            format!("{least_width} x {least_height} to {most_width} x {most_height}")
        }
    }
}

fn interval_text(interval: &FrameInterval) -> Option<String> {
    let rate = |fraction| Some(format!("{:.4}", 1.0 / seconds(fraction)?.as_secs_f64()));
    let rate = |f| Some(rate(f)?.trim_end_matches('0').trim_end_matches('.').to_owned());
    let [shortest, longest, _] = interval.interval;
    match interval.kind {
        abi::ENUMERATION_DISCRETE => rate(shortest),
        _ => Some(format!("{} to {}", rate(longest)?, rate(shortest)?)),
    }
}

/// Returns a four-character code in letters.
fn code(number: u32) -> String {
    String::from_utf8_lossy(&number.to_le_bytes()).escape_default().to_string()
}

/// Returns a name from the kernel, up to its zero.
fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_become_fractions() {
        for (rate, numerator, denominator) in
            [(5.0, 1, 5), (60.0, 1, 60), (29.97, 1000, 29970), (0.5, 1000, 500), (1e-9, 1000, 1)]
        {
            let got = fraction(rate);
            assert_eq!((got.numerator, got.denominator), (numerator, denominator), "{rate}");
        }
    }

    #[test]
    fn colours_follow_the_specification() {
        let of = |colorspace, ycbcr_encoding, quantization| {
            let (range, matrix) = colours(&FrameFormat {
                colorspace,
                ycbcr_encoding,
                quantization,
                ..Default::default()
            });
            (range == YuvRange::Full, matrix)
        };
        assert_eq!(of(0, 0, 0), (false, YuvStandardMatrix::Bt601));
        assert_eq!(of(8, 0, 0), (false, YuvStandardMatrix::Bt601), "sRGB");
        assert_eq!(of(7, 0, 0), (true, YuvStandardMatrix::Bt601), "JPEG");
        assert_eq!(of(3, 0, 0), (false, YuvStandardMatrix::Bt709), "Rec. 709");
        assert_eq!(of(3, 1, 1), (true, YuvStandardMatrix::Bt601), "said otherwise");
        assert_eq!(of(7, 2, 2), (false, YuvStandardMatrix::Bt709), "said otherwise");
    }

    #[test]
    fn lists_are_readable() {
        let third = Fraction { numerator: 1, denominator: 30 };
        let slow = Fraction { numerator: 2, denominator: 1 };
        let discrete =
            FrameInterval { kind: 1, interval: [third, slow, slow], ..Default::default() };
        assert_eq!(interval_text(&discrete).expect("a rate"), "30");
        let range = FrameInterval { kind: 3, ..discrete };
        assert_eq!(interval_text(&range).expect("rates"), "0.5 to 30");
        let size = FrameSize { kind: 3, size: [8, 64, 2, 4, 32, 2], ..Default::default() };
        assert_eq!(size_text(&size), "8 x 4 to 64 x 32");
        assert_eq!(size_text(&FrameSize { kind: 1, ..size }), "8 x 64");
        assert_eq!(code(PixelFormat::Nv12.four_character_code()), "NV12");
        assert_eq!(text(b"vivid\0\0x"), "vivid");
    }
}
