//! Wraps a V4L2 capture device: its ioctls and mapped buffers behind a safe interface.
//!
//! A frame's time stamp together with its source ties a picture to its part. No existing crate gives both without
//! needing libclang at build time. So these few ioctls are this crate's own. They cover capture with buffers
//! mapped from the driver, one for each frame or one for each of its planes. No length, index or count from the kernel is used unchecked.
#![allow(unsafe_code)]

use super::v4l2_abi::{self as abi, *};
use super::v4l2_buffers::{BufferState, FrameFormat, StampSource, stamp_source};
use crate::clock::LineTime;
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc::c_int;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::io::{Error, Result};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The largest number of entries that are read of any list of the driver. So a broken driver cannot keep the program
/// reading.
const MOST_ENTRIES: u32 = 512;
/// The largest number of buffers that a driver may give. The kernel's own limit is 32 or, in newer kernels, 64.
const MOST_BUFFERS: u32 = 64;

/// Pairs each request with the structure that its number encodes.
mod ioctls {
    use super::*;
    nix::ioctl_read!(query_capability, b'V', 0, Capability);
    nix::ioctl_readwrite!(enumerate_format, b'V', 2, FormatDescription);
    nix::ioctl_readwrite!(get_format, b'V', 4, Format);
    nix::ioctl_readwrite!(set_format, b'V', 5, Format);
    nix::ioctl_readwrite!(get_format_planes, b'V', 4, FormatPlanes);
    nix::ioctl_readwrite!(set_format_planes, b'V', 5, FormatPlanes);
    nix::ioctl_readwrite!(request_buffers, b'V', 8, RequestBuffers);
    nix::ioctl_readwrite!(query_buffer, b'V', 9, Buffer);
    nix::ioctl_readwrite!(query_buffer_planes, b'V', 9, BufferPlanes);
    nix::ioctl_readwrite!(queue_buffer, b'V', 15, Buffer);
    nix::ioctl_readwrite!(queue_buffer_planes, b'V', 15, BufferPlanes);
    nix::ioctl_readwrite!(dequeue_buffer, b'V', 17, Buffer);
    nix::ioctl_readwrite!(dequeue_buffer_planes, b'V', 17, BufferPlanes);
    nix::ioctl_write_ptr!(stream_on, b'V', 18, c_int);
    nix::ioctl_write_ptr!(stream_off, b'V', 19, c_int);
    nix::ioctl_readwrite!(get_parameters, b'V', 21, StreamParameters);
    nix::ioctl_readwrite!(set_parameters, b'V', 22, StreamParameters);
    nix::ioctl_readwrite!(set_controls, b'V', 72, ControlValues);
    nix::ioctl_readwrite!(enumerate_size, b'V', 74, FrameSize);
    nix::ioctl_readwrite!(enumerate_interval, b'V', 75, FrameInterval);
    nix::ioctl_readwrite!(query_control, b'V', 103, ControlQuery);
}

/// Holds a filled buffer until it is given back with [`Device::requeue`].
#[derive(Debug)]
pub struct Arrival {
    index: usize,
    /// Where the picture's bytes are in each plane, never beyond what is mapped.
    pictures: Vec<Range<usize>>,
    /// The driver's time stamp, on the clock that `source` names.
    pub stamp: LineTime,
    /// What `stamp` stands for.
    pub source: StampSource,
    /// Whether the driver says that the data is damaged.
    pub damaged: bool,
    /// The driver's count of frames.
    pub sequence: u32,
}

/// Names what can be asked of the driver about a buffer.
#[derive(Clone, Copy)]
enum BufferRequest {
    Query,
    Queue,
    Dequeue,
}

/// Says how a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A buffer may be taken.
    Ready,
    /// The time is over, or a signal came.
    Nothing,
    /// The driver reports an error or the device's disappearance (POLLERR, POLLHUP).
    Broken,
}

/// Holds an open capture device. Dropping it stops the stream and unmaps its buffers.
pub struct Device {
    /// The planes of each buffer.
    buffers: Vec<Vec<MmapRaw>>,
    /// Says which buffers the program holds. The driver may write to all others.
    held: Vec<bool>,
    /// Whether the driver gives a buffer for each plane. Then all requests have another form.
    in_planes: bool,
    /// The device file, which is closed after its buffers are unmapped.
    file: OwnedFd,
}

