//! Says what a driver tells about its format and its buffers, in a form that is the same for frames in one buffer and
//! for frames in one buffer for each plane.

use super::v4l2_abi::{self as abi, Buffer, BufferPlanes, PixFormat, PixFormatPlanes, Plane};
use crate::clock::LineTime;
use std::ops::Range;

/// The largest number of planes that are read of a frame.
pub const PLANES: usize = 2;

/// Describes the frames that a driver gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameFormat {
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// The four-character code.
    pub pixel_format: u32,
    /// The order of the rows: one after the other, or interlaced.
    pub field: u32,
    /// The bytes from row to row of the first planes.
    pub bytes_per_line: [u32; PLANES],
    /// The number of planes, each in a buffer of its own.
    pub planes: usize,
    /// The kernel's number of the colour space.
    pub colorspace: u32,
    /// The kernel's number of the matrix of YUV.
    pub ycbcr_encoding: u32,
    /// The kernel's number of the range of YUV.
    pub quantization: u32,
}

impl From<PixFormat> for FrameFormat {
    fn from(pix: PixFormat) -> Self {
        FrameFormat {
            width: pix.width,
            height: pix.height,
            pixel_format: pix.pixel_format,
            field: pix.field,
            bytes_per_line: [pix.bytes_per_line, 0],
            planes: 1,
            colorspace: pix.colorspace,
            ycbcr_encoding: pix.ycbcr_encoding,
            quantization: pix.quantization,
        }
    }
}

impl From<PixFormatPlanes> for FrameFormat {
    fn from(pix: PixFormatPlanes) -> Self {
        let [first, second, ..] = pix.planes;
        FrameFormat {
            width: pix.width,
            height: pix.height,
            pixel_format: pix.pixel_format,
            field: pix.field,
            bytes_per_line: [first.bytes_per_line, second.bytes_per_line],
            planes: usize::from(pix.plane_count),
            colorspace: pix.colorspace,
            ycbcr_encoding: u32::from(pix.ycbcr_encoding),
            quantization: u32::from(pix.quantization),
        }
    }
}

/// Describes a buffer of the driver.
#[derive(Debug, Clone, Copy, Default)]
pub struct BufferState {
    /// The number of the buffer.
    pub index: u32,
    /// The kernel's flags.
    pub flags: u32,
    /// The driver's time stamp.
    pub stamp: LineTime,
    /// The driver's count of frames.
    pub sequence: u32,
    /// The first planes. Those that a frame does not have are empty.
    pub planes: [PlaneState; PLANES],
}

/// Describes a plane of a buffer.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlaneState {
    /// The bytes of the whole plane.
    length: u32,
    /// The offset to map.
    offset: u32,
    /// The end of the picture's bytes.
    bytes_used: u32,
    /// The begin of the picture's bytes.
    data_offset: u32,
}

impl PlaneState {
    /// Returns the offset and the length to map.
    pub fn mapping(&self) -> (u64, usize) {
        (u64::from(self.offset), usize::try_from(self.length).unwrap_or(0))
    }

    /// Returns where the picture's bytes are among `mapped` bytes. The range never reaches beyond them.
    pub fn picture(&self, mapped: usize) -> Range<usize> {
        let end = usize::try_from(self.bytes_used).unwrap_or(0).min(mapped);
        usize::try_from(self.data_offset).unwrap_or(end).min(end)..end
    }
}

impl From<&Plane> for PlaneState {
    fn from(plane: &Plane) -> Self {
        let Plane { length, offset, bytes_used, data_offset, .. } = *plane;
        PlaneState { length, offset, bytes_used, data_offset }
    }
}

impl From<&Buffer> for BufferState {
    fn from(buffer: &Buffer) -> Self {
        let Buffer { length, offset, bytes_used, index, flags, sequence, .. } = *buffer;
        let only = PlaneState { length, offset, bytes_used, data_offset: 0 };
        let stamp = line_time(buffer.seconds, buffer.microseconds);
        BufferState { index, flags, stamp, sequence, planes: [only, PlaneState::default()] }
    }
}

