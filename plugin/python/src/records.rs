//! Makes the plain records of `hetmm/_records.py`.

use hetmm::scoring::Peak;
use hetmm::scoring::verdict::Rule;
use hetmm::{DecidedBy, Region, Verdict};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

const MODULE: &str = "hetmm._records";

/// The words of a verdict.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Review => "review",
        Verdict::Ng => "ng",
    }
}

/// Makes a `hetmm.Region` of every region.
pub fn regions<'py>(py: Python<'py>, regions: &[Region]) -> PyResult<Bound<'py, PyTuple>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, MODULE, "Region")?;
    let made: PyResult<Vec<Bound<'py, PyAny>>> = regions
        .iter()
        .map(|r| {
            let place = (r.x, r.y, r.width, r.height, r.area, r.peak);
            let (x, y, width, height, area, peak) = place;
            class.call1((x, y, width, height, area, peak, r.area_mm2, &r.zone, r.counts))
        })
        .collect();
    PyTuple::new(py, made?)
}

/// Makes a `hetmm.DecidedBy`.
pub fn decided_by<'py>(py: Python<'py>, by: &DecidedBy) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let rule = match by.rule {
        Rule::Threshold => "threshold",
        Rule::Zone => "zone",
        Rule::Area => "area",
        Rule::Count => "count",
        Rule::NotANumber => "not-a-number",
    };
    let class = CLASS.import(py, MODULE, "DecidedBy")?;
    class.call1((rule, by.limit, &by.zone, by.region, by.counting))
}

/// Makes a `hetmm.Peak`.
pub fn peak<'py>(py: Python<'py>, peak: Peak) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, MODULE, "Peak")?.call1((peak.x, peak.y, peak.value))
}
