//! Hot update: a template learns further good pictures on the spot, and forgets them again.
//!
//! # What is learned
//! A picture's vector at a pixel is *new* there when it is clearly farther from every prototype in its
//! window than good parts usually are: when its forward distance is above one and a quarter times (or
//! what is given) the layer's baseline at that pixel.
//! Only such vectors become prototypes, each at its own pixel.
//!
//! A template with fewer sheets than its capacity grows by one sheet when a new vector finds no room. The
//! sheet repeats the first one; at every pixel by itself it is *spare* until a new vector takes its place, so
//! that one sheet holds what is new in dozens of pictures. A full template gives up, pixel by pixel, its
//! *most redundant* prototype: the one that is nearest to another one or to the new vector. That costs a
//! little elsewhere: prototypes that were chosen far from each other leave holes.
//!
//! A position-free layer takes the new patches that differ from each other, one at a time and the most distant first,
//! until no pixel of the picture is new. It grows by as many patches, up to its capacity; then they replace the most
//! redundant ones.
//!
//! # What stays
//! Layer weights, baseline, threshold and probe pictures stay as they are, so that scores keep
//! their scale and their meaning; the scores that the probes must reproduce are computed anew. A
//! threshold that was set for a rate of false rejects errs to fewer of them from then on, since good parts
//! come nearer to the template; calibrating again makes it exact.
//!
//! # The journal
//! Every picture leaves a [`journal::Entry`] in the template: who inserted it, when, its scores before
//! and after, and the prototypes that it replaced. [`undo`] puts these back, the newest first, and proves
//! by the file's BLAKE3 that the bytes are those from before. Time comes in as a value.

mod insert;
pub mod journal;
mod learner;
mod newcomers;
mod patches;
mod prototypes;
mod undo;

pub use insert::{Inserted, Outcome, insert};
pub use learner::{NOVELTY, Options};
pub use undo::{Undone, undo};

use crate::error::Result;
use crate::template::container::{Section, SectionKind};
use crate::template::writer::Draft;
use crate::template::{HeaderV1, Settings, Template};
use prototypes::Prototypes;
use std::path::Path;

/// A template with changed prototypes and another journal on its way into a file.
struct Change<'a> {
    template: &'a Template,
    header: HeaderV1,
    settings: Settings,
    /// The zones that go with the settings; empty for none.
    zones: &'a [u8],
    layers: &'a [Prototypes],
    journal: Vec<&'a [u8]>,
}

impl Change<'_> {
    /// A draft with all sections. They keep the order they have in the template; the zones and the journal
    /// come last, as [`crate::template::writer::rewrite`] has them.
    fn draft(self, destination: &Path) -> Result<Draft> {
        let kept = || {
            let moved = |s: &&Section| !matches!(s.kind, SectionKind::Zones | SectionKind::Journal);
            self.template.sections().iter().filter(moved)
        };
        let bytes = |kind: SectionKind, index: u16| {
            let layer = self.layers.get(usize::from(index))?;
            match kind {
                SectionKind::Values => Some(layer.values()),
                SectionKind::Scales => Some(layer.scales()),
                SectionKind::Sources => Some(layer.sources()),
                _ => None,
            }
        };
        let mut sections: Vec<(SectionKind, u16, &[u8])> = kept()
            .map(|s| {
                let old = || self.template.section_bytes(s);
                (s.kind, s.index, bytes(s.kind, s.index).unwrap_or_else(old))
            })
            .collect();
        if !self.zones.is_empty() {
            sections.push((SectionKind::Zones, 0, self.zones));
        }
        sections.extend(
            self.journal.iter().enumerate().map(|(i, e)| (SectionKind::Journal, i as u16, *e)),
        );
        let lengths: Vec<_> = sections.iter().map(|(k, i, b)| (*k, *i, b.len() as u64)).collect();
        let mut draft = Draft::create(destination, self.header, self.settings, &lengths)?;
        for (_, _, bytes) in sections {
            draft.section(|writer| writer.write(bytes))?;
        }
        Ok(draft)
    }
}
