//! This module finds ONNX Runtime's shared library and asks it for its version before anything
//! else.
//!
//! A process loads the library once and never unloads it. This module refuses a file that is not
//! ONNX Runtime, or that is too old, because all later code calls its functions.
#![allow(unsafe_code)]

use crate::backbone::network::refusal::unusable_device;
use crate::error::{Choice, Error, NextStep, Result};
use libloading::Library;
use ort::environment::Environment;
use ort::logging::LogLevel;
use std::ffi::{CStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The environment variable that holds the library's path.
const VARIABLE: &str = "ORT_DYLIB_PATH";
/// The library's name, which the system's own search looks for.
const NAME: &str = "libonnxruntime.so";
/// The folders that are searched when nobody names a library.
const FOLDERS: [&str; 8] = [
    "/usr/local/lib",
    "/opt/onnxruntime/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/lib64",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/onnxruntime/lib",
];
const GET_IT: &str = "`pip install onnxruntime` has one (onnxruntime-gpu for cuda and tensorrt), and so have the \
     archives at github.com/microsoft/onnxruntime/releases. Its name is libonnxruntime.so; the environment variable \
     ORT_DYLIB_PATH names it, too";

/// What to do where there is no usable library.
fn get_it() -> NextStep {
    NextStep::Choose(Choice::OnnxRuntime, GET_IT.into())
}

/// The file and the version of the library in use.
static LOADED: Mutex<Option<(PathBuf, String)>> = Mutex::new(None);

/// Loads the library at `path`, or the one that is found, and starts ONNX Runtime. Returns its
/// version.
///
/// # Errors
/// [`crate::error::Kind::Io`] where there is no library, where the file is not ONNX Runtime or is
/// too old, and where another library is already in use.
pub fn load(path: Option<&Path>) -> Result<String> {
    let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = find(path)?;
    if let Some((other, version)) = loaded.as_ref() {
        if *other != file {
            return Err(unusable_device(format!(
                "{}: already in use by this process",
                other.display()
            ))
            .advise("one process takes one ONNX Runtime"));
        }
        return Ok(version.clone());
    }
    let version = prove(&file)?;
    let failed = |e: String| unusable_device(format!("{}: {e}", file.display())).next(get_it());
    let started = ort::init_from(&file).map_err(|e| failed(e.to_string()))?;
    started.with_name("hetmm").with_telemetry(false).with_logger(Arc::new(log)).commit();
    let environment = Environment::current().map_err(|e| failed(e.to_string()))?;
    environment.set_log_level(match log::max_level() {
        log::LevelFilter::Trace => LogLevel::Verbose,
        _ => LogLevel::Warning,
    });
    // The environment is never released. ort would release it when the process ends, after the
    // library has torn itself down. Up to version 1.22 that ends in a crash.
    std::mem::forget(environment);
    *loaded = Some((file, version.clone()));
    Ok(version)
}

/// Logs the library's messages two levels lower than it gives them, because its errors also come
/// back from the calls.
fn log(level: LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    let level = match level {
        LogLevel::Fatal | LogLevel::Error => log::Level::Info,
        LogLevel::Warning => log::Level::Debug,
        LogLevel::Info | LogLevel::Verbose => log::Level::Trace,
    };
    log::log!(target: "hetmm::onnxruntime", level, "{message} ({place})");
}

/// Finds the file to load. It takes the path that was asked for, else the one that the environment
/// names. Else it takes the newest library in the first folder that has one, beginning with the
/// program's own folder. Else it leaves the search to the system.
fn find(path: Option<&Path>) -> Result<PathBuf> {
    let named = match (path, std::env::var_os(VARIABLE)) {
        (Some(path), _) => Some((path.to_path_buf(), "the option onnxruntime")),
        (None, Some(value)) if !value.is_empty() => Some((value.into(), VARIABLE)),
        _ => None,
    };
    if let Some((path, by)) = named {
        let wrong = |why: &str| {
            Err(unusable_device(format!("{}: {why} (named by {by})", path.display()))
                .next(get_it()))
        };
        return match path.canonicalize() {
            Err(e) => wrong(&e.to_string()),
            Ok(file) if file.is_dir() => match newest_in(&file) {
                Some(file) => Ok(file),
                None => wrong("no libonnxruntime.so in this folder"),
            },
            // The system's loader would open a pipe and wait for its other end.
            Ok(file) if !file.is_file() => wrong("not a regular file"),
            Ok(file) => Ok(file),
        };
    }
    let beside = std::env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let folders = beside.into_iter().chain(FOLDERS.map(PathBuf::from));
    Ok(folders.into_iter().find_map(|folder| newest_in(&folder)).unwrap_or_else(|| NAME.into()))
}

/// Returns the library of the highest version in a folder.
fn newest_in(folder: &Path) -> Option<PathBuf> {
    let version = |name: &OsString| -> Option<Vec<u32>> {
        let rest = name.to_str()?.strip_prefix(NAME)?;
        match rest.strip_prefix('.') {
            // Plain `libonnxruntime.so` is a person's choice, so it ranks above every version.
            None => rest.is_empty().then(|| vec![u32::MAX]),
            Some(numbers) => numbers.split('.').map(|n| n.parse().ok()).collect(),
        }
    };
    let entries = std::fs::read_dir(folder).ok()?.filter_map(|e| e.ok());
    let newest = entries.filter_map(|e| Some((version(&e.file_name())?, e.path()))).max()?.1;
    newest.canonicalize().ok()
}

/// Loads `file` and returns its version. Refuses a version that is older than the functions that
/// the program calls.
fn prove(file: &Path) -> Result<String> {
    let refused = |why: &str| -> Error {
        unusable_device(format!("{}: {why}", file.display())).next(get_it())
    };
    // SAFETY: loading runs the library's constructors. The user or the system's administrator named
    // or installed this file as ONNX Runtime.
    let library = unsafe { Library::new(file) }.map_err(|e| match file == Path::new(NAME) {
        true => unusable_device(format!(
            "no ONNX Runtime was found: no libonnxruntime.so beside the program, in {} or where the system looks \
             for libraries",
            FOLDERS.join(", ")
        ))
        .next(get_it()),
        false => refused(&format!("cannot be loaded: {e}")),
    })?;
    // SAFETY: a library that exports this name is an ONNX Runtime; its C header declares it so.
    let base = unsafe {
        library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase")
    };
    let base = base.map_err(|_| refused("this is not ONNX Runtime: it has no OrtGetApiBase"))?;
    // SAFETY: as above. The structure has held two functions since the first release, and the code
    // checks that it is not null. The version is a text that lives as long as the library.
    let (version, api) = unsafe {
        let Some(base) = base().as_ref() else {
            return Err(refused("this is not ONNX Runtime: it gives no interface"));
        };
        let version = CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned();
        (version, (base.GetApi)(ort::MINOR_VERSION))
    };
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if number < (1, ort::MINOR_VERSION) || api.is_null() {
        return Err(refused(&format!(
            "ONNX Runtime {version} is too old: at least 1.{} is needed",
            ort::MINOR_VERSION
        )));
    }
    // ort loads the same file again by its name. This handle keeps the file loaded until then.
    std::mem::forget(library);
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().expect("makes");
        let touch = |name: &str| std::fs::write(folder.path().join(name), b"").expect("writes");
        assert_eq!(newest_in(folder.path()), None);
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.22.1", "libonnxruntime.so.x"] {
            touch(name);
        }
        touch("libonnxruntime_providers_shared.so");
        let newest = newest_in(folder.path()).expect("finds");
        assert_eq!(newest.file_name().expect("a name"), "libonnxruntime.so.1.22.1");
        touch(NAME);
        assert_eq!(newest_in(folder.path()).expect("finds").file_name().expect("a name"), NAME);
    }
}
