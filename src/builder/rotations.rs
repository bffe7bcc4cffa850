//! Adds turned copies of the good pictures as further candidates if there are few pictures.
//!
//! If parts lie in any orientation, at most a few of ten pictures show a place as a fresh part does. Turned about their
//! centre, ten pictures stand for 240. Copies are candidates for prototypes and nothing else. A copy belongs to the
//! part of its picture, is left out with it, and is never scored.
//!
//! # Whether parts lie turned
//! If parts always lie alike, copies show what no good part looks like, and a part that lies wrongly would pass. The
//! good pictures decide. Some of them and a few of their copies are compared with the other pictures as they are. If
//! parts lie in any orientation, a copy is one more good part. It is as unlike the others as its picture. On round
//! parts, light and shadow stay where they are, so copies are up to twice as unlike. If parts lie alike, copies are
//! three to twenty times as unlike. Many parts and textures look the same upside down, but not at the angles between.
//! They get half turns only. `docs/few-pictures.md` has the measurements.
//!
//! # What a copy shows outside its picture
//! Nothing is known beyond the corners of a picture. There a copy has the features of its picture, not turned. They
//! repeat what is already a candidate. The comparison looks at the middle, which all copies show.

use super::audit::Comparison;
use super::audit::References;
use super::exposures::Parts;
use super::features::{of_images, pictures_together};
use super::gather::Gathered;
use super::store::{Store, scratch_folder};
use super::{Options, Progress, Rotations, Sheets, Stage};
use crate::backbone::{Backbone, Identity};
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::{Mask, NetworkImage, Size, Turn};
use crate::template::ImageRecord;
use rayon::prelude::*;
use std::collections::HashMap;

/// The number of pictures and copies up to which few pictures are filled.
const CANDIDATES: usize = 240;
/// The number of pictures from which copies do not help. If parts lie in any orientation, 120 pictures show them at
/// every angle.
const ENOUGH_PICTURES: usize = 120;
/// The largest input, in pixels, that gets copies without being asked. The features of 240 candidates take 4 GB for
/// 1024 x 1024.
const LARGEST_INPUT: u64 = 1024 * 1024;
/// The smallest number of different parts that are compared with each other.
const FEWEST_PARTS: usize = 3;
/// The largest number of pictures and copies that a build accepts if copies are asked for. The similarities of so many
/// take 64 MB per thread.
const MOST_CANDIDATES: usize = 2000;
/// The largest number of pictures that are compared with the others to decide, and the largest number of angles for
/// each.
const COMPARED: usize = 10;
const ANGLES: usize = 4;
/// The limit for copies at all angles. They are like the parts if they are at most so many times as unlike the other
/// pictures as their own picture.
const ALIKE_ALL_ROUND: f32 = 2.5;
/// The same limit for half turns. A part that differs little upside down should still be rejected when it lies so.
const ALIKE_UPSIDE_DOWN: f32 = 1.5;
/// The smallest share of a region of interest that a copy has to fill with the region of its picture. Edges are drawn
/// by hand, and pixels are square.
const LEAST_OVERLAP: f64 = 0.95;

/// Says by which angles pictures are turned to give candidates. It has no angles if they are not turned.
pub(super) struct Turning {
    /// The angles.
    pub turns: Vec<Turn>,
    /// What was decided and why, for a person. It is `None` if there was nothing to decide.
    pub note: Option<String>,
}

impl Turning {
    fn none(note: Option<String>) -> Self {
        Turning { turns: Vec::new(), note }
    }
}

/// Says how copies can be turned.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    AllRound,
    UpsideDown,
}

impl Way {
    /// Returns the turns of each of `pictures` pictures if nobody asks for a number. It is empty if there are enough
    /// pictures.
    fn turns(self, pictures: usize) -> Vec<Turn> {
        let all_round = (CANDIDATES / pictures.max(1)).saturating_sub(1);
        match self {
            _ if pictures >= ENOUGH_PICTURES => Vec::new(),
            // A single copy would be a half turn.
            Way::AllRound if all_round < 2 => Vec::new(),
            Way::AllRound => turns(all_round),
            Way::UpsideDown => turns(1),
        }
    }

    /// Returns how unlike the other pictures copies may be, relative to their own pictures.
    fn limit(self) -> f32 {
        match self {
            Way::AllRound => ALIKE_ALL_ROUND,
            Way::UpsideDown => ALIKE_UPSIDE_DOWN,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Way::AllRound => "turned by any angle",
            Way::UpsideDown => "turned upside down",
        }
    }
}

