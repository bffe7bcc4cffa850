//! The functions that C programs call. `include/hetmm.h` is made from this file.
#![allow(unsafe_code, non_camel_case_types)]
// Callers of C functions read the header: what must hold stands there, and every pointer is checked for NULL.
#![allow(clippy::missing_safety_doc)]

use crate::guard;
use hetmm::{Error, Options, PictureView, Teacher, Verdict};
use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::mem::{MaybeUninit, size_of};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The number in the soname. It grows when a function changes in a way that old programs notice.
pub const HETMM_ABI: u32 = 0;

/// The result of a function: HETMM_OK, or what failed. `hetmm_last_error` has the words.
pub type hetmm_status = i32;
/// Success.
pub const HETMM_OK: hetmm_status = 0;
/// A picture looks like a defect, and HETMM_INSERT_FORCE is not set.
pub const HETMM_UNCONFIRMED: hetmm_status = 1;
/// An argument cannot be used.
pub const HETMM_USAGE: hetmm_status = 2;
/// A picture cannot be used.
pub const HETMM_IMAGE: hetmm_status = 3;
/// A template cannot be used.
pub const HETMM_TEMPLATE: hetmm_status = 4;
/// A file, a device or the memory failed.
pub const HETMM_IO: hetmm_status = 5;
/// The model cannot be used, or the feature extractor failed.
pub const HETMM_MODEL: hetmm_status = 6;
/// The library has a fault of its own.
pub const HETMM_PANIC: hetmm_status = 7;

/// What to do with a part. Zeroed memory is not "ok".
pub type hetmm_verdict = i32;
/// There is no verdict.
pub const HETMM_VERDICT_NONE: hetmm_verdict = 0;
/// The part passes.
pub const HETMM_VERDICT_OK: hetmm_verdict = 1;
/// A person should look at the part.
pub const HETMM_VERDICT_REVIEW: hetmm_verdict = 2;
/// The part is rejected.
pub const HETMM_VERDICT_NG: hetmm_verdict = 3;

/// How the samples of a pixel lie in memory. X is a byte that is not read.
pub type hetmm_format = i32;
/// One byte: brightness.
pub const HETMM_GRAY8: hetmm_format = 1;
/// Three bytes: red, green, blue.
pub const HETMM_RGB8: hetmm_format = 2;
/// Three bytes: blue, green, red.
pub const HETMM_BGR8: hetmm_format = 3;
/// Four bytes: red, green, blue, X.
pub const HETMM_RGBX8: hetmm_format = 4;
/// Four bytes: blue, green, red, X.
pub const HETMM_BGRX8: hetmm_format = 5;
/// Four bytes: X, red, green, blue.
pub const HETMM_XRGB8: hetmm_format = 6;
/// Four bytes: X, blue, green, red.
pub const HETMM_XBGR8: hetmm_format = 7;
/// One 16-bit sample in the processor's byte order: brightness, 65535 is full scale.
pub const HETMM_GRAY16: hetmm_format = 8;
/// Three 16-bit samples: red, green, blue.
pub const HETMM_RGB16: hetmm_format = 9;
/// Three 16-bit samples: blue, green, red.
pub const HETMM_BGR16: hetmm_format = 10;

/// Do not compute the golden probes before a template is used.
pub const HETMM_NO_PROOF: u32 = 1;
/// Take pictures of another shape than the template's; they are squeezed.
pub const HETMM_ANY_SHAPE: u32 = 2;
/// Insert pictures that look like defects, too.
pub const HETMM_INSERT_FORCE: u32 = 1;

/// A template in memory.
pub struct hetmm_template(Arc<hetmm::Template>);
/// What inspects pictures with a template.
pub struct hetmm_inspector(hetmm::Inspector);
/// The result of one inspection.
pub struct hetmm_inspection {
    found: hetmm::Inspection,
    json: OnceLock<CString>,
    zones: Vec<Option<CString>>,
}

/// A picture in the caller's memory, which is read during the call only. Set struct_size to sizeof(hetmm_picture) and
/// everything else to zero first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hetmm_picture {
    /// sizeof(hetmm_picture).
    pub struct_size: usize,
    /// The first pixel of the first row.
    pub data: *const c_void,
    /// Bytes of data. The last row may lack its padding.
    pub data_size: usize,
    /// Columns, from 8.
    pub width: u32,
    /// Rows, from 8.
    pub height: u32,
    /// Bytes from the start of a row to the start of the next.
    pub stride: usize,
    /// One of HETMM_GRAY8 and its like.
    pub format: hetmm_format,
    /// Zero.
    pub reserved: u32,
}

