//! `hetmm sensitivity` states the size of the defects that a template finds, from artificial ones.

mod options;

use crate::calibrate::{different, without_known};
use crate::console::Console;
use crate::extractor::ExtractorArgs;
use crate::outputs::{Outputs, Replace, has_keys};
use crate::pictures::{self, FolderArgs, ShapeArgs};
use hetmm::builder::audit::Look;
use hetmm::builder::{Source, exposures};
use hetmm::describe::sensitivity as words;
use hetmm::files::outputs::Format;
use hetmm::image::{NetworkImage, Picture};
use hetmm::inspection::Pipeline;
use hetmm::report;
use hetmm::scoring::Scored;
use hetmm::sensitivity::{KindResult, Plan, Study, Subject};
use hetmm::sensitivity::{LEAST_RUNS, MOST_RUNS, study};
use hetmm::template::ImageRecord;
use hetmm::wording::form;
use hetmm::{Error, Result};
use options::{KindName, parse_contrast};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// State which size of defect a template finds, from artificial defects in good pictures
///
/// The command adds scratches, spots, and missing, moved and smoothed pieces of known size to good pictures that the
/// template was not built from, and inspects them. It states the size that is found in 90 % of the cases with 95 %
/// confidence (a90/95 of MIL-HDBK-1823A). It does not change the template. An artificial defect is not a real one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm sensitivity part.hetmm fresh/
  hetmm sensitivity part.hetmm fresh/ --report page.html --json sizes.json
  hetmm sensitivity part.hetmm fresh/ --kinds scratch,dark-spot --contrasts 15,30,60 --runs 400

Kinds: scratch, dark-spot, bright-spot, missing (a piece is gone), moved (a piece lies half its size farther on), \
smoothed (a piece without its fine texture).")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Good pictures that the template was not built from: folders or files
    #[arg(required = true, value_name = "GOOD")]
    images: Vec<PathBuf>,
    /// Kinds of artificial defects [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,..")]
    kinds: Vec<KindName>,
    /// Contrasts of scratches and spots, in grey levels from 1 to 255. Give the contrasts of your real defects
    #[arg(long, value_parser = parse_contrast, value_delimiter = ',', value_name = "LEVELS,..", default_value = "20,60")]
    contrasts: Vec<f32>,
    /// Number of defects of each kind and contrast, from 60 to 5000. More of them give narrower limits and take longer
    #[arg(long, value_name = "N", default_value_t = 160,
          value_parser = clap::value_parser!(u32).range(LEAST_RUNS as i64..=MOST_RUNS as i64))]
    runs: u32,
    /// Start value for the choice of places. Another value gives other places
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write the results as JSON to this file and print the text as well. With "-", print the JSON in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report to this file, with curves, the map of blind places and examples
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// ONNX file of the backbone that the template was built with [default: the bundled one]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Leave out unreadable pictures. Without it, one unreadable picture is an error
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

/// How a file of sizes is recognised before another one replaces it.
const SIZES: Format = Format {
    name: "a file of sizes that a template finds",
    reads: 1 << 24,
    is_one: |bytes| has_keys(bytes, &["template", "kinds", "blind_map"]),
};

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let good = pictures::list(&args.images, args.folders, console)?;
    let outputs = claim(args, &good)?;
    let pipeline =
        Pipeline::open(&args.template, args.backbone.as_deref(), &args.extractor.extractor())?;
    let pipeline = args.shape.apply(pipeline);
    let fresh = without_known(pipeline.template(), different(good, console), console)
        .map_err(|e| e.advise("give pictures of other good parts"))?;
    let pictures = one_of_each_exposure(&pipeline, fresh, args, console)?;
    let subject = Fresh { pipeline, pictures };
    let plan = args.plan();
    let bar = console.bar("artificial", plan.kinds.len() * plan.runs);
    let found = study::run(&subject, &plan, &|done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let json = format!("{:#}", to_json(args, &subject, &found));
    if let Some(path) = args.json_file() {
        outputs.write(path, &SIZES, json.as_bytes())?;
        console.changed(path);
    }
    if let Some(page) = &args.report {
        let names: Vec<String> = subject.pictures.iter().map(|source| source.name()).collect();
        let about =
            report::Sensitivity { subject: &subject, names: &names, plan: &plan, found: &found };
        let text = report::sensitivity(&about, &args.template)?;
        outputs.write(page, &report::FORMAT, text.as_bytes())?;
        console.changed(page);
    }
    match args.json.is_some() && args.json_file().is_none() {
        true => console.print(&(json + "\n"))?,
        false => console.print(&words::table(&found))?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The file for the results, if they do not go to standard output.
    fn json_file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|path| path.as_os_str() != "-")
    }

    fn plan(&self) -> Plan {
        let kinds = options::kinds(&self.kinds);
        let mut contrasts = self.contrasts.clone();
        contrasts.sort_by(f32::total_cmp);
        contrasts.dedup();
        Plan::new(&kinds, &contrasts, self.runs as usize, self.seed)
    }
}

