//! `hetmm rules`: what of a map above the threshold makes a part bad.

use crate::console::{Console, say};
use crate::outputs::Replace;
use hetmm::scoring::Rules;
use hetmm::scoring::rules::{IGNORED, Limit, Zone};
use hetmm::template::{self, HeaderV1, Template, writer};
use hetmm::wording::printable;
use hetmm::{Error, Result, image};
use serde_json::json;
use std::path::{Path, PathBuf};
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
    #[arg(long, value_name = "AREA")]
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
    #[arg(long, value_name = "ZONE")]
    zone: Vec<ZoneArg>,
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

/// A least area as it was given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Area {
    Pixels(f32),
    SquareMillimetres(f32),
}

impl std::str::FromStr for Area {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let usage = || {
            format!("{text} is no area: give pixels or square millimetres, as in 40px or 0.5mm2")
        };
        let (number, kind): (&str, fn(f32) -> Area) = match text.strip_suffix("mm2") {
            Some(number) => (number, Area::SquareMillimetres),
            None => (text.strip_suffix("px").ok_or_else(usage)?, Area::Pixels),
        };
        let number: f32 = number.trim().parse().map_err(|_| usage())?;
        (number.is_finite() && number >= 0.0).then(|| kind(number)).ok_or_else(usage)
    }
}

/// A zone as it was given.
#[derive(Debug, Clone, PartialEq)]
struct ZoneArg {
    label: u8,
    name: Option<String>,
    limit: Limit,
    min_area: Option<Area>,
}

impl std::str::FromStr for ZoneArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let usage = || {
            format!("{text} is no zone: give NUMBER=[NAME:]THRESHOLD[:AREA], as in 1=lid:1.5x:40px")
        };
        let (label, rest) = text.split_once('=').ok_or_else(usage)?;
        let label: u8 = label.trim().parse().map_err(|_| usage())?;
        if label == 0 || label == IGNORED {
            return Err(
                "zones have the numbers 1 to 254: 0 is the rest of the picture, 255 is ignored"
                    .into(),
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
        let min_area = parts.last().and_then(|last| last.parse().ok());
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
        Ok(ZoneArg { label, name, limit: limit(threshold).ok_or_else(usage)?, min_area })
    }
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
    let header = template.header();
    if header.calibration.threshold <= 0.0 {
        return Err(Error::usage("rules need a threshold above 0")
            .advise("set one with hetmm calibrate, or build --threshold"));
    }
    let mut rules = template.settings().rules.clone().unwrap_or_default();
    if let Some(mm) = args.mm_per_pixel {
        if !(mm > 0.0 && mm < 1e6) {
            return Err(Error::usage(format!("--mm-per-pixel {mm} is no length"))
                .advise("give millimetres, as in 0.05"));
        }
        rules.mm_per_pixel = mm;
    }
    if let Some(area) = args.min_area {
        rules.min_area_px = pixels(area, &rules, header)?;
    }
    if let Some(count) = args.max_regions {
        rules.max_regions = count;
    }
    let (height, width) = (header.backbone.height as usize, header.backbone.width as usize);
    let mut labels = template.zones().to_vec();
    if let Some(file) = &args.zones {
        let drawn = labels_of(file, &image::read(file)?, header, (height, width))?;
        rules.zones = zones(args, &drawn, &rules, header)?;
        let known = |label: u8| rules.zone(label).is_some();
        let ignored = |at: usize| args.ignore.is_none() && labels.get(at) == Some(&IGNORED);
        labels = (drawn.iter().enumerate())
            .map(|(at, &label)| match label {
                _ if ignored(at) => IGNORED,
                label if known(label) => label,
                _ => 0,
            })
            .collect();
    } else if !args.zone.is_empty() {
        if rules.zones.is_empty() {
            return Err(Error::usage("--zone needs --zones: the template has no zones yet")
                .advise("give the picture whose grey values are the zones"));
        }
        let given = zones(args, &labels, &rules, header)?;
        rules.zones = changed_zones(&rules.zones, given, &args.zone);
    }
    if let Some(file) = &args.ignore {
        let picture = image::read(file)?;
        let drawn = labels_of(file, &picture, header, (height, width))?;
        image::require_black_and_white(&picture).map_err(|e| e.within(file.display()))?;
        labels.resize(height * width, 0);
        for (label, drawn) in labels.iter_mut().zip(drawn) {
            // What was ignored and no longer is has no zone either: zones are given anew for that.
            *label = if drawn < 128 {
                IGNORED
            } else if *label == IGNORED {
                0
            } else {
                *label
            };
        }
        let mask = template.mask();
        let of_interest = |at: usize| mask.as_ref().is_none_or(|mask| mask.inside()[at]);
        if labels.iter().enumerate().all(|(at, &label)| label == IGNORED || !of_interest(at)) {
            return Err(Error::image(file, "is black: nothing would count")
                .advise("paint white what is to be inspected"));
        }
    }
    if let Some(zone) = rules.zones.iter().find(|zone| !labels.contains(&zone.label)) {
        let (label, name) = (zone.label, printable(&zone.name));
        return Err(Error::usage(format!(
            "zone {label} ({name}) has no pixel that is not ignored"
        ))
        .advise("ignore less, or give --zones and --zone anew, with --ignore where that changes"));
    }
    if labels.iter().all(|&label| label == 0) {
        labels.clear();
    }
    rules.validate().map_err(|what| Error::usage(format!("the rules make no sense: {what}")))?;
    Ok((Some(rules), labels))
}