/// How an inspector computes. hetmm_options_init sets the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hetmm_options {
    /// sizeof(hetmm_options).
    pub struct_size: usize,
    /// The ONNX file of the backbone; NULL for the one in the library.
    pub backbone: *const c_char,
    /// "usual" (what made the template), "int8", "tract", "cpu", "cuda", "tensorrt", "tract-cuda" or "auto"; NULL for "usual".
    pub device: *const c_char,
    /// The shared library of ONNX Runtime; NULL to look for it.
    pub onnxruntime: *const c_char,
    /// Threads; 0 for one a core.
    pub threads: u32,
    /// HETMM_NO_PROOF, HETMM_ANY_SHAPE, or both.
    pub flags: u32,
}

/// A region above the threshold, in pixels of the picture. Set struct_size to sizeof(hetmm_region) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hetmm_region {
    /// sizeof(hetmm_region).
    pub struct_size: usize,
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Columns of the bounding box.
    pub width: u32,
    /// Rows of the bounding box.
    pub height: u32,
    /// Pixels of the region.
    pub area: u32,
    /// The largest value in the region.
    pub peak: f32,
    /// Square millimetres; NaN where the size of a pixel is not known.
    pub area_mm2: f64,
    /// 1 if it counts, 0 if not, -1 where the template has no rules.
    pub counts: i32,
    /// The zone that it lies in; NULL for none. It belongs to the inspection.
    pub zone: *const c_char,
}

/// Returns HETMM_ABI of the library, to be compared with that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn hetmm_abi() -> u32 {
    HETMM_ABI
}

/// Returns the version of the library, as in "0.2.0".
#[unsafe(no_mangle)]
pub extern "C" fn hetmm_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Returns the words of this thread's last failure, with the next step. Never NULL; valid until the thread's next failure.
#[unsafe(no_mangle)]
pub extern "C" fn hetmm_last_error() -> *const c_char {
    guard::last_error()
}

/// Opens and checks the template in a file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_template_open(
    path: *const c_char,
    out: *mut *mut hetmm_template,
) -> hetmm_status {
    // SAFETY: the header asks for a valid `out`; it is checked for NULL.
    let out = unsafe { clear(out) };
    guard::status(|| {
        // SAFETY: the header asks for a string that ends with 0.
        let path = unsafe { path_of(path, "path") }?;
        give(out, hetmm_template(Arc::new(hetmm::Template::open(path)?)))
    })
}

/// Opens and checks a template from the bytes of its file, which are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_template_from_bytes(
    bytes: *const c_void,
    size: usize,
    out: *mut *mut hetmm_template,
) -> hetmm_status {
    // SAFETY: as in `hetmm_template_open`.
    let out = unsafe { clear(out) };
    guard::status(|| {
        // SAFETY: the header asks for `size` bytes.
        let bytes = unsafe { slice_of(bytes.cast::<u8>(), size, "bytes") }?;
        give(out, hetmm_template(Arc::new(hetmm::Template::from_bytes(bytes)?)))
    })
}

/// Frees a template. Inspectors that were made of it keep their own. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_template_free(template: *mut hetmm_template) {
    // SAFETY: the header asks for a handle of this library that was not freed.
    unsafe { free(template) }
}

/// Sets all defaults. `struct_size` is sizeof(hetmm_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_options_init(options: *mut hetmm_options, struct_size: usize) {
    if options.is_null() || struct_size < size_of::<usize>() {
        return;
    }
    // SAFETY: the header asks for `struct_size` bytes; the size itself is the first field and fits.
    unsafe {
        std::ptr::write_bytes(options.cast::<u8>(), 0, struct_size);
        options.cast::<usize>().write_unaligned(struct_size);
    }
}

/// Joins a template with its backbone. `or_null` may be NULL for the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspector_new(
    template: *const hetmm_template,
    or_null: *const hetmm_options,
    out: *mut *mut hetmm_inspector,
) -> hetmm_status {
    // SAFETY: as in `hetmm_template_open`.
    let out = unsafe { clear(out) };
    guard::status(|| {
        // SAFETY: the header asks for a handle that was not freed, and for valid options.
        let (template, options) = unsafe { (handle(template, "template")?, options_of(or_null)?) };
        give(out, hetmm_inspector(hetmm::Inspector::new(template.0.clone(), &options)?))
    })
}

