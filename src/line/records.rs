//! Writes the records: one line of JSON per part, one per output edge if that is wanted, and the chain of the evidence.
//!
//! Records go to a thread of their own through a bounded queue. A record that finds no room is dropped and counted. A
//! disk that is full or gone costs records and never time.
//!
//! If the reject output has a feedback, the chain's line of a part waits here until it is known whether the valve has
//! followed (`held`).

use super::config::RecordsConfig;
use super::device_identity;
use super::evidence::{self, Event, Head, Writer};
use super::gate::Followed;
use super::held::{Content, Held};
use super::record::{EdgeRecord, PartRecord};
use super::rotated::Rotated;
use super::wall_clock::WallClock;
use crate::clock::LineTime;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The number of records that may wait.
const QUEUE: usize = 4096;
/// The longest and the shortest time between two looks at what is due.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// The time between two looks at the queue while records come. Nobody sleeps on the queue then, so that the hub thread
/// need not wake anybody: that would take it longer than all the rest.
const POLL: Duration = Duration::from_millis(5);
/// The number of looks without a record after which the thread sleeps on the queue.
const QUIET_LOOKS: u32 = 12_000;
/// The longest pause between two events after the end of the hub thread.
const GRACE: Duration = Duration::from_millis(200);

enum Entry {
    Part(Arc<PartRecord>),
    Edge(EdgeRecord),
    Event(Box<Event>),
    /// The valve has followed a pulse, or not.
    Followed(Followed),
    /// The hub thread has ended. Only events may follow.
    End,
}

/// Counts records that were lost.
#[derive(Debug, Default)]
pub struct Losses {
    /// The records that were lost because the queue was full.
    pub dropped: AtomicU64,
    /// The records that were lost because they could not be written.
    pub failed: AtomicU64,
    /// The state of the chain, if one is written.
    chain: Option<Chain>,
}

/// Holds what is known about the chain outside of its thread.
#[derive(Debug, Default)]
struct Chain {
    /// All lines that were lost.
    lost: AtomicU64,
    /// The lines that found no room in the queue and that no line of the chain tells of yet.
    untold: AtomicU64,
    is_below_floor: AtomicBool,
    state: Mutex<ChainState>,
    serial: String,
}

/// Holds what the writer of the chain has said last.
#[derive(Debug, Clone, Default)]
struct ChainState {
    head: Option<Head>,
    error: Option<String>,
    run: Option<u64>,
    free_bytes: Option<u64>,
}

impl Losses {
    /// Returns the state of the chain for the status: its end, what was lost, and why nothing is written at present. It
    /// is null if no chain is written.
    pub fn chain_to_json(&self) -> Value {
        let Some(chain) = &self.chain else { return Value::Null };
        let state = chain.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        json!({
            "serial": chain.serial,
            "run": state.run,
            "seq": state.head.map(|head| head.seq),
            "blake3": state.head.map(|head| evidence::hex(&head.hash)),
            "lost": chain.lost.load(Ordering::Relaxed),
            "too_little_space": chain.is_below_floor.load(Ordering::Relaxed),
            "free_bytes": state.free_bytes,
            "error": state.error,
        })
    }

