//! Holds the template in use. The thread that inspects and the one that loads templates share it.

use crate::inspection::Pipeline;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Holds the template in use, joined with its feature extractor. It changes between two parts, never within one.
#[derive(Default)]
pub struct Current {
    state: Mutex<State>,
    failed: Condvar,
}

#[derive(Default)]
struct State {
    pipeline: Option<Arc<Pipeline>>,
    /// The pipeline that was in use when its feature extractor failed, until somebody takes it.
    failed: Option<Arc<Pipeline>>,
    failures: u64,
    last_failure: Option<String>,
}

impl Current {
    /// Returns the pipeline in use.
    pub fn get(&self) -> Option<Arc<Pipeline>> {
        self.lock().pipeline.clone()
    }

    /// Replaces the pipeline in use.
    pub fn set(&self, pipeline: Arc<Pipeline>) {
        self.lock().pipeline = Some(pipeline);
    }

    /// Takes a pipeline out of use whose feature extractor has failed. Returns false if another one is in use by now.
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

    /// Returns, once, the pipeline that was in use when its feature extractor failed. Waits up to `limit` for it.
    pub fn wait_for_failure(&self, limit: Duration) -> Option<Arc<Pipeline>> {
        let waited = self.failed.wait_timeout_while(self.lock(), limit, |s| s.failed.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.failed.take()
    }

    /// Returns how often a feature extractor has failed, and its last error.
    pub fn failures(&self) -> (u64, Option<String>) {
        let state = self.lock();
        (state.failures, state.last_failure.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
