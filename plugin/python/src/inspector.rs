//! What inspects pictures.

use crate::array::{self, Order};
use crate::errors::{contained, detached, raise};
use crate::inspection::Inspection;
use crate::options::Chosen;
use crate::template::{Given, Template};
use hetmm::{Error, ErrorKind};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Inspects pictures with a template. Threads may share it.
#[pyclass(frozen, module = "hetmm")]
pub struct Inspector {
    /// Always there until it is dropped.
    inspector: Option<hetmm::Inspector>,
    /// The process that made it.
    process: u32,
}

#[pymethods]
impl Inspector {
    #[new]
    #[pyo3(signature = (template, /, *, threads = 0, device = "usual", backbone = None, onnxruntime = None,
                        prove = true, any_shape = false))]
    fn new(
        template: &Bound<'_, PyAny>,
        threads: i64,
        device: &str,
        backbone: Option<PathBuf>,
        onnxruntime: Option<PathBuf>,
        prove: bool,
        any_shape: bool,
    ) -> PyResult<Self> {
        contained(|| {
            let py = template.py();
            let chosen = Chosen { threads, device, backbone, onnxruntime, prove, any_shape };
            let (options, given) = (chosen.options()?, Given::of(template)?);
            let path = given.path();
            let template = given.open(py)?;
            let inspector = detached(py, || {
                hetmm::Inspector::new(template, &options).map_err(|e| within(e, path.as_deref()))
            })?;
            Ok(Inspector { inspector: Some(inspector), process: std::process::id() })
        })
    }

    #[pyo3(signature = (picture, /, *, order = None))]
    fn inspect(&self, picture: &Bound<'_, PyAny>, order: Option<&str>) -> PyResult<Inspection> {
        contained(|| {
            let order = Order::named(order)?;
            match path_of(picture)? {
                Some(_) if order.is_some() => Err(raise(
                    &Error::usage("order= is for arrays, and the picture is a file")
                        .advise("leave out order=: the file says how its pixels lie"),
                )),
                Some(path) => self.inspect_file(picture.py(), &path),
                None => self.inspect_array(picture, order),
            }
        })
    }

    #[pyo3(signature = (picture, /, *, order = None))]
    fn predict(&self, picture: &Bound<'_, PyAny>, order: Option<&str>) -> PyResult<Inspection> {
        self.inspect(picture, order)
    }

    #[pyo3(signature = (template, /))]
    fn replace(&self, template: &Bound<'_, PyAny>) -> PyResult<()> {
        contained(|| {
            let (py, inspector) = (template.py(), self.get()?);
            let given = Given::of(template)?;
            let path = given.path();
            let template = given.open(py)?;
            detached(py, || inspector.replace(template).map_err(|e| within(e, path.as_deref())))
        })
    }

    #[getter]
    fn template(&self) -> PyResult<Template> {
        contained(|| Ok(self.get()?.template().into()))
    }

    #[getter]
    fn generation(&self) -> PyResult<u64> {
        contained(|| Ok(self.get()?.generation()))
    }

    #[getter]
    fn extractor(&self) -> PyResult<String> {
        contained(|| Ok(self.get()?.extractor()))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "an inspector cannot be pickled: open it in every process, with hetmm.Inspector(path)",
        ))
    }
}

impl Inspector {
    fn get(&self) -> PyResult<&hetmm::Inspector> {
        if self.process != std::process::id() {
            return Err(raise(
                &Error::usage("the inspector was made before a fork, and its threads are not here")
                    .advise("open the inspector in every process, and start processes by spawn"),
            ));
        }
        self.inspector.as_ref().ok_or_else(|| PyTypeError::new_err("the inspector is gone"))
    }

    /// Inspects an array. It is copied first, so that no other thread can change it meanwhile.
    fn inspect_array(
        &self,
        array: &Bound<'_, PyAny>,
        order: Option<Order>,
    ) -> PyResult<Inspection> {
        let inspector = self.get()?;
        let pixels = array::read(array, order)?;
        let found = detached(array.py(), || inspector.inspect(&pixels.view()?))?;
        Ok(Inspection::new(found))
    }

    /// Reads and inspects a picture's file, as the tool does.
    fn inspect_file(&self, py: Python<'_>, path: &Path) -> PyResult<Inspection> {
        let inspector = self.get()?;
        let found = detached(py, || {
            let start = Instant::now();
            let picture = hetmm::image::read(path)?;
            let decoding = start.elapsed();
            let found = picture.view().and_then(|view| inspector.inspect(&view));
            Ok(found.map_err(|e| within(e, Some(path)))?.after_decoding(decoding))
        })?;
        Ok(Inspection::new(found))
    }
}

/// After a fork, the locks of the pool may be held by threads that are not there. So nothing is dropped.
impl Drop for Inspector {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.inspector.take());
        }
    }
}

/// The path, where a string or a path is given for a picture.
fn path_of(picture: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    let is_path = picture.is_instance_of::<PyString>() || picture.hasattr("__fspath__")?;
    if is_path { picture.extract().map(Some) } else { Ok(None) }
}

/// The same error with the file in front. Errors of the system name their file already.
fn within(error: Error, path: Option<&Path>) -> Error {
    match (error.kind(), path) {
        (ErrorKind::Io, _) | (_, None) => error,
        (_, Some(path)) => error.within(path.display()),
    }
}
