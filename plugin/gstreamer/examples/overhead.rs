//! Measures what the element adds to the time of an inspection.
//!
//! usage: overhead TEMPLATE ROUNDS PICTURE...
//!
//! Each picture is inspected by a direct call and through `appsrc ! hetmm ! appsink`, in turn, in one process. The time
//! through the pipeline is that from the push of the frame until the sink has it, so it includes two changes of threads.

use gst::prelude::*;
use gst_app::{AppSink, AppSrc};
use hetmm::{Inspector, Options, PictureView};
use std::error::Error;
use std::time::{Duration, Instant};

type Anything<T> = Result<T, Box<dyn Error>>;

/// A picture as packed RGB of 8 bits.
struct Part {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// The two ends of a pipeline that runs.
struct Ends {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
}

fn main() -> Anything<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [template, rounds, files @ ..] = arguments.as_slice() else {
        return Err("usage: overhead TEMPLATE ROUNDS PICTURE...".into());
    };
    let parts = files.iter().map(|file| read(file)).collect::<Anything<Vec<Part>>>()?;
    let first = parts.first().ok_or("no pictures are given")?;
    gst::init()?;
    gsthetmm::plugin_register_static()?;
    let inspector = Inspector::open(template, &Options::default())?;
    let ends = ends(template, first)?;
    let (mut direct, mut element) = (Vec::new(), Vec::new());
    for round in 0..=rounds.parse::<usize>()? {
        for part in &parts {
            let times = (directly(&inspector, part)?, through(&ends, part)?);
            // The first round warms up.
            if round > 0 {
                direct.push(times.0);
                element.push(times.1);
            }
        }
    }
    ends.pipeline.set_state(gst::State::Null)?;
    let mut differences: Vec<f64> =
        direct.iter().zip(&element).map(|(direct, element)| element - direct).collect();
    println!("{} inspections each way, medians", direct.len());
    println!("direct call        {:.3} ms", median(&mut direct));
    println!("through the element {:.3} ms", median(&mut element));
    println!("difference of pairs {:.3} ms", median(&mut differences));
    Ok(())
}

fn read(file: &str) -> Anything<Part> {
    let picture = image::open(file)?.into_rgb8();
    let (width, height) = picture.dimensions();
    Ok(Part { width, height, pixels: picture.into_raw() })
}

fn ends(template: &str, part: &Part) -> Anything<Ends> {
    let line = "appsrc name=source format=time ! hetmm name=hetmm ! appsink name=sink sync=false";
    let pipeline =
        gst::parse::launch(line)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    pipeline.by_name("hetmm").ok_or("no element")?.set_property("template", template);
    let source = pipeline.by_name("source").and_downcast::<AppSrc>().ok_or("no source")?;
    let sink = pipeline.by_name("sink").and_downcast::<AppSink>().ok_or("no sink")?;
    let caps = gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::Rgb)
        .width(part.width as i32)
        .height(part.height as i32)
        .framerate((0, 1).into())
        .build();
    source.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing)?;
    Ok(Ends { pipeline, source, sink })
}

fn directly(inspector: &Inspector, part: &Part) -> Anything<f64> {
    let start = Instant::now();
    let row = 3 * part.width as usize;
    let view = PictureView::rgb8(&part.pixels, part.width, part.height, row)?;
    inspector.inspect(&view)?;
    Ok(ms(start.elapsed()))
}

fn through(ends: &Ends, part: &Part) -> Anything<f64> {
    let row = 3 * part.width as usize;
    if !row.is_multiple_of(4) {
        return Err("take pictures whose width is a multiple of four".into());
    }
    let buffer = gst::Buffer::from_slice(part.pixels.clone());
    let start = Instant::now();
    ends.source.push_buffer(buffer)?;
    ends.sink.pull_sample()?;
    Ok(ms(start.elapsed()))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
