//! This module says in words which size of defect a template finds.

use crate::sensitivity::{BlindMap, Kind, KindResult, Limit, Study};
use crate::wording::say;

/// The number of pictures from which on their differences are told apart from chance.
const ENOUGH_PICTURES: usize = 10;

/// The name of one defect of a kind.
pub fn one(kind: Kind) -> &'static str {
    match kind {
        Kind::Scratch => "scratch",
        Kind::DarkSpot => "dark spot",
        Kind::BrightSpot => "bright spot",
        Kind::Missing => "missing piece",
        Kind::Moved => "moved piece",
        Kind::Smoothed => "smoothed piece",
    }
}

/// The name of several defects of a kind, with their contrast.
pub fn several(result: &KindResult) -> String {
    let name = match result.kind {
        Kind::Scratch => "scratches".to_string(),
        kind => format!("{}s", one(kind)),
    };
    match result.contrast {
        Some(contrast) => format!("{name} (contrast {contrast})"),
        None => name,
    }
}

/// A length, rounded up: whole pixels from 10 on, and tenths below.
fn px(size: f64) -> String {
    let up = |digits: f64| (size * digits * (1.0 - 1e-9)).ceil() / digits;
    if size >= 10.0 { format!("{:.0} px", up(1.0)) } else { format!("{} px", up(10.0)) }
}

/// A size, as far as it is known, in pixels. It is also in millimetres if the scale is known.
pub fn limit(limit: Limit, mm_per_pixel: Option<f64>) -> String {
    let word = match limit {
        Limit::At(_) => "",
        Limit::AtMost(_) => "at most ",
        Limit::Above(_) => "above ",
    };
    let mm = mm_per_pixel.map_or_else(String::new, |side| format!(" ({})", mm(limit.px() * side)));
    format!("{word}{}{mm}", px(limit.px()))
}

