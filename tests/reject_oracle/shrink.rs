//! Looks for a short story that fails as a long one did.

use crate::bench::{Bench, Call};

/// Replays the calls of a failed bench with fewer and fewer of them. Returns the shortest story that still fails, with
/// its reason.
pub fn shortest(failed: &Bench) -> String {
    let fails = |calls: &[Call]| replay(failed, calls).err();
    let mut calls = failed.calls.clone();
    if fails(&calls).is_none() {
        return "the calls alone do not fail; repeat the trial".into();
    }
    let mut chunk = calls.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < calls.len() {
            let mut fewer = calls.clone();
            fewer.drain(from..(from + chunk).min(calls.len()));
            if fails(&fewer).is_some() {
                calls = fewer;
            } else {
                from += chunk;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    let mut bench = Bench::new(&failed.settings, failed.start, true);
    let why = calls.iter().find_map(|(now, event)| bench.call(*now, *event).err());
    format!("{}\n{}", why.unwrap_or_else(|| "the queues grew".into()), bench.story(usize::MAX))
}

fn replay(failed: &Bench, calls: &[Call]) -> Result<(), String> {
    let mut bench = Bench::new(&failed.settings, failed.start, true);
    for (now, event) in calls {
        bench.call(*now, *event)?;
    }
    bench.check_queues()
}
