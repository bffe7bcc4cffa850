//! Watches a template's file and takes a new one into use between two pictures.
//!
//!     cargo run --release --example swap_template -- part.hetmm picture.png
//!
//! Replace the file while it runs: `hetmm insert part.hetmm good.png`, or rename another template over it. A damaged
//! file is refused, and the old template stays in use.

use hetmm::{Inspector, Options, Template};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn changed_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (template, picture, times) = match &arguments[..] {
        [template, picture] => (template, picture, usize::MAX),
        [template, picture, times] => (template, picture, times.parse()?),
        _ => return Err("usage: swap_template TEMPLATE PICTURE [TIMES]".into()),
    };
    let path = Path::new(template);
    let mut known = changed_at(path);
    let inspector = Inspector::open(path, &Options::default())?;
    let picture = hetmm::image::read(picture.as_ref())?;
    for _ in 0..times {
        let now = changed_at(path);
        if now != known {
            known = now;
            // Another thread may inspect meanwhile. It ends with the old template.
            match Template::open(path).and_then(|template| inspector.replace(template)) {
                Ok(()) => println!("template {} is in use", inspector.generation()),
                Err(error) => eprintln!("the old template stays in use: {error}"),
            }
        }
        let found = inspector.inspect(&picture.view()?)?;
        println!("{:?}  {:.4}  template {}", found.verdict, found.score, found.generation);
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
