//! Measures how fast this device inspects parts, and how late its outputs are.

use super::config::LineConfig;
use super::hub::{Hub, Links};
use super::messages::{Judged, Message, WantedFrame};
use super::outbox::{Outbox, QUEUE};
use super::outputs::Bank;
use super::records::Records;
use super::status::Series;
use super::supervise::become_realtime;
use super::tracker::{Event, Fault, PartTracker, Pitch, Reason, Settings, Travel};
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use crate::image::Picture;
use crate::inspection::{Pipeline, StageTimes};
use crate::scoring::Verdict;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

/// The number of first inspections that are not counted, because they fill the caches.
const WARM_UP: u32 = 3;
/// The time from one trigger to the next.
const PERIOD: Duration = Duration::from_millis(20);
/// The time from a trigger to the reject pulse.
const TRAVEL: Duration = Duration::from_millis(15);
/// The length of the reject pulse.
const WIDTH: Duration = Duration::from_millis(2);

/// Inspects `picture` `runs` times after some runs that do not count. Returns the times of each, and the verdict.
///
/// # Errors
/// Returns the errors of [`Pipeline::inspect`].
pub fn stages(
    pipeline: &Pipeline,
    picture: &Picture,
    runs: u32,
) -> Result<(Vec<StageTimes>, Verdict)> {
    let view = picture.view()?;
    let start = LineTime::now();
    let (mut times, mut verdict) = (Vec::new(), Verdict::Ok);
    for run in 0..runs.saturating_add(WARM_UP) {
        let found = pipeline.inspect(&view, &|| LineTime::now().since(start))?;
        verdict = found.decided.verdict;
        if run >= WARM_UP {
            times.push(found.times);
        }
    }
    Ok((times, verdict))
}

/// Holds how late reject pulses were.
pub struct PulseTimes {
    /// The times from when an output was due to its change: two for each pulse.
    pub lateness: Series,
    /// Why the thread that drives the outputs had no real-time priority, if it had none.
    pub not_realtime: Option<String>,
}

/// Rejects `pulses` parts on simulated outputs with the threads of a production line. Meanwhile it calls `load` again
/// and again on this thread, as inspections load a device.
///
/// # Errors
/// Returns [`Kind::Io`] if a thread cannot be started or fails, and the errors of `load`.
pub fn pulses(
    config: &LineConfig,
    pulses: u32,
    mut load: impl FnMut() -> Result<()>,
) -> Result<PulseTimes> {
    let (sender, messages) = sync_channel(QUEUE);
    let hub = Outbox::new(sender, Arc::default());
    let (captures, wanted) = sync_channel(QUEUE);
    let links = links(config, &hub, captures)?;
    let priority = config.realtime.priority;
    let line = start("line", move || {
        let not_realtime = become_realtime(priority).err();
        let snapshot =
            Hub::new(PartTracker::new(settings(), LineTime::now()), links).run(&messages);
        PulseTimes { lateness: snapshot.samples.pulse_lateness, not_realtime }
    })?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (judge, over) = (hub.clone(), is_over.clone());
    let judge = start("judge", move || reject_all(&judge, &wanted))?;
    let trigger = start("trigger", move || {
        trigger(&hub, pulses);
        over.store(true, Ordering::SeqCst);
    })?;
    let mut loaded = Ok(());
    while loaded.is_ok() && !is_over.load(Ordering::SeqCst) {
        loaded = load();
    }
    let failed = |_| Error::new(Kind::Io, "a thread of the measurement has failed");
    trigger.join().map_err(failed)?;
    let times = line.join().map_err(failed)?;
    judge.join().map_err(failed)?;
    loaded.map(|()| times)
}

/// Returns the settings of a belt with short ways.
fn settings() -> Settings {
    Settings {
        travel: Travel::Time(TRAVEL),
        min_pitch: Pitch::Time(WIDTH),
        deadline: TRAVEL,
        ng_width: WIDTH,
        ok_width: WIDTH,
        strobe_delay: Duration::ZERO,
        strobe_width: Duration::ZERO,
        heartbeat_half_period: Duration::ZERO,
        max_in_flight: 64,
        max_waiting: 64,
        alarm_after: 0,
        ng_active_when_safe: false,
    }
}

fn links(
    config: &LineConfig,
    hub: &Outbox,
    captures: std::sync::mpsc::SyncSender<WantedFrame>,
) -> Result<Links> {
    let mut outputs = config.outputs.clone();
    outputs.simulate = true;
    let not_started = |e| Error::new(Kind::Io, format!("a thread cannot be started: {e}"));
    // Nobody inspects and nobody asks, so nobody holds the other ends.
    let ((jobs, _), (_, requests)) = (sync_channel(1), sync_channel(1));
    Ok(Links {
        bank: Arc::new(Mutex::new(Bank::open(&outputs)?)),
        captures,
        jobs,
        records: Records::start(&Default::default(), None, None).map_err(not_started)?.0,
        feed: None,
        feedback: None,
        alive: Arc::default(),
        light: Arc::default(),
        commissioning: Duration::ZERO,
        expanders: Vec::new(),
        capture_delay: Duration::ZERO,
        free_run: false,
        lost_parts: hub.lost_parts(),
        requests,
    })
}

/// Triggers `count` parts, then ends the line.
fn trigger(hub: &Outbox, count: u32) {
    for fault in [Fault::Template, Fault::Camera] {
        hub.send(Message::Event(Event::Condition { fault, present: false }));
    }
    let start = LineTime::now();
    for part in 1..=count {
        std::thread::sleep((start + PERIOD.saturating_mul(part)).since(LineTime::now()));
        hub.trigger(LineTime::now(), 0);
    }
    hub.send(Message::Finish);
}

/// Answers every capture at once, until the line ends.
fn reject_all(hub: &Outbox, wanted: &Receiver<WantedFrame>) {
    while let Ok(WantedFrame { part, triggered_at, .. }) = wanted.recv() {
        let judged = Judged { part, triggered_at, result: Err(Reason::Defect) };
        hub.send(Message::Judged(Box::new(judged)));
    }
}

fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<std::thread::JoinHandle<T>> {
    let started = Builder::new().name(name.into()).spawn(work);
    started.map_err(|e| Error::new(Kind::Io, format!("the thread {name} cannot be started: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[template]\nfile = \"-\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
        source = \"folder\"\nfolder = \"-\"\nframes_per_second = 1\n[reject]\ndelay_us = 100000\n\
        pulse_width_us = 1000\n[outputs]\nsimulate = true\nng = { line = 1 }\n[realtime]\npriority = 0\n";

    #[test]
    fn every_pulse_is_timed_while_the_load_goes_on() {
        let config = LineConfig::parse(CONFIG, "test").expect("reads");
        let mut calls = 0;
        let times = pulses(&config, 10, || {
            calls += 1;
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        })
        .expect("measures");
        assert_eq!(times.lateness.to_json()["count"], 20, "ten pulses have twenty edges");
        assert!(calls > 10 && times.not_realtime.is_none(), "{calls}");
        let failed = pulses(&config, 1, || Err(Error::model("a fault of its own")));
        assert!(failed.err().expect("fails").to_string().contains("a fault of its own"));
    }
}
