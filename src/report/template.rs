//! The section of a report about its template: enough to know later which template it was and what it was built from.

use super::page::data;
use crate::error::Kind;
use crate::heatmap::{AT_THRESHOLD, Scale};
use crate::inspection::Pipeline;
use crate::template::header::{HeaderV1, ImageRecord};
use crate::wording::form;
use crate::{Error, Result};
use maud::{Markup, html};
use std::path::Path;

/// Provenance and settings of the template at `path`.
///
/// # Errors
/// [`crate::error::Kind::Io`] if the file cannot be read again for its digest.
pub fn facts(pipeline: &Pipeline, path: &Path) -> Result<Markup> {
    let template = pipeline.template();
    let h = template.header();
    let id = &h.backbone;
    let calibration = crate::describe::threshold::threshold(template);
    let rules = template.settings().rules.as_ref();
    let (built_from, inserted) = template.pictures();
    let fact = |name: &str, value: Markup| html! { dt { (name) } dd { (value) } };
    Ok(html! {
        dl.facts {
            (fact("File", html! {
                (path.file_name().unwrap_or_default().to_string_lossy()) ", "
                (format!("{:.1}", template.size() as f64 / 1e6)) " MB, BLAKE3 " code id="template_digest" { (file_digest(path)?) }
            }))
            (fact("Built by", html! { "hetmm " (h.build.version) }))
            (fact("Built from", html! {
                (data("built-from", built_from.len(), built_from.len())) (form(built_from.len(), " good picture", " good pictures")) ", BLAKE3 over their digests "
                code { (pictures_digest(built_from)) }
            }))
            (fact("Options", html! {
                @if h.build.options.is_empty() { "none, so the defaults" }
                @for (i, (key, value)) in h.build.options.iter().enumerate() {
                    @if i > 0 { ", " } (key) " " code { (value) }
                }
            }))
            (fact("Backbone", html! { (id.name) ", BLAKE3 " code { (hex(&id.digest)) } }))
            (fact("Input", html! {
                (id.width) " x " (id.height) " pixels, mean " (numbers(&id.mean)) ", deviation " (numbers(&id.std))
            }))
            @if let Some(line) = crate::describe::defects::laid_out_for(template) { (fact("Defects", html! { (line) })) }
            (fact("Prototypes", html! { "chosen by " (h.rule) ", stored as " (h.storage) }))
            (fact("Scoring", html! {
                "alpha " (h.alpha) ", " (h.fusion) " over layers, blur of sigma " (h.sigma)
            }))
            @if let Some(mask) = template.mask() {
                (fact("Region of interest", html! {
                    (format!("{:.1}", 100.0 * mask.count() as f64 / mask.inside().len().max(1) as f64)) " % of the picture"
                }))
            }
            (fact("Calibration", html! {
                (calibration)
                @if rules.is_some() && template.decision().is_some() { " " (crate::describe::threshold::ABOUT_THE_SCORE) }
            }))
            @if let Some(rules) = rules {
                (fact("Region rules", html! {
                    @for line in crate::describe::rules::lines(Some(rules), template.zones()) { (line) br; }
                }))
            }
            @if !inserted.is_empty() {
                (fact("Inserted later", html! {
                    (data("inserted", inserted.len(), inserted.len())) (form(inserted.len(), " picture", " pictures")) ". The journal is in the file."
                }))
            }
            (fact("Colour scale", html! {
                "from 0, with the threshold at " (format!("{:.0}", 100.0 * AT_THRESHOLD)) " % of it, to "
                (format!("{:.4}", Scale::of(h).top))
            }))
        }
        (layers(h))
        (images("Pictures the template was built from", "Leave-one-out score", built_from))
        @if !inserted.is_empty() { (images("Pictures that were inserted later", "Score before", inserted)) }
        (probes(h))
    })
}

fn layers(h: &HeaderV1) -> Markup {
    html! {
        div.wide {
            table {
                caption { "Layers" }
                thead { tr {
                    th scope="col" { "Tap" } th.n scope="col" { "Channels" } th.n scope="col" { "Map" } th.n scope="col" { "Sheets" }
                    th.n scope="col" { "Window forward" } th.n scope="col" { "backward" } th.n scope="col" { "Weight" }
                    th.n scope="col" { "Votes" }
                } }
                tbody {
                    @for (at, layer) in h.layers.iter().enumerate() {
                        @if let Some(tap) = h.tap(at) {
                            tr {
                                th scope="row" { (tap.name) }
                                td.n { (tap.channels) } td.n { (tap.width) " x " (tap.height) }
                                @if h.layer_use(at).position_free {
                                    td.n { (layer.sheets) " patches" } td.n colspan="2" { "all positions" }
                                } @else {
                                    td.n { (layer.sheets) }
                                    td.n { (layer.patch_forward) } td.n { (layer.patch_backward) }
                                }
                                td.n { (format!("{:.4}", layer.weight)) }
                                td.n { (format!("{:.2}", h.layer_use(at).votes)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table of pictures of a template. `score` is the heading of their scores.
fn images(title: &str, score: &str, images: &[ImageRecord]) -> Markup {
    html! {
        details {
            summary { (title) }
            div.wide {
                table {
                    thead { tr {
                        th scope="col" { "Picture" } th.n scope="col" { "Pixels" } th.n scope="col" { (score) }
                        th scope="col" { "BLAKE3, first 16 digits" }
                    } }
                    tbody {
                        @for image in images {
                            tr {
                                td.path { (image.name) }
                                td.n { (image.width) " x " (image.height) }
                                td.n { @if image.score.is_finite() { (format!("{:.4}", image.score)) } @else { "-" } }
                                td { code { (hex(&image.digest[..8])) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn probes(h: &HeaderV1) -> Markup {
    html! {
        details {
            summary { "Golden probes" }
            div.wide {
                table {
                    thead { tr {
                        th scope="col" { "Probe" } th.n scope="col" { "Score" } th.n scope="col" { "Tolerance" }
                    } }
                    tbody {
                        @for probe in &h.probes {
                            tr {
                                td.path { (probe.name) }
                                td.n { (format!("{:.6}", probe.score)) }
                                td.n { (format!("{:.1e}", probe.tolerance)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn file_digest(path: &Path) -> Result<String> {
    let unreadable = |e| Error::io(path, "the template cannot be read", &e);
    let mut hasher = blake3::Hasher::new();
    let file = crate::files::open_regular(path, u64::MAX, Kind::Template)?;
    hasher.update_reader(file).map_err(unreadable)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn pictures_digest(images: &[ImageRecord]) -> String {
    let mut hasher = blake3::Hasher::new();
    for image in images {
        hasher.update(&image.digest);
    }
    hasher.finalize().to_hex().to_string()
}

fn numbers(values: &[f32]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
