//! `hetmm rules`: what of a map above the threshold makes a part bad.

use crate::console::{Console, say};
use crate::outputs::Replace;
use hetmm::Result;
use hetmm::adjust::rules::{Area, LabelPicture, RuleChange, ZoneChange};
use hetmm::image;
use hetmm::scoring::Rules;
use hetmm::scoring::rules::{IGNORED, Limit};
use hetmm::template::{self, Template, writer};
use hetmm::wording::printable;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Set or show a template's region rules: least area, number, zones, ignored parts
///
/// Scores stay what they are: rules only decide what is bad. They live in the template, so that workstation
/// and device decide alike. Areas are pixels of the pictures that the template was built from. Without options
/// the rules in force are shown.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm rules part.hetmm --min-area 40px
  hetmm rules part.hetmm --mm-per-pixel 0.05 --min-area 0.5mm2 --max-regions 2
  hetmm rules part.hetmm --ignore fixture.png              what is black there is left out
  hetmm rules part.hetmm --zones labels.png --zone 1=lid:1.5x --zone 2=seal:0.9x:10px
  hetmm rules part.hetmm --zone 1=2x                       change one zone, keep the others
  hetmm rules part.hetmm                                   show them
  hetmm rules part.hetmm --clear                           the score alone decides again

A zone is NUMBER=[NAME:]THRESHOLD[:AREA]. NUMBER is its grey value in the label picture, from 1 to 254. \
THRESHOLD is a factor on the template's threshold (1.5x) or a score (2.4). AREA is its own least area. Where a \
region touches several zones, the smallest of their least areas decides whether it counts.

A strong disturbance inside the ignored area also raises the map around it. Draw the area with a margin of \
about a sixth of the picture.")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Smaller regions do not count: 40px, or 0.5mm2 with --mm-per-pixel
    #[arg(long, value_parser = parse_area, value_name = "AREA")]
    min_area: Option<Area>,
    /// Side of a pixel in millimetres
    #[arg(long, value_name = "MM")]
    mm_per_pixel: Option<f32>,
    /// A part passes with up to this many regions that count, where each of them is weak and small: its peak is at
    /// most twice the threshold, and it covers at most 2 % of the picture
    #[arg(long, value_name = "N")]
    max_regions: Option<u32>,
    /// A picture that is black where nothing counts
    #[arg(long, value_name = "MASK.png")]
    ignore: Option<PathBuf>,
    /// A picture whose grey values are the numbers of zones: 1 to 254 for a zone, 0 where the template's own
    /// threshold holds; 255 is reserved for what --ignore leaves out
    #[arg(long, value_name = "LABELS.png")]
    zones: Option<PathBuf>,
    /// The settings of one zone; repeat it for each zone. Without --zones it changes a zone that the template
    /// has, and its label picture stays
    #[arg(long, value_parser = parse_zone, value_name = "ZONE")]
    zone: Vec<ZoneChange>,
    /// Take all rules away
    #[arg(long, conflicts_with_all = ["min_area", "mm_per_pixel", "max_regions", "ignore", "zones", "zone"])]
    clear: bool,
    /// Write here in place of the template itself
    #[arg(short, long, value_name = "T.hetmm")]
    output: Option<PathBuf>,
    /// One JSON object in place of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    replace: Replace,
}

fn parse_area(text: &str) -> std::result::Result<Area, String> {
    let usage =
        || format!("{text} is no area: give pixels or square millimetres, as in 40px or 0.5mm2");
    let (number, kind): (&str, fn(f32) -> Area) = match text.strip_suffix("mm2") {
        Some(number) => (number, Area::SquareMillimetres),
        None => (text.strip_suffix("px").ok_or_else(usage)?, Area::Pixels),
    };
    let number: f32 = number.trim().parse().map_err(|_| usage())?;
    (number.is_finite() && number >= 0.0).then(|| kind(number)).ok_or_else(usage)
}

