//! Tests the page in a real browser: set-up, log-in and alarm without a mouse, what each role sees, whether it can be read
//! and pressed, and what becomes of it when a program ends. With `HETMM_SCREENSHOTS=FOLDER`, pictures of all views stay there.

use crate::browser::{Page, chromium};
use crate::desk::Desk;
use crate::web::{PASSWORD, WEB, set_up, user};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::time::Duration;

/// The sizes of the window for which the page is made, in pixels.
const SIZES: [(u32, u32); 2] = [(1024, 600), (1920, 1080)];
/// The drift watch, without which its view asks for what the device refuses.
const DRIFT: &str = "[drift]\nwatch = true\nfile = \"drift.json\"\n";
const VIEWS: [&str; 6] = ["line", "rejects", "template", "drift", "io", "users"];
/// Reads contrast, targets and widths from the page.
const AUDIT: &str = include_str!("audit.js");

fn open(desk: &Desk) -> Page {
    let (width, height) = SIZES[0];
    Page::open(&address(desk), width, height).expect("there is a browser")
}

fn address(desk: &Desk) -> String {
    format!("http://127.0.0.1:{}/", desk.web)
}

/// Types name and password where the page has put the focus, and waits for the frame of the page.
fn log_in(page: &mut Page, name: &str) {
    page.wait("document.activeElement.name === 'user'");
    page.type_text(name);
    page.press("Tab");
    page.type_text(PASSWORD);
    page.press("Enter");
    page.wait("document.getElementById('content') !== null");
}

fn log_out(page: &mut Page) {
    page.value("document.querySelector('.rail-end').lastElementChild.click()");
    page.value("document.querySelector('dialog > .buttons').lastElementChild.click()");
    page.wait("document.querySelector('[name=user]') !== null");
}

/// Goes to a view and waits until it shows what it asks the device for.
fn go(page: &mut Page, view: &str) {
    page.value(&format!("location.hash = {view:?}"));
    let shown = match view {
        "rejects" => "document.querySelector('.detail .facts') !== null",
        "template" => "document.querySelector('.template-grid .digest') !== null",
        "drift" => "document.querySelector('.drift-head') !== null",
        "io" => "document.querySelector('.lines tbody th') !== null",
        "users" => "document.querySelector('.users-grid tbody th') !== null",
        _ => "document.querySelector('.chart .threshold') !== null",
    };
    page.wait(&format!("document.querySelector('main').classList.contains({view:?}) && {shown}"));
}

/// Returns the texts of what a selector selects.
fn texts(page: &mut Page, selector: &str) -> Value {
    page.value(&format!(
        "[...document.querySelectorAll({selector:?})].map(e => e.textContent.trim())"
    ))
}

/// Checks that nothing but the device was asked, and that the console is empty. The browser itself notes answers that are no
/// success: those to addresses that contain one of `refused`, and pictures that a newer one has replaced.
fn assert_quiet(page: &Page, desk: &Desk, refused: &[&str]) {
    let url = |event: &Value| event["request"]["url"].as_str().unwrap_or_default().to_owned();
    let asked: Vec<String> =
        page.events("Network.requestWillBeSent").into_iter().map(url).collect();
    assert!(asked.len() > 10, "the requests of the page are known: {asked:?}");
    let strange = asked.iter().find(|url| !url.starts_with(&address(desk)));
    assert_eq!(strange, None, "a request leaves the device");
    for kind in ["Runtime.exceptionThrown", "Runtime.consoleAPICalled"] {
        assert_eq!(page.events(kind), Vec::<&Value>::new(), "{kind}");
    }
    let pictures = ["/api/preview.jpg", "/api/rejects/"];
    for event in page.events("Log.entryAdded") {
        let entry = &event["entry"];
        let url = entry["url"].as_str().unwrap_or_default();
        let is_refused = entry["source"] == "network"
            && pictures.iter().chain(refused).any(|part| url.contains(part));
        let is_advice = entry["level"] == "verbose" || entry["level"] == "info";
        assert!(is_refused || is_advice, "the console shows {entry}");
    }
}

