//! `hetmm features` computes only the features, into a file that `build` reads in place of pictures.

use crate::console::Console;
use crate::network::Network;
use crate::outputs::Replace;
use crate::pictures::{self, FolderArgs};
use hetmm::builder::features_file::{self, FeaturesFile, Order};
use hetmm::builder::shard::Shard;
use hetmm::wording::{counted, form};
use hetmm::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Compute and store the features of pictures, so that several builds are faster
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  hetmm features good/ -o part.features --device cuda
  hetmm features more/ -o part.features --device cuda --append
  hetmm features merge monday.features tuesday.features -o both.features
  hetmm features good/ -o 3.features --shard 3/8    the third of eight jobs
  hetmm build part.features -o part.hetmm

Run the same command again after an interruption: it continues where it stopped. Write ./merge for a folder that \
is called merge."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Pictures of good parts: a folder, or files
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The features file to write. During the run it is called F.features.part
    #[arg(short, long, required = true, value_name = "F.features")]
    output: Option<PathBuf>,
    /// Add pictures to an existing features file. Pictures that it already has are left out
    #[arg(long)]
    append: bool,
    /// Leave out unreadable pictures. Without it, one unreadable picture is an error
    #[arg(long)]
    skip_unreadable: bool,
    /// Compute only part I of N equal parts, from 1. `hetmm features merge` joins all parts to the file that one run over
    /// all pictures writes. Give every job the same pictures and options
    #[arg(long, value_name = "I/N", conflicts_with = "append")]
    shard: Option<Shard>,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    network: Network,
}

#[derive(clap::Subcommand)]
enum Command {
    Merge(Merge),
}

/// Join features files of the same backbone and feature extractor
///
/// If a picture is in several files, the first one is kept. Files of --shard must be complete: they may stand in any
/// order, and give the same bytes as one run over all pictures.
#[derive(clap::Args)]
#[command(after_help = "Example:
  hetmm features merge monday.features tuesday.features -o both.features
  hetmm features merge ?.features -o part.features    all shards of one list")]
struct Merge {
    /// The features files to join
    #[arg(required = true, num_args = 2.., value_name = "F.features")]
    files: Vec<PathBuf>,
    /// The features file to write
    #[arg(short, long, value_name = "F.features")]
    output: PathBuf,
    #[command(flatten)]
    replace: Replace,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    if let Some(Command::Merge(merge)) = &args.command {
        return run_merge(merge, console);
    }
    let Some(output) = &args.output else {
        return Err(Error::usage("there is no file to write")
            .advise("give its name, as in -o part.features"));
    };
    let preset = args.network.preset(None)?;
    let pictures = pictures::list(&args.images, args.folders, console)?;
    let inputs = pictures.iter().map(|source| source.path.as_path()).chain(args.network.files());
    claim(&args.replace, inputs, output)?;
    // Added pictures need the input size of the existing ones.
    let backbone = match args.append && output.exists() {
        true => args.network.open_like(preset, &FeaturesFile::open(output)?)?,
        false => args.network.open(preset, args.network.input_size(preset, &pictures)?)?,
    };
    let order = Order {
        destination: output,
        pictures: &pictures,
        shard: args.shard,
        preset: preset.name,
        append: args.append,
        skip_unreadable: args.skip_unreadable,
    };
    let started = Instant::now();
    let progress = |stage, done, total| console.build_step(stage, done, total);
    let made = features_file::compute(&order, backbone.as_ref(), &progress)?;
    let seconds = started.elapsed().as_secs_f64();
    made.skipped.iter().for_each(|e| console.note(format!("skipped: {e}")));
    made.warnings.iter().for_each(|w| console.note(format!("warning: {w}")));
    if made.taken_over > 0 {
        console.note(format!(
            "note: {} kept from an interrupted run",
            counted(made.taken_over, "picture")
        ));
    }
    console.note(format!(
        "{}: {}, {:.1} MB by {}; {} computed in {seconds:.1} s, {:.1} per second",
        output.display(),
        counted(made.pictures, "picture"),
        made.bytes as f64 / 1e6,
        backbone.extractor(),
        made.computed,
        made.computed as f64 / seconds.max(1e-9)
    ));
    Ok(ExitCode::SUCCESS)
}

/// Claims a features file, and its file during the run.
fn claim<'a>(
    replace: &Replace,
    inputs: impl Iterator<Item = &'a Path>,
    output: &Path,
) -> Result<()> {
    let mut outputs = replace.outputs(inputs);
    outputs.claim(output, &features_file::FORMAT)?;
    outputs.claim(&features_file::growing(output), &features_file::GROWING)
}

fn run_merge(args: &Merge, console: &Console) -> Result<ExitCode> {
    claim(&args.replace, args.files.iter().map(PathBuf::as_path), &args.output)?;
    let bar = console.bar("merging", 0);
    let progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let merged = features_file::merge(&args.files, &args.output, &progress)?;
    bar.finish_and_clear();
    if merged.left_out > 0 {
        console.note(format!(
            "note: {} {} there already and left out",
            counted(merged.left_out, "picture"),
            form(merged.left_out, "was", "were")
        ));
    }
    console.note(format!(
        "{}: {}, {:.1} MB",
        args.output.display(),
        counted(merged.pictures, "picture"),
        merged.bytes as f64 / 1e6
    ));
    Ok(ExitCode::SUCCESS)
}