impl Device {
    /// Opens the device file. No later operation on it waits.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = open(path, flags, Mode::empty())?;
        let (buffers, held) = (Vec::new(), Vec::new());
        let mut device = Device { buffers, held, in_planes: false, file };
        // What cannot say its abilities is refused later, with a message.
        let able = device.capability().map_or(0, |capability| capability.abilities());
        device.in_planes =
            able & CAPABILITY_VIDEO_CAPTURE == 0 && able & CAPABILITY_VIDEO_CAPTURE_MPLANE != 0;
        Ok(device)
    }

    /// Returns the kind of buffers as the kernel numbers it.
    fn kind(&self) -> u32 {
        if self.in_planes { BUFFER_TYPE_VIDEO_CAPTURE_MPLANE } else { BUFFER_TYPE_VIDEO_CAPTURE }
    }

    /// Runs a request until no signal interrupts it.
    fn call<T>(
        &self,
        request: unsafe fn(c_int, *mut T) -> nix::Result<c_int>,
        argument: &mut T,
    ) -> nix::Result<()> {
        loop {
            // SAFETY: the kernel accesses one `T` at `argument`, which is exclusively borrowed:
            // `ioctls` pairs each number with its structure. The only structures that hold a
            // pointer are built in `set_control` and in `buffer_of_planes`, from a borrow that
            // outlives this call. They say correctly how many entries it points to.
            match unsafe { request(self.file.as_raw_fd(), argument) } {
                Err(Errno::EINTR) => {}
                result => return result.map(drop),
            }
        }
    }

    /// Starts or stops the stream.
    fn switch(
        &self,
        request: unsafe fn(c_int, *const c_int) -> nix::Result<c_int>,
    ) -> nix::Result<()> {
        let kind = self.kind().cast_signed();
        loop {
            // SAFETY: both requests read one `c_int`, which lives until the call returns.
            match unsafe { request(self.file.as_raw_fd(), &raw const kind) } {
                Err(Errno::EINTR) => {}
                result => return result.map(drop),
            }
        }
    }

    /// Returns names and abilities of driver and device.
    pub fn capability(&self) -> Result<Capability> {
        let mut capability = Capability::default();
        self.call(ioctls::query_capability, &mut capability)?;
        Ok(capability)
    }

    /// Reads a list of the driver up to its end, which the driver reports as an error.
    fn list<T: Copy>(
        &self,
        request: unsafe fn(c_int, *mut T) -> nix::Result<c_int>,
        entry: impl Fn(u32) -> T,
    ) -> Vec<T> {
        let read = |index| {
            let mut entry = entry(index);
            self.call(request, &mut entry).ok().map(|()| entry)
        };
        (0..MOST_ENTRIES).map_while(read).collect()
    }

    /// Returns the pixel formats on offer, as four-character codes.
    pub fn formats(&self) -> Vec<u32> {
        let kind = self.kind();
        let entry = |index| FormatDescription { index, kind, ..Default::default() };
        self.list(ioctls::enumerate_format, entry).iter().map(|f| f.pixel_format).collect()
    }

    /// Returns the picture sizes on offer in a format.
    pub fn frame_sizes(&self, pixel_format: u32) -> Vec<FrameSize> {
        let entry = |index| FrameSize { index, pixel_format, ..Default::default() };
        self.list(ioctls::enumerate_size, entry)
    }

    /// Returns the frame intervals on offer in a format and size.
    pub fn frame_intervals(
        &self,
        pixel_format: u32,
        width: u32,
        height: u32,
    ) -> Vec<FrameInterval> {
        let entry =
            |index| FrameInterval { index, pixel_format, width, height, ..Default::default() };
        self.list(ioctls::enumerate_interval, entry)
    }

    /// Returns the present format.
    pub fn format(&self) -> Result<FrameFormat> {
        let kind = self.kind();
        if self.in_planes {
            let mut format = FormatPlanes { kind, ..Default::default() };
            self.call(ioctls::get_format_planes, &mut format)?;
            return Ok(format.pix.into());
        }
        let private = PIXEL_FORMAT_PRIVATE_MAGIC;
        let pix = PixFormat { private, ..Default::default() };
        let mut format = Format { kind, pix, ..Default::default() };
        self.call(ioctls::get_format, &mut format)?;
        Ok(format.pix.into())
    }

    /// Asks for a format with the rows of a picture one after the other. Returns the one that the driver chose, which
    /// may differ.
    pub fn set_format(&self, pixel_format: u32, width: u32, height: u32) -> Result<FrameFormat> {
        let (kind, field) = (self.kind(), FIELD_NONE);
        if self.in_planes {
            let pix = PixFormatPlanes { width, height, pixel_format, field, ..Default::default() };
            let mut format = FormatPlanes { kind, pix, ..Default::default() };
            self.call(ioctls::set_format_planes, &mut format)?;
            return Ok(format.pix.into());
        }
        let private = PIXEL_FORMAT_PRIVATE_MAGIC;
        let pix = PixFormat { width, height, pixel_format, field, private, ..Default::default() };
        let mut format = Format { kind, pix, ..Default::default() };
        self.call(ioctls::set_format, &mut format)?;
        Ok(format.pix.into())
    }

    /// Returns the present time between frames, or `None` if the driver does not say.
    pub fn frame_interval(&self) -> Option<Duration> {
        let mut parameters = StreamParameters { kind: self.kind(), ..Default::default() };
        self.call(ioctls::get_parameters, &mut parameters).ok()?;
        seconds(parameters.time_per_frame)
    }

    /// Asks for a time between frames. Returns `false` if the driver has no such setting.
    pub fn set_frame_interval(&self, time_per_frame: Fraction) -> Result<bool> {
        let kind = self.kind();
        let mut parameters = StreamParameters { kind, time_per_frame, ..Default::default() };
        match self.call(ioctls::set_parameters, &mut parameters) {
            Ok(()) => Ok(parameters.capability & CAPABILITY_TIME_PER_FRAME != 0),
            Err(Errno::ENOTTY | Errno::EINVAL) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Returns every control of the device, including classes and disabled ones.
    pub fn controls(&self) -> Vec<ControlQuery> {
        let mut controls: Vec<ControlQuery> = Vec::new();
        for _ in 0..MOST_ENTRIES {
            let last = controls.last().map_or(0, |c| c.id);
            let mut query = ControlQuery { id: last | CONTROL_FLAG_NEXT, ..Default::default() };
            if self.call(ioctls::query_control, &mut query).is_err() || query.id <= last {
                break;
            }
            controls.push(query);
        }
        controls
    }

    /// Sets a control that holds a number, and returns the value that the driver took.
    pub fn set_control(&self, control: &ControlQuery, value: i64) -> Result<i64> {
        let mut entry = ControlValue { id: control.id, value, ..Default::default() };
        let mut values = ControlValues {
            which: 0,
            count: 1,
            error_index: 0,
            request: 0,
            reserved: 0,
            values: &raw mut entry,
        };
        self.call(ioctls::set_controls, &mut values)?;
        let taken = entry.value;
        // All kinds but one are 32 bits wide, and leave the upper half as it was.
        #[allow(clippy::cast_possible_truncation)]
        Ok(if control.kind == CONTROL_INTEGER64 { taken } else { i64::from(taken as i32) })
    }

    /// Maps `count` buffers (or as many as the driver insists on) of `planes` planes each, 1 or 2. It hands them to the
    /// driver and starts the stream. Returns what the time stamps will stand for.
    pub fn start(&mut self, count: u32, planes: usize) -> Result<StampSource> {
        let mut request =
            RequestBuffers { count, kind: self.kind(), memory: MEMORY_MMAP, ..Default::default() };
        self.call(ioctls::request_buffers, &mut request)?;
        if !(2..=MOST_BUFFERS).contains(&request.count) {
            return Err(Error::other(format!("the driver gives {} buffers", request.count)));
        }
        let mut source = StampSource::OtherClock;
        for index in 0..request.count {
            let state = self.buffer(BufferRequest::Query, index)?;
            source = stamp_source(state.flags);
            let mappings = state.planes.iter().take(planes).map(|plane| {
                let (offset, length) = plane.mapping();
                MmapOptions::new().offset(offset).len(length).map_raw_read_only(&self.file)
            });
            let mappings = mappings.collect::<Result<Vec<_>>>()?;
            self.buffers.push(mappings);
            self.held.push(false);
            self.buffer(BufferRequest::Queue, index)?;
        }
        self.switch(ioctls::stream_on)?;
        Ok(source)
    }

    /// Makes a request about a buffer. `index` means nothing to [`BufferRequest::Dequeue`].
    fn buffer(&self, request: BufferRequest, index: u32) -> nix::Result<BufferState> {
        if self.in_planes {
            return self.buffer_of_planes(request, index);
        }
        let request = match request {
            BufferRequest::Query => ioctls::query_buffer,
            BufferRequest::Queue => ioctls::queue_buffer,
            BufferRequest::Dequeue => ioctls::dequeue_buffer,
        };
        let (kind, memory) = (BUFFER_TYPE_VIDEO_CAPTURE, MEMORY_MMAP);
        let mut buffer = Buffer { index, kind, memory, ..Default::default() };
        self.call(request, &mut buffer)?;
        Ok(BufferState::from(&buffer))
    }

    fn buffer_of_planes(&self, request: BufferRequest, index: u32) -> nix::Result<BufferState> {
        let request = match request {
            BufferRequest::Query => ioctls::query_buffer_planes,
            BufferRequest::Queue => ioctls::queue_buffer_planes,
            BufferRequest::Dequeue => ioctls::dequeue_buffer_planes,
        };
        let mut planes = [Plane::default(); MAX_PLANES];
        let mut buffer = BufferPlanes {
            index,
            kind: BUFFER_TYPE_VIDEO_CAPTURE_MPLANE,
            bytes_used: 0,
            flags: 0,
            field: 0,
            padding: 0,
            seconds: 0,
            microseconds: 0,
            timecode: [0; 4],
            sequence: 0,
            memory: MEMORY_MMAP,
            planes: planes.as_mut_ptr(),
            length: u32::try_from(planes.len()).unwrap_or(0),
            reserved: 0,
            request: 0,
            padding_end: 0,
        };
        self.call(request, &mut buffer)?;
        Ok(BufferState::of_planes(&buffer, &planes))
    }

    /// Returns the number of buffers.
    pub fn buffer_count(&self) -> usize {
        self.buffers.len()
    }

    /// Waits for a filled buffer, until `until` and at most a millisecond longer.
    pub fn wait(&self, until: LineTime) -> Result<Wait> {
        let milliseconds = until.since(LineTime::now()).as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Wait::Nothing),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let events = polled.first().and_then(PollFd::revents).unwrap_or(PollFlags::POLLERR);
        let broken = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        Ok(if events.intersects(broken) { Wait::Broken } else { Wait::Ready })
    }

    /// Takes a filled buffer without waiting. Returns `None` if there is none.
    pub fn dequeue(&mut self) -> Result<Option<Arrival>> {
        let state = match self.buffer(BufferRequest::Dequeue, 0) {
            Ok(state) => state,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let index = usize::try_from(state.index).unwrap_or(usize::MAX);
        let (Some(mappings), Some(held @ false)) =
            (self.buffers.get(index), self.held.get_mut(index))
        else {
            return Err(Error::other(format!(
                "the driver returns a buffer that does not exist, {index}"
            )));
        };
        *held = true;
        let planes = state.planes.iter().zip(mappings);
        Ok(Some(Arrival {
            index,
            pictures: planes.map(|(plane, mapping)| plane.picture(mapping.len())).collect(),
            stamp: state.stamp,
            source: stamp_source(state.flags),
            damaged: state.flags & BUFFER_FLAG_ERROR != 0,
            sequence: state.sequence,
        }))
    }

    /// Returns the picture's bytes in each plane of a held buffer. It returns none if the buffer is not one of this
    /// device's.
    pub fn planes(&self, arrival: &Arrival) -> Vec<&[u8]> {
        let (Some(mappings), Some(true)) =
            (self.buffers.get(arrival.index), self.held.get(arrival.index))
        else {
            return Vec::new();
        };
        let bytes = |(mapping, picture): (&'_ MmapRaw, &Range<usize>)| {
            // SAFETY: all bytes of the mapping are mapped as long as `self` is borrowed. The driver writes only to
            // queued buffers. This buffer is held, and `requeue` needs `&mut`.
            let mapped = unsafe { std::slice::from_raw_parts(mapping.as_ptr(), mapping.len()) };
            mapped.get(picture.clone()).unwrap_or_default()
        };
        mappings.iter().zip(&arrival.pictures).map(bytes).collect()
    }

    /// Gives a buffer back to the driver.
    pub fn requeue(&mut self, arrival: Arrival) -> Result<()> {
        match (self.held.get_mut(arrival.index), u32::try_from(arrival.index)) {
            (Some(held @ true), Ok(index)) => {
                *held = false;
                self.buffer(BufferRequest::Queue, index)?;
                Ok(())
            }
            _ => Err(Error::other("a buffer is given back twice")),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // A device that is gone has no stream left to stop.
        let _ = self.switch(ioctls::stream_off);
    }
}

/// Returns a frame interval as a duration, or `None` if it is not a positive time below an hour.
pub fn seconds(fraction: abi::Fraction) -> Option<Duration> {
    let nanoseconds = u64::from(fraction.numerator)
        .checked_mul(1_000_000_000)?
        .checked_div(u64::from(fraction.denominator))?;
    let interval = Duration::from_nanos(nanoseconds);
    (!interval.is_zero() && interval < Duration::from_secs(3600)).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_make_no_sense() {
        let interval = |numerator, denominator| seconds(Fraction { numerator, denominator });
        assert_eq!(interval(1, 5), Some(Duration::from_millis(200)));
        for (numerator, denominator) in [(0, 5), (1, 0), (0, 0), (u32::MAX, 1)] {
            assert_eq!(interval(numerator, denominator), None);
        }
    }

    #[test]
    fn what_is_no_video_device_fails_at_the_first_question() {
        let device = Device::open(Path::new("/dev/null")).expect("opens");
        assert!(device.capability().is_err());
        assert!(device.formats().is_empty() && device.controls().is_empty());
        assert!(device.frame_interval().is_none());
        assert!(Device::open(Path::new("/dev/no-such-video")).is_err());
    }
}
