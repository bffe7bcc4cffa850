//! Carries out requests and makes their answers.

use super::client::{Client, Place, Waiting};
use super::limits::{ANSWER, PART};
use super::logins::Logins;
use super::plant_user::PlantUser;
use crate::clock::LineTime;
use crate::error::{Error, Result};
use crate::line::archive::Archive;
use crate::line::drift_keeper::Keeper;
use crate::line::evidence;
use crate::line::live::Live;
use crate::line::messages::Message;
use crate::line::outbox::Outbox;
use crate::line::outputs::Bank;
use crate::line::records::Losses;
use crate::line::reply::{Answer, Asked, Bell, Reply};
use crate::line::request::{DriftRequest, Petition, Request};
use crate::line::status::Snapshot;
use crate::line::supervise;
use crate::line::teach;
use crate::line::templates::Templates;
use crate::line::tracker::Event;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The time that the hub thread has to take the safe state. After it, the outputs are taken there without the hub.
const SAFE: Duration = Duration::from_millis(250);
/// The largest number of requests that wait for the hub thread at once. `safe` is not counted.
const MAX_LINE: usize = 32;
/// The largest number of parts on their way that requests have triggered.
const MAX_PARTS: usize = 32;
/// The largest number of requests that work on the template at once, each on a thread.
const MAX_WORK: usize = 4;

/// Holds what the socket's thread can reach.
pub struct Control {
    /// The way to the hub thread.
    pub hub: Outbox,
    /// The channel of requests to the hub thread. No event can fill it. It has room for
    /// [`crate::line::reply::REQUESTS`] requests.
    pub requests: SyncSender<Asked>,
    /// The outputs, for the safe state if the hub thread does not answer.
    pub bank: Arc<Mutex<Bank>>,
    /// The template in use and its loader.
    pub templates: Arc<Templates>,
    /// The archive of pictures, if there is one.
    pub archive: Option<Arc<Archive>>,
    /// The drift watch, if there is one.
    pub drift: Option<Arc<Keeper>>,
    /// Whether requests may change the template.
    pub teach: bool,
    /// Whether a part with the verdict *review* passes.
    pub review_passes: bool,
    /// The time for which commissioning lasts. It is `None` if commissioning is not allowed.
    pub commissioning: Option<Duration>,
    /// The user that runs `hetmm-plant`, if there is one.
    pub plant: Option<PlantUser>,
    /// What can be seen of the GPIO lines.
    pub live: Live,
    /// The counters of lost records.
    pub losses: Arc<Losses>,
    /// The failed logins on the page of `hetmm-plant`.
    pub logins: Logins,
}

/// Counts the requests that wait.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The requests that wait for the hub thread.
    pub(super) line: usize,
    /// The requests that wait for parts.
    pub(super) parts: usize,
    /// Whether a client attends commissioning, or waits for its beginning.
    pub(super) is_attended: bool,
    /// The requests that work on the template. They continue when the client has gone.
    pub(super) work: Arc<AtomicUsize>,
}

/// Says what becomes of a request.
pub(super) enum Next {
    /// The request has its answer.
    Answer(Value),
    /// The request waits for its answer.
    Wait(Waiting),
}

/// Returns whether a user is root or the one that runs this program.
fn is_at_the_device(user: Option<u32>) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    user.is_some_and(|user| user == 0 || user == own)
}

fn refused(why: impl std::fmt::Display) -> Next {
    Next::Answer(json!({"error": why.to_string()}))
}

impl Control {
    /// Begins to carry out a request.
    pub(super) fn begin(
        self: &Arc<Self>,
        petition: Petition,
        user: Option<u32>,
        taken: &Taken,
        bell: &Bell,
    ) -> Next {
        if let Some(why) = self.refusal(&petition, user) {
            return refused(why);
        }
        let Petition { request, person } = petition;
        match request {
            Request::Safe => self.safe(bell),
            Request::LoginFailed(from) => {
                let who = person.unwrap_or_else(|| "unknown".into());
                if let Some(failures) = self.logins.fail(LineTime::now()) {
                    let event = evidence::Event::LoginFailed { who, from, failures };
                    self.templates.reporter().tell(event);
                }
                Next::Answer(json!({"done": "noted"}))
            }
            Request::Lines => Next::Answer(self.live.to_json(LineTime::now())),
            Request::Commission | Request::PulseNg => {
                self.at_the_device(request, user, taken, bell)
            }
            Request::EndCommissioning => self.ask_line(request, Place::Line, ANSWER, bell),
            Request::Trigger if taken.parts >= MAX_PARTS => {
                self.lose_part(&format!("{MAX_PARTS} triggers already wait for their parts"))
            }
            Request::Trigger => self.ask_line(request, Place::Part, PART, bell),
            Request::Status | Request::Resume | Request::Acknowledge => match taken.line {
                MAX_LINE.. => refused("the line is too busy; try again"),
                _ => self.ask_line(request, Place::Line, ANSWER, bell),
            },
            Request::Reload
            | Request::Select(..)
            | Request::Slots
            | Request::Prove(_)
            | Request::Install(..)
            | Request::Teach(..)
            | Request::Undo(_)
            | Request::History
            | Request::Drift(_) => {
                let user = user.map_or_else(String::new, |user| format!(", user {user}"));
                let program = || format!("hetmm-edge{user}");
                let who = person.map_or_else(program, |name| format!("{name}, by hetmm-plant"));
                self.work(request, who, taken, bell)
            }
        }
    }

