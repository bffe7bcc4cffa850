//! The numbers of the property `stats`.

use hetmm::Verdict;
use std::time::Duration;

/// What has happened since the element started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// The frames that arrived.
    arrived: u64,
    ok: u64,
    review: u64,
    ng: u64,
    /// The frames and triggers that were rejected without an inspection.
    failed: u64,
    /// The frames that nobody asked for.
    skipped: u64,
    time: Duration,
    longest: Duration,
}

impl Tally {
    /// Counts a frame. Returns its number, from 1.
    pub fn arrive(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// Counts a frame that nobody asked for.
    pub fn skip(&mut self) {
        self.skipped += 1;
    }

    /// Counts a frame or a trigger that was rejected without an inspection.
    pub fn fail(&mut self) {
        self.failed += 1;
    }

    /// Counts an inspection that took `time`.
    pub fn inspect(&mut self, verdict: Verdict, time: Duration) {
        match verdict {
            Verdict::Ok => self.ok += 1,
            Verdict::Review => self.review += 1,
            Verdict::Ng => self.ng += 1,
        }
        self.time += time;
        self.longest = self.longest.max(time);
    }

    /// Returns the numbers as the property has them.
    pub fn structure(&self, generation: u64) -> gst::Structure {
        let inspected = self.ok + self.review + self.ng;
        let mean_ms = match inspected {
            0 => 0.0,
            _ => self.time.as_secs_f64() * 1e3 / inspected as f64,
        };
        gst::Structure::builder("hetmm-stats")
            .field("inspected", inspected)
            .field("ok", self.ok)
            .field("review", self.review)
            .field("ng", self.ng)
            .field("failed", self.failed)
            .field("skipped", self.skipped)
            .field("mean-ms", mean_ms)
            .field("max-ms", self.longest.as_secs_f64() * 1e3)
            .field("generation", generation)
            .build()
    }
}
