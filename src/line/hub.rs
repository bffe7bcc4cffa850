//! Runs the hub thread of the production line. It takes events, asks the part tracker, drives the outputs and hands out
//! work.
//!
//! The hub owns the part tracker, and only the hub drives the outputs while all is well. It wakes for events and for
//! the moments that the part tracker asks for. It does no I/O except on the output lines. It passes everything slow to
//! other threads through bounded queues, and it never waits for these queues.

use super::alive::Alive;
use super::assessment::Assessment;
use super::feed::Feed;
use super::feedback::Teller;
use super::gate::{Gates, Pulse};
use super::light::Light;
use super::messages::{FreeFrame, Job, Judged, Message, WantedFrame};
use super::outputs::Bank;
use super::record::{EdgeRecord, PartRecord};
use super::records::Records;
use super::reply::{Answer, Asked, Reply};
use super::request::Request;
use super::status::{Samples, Snapshot};
use super::test_pulse::{self, TestPulse};
use super::tracker::{
    Command, Event, Fault, Finished, Line, Outcome, PartId, PartTracker, Reason, Watch,
};
use crate::camera::{BadFrame, Frame};
use crate::clock::LineTime;
use crate::gpio::ExpanderHealth;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest sleep, so that the watchdog sees a sign of life.
const NAP: Duration = Duration::from_millis(50);

/// Holds what the hub thread is connected to.
pub struct Links {
    /// The output lines.
    pub bank: Arc<Mutex<Bank>>,
    /// The channel of captures on demand.
    pub captures: SyncSender<WantedFrame>,
    /// The channel of frames of a free-running camera to the inspection.
    pub jobs: SyncSender<Job>,
    /// The log of parts and edges.
    pub records: Records,
    /// What hands records to other processes, if there is one.
    pub feed: Option<Feed>,
    /// What watches the feedback of the reject output, if there is one.
    pub feedback: Option<Teller>,
    /// The signs of life of the threads.
    pub alive: Arc<Alive>,
    /// When the light was on.
    pub light: Arc<Light>,
    /// The earliest beginning of an exposure after its trigger.
    pub capture_delay: Duration,
    /// Whether every frame is a part. Then no other part can have a frame.
    pub free_run: bool,
    /// The number of parts that found no room in the queue of messages: [`super::outbox::Outbox::lost_parts`].
    pub lost_parts: Arc<AtomicU32>,
    /// The time after which commissioning ends by itself.
    pub commissioning: Duration,
    /// The expanders that some outputs are on.
    pub expanders: Vec<ExpanderHealth>,
    /// The requests from the control socket that need no place among the events. They have a channel of their own,
    /// which no other message can fill.
    pub requests: Receiver<Asked>,
}

/// Runs the part tracker and drives the outputs.
pub struct Hub {
    tracker: PartTracker,
    links: Links,
    /// The assessments of parts that have not reached the gate. Only parts of the part tracker have one, so its bound
    /// holds here.
    assessed: HashMap<PartId, Assessment>,
    /// The clients that wait for the outcome of a part that has not reached the gate. The same bound holds.
    waiting: HashMap<PartId, Reply>,
    /// The moment at which the safe state or commissioning was last asked for.
    safe_asked_at: LineTime,
    /// The test pulse that waits for its beginning or lasts.
    test_pulse: Option<TestPulse>,
    /// The frame of the trigger that is being handled.
    frame: Option<std::result::Result<Frame, BadFrame>>,
    /// Whether a part was lost since the queue of messages was last empty.
    queue_overran: bool,
    /// The latest pulses at the gate.
    gates: Gates,
    samples: Samples,
    was_ready: bool,
    was_commissioning: bool,
    finishing: bool,
}

impl Hub {
    /// Makes a hub around a part tracker.
    pub fn new(tracker: PartTracker, links: Links) -> Self {
        Hub {
            tracker,
            links,
            assessed: HashMap::new(),
            waiting: HashMap::new(),
            safe_asked_at: LineTime::default(),
            test_pulse: None,
            frame: None,
            queue_overran: false,
            gates: Gates::default(),
            samples: Samples::default(),
            was_ready: false,
            was_commissioning: false,
            finishing: false,
        }
    }

