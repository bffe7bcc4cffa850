//! Turns errors and panics into a status, and remembers their words for the calling thread.

use crate::ffi::{
    HETMM_IMAGE, HETMM_IO, HETMM_MODEL, HETMM_OK, HETMM_PANIC, HETMM_TEMPLATE, HETMM_UNCONFIRMED,
    HETMM_USAGE, hetmm_status,
};
use hetmm::{Error, ErrorKind};
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// The words of the last failure of this thread.
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs `work`. Returns its status, and keeps the words of its error or panic for [`last_error`].
pub fn status(work: impl FnOnce() -> Result<(), Error>) -> hetmm_status {
    // The caller's data may be half changed after a panic. All `out` parameters are set before the work, and handles
    // stay usable: an inspector that panicked answers nothing but errors.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => HETMM_OK,
        Ok(Err(error)) => {
            remember(&error.to_string());
            of_kind(error.kind())
        }
        Err(panic) => {
            let words = panic.downcast_ref::<&str>().copied();
            let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            remember(&format!("hetmm has panicked: {}", words.unwrap_or("without words")));
            HETMM_PANIC
        }
    }
}

/// Runs `work`, which cannot fail but for a panic, and returns `otherwise` after one.
pub fn value<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    let mut found = None;
    status(|| {
        found = Some(work());
        Ok(())
    });
    found.unwrap_or(otherwise)
}

/// The words of the last failure of this thread, valid until its next failure; empty if there was none.
pub fn last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

fn remember(words: &str) {
    let clean: Vec<u8> = words.bytes().filter(|&byte| byte != 0).collect();
    let words = CString::new(clean).unwrap_or_default();
    // A thread that is ending has no words any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = words);
}

fn of_kind(kind: ErrorKind) -> hetmm_status {
    match kind {
        ErrorKind::Unconfirmed => HETMM_UNCONFIRMED,
        ErrorKind::Image => HETMM_IMAGE,
        ErrorKind::Template => HETMM_TEMPLATE,
        ErrorKind::Io => HETMM_IO,
        ErrorKind::Model => HETMM_MODEL,
        _ => HETMM_USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> String {
        LAST.with(|last| last.borrow().to_string_lossy().into_owned())
    }

    #[test]
    fn a_panic_becomes_a_status_with_its_words() {
        assert_eq!(status(|| panic!("on {}", "purpose")), HETMM_PANIC);
        assert!(words().contains("on purpose"), "{}", words());
        assert_eq!(status(|| std::panic::panic_any(7)), HETMM_PANIC);
        assert!(words().contains("without words"), "{}", words());
        assert_eq!(value(5, || panic!("again")), 5);
        assert_eq!(value(5, || 6), 6);
        assert_eq!(status(|| Ok(())), HETMM_OK);
    }

    #[test]
    fn words_with_a_zero_inside_are_not_lost() {
        assert_eq!(status(|| Err(Error::usage("a\0b"))), HETMM_USAGE);
        assert!(words().contains("ab"), "{}", words());
    }
}
