//! The line's own thread: events in, engine, outputs and work out.
//!
//! It owns the engine and is the only one to drive the outputs while all is well. It wakes for
//! events and for the moments that the engine asks for, does no I/O but the output lines, and
//! hands everything slow to other threads through bounded queues that it never waits for.

use super::capture;
use super::control;
use super::engine::{Command, Engine, Event, Fault, Finished, Line, Outcome, PartId, Reason};
use super::inspect::{Assessment, Job, Judged};
use super::outputs::Bank;
use super::records::{EdgeRecord, PartRecord, Records};
use super::status::{Samples, Snapshot};
use super::supervise::Alive;
use super::time::LineTime;
use crate::line::camera::Frame;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Messages that may wait for the line's thread.
pub const QUEUE: usize = 4096;
/// Longest sleep, so that the watchdog sees a sign of life.
const NAP: Duration = Duration::from_millis(50);

/// What the line's thread is told.
pub enum Message {
    /// An event for the engine.
    Event(Event),
    /// A frame of a free-running camera: a part by itself.
    Frame(Box<Frame>),
    /// What became of a captured part.
    Judged(Box<Judged>),
    /// A request from the control socket that has to keep its place among the events.
    Control(control::Request, control::Reply),
    /// No more triggers will come: stop when the last part has passed the gate.
    Finish,
    /// Take the safe state and stop.
    Stop,
}

/// The way to the line's thread, for every other thread.
#[derive(Clone)]
pub struct Outbox {
    sender: SyncSender<Message>,
    stop: Arc<AtomicBool>,
    lost_triggers: Arc<AtomicU32>,
}

impl Outbox {
    /// An outbox over a channel of [`QUEUE`] messages.
    pub fn new(sender: SyncSender<Message>, stop: Arc<AtomicBool>) -> Self {
        Outbox { sender, stop, lost_triggers: Arc::default() }
    }

    /// Whether the device is stopping.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Sends a message, waiting for room. Nobody listening means that the device is stopping.
    pub fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    /// Sends a message if there is room.
    pub fn try_send(&self, message: Message) -> bool {
        self.sender.try_send(message).is_ok()
    }

    /// Reports a trigger edge without ever waiting. One that finds no room is lost, and the next
    /// one says so.
    pub fn trigger(&self, at: LineTime, lost: u32) {
        let lost = self.lost_triggers.swap(0, Ordering::SeqCst).saturating_add(lost);
        let event = Event::Trigger { at, lost };
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Event(event)) {
            self.lose_triggers(lost.saturating_add(1));
        }
    }

    /// Counts triggers that nobody saw; the next trigger reports them.
    pub fn lose_triggers(&self, count: u32) {
        self.lost_triggers.fetch_add(count, Ordering::SeqCst);
    }
}

/// What the line's thread is connected to.
pub struct Links {
    /// The output lines.
    pub bank: Arc<Mutex<Bank>>,
    /// Captures on demand.
    pub captures: SyncSender<capture::Request>,
    /// Frames of a free-running camera, to be inspected.
    pub jobs: SyncSender<Job>,
    /// The log of parts.
    pub records: Records,
    /// Signs of life.
    pub alive: Arc<Alive>,
    /// Earliest begin of an exposure after its trigger.
    pub capture_delay: Duration,
    /// Whether every frame is a part, and no other part can have one.
    pub free_run: bool,
    /// Requests from the control socket that need no place among the events. They have a way of their own, which
    /// no other message can fill.
    pub requests: Receiver<control::Asked>,
}

/// The line's thread.
pub struct Hub {
    engine: Engine,
    links: Links,
    /// Assessments of parts that have not reached the gate.
    assessed: HashMap<PartId, Assessment>,
    /// Who waits for the outcome of a part.
    waiting: HashMap<PartId, control::Reply>,
    /// When the safe state was last asked for.
    safe_asked_at: LineTime,
    /// The frame of the trigger that is being handled.
    frame: Option<Box<Frame>>,
    samples: Samples,
    was_ready: bool,
    finishing: bool,
}