/// Returns so many turns, evenly all the way round. The missing one is the picture itself.
fn turns(copies: usize) -> Vec<Turn> {
    (1..=copies).map(|i| Turn::new(360.0 * i as f64 / (copies + 1) as f64)).collect()
}

/// Returns the largest number of candidates from so many pictures: the pictures and their copies.
pub(super) fn most_candidates(pictures: usize, options: &Options, backbone: &Identity) -> usize {
    let is_considered = options.sheets != Sheets::All
        && backbone.pixels() <= LARGEST_INPUT
        && pictures >= FEWEST_PARTS;
    let copies = match options.rotations {
        Rotations::Copies(copies) => copies,
        Rotations::Auto if is_considered => {
            let copies = |way: Way| way.turns(pictures).len();
            copies(Way::AllRound).max(copies(Way::UpsideDown))
        }
        Rotations::Auto | Rotations::None => 0,
    };
    pictures.saturating_mul(copies.saturating_add(1))
}

/// Decides by which angles the pictures of `pass` are turned.
///
/// # Errors
/// Returns [`crate::error::Kind::Usage`] if copies were asked for and there would be too many, or if the region of
/// interest cannot be turned. Passes on the errors of the backbone and the disk.
pub(super) fn decide(
    pass: &Gathered,
    parts: &Parts,
    backbone: &dyn Backbone,
    options: &Options,
    progress: Progress,
) -> Result<Turning> {
    let pictures = pass.images.len();
    match options.rotations {
        Rotations::None => Ok(Turning::none(None)),
        Rotations::Copies(copies) => {
            let turns = turns(copies);
            refuse_too_many(pictures, copies)?;
            if let Some(mask) = &options.mask {
                require_round(mask, &turns, &pass.images)?;
            }
            let note = format!(
                "{} of each picture can also become prototypes, as asked for",
                count(&turns)
            );
            Ok(Turning { turns, note: Some(note) })
        }
        Rotations::Auto => choose(pass, parts, backbone, options, progress),
    }
}

/// Decides from the good pictures.
fn choose(
    pass: &Gathered,
    parts: &Parts,
    backbone: &dyn Backbone,
    options: &Options,
    progress: Progress,
) -> Result<Turning> {
    let of_way = |way: Way| (way, way.turns(pass.images.len()));
    let mut ways = [Way::AllRound, Way::UpsideDown].map(of_way).to_vec();
    ways.retain(|(_, turns)| !turns.is_empty());
    if ways.is_empty() || parts.count() < FEWEST_PARTS || options.sheets == Sheets::All {
        return Ok(Turning::none(None));
    }
    if backbone.identity().pixels() > LARGEST_INPUT {
        let note = "no turned copies of the pictures are used, because the input has more than 1024 x 1024 pixels. Ask for \
                    a number of copies if good parts lie at any angle";
        return Ok(Turning::none(Some(note.into())));
    }
    if let Some(mask) = &options.mask {
        let turns = |turns: &[Turn]| {
            worst_overlap(mask, turns, &pass.images).is_none_or(|worst| worst.1 >= LEAST_OVERLAP)
        };
        ways.retain(|(_, all)| turns(all));
    }
    if ways.is_empty() {
        let note = "no turned copies of the pictures are used, because the region of interest changes when it is turned";
        return Ok(Turning::none(Some(note.into())));
    }
    let unlike = unlikeness(pass, parts, backbone, options, &ways, progress)?;
    let found = |&((way, _), unlike): &(&(Way, Vec<Turn>), f32)| unlike <= way.limit();
    let words: Vec<String> = (ways.iter().zip(&unlike))
        .map(|((way, _), unlike)| {
            let limit = way.limit();
            format!("{unlike:.1} times as much if {} (limit {limit})", way.words())
        })
        .collect();
    let decided =
        ways.iter().zip(unlike).find(found).map(|((way, turns), _)| (*way, turns.clone()));
    let (turns, what) = match decided {
        Some((way, turns)) => {
            let copies = count(&turns);
            let what =
                format!("{copies} of each picture, {}, can also become prototypes", way.words());
            (turns, what)
        }
        None => (Vec::new(), "no turned copies of the pictures are used".into()),
    };
    let words = words.join(" and ");
    let note = format!(
        "{what}. Compared with its own picture, a copy differs from the other pictures {words}"
    );
    Ok(Turning { turns, note: Some(note) })
}

