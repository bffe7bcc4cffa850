//! The frame of every page, and figures that programs can read in it.

use hetmm::files::outputs::Format;
use hetmm::wording::percent;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// How a page is recognised before another one replaces it: by the program that it names in its head.
pub const FORMAT: Format = Format {
    name: "a page by hetmm",
    reads: 4096,
    is_one: |bytes| bytes.windows(GENERATOR.len()).any(|window| window == GENERATOR),
};
const GENERATOR: &[u8] = b"<meta name=\"generator\" content=\"hetmm ";

/// One part of a page, with an id for links.
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub body: Markup,
}

/// A whole page.
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
                    p { "Made by hetmm " (env!("CARGO_PKG_VERSION")) ". This file holds everything it shows." }
                }
            }
        }
    };
    page.into_string()
}

/// A figure for people, with the full number for programs.
pub fn data(id: &str, value: impl std::fmt::Display, shown: impl std::fmt::Display) -> Markup {
    html! { data id=(id) value={ (format_args!("{value}")) } { (format_args!("{shown}")) } }
}

/// A part of 1 that may be missing, in percent.
pub fn data_percent(id: &str, value: Option<f64>) -> Markup {
    match value {
        Some(v) => data(id, v, percent(value)),
        None => html! { data id=(id) value="" { "-" } },
    }
}
