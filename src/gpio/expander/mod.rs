//! Drives outputs on an I2C or SPI expander. Every expander has a thread of its own, and nobody else waits for its bus.
//!
//! A change goes to the thread through a queue of [`QUEUE`] changes. The thread makes it and reads it back. An error, or
//! [`SILENCE`] without progress, shows in [`ExpanderHealth`].

mod port;
mod registers;

pub use port::ExpanderKind;

use super::pin_error::PinError;
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use port::Port;
use registers::Registers;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The number of changes that may wait for the bus.
const QUEUE: usize = 64;
/// The time without progress after which an expander counts as failed.
const SILENCE: Duration = Duration::from_millis(20);

/// Says where an expander is and what it has.
#[derive(Debug, Clone, Copy)]
pub struct ExpanderSettings<'a> {
    /// The name in messages.
    pub name: &'a str,
    /// The chip.
    pub kind: ExpanderKind,
    /// The device file of the bus.
    pub bus: &'a Path,
    /// The address of the chip on the bus.
    pub address: u8,
    /// The pins that are outputs, by their bits.
    pub outputs: u16,
    /// The first levels of these pins, by their bits. They are also the levels of [`Expander::latch`].
    pub levels: u16,
}

impl ExpanderSettings<'_> {
    fn registers(&self) -> std::result::Result<Box<dyn Registers>, String> {
        match self.kind.is_on_spi() {
            true => registers::on_spi(self.bus, self.address),
            false => registers::on_i2c(self.bus, self.address),
        }
    }

    fn error(&self, why: &str) -> Error {
        let (name, bus, address) = (self.name, self.bus.display(), self.address);
        let what = format!("expander {name}: {bus} address {address:#04x}: {why}");
        let remedy = "check wiring, power and address; no driver of the kernel may have the chip";
        Error::new(Kind::Io, what).advise(remedy)
    }
}

/// Asks for a change of one pin.
struct Change {
    pin: u8,
    high: bool,
}

/// Holds what the thread of an expander and the others share.
#[derive(Debug, Default)]
struct Shared {
    /// The numbers of changes that were asked for, and that were made or have failed.
    asked: AtomicU64,
    done: AtomicU64,
    /// The moment of the last progress, in nanoseconds: a change was made, or the first one was asked for.
    moved_at: AtomicU64,
    has_failed: AtomicBool,
    /// Whether the first levels are kept until the process ends.
    is_latched: AtomicBool,
}

/// Says whether an expander works.
#[derive(Debug, Clone)]
pub struct ExpanderHealth(Arc<Shared>);

impl ExpanderHealth {
    /// Returns whether a change has failed, or the bus is silent although a change waits.
    pub fn has_failed(&self, now: LineTime) -> bool {
        self.0.has_failed.load(Ordering::SeqCst) || self.silent_from().is_some_and(|at| at <= now)
    }

    /// Returns the moment at which the expander counts as failed if its bus stays silent. It is `None` if no change
    /// waits.
    pub fn silent_from(&self) -> Option<LineTime> {
        let waits = self.0.asked.load(Ordering::SeqCst) > self.0.done.load(Ordering::SeqCst);
        let moved_at = LineTime::from_nanos(self.0.moved_at.load(Ordering::SeqCst));
        waits.then(|| moved_at + SILENCE)
    }
}

/// Holds an expander that is driven by its thread.
pub struct Expander {
    sender: SyncSender<Change>,
    shared: Arc<Shared>,
}

impl Expander {
    /// Opens an expander, gives its outputs their first levels and starts its thread, which calls `prepare` first.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if the bus or the chip does not answer, if a driver of the kernel has the chip, or if a pin
    /// does not take its level.
    pub fn open(
        settings: &ExpanderSettings<'_>,
        prepare: impl FnOnce() + Send + 'static,
    ) -> Result<Self> {
        let started = settings.registers().and_then(|registers| {
            let port = Port::begin(settings.kind, registers, settings.outputs, settings.levels)?;
            Self::start(settings.name, port, settings.levels, prepare)
        });
        started.map_err(|why| settings.error(&why))
    }