/// Returns in words how many copies there are.
fn count(turns: &[Turn]) -> String {
    match turns.len() {
        1 => "a turned copy".into(),
        copies => format!("{copies} turned copies"),
    }
}

fn refuse_too_many(pictures: usize, copies: usize) -> Result<()> {
    let candidates = pictures.saturating_mul(copies.saturating_add(1));
    if candidates <= MOST_CANDIDATES {
        return Ok(());
    }
    let most = (MOST_CANDIDATES / pictures.max(1)).saturating_sub(1);
    let next = match most {
        0 => "ask for no copies, because there are enough pictures".into(),
        most => {
            format!("ask for at most {most}; from {ENOUGH_PICTURES} pictures on, copies do harm")
        }
    };
    Err(Error::usage(format!(
        "{pictures} pictures with {copies} turned copies each are {candidates} candidates, but the limit is {MOST_CANDIDATES}"
    ))
    .advise(next))
}

/// Returns the turn at which the region of interest is filled least with itself, and the filled share.
fn worst_overlap<'a>(
    mask: &Mask,
    turns: &'a [Turn],
    images: &[ImageRecord],
) -> Option<(&'a Turn, f64)> {
    let size = images.first().map(size_of)?;
    turns
        .par_iter()
        .map(|turn| (turn, turn.overlap(mask, size)))
        .reduce_with(|a, b| if b.1 < a.1 { b } else { a })
}

fn require_round(mask: &Mask, turns: &[Turn], images: &[ImageRecord]) -> Result<()> {
    let Some((turn, share)) = worst_overlap(mask, turns, images) else { return Ok(()) };
    if share >= LEAST_OVERLAP {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the region of interest changes when it is turned: if a picture is turned by {:.0} degrees, {:.0} % of the region shows \
         something from outside",
        turn.degrees(),
        100.0 * (1.0 - share)
    ))
    .advise("draw the region as a disc or ring around the centre of the pictures, or ask for no turned copies"))
}

fn size_of(image: &ImageRecord) -> Size {
    Size { width: image.width, height: image.height }
}

/// Returns for every way how unlike the other pictures copies are, relative to their own pictures. The result is the
/// median.
fn unlikeness(
    pass: &Gathered,
    parts: &Parts,
    backbone: &dyn Backbone,
    options: &Options,
    ways: &[(Way, Vec<Turn>)],
    progress: Progress,
) -> Result<Vec<f32>> {
    let sample = evenly(&parts.first, COMPARED);
    let probes: Vec<(usize, Turn)> = (ways.iter().enumerate())
        .flat_map(|(at, (_, turns))| evenly(turns, ANGLES).into_iter().map(move |turn| (at, turn)))
        .collect();
    let turns: Vec<Turn> = probes.iter().map(|(_, turn)| *turn).collect();
    let jobs = jobs(&sample, &turns);
    let id = backbone.identity();
    let room = options.max_memory.saturating_sub(pass.store.in_memory());
    let mut store = Store::new(&id.taps, sample.len() + jobs.len(), room, scratch_folder()?);
    for &picture in &sample {
        store.push(&pass.store.maps(picture))?;
    }
    for chunk in jobs.chunks(pictures_together(backbone)) {
        // Whatever is compared counts as a picture here, even if it is a copy.
        for maps in copies(pass, chunk, backbone)? {
            store.push(&maps)?;
        }
        progress(Stage::Turned, store.pictures() - sample.len(), jobs.len());
    }
    let origins = sample.iter().copied().chain(jobs.iter().map(|(picture, _)| *picture));
    let groups: Vec<u32> = origins.map(|picture| parts.of_picture[picture]).collect();
    let kept: Vec<bool> = (0..groups.len()).map(|i| i < sample.len()).collect();
    let (pictures, of_parts) = (parts.first.clone(), (0..parts.count() as u32).collect());
    let references = References { store: &pass.store, pictures, groups: of_parts };
    let middle = middle(options.mask.as_ref(), (id.height as usize, id.width as usize), pass);
    let comparison =
        Comparison::new(&store, id, middle.as_ref(), (&kept, &groups), &[references], &|| ());
    let scores: Vec<f32> = (0..groups.len()).map(|i| comparison.scored(i).score).collect();
    let (of_pictures, of_copies) = scores.split_at(sample.len());
    let mut ratios = vec![Vec::new(); ways.len()];
    for (copies, picture) in of_copies.chunks_exact(turns.len()).zip(of_pictures) {
        for ((way, _), copy) in probes.iter().zip(copies) {
            ratios[*way].push(copy / picture.max(f32::MIN_POSITIVE));
        }
    }
    Ok(ratios.into_iter().map(median).collect())
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f32::NAN)
}

