//! Tests the pages of the product with a real browser's keyboard. Tab reaches everything that can be used, and pictures
//! open and close. Keys go through the browser's debugging pipe.
#![cfg(unix)]

use crate::common::browser::Page;
use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, text};
use std::path::{Path, PathBuf};

/// Opens a page of the tool. Returns `None` if there is no Chromium.
fn open(path: &Path) -> Option<Page> {
    Page::open(&format!("file://{}", text(path)), 1000, 800)
}

/// Makes a data set of small parts, some with a blot, and a template of them.
fn dataset(bench: &Bench) -> PathBuf {
    bench.parts("set/train/good", 0..24);
    bench.parts("set/test/good", 30..54);
    bench.blotted_parts("set/test/blot", 60..64);
    let (good, template) = (bench.path("set/train/good"), bench.path("part.hetmm"));
    let build = ["build", text(&good), "-o", text(&template)];
    assert_code(&hetmm(&[&build[..], &SMALL, &TEMPLATE].concat()), 0, "");
    template
}

#[test]
fn tab_reaches_everything_on_every_page_and_shows_where_it_is() {
    let bench = Bench::new();
    let template = dataset(&bench);
    let [set, train, fresh, bad] =
        ["set", "set/train/good", "set/test/good", "set/test/blot"].map(|name| bench.path(name));
    let images = ["--images", text(&fresh), "--defects", text(&bad), "--false-reject", "10%"];
    let commands = [
        vec!["eval", text(&template), text(&set)],
        [&["calibrate", text(&template)], &images[..]].concat(),
        [&["audit", text(&train)], &SMALL[..]].concat(),
        [&["ablate", text(&set), "--studies", "alpha,sheets"], &SMALL[..]].concat(),
    ];
    for command in commands {
        let page = bench.path(&format!("{}.html", command[0]));
        assert_code(&hetmm(&[&command[..], &["--report", text(&page)]].concat()), 0, "");
        let Some(mut page) = open(&page) else { return };
        page.walk(command[0], "body");
    }
}

#[test]
fn pictures_open_and_close_by_keyboard() {
    let bench = Bench::new();
    let (template, page) = (dataset(&bench), bench.path("page.html"));
    let set = bench.path("set");
    let eval = ["eval", text(&template), text(&set), "--report", text(&page)];
    assert_code(&hetmm(&eval), 0, "");
    let Some(mut page) = open(&page) else { return };

    page.press("Tab");
    assert!(page.is("document.activeElement.matches('.skip')"), "first comes the skip link");
    page.press("Enter");
    assert_eq!(page.value("location.hash"), "#content");

    page.tab_until("document.activeElement.matches('.open')");
    let id = page.value("document.activeElement.closest('figure').id");
    let figure = format!("document.getElementById({id})");
    let is_open = format!("getComputedStyle({figure}).position === 'fixed'");
    assert!(!page.is(&is_open));
    page.press("Enter");
    assert!(page.is(&is_open), "Enter opens the picture in full");

    // What lies behind the open picture is out of reach.
    page.tab_until("document.activeElement.matches('.outlines')");
    assert!(page.is(&format!("{figure}.contains(document.activeElement)")));
    let are_seen = format!(
        "[...{figure}.querySelectorAll('.outline')].some(e => e.checkVisibility({{visibilityProperty: true}}))"
    );
    let before = page.is(&are_seen);
    page.press(" ");
    assert!(before && !page.is(&are_seen), "Space takes the outlines away");
    for _ in 0..20 {
        page.press("Tab");
        let outside = format!(
            "document.activeElement === document.body || {figure}.contains(document.activeElement)
                ? '' : document.activeElement.outerHTML.slice(0, 300)"
        );
        assert_eq!(page.value(&outside), "", "Tab leaves the open picture");
    }

    // Go on to the next picture, and back to its place in the list.
    page.tab_until("document.activeElement.textContent === 'Next'");
    page.press("Enter");
    assert!(!page.is(&is_open), "one picture at a time");
    page.tab_until("document.activeElement.matches('.close')");
    let next = page.value("document.activeElement.closest('figure').id");
    assert_ne!(next, id);
    page.press("Enter");
    assert_eq!(page.value("document.querySelectorAll('.shot:target').length"), 0);
    page.press("Tab");
    assert_eq!(
        page.value("document.activeElement.closest('figure').id"),
        next,
        "the reader's place"
    );
}
