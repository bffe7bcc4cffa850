//! Turns errors and panics of the library into exceptions of Python.

use hetmm::containment::quietly;
use hetmm::error::{Choice, NextStep};
use hetmm::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Does `work`. A panic becomes `hetmm.ModelError`: `except Exception` does not catch the exception that it would be
/// otherwise.
pub fn contained<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    quietly(work).unwrap_or_else(|words| Err(raise(&panicked(&words))))
}

/// Does `work` while other threads of Python run. Its panics are for [`contained`].
pub fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> hetmm::Result<T> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(|error| raise(&error))
}

/// Panics, so that a test can see what becomes of it.
#[pyfunction]
pub fn _panic(py: Python<'_>) -> PyResult<()> {
    contained(|| detached(py, || panic!("on purpose")))
}

/// Makes the exception of an error.
pub fn raise(error: &Error) -> PyErr {
    let text = error.in_words(&name);
    let step = error.next_step().map(|step| step.in_words(&name));
    let suffix = step.map(|step| format!("\n  -> {step}")).unwrap_or_default();
    let what = text.strip_suffix(&suffix).unwrap_or(&text).to_owned();
    let next_step = match error.kind() {
        ErrorKind::Unconfirmed => Some(CONFIRM.to_owned()),
        _ => error.next_step().and_then(possible).map(|step| step.in_words(&name)),
    };
    let (kind, class) = class_of(error.kind());
    Python::attach(|py| match class.get(py) {
        Ok(class) => PyErr::from_type(class, (kind, what, next_step)),
        Err(error) => error,
    })
}

/// The next step for a picture that looks like a defect.
const CONFIRM: &str = "look at the part: parts like it pass once it is inserted. If it is a good part, call insert \
                       again with force=True";

fn panicked(words: &str) -> Error {
    Error::model(format!("hetmm has panicked: {words}"))
        .advise("reject the part, open the template again, and report this")
}

/// The parameter that makes a choice. Choices that this module does not offer keep the library's words.
fn name(choice: Choice) -> String {
    match parameter(choice) {
        Some(parameter) => format!("{parameter}="),
        None => choice.to_string(),
    }
}

fn parameter(choice: Choice) -> Option<&'static str> {
    match choice {
        Choice::Backbone => Some("backbone"),
        Choice::Device => Some("device"),
        Choice::OnnxRuntime => Some("onnxruntime"),
        _ => None,
    }
}

/// The part of a next step that can be taken in Python.
fn possible(step: &NextStep) -> Option<NextStep> {
    match step {
        NextStep::Choose(choice, _) | NextStep::LeaveOut(choice) | NextStep::SwitchOn(choice) => {
            parameter(*choice).map(|_| step.clone())
        }
        NextStep::OneOf(steps) => {
            let steps: Vec<NextStep> = steps.iter().filter_map(possible).collect();
            (!steps.is_empty()).then_some(NextStep::OneOf(steps))
        }
        _ => Some(step.clone()),
    }
}

/// A class of `hetmm/_errors.py`.
struct Class {
    name: &'static str,
    found: PyOnceLock<Py<PyType>>,
}

impl Class {
    const fn new(name: &'static str) -> Self {
        Class { name, found: PyOnceLock::new() }
    }

    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyType>> {
        self.found.import(py, "hetmm._errors", self.name).cloned()
    }
}

static USAGE: Class = Class::new("UsageError");
static IMAGE: Class = Class::new("ImageError");
static TEMPLATE: Class = Class::new("TemplateError");
static MODEL: Class = Class::new("ModelError");
static DEVICE: Class = Class::new("DeviceError");
static UNCONFIRMED: Class = Class::new("UnconfirmedError");

fn class_of(kind: ErrorKind) -> (&'static str, &'static Class) {
    match kind {
        ErrorKind::Image => ("image", &IMAGE),
        ErrorKind::Template => ("template", &TEMPLATE),
        ErrorKind::Model => ("model", &MODEL),
        ErrorKind::Io => ("io", &DEVICE),
        ErrorKind::Unconfirmed => ("unconfirmed", &UNCONFIRMED),
        _ => ("usage", &USAGE),
    }
}