/// Claims all output files.
fn claim(args: &Args, pictures: &[Source]) -> Result<Outputs> {
    let inputs = pictures.iter().map(|source| source.path.as_path());
    let of_template = [Some(args.template.as_path()), args.backbone.as_deref()];
    let mut outputs = args.replace.outputs(inputs.chain(of_template.into_iter().flatten()));
    outputs.claim_if(args.report.as_deref(), &report::FORMAT)?;
    outputs.claim_if(args.json_file(), &SIZES)?;
    Ok(outputs)
}

/// The first readable picture of every exposure. Other pictures of the same exposure say nothing new about good parts.
fn one_of_each_exposure(
    pipeline: &Pipeline,
    pictures: Vec<Source>,
    args: &Args,
    console: &Console,
) -> Result<Vec<Source>> {
    let look = |source: &Source| -> Result<(ImageRecord, Look)> {
        let (picture, digest) = source.read()?;
        let image = picture
            .view()
            .and_then(|view| pipeline.prepare(&view))
            .map_err(|e| e.within(source.path.display()))?;
        let (width, height) = (picture.width, picture.height);
        let record = ImageRecord { name: source.name(), digest, width, height, score: f32::NAN };
        Ok((record, Look::new(&image)))
    };
    let looked: Vec<Result<(ImageRecord, Look)>> = pictures.par_iter().map(look).collect();
    let (count, mut failed) = (pictures.len(), Vec::new());
    let (mut readable, mut records, mut looks) = (Vec::new(), Vec::new(), Vec::new());
    for (source, result) in pictures.into_iter().zip(looked) {
        match result {
            Ok((record, look)) => {
                readable.push(source);
                records.push(record);
                looks.push(look);
            }
            Err(e) => failed.push(e),
        }
    }
    if failed.len() == count || !(failed.is_empty() || args.skip_unreadable) {
        return Err(Error::unreadable(&failed, count));
    }
    failed.iter().for_each(|e| console.note(format!("skipped: {e}")));
    let parts = exposures::find(&records, &looks).parts;
    let doubles = readable.len() - parts.count();
    if doubles > 0 {
        console.note(format!(
            "note: {doubles} of {} pictures {} the same exposure as another one",
            readable.len(),
            form(doubles, "was left out, because it shows", "were left out, because they show")
        ));
    }
    let numbered = readable.into_iter().enumerate();
    Ok(numbered.filter(|(i, _)| parts.first.contains(i)).map(|(_, source)| source).collect())
}

/// Good pictures that the template was not built from.
pub struct Fresh {
    pipeline: Pipeline,
    pub pictures: Vec<Source>,
}

impl Subject for Fresh {
    fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    fn count(&self) -> usize {
        self.pictures.len()
    }

    fn picture(&self, index: usize) -> Result<Picture> {
        Ok(self.pictures[index].read()?.0)
    }

    fn scored(&self, _: usize, image: &NetworkImage) -> Result<Scored> {
        self.pipeline.run(image)
    }
}

/// What was found, for programs.
fn to_json(args: &Args, subject: &Fresh, found: &Study) -> Value {
    let name = |index: &usize| subject.pictures[*index].path.display().to_string();
    let kinds: Vec<Value> =
        found.results.iter().map(|r| kind_json(r, found.mm_per_pixel)).collect();
    json!({
        "template": args.template.display().to_string(),
        "threshold": subject.pipeline.thresholds().reject,
        "pictures": found.used.len(),
        "rejected_without_defect": found.rejected.iter().map(name).collect::<Vec<_>>(),
        "picture_size": { "width": found.size.width, "height": found.size.height },
        "mm_per_pixel": found.mm_per_pixel,
        "runs": args.runs,
        "seed": args.seed,
        "kinds": kinds,
        "blind_map": found.blind_map,
    })
}

fn kind_json(result: &KindResult, mm_per_pixel: Option<f64>) -> Value {
    let mm = mm_per_pixel.and_then(|side| Some(side * result.pod.as_ref()?.a90_95.px()));
    json!({
        "kind": result.kind,
        "contrast": result.contrast,
        "pod": result.pod,
        "a90_95_mm": mm,
        "without_place": result.without_place,
        "already_above": result.already_above,
    })
}
