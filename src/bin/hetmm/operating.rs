//! This module prints the operating curve as a table of text.

use crate::console::say;
use hetmm::metrics::OperatingCurve;
use hetmm::metrics::advice::RATES;
use hetmm::wording::percent;
use serde_json::{Value, json};

/// The thresholds at a few rates and the defects that they catch, then the thresholds of the template. Empty if good or
/// defective pictures are missing.
pub fn in_words(curve: &OperatingCurve, levels: &[(&str, f32)]) -> String {
    let mut text = String::new();
    if curve.caught_at(0.0).is_none() {
        return text;
    }
    say!(
        text,
        "{:<14} {:>13} {:>12} {:>15}",
        "by score",
        "good rejected",
        "score above",
        "defects caught"
    );
    for rate in RATES {
        let limit = curve.limit(rate).unwrap_or(f64::NAN);
        say!(
            text,
            "{:<14} {:>13} {limit:>12.4} {:>15}",
            "",
            percent(Some(rate)),
            percent(curve.caught_at(rate))
        );
    }
    for (name, level) in levels {
        let (good, caught) = curve.shares(*level);
        say!(
            text,
            "{:<14} {:>13} {level:>12.4} {:>15}",
            format!("  {name}"),
            percent(Some(good)),
            percent(Some(caught))
        );
    }
    text
}

/// The share of defects that is caught at a few rates, for programs. Null if good or defective pictures are missing.
pub fn add_to_json(curve: &OperatingCurve, object: &mut Value) {
    for rate in RATES {
        object[format!("caught_at_{:.0}", 100.0 * rate)] = json!(curve.caught_at(rate));
    }
}