    /// Runs until it is told to stop, or until nobody can tell it anything any more. Afterwards the outputs have their
    /// safe levels.
    pub fn run(mut self, messages: &Receiver<Message>) -> Snapshot {
        loop {
            self.links.alive.hub_lives(LineTime::now());
            // Take one request per turn. So other messages can neither delay requests nor be delayed by them.
            if let Ok((request, reply)) = self.links.requests.try_recv() {
                self.control(request, reply);
            }
            self.notice_lost_parts();
            self.notice_expanders();
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

    /// Returns the next message, or a timeout when it is time to call the part tracker.
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
            // Everything that was sent before the loss, encoder counts included, has been handled.
            self.event(Event::Seeing { watch: Watch::Queue });
        }
        let now = LineTime::now();
        let working = self.links.expanders.iter().filter(|expander| !expander.has_failed(now));
        let silent = working.filter_map(ExpanderHealth::silent_from).min().unwrap_or(now + NAP);
        let wake = self.tracker.next_wake().unwrap_or(now + NAP).min(now + NAP).min(silent);
        messages.recv_timeout(wake.since(now))
    }

    /// Tells the part tracker of parts that found no room in the queue. It does so before the waiting messages, because
    /// the first of these parts may reach the gate before all messages are handled.
    fn notice_lost_parts(&mut self) {
        let parts = self.links.lost_parts.swap(0, Ordering::SeqCst);
        if parts > 0 {
            log::error!("{parts} parts are rejected unseen: a queue of the line was full");
            self.queue_overran = true;
            self.event(Event::Blind { watch: Watch::Queue, parts });
        }
    }

    /// Tells the part tracker of an expander whose bus has failed or is silent.
    fn notice_expanders(&mut self) {
        let now = LineTime::now();
        let failed = self.links.expanders.iter().any(|expander| expander.has_failed(now));
        if failed && !self.tracker.faults().any(|fault| fault == Fault::Outputs) {
            log::error!("an expander has failed or its bus is silent");
            self.event(Event::Condition { fault: Fault::Outputs, present: true });
        }
    }