    /// Returns why this user may not make this request. `hetmm-plant` may make those that `control.plant_may` names, and
    /// nobody else may speak for a person.
    fn refusal(&self, petition: &Petition, user: Option<u32>) -> Option<String> {
        let is_plant = self.is_plant(user);
        if petition.person.is_some() && !is_plant {
            return Some("only the user control.plant_user may speak for somebody".into());
        }
        let is_limited = is_plant && (petition.person.is_some() || !is_at_the_device(user));
        let verb = petition.request.verb();
        let plant = self.plant.as_ref().filter(|_| is_limited)?;
        let may = plant.may.iter().any(|allowed| allowed == verb);
        (!may).then(|| format!("hetmm-plant may not do this: {verb} is not in control.plant_may"))
    }

    fn is_plant(&self, user: Option<u32>) -> bool {
        user.is_some() && user == self.plant.as_ref().map(|plant| plant.user)
    }

    /// Begins what only somebody at the device may ask for: root, or the user that runs the program.
    fn at_the_device(
        &self,
        request: Request,
        user: Option<u32>,
        taken: &Taken,
        bell: &Bell,
    ) -> Next {
        // Somebody at the device has begun commissioning before `hetmm-plant` may pulse.
        let pulses = request == Request::PulseNg && self.is_plant(user);
        if self.commissioning.is_none() {
            refused("commissioning is not allowed here (commissioning.allowed = false)")
        } else if !is_at_the_device(user) && !pulses {
            refused("only root and the user that runs hetmm-edge may commission the device")
        } else if request == Request::PulseNg {
            self.ask_line(request, Place::Pulse, PART, bell)
        } else if taken.is_attended {
            refused("the device is in commissioning already")
        } else {
            self.ask_line(request, Place::Commission, ANSWER, bell)
        }
    }

    /// Ends commissioning because nobody attends it any more. If the hub thread cannot be told, the outputs get their
    /// safe levels for good.
    pub(super) fn end_commissioning(&self, bell: &Bell) {
        let (reply, _) = Reply::new(bell);
        if self.requests.try_send((Request::EndCommissioning, reply)).is_err() {
            self.safe_without_line(true);
        }
        self.wake_line();
    }

    /// Gives a client the answer that it waits for. Returns whether the client attends commissioning from now on.
    pub(super) fn answer(
        &self,
        client: &mut Client,
        place: Place,
        answer: Answer,
        now: LineTime,
    ) -> bool {
        let begins = place == Place::Commission && matches!(answer, Answer::Json(_));
        let said = self.to_json(answer);
        match self.commissioning.filter(|_| begins) {
            Some(length) => client.attend(&said, now, now + length),
            None => client.answer(&said, now),
        }
        begins
    }

    /// Returns the answer as it is written.
    pub(in crate::line) fn to_json(&self, answer: Answer) -> Value {
        match answer {
            Answer::Status(snapshot) => self.status(&snapshot),
            Answer::Part(record) => serde_json::to_value(&*record).unwrap_or_default(),
            Answer::Done(what) => json!({"done": what}),
            Answer::Failed(why) => json!({"error": why}),
            Answer::Json(value) => value,
        }
    }

    /// Returns the answer if nobody has answered in time, or nobody ever will.
    pub(super) fn without_answer(&self, place: Place) -> Value {
        match place {
            Place::Safe => self.safe_without_line(false),
            Place::Line | Place::Part | Place::Commission | Place::Pulse => {
                json!({"error": "the line does not answer"})
            }
            Place::Work => json!({"error": "it ended without an answer; see the log"}),
        }
    }

    /// Asks the hub thread for its state, for a thread that `bell` wakes. Returns `None` if the hub has too much to do.
    pub(in crate::line) fn ask_status(&self, bell: &Bell) -> Option<Receiver<Answer>> {
        let (reply, answer) = Reply::new(bell);
        self.requests.try_send((Request::Status, reply)).ok()?;
        self.wake_line();
        Some(answer)
    }

    fn ask_line(&self, request: Request, place: Place, patience: Duration, bell: &Bell) -> Next {
        let (reply, answer) = Reply::new(bell);
        // A request that makes parts, or lets them pass, must not overtake the counts of the encoder.
        let is_sent = match request {
            Request::Trigger | Request::Resume => {
                self.hub.try_send(Message::Control(request, reply))
            }
            _ => self.requests.try_send((request, reply)).is_ok(),
        };
        match request {
            _ if is_sent => {}
            Request::Trigger => return self.lose_part("the line is too busy"),
            _ => return refused("the line is too busy; try again"),
        }
        self.wake_line();
        let until = Some(LineTime::now() + patience);
        Next::Wait(Waiting { place, answer, until })
    }

