//! A view of a picture in somebody else's memory: pixels with a stride, in the order that cameras give.

use super::limits::{check_sides, unreadable};
use super::picture::{Picture, Samples};
use super::shape::Size;
use crate::error::Result;
use std::borrow::Cow;

/// How the samples of a pixel lie in memory.
///
/// `x` is a byte that is not read. 16-bit samples have the byte order of the processor, and 65535 is full scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// One byte: brightness.
    Gray8,
    /// Three bytes: red, green, blue.
    Rgb8,
    /// Three bytes: blue, green, red. OpenCV's usual order.
    Bgr8,
    /// Four bytes: red, green, blue, unused.
    Rgbx8,
    /// Four bytes: blue, green, red, unused.
    Bgrx8,
    /// Four bytes: unused, red, green, blue.
    Xrgb8,
    /// Four bytes: unused, blue, green, red.
    Xbgr8,
    /// One 16-bit sample: brightness.
    Gray16,
    /// Three 16-bit samples: red, green, blue.
    Rgb16,
    /// Three 16-bit samples: blue, green, red.
    Bgr16,
}

impl PixelFormat {
    /// Samples of a pixel, those that are not read included.
    pub fn channels(self) -> usize {
        match self {
            PixelFormat::Gray8 | PixelFormat::Gray16 => 1,
            PixelFormat::Rgb8 | PixelFormat::Bgr8 | PixelFormat::Rgb16 | PixelFormat::Bgr16 => 3,
            PixelFormat::Rgbx8 | PixelFormat::Bgrx8 | PixelFormat::Xrgb8 | PixelFormat::Xbgr8 => 4,
        }
    }

    /// Bytes of a sample: 1 or 2.
    pub fn sample_bytes(self) -> usize {
        match self {
            PixelFormat::Gray16 | PixelFormat::Rgb16 | PixelFormat::Bgr16 => 2,
            _ => 1,
        }
    }

    /// Where red, green and blue are among the samples of a pixel.
    fn places(self) -> [usize; 3] {
        match self {
            PixelFormat::Gray8 | PixelFormat::Gray16 => [0, 0, 0],
            PixelFormat::Rgb8 | PixelFormat::Rgbx8 | PixelFormat::Rgb16 => [0, 1, 2],
            PixelFormat::Bgr8 | PixelFormat::Bgrx8 | PixelFormat::Bgr16 => [2, 1, 0],
            PixelFormat::Xrgb8 => [1, 2, 3],
            PixelFormat::Xbgr8 => [3, 2, 1],
        }
    }
}

/// A picture in memory that the caller keeps.
///
/// ```
/// use hetmm::PictureView;
///
/// // Rows of 33 pixels with three bytes each, and one byte of padding.
/// let buffer = vec![0; 100 * 40];
/// let picture = PictureView::bgr8(&buffer, 33, 40, 100)?;
/// assert_eq!(picture.size().width, 33);
/// assert!(PictureView::bgr8(&buffer, 33, 41, 100).is_err(), "too few bytes");
/// # Ok::<(), hetmm::Error>(())
/// ```
///
/// The constructors check the sizes, so every pixel of a view can be read.
#[derive(Debug, Clone, Copy)]
pub struct PictureView<'a> {
    samples: View<'a>,
    format: PixelFormat,
    size: Size,
    /// Samples from the start of a row to the start of the next.
    row: usize,
}

#[derive(Debug, Clone, Copy)]
enum View<'a> {
    Eight(&'a [u8]),
    Sixteen(&'a [u16]),
}

/// Three samples (RGB) a pixel, without gaps; borrowed where the view has them so.
#[derive(Debug, Clone)]
pub(crate) enum Packed<'a> {
    Eight(Cow<'a, [u8]>),
    Sixteen(Cow<'a, [u16]>),
}

/// Constructors for the formats of one sample type.
macro_rules! constructors {
    ($($name:ident $format:ident $sample:ty, $what:literal;)*) => {$(
        #[doc = concat!("A picture of ", $what, ".")]
        ///
        /// `stride` is the number of bytes from the start of a row to the start of the next, at least one row. The
        /// last row may lack its padding.
        ///
        /// # Errors
        /// [`crate::error::Kind::Image`] where the picture has fewer than 8 columns or rows or more than 100 million
        /// pixels, or where stride or samples are too short.
        pub fn $name(samples: &'a [$sample], width: u32, height: u32, stride: usize) -> Result<Self> {
            Self::new(samples.into(), PixelFormat::$format, Size { width, height }, stride)
        }
    )*};
}

impl<'a> From<&'a [u8]> for View<'a> {
    fn from(samples: &'a [u8]) -> Self {
        View::Eight(samples)
    }
}

impl<'a> From<&'a [u16]> for View<'a> {
    fn from(samples: &'a [u16]) -> Self {
        View::Sixteen(samples)
    }
}

