//! This module keeps a panic in other people's code to the picture that caused it.
//!
//! Decoders of pictures and feature extractors may have faults of their own, and no picture may end
//! the program. [`quietly`] contains a panic of the calling thread. [`Containment::run`] contains a
//! panic of its thread or of a worker of its pool. Both turn the panic into an error. The panic
//! hooks of the two programs ask [`is_contained`]. For any other panic the device takes its safe
//! state, and the tool prints the panic.

use crate::error::{Error, Kind, Result};
use rayon::ThreadPool;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// The containment that this thread works for.
    static HERE: RefCell<Option<Containment>> = const { RefCell::new(None) };
    /// How many calls of [`quietly`] this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `work`, which must start no threads, and turns its panic into an error. After a panic the
/// caller must not use anything that `work` has changed.
///
/// # Errors
/// The message of the panic.
pub fn quietly<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let deeper = DEPTH.get().saturating_add(1);
    DEPTH.set(deeper);
    // The contract says that the caller keeps nothing that `work` may have left half changed.
    let done = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(deeper.saturating_sub(1));
    done.map_err(|panic| words(panic.as_ref()).to_owned())
}

/// A pool's word on whether it is at work on something whose panics are contained, and for how many callers.
#[derive(Debug, Clone, Default)]
pub struct Containment(Arc<AtomicUsize>);

impl Containment {
    /// Makes a pool whose worker threads belong to this containment. 0 makes as many threads as
    /// there are cores.
    ///
    /// # Errors
    /// [`Kind::Io`] where the system gives no threads.
    pub fn pool(&self, threads: usize) -> Result<ThreadPool> {
        let own = self.clone();
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .start_handler(move |_| own.adopt_this_thread())
            .build()
            .map_err(|e| Error::new(Kind::Io, format!("no threads: {e}")))
    }

    /// Makes the calling thread belong to this containment from now on.
    pub fn adopt_this_thread(&self) {
        HERE.with(|here| *here.borrow_mut() = Some(self.clone()));
    }

    /// Runs `work` on a thread that belongs to this containment, and turns a panic into an error.
    /// After a panic the caller must not use anything that `work` has used.
    ///
    /// # Errors
    /// Those of `work`, and [`Kind::Model`] after a panic.
    pub fn run<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let done = catch_unwind(AssertUnwindSafe(work));
        self.0.fetch_sub(1, Ordering::SeqCst);
        done.unwrap_or_else(|panic| {
            Err(Error::model(format!("it panicked: {}", words(panic.as_ref()))))
        })
    }
}

/// Does `work`, contained where the calling thread belongs to a [`Containment`]; on other threads a panic goes on.
///
/// # Errors
/// Those of `work`, and a panic that was contained.
pub fn contained_here<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    match HERE.with(|here| here.borrow().clone()) {
        Some(containment) => containment.run(work),
        None => work(),
    }
}

/// Whether a panic of the calling thread will be contained.
pub fn is_contained() -> bool {
    let at_work = |here: &RefCell<Option<Containment>>| {
        let here = here.try_borrow().ok();
        here.is_some_and(|here| here.as_ref().is_some_and(|own| own.0.load(Ordering::SeqCst) > 0))
    };
    DEPTH.try_with(Cell::get).is_ok_and(|depth| depth > 0)
        || HERE.try_with(at_work).unwrap_or(false)
}

/// Returns the words of a panic.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn only_panics_of_contained_work_are_contained() {
        let (one, other) = (Containment::default(), Containment::default());
        let (pool, bystander) = (one.pool(2).expect("starts"), other.pool(1).expect("starts"));
        assert!(!is_contained());
        assert!(!pool.install(is_contained), "a worker that does something else");
        let seen = pool.install(|| {
            one.run(|| {
                let workers = (0..64).into_par_iter().all(|_| is_contained());
                Ok((workers, bystander.install(is_contained)))
            })
        });
        assert_eq!(seen.expect("runs"), (true, false));
        assert!(!is_contained() && !pool.install(is_contained));
    }

    #[test]
    fn a_panic_of_quiet_work_is_its_words_and_no_other_thread_is_contained() {
        let words = quietly(|| -> u32 {
            assert!(is_contained());
            assert!(quietly(|| panic!("inside")).is_err_and(|words| words == "inside"));
            assert!(is_contained(), "the outer work goes on");
            assert!(!std::thread::spawn(is_contained).join().expect("no panic"));
            panic!("on purpose, {}", 7);
        });
        assert_eq!(words, Err("on purpose, 7".into()));
        assert!(!is_contained(), "and it is over");
        assert_eq!(quietly(|| 5), Ok(5));
        assert!(!is_contained());
    }

    #[test]
    fn a_panic_of_any_worker_becomes_an_error_with_its_words() {
        let own = Containment::default();
        let pool = own.pool(2).expect("starts");
        for round in 0..3 {
            let done: Result<()> = pool.install(|| {
                own.run(|| {
                    (0..64).into_par_iter().for_each(|i| assert!(i != 63, "on purpose, {round}"));
                    Ok(())
                })
            });
            let words = done.expect_err("panics").to_string();
            assert_eq!(words, format!("it panicked: on purpose, {round}"));
            assert!(!pool.install(is_contained), "and it is over");
        }
    }
}
