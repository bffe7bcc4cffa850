//! Changes the region rules of a template that is built.
//!
//! Rules decide what counts as a defect. They never change a score.

use crate::error::{Choice, Error, NextStep, Result, Subject};
use crate::image::{self, Picture, Samples};
use crate::scoring::Rules;
use crate::scoring::rules::{IGNORED, Limit, Zone};
use crate::template::{HeaderV1, Template};
use crate::wording::printable;
use std::path::{Path, PathBuf};

/// Holds a smallest area.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Area {
    /// An area in pixels of the pictures that the template was built from.
    Pixels(f32),
    /// An area in square millimetres of the part.
    SquareMillimetres(f32),
}

/// Says what shall hold in a zone.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneChange {
    /// The grey value of the zone in the label picture, 1 to 254.
    pub label: u8,
    /// The name of the zone. `None` keeps the name that it has, or takes the number.
    pub name: Option<String>,
    /// The threshold of the zone.
    pub limit: Limit,
    /// The smallest area of the zone itself.
    pub min_area: Option<Area>,
}

/// Holds a picture that labels are taken from, with the file that errors name.
pub type LabelPicture = (PathBuf, Picture);

/// Says what changes in the rules in force. What is `None` or empty stays.
#[derive(Debug, Clone, Default)]
pub struct RuleChange {
    /// The smallest area of a region that counts.
    pub min_area: Option<Area>,
    /// The side of a pixel in millimetres.
    pub mm_per_pixel: Option<f32>,
    /// The number of weak and small regions that are tolerated.
    pub max_regions: Option<u32>,
    /// A picture that is black where nothing counts.
    pub ignore: Option<LabelPicture>,
    /// A picture whose grey values are the numbers of zones. Each zone needs an entry in `zone`.
    pub zones: Option<LabelPicture>,
    /// The settings of zones. With a new label picture they are the settings of all zones, otherwise of those that
    /// change.
    pub zone: Vec<ZoneChange>,
}

impl RuleChange {
    /// Returns the rules of `template` after the change, and the label of every pixel at network size. There are no
    /// labels for one zone.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Usage`] if the rules would make no sense, and [`crate::error::Kind::Image`] if a
    /// picture does not fit the template.
    pub fn apply(&self, template: &Template) -> Result<(Rules, Vec<u8>)> {
        let header = template.header();
        if header.calibration.threshold <= 0.0 {
            return Err(Error::usage("rules need a threshold above 0")
                .advise("set one with hetmm calibrate, or when the template is built"));
        }
        let mut rules = template.settings().rules.clone().unwrap_or_default();
        if let Some(mm) = self.mm_per_pixel {
            if !(mm > 0.0 && mm < 1e6) {
                return Err(Error::choice(Choice::MmPerPixel, format!("{mm} is no length"))
                    .advise("give millimetres, as in 0.05"));
            }
            rules.mm_per_pixel = mm;
        }
        if let Some(area) = self.min_area {
            rules.min_area_px = pixels(area, &rules, header)?;
        }
        if let Some(count) = self.max_regions {
            rules.max_regions = count;
        }
        let mut labels = self.with_zones(template, &mut rules)?;
        if let Some((file, picture)) = &self.ignore {
            ignore(&mut labels, file, picture, template)?;
        }
        require_pixels(&rules, &labels)?;
        if labels.iter().all(|&label| label == 0) {
            labels.clear();
        }
        rules
            .validate()
            .map_err(|what| Error::usage(format!("the rules are not valid: {what}")))?;
        Ok((rules, labels))
    }

    /// Changes the zones of `rules`. Returns the labels after that.
    fn with_zones(&self, template: &Template, rules: &mut Rules) -> Result<Vec<u8>> {
        let header = template.header();
        let labels = template.zones().to_vec();
        if let Some((file, picture)) = &self.zones {
            let drawn = labels_of(file, picture, header)?;
            rules.zones = self.given_zones(&drawn, rules, header)?;
            let known = |label: u8| rules.zone(label).is_some();
            let ignored = |at: usize| self.ignore.is_none() && labels.get(at) == Some(&IGNORED);
            let label = |(at, &label): (usize, &u8)| match label {
                _ if ignored(at) => IGNORED,
                label if known(label) => label,
                _ => 0,
            };
            return Ok(drawn.iter().enumerate().map(label).collect());
        }
        if !self.zone.is_empty() {
            if rules.zones.is_empty() {
                let what = "the picture whose grey values are the zones".into();
                return Err(Error::choice(Choice::Zone, "the template has no zones yet")
                    .next(NextStep::Choose(Choice::Zones, what)));
            }
            let given = self.given_zones(&labels, rules, header)?;
            rules.zones = self.changed_zones(&rules.zones, given);
        }
        Ok(labels)
    }

