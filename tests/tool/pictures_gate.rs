//! Tests what people give as pictures, masks and folders: each is used as it is meant, or named and refused.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, Rgba};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Builds a template of good parts in `good`.
fn template(bench: &Bench, more: &[&str]) -> PathBuf {
    let path = bench.path("part.hetmm");
    assert_code(&build(&bench.parts("good", 0..10), &path, more), 0, "");
    path
}

fn build(images: &Path, template: &Path, more: &[&str]) -> std::process::Output {
    let arguments = ["build", text(images), "-o", text(template), "--no-audit"];
    hetmm(&[&arguments[..], &SMALL, &TEMPLATE, more].concat())
}

fn save(path: &Path, image: impl Into<DynamicImage>) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    image.into().save(path).expect("writes");
}

fn resized(from: &Path, to: &Path, width: u32, height: u32) {
    let filter = image::imageops::FilterType::Triangle;
    save(to, image::open(from).expect("opens").resize_exact(width, height, filter));
}

#[test]
fn a_picture_of_another_shape_is_refused_and_one_of_another_size_is_scaled() {
    let bench = Bench::new();
    let template = template(&bench, &[]);
    let part = bench.part("new/part.png", 3);
    let (large, wide) = (bench.path("large.png"), bench.path("wide.png"));
    resized(&part, &large, 160, 120);
    resized(&part, &wide, 160, 90);
    let inspect = |file: &Path, more: &[&str]| {
        hetmm(&[&["inspect", text(&template), text(file)], more].concat())
    };
    let said = inspect(&large, &[]);
    assert_code(&said, 0, "160 x 120 in place of 80 x 60");
    assert!(!stderr(&inspect(&part, &[])).contains("another size"));
    let insert = ["insert", text(&template), text(&wide), "--force"];
    let images = ["calibrate", text(&template), "--false-reject", "50%", "--images", text(&wide)];
    for refused in [inspect(&wide, &[]), hetmm(&insert), hetmm(&images)] {
        assert_code(&refused, 3, "160 x 90");
        assert_code(&refused, 3, "80 x 60");
        assert_code(&refused, 3, "wide.png");
    }
    assert_code(&said, 0, "but the same shape, and is scaled");
    let squeezed = inspect(&wide, &["--any-shape"]);
    assert_code(
        &squeezed,
        0,
        "has another shape than the pictures of the template and is squeezed",
    );
    assert!(!stderr(&squeezed).contains("scaled"), "{}", stderr(&squeezed));
    assert_code(&hetmm(&[&insert[..], &["--any-shape"]].concat()), 0, "");
}

#[test]
fn pictures_that_show_nothing_are_named_and_refused_where_none_shows_anything() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..10);
    save(&good.join("mask_007.png"), GrayImage::from_pixel(80, 60, Luma([255])));
    let out = build(&good, &bench.path("t.hetmm"), &[]);
    assert_code(
        &out,
        0,
        "1 of 11 pictures show nothing, because all pixels are alike: mask_007.png",
    );
    for i in 0..3 {
        save(&bench.path(&format!("white/{i}.png")), GrayImage::from_pixel(80, 60, Luma([254])));
    }
    let white = bench.path("white");
    let none = bench.path("none.hetmm");
    let out = build(&white, &none, &["--threshold", "1"]);
    assert_code(&out, 3, "none of the 3 pictures shows anything");
    assert!(!none.exists());
    let audit = hetmm(&[&["audit", text(&white)], &SMALL[..]].concat());
    assert_code(&audit, 3, "none of the 3 pictures shows anything");
    let features = bench.path("f.features");
    let computed =
        hetmm(&[&["features", text(&white), "-o", text(&features)], &SMALL[..]].concat());
    assert_code(&computed, 3, "none of the 3 pictures shows anything");
}

