//! `hetmm rules` sets which regions above the threshold reject a part.

use crate::console::{Console, say};
use crate::outputs::Replace;
use hetmm::Result;
use hetmm::adjust::rules::{Area, LabelPicture, RuleChange, ZoneChange};
use hetmm::describe::rules::{lines, to_json};
use hetmm::image;
use hetmm::scoring::Rules;
use hetmm::scoring::rules::{IGNORED, Limit};
use hetmm::template::{self, Template, writer};
use std::path::PathBuf;
use std::process::ExitCode;

/// Set or show the region rules of a template: smallest area, number, zones, ignored areas
///
/// Rules decide which regions above the threshold reject a part. They never change a score. They are stored in the
/// template, so the workstation and the device decide in the same way. Areas are in pixels of the pictures that the
/// template was built from. Without options the command shows the present rules.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm rules part.hetmm --min-area 40px
  hetmm rules part.hetmm --mm-per-pixel 0.05 --min-area 0.5mm2 --max-regions 2
  hetmm rules part.hetmm --ignore fixture.png              nothing counts where it is black
  hetmm rules part.hetmm --zones labels.png --zone 1=lid:1.5x --zone 2=seal:0.9x:10px
  hetmm rules part.hetmm --zone 1=2x                       change one zone and keep the others
  hetmm rules part.hetmm                                   show the rules
  hetmm rules part.hetmm --clear                           remove all rules

A zone is NUMBER=[NAME:]THRESHOLD[:AREA]. NUMBER is its grey value in the label picture, from 1 to 254. \
THRESHOLD is a factor for the threshold of the template (1.5x) or a score (2.4). AREA is the smallest area of the \
zone. A region may touch several zones: then the smallest of their areas decides whether it counts.

A strong disturbance inside the ignored area also raises the map around it. Draw the area with a margin of \
about a sixth of the picture.")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Smallest area of a region that counts: 40px, or 0.5mm2 with --mm-per-pixel. Use it when small harmless spots
    /// reject good parts [default: 0px]
    #[arg(long, value_parser = parse_area, value_name = "AREA")]
    min_area: Option<Area>,
    /// Size of a pixel on the part, in millimetres. Areas in mm2 need it
    #[arg(long, value_name = "MM")]
    mm_per_pixel: Option<f32>,
    /// A part passes with up to this number of counted regions, if each is weak and small. A weak region has a peak of
    /// at most twice the threshold. A small one covers at most 2 % of the picture [default: 0]
    #[arg(long, value_name = "N")]
    max_regions: Option<u32>,
    /// Picture that is black where nothing counts and white elsewhere. It has the same size as the good pictures
    #[arg(long, value_name = "MASK.png")]
    ignore: Option<PathBuf>,
    /// Label picture: its grey values are the numbers of the zones. Use 1 to 254 for zones, and 0 where the template's
    /// own threshold holds. 255 is reserved for --ignore
    #[arg(long, value_name = "LABELS.png")]
    zones: Option<PathBuf>,
    /// Settings of one zone. Repeat the option for each zone. Without --zones it changes a zone of the template and
    /// keeps its label picture
    #[arg(long, value_parser = parse_zone, value_name = "ZONE")]
    zone: Vec<ZoneChange>,
    /// Remove all rules, so that the score alone decides
    #[arg(long, conflicts_with_all = ["min_area", "mm_per_pixel", "max_regions", "ignore", "zones", "zone"])]
    clear: bool,
    /// Write the result to this file. The original template stays unchanged
    #[arg(short, long, value_name = "T.hetmm")]
    output: Option<PathBuf>,
    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    replace: Replace,
}

fn parse_area(text: &str) -> std::result::Result<Area, String> {
    let usage = || {
        format!("{text} is not an area: give pixels or square millimetres, as in 40px or 0.5mm2")
    };
    let (number, kind): (&str, fn(f32) -> Area) = match text.strip_suffix("mm2") {
        Some(number) => (number, Area::SquareMillimetres),
        None => (text.strip_suffix("px").ok_or_else(usage)?, Area::Pixels),
    };
    let number: f32 = number.trim().parse().map_err(|_| usage())?;
    (number.is_finite() && number >= 0.0).then(|| kind(number)).ok_or_else(usage)
}

fn parse_zone(text: &str) -> std::result::Result<ZoneChange, String> {
    let usage = || {
        format!(
            "{text} does not describe a zone: give NUMBER=[NAME:]THRESHOLD[:AREA], as in 1=lid:1.5x:40px"
        )
    };
    let (label, rest) = text.split_once('=').ok_or_else(usage)?;
    let label: u8 = label.trim().parse().map_err(|_| usage())?;
    if label == 0 || label == IGNORED {
        return Err(
            "give a zone a number from 1 to 254: 0 is the rest of the picture, and 255 is the ignored area".into(),
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
        console.note(format!("{}: the rules are written", output.display()));
    }
    let mut text = String::new();
    match args.json {
        true => say!(text, "{:#}", to_json(settings.rules.as_ref(), &zones)),
        false => say!(text, "{}", lines(settings.rules.as_ref(), &zones).join("\n")),
    }
    console.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The new rules, made from the present ones and the options, and the new label picture.
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
