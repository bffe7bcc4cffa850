//! Works on many pictures side by side and hands over the results in their order.
//!
//! Every worker has a thread pool of its own. So one picture is computed on its own threads from beginning to end, and
//! no thread that waits takes up work of another picture. With as many pictures as threads or more, such a pool has
//! one thread. Fewer pictures share the threads, and a single picture has all of them.
//!
//! A worker takes the lock of the queue twice for each picture. The workers share nothing else.

use crate::containment::words;
use crate::error::{Error, Kind, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The number of pictures in flight for each worker: one that it works on, and one that waits to be handed over.
pub const PER_WORKER: usize = 2;
/// The number of batches in flight. One is prepared, one is computed, and one is finished.
pub const BATCHES: usize = 3;

/// The result of the work on one picture, or the words of its panic.
pub type Outcome<T> = std::result::Result<T, String>;

/// Says how many pictures there are, and how many may be in memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The number of all pictures.
    pub count: usize,
    /// The largest number of pictures in flight: begun and not yet handed over.
    pub at_once: usize,
    /// The number of pictures that are computed together. Where it is 1, they are computed one by one.
    pub batch: usize,
}

/// What the first step on a picture gives.
pub enum Begun<P, T> {
    /// The picture waits for the step that is done for a batch.
    Ready(P),
    /// The work on the picture is complete.
    Done(T),
}

/// The steps on pictures that are computed in batches.
pub struct Steps<B, C, F> {
    /// Begins a picture. Workers call it.
    pub begin: B,
    /// Continues with all pictures of a batch that are ready. The calling thread calls it, batch by batch, in order. It
    /// returns as many as it gets.
    pub compute: C,
    /// Finishes a picture of a batch. Workers call it.
    pub finish: F,
}

/// Calls `work` for every number below `count` on workers, as many as the calling thread's pool has threads. It gives
/// each result to `take`, in order and on the calling thread, until `take` breaks or fails. At most `at_once` results
/// are in memory.
///
/// # Errors
/// Those of `take`, and [`Kind::Io`] if the system gives no threads.
pub fn in_order<T: Send>(
    count: usize,
    at_once: usize,
    work: impl Fn(usize) -> T + Sync,
    take: impl FnMut(usize, Outcome<T>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let limits = Limits { count, at_once, batch: 1 };
    let steps = Steps {
        begin: |index| Begun::<Infallible, T>::Done(work(index)),
        compute: |ready| ready,
        finish: |_, never| match never {},
    };
    in_batches(limits, steps, take)
}

/// Does the same as [`in_order`] in three steps, of which the second is done for a batch of pictures at a time. The
/// batches begin at multiples of their size, so they do not depend on the number of threads.
///
/// # Errors
/// Those of [`in_order`].
pub fn in_batches<P: Send, T: Send, B, C, F>(
    limits: Limits,
    steps: Steps<B, C, F>,
    mut take: impl FnMut(usize, Outcome<T>) -> Result<ControlFlow<()>>,
) -> Result<()>
where
    B: Fn(usize) -> Begun<P, T> + Sync,
    C: FnMut(Vec<P>) -> Vec<P>,
    F: Fn(usize, P) -> T + Sync,
{
    let Steps { begin, mut compute, finish } = steps;
    let threads = rayon::current_num_threads();
    let workers = threads.min(limits.count).min(limits.at_once).max(1);
    if workers == 1 && limits.batch <= 1 {
        return one_by_one(limits.count, &begin, &mut compute, &finish, &mut take);
    }
    let queue = Queue::new(limits, workers);
    let pools = pools(threads, workers)?;
    thread::scope(|scope| {
        let _ending = Ending(&queue);
        for pool in &pools {
            let serve = || pool.install(|| queue.serve(&begin, &finish));
            thread::Builder::new()
                .spawn_scoped(scope, serve)
                .map_err(|e| Error::new(Kind::Io, format!("no threads: {e}")))?;
        }
        queue.hand_over(&mut compute, &mut take)
    })
}

/// Returns the result, or lets the panic go on that took its place.
pub fn or_panic<T>(outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|words| std::panic::resume_unwind(Box::new(words)))
}

