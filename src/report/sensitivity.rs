//! The report about what a template finds: sizes, curves, blind places, and examples of the artificial defects.

use super::gallery::{HEAT_SIDE, PICTURE_SIDE, Shot, colour_bar, jpeg_url, outline_layer};
use super::page::{Section, data, document};
use super::pod::{Curve, chart};
use super::{levels, template};
use crate::describe::sensitivity as words;
use crate::heatmap::{self, Scale};
use crate::sensitivity::blind::Cell;
use crate::sensitivity::study::{self, Example};
use crate::sensitivity::{BlindMap, Defect, Kind, KindResult, Plan, Study, Subject};
use crate::{Result, scoring::Verdict};
use maud::{Markup, html};
use std::path::Path;

/// What the report is about.
pub struct Sensitivity<'a> {
    /// The pictures, with names, and what inspects them.
    pub subject: &'a dyn Subject,
    /// The name of each picture.
    pub names: &'a [String],
    /// What was tried.
    pub plan: &'a Plan,
    /// What was found.
    pub found: &'a Study,
}

/// The report. `path` is the file of the template.
pub fn sensitivity(about: &Sensitivity, path: &Path) -> Result<String> {
    let Sensitivity { found, .. } = about;
    let sections = [
        Section { id: "sizes", title: "Sizes", body: sizes(found) },
        Section { id: "curves", title: "Curves", body: curves(found) },
        Section { id: "blind", title: "Blind places", body: blind(about)? },
        Section { id: "examples", title: "Examples", body: examples(about)? },
        Section { id: "meaning", title: "What it means", body: meaning() },
        Section {
            id: "template",
            title: "Template",
            body: template::facts(about.subject.pipeline(), path)?,
        },
    ];
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let lead = html! {
        p { (words::pictures(found)) }
        (tiles(found))
    };
    Ok(document(&format!("What {name} finds"), &lead, &sections))
}

/// The id of the number for one kind and contrast.
fn id(result: &KindResult) -> String {
    let contrast = result.contrast.map_or_else(String::new, |c| format!("-{c}"));
    format!("a90_95-{}{contrast}", result.kind.name())
}

fn tiles(found: &Study) -> Markup {
    html! {
        dl.tiles {
            @for result in &found.results {
                @if let Some(pod) = &result.pod {
                    div {
                        dt { (words::one(result.kind)) @if let Some(contrast) = result.contrast { ", contrast " (contrast) } }
                        dd {
                            (data(&id(result), pod.a90_95.px(), words::limit(pod.a90_95, None)))
                            small { @match found.mm_per_pixel {
                                Some(side) => { (format!("{:.3} mm", side * pod.a90_95.px())) }
                                None => { (pod.found) " of " (pod.tries) " found" }
                            } }
                        }
                    }
                }
            }
        }
        p.note { "These sizes are found in 90 % of the cases, with 95 % confidence." }
    }
}

fn sizes(found: &Study) -> Markup {
    html! {
        ul {
            @for result in &found.results {
                @if let Some(statement) = words::statement(result, found.mm_per_pixel) { li { "The template " (statement) "." } }
            }
        }
        div.wide {
            table {
                caption { "Length of a scratch, or diameter of another defect. Contrast in grey levels of 255." }
                thead { tr {
                    th scope="col" { "Artificial defect" }
                    @for head in ["Contrast", "Tries", "Found", "50 % found", "90 % found", "90 %, with 95 % confidence"] {
                        th.n scope="col" { (head) }
                    }
                } }
                tbody {
                    @for result in &found.results {
                        tr {
                            th scope="row" { (words::one(result.kind)) }
                            td.n { @match result.contrast { Some(contrast) => (contrast), None => "-" } }
                            @match &result.pod {
                                Some(pod) => {
                                    td.n { (pod.tries) }
                                    td.n { (pod.found) }
                                    td.n { (words::limit(pod.a50, None)) }
                                    td.n { (words::limit(pod.a90, None)) }
                                    td.n { strong { (words::limit(pod.a90_95, found.mm_per_pixel)) } }
                                }
                                None => { td.n { "0" } td colspan="4" { "not visible at any place" } }
                            }
                        }
                    }
                }
            }
        }
        @for line in words::remarks(found) { p.note { (line) } }
    }
}