/// Takes another template into use, after it is proven. Inspections that are running end with the old one. After a
/// failure the old one stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspector_replace(
    inspector: *const hetmm_inspector,
    template: *const hetmm_template,
) -> hetmm_status {
    guard::status(|| {
        // SAFETY: the header asks for handles that were not freed.
        let (inspector, template) =
            unsafe { (handle(inspector, "inspector")?, handle(template, "template")?) };
        inspector.0.replace(template.0.clone())
    })
}

/// Frees an inspector, when no other call uses it any more. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspector_free(inspector: *mut hetmm_inspector) {
    // SAFETY: the header asks for a handle of this library that was not freed.
    unsafe { free(inspector) }
}

/// Inspects a picture. `verdict` is HETMM_VERDICT_NG after every failure, so a caller who ignores the status rejects the
/// part. `out_or_null` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspect(
    inspector: *const hetmm_inspector,
    picture: *const hetmm_picture,
    verdict: *mut hetmm_verdict,
    out_or_null: *mut *mut hetmm_inspection,
) -> hetmm_status {
    // SAFETY: the header asks for valid pointers; they are checked for NULL.
    let (verdict, out) = unsafe { (verdict.as_mut(), clear(out_or_null)) };
    let Some(verdict) = verdict else {
        return guard::status(|| Err(null("verdict")));
    };
    *verdict = HETMM_VERDICT_NG;
    guard::status(|| {
        // SAFETY: the header asks for a handle that was not freed, and for a valid picture.
        let (inspector, picture) = unsafe {
            (handle(inspector, "inspector")?, read_struct(picture, size_of::<hetmm_picture>())?)
        };
        // SAFETY: the header asks for `data_size` bytes at `data`, unchanged during the call.
        let view = unsafe { view_of(&picture) }?;
        deliver(inspector.0.inspect(&view)?, verdict, out);
        Ok(())
    })
}

/// As hetmm_inspect, for the picture in a file: PNG, JPEG, BMP, TIFF, PNM or WebP, decoded as the programs do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspect_file(
    inspector: *const hetmm_inspector,
    path: *const c_char,
    verdict: *mut hetmm_verdict,
    out_or_null: *mut *mut hetmm_inspection,
) -> hetmm_status {
    // SAFETY: as in `hetmm_inspect`.
    let (verdict, out) = unsafe { (verdict.as_mut(), clear(out_or_null)) };
    let Some(verdict) = verdict else {
        return guard::status(|| Err(null("verdict")));
    };
    *verdict = HETMM_VERDICT_NG;
    guard::status(|| {
        // SAFETY: the header asks for a handle that was not freed, and for a string that ends with 0.
        let (inspector, path) =
            unsafe { (handle(inspector, "inspector")?, path_of(path, "path")?) };
        let picture = hetmm::image::read(path)?;
        let found = picture.view().and_then(|view| inspector.0.inspect(&view));
        deliver(found.map_err(|e| e.within(path.display()))?, verdict, out);
        Ok(())
    })
}

/// Returns the verdict; HETMM_VERDICT_NONE for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_verdict(
    inspection: *const hetmm_inspection,
) -> hetmm_verdict {
    // SAFETY: the header asks for a handle that was not freed, or NULL.
    let inspection = unsafe { inspection.as_ref() };
    inspection.map_or(HETMM_VERDICT_NONE, |i| verdict_of(i.found.verdict))
}

/// Returns the score; NaN for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_score(inspection: *const hetmm_inspection) -> f32 {
    // SAFETY: as in `hetmm_inspection_verdict`.
    unsafe { inspection.as_ref() }.map_or(f32::NAN, |i| i.found.score)
}

/// Returns the threshold of the template; NaN for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_threshold(inspection: *const hetmm_inspection) -> f32 {
    // SAFETY: as in `hetmm_inspection_verdict`.
    unsafe { inspection.as_ref() }.map_or(f32::NAN, |i| i.found.threshold)
}

/// Returns which template decided: 1 for the first of the inspector, one more after each replacement; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_generation(inspection: *const hetmm_inspection) -> u64 {
    // SAFETY: as in `hetmm_inspection_verdict`.
    unsafe { inspection.as_ref() }.map_or(0, |i| i.found.generation)
}