impl BufferState {
    /// Returns the state of a buffer with one part for each plane, which `planes` holds.
    pub fn of_planes(buffer: &BufferPlanes, planes: &[Plane; abi::MAX_PLANES]) -> Self {
        let BufferPlanes { index, flags, sequence, .. } = *buffer;
        let stamp = line_time(buffer.seconds, buffer.microseconds);
        let [first, second, ..] = planes;
        let planes = [PlaneState::from(first), PlaneState::from(second)];
        BufferState { index, flags, stamp, sequence, planes }
    }
}

/// Says what a buffer's time stamp stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampSource {
    /// The moment at which the exposure began.
    StartOfExposure,
    /// The moment at which the frame's last byte came.
    EndOfFrame,
    /// Nothing that can be compared with the monotonic clock.
    OtherClock,
}

/// Returns what the time stamp of a buffer with these flags stands for.
pub fn stamp_source(flags: u32) -> StampSource {
    if flags & abi::BUFFER_FLAG_CLOCK_MASK != abi::BUFFER_FLAG_CLOCK_MONOTONIC {
        StampSource::OtherClock
    } else if flags & abi::BUFFER_FLAG_STAMP_MASK == abi::BUFFER_FLAG_STAMP_START_OF_EXPOSURE {
        StampSource::StartOfExposure
    } else {
        StampSource::EndOfFrame
    }
}

/// Converts the kernel's time. A time stamp that makes no sense becomes the clock's zero, because such a frame is then
/// older than any part.
fn line_time(seconds: i64, microseconds: i64) -> LineTime {
    let nanoseconds = || {
        let seconds = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
        seconds.checked_add(u64::try_from(microseconds).ok()?.checked_mul(1000)?)
    };
    LineTime::from_nanos(nanoseconds().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_tell_clock_and_source() {
        for (flags, want) in [
            (0x0000_0000, StampSource::OtherClock),
            (0x0000_4000, StampSource::OtherClock),
            (0x0001_0000, StampSource::OtherClock),
            (0x0000_2000, StampSource::EndOfFrame),
            (0x0000_2045, StampSource::EndOfFrame),
            (0x0001_2001, StampSource::StartOfExposure),
            (0x0002_2000, StampSource::EndOfFrame),
        ] {
            assert_eq!(stamp_source(flags), want, "{flags:#x}");
        }
    }

    #[test]
    fn stamps_that_make_no_sense_are_older_than_any_part() {
        assert_eq!(line_time(3, 250_000), LineTime::from_nanos(3_250_000_000));
        for (seconds, microseconds) in [(-1, 0), (0, -5), (i64::MAX, 0), (1, i64::MAX)] {
            assert_eq!(line_time(seconds, microseconds), LineTime::from_nanos(0));
        }
    }

    /// The kernel counts the bytes before the picture among those that are used.
    #[test]
    fn a_picture_never_reaches_beyond_its_plane() {
        let plane = |bytes_used, data_offset| {
            PlaneState::from(&Plane { bytes_used, data_offset, length: 100, ..Default::default() })
        };
        for (bytes_used, data_offset, mapped, want) in [
            (60, 0, 100, 0..60),
            (60, 16, 100, 16..60),
            (200, 16, 100, 16..100),
            (60, 70, 100, 60..60),
            (0, 0, 100, 0..0),
            (u32::MAX, u32::MAX, 100, 100..100),
        ] {
            assert_eq!(plane(bytes_used, data_offset).picture(mapped), want);
        }
    }

    #[test]
    fn both_kinds_of_formats_say_the_same() {
        let single = PixFormat {
            width: 320,
            height: 180,
            bytes_per_line: 640,
            quantization: 2,
            ycbcr_encoding: 3,
            ..Default::default()
        };
        let mut planes = PixFormatPlanes {
            width: 320,
            height: 180,
            plane_count: 1,
            quantization: 2,
            ycbcr_encoding: 3,
            ..Default::default()
        };
        planes.planes[0].bytes_per_line = 640;
        assert_eq!(FrameFormat::from(planes), FrameFormat::from(single));
    }
}
