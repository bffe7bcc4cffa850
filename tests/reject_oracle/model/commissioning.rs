//! Models commissioning: the safe state, in which the reject output may leave its level for a moment.

use super::{Model, NEVER, nanos};
use hetmm::line::tracker::TEST_PULSE_PITCH;

/// Describes commissioning that lasts.
pub struct Commissioning {
    pub until: u64,
    /// The beginning of the test pulse that was asked for, and the call in which it began.
    pulse: Option<(u64, Option<u64>)>,
    /// The moment before which no other test pulse may begin.
    rest: u64,
}

impl Model {
    pub(super) fn commission(&mut self, until: u64) {
        if self.commissioning.is_none() {
            self.safe();
            self.commissioning = Some(Commissioning { until, pulse: None, rest: 0 });
        }
    }

    pub(super) fn test_pulse(&mut self, due: u64) {
        let (now, width) = (self.now, nanos(self.settings.ng_width));
        let Some(commissioning) = &mut self.commissioning else { return };
        let is_early = due < now || due < commissioning.rest || commissioning.pulse.is_some();
        let fits = width > 0 && due.saturating_add(width) < commissioning.until;
        if !is_early && fits {
            commissioning.pulse = Some((due, None));
            commissioning.rest = due.saturating_add(nanos(TEST_PULSE_PITCH));
        }
    }

    /// Computes what has become due in commissioning.
    pub(super) fn look_at_commissioning(&mut self) {
        let (now, width) = (self.now, nanos(self.settings.ng_width));
        let come = |moment: u64| moment <= now && moment != NEVER;
        let Some(commissioning) = &mut self.commissioning else { return };
        if come(commissioning.until) {
            self.commissioning = None;
            return;
        }
        match commissioning.pulse {
            // Without an end it would be no pulse.
            Some((due, None)) if come(due) && now.saturating_add(width) == NEVER => {
                commissioning.pulse = None;
            }
            Some((due, None)) if come(due) => {
                commissioning.pulse = Some((due, Some(now)));
                commissioning.rest = now.saturating_add(nanos(TEST_PULSE_PITCH));
            }
            Some((_, Some(begun))) if come(begun.saturating_add(width)) => {
                commissioning.pulse = None;
            }
            _ => {}
        }
    }

    /// Returns whether a test pulse lasts.
    pub(super) fn is_pulsing(&self) -> bool {
        let pulse = self.commissioning.as_ref().and_then(|commissioning| commissioning.pulse);
        pulse.is_some_and(|(_, begun)| begun.is_some())
    }

    /// Returns the moments at which something changes in commissioning by itself.
    pub(super) fn commissioning_changes(&self) -> impl Iterator<Item = u64> {
        let width = nanos(self.settings.ng_width);
        self.commissioning.iter().flat_map(move |commissioning| {
            let edge = commissioning.pulse.map(|(due, begun)| match begun {
                Some(begun) => begun.saturating_add(width),
                None => due,
            });
            edge.into_iter().chain([commissioning.until])
        })
    }
}
