//! This module gives access to the contents of a template, read straight from the bytes of its
//! file.

use super::container::{Section, SectionKind};
use super::header::{Decision, HeaderV1, ImageRecord, Origin, Settings};
use crate::error::{Error, Result};
use crate::image::{Mask, NetworkImage};
use crate::matching::{Sheets, Storage, Values};
use crate::scoring::rules::IGNORED;
use memmap2::Mmap;

/// A template whose every byte and number was checked.
pub struct Template {
    bytes: Mmap,
    header: HeaderV1,
    settings: Settings,
    sections: Vec<Section>,
}

impl Template {
    /// Makes a template of these parts. It checks that all sections exist and have the right size.
    ///
    /// # Errors
    /// [`crate::error::Kind::Template`], which names the section that does not fit the header.
    pub(super) fn of_parts(
        bytes: Mmap,
        header: HeaderV1,
        settings: Settings,
        sections: Vec<Section>,
    ) -> Result<Self> {
        let template = Template { bytes, header, settings, sections };
        template.check_sections()?;
        Ok(template)
    }

    /// Returns the header: what the template states about itself.
    pub fn header(&self) -> &HeaderV1 {
        &self.header
    }

    /// Returns how the threshold was set, or `None` where it is provisional (in old templates) or
    /// was given.
    pub fn decision(&self) -> Option<&Decision> {
        self.settings.decision.as_ref()
    }

    /// Returns whether the threshold promises a rate of false rejects that was asked for. An
    /// estimate of the build promises none.
    pub fn is_promised(&self) -> bool {
        let is_estimate =
            self.settings.evidence.as_ref().is_some_and(|e| e.origin == Origin::Estimate);
        self.settings.decision.is_some() && !is_estimate
    }

    /// Returns the pictures that the template was built from, and those that were inserted later.
    pub fn pictures(&self) -> (&[ImageRecord], &[ImageRecord]) {
        let images = &self.header.build.images;
        // Every inserted picture has an entry in the journal and stands at the end of the list.
        let inserted = self.sections.iter().filter(|s| s.kind == SectionKind::Journal).count();
        images.split_at(images.len().saturating_sub(inserted))
    }

    /// Returns the settings, which can change after the build.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the zones of its rules, one label per pixel at the network's input size. The list is
    /// empty where there are none.
    pub fn zones(&self) -> &[u8] {
        self.section(SectionKind::Zones, 0).unwrap_or_default()
    }

    /// Returns the bytes of a section.
    pub(crate) fn section_bytes(&self, section: &Section) -> &[u8] {
        let range = section.range.start as usize..section.range.end as usize;
        self.bytes.get(range).unwrap_or_default()
    }

    /// Returns the bytes of the file.
    #[cfg(feature = "line")]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Computes the BLAKE3 digest of the file.
    pub fn digest(&self) -> [u8; 32] {
        blake3::hash(&self.bytes).into()
    }

    /// Returns the number of bytes of the file.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the sections, in file order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns the number of layers.
    pub fn layers(&self) -> usize {
        self.header.layers.len()
    }