    /// Looks whether an expander answers. It changes no level.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if the bus or the chip does not answer, or if a driver of the kernel has the chip. An SPI bus
    /// never says whether a chip is there.
    pub fn probe(settings: &ExpanderSettings<'_>) -> Result<()> {
        settings.registers().map(drop).map_err(|why| settings.error(&why))
    }

    /// Starts the thread of an expander whose outputs have the levels `safe`.
    fn start(
        name: &str,
        port: Port,
        safe: u16,
        prepare: impl FnOnce() + Send + 'static,
    ) -> std::result::Result<Self, String> {
        let (sender, changes) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let worker = Worker { name: name.into(), shared: shared.clone(), changes };
        let spawned = std::thread::Builder::new().name("expander".into()).spawn(move || {
            prepare();
            worker.run(port, safe);
        });
        spawned.map_err(|e| format!("its thread cannot be started: {e}"))?;
        Ok(Expander { sender, shared })
    }

    /// Returns one of the pins that are outputs.
    pub fn pin(&self, pin: u8) -> ExpanderPin {
        ExpanderPin { pin, sender: self.sender.clone(), shared: self.shared.clone() }
    }

    /// Returns whether the expander works.
    pub fn health(&self) -> ExpanderHealth {
        ExpanderHealth(self.shared.clone())
    }

    /// Gives all outputs their first levels for good, whatever waits in the queue. It does not wait for the bus.
    pub fn latch(&self) {
        self.shared.is_latched.store(true, Ordering::SeqCst);
        // This wakes the thread. If the queue is full, the thread is awake.
        let _ = ask(&self.shared, &self.sender, Change { pin: 0, high: false });
    }