impl Hub {
    /// A hub around an engine.
    pub fn new(engine: Engine, links: Links) -> Self {
        Hub {
            engine,
            links,
            assessed: HashMap::new(),
            waiting: HashMap::new(),
            safe_asked_at: LineTime::default(),
            frame: None,
            samples: Samples::default(),
            was_ready: false,
            finishing: false,
        }
    }

    /// Runs until it is told to stop or nobody can tell it anything any more; the outputs have
    /// their safe levels afterwards.
    pub fn run(mut self, messages: &Receiver<Message>) -> Snapshot {
        loop {
            let now = LineTime::now();
            self.links.alive.hub_lives(now);
            // One a turn: so they can neither be held up by other messages nor hold them up.
            if let Ok((request, reply)) = self.links.requests.try_recv() {
                self.control(request, reply);
            }
            let wake = self.engine.next_wake().unwrap_or(now + NAP).min(now + NAP);
            match messages.recv_timeout(wake.since(now)) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Message::Finish) => self.finishing = true,
                Ok(message) => self.message(message),
                Err(RecvTimeoutError::Timeout) => self.event(Event::Tick),
            }
            if self.finishing && self.idle() {
                break;
            }
        }
        self.event(Event::Safe);
        self.links.bank.lock().unwrap_or_else(PoisonError::into_inner).safe();
        self.snapshot()
    }

    /// Whether no part is on its way and no pulse lasts.
    fn idle(&self) -> bool {
        let quiet = self.engine.in_flight() == 0 && self.engine.outstanding() == 0;
        quiet && !self.engine.reject_output_is_active()
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.event(event),
            Message::Frame(frame) => {
                let at = frame.exposed_at;
                self.frame = Some(frame);
                self.event(Event::Trigger { at, lost: 0 });
                self.frame = None;
            }
            Message::Judged(judged) => self.judged(*judged),
            Message::Control(request, reply) => self.control(request, reply),
            Message::Finish | Message::Stop => {}
        }
    }

    fn event(&mut self, event: Event) {
        let mut commands = Vec::with_capacity(8);
        self.engine.handle(LineTime::now(), event, &mut commands);
        // Outputs first: nothing else may delay them.
        let mut refused = false;
        for command in &commands {
            if let Command::Set { line, active, at } = command {
                refused |= !self.set(*line, *active, *at);
            }
        }
        for command in commands {
            match command {
                Command::Set { .. } => {}
                Command::Capture { part, triggered_at, deadline } => {
                    self.capture(part, triggered_at, deadline);
                }
                Command::Finished(finished) => self.finished(finished),
            }
        }
        if refused && !self.engine.faults().any(|f| f == Fault::Outputs) {
            self.event(Event::Condition { fault: Fault::Outputs, present: true });
        }
        let ready = self.engine.is_ready();
        if ready && !self.was_ready {
            self.links.alive.became_ready();
        }
        self.was_ready = ready;
    }

    /// Drives an output; false where it refuses.
    fn set(&mut self, line: Line, active: bool, due: LineTime) -> bool {
        let mut bank = self.links.bank.lock().unwrap_or_else(PoisonError::into_inner);
        let result = bank.set(line, active);
        drop(bank);
        let at = LineTime::now();
        if matches!(line, Line::Ng | Line::Ok) {
            self.samples.pulse_lateness.add(at.since(due));
        }
        self.links.records.edge(EdgeRecord::new(line, active, due, at));
        match result {
            Ok(()) => true,
            Err(why) => {
                log::error!("output {line:?} refuses: {why}");
                false
            }
        }
    }

    fn capture(&mut self, part: PartId, triggered_at: LineTime, deadline: LineTime) {
        let sent = match self.frame.take() {
            Some(frame) => {
                let job = Job { part, triggered_at, deadline, frame: *frame };
                self.links.jobs.try_send(job).is_ok()
            }
            None => {
                let not_before = triggered_at + self.links.capture_delay;
                let request = capture::Request { part, triggered_at, not_before, deadline };
                self.links.captures.try_send(request).is_ok()
            }
        };
        if !sent {
            // The engine bounds the parts that wait, so a full queue means that a thread is gone.
            log::error!("part {} cannot be captured: its queue is full", part.0);
            let reject = Some(Reason::InspectionFailed);
            self.event(Event::Result { part, reject });
        }
    }

    fn judged(&mut self, judged: Judged) {
        let reject = match &judged.result {
            Ok(assessment) => (!assessment.passes).then_some(Reason::Defect),
            Err(reason) => Some(*reason),
        };
        if let Ok(assessment) = judged.result {
            self.samples.add(&assessment, judged.triggered_at, LineTime::now());
            if self.engine.is_on_its_way(judged.part) {
                self.assessed.insert(judged.part, assessment);
            }
        }
        self.event(Event::Result { part: judged.part, reject });
    }

    fn finished(&mut self, finished: Finished) {
        let assessment = self.assessed.remove(&finished.part);
        let record = PartRecord::new(&finished, assessment);
        if let Outcome::Rejected(reason) = finished.outcome
            && reason.is_unproven()
        {
            log::debug!("part {} is rejected: {reason:?}", finished.part.0);
        }
        if let Some(answer) = self.waiting.remove(&finished.part) {
            answer.give(control::Answer::Part(Box::new(record.clone())));
        }
        self.links.records.part(record);
    }

    fn control(&mut self, request: control::Request, reply: control::Reply) {
        let answer = match request {
            control::Request::Status => control::Answer::Status(Box::new(self.snapshot())),
            control::Request::Trigger if self.links.free_run => {
                control::Answer::Failed("every frame of the camera is a part already".into())
            }
            control::Request::Trigger => {
                self.event(Event::Trigger { at: LineTime::now(), lost: 0 });
                let part = PartId(self.engine.counters().triggers);
                if self.engine.is_on_its_way(part) {
                    // The answer is the part's record, when it has reached the gate.
                    self.waiting.insert(part, reply);
                    return;
                }
                let why = if self.engine.is_safe() {
                    "the part is rejected: the line is in its safe state"
                } else {
                    "the part is rejected: too many are in flight"
                };
                control::Answer::Done(why.into())
            }
            control::Request::Safe => {
                log::warn!("safe state by request");
                self.safe_asked_at = reply.asked_at();
                self.event(Event::Safe);
                // Whoever took the outputs there without this thread can let go of them.
                self.links.bank.lock().unwrap_or_else(PoisonError::into_inner).release();
                control::Answer::Done("safe".into())
            }
            // Requests for the safe state overtake what waits for this thread.
            control::Request::Resume if reply.asked_at() <= self.safe_asked_at => {
                control::Answer::Failed("the safe state was asked for after this; it stays".into())
            }
            control::Request::Resume => {
                log::warn!("the safe state ends by request");
                self.event(Event::Resume);
                control::Answer::Done("resumed".into())
            }
            control::Request::Acknowledge => {
                self.event(Event::Acknowledge);
                control::Answer::Done("acknowledged".into())
            }
            // Not for this thread.
            control::Request::Reload
            | control::Request::Teach(..)
            | control::Request::Undo(_)
            | control::Request::History => control::Answer::Failed("not understood".into()),
        };
        reply.give(answer);
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            safe: self.engine.is_safe(),
            ready: self.engine.is_ready(),
            faults: self.engine.faults().collect(),
            in_flight: self.engine.in_flight(),
            outstanding: self.engine.outstanding(),
            counters: *self.engine.counters(),
            samples: self.samples.clone(),
        }
    }
}
