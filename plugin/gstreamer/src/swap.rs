//! The thread that takes over another template while frames are inspected.

use hetmm::{Error, Inspector, Result, Template};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// How often a watched file is looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// What became of a file that was to be taken over.
pub struct Outcome {
    /// The file.
    pub file: PathBuf,
    /// The file that was in use before.
    pub before: PathBuf,
    /// The number of the new template, or why the old one stays in use.
    pub result: Result<u64>,
}

/// Takes over templates on a thread of its own.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
}

#[derive(Default)]
struct Orders {
    files: VecDeque<Order>,
    watch: bool,
    end: bool,
}

struct Order {
    file: PathBuf,
    /// Gets whether the file is in use.
    answer: Option<Sender<bool>>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    length: u64,
    changed: Option<SystemTime>,
    place: (u64, u64),
}

impl Stamp {
    /// Returns the state of a file, or `None` if there is none.
    pub fn of(file: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(file).ok()?;
        let place = (found.dev(), found.ino());
        Some(Stamp { length: found.len(), changed: found.modified().ok(), place })
    }
}

impl Worker {
    /// Starts the thread. `file` is in use and had the state `stamp` when it was opened. `tell` gets every outcome.
    ///
    /// # Errors
    /// Returns [`hetmm::ErrorKind::Io`] if the system gives no thread.
    pub fn start(
        inspector: Arc<Inspector>,
        file: PathBuf,
        stamp: Option<Stamp>,
        watch: bool,
        tell: impl Fn(Outcome) + Send + 'static,
    ) -> Result<Self> {
        let orders = Mutex::new(Orders { watch, ..Orders::default() });
        let shared = Arc::new(Shared { orders, changed: Condvar::new() });
        let mut taker =
            Taker { inspector, seen: Seen { tried: stamp.clone(), last: stamp }, file, tell };
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("hetmm-swap".into())
            .spawn(move || taker.run(&of_thread))
            .map_err(|e| Error::new(hetmm::ErrorKind::Io, format!("no thread: {e}")))?;
        Ok(Worker { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes over `file` soon. Files that were ordered before and have not begun are left out.
    pub fn swap(&self, file: PathBuf) {
        self.order(Order { file, answer: None });
    }

    /// Takes over `file`, and waits for that. Returns whether it is in use.
    pub fn swap_now(&self, file: PathBuf) -> bool {
        let is_own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if lock(&self.thread).as_ref().is_none_or(is_own) {
            // The thread would wait for itself.
            return false;
        }
        let (answer, answered) = channel();
        self.order(Order { file, answer: Some(answer) });
        answered.recv().unwrap_or(false)
    }

    /// Sets whether the file in use is watched.
    pub fn watch(&self, watch: bool) {
        lock(&self.shared.orders).watch = watch;
        self.shared.changed.notify_all();
    }

    /// Ends the thread, and waits for that. A check that is running is finished first.
    pub fn end(&self) {
        {
            let mut orders = lock(&self.shared.orders);
            orders.end = true;
            orders.files.clear();
        }
        self.shared.changed.notify_all();
        let thread = lock(&self.thread).take();
        // The thread tells outcomes. Who hears them may stop the element there and then.
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            // It contains panics itself.
            let _ = thread.join();
        }
    }

    fn order(&self, order: Order) {
        {
            let mut orders = lock(&self.shared.orders);
            if orders.end {
                return;
            }
            // Whoever waits for an order that is left out hears that its file is not in use.
            orders.files.clear();
            orders.files.push_back(order);
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// The states of the watched file.
struct Seen {
    /// The state that was opened last, whether or not it was taken over.
    tried: Option<Stamp>,
    /// The state at the last look.
    last: Option<Stamp>,
}

/// What the thread holds.
struct Taker<F> {
    inspector: Arc<Inspector>,
    /// The file in use.
    file: PathBuf,
    seen: Seen,
    tell: F,
}

impl<F: Fn(Outcome)> Taker<F> {
    fn run(&mut self, shared: &Shared) {
        loop {
            let (order, watch) = match next(shared) {
                Next::End => return,
                Next::Order(order) => (Some(order), false),
                Next::Look => (None, true),
            };
            if let Some(Order { file, answer }) = order {
                let in_use = self.take(file);
                if let Some(answer) = answer {
                    // Whoever asked may have gone.
                    let _ = answer.send(in_use);
                }
            } else if watch && self.was_replaced() {
                self.take(self.file.clone());
            }
        }
    }

    /// Returns whether the file in use has another content than the one that was opened last. It must look the same
    /// twice, because somebody may be writing it.
    fn was_replaced(&mut self) -> bool {
        let now = Stamp::of(&self.file);
        let is_quiet = now == self.seen.last;
        self.seen.last = now.clone();
        now.is_some() && is_quiet && now != self.seen.tried
    }

    /// Opens, checks and takes over `file`. Returns whether it is in use now.
    fn take(&mut self, file: PathBuf) -> bool {
        let stamp = Stamp::of(&file);
        let work = || {
            let template = Template::open(&file)?;
            self.inspector.replace(template).map_err(|e| e.within(file.display()))?;
            Ok(self.inspector.generation())
        };
        // What the work changes is changed as a whole.
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Error::model("the check of the template panicked")
                .within(file.display())
                .advise("build the template again, and report this"))
        });
        let in_use = result.is_ok();
        let before = self.file.clone();
        if in_use || file == self.file {
            self.seen = Seen { tried: stamp.clone(), last: stamp };
        }
        if in_use {
            self.file.clone_from(&file);
        }
        let tell = || (self.tell)(Outcome { file, before, result });
        // A panic of the host's code must not end the thread, which others wait for.
        let _ = catch_unwind(AssertUnwindSafe(tell));
        in_use
    }
}

enum Next {
    End,
    Order(Order),
    /// Look at the file.
    Look,
}

/// Waits for something to do.
fn next(shared: &Shared) -> Next {
    let mut orders = lock(&shared.orders);
    loop {
        if orders.end {
            return Next::End;
        }
        if let Some(order) = orders.files.pop_front() {
            return Next::Order(order);
        }
        if !orders.watch {
            orders = shared.changed.wait(orders).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let waited = shared.changed.wait_timeout(orders, PERIOD);
        let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        orders = back;
        if timeout.timed_out() && !orders.end && orders.files.is_empty() && orders.watch {
            return Next::Look;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
