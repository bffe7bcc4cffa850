//! The camera's thread: keeps the camera open and answers every capture once.

use super::camera::{Camera, CameraError};
use super::engine::{Event, Fault, PartId, Reason};
use super::hub::{Message, Outbox};
use super::inspect::{Job, Judged};
use super::time::LineTime;
use crate::error::Result;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// Stale frames are thrown away this often between triggers.
const DRAIN: Duration = Duration::from_millis(5);
/// Pauses between attempts to open a camera that is gone: doubled from the first to the last.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Most time that is left to the inspection of the latest frame that is waited for.
const SPARE: Duration = Duration::from_millis(10);
/// How long a free-running camera is waited for at a time.
const FREE_RUN_WAIT: Duration = Duration::from_millis(500);

/// A frame that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// For this part.
    pub part: PartId,
    /// When it was triggered.
    pub triggered_at: LineTime,
    /// The exposure must not begin earlier.
    pub not_before: LineTime,
    /// A frame after this moment is worth nothing.
    pub deadline: LineTime,
}

/// The camera's thread.
pub struct Capture<'a> {
    /// Opens the camera.
    pub open: &'a mut dyn FnMut() -> Result<Box<dyn Camera>>,
    /// Where frames go to be inspected.
    pub jobs: SyncSender<Job>,
    /// The line's thread.
    pub hub: Outbox,
}

impl Capture<'_> {
    /// Takes a frame for every request until the device stops.
    pub fn on_demand(mut self, requests: &Receiver<Request>) {
        let mut camera = None;
        while let Some(open) = self.ready(&mut camera, Some(requests)) {
            let result = match requests.recv_timeout(DRAIN) {
                Ok(request) => self.answer(open, request),
                Err(RecvTimeoutError::Timeout) => open.drain(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(CameraError::Gone(why)) = result {
                self.gone(&why);
                camera = None;
            }
        }
    }

    /// Sends every frame on as a part by itself until the device stops.
    pub fn free_run(mut self) {
        let mut camera = None;
        let mut last = LineTime::now();
        while let Some(open) = self.ready(&mut camera, None) {
            match open.frame_after(last + Duration::from_nanos(1), LineTime::now() + FREE_RUN_WAIT)
            {
                Ok(frame) => {
                    last = frame.exposed_at.max(last);
                    if !self.hub.try_send(Message::Frame(Box::new(frame))) {
                        self.hub.lose_triggers(1);
                    }
                }
                Err(CameraError::Late) => {}
                Err(CameraError::Garbage(why)) => {
                    // There was a part, and nobody can say what it looked like.
                    log::warn!("a frame cannot be used: {why}");
                    self.hub.lose_triggers(1);
                }
                Err(CameraError::Gone(why)) => {
                    self.gone(&why);
                    camera = None;
                }
            }
        }
    }

    /// The open camera; while there is none, it is tried again and captures are answered with
    /// [`Reason::NoFrame`]. `None` when the device stops.
    fn ready<'c>(
        &mut self,
        camera: &'c mut Option<Box<dyn Camera>>,
        requests: Option<&Receiver<Request>>,
    ) -> Option<&'c mut Box<dyn Camera>> {
        let mut pause = BACK_OFF.0;
        while camera.is_none() && !self.hub.stopped() {
            match (self.open)() {
                Ok(opened) => {
                    log::info!("camera: {}", opened.describe());
                    *camera = Some(opened);
                    self.condition(false);
                }
                Err(why) => {
                    log::error!("the camera cannot be opened: {why}");
                    self.refuse_until(LineTime::now() + pause, requests);
                    pause = (pause * 2).min(BACK_OFF.1);
                }
            }
        }
        if self.hub.stopped() { None } else { camera.as_mut() }
    }

    fn refuse_until(&self, end: LineTime, requests: Option<&Receiver<Request>>) {
        while !self.hub.stopped() {
            let left = end.since(LineTime::now()).min(Duration::from_millis(100));
            if left.is_zero() {
                return;
            }
            let Some(requests) = requests else {
                std::thread::sleep(left);
                continue;
            };
            if let Ok(request) = requests.recv_timeout(left) {
                self.refuse(request, Reason::NoFrame);
            }
        }
    }

    fn answer(
        &self,
        camera: &mut Box<dyn Camera>,
        request: Request,
    ) -> std::result::Result<(), CameraError> {
        let Request { part, triggered_at, not_before, deadline } = request;
        // A frame in the last moments before the deadline could not be inspected any more, and to
        // give up before it tells a missing frame from a slow inspection.
        let spare = (deadline.since(not_before) / 10).min(SPARE);
        match camera.frame_after(not_before, deadline - spare) {
            Ok(frame) => {
                let job = Job { part, triggered_at, deadline, frame };
                if self.jobs.try_send(job).is_err() {
                    self.refuse(request, Reason::InspectionFailed);
                }
                Ok(())
            }
            Err(why) => {
                let reason = match &why {
                    CameraError::Garbage(_) => Reason::BadFrame,
                    CameraError::Late | CameraError::Gone(_) => Reason::NoFrame,
                };
                log::warn!("part {}: {why}", part.0);
                self.refuse(request, reason);
                Err(why)
            }
        }
    }

    fn refuse(&self, request: Request, reason: Reason) {
        let Request { part, triggered_at, .. } = request;
        let judged = Judged { part, triggered_at, result: Err(reason) };
        self.hub.send(Message::Judged(Box::new(judged)));
    }

    fn gone(&self, why: &str) {
        log::error!("the camera is gone: {why}");
        self.condition(true);
    }

    fn condition(&self, present: bool) {
        self.hub.send(Message::Event(Event::Condition { fault: Fault::Camera, present }));
    }
}
