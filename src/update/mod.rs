//! This module updates a template on the spot. The template learns further good pictures, and can
//! forget them again.
//!
//! # What is learned
//! A picture's vector at a pixel is *new* there when it is clearly farther from every prototype in
//! its window than good parts usually are. Its forward distance must be above 1.25 times (or
//! another given number of times) the mean distance of good parts at that pixel. Only such vectors
//! become prototypes, each at its own pixel.
//!
//! A template with fewer sheets than its capacity grows by one sheet when a new vector finds no
//! room. The added sheet repeats the first one. At each pixel it is *spare* until a new vector
//! takes its place there. So one sheet can hold new vectors of dozens of pictures. When a template
//! is full, a new vector replaces the *most redundant* prototype of its pixel. That is the one
//! nearest to another prototype or to the new vector. That costs a little elsewhere. Prototypes
//! were chosen far from each other, and a replaced one leaves a hole.
//!
//! A position-free layer takes the new patches that differ from each other. It takes one at a time,
//! the most distant first, until no pixel of the picture is new. The layer grows by as many
//! patches, up to its capacity. After that, they replace the most redundant patches.
//!
//! # What stays
//! Layer weights, baseline, threshold and probe pictures stay as they are, so that scores keep
//! their scale and their meaning. The scores that the probes must reproduce are computed anew. A
//! threshold that was set for a rate of false rejects then rejects fewer good parts. The reason is
//! that good parts come nearer to the template. Another calibration makes it exact again.
//!
//! # The journal
//! Every picture leaves a [`journal::Entry`] in the template. It says who inserted the picture and
//! when, its scores before and after, and which prototypes it replaced. [`undo`] puts these back,
//! the newest first. It checks by the file's BLAKE3 that the bytes are the same as before. Time
//! comes in as a value.

mod insert;
pub mod journal;
mod learner;
mod newcomers;
mod patches;
mod prototypes;
mod undo;

pub use insert::{Inserted, Outcome, insert};
pub use learner::{NOVELTY, Options};
pub use newcomers::NewPicture;
pub use undo::{Undone, undo};

use crate::error::Result;
use crate::template::container::{Section, SectionKind};
use crate::template::writer::Draft;
use crate::template::{HeaderV1, Settings, Template};
use prototypes::Prototypes;
use std::path::Path;

/// A template with changed prototypes and another journal, before it is written to a file.
struct Change<'a> {
    template: &'a Template,
    header: HeaderV1,
    settings: Settings,
    /// The zones that go with the settings, or nothing where there are none.
    zones: &'a [u8],
    layers: &'a [Prototypes],
    journal: Vec<&'a [u8]>,
}

impl Change<'_> {
    /// Makes a draft with all sections. They keep their order in the template. The zones and the
    /// journal come last, as in [`crate::template::writer::rewrite`].
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
