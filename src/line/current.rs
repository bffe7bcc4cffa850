//! The template in use, shared by the thread that inspects and the one that puts templates in use.

use crate::inspection::Pipeline;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The template in use, joined with its feature extractor. It changes between two parts, never within one.
#[derive(Default)]
pub struct Current {
    state: Mutex<State>,
    failed: Condvar,
}

#[derive(Default)]
struct State {
    pipeline: Option<Arc<Pipeline>>,
    /// What was in use when its feature extractor failed, until somebody deals with it.
    failed: Option<Arc<Pipeline>>,
    failures: u64,
    last_failure: Option<String>,
}

impl Current {
    /// The template in use.
    pub fn get(&self) -> Option<Arc<Pipeline>> {
        self.lock().pipeline.clone()
    }

    /// Puts another in its place.
    pub fn set(&self, pipeline: Arc<Pipeline>) {
        self.lock().pipeline = Some(pipeline);
    }

    /// Takes out of use a pipeline whose feature extractor has failed; false where another is in use by now.
    pub fn fail(&self, pipeline: &Arc<Pipeline>, why: String) -> bool {
        let mut state = self.lock();
        state.failures += 1;
        state.last_failure = Some(why);
        let in_use = state.pipeline.as_ref().is_some_and(|used| Arc::ptr_eq(used, pipeline));
        if in_use {
            state.failed = state.pipeline.take();
            self.failed.notify_all();
        }
        in_use
    }

    /// What was in use when its feature extractor failed, once; waits up to `limit` for it.
    pub fn wait_for_failure(&self, limit: Duration) -> Option<Arc<Pipeline>> {
        let waited = self.failed.wait_timeout_while(self.lock(), limit, |s| s.failed.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.failed.take()
    }

    /// How often a feature extractor has failed, and what it said the last time.
    pub fn failures(&self) -> (u64, Option<String>) {
        let state = self.lock();
        (state.failures, state.last_failure.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
