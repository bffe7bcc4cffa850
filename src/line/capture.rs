//! Runs the camera's thread: keeps the camera open and answers every capture once.

use super::light::Light;
use super::messages::{FreeFrame, Job, Judged, Message, WantedFrame};
use super::outbox::Outbox;
use super::tracker::{Event, Fault, Reason, Watch};
use crate::camera::{BadFrame, Camera, CameraError, Frame, Sequence};
use crate::clock::LineTime;
use crate::error::Result;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// Stale frames are dropped this often between triggers.
const DRAIN: Duration = Duration::from_millis(5);
/// The first and the longest pause between attempts to open a missing camera. Each pause is twice as long as the one
/// before.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The thread stops waiting for a frame this long before the deadline at most, to leave time for the inspection.
const SPARE: Duration = Duration::from_millis(10);
/// The longest time of one wait for a free-running camera.
const FREE_RUN_WAIT: Duration = Duration::from_millis(500);

/// Holds what the camera's thread works with.
pub struct Capture<'a> {
    /// Opens the camera.
    pub open: &'a mut dyn FnMut() -> Result<Box<dyn Camera>>,
    /// The channel on which frames go to the inspection.
    pub jobs: SyncSender<Job>,
    /// The way to the hub thread.
    pub hub: Outbox,
    /// The light and the exposure, if every exposure has to be inside the light.
    pub light: Option<(Arc<Light>, Duration)>,
}