impl<'a> PictureView<'a> {
    constructors! {
        gray8 Gray8 u8, "8-bit brightness";
        rgb8 Rgb8 u8, "8-bit red, green, blue";
        bgr8 Bgr8 u8, "8-bit blue, green, red, as OpenCV has it";
        rgbx8 Rgbx8 u8, "8-bit red, green, blue and one byte that is not read";
        bgrx8 Bgrx8 u8, "8-bit blue, green, red and one byte that is not read";
        xrgb8 Xrgb8 u8, "one byte that is not read and 8-bit red, green, blue";
        xbgr8 Xbgr8 u8, "one byte that is not read and 8-bit blue, green, red";
        gray16 Gray16 u16, "16-bit brightness at full scale, in the processor's byte order";
        rgb16 Rgb16 u16, "16-bit red, green, blue at full scale, in the processor's byte order";
        bgr16 Bgr16 u16, "16-bit blue, green, red at full scale, in the processor's byte order";
    }

    fn new(samples: View<'a>, format: PixelFormat, size: Size, stride: usize) -> Result<Self> {
        let Size { width, height } = size;
        check_sides(width, height)?;
        let bytes_of_sample = format.sample_bytes();
        let row_samples = width as usize * format.channels();
        let row_bytes = row_samples * bytes_of_sample;
        if stride < row_bytes {
            return Err(unreadable(format!(
                "a stride of {stride} bytes is less than a row of {width} pixels, which takes {row_bytes} bytes"
            ))
            .advise("the stride is the number of bytes from one row to the next, with its padding"));
        }
        if !stride.is_multiple_of(bytes_of_sample) {
            return Err(unreadable(format!("a stride of {stride} bytes splits a 16-bit sample"))
                .advise("give the stride in bytes, an even number for 16-bit samples"));
        }
        let row = stride / bytes_of_sample;
        let needed =
            (height as usize - 1).checked_mul(row).and_then(|n| n.checked_add(row_samples));
        let given = match samples {
            View::Eight(samples) => samples.len(),
            View::Sixteen(samples) => samples.len(),
        };
        if needed.is_none_or(|needed| given < needed) {
            return Err(unreadable(format!(
                "{} bytes are too few for {size} pixels with a stride of {stride} bytes",
                given * bytes_of_sample
            ))
            .advise("check width, height and stride against what the camera gives"));
        }
        Ok(PictureView { samples, format, size, row })
    }

    /// Columns and rows.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How the samples of a pixel lie in memory.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// A copy of the picture with three samples (RGB) a pixel.
    pub fn to_picture(&self) -> Picture {
        let samples = match self.packed() {
            Packed::Eight(samples) => Samples::Eight(samples.into_owned()),
            Packed::Sixteen(samples) => Samples::Sixteen(samples.into_owned()),
        };
        Picture { width: self.size.width, height: self.size.height, samples }
    }

    /// The picture with three samples (RGB) a pixel and no gaps; not copied where it lies so already.
    pub(crate) fn packed(&self) -> Packed<'a> {
        match self.samples {
            View::Eight(samples) => Packed::Eight(self.rgb(samples)),
            View::Sixteen(samples) => Packed::Sixteen(self.rgb(samples)),
        }
    }

    fn rgb<T: Copy>(&self, samples: &'a [T]) -> Cow<'a, [T]> {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let channels = self.format.channels();
        let is_packed = self.row == width * channels;
        let [r, g, b] = self.format.places();
        if is_packed && channels == 3 && r == 0 {
            return Cow::Borrowed(&samples[..3 * width * height]);
        }
        let mut packed = Vec::with_capacity(3 * width * height);
        for row in samples.chunks(self.row).take(height) {
            for pixel in row[..width * channels].chunks_exact(channels) {
                packed.extend([pixel[r], pixel[g], pixel[b]]);
            }
        }
        Cow::Owned(packed)
    }
}

