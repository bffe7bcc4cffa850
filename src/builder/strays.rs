//! Decides which pictures of a folder a template is built from. Strays are left out, and a folder of two things is
//! refused.

use super::audit::{self, Finding, Halves, ReasonKind};
use super::exposures::{self, Parts};
use super::gather::Gathered;
use super::{Options, Progress, Suspects};
use crate::backbone::Identity;
use crate::error::{Error, Kind, Result};
use crate::template::ImageRecord;

/// Describes a picture that [`audit`] suspects.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// The file name.
    pub name: String,
    /// The strongest reason, in words.
    pub reason: String,
    /// Whether it was left out.
    pub dropped: bool,
    /// Whether the reason is that it shows the same exposure as another picture.
    pub is_double: bool,
}

/// The largest share of strays that a folder may hold. A folder with more of them holds two things.
const MOST_STRAYS: f64 = 0.1;
/// The distance from which two halves of a folder are two things, in mean distances inside a half.
const TWO_THINGS: f64 = 5.0;

/// Holds the pictures that a template is built from.
pub(super) struct Chosen<'a> {
    /// The pictures, with their features.
    pub pass: Gathered<'a>,
    /// The part that every picture shows.
    pub parts: Parts,
    /// The pictures that look unlike the rest, including those that were left out.
    pub suspects: Vec<Suspect>,
}

/// Looks for pictures of the same exposure and for suspects, and leaves out the pictures that the options leave out.
pub(super) fn choose<'a>(
    pass: Gathered<'a>,
    backbone: &Identity,
    options: &Options,
    progress: Progress,
) -> Result<Chosen<'a>> {
    let exposures = exposures::find(&pass.images, &pass.looks);
    let count = pass.images.len();
    if !options.audit || count < audit::LEAST {
        return Ok(Chosen { pass, parts: exposures.parts, suspects: Vec::new() });
    }
    let audit::Examined { findings, halves, .. } =
        audit::examine(&pass, &exposures, backbone, options.mask.as_ref(), None, progress)?;
    log::debug!("halves of the folder: {halves:?}");
    // A caller who asks for all suspects to be kept or left out has looked at them.
    let is_unseen = options.suspects == Suspects::LeaveOutStrays;
    let strays = findings.iter().filter(|f| f.stray).count();
    if is_unseen && strays as f64 > MOST_STRAYS * count as f64 {
        return Err(two_things(&findings, &pass.images, strays));
    }
    let are_two = halves.share > MOST_STRAYS && halves.apart > TWO_THINGS;
    if is_unseen && are_two {
        return Err(two_halves(&halves, &pass.images));
    }
    let mut keep = vec![true; count];
    let mut suspects = Vec::new();
    for finding in findings.iter().filter(|f| f.suspect) {
        let dropped = match options.suspects {
            Suspects::Keep => false,
            Suspects::LeaveOutStrays => finding.stray,
            Suspects::LeaveOut => true,
        };
        keep[finding.picture] = !dropped;
        suspects.push(Suspect {
            name: pass.images[finding.picture].name.clone(),
            reason: finding.reasons.first().map_or_else(String::new, |r| r.words.clone()),
            dropped,
            is_double: finding.reasons.first().is_some_and(|r| r.kind == ReasonKind::Duplicate),
        });
    }
    let parts = exposures.parts.only(&keep);
    let pass = match keep.contains(&false) {
        true => pass.only(&keep),
        false => pass,
    };
    Ok(Chosen { pass, parts, suspects })
}

/// Returns the refusal of a folder whose pictures are of two kinds that have nothing in common.
fn two_halves(halves: &Halves, images: &[ImageRecord]) -> Error {
    let [few, most] = halves.medoids.map(|at| images[at].name.as_str());
    let what = format!(
        "the folder contains two different things: {:.0} % of the pictures are like {few}, the rest like {most}",
        100.0 * halves.share
    );
    Error::new(Kind::Image, what)
        .advise("give a folder with good parts of one product, or choose to keep all pictures")
}

/// Returns the refusal of a folder with too many strays to be one product.
fn two_things(findings: &[Finding], images: &[ImageRecord], strays: usize) -> Error {
    let named: Vec<&str> = (findings.iter().filter(|f| f.stray).take(5))
        .map(|f| images[f.picture].name.as_str())
        .collect();
    let more = if strays > named.len() { ", .." } else { "" };
    let what = format!(
        "the folder contains two different things: {strays} of {} pictures look unlike the rest, more than a tenth \
         ({}{more})",
        images.len(),
        named.join(", ")
    );
    Error::new(Kind::Image, what).advise(
        "look at them with an audit, then give a folder with good parts of one product, or choose to keep all pictures",
    )
}
