//! Declares the kernel's V4L2 structures and numbers, as far as a camera needs them. Its frames come in one buffer, or in
//! one for each plane.
//!
//! They are copied by hand from `linux/videodev2.h`, whose layout is part of the kernel's promise to programs. The
//! layout is that of 64-bit targets (x86-64 and aarch64 share it). The sizes are checked at compile time, and a 32-bit
//! target fails that check.

pub const BUFFER_TYPE_VIDEO_CAPTURE: u32 = 1;
pub const BUFFER_TYPE_VIDEO_CAPTURE_MPLANE: u32 = 9;
/// The largest number of planes of a frame.
pub const MAX_PLANES: usize = 8;
pub const MEMORY_MMAP: u32 = 1;
pub const FIELD_NONE: u32 = 1;
pub const PIXEL_FORMAT_PRIVATE_MAGIC: u32 = 0xFEED_CAFE;

pub const CAPABILITY_VIDEO_CAPTURE: u32 = 0x1;
pub const CAPABILITY_VIDEO_CAPTURE_MPLANE: u32 = 0x1000;
pub const CAPABILITY_STREAMING: u32 = 0x0400_0000;
pub const CAPABILITY_DEVICE: u32 = 0x8000_0000;
pub const CAPABILITY_TIME_PER_FRAME: u32 = 0x1000;

pub const BUFFER_FLAG_ERROR: u32 = 0x40;
pub const BUFFER_FLAG_CLOCK_MASK: u32 = 0xE000;
pub const BUFFER_FLAG_CLOCK_MONOTONIC: u32 = 0x2000;
pub const BUFFER_FLAG_STAMP_MASK: u32 = 0x7_0000;
pub const BUFFER_FLAG_STAMP_START_OF_EXPOSURE: u32 = 0x1_0000;

pub const CONTROL_INTEGER: u32 = 1;
pub const CONTROL_BOOLEAN: u32 = 2;
pub const CONTROL_MENU: u32 = 3;
pub const CONTROL_INTEGER64: u32 = 5;
pub const CONTROL_BITMASK: u32 = 8;
pub const CONTROL_INTEGER_MENU: u32 = 9;
pub const CONTROL_FLAG_DISABLED: u32 = 0x1;
pub const CONTROL_FLAG_READ_ONLY: u32 = 0x4;
pub const CONTROL_FLAG_NEXT: u32 = 0x8000_0000;
/// The control for the length of the sensor's strobe, in microseconds.
pub const CONTROL_FLASH_DURATION: u32 = 0x009C_090D;
/// The control that switches the sensor's strobe output on.
pub const CONTROL_FLASH_STROBE_OUTPUT: u32 = 0x009C_090E;

pub const ENUMERATION_DISCRETE: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_capabilities: u32,
    pub reserved: [u32; 3],
}

impl Capability {
    /// Returns the abilities of the device file. Old drivers know only those of the whole camera.
    pub fn abilities(&self) -> u32 {
        match self.capabilities & CAPABILITY_DEVICE {
            0 => self.capabilities,
            _ => self.device_capabilities,
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PixFormat {
    pub width: u32,
    pub height: u32,
    pub pixel_format: u32,
    pub field: u32,
    pub bytes_per_line: u32,
    pub size_image: u32,
    pub colorspace: u32,
    pub private: u32,
    pub flags: u32,
    pub ycbcr_encoding: u32,
    pub quantization: u32,
    pub transfer_function: u32,
}

/// Describes one plane of [`PixFormatPlanes`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PlaneFormat {
    pub size_image: u32,
    pub bytes_per_line: u32,
    pub reserved: [u16; 6],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PixFormatPlanes {
    pub width: u32,
    pub height: u32,
    pub pixel_format: u32,
    pub field: u32,
    pub colorspace: u32,
    pub planes: [PlaneFormat; MAX_PLANES],
    pub plane_count: u8,
    pub flags: u8,
    pub ycbcr_encoding: u8,
    pub quantization: u8,
    pub transfer_function: u8,
    pub reserved: [u8; 7],
}

/// Holds the union of all kinds of formats, read as that of frames in one buffer for each plane.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FormatPlanes {
    pub kind: u32,
    pub padding: u32,
    pub pix: PixFormatPlanes,
    pub rest: u64,
}

/// Holds the union of all kinds of formats, read as that of frames in one buffer.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Format {
    pub kind: u32,
    pub padding: u32,
    pub pix: PixFormat,
    pub rest: [u64; 19],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FormatDescription {
    pub index: u32,
    pub kind: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub pixel_format: u32,
    pub media_bus_code: u32,
    pub reserved: [u32; 3],
}

/// Describes frame sizes. `size` holds width and height if the kind is discrete. Otherwise it holds the smallest, the
/// largest and the step of the width and then of the height.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FrameSize {
    pub index: u32,
    pub pixel_format: u32,
    pub kind: u32,
    pub size: [u32; 6],
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: u32,
}

/// Describes frame intervals. `interval` holds one if the kind is discrete. Otherwise it holds the shortest, the
/// longest and the step.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FrameInterval {
    pub index: u32,
    pub pixel_format: u32,
    pub width: u32,
    pub height: u32,
    pub kind: u32,
    pub interval: [Fraction; 3],
    pub reserved: [u32; 2],
}