    /// Loses a part. A trigger that finds no place is a part that nobody sees. It is rejected together with the belt
    /// before it.
    fn lose_part(&self, why: &str) -> Next {
        self.hub.lose_parts(1);
        refused(format!("{why}: this part is rejected unseen, with the belt before it"))
    }

    /// Wakes the hub thread, which looks for requests at every turn. If its queue of messages is full, it does not need
    /// to be woken.
    fn wake_line(&self) {
        self.hub.try_send(Message::Event(Event::Tick));
    }

    fn safe(&self, bell: &Bell) -> Next {
        match self.ask_line(Request::Safe, Place::Safe, SAFE, bell) {
            // The hub thread will never hear of this request, because it has too much to do or has ended.
            Next::Answer(_) => Next::Answer(self.safe_without_line(true)),
            waits => waits,
        }
    }

    /// Takes the outputs to their safe levels. With `for_good` they stay there until the program ends. Otherwise they
    /// stay until the hub thread has taken the safe state, too.
    fn safe_without_line(&self, for_good: bool) -> Value {
        log::error!(
            "the line's thread does not go to the safe state: its outputs are set to it now"
        );
        if !supervise::take_outputs(&self.bank, for_good) {
            return json!({"error": "the line does not answer, and its outputs cannot be reached"});
        }
        let how = if for_good { ", until hetmm-edge is started again" } else { "" };
        let warning = format!(
            "the line's thread did not answer in time: its outputs were taken to their safe levels \
             without it{how}"
        );
        json!({"done": "safe", "warning": warning})
    }

    /// Starts a thread for a request that does not concern the hub thread.
    fn work(self: &Arc<Self>, request: Request, who: String, taken: &Taken, bell: &Bell) -> Next {
        let Some(place) = WorkPlace::take(&taken.work) else {
            return refused(format!(
                "{MAX_WORK} requests already work on the template; try again later"
            ));
        };
        let (reply, answer) = Reply::new(bell);
        let control = self.clone();
        let work = move || {
            let done = match request {
                Request::Drift(request) => control.on_drift(request, &who),
                request => control.on_template(request, &who),
            };
            drop(place);
            let error = |why: Error| json!({"error": why.to_string()});
            reply.give(Answer::Json(done.unwrap_or_else(error)));
        };
        match std::thread::Builder::new().name("control-work".into()).spawn(work) {
            Ok(_) => Next::Wait(Waiting { place: Place::Work, answer, until: None }),
            Err(why) => refused(format!("no thread for it: {why}; try again")),
        }
    }

    fn on_drift(&self, request: DriftRequest, who: &str) -> Result<Value> {
        let drift = self.drift.as_ref().ok_or_else(|| {
            Error::usage("nothing is watched for drift here (drift.watch = false)").advise(
                "set watch = true in [drift] of the configuration, and start the program again",
            )
        })?;
        drift.request(request, who)
    }

    fn on_template(&self, request: Request, who: &str) -> Result<Value> {
        match request {
            Request::Teach(..) | Request::Undo(_) if !self.teach => {
                let what = "the template may not be changed here (control.teach = false)";
                Err(Error::usage(what).advise("use hetmm insert or undo, and copy the template"))
            }
            Request::Teach(part, force) => {
                teach::teach(part, force, who, self.archive.as_deref(), &self.templates)
            }
            Request::Undo(entry) => teach::undo(entry, who, &self.templates),
            Request::History => teach::history(&self.templates),
            Request::Select(slot, digest) => self.templates.select(slot, digest, who),
            Request::Slots => Ok(self.templates.slots_to_json()),
            Request::Prove(candidate) => {
                self.templates.prove(candidate, self.archive.as_deref(), self.review_passes)
            }
            Request::Install(slot, digest) => self.templates.install(slot, digest, who),
            _ => self.templates.reload().map(|what| json!({"done": what})),
        }
    }

    fn status(&self, snapshot: &Snapshot) -> Value {
        let mut status = snapshot.to_json();
        if let Some(fields) = status.as_object_mut() {
            fields.insert("template".into(), self.templates.to_json());
            let archive = self.archive.as_ref();
            let count =
                |c: fn(&Archive) -> &AtomicU64| archive.map_or(0, |a| c(a).load(Ordering::Relaxed));
            let lost = json!({
                "records_dropped": self.losses.dropped.load(Ordering::Relaxed),
                "records_failed": self.losses.failed.load(Ordering::Relaxed),
                "pictures_dropped": count(|a| &a.dropped),
                "pictures_failed": count(|a| &a.failed),
                "pictures_written": count(|a| &a.written),
                "chain": self.losses.chain_to_json(),
            });
            fields.insert("records".into(), lost);
            let off = || json!({"state": "off"});
            let drift = self.drift.as_ref().map_or_else(off, |drift| drift.in_short());
            fields.insert("drift".into(), drift);
        }
        status
    }
}

/// Holds one of [`MAX_WORK`] places until it is dropped.
struct WorkPlace(Arc<AtomicUsize>);

impl WorkPlace {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let free = |count: usize| (count < MAX_WORK).then_some(count.saturating_add(1));
        taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).ok()?;
        Some(WorkPlace(taken.clone()))
    }
}

impl Drop for WorkPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
