//! `hetmm inspect` gives pictures scores, verdicts and heat maps.

use crate::console::Console;
use crate::extractor::ExtractorArgs;
use crate::outputs::{Outputs, Replace};
use crate::pictures::{self, FolderArgs, Remarks, ShapeArgs};
use hetmm::builder::Source;
use hetmm::builder::shard::Shard;
use hetmm::evaluation::{FileInspected, Panics, inspect_files};
use hetmm::heatmap;
use hetmm::image::{Facts, Size};
use hetmm::inspection::Pipeline;
use hetmm::scoring::verdict::Rule;
use hetmm::wording::printable;
use hetmm::{Error, Inspection, Picture, Result, Template, Verdict};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Compare pictures with a template: score, verdict and heat map
///
/// Each thread works on a picture of its own. The results come in the order of the pictures, with any number of threads.
/// The times of a picture are those on its thread. A single picture has all threads.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm inspect part.hetmm new.png
  hetmm inspect part.hetmm new/ --heatmaps out/
  hetmm inspect part.hetmm archive/ --json --shard 3/8 > 3.jsonl    the third of eight jobs
  hetmm inspect part.hetmm new/ --json | jq 'select(.verdict != \"ok\") | .image'")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Pictures: a folder, or files
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Print one JSON object per picture, each on its own line, in place of text
    #[arg(long)]
    json: bool,
    /// Write a heat map of each picture to this folder
    #[arg(long, value_name = "DIR")]
    heatmaps: Option<PathBuf>,
    /// ONNX file of the backbone that the template was built with [default: the bundled one]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Leave out unreadable pictures. Without it, an unreadable picture ends the command with an error after the others
    #[arg(long)]
    skip_unreadable: bool,
    /// Inspect only part I of N equal parts, from 1. The results of all parts, one after the other, are those of one run
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let pictures = pictures::list(&args.images, args.folders, console)?;
    // Names of heat maps depend on all pictures, so that no two jobs write the same one.
    let names = heatmap_names(&pictures);
    let (pictures, names) = match args.shard {
        Some(shard) => (shard.part_of(&pictures), shard.part_of(&names)),
        None => (&pictures[..], &names[..]),
    };
    let outputs = claim(args, pictures, names)?;
    let pipeline = Arc::new(open(args)?);
    let bar = console.bar("inspecting", pictures.len());
    let (mut failed, mut remarks) = (Vec::new(), Remarks::default());
    let sources: Vec<&Source> = pictures.iter().collect();
    let keep = |_, picture| args.heatmaps.is_some().then_some(picture);
    let each = |index: usize, done| {
        Ok(shown(args, &pipeline, (sources[index], &names[index]), &outputs, done))
    };
    inspect_files(&pipeline, &sources, Panics::AreErrors, keep, each, |index, result| {
        match result {
            Ok(Shown { line, heatmap, facts, size }) => {
                heatmap?;
                remarks.add(sources[index], &facts, size, pipeline.other_size(size));
                bar.suspend(|| console.print(&line))?;
            }
            Err(e) => failed.push(e),
        }
        bar.inc(1);
        // If nobody reads the results any more, only heat maps are left to write.
        Ok(match console.has_reader() || args.heatmaps.is_some() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })?;
    bar.finish_and_clear();
    remarks.tell(console);
    match failed.is_empty() || args.skip_unreadable {
        true => {
            failed.iter().for_each(|e| console.note(format!("skipped: {e}")));
            Ok(ExitCode::SUCCESS)
        }
        false => Err(Error::unreadable(&failed, pictures.len())),
    }
}

fn open(args: &Args) -> Result<Pipeline> {
    let extractor = args.extractor.extractor();
    let pipeline = Pipeline::open(&args.template, args.backbone.as_deref(), &extractor)?;
    Ok(args.shape.apply(pipeline))
}

/// What is shown of an inspected picture.
struct Shown {
    line: String,
    /// Whether its heat map is written, if heat maps were asked for. An error ends the command.
    heatmap: Result<()>,
    facts: Facts,
    size: Size,
}

/// Puts a result into words, and writes its heat map if heat maps were asked for. Then `done` holds the picture. `name`
/// is that of the heat map.
fn shown(
    args: &Args,
    pipeline: &Arc<Pipeline>,
    (source, name): (&Source, &str),
    outputs: &Outputs,
    done: FileInspected<Option<Picture>>,
) -> Shown {
    let facts = done.facts;
    let (picture, found) = done.into_inspection(pipeline);
    let heatmap = match (&args.heatmaps, picture) {
        (Some(folder), Some(picture)) => picture
            .view()
            .and_then(|view| found.heatmap_png(&view))
            .and_then(|png| outputs.write(&folder.join(name), &heatmap::FORMAT, &png)),
        _ => Ok(()),
    };
    let line = line(args, pipeline.template(), source, &found);
    Shown { line, heatmap, facts, size: found.size() }
}

