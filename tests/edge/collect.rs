//! Tests `hetmm-edge collect`: pictures as the line sees them, and nothing else.

use super::{CONFIG, Desk, good, stderr};
use image::{DynamicImage, ImageBuffer, Rgb};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

/// Collects with so many lines on standard input.
fn collect(desk: &Desk, count: &str, lines: usize) -> Output {
    let mut child = desk
        .command()
        .args(["collect", count])
        .arg(desk.path("good"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("is open");
    let written = input.write_all("\n".repeat(lines).as_bytes());
    drop(input);
    let out = child.wait_with_output().expect("ends");
    assert!(written.is_ok() || !out.status.success());
    out
}

fn saved(desk: &Desk) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(desk.path("good")).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("reads").path()).collect();
    files.sort();
    files
}

#[test]
fn each_line_takes_a_picture_and_no_file_is_replaced() {
    let desk = Desk::new(CONFIG);
    let out = collect(&desk, "3", 3);
    assert!(out.status.success() && out.stdout.is_empty(), "{}", stderr(&out));
    assert!(stderr(&out).contains("3 of 3: ") && stderr(&out).contains("next: hetmm build"));
    let files = saved(&desk);
    assert_eq!(files.len(), 3);
    for (file, original) in files.iter().zip(good()) {
        let [ours, theirs] = [file, original].map(|path| image::open(path).expect("opens"));
        assert_eq!(ours.to_rgb8(), theirs.to_rgb8(), "{}", file.display());
    }
    let before: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).expect("reads")).collect();
    // The input ends before there are enough.
    let out = collect(&desk, "9", 2);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    assert!(stderr(&out).contains("2 pictures are in"), "{}", stderr(&out));
    assert_eq!(saved(&desk).len(), 5);
    let after = files.iter().map(|f| std::fs::read(f).expect("reads"));
    assert!(after.eq(before), "earlier files stay");
    // No output and no record was touched.
    assert!(!desk.path("edges.jsonl").exists() && !desk.path("parts.jsonl").exists());
}

#[test]
fn sixteen_bits_stay_sixteen_bits_in_free_run() {
    let config = CONFIG
        .replace("source = \"software\"", "source = \"free-run\"")
        .replace("folder = \"pictures\"", "folder = \"pictures\"\nframes_per_second = 50");
    let desk = Desk::new(&config);
    std::fs::remove_dir_all(desk.path("pictures")).expect("removes");
    std::fs::create_dir(desk.path("pictures")).expect("makes");
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> =
        ImageBuffer::from_fn(40, 30, |x, y| Rgb([x as u16 * 1601, y as u16 * 2003, 65_535]));
    deep.save(desk.path("pictures/deep.png")).expect("saves");
    let out = collect(&desk, "2", 0);
    assert!(out.status.success(), "{}", stderr(&out));
    for file in saved(&desk) {
        let DynamicImage::ImageRgb16(found) = image::open(file).expect("opens") else {
            panic!("16 bits")
        };
        assert_eq!(found, deep);
    }
}

#[test]
fn nothing_is_collected_while_the_device_runs() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    let out = collect(&desk, "1", 1);
    assert_eq!(out.status.code(), Some(5));
    assert!(stderr(&out).contains("another hetmm-edge is running"), "{}", stderr(&out));
    assert!(!desk.path("good").exists());
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert_eq!(desk.stop(), 0);
    for count in ["0", "-1", "x", "1000001"] {
        assert_eq!(collect(&desk, count, 1).status.code(), Some(2), "{count}");
    }
}
