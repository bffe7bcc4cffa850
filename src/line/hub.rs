//! The line's own thread: events in, tracker, outputs and work out.
//!
//! It owns the tracker and is the only one to drive the outputs while all is well. It wakes for
//! events and for the moments that the tracker asks for, does no I/O but the output lines, and
//! hands everything slow to other threads through bounded queues that it never waits for.

use super::capture;
use super::control;
use super::inspect::{Assessment, Job, Judged};
use super::outputs::Bank;
use super::records::{EdgeRecord, PartRecord, Records};
use super::status::{Samples, Snapshot};
use super::supervise::Alive;
use super::tracker::{
    Command, Event, Fault, Finished, Line, Outcome, PartId, PartTracker, Reason, Watch,
};
use crate::camera::{BadFrame, Frame};
use crate::clock::LineTime;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Messages that may wait for the line's thread.
pub const QUEUE: usize = 4096;
/// Longest sleep, so that the watchdog sees a sign of life.
const NAP: Duration = Duration::from_millis(50);

/// What the line's thread is told.
pub enum Message {
    /// An event for the tracker.
    Event(Event),
    /// A frame of a free-running camera: a part by itself.
    Frame(Box<FreeFrame>),
    /// What became of a captured part.
    Judged(Box<Judged>),
    /// A request from the control socket that has to keep its place among the events.
    Control(control::Request, control::Reply),
    /// No more triggers will come: stop when the last part has passed the gate.
    Finish,
    /// Take the safe state and stop.
    Stop,
}

/// What a free-running camera gives.
pub struct FreeFrame {
    /// The frame; one that cannot be used is a part that is rejected.
    pub frame: std::result::Result<Frame, BadFrame>,
    /// Frames before it that were lost.
    pub lost: u32,
}

/// The way to the line's thread, for every other thread.
#[derive(Clone)]
pub struct Outbox {
    sender: SyncSender<Message>,
    stop: Arc<AtomicBool>,
    lost_parts: Arc<AtomicU32>,
}

impl Outbox {
    /// An outbox over a channel of [`QUEUE`] messages.
    pub fn new(sender: SyncSender<Message>, stop: Arc<AtomicBool>) -> Self {
        Outbox { sender, stop, lost_parts: Arc::default() }
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

    /// Reports a trigger edge without ever waiting. Where there is no room, the line's thread hears of
    /// it by another way; see [`Outbox::lost_parts`].
    pub fn trigger(&self, at: LineTime, lost: u32) {
        self.part(Message::Event(Event::Trigger { at, lost }), lost);
    }

    /// Reports a frame of a free-running camera, as [`Outbox::trigger`] does an edge.
    pub fn frame(&self, frame: FreeFrame) {
        let lost = frame.lost;
        self.part(Message::Frame(Box::new(frame)), lost);
    }

    /// Sends a message that tells of a part, and of `lost` parts before it.
    fn part(&self, message: Message, lost: u32) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(message) {
            self.lose_parts(lost.saturating_add(1));
        }
    }

    /// Reports parts that were there and that nobody will see: their belt is rejected.
    pub fn lose_parts(&self, parts: u32) {
        let add = |before: u32| Some(before.saturating_add(parts));
        let _ = self.lost_parts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        // If the queue has become empty in the meantime, this wakes the line's thread.
        self.try_send(Message::Event(Event::Tick));
    }

    /// Parts that found no room in the queue. The line's thread looks here at every turn, and not only
    /// when it has worked through what waits in the queue.
    pub fn lost_parts(&self) -> Arc<AtomicU32> {
        self.lost_parts.clone()
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
    /// Parts that found no room in the queue of messages: [`Outbox::lost_parts`].
    pub lost_parts: Arc<AtomicU32>,
    /// Requests from the control socket that need no place among the events. They have a way of their own, which
    /// no other message can fill.
    pub requests: Receiver<control::Asked>,
}

/// The line's thread.
pub struct Hub {
    tracker: PartTracker,
    links: Links,
    /// Assessments of parts that have not reached the gate.
    assessed: HashMap<PartId, Assessment>,
    /// Who waits for the outcome of a part.
    waiting: HashMap<PartId, control::Reply>,
    /// When the safe state was last asked for.
    safe_asked_at: LineTime,
    /// The frame of the trigger that is being handled.
    frame: Option<std::result::Result<Frame, BadFrame>>,
    /// Whether a part was lost since the queue of messages was last empty.
    queue_overran: bool,
    samples: Samples,
    was_ready: bool,
    finishing: bool,
}

impl Hub {
    /// A hub around a tracker.
    pub fn new(tracker: PartTracker, links: Links) -> Self {
        Hub {
            tracker,
            links,
            assessed: HashMap::new(),
            waiting: HashMap::new(),
            safe_asked_at: LineTime::default(),
            frame: None,
            queue_overran: false,
            samples: Samples::default(),
            was_ready: false,
            finishing: false,
        }
    }

