//! Computes how much memory a build takes, before it begins.
//!
//! Everything grows with the pixels of the network's input: the maps inside the network, the features of a picture, the
//! template, and the maps of distances and scores. So if they are large, work for many pictures is done for a few at
//! once (`few_at_once`).

use super::draft::{draft_header, section_lengths};
use super::few_at_once::{MAP_BYTES, maps_of};
use super::gather::LOOKS_TOGETHER;
use super::options::{Options, Rotations, Sheets};
use super::prototypes::PIXELS_AT_ONCE;
use super::{audit, look, patches, rotations};
use crate::backbone::{Backbone, Identity, ModelFacts};
use crate::error::{Error, Kind, Result};
use crate::image::Size;
use crate::matching::Shape;
use crate::selection::{Rule, gram};
use crate::template::HeaderV1;
use crate::workers::{BATCHES, PER_WORKER};

/// The bytes per pixel of a picture at the network's size while it is read and prepared.
const PICTURE_BYTES: u64 = 12;
/// The bytes per pixel of a picture's file while it is read and decoded.
const DECODED_BYTES: u64 = 8;
/// The bytes per pixel of a picture that waits for its look: its samples.
const WAITING_BYTES: u64 = 6;
/// The bytes per pixel while the look of a picture is computed: its grey values, three blurs, and what a blur needs.
const LOOK_BYTES: u64 = 20;

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

/// Says from which pictures a template is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pictures {
    /// Their number.
    pub count: usize,
    /// The size that most of their files have. It is 0 if only features are read.
    pub size: Size,
}

impl Needs {
    /// Computes the largest need of a template from these `pictures`, on so many threads, with a backbone of these
    /// `facts`.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if `options` do not fit the backbone or the size of the template is too large to
    /// compute.
    pub fn of(
        backbone: &dyn Backbone,
        facts: &ModelFacts,
        pictures: Pictures,
        options: &Options,
        threads: usize,
    ) -> Result<Self> {
        options.check(backbone.identity())?;
        let id = backbone.identity();
        let candidates = rotations::most_candidates(pictures.count, options, id);
        let header = draft_header(id, options, candidates, Vec::new());
        let template = section_lengths(&header, options)?.iter().map(|(_, _, bytes)| bytes).sum();
        let steps = Steps { header: &header, options, pictures, candidates, threads };
        let audit = if options.audit { steps.audit() } else { 0 };
        let pass = memory_of_pass(backbone, facts, threads) + steps.reading();
        let largest = pass.max(audit).max(steps.selection()).max(steps.scores());
        let looks = look::BYTES * pictures.count as u64;
        // The allocator keeps some of what was freed for later.
        let working = largest + largest / 5 + looks;
        Ok(Needs { working, template, features: candidates as u64 * id.feature_bytes() })
    }
}

/// Computes the bytes of each step of a build, beside the features of the pictures.
struct Steps<'a> {
    header: &'a HeaderV1,
    options: &'a Options,
    pictures: Pictures,
    /// The largest number of candidates: pictures and turned copies.
    candidates: usize,
    threads: usize,
}

