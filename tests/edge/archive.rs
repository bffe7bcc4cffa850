//! Tests the archive of the real program.

use super::*;

#[test]
fn every_second_passed_part_leaves_a_picture_that_is_the_one_that_was_inspected() {
    let desk = Desk::new(&CONFIG.replace("[archive]\n", "[archive]\npassed_every = 2\n"));
    let parts: Vec<_> =
        (0..5).map(|i| (i * 400_000, Some(good()[i as usize].as_path()), 0)).collect();
    desk.replay(&parts);
    assert_eq!(desk.outcomes(), ["passed"; 5]);
    let entries = std::fs::read_dir(desk.path("archive")).expect("an archive");
    let names = entries.map(|e| e.expect("reads").file_name().into_string().expect("text"));
    let mut names: Vec<String> = names.collect();
    names.sort();
    let expected = ["000000000-part2-passed", "000000001-part4-passed"];
    let expected = expected.iter().flat_map(|stem| [".json", ".png"].map(|e| format!("{stem}{e}")));
    assert_eq!(names, expected.collect::<Vec<String>>());
    let kept = image::open(desk.path("archive/000000001-part4-passed.png")).expect("opens");
    assert_eq!(kept.to_rgb8(), image::open(&good()[3]).expect("opens").to_rgb8());
}