/// Returns at most `most` of `all`, from the middles of equal stretches.
fn evenly<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    let wanted = all.len().min(most);
    (0..wanted).map(|i| all[(2 * i + 1) * all.len() / (2 * wanted)]).collect()
}

/// Returns the mask of what a picture shows at every turn: a disc, and within it the region of interest.
fn middle(mask: Option<&Mask>, (height, width): (usize, usize), pass: &Gathered) -> Option<Mask> {
    let size = pass.images.first().map(size_of)?;
    let (across, down) = (f64::from(size.width), f64::from(size.height));
    let part = |at: usize, of: usize| (at as f64 + 0.5) / of as f64 - 0.5;
    let disc = |i: usize| {
        let (x, y) = (part(i % width, width) * across, part(i / width, height) * down);
        x.hypot(y) <= across.min(down) / 2.0
    };
    let disc = Mask::from_flags(height, width, (0..height * width).map(disc).collect())?;
    match mask {
        Some(mask) => mask.and(&disc),
        None => Some(disc),
    }
}

/// Adds copies of all pictures to the store.
///
/// # Errors
/// Returns an error if a picture can no longer be read, or if the backbone or the scratch disk fails.
pub(super) fn add(
    pass: &mut Gathered,
    turning: &Turning,
    backbone: &dyn Backbone,
    progress: Progress,
) -> Result<()> {
    if turning.turns.is_empty() {
        return Ok(());
    }
    let pictures: Vec<usize> = (0..pass.images.len()).collect();
    let jobs = jobs(&pictures, &turning.turns);
    pass.store.expect(jobs.len());
    for chunk in jobs.chunks(pictures_together(backbone)) {
        for (maps, (picture, _)) in copies(pass, chunk, backbone)?.iter().zip(chunk) {
            pass.store.push_copy(maps, *picture as u32)?;
        }
        progress(Stage::Turned, pass.store.entries() - pictures.len(), jobs.len());
    }
    Ok(())
}

/// Names a picture and says how it is turned.
type Job = (usize, Turn);

/// Returns every picture with every turn.
fn jobs(pictures: &[usize], turns: &[Turn]) -> Vec<Job> {
    pictures.iter().flat_map(|&picture| turns.iter().map(move |&turn| (picture, turn))).collect()
}

/// Computes the features of copies. The copies of one picture follow each other.
fn copies(pass: &Gathered, jobs: &[Job], backbone: &dyn Backbone) -> Result<Vec<Vec<FeatureMap>>> {
    let size = backbone.identity().size();
    let mut pictures: Vec<usize> = jobs.iter().map(|(picture, _)| *picture).collect();
    pictures.dedup();
    let images: HashMap<usize, NetworkImage> = pictures
        .par_iter()
        .map(|&picture| Ok((picture, pass.image(picture, size)?)))
        .collect::<Result<_>>()?;
    let turned: Vec<NetworkImage> = jobs
        .par_iter()
        .map(|(picture, turn)| turn.apply(&images[picture], size_of(&pass.images[*picture])))
        .collect();
    let maps = of_images(&turned, backbone)?;
    let with_corners = |(maps, (picture, turn)): (Vec<FeatureMap>, &Job)| {
        filled(maps, &pass.store.maps(*picture), turn, size_of(&pass.images[*picture]))
    };
    Ok(maps.into_par_iter().zip(jobs).map(with_corners).collect())
}

/// Returns the maps of a copy, with those of its picture where the copy shows nothing of it.
fn filled(
    maps: Vec<FeatureMap>,
    of_picture: &[FeatureMap],
    turn: &Turn,
    size: Size,
) -> Vec<FeatureMap> {
    let one = |(map, picture): (FeatureMap, &FeatureMap)| {
        let shown = turn.shows((map.height(), map.width()), size);
        if shown.iter().all(|&shown| shown) {
            return map;
        }
        let vector = |(pixel, &shown): (usize, &bool)| {
            if shown { map.vector(pixel) } else { picture.vector(pixel) }
        };
        let data: Vec<f32> = shown.iter().enumerate().flat_map(vector).copied().collect();
        FeatureMap::normalised(map.height(), map.width(), map.channels(), data)
    };
    maps.into_iter().zip(of_picture).map(one).collect()
}