    fn lose_line(&self) {
        if let Some(chain) = &self.chain {
            chain.lost.fetch_add(1, Ordering::Relaxed);
            chain.untold.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends records to their thread. When it is dropped, the thread writes what waits and ends.
pub struct Records {
    sender: Option<SyncSender<Entry>>,
    edges: bool,
    losses: Arc<Losses>,
    ended: Arc<AtomicBool>,
}

/// Sends events to the chain. Any thread may have one. Without a chain, nothing happens.
#[derive(Clone, Default)]
pub struct Reporter {
    sender: Option<SyncSender<Entry>>,
    losses: Arc<Losses>,
}

impl Reporter {
    /// Tells the chain of an event, and never waits.
    pub fn tell(&self, event: Event) {
        let Some(sender) = &self.sender else { return };
        if sender.try_send(Entry::Event(Box::new(event))).is_err() {
            self.losses.lose_line();
        }
    }

    /// Tells the chain whether the valve has followed a pulse, and never waits. If there is no room, the records of the
    /// pulse say that nobody saw an edge.
    pub fn followed(&self, answer: Followed) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(Entry::Followed(answer));
        }
    }
}

impl Records {
    /// Starts the thread if the configuration asks for records. `evidence` says where the chain is written. With
    /// `patience`, the line of a part with a pulse waits so long for [`Reporter::followed`].
    pub fn start(
        config: &RecordsConfig,
        evidence: Option<evidence::Settings>,
        patience: Option<Duration>,
    ) -> std::io::Result<(Records, Option<Thread>)> {
        let chain = evidence
            .as_ref()
            .map(|settings| Chain { serial: settings.device.serial.clone(), ..Chain::default() });
        let losses = Arc::new(Losses { chain, ..Losses::default() });
        let (edges, ended) = (config.edges.is_some(), Arc::<AtomicBool>::default());
        if config.file.is_none() && !edges && evidence.is_none() {
            return Ok((Records { sender: None, edges, losses, ended }, None));
        }
        let (sender, receiver) = sync_channel(QUEUE);
        let mut writers = Writers {
            parts: config.file.clone().map(|f| Rotated::new(f, config)),
            edges: config.edges.clone().map(|f| Rotated::new(f, config)),
            look: LOOK.1,
            chain: None,
            held: patience.map(Held::new),
            losses: losses.clone(),
            ended: ended.clone(),
        };
        let thread = std::thread::Builder::new().name("records".into()).spawn(move || {
            if let Some(mut settings) = evidence {
                // The program's file is read here, so that nobody waits for it.
                settings.software = device_identity::software();
                writers.look = settings.sync.clamp(LOOK.0, LOOK.1);
                writers.chain = Some((Writer::new(settings), WallClock::default()));
            }
            writers.run(&receiver);
        })?;
        Ok((Records { sender: Some(sender), edges, losses, ended }, Some(thread)))
    }

    /// Returns the counters of lost records.
    pub fn losses(&self) -> Arc<Losses> {
        self.losses.clone()
    }

    /// Returns a way to tell the chain of events.
    pub fn reporter(&self) -> Reporter {
        let sender = self.sender.clone().filter(|_| self.losses.chain.is_some());
        Reporter { sender, losses: self.losses.clone() }
    }

    /// Records a part.
    pub fn part(&self, record: Arc<PartRecord>) {
        if !self.push(Entry::Part(record)) {
            self.losses.lose_line();
        }
    }

    /// Records an edge, if edges are to be recorded.
    pub fn edge(&self, record: EdgeRecord) {
        if self.edges {
            self.push(Entry::Edge(record));
        }
    }

    fn push(&self, entry: Entry) -> bool {
        let Some(sender) = &self.sender else { return true };
        let is_sent = sender.try_send(entry).is_ok();
        if !is_sent {
            self.losses.dropped.fetch_add(1, Ordering::Relaxed);
        }
        is_sent
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // If the queue is full, the thread sees that the hub thread has ended when the queue is empty.
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(Entry::End);
        }
    }
}

/// The thread of the records. It ends when [`Records`] is gone and everything is written.
pub type Thread = std::thread::JoinHandle<()>;

struct Writers {
    parts: Option<Rotated>,
    edges: Option<Rotated>,
    chain: Option<(Writer, WallClock)>,
    /// The lines of the chain that wait, if any may have to.
    held: Option<Held>,
    /// The longest time between two looks at what is due.
    look: Duration,
    losses: Arc<Losses>,
    ended: Arc<AtomicBool>,
}

impl Writers {
    fn run(&mut self, entries: &Receiver<Entry>) {
        self.tick();
        let mut quiet_looks = 0;
        loop {
            let next = match entries.try_recv() {
                Err(TryRecvError::Empty) if quiet_looks < QUIET_LOOKS => {
                    std::thread::sleep(self.wait().min(POLL));
                    quiet_looks += 1;
                    entries.try_recv()
                }
                Err(TryRecvError::Empty) => {
                    entries.recv_timeout(self.wait()).map_err(|why| match why {
                        RecvTimeoutError::Timeout => TryRecvError::Empty,
                        RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                    })
                }
                next => next,
            };
            match next {
                Ok(Entry::End) | Err(TryRecvError::Disconnected) => break,
                Ok(entry) => {
                    self.write(entry);
                    quiet_looks = 0;
                }
                Err(TryRecvError::Empty) if self.ended.load(Ordering::SeqCst) => break,
                Err(TryRecvError::Empty) => {}
            }
            self.release(LineTime::now());
            self.tick();
        }
        // Pictures that are written at the end tell of themselves.
        while let Ok(entry) = entries.recv_timeout(GRACE) {
            self.write(entry);
            self.release(LineTime::now());
        }
        self.release(LineTime::NEVER);
        if let Some((writer, clock)) = &mut self.chain {
            writer.stop(&clock.now());
        }
    }

