//! This module gives region rules in words, and as data for programs.

use crate::scoring::Rules;
use crate::scoring::rules::{IGNORED, Limit};
use crate::wording::printable;
use serde_json::json;

/// The condition for tolerated regions.
const WEAK_AND_SMALL: &str =
    "if the peak of each is at most twice the threshold and each covers at most 2 % of the picture";

/// Rules in words, one line each.
pub fn lines(rules: Option<&Rules>, zones: &[u8]) -> Vec<String> {
    let Some(rules) = rules else { return vec!["rules      none: the score alone decides".into()] };
    let part = |label: u8| {
        let count = zones.iter().filter(|&&z| z == label).count();
        format!("{:.1} % of the picture", 100.0 * count as f64 / zones.len().max(1) as f64)
    };
    let area = |px: f32| {
        let mm2 =
            rules.mm2(f64::from(px)).map_or_else(String::new, |mm2| format!(" ({mm2:.3} mm2)"));
        format!("{px:.0} px{mm2}")
    };
    let counting = match rules.min_area_px {
        0.0 => "regions of any size count".into(),
        px => format!("regions of at least {} count", area(px)),
    };
    let tolerated = match rules.max_regions {
        0 => "no region is tolerated".into(),
        1 => format!("1 region is tolerated {WEAK_AND_SMALL}"),
        count => format!("up to {count} regions are tolerated {WEAK_AND_SMALL}"),
    };
    let mut lines = vec![format!("rules      {counting}; {tolerated}")];
    for zone in &rules.zones {
        let own = zone
            .min_area_px
            .map_or_else(String::new, |px| format!(", regions of at least {}", area(px)));
        lines.push(format!(
            "zone {:<5} {}: {}{own}; {}",
            zone.label,
            printable(&zone.name),
            zone.limit,
            part(zone.label)
        ));
    }
    if zones.contains(&IGNORED) {
        lines.push(format!("ignored    {}", part(IGNORED)));
    }
    lines
}

/// Rules for programs. Null if there are none.
pub fn to_json(rules: Option<&Rules>, zones: &[u8]) -> serde_json::Value {
    let pixels = |label: u8| zones.iter().filter(|&&z| z == label).count();
    rules.map_or(serde_json::Value::Null, |rules| {
        let zones: Vec<_> = rules
            .zones
            .iter()
            .map(|z| {
                let (factor, score) = match z.limit {
                    Limit::Factor(factor) => (Some(factor), None),
                    Limit::Score(score) => (None, Some(score)),
                };
                json!({"zone": z.label, "name": z.name, "factor": factor, "score": score,
                       "min_area_px": z.min_area_px, "map_pixels": pixels(z.label)})
            })
            .collect();
        json!({"min_area_px": rules.min_area_px, "max_regions": rules.max_regions,
               "mm_per_pixel": (rules.mm_per_pixel > 0.0).then_some(rules.mm_per_pixel),
               "zones": zones, "ignored_map_pixels": pixels(IGNORED)})
    })
}
