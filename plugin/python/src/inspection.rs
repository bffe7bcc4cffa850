//! The result of one inspection.

use crate::errors::contained;
use crate::records;
use hetmm::Verdict;
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyTuple};

/// Holds what was found in a picture.
#[pyclass(frozen, module = "hetmm")]
pub struct Inspection {
    found: hetmm::Inspection,
    map: PyOnceLock<Py<PyArray2<f32>>>,
    mask: PyOnceLock<Py<PyArray2<bool>>>,
}

impl Inspection {
    /// Takes the result of the library.
    pub fn new(found: hetmm::Inspection) -> Self {
        Inspection { found, map: PyOnceLock::new(), mask: PyOnceLock::new() }
    }
}

#[pymethods]
impl Inspection {
    #[getter]
    fn verdict(&self) -> &'static str {
        records::verdict(self.found.verdict)
    }

    #[getter]
    fn score(&self) -> f32 {
        self.found.score
    }

    #[getter]
    fn threshold(&self) -> f32 {
        self.found.threshold
    }

    #[getter]
    fn review(&self) -> f32 {
        self.found.review
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.found.generation
    }

    #[getter]
    fn regions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        contained(|| records::regions(py, &self.found.regions))
    }

    #[getter]
    fn decided_by<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        contained(|| records::decided_by(py, &self.found.decided_by))
    }

    #[getter]
    fn peak<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        contained(|| self.found.peak.map(|peak| records::peak(py, peak)).transpose())
    }

    #[getter]
    fn map<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        contained(|| self.kept(py, &self.map, || self.found.map().values.to_vec()))
    }

    #[getter]
    fn anomaly_map<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.map(py)
    }

    #[getter]
    fn pred_mask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<bool>>> {
        // What is not a number is not known to be good.
        let is_bad = |excess: f32| excess > 0.0 || excess.is_nan();
        let mask = || self.found.excess().into_iter().map(is_bad).collect();
        contained(|| self.kept(py, &self.mask, mask))
    }

    #[getter]
    fn pred_score(&self) -> f32 {
        self.found.score
    }

    #[getter]
    fn pred_label(&self) -> bool {
        self.found.verdict != Verdict::Ok
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        contained(|| py.import("json")?.call_method1("loads", (self.found.to_json().to_string(),)))
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "an inspection is neither true nor false: compare its verdict, as in result.verdict == \"ok\"",
        ))
    }

    fn __repr__(&self) -> String {
        let [score, threshold] = [self.score(), self.threshold()].map(f64::from);
        let verdict = self.verdict();
        format!("<hetmm.Inspection {verdict}, score {score} / {threshold}>")
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "an inspection cannot be pickled: pass result.to_dict() to the other process, and result.map if it is needed",
        ))
    }
}

impl Inspection {
    /// An array of the map's size that nobody can change, made when it is asked for first.
    fn kept<'py, T: Element>(
        &self,
        py: Python<'py>,
        place: &PyOnceLock<Py<PyArray2<T>>>,
        values: impl FnOnce() -> Vec<T>,
    ) -> PyResult<Bound<'py, PyArray2<T>>> {
        let made = place.get_or_try_init(py, || {
            let map = self.found.map();
            let array = PyArray1::from_vec(py, values()).reshape([map.height, map.width])?;
            array.call_method("setflags", (), Some(&[("write", false)].into_py_dict(py)?))?;
            PyResult::Ok(array.unbind())
        })?;
        Ok(made.bind(py).clone())
    }
}
