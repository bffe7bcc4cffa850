//! A template in memory.

use crate::errors::{contained, detached};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::Arc;

/// Holds a template. Several inspectors can share it.
#[pyclass(frozen, module = "hetmm")]
pub struct Template {
    template: Arc<hetmm::Template>,
}

#[pymethods]
impl Template {
    #[new]
    #[pyo3(signature = (template, /))]
    fn new(template: &Bound<'_, PyAny>) -> PyResult<Self> {
        contained(|| Ok(Template { template: Given::of(template)?.open(template.py())? }))
    }

    #[getter]
    fn digest(&self, py: Python<'_>) -> PyResult<String> {
        contained(|| {
            let digest = py.detach(|| self.template.digest());
            Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
        })
    }

    #[getter]
    fn threshold(&self) -> f32 {
        self.template.header().calibration.threshold
    }

    fn __repr__(&self) -> String {
        format!("<hetmm.Template, threshold {}>", self.threshold())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a template cannot be pickled: open its file in every process, with hetmm.Template(path)",
        ))
    }
}

impl From<Arc<hetmm::Template>> for Template {
    fn from(template: Arc<hetmm::Template>) -> Self {
        Template { template }
    }
}

/// What a caller gives where a template is wanted.
pub enum Given {
    /// The path of its file.
    Path(PathBuf),
    /// The bytes of its file.
    Bytes(Py<PyBytes>),
    /// A template that is open.
    Open(Arc<hetmm::Template>),
}

impl Given {
    /// # Errors
    /// `TypeError` where it is nothing of these.
    pub fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(template) = given.cast::<Template>() {
            return Ok(Given::Open(template.get().template.clone()));
        }
        if let Ok(bytes) = given.cast::<PyBytes>() {
            return Ok(Given::Bytes(bytes.clone().unbind()));
        }
        given.extract().map(Given::Path).map_err(|_| {
            let got = given.get_type();
            PyTypeError::new_err(format!(
                "a template is a path, the bytes of its file or a hetmm.Template, and not {got}"
            ))
        })
    }

    /// Opens it while other threads of Python run.
    ///
    /// # Errors
    /// Those of [`hetmm::Template::open`].
    pub fn open(self, py: Python<'_>) -> PyResult<Arc<hetmm::Template>> {
        match self {
            Given::Open(template) => Ok(template),
            Given::Path(path) => detached(py, || hetmm::Template::open(path)).map(Arc::new),
            Given::Bytes(bytes) => {
                // Bytes never change, so other threads of Python may run.
                let bytes = bytes.bind(py).as_bytes();
                detached(py, || hetmm::Template::from_bytes(bytes)).map(Arc::new)
            }
        }
    }

    /// The path, for words about an error.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Given::Path(path) => Some(path.clone()),
            _ => None,
        }
    }
}
