//! A rate of false rejects: as it is asked for, and what a threshold that was set for one promises.

use hetmm::template::{Decision, HeaderV1};

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
