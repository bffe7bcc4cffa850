//! Inspects pictures from memory with eight threads, as a program with eight cameras does.
//!
//!     cargo run --release --example inspect_memory -- part.hetmm picture.png

use hetmm::{Inspector, Options, PictureView, Template};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [template, picture] = &arguments[..] else {
        return Err("usage: inspect_memory TEMPLATE PICTURE".into());
    };
    let inspector = Inspector::new(Template::open(template)?, &Options::default())?;

    // This is a camera's buffer: blue, green, red and one unused byte, with padding at the end of each row.
    let decoded = hetmm::image::read(picture.as_ref())?;
    let hetmm::image::Samples::Eight(rgb) = &decoded.samples else {
        return Err("this example takes pictures of 8 bits".into());
    };
    let (width, height) = (decoded.width, decoded.height);
    let stride = 4 * width as usize + 64;
    let mut buffer = vec![0; stride * height as usize];
    for (row, pixels) in buffer.chunks_mut(stride).zip(rgb.chunks(3 * width as usize)) {
        for (to, from) in row.chunks_mut(4).zip(pixels.chunks(3)) {
            to[..3].copy_from_slice(&[from[2], from[1], from[0]]);
        }
    }
    let view = PictureView::bgrx8(&buffer, width, height, stride)?;

    let start = Instant::now();
    let inspected: usize = std::thread::scope(|scope| {
        let camera = |_| {
            scope.spawn(|| {
                (0..10)
                    .filter(|_| match inspector.inspect(&view) {
                        Ok(found) => found.score.is_finite(),
                        Err(error) => {
                            eprintln!("reject the part: {error}");
                            false
                        }
                    })
                    .count()
            })
        };
        let cameras: Vec<_> = (0..8).map(camera).collect();
        cameras.into_iter().map(|camera| camera.join().unwrap_or(0)).sum()
    });
    let ms = start.elapsed().as_secs_f64() * 1e3;
    println!(
        "{inspected} pictures in {ms:.0} ms on {} cores",
        std::thread::available_parallelism()?
    );
    Ok(())
}
