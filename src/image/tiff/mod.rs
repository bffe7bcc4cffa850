//! TIFF is a family of formats. An error names each kind of TIFF that this module does not read.
//!
//! Strips and tiles are decoded one at a time into the picture. So a file reserves no more memory
//! than the picture that it declares.

mod chunks;
mod directory;
mod unsupported;

use super::limits::{check_size, truncated, unreadable};
use super::samples::{Layout, Raw};
use crate::error::{Error, Result};
use chunks::{Canvas, Values};
use image::metadata::Orientation;
use std::borrow::Cow;
use std::io::Cursor;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{
    CompressionMethod, ExtraSamples, PhotometricInterpretation, PlanarConfiguration, Tag,
};
use tiff::{ColorType, TiffError};
use unsupported::unsupported;

/// The most samples per pixel.
const MOST_CHANNELS: u16 = 8;
/// The longest side of a tile, where the picture's side is not longer.
const LONGEST_TILE: u32 = 65_536;
/// The photometric interpretation of a palette, and the one that leaves the palette's numbers as
/// they are.
const PALETTE: u16 = 3;
const BLACK_IS_ZERO: u8 = 1;

type File<'a> = Decoder<Cursor<&'a [u8]>>;

/// Decodes the only picture of a TIFF file. It may panic.
pub(super) fn decode(bytes: &[u8]) -> Result<(Raw, Orientation)> {
    let directory = directory::check(bytes)?;
    let photometric = directory.photometric_at.and_then(|at| Some((at, bytes.get(at..at + 2)?)));
    let palette_at = photometric.and_then(|(at, value)| {
        let little_endian = bytes.starts_with(b"II");
        let number = if little_endian { [value[0], value[1]] } else { [value[1], value[0]] };
        (u16::from_le_bytes(number) == PALETTE).then_some((at, little_endian))
    });
    // The decoder reads no palettes. It reads the numbers of a palette's pixels if the file calls
    // them grey.
    let bytes = match palette_at {
        None => Cow::Borrowed(bytes),
        Some((at, little_endian)) => {
            let mut changed = bytes.to_vec();
            changed[if little_endian { at } else { at + 1 }] = BLACK_IS_ZERO;
            Cow::Owned(changed)
        }
    };
    let mut file = Decoder::new(Cursor::new(bytes.as_ref())).map_err(undecodable)?;
    let size = file.dimensions().map_err(undecodable)?;
    check_size(size.0, size.1, bytes.len())?;
    let palette = palette_at.map(|_| read_palette(&mut file)).transpose()?;
    let kind = Kind::of(&mut file)?;
    check_reservation(&mut file, size, &kind, bytes.len())?;
    let orientation = tag(&mut file, Tag::Orientation, 1)?;
    let raw = read(file, size, &kind, palette.as_deref(), bytes.len())?;
    let orientation = Orientation::from_exif(orientation.min(255) as u8);
    Ok((raw, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// The kind of picture that a file holds.
struct Kind {
    layout: Layout,
    bits: u8,
    planar: bool,
    /// Whether colours are already multiplied by the opacity.
    multiplied: bool,
}

impl Kind {
    fn of(file: &mut File) -> Result<Self> {
        let channels = tag(file, Tag::SamplesPerPixel, 1)?;
        let compression = tag(file, Tag::Compression, 1)?;
        let method = CompressionMethod::from_u16_exhaustive(compression);
        if matches!(method, CompressionMethod::JPEG | CompressionMethod::ModernJPEG) {
            return Err(unsupported("compressed as JPEG"));
        }
        let photometric = tag(file, Tag::PhotometricInterpretation, 1)?;
        let meaning = PhotometricInterpretation::from_u16(photometric);
        let planar = PlanarConfiguration::Planar.to_u16();
        let planar = tag(file, Tag::PlanarConfiguration, 1)? == planar && channels > 1;
        let extra: Vec<u16> = (file.find_tag_unsigned_vec(Tag::ExtraSamples))
            .map_err(undecodable)?
            .unwrap_or_default();
        let extra = extra.first().copied().and_then(ExtraSamples::from_u16);
        let alpha =
            matches!(extra, Some(ExtraSamples::AssociatedAlpha | ExtraSamples::UnassociatedAlpha));
        if channels > MOST_CHANNELS {
            return Err(unsupported(&format!("of {channels} channels")));
        }
        let (layout, bits) = match file.colortype() {
            Ok(ColorType::Gray(bits)) => (Layout::Grey, bits),
            Ok(ColorType::Multiband { bit_depth, num_samples: 2 }) if alpha => {
                (Layout::GreyAlpha, bit_depth)
            }
            Ok(ColorType::Multiband { num_samples, .. }) => {
                return Err(unsupported(&format!("of {num_samples} grey channels")));
            }
            Ok(ColorType::RGB(bits)) => (Layout::Rgb, bits),
            // Old writers leave out the meaning of the fourth channel.
            Ok(ColorType::RGBA(bits)) => (Layout::RgbAlpha, bits),
            Ok(ColorType::CMYK(bits)) if !planar => (Layout::Cmyk, bits),
            Ok(_) | Err(_) => return Err(unsupported(&named(meaning, channels))),
        };
        let multiplied = extra == Some(ExtraSamples::AssociatedAlpha);
        Ok(Kind { layout, bits, planar, multiplied })
    }
}

/// Refuses files for which the decoder would reserve more memory than the picture takes.
fn check_reservation(
    file: &mut File,
    (width, height): (u32, u32),
    kind: &Kind,
    file_bytes: usize,
) -> Result<()> {
    for (side, of_tile) in [(width, Tag::TileWidth), (height, Tag::TileLength)] {
        let tile: Option<u32> = file.find_tag_unsigned(of_tile).map_err(undecodable)?;
        if tile.is_some_and(|tile| tile > side.max(LONGEST_TILE)) {
            return Err(unreadable("a tile of the TIFF is much larger than the picture")
                .advise("save it again, or remove it"));
        }
    }
    let plain = tag(file, Tag::Compression, 1)? == CompressionMethod::None.to_u16();
    let bits = u64::from(width) * kind.layout.channels() as u64 * u64::from(kind.bits);
    let needed = bits.div_ceil(8) * u64::from(height);
    match plain && needed > file_bytes as u64 {
        true => Err(truncated("the file ends in the middle of the picture")),
        false => Ok(()),
    }
}

/// Reads all strips or tiles.
fn read(
    mut file: File,
    size: (u32, u32),
    kind: &Kind,
    palette: Option<&[[u8; 3]]>,
    file_bytes: usize,
) -> Result<Raw> {
    let (tile_width, tile_height) = file.chunk_dimensions();
    let (across, down) = (size.0.div_ceil(tile_width), size.1.div_ceil(tile_height));
    let planes = if kind.planar { kind.layout.channels() as u32 } else { 1 };
    // A chunk is never larger than the picture.
    let bits = size.0 as usize * kind.layout.channels() * usize::from(kind.bits);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = (bits.div_ceil(8) * size.1 as usize).max(1 << 20);
    limits.intermediate_buffer_size = file_bytes;
    limits.ifd_value_size = file_bytes;
    file = file.with_limits(limits);
    let mut canvas = Canvas::new(size, kind.layout, kind.planar);
    for chunk in 0..across * down * planes {
        let (plane, within) = (chunk / (across * down), chunk % (across * down));
        let at = (within % across * tile_width, within / across * tile_height);
        let (columns, _) = file.chunk_data_dimensions(chunk);
        let read = file.read_chunk(chunk).map_err(undecodable)?;
        let values = Values::of(read, columns as usize, kind.bits, palette)?;
        canvas.put(at, columns as usize, plane as usize, values);
    }
    Ok(canvas.finish(kind.multiplied))
}

/// Reads the colours of a palette: all red values, then all green ones, then all blue ones, of 16
/// bits each.
fn read_palette(file: &mut File) -> Result<Vec<[u8; 3]>> {
    let colours: Vec<u16> = (file.find_tag_unsigned_vec(Tag::ColorMap).map_err(undecodable)?)
        .ok_or_else(|| unreadable("a TIFF with a palette that is not there"))?;
    let bits = tag(file, Tag::BitsPerSample, 1)?;
    if bits > 8 || tag(file, Tag::SamplesPerPixel, 1)? != 1 {
        return Err(unsupported(&format!("with a palette for {bits} bits")));
    }
    let count = 1 << bits;
    if colours.len() != 3 * count {
        return Err(truncated("the palette of the TIFF has too few colours"));
    }
    let high = |at: usize| (colours[at] >> 8) as u8;
    Ok((0..count).map(|i| [high(i), high(count + i), high(2 * count + i)]).collect())
}

/// Returns a number of the directory, or `otherwise` where the directory does not have it.
fn tag(file: &mut File, tag: Tag, otherwise: u16) -> Result<u16> {
    let values: Option<Vec<u16>> = file.find_tag_unsigned_vec(tag).map_err(undecodable)?;
    Ok(values.and_then(|values| values.first().copied()).unwrap_or(otherwise))
}

/// Names a kind of TIFF that is not read.
fn named(meaning: Option<PhotometricInterpretation>, channels: u16) -> String {
    match meaning {
        Some(PhotometricInterpretation::YCbCr) => "in YCbCr colours".into(),
        Some(
            PhotometricInterpretation::CIELab
            | PhotometricInterpretation::IccLab
            | PhotometricInterpretation::ItuLab,
        ) => "in Lab colours".into(),
        Some(PhotometricInterpretation::CMYK) => format!("in CMYK of {channels} channels"),
        Some(PhotometricInterpretation::TransparencyMask) => "that is a transparency mask".into(),
        Some(other) => format!("of {channels} channels that mean {other:?}"),
        None => format!("of {channels} channels whose meaning is not known"),
    }
}

fn undecodable(error: TiffError) -> Error {
    match error {
        TiffError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            truncated("the file ends in the middle of the picture")
        }
        TiffError::LimitsExceeded => {
            unreadable("too large: the TIFF needs more memory than it may")
                .advise("save it again, or remove it")
        }
        error => unreadable(format!("cannot be decoded: {error}"))
            .advise("save it again as PNG, or as a TIFF in grey or RGB of 8 or 16 bits"),
    }
}
