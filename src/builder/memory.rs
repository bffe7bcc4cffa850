//! What a build takes of memory, known before it begins.
//!
//! Everything grows with the pixels of the network's input: the maps inside the network, the features of a picture
//! (75 bytes a pixel with the default taps), the template, and the maps of distances and scores. So what is done for
//! many pictures side by side is done for a few at once ([`few_at_once`]) where they are large.

use super::audit;
use super::options::Options;
use super::{draft_header, section_lengths};
use crate::backbone::Backbone;
use crate::error::{Error, Kind, Result};
use crate::image::Size;
use crate::inspection::Inspector;
use crate::selection::Rule;
use rayon::prelude::*;

/// Bytes that a picture of the network's size takes while it is read and prepared, for each pixel.
const PICTURE_BYTES: u64 = 12;
/// Bytes that the maps of one picture take for each pixel of the input, from distances to a score.
const MAP_BYTES: u64 = 16;
/// Bytes that such maps aim at, of all pictures that are scored at the same time.
const MAPS_AT_ONCE_BYTES: u64 = 1 << 30;

/// What a build takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Memory beside the template and the features of the good pictures.
    pub working: u64,
    /// The template, which whoever inspects has in memory as a whole.
    pub template: u64,
    /// The features of all good pictures, in memory or in a scratch file.
    pub features: u64,
}

impl Needs {
    /// What a template from so many pictures takes, on so many threads.
    ///
    /// # Errors
    /// [`Kind::Usage`] where `options` do not fit the backbone, or the template has no size.
    pub fn of(
        backbone: &dyn Backbone,
        pictures: usize,
        options: &Options,
        threads: usize,
    ) -> Result<Self> {
        options.check(backbone.identity())?;
        let id = backbone.identity();
        let sheets = options.sheets.of(pictures);
        let header = draft_header(id, options, sheets, Vec::new());
        let template = section_lengths(&header, options)?.iter().map(|(_, _, bytes)| bytes).sum();
        let layers = id.taps.iter().map(|tap| u64::from(tap.height) * u64::from(tap.width));
        let (largest, positions) = (layers.clone().max().unwrap_or(0), layers.sum::<u64>());
        let (count, sheets) = (pictures as u64, sheets as u64);
        let (at_once, features) = (id.pictures_at_once().min(threads) as u64, id.feature_bytes());

        let audit = if options.audit { audit::memory(pictures, id) } else { 0 };
        // Where each prototype comes from: of one layer, and of every layer for every fold.
        let is_chosen = matches!(options.rule, Rule::Pts(_)) && sheets < count;
        let folds = if is_chosen && options.threshold.is_none() {
            options.folds_of(pictures) as u64
        } else {
            0
        };
        let sources = 8 * largest * sheets + 4 * folds * positions * sheets;
        let distances = 8 * count * positions;
        // A picture is read from the store and rounded to 8 bits.
        let matched = at_once * (features + features / 4);
        let maps = maps_of(id.pixels()).min(threads) as u64 * MAP_BYTES * id.pixels();
        let selection = sources + distances + matched + maps;
        let working = memory_of_pass(backbone, threads).max(audit + matched).max(selection);
        Ok(Needs { working, template, features: count * features })
    }
}

/// Refuses a build from so many pictures that `free` bytes of memory do not suffice for, and says what it takes where
/// they do.
///
/// # Errors
/// [`Kind::Usage`], with the numbers, and the number of sheets that would fit.
pub fn require(
    backbone: &dyn Backbone,
    pictures: usize,
    options: &Options,
    free: u64,
) -> Result<Needs> {
    let threads = rayon::current_num_threads();
    let fits = |needs: &Needs| needs.working.saturating_add(needs.template) <= free;
    let needs = Needs::of(backbone, pictures, options, threads)?;
    if fits(&needs) {
        return Ok(needs);
    }
    let id = backbone.identity();
    let input = Size { width: id.width, height: id.height };
    let sheets = options.sheets.of(pictures);
    let of = |sheets| {
        let fewer = Options { sheets: super::Sheets::Count(sheets), ..options.clone() };
        Needs::of(backbone, pictures, &fewer, threads).is_ok_and(|needs| fits(&needs))
    };
    let what = format!(
        "a template of {sheets} sheets for an input of {input} takes {} of memory and {} to build it on {threads} \
         threads, and {} are free",
        gigabytes(needs.template),
        gigabytes(needs.working),
        gigabytes(free)
    );
    let next = match (1..sheets).rev().find(|&fewer| of(fewer)) {
        Some(fewer) => format!("take {fewer} sheets or fewer, or a smaller input"),
        None => "take a smaller input, or fewer threads; fewer sheets are not enough".into(),
    };
    Err(Error::new(Kind::Usage, what).advise(next))
}

