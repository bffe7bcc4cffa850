//! The options that describe the network and its feature extractor: backbone, layers, input and device.

use crate::defect::{self, DefectSize};
use crate::extractor::ExtractorArgs;
use hetmm::backbone::{self, Backbone, Identity, ModelFacts, Request};
use hetmm::builder::Source;
use hetmm::builder::features_file::FeaturesFile;
use hetmm::builder::input_size::{self, InputSize};
use hetmm::builder::layers::{Asked, LayerNames};
use hetmm::builder::memory;
use hetmm::builder::presets::{self, PRESETS, Preset};
use hetmm::error::Kind;
use hetmm::image::Size;
use hetmm::template::header::{DEFECT, MM_PER_PIXEL};
use hetmm::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The network and its feature extractor. Features depend on these options.
#[derive(clap::Args, Clone, Default)]
pub struct Network {
    /// Named set of options to start from. Other options on the command line replace its values [default: the preset
    /// made for the backbone, which is `default` for the bundled one]
    #[arg(long, value_parser = PRESETS.map(|p| p.name))]
    preset: Option<String>,
    /// Taps of the backbone for the positional layers, one per layer. `hetmm info` lists those of a template, and a
    /// wrong name lists all taps. They need --patches [default: those of the preset]
    #[arg(long, value_delimiter = ',', value_name = "TAP,..")]
    pub layers: Option<Vec<String>>,
    /// Taps for the position-free layers, which compare a place with good patches from all positions; or "none"
    /// [default: those of the preset]
    #[arg(long, value_delimiter = ',', value_name = "TAP,..")]
    pub position_free: Option<Vec<String>>,
    /// ONNX file of the backbone. models/export.py writes such files [default: the bundled EfficientNet-Lite0]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Network input in pixels, as in 384x256. One number is the side of a square. A larger input can find smaller
    /// defects and takes more time and memory [default: the shape of the pictures, with as many pixels as 256x256, or
    /// as 448x448 for DINOv2]
    #[arg(long, value_parser = parse_input_size, value_name = "WxH|SIDE")]
    size: Option<Size>,
    /// Choose a network input that is large enough for defects of this diameter, as in 12px or 0.5mm. Use it when you
    /// know the smallest defect. The build states the time and memory that it costs
    #[arg(long, value_parser = defect::parse_size, value_name = "SIZE", conflicts_with = "size")]
    defect: Option<DefectSize>,
    /// Size of a pixel on the part, in millimetres. A defect size in millimetres needs it
    #[arg(long, value_parser = defect::parse_scale, value_name = "MM")]
    mm_per_pixel: Option<f64>,
    #[command(flatten)]
    extractor: ExtractorArgs,
    /// What the backbone says about itself, read once.
    #[arg(skip)]
    facts: OnceLock<ModelFacts>,
}

