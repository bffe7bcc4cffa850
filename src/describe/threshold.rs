//! This module says in sentences what a threshold is and what it guarantees.

use crate::builder::calibration;
use crate::template::{Decision, HeaderV1, Template};
use crate::wording::counted;

/// The sentence about a guarantee if the template has region rules.
pub const ABOUT_THE_SCORE: &str =
    "That is about the score alone. The region rules of the template decide, too.";

/// The smallest number of good parts that can guarantee a rate.
pub fn fewest_parts(rate: f64) -> usize {
    calibration::threshold(&[], rate).err().map_or(0, |too_few| too_few.needed)
}

/// What the threshold of a template is and where it comes from, for people.
pub fn threshold(template: &Template) -> String {
    let h = template.header();
    let score = h.calibration.threshold;
    let Some(decision) = template.decision() else {
        return match h.build.has_given_threshold() {
            true => format!("Threshold {score:.4}, given by the user."),
            false => format!(
                "Threshold {score:.4}, provisional: the largest score of a good picture with its own prototypes left \
                 out. It lets weak defects pass. `hetmm calibrate` sets one for a rate of false rejects."
            ),
        };
    };
    match template.is_promised() {
        true => promise(h, decision),
        false => estimate(template, decision),
    }
}

/// The meaning of the estimate of a plain build.
fn estimate(template: &Template, decision: &Decision) -> String {
    let h = template.header();
    let (parts, pictures) = (h.calibration.pictures as usize, template.pictures().0.len());
    let of_pictures = match parts == pictures {
        true => String::new(),
        false => format!(" in {}", counted(pictures, "picture")),
    };
    let items = template.settings().evidence.as_ref().map_or(0, |e| e.items as usize);
    let of_items = match items < parts {
        true => format!(", of {items} items by their names"),
        false => String::new(),
    };
    let [low, high] = decision.interval.map(|v| 100.0 * f64::from(v));
    let review = match decision.review < h.calibration.threshold {
        true => format!(", review from {:.4}", decision.review),
        false => String::new(),
    };
    format!(
        "Threshold {:.4}{review}: an estimate that about {:.0} % of good parts are rejected, from {parts} good \
         parts{of_pictures}{of_items} ({}).\n\
         For parts and lighting like these, the true rate lies between {low:.1} and {high:.1} % (95 % confidence).",
        h.calibration.threshold,
        100.0 * decision.false_reject,
        decision.basis,
    )
}

/// What a threshold guarantees, for people.
pub fn promise(header: &HeaderV1, decision: &Decision) -> String {
    let n = header.calibration.pictures;
    let rate = f64::from(decision.rank) / f64::from(n + 1);
    let [low, high] = decision.interval.map(|v| 100.0 * f64::from(v));
    let review = if decision.review < header.calibration.threshold {
        format!(", review from {:.4}", decision.review)
    } else {
        String::new()
    };
    format!(
        "Threshold {:.4}{review}: asked for {:.3} % false rejects, from {n} good parts ({}).\n\
         Expect {:.0} rejected of 10,000 good parts like these. The true rate lies between {low:.2} and {high:.2} % \
         (95 % confidence).",
        header.calibration.threshold,
        100.0 * decision.false_reject,
        decision.basis,
        1e4 * rate,
    )
}