impl Picture {
    /// Returns its columns and rows.
    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }

    /// The BLAKE3 of the picture's columns, rows and samples, all in little-endian order.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.width.to_le_bytes()).update(&self.height.to_le_bytes());
        match &self.samples {
            Samples::Eight(samples) => hasher.update(&[8]).update(samples),
            Samples::Sixteen(samples) => {
                hasher.update(&[16]);
                let bytes = |samples: &[u16]| -> Vec<u8> {
                    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
                };
                samples.chunks(1 << 16).fold(&mut hasher, |h, some| h.update(&bytes(some)))
            }
        };
        hasher.finalize().into()
    }

    /// A view of the picture.
    ///
    /// # Errors
    /// [`crate::error::Kind::Image`] where its samples do not fit its size.
    pub fn view(&self) -> Result<PictureView<'_>> {
        let (width, height, row) = (self.width, self.height, 3 * self.width as usize);
        match &self.samples {
            Samples::Eight(samples) => PictureView::rgb8(samples, width, height, row),
            Samples::Sixteen(samples) => PictureView::rgb16(samples, width, height, 2 * row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 9 x 8 pixels whose samples are all different, in every format with some padding.
    #[test]
    fn every_format_gives_the_same_pixels() {
        let (width, height) = (9u32, 8u32);
        let rgb: Vec<[u8; 3]> = (0..72).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
        let lay = |padding: usize, pixel: &dyn Fn([u8; 3]) -> Vec<u8>| -> (Vec<u8>, usize) {
            let rows = rgb.chunks(width as usize).map(|row| -> Vec<u8> {
                let pixels = row.iter().flat_map(|p| pixel(*p));
                pixels.chain(std::iter::repeat_n(0xEE, padding)).collect()
            });
            let rows: Vec<Vec<u8>> = rows.collect();
            let stride = rows[0].len();
            let mut all = rows.concat();
            all.truncate(all.len() - padding);
            (all, stride)
        };
        let want = Samples::Eight(rgb.concat());
        type Constructor = for<'a> fn(&'a [u8], u32, u32, usize) -> Result<PictureView<'a>>;
        type BytesOf = dyn Fn([u8; 3]) -> Vec<u8>;
        let cases: [(Constructor, &BytesOf); 6] = [
            (|s, w, h, stride| PictureView::rgb8(s, w, h, stride), &|[r, g, b]| vec![r, g, b]),
            (|s, w, h, stride| PictureView::bgr8(s, w, h, stride), &|[r, g, b]| vec![b, g, r]),
            (|s, w, h, stride| PictureView::rgbx8(s, w, h, stride), &|[r, g, b]| {
                vec![r, g, b, 0xAA]
            }),
            (|s, w, h, stride| PictureView::bgrx8(s, w, h, stride), &|[r, g, b]| {
                vec![b, g, r, 0xAA]
            }),
            (|s, w, h, stride| PictureView::xrgb8(s, w, h, stride), &|[r, g, b]| {
                vec![0xAA, r, g, b]
            }),
            (|s, w, h, stride| PictureView::xbgr8(s, w, h, stride), &|[r, g, b]| {
                vec![0xAA, b, g, r]
            }),
        ];
        for (make, pixel) in cases {
            for padding in [0, 1, 7] {
                let (bytes, stride) = lay(padding, pixel);
                let view = make(&bytes, width, height, stride).expect("fits");
                assert_eq!(view.to_picture().samples, want, "{:?} {padding}", view.format());
                let short = &bytes[..bytes.len() - 1];
                assert!(make(short, width, height, stride).is_err(), "{:?}", view.format());
            }
        }
        let gray: Vec<u8> = rgb.iter().map(|p| p[0]).collect();
        let view = PictureView::gray8(&gray, width, height, 9).expect("fits");
        let want = rgb.iter().flat_map(|p| [p[0]; 3]).collect();
        assert_eq!(view.to_picture().samples, Samples::Eight(want));
    }

    #[test]
    fn sixteen_bits_keep_their_values_and_strides_are_bytes() {
        let samples: Vec<u16> = (0..8 * 26).map(|i| i * 300).collect();
        let view = PictureView::bgr16(&samples, 8, 8, 52).expect("fits");
        let Samples::Sixteen(got) = view.to_picture().samples else { panic!("16 bits") };
        assert_eq!(got[..3], [600, 300, 0]);
        assert_eq!(got[24..27], [28 * 300, 27 * 300, 26 * 300], "the second row");
        assert!(PictureView::bgr16(&samples, 8, 8, 51).is_err(), "half a sample");
        assert!(PictureView::gray16(&samples, 8, 8, 16).is_ok());
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let bytes = vec![0; 3 * 64];
        let refused = [
            (8, 8, 23, "stride"),
            (7, 8, 24, "too few"),
            (8, 9, 24, "bytes are too few"),
            (8, 8, usize::MAX, "bytes are too few"),
            (u32::MAX, u32::MAX, usize::MAX, "million"),
            (0, 0, 0, "too few"),
        ];
        for (width, height, stride, word) in refused {
            let error = PictureView::rgb8(&bytes, width, height, stride).expect_err("refused");
            assert!(error.to_string().contains(word), "{width} x {height}, {stride}: {error}");
        }
        assert!(PictureView::rgb8(&bytes, 8, 8, 24).is_ok());
    }

    /// Its fields are public, so anybody can make one that does not fit together.
    #[test]
    fn a_picture_with_too_few_samples_has_no_view() {
        let picture = Picture { width: 8, height: 8, samples: Samples::Eight(vec![0; 191]) };
        assert!(picture.view().is_err());
    }
}