/// Does all steps on the calling thread and its pool.
fn one_by_one<P, T>(
    count: usize,
    begin: &impl Fn(usize) -> Begun<P, T>,
    compute: &mut impl FnMut(Vec<P>) -> Vec<P>,
    finish: &impl Fn(usize, P) -> T,
    take: &mut impl FnMut(usize, Outcome<T>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    for index in 0..count {
        let mut all_steps = || match begin(index) {
            Begun::Done(result) => Some(result),
            Begun::Ready(picture) => compute(vec![picture]).pop().map(|one| finish(index, one)),
        };
        let Some(done) = caught(&mut all_steps).transpose() else { continue };
        if take(index, done)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Makes a pool for every worker. Together they have as many threads as `threads` says.
fn pools(threads: usize, workers: usize) -> Result<Vec<ThreadPool>> {
    let of_worker = |worker| threads / workers + usize::from(worker < threads % workers);
    (0..workers)
        .map(|worker| ThreadPoolBuilder::new().num_threads(of_worker(worker)).build())
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::new(Kind::Io, format!("no threads: {e}")))
}

/// Does `work`. After a panic, nothing that it has changed is used again.
fn caught<T>(work: impl FnOnce() -> T) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(panic.as_ref()).to_owned())
}

/// The pictures in flight.
struct Queue<P, T> {
    limits: Limits,
    state: Mutex<State<P, T>>,
    /// Wakes workers: there is a picture to begin or to finish, or the end.
    work: Condvar,
    /// Wakes the calling thread: a step of a picture is done.
    progress: Condvar,
}

struct State<P, T> {
    /// The places of the pictures in flight, in their order.
    places: VecDeque<Place<P, T>>,
    /// The number of pictures that were handed over. It is the number of the first picture in flight.
    taken: usize,
    /// The number of the first picture whose batch was not yet computed.
    computed: usize,
    has_ended: bool,
}

/// How far a picture has come.
enum Place<P, T> {
    Busy,
    Ready(P),
    Computed(P),
    Done(Outcome<T>),
}

/// What a worker does next.
enum Job<P> {
    Begin(usize),
    Finish(usize, P),
}

/// What the calling thread does next.
enum Turn<P, T> {
    Take(usize, Outcome<T>),
    Compute(Vec<usize>, Vec<P>),
    End,
}

/// Tells the workers to end when it is dropped, also after an error or a panic.
struct Ending<'a, P, T>(&'a Queue<P, T>);

impl<P, T> Drop for Ending<'_, P, T> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.work.notify_all();
    }
}

