//! Runs `hetmm audit` from outside on drawn parts, and checks what a build does with its findings.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use image::{GenericImageView, Rgb, RgbImage, imageops};
use serde_json::Value;
use std::path::Path;

/// The pictures that do not belong, and the reasons that may be given for them.
const PLANTED: [(&str, &[&str]); 9] = [
    ("other-1.png", &["different", "unlike", "shape", "bright", "dark", "blurred"]),
    ("other-2.png", &["different", "unlike", "bright", "dark", "blurred"]),
    ("other-3.png", &["different", "unlike", "bright", "dark", "blurred"]),
    ("spot.png", &["unlike", "different"]),
    ("soft.png", &["blurred", "different", "unlike"]),
    ("dim.png", &["dark", "different", "unlike"]),
    ("cut.png", &["shape", "unlike", "different"]),
    ("copy.png", &["duplicate"]),
    ("twin.png", &["duplicate"]),
];

/// Makes forty good parts and the planted ones.
fn spoiled(bench: &Bench) -> std::path::PathBuf {
    let folder = bench.parts("good", 0..40);
    let open = |number: u32| {
        image::open(folder.join(format!("{number:03}.png"))).expect("reads").into_rgb8()
    };
    let save = |name: &str, picture: &RgbImage| picture.save(folder.join(name)).expect("writes");
    let fresh = |number: u32| {
        let path = bench.part("fresh/one.png", number);
        image::open(path).expect("reads").into_rgb8()
    };
    // These are three pictures of another product, alike except for noise of their own.
    for i in 1..4u32 {
        let mut state = i;
        let picture = RgbImage::from_fn(80, 60, |x, y| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bar = (x / 7 + y / 11) % 2 == 0;
            Rgb([(if bar { 210 } else { 90 } + (state >> 28)) as u8; 3])
        });
        save(&format!("other-{i}.png"), &picture);
    }
    let mut spot = fresh(51);
    for (x, y) in (8..18).flat_map(|x| (40..50).map(move |y| (x, y))) {
        spot.put_pixel(x, y, Rgb([240, 240, 240]));
    }
    save("spot.png", &spot);
    save("soft.png", &imageops::blur(&fresh(52), 2.0));
    let mut dim = fresh(53);
    dim.pixels_mut().for_each(|p| p.0 = p.0.map(|v| v / 4));
    save("dim.png", &dim);
    save("cut.png", &fresh(54).view(0, 0, 60, 60).to_image());
    std::fs::copy(folder.join("007.png"), folder.join("copy.png")).expect("copies");
    // This is the same part again, with noise of the camera.
    let mut twin = open(11);
    let mut state = 7u32;
    twin.pixels_mut().for_each(|p| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        p.0 = p.0.map(|v| v.saturating_add((state >> 31) as u8));
    });
    save("twin.png", &twin);
    folder
}

fn audit(images: &Path, more: &[&str]) -> Vec<Value> {
    let out = hetmm(&[&["audit", text(images), "--json"], &SMALL[..], more].concat());
    assert_code(&out, 0, "");
    stdout(&out).lines().map(|l| serde_json::from_str(l).expect("one object a line")).collect()
}

