//! Drives a page in a real Chromium through the browser's debugging pipe: keys, values of expressions, and what the browser
//! says of requests and errors. The tests of the tool and those of `hetmm-plant` use it.
#![allow(dead_code)]

use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest time of a visit, even on a busy machine. Then the browser is stopped, and its pipe ends.
const VISIT: Duration = Duration::from_secs(1200);
/// The longest wait for anything on a page.
const PATIENCE: Duration = Duration::from_secs(60);
/// The events that are kept: requests, failures, messages on the console, and exceptions.
const KEPT: [&str; 4] = [
    "Network.requestWillBeSent",
    "Log.entryAdded",
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
];

/// The largest number of Tab presses that a page needs.
const MOST_TABS: usize = 1000;
/// Selects what can be used with a keyboard.
const USED: &str = "a[href], summary, input, button, select, [tabindex='0']";

/// Finds a Chromium of any name, and says so if there is none.
pub fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&folders).map(|f| f.join(name)).find(|p| p.is_file())
    });
    if found.is_none() {
        eprintln!("SKIPPED: none of {names:?} is installed; no page was opened");
    }
    found
}

/// Holds a page in a browser, with the focus.
pub struct Page {
    browser: Child,
    to: File,
    from: BufReader<File>,
    session: Option<Value>,
    calls: u64,
    events: Vec<Value>,
    /// The browser is watched until this is dropped. Afterwards its process number may belong to another program.
    watched: Option<Sender<()>>,
    _profile: TempDir,
}

impl Page {
    /// Opens an address in a window of `width` times `height` pixels. Returns `None` if there is no Chromium.
    pub fn open(address: &str, width: u32, height: u32) -> Option<Self> {
        let mut page = Self::start(&chromium()?);
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        page.session = Some(page.call("Target.attachToTarget", attach)["sessionId"].clone());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        page.resize(width, height);
        page.go(address);
        Some(page)
    }

    /// Starts a browser whose requests come from a pipe.
    fn start(program: &Path) -> Self {
        let profile = TempDir::new().expect("a temporary folder");
        let [to, from] = ["to", "from"].map(|name| profile.path().join(name));
        let made = Command::new("mkfifo").args([&to, &from]).status().expect("runs");
        assert!(made.success());
        let folder = profile.path().join("profile");
        // The browser reads requests from descriptor 3 and answers on 4.
        let browser = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<\"$TO\" 4>\"$FROM\"", "sh"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", folder.display()))
            .envs([("TO", &to), ("FROM", &from)])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let id = browser.id().to_string();
        let (watched, end) = mpsc::channel();
        std::thread::spawn(move || {
            if end.recv_timeout(VISIT) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-9", &id]).status();
            }
        });
        Page {
            browser,
            to: File::options().write(true).open(to).expect("opens"),
            from: BufReader::new(File::open(from).expect("opens")),
            session: None,
            calls: 0,
            events: vec![],
            watched: Some(watched),
            _profile: profile,
        }
    }

    /// Asks the browser for something, and returns its answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
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
            if KEPT.iter().any(|kept| answer["method"] == *kept) {
                self.events.push(answer);
            }
        }
    }

    /// Sets the size of the window, in pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Opens another address, and waits until it is loaded.
    pub fn go(&mut self, address: &str) {
        self.call("Page.navigate", json!({"url": address}));
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'");
    }

    /// Returns the value of an expression of the page. A promise is waited for.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", asked);
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].clone()
    }

    pub fn is(&mut self, expression: &str) -> bool {
        self.value(expression) == true
    }

    /// Waits until an expression holds.
    pub fn wait(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.is(expression) {
            if Instant::now() > end {
                let shown = self.value("document.body.innerText");
                panic!("it never came that {expression}; the page shows {shown}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses a key and lets it go.
    pub fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            " " => ("Space", 32, " "),
            "Enter" => ("Enter", 13, "\r"),
            "Tab" => ("Tab", 9, ""),
            "Escape" => ("Escape", 27, ""),
            "ArrowDown" => ("ArrowDown", 40, ""),
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

    /// Types a text where the focus is.
    pub fn type_text(&mut self, text: &str) {
        for letter in text.chars() {
            let letter = letter.to_string();
            let down = json!({"type": "keyDown", "key": letter, "text": letter});
            self.call("Input.dispatchKeyEvent", down);
            self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": letter}));
        }
    }

    /// Presses Tab until an expression holds.
    pub fn tab_until(&mut self, expression: &str) {
        for _ in 0..MOST_TABS {
            self.press("Tab");
            if self.is(expression) {
                return;
            }
        }
        panic!("Tab does not come to {expression}");
    }

    /// Presses Tab once around everything inside `within`, which is a selector. Then everything in it that can be used and is
    /// shown has been reached, and nothing else. Each element showed that it was.
    pub fn walk(&mut self, name: &str, within: &str) {
        // The focus may be anywhere. So the walk ends where it has been, and not where the browser begins anew.
        self.value("window.reached = new Set(); window.hidden = []; window.begun = 0");
        // What appears during the walk may lie behind it.
        self.value("window.present = new Set(document.querySelectorAll('*')); 0");
        for step in 0.. {
            assert!(step < MOST_TABS, "{name}: Tab never comes around");
            self.press("Tab");
            let is_new = "(() => {
                const at = document.activeElement;
                if (at === document.body) return ++begun < 3;
                if (reached.has(at)) return false;
                reached.add(at);
                const style = getComputedStyle(at), box = at.getBoundingClientRect();
                const is_seen = box.width > 0 && box.right > 0 && box.bottom > 0
                    && box.top < innerHeight && box.left < innerWidth;
                if (style.outlineStyle === 'none' || !is_seen) hidden.push(at.outerHTML.slice(0, 200));
                return true;
            })()";
            if !self.is(is_new) {
                break;
            }
        }
        assert_eq!(self.value("hidden"), json!([]), "{name}: the focus cannot be seen");
        let strange = format!(
            "[...reached].filter(e => !document.querySelector({within:?}).contains(e))
                .map(e => e.outerHTML.slice(0, 200))"
        );
        assert_eq!(self.value(&strange), json!([]), "{name}: Tab leaves {within}");
        // Of several radio buttons, one is a stop of Tab, and the arrow keys reach the others.
        let missed = format!(
            "[...document.querySelector({within:?}).querySelectorAll({USED:?})]
                .filter(e => e.checkVisibility({{visibilityProperty: true}}) && !reached.has(e) && present.has(e))
                .filter(e => e.type !== 'radio' || ![...reached].some(other => other.name === e.name))
                .map(e => e.outerHTML.slice(0, 200))"
        );
        assert_eq!(self.value(&missed), json!([]), "{name}: Tab does not come here");
        assert!(self.value("reached.size").as_u64() >= Some(2), "{name}: too few places");
    }

    /// Returns the kept events of one kind.
    pub fn events(&self, method: &str) -> Vec<&Value> {
        let is_kind = |event: &&Value| event["method"] == method;
        self.events.iter().filter(is_kind).map(|event| &event["params"]).collect()
    }

    /// Forgets the events so far.
    pub fn forget_events(&mut self) {
        self.events.clear();
    }

    /// Returns a picture of the window, as PNG in Base64.
    pub fn screenshot(&mut self) -> String {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        shot["data"].as_str().expect("a picture").to_owned()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.watched = None;
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
