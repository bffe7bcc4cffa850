//! Runs the inspection's thread: it takes a frame and returns an assessment, with the same code as the workstation.

use super::alive::Alive;
use super::archive::{Archive, Item};
use super::assessment::Assessment;
use super::current::{Current, InUse};
use super::drift_keeper::{Feed, Seen};
use super::feed::PreviewSlot;
use super::messages::{Job, Judged, Message};
use super::outbox::Outbox;
use super::tracker::{Event, Fault, PartId, Reason};
use crate::clock::LineTime;
use crate::containment::Containment;
use crate::error::{Error, Kind};
use crate::image::{NetworkImage, Picture};
use crate::inspection::{Inspected, Pipeline};
use crate::scoring::{Decided, Scored, Verdict};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Holds what the inspection's thread works with.
pub struct Inspection {
    /// The template in use.
    pub current: Arc<Current>,
    /// The number of threads that compute; 0 means all cores.
    pub threads: usize,
    /// Whether a part with the verdict *review* passes.
    pub review_passes: bool,
    /// The archive of pictures.
    pub archive: Option<Arc<Archive>>,
    /// The way to the drift watch, if there is one.
    pub drift: Option<Feed>,
    /// Where a copy of the latest picture is kept for those who look, if anybody can.
    pub preview: Option<Arc<PreviewSlot>>,
    /// The signs of life of the threads.
    pub alive: Arc<Alive>,
    /// The way to the hub thread.
    pub hub: Outbox,
}

impl Inspection {
    /// Inspects until the device stops. Every job is answered once.
    pub fn run(self, jobs: &Receiver<Job>) {
        let containment = Containment::default();
        containment.adopt_this_thread();
        let pool = match containment.pool(self.threads) {
            Ok(pool) => Some(pool),
            Err(why) => {
                log::warn!("going on with one thread: {why}");
                None
            }
        };
        while !self.hub.stopped() {
            let job = match jobs.recv_timeout(Duration::from_millis(100)) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.alive.inspection_begins(LineTime::now());
            let Job { part, triggered_at, deadline, frame } = job;
            let (exposed_at, picture) = (frame.exposed_at, Arc::new(frame.picture));
            let work = Work { part, triggered_at, deadline, exposed_at, picture };
            let (result, seen) = match &pool {
                Some(pool) => pool.install(|| self.work(&work)),
                None => self.work(&work),
            };
            self.alive.inspection_ends();
            let judged = Judged { part, triggered_at, result };
            self.hub.send(Message::Judged(Box::new(judged)));
            // The hub has its result by now, so that the watch delays none.
            if let (Some(drift), Some(seen)) = (&self.drift, seen) {
                drift.part(seen);
            }
            // The verdict is on its way. A copy of the picture delays at most the next part.
            if let Some(preview) = &self.preview
                && preview.wants(LineTime::now())
            {
                preview.keep(part, &work.picture, LineTime::now());
            }
        }
    }

    /// Inspects a part. Also returns what the drift watch needs of it.
    fn work(&self, job: &Work) -> (std::result::Result<Assessment, Reason>, Option<Seen>) {
        let begun = LineTime::now();
        if begun >= job.deadline {
            // The part is already rejected. The time belongs to the next one.
            return (Err(Reason::Late), None);
        }
        let Some(in_use) = self.current.get() else {
            return (Err(Reason::InspectionFailed), None);
        };
        let pipeline = in_use.pipeline.clone();
        match inspect(&in_use, job, begun, self.review_passes) {
            Ok((assessment, scored, image)) => {
                let (score, slot) = (assessment.score, in_use.identity.slot);
                let seen = Seen { score, image, pipeline: pipeline.clone(), slot };
                let late = LineTime::now() >= job.deadline;
                let reason = match assessment.passes {
                    true => late.then_some(Reason::Late),
                    false => Some(Reason::Defect),
                };
                if let Some(archive) = &self.archive
                    && (reason.is_some() || archive.wants_passed())
                {
                    archive.keep(Item {
                        part: job.part,
                        reason,
                        score: assessment.score,
                        picture: job.picture.clone(),
                        scored,
                        pipeline,
                        slot,
                    });
                }
                (Ok(assessment), Some(seen))
            }
            Err(failure) => {
                let part = job.part.0;
                match failure {
                    Failure::Picture(why) => log::error!("part {part} cannot be inspected: {why}"),
                    Failure::Extractor(why) => {
                        log::error!("part {part}: {} has failed: {why}", pipeline.extractor());
                        self.extractor_failed(&pipeline, &why);
                    }
                }
                (Err(Reason::InspectionFailed), None)
            }
        }
    }

    /// Reports the fault and takes the pipeline out of use. [`super::templates`] replaces it.
    fn extractor_failed(&self, pipeline: &Arc<Pipeline>, why: &Error) {
        let tell = |present| {
            let fault = Fault::Engine;
            self.hub.send(Message::Event(Event::Condition { fault, present }));
        };
        // Report the fault first, so that whoever replaces the pipeline ends the fault afterwards.
        tell(true);
        if !self.current.fail(pipeline, why.what()) {
            tell(false);
        }
    }
}

/// Holds what is inspected.
struct Work {
    part: PartId,
    triggered_at: LineTime,
    deadline: LineTime,
    exposed_at: LineTime,
    picture: Arc<Picture>,
}

/// Says why a part could not be inspected.
enum Failure {
    /// The picture cannot be used.
    Picture(Error),
    /// The feature extractor has failed.
    Extractor(Error),
}

/// Inspects the picture of a part.
fn inspect(
    in_use: &InUse,
    job: &Work,
    begun: LineTime,
    review_passes: bool,
) -> std::result::Result<(Assessment, Scored, NetworkImage), Failure> {
    let InUse { pipeline, identity } = in_use;
    let clock = || LineTime::now().since(begun);
    let found = job.picture.view().and_then(|view| pipeline.inspect(&view, &clock));
    let Inspected { scored, decided, times, image, .. } =
        found.map_err(|why| match why.kind() {
            Kind::Image => Failure::Picture(why),
            _ => Failure::Extractor(why),
        })?;
    let Decided { verdict, by, regions } = decided;
    let assessment = Assessment {
        score: scored.score,
        threshold: pipeline.template().header().calibration.threshold,
        verdict,
        decided_by: by,
        passes: match verdict {
            Verdict::Ok => true,
            Verdict::Review => review_passes,
            Verdict::Ng => false,
        },
        regions,
        exposure: job.exposed_at.since(job.triggered_at),
        frame: begun.since(job.triggered_at),
        stages: times,
        result_at: LineTime::now(),
        template: Some(identity.clone()),
    };
    Ok((assessment, scored, image))
}
