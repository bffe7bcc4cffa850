//! Takes a few frames from a V4L2 camera and prints what came. It shows whether a camera and its driver work with
//! `hetmm-edge`, and with which settings.
//!
//! `cargo run --release --example camera_probe -- --device /dev/video0 --width 640 --height 480`

use clap::Parser;
use hetmm::camera::{
    Align, BayerMode, Camera, CameraError, Frame, PixelFormat, RawSettings, V4l2Camera,
    V4l2Settings,
};
use hetmm::clock::LineTime;
use hetmm::image::{Picture, Samples};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Take frames from a V4L2 camera and print when they were exposed and their mean colour.
#[derive(Parser)]
struct Arguments {
    /// Device file
    #[arg(long, default_value = "/dev/video0")]
    device: PathBuf,
    /// Columns
    #[arg(long, default_value_t = 640)]
    width: u32,
    /// Rows
    #[arg(long, default_value_t = 480)]
    height: u32,
    /// Frames per second [default: the device's]
    #[arg(long)]
    rate: Option<f64>,
    /// Pixel format, by the name that V4L2 gives
    #[arg(long, default_value = "YUYV")]
    format: PixelFormat,
    /// Where samples of 10 and 12 bits lie in their 16: high in place of low
    #[arg(long)]
    align_high: bool,
    /// Fill in the missing colours of a Bayer sensor, in place of making one pixel of 2 x 2
    #[arg(long)]
    bilinear: bool,
    /// Buffers of the driver
    #[arg(long, default_value_t = 4)]
    buffers: u32,
    /// Fixed exposure
    #[arg(long, value_name = "MICROSECONDS")]
    exposure: Option<u32>,
    /// Fixed gain
    #[arg(long)]
    gain: Option<i32>,
    /// Let the sensor drive the light for so long
    #[arg(long, value_name = "MICROSECONDS")]
    sensor_strobe: Option<u32>,
    /// Any other control, may be given several times
    #[arg(long, value_name = "NAME=NUMBER", value_parser = control)]
    control: Vec<(String, i64)>,
    /// How many frames to take
    #[arg(long, default_value_t = 5)]
    frames: u32,
    /// How long to wait for each
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5000)]
    patience: u64,
    /// How long to drop frames before each, as a production line does between its parts
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pause: u64,
    /// Write every frame there as a PNG, named by its number
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    /// Compare every frame with this picture, pixel by pixel, and end with code 1 if they differ by more than
    /// --tolerance. The frame's size may be half of it
    #[arg(long, value_name = "PICTURE")]
    like: Option<PathBuf>,
    /// The largest difference of a colour, in levels of 8 bits
    #[arg(long, value_name = "LEVELS", default_value_t = 4.0)]
    tolerance: f64,
    /// Only set the controls, also while another program uses the camera
    #[arg(long)]
    only_set: bool,
}

fn control(text: &str) -> Result<(String, i64), String> {
    let (name, number) = text.split_once('=').ok_or("not NAME=NUMBER")?;
    Ok((name.to_owned(), number.parse().map_err(|e| format!("{number}: {e}"))?))
}

fn main() -> ExitCode {
    env_logger::init();
    let arguments = Arguments::parse();
    let settings = V4l2Settings {
        device: arguments.device,
        width: arguments.width,
        height: arguments.height,
        frames_per_second: arguments.rate,
        format: arguments.format,
        raw: RawSettings {
            align: if arguments.align_high { Align::High } else { Align::Low },
            bayer: if arguments.bilinear { BayerMode::Bilinear } else { BayerMode::Half },
            ..RawSettings::default()
        },
        sensor_strobe_us: arguments.sensor_strobe,
        needs_exposure_start: false,
        buffers: arguments.buffers,
        exposure_us: arguments.exposure,
        gain: arguments.gain,
        controls: arguments.control.into_iter().collect(),
    };
    let opened = if arguments.only_set {
        V4l2Camera::set_controls(&settings).map(|()| None)
    } else {
        V4l2Camera::open(&settings).map(Some)
    };
    let mut camera = match opened {
        Ok(Some(camera)) => camera,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => return failed(&error),
    };
    println!("{}", camera.describe());
    for _ in 0..arguments.frames {
        let paused = drain(&mut camera, Duration::from_millis(arguments.pause));
        let (now, start) = (LineTime::now(), Instant::now());
        let give_up = now + Duration::from_millis(arguments.patience);
        match paused.and_then(|()| camera.frame_after(now, give_up)) {
            Ok(frame) => {
                println!("{}, waited {} ms", text(&frame), start.elapsed().as_millis());
                if let Some(Err(error)) = arguments.save.as_deref().map(|f| save(&frame, f)) {
                    return failed(&error);
                }
                if let Some(path) = &arguments.like {
                    match difference(&frame.picture, path) {
                        Ok((mean, largest)) => {
                            println!(
                                "differs by {mean:.2} levels in the mean, {largest:.2} at most"
                            );
                            if largest > arguments.tolerance {
                                return ExitCode::FAILURE;
                            }
                        }
                        Err(error) => return failed(&error),
                    }
                }
            }
            Err(error @ CameraError::Gone(_)) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
            Err(error) => println!("{error}, waited {} ms", start.elapsed().as_millis()),
        }
    }
    ExitCode::SUCCESS
}

