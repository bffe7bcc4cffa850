//! Pages, read as files and opened in a browser that logs what it does.
#![allow(dead_code)]

use super::text;
use image::Rgb;
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What stands between `from` and `to`, wherever it does.
pub fn between<'a>(page: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    page.split(from).skip(1).filter_map(|rest| rest.split(to).next()).collect()
}

/// The value of a figure of the page and what is shown of it.
pub fn figure<'a>(page: &'a str, id: &str) -> (&'a str, &'a str) {
    let found = between(page, &format!("<data id=\"{id}\" value=\""), "</data>");
    assert_eq!(found.len(), 1, "figure {id}");
    found[0].split_once("\">").expect("a value and a text")
}

/// The number behind a figure of the page.
pub fn number(page: &str, id: &str) -> f64 {
    figure(page, id).0.parse().expect(id)
}

/// What holds of every page: `titles` are those of its sections.
pub fn check_frame(page: &str, titles: &[&str]) {
    assert!(page.contains("<html lang=\"en\"") && page.contains("<main id=\"content\""));
    assert_eq!(page.matches("<h1").count(), 1);
    let found: Vec<&str> = between(page, "<h2 id=\"", "</h2>")
        .iter()
        .filter_map(|h| h.split_once('>').map(|(_, title)| title))
        .collect();
    assert_eq!(found, titles);
    assert!(
        between(page, "<img ", ">")
            .iter()
            .all(|img| { between(img, "alt=\"", "\"").first().is_some_and(|alt| alt.len() > 10) })
    );
    for drawing in between(page, "<svg", ">") {
        let told = drawing.contains("aria-label=\"") || drawing.contains("aria-hidden=\"true\"");
        assert!(told, "a drawing without words: {drawing}");
    }
    assert!(!page.contains("NaN") && !page.contains("Infinity"));
    // Nothing from elsewhere, nothing that runs; links lead to places that are there, once.
    for foreign in ["<script", "<iframe", "<object", "<embed", "://", "@import", "url(", "onload="]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(between(page, " src=\"", "\"").iter().all(|s| s.starts_with("data:image/")));
    let ids = between(page, " id=\"", "\"");
    let unique: HashSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "ids are unique");
    for link in between(page, " href=\"", "\"") {
        let there = link.strip_prefix('#').is_some_and(|id| unique.contains(&id));
        assert!(there || link == "data:,", "{link}");
    }
    assert_eq!(between(page, "<body>", "</a>")[0].matches("class=\"skip\"").count(), 1);
}

/// What a browser did with a page.
pub struct Visit {
    /// The page as it stands in the browser's memory.
    pub dom: String,
    /// Lines on its console.
    pub console: Vec<String>,
    /// Addresses that the page, not the browser itself, asked the network for.
    pub requests: Vec<String>,
}

pub struct Browser {
    program: PathBuf,
    folder: TempDir,
}

impl Browser {
    /// A Chromium of any name; says so where there is none.
    pub fn find() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let found = names.iter().find_map(|name| {
            std::env::split_paths(&folders).map(|f| f.join(name)).find(|p| p.is_file())
        });
        if found.is_none() {
            eprintln!("SKIPPED: none of {names:?} is installed; the page was not opened");
        }
        Some(Browser { program: found?, folder: TempDir::new().expect("a temporary folder") })
    }

    pub fn run(&self, options: &[&str], address: &str) -> (String, String) {
        let profile = format!("--user-data-dir={}", text(&self.folder.path().join("profile")));
        let out = Command::new(&self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", &profile])
            .args(options)
            .arg(address)
            .output()
            .expect("starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(out.status.success(), "{}", text(&out.stderr));
        (text(&out.stdout), text(&out.stderr))
    }

    pub fn visit(&self, page: &Path) -> Visit {
        let log = self.folder.path().join("network.json");
        let log_option = format!("--log-net-log={}", text(&log));
        let options = ["--enable-logging=stderr", "--v=0", "--dump-dom", &log_option];
        let (dom, stderr) = self.run(&options, &format!("file://{}", text(page)));
        let log: Value =
            serde_json::from_slice(&std::fs::read(&log).expect("a log")).expect("JSON");
        // The browser's own requests, as for updates, have no origin.
        let requests = (log["events"].as_array().expect("events").iter())
            .map(|event| &event["params"])
            .filter(|params| params["initiator"].as_str().is_some_and(|i| i != "not an origin"))
            .filter_map(|params| params["url"].as_str())
            .filter(|url| !url.starts_with("file:") && !url.starts_with("data:"))
            .map(String::from)
            .collect();
        let console = stderr.lines().filter(|l| l.contains("CONSOLE")).map(String::from).collect();
        Visit { dom, console, requests }
    }

    /// The longest row of dark pixels in a window of 800 x 600 at an address.
    pub fn widest_dark_row(&self, address: &str) -> usize {
        let shot = self.folder.path().join("shot.png");
        let option = format!("--screenshot={}", text(&shot));
        let light = "--blink-settings=preferredColorScheme=1";
        self.run(&[&option, "--window-size=800,600", "--hide-scrollbars", light], address);
        let shot = image::open(&shot).expect("a picture").into_rgb8();
        let dark = |row: image::buffer::Pixels<'_, Rgb<u8>>| {
            let dark: Vec<bool> = row.map(|p| p.0.iter().all(|&v| v < 150)).collect();
            dark.split(|d| !d).map(<[bool]>::len).max().unwrap_or(0)
        };
        shot.rows().map(dark).max().unwrap_or(0)
    }

    /// That the browser shows the page without complaint and without asking for anything; returns
    /// the page as it then stands in memory.
    pub fn shows_quietly(&self, page: &Path) -> String {
        let visit = self.visit(page);
        assert!(visit.console.is_empty(), "{:?}", visit.console);
        assert!(visit.requests.is_empty(), "{:?}", visit.requests);
        visit.dom
    }
}