/// Makes a cut-out as from an editor, with noise where it is transparent.
fn cut_out(bench: &Bench, name: &str, number: u32) -> PathBuf {
    let path = bench.part(name, number);
    let image = image::open(&path).expect("opens").to_rgb8();
    let mut state = number + 1;
    let cut = ImageBuffer::from_fn(80, 60, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 24) as u8;
        let inside = (16..64).contains(&x) && (12..48).contains(&y);
        let Rgb([r, g, b]) = *image.get_pixel(x, y);
        if inside { Rgba([r, g, b, 255]) } else { Rgba([noise, noise / 2, 255 - noise, 0]) }
    });
    save(&path, cut);
    path
}

#[test]
fn transparent_pixels_are_black_and_may_be_left_out() {
    let bench = Bench::new();
    (0..10).for_each(|i| drop(cut_out(&bench, &format!("cut/{i:03}.png"), i)));
    let cut = bench.path("cut");
    let plain = bench.path("plain.hetmm");
    let out = build(&cut, &plain, &[]);
    assert_code(&out, 0, "10 of 10 pictures have transparent places");
    assert_code(&out, 0, "--mask-from-alpha");
    let new = cut_out(&bench, "new.png", 13);
    assert_code(
        &hetmm(&["inspect", text(&plain), text(&new)]),
        0,
        "1 picture has transparent places",
    );
    let masked = bench.path("masked.hetmm");
    assert_code(&build(&cut, &masked, &["--mask-from-alpha"]), 0, "");
    let info = |template: &Path| -> Value {
        serde_json::from_str(&stdout(&hetmm(&["info", text(template), "--json"]))).expect("JSON")
    };
    assert!(info(&plain)["mask"].is_null());
    let inside = info(&masked)["mask"].as_u64().expect("a mask");
    assert!(inside.abs_diff(64 * 64 * 48 * 36 / (80 * 60)) < 80, "{inside}");
    let opaque = build(&bench.parts("good", 0..10), &masked, &["--mask-from-alpha"]);
    assert_code(&opaque, 3, "no picture is transparent anywhere");
}

/// Covers a former fault: opacity was checked for black and white like a drawn mask, and such pictures were unreadable.
#[test]
fn pictures_that_are_half_transparent_everywhere_are_read() {
    let bench = Bench::new();
    for i in 0..8 {
        let path = bench.part(&format!("soft/{i:03}.png"), i);
        let image = image::open(&path).expect("opens").to_rgb8();
        let soft = ImageBuffer::from_fn(80, 60, |x, y| {
            let Rgb([r, g, b]) = *image.get_pixel(x, y);
            Rgba([r, g, b, 60 + 2 * x as u8])
        });
        save(&path, soft);
    }
    let (soft, template) = (bench.path("soft"), bench.path("t.hetmm"));
    assert_code(&build(&soft, &template, &[]), 0, "8 of 8 pictures have transparent places");
    assert_code(&build(&soft, &template, &["--mask-from-alpha"]), 0, "");
    let info: Value =
        serde_json::from_str(&stdout(&hetmm(&["info", text(&template), "--json"]))).expect("JSON");
    // The columns from 34 on are opaque by more than half.
    let inside = info["mask"].as_u64().expect("a mask");
    assert!(inside.abs_diff(64 * 64 * 46 / 80) < 130, "{inside}");
}

#[test]
fn what_is_left_out_of_a_folder_is_said_and_subfolders_are_an_option() {
    let bench = Bench::new();
    bench.parts("days/monday", 0..4);
    bench.parts("days/tuesday", 4..8);
    let days = bench.path("days");
    std::fs::write(days.join("extra.gif"), b"GIF89a").expect("writes");
    std::fs::write(days.join("Thumbs.db"), b"system").expect("writes");
    for system in [".ipynb_checkpoints", "@eaDir", "__MACOSX"] {
        bench.part(&format!("days/{system}/x.png"), 1);
    }
    let template = bench.path("t.hetmm");
    let out = build(&days, &template, &[]);
    assert_code(
        &out,
        3,
        "2 subfolders (monday, tuesday) and 1 file that is not a picture of a known kind (1 .gif)",
    );
    assert_code(&out, 3, "--recursive");
    bench.part("days/000.png", 9);
    bench.part("days/001.png", 10);
    let out = build(&days, &template, &[]);
    assert_code(&out, 0, "2 subfolders (monday, tuesday)");
    assert_code(&out, 0, "from 2 pictures");
    let out = build(&days, &template, &["--recursive"]);
    assert_code(&out, 0, "from 10 pictures");
    assert!(!stderr(&out).contains("subfolder"), "{}", stderr(&out));
    let out = hetmm(&["inspect", text(&template), text(&days), "--recursive", "--json"]);
    assert_eq!(stdout(&out).lines().count(), 10, "{}", stderr(&out));
}

