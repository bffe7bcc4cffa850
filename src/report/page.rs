//! The frame of every report, and numbers that programs can read in it.

use crate::files::outputs::Format;
use crate::wording::percent;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// How a report is recognised before another one replaces it: by the name of the program in its head.
pub const FORMAT: Format = Format {
    name: "a report by hetmm",
    reads: 4096,
    is_one: |bytes| bytes.windows(GENERATOR.len()).any(|window| window == GENERATOR),
};
const GENERATOR: &[u8] = b"<meta name=\"generator\" content=\"hetmm ";

/// One section of a report, with an id for links.
pub struct Section {
    /// The id, for links.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What stands below it.
    pub body: Markup,
}

/// A whole report.
pub fn document(title: &str, lead: &Markup, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "hetmm " (env!("CARGO_PKG_VERSION")) };
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    h1 { (title) }
                    nav aria-label="Contents" {
                        ul { @for s in sections { li { a href={ "#" (s.id) } { (s.title) } } } }
                    }
                }
                main id="content" tabindex="-1" {
                    (lead)
                    @for s in sections {
                        section id=(s.id) aria-labelledby={ (s.id) "-title" } {
                            h2 id={ (s.id) "-title" } { (s.title) }
                            (s.body)
                        }
                    }
                }
                footer {
                    p { "Made by hetmm " (env!("CARGO_PKG_VERSION")) ". This file contains everything that it shows." }
                }
            }
        }
    };
    page.into_string()
}

/// A number for people, with the full number for programs.
pub fn data(id: &str, value: impl std::fmt::Display, shown: impl std::fmt::Display) -> Markup {
    html! { data id=(id) value={ (format_args!("{value}")) } { (format_args!("{shown}")) } }
}

/// A share (0..=1) in percent, which may be missing.
pub fn data_percent(id: &str, value: Option<f64>) -> Markup {
    match value {
        Some(v) => data(id, v, percent(value)),
        None => html! { data id=(id) value="" { "-" } },
    }
}
