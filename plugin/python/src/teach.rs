//! Changes a template's file.

use crate::errors::{contained, detached};
use crate::options::Chosen;
use hetmm::{Options, Teacher};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::path::PathBuf;
use std::time::SystemTime;

/// Inserts good pictures into a template's file, all or none.
#[pyfunction]
#[pyo3(signature = (template, pictures, /, *, who = "unknown", force = false, threads = 0, device = "usual",
                    backbone = None, onnxruntime = None, any_shape = false))]
#[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub fn insert<'py>(
    template: PathBuf,
    pictures: &Bound<'py, PyAny>,
    who: &str,
    force: bool,
    threads: i64,
    device: &str,
    backbone: Option<PathBuf>,
    onnxruntime: Option<PathBuf>,
    any_shape: bool,
) -> PyResult<Bound<'py, PyAny>> {
    contained(|| {
        let (py, files) = (pictures.py(), files(pictures)?);
        let chosen = Chosen { threads, device, backbone, onnxruntime, prove: true, any_shape };
        let options = chosen.options()?;
        let now_unix_s = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let done = detached(py, || {
            let teacher = Teacher::new(template, &options)?.who(who).force(force);
            teacher.insert(&files, now_unix_s)
        })?;
        dict(py, &done.to_json().to_string())
    })
}

/// Takes back entry `entry` of the journal and all later ones; the last one if it is left out.
#[pyfunction]
#[pyo3(signature = (template, entry = None, /))]
pub fn undo(py: Python<'_>, template: PathBuf, entry: Option<u32>) -> PyResult<Bound<'_, PyAny>> {
    contained(|| {
        let options = Options::builder().threads(1).build();
        let done = detached(py, || Teacher::new(template, &options)?.undo(entry))?;
        dict(py, &done.to_json().to_string())
    })
}

/// The paths of a list. A single path is refused: Python would take its letters one by one.
fn files(pictures: &Bound<'_, PyAny>) -> PyResult<Vec<PathBuf>> {
    if pictures.is_instance_of::<PyString>() || pictures.hasattr("__fspath__")? {
        return Err(PyTypeError::new_err("pictures is a list of paths: write [path]"));
    }
    pictures.try_iter()?.map(|picture| picture?.extract()).collect()
}

fn dict<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (json,))
}