/// A length in millimetres, to two digits.
fn mm(length: f64) -> String {
    let digits = (1 - length.max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    format!("{length:.digits$} mm")
}

/// What a template finds of one kind, as a sentence without its subject and its end. `None` if no defect could be
/// placed.
pub fn statement(result: &KindResult, mm_per_pixel: Option<f64>) -> Option<String> {
    let size = |limit: Limit| {
        let mm =
            mm_per_pixel.map_or_else(String::new, |side| format!(" ({})", mm(limit.px() * side)));
        format!("{}{mm}", px(limit.px()))
    };
    let pod = result.pod.as_ref()?;
    let what = several(result);
    Some(match pod.a90_95 {
        Limit::At(_) | Limit::AtMost(_) => {
            format!("finds {what} of {} and more", size(pod.a90_95))
        }
        Limit::Above(_) => {
            format!("does not find {what} up to {} reliably", size(pod.a90_95))
        }
    })
}

/// The line that a build prints.
pub fn after_build(result: &KindResult) -> Option<String> {
    let statement = statement(result, None)?;
    let mut letters = statement.chars();
    let first = letters.next()?.to_uppercase();
    Some(format!(
        "{first}{} on good parts like these (90 % of the cases, with 95 % confidence; `hetmm sensitivity` has details).",
        letters.as_str()
    ))
}

/// The table, with remarks on what was left out and what it does not say.
pub fn table(found: &Study) -> String {
    let mut text = String::new();
    say!(text, "{}", pictures(found));
    say!(
        text,
        "A size is the length of a scratch or the diameter of another defect. Contrast is in grey levels of 255.\n"
    );
    say!(
        text,
        "{:<15} {:>8}  {:>12}  {:>16}  {:>16}  90 %, with 95 % confidence",
        "artificial",
        "contrast",
        "found",
        "50 % found",
        "90 % found"
    );
    for result in &found.results {
        let contrast = result.contrast.map_or_else(|| "-".into(), |c| c.to_string());
        let Some(pod) = &result.pod else {
            say!(text, "{:<15} {contrast:>8}  not visible at any place", one(result.kind));
            continue;
        };
        say!(
            text,
            "{:<15} {contrast:>8}  {:>12}  {:>16}  {:>16}  {}",
            one(result.kind),
            format!("{} of {}", pod.found, pod.tries),
            limit(pod.a50, None),
            limit(pod.a90, None),
            limit(pod.a90_95, found.mm_per_pixel)
        );
    }
    say!(text, "\n{}", blind(&found.blind_map));
    for line in remarks(found) {
        say!(text, "{line}");
    }
    text
}

/// Which pictures the artificial defects were added to.
pub fn pictures(found: &Study) -> String {
    let all = found.used.len() + found.rejected.len();
    let left_out = match found.rejected.len() {
        0 => String::new(),
        1 => {
            format!(" 1 of {all} pictures is left out, because it is not ok even without a defect.")
        }
        count => format!(
            " {count} of {all} pictures are left out, because they are not ok even without a defect."
        ),
    };
    let word = if found.used.len() == 1 { "picture" } else { "pictures" };
    format!(
        "Artificial defects in {} good {word}. Sizes are in pixels of the template's pictures, {}.{left_out}",
        found.used.len(),
        found.size
    )
}

/// The places where fewer defects are found.
pub fn blind(map: &BlindMap) -> String {
    let (blind, tried) = map.blind();
    match blind {
        0 => format!(
            "No cell of the picture is blind: in none of the {tried} cells the template finds clearly less than elsewhere."
        ),
        _ => {
            let numbered = map.cells.iter().enumerate().filter(|(_, cell)| cell.blind);
            let named: Vec<String> = numbered
                .map(|(at, _)| format!("{}/{}", at % map.columns + 1, at / map.columns + 1))
                .collect();
            let are = if blind == 1 { "1 cell" } else { "Cells" };
            let count = if blind == 1 { String::new() } else { format!("{blind} ") };
            format!(
                "Blind places: in {count}{} of {tried} the template finds clearly less than elsewhere (column/row of {} x {}: {}).",
                are.to_lowercase(),
                map.columns,
                map.rows,
                named.join(", ")
            )
        }
    }
}

/// Further remarks.
pub fn remarks(found: &Study) -> Vec<String> {
    let mut remarks = Vec::new();
    let used = found.used.len();
    if used < ENOUGH_PICTURES {
        let say = if used == 1 { "picture says" } else { "pictures say" };
        remarks.push(format!(
            "{used} good {say} little about how parts differ, so the sizes hold only for parts like these. Give \
             {ENOUGH_PICTURES} pictures or more."
        ));
    }
    let (without_place, already_above) = found
        .results
        .iter()
        .fold((0, 0), |(place, above), r| (place + r.without_place, above + r.already_above));
    if without_place > 0 {
        remarks.push(format!(
            "{without_place} defects were left out, because they are not visible at any place of their picture."
        ));
    }
    if already_above > 0 {
        remarks.push(format!(
            "{already_above} places were left out, because they are above the threshold even without a defect."
        ));
    }
    remarks.push(
        "An artificial defect is not a real one: a real one of the same size may be easier or harder to find.".into(),
    );
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitivity::Pod;
    use crate::sensitivity::pod::Trial;

    fn result(found: impl Fn(f64) -> bool) -> KindResult {
        let sizes = (0..90).map(|i| [2.0, 4.04, 12.2][i % 3]);
        let trials: Vec<Trial> = sizes
            .enumerate()
            .map(|(picture, size)| Trial { size, found: found(size), picture })
            .collect();
        KindResult {
            kind: Kind::DarkSpot,
            contrast: Some(60.0),
            pod: Pod::of(&trials),
            without_place: 0,
            already_above: 0,
        }
    }

    #[test]
    fn sizes_are_rounded_up_and_limits_said() {
        for (given, scale, want) in [
            (Limit::At(9.01), None, "9.1 px"),
            (Limit::At(9.0), None, "9 px"),
            (Limit::AtMost(12.2), Some(0.05), "at most 13 px (0.61 mm)"),
            (Limit::Above(80.0), Some(1.5), "above 80 px (120 mm)"),
        ] {
            assert_eq!(limit(given, scale), want);
        }
    }

    #[test]
    fn a_build_says_what_it_finds_or_that_it_does_not() {
        let line = |found: &dyn Fn(f64) -> bool| after_build(&result(found)).expect("a line");
        assert_eq!(
            line(&|size| size > 3.0),
            "Finds dark spots (contrast 60) of 4.1 px and more on good parts like these (90 % of the cases, with 95 % \
             confidence; `hetmm sensitivity` has details)."
        );
        assert!(
            line(&|_| false)
                .starts_with("Does not find dark spots (contrast 60) up to 13 px reliably")
        );
    }
}
