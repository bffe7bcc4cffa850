//! Holds what tests that run the programs from outside share.
#![allow(dead_code)]

pub mod browser;

use image::{ImageBuffer, Rgb, RgbImage};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The options that make small, quick features.
pub const SMALL: [&str; 4] = ["--size", "64", "--layers", "block1.exp,block4.exp"];
/// The further options that a template of these features needs.
pub const TEMPLATE: [&str; 4] = ["--patches", "3,3", "--sheets", "6"];

/// Holds a folder with pictures of parts.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Bench { folder: TempDir::new().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Draws a part: a disc on a gradient, with noise of its own, a little different every time.
    pub fn part(&self, name: &str, number: u32) -> PathBuf {
        let (dx, dy, light) = (number % 3, number / 3 % 5, number * 7 % 11);
        let mut state = number;
        let image: RgbImage = ImageBuffer::from_fn(80, 60, |x, y| {
            let disc =
                (x as i32 - 38 - dx as i32).pow(2) + (y as i32 - 29 - dy as i32).pow(2) < 200;
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grey = if disc { 200 } else { 60 + x } + light + (state >> 28);
            Rgb([grey as u8, (grey - 5) as u8, (grey + number * 13 % 5) as u8])
        });
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        image.save(&path).expect("writes");
        path
    }

    /// Draws the parts `numbers` in one folder.
    pub fn parts(&self, folder: &str, numbers: std::ops::Range<u32>) -> PathBuf {
        numbers.for_each(|i| drop(self.part(&format!("{folder}/{i:03}.png"), i)));
        self.path(folder)
    }

    /// Draws parts with a coloured blot.
    pub fn blotted_parts(&self, folder: &str, numbers: std::ops::Range<u32>) -> PathBuf {
        for path in numbers.map(|i| self.part(&format!("{folder}/{i:03}.png"), i)) {
            let mut image = image::open(&path).expect("a picture").to_rgb8();
            for (x, y) in (0..200).map(|i| (10 + i % 20, 8 + i / 20)) {
                image.put_pixel(x, y, Rgb([255, 0, (x * 20) as u8]));
            }
            image.save(&path).expect("writes");
        }
        self.path(folder)
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

pub fn hetmm(arguments: &[&str]) -> Output {
    command(arguments).output().expect("runs")
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hetmm"));
    command.args(arguments);
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn assert_code(output: &Output, code: i32, message: &str) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(code), "stderr: {stderr}");
    assert!(stderr.contains(message), "wanted {message:?} in: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}