fn parse_zone(text: &str) -> std::result::Result<ZoneChange, String> {
    let usage =
        || format!("{text} is no zone: give NUMBER=[NAME:]THRESHOLD[:AREA], as in 1=lid:1.5x:40px");
    let (label, rest) = text.split_once('=').ok_or_else(usage)?;
    let label: u8 = label.trim().parse().map_err(|_| usage())?;
    if label == 0 || label == IGNORED {
        return Err(
            "zones have the numbers 1 to 254: 0 is the rest of the picture, 255 is ignored".into(),
        );
    }
    let mut parts: Vec<&str> = rest.split(':').collect();
    let limit = |text: &str| -> Option<Limit> {
        let (number, kind): (&str, fn(f32) -> Limit) = match text.strip_suffix('x') {
            Some(number) => (number, Limit::Factor),
            None => (text, Limit::Score),
        };
        number.trim().parse().ok().filter(|n: &f32| n.is_finite() && *n > 0.0).map(kind)
    };
    let min_area = parts.last().and_then(|last| parse_area(last).ok());
    if min_area.is_some() {
        parts.pop();
    }
    let (name, threshold) = match parts[..] {
        [threshold] => (None, threshold),
        [name, threshold] if !name.is_empty() && name.len() <= 64 => {
            (Some(name.to_owned()), threshold)
        }
        _ => return Err(usage()),
    };
    Ok(ZoneChange { label, name, limit: limit(threshold).ok_or_else(usage)?, min_area })
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let changes = args.clear
        || args.min_area.is_some()
        || args.mm_per_pixel.is_some()
        || args.max_regions.is_some()
        || args.ignore.is_some()
        || args.zones.is_some()
        || !args.zone.is_empty();
    let output = args.output.as_ref().unwrap_or(&args.template);
    if changes && let Some(output) = &args.output {
        let pictures = args.ignore.iter().chain(&args.zones).map(PathBuf::as_path);
        args.replace.outputs(pictures).claim(output, &template::FORMAT)?;
    }
    let lock = if changes { hetmm::files::lock_if_there(output)? } else { None };
    let template = Template::open(&args.template)?;
    let mut settings = template.settings().clone();
    let mut zones = template.zones().to_vec();
    if changes {
        (settings.rules, zones) =
            if args.clear { (None, Vec::new()) } else { changed(args, &template)? };
        let header = template.header().clone();
        writer::rewrite(output, lock.as_ref(), &template, header, settings.clone(), &zones)?;
        console.changed(output);
        console.note(format!("{}: written", output.display()));
    }
    let mut text = String::new();
    match args.json {
        true => say!(text, "{:#}", to_json(settings.rules.as_ref(), &zones)),
        false => say!(text, "{}", lines(settings.rules.as_ref(), &zones).join("\n")),
    }
    console.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The rules that the options make of those in force, and their zones.
fn changed(args: &Args, template: &Template) -> Result<(Option<Rules>, Vec<u8>)> {
    let read = |file: &Option<PathBuf>| -> Result<Option<LabelPicture>> {
        let read = file.as_ref().map(|file| Ok((file.clone(), image::read(file)?)));
        read.transpose()
    };
    let change = RuleChange {
        min_area: args.min_area,
        mm_per_pixel: args.mm_per_pixel,
        max_regions: args.max_regions,
        ignore: read(&args.ignore)?,
        zones: read(&args.zones)?,
        zone: args.zone.clone(),
    };
    let (rules, labels) = change.apply(template)?;
    Ok((Some(rules), labels))
}

/// Which regions may be tolerated.
const WEAK_AND_SMALL: &str =
    "if each is at most twice the threshold and covers at most 2 % of the picture";

/// Rules in words, a line each.
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
        px => format!("regions from {} count", area(px)),
    };
    let tolerated = match rules.max_regions {
        0 => "none is tolerated".into(),
        1 => format!("1 is tolerated {WEAK_AND_SMALL}"),
        count => format!("{count} are tolerated {WEAK_AND_SMALL}"),
    };
    let mut lines = vec![format!("rules      {counting}; {tolerated}")];
    for zone in &rules.zones {
        let own =
            zone.min_area_px.map_or_else(String::new, |px| format!(", regions from {}", area(px)));
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

/// Rules for programs; null for none.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_zones_are_read_as_they_are_written() {
        assert_eq!(parse_area("40px"), Ok(Area::Pixels(40.0)));
        assert_eq!(parse_area("0.5mm2"), Ok(Area::SquareMillimetres(0.5)));
        for wrong in ["40", "-1px", "NaNpx", "mm2", "4 cm2", "infpx"] {
            assert!(parse_area(wrong).is_err(), "{wrong}");
        }
        let zone = |label, name: Option<&str>, limit, min_area| ZoneChange {
            label,
            name: name.map(str::to_owned),
            limit,
            min_area,
        };
        let cases = [
            ("1=1.5x", zone(1, None, Limit::Factor(1.5), None)),
            ("254=lid:2.4", zone(254, Some("lid"), Limit::Score(2.4), None)),
            (
                "2=seal:0.9x:10px",
                zone(2, Some("seal"), Limit::Factor(0.9), Some(Area::Pixels(10.0))),
            ),
            ("3=2:1mm2", zone(3, None, Limit::Score(2.0), Some(Area::SquareMillimetres(1.0)))),
        ];
        for (text, zone) in cases {
            assert_eq!(parse_zone(text), Ok(zone), "{text}");
        }
        for wrong in [
            "1",
            "0=2x",
            "255=2x",
            "256=2x",
            "1=",
            "1=0x",
            "1=-2",
            "1=a:b:2x",
            "1=:2x",
            "1=lid:10px",
        ] {
            assert!(parse_zone(wrong).is_err(), "{wrong}");
        }
    }
}