    /// Returns the prototypes of a layer.
    ///
    /// # Panics
    /// If there is no such layer. The sections themselves were checked when the file was opened.
    pub fn sheets(&self, layer: usize) -> Sheets<'_> {
        self.try_sheets(layer).expect("checked when the template was opened")
    }

    /// Returns the source picture of every prototype of a layer, `[pixel][sheet]`.
    ///
    /// # Panics
    /// As [`Template::sheets`].
    pub fn sources(&self, layer: usize) -> &[u32] {
        self.try_sources(layer).expect("checked when the template was opened")
    }

    /// Returns the region of interest, where the template has one.
    pub fn mask(&self) -> Option<Mask> {
        let flags = self.section(SectionKind::Mask, 0)?;
        let id = &self.header.backbone;
        Mask::from_flags(
            id.height as usize,
            id.width as usize,
            flags.iter().map(|&b| b != 0).collect(),
        )
    }

    /// Returns the bytes of the region of interest, where the template has one.
    pub(super) fn mask_bytes(&self) -> Option<&[u8]> {
        self.section(SectionKind::Mask, 0)
    }

    /// Returns the picture of golden probe `probe`.
    pub fn probe(&self, probe: usize) -> Option<NetworkImage> {
        let bytes = self.section(SectionKind::Probe, probe)?;
        let samples = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        let id = &self.header.backbone;
        NetworkImage::from_samples(id.height as usize, id.width as usize, samples)
    }

    /// Returns the baseline of a layer, `[pixel]`, where the template has one. It is a share of the
    /// mean distance map of good parts; see `Provenance::baseline_share`.
    pub fn baseline(&self, layer: usize) -> Option<&[f32]> {
        let baseline: &[f32] =
            bytemuck::try_cast_slice(self.section(SectionKind::Baseline, layer)?).ok()?;
        let fits = baseline.len() == self.header.map_pixels(layer)?;
        (fits && baseline.iter().all(|v| v.is_finite())).then_some(baseline)
    }

    /// Returns the bytes of the only section of this kind and index.
    pub(crate) fn section(&self, kind: SectionKind, index: usize) -> Option<&[u8]> {
        let mut found =
            self.sections.iter().filter(|s| s.kind == kind && usize::from(s.index) == index);
        let section = found.next().filter(|_| found.next().is_none())?;
        self.bytes.get(section.range.start as usize..section.range.end as usize)
    }

    fn try_sheets(&self, layer: usize) -> Option<Sheets<'_>> {
        let bytes = self.section(SectionKind::Values, layer)?;
        let values = match self.header.storage {
            Storage::F32 => Values::F32(bytemuck::try_cast_slice(bytes).ok()?),
            Storage::F16 => Values::F16(bytemuck::try_cast_slice(bytes).ok()?),
            Storage::I8 => {
                let scales = self.section(SectionKind::Scales, layer)?;
                Values::I8 {
                    values: bytemuck::cast_slice(bytes),
                    scales: bytemuck::try_cast_slice(scales).ok()?,
                }
            }
        };
        Sheets::new(self.header.shape(layer)?, values)
    }

    fn try_sources(&self, layer: usize) -> Option<&[u32]> {
        let shape = self.header.shape(layer)?;
        let sources: &[u32] =
            bytemuck::try_cast_slice(self.section(SectionKind::Sources, layer)?).ok()?;
        (sources.len() == shape.pixels().checked_mul(shape.sheets)?).then_some(sources)
    }

    /// Returns whether the zones fit the rules. There are zones exactly where there are rules with
    /// zones. The rules know every label, and some part of the picture is not ignored.
    fn zones_fit(&self) -> bool {
        let zones = self.zones();
        let count = self.sections.iter().filter(|s| s.kind == SectionKind::Zones).count();
        let Some(rules) = &self.settings.rules else { return count == 0 };
        if count == 0 {
            return rules.zones.is_empty();
        }
        let id = &self.header.backbone;
        let known = |&label: &u8| label == 0 || label == IGNORED || rules.zone(label).is_some();
        zones.len() == id.height as usize * id.width as usize
            && zones.iter().all(known)
            && zones.iter().any(|&label| label != IGNORED)
    }

    /// Checks that every section that the header asks for exists once, in the right size.
    fn check_sections(&self) -> Result<()> {
        let missing = |what: String| {
            Error::template(format!("the template has no usable section for {what}"))
        };
        for layer in 0..self.layers() {
            if self.try_sheets(layer).is_none() {
                return Err(missing(format!("the values of layer {layer}")));
            }
            if self.try_sources(layer).is_none() {
                return Err(missing(format!("the sources of layer {layer}")));
            }
        }
        let has_baseline = self.sections.iter().any(|s| s.kind == SectionKind::Baseline);
        if has_baseline && (0..self.layers()).any(|layer| self.baseline(layer).is_none()) {
            return Err(missing("the baseline".into()));
        }
        for probe in 0..self.header.probes.len() {
            if self.probe(probe).is_none() {
                return Err(missing(format!("probe {probe}")));
            }
        }
        if !self.zones_fit() {
            return Err(missing("the zones of its rules".into()));
        }
        let has_mask = self.sections.iter().any(|s| s.kind == SectionKind::Mask);
        if has_mask && self.mask().is_none_or(|mask| mask.count() == 0) {
            return Err(missing("the region of interest".into()));
        }
        Ok(())
    }
}