    /// Runs until it is told to stop or nobody can tell it anything any more; the outputs have
    /// their safe levels afterwards.
    pub fn run(mut self, messages: &Receiver<Message>) -> Snapshot {
        loop {
            self.links.alive.hub_lives(LineTime::now());
            // One a turn: so they can neither be held up by other messages nor hold them up.
            if let Ok((request, reply)) = self.links.requests.try_recv() {
                self.control(request, reply);
            }
            self.notice_lost_parts();
            match self.next_message(messages) {
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

    /// The next message, or a timeout when it is time to call the tracker.
    fn next_message(
        &mut self,
        messages: &Receiver<Message>,
    ) -> std::result::Result<Message, RecvTimeoutError> {
        match messages.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        if std::mem::take(&mut self.queue_overran) {
            // All that was sent before the loss, encoder counts among it, has been handled.
            self.event(Event::Seeing { watch: Watch::Queue });
        }
        let now = LineTime::now();
        let wake = self.tracker.next_wake().unwrap_or(now + NAP).min(now + NAP);
        messages.recv_timeout(wake.since(now))
    }

    /// Tells the tracker of parts that found no room in the queue, before what waits there: the first of
    /// them may be at the gate by the time that all of that is done.
    fn notice_lost_parts(&mut self) {
        let parts = self.links.lost_parts.swap(0, Ordering::SeqCst);
        if parts > 0 {
            log::error!("{parts} parts are rejected unseen: a queue of the line was full");
            self.queue_overran = true;
            self.event(Event::Blind { watch: Watch::Queue, parts });
        }
    }

    /// Whether no part is on its way and no pulse lasts.
    fn idle(&self) -> bool {
        let quiet = self.tracker.in_flight() == 0 && self.tracker.outstanding() == 0;
        quiet && !self.tracker.reject_output_is_active()
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.event(event),
            Message::Frame(free) => {
                let FreeFrame { frame, lost } = *free;
                let at = frame.as_ref().map_or_else(|bad| bad.exposed_at, |frame| frame.exposed_at);
                self.frame = Some(frame);
                self.event(Event::Trigger { at, lost });
                self.frame = None;
            }
            Message::Judged(judged) => self.judged(*judged),
            Message::Control(request, reply) => self.control(request, reply),
            Message::Finish | Message::Stop => {}
        }
    }

    fn event(&mut self, event: Event) {
        let mut commands = Vec::with_capacity(8);
        self.tracker.handle(LineTime::now(), event, &mut commands);
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
        if refused && !self.tracker.faults().any(|f| f == Fault::Outputs) {
            self.event(Event::Condition { fault: Fault::Outputs, present: true });
        }
        let ready = self.tracker.is_ready();
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
            Some(Ok(frame)) => {
                let job = Job { part, triggered_at, deadline, frame };
                self.links.jobs.try_send(job).is_ok()
            }
            Some(Err(bad)) => {
                log::warn!("part {}: a frame cannot be used: {}", part.0, bad.why);
                let reject = Some(Reason::BadFrame);
                return self.event(Event::Result { part, reject });
            }
            None => {
                let not_before = triggered_at + self.links.capture_delay;
                let request = capture::Request { part, triggered_at, not_before, deadline };
                self.links.captures.try_send(request).is_ok()
            }
        };
        if !sent {
            // The tracker bounds the parts that wait, so a full queue means that a thread is gone.
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
            if self.tracker.is_on_its_way(judged.part) {
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
                let part = PartId(self.tracker.counters().triggers);
                if self.tracker.is_on_its_way(part) {
                    // The answer is the part's record, when it has reached the gate.
                    self.waiting.insert(part, reply);
                    return;
                }
                let why = if self.tracker.is_safe() {
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
            safe: self.tracker.is_safe(),
            ready: self.tracker.is_ready(),
            faults: self.tracker.faults().collect(),
            in_flight: self.tracker.in_flight(),
            outstanding: self.tracker.outstanding(),
            counters: *self.tracker.counters(),
            samples: self.samples.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::config::{LineConfig, RecordsConfig};
    use std::sync::mpsc::sync_channel;

    const CONFIG: &str = "[template]\nfile = \"-\"\n[trigger]\nsource = \"software\"\n[camera]\n\
        source = \"folder\"\nfolder = \"-\"\n[reject]\ndelay_us = 100000\ndeadline_us = 90000\n\
        pulse_width_us = 1000\n[outputs]\nsimulate = true\nng = { line = 1, safe = \"inactive\" }\n\
        fault = { line = 2 }\n[control]\nsocket = \"/nowhere/edge.sock\"\n";

    /// A trigger that found the queue full was told with the next one, which may come too late.
    #[test]
    fn parts_that_find_the_queue_full_close_the_gate_before_the_queue_has_been_worked_through() {
        let config = LineConfig::parse(CONFIG, "test").expect("reads");
        let bank = Arc::new(Mutex::new(Bank::open(&config.outputs).expect("opens")));
        let pin = bank.lock().expect("locks").memory(Line::Ng).expect("wired");
        let (sender, messages) = sync_channel(4);
        let outbox = Outbox::new(sender, Arc::default());
        let (records, _) = Records::start(&RecordsConfig::default()).expect("starts");
        let ((captures, _requested), (jobs, _inspection)) = (sync_channel(1), sync_channel(1));
        let (_asked, requests) = sync_channel(1);
        let links = Links {
            bank,
            captures,
            jobs,
            records,
            alive: Arc::default(),
            capture_delay: Duration::ZERO,
            free_run: false,
            lost_parts: outbox.lost_parts(),
            requests,
        };
        for _ in 0..4 {
            assert!(outbox.try_send(Message::Event(Event::Tick)));
        }
        outbox.trigger(LineTime::now(), 2);
        let mut hub = Hub::new(PartTracker::new(config.tracker(), LineTime::now()), links);
        hub.notice_lost_parts();
        assert!(pin.is_high(), "the lost parts may be at the gate by now");
        assert_eq!(hub.tracker.counters().rejected_for(Reason::LostTrigger), 3);
        // The gate opens again when all that was waiting has been handled and the belt has moved on.
        let end = LineTime::now() + Duration::from_secs(10);
        while pin.is_high() && LineTime::now() < end {
            match hub.next_message(&messages) {
                Ok(message) => hub.message(message),
                Err(_) => hub.event(Event::Tick),
            }
        }
        assert!(!pin.is_high() && !hub.tracker.faults().any(|f| f == Fault::Overflow));
    }
}
