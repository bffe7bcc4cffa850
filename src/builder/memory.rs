//! Computes how much memory a build takes, before it begins.
//!
//! Everything grows with the pixels of the network's input: the maps inside the network, the features of a picture, the
//! template, and the maps of distances and scores. So if they are large, work for many pictures is done for a few at
//! once (`few_at_once`).

use super::draft::{draft_header, section_lengths};
use super::few_at_once::{MAP_BYTES, maps_of};
use super::options::{Options, Rotations, Sheets};
use super::{audit, rotations};
use crate::backbone::{Backbone, ModelFacts};
use crate::error::{Error, Kind, Result};
use crate::image::Size;
use crate::selection::Rule;
use crate::workers::{BATCHES, PER_WORKER};

/// The bytes per pixel of a picture at the network's size while it is read and prepared.
const PICTURE_BYTES: u64 = 12;

/// Holds what a build takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The memory beside the template and the features of the good pictures.
    pub working: u64,
    /// The size of the template. A program that inspects holds all of it in memory.
    pub template: u64,
    /// The features of all good pictures and of the largest possible number of turned copies, in memory or in a scratch
    /// file.
    pub features: u64,
}

impl Needs {
    /// Computes the largest need of a template from so many pictures, on so many threads, with a backbone of these
    /// `facts`.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if `options` do not fit the backbone or the size of the template is too large to
    /// compute.
    pub fn of(
        backbone: &dyn Backbone,
        facts: &ModelFacts,
        pictures: usize,
        options: &Options,
        threads: usize,
    ) -> Result<Self> {
        options.check(backbone.identity())?;
        let id = backbone.identity();
        let candidates = rotations::most_candidates(pictures, options, id);
        let sheets = options.sheets.of(candidates);
        let header = draft_header(id, options, candidates, Vec::new());
        let template = section_lengths(&header, options)?.iter().map(|(_, _, bytes)| bytes).sum();
        let pixels = |layer| header.map_pixels(layer).unwrap_or(0) as u64;
        let layers = 0..header.layers.len();
        // A position-free layer has few prototypes, but distances at every position.
        let positional = layers.clone().filter(|layer| !header.layer_use(*layer).position_free);
        let largest = positional.clone().map(pixels).max().unwrap_or(0);
        let positions: u64 = positional.map(pixels).sum();
        let distances = 8 * pictures as u64 * layers.map(pixels).sum::<u64>();
        let (count, sheets) = (candidates as u64, sheets as u64);
        let (at_once, features) = (id.pictures_at_once().min(threads) as u64, id.feature_bytes());

        let audit = if options.audit { audit::memory(pictures, id) } else { 0 };
        // These say where each prototype comes from: of one layer, and of every layer for every fold.
        let is_chosen = matches!(options.rule, Rule::Pts(_)) && sheets < count;
        let folds = if is_chosen && options.threshold.is_none() {
            options.folds_of(pictures) as u64
        } else {
            0
        };
        let sources = 8 * largest * sheets + 4 * folds * positions * sheets;
        // A picture is read from the store and rounded to 8 bits.
        let matched = at_once * (features + features / 4);
        let maps = maps_of(id.pixels()).min(threads) as u64 * MAP_BYTES * id.pixels();
        let selection = sources + distances + matched + maps;
        let working = memory_of_pass(backbone, facts, threads).max(audit + matched).max(selection);
        Ok(Needs { working, template, features: count * features })
    }
}

/// Refuses a build from so many pictures if `free` bytes of memory are too few for it. Otherwise returns what it takes.
///
/// # Errors
/// Returns [`Kind::Usage`], with the numbers, and the number of sheets that would fit.
pub fn require(
    backbone: &dyn Backbone,
    facts: &ModelFacts,
    pictures: usize,
    options: &Options,
    free: u64,
) -> Result<Needs> {
    let threads = rayon::current_num_threads();
    let fits = |needs: &Needs| needs.working.saturating_add(needs.template) <= free;
    let of = |options: &Options| Needs::of(backbone, facts, pictures, options, threads);
    let needs = of(options)?;
    if fits(&needs) {
        return Ok(needs);
    }
    let id = backbone.identity();
    let input = Size { width: id.width, height: id.height };
    let sheets = options.sheets.of(rotations::most_candidates(pictures, options, id));
    let does_fit = |options: Options| of(&options).is_ok_and(|needs| fits(&needs));
    let fewer = (1..sheets)
        .rev()
        .find(|&fewer| does_fit(Options { sheets: Sheets::Count(fewer), ..options.clone() }));
    let is_turned = options.rotations != Rotations::None;
    let what = format!(
        "a template of {sheets} sheets for an input of {input} needs {} of memory, and its build on {threads} threads \
         needs {}, but only {} are free",
        gigabytes(needs.template),
        gigabytes(needs.working),
        gigabytes(free)
    );
    let next = match fewer {
        Some(fewer) => format!("choose {fewer} sheets or fewer, or a smaller input"),
        None if is_turned
            && does_fit(Options { rotations: Rotations::None, ..options.clone() }) =>
        {
            "choose no turned copies of the pictures, or a smaller input".into()
        }
        None => "choose a smaller input, or fewer threads; fewer sheets are not enough".into(),
    };
    Err(Error::new(Kind::Usage, what).advise(next))
}

