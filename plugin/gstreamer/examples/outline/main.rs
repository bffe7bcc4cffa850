//! Plays pictures as a video through `hetmm`, and draws what it finds over them.
//!
//! usage: outline TEMPLATE PATTERN OUT [--window]
//!
//! PATTERN is a file name with a place for the number, as in `parts/%03d.png`. The program writes OUT.png, with the
//! first six frames, and OUT.avi, with all of them. `--window` shows the video, too.

mod draw;
// The small font that the heat maps of `hetmm` have.
#[allow(dead_code)]
#[path = "../../../../src/heatmap/letters.rs"]
mod letters;

use gst::prelude::*;
use gst_app::AppSink;
use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo};
use image::RgbImage;
use std::error::Error;
use std::path::PathBuf;

/// The columns of a frame, and the rows below it for the words.
const WIDTH: u32 = 480;
const BAR: u32 = 84;
/// The frames side by side and above each other in the PNG file.
const SHEET: (u32, u32) = (3, 2);

type Anything<T> = Result<T, Box<dyn Error>>;

fn main() -> Anything<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let window = arguments.iter().position(|a| a == "--window").map(|at| arguments.remove(at));
    let [template, pattern, out] = arguments.as_slice() else {
        return Err("usage: outline TEMPLATE PATTERN OUT [--window]".into());
    };
    gst::init()?;
    gsthetmm::plugin_register_static()?;
    let pipeline = pipeline(template, pattern, out, window.is_some())?;
    let drawn = pipeline.by_name("drawn").ok_or("no place to draw")?;
    let pad = drawn.static_pad("src").ok_or("no pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        if let (Some(buffer), Some(caps)) = (info.buffer_mut(), pad.current_caps())
            && let Err(error) = draw_over(buffer.make_mut(), &caps)
        {
            eprintln!("nothing is drawn: {error}");
        }
        gst::PadProbeReturn::Ok
    });
    let frames = pipeline.by_name("frames").and_downcast::<AppSink>().ok_or("no sink")?;
    pipeline.set_state(gst::State::Playing)?;
    let sheet = sheet(&frames);
    let ended = wait(&pipeline);
    pipeline.set_state(gst::State::Null)?;
    ended?;
    let png = PathBuf::from(format!("{out}.png"));
    sheet?.save(&png)?;
    println!("{}: the first frames\n{out}.avi: all frames", png.display());
    Ok(())
}

fn pipeline(template: &str, pattern: &str, out: &str, window: bool) -> Anything<gst::Pipeline> {
    let window = if window { "t. ! queue ! videoconvert ! autovideosink" } else { "" };
    let line = format!(
        "multifilesrc name=source caps=image/png,framerate=2/1 ! pngdec ! \
         hetmm name=hetmm attach-map=true on-error=reject ! videoconvert ! videoscale ! \
         video/x-raw,format=RGB,width={WIDTH},pixel-aspect-ratio=1/1 ! videobox bottom=-{BAR} ! \
         identity name=drawn ! tee name=t \
         t. ! queue ! videoconvert ! jpegenc quality=92 ! avimux ! filesink name=video \
         t. ! queue ! appsink name=frames sync=false {window}"
    );
    let pipeline = gst::parse::launch(&line)?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let video = format!("{out}.avi");
    for (name, property, value) in [
        ("source", "location", pattern),
        ("hetmm", "template", template),
        ("video", "location", &video),
    ] {
        pipeline.by_name(name).ok_or("no element")?.set_property(property, value);
    }
    Ok(pipeline)
}

/// Draws the result in the frame's meta over its pixels.
fn draw_over(buffer: &mut gst::BufferRef, caps: &gst::CapsRef) -> Anything<()> {
    let found = draw::Found::of(buffer)?;
    let info = VideoInfo::from_caps(caps)?;
    let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, &info)?;
    let mut picture = picture(&frame)?;
    found.draw(&mut picture, frame.height() - BAR);
    let (row, stride) = (3 * frame.width() as usize, frame.plane_stride()[0] as usize);
    let pixels = frame.plane_data_mut(0)?;
    for (to, from) in pixels.chunks_mut(stride).zip(picture.chunks(row)) {
        to[..row].copy_from_slice(from);
    }
    Ok(())
}

fn picture<T>(frame: &VideoFrameRef<T>) -> Anything<RgbImage>
where
    VideoFrameRef<T>: VideoFrameExt,
{
    let (width, height) = (frame.width(), frame.height());
    let (row, stride) = (3 * width as usize, frame.plane_stride()[0] as usize);
    let rows = frame.plane_data(0)?.chunks(stride).flat_map(|line| line[..row].to_vec());
    RgbImage::from_raw(width, height, rows.collect()).ok_or_else(|| "too few pixels".into())
}

/// Puts the first frames side by side, and takes the others until the end.
fn sheet(frames: &AppSink) -> Anything<RgbImage> {
    let (columns, rows) = SHEET;
    let (mut sheet, mut number) = (RgbImage::new(0, 0), 0);
    while let Ok(sample) = frames.pull_sample() {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else { continue };
        if number == columns * rows {
            continue;
        }
        let info = VideoInfo::from_caps(caps)?;
        let picture = picture(&VideoFrameRef::from_buffer_ref_readable(buffer, &info)?)?;
        let (width, height) = picture.dimensions();
        if number == 0 {
            sheet = RgbImage::new(width * columns, height * rows);
        }
        let place = (number % columns * width, number / columns * height);
        image::imageops::replace(&mut sheet, &picture, place.0.into(), place.1.into());
        number += 1;
    }
    match number {
        0 => Err("no frame came out".into()),
        _ => Ok(sheet),
    }
}

/// Waits for the end. Prints one line for each inspection.
fn wait(pipeline: &gst::Pipeline) -> Anything<()> {
    let bus = pipeline.bus().ok_or("no bus")?;
    for message in bus.iter_timed(None) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(told) => return Err(told.error().to_string().into()),
            gst::MessageView::Element(told) => {
                let structure = told.structure().filter(|s| s.name() == gsthetmm::INSPECTION);
                if let Some(found) = structure {
                    let (verdict, score) =
                        (found.get::<&str>("verdict")?, found.get::<f32>("score")?);
                    println!("frame {:3}  {verdict:6}  {score:.3}", found.get::<u64>("frame")?);
                }
            }
            _ => {}
        }
    }
    Ok(())
}