/// Returns the number of regions; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_region_count(
    inspection: *const hetmm_inspection,
) -> usize {
    // SAFETY: as in `hetmm_inspection_verdict`.
    unsafe { inspection.as_ref() }.map_or(0, |i| i.found.regions.len())
}

/// Fills in region `index`, counted from 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_region(
    inspection: *const hetmm_inspection,
    index: usize,
    out: *mut hetmm_region,
) -> hetmm_status {
    guard::status(|| {
        // SAFETY: the header asks for a handle that was not freed.
        let inspection = unsafe { handle(inspection, "inspection") }?;
        let region = inspection.found.regions.get(index).ok_or_else(|| {
            let count = inspection.found.regions.len();
            Error::usage(format!("there is no region {index}: the inspection has {count}"))
        })?;
        let zone = inspection.zones.get(index).and_then(Option::as_ref);
        let filled = hetmm_region {
            struct_size: 0,
            x: region.x,
            y: region.y,
            width: region.width,
            height: region.height,
            area: region.area,
            peak: region.peak,
            area_mm2: region.area_mm2.unwrap_or(f64::NAN),
            counts: region.counts.map_or(-1, i32::from),
            zone: zone.map_or(std::ptr::null(), |zone| zone.as_ptr()),
        };
        // SAFETY: the header asks for a region with its size in the first field.
        unsafe { write_struct(out, filled) }
    })
}

/// Returns the blurred anomaly map, row after row, and its size; NULL for NULL. It belongs to the inspection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_map(
    inspection: *const hetmm_inspection,
    width: *mut u32,
    height: *mut u32,
) -> *const f32 {
    // SAFETY: as in `hetmm_inspection_verdict`; the sizes are checked for NULL.
    let (inspection, width, height) =
        unsafe { (inspection.as_ref(), width.as_mut(), height.as_mut()) };
    let map = inspection.map(|i| i.found.map());
    if let Some(width) = width {
        *width = map.map_or(0, |map| map.width as u32);
    }
    if let Some(height) = height {
        *height = map.map_or(0, |map| map.height as u32);
    }
    map.map_or(std::ptr::null(), |map| map.values.as_ptr())
}

/// Returns the object that `hetmm inspect --json` prints, without its key "image"; NULL for NULL. It belongs to the
/// inspection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_json(
    inspection: *const hetmm_inspection,
) -> *const c_char {
    // SAFETY: as in `hetmm_inspection_verdict`.
    let Some(inspection) = (unsafe { inspection.as_ref() }) else { return std::ptr::null() };
    guard::value(std::ptr::null(), || {
        let text = || CString::new(inspection.found.to_json().to_string()).unwrap_or_default();
        inspection.json.get_or_init(text).as_ptr()
    })
}

/// Frees an inspection. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_inspection_free(inspection: *mut hetmm_inspection) {
    // SAFETY: the header asks for a handle of this library that was not freed.
    unsafe { free(inspection) }
}

/// Inserts good pictures into the template in a file, all or none. `report_json` may be NULL; else it gets what was done,
/// to be freed with hetmm_string_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_insert(
    file: *const c_char,
    pictures: *const *const c_char,
    count: usize,
    who: *const c_char,
    unix_time_s: i64,
    flags: u32,
    report_json: *mut *mut c_char,
) -> hetmm_status {
    // SAFETY: the header asks for a valid pointer or NULL.
    let out = unsafe { clear(report_json) };
    guard::status(|| {
        if flags & !HETMM_INSERT_FORCE != 0 {
            return Err(Error::usage(format!("unknown flags {flags:#x}")));
        }
        let time = u64::try_from(unix_time_s)
            .map_err(|_| Error::usage("the time is before 1970".to_string()))?;
        // SAFETY: the header asks for `count` strings that end with 0, and for a name.
        let (file, who, pictures) = unsafe {
            let listed = slice_of(pictures, count, "pictures")?;
            let pictures: Result<Vec<PathBuf>, Error> =
                listed.iter().map(|p| path_of(*p, "pictures").map(Path::to_owned)).collect();
            (path_of(file, "file")?, text_of(who, "who")?, pictures?)
        };
        let teacher = Teacher::new(file, &Options::default())?.who(who);
        let done = teacher.force(flags & HETMM_INSERT_FORCE != 0).insert(&pictures, time)?;
        tell(out, &done.to_json())
    })
}