    /// Waits until every change was made, for at most `limit`. Returns whether that is so.
    pub fn settle(&self, limit: Duration) -> bool {
        let end = LineTime::now() + limit;
        while self.shared.done.load(Ordering::SeqCst) < self.shared.asked.load(Ordering::SeqCst) {
            if LineTime::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    }
}

/// Puts a change into the queue. Returns false if there is no room.
fn ask(shared: &Shared, sender: &SyncSender<Change>, change: Change) -> bool {
    let asked = shared.asked.fetch_add(1, Ordering::SeqCst);
    if asked == shared.done.load(Ordering::SeqCst) {
        shared.moved_at.store(LineTime::now().as_nanos(), Ordering::SeqCst);
    }
    let is_sent = sender.try_send(change).is_ok();
    if !is_sent {
        shared.asked.fetch_sub(1, Ordering::SeqCst);
    }
    is_sent
}

/// Holds a pin of an expander.
pub struct ExpanderPin {
    pin: u8,
    sender: SyncSender<Change>,
    shared: Arc<Shared>,
}

impl ExpanderPin {
    /// Asks for a level and does not wait for it.
    pub(super) fn set(&self, high: bool) -> std::result::Result<(), PinError> {
        if self.shared.has_failed.load(Ordering::SeqCst) {
            // It is tried all the same: the bus may work again.
            ask(&self.shared, &self.sender, Change { pin: self.pin, high });
            return Err(PinError::new("the expander has failed; see the log"));
        }
        match ask(&self.shared, &self.sender, Change { pin: self.pin, high }) {
            true => Ok(()),
            false => Err(PinError::new("too many changes wait for the expander's bus")),
        }
    }
}

/// Works in the expander's thread.
struct Worker {
    name: String,
    shared: Arc<Shared>,
    changes: Receiver<Change>,
}

impl Worker {
    /// Makes changes until nobody can ask for them any more.
    fn run(self, mut port: Port, safe: u16) {
        while let Ok(change) = self.changes.recv() {
            let made = match self.shared.is_latched.load(Ordering::SeqCst) {
                true => port.set_all(safe),
                false => port.set(change.pin, change.high),
            };
            if let Err(why) = made
                && !self.shared.has_failed.swap(true, Ordering::SeqCst)
            {
                log::error!("expander {}: {why}", self.name);
            }
            self.shared.moved_at.store(LineTime::now().as_nanos(), Ordering::SeqCst);
            self.shared.done.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::Sender;

    /// Plays a PCF8574: what was written is there, except for pins that are stuck low. It writes only as often as the
    /// test allows.
    struct Chip {
        byte: Arc<Mutex<u8>>,
        stuck: u8,
        allowed: Receiver<()>,
    }

    impl Registers for Chip {
        fn write(&mut self, _: Option<u8>, value: u8) -> std::result::Result<(), String> {
            self.allowed.recv_timeout(Duration::from_secs(20)).map_err(|e| e.to_string())?;
            *self.byte.lock().expect("locks") = value & !self.stuck;
            Ok(())
        }

        fn read(&mut self, _: Option<u8>) -> std::result::Result<u8, String> {
            Ok(*self.byte.lock().expect("locks"))
        }
    }

    /// Starts an expander with outputs at all pins, which begin low.
    fn start(stuck: u8) -> (Expander, Arc<Mutex<u8>>, Sender<()>) {
        let (allow, allowed) = std::sync::mpsc::channel();
        allow.send(()).expect("sends");
        let byte = Arc::new(Mutex::new(0xff));
        let chip = Chip { byte: byte.clone(), stuck, allowed };
        let port = Port::begin(ExpanderKind::Pcf8574, Box::new(chip), 0xff, 0).expect("begins");
        (Expander::start("test", port, 0, || ()).expect("starts"), byte, allow)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn changes_are_made_in_their_order_and_silence_shows() {
        let (expander, byte, allow) = start(0);
        let health = expander.health();
        assert_eq!(health.silent_from(), None, "nothing waits");
        let pin = expander.pin(3);
        let before = LineTime::now();
        pin.set(true).expect("asks");
        let silent_from = health.silent_from().expect("a change waits");
        assert!(silent_from >= before + SILENCE);
        assert!(!health.has_failed(silent_from - Duration::from_nanos(1)));
        assert!(health.has_failed(silent_from));
        pin.set(false).expect("asks");
        expander.pin(7).set(true).expect("asks");
        for _ in 0..3 {
            allow.send(()).expect("sends");
        }
        assert!(expander.settle(LONG));
        assert_eq!(*byte.lock().expect("locks"), 0b1000_0000);
        assert!(!health.has_failed(LineTime::NEVER), "all is done");
    }

    #[test]
    fn a_queue_that_is_full_refuses_and_the_latch_overtakes_what_waits() {
        let (expander, byte, allow) = start(0);
        let pin = expander.pin(0);
        let accepted = (0..2 * QUEUE).take_while(|_| pin.set(true).is_ok()).count();
        // One more than the queue holds, if the thread has taken the first one already.
        assert!((QUEUE..=QUEUE + 1).contains(&accepted), "{accepted}");
        expander.latch();
        assert!(!expander.settle(Duration::from_millis(5)), "the bus is silent");
        for _ in 0..2 * QUEUE {
            allow.send(()).expect("sends");
        }
        assert!(expander.settle(LONG));
        assert_eq!(*byte.lock().expect("locks"), 0, "the first levels");
    }

    #[test]
    fn a_pin_that_does_not_take_its_level_shows_until_the_end() {
        let (expander, _byte, allow) = start(0b0000_0010);
        for _ in 0..2 {
            allow.send(()).expect("sends");
        }
        expander.pin(1).set(true).expect("asks");
        assert!(expander.settle(LONG));
        assert!(expander.health().has_failed(LineTime::default()));
        let refused = expander.pin(0).set(false).expect_err("has failed").to_string();
        assert!(refused.contains("the expander has failed"), "{refused}");
        assert!(expander.settle(LONG), "it is tried all the same");
        assert!(expander.health().has_failed(LineTime::default()));
    }
}
