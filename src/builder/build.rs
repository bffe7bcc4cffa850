//! Builds a template's file from good pictures: the steps of a build, in their order.

use super::draft::{first_header, first_settings, section_lengths};
use super::exposures::Parts;
use super::fill::{Material, fill};
use super::gather::{self, Gathered, Input, Pass};
use super::notices::Notice;
use super::options::Options;
use super::progress::Progress;
use super::prototypes::HeldOut;
use super::strays::{Chosen, Suspect, choose};
use super::threshold::{
    deal, decide, evidence, neighbours_alike, one_item, refuse_too_few, require_threshold,
};
use super::{golden, rotations};
use crate::backbone::Backbone;
use crate::error::{Error, Result};
use crate::heatmap;
use crate::inspection::Pipeline;
use crate::template::writer::Draft;
use crate::template::{Evidence, HeaderV1, Settings};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Holds what a build made.
#[derive(Debug, Clone)]
pub struct Report {
    /// The header of the template.
    pub header: HeaderV1,
    /// The number of bytes of the file.
    pub size: u64,
    /// The errors of pictures that could not be read and were skipped.
    pub skipped: Vec<Error>,
    /// Facts that are as they should be and that are worth knowing.
    pub notes: Vec<String>,
    /// What a person should know about the pictures.
    pub warnings: Vec<String>,
    /// Notices that come from the pictures themselves.
    pub notices: Vec<Notice>,
    /// Pictures that look unlike the rest, the most suspicious first.
    pub suspects: Vec<Suspect>,
    /// How long the steps took.
    pub times: Times,
}

/// Holds how long each [`super::Stage`] of a build took, including the files that it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The time of [`super::Stage::Features`].
    pub features: Duration,
    /// The time of [`super::Stage::Audit`].
    pub audit: Duration,
    /// The time of [`super::Stage::Turned`], including the decision about it.
    pub turned: Duration,
    /// The time of [`super::Stage::Selection`].
    pub selection: Duration,
    /// The time of the temporary templates without one fold each, which the threshold needs.
    pub folds: Duration,
    /// The time of [`super::Stage::LeaveOneOut`], with the baseline, weights and scores that come from it.
    pub leave_one_out: Duration,
}

/// Builds a template from good pictures, or their features, and writes it to `destination`.
///
/// # Errors
/// Returns [`crate::error::Kind::Image`] if pictures are unreadable (unless they may be skipped), too few, or of two
/// different things. Passes on the errors of the backbone and the disk.
pub fn build(
    destination: &Path,
    input: Input,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    progress: Progress,
) -> Result<Report> {
    options.check(backbone.identity())?;
    let started = Instant::now();
    let gathered = gather_pictures(input, backbone, options, progress)?;
    let options = &options.within_opaque(gathered.opaque.as_ref())?;
    let gathered_at = Instant::now();
    let prepared = prepare(gathered, backbone, options, progress)?;
    let Prepared { pass, parts, suspects, .. } = &prepared;

    let dealt = deal(pass, parts, options);
    let is_held_out = options.threshold.is_none();
    if is_held_out && dealt.folds < 2 {
        return Err(one_item(parts.count()));
    }
    let of_pictures = dealt.of_pictures(parts);
    let held_out = is_held_out.then_some(HeldOut { fold: &of_pictures, folds: dealt.folds });
    let mut header = first_header(pass, suspects, parts, backbone.identity(), options);
    let evidence = evidence(parts, &dealt, options);
    header.calibration.pictures = evidence.scores.len() as u32;
    let settings = first_settings(&header, &evidence, &dealt, options);
    let lengths = section_lengths(&header, options)?;
    let mut draft = Draft::create(destination, header, settings.clone(), &lengths)?;
    let pipeline = |draft: &Draft| Pipeline::new(draft.preview()?, backbone.clone());

    let material = Material { store: &pass.store, backbone, options, parts, destination };
    let filled = fill(&mut draft, &material, held_out, progress)?;
    let scores = filled.left_out.scores(&pipeline(&draft)?);
    let left_out_at = Instant::now();
    let held_out_scores = match held_out {
        Some(held_out) => material.scores(&pipeline(&draft)?, &filled, held_out, progress)?,
        None => Vec::new(),
    };
    let alike = neighbours_alike(&held_out_scores, &scores, parts);
    let (threshold, decision) = decide(&held_out_scores, &dealt, options)?;
    require_threshold(threshold, &scores)?;
    let evidence = Some(Evidence { scores: held_out_scores, ..evidence });
    let mut draft = draft.with_settings(Settings { decision, evidence, ..settings }, &lengths)?;
    let folded_at = Instant::now();

    let unnoticed = write_probes(&mut draft, pass, &scores, &pipeline)?;
    set_scores(&mut draft, threshold, &scores);
    promise_probes(&mut draft, &pipeline)?;
    let header = draft.header().clone();
    let size = draft.finish()?;
    let times = Times {
        features: gathered_at.duration_since(started),
        audit: prepared.audited_at.duration_since(gathered_at),
        turned: prepared.turned_at.duration_since(prepared.audited_at),
        selection: filled.selected_at.duration_since(prepared.turned_at),
        leave_one_out: left_out_at.duration_since(filled.selected_at),
        folds: folded_at.duration_since(left_out_at),
    };
    let warnings = [same_exposures(parts), alike, unnoticed].into_iter().flatten();
    Ok(report(prepared, header, size, warnings, times))
}

