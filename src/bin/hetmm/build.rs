//! `hetmm build`: good pictures to a template.

use crate::console::Console;
use crate::defect;
use crate::network::{Network, free_memory};
use crate::outputs::Replace;
use crate::pictures::{self, FolderArgs};
use crate::promise::{self, parse_rate};
use crate::sensitivity::words;
use crate::suspects;
use clap::ValueEnum;
use hetmm::backbone::Backbone;
use hetmm::builder::features_file::FeaturesFile;
use hetmm::builder::memory;
use hetmm::builder::overrides::Overrides;
use hetmm::builder::presets::Preset;
use hetmm::builder::{
    Baseline, Input, Options, Report, Rotations, Sheets, Source, Suspects, Weights,
};
use hetmm::image::{self, Mask, Reading, Size};
use hetmm::matching::Storage;
use hetmm::scoring::Fusion;
use hetmm::selection::{HardRule, Rule};
use hetmm::template::Template;
use hetmm::wording::counted;
use hetmm::{Error, Result};
use regex_lite::Regex;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Make a template from pictures of good parts
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm build good/ -o part.hetmm
  hetmm build good/ -o part.hetmm --false-reject 0.5%
  hetmm build good/ -o part.hetmm --defect 12px     input large enough for defects of 12 pixels
  hetmm build good/ -o part.hetmm --group-by '^(lot[0-9]+)_'
  hetmm build good/ -o part.hetmm --sheets all --mask roi.png
  hetmm build ten/ -o part.hetmm --rotations 23    ten pictures of parts that lie anyhow
  hetmm build good/*.png -o part.hetmm --backbone wrn101.onnx --preset paper
  hetmm build part.features -o part.hetmm          features that `hetmm features` has computed")]
pub struct Args {
    /// Pictures of good parts: a folder, or files; or one .features file
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The template to write; an old one is replaced only by a whole new one
    #[arg(short, long, value_name = "T.hetmm")]
    output: PathBuf,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    settings: Settings,
}

/// Everything that shapes a template.
#[derive(clap::Args, Default)]
pub struct Settings {
    #[command(flatten)]
    pub network: Network,
    /// Prototypes kept at every pixel, or "all" for one a picture [default: 60]
    #[arg(long, value_parser = parse_sheets, value_name = "N|all")]
    pub sheets: Option<Sheets>,
    /// Turned copies of the pictures as further candidates: a number of each picture, "none", or "auto" for some where
    /// there are fewer than 120 pictures that show round parts or parts that lie anyhow [default: auto]
    #[arg(long, value_parser = parse_rotations, value_name = "auto|none|N")]
    rotations: Option<Rotations>,
    /// How prototypes are chosen [default: pts]
    #[arg(long, value_enum, value_name = "RULE")]
    pub select: Option<Select>,
    /// Hard-nominal rule of pts: farthest first, or the paper's largest sum [default: maxmin]
    #[arg(long, value_enum, value_name = "RULE")]
    pub hard_rule: Option<HardRuleName>,
    /// Forward window of each layer, odd, in pixels of the layer
    #[arg(long, value_delimiter = ',', value_name = "P,P,..")]
    pub patches: Option<Vec<usize>>,
    /// Backward window of each layer [default: as forward]
    #[arg(long, value_delimiter = ',', value_name = "P,P,..")]
    patches_backward: Option<Vec<usize>>,
    /// Patches that each position-free layer holds [default: 1024]
    #[arg(long, value_name = "N")]
    pub free_patches: Option<usize>,
    /// Weight of the forward direction, 0 to 1; the backward one has the rest
    #[arg(long, value_name = "A")]
    pub alpha: Option<f32>,
    /// Take off the mean distance map of the good pictures: "good-parts" for most of it, and less where there are
    /// few pictures; a share from 0 to 1; or "none" [default: good-parts]
    #[arg(long, value_parser = parse_baseline, value_name = "good-parts|SHARE|none")]
    baseline: Option<Baseline>,
    /// Weight of each layer, or "auto" to set them from the good pictures
    #[arg(long, value_parser = parse_weights, value_name = "W,W,..|auto")]
    weights: Option<Weights>,
    /// How the layers are joined [default: root-mean]
    #[arg(long, value_enum)]
    fusion: Option<FusionName>,
    /// Blur before the maximum, in pixels at network size
    #[arg(long, value_name = "PIXELS")]
    sigma: Option<f32>,
    /// How values are stored [default: i8]
    #[arg(long, value_enum)]
    storage: Option<StorageName>,
    /// Region of interest: a black and white picture of the size of the others, white where defects count
    #[arg(long, value_name = "ROI.png")]
    mask: Option<PathBuf>,
    /// Region of interest: what is opaque in all pictures, where they have an alpha channel
    #[arg(long)]
    mask_from_alpha: bool,
    /// Bits that the camera fills of samples of 16: 12, say. The template remembers it
    #[arg(long, value_name = "BITS")]
    bits: Option<u8>,
    /// Threshold to use in place of one that rejects about 2 % of good parts
    #[arg(long, value_name = "SCORE")]
    threshold: Option<f32>,
    /// Set the threshold for at most this rate of false rejects, as in 0.5%; refused where there are too few
    /// parts to promise it
    #[arg(long, value_parser = parse_rate, value_name = "RATE")]
    false_reject: Option<f64>,
    /// How many times a share of the pictures is held out to set the threshold [default: 10; 20 where every
    /// picture is a sheet]
    #[arg(long, value_name = "K")]
    folds: Option<usize>,
    /// Hold out together the pictures in whose names this finds the same text: the first group, or the whole match,
    /// as in '^(lot[0-9]+)_' [default: runs of the names, and names that are equal up to their last separator]
    #[arg(long, value_parser = parse_pattern, value_name = "REGEX")]
    group_by: Option<Regex>,
    /// Features to hold in memory; more go to a scratch file in $TMPDIR [default: half of what is
    /// free]
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES|4G")]
    max_memory: Option<u64>,
    /// Leave unreadable pictures out in place of refusing the folder
    #[arg(long)]
    skip_unreadable: bool,
    /// Keep pictures that clearly do not belong to the rest, such as a mask or a dark frame; they are left out
    /// otherwise (`hetmm audit` shows them)
    #[arg(long, conflicts_with_all = ["no_audit", "drop_suspects"])]
    keep_suspects: bool,
    /// Leave out all pictures that look unlike the rest, also those that may be rare good parts
    #[arg(long, conflicts_with = "no_audit")]
    drop_suspects: bool,
    /// Do not look for pictures that look unlike the rest; all are kept
    #[arg(long)]
    pub no_audit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub enum Select {
    Pts,
    RandomImage,
    RandomPixel,
    KmeansImage,
    KmeansPixel,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub enum HardRuleName {
    Maxmin,
    Sum,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum FusionName {
    Sum,
    RootMean,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum StorageName {
    F32,
    F16,
    I8,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let started = Instant::now();
    let Built { report, finds } = match features_among(&args.images)? {
        Some(file) => {
            args.claim(&[])?;
            build(&args.output, Input::Features(&file), &args.settings, console)?
        }
        None => {
            let pictures = pictures::list(&args.images, args.folders, console)?;
            args.claim(&pictures)?;
            build(&args.output, Input::Pictures(&pictures), &args.settings, console)?
        }
    };
    let header = &report.header;
    console.note(format!(
        "{}: {} from {}, {:.1} MB, threshold {:.4}, {:.1} s",
        args.output.display(),
        counted(header.layers.first().map_or(0, |l| l.sheets as usize), "sheet"),
        counted(header.build.images.len(), "picture"),
        report.size as f64 / 1e6,
        header.calibration.threshold,
        started.elapsed().as_secs_f64()
    ));
    let times = &report.times;
    console.note(format!(
        "features {:.2} s, turned copies {:.2} s, selection {:.2} s, leave-one-out {:.2} s, folds {:.2} s, \
         audit {:.2} s",
        times.features.as_secs_f64(),
        times.turned.as_secs_f64(),
        times.selection.as_secs_f64(),
        times.leave_one_out.as_secs_f64(),
        times.folds.as_secs_f64(),
        times.audit.as_secs_f64(),
    ));
    console.note(promise::threshold(&Template::map(&args.output)?));
    finds.iter().for_each(|line| console.note(line));
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// Claims the template, which must not replace any of the pictures or other inputs.
    fn claim(&self, pictures: &[Source]) -> Result<()> {
        let pictures = pictures.iter().map(|source| source.path.as_path());
        let others = self.images.iter().chain(&self.settings.mask).map(PathBuf::as_path);
        let inputs = pictures.chain(others).chain(self.settings.network.files());
        self.replace.outputs(inputs).claim(&self.output, &hetmm::template::FORMAT)
    }
}

/// The features file that `inputs` name, if they name one.
pub fn features_among(inputs: &[PathBuf]) -> Result<Option<FeaturesFile>> {
    match inputs {
        [one] if FeaturesFile::is_one(one) => FeaturesFile::open(one).map(Some),
        [_] => Ok(None),
        many => match many.iter().find(|path| FeaturesFile::is_one(path)) {
            Some(path) => {
                Err(Error::usage(format!("{}: a features file beside other input", path.display()))
                    .advise("give it alone; `hetmm features merge` joins several"))
            }
            None => Ok(None),
        },
    }
}

/// A template that was built.
pub struct Built {
    pub report: Report,
    /// What it finds, in a line; `None` where nothing was made up.
    pub finds: Option<String>,
}

/// Builds with a progress display; prints what a person should know.
pub fn build(output: &Path, input: Input, settings: &Settings, console: &Console) -> Result<Built> {
    let (backbone, options) = settings.resolve(input, console)?;
    let progress = |stage, done, total| console.build_step(stage, done, total);
    let report = hetmm::builder::build(output, input, &backbone, &options, &progress)?;
    if let Some(line) = defect::warning(&report.header) {
        console.note(line);
    }
    for skipped in &report.skipped {
        console.note(format!("skipped: {skipped}"));
    }
    for warning in &report.warnings {
        console.note(format!("warning: {warning}"));
    }
    report.notes.iter().for_each(|note| console.note(format!("note: {note}")));
    pictures::tell(&report.notices, console);
    suspects::told(&report.suspects).iter().for_each(|line| console.note(line));
    let finds = match input {
        Input::Pictures(pictures) if !console.is_quiet() => finds(output, pictures, &backbone),
        _ => None,
    };
    Ok(Built { report, finds })
}

/// What the template finds of made-up spots. The build is done: where none can be made up, nothing is said.
fn finds(template: &Path, pictures: &[Source], backbone: &Arc<dyn Backbone>) -> Option<String> {
    match hetmm::builder::short_form(template, pictures, backbone) {
        Ok(found) => words::after_build(&found?),
        Err(e) => {
            log::info!("what the template finds is not known: {e}");
            None
        }
    }
}

impl Settings {
    /// The backbone and the options, from the preset and what was given beside it.
    fn resolve(&self, input: Input, console: &Console) -> Result<(Arc<dyn Backbone>, Options)> {
        let (preset, backbone) = match input {
            Input::Pictures(pictures) => {
                let preset = self.network.preset(None)?;
                let size = self.network.input_size(preset, pictures)?;
                (preset, self.network.open(preset, size)?)
            }
            Input::Features(file) => {
                let preset = self.network.preset(Some(&file.header().preset))?;
                (preset, self.network.open_for(file)?)
            }
        };
        let id = backbone.identity();
        let names = self.network.layers(preset, id)?;
        let size = id.size();
        let mut options = self.overrides(preset).over(preset, id, &names)?;
        options.provenance.extend(self.network.provenance());
        let options = Options {
            mask: self.mask.as_deref().map(|path| read_mask(path, input, size)).transpose()?,
            opaque_only: self.mask_from_alpha,
            reading: self.reading(input)?,
            threshold: self.threshold,
            false_reject: self.false_reject,
            folds: self.folds,
            group_by: self.group_by.clone(),
            skip_unreadable: self.skip_unreadable,
            audit: !self.no_audit,
            suspects: match (self.keep_suspects, self.drop_suspects) {
                (true, _) => Suspects::Keep,
                (false, true) => Suspects::LeaveOut,
                (false, false) => Suspects::LeaveOutStrays,
            },
            ..options
        };
        let pictures = match input {
            Input::Pictures(pictures) => pictures.len(),
            Input::Features(file) => file.pictures().len(),
        };
        let (facts, free) = (self.network.facts()?, free_memory());
        let needs = memory::require(backbone.as_ref(), facts, pictures, &options, free)?;
        // Features beyond this lie in a scratch file.
        let room = (free / 2).min(free - needs.working - needs.template);
        let options = Options { max_memory: self.max_memory.unwrap_or(room), ..options };
        for line in defect::cost((preset, facts), backbone.identity(), &needs, options.max_memory) {
            console.note(line);
        }
        Ok((backbone, options))
    }

    /// What is asked for in place of the preset's own.
    fn overrides(&self, preset: &Preset) -> Overrides {
        let hard_rule = self.hard_rule.map(|name| match name {
            HardRuleName::Maxmin => HardRule::MaxMin,
            HardRuleName::Sum => HardRule::Sum,
        });
        let rule = self.select.map(|select| match select {
            Select::Pts => Rule::Pts(hard_rule.unwrap_or(preset.hard_rule)),
            Select::RandomImage => Rule::RandomImage,
            Select::RandomPixel => Rule::RandomPixel,
            Select::KmeansImage => Rule::KmeansImage,
            Select::KmeansPixel => Rule::KmeansPixel,
        });
        Overrides {
            sheets: self.sheets,
            rotations: self.rotations,
            rule,
            hard_rule,
            patches: self.patches.clone(),
            patches_backward: self.patches_backward.clone(),
            free_patches: self.free_patches,
            alpha: self.alpha,
            baseline: self.baseline,
            fusion: self.fusion.map(|name| match name {
                FusionName::Sum => Fusion::Sum,
                FusionName::RootMean => Fusion::RootMean,
            }),
            weights: self.weights.clone(),
            sigma: self.sigma,
            storage: self.storage.map(|name| match name {
                StorageName::F32 => Storage::F32,
                StorageName::F16 => Storage::F16,
                StorageName::I8 => Storage::I8,
            }),
        }
    }

    /// How the samples of the pictures are to be understood.
    fn reading(&self, input: Input) -> Result<Reading> {
        match (self.bits, input) {
            (None, _) => Ok(Reading::default()),
            (Some(_), Input::Features(_)) => {
                Err(Error::usage("--bits is about pictures, and features have none")
                    .advise("build from the pictures"))
            }
            (Some(bits), Input::Pictures(_)) => Reading::of_bits(bits),
        }
    }
}

/// Reads a mask picture, which must have the size of the pictures it is for.
pub fn read_mask(path: &Path, input: Input, size: Size) -> Result<Mask> {
    let picture = image::read(path)?;
    let first = match input {
        Input::Pictures(pictures) => pictures
            .first()
            .and_then(|source| source.read().ok())
            .map(|(first, _)| (first.width, first.height)),
        Input::Features(file) => file.pictures().next().map(|first| (first.width, first.height)),
    };
    if let Some((width, height)) = first
        && (width, height) != (picture.width, picture.height)
    {
        return Err(Error::image(
            path,
            format!(
                "the mask has {} x {} pixels, the pictures {width} x {height}",
                picture.width, picture.height
            ),
        )
        .advise("draw the mask on one of the pictures"));
    }
    Mask::from_picture(&picture, size.height as usize, size.width as usize)
        .map_err(|e| e.within(path.display()))
}

fn parse_sheets(text: &str) -> std::result::Result<Sheets, String> {
    match text {
        "all" => Ok(Sheets::All),
        _ => match text.parse() {
            Ok(count) if count > 0 => Ok(Sheets::Count(count)),
            _ => Err("a number from 1, or \"all\"".into()),
        },
    }
}

fn parse_rotations(text: &str) -> std::result::Result<Rotations, String> {
    match text {
        "auto" => Ok(Rotations::Auto),
        "none" => Ok(Rotations::None),
        _ => match text.parse() {
            Ok(copies) if (1..360).contains(&copies) => Ok(Rotations::Copies(copies)),
            _ => Err("\"auto\", \"none\", or a number from 1 to 359".into()),
        },
    }
}

fn parse_baseline(text: &str) -> std::result::Result<Baseline, String> {
    match text {
        "good-parts" => Ok(Baseline::ByParts),
        "none" => Ok(Baseline::None),
        _ => match text.parse() {
            Ok(0.0) => Ok(Baseline::None),
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(Baseline::Share(share)),
            _ => Err("\"good-parts\", a share from 0 to 1, or \"none\"".into()),
        },
    }
}

fn parse_weights(text: &str) -> std::result::Result<Weights, String> {
    if text == "auto" {
        return Ok(Weights::FromGoodParts);
    }
    let numbers: std::result::Result<Vec<f32>, _> =
        text.split(',').map(|n| n.trim().parse()).collect();
    numbers.map(Weights::Given).map_err(|_| "numbers with commas between them, or \"auto\"".into())
}

fn parse_pattern(text: &str) -> std::result::Result<Regex, String> {
    Regex::new(text).map_err(|e| e.to_string())
}

pub fn parse_bytes(text: &str) -> std::result::Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1u64 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 =
        number.parse().map_err(|_| "a number of bytes, as in 500M or 4G".to_string())?;
    number.checked_mul(unit).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        let cases =
            [("17", Ok(17)), ("2k", Ok(2048)), ("500M", Ok(500 << 20)), ("4G", Ok(4 << 30))];
        for (text, want) in cases {
            assert_eq!(parse_bytes(text), want, "{text}");
        }
        for text in ["", "G", "-1", "4.5G", "99999999999999G"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sheets_and_weights() {
        assert_eq!(parse_sheets("all"), Ok(Sheets::All));
        assert_eq!(parse_sheets("60"), Ok(Sheets::Count(60)));
        assert!(parse_sheets("0").is_err() && parse_sheets("sixty").is_err());
        assert_eq!(parse_weights("1, 0.5"), Ok(Weights::Given(vec![1.0, 0.5])));
        assert!(parse_weights("1;2").is_err());
        let baselines = [
            ("good-parts", Some(Baseline::ByParts)),
            ("none", Some(Baseline::None)),
            ("0", Some(Baseline::None)),
            ("0.5", Some(Baseline::Share(0.5))),
            ("1", Some(Baseline::Share(1.0))),
        ];
        let refused = ["1.5", "-0.1", "NaN", "all"].map(|text| (text, None));
        for (text, want) in baselines.into_iter().chain(refused) {
            assert_eq!(parse_baseline(text).ok(), want, "{text}");
        }
    }
}
