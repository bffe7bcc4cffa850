//! Turns a template's file into a pipeline that has computed the golden probes on this machine.
//!
//! The template is copied into the process's own memory. There its signature is checked, if one is required, and then
//! the template byte by byte. It is joined with a feature
//! extractor, which runs once and then computes the golden probes. If several feature extractors may be used, the first
//! that succeeds is taken.

use super::slot::Slot;
use super::template_identity::TemplateIdentity;
use super::trust::Trust;
use crate::backbone::ExtractorOptions;
use crate::camera::BayerMode;
use crate::containment::Containment;
use crate::error::{Error, Result};
use crate::image::Size;
use crate::inspection::Pipeline;
use crate::template::signature::SignedBy;
use crate::template::{OwnBytes, Template};
use crate::update::journal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says what a pipeline is made from.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The template's file.
    pub file: PathBuf,
    /// The slot that the file is in, if it is in one.
    pub slot: Option<Slot>,
    /// The backbone, if it is not the bundled one.
    pub backbone: Option<PathBuf>,
    /// The feature extractors that may be used, the preferred one first.
    pub extractors: Vec<ExtractorOptions>,
    /// The number of threads that compute; 0 means all cores.
    pub threads: usize,
    /// Whether pictures of another shape than the template's are accepted and squeezed.
    pub any_shape: bool,
    /// Which pictures the camera gives, if it has a Bayer sensor.
    pub bayer: Option<BayerPictures>,
    /// Whose signatures count.
    pub trust: Trust,
}

/// Says which pictures a Bayer sensor gives, and which it would give with the other way to find missing colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BayerPictures {
    /// The way in use.
    pub mode: BayerMode,
    /// The size of its pictures.
    pub size: Size,
    /// The size of the other way's pictures.
    pub other_size: Size,
}

impl BayerPictures {
    /// Refuses a template that was built from pictures of the other way. Their edges look different. `built_from` is
    /// the size of the template's pictures, if none of them has the size of the camera's.
    fn check(&self, built_from: Option<Size>) -> Result<()> {
        if built_from != Some(self.other_size) {
            return Ok(());
        }
        let (mode, other) = match self.mode {
            BayerMode::Half => ("half", "bilinear"),
            BayerMode::Bilinear => ("bilinear", "half"),
        };
        let (size, other_size) = (self.size, self.other_size);
        Err(Error::template(format!(
            "the template was built from pictures of {other_size}, which this camera gives with bayer = \"{other}\", and \
             not from those of {size}, which it gives with bayer = \"{mode}\""
        ))
        .advise(format!(
            "set camera.bayer = \"{other}\", or build the template from pictures of {size}"
        )))
    }
}

/// Holds a pipeline whose golden probes were checked.
pub struct Proven {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What names the template in records.
    pub identity: Arc<TemplateIdentity>,
    /// The reasons why preferred feature extractors were not used.
    pub passed_over: Vec<String>,
}

impl Proven {
    /// Returns a sentence about what is in use from now on, and what is not.
    pub fn describe(&self, file: &Path) -> String {
        let threshold = self.pipeline.template().header().calibration.threshold;
        let identity = &self.identity;
        let signed = match &identity.signer {
            Some(key) => format!(", signed by key {key} as {:?}", identity.name),
            None => String::new(),
        };
        format!(
            "{}: proven{signed}, threshold {threshold}, features by {}{}",
            file.display(),
            self.pipeline.extractor(),
            self.passed_over.concat()
        )
    }
}

/// Loads a template and checks its golden probes.
///
/// # Errors
/// Returns an error of kind template, model or input and output, also if the golden probes differ on this machine. If
/// several feature extractors were tried, it is the error of the last.
pub fn load(recipe: &Recipe) -> Result<Proven> {
    load_bytes(recipe, OwnBytes::read(&recipe.file)?)
}

/// Does the same as [`load`] with a file of at most `most_bytes` that another user may exchange at any moment.
///
/// # Errors
/// Returns the same errors as [`load`], and one of kind template if the file is longer.
pub fn load_foreign(recipe: &Recipe, most_bytes: u64) -> Result<Proven> {
    load_bytes(recipe, OwnBytes::read_foreign(&recipe.file, most_bytes)?)
}

