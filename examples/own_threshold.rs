//! Decides by a policy of its own in place of the template's threshold: a large region is bad from a lower score on.
//!
//!     cargo run --release --example own_threshold -- part.hetmm new.png ...
//!
//! The example never passes what the template rejects, because the template's own verdict counts as well.

use hetmm::{Inspection, Inspector, Options, Verdict};

/// The share of the picture from which a region is large.
const LARGE: f64 = 0.01;

/// Returns whether a part passes: the template passes it, and no large share of its map is above half of the threshold.
fn passes(found: &Inspection) -> bool {
    let map = found.map();
    let limit = 0.5 * found.threshold;
    let above = map.values.iter().filter(|value| **value > limit).count();
    let is_large = above as f64 > LARGE * map.values.len() as f64;
    found.verdict == Verdict::Ok && !is_large
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let template = arguments.next().ok_or("usage: own_threshold TEMPLATE PICTURE...")?;
    let inspector = Inspector::open(template, &Options::default())?;
    for file in arguments {
        let picture = hetmm::image::read(file.as_ref())?;
        let found = inspector.inspect(&picture.view()?)?;
        let own = if passes(&found) { "pass" } else { "reject" };
        println!(
            "{own}  (the template says {:?}, score {:.4})  {file}",
            found.verdict, found.score
        );
    }
    Ok(())
}