/// Claims a heat map for every picture, if heat maps were asked for.
fn claim(args: &Args, pictures: &[Source], names: &[String]) -> Result<Outputs> {
    let inputs = pictures.iter().map(|source| source.path.as_path());
    let of_template = [Some(args.template.as_path()), args.backbone.as_deref()];
    let mut outputs = args.replace.outputs(inputs.chain(of_template.into_iter().flatten()));
    if let Some(folder) = &args.heatmaps {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::io(folder, "the folder cannot be created", &e))?;
        for name in names {
            outputs.claim(&folder.join(name), &heatmap::FORMAT)?;
        }
    }
    Ok(outputs)
}

/// The result of a picture, for people or for programs.
fn line(args: &Args, template: &Template, source: &Source, found: &Inspection) -> String {
    let path = source.path.display().to_string();
    if args.json {
        let mut object = found.to_json();
        object["image"] = path.into();
        return format!("{object}\n");
    }
    let rules = template.settings().rules.as_ref();
    let tolerated = rules.map_or(0, |rules| rules.max_regions as usize);
    let verdict = match found.verdict {
        Verdict::Ok => "ok    ",
        Verdict::Review => "review",
        Verdict::Ng => "ng    ",
    };
    format!(
        "{verdict}  {:.4} / {:.4}  {:>5.0} ms  {}{}\n",
        found.score,
        found.threshold,
        found.timing.total_ms,
        printable(&path),
        in_words(found, tolerated)
    )
}

/// The reason for a verdict. Empty if nothing is above any threshold. `tolerated` is the number of tolerated regions.
fn in_words(found: &Inspection, tolerated: usize) -> String {
    let by = &found.decided_by;
    let place = found.regions.first().map_or_else(String::new, |r| {
        let area =
            r.area_mm2.map_or_else(|| format!("{} px", r.area), |mm2| format!("{mm2:.2} mm2"));
        let zone = r
            .zone
            .as_ref()
            .map_or_else(String::new, |zone| format!(" in zone {}", printable(zone)));
        let (count, x, y) = (found.regions.len(), r.x, r.y);
        format!("worst of {count} at {x},{y} ({} x {}, {area}){zone}", r.width, r.height)
    });
    let counting = by.counting;
    let why = match (by.rule, found.verdict) {
        (Rule::NotANumber, _) => "its score is not a number".into(),
        (Rule::Threshold, Verdict::Ok) => return String::new(),
        (Rule::Threshold, _) => place,
        (Rule::Zone, Verdict::Ok) => "above the threshold only in a zone that allows it".into(),
        (Rule::Zone, _) => format!("above {:.4}: {place}", by.limit),
        (Rule::Area, _) => format!("too small to count: {place}"),
        (Rule::Count, Verdict::Ok) if counting == 1 => format!("1 region is tolerated: {place}"),
        (Rule::Count, Verdict::Ok) => format!("{counting} regions are tolerated: {place}"),
        (Rule::Count, _) if counting <= tolerated => {
            format!("too strong or too large to be tolerated: {place}")
        }
        (Rule::Count, _) => format!("{counting} regions: {place}"),
    };
    format!("  {why}")
}

/// A file name for every heat map: the stem of the picture, with the name of its folder in front if two are equal.
fn heatmap_names(pictures: &[Source]) -> Vec<String> {
    let stem = |p: &Path| p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut names: Vec<String> = Vec::with_capacity(pictures.len());
    let mut seen = std::collections::HashSet::new();
    for picture in pictures {
        let mut name = stem(&picture.path);
        if seen.contains(&name) {
            let folder = picture.path.parent().and_then(Path::file_name).unwrap_or_default();
            name = format!("{}_{name}", folder.to_string_lossy());
        }
        let base = name.clone();
        let mut copy = 2;
        while !seen.insert(name.clone()) {
            name = format!("{base}_{copy}");
            copy += 1;
        }
        names.push(format!("{name}.png"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_the_same_name_get_heat_maps_of_their_own() {
        let pictures =
            ["a/1.png", "b/1.png", "b/1.jpg", "c/2.png"].map(|p| Source { path: p.into() });
        assert_eq!(heatmap_names(&pictures), ["1.png", "b_1.png", "b_1_2.png", "2.png"]);
    }
}