    fn write(&mut self, entry: Entry) {
        match entry {
            Entry::Part(record) => {
                write(&mut self.parts, &*record, &self.losses);
                self.link_in_order(Content::Part(record));
            }
            Entry::Edge(record) => write(&mut self.edges, &record, &self.losses),
            Entry::Event(event) => self.link_in_order(Content::Event(event)),
            Entry::Followed(answer) => {
                if let Some(held) = &mut self.held {
                    held.followed(answer);
                }
            }
            Entry::End => {}
        }
    }

    /// Adds a line to the chain, or to those that wait.
    fn link_in_order(&mut self, content: Content) {
        match &mut self.held {
            Some(held) => held.push(content, LineTime::now()),
            None => self.link(&content),
        }
    }

    /// Adds the lines to the chain that need not wait at `now`.
    fn release(&mut self, now: LineTime) {
        while let Some(content) = self.held.as_mut().and_then(|held| held.take(now)) {
            self.link(&content);
        }
    }

    /// Returns how long the thread may wait for the next entry.
    fn wait(&self) -> Duration {
        let until = self.held.as_ref().and_then(Held::until);
        until.map_or(self.look, |until| self.look.min(until.since(LineTime::now())))
    }

    /// Adds a line to the chain, if there is one.
    fn link(&mut self, content: &Content) {
        let Some((writer, clock)) = &mut self.chain else { return };
        let is_written = match content {
            Content::Part(record) => writer.part(record, &clock.now()),
            Content::Event(event) => writer.event(event, &clock.now()),
        };
        if !is_written && let Some(chain) = &self.losses.chain {
            chain.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does what is due for the chain, and shows its state.
    fn tick(&mut self) {
        let (Some((writer, clock)), Some(chain)) = (&mut self.chain, &self.losses.chain) else {
            return;
        };
        writer.lose(chain.untold.swap(0, Ordering::Relaxed));
        writer.tick(&clock.now());
        chain.is_below_floor.store(writer.is_below_floor(), Ordering::Relaxed);
        let state = ChainState {
            head: writer.head(),
            error: writer.last_error().map(str::to_owned),
            run: writer.run(),
            free_bytes: writer.free_bytes(),
        };
        *chain.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

fn write(file: &mut Option<Rotated>, record: &impl Serialize, losses: &Losses) {
    let Some(file) = file else { return };
    let line = serde_json::to_vec(record).unwrap_or_default();
    if !file.append(&line) {
        losses.failed.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::evidence::{DeviceName, Settings, verify};
    use crate::line::tracker::{Finished, Outcome, PartId};

    #[test]
    fn parts_and_events_reach_the_chain_also_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            folder: folder.path().join("records"),
            segment_bytes: 1 << 20,
            sync: Duration::from_millis(50),
            keep_days: 0,
            min_free_bytes: 0,
            key_file: Some(folder.path().join("device.key")),
            device: DeviceName {
                serial: device_identity::serial(),
                name: "n".into(),
                site: "s".into(),
            },
            software: evidence::Software { version: "", build: String::new() },
            boot: device_identity::boot(),
            start: Event::Start { drives_outputs: false, configuration_blake3: String::new() },
        };
        let config = RecordsConfig::default();
        let (records, thread) = Records::start(&config, Some(settings), None).expect("starts");
        let reporter = records.reporter();
        for number in 1..=500 {
            let at = Default::default();
            let (part, outcome) = (PartId(number), Outcome::Passed);
            let finished = Finished { part, triggered_at: at, at, outcome, at_gate: true };
            records.part(Arc::new(PartRecord::new(&finished, None, None)));
        }
        drop(records);
        // The hub thread has ended, and the archive has not.
        reporter.tell(Event::Picture { part: 1, stem: "s".into(), blake3: "b".into() });
        thread.expect("a thread").join().expect("ends");
        let mut last = vec![];
        let seen = verify(&folder.path().join("records"), None, &mut |line| {
            last.push(line.kind.to_owned());
            Ok(())
        });
        let seen = seen.expect("reads");
        assert_eq!((seen.bad, seen.parts, seen.lost), (None, 500, 0));
        assert_eq!(last.last_chunk::<3>().expect("lines"), &["picture", "stop", "checkpoint"]);
    }
}
