//! Watches the production line: signs of life, the panic hook, and the service manager's watchdog.

use super::alive::Alive;
use super::messages::Message;
use super::outbox::Outbox;
use super::outputs::Bank;
use super::tracker::{Event, Fault};
use crate::clock::LineTime;
use crate::containment;
use std::io::Write;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

/// The number of milliseconds for which the program tries to reach the outputs.
const TRIES: u32 = 50;

/// Says what a look at the signs of life found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Every thread lives.
    Good,
    /// The inspection does not return. Parts are rejected at their deadlines.
    InspectionHangs,
    /// The hub thread does not run, so nobody drives the outputs.
    LineHangs,
}

/// Watches the other threads from the main thread.
pub struct Supervisor {
    alive: Arc<Alive>,
    inspection_timeout: Duration,
    hub: Outbox,
    told: bool,
    notified: bool,
    watchdog: Option<Duration>,
    fed: LineTime,
}

impl Supervisor {
    /// Makes a supervisor that feeds the service manager's watchdog, if there is one.
    pub fn new(alive: Arc<Alive>, inspection_timeout: Duration, hub: Outbox) -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        let fed = LineTime::default();
        Supervisor { alive, inspection_timeout, hub, told: false, notified: false, watchdog, fed }
    }

    /// Looks once at the signs of life. Feeds the watchdog only while everything lives.
    pub fn look(&mut self, now: LineTime) -> Health {
        if !self.alive.hub_is_alive(now) {
            return Health::LineHangs;
        }
        let hangs = !self.alive.inspection_is_alive(now, self.inspection_timeout);
        if hangs != self.told {
            let event = Event::Condition { fault: Fault::Inspection, present: hangs };
            if self.hub.try_send(Message::Event(event)) {
                self.told = hangs;
                let verb = if hangs { "does not come back" } else { "has come back" };
                log::error!("the inspection {verb}");
            }
        }
        if hangs {
            return Health::InspectionHangs;
        }
        if !self.notified && self.alive.was_ready() {
            self.notified = true;
            tell(&[sd_notify::NotifyState::Ready]);
            log::info!("ready");
        }
        if self.watchdog.is_some_and(|limit| now.since(self.fed) >= limit / 4) {
            self.fed = now;
            tell(&[sd_notify::NotifyState::Watchdog]);
        }
        Health::Good
    }
}

/// Tells the service manager a state. Without a service manager it does nothing.
pub fn tell(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(state) {
        log::warn!("the service manager cannot be told: {why}");
    }
}

/// Installs the panic hook. From then on a panic of any thread takes the outputs to their safe state and ends the
/// process, so that the service manager starts it again. Contained panics are the exception.
pub fn install_panic_hook(bank: Arc<Mutex<Bank>>) {
    std::panic::set_hook(Box::new(move |panic| {
        if containment::is_contained() {
            log::error!("a decoder or a feature extractor has failed because of a bug: {panic}");
            return;
        }
        take_outputs(&bank, true);
        let what = "hetmm-edge has failed because of a bug, and goes to its safe state";
        // If standard error cannot be written, nobody can be told. Another panic would not help.
        let _ = writeln!(std::io::stderr(), "error: {what}: {panic}");
        std::process::exit(5);
    }));
}

/// Takes the outputs to their safe levels, and returns whether they could be reached. With `for_good` they stay there,
/// otherwise they are held as by [`Bank::hold`]. Their lock is held for microseconds, or by the very thread that
/// panics. In that case the kernel lets go of the GPIO lines when the process ends.
pub(super) fn take_outputs(bank: &Mutex<Bank>, for_good: bool) -> bool {
    for _ in 0..TRIES {
        let mut bank = match bank.try_lock() {
            Ok(bank) => bank,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
        };
        if for_good {
            bank.safe()
        } else {
            bank.hold()
        }
        return true;
    }
    false
}

/// Takes the outputs to their safe state for good, whatever the hub thread does.
pub fn take_safe_state(bank: &Mutex<Bank>) {
    if !take_outputs(bank, true) {
        log::error!("the driver of an output does not answer: the other outputs cannot be set");
    }
}

/// Gives the calling thread a real-time priority and no timer slack, if this user may do so.
pub fn become_realtime(priority: u8) -> std::result::Result<(), String> {
    // This is best effort. Without it, a normal thread's timers may be 50 us late.
    let _ = nix::sys::prctl::set_timerslack(1);
    if priority == 0 {
        return Ok(());
    }
    use thread_priority::{
        RealtimeThreadSchedulePolicy::Fifo, ThreadPriority, ThreadPriorityValue,
        ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    };
    let value = ThreadPriorityValue::try_from(priority).map_err(|e| e.to_string())?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(value),
        ThreadSchedulePolicy::Realtime(Fifo),
    )
    .map_err(|e| format!("{e:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpio::LineRef;
    use crate::line::config::{FaultConfig, LineConfig};
    use crate::line::tracker::Line;
    use std::sync::mpsc::sync_channel;

    const T0: LineTime = LineTime::from_nanos(1_000_000_000_000);

    fn after(milliseconds: u64) -> LineTime {
        T0 + Duration::from_millis(milliseconds)
    }

    #[test]
    fn signs_of_life_decide() {
        let (sender, messages) = sync_channel(16);
        let hub = Outbox::new(sender, Arc::default());
        let alive = Arc::new(Alive::default());
        let mut supervisor = Supervisor::new(alive.clone(), Duration::from_secs(5), hub);
        alive.hub_lives(T0);
        assert_eq!(supervisor.look(after(999)), Health::Good);
        assert_eq!(supervisor.look(after(1000)), Health::LineHangs);
        alive.inspection_begins(after(1000));
        alive.hub_lives(after(5900));
        assert_eq!(supervisor.look(after(5999)), Health::Good);
        alive.hub_lives(after(6000));
        assert_eq!(supervisor.look(after(6000)), Health::InspectionHangs);
        assert_eq!(supervisor.look(after(6100)), Health::InspectionHangs);
        alive.inspection_ends();
        assert_eq!(supervisor.look(after(6200)), Health::Good);
        let told: Vec<bool> = messages
            .try_iter()
            .filter_map(|message| match message {
                Message::Event(Event::Condition { fault: Fault::Inspection, present }) => {
                    Some(present)
                }
                _ => None,
            })
            .collect();
        assert_eq!(told, [true, false], "the tracker is told once of each change");
    }

    #[test]
    fn a_panic_with_the_outputs_in_hand_still_reaches_the_safe_state() {
        let text = "[template]\nfile = \"-\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
                    source = \"folder\"\nfolder = \"-\"\nframes_per_second = 1\n[reject]\n\
                    delay_us = 1000\npulse_width_us = 1000\n[outputs]\nsimulate = true\n";
        let mut outputs = LineConfig::parse(text, "test").expect("reads").outputs;
        let line = LineRef::Offset(1);
        outputs.fault = Some(FaultConfig { chip: None, line, healthy: Default::default() });
        let bank = Arc::new(Mutex::new(Bank::open(&outputs).expect("opens")));
        let pin = bank.lock().expect("locks").memory(Line::Fault).expect("wired");
        let held = bank.clone();
        let panicked = std::thread::spawn(move || {
            let mut bank = held.lock().expect("locks");
            bank.set(Line::Fault, false).expect("sets");
            panic!("on purpose, with the lock held");
        });
        assert!(panicked.join().is_err() && bank.is_poisoned());
        assert!(pin.is_high(), "energised: healthy");
        assert!(take_outputs(&bank, true));
        assert!(!pin.is_high(), "the fault shows");
    }
}
