//! The time that an inspection takes, for the latency of a live pipeline.

use hetmm::{Inspector, PictureView};
use std::time::{Duration, Instant};

/// The trial inspections. The first one also warms up.
const TRIALS: usize = 3;

/// Returns 1.5 times the slowest of three inspections of a made-up picture.
///
/// The picture has the size of those that the template was built from. The golden probes have the size of the network's
/// input, so their times would leave out the resize.
///
/// # Errors
/// Returns the error of an inspection.
pub fn measured(inspector: &Inspector) -> hetmm::Result<Duration> {
    let template = inspector.template();
    let (built_from, _) = template.pictures();
    let network = template.header().backbone.size();
    let size = built_from.first().map(|picture| picture.size());
    // Old templates do not know the size.
    let size = size.filter(|size| size.width >= 8 && size.height >= 8).unwrap_or(network);
    // A pattern, because features of an even picture are zero.
    let row = 3 * size.width as usize;
    let pixels: Vec<u8> = (0..row * size.height as usize).map(|i| (i * 7 % 251) as u8).collect();
    let picture = PictureView::rgb8(&pixels, size.width, size.height, row)?;
    let mut slowest = Duration::ZERO;
    for _ in 0..TRIALS {
        let start = Instant::now();
        inspector.inspect(&picture)?;
        slowest = slowest.max(start.elapsed());
    }
    Ok(slowest * 3 / 2)
}