impl<P, T> Queue<P, T> {
    fn new(limits: Limits, workers: usize) -> Self {
        let Limits { count, at_once, batch } = limits;
        let batch = batch.max(1);
        let wanted = (PER_WORKER * workers).max(if batch > 1 { BATCHES * batch } else { 1 });
        let limits = Limits { count, at_once: at_once.min(wanted).max(batch), batch };
        let state = State { places: VecDeque::new(), taken: 0, computed: 0, has_ended: false };
        Queue { limits, state: Mutex::new(state), work: Condvar::new(), progress: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<P, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the jobs of a worker until the end.
    fn serve(&self, begin: &impl Fn(usize) -> Begun<P, T>, finish: &impl Fn(usize, P) -> T) {
        while let Some(job) = self.next_job() {
            let (index, place) = match job {
                Job::Begin(index) => {
                    let place = match caught(|| begin(index)) {
                        Ok(Begun::Ready(picture)) => Place::Ready(picture),
                        Ok(Begun::Done(result)) => Place::Done(Ok(result)),
                        Err(words) => Place::Done(Err(words)),
                    };
                    (index, place)
                }
                Job::Finish(index, picture) => {
                    (index, Place::Done(caught(|| finish(index, picture))))
                }
            };
            self.lock().put(index, place);
            self.progress.notify_one();
        }
    }

    /// Waits for a job. `None` is the end.
    fn next_job(&self) -> Option<Job<P>> {
        let mut state = self.lock();
        loop {
            if state.has_ended {
                return None;
            }
            if let Some(job) = state.next_job(self.limits) {
                return Some(job);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does the work of the calling thread: computes batches and hands over results.
    fn hand_over(
        &self,
        compute: &mut impl FnMut(Vec<P>) -> Vec<P>,
        take: &mut impl FnMut(usize, Outcome<T>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        loop {
            match self.next_turn() {
                Turn::End => return Ok(()),
                Turn::Take(index, outcome) => {
                    self.work.notify_one();
                    if take(index, outcome)?.is_break() {
                        return Ok(());
                    }
                }
                Turn::Compute(indices, pictures) => {
                    let done = caught(|| compute(pictures));
                    self.lock().put_batch(&indices, done);
                    self.work.notify_all();
                }
            }
        }
    }

    /// Waits until the calling thread has something to do.
    fn next_turn(&self) -> Turn<P, T> {
        let mut state = self.lock();
        loop {
            if let Some(turn) = state.next_turn(self.limits) {
                return turn;
            }
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<P, T> State<P, T> {
    /// Puts a picture to its place. A picture in flight always has one.
    fn put(&mut self, index: usize, place: Place<P, T>) {
        if let Some(of_picture) = self.places.get_mut(index - self.taken) {
            *of_picture = place;
        }
    }

    /// A picture to finish is taken first, because it frees memory.
    fn next_job(&mut self, limits: Limits) -> Option<Job<P>> {
        let computed = self.places.iter().position(|place| matches!(place, Place::Computed(_)));
        if let Some(at) = computed
            && let Place::Computed(picture) = std::mem::replace(&mut self.places[at], Place::Busy)
        {
            return Some(Job::Finish(self.taken + at, picture));
        }
        let next = self.taken + self.places.len();
        (next < limits.count && self.places.len() < limits.at_once).then(|| {
            self.places.push_back(Place::Busy);
            Job::Begin(next)
        })
    }

    fn next_turn(&mut self, limits: Limits) -> Option<Turn<P, T>> {
        if self.taken == limits.count {
            return Some(Turn::End);
        }
        if let Some(Place::Done(_)) = self.places.front()
            && let Some(Place::Done(outcome)) = self.places.pop_front()
        {
            self.taken += 1;
            return Some(Turn::Take(self.taken - 1, outcome));
        }
        self.next_batch(limits)
    }

    /// Takes the pictures of the next batch as soon as all of them were begun. Batches without such pictures are left
    /// out.
    fn next_batch(&mut self, Limits { count, batch, .. }: Limits) -> Option<Turn<P, T>> {
        while self.computed < count {
            let end = self.computed.saturating_add(batch).min(count);
            let range = self.computed.max(self.taken) - self.taken..end.saturating_sub(self.taken);
            let is_begun = |place: &Place<P, T>| !matches!(place, Place::Busy);
            if range.end > self.places.len() || !self.places.range(range.clone()).all(is_begun) {
                return None;
            }
            self.computed = end;
            let (mut indices, mut pictures) = (Vec::new(), Vec::new());
            for at in range {
                match std::mem::replace(&mut self.places[at], Place::Busy) {
                    Place::Ready(picture) => {
                        indices.push(self.taken + at);
                        pictures.push(picture);
                    }
                    done => self.places[at] = done,
                }
            }
            if !indices.is_empty() {
                return Some(Turn::Compute(indices, pictures));
            }
        }
        None
    }

    fn put_batch(&mut self, indices: &[usize], done: Outcome<Vec<P>>) {
        match done {
            Ok(pictures) => indices
                .iter()
                .zip(pictures)
                .for_each(|(&index, picture)| self.put(index, Place::Computed(picture))),
            Err(words) => {
                indices.iter().for_each(|&index| self.put(index, Place::Done(Err(words.clone()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Runs `work` on a pool of so many threads.
    fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        ThreadPoolBuilder::new().num_threads(threads).build().expect("starts").install(work)
    }

    /// Results that come in another order than the pictures begin.
    fn slow(index: usize) -> usize {
        std::thread::sleep(Duration::from_micros((index as u64 * 7919) % 500));
        3 * index
    }

    /// The results that arrive until `enough` of them are there.
    fn gathered(count: usize, at_once: usize, enough: usize) -> Vec<(usize, usize)> {
        let mut results = Vec::new();
        let take = |index, outcome| {
            results.push((index, or_panic(outcome)));
            Ok(match results.len() < enough {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        };
        in_order(count, at_once, slow, take).expect("runs");
        results
    }

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            for (count, at_once) in [(0, 1), (1, 1), (2, 9), (50, 0), (50, 1), (50, 3), (50, 100)] {
                let results = on(threads, || gathered(count, at_once, usize::MAX));
                let wanted: Vec<_> = (0..count).map(|i| (i, 3 * i)).collect();
                assert_eq!(results, wanted, "{threads} threads, {at_once} of {count} at once");
            }
        }
    }

    #[test]
    fn after_the_last_wanted_result_no_more_begin() {
        for threads in [1, 4] {
            assert_eq!(on(threads, || gathered(1000, 8, 5)).len(), 5);
            let begun = AtomicUsize::new(0);
            let work = |index| (begun.fetch_add(1, Ordering::SeqCst), index);
            let failing = |index, _| match index {
                3 => Err(Error::usage("on purpose")),
                _ => Ok(ControlFlow::Continue(())),
            };
            let error = on(threads, || in_order(1000, 8, work, failing)).expect_err("fails");
            assert!(error.to_string().contains("on purpose"));
            assert!(begun.load(Ordering::SeqCst) <= 4 + 8);
        }
    }

    #[test]
    fn few_are_in_flight_while_the_first_one_is_slow() {
        for (threads, at_once, most) in [(1, 9, 1), (4, 100, PER_WORKER * 4), (4, 5, 5), (4, 1, 1)]
        {
            let (begun, taken, largest) =
                (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |index: usize| {
                let begun = begun.fetch_add(1, Ordering::SeqCst) + 1;
                largest.fetch_max(begun - taken.load(Ordering::SeqCst), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(if index.is_multiple_of(10) {
                    20
                } else {
                    1
                }));
            };
            let take = |_, _| {
                taken.fetch_add(1, Ordering::SeqCst);
                Ok(ControlFlow::Continue(()))
            };
            on(threads, || in_order(40, at_once, work, take)).expect("runs");
            // The picture that is being handed over is counted here, too.
            assert!(largest.load(Ordering::SeqCst) <= most + 1, "{threads} threads, {at_once}");
        }
    }

    #[test]
    fn many_pictures_have_one_thread_each_and_few_share_all() {
        let threads_of = |threads: usize, count: usize| -> Vec<usize> {
            let mut all = Vec::new();
            let work = |_| {
                std::thread::sleep(Duration::from_millis(5));
                rayon::current_num_threads()
            };
            let take = |_, outcome| {
                all.push(or_panic(outcome));
                Ok(ControlFlow::Continue(()))
            };
            on(threads, || in_order(count, 100, work, take)).expect("runs");
            all
        };
        assert_eq!(threads_of(4, 1), [4]);
        assert_eq!(threads_of(1, 3), [1, 1, 1]);
        assert_eq!(threads_of(4, 8), [1; 8]);
        assert!(threads_of(7, 2).iter().all(|threads| [3, 4].contains(threads)));
    }

    #[test]
    fn a_panic_takes_the_place_of_its_result() {
        for threads in [1, 4] {
            let mut outcomes = Vec::new();
            let work = |index: usize| {
                assert!(index != 7, "on purpose, {index}");
                index
            };
            let take = |_, outcome| {
                outcomes.push(outcome);
                Ok(ControlFlow::Continue(()))
            };
            on(threads, || in_order(20, 100, work, take)).expect("runs");
            let wanted = |index| if index == 7 { Err("on purpose, 7".into()) } else { Ok(index) };
            assert_eq!(outcomes, (0..20).map(wanted).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_of_the_receiver_ends_the_workers() {
        let take = |index, _: Outcome<usize>| {
            assert!(index != 5, "on purpose");
            Ok(ControlFlow::Continue(()))
        };
        let done = caught(|| on(4, || in_order(1000, 100, slow, take)));
        assert_eq!(done.map(drop), Err("on purpose".to_owned()));
    }

    #[test]
    fn batches_are_the_same_for_any_number_of_threads() {
        let run = |count: usize, at_once: usize| {
            let (mut batches, mut results) = (Vec::new(), Vec::new());
            let steps = Steps {
                begin: |index: usize| match index % 5 {
                    3 => Begun::Done(slow(index)),
                    _ => Begun::Ready((index, slow(index))),
                },
                compute: |batch: Vec<(usize, usize)>| {
                    batches.push(batch.iter().map(|(index, _)| *index).collect::<Vec<_>>());
                    batch.into_iter().map(|(index, value)| (index, value + 1)).collect()
                },
                finish: |index, (own, value)| {
                    assert_eq!(index, own);
                    slow(index) + value
                },
            };
            let limits = Limits { count, at_once, batch: 4 };
            let take = |index, outcome| {
                results.push((index, or_panic(outcome)));
                Ok(ControlFlow::Continue(()))
            };
            in_batches(limits, steps, take).expect("runs");
            (batches, results)
        };
        for (threads, at_once) in [(1, 1), (1, 100), (3, 2), (3, 100), (8, 100)] {
            let (batches, results) = on(threads, || run(10, at_once));
            assert_eq!(batches, [vec![0, 1, 2], vec![4, 5, 6, 7], vec![9]]);
            let wanted = |i| (i, if i % 5 == 3 { 3 * i } else { 6 * i + 1 });
            assert_eq!(results, (0..10).map(wanted).collect::<Vec<_>>());
        }
    }
}
