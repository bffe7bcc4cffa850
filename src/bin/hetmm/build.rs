//! `hetmm build` makes a template from good pictures.

use crate::console::Console;
use crate::defect;
use crate::network::{Network, free_memory, held_memory};
use crate::outputs::Replace;
use crate::pictures::{self, FolderArgs};
use crate::rate::parse_rate;
use crate::suspects;
use clap::ValueEnum;
use hetmm::backbone::Backbone;
use hetmm::builder::features_file::FeaturesFile;
use hetmm::builder::input_size::InputSize;
use hetmm::builder::memory::{self, Pictures};
use hetmm::builder::overrides::Overrides;
use hetmm::builder::presets::Preset;
use hetmm::builder::{
    Baseline, Input, Options, Report, Rotations, Sheets, Source, Suspects, Weights,
};
use hetmm::describe::sensitivity as words;
use hetmm::describe::threshold as promise;
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
  hetmm build ten/ -o part.hetmm --rotations 23    ten pictures of parts that lie at any angle
  hetmm build good/*.png -o part.hetmm --backbone wrn101.onnx --preset paper
  hetmm build part.features -o part.hetmm          features that `hetmm features` has computed

Defaults are those of the preset `default`. Another preset has other ones: `hetmm info` shows what a template uses.")]
pub struct Args {
    /// Pictures of good parts: a folder, or files; or one .features file
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The template to write. An existing template is replaced only after a successful build
    #[arg(short, long, value_name = "T.hetmm", help_heading = INPUT_AND_OUTPUT)]
    output: PathBuf,
    #[command(flatten, next_help_heading = INPUT_AND_OUTPUT)]
    replace: Replace,
    #[command(flatten, next_help_heading = INPUT_AND_OUTPUT)]
    folders: FolderArgs,
    #[command(flatten)]
    settings: Settings,
}

/// The size of pictures that are not read.
const NO_FILES: Size = Size { width: 0, height: 0 };
/// The heading in the help of what is read and written.
const INPUT_AND_OUTPUT: &str = "Input and output";
/// The heading of which pictures are used and which area of them counts.
const PICTURES: &str = "Pictures";
/// The heading of how the threshold is set.
const THRESHOLD: &str = "Threshold";
/// The heading of how the template is made from the features.
const METHOD: &str = "Method";

/// Everything that shapes a template.
///
/// Every option names its heading, because the heading of [`Network`]'s feature extractor holds for all options that
/// follow it without one.
#[derive(clap::Args, Default)]
pub struct Settings {
    /// Leave out unreadable pictures. Without it, one unreadable picture stops the build
    #[arg(long, help_heading = INPUT_AND_OUTPUT)]
    skip_unreadable: bool,
    /// Memory for features. Features beyond it go to a scratch file in $TMPDIR [default: half of the free memory]
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES|4G", help_heading = INPUT_AND_OUTPUT)]
    max_memory: Option<u64>,
    /// Region of interest: a black and white picture of the same size as the good pictures, white where defects count.
    /// Use it when background, fixtures or ragged edges raise the scores of good parts
    #[arg(long, value_name = "ROI.png", help_heading = PICTURES)]
    mask: Option<PathBuf>,
    /// Region of interest: what is opaque in all pictures. It needs pictures with an alpha channel
    #[arg(long, help_heading = PICTURES)]
    mask_from_alpha: bool,
    /// Number of bits that the camera uses of 16-bit samples, for example 12. The template remembers it. Use it when a
    /// warning says that the pictures look darker than they are [default: 16]
    #[arg(long, value_name = "BITS", help_heading = PICTURES)]
    bits: Option<u8>,
    /// Keep also pictures that clearly do not belong to the rest, such as a mask or a dark frame. Without it they are
    /// left out and named. `hetmm audit` shows them
    #[arg(long, conflicts_with_all = ["no_audit", "drop_suspects"], help_heading = PICTURES)]
    keep_suspects: bool,
    /// Leave out all pictures that look unlike the rest, also those that may be rare good parts. Look at them first,
    /// with
    /// `hetmm audit`
    #[arg(long, conflicts_with = "no_audit", help_heading = PICTURES)]
    drop_suspects: bool,
    /// Keep all pictures and do not look for those that look unlike the rest. The build is faster
    #[arg(long, help_heading = PICTURES)]
    pub no_audit: bool,
    /// Set the threshold for at most this rate of false rejects, for example 0.5%. The build refuses a rate that so few
    /// parts cannot guarantee: 1 % needs 99 parts. It says nothing about defects [default: an estimate for about 2 %]
    #[arg(long, value_parser = parse_rate, value_name = "RATE", help_heading = THRESHOLD)]
    false_reject: Option<f64>,
    /// Use this score as the threshold. Without it the build sets one from the scores of the good pictures
    #[arg(long, value_name = "SCORE", help_heading = THRESHOLD)]
    threshold: Option<f32>,
    /// Number of groups of good parts. Each group is held out once to set the threshold. More groups take longer
    /// [default: 10, or 20 with --sheets all]
    #[arg(long, value_name = "K", help_heading = THRESHOLD)]
    folds: Option<usize>,
    /// Hold out together all pictures in whose names this pattern finds the same text. The text is the first group, or
    /// the whole match, as in '^(lot[0-9]+)_'. Use it when several pictures show one item or one batch [default:
    /// neighbours by name, and names that are equal up to their last separator]
    #[arg(long, value_parser = parse_pattern, value_name = "REGEX", help_heading = THRESHOLD)]
    group_by: Option<Regex>,
    #[command(flatten, next_help_heading = METHOD)]
    pub network: Network,
    /// Prototypes to keep at every position, or "all" for one per picture. With more of them the template holds more
    /// variants of good parts, and is larger and slower [default: 60]
    #[arg(long, value_parser = parse_sheets, value_name = "N|all", help_heading = METHOD)]
    pub sheets: Option<Sheets>,
    /// Turned copies of the pictures as further candidates for prototypes: this number of copies per picture, "none",
    /// or "auto". With "auto" and fewer than 120 pictures, the build adds copies if the pictures show round parts or
    /// parts that lie at any angle. Choose "none" if a turned part is a defect [default: auto]
    #[arg(long, value_parser = parse_rotations, value_name = "auto|none|N", help_heading = METHOD)]
    rotations: Option<Rotations>,
    /// Rule that chooses the prototypes. The rules other than pts are for comparison [default: pts]
    #[arg(long, value_enum, value_name = "RULE", help_heading = METHOD)]
    pub select: Option<Select>,
    /// How pts chooses rare prototypes: maxmin takes the farthest first, sum is the rule of the HETMM paper
    /// [default: maxmin]
    #[arg(long, value_enum, value_name = "RULE", help_heading = METHOD)]
    pub hard_rule: Option<HardRuleName>,
    /// Side of the window of each layer, odd, in positions of the layer. Larger windows tolerate parts that lie less
    /// exactly, and take longer [default: 3 for each layer]
    #[arg(long, value_delimiter = ',', value_name = "P,P,..", help_heading = METHOD)]
    pub patches: Option<Vec<usize>>,
    /// Side of the window of each layer in the backward direction [default: as --patches]
    #[arg(long, value_delimiter = ',', value_name = "P,P,..", help_heading = METHOD)]
    patches_backward: Option<Vec<usize>>,
    /// Number of patches that each position-free layer holds. You seldom need to change it [default: 1024]
    #[arg(long, value_name = "N", help_heading = METHOD)]
    pub free_patches: Option<usize>,
    /// Weight of the forward direction, from the picture to the template: 1 uses it alone, 0 uses the backward
    /// direction alone. You seldom need to change it [default: 0.8]
    #[arg(long, value_name = "A", help_heading = METHOD)]
    pub alpha: Option<f32>,
    /// Share of the usual distances of good parts to subtract: "good-parts" for a share that grows with the number of
    /// parts; a share from 0 to 1; or "none" [default: good-parts]
    #[arg(long, value_parser = parse_baseline, value_name = "good-parts|SHARE|none", help_heading = METHOD)]
    baseline: Option<Baseline>,
    /// Weight of each layer, or "auto" to set the weights from the good pictures. Given weights change the scale of the
    /// scores [default: auto]
    #[arg(long, value_parser = parse_weights, value_name = "W,W,..|auto", help_heading = METHOD)]
    weights: Option<Weights>,
    /// How the layers are joined to one map [default: root-mean]
    #[arg(long, value_enum, help_heading = METHOD)]
    fusion: Option<FusionName>,
    /// Blur of the anomaly map before its largest value is taken: the standard deviation in pixels of the network
    /// input. You seldom need to change it [default: 2 for an input of 256x256, and more for a larger one]
    #[arg(long, value_name = "PIXELS", help_heading = METHOD)]
    sigma: Option<f32>,
    /// How the template stores its values. i8 is the smallest and the fastest [default: i8]
    #[arg(long, value_enum, help_heading = METHOD)]
    storage: Option<StorageName>,
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
        "The build took {:.2} s for features, {:.2} s for turned copies, {:.2} s for the selection, {:.2} s for \
         leave-one-out scores, {:.2} s for folds and {:.2} s for the audit.",
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
            Some(path) => Err(Error::usage(format!(
                "{}: a features file cannot be combined with other input",
                path.display()
            ))
            .advise("give it alone, or join several features files with `hetmm features merge`")),
            None => Ok(None),
        },
    }
}

/// A template that was built.
pub struct Built {
    pub report: Report,
    /// One line about the size of the defects that it finds; `None` if no artificial defects were tried.
    pub finds: Option<String>,
}

/// Builds a template with a progress display, and prints all warnings and notes.
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

/// The size of artificial spots that the template finds. The build is already done, so a failure here is only logged.
fn finds(template: &Path, pictures: &[Source], backbone: &Arc<dyn Backbone>) -> Option<String> {
    match hetmm::builder::short_form(template, pictures, backbone) {
        Ok(found) => words::after_build(&found?),
        Err(e) => {
            log::info!("the size of the defects that the template finds is not known: {e}");
            None
        }
    }
}

impl Settings {
    /// The backbone and the options: those of the preset, changed by the options of the command line.
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
            Input::Pictures(files) => {
                Pictures { count: files.len(), size: InputSize::size_of_most(files) }
            }
            Input::Features(file) => Pictures { count: file.pictures().len(), size: NO_FILES },
        };
        let (facts, free) = (self.network.facts()?, free_memory());
        let needs = memory::require(backbone.as_ref(), facts, pictures, &options, free)?;
        // Features beyond this lie in a scratch file.
        let room = (free / 2).min(free - needs.working - needs.template);
        let options = Options { max_memory: self.max_memory.unwrap_or(room), ..options };
        // What the program holds is not free any more, so the needs do not contain it.
        let memory = held_memory() + needs.working + needs.features.min(options.max_memory);
        let scratch = needs.features.saturating_sub(options.max_memory);
        let cost = defect::Cost { template: needs.template, memory, scratch };
        for line in cost.note((preset, facts), backbone.identity()) {
            console.note(line);
        }
        Ok((backbone, options))
    }

    /// The options of the command line that replace those of the preset.
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

    /// How the samples of the pictures are read.
    fn reading(&self, input: Input) -> Result<Reading> {
        match (self.bits, input) {
            (None, _) => Ok(Reading::default()),
            (Some(_), Input::Features(_)) => {
                Err(Error::usage("--bits needs pictures, but the input is a features file")
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
                "the mask has {} x {} pixels, but the pictures have {width} x {height}",
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
            _ => Err("give a number of at least 1, or \"all\"".into()),
        },
    }
}

fn parse_rotations(text: &str) -> std::result::Result<Rotations, String> {
    match text {
        "auto" => Ok(Rotations::Auto),
        "none" => Ok(Rotations::None),
        _ => match text.parse() {
            Ok(copies) if (1..360).contains(&copies) => Ok(Rotations::Copies(copies)),
            _ => Err("give \"auto\", \"none\", or a number from 1 to 359".into()),
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
            _ => Err("give \"good-parts\", a share from 0 to 1, or \"none\"".into()),
        },
    }
}

fn parse_weights(text: &str) -> std::result::Result<Weights, String> {
    if text == "auto" {
        return Ok(Weights::FromGoodParts);
    }
    let numbers: std::result::Result<Vec<f32>, _> =
        text.split(',').map(|n| n.trim().parse()).collect();
    numbers
        .map(Weights::Given)
        .map_err(|_| "give numbers with commas between them, or \"auto\"".into())
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
        number.parse().map_err(|_| "give a number of bytes, as in 500M or 4G".to_string())?;
    number.checked_mul(unit).ok_or_else(|| "the number is too large: give less, as in 4G".into())
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