#[test]
fn the_first_engineer_sets_up_and_acknowledges_without_a_mouse() {
    if chromium().is_none() {
        return;
    }
    let mut desk = Desk::new(WEB);
    desk.change("alarm_after = 0", "alarm_after = 1");
    desk.change("frames_per_second = 4.0", "frames_per_second = 1.0");
    desk.start();
    let mut page = open(&desk);
    page.wait("document.activeElement.name === 'code'");
    page.type_text("AAAA-AAAA-AAAA-AAAA");
    for text in ["erika", PASSWORD, PASSWORD] {
        page.press("Tab");
        page.type_text(text);
    }
    page.press("Enter");
    page.wait("document.activeElement.matches('.refusal')");
    let printed = desk.run("hetmm-plant", &["setup"]).stdout;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    // Tab selects what stands in the field, so typing replaces it.
    page.tab_until("document.activeElement.name === 'code'");
    page.type_text(printed.lines().next().expect("a code"));
    page.press("Enter");
    page.wait("document.querySelector('.line-grid') !== null");
    assert_eq!(texts(&mut page, "nav a").as_array().map(Vec::len), Some(VIEWS.len()));

    let button = "[...document.querySelectorAll('.state button')]
        .find(e => e.textContent.trim() === 'Acknowledge alarm')";
    page.wait(&format!("Boolean({button})"));
    page.tab_until("document.activeElement.textContent.trim() === 'Acknowledge alarm'");
    page.press("Enter");
    page.wait("document.querySelector('.toast')?.textContent === 'The alarm is acknowledged.'");
    desk.wait("the end of the alarm", |desk| {
        desk.status().is_some_and(|status| {
            status["faults"].as_array().is_some_and(|faults| !faults.contains(&json!("alarm")))
        })
    });
    assert_quiet(&page, &desk, &["/api/setup"]);
}

#[test]
fn each_role_sees_what_it_may_use() {
    if chromium().is_none() {
        return;
    }
    let mut desk = Desk::new(WEB);
    desk.start();
    let engineer = set_up(&desk);
    user(&desk, &engineer, "otto", "operator");
    user(&desk, &engineer, "oda", "observer");
    let mut page = open(&desk);
    let all = ["Line", "Rejects", "Template", "Drift", "I/O", "Users"];
    let rows = [("oda", 4, false, 0), ("otto", 4, true, 1), ("erika", 6, true, 2)];
    for (name, views, is_operator, panels_of_engineers) in rows {
        log_in(&mut page, name);
        go(&mut page, "line");
        assert_eq!(texts(&mut page, "nav a"), json!(all[..views]), "{name}");
        let buttons = if is_operator { json!(["Safe state"]) } else { json!([]) };
        page.wait("document.querySelector('.state[data-state=ready]') !== null");
        page.wait(&format!(
            "document.querySelectorAll('.state button').length === {}",
            usize::from(is_operator)
        ));
        assert_eq!(texts(&mut page, ".state button"), buttons, "{name}");
        go(&mut page, "rejects");
        page.wait("document.querySelector('.detail .shot.shown') !== null");
        let teach = if is_operator { json!(["This was good"]) } else { json!([]) };
        assert_eq!(texts(&mut page, ".detail .head button"), teach, "{name}");
        let records = page.value("document.querySelectorAll('a[href=\"/api/day.csv\"]').length");
        assert_eq!(records, json!(usize::from(is_operator)), "{name}");
        go(&mut page, "template");
        let change = texts(&mut page, ".template-grid h2");
        let is_there = change.as_array().is_some_and(|titles| titles.len() == 2);
        assert_eq!(is_there, panels_of_engineers == 2, "{name}: {change}");
        // An address that is typed leads no further than the rail.
        page.value("location.hash = 'users'");
        page.wait(&format!(
            "document.querySelector('nav [aria-current]').dataset.view === {:?}",
            if panels_of_engineers == 2 { "users" } else { "line" }
        ));
        log_out(&mut page);
    }
    assert_quiet(&page, &desk, &[]);
}