/// The zones that are given, each with pixels of its own.
fn zones(args: &Args, drawn: &[u8], rules: &Rules, header: &HeaderV1) -> Result<Vec<Zone>> {
    let mut zones: Vec<Zone> = Vec::new();
    for zone in &args.zone {
        if !drawn.contains(&zone.label) {
            return Err(Error::usage(format!(
                "zone {} has no pixel in the label picture",
                zone.label
            ))
            .advise(format!("there are {}", grey_values(drawn))));
        }
        if zones.iter().any(|z| z.label == zone.label) {
            return Err(Error::usage(format!("zone {} is given twice", zone.label)));
        }
        zones.push(Zone {
            label: zone.label,
            name: zone.name.clone().unwrap_or_else(|| zone.label.to_string()),
            limit: zone.limit,
            min_area_px: zone.min_area.map(|area| pixels(area, rules, header)).transpose()?,
        });
    }
    if zones.is_empty() {
        return Err(Error::usage("no zone says what holds in it").advise(format!(
            "add --zone 1=1.5x or the like; the picture has {}",
            grey_values(drawn)
        )));
    }
    Ok(zones)
}

/// The zones of a template after some of them are given anew, on the same label picture. One that is given
/// without a name keeps its name.
fn changed_zones(old: &[Zone], given: Vec<Zone>, arguments: &[ZoneArg]) -> Vec<Zone> {
    let is_named = |label: u8| arguments.iter().any(|arg| arg.label == label && arg.name.is_some());
    let changed = |zone: &Zone| match given.iter().find(|new| new.label == zone.label) {
        Some(new) if is_named(new.label) => new.clone(),
        Some(new) => Zone { name: zone.name.clone(), ..new.clone() },
        None => zone.clone(),
    };
    old.iter().map(changed).collect()
}

fn grey_values(drawn: &[u8]) -> String {
    let mut values: Vec<u8> = drawn.to_vec();
    values.sort_unstable();
    values.dedup();
    let count = values.len();
    let first: Vec<String> = values.iter().take(12).map(u8::to_string).collect();
    format!("{count} grey values: {}{}", first.join(", "), if count > 12 { ", .." } else { "" })
}

fn pixels(area: Area, rules: &Rules, header: &HeaderV1) -> Result<f32> {
    let px = match area {
        Area::Pixels(px) => px,
        Area::SquareMillimetres(mm2) if rules.mm_per_pixel > 0.0 => {
            mm2 / (rules.mm_per_pixel * rules.mm_per_pixel)
        }
        Area::SquareMillimetres(_) => {
            return Err(Error::usage("an area in mm2 needs --mm-per-pixel")
                .advise("it is the side of a pixel of the good pictures, as in 0.05"));
        }
    };
    let (width, height) = header.picture_size();
    let whole = f64::from(width) * f64::from(height);
    if f64::from(px) >= whole {
        return Err(Error::usage(format!(
            "an area of {px} pixels is larger than a picture of {width} x {height}"
        ))
        .advise("nothing could ever be bad: give a smaller one"));
    }
    Ok(px)
}

/// The grey values of a picture at network size, each that of the nearest pixel: labels are never mixed.
fn labels_of(
    file: &Path,
    picture: &image::Picture,
    header: &HeaderV1,
    (height, width): (usize, usize),
) -> Result<Vec<u8>> {
    let (built_width, built_height) = header.picture_size();
    let aspect = |w: u32, h: u32| f64::from(w) / f64::from(h.max(1));
    let off = aspect(picture.width, picture.height) / aspect(built_width, built_height);
    if off.ln().abs() > 0.02 {
        let what = format!(
            "has another shape ({} x {}) than the pictures that the template was built from ({built_width} x {built_height})",
            picture.width, picture.height
        );
        return Err(Error::image(file, what).advise("draw it over one of them"));
    }
    let (columns, rows) = (picture.width as usize, picture.height as usize);
    let nearest =
        |at: usize, of: usize, from: usize| ((2 * at + 1) * from / (2 * of)).min(from - 1);
    let mut labels = Vec::with_capacity(height * width);
    for y in 0..height {
        for x in 0..width {
            let at = 3 * (nearest(y, height, rows) * columns + nearest(x, width, columns));
            labels.push(match &picture.samples {
                image::Samples::Eight(samples) => samples[at],
                // 16-bit label pictures hold numbers, not brightness; masks are white or black.
                image::Samples::Sixteen(samples) => samples[at].min(255) as u8,
            });
        }
    }
    Ok(labels)
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
        assert_eq!("40px".parse(), Ok(Area::Pixels(40.0)));
        assert_eq!("0.5mm2".parse(), Ok(Area::SquareMillimetres(0.5)));
        for wrong in ["40", "-1px", "NaNpx", "mm2", "4 cm2", "infpx"] {
            assert!(wrong.parse::<Area>().is_err(), "{wrong}");
        }
        let zone = |label, name: Option<&str>, limit, min_area| ZoneArg {
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
            assert_eq!(text.parse(), Ok(zone), "{text}");
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
            assert!(wrong.parse::<ZoneArg>().is_err(), "{wrong}");
        }
    }
}