    /// Returns the zones that are given. Each must have pixels of its own.
    fn given_zones(&self, drawn: &[u8], rules: &Rules, header: &HeaderV1) -> Result<Vec<Zone>> {
        let mut zones: Vec<Zone> = Vec::new();
        for zone in &self.zone {
            if !drawn.contains(&zone.label) {
                let what = format!("zone {} has no pixel in the label picture", zone.label);
                return Err(Error::usage(what).advise(format!("there are {}", grey_values(drawn))));
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
            let what = format!("1=1.5x or the like; the picture has {}", grey_values(drawn));
            return Err(Error::usage("no zone says what holds in it")
                .next(NextStep::Choose(Choice::Zone, what.into())));
        }
        Ok(zones)
    }

    /// Returns the zones of a template after some of them are set again on the same label picture. A zone that is set
    /// without a name keeps its name.
    fn changed_zones(&self, old: &[Zone], given: Vec<Zone>) -> Vec<Zone> {
        let is_named = |label: u8| self.zone.iter().any(|z| z.label == label && z.name.is_some());
        let changed = |zone: &Zone| match given.iter().find(|new| new.label == zone.label) {
            Some(new) if is_named(new.label) => new.clone(),
            Some(new) => Zone { name: zone.name.clone(), ..new.clone() },
            None => zone.clone(),
        };
        old.iter().map(changed).collect()
    }
}

/// Labels as ignored what is black in `picture`.
fn ignore(labels: &mut Vec<u8>, file: &Path, picture: &Picture, template: &Template) -> Result<()> {
    let drawn = labels_of(file, picture, template.header())?;
    image::require_black_and_white(picture).map_err(|e| e.within(file.display()))?;
    labels.resize(drawn.len(), 0);
    for (label, drawn) in labels.iter_mut().zip(drawn) {
        // A pixel that is no longer ignored has no zone. It lost its zone when it was ignored.
        *label = match *label {
            _ if drawn < 128 => IGNORED,
            IGNORED => 0,
            label => label,
        };
    }
    let mask = template.mask();
    let of_interest = |at: usize| mask.as_ref().is_none_or(|mask| mask.inside()[at]);
    match labels.iter().enumerate().all(|(at, &label)| label == IGNORED || !of_interest(at)) {
        true => Err(Error::image(file, "is black: nothing would count")
            .advise("paint white what is to be inspected")),
        false => Ok(()),
    }
}

/// Refuses a zone of which nothing is left.
fn require_pixels(rules: &Rules, labels: &[u8]) -> Result<()> {
    let Some(zone) = rules.zones.iter().find(|zone| !labels.contains(&zone.label)) else {
        return Ok(());
    };
    let (label, name) = (zone.label, printable(&zone.name));
    let what = format!("zone {label} ({name}) has no pixel that is not ignored");
    Err(Error::usage(what).next(NextStep::OneOf(vec![
        NextStep::Choose(Choice::Ignore, "a picture that is black in fewer places".into()),
        NextStep::Choose(Choice::Zones, "all zones again".into()),
    ])))
}

fn grey_values(drawn: &[u8]) -> String {
    let mut values: Vec<u8> = drawn.to_vec();
    values.sort_unstable();
    values.dedup();
    let count = values.len();
    let first: Vec<String> = values.iter().take(12).map(u8::to_string).collect();
    format!("{count} grey values: {}{}", first.join(", "), if count > 12 { ", .." } else { "" })
}

/// Returns an area in pixels of the pictures that the template was built from.
fn pixels(area: Area, rules: &Rules, header: &HeaderV1) -> Result<f32> {
    let px = match area {
        Area::Pixels(px) => px,
        Area::SquareMillimetres(mm2) if rules.mm_per_pixel > 0.0 => {
            mm2 / (rules.mm_per_pixel * rules.mm_per_pixel)
        }
        Area::SquareMillimetres(_) => {
            let what = "the side of a pixel of the good pictures, as in 0.05".into();
            return Err(Error::usage("an area in mm2 needs the size of a pixel")
                .next(NextStep::Choose(Choice::MmPerPixel, what)));
        }
    };
    let picture = header.picture_size();
    if f64::from(px) >= picture.pixels() as f64 {
        let what = format!("an area of {px} pixels is larger than a picture of {picture}");
        return Err(Error::usage(what).advise("nothing could ever be bad: give a smaller one"));
    }
    Ok(px)
}

/// Returns the grey values of a picture at network size, each that of the nearest pixel. Labels are never mixed.
fn labels_of(file: &Path, picture: &Picture, header: &HeaderV1) -> Result<Vec<u8>> {
    let (built, own) = (header.picture_size(), picture.size());
    if !own.has_shape_of(built) {
        let what = format!(
            "has another shape ({own}) than the pictures that the template was built from ({built})"
        );
        return Err(Error::image(file, what).advise("draw it over one of them"));
    }
    picture.view().map_err(|e| e.about(Subject::File(file.into())))?;
    let (columns, rows) = (picture.width as usize, picture.height as usize);
    let (width, height) = (header.backbone.width as usize, header.backbone.height as usize);
    let nearest =
        |at: usize, of: usize, from: usize| ((2 * at + 1) * from / (2 * of)).min(from - 1);
    let mut labels = Vec::with_capacity(height * width);
    for y in 0..height {
        for x in 0..width {
            let at = 3 * (nearest(y, height, rows) * columns + nearest(x, width, columns));
            labels.push(match &picture.samples {
                Samples::Eight(samples) => samples[at],
                // 16-bit label pictures hold numbers and not brightness. Masks are white or black.
                Samples::Sixteen(samples) => samples[at].min(255) as u8,
            });
        }
    }
    Ok(labels)
}
