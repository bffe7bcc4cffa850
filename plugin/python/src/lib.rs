//! The Python module of hetmm: templates, inspectors and inspections as Python objects.
//!
//! This crate makes `hetmm._native`. The package in `hetmm/` passes it on, and defines in Python what needs no Rust:
//! exceptions and plain records. `hetmm/__init__.pyi` is the interface.
//!
//! `array` turns numpy's arrays into pictures. `errors` turns errors and panics into exceptions. No code here is
//! unsafe.

mod array;
mod errors;
mod inspection;
mod inspector;
mod options;
mod records;
mod teach;
mod template;

/// The native part of the package `hetmm`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::errors::_panic;
    #[pymodule_export]
    use super::inspection::Inspection;
    #[pymodule_export]
    use super::inspector::Inspector;
    #[pymodule_export]
    use super::teach::{insert, undo};
    #[pymodule_export]
    use super::template::Template;
    /// The version of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