/// Makes a small data set with masks of the blots.
fn dataset(bench: &Bench, name: &str) -> PathBuf {
    bench.parts(&format!("{name}/test/good"), 20..24);
    bench.blotted_parts(&format!("{name}/test/blot"), 30..34);
    for i in 30..34 {
        let mask = GrayImage::from_fn(80, 60, |x, y| Luma([if marked(x, y) { 255 } else { 0 }]));
        save(&bench.path(&format!("{name}/ground_truth/blot/{i:03}_mask.png")), mask);
    }
    bench.path(name)
}

/// Returns whether a pixel lies in the blot of `blotted_parts`.
fn marked(x: u32, y: u32) -> bool {
    (10..30).contains(&x) && (8..18).contains(&y)
}

/// Returns the figures of a data set.
fn figures(template: &Path, dataset: &Path, more: &[&str]) -> (Value, String) {
    let out = hetmm(&[&["eval", text(template), text(dataset), "--json", "-"], more].concat());
    assert_code(&out, 0, "");
    (serde_json::from_str(&stdout(&out)).expect("JSON"), stderr(&out))
}

#[test]
fn folders_of_good_pictures_by_other_names_are_asked_for_and_system_folders_passed_over() {
    let bench = Bench::new();
    let template = template(&bench, &[]);
    let set = dataset(&bench, "set");
    let (plain, _) = figures(&template, &set, &[]);
    assert_eq!((&plain["good"], &plain["images"]), (&Value::from(4), &Value::from(8)));
    for name in [".ipynb_checkpoints", "@eaDir", "__MACOSX"] {
        bench.part(&format!("set/test/{name}/x.png"), 1);
    }
    std::fs::create_dir(set.join("test/.empty")).expect("makes");
    std::fs::write(set.join("test/.DS_Store"), b"\0\0\0\x01Bud1").expect("writes");
    let (with_system, _) = figures(&template, &set, &[]);
    assert_eq!(with_system["images"], 8);
    let eval = |more: &[&str]| hetmm(&[&["eval", text(&template), text(&set)], more].concat());
    for name in ["ok", "OK", "Good", "normal"] {
        std::fs::rename(set.join("test/good"), set.join("test/renamed")).expect("renames");
        std::fs::rename(set.join("test/renamed"), set.join("test").join(name)).expect("renames");
        let out = eval(&[]);
        assert_code(&out, 3, &format!("no folder `good`, but {name} may hold the good pictures"));
        assert_code(&out, 3, &format!("--good {name}"));
        let (named, _) = figures(&template, &set, &["--good", name]);
        assert_eq!(named["image_auroc"], plain["image_auroc"], "{name}");
        std::fs::rename(set.join("test").join(name), set.join("test/good")).expect("renames");
    }
    bench.parts("set/test/ok", 40..42);
    assert_code(&eval(&[]), 3, "besides `good`, ok may also hold good pictures");
    let (both, _) = figures(&template, &set, &["--good", "good", "--good", "ok"]);
    assert_eq!(both["good"], 6);
    let (one, _) = figures(&template, &set, &["--good", "good"]);
    assert_eq!((&one["good"], &one["defective"]), (&Value::from(4), &Value::from(6)));
    assert_code(&eval(&["--good", "none"]), 3, "no folder none");
}

