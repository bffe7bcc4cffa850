//! Holds what is known of the production line. The feed writes here, and everything that shows something reads here.

use crate::clock::Clock;
use crate::histogram::Histograms;
use crate::part::{Outcome, Part};
use crate::preview::Preview;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// The time after which a silent feed counts as lost. The device says something every 500 ms.
pub const SILENCE: Duration = Duration::from_millis(1500);
/// The number of parts that are kept for charts.
const PARTS: usize = 200;
/// The number of rejected parts that are kept for lists.
const REJECTS: usize = 50;
/// The number of parts over which the least slack is taken.
const SLACKS: usize = 4096;
/// The number of events that may wait for a reader. A reader that is slower is told that it has missed some.
const EVENTS: usize = 4096;

/// Says what has happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A part has left.
    Part(Arc<Part>),
    /// The device has told its state.
    Status(Arc<Value>),
    /// There is a picture.
    Preview(Arc<Preview>),
    /// The feed has come (true) or gone.
    Feed(bool),
}

/// Holds what is known at one moment.
#[derive(Debug, Default)]
pub struct Now {
    /// The moment of the last message of the feed.
    pub heard_at: Option<Instant>,
    /// The version of `hetmm-edge`.
    pub version: String,
    /// What `hetmm-edge status` would say. It is null before the first status.
    pub status: Arc<Value>,
    /// The latest parts, the oldest first.
    pub parts: VecDeque<Arc<Part>>,
    /// The latest rejected parts, the oldest first.
    pub rejects: VecDeque<Arc<Part>>,
    /// The latest picture.
    pub preview: Option<Arc<Preview>>,
    /// The number of messages of the feed that were lost.
    pub lost: u64,
    /// The distributions of times and scores since this program was started.
    pub histograms: Histograms,
    /// The times from the latest results to their deadlines, in microseconds. Below 0, the result was late.
    slack_us: VecDeque<i32>,
}

/// Counts the connections of clients.
#[derive(Debug, Default)]
pub struct Connections {
    /// Those to the Modbus server.
    pub modbus: Arc<AtomicUsize>,
    /// Those to the page.
    pub page: Arc<AtomicUsize>,
    /// Those to the metrics.
    pub metrics: Arc<AtomicUsize>,
}

impl Now {
    /// Returns whether the device has said something lately.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.heard_at.is_some_and(|at| now.saturating_duration_since(at) < SILENCE)
    }

    /// Returns a number of the status, such as `/counters/passed`. It is 0 if it is not known.
    pub fn number(&self, path: &str) -> u64 {
        self.status.pointer(path).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Returns a text of the status, such as `/state`. It is empty if it is not known.
    pub fn text(&self, path: &str) -> &str {
        self.status.pointer(path).and_then(Value::as_str).unwrap_or("")
    }

    /// Returns the number of records that were not written, in the log or in the chain.
    pub fn records_lost(&self) -> u64 {
        let paths = ["/records/records_dropped", "/records/records_failed", "/records/chain/lost"];
        paths.map(|path| self.number(path)).iter().sum()
    }

    /// Returns the number of pictures that were not archived.
    pub fn pictures_lost(&self) -> u64 {
        self.number("/records/pictures_dropped") + self.number("/records/pictures_failed")
    }

    /// Returns the shortest time from one of the latest results to its deadline, in microseconds. It is `None` if no
    /// result has a deadline.
    pub fn least_slack_us(&self) -> Option<i32> {
        self.slack_us.iter().min().copied()
    }

    /// Returns whether the last template that was tried was refused.
    pub fn has_refused_a_template(&self) -> bool {
        self.status.pointer("/template/refused").is_some_and(Value::is_string)
    }

    /// Returns the place of a zone among those of the template, from 1. It is 0 for the rest of the picture.
    pub fn zone(&self, name: Option<&str>) -> u16 {
        let zones = self.status.pointer("/template/zones").and_then(Value::as_array);
        let at =
            zones.zip(name).and_then(|(zones, name)| zones.iter().position(|zone| zone == name));
        at.map_or(0, |at| at as u16 + 1)
    }

    /// Returns whether the drift watch warns.
    pub fn drifts(&self) -> bool {
        let warnings = self.status.pointer("/drift/warnings").and_then(Value::as_array);
        warnings.is_some_and(|warnings| !warnings.is_empty())
    }

    /// Returns whether there is too little disk space for records.
    pub fn lacks_space(&self) -> bool {
        self.status.pointer("/records/chain/too_little_space") == Some(&true.into())
    }

    /// Returns whether the device is too hot.
    pub fn is_too_hot(&self) -> bool {
        self.status.pointer("/temperature/too_hot") == Some(&true.into())
    }

    /// Returns whether a list of the status, such as `/faults`, has this entry.
    pub fn lists(&self, path: &str, entry: &str) -> bool {
        let list = self.status.pointer(path).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|found| found == entry))
    }
}