    /// Returns whether no part is on its way and no pulse lasts.
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
        // Drive the outputs first: nothing else may delay them.
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
        if !self.tracker.is_pulsing()
            && let Some(pulse) = self.test_pulse.take()
        {
            pulse.finish(self.tracker.commissioning_until().is_some());
        }
        if refused && !self.tracker.faults().any(|f| f == Fault::Outputs) {
            self.event(Event::Condition { fault: Fault::Outputs, present: true });
        }
        let commissioning = self.tracker.commissioning_until().is_some();
        if self.was_commissioning && !commissioning {
            log::warn!("commissioning has ended; the safe state stays until `hetmm-edge resume`");
        }
        self.was_commissioning = commissioning;
        let ready = self.tracker.is_ready();
        if ready && !self.was_ready {
            self.links.alive.became_ready();
        }
        self.was_ready = ready;
    }

    /// Drives an output. Returns false if the output refuses.
    fn set(&mut self, line: Line, active: bool, due: LineTime) -> bool {
        let mut bank = self.links.bank.lock().unwrap_or_else(PoisonError::into_inner);
        if line == Line::Strobe && !active {
            self.links.light.off(LineTime::now());
        }
        let is_driven = bank.drives(line);
        let begun = LineTime::now();
        let result = bank.set(line, active);
        let at = LineTime::now();
        drop(bank);
        if line == Line::Strobe && active && result.is_ok() {
            self.links.light.on(at);
        }
        let mut is_watched = true;
        if active
            && is_driven
            && result.is_ok()
            && let Some(number) = self.gates.began(line, due, at, at.since(begun))
        {
            is_watched = line != Line::Ng || self.watch_feedback(Pulse { number, from: begun, at });
        }
        if matches!(line, Line::Ng | Line::Ok) {
            self.samples.pulse_lateness.add(at.since(due));
        }
        if let (Line::Ng, Some(pulse)) = (line, &mut self.test_pulse) {
            pulse.note(due, at, result.is_ok());
        }
        let record = EdgeRecord::new(line, active, due, at);
        self.links.records.edge(record);
        if let Some(feed) = &self.links.feed {
            feed.edge(record);
        }
        match result {
            Ok(()) => is_watched,
            Err(why) => {
                log::error!("output {line:?} refuses: {why}");
                false
            }
        }
    }

    /// Has the feedback of a pulse on *ng* watched, if there is one. Returns false if nobody will watch it.
    fn watch_feedback(&self, pulse: Pulse) -> bool {
        let is_watched = self.links.feedback.as_ref().is_none_or(|teller| teller.began(pulse));
        if !is_watched {
            log::error!("nobody watches the feedback of the reject output");
        }
        is_watched
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
                let request = WantedFrame { part, triggered_at, not_before, deadline };
                self.links.captures.try_send(request).is_ok()
            }
        };
        if !sent {
            // The part tracker bounds the parts that wait, so a full queue means that a thread is gone.
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
        let record = Arc::new(PartRecord::new(&finished, assessment, self.gates.of(&finished)));
        if let Outcome::Rejected(reason) = finished.outcome
            && reason.is_unproven()
        {
            log::debug!("part {} is rejected: {reason:?}", finished.part.0);
        }
        if let Some(answer) = self.waiting.remove(&finished.part) {
            answer.give(Answer::Part(record.clone()));
        }
        if let Some(feed) = &self.links.feed {
            feed.part(&record);
        }
        self.links.records.part(record);
    }

    fn control(&mut self, request: Request, reply: Reply) {
        let answer = match request {
            Request::Status => Answer::Status(Box::new(self.snapshot())),
            Request::Trigger => return self.trigger_by_request(reply),
            Request::Safe => {
                log::warn!("safe state by request");
                self.safe_asked_at = reply.asked_at();
                self.event(Event::Safe);
                // If another thread took the outputs to the safe state, the hold can end now.
                self.links.bank.lock().unwrap_or_else(PoisonError::into_inner).release();
                Answer::Done("safe".into())
            }
            Request::Commission => self.commission(&reply),
            Request::EndCommissioning => {
                self.event(Event::EndCommissioning);
                Answer::Done("commissioning has ended; the safe state stays".into())
            }
            Request::PulseNg => return self.pulse_by_request(reply),
            // Requests for the safe state overtake what waits for this thread.
            Request::Resume if reply.asked_at() <= self.safe_asked_at => {
                Answer::Failed("the safe state was requested after this, so it stays".into())
            }
            Request::Resume if self.tracker.commissioning_until().is_some() => {
                Answer::Failed("the device is in commissioning: end that first".into())
            }
            Request::Resume => {
                log::warn!("the safe state ends, as requested");
                self.event(Event::Resume);
                Answer::Done("resumed".into())
            }
            Request::Acknowledge => {
                self.event(Event::Acknowledge);
                Answer::Done("acknowledged".into())
            }
            // These requests are not for this thread.
            Request::Reload
            | Request::Select(..)
            | Request::Slots
            | Request::Prove(_)
            | Request::Install(..)
            | Request::Teach(..)
            | Request::Undo(_)
            | Request::History
            | Request::Drift(_)
            | Request::Lines
            | Request::LoginFailed(_) => Answer::Failed("not understood".into()),
        };
        reply.give(answer);
    }

    fn commission(&mut self, reply: &Reply) -> Answer {
        if self.tracker.commissioning_until().is_some() {
            return Answer::Failed("the device is in commissioning already".into());
        }
        log::warn!("commissioning begins: all parts are rejected");
        self.safe_asked_at = reply.asked_at();
        let until = LineTime::now() + self.links.commissioning;
        self.event(Event::Commission { until });
        let minutes = self.links.commissioning.as_secs() / 60;
        Answer::Json(json!({"done": "commissioning", "minutes": minutes}))
    }

    /// Gives the reject output one pulse. The answer comes when the pulse is over.
    fn pulse_by_request(&mut self, reply: Reply) {
        let bank = self.links.bank.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_wired, is_frozen) = (bank.has(Line::Ng), bank.is_frozen());
        drop(bank);
        let now = LineTime::now();
        let due = now + test_pulse::LEAD;
        let refusal = match self.tracker.may_pulse(now, due) {
            Err(refusal) => test_pulse::in_words(refusal),
            Ok(()) if !is_wired => "the configuration names no reject output (ng)",
            Ok(()) if is_frozen => "the outputs are held at their safe levels",
            Ok(()) => {
                self.test_pulse = Some(TestPulse::new(reply));
                return self.event(Event::TestPulse { due });
            }
        };
        reply.give(Answer::Failed(refusal.into()));
    }

    /// Makes a part. The answer is its record, when it has reached the gate.
    fn trigger_by_request(&mut self, reply: Reply) {
        if self.links.free_run {
            let why = "every frame of the camera is a part already";
            return reply.give(Answer::Failed(why.into()));
        }
        self.event(Event::Trigger { at: LineTime::now(), lost: 0 });
        let part = PartId(self.tracker.counters().triggers);
        if self.tracker.is_on_its_way(part) {
            self.waiting.insert(part, reply);
            return;
        }
        let why = match self.tracker.is_safe() {
            true => "the part is rejected: the line is in its safe state",
            false => "the part is rejected: too many are in flight",
        };
        reply.give(Answer::Done(why.into()));
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: LineTime::now(),
            safe: self.tracker.is_safe(),
            commissioning: self
                .tracker
                .commissioning_until()
                .map(|until| until.since(LineTime::now())),
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
    use crate::line::feedback::Feedback;
    use crate::line::outbox::Outbox;
    use crate::line::records::Reporter;
    use std::sync::mpsc::sync_channel;

    const CONFIG: &str = "[template]\nfile = \"-\"\n[trigger]\nsource = \"software\"\n[camera]\n\
        source = \"folder\"\nfolder = \"-\"\n[reject]\ndelay_us = 100000\ndeadline_us = 90000\n\
        pulse_width_us = 1000\n[outputs]\nsimulate = true\nng = { line = 1, safe = \"inactive\" }\n\
        fault = { line = 2 }\n[control]\nsocket = \"/nowhere/edge.sock\"\n";

    /// Returns what the hub is connected to at a desk, where nobody takes captures.
    fn links(config: &LineConfig, outbox: &Outbox) -> Links {
        Links {
            feed: None,
            feedback: None,
            bank: Arc::new(Mutex::new(Bank::open(&config.outputs).expect("opens"))),
            captures: sync_channel(1).0,
            jobs: sync_channel(1).0,
            records: Records::start(&RecordsConfig::default(), None, None).expect("starts").0,
            alive: Arc::default(),
            light: Arc::default(),
            capture_delay: Duration::ZERO,
            free_run: false,
            lost_parts: outbox.lost_parts(),
            commissioning: Duration::from_secs(900),
            expanders: vec![],
            requests: sync_channel(1).1,
        }
    }

    /// Lets the hub work until a condition holds. Returns whether it did within ten seconds.
    fn work(hub: &mut Hub, messages: &Receiver<Message>, is_done: impl Fn(&Hub) -> bool) -> bool {
        let end = LineTime::now() + Duration::from_secs(10);
        while !is_done(hub) && LineTime::now() < end {
            match hub.next_message(messages) {
                Ok(message) => hub.message(message),
                Err(_) => hub.event(Event::Tick),
            }
        }
        is_done(hub)
    }

    /// Covers a former fault: a trigger that found the queue full was reported with the next one, which may come too
    /// late.
    #[test]
    fn parts_that_find_the_queue_full_close_the_gate_before_the_queue_has_been_worked_through() {
        let config = LineConfig::parse(CONFIG, "test").expect("reads");
        let (sender, messages) = sync_channel(4);
        let outbox = Outbox::new(sender, Arc::default());
        let links = links(&config, &outbox);
        let pin = links.bank.lock().expect("locks").memory(Line::Ng).expect("wired");
        for _ in 0..4 {
            assert!(outbox.try_send(Message::Event(Event::Tick)));
        }
        outbox.trigger(LineTime::now(), 2);
        let mut hub = Hub::new(PartTracker::new(config.tracker_settings(), LineTime::now()), links);
        hub.notice_lost_parts();
        assert!(pin.is_high(), "the lost parts may be at the gate by now");
        assert_eq!(hub.tracker.counters().rejected_for(Reason::LostTrigger), 3);
        // The gate opens again when everything that waited has been handled and the belt has moved on.
        assert!(work(&mut hub, &messages, |_| !pin.is_high()));
        assert!(!hub.tracker.faults().any(|f| f == Fault::Overflow));
    }

    /// A pulse that nobody watches could miss the valve and nobody would know.
    #[test]
    fn a_pulse_whose_feedback_nobody_watches_raises_the_fault_of_the_outputs() {
        let text = CONFIG.replace("line = 1,", "line = 1, feedback = { line = 3 },");
        let config = LineConfig::parse(&text, "test").expect("reads");
        for is_watched in [true, false] {
            let (sender, messages) = sync_channel(64);
            let outbox = Outbox::new(sender, Arc::default());
            let wired = config.outputs.feedback().expect("is wired");
            let limit = Duration::from_millis(20);
            let opened = Feedback::open(&wired, limit, outbox.clone(), Reporter::default());
            let (feedback, teller) = opened.expect("opens");
            let thread = is_watched.then(|| std::thread::spawn(move || feedback.run()));
            let links = Links { feedback: Some(teller), ..links(&config, &outbox) };
            let tracker = PartTracker::new(config.tracker_settings(), LineTime::now());
            let mut hub = Hub::new(tracker, links);
            outbox.trigger(LineTime::now(), 0);
            let is_over = |hub: &Hub| hub.samples.pulse_lateness.count() >= 2;
            assert!(work(&mut hub, &messages, is_over), "the part is rejected");
            let has_fault = hub.tracker.faults().any(|fault| fault == Fault::Outputs);
            assert_eq!(has_fault, !is_watched);
            drop(hub);
            if let Some(thread) = thread {
                thread.join().expect("ends");
            }
            let told = messages.try_iter().any(|message| matches!(message, Message::Event(_)));
            assert!(!told, "the valve has followed");
        }
    }
}