#[test]
fn masks_of_every_kind_give_the_same_figures() {
    let bench = Bench::new();
    let template = template(&bench, &[]);
    let set = dataset(&bench, "set");
    let masks = set.join("ground_truth/blot");
    let (plain, said) = figures(&template, &set, &[]);
    assert!(plain["pixel_auroc"].is_f64() && !said.contains("mask"), "{said}");
    let write = |draw: &dyn Fn(u32, u32) -> Rgba<u8>| {
        std::fs::remove_dir_all(&masks).expect("removes");
        for i in 30..34 {
            save(&masks.join(format!("{i:03}.png")), ImageBuffer::from_fn(80, 60, draw));
        }
    };
    let colour = |inside: [u8; 4], outside: [u8; 4]| {
        move |x, y| if marked(x, y) { Rgba(inside) } else { Rgba(outside) }
    };
    let (clear, black) = ([255, 255, 255, 0], [0, 0, 0, 255]);
    let same = |what: &str| {
        let (got, said) = figures(&template, &set, &[]);
        assert_eq!(got["pixel_auroc"], plain["pixel_auroc"], "{what}: {said}");
        assert_eq!(got["aupro30"], plain["aupro30"], "{what}");
    };
    write(&colour([0, 255, 0, 255], black));
    same("green");
    write(&colour([0, 0, 1, 255], black));
    same("0 and 1");
    write(&colour([255; 4], clear));
    same("alpha of white");
    write(&colour(black, [0; 4]));
    same("alpha of black");
    let palette = |inside: u8| {
        let mut png = crate::by_hand::Png::new(80, 60, 8, 3);
        png.palette = [vec![0, 0, 0, 1, 1, 1, 200, 30, 0], vec![9; 3]].concat();
        png.bytes_of(&|x, y| if marked(x, y) { inside } else { 0 })
    };
    for index in [1, 2] {
        write(&colour([255; 4], black));
        (30..34).for_each(|i| {
            std::fs::write(masks.join(format!("{i:03}.png")), palette(index)).expect("writes")
        });
        same(&format!("palette, colour {index}"));
    }
    // A picture has several masks, in a folder of its name.
    std::fs::remove_dir_all(&masks).expect("removes");
    for i in 30..34 {
        for (half, right) in [(0, false), (1, true)] {
            let mask = GrayImage::from_fn(80, 60, |x, y| {
                Luma([if marked(x, y) && (x >= 20) == right { 255 } else { 0 }])
            });
            save(&masks.join(format!("{i:03}/{half:03}.png")), mask);
        }
    }
    same("several in a folder");
    let input = masks.join("030/001.png");
    let over = hetmm(&["eval", text(&template), text(&set), "--json", text(&input), "--force"]);
    assert_code(&over, 2, "001.png: is both input and output");
    // These masks have twice the size.
    std::fs::remove_dir_all(&masks).expect("removes");
    for i in 30..34 {
        let mask =
            GrayImage::from_fn(160, 120, |x, y| Luma([if marked(x / 2, y / 2) { 9 } else { 0 }]));
        save(&masks.join(format!("{i:03}.png")), mask);
    }
    same("twice the size");
}

#[test]
fn masks_that_cannot_be_meant_are_named_and_make_no_figures() {
    let bench = Bench::new();
    let template = template(&bench, &[]);
    let set = dataset(&bench, "set");
    let masks = set.join("ground_truth/blot");
    std::fs::remove_file(masks.join("031_mask.png")).expect("removes");
    let (_, said) = figures(&template, &set, &[]);
    assert!(
        said.contains("1 of 4 pictures of defects has no mask") && said.contains("031.png"),
        "{said}"
    );
    let inverted = || GrayImage::from_fn(80, 60, |x, y| Luma([if marked(x, y) { 0 } else { 255 }]));
    save(&masks.join("030_mask.png"), inverted());
    let (one, said) = figures(&template, &set, &[]);
    assert!(
        said.contains("1 of 3 masks marks more than half") && one["pixel_auroc"].is_f64(),
        "{said}"
    );
    for i in [32, 33] {
        save(&masks.join(format!("{i:03}_mask.png")), inverted());
    }
    let (all, said) = figures(&template, &set, &[]);
    assert!(said.contains("They look inverted") && all["pixel_auroc"].is_null(), "{said}");
    assert!(all["image_auroc"].is_f64());
    save(&masks.join("033_mask.png"), GrayImage::from_pixel(80, 30, Luma([255])));
    let out = hetmm(&["eval", text(&template), text(&set)]);
    assert_code(&out, 3, "033_mask.png: the mask has 80 x 30 pixels, but its picture has 80 x 60");
    std::fs::remove_dir_all(set.join("ground_truth")).expect("removes");
    let (none, said) = figures(&template, &set, &[]);
    assert!(said.contains("4 of 4 pictures of defects have no mask"), "{said}");
    assert!(none["aupro30"].is_null());
}