#[test]
fn tab_reaches_everything_in_every_view_and_dialog() {
    if chromium().is_none() {
        return;
    }
    let mut desk = Desk::new(&format!("{WEB}{DRIFT}"));
    desk.start();
    set_up(&desk);
    let mut page = open(&desk);
    page.wait("document.activeElement.name === 'user'");
    page.walk("log-in", "body");
    page.value("document.querySelector('[name=user]').focus()");
    log_in(&mut page, "erika");
    page.press("Tab");
    assert!(page.is("document.activeElement.matches('.skip')"), "first comes the skip link");
    for view in VIEWS {
        go(&mut page, view);
        page.value("document.activeElement.blur()");
        page.walk(view, "body");
    }
    let dialogs = [
        ("line", "document.activeElement.textContent.trim() === 'Safe state'"),
        ("rejects", "document.activeElement.textContent.trim() === 'This was good'"),
        ("template", "document.activeElement.matches('.rail-end > :last-child')"),
    ];
    for (view, opener) in dialogs {
        go(&mut page, view);
        page.tab_until(opener);
        page.press("Enter");
        page.wait("document.querySelector('dialog')?.contains(document.activeElement) === true");
        page.walk(view, "dialog");
        page.press("Escape");
        page.wait("document.querySelector('dialog') === null");
        assert!(page.is(opener), "{view}: the focus goes back to the button");
    }
    // The list of rejects is one stop of Tab. Arrow keys choose in it.
    go(&mut page, "rejects");
    page.wait("document.querySelectorAll('.reject-list li').length >= 2");
    page.tab_until("document.activeElement.matches('[role=option]')");
    let chosen = "document.querySelector('[aria-selected=true]')?.dataset.key";
    let before = page.value(chosen);
    page.press("ArrowDown");
    assert_ne!(page.value(chosen), before);
    assert!(page.is("document.activeElement.matches('[aria-selected=true]')"));
    assert_quiet(&page, &desk, &[]);
}

/// Runs the audit and demands that it finds nothing.
fn audit(page: &mut Page, what: &str) {
    page.value(AUDIT);
    // What appears just now cannot be read yet.
    page.value("document.getAnimations().forEach(animation => animation.finish())");
    let targets = "smallTargets(44)";
    for check in ["lowContrast()", targets, "tooWide()", "faintRings()", "untranslated()"] {
        assert_eq!(page.value(&format!("audit.{check}")), json!([]), "{what}: {check}");
    }
}

/// Keeps a picture of the window, if somebody wants to look at it.
fn keep(page: &mut Page, name: &str) {
    let Some(folder) = std::env::var_os("HETMM_SCREENSHOTS") else { return };
    let picture = BASE64_STANDARD.decode(page.screenshot()).expect("a picture");
    let file = std::path::Path::new(&folder).join(format!("{name}.png"));
    std::fs::write(file, picture).expect("writes");
}

/// Sets what the user prefers: the brightness of the page, and whether things move.
fn prefer(page: &mut Page, scheme: &str, motion: &str) {
    let features = json!([
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": motion},
    ]);
    page.call("Emulation.setEmulatedMedia", json!({"features": features}));
}

#[test]
fn everything_can_be_read_and_pressed_at_every_size_in_both_languages() {
    if chromium().is_none() {
        return;
    }
    let mut desk = Desk::new(&format!("{WEB}{DRIFT}"));
    desk.start();
    let engineer = set_up(&desk);
    user(&desk, &engineer, "otto", "operator");
    let mut page = open(&desk);
    page.wait("document.activeElement.name === 'user'");
    audit(&mut page, "log-in");
    log_in(&mut page, "erika");
    for language in ["en", "de"] {
        if page.value("document.documentElement.lang") != language {
            page.value("document.getElementById('language').click()");
        }
        assert_eq!(page.value("document.documentElement.lang"), language);
        for (view, (width, height)) in VIEWS.iter().flat_map(|v| SIZES.map(|size| (v, size))) {
            page.resize(width, height);
            go(&mut page, view);
            for scheme in ["light", "dark"] {
                prefer(&mut page, scheme, "no-preference");
                let what = format!("{view}-{language}-{width}-{scheme}");
                audit(&mut page, &what);
                assert_eq!(page.value("audit.tooTall()"), json!([]), "{what}");
                keep(&mut page, &what);
            }
        }
    }
    // At 200 %, a window has half as many pixels. The page may then be long, but no wider.
    for view in VIEWS {
        page.resize(SIZES[0].0 / 2, SIZES[0].1 / 2);
        go(&mut page, view);
        audit(&mut page, &format!("{view} at 200 %"));
    }
    page.resize(SIZES[0].0, SIZES[0].1);
    page.value("document.querySelector('.rail-end').lastElementChild.click()");
    page.value("document.querySelector('dialog details').open = true");
    audit(&mut page, "account");
    assert_quiet(&page, &desk, &[]);
}

