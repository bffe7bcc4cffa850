//! Tests the pages of the product with a real browser's keyboard. Tab reaches everything that can be used, and pictures
//! open and close. Keys go through the browser's debugging pipe.
#![cfg(unix)]

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, chromium, hetmm, text};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use tempfile::TempDir;

/// The longest time of a visit, even on a busy machine. Then the browser is stopped, and its pipe ends.
const PATIENCE: Duration = Duration::from_secs(240);
/// The largest number of Tab presses that a small page needs.
const MOST_TABS: usize = 1000;

/// Holds a page in a browser, with the focus.
struct Page {
    browser: Child,
    to: File,
    from: BufReader<File>,
    session: Option<Value>,
    calls: u64,
    /// The browser is watched until this is dropped. Afterwards its process number may belong to another program.
    watched: Option<Sender<()>>,
    _profile: TempDir,
}

impl Page {
    /// Opens a page. Returns `None` if there is no Chromium.
    fn open(path: &Path) -> Option<Self> {
        let program = chromium()?;
        let profile = TempDir::new().expect("a temporary folder");
        let [to, from] = ["to", "from"].map(|name| profile.path().join(name));
        let made = Command::new("mkfifo").args([&to, &from]).status().expect("runs");
        assert!(made.success());
        // The browser reads requests from descriptor 3 and answers on 4.
        let browser = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<\"$TO\" 4>\"$FROM\"", "sh", text(&program)])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--remote-debugging-pipe", "--window-size=1000,800"])
            .arg(format!("--user-data-dir={}", text(&profile.path().join("profile"))))
            .envs([("TO", &to), ("FROM", &from)])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let id = browser.id().to_string();
        let (watched, end) = mpsc::channel();
        std::thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-9", &id]).status();
            }
        });
        let to = File::options().write(true).open(to).expect("opens");
        let from = BufReader::new(File::open(from).expect("opens"));
        let mut page = Page {
            browser,
            to,
            from,
            session: None,
            calls: 0,
            watched: Some(watched),
            _profile: profile,
        };
        let address = format!("file://{}", text(path));
        let target = page.call("Target.createTarget", json!({"url": address}))["targetId"].clone();
        let attach = json!({"targetId": target, "flatten": true});
        page.session = Some(page.call("Target.attachToTarget", attach)["sessionId"].clone());
        page.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        while !page.is("location.protocol === 'file:' && document.readyState === 'complete'") {
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(page)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut request = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            request["sessionId"] = session.clone();
        }
        self.to.write_all(format!("{request}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut answer = Vec::new();
            self.from.read_until(0, &mut answer).expect("reads");
            assert_eq!(answer.pop(), Some(0), "the browser ended before it answered {method}");
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == self.calls {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return answer["result"].clone();
            }
        }
    }

    /// Returns the value of an expression of the page.
    fn value(&mut self, expression: &str) -> Value {
        let result =
            self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].clone()
    }

    fn is(&mut self, expression: &str) -> bool {
        self.value(expression) == true
    }

    fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            " " => ("Space", 32, " "),
            "Enter" => ("Enter", 13, "\r"),
            "Tab" => ("Tab", 9, ""),
            _ => panic!("an unknown key {key}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number});
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses Tab until an expression holds.
    fn tab_until(&mut self, expression: &str) {
        for _ in 0..MOST_TABS {
            self.press("Tab");
            if self.is(expression) {
                return;
            }
        }
        panic!("Tab does not come to {expression}");
    }

    /// Presses Tab once around the page. Then everything that can be used and is shown has been reached, and each
    /// element showed that it was.
    fn walk(&mut self, name: &str) {
        self.value("window.reached = new Set(); window.hidden = []");
        for step in 0.. {
            assert!(step < MOST_TABS, "{name}: Tab never comes around");
            self.press("Tab");
            let step = self.value(
                "(() => {
                    const at = document.activeElement;
                    if (at === document.body || reached.has(at)) return false;
                    reached.add(at);
                    const style = getComputedStyle(at), box = at.getBoundingClientRect();
                    const is_seen = box.width > 0 && box.right > 0 && box.bottom > 0
                        && box.top < innerHeight && box.left < innerWidth;
                    if (style.outlineStyle === 'none' || !is_seen) hidden.push(at.outerHTML.slice(0, 200));
                    return true;
                })()",
            );
            if step == false {
                break;
            }
        }
        let count = self.value("reached.size").as_u64().expect("a count");
        assert!(count >= 3, "{name}: only {count} places");
        assert_eq!(self.value("hidden"), json!([]), "{name}: the focus cannot be seen");
        let missed = "[...document.querySelectorAll('a[href], summary, input, button, select')]
            .filter(e => e.checkVisibility({visibilityProperty: true}) && !reached.has(e))
            .map(e => e.outerHTML.slice(0, 200))";
        assert_eq!(self.value(missed), json!([]), "{name}: Tab does not come here");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.watched = None;
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
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
        let Some(mut page) = Page::open(&page) else { return };
        page.walk(command[0]);
    }
}

#[test]
fn pictures_open_and_close_by_keyboard() {
    let bench = Bench::new();
    let (template, page) = (dataset(&bench), bench.path("page.html"));
    let set = bench.path("set");
    let eval = ["eval", text(&template), text(&set), "--report", text(&page)];
    assert_code(&hetmm(&eval), 0, "");
    let Some(mut page) = Page::open(&page) else { return };

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