/// Takes back what entry `id_or_0` of the journal and all later ones have inserted; the last one for 0. `report_json` as
/// for hetmm_insert.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_undo(
    file: *const c_char,
    id_or_0: u32,
    report_json: *mut *mut c_char,
) -> hetmm_status {
    // SAFETY: the header asks for a valid pointer or NULL.
    let out = unsafe { clear(report_json) };
    guard::status(|| {
        // SAFETY: the header asks for a string that ends with 0.
        let file = unsafe { path_of(file, "file") }?;
        let done =
            Teacher::new(file, &Options::default())?.undo((id_or_0 > 0).then_some(id_or_0))?;
        tell(out, &done.to_json())
    })
}

/// Frees a string that a `char **` parameter has received. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hetmm_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the header asks for a string of this library that was not freed.
        drop(unsafe { CString::from_raw(text) });
    }
}

fn null(name: &str) -> Error {
    Error::usage(format!("{name} is NULL"))
}

fn verdict_of(verdict: Verdict) -> hetmm_verdict {
    match verdict {
        Verdict::Ok => HETMM_VERDICT_OK,
        Verdict::Review => HETMM_VERDICT_REVIEW,
        Verdict::Ng => HETMM_VERDICT_NG,
    }
}

/// Sets an out parameter to NULL, before anything can fail.
unsafe fn clear<'a, T>(out: *mut *mut T) -> Option<&'a mut *mut T> {
    // SAFETY: the caller has a valid pointer or NULL.
    let out = unsafe { out.as_mut() };
    out.map(|out| {
        *out = std::ptr::null_mut();
        out
    })
}

/// Gives a handle away.
fn give<T>(out: Option<&mut *mut T>, handle: T) -> Result<(), Error> {
    let out = out.ok_or_else(|| null("out"))?;
    *out = Box::into_raw(Box::new(handle));
    Ok(())
}

/// Gives an inspection away, where it is wanted; its verdict last.
fn deliver(
    found: hetmm::Inspection,
    verdict: &mut hetmm_verdict,
    out: Option<&mut *mut hetmm_inspection>,
) {
    let decided = verdict_of(found.verdict);
    if let Some(out) = out {
        let zone = |zone: &String| CString::new(zone.as_str()).unwrap_or_default();
        let zones = found.regions.iter().map(|region| region.zone.as_ref().map(zone)).collect();
        *out = Box::into_raw(Box::new(hetmm_inspection { found, json: OnceLock::new(), zones }));
    }
    *verdict = decided;
}

/// Gives a report away, where one is wanted.
fn tell(out: Option<&mut *mut c_char>, report: &serde_json::Value) -> Result<(), Error> {
    if let Some(out) = out {
        *out = CString::new(report.to_string()).unwrap_or_default().into_raw();
    }
    Ok(())
}

unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the caller has a handle of `give`, which was not freed.
        let handle = unsafe { Box::from_raw(handle) };
        guard::value((), || drop(handle));
    }
}

unsafe fn handle<'a, T>(handle: *const T, name: &str) -> Result<&'a T, Error> {
    // SAFETY: the caller has a handle of this library, or NULL.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

unsafe fn slice_of<'a, T>(first: *const T, count: usize, name: &str) -> Result<&'a [T], Error> {
    if first.is_null() {
        return Err(null(name));
    }
    if !first.is_aligned() {
        return Err(Error::usage(format!("{name} is not aligned for its samples")));
    }
    if count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Error::usage(format!("{name} is larger than the memory")));
    }
    // SAFETY: the caller has `count` values there; pointer and size were checked.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

unsafe fn path_of<'a>(path: *const c_char, name: &str) -> Result<&'a Path, Error> {
    if path.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller has a string that ends with 0.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

unsafe fn text_of<'a>(text: *const c_char, name: &str) -> Result<&'a str, Error> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller has a string that ends with 0.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Error::usage(format!("{name} is not UTF-8")))
}

