//! Turns an array of numpy into a picture.

use crate::errors::raise;
use hetmm::image::{MAX_PIXELS, MIN_SIDE, Samples};
use hetmm::{Error, PictureView};
use numpy::ndarray::Axis;
use numpy::{
    Element, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// How the colours of a pixel lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Red first.
    Rgb,
    /// Blue first, as in OpenCV.
    Bgr,
}

impl Order {
    /// # Errors
    /// `UsageError` for any other name than "rgb" and "bgr".
    pub fn named(name: Option<&str>) -> PyResult<Option<Self>> {
        match name {
            None => Ok(None),
            Some("rgb") => Ok(Some(Order::Rgb)),
            Some("bgr") => Ok(Some(Order::Bgr)),
            Some(other) => Err(usage(format!("order={other:?}"), ORDER)),
        }
    }
}

const ORDER: &str = "give order=\"bgr\" for pictures of OpenCV, and order=\"rgb\" for those of Pillow and most others";

/// A copy of an array, row after row without gaps.
pub struct Pixels {
    samples: Samples,
    channels: usize,
    order: Order,
    width: u32,
    height: u32,
}

impl Pixels {
    /// # Errors
    /// `hetmm::ErrorKind::Image` where the library cannot use a picture of this size.
    pub fn view(&self) -> hetmm::Result<PictureView<'_>> {
        let (w, h) = (self.width, self.height);
        let row = w as usize * self.channels;
        match (&self.samples, self.channels, self.order) {
            (Samples::Eight(samples), 1, _) => PictureView::gray8(samples, w, h, row),
            (Samples::Eight(samples), 3, Order::Rgb) => PictureView::rgb8(samples, w, h, row),
            (Samples::Eight(samples), 3, Order::Bgr) => PictureView::bgr8(samples, w, h, row),
            (Samples::Eight(samples), _, Order::Rgb) => PictureView::rgbx8(samples, w, h, row),
            (Samples::Eight(samples), _, Order::Bgr) => PictureView::bgrx8(samples, w, h, row),
            (Samples::Sixteen(samples), 1, _) => PictureView::gray16(samples, w, h, 2 * row),
            (Samples::Sixteen(samples), _, Order::Rgb) => {
                PictureView::rgb16(samples, w, h, 2 * row)
            }
            (Samples::Sixteen(samples), _, Order::Bgr) => {
                PictureView::bgr16(samples, w, h, 2 * row)
            }
        }
    }
}

/// Copies the pixels of `picture`. Python's lock is held meanwhile, so no thread of Python changes them.
///
/// # Errors
/// `TypeError` where it is no array, `UsageError` where its samples or its shape are none of a picture, `ImageError`
/// where it is too small or too large.
pub fn read(picture: &Bound<'_, PyAny>, order: Option<Order>) -> PyResult<Pixels> {
    let array = array_of(picture)?;
    let kind = Kind::of(array)?;
    let (height, width, channels) = sides(array.shape())?;
    check_size(width, height)?;
    let order = match (channels, order) {
        (1, _) => Order::Rgb,
        (_, Some(order)) => order,
        (_, None) => {
            return Err(usage(format!("an array of {channels} channels needs order="), ORDER));
        }
    };
    let (samples, channels) = match kind {
        Kind::Eight => (Samples::Eight(copy::<u8>(array)?), channels),
        // The library has no format of four 16-bit samples.
        Kind::Sixteen => match (copy::<u16>(array)?, channels) {
            (samples, 4) => (Samples::Sixteen(without_fourth(&samples)), 3),
            (samples, _) => (Samples::Sixteen(samples), channels),
        },
    };
    Ok(Pixels { samples, channels, order, width: width as u32, height: height as u32 })
}