/// Bytes that the feature pass takes beside what it keeps: the network's activations, the pictures and their features.
pub fn memory_of_pass(backbone: &dyn Backbone, threads: usize) -> u64 {
    let id = backbone.identity();
    let pictures = id.pictures_at_once().min(threads).max(backbone.batch());
    // Features are there twice: as the network gives them, and as they are kept.
    let of_picture = 2 * id.feature_bytes() + PICTURE_BYTES * id.pixels();
    backbone.working_bytes(pictures, threads) + pictures as u64 * of_picture
}

/// Refuses an input whose features `free` bytes of memory do not suffice to compute.
///
/// # Errors
/// [`Kind::Usage`], with both numbers of bytes.
pub fn require_for_pass(backbone: &dyn Backbone, threads: usize, free: u64) -> Result<()> {
    let needed = memory_of_pass(backbone, threads);
    if needed <= free {
        return Ok(());
    }
    let id = backbone.identity();
    let input = Size { width: id.width, height: id.height };
    let what = format!(
        "an input of {input} takes about {} of memory on {threads} threads, and {} are free",
        gigabytes(needed),
        gigabytes(free)
    );
    Err(Error::new(Kind::Usage, what).advise("take a smaller input, or fewer threads"))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Most pictures whose maps are to be in memory at the same time.
pub(super) fn maps_at_once(inspector: &Inspector) -> usize {
    maps_of(inspector.backbone().identity().pixels())
}

fn maps_of(pixels: u64) -> usize {
    (MAPS_AT_ONCE_BYTES / (MAP_BYTES * pixels).max(1)).clamp(1, 1024) as usize
}

/// `work` for every number below `count`, in their order, for so many at once at the most. What one of them does on
/// the thread pool itself goes on side by side.
pub(super) fn few_at_once<T: Send>(
    count: usize,
    at_once: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let at_once = at_once.max(1);
    let mut results = Vec::with_capacity(count);
    for first in (0..count).step_by(at_once) {
        results.par_extend((first..(first + at_once).min(count)).into_par_iter().map(&work));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Identity, TapIdentity};
    use crate::error::Result;
    use crate::feature_map::FeatureMap;
    use crate::image::NetworkImage;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Fixed(Identity);

    impl Backbone for Fixed {
        fn identity(&self) -> &Identity {
            &self.0
        }
        fn engine(&self) -> &str {
            "fixed"
        }
        fn features(&self, _: &NetworkImage) -> Result<Vec<FeatureMap>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn an_input_that_memory_does_not_suffice_for_is_refused_with_the_numbers() {
        let tap = TapIdentity { name: "t".into(), channels: 100, height: 500, width: 500 };
        let backbone = Fixed(Identity {
            name: "n".into(),
            digest: [0; 32],
            height: 2000,
            width: 1000,
            mean: [0.0; 3],
            std: [1.0; 3],
            taps: vec![tap],
        });
        // 100 MB of features a picture: no more than ten at once, whatever the threads.
        let needed = memory_of_pass(&backbone, 4);
        assert_eq!(needed, 4 * ((256 + 12) * 2_000_000 + 8 * 25_000_000));
        assert_eq!(memory_of_pass(&backbone, 64), needed / 4 * 10);
        assert!(require_for_pass(&backbone, 4, needed).is_ok());
        let told = require_for_pass(&backbone, 4, needed - 1).expect_err("refused").to_string();
        assert!(told.contains("1000 x 2000") && told.contains(&gigabytes(needed)), "{told}");
    }

    #[test]
    fn few_are_worked_on_at_once_and_all_in_order() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |i: usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            3 * i
        };
        for (count, at_once) in [(0, 1), (7, 1), (7, 2), (7, 7), (5, 100), (3, 0)] {
            most.store(0, Ordering::SeqCst);
            let results = few_at_once(count, at_once, work);
            assert_eq!(results, (0..count).map(|i| 3 * i).collect::<Vec<_>>());
            assert!(most.load(Ordering::SeqCst) <= at_once.max(1));
        }
    }
}