fn curves(found: &Study) -> Markup {
    let kinds = Kind::ALL.iter().filter_map(|kind| {
        let own: Vec<Curve> = (found.results.iter())
            .filter(|r| r.kind == *kind)
            .filter_map(|r| Some(Curve { contrast: r.contrast, pod: r.pod.as_ref()? }))
            .collect();
        (!own.is_empty()).then_some((*kind, own))
    });
    let bounds = |curve: &Curve| Some((curve.pod.sizes.first()?.px, curve.pod.sizes.last()?.px));
    html! {
        p {
            "Each dot is a size that was tried. A larger dot was tried more often. The line is the most likely curve, and its band "
            "contains the true curve with 95 % confidence on each side. The stated size is where the lower edge of the band reaches "
            "90 % (dashed line)."
        }
        div.charts.two {
            @for (kind, own) in kinds {
                @let ends = own.iter().filter_map(bounds).fold((f64::INFINITY, 0.0f64), |a, b| (a.0.min(b.0), a.1.max(b.1)));
                figure {
                    h3 { (words::one(kind)) }
                    (chart(words::one(kind), &own, ends))
                    @if own.iter().any(|curve| curve.pod.fit.is_none()) {
                        figcaption { "There is no curve if one size separates hits from misses, or if larger defects are not found more often." }
                    }
                }
            }
        }
    }
}

/// The map of blind places over the first good picture.
fn blind(about: &Sensitivity) -> Result<Markup> {
    let map = &about.found.blind_map;
    let picture = match about.found.used.first() {
        Some(&index) => heatmap::panel(&about.subject.picture(index)?, PICTURE_SIDE),
        None => Default::default(),
    };
    let shape = format!("--w:{};--h:{}", picture.width(), picture.height());
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = 800.0 / width.max(height).max(1.0);
    Ok(html! {
        p {
            (words::blind(map)) " Each cell shows how many of its artificial defects were found. A cell is blind if the template finds less "
            "than half of the number that is expected for these kinds and sizes, and if chance is an unlikely reason. A redder cell has "
            "found a smaller share of the expected number."
        }
        div.blindmap.stack style=(shape) {
            img src=(jpeg_url(picture)?) alt="A good picture";
            (grid(map, (width * scale, height * scale)))
        }
    })
}

/// The cells as a drawing of `width` x `height` units.
fn grid(map: &BlindMap, (width, height): (f64, f64)) -> Markup {
    let (cell_width, cell_height) = (width / map.columns as f64, height / map.rows as f64);
    let (blind, tried) = map.blind();
    let letters = (cell_width / 4.5).min(cell_height / 2.0).min(22.0);
    html! {
        svg viewBox={ "0 0 " (width.round()) " " (height.round()) } role="img" preserveAspectRatio="none"
            aria-label={ "Defects found in each cell. " (blind) " of " (tried) " cells are blind." } {
            @for (at, cell) in map.cells.iter().enumerate() {
                @let (x, y) = ((at % map.columns) as f64 * cell_width, (at / map.columns) as f64 * cell_height);
                g.cell.blind[cell.blind].untried[cell.tries == 0] {
                    rect style={ "fill-opacity:" (format!("{:.2}", shortfall(cell))) } x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{cell_width:.1}")) height=(format!("{cell_height:.1}")) {
                        title {
                            @if cell.tries == 0 { "No defect was tried here" }
                            @else { (cell.found) " of " (cell.tries) " found, " (format!("{:.1}", cell.expected)) " expected" }
                        }
                    }
                    @if cell.tries > 0 {
                        text x=(format!("{:.1}", x + cell_width / 2.0)) y=(format!("{:.1}", y + cell_height / 2.0)) dy=".35em"
                            text-anchor="middle" style={ "font-size:" (format!("{letters:.1}")) "px" } { (cell.found) "/" (cell.tries) }
                    }
                }
            }
        }
    }
}

/// How strongly a cell is coloured: by the share of what is expected that was not found.
fn shortfall(cell: &Cell) -> f64 {
    0.65 * (1.0 - cell.found as f64 / cell.expected.max(1e-9)).clamp(0.0, 1.0)
}