/// Computes or reads the features of all pictures, with the notices that come from the pictures.
fn gather_pictures<'a>(
    input: Input<'a>,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    progress: Progress,
) -> Result<Gathered<'a>> {
    let how = Pass {
        max_memory: options.max_memory,
        skip_unreadable: options.skip_unreadable,
        looks: true,
        reading: options.reading,
    };
    gather::gather(input, backbone.as_ref(), how, progress)
}

/// Holds the candidates of a build.
struct Prepared<'a> {
    /// The pictures that belong to the folder, with the features of their turned copies.
    pass: Gathered<'a>,
    /// Which pictures show the same part.
    parts: Parts,
    /// The pictures that look unlike the rest.
    suspects: Vec<Suspect>,
    audited_at: Instant,
    turned_at: Instant,
}

/// Leaves out the pictures that do not belong, and adds turned copies if the pictures call for them.
fn prepare<'a>(
    gathered: Gathered<'a>,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    progress: Progress,
) -> Result<Prepared<'a>> {
    let Chosen { mut pass, parts, suspects } =
        choose(gathered, backbone.identity(), options, progress)?;
    refuse_too_few(&pass, &parts, options)?;
    let audited_at = Instant::now();
    let turning = rotations::decide(&pass, &parts, backbone.as_ref(), options, progress)?;
    rotations::add(&mut pass, &turning, backbone.as_ref(), progress)?;
    pass.notes.extend(turning.note);
    Ok(Prepared { pass, parts, suspects, audited_at, turned_at: Instant::now() })
}

fn report(
    prepared: Prepared,
    header: HeaderV1,
    size: u64,
    more_warnings: impl Iterator<Item = String>,
    times: Times,
) -> Report {
    let Gathered { skipped, notices, notes, mut warnings, .. } = prepared.pass;
    warnings.extend(more_warnings);
    let suspects = prepared.suspects;
    Report { header, size, skipped, notes, warnings, notices, suspects, times }
}

/// Sets the threshold of a draft, the scale of its heat maps, and the leave-one-out score of every picture.
fn set_scores(draft: &mut Draft, threshold: f32, scores: &[f32]) {
    draft.set_header(|h| {
        h.calibration.threshold = threshold;
        h.calibration.scale_top = heatmap::TOP * threshold;
        h.build.images.iter_mut().zip(scores).for_each(|(image, &score)| image.score = score);
    });
}

/// Chooses the golden probes of a draft that is complete except for them, and writes them. Returns a sentence about
/// what none of them would notice.
fn write_probes(
    draft: &mut Draft,
    pass: &Gathered,
    scores: &[f32],
    pipeline: &dyn Fn(&Draft) -> Result<Pipeline>,
) -> Result<Option<String>> {
    let chosen = golden::choose(pass, scores, &pipeline(draft)?)?;
    for image in chosen.images {
        let bytes: Vec<u8> = image.samples().iter().flat_map(|v| v.to_le_bytes()).collect();
        draft.section(|section| section.write(&bytes))?;
    }
    let unnoticed = chosen.unnoticed;
    Ok((!unnoticed.is_empty()).then(|| {
        format!(
            "the golden probes do not notice a change of {}, so a damaged template may pass its check",
            unnoticed.join(", ")
        )
    }))
}

/// Stores the scores and maps of the golden probes in the draft, and checks that a second computation agrees.
fn promise_probes(draft: &mut Draft, pipeline: &dyn Fn(&Draft) -> Result<Pipeline>) -> Result<()> {
    let found = pipeline(draft)?.observe_probes()?;
    draft.set_header(|h| {
        h.probes.iter_mut().zip(&found).for_each(|(record, (score, _))| record.promise(*score));
    });
    draft.set_settings(|settings| {
        if let Some(proof) = &mut settings.proof {
            proof.maps = found.into_iter().map(|(_, maps)| maps).collect();
        }
    });
    for probe in pipeline(draft)?.check_probes()? {
        if let Some(difference) = probe.difference() {
            let what = format!("golden probe {} differs: {difference}", probe.name);
            return Err(Error::template(what).advise(
                "build on another computer: this one does not compute the same result twice",
            ));
        }
    }
    Ok(())
}

/// Returns a sentence that pictures of the same exposure count once, if there are any.
fn same_exposures(parts: &Parts) -> Option<String> {
    let (pictures, count) = (parts.of_picture.len(), parts.count());
    (count < pictures).then(|| {
        format!(
            "{} of {pictures} pictures show the same exposure as another one, in another file or a moment later: \
             they count as {count} parts",
            pictures - count
        )
    })
}