/// Reads a structure whose first field is its size. Fields that the caller does not know are zero; fields that the library
/// does not know must be.
unsafe fn read_struct<T: Copy>(given: *const T, first_version: usize) -> Result<T, Error> {
    /// No structure will ever be as large.
    const MOST: usize = 4096;
    if given.is_null() {
        return Err(null("a structure"));
    }
    let bytes = given.cast::<u8>();
    // SAFETY: every structure begins with its size, which the caller has set.
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if !(first_version..=MOST).contains(&size) {
        return Err(Error::usage(format!(
            "struct_size is {size}, and the structure has {first_version} bytes"
        ))
        .advise("set struct_size to sizeof the structure before the call"));
    }
    for at in size_of::<T>()..size {
        // SAFETY: `at` is below the size that the caller has set.
        if unsafe { bytes.add(at).read() } != 0 {
            return Err(Error::usage(
                "a field that this version of the library does not know is set",
            ));
        }
    }
    let mut known = MaybeUninit::<T>::zeroed();
    // SAFETY: as many bytes as both have; zeros are valid for integers, floats and pointers, of which all
    // structures consist.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes,
            known.as_mut_ptr().cast::<u8>(),
            size.min(size_of::<T>()),
        );
        Ok(known.assume_init())
    }
}

/// Writes a structure whose first field is its size, as far as the caller knows it.
unsafe fn write_struct(out: *mut hetmm_region, filled: hetmm_region) -> Result<(), Error> {
    // SAFETY: as in `read_struct`.
    let given = unsafe { read_struct(out.cast_const(), size_of::<hetmm_region>()) }?;
    let filled = hetmm_region { struct_size: given.struct_size, ..filled };
    // SAFETY: the caller has at least the first version of the structure, which was checked.
    unsafe { out.write_unaligned(filled) };
    Ok(())
}

unsafe fn options_of(given: *const hetmm_options) -> Result<Options, Error> {
    if given.is_null() {
        return Ok(Options::default());
    }
    // SAFETY: the caller has options with their size in the first field.
    let given = unsafe { read_struct(given, size_of::<hetmm_options>()) }?;
    if given.flags & !(HETMM_NO_PROOF | HETMM_ANY_SHAPE) != 0 {
        return Err(Error::usage(format!("unknown flags {:#x}", given.flags)));
    }
    let mut options = Options::builder()
        .threads(given.threads as usize)
        .prove(given.flags & HETMM_NO_PROOF == 0)
        .any_shape(given.flags & HETMM_ANY_SHAPE != 0);
    // SAFETY: the caller has strings that end with 0, or NULL.
    unsafe {
        if !given.backbone.is_null() {
            options = options.backbone(path_of(given.backbone, "backbone")?);
        }
        if !given.onnxruntime.is_null() {
            options = options.onnxruntime(path_of(given.onnxruntime, "onnxruntime")?);
        }
        if !given.device.is_null() {
            options = options.device(text_of(given.device, "device")?.parse()?);
        }
    }
    Ok(options.build())
}

unsafe fn view_of(picture: &hetmm_picture) -> Result<PictureView<'_>, Error> {
    let hetmm_picture { data, data_size, width, height, stride, format, reserved, .. } = *picture;
    if reserved != 0 {
        return Err(Error::usage("a reserved field of the picture is set"));
    }
    // SAFETY: the caller has `data_size` bytes at `data`.
    let (eight, sixteen) = unsafe {
        (
            || slice_of(data.cast::<u8>(), data_size, "data"),
            || slice_of(data.cast::<u16>(), data_size / 2, "data"),
        )
    };
    match format {
        HETMM_GRAY8 => PictureView::gray8(eight()?, width, height, stride),
        HETMM_RGB8 => PictureView::rgb8(eight()?, width, height, stride),
        HETMM_BGR8 => PictureView::bgr8(eight()?, width, height, stride),
        HETMM_RGBX8 => PictureView::rgbx8(eight()?, width, height, stride),
        HETMM_BGRX8 => PictureView::bgrx8(eight()?, width, height, stride),
        HETMM_XRGB8 => PictureView::xrgb8(eight()?, width, height, stride),
        HETMM_XBGR8 => PictureView::xbgr8(eight()?, width, height, stride),
        HETMM_GRAY16 => PictureView::gray16(sixteen()?, width, height, stride),
        HETMM_RGB16 => PictureView::rgb16(sixteen()?, width, height, stride),
        HETMM_BGR16 => PictureView::bgr16(sixteen()?, width, height, stride),
        _ => Err(Error::usage(format!("{format} is no format"))
            .advise("take one of HETMM_GRAY8 to HETMM_BGR16")),
    }
}
