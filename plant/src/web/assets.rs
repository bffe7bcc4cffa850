//! Holds the files of the page. They are compiled in, and nothing comes from elsewhere.

use super::reply;
use axum::http::StatusCode;
use axum::response::Response;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files of the page: path, media type and content.
pub const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../page/index.html")),
    ("/page.css", CSS, include_str!("../page/page.css")),
    ("/icon.svg", SVG, include_str!("../page/icon.svg")),
    ("/device.js", SCRIPT, include_str!("../page/device.js")),
    ("/drift.js", SCRIPT, include_str!("../page/drift.js")),
    ("/forms.js", SCRIPT, include_str!("../page/forms.js")),
    ("/line.js", SCRIPT, include_str!("../page/line.js")),
    ("/link.js", SCRIPT, include_str!("../page/link.js")),
    ("/page.js", SCRIPT, include_str!("../page/page.js")),
    ("/rejects.js", SCRIPT, include_str!("../page/rejects.js")),
    ("/template.js", SCRIPT, include_str!("../page/template.js")),
    ("/texts.js", SCRIPT, include_str!("../page/texts.js")),
    ("/tools.js", SCRIPT, include_str!("../page/tools.js")),
    ("/trend.js", SCRIPT, include_str!("../page/trend.js")),
];

/// Returns a file of the page.
pub fn file(kind: &'static str, content: &'static str) -> Response {
    reply::bytes(StatusCode::OK, kind, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        let all: usize = FILES.iter().map(|(_, _, content)| content.len()).sum();
        assert!(all <= 150 * 1024, "{all} bytes");
        for (path, _, content) in FILES {
            for elsewhere in ["https://", "http://", "//cdn", "@import"] {
                let foreign = content.matches(elsewhere).count();
                // The names of XML vocabularies look like addresses, and nobody fetches them.
                let names = content.matches("http://www.w3.org/").count();
                assert!(
                    foreign == 0 || (elsewhere == "http://" && foreign == names),
                    "{path}: {elsewhere}"
                );
            }
            assert!(!content.contains(" style=\"") && !content.contains("<script>"), "{path}");
        }
    }
}