fn failed(error: &hetmm::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(error.kind().exit_code())
}

fn save(frame: &Frame, folder: &Path) -> hetmm::Result<()> {
    let path = folder.join(format!("{:06}.png", frame.sequence));
    hetmm::files::write_whole(&path, &hetmm::heatmap::picture_png(&frame.picture)?)
}

/// Returns the mean and the largest difference between a frame and the picture of a file, in levels of 8 bits. Each pixel
/// of the frame is compared with the pixel of the picture at its upper left corner.
fn difference(frame: &Picture, path: &Path) -> hetmm::Result<(f64, f64)> {
    let other = hetmm::image::read(path)?;
    let (got, want) = (levels(&frame.samples), levels(&other.samples));
    let (mut sum, mut largest) = (0.0, 0.0_f64);
    for (y, x) in (0..frame.height).flat_map(|y| (0..frame.width).map(move |x| (y, x))) {
        let (u, v) = (x * other.width / frame.width, y * other.height / frame.height);
        let (at, other_at) = ((y * frame.width + x) as usize, (v * other.width + u) as usize);
        for colour in 0..3 {
            let pair = (got.get(at * 3 + colour), want.get(other_at * 3 + colour));
            let difference = match pair {
                (Some(a), Some(b)) => (a - b).abs(),
                _ => f64::INFINITY,
            };
            sum += difference;
            largest = largest.max(difference);
        }
    }
    Ok((sum / got.len() as f64, largest))
}

fn levels(samples: &Samples) -> Vec<f64> {
    match samples {
        Samples::Eight(samples) => samples.iter().map(|&s| f64::from(s)).collect(),
        Samples::Sixteen(samples) => samples.iter().map(|&s| f64::from(s) / 257.0).collect(),
    }
}

fn drain(camera: &mut impl Camera, pause: Duration) -> Result<(), CameraError> {
    let start = Instant::now();
    while start.elapsed() < pause {
        camera.drain()?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Describes a frame. Age is the time since the exposure began, or since a moment that is certainly not later.
fn text(frame: &Frame) -> String {
    let age = LineTime::now().since(frame.exposed_at);
    let [red, green, blue] = mean(&frame.picture.samples);
    format!(
        "frame {}: {} x {}, age {} ms, mean {red:.1} {green:.1} {blue:.1}",
        frame.sequence,
        frame.picture.width,
        frame.picture.height,
        age.as_millis(),
    )
}

fn mean(samples: &Samples) -> [f64; 3] {
    match samples {
        Samples::Eight(samples) => mean_of(samples.iter().map(|&s| f64::from(s))),
        Samples::Sixteen(samples) => mean_of(samples.iter().map(|&s| f64::from(s) / 257.0)),
    }
}

fn mean_of(samples: impl ExactSizeIterator<Item = f64>) -> [f64; 3] {
    let pixels = (samples.len() / 3).max(1) as f64;
    let mut sums = [0.0; 3];
    samples.enumerate().for_each(|(at, sample)| {
        if let Some(sum) = sums.get_mut(at % 3) {
            *sum += sample;
        }
    });
    sums.map(|sum| sum / pixels)
}