#[test]
fn floats_that_are_no_brightness_are_refused_with_what_is_understood() {
    let bench = Bench::new();
    for i in 0..3 {
        let part = image::open(bench.part(&format!("good/{i}.png"), i)).expect("opens");
        let floats = part.to_rgb32f();
        let values: Vec<f32> = floats.as_raw().iter().map(|v| v * 255.0).collect();
        let wrong = ImageBuffer::<Rgb<f32>, _>::from_raw(80, 60, values).expect("fits");
        save(&bench.path(&format!("wrong/{i}.tif")), wrong);
        save(&bench.path(&format!("right/{i}.tif")), floats);
    }
    let out = build(&bench.path("wrong"), &bench.path("t.hetmm"), &[]);
    assert_code(&out, 3, "0 is understood as black, 1 as white");
    assert_code(&out, 3, "3 of 3 pictures cannot be used");
    assert_code(&build(&bench.path("right"), &bench.path("t.hetmm"), &[]), 0, "");
}

/// Covers a former fault: a 12-bit camera's values in 16-bit files were used at 6 % brightness, without a message.
#[test]
fn twelve_bits_in_sixteen_are_noticed_and_the_template_remembers_them() {
    let bench = Bench::new();
    let twelve = |name: &str, number: u32| {
        let part = image::open(bench.part("drawn.png", number)).expect("opens").to_rgb8();
        let dark: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_fn(80, 60, |x, y| {
            part.get_pixel(x, y).0.map(u16::from).map(|v| v * 16).into()
        });
        let path = bench.path(name);
        save(&path, dark);
        path
    };
    (0..10).for_each(|i| drop(twelve(&format!("dark/{i:03}.tif"), i)));
    let (dark, template) = (bench.path("dark"), bench.path("t.hetmm"));
    let out = build(&dark, &template, &[]);
    assert_code(&out, 0, "seems to give only 12 bits in 16");
    assert_code(&out, 0, "--bits 12");
    let out = build(&dark, &template, &["--bits", "12"]);
    assert_code(&out, 0, "");
    assert!(!stderr(&out).contains("seems to give"), "{}", stderr(&out));
    assert_code(&build(&dark, &template, &["--bits", "10"]), 3, "10 bits hold no more than 1023");
    assert_code(&build(&dark, &template, &["--bits", "3"]), 2, "from 8 to 16");
    assert!(stdout(&hetmm(&["info", text(&template)])).contains("12 bits in 16"));
    assert_code(&hetmm(&["check", text(&template)]), 0, "");
    let score = |template: &Path, picture: &Path| -> f64 {
        let out = hetmm(&["inspect", text(template), text(picture), "--json"]);
        assert_code(&out, 0, "");
        let line: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
        line["score"].as_f64().expect("a score")
    };
    // The same parts with 8 bits give nearly the same template and nearly the same scores. Their samples differ by up to
    // one step of 8 bits.
    let eight = self::template(&bench, &[]);
    let (new, same) = (twelve("new.tif", 17), bench.part("new.png", 17));
    let (by_twelve, by_eight) = (score(&template, &new), score(&eight, &same));
    assert!((by_twelve - by_eight).abs() < 0.15 * by_eight, "{by_twelve} {by_eight}");
    assert_code(&hetmm(&["insert", text(&template), text(&new), "--force"]), 0, "");
    assert!(
        stdout(&hetmm(&["info", text(&template)])).contains("12 bits in 16"),
        "after an insertion"
    );
    let bright = bench.path("bright.tif");
    save(&bright, ImageBuffer::from_pixel(80, 60, Rgb([5000u16, 100, 100])));
    assert_code(
        &hetmm(&["inspect", text(&template), text(&bright)]),
        3,
        "12 bits hold no more than 4095",
    );
}