/// One artificial defect of every kind and contrast, of the stated size.
fn examples(about: &Sensitivity) -> Result<Markup> {
    let Sensitivity { subject, plan, found, .. } = about;
    let mut shots = Vec::new();
    for (of, result) in found.results.iter().enumerate() {
        let Some(pod) = &result.pod else { continue };
        let drawn = study::example(*subject, plan, &found.used, of, pod.a90_95.px())?;
        if let Some(example) = drawn {
            shots.push(shot(about, result, example)?);
        }
    }
    let count = shots.len();
    let levels = levels(subject.pipeline());
    let mut cards = Vec::new();
    for (number, shot) in shots.into_iter().enumerate() {
        cards.push(shot.card("example", (number, count))?);
    }
    Ok(html! {
        p {
            "One defect of every kind and contrast, of its stated size, or of the largest size that was tried. "
            span.key.truth {} " surrounds the defect, " span.key.found {} " encloses what lies above the threshold."
        }
        (colour_bar(Scale::of(subject.pipeline().template().header()), &levels))
        ul.gallery { @for card in &cards { (card) } }
    })
}

fn shot(about: &Sensitivity, result: &KindResult, example: Example) -> Result<Shot> {
    let pipeline = about.subject.pipeline();
    let Example { index, picture, defect } = example;
    let scored = pipeline.run(&pipeline.prepare(&picture.view()?)?)?;
    let verdict = pipeline.decide(&scored, picture.size()).verdict;
    let longest = picture.width.max(picture.height).max(1);
    let side = |side: u32| (side * HEAT_SIDE / longest).clamp(1, HEAT_SIDE);
    let map_width = pipeline.template().header().backbone.width as usize;
    let told = if verdict == Verdict::Ok { "passes" } else { "is not ok" };
    let size = format!("{} of {:.1} px", words::one(result.kind), defect.size);
    Ok(Shot {
        kind: match result.contrast {
            Some(contrast) => format!("{size}, contrast {contrast}"),
            None => size,
        },
        name: about.names.get(index).cloned().unwrap_or_default(),
        picture: heatmap::panel(&picture, PICTURE_SIDE),
        heat: heatmap::heat(pipeline, &scored, side(picture.width), side(picture.height)),
        outlines: vec![
            outline_layer(&pipeline.excess(&scored), map_width, 0.0, "found"),
            ring(&defect, (picture.width, picture.height)),
        ],
        summary: format!("the picture {told}"),
        caption: html! { br; "The picture " (told) ", score " (format!("{:.4}", scored.score)) "." },
        full: html! {},
    })
}

/// A ring around a defect, as a layer to lie on its picture.
fn ring(defect: &Defect, (width, height): (u32, u32)) -> Markup {
    let radius = defect.reach() + 0.02 * width.max(height) as f32;
    html! {
        svg.outline.truth viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" aria-hidden="true" {
            path d={
                "M" (format!("{:.1} {:.1}", defect.place.0 - radius, defect.place.1))
                (format!("a{radius:.1} {radius:.1} 0 1 0 {:.1} 0", 2.0 * radius))
                (format!("a{radius:.1} {radius:.1} 0 1 0 {:.1} 0", -2.0 * radius)) "Z"
            } {}
        }
    }
}

fn meaning() -> Markup {
    html! {
        p {
            "A defect counts as found if the verdict is not ok and something above the threshold overlaps or touches it. Good pictures "
            "that are not ok even without a defect are left out."
        }
        p {
            "The stated size is a90/95 of MIL-HDBK-1823A for hits and misses. The method fits a logistic curve to the logarithm of the "
            "size. It takes the lower 95 % limit of the curve by the likelihood ratio. The limit is wider if tries on one picture resemble "
            "each other. The report says nothing about sizes beyond those that were tried."
        }
        p {
            "An artificial defect is not a real one. A crack, a dent or a stain may be easier or harder to find than a line or disc of the "
            "same size. The report says what to expect of a template. Do not choose settings with it: on products with thin cracks or faint "
            "specks, artificial defects rank the settings badly."
        }
    }
}