impl Steps<'_> {
    fn id(&self) -> &Identity {
        &self.header.backbone
    }

    /// Returns the sum of `bytes` over the layers that have prototypes at every position.
    fn of_positional(&self, bytes: impl Fn(Shape) -> usize) -> impl Iterator<Item = u64> {
        let is_positional = |layer: &usize| !self.header.layer_use(*layer).position_free;
        let layers = (0..self.header.layers.len()).filter(is_positional);
        layers.filter_map(|layer| self.header.shape(layer)).map(move |shape| bytes(shape) as u64)
    }

    /// Returns the number of folds whose prototypes are chosen together with those of the template.
    fn folds(&self) -> usize {
        let is_chosen = matches!(self.header.rule, Rule::Pts(_));
        match is_chosen && self.options.threshold.is_none() {
            true => self.options.folds_of(self.pictures.count),
            false => 0,
        }
    }

    /// Returns what reading the pictures' files takes, and their looks.
    fn reading(&self) -> u64 {
        let (threads, pixels) = (self.threads as u64, self.id().pixels());
        let waiting = LOOKS_TOGETHER as u64 * WAITING_BYTES;
        threads * (DECODED_BYTES * self.pictures.size.pixels() + (waiting + LOOK_BYTES) * pixels)
    }

    fn audit(&self) -> u64 {
        audit::memory(self.pictures.count, self.id()) + self.matching()
    }

    /// Returns what the pictures take that are matched at the same time. A thread that waits inside one picture can
    /// begin another one.
    fn matching(&self) -> u64 {
        let at_once = self.id().pictures_at_once().min(2 * self.threads) as u64;
        // A picture is read from the store and rounded to 8 bits.
        at_once * (self.id().feature_bytes() + self.id().feature_bytes() / 4)
    }

    /// Returns what the selection of prototypes takes.
    fn selection(&self) -> u64 {
        let id = self.id();
        let channels = id.taps.iter().map(|tap| tap.channels as usize).max().unwrap_or(0);
        let (threads, folds) = (self.threads as u64, self.folds());
        let gram = match self.header.rule {
            Rule::Pts(_) => threads * gram::memory(self.candidates, channels),
            _ => threads * (8 * self.candidates * channels) as u64,
        };
        let free = (0..self.header.layers.len())
            .filter(|layer| self.header.layer_use(*layer).position_free)
            .filter_map(|layer| self.header.shape(layer));
        let free = free.map(|shape| patches::memory(shape, folds, self.threads)).max().unwrap_or(0);
        self.of_folds() + (self.layer() + gram).max(free)
    }

    /// Returns what the prototypes of one layer take until they are written.
    fn layer(&self) -> u64 {
        let (storage, folds) = (self.header.storage, self.folds());
        let block = |shape: Shape| {
            let of_sheet = size_of::<u32>() * (2 + folds);
            PIXELS_AT_ONCE.min(shape.pixels())
                * (storage.value_bytes() * shape.block(storage) + of_sheet * shape.padded_sheets())
                + 2 * size_of::<u32>() * shape.scales()
        };
        self.of_positional(block).max().unwrap_or(0)
    }

    /// Returns what says where the prototypes without each fold come from.
    fn of_folds(&self) -> u64 {
        let folds = self.folds();
        self.of_positional(|shape| folds * size_of::<u32>() * shape.pixels() * shape.sheets).sum()
    }

    /// Returns what the leave-one-out scores and those of the folds take.
    fn scores(&self) -> u64 {
        let directions = |layer: &usize| -> u64 {
            let windows = self.header.windows(*layer);
            1 + u64::from(windows.is_some_and(|windows| windows.backward > 0))
        };
        let of_layer = |layer: usize| {
            4 * directions(&layer) * self.header.map_pixels(layer).unwrap_or(0) as u64
        };
        let of_picture: u64 = (0..self.header.layers.len()).map(of_layer).sum();
        let groups: u64 =
            self.of_positional(|shape| size_of::<u32>() * shape.pixels() * shape.sheets).sum();
        let pixels = self.id().pixels();
        let maps = maps_of(pixels).min(2 * self.threads) as u64 * MAP_BYTES * pixels;
        let matched = self.matching() + maps;
        self.pictures.count as u64 * of_picture
            + self.of_folds()
            + matched.max(self.layer())
            + groups
    }
}

/// Refuses a build from these `pictures` if `free` bytes of memory are too few for it. Otherwise returns what it takes.
///
/// # Errors
/// Returns [`Kind::Usage`], with the numbers, and the number of sheets that would fit.
pub fn require(
    backbone: &dyn Backbone,
    facts: &ModelFacts,
    pictures: Pictures,
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
    let sheets = options.sheets.of(rotations::most_candidates(pictures.count, options, id));
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
    use crate::backbone::TapIdentity;
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