/// Shares what is known between threads and tasks.
#[derive(Debug)]
pub struct Board {
    now: Mutex<Now>,
    events: broadcast::Sender<Event>,
    /// The number of pages that show pictures.
    viewers: AtomicUsize,
    /// The number of messages that the broker did not get.
    pub mqtt_dropped: AtomicU64,
    /// The number of messages that wait for the broker.
    pub mqtt_waiting: AtomicUsize,
    /// The connections of clients.
    pub connections: Connections,
    /// The wall clock.
    pub clock: Clock,
    /// What was read of the temperatures last.
    temperature: Mutex<Value>,
    /// The longest time from trigger to result that counts as in time, in microseconds.
    deadline_us: Option<u64>,
}

impl Board {
    /// Makes an empty board. `deadline_us` is the deadline of a result, counted from the trigger.
    pub fn new(deadline_us: Option<u64>) -> Arc<Self> {
        let (events, _) = broadcast::channel(EVENTS);
        Arc::new(Board {
            now: Mutex::default(),
            events,
            viewers: AtomicUsize::new(0),
            mqtt_dropped: AtomicU64::new(0),
            mqtt_waiting: AtomicUsize::new(0),
            connections: Connections::default(),
            clock: Clock::default(),
            temperature: Mutex::default(),
            deadline_us,
        })
    }

    /// Returns what is known. Hold it for microseconds only.
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Notes the first message of a connection.
    pub fn hello(&self, version: &str) {
        let mut now = self.now();
        now.version = version.to_owned();
        now.heard_at = Some(Instant::now());
        drop(now);
        self.tell(Event::Feed(true));
    }

    /// Notes that the feed has gone.
    pub fn gone(&self) {
        let was_there = self.now().heard_at.take().is_some();
        if was_there {
            self.tell(Event::Feed(false));
        }
    }

    /// Notes the temperatures. They become a part of the state, as `temperature`.
    pub fn temperature(&self, temperature: Value) {
        *self.temperature.lock().unwrap_or_else(PoisonError::into_inner) = temperature;
    }

    /// Notes the state of the device.
    pub fn status(&self, mut status: Value) {
        let temperature = self.temperature.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(fields) = status.as_object_mut() {
            fields.insert("temperature".into(), temperature);
        }
        let status = Arc::new(status);
        let mut now = self.now();
        now.heard_at = Some(Instant::now());
        now.status = status.clone();
        drop(now);
        self.tell(Event::Status(status));
    }

    /// Notes a part.
    pub fn part(&self, part: Part) {
        let part = Arc::new(part);
        let mut now = self.now();
        now.histograms.add(&part, self.deadline_us);
        if let (Some(took_us), Some(deadline_us)) = (part.trigger_to_result_us(), self.deadline_us)
        {
            push(&mut now.slack_us, slack(deadline_us, took_us), SLACKS);
        }
        push(&mut now.parts, part.clone(), PARTS);
        if part.outcome == Outcome::Rejected {
            push(&mut now.rejects, part.clone(), REJECTS);
        }
        drop(now);
        self.tell(Event::Part(part));
    }

    /// Notes that messages of the feed are missing.
    pub fn lost(&self, count: u64) {
        let mut now = self.now();
        now.lost = now.lost.saturating_add(count);
    }

    /// Notes a picture.
    pub fn preview(&self, preview: Preview) {
        let preview = Arc::new(preview);
        self.now().preview = Some(preview.clone());
        self.tell(Event::Preview(preview));
    }

    /// Counts somebody who looks at pictures until the guard is dropped.
    pub fn look(self: &Arc<Self>) -> Viewer {
        self.viewers.fetch_add(1, Ordering::SeqCst);
        Viewer(self.clone())
    }

    /// Returns whether somebody looks at pictures.
    pub fn is_watched(&self) -> bool {
        self.viewers.load(Ordering::SeqCst) > 0
    }

    fn tell(&self, event: Event) {
        // Without readers there is nobody to tell.
        let _ = self.events.send(event);
    }
}

/// Counts somebody who looks at pictures.
#[derive(Debug)]
pub struct Viewer(Arc<Board>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Returns a name, such as that of a fault or a reason, as the device writes it.
pub fn name_of(named: impl serde::Serialize) -> String {
    serde_json::to_value(named).ok().as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Adds a value, and drops the oldest one if there are too many.
fn push<T>(ring: &mut VecDeque<T>, value: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(value);
}

/// Returns the time from a result to its deadline, in microseconds. Times beyond 35 minutes count as 35 minutes.
fn slack(deadline_us: u64, took_us: u64) -> i32 {
    let short = |us: u64| i32::try_from(us).unwrap_or(i32::MAX);
    match deadline_us.checked_sub(took_us) {
        Some(early_us) => short(early_us),
        None => -short(took_us - deadline_us),
    }
}