fn name(finding: &Value) -> String {
    let path = finding["image"].as_str().expect("a path");
    Path::new(path).file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn what_does_not_belong_stands_at_the_top_with_its_reason() {
    let bench = Bench::new();
    let folder = spoiled(&bench);
    let findings = audit(&folder, &[]);
    assert_eq!(findings.len(), 40 + PLANTED.len());
    let suspects: Vec<&Value> = findings.iter().filter(|f| f["suspect"] == true).collect();
    for (planted, reasons) in PLANTED {
        let found = suspects.iter().find(|f| name(f) == planted);
        let found = found.unwrap_or_else(|| panic!("{planted} is no suspect: {findings:#?}"));
        let kind = found["reasons"][0]["kind"].as_str().expect("a kind");
        assert!(reasons.contains(&kind), "{found:#}");
    }
    assert_eq!(suspects.len(), PLANTED.len(), "{suspects:#?}");
    let suspicion = |f: &Value| f["suspicion"].as_f64().expect("a number");
    assert!(findings.windows(2).all(|pair| suspicion(&pair[0]) >= suspicion(&pair[1])));
    assert!(findings.iter().zip(1..).all(|(f, rank)| f["rank"] == rank));
    let words = |planted: &str| {
        let found = findings.iter().find(|f| name(f) == planted).expect(planted);
        found["reasons"].to_string()
    };
    assert!(words("copy.png").contains("the same picture as 007.png"));
    assert!(words("twin.png").contains("nearly the same picture as 011.png"));
    assert!(
        words("cut.png")
            .contains("60 x 60 pixels: another shape than nearly all others, which have 80 x 60")
    );
    let [x, y] = [0, 1].map(|axis| {
        let found = findings.iter().find(|f| name(f) == "spot.png").expect("spot");
        found["signals"]["place"][axis].as_f64().expect("a place")
    });
    assert!((x - 13.0 / 80.0).abs() < 0.1 && (y - 45.0 / 60.0).abs() < 0.1, "{x}, {y}");

    // Features give the same result, except for the names of the folder, which they do not have.
    let features = bench.path("good.features");
    assert_code(
        &hetmm(&[&["features", text(&folder), "-o", text(&features)], &SMALL[..]].concat()),
        0,
        "",
    );
    let again = hetmm(&["audit", text(&features), "--json"]);
    assert_code(&again, 0, "9 of 49 pictures are suspects");
    let again: Vec<Value> =
        stdout(&again).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    for (a, b) in findings.iter().zip(&again) {
        assert_eq!((name(a), &a["suspicion"]), (name(b), &b["suspicion"]));
    }
}

#[test]
fn clean_folders_have_no_suspects_and_few_pictures_no_verdict() {
    let bench = Bench::new();
    let folder = bench.parts("good", 0..40);
    let findings = audit(&folder, &[]);
    assert!(findings.iter().all(|f| f["suspect"] == false), "{:#?}", &findings[..3]);
    let few = bench.parts("few", 0..9);
    let out = hetmm(&[&["audit", text(&few)], &SMALL[..]].concat());
    assert_code(&out, 3, "9 pictures cannot show what is usual: an audit needs at least 10");
    assert_code(&hetmm(&["audit", text(&bench.path("none"))]), 3, "no such file");
    let out = hetmm(&[&["audit", text(&folder)], &SMALL[..]].concat());
    assert_code(&out, 0, "0 of 40 pictures are suspects");
    assert_eq!(stdout(&out).lines().count(), 26);
}

#[test]
fn a_part_that_lies_the_other_way_round_has_company_in_mirrored_pictures() {
    let bench = Bench::new();
    let folder = bench.parts("good", 0..40);
    let one = image::open(bench.part("fresh/one.png", 51)).expect("reads").into_rgb8();
    imageops::flip_horizontal(&one).save(folder.join("turned.png")).expect("writes");
    let unlike = |more: &[&str]| {
        let findings = audit(&folder, more);
        let of = |f: &&Value| name(f) == "turned.png";
        findings.iter().find(of).expect("it is there")["signals"]["unlike"]
            .as_f64()
            .expect("a number")
    };
    let (thorough, quick) = (unlike(&[]), unlike(&["--quick"]));
    assert!(quick > 3.0 && thorough < quick / 3.0, "{thorough} {quick}");
}

#[test]
fn a_build_warns_of_suspects_and_leaves_them_out_where_it_is_told_to() {
    let bench = Bench::new();
    let folder = spoiled(&bench);
    let (plain, dropped) = (bench.path("plain.hetmm"), bench.path("dropped.hetmm"));
    let build = |to: &Path, more: &[&str]| {
        let arguments = ["build", text(&folder), "-o", text(to)];
        hetmm(&[&arguments[..], &SMALL[..], &TEMPLATE[..], more].concat())
    };
    let out = build(&plain, &["--keep-suspects"]);
    assert_code(&out, 0, "7 pictures look unlike the rest (`hetmm audit` shows them");
    assert!(stderr(&out).contains("and 4 more"), "{}", stderr(&out));
    assert_code(&out, 0, "these pictures show the same exposure as another one");
    assert_code(&build(&dropped, &[]), 3, "the folder contains two different things");
    let out = build(&dropped, &["--drop-suspects"]);
    assert_code(&out, 0, "9 pictures look unlike the rest and were left out");
    let info = |template: &Path| -> Value {
        let out = hetmm(&["info", text(template), "--json"]);
        assert_code(&out, 0, "");
        serde_json::from_str(&stdout(&out)).expect("JSON")
    };
    let (all, kept) = (info(&plain).to_string(), info(&dropped).to_string());
    for (planted, _) in PLANTED {
        assert!(stderr(&out).contains(&format!("  {planted}: ")), "{planted}");
        assert!(all.contains(planted));
        // It is named once: among the options, as left out.
        assert_eq!(kept.matches(planted).count(), 1, "{planted}");
    }
    assert!(kept.contains("left-out") && !all.contains("left-out"));
    assert!(kept.contains("007.png") && kept.contains("011.png"), "one of each two stays");
    assert_code(&hetmm(&["check", text(&dropped)]), 0, "");

    // The audit itself changes nothing.
    let unaudited = bench.path("unaudited.hetmm");
    let out = build(&unaudited, &["--no-audit"]);
    assert!(!stderr(&out).contains("unlike the rest"));
    assert_eq!(std::fs::read(&plain).expect("reads"), std::fs::read(&unaudited).expect("reads"));
    assert_code(&build(&unaudited, &["--no-audit", "--drop-suspects"]), 2, "--no-audit");
    assert_code(&build(&unaudited, &["--no-audit", "--keep-suspects"]), 2, "--no-audit");
}

#[test]
fn the_page_shows_all_suspects_and_the_rest_of_the_ranking_in_words() {
    let bench = Bench::new();
    let folder = spoiled(&bench);
    let page = bench.path("audit.html");
    let more = ["--report", text(&page), "--top", "12"];
    let out = hetmm(&[&["audit", text(&folder)], &SMALL[..], &more[..]].concat());
    assert_code(&out, 0, "9 of 49 pictures are suspects");
    let page = std::fs::read_to_string(&page).expect("reads");
    for figure in ["<data id=\"audited\" value=\"49\">", "<data id=\"suspects\" value=\"9\">"] {
        assert!(page.contains(figure), "{figure}");
    }
    assert_eq!(page.matches("<figure class=\"shot\"").count(), 12);
    assert_eq!(page.matches("<img ").count(), 2 * 12);
    assert_eq!(page.matches("<path class=\"score\"").count(), 49);
    for (planted, _) in PLANTED {
        assert!(page.contains(&format!("<span class=\"name\">{planted}</span>")), "{planted}");
    }
}

#[test]
fn pictures_of_one_name_in_two_folders_are_told_apart() {
    let bench = Bench::new();
    let (a, b) = (bench.parts("a", 0..20), bench.parts("b", 0..1));
    let out = hetmm(&[&["audit", text(&a), text(&b), "--json"], &SMALL[..]].concat());
    assert_code(&out, 0, "");
    let words = format!("the same picture as {}", a.join("000.png").display());
    assert!(stdout(&out).contains(&words), "{words}: {}", stdout(&out));
}