fn array_of<'a, 'py>(picture: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyUntypedArray>> {
    let Ok(array) = picture.cast::<PyUntypedArray>() else {
        let advice = if picture.is_none() {
            "the picture is None: cv2.imread gives None for a file that it cannot read".to_owned()
        } else {
            let got = picture.get_type();
            format!(
                "a picture is a numpy array or a path, and not {got}: numpy.asarray makes an array of many things"
            )
        };
        return Err(PyTypeError::new_err(advice));
    };
    // Only numpy's masked arrays have it: what is masked is no pixel.
    if picture.hasattr("filled")? {
        return Err(PyTypeError::new_err(
            "the picture is a masked array: give picture.filled(0), or leave the area out when you build the template",
        ));
    }
    Ok(array)
}

enum Kind {
    Eight,
    Sixteen,
}

impl Kind {
    fn of(array: &Bound<'_, PyUntypedArray>) -> PyResult<Self> {
        let dtype = array.dtype();
        match (dtype.kind(), dtype.itemsize()) {
            (b'u', 1) => Ok(Kind::Eight),
            (b'u', 2) => Ok(Kind::Sixteen),
            _ => Err(usage(
                format!("an array of {dtype}"),
                "give the samples of the camera as uint8 (0 to 255) or uint16 (0 to 65535), with the same scale as in the pictures \
                 that the template was built from; numpy.rint(picture * 255).astype(\"uint8\") converts 0.0 to 1.0",
            )),
        }
    }
}

/// Rows, columns and channels.
fn sides(shape: &[usize]) -> PyResult<(usize, usize, usize)> {
    let advice = match *shape {
        [rows, columns] => return Ok((rows, columns, 1)),
        [rows, columns, channels @ (1 | 3 | 4)] => return Ok((rows, columns, channels)),
        [1 | 3 | 4, _, _] => "put the channels last: numpy.moveaxis(picture, 0, -1)",
        [_, _, _, _] => "give one picture at a time: for picture in pictures",
        _ => "give an array of (rows, columns) or (rows, columns, 3)",
    };
    Err(usage(format!("an array of shape {shape:?}").replace('[', "(").replace(']', ")"), advice))
}

/// Refuses what the library would refuse after the copy.
fn check_size(width: usize, height: usize) -> PyResult<()> {
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let pixels = (width as u64).saturating_mul(height as u64);
    if width.min(height) < MIN_SIDE as usize || pixels > MAX_PIXELS {
        // The library words it before it looks at the samples.
        PictureView::gray8(&[], side(width), side(height), width).map_err(|e| raise(&e))?;
    }
    Ok(())
}

/// Copies an array, whatever its strides.
fn copy<T: Element + Copy>(array: &Bound<'_, PyUntypedArray>) -> PyResult<Vec<T>> {
    let bytes_of_sample = size_of::<T>() as isize;
    let has_whole_steps = array.strides().iter().all(|stride| stride % bytes_of_sample == 0);
    let is_aligned: bool = array.getattr("flags")?.getattr("aligned")?.extract()?;
    if has_whole_steps
        && is_aligned
        && let Ok(array) = array.cast::<PyArrayDyn<T>>()
        && let Some(samples) = rows(array)?
    {
        return Ok(samples);
    }
    // numpy brings everything else into order: steps between the pixels, other byte orders, other alignments.
    let py = array.py();
    let asked = (array, numpy::dtype::<T>(py), ["C_CONTIGUOUS", "ALIGNED"]);
    let array = py.import("numpy")?.call_method1("require", asked)?;
    let samples = rows(array.cast::<PyArrayDyn<T>>()?)?;
    samples.ok_or_else(|| PyTypeError::new_err("numpy gave an array that is not contiguous"))
}

/// The rows of an array, one after the other, or nothing where the samples of a row have gaps.
fn rows<T: Element + Copy>(array: &Bound<'_, PyArrayDyn<T>>) -> PyResult<Option<Vec<T>>> {
    let array = array.try_readonly()?;
    let view = array.as_array();
    let mut samples = Vec::with_capacity(view.len());
    for row in view.axis_iter(Axis(0)) {
        let Some(row) = row.as_slice() else { return Ok(None) };
        samples.extend_from_slice(row);
    }
    Ok(Some(samples))
}

fn without_fourth(samples: &[u16]) -> Vec<u16> {
    samples.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn usage(what: impl Into<String>, advice: &'static str) -> PyErr {
    raise(&Error::usage(what).advise(advice))
}
