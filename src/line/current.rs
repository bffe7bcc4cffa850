//! Holds the template in use. The thread that inspects and the one that loads templates share it.

use super::template_identity::TemplateIdentity;
use crate::inspection::Pipeline;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Holds the template in use, joined with its feature extractor. It changes between two parts, never within one.
#[derive(Default)]
pub struct Current {
    state: Mutex<State>,
    failed: Condvar,
}

/// Holds a template that is in use.
#[derive(Clone)]
pub struct InUse {
    /// The template, joined with its feature extractor.
    pub pipeline: Arc<Pipeline>,
    /// What names the template in records.
    pub identity: Arc<TemplateIdentity>,
}

#[derive(Default)]
struct State {
    in_use: Option<InUse>,
    /// What was in use when its feature extractor failed, until somebody takes it.
    failed: Option<InUse>,
    failures: u64,
    last_failure: Option<String>,
}

impl Current {
    /// Returns the template in use.
    pub fn get(&self) -> Option<InUse> {
        self.lock().in_use.clone()
    }

    /// Replaces the template in use.
    pub fn set(&self, in_use: InUse) {
        self.lock().in_use = Some(in_use);
    }

    /// Takes a pipeline out of use whose feature extractor has failed. Returns false if another one is in use by now.
    pub fn fail(&self, pipeline: &Arc<Pipeline>, why: String) -> bool {
        let mut state = self.lock();
        state.failures += 1;
        state.last_failure = Some(why);
        let used = state.in_use.as_ref();
        let in_use = used.is_some_and(|used| Arc::ptr_eq(&used.pipeline, pipeline));
        if in_use {
            state.failed = state.in_use.take();
            self.failed.notify_all();
        }
        in_use
    }

    /// Returns, once, what was in use when its feature extractor failed. Waits up to `limit` for it.
    pub fn wait_for_failure(&self, limit: Duration) -> Option<InUse> {
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
