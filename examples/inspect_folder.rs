//! Inspects the pictures of a folder, and writes a heat map of every part that is not ok.
//!
//!     cargo run --release --example inspect_folder -- part.hetmm new/ heatmaps/

use hetmm::{Inspector, Options, Verdict};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [template, folder, heatmaps] = &arguments[..] else {
        return Err("usage: inspect_folder TEMPLATE FOLDER HEATMAPS".into());
    };
    let inspector = Inspector::open(template, &Options::default())?;
    std::fs::create_dir_all(heatmaps)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| hetmm::image::is_picture_name(file));
    files.sort();
    for file in files {
        // A picture that cannot be read or inspected says nothing about its part.
        let picture = hetmm::image::read(&file)?;
        let found = inspector.inspect(&picture.view()?)?;
        println!(
            "{:?}  {:.4} / {:.4}  {}",
            found.verdict,
            found.score,
            found.threshold,
            file.display()
        );
        if found.verdict != Verdict::Ok {
            let name = file.with_extension("png");
            let png = found.heatmap_png(&picture.view()?)?;
            std::fs::write(heatmaps.join(name.file_name().unwrap_or_default()), png)?;
        }
    }
    Ok(())
}
