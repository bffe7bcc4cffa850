//! This module knows the ranges of values that have no limits in the network itself.

use super::quantise::Range;
use crate::backbone::network::bundled::MODEL;
use crate::backbone::network::refusal::unusable_model;
use crate::error::Result;
use std::collections::HashMap;

/// The key of a model's metadata that states ranges: `name:low:high`, separated by commas.
pub const KEY: &str = "hetmm.ranges";

/// The ranges of the bundled network. `examples/activation_ranges.rs` prints them: 0.8 times the
/// extremes of 240 made-up pictures. A value beyond its range counts as the nearest end.
const BUNDLED: [(&str, f32, f32); 16] = [
    ("block0.proj", -56.0, 58.0),
    ("block1.proj", -44.0, 57.0),
    ("block2.proj", -61.0, 56.0),
    ("block3.proj", -36.0, 46.0),
    ("block4.proj", -39.0, 44.0),
    ("block5.proj", -40.0, 32.0),
    ("block6.proj", -38.0, 32.0),
    ("block7.proj", -39.0, 34.0),
    ("block8.proj", -31.0, 28.0),
    ("block9.proj", -32.0, 30.0),
    ("block10.proj", -34.0, 32.0),
    ("block11.proj", -25.0, 24.0),
    ("block12.proj", -26.0, 24.0),
    ("block13.proj", -27.0, 25.0),
    ("block14.proj", -29.0, 29.0),
    ("block15.proj", -16.0, 14.0),
];

/// Returns the ranges that a model states, or that are known of the bundled one.
///
/// # Errors
/// [`crate::error::Kind::Model`] where the model states something else.
pub fn of_model(model: &[u8], metadata: &HashMap<&str, &str>) -> Result<HashMap<String, Range>> {
    if let Some(text) = metadata.get(KEY) {
        let parsed: Option<_> = text.split(',').map(entry).collect();
        return parsed.ok_or_else(|| {
            unusable_model(&format!("its metadata {KEY} is not name:low:high, .."))
        });
    }
    match model == MODEL {
        true => Ok(BUNDLED.map(|(name, low, high)| (name.into(), Range { low, high })).into()),
        false => Ok(HashMap::new()),
    }
}

fn entry(text: &str) -> Option<(String, Range)> {
    let mut parts = text.trim().rsplitn(3, ':');
    let (high, low) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let range = Range { low, high };
    (range.low.is_finite() && range.high.is_finite() && range.low < range.high)
        .then(|| parts.next().map(|name| (name.to_owned(), range)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_ranges_are_read_or_refused() {
        let read = |text: &str| of_model(b"", &HashMap::from([(KEY, text)]));
        let two = read("a:b:-1:2.5, c:0:1").expect("reads");
        assert_eq!(two.get("a:b"), Some(&Range { low: -1.0, high: 2.5 }));
        assert_eq!(two.get("c"), Some(&Range { low: 0.0, high: 1.0 }));
        for wrong in ["", "a", "a:1", "a:2:1", "a:nan:1", "a:0:inf", "a:0:x", "a:0:1,"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(of_model(b"", &HashMap::new()).expect("none").is_empty());
        assert_eq!(of_model(MODEL, &HashMap::new()).expect("known").len(), BUNDLED.len());
    }
}