impl Network {
    /// The files that the network is read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.backbone.as_deref().into_iter()
    }

    /// The preset to start from: the one that was asked for, or `otherwise`, or the one made for the backbone.
    pub fn preset(&self, otherwise: Option<&str>) -> Result<&'static Preset> {
        match self.preset.as_deref().or(otherwise) {
            Some(name) => presets::find(name)
                .ok_or_else(|| Error::usage(format!("there is no preset called {name}"))),
            None => Ok(presets::of_backbone(self.facts()?.name.as_deref())),
        }
    }

    /// The network input for these pictures: the one that was asked for, or the one of the preset.
    ///
    /// # Errors
    /// [`Kind::Usage`] if no input is large enough for the size of the defects.
    pub fn input_size(&self, preset: &Preset, pictures: &[Source]) -> Result<Size> {
        let multiple = self.facts()?.multiple;
        let Some(px) = self.defect_px()? else {
            let input = self.size.map_or(preset.input, InputSize::Exactly);
            return Ok(input.of_files(pictures, multiple));
        };
        let square = Size { width: 1, height: 1 };
        let area = preset.input.of_picture(square, multiple).pixels() as u32;
        let input = InputSize::Defect { px, area }.of_files(pictures, multiple);
        input_size::require_possible(px, input, InputSize::size_of_most(pictures))?;
        Ok(input)
    }

    /// The diameter of the defects that were asked for, in pixels of the pictures.
    fn defect_px(&self) -> Result<Option<f64>> {
        self.defect.map(|size| size.px(self.mm_per_pixel)).transpose()
    }

    /// What a template remembers of the defects that were asked for.
    pub fn provenance(&self) -> Vec<(String, String)> {
        let defect = self.defect.map(|size| (DEFECT.to_string(), size.to_string()));
        let scale = self.mm_per_pixel.map(|mm| (MM_PER_PIXEL.to_string(), mm.to_string()));
        defect.into_iter().chain(scale).collect()
    }

    /// What the backbone says about itself.
    pub fn facts(&self) -> Result<&ModelFacts> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let facts = ModelFacts::of(self.backbone.as_deref())?;
        Ok(self.facts.get_or_init(|| facts))
    }

    /// Opens the backbone for pictures at `size`, with the taps that were asked for or those of the preset.
    pub fn open(&self, preset: &Preset, size: Size) -> Result<Arc<dyn Backbone>> {
        self.open_made_by(None, preset, size)
    }

    fn open_made_by(
        &self,
        made_by: Option<&str>,
        preset: &Preset,
        size: Size,
    ) -> Result<Arc<dyn Backbone>> {
        let free = self.free_names();
        let candidates = LayerNames::candidates(preset, self.asked(free.as_deref()));
        self.open_with(candidates.iter().map(LayerNames::taps).collect(), size, made_by)
    }

    /// The taps of position-free layers that were asked for.
    fn free_names(&self) -> Option<Vec<String>> {
        let names = self.position_free.clone()?;
        Some(if names == ["none"] { Vec::new() } else { names })
    }

    fn asked<'a>(&'a self, position_free: Option<&'a [String]>) -> Asked<'a> {
        Asked { positional: self.layers.as_deref(), position_free }
    }

    /// The layers of a template from features of the taps of `backbone`.
    pub fn layers(&self, preset: &Preset, backbone: &Identity) -> Result<LayerNames> {
        let taps: Vec<String> = backbone.taps.iter().map(|tap| tap.name.clone()).collect();
        LayerNames::of_features(preset, self.asked(self.free_names().as_deref()), &taps)
    }

    /// Opens the backbone for pictures that are added to a features file. It uses the size of the file, unless another
    /// size was asked for.
    pub fn open_like(&self, preset: &Preset, file: &FeaturesFile) -> Result<Arc<dyn Backbone>> {
        let id = &file.header().backbone;
        self.refuse_defect()?;
        let size = self.size.unwrap_or(Size { width: id.width, height: id.height });
        self.open_made_by(Some(&file.header().extractor), preset, size)
    }

    /// Opens the backbone that a features file asks for.
    pub fn open_for(&self, file: &FeaturesFile) -> Result<Arc<dyn Backbone>> {
        let id = &file.header().backbone;
        let taps: Vec<String> = id.taps.iter().map(|t| t.name.clone()).collect();
        let size = Size { width: id.width, height: id.height };
        self.refuse_defect()?;
        if self.size.is_some_and(|s| s != size) {
            return Err(Error::usage("--size differs from the input size of the features")
                .advise("leave it out, or compute the features again"));
        }
        self.open_with(vec![taps], size, Some(&file.header().extractor)).map_err(|e| {
            match e.kind() {
                Kind::Model => e.within(format!("the features need {id}")),
                _ => e,
            }
        })
    }

    /// Refuses a size of defects, because features have a fixed input size.
    fn refuse_defect(&self) -> Result<()> {
        match self.defect {
            Some(_) => Err(Error::usage(
                "--defect chooses the network input, but features have a fixed input",
            )
            .advise("leave it out, or compute the features again with it")),
            None => Ok(()),
        }
    }

    /// `made_by` names what computed the features that are there already.
    fn open_with(
        &self,
        taps: Vec<Vec<String>>,
        size: Size,
        made_by: Option<&str>,
    ) -> Result<Arc<dyn Backbone>> {
        let (height, width) = (size.height as usize, size.width as usize);
        let model = self.backbone.as_deref();
        let request = Request { model, taps, height, width, made_by };
        let (facts, threads) = (self.facts()?, rayon::current_num_threads());
        memory::require_for_network(facts, size, free_memory())?;
        let backbone = backbone::open(&request, &self.extractor.extractor())?;
        memory::require_for_pass(backbone.as_ref(), facts, threads, free_memory())?;
        Ok(backbone)
    }
}

fn parse_input_size(text: &str) -> std::result::Result<Size, String> {
    let (width, height) = text.split_once(['x', 'X']).unwrap_or((text, text));
    match (width.trim().parse(), height.trim().parse()) {
        (Ok(width), Ok(height)) => Ok(Size { width, height }),
        _ => Err("give columns x rows, as in 384x256, or the side of a square".into()),
    }
}

/// Memory that the system can give to this process: the free memory, or the limit of the container or of the process if
/// that is less. 4 GiB if the system does not say.
pub fn free_memory() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits
        .iter()
        .filter_map(|f| std::fs::read_to_string(f).ok()?.trim().parse::<u64>().ok())
        .min();
    let own = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let space = own.lines().find_map(|l| l.strip_prefix("Max address space"));
    let space = space.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    let known = [kib.map(|kib| kib << 10), limit, space];
    known.into_iter().flatten().min().unwrap_or(4 << 30)
}

/// Returns the bytes of memory in no file that this program holds. It is a usual value if the system does not say.
pub fn held_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let kib = held.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(64 << 20, |kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_sizes() {
        let cases =
            [("96", Some((96, 96))), ("384x256", Some((384, 256))), ("64 X 32", Some((64, 32)))];
        let cases = cases.into_iter().chain(["", "x", "64x", "-32", "64x64x64"].map(|t| (t, None)));
        for (text, want) in cases {
            let want = want.map(|(width, height)| Size { width, height });
            assert_eq!(parse_input_size(text).ok(), want, "{text}");
        }
    }
}
