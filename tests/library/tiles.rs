//! Tests that a template gives the same scores whether its network runs on tiles or on the whole picture.

use crate::common::{Bench, assert_code, hetmm, text};
use ::image::{Rgb, RgbImage, imageops};
use hetmm::backbone::{ExtractorOptions, Request, open_by_tiles};
use hetmm::image;
use hetmm::inspection::Pipeline;
use hetmm::template::Template;
use std::path::Path;

const SIDE: u32 = 384;

fn picture(bench: &Bench, name: &str, number: u32) -> RgbImage {
    let part = ::image::open(bench.part(name, number)).expect("a picture").to_rgb8();
    imageops::resize(&part, SIDE, SIDE, imageops::FilterType::Triangle)
}

#[test]
fn a_defect_across_a_border_between_tiles_scores_as_on_the_whole() {
    let bench = Bench::new();
    for number in 0..5 {
        let name = format!("good/{number}.png");
        picture(&bench, &name, number).save(bench.path(&name)).expect("writes");
    }
    let template = bench.path("t.hetmm");
    // The values have 32 bits, because the 8-bit values of a query jump by a step if features differ by rounding.
    let options = ["--size", "384", "--sheets", "3", "--threshold", "2", "--storage", "f32"];
    let options = [&options[..], &["--device", "tract"]].concat();
    let good = bench.path("good");
    let build = [&["build", text(&good), "-o", text(&template)], &options[..]].concat();
    assert_code(&hetmm(&build), 0, "");

    let whole = Pipeline::open(&template, None, &ExtractorOptions::default()).expect("opens");
    let id = whole.backbone().identity().clone();
    let request = Request {
        model: None,
        taps: vec![id.taps.iter().map(|tap| tap.name.clone()).collect()],
        height: id.height as usize,
        width: id.width as usize,
        made_by: None,
    };
    let model =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/efficientnet_lite0.onnx"));
    // Tiles of 128 to 176 pixels overlap by 48. Defects in steps of 44 pixels lie across every border.
    let tiled = open_by_tiles(&model.expect("reads"), &request, 128).expect("can be cut");
    assert_eq!(*tiled.identity(), id);
    let tiled = Pipeline::new(Template::map(&template).expect("opens"), tiled).expect("joins");
    assert!(tiled.check_probes().expect("computes").iter().all(|probe| probe.agrees));

    let clean = picture(&bench, "clean.png", 9);
    for (x, y) in (0..8).flat_map(|i| [(44 * i, 44 * i), (44 * i, 150), (222, 44 * i)]) {
        let mut bad = clean.clone();
        for (dx, dy) in (0..30 * 30).map(|i| (i % 30, i / 30)) {
            if x + dx < SIDE && y + dy < SIDE {
                bad.put_pixel(x + dx, y + dy, Rgb([250, (dx * 8) as u8, (dy * 8) as u8]));
            }
        }
        let path = bench.path("bad.png");
        bad.save(&path).expect("writes");
        let picture = image::read(&path).expect("reads");
        let scored = [&whole, &tiled].map(|pipeline| {
            pipeline
                .run(&pipeline.prepare(&picture.view().expect("fits")).expect("fits"))
                .expect("runs")
        });
        let largest = scored[0].score.abs().max(1.0);
        let off = scored[0].blurred.iter().zip(&scored[1].blurred).map(|(a, b)| (a - b).abs());
        let most = off.fold(0.0, f32::max);
        assert!(most <= 5e-4 * largest, "defect at {x}, {y}: maps differ by {most}");
        assert!((scored[0].score - scored[1].score).abs() <= 2e-4 * largest, "at {x}, {y}");
    }
}
