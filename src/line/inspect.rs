//! The inspection's thread: a frame in, an assessment out, with the same code as the workstation.

use super::archive::{Archive, Item};
use super::camera::Frame;
use super::engine::{PartId, Reason};
use super::hub::{Message, Outbox};
use super::supervise::Alive;
use super::time::LineTime;
use crate::error::Result;
use crate::inspection::Inspector;
use crate::scoring::{Decided, DecidedBy, Region, Scored, Verdict};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A frame to be inspected.
pub struct Job {
    /// The part in it.
    pub part: PartId,
    /// When the part was triggered.
    pub triggered_at: LineTime,
    /// A result after this moment is worth nothing.
    pub deadline: LineTime,
    /// Its picture.
    pub frame: Frame,
}

/// The answer to a capture.
pub struct Judged {
    /// The part.
    pub part: PartId,
    /// When it was triggered.
    pub triggered_at: LineTime,
    /// What was found, or why nothing could be.
    pub result: std::result::Result<Assessment, Reason>,
}

/// What was found on a part.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// Image score.
    pub score: f32,
    /// The template's threshold.
    pub threshold: f32,
    /// What the score means.
    pub verdict: Verdict,
    /// The rule that decided, and where.
    pub decided_by: DecidedBy,
    /// Whether the part passes.
    pub passes: bool,
    /// Where it differs, the worst first.
    pub regions: Vec<Region>,
    /// From the trigger to the begin of the exposure.
    pub exposure: Duration,
    /// From the trigger to the frame in memory.
    pub frame: Duration,
    /// Time for each stage of the inspection.
    pub stages: Stages,
}

/// Time for each stage of an inspection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stages {
    /// To network size.
    pub prepare: Duration,
    /// Features.
    pub backbone: Duration,
    /// Distances.
    pub matching: Duration,
    /// Map, score, regions.
    pub scoring: Duration,
}

/// The template in use. It changes between two parts, never within one.
#[derive(Default)]
pub struct Current(Mutex<Option<Arc<Inspector>>>);

impl Current {
    /// The template in use.
    pub fn get(&self) -> Option<Arc<Inspector>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in its place.
    pub fn set(&self, inspector: Arc<Inspector>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(inspector);
    }
}

/// What the inspection's thread works with.
pub struct Inspection {
    /// The template in use.
    pub current: Arc<Current>,
    /// Threads that match; 0 for all cores.
    pub threads: usize,
    /// Whether a part that should be looked at passes.
    pub review_passes: bool,
    /// Where pictures of bad parts are kept.
    pub archive: Option<Arc<Archive>>,
    /// Signs of life.
    pub alive: Arc<Alive>,
    /// The line's thread.
    pub hub: Outbox,
}

impl Inspection {
    /// Inspects until the device stops; every job is answered once.
    pub fn run(self, jobs: &Receiver<Job>) {
        let pool = match rayon::ThreadPoolBuilder::new().num_threads(self.threads).build() {
            Ok(pool) => Some(pool),
            Err(why) => {
                log::warn!("no threads for matching, going on with one: {why}");
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
            let (part, triggered_at) = (job.part, job.triggered_at);
            let result = match &pool {
                Some(pool) => pool.install(|| self.job(job)),
                None => self.job(job),
            };
            self.alive.inspection_ends();
            let judged = Judged { part, triggered_at, result };
            self.hub.send(Message::Judged(Box::new(judged)));
        }
    }

    fn job(&self, job: Job) -> std::result::Result<Assessment, Reason> {
        let begun = LineTime::now();
        if begun >= job.deadline {
            // The part is rejected already; the time belongs to the next one.
            return Err(Reason::Late);
        }
        let Some(inspector) = self.current.get() else { return Err(Reason::InspectionFailed) };
        match inspect(&inspector, &job, begun, self.review_passes) {
            Ok((assessment, scored)) => {
                let late = LineTime::now() >= job.deadline;
                if let Some(archive) = self.archive.as_ref().filter(|_| late || !assessment.passes)
                {
                    let reason = if assessment.passes { Reason::Late } else { Reason::Defect };
                    archive.keep(Item {
                        part: job.part,
                        reason,
                        score: assessment.score,
                        picture: job.frame.picture,
                        scored,
                        inspector,
                    });
                }
                Ok(assessment)
            }
            Err(why) => {
                log::error!("part {} cannot be inspected: {why}", job.part.0);
                Err(Reason::InspectionFailed)
            }
        }
    }
}

/// The way of every picture, with a watch on the stages.
fn inspect(
    inspector: &Inspector,
    job: &Job,
    begun: LineTime,
    review_passes: bool,
) -> Result<(Assessment, Scored)> {
    let mut last = begun;
    let mut lap = || {
        let now = LineTime::now();
        let lap = now.since(last);
        last = now;
        lap
    };
    let picture = &job.frame.picture;
    let mut stages = Stages::default();
    let image = inspector.prepare(picture)?;
    stages.prepare = lap();
    let features = inspector.features(&image)?;
    stages.backbone = lap();
    let distances = inspector.distances(&features, None);
    stages.matching = lap();
    let scored = inspector.score(&inspector.anomaly_map(&distances));
    let Decided { verdict, by, regions } = inspector.decide(&scored, picture.width, picture.height);
    stages.scoring = lap();
    let assessment = Assessment {
        score: scored.score,
        threshold: inspector.template().header().calibration.threshold,
        verdict,
        decided_by: by,
        passes: match verdict {
            Verdict::Ok => true,
            Verdict::Review => review_passes,
            Verdict::Ng => false,
        },
        regions,
        exposure: job.frame.exposed_at.since(job.triggered_at),
        frame: begun.since(job.triggered_at),
        stages,
    };
    Ok((assessment, scored))
}
