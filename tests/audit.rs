//! `hetmm audit` and `build --drop-suspects` from outside: wrong pictures among good ones.
#![cfg(feature = "desktop")]

mod common;

use common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use serde_json::Value;
use std::path::Path;

/// Forty good parts and one of every kind of wrong picture, the names of which begin with `wrong`.
fn planted() -> Bench {
    let bench = Bench::new();
    let good = bench.parts("parts", 0..40);
    let change = |name: &str, change: &dyn Fn(&image::RgbImage) -> image::RgbImage| {
        let image = image::open(good.join("007.png")).expect("a picture").to_rgb8();
        change(&image).save(good.join(name)).expect("writes");
    };
    change("wrong-blurred.png", &|image| image::imageops::blur(image, 3.0));
    change("wrong-dark.png", &|image| image::imageops::brighten(image, -55));
    change("wrong-blot.png", &|image| {
        let mut image = image.clone();
        for (x, y) in (0..400).map(|i| (8 + i % 20, 8 + i / 20)) {
            image.put_pixel(x, y, image::Rgb([255, 0, (x * 20) as u8]));
        }
        image
    });
    change("wrong-product.png", &|_| {
        image::RgbImage::from_fn(80, 60, |x, y| {
            let stripe = (x / 6 + y / 9) % 2 == 0;
            image::Rgb(if stripe { [240, 220, 40] } else { [20, 60, 160] })
        })
    });
    bench
}

fn audit(folder: &Path, options: &[&str]) -> std::process::Output {
    hetmm(&[&["audit", text(folder)], &SMALL[..], options].concat())
}

fn ranking(output: &std::process::Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn wrong_pictures_come_first_and_can_be_left_out() {
    let bench = planted();
    let folder = bench.path("parts");
    let output = audit(&folder, &["--json"]);
    assert_code(&output, 0, "pictures are suspects");
    let ranking = ranking(&output);
    assert_eq!(ranking.len(), 44);
    let is_wrong = |r: &Value| r["image"].as_str().is_some_and(|name| name.contains("wrong-"));
    let first = ranking.iter().take(6).filter(|r| is_wrong(r)).count();
    assert_eq!(first, 4, "{:#?}", &ranking[..6]);
    assert!(ranking.windows(2).all(|two| {
        let suspicion = |r: &Value| r["suspicion"].as_f64().expect("a number");
        suspicion(&two[0]) >= suspicion(&two[1])
    }));
    let suspects = ranking.iter().filter(|r| r["suspect"] == true).count();
    assert!(suspects >= 3, "{suspects}");

    let template = bench.path("t.hetmm");
    let build = [&["build", text(&folder), "-o", text(&template)], &SMALL[..], &TEMPLATE].concat();
    let output = hetmm(&build);
    assert_code(&output, 0, "pictures look unlike the rest");
    let pictures = || -> usize {
        let info = hetmm(&["info", text(&template), "--json"]);
        let info: Value = serde_json::from_str(&stdout(&info)).expect("JSON");
        info["build"]["images"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(pictures(), 44);
    let output = hetmm(&[&build[..], &["--drop-suspects"]].concat());
    assert_code(&output, 0, "were left out");
    assert_eq!(pictures(), 44 - suspects);
    let output = hetmm(&[&build[..], &["--no-audit"]].concat());
    assert!(!stderr(&output).contains("unlike"), "{}", stderr(&output));
}

#[test]
fn a_clean_folder_has_hardly_any_suspects_and_a_tiny_one_is_refused() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..40);
    let suspects =
        ranking(&audit(&good, &["--json"])).iter().filter(|r| r["suspect"] == true).count();
    assert!(suspects <= 1, "{suspects}");
    let few = bench.parts("few", 0..5);
    assert_code(&audit(&few, &[]), 3, "10");
    assert_code(&audit(&bench.path("none"), &[]), 3, "no such file");
}
