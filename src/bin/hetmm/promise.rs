//! A rate of false rejects: as it is asked for, and what a threshold that was set for one promises.

use hetmm::builder::calibration;
use hetmm::template::{Decision, HeaderV1, Template};
use hetmm::wording::counted;

/// What has to be said of a promise where a template has region rules.
pub const ABOUT_THE_SCORE: &str =
    "That is about the score alone. The template's region rules decide, too.";

/// A rate between 0 and 1, as 0.005 or 0.5%.
pub fn parse_rate(text: &str) -> std::result::Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
    match number.trim().parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate * unit < 1.0 => Ok(rate * unit),
        _ => Err("a rate above 0 and below 1, as in 0.5% or 0.005".into()),
    }
}

/// The fewest good parts that can promise a rate.
pub fn fewest_parts(rate: f64) -> usize {
    calibration::threshold(&[], rate).err().map_or(0, |too_few| too_few.needed)
}

/// What a template's threshold is and rests on, for people.
pub fn threshold(template: &Template) -> String {
    let h = template.header();
    let score = h.calibration.threshold;
    let Some(decision) = template.decision() else {
        return match h.build.has_given_threshold() {
            true => format!("Threshold {score:.4}, given."),
            false => format!(
                "Threshold {score:.4}, provisional: the largest score of a good picture with its own prototypes left \
                 out. It lets weak defects pass. hetmm calibrate sets one for a rate of false rejects."
            ),
        };
    };
    match template.is_promised() {
        true => promise(h, decision),
        false => estimate(template, decision),
    }
}

/// What the estimate of a plain build means.
fn estimate(template: &Template, decision: &Decision) -> String {
    let h = template.header();
    let (parts, pictures) = (h.calibration.pictures as usize, template.pictures().0.len());
    let of_pictures = match parts == pictures {
        true => String::new(),
        false => format!(" on {}", counted(pictures, "picture")),
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
         For parts and light like these the true rate lies between {low:.1} and {high:.1} % (95 %).",
        h.calibration.threshold,
        100.0 * decision.false_reject,
        decision.basis,
    )
}

/// What a threshold promises, for people.
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
         Expect {:.0} of 10,000 good parts rejected; the true rate lies between {low:.2} and {high:.2} % \
         (95 %).",
        header.calibration.threshold,
        100.0 * decision.false_reject,
        decision.basis,
        1e4 * rate,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, want) in [("0.5%", 0.005), ("0.01", 0.01), ("2 %", 0.02)] {
            assert!((parse_rate(text).unwrap_or(f64::NAN) - want).abs() < 1e-12, "{text}");
        }
        for text in ["0", "100%", "-1%", "nan", "inf", "", "%"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