/// Checks the bytes of the file of a recipe. What is checked here is what is used: no other program can change this copy.
fn load_bytes(recipe: &Recipe, bytes: OwnBytes) -> Result<Proven> {
    let name = recipe.file.display();
    let signed = recipe.trust.check(&recipe.file, bytes.as_slice()).map_err(|e| e.within(&name))?;
    let template = Template::of_bytes(bytes).map_err(|e| e.within(&name))?;
    let identity = Arc::new(identity(recipe, &template, signed));
    join(&Arc::new(template), &identity, recipe).map_err(|e| e.within(&name))
}

/// Returns what names a template in records.
fn identity(recipe: &Recipe, template: &Template, signed: Option<SignedBy>) -> TemplateIdentity {
    let hex = |digest: [u8; 32]| blake3::Hash::from_bytes(digest).to_hex().to_string();
    let inserted = template.pictures().1.len();
    let blake3 = hex(template.digest());
    // A journal that cannot be read costs this field only.
    let base = || journal::read(template).ok()?.first()?.0.file_before.map(hex);
    let base_blake3 = if inserted == 0 { Some(blake3.clone()) } else { base() };
    let (signer, name) = name(&recipe.file, signed);
    TemplateIdentity { name, blake3, base_blake3, signer, journal: inserted, slot: recipe.slot }
}

/// Returns the key whose signature was checked, and the name of the template: that of the signature, or of the file.
fn name(file: &Path, signed: Option<SignedBy>) -> (Option<String>, String) {
    match signed {
        Some(SignedBy { key_id, name }) => (Some(key_id), name),
        None => (None, file.file_name().unwrap_or_default().to_string_lossy().into_owned()),
    }
}

/// Returns the name of the template in a file and the BLAKE3 of the file, after a check of its signature. It does not
/// look whether the file is a template.
///
/// # Errors
/// Returns [`crate::error::Kind::Template`] if no signature counts, or [`crate::error::Kind::Io`] if the file
/// cannot be read.
pub fn name_and_digest(file: &Path, trust: &Trust) -> Result<(String, String)> {
    let bytes = OwnBytes::read(file)?;
    let signed = trust.check(file, bytes.as_slice()).map_err(|e| e.within(file.display()))?;
    let digest = blake3::hash(bytes.as_slice());
    Ok((name(file, signed).1, digest.to_hex().to_string()))
}

/// Does the same as [`load`] with a template that was loaded before, whose signature was checked then.
///
/// # Errors
/// Returns the same errors as [`load`].
pub fn join(
    template: &Arc<Template>,
    identity: &Arc<TemplateIdentity>,
    recipe: &Recipe,
) -> Result<Proven> {
    let containment = Containment::default();
    let pool = containment.pool(recipe.threads)?;
    let mut passed_over = Vec::new();
    let mut last = Error::usage("no feature extractor may be used");
    for extractor in &recipe.extractors {
        let joined = pool.install(|| {
            containment.run(|| {
                let template = template.clone();
                let pipeline = Pipeline::join(template, recipe.backbone.as_deref(), extractor)?;
                recipe.bayer.map_or(Ok(()), |b| b.check(pipeline.other_size(b.size)))?;
                pipeline.prove()?;
                Ok(if recipe.any_shape { pipeline.with_any_shape() } else { pipeline })
            })
        });
        match joined {
            Ok(pipeline) => {
                return Ok(Proven { pipeline, identity: identity.clone(), passed_over });
            }
            Err(why) => {
                passed_over.push(format!("\n  not {}: {}", extractor.device.name(), why.what()));
                last = why;
            }
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_the_other_bayer_mode_are_refused() {
        let size = |width, height| Size { width, height };
        let half = BayerPictures {
            mode: BayerMode::Half,
            size: size(640, 480),
            other_size: size(1280, 960),
        };
        for built_from in [None, Some(size(320, 240)), Some(size(1281, 960))] {
            assert!(half.check(built_from).is_ok(), "{built_from:?}");
        }
        let why = half.check(Some(size(1280, 960))).expect_err("refused").to_string();
        assert!(why.contains("camera.bayer = \"bilinear\"") && why.contains("640 x 480"), "{why}");
        let (size, other_size) = (half.other_size, half.size);
        let bilinear = BayerPictures { mode: BayerMode::Bilinear, size, other_size };
        let why = bilinear.check(Some(other_size)).expect_err("refused").to_string();
        assert!(why.contains("camera.bayer = \"half\""), "{why}");
    }
}