#[test]
fn the_audit_finds_what_it_looks_for() {
    if chromium().is_none() {
        return;
    }
    let mut page = Page::open("about:blank#", 800, 600).expect("there is a browser");
    page.value(
        "document.body.innerHTML = `<p style='color: #777; background: #fff; width: 900px'>grey</p>
            <button style='width: 20px; height: 50px; outline: none'>x</button>
            <p style='height: 700px'>some_text_1</p>`",
    );
    page.press("Tab");
    assert_eq!(page.value(AUDIT), 6);
    for (check, wanted) in [
        ("lowContrast()", "4.48 of 4.5"),
        ("smallTargets(24)", "20 x 50"),
        ("tooWide()", "too wide"),
        ("tooTall()", "pixels high"),
        ("faintRings()", "none"),
        ("untranslated()", "some_text_1"),
    ] {
        let found = page.value(&format!("audit.{check}")).to_string();
        assert!(found.contains(wanted), "{check} finds {found}");
    }
}

#[test]
fn the_page_goes_on_after_a_restart_of_either_program() {
    if chromium().is_none() {
        return;
    }
    let mut desk = Desk::new(&format!("{WEB}anonymous_observer = true\n"));
    desk.start();
    set_up(&desk);
    let mut page = open(&desk);
    let part = "document.querySelector('.last .name')?.textContent";
    let lives = format!("document.querySelector('.state').dataset.state !== 'off' && {part} !== ");
    let is_off = "document.querySelector('.state').dataset.state === 'off'";
    page.wait("document.querySelector('.state') !== null");
    page.wait(&format!("{lives}''"));
    Desk::kill(&mut desk.plant);
    page.wait(is_off);
    let last = page.value(part);
    desk.start_plant();
    page.wait(&format!("{lives}{last}"));
    Desk::kill(&mut desk.edge);
    page.wait(is_off);
    assert!(page.is("document.querySelector('.sentence').textContent.includes('program')"));
    desk.start_edge();
    page.wait(&format!("{lives}{last} && {part} !== ''"));
    // The new process knows no session of the old one. The page says so and asks for the password.
    page.value("document.querySelector('.rail-end').lastElementChild.click()");
    log_in(&mut page, "erika");
    Desk::kill(&mut desk.plant);
    desk.start_plant();
    page.wait("document.querySelector('.note')?.textContent.includes('Your session is over')");
    log_in(&mut page, "erika");
    page.wait(&format!("{lives}''"));
    // Whatever was asked for while a program was away has failed.
    assert_quiet(&page, &desk, &["/"]);
}

/// Notes when the page shows its first part, in milliseconds since it was asked for.
const READY: &str = "new MutationObserver((_, observer) => {
    if (!document.querySelector('.last .name')?.textContent) return;
    window.ready = performance.now();
    observer.disconnect();
}).observe(document, {subtree: true, childList: true, characterData: true})";

#[test]
fn the_page_shows_a_part_after_each_load() {
    if chromium().is_none() {
        return;
    }
    let mut desk = Desk::new(&format!("{WEB}anonymous_observer = true\n"));
    desk.start();
    set_up(&desk);
    let mut page = open(&desk);
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": READY}));
    let mut times = vec![];
    for _ in 0..10 {
        // More loads than one a second would be refused: an address may make 20 requests a second.
        std::thread::sleep(Duration::from_secs(1));
        page.go(&address(&desk));
        page.wait("window.ready !== undefined");
        times.push(page.value("window.ready").as_f64().expect("a time"));
    }
    times.sort_by(f64::total_cmp);
    // A loaded machine is slower than a device. So the times are shown and not demanded.
    eprintln!(
        "the page shows a part after {:.0} ms (median), {:.0} ms at most",
        times[5], times[9]
    );
    assert_quiet(&page, &desk, &[]);
}

#[test]
fn nothing_moves_for_those_who_want_no_motion() {
    if chromium().is_none() {
        return;
    }
    let mut desk = Desk::new(WEB);
    desk.start();
    set_up(&desk);
    let mut page = open(&desk);
    log_in(&mut page, "erika");
    page.wait("document.querySelector('.state button') !== null");
    let open = "(() => {
        document.querySelector('.state button').click();
        const count = document.getAnimations().length;
        document.querySelector('dialog').close();
        return count;
    })()";
    prefer(&mut page, "light", "no-preference");
    assert_eq!(page.value(open), 1, "a dialog rises");
    prefer(&mut page, "light", "reduce");
    assert_eq!(page.value(open), 0, "a dialog is there at once");
}