/// Returns the bytes that the feature pass takes beside what it keeps: the network's activations, the pictures and
/// their features.
pub fn memory_of_pass(backbone: &dyn Backbone, facts: &ModelFacts, threads: usize) -> u64 {
    let id = backbone.identity();
    let batch = backbone.batch();
    let computed = id.pictures_at_once().min(threads).max(batch);
    let wanted = (PER_WORKER * threads).max(if batch > 1 { BATCHES * batch } else { 1 });
    let in_flight = id.pictures_at_once().min(wanted).max(batch);
    let features = id.feature_bytes();
    let of_picture = features + PICTURE_BYTES * id.pixels();
    // While a picture is computed, its features are there twice: as the network gives them, and as they are kept.
    let attention = facts.attention_bytes(Size { width: id.width, height: id.height });
    let while_computed = features.saturating_add(attention).saturating_mul(computed as u64);
    let working = backbone.working_bytes(computed, threads);
    (in_flight as u64 * of_picture).saturating_add(while_computed).saturating_add(working)
}

/// Refuses an input if there is no memory for attention in a network of these `facts`. It does so before the network is
/// loaded.
///
/// # Errors
/// Returns [`Kind::Usage`], with both numbers of bytes.
pub fn require_for_network(facts: &ModelFacts, input: Size, free: u64) -> Result<()> {
    let needed = facts.attention_bytes(input);
    if needed <= free {
        return Ok(());
    }
    let what = format!(
        "an input of {input} needs at least {} of memory per picture, but only {} are free",
        gigabytes(needed),
        gigabytes(free)
    );
    Err(Error::new(Kind::Usage, what).advise("choose a smaller input"))
}

/// Refuses an input if `free` bytes of memory are too few to compute its features.
///
/// # Errors
/// Returns [`Kind::Usage`], with both numbers of bytes.
pub fn require_for_pass(
    backbone: &dyn Backbone,
    facts: &ModelFacts,
    threads: usize,
    free: u64,
) -> Result<()> {
    let needed = memory_of_pass(backbone, facts, threads);
    if needed <= free {
        return Ok(());
    }
    let id = backbone.identity();
    let input = Size { width: id.width, height: id.height };
    let what = format!(
        "an input of {input} needs about {} of memory on {threads} threads, but only {} are free",
        gigabytes(needed),
        gigabytes(free)
    );
    Err(Error::new(Kind::Usage, what).advise("choose a smaller input, or fewer threads"))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Identity, TapIdentity};
    use crate::error::Result;
    use crate::feature_map::FeatureMap;
    use crate::image::NetworkImage;

    struct Fixed(Identity);

    impl Backbone for Fixed {
        fn identity(&self) -> &Identity {
            &self.0
        }
        fn extractor(&self) -> &str {
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
        // A picture has 100 MB of features, so at most ten are in flight, whatever the number of threads.
        let facts = |attention_heads| ModelFacts { name: None, multiple: 50, attention_heads };
        let needed = memory_of_pass(&backbone, &facts(0), 4);
        let (in_flight, computed) =
            (12 * 2_000_000 + 4 * 25_000_000, 256 * 2_000_000 + 4 * 25_000_000);
        assert_eq!(needed, 8 * in_flight + 4 * computed);
        assert_eq!(memory_of_pass(&backbone, &facts(0), 64), 10 * (in_flight + computed));
        // Attention is on 40 x 20 patches and the class token.
        let attention = 12 * 3 * 801 * 801;
        assert_eq!(memory_of_pass(&backbone, &facts(3), 4), needed + 4 * attention);
        let input = Size { width: 1000, height: 2000 };
        assert!(require_for_network(&facts(3), input, attention).is_ok());
        assert!(require_for_network(&facts(3), input, attention - 1).is_err());
        assert!(require_for_pass(&backbone, &facts(0), 4, needed).is_ok());
        let told = require_for_pass(&backbone, &facts(0), 4, needed - 1);
        let told = told.expect_err("refused").to_string();
        assert!(told.contains("1000 x 2000") && told.contains(&gigabytes(needed)), "{told}");
    }
}