/// Holds the union of capture and output parameters, of which only capture is used.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct StreamParameters {
    pub kind: u32,
    pub capability: u32,
    pub mode: u32,
    pub time_per_frame: Fraction,
    pub extended_mode: u32,
    pub read_buffers: u32,
    pub rest: [[u32; 4]; 11],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RequestBuffers {
    pub count: u32,
    pub kind: u32,
    pub memory: u32,
    pub capabilities: u32,
    pub flags: u32,
}

/// Describes a buffer. `offset` is the kernel's union `m`, read as the offset to map.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Buffer {
    pub index: u32,
    pub kind: u32,
    pub bytes_used: u32,
    pub flags: u32,
    pub field: u32,
    pub padding: u32,
    pub seconds: i64,
    pub microseconds: i64,
    pub timecode: [u32; 4],
    pub sequence: u32,
    pub memory: u32,
    pub offset: u32,
    pub offset_high: u32,
    pub length: u32,
    pub reserved: u32,
    pub request: i32,
    pub padding_end: u32,
}

/// Describes one plane of a buffer. `offset` is the kernel's union `m`, read as the offset to map.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Plane {
    pub bytes_used: u32,
    pub length: u32,
    pub offset: u32,
    pub offset_high: u32,
    pub data_offset: u32,
    pub reserved: [u32; 11],
}

/// Describes a buffer with one part for each plane. `planes` is the kernel's union `m`, and `length` says to how many
/// planes it points.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BufferPlanes {
    pub index: u32,
    pub kind: u32,
    pub bytes_used: u32,
    pub flags: u32,
    pub field: u32,
    pub padding: u32,
    pub seconds: i64,
    pub microseconds: i64,
    pub timecode: [u32; 4],
    pub sequence: u32,
    pub memory: u32,
    pub planes: *mut Plane,
    pub length: u32,
    pub reserved: u32,
    pub request: i32,
    pub padding_end: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ControlQuery {
    pub id: u32,
    pub kind: u32,
    pub name: [u8; 32],
    pub minimum: i64,
    pub maximum: i64,
    pub step: u64,
    pub default_value: i64,
    pub flags: u32,
    pub element_size: u32,
    pub elements: u32,
    pub dimension_count: u32,
    pub dimensions: [u32; 4],
    pub reserved: [u32; 32],
}

/// Holds the value of a control. `value` is the kernel's union: 32 bits (the low half on little-endian) or 64 bits,
/// depending on the control's kind.
#[repr(C, packed)]
#[derive(Clone, Copy, Default)]
pub struct ControlValue {
    pub id: u32,
    pub size: u32,
    pub reserved: u32,
    pub value: i64,
}

#[repr(C)]
pub struct ControlValues {
    pub which: u32,
    pub count: u32,
    pub error_index: u32,
    pub request: i32,
    pub reserved: u32,
    pub values: *mut ControlValue,
}

const _: () = {
    assert!(cfg!(target_endian = "little"));
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<PixFormat>() == 48);
    assert!(size_of::<Format>() == 208);
    assert!(size_of::<PlaneFormat>() == 20);
    assert!(size_of::<PixFormatPlanes>() == 192);
    assert!(size_of::<FormatPlanes>() == 208);
    assert!(size_of::<FormatDescription>() == 64);
    assert!(size_of::<FrameSize>() == 44);
    assert!(size_of::<FrameInterval>() == 52);
    assert!(size_of::<StreamParameters>() == 204);
    assert!(size_of::<RequestBuffers>() == 20);
    assert!(size_of::<Buffer>() == 88);
    assert!(size_of::<Plane>() == 64);
    assert!(size_of::<BufferPlanes>() == 88);
    assert!(size_of::<ControlQuery>() == 232);
    assert!(size_of::<ControlValue>() == 20);
    assert!(size_of::<ControlValues>() == 32);
};