impl Capture<'_> {
    /// Answers every `WantedFrame` until the device stops.
    pub fn on_demand(mut self, requests: &Receiver<WantedFrame>) {
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

    /// Sends every frame on as a part until the device stops.
    ///
    /// The hub is told that parts pass unseen from the start to the first frame, and from the loss of the camera to the
    /// next frame. A frame that cannot be used is a part as well.
    pub fn free_run(mut self) {
        let (mut camera, mut sequence, mut seeing) = (None, Sequence::default(), false);
        let mut last = LineTime::now();
        self.hub.send(Message::Event(Event::Blind { watch: Watch::Camera, parts: 0 }));
        while let Some(open) = self.ready(&mut camera, None) {
            let not_before = last + Duration::from_nanos(1);
            let frame = match open.frame_after(not_before, LineTime::now() + FREE_RUN_WAIT) {
                Ok(frame) => Ok(frame),
                Err(CameraError::Garbage(bad)) => Err(bad),
                Err(CameraError::Late) => continue,
                Err(CameraError::Gone(why)) => {
                    self.gone(&why);
                    (camera, sequence, seeing) = (None, Sequence::default(), false);
                    self.hub.send(Message::Event(Event::Blind { watch: Watch::Camera, parts: 1 }));
                    continue;
                }
            };
            if !std::mem::replace(&mut seeing, true) {
                self.hub.send(Message::Event(Event::Seeing { watch: Watch::Camera }));
            }
            let (exposed_at, number) = match &frame {
                Ok(frame) => (frame.exposed_at, frame.sequence),
                Err(bad) => (bad.exposed_at, bad.sequence),
            };
            last = exposed_at.max(last);
            let lost = sequence.missing_before(number);
            if lost > 0 {
                log::error!("{lost} frames were lost before frame {number}: that belt is rejected");
            }
            self.hub.frame(FreeFrame { frame, lost });
        }
    }

    /// Returns the open camera. While there is none, it tries again and answers captures with [`Reason::NoFrame`].
    /// Returns `None` when the device stops.
    fn ready<'c>(
        &mut self,
        camera: &'c mut Option<Box<dyn Camera>>,
        requests: Option<&Receiver<WantedFrame>>,
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

    fn refuse_until(&self, end: LineTime, requests: Option<&Receiver<WantedFrame>>) {
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
        request: WantedFrame,
    ) -> std::result::Result<(), CameraError> {
        let WantedFrame { part, triggered_at, not_before, deadline } = request;
        // A frame in the last moments before the deadline could not be inspected any more. The thread gives up earlier,
        // so that a missing frame can be told from a slow inspection.
        let spare = (deadline.since(not_before) / 10).min(SPARE);
        let frame = camera.frame_after(not_before, deadline - spare);
        match frame.and_then(|frame| self.in_the_light(frame)) {
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

    /// Refuses a frame whose exposure was not inside the light, if it has to be.
    fn in_the_light(&self, frame: Frame) -> std::result::Result<Frame, CameraError> {
        let Frame { exposed_at, sequence, .. } = frame;
        match &self.light {
            Some((light, exposure)) if !light.covered(exposed_at, *exposure, LineTime::now()) => {
                let why =
                    "its exposure was not inside the light: change outputs.strobe_delay_us or \
                           outputs.strobe_width_us"
                        .to_owned();
                Err(CameraError::Garbage(BadFrame { why, exposed_at, sequence }))
            }
            _ => Ok(frame),
        }
    }

    fn refuse(&self, request: WantedFrame, reason: Reason) {
        let WantedFrame { part, triggered_at, .. } = request;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Picture, Samples};
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::sync_channel;

    /// Plays a camera with given answers, and stops the device at their end.
    struct Scripted {
        answers: Arc<std::sync::Mutex<VecDeque<std::result::Result<Frame, CameraError>>>>,
        stop: Arc<AtomicBool>,
    }

    impl Camera for Scripted {
        fn frame_after(
            &mut self,
            _: LineTime,
            _: LineTime,
        ) -> std::result::Result<Frame, CameraError> {
            let answer = self.answers.lock().expect("locks").pop_front();
            answer.unwrap_or_else(|| {
                self.stop.store(true, Ordering::SeqCst);
                Err(CameraError::Late)
            })
        }

        fn drain(&mut self) -> std::result::Result<(), CameraError> {
            Ok(())
        }

        fn describe(&self) -> String {
            "scripted".into()
        }
    }

    fn frame(sequence: u32) -> std::result::Result<Frame, CameraError> {
        let picture = Picture { width: 1, height: 1, samples: Samples::Eight(vec![0; 3]) };
        Ok(Frame { picture, exposed_at: LineTime::from_nanos(u64::from(sequence)), sequence })
    }

    fn bad(sequence: u32) -> std::result::Result<Frame, CameraError> {
        let exposed_at = LineTime::from_nanos(u64::from(sequence));
        Err(CameraError::Garbage(BadFrame { why: "cut".into(), exposed_at, sequence }))
    }

    /// Covers a former fault: frames that the driver dropped, bad frames and a missing camera did not count as parts.
    #[test]
    fn in_free_run_the_line_hears_of_everything_that_the_camera_did_not_show() {
        let gone = Err(CameraError::Gone("unplugged".into()));
        let late = Err(CameraError::Late);
        let script = [frame(1), frame(2), bad(3), late, frame(6), bad(8), gone, frame(1), frame(2)];
        let answers = Arc::new(std::sync::Mutex::new(VecDeque::from(script)));
        let (stop, (sender, messages)) = (Arc::new(AtomicBool::new(false)), sync_channel(64));
        let (jobs, _inspection) = sync_channel(1);
        let mut open = || -> Result<Box<dyn Camera>> {
            Ok(Box::new(Scripted { answers: answers.clone(), stop: stop.clone() }))
        };
        let hub = Outbox::new(sender, stop.clone());
        Capture { open: &mut open, jobs, hub, light: None }.free_run();
        let told: Vec<String> = messages
            .try_iter()
            .map(|message| match message {
                Message::Event(Event::Blind { parts, .. }) => format!("blind {parts}"),
                Message::Event(Event::Seeing { .. }) => "seeing".into(),
                Message::Event(Event::Condition { present, .. }) => format!("fault {present}"),
                Message::Frame(free) => match free.frame {
                    Ok(frame) => format!("{} after {}", frame.sequence, free.lost),
                    Err(bad) => format!("bad {} after {}", bad.sequence, free.lost),
                },
                _ => panic!("another message"),
            })
            .collect();
        let wanted = "blind 0, fault false, seeing, 1 after 0, 2 after 0, bad 3 after 0, 6 after 2, \
                      bad 8 after 1, fault true, blind 1, fault false, seeing, 1 after 0, 2 after 0";
        assert_eq!(told.join(", "), wanted);
    }

    #[test]
    fn an_exposure_outside_the_light_is_a_bad_frame() {
        let (sender, messages) = sync_channel(64);
        let (jobs, inspection) = sync_channel(4);
        let mut open = || -> Result<Box<dyn Camera>> { panic!("is open") };
        let stop = Arc::new(AtomicBool::new(false));
        let light = Arc::new(Light::default());
        let hub = Outbox::new(sender, stop.clone());
        let exposure = Duration::from_nanos(10);
        let capture =
            Capture { open: &mut open, jobs, hub, light: Some((light.clone(), exposure)) };
        light.on(LineTime::from_nanos(100));
        light.off(LineTime::from_nanos(200));
        for (sequence, is_lit) in
            [(100, true), (190, true), (99, false), (191, false), (500, false)]
        {
            let answers = Arc::new(std::sync::Mutex::new(VecDeque::from([frame(sequence)])));
            let mut camera: Box<dyn Camera> = Box::new(Scripted { answers, stop: stop.clone() });
            let request = WantedFrame {
                part: crate::line::tracker::PartId(1),
                triggered_at: LineTime::from_nanos(0),
                not_before: LineTime::from_nanos(0),
                deadline: LineTime::now() + Duration::from_secs(9),
            };
            assert_eq!(capture.answer(&mut camera, request).is_ok(), is_lit, "{sequence}");
            assert_eq!(inspection.try_recv().is_ok(), is_lit, "{sequence}");
            let refused = match messages.try_recv() {
                Ok(Message::Judged(judged)) => judged.result.err(),
                _ => None,
            };
            assert_eq!(refused, (!is_lit).then_some(Reason::BadFrame), "{sequence}");
        }
    }
}
