//! Judges archived pictures with a template that is not in use, so that people see which decisions it would change.
//!
//! The line has decided on these parts already, perhaps with an earlier state of its template. Only the other template
//! computes here, on a thread of the lowest priority, with a feature extractor of its own. So the line never waits for it.

use crate::clock::LineTime;
use crate::containment::Containment;
use crate::error::{Error, Kind, Result};
use crate::image;
use crate::inspection::Pipeline;
use crate::line::archive::Numbers;
use crate::scoring::Verdict;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most pictures that are judged.
pub(super) const MOST: usize = 200;
/// The time after which no further picture is judged. The client waits for a minute.
const LIMIT: Duration = Duration::from_secs(20);
/// The most parts that are named.
const MOST_NAMED: usize = 50;

/// Judges pictures, the newest first, until the time is over. With `review_passes`, the verdict *review* lets a part pass.
/// Returns how many were judged, how many of them would be decided otherwise, and which.
///
/// # Errors
/// Returns [`Kind::Io`] if there is no thread of low priority.
pub(super) fn compare(
    pictures: &[(PathBuf, Numbers)],
    pipeline: &Pipeline,
    review_passes: bool,
) -> Result<Value> {
    let pool = Containment::default().pool(1)?;
    pool.install(|| {
        become_idle()?;
        let begun = LineTime::now();
        let (mut judged, mut changed) = (0, vec![]);
        for (picture, numbers) in pictures {
            if LineTime::now().since(begun) >= LIMIT {
                break;
            }
            let Some((verdict, score)) = judge(picture, pipeline) else { continue };
            judged += 1;
            let passes = verdict == Verdict::Ok || (verdict == Verdict::Review && review_passes);
            if passes != numbers.why.is_none() {
                changed.push(json!({
                    "part": numbers.part, "passed": numbers.why.is_none(), "passes": passes,
                    "score_before": numbers.score, "score": score,
                }));
            }
        }
        let count = changed.len();
        changed.truncate(MOST_NAMED);
        Ok(json!({"judged": judged, "changed": count, "parts": changed}))
    })
}

/// Returns verdict and score of a picture. A picture that the archive has removed meanwhile has none, and neither has one
/// that cannot be inspected.
fn judge(picture: &Path, pipeline: &Pipeline) -> Option<(Verdict, f32)> {
    let picture = image::read(picture).ok()?;
    let begun = LineTime::now();
    let clock = || LineTime::now().since(begun);
    let found = pipeline.inspect(&picture.view().ok()?, &clock).ok()?;
    Some((found.decided.verdict, found.scored.score))
}

/// Gives the calling thread the lowest priority: it gets only the time that nobody else wants.
fn become_idle() -> Result<()> {
    use thread_priority::{
        NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let policy = ThreadSchedulePolicy::Normal(Idle);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
        .map_err(|e| Error::new(Kind::Io, format!("there is no thread of low priority: {e:?}")))
}
