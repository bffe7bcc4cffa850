//! The report of an audit: the pictures that look unlike the rest, with the reasons.

use super::axis::Axis;
use super::charts::at;
use super::gallery::{HEAT_SIDE, PICTURE_SIDE, Shot, colour_bar, outline_layer};
use super::page::{Section, data, document};
use crate::Result;
use crate::builder::Input;
use crate::builder::audit::{Audit, Finding, Reason, ReasonKind};
use crate::heatmap::{self, Scale};
use crate::image::{NetworkImage, Picture, Samples, Size};
use maud::{Markup, html};

/// The report, with the first `shown` pictures of the ranking. `name` is the name of what was audited.
pub fn audit(found: &Audit, input: Input, name: &str, shown: usize) -> Result<String> {
    let suspects = found.suspects().count();
    let sections = [
        Section { id: "ranking", title: "Ranking", body: ranking(found) },
        Section { id: "pictures", title: "Pictures", body: pictures(found, input, shown)? },
        Section { id: "all", title: "All pictures", body: all(found) },
    ];
    let kinds = [
        (ReasonKind::Unlike, "Unlike in one place"),
        (ReasonKind::Different, "Unlike as a whole"),
        (ReasonKind::Blurred, "Blurred"),
        (ReasonKind::Dark, "Too dark"),
        (ReasonKind::Bright, "Too bright"),
        (ReasonKind::Shape, "Other shape"),
        (ReasonKind::Duplicate, "Duplicate"),
    ];
    let of_kind = |kind: ReasonKind| {
        found.suspects().filter(|f| f.reasons.first().is_some_and(|r| r.kind == kind)).count()
    };
    let lead = html! {
        p {
            (data("audited", found.images.len(), found.images.len())) " pictures of " code { (name) } " were compared with each other. "
            strong { (data("suspects", suspects, suspects)) }
            @if suspects == 1 { " is a suspect" } @else { " are suspects" }
            ": the suspicion is at least 1, which good pictures hardly reach. Weaker defects stand further down the ranking. A "
            "person must decide whether a picture belongs to the good ones."
        }
        dl.tiles {
            @for (kind, title) in kinds {
                @let count = of_kind(kind);
                @if count > 0 { div { dt { (title) } dd { (count) } } }
            }
        }
    };
    Ok(document(&format!("Audit of {name}"), &lead, &sections))
}

/// Suspicion against rank.
fn ranking(found: &Audit) -> Markup {
    const WIDTH: f64 = 560.0;
    let count = found.findings.len();
    let most = found.findings.first().map_or(1.0, |f| f64::from(f.suspicion)).max(1.2);
    let x = Axis::linear((0.5, count as f64 + 0.5), (46.0, WIDTH - 12.0));
    let y = Axis::counts((most * 100.0).ceil() as usize, (200.0, 12.0));
    let place = |suspicion: f32| at(y.place(100.0 * f64::from(suspicion.max(0.0))));
    let levels = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().filter(|v| *v < most);
    html! {
        p {
            "The suspicion says how strong the strongest reason of a picture is. From 1 on, the picture is a suspect. Open the "
            "pictures below, beginning with rank 1, until they look good."
        }
        figure {
            svg.chart viewBox={ "0 0 " (WIDTH) " 246" } role="img"
                aria-label={ "Suspicion of every picture, the most suspicious first. The table below has the numbers." } {
                @for level in levels {
                    @let y = place(level as f32);
                    line.(if level == 1.0 { "level" } else { "grid" }) x1="46" x2=(WIDTH - 12.0) y1=(y) y2=(y) {}
                    text.tick x="40" y=(y) dy=".35em" text-anchor="end" { (level) }
                }
                @for (rank, finding) in found.findings.iter().enumerate() {
                    g.(if finding.suspect { "bad" } else { "good" }) {
                        path.score d={ "M" (at(x.place(rank as f64 + 1.0))) " 200V" (place(finding.suspicion).min(199.0)) } {
                            title { (rank + 1) ". " (found.images[finding.picture].name) " " (format!("{:.2}", finding.suspicion)) }
                        }
                    }
                }
                line.base x1="46" x2=(WIDTH - 12.0) y1="200" y2="200" {}
                @for (value, label) in x.ticks(44.0) {
                    text.tick x=(at(x.place(value))) y="218" text-anchor="middle" { (label) }
                }
                text.label x=(WIDTH / 2.0) y="239" text-anchor="middle" { "rank" }
            }
            figcaption { "Every picture. The dashed line is the limit for suspects." }
        }
    }
}

fn pictures(found: &Audit, input: Input, shown: usize) -> Result<Markup> {
    let scale = Scale { threshold: found.scale.0, top: found.scale.1 };
    let cards = (0..shown)
        .map(|rank| card(found, input, scale, (rank, shown)))
        .collect::<Result<Vec<Markup>>>()?;
    Ok(html! {
        p {
            "The most suspicious picture comes first. The map beside it shows what differs from all other pictures. Open a picture to see "
            "it in full. " span.key.found {} " encloses what lies above the limit for suspects. A colour means the same value in all pictures:"
        }
        (colour_bar(scale, &[("limit", scale.threshold)]))
        ul.gallery { @for card in &cards { (card) } }
    })
}

fn card(found: &Audit, input: Input, scale: Scale, place: (usize, usize)) -> Result<Markup> {
    let finding = &found.findings[place.0];
    let image = &found.images[finding.picture];
    let picture = match input {
        Input::Pictures(_) => crate::image::read(&found.paths[finding.picture])?,
        Input::Features(file) => seen_by_network(&file.image(finding.picture)?),
    };
    let scored = found.map(finding.picture);
    let map_size = found.map_size();
    let longest = image.width.max(image.height);
    let side = |side: u32| (side * HEAT_SIDE / longest).clamp(1, HEAT_SIDE);
    let size = Size { width: side(image.width), height: side(image.height) };
    let mut panel = heatmap::panel(&picture, PICTURE_SIDE);
    if matches!(input, Input::Features(_)) {
        panel = image::imageops::resize(
            &panel,
            (u64::from(image.width) * 256 / u64::from(longest)).max(1) as u32,
            (u64::from(image.height) * 256 / u64::from(longest)).max(1) as u32,
            image::imageops::FilterType::Triangle,
        );
    }
    let words: Vec<&str> = finding.reasons.iter().map(|r| r.words.as_str()).collect();
    let shot = Shot {
        kind: format!("rank {}", place.0 + 1),
        name: image.name.clone(),
        picture: panel,
        heat: heatmap::heat_of(&scored.blurred, map_size, scale, size),
        outlines: vec![outline_layer(
            &scored.blurred,
            map_size.width as usize,
            scale.threshold,
            "found",
        )],
        summary: words.join("; "),
        caption: html! {
            " " (badge(finding))
            br;
            (words.first().copied().unwrap_or_default())
        },
        full: html! { (colour_bar(scale, &[("limit", scale.threshold)])) (reasons(&finding.reasons)) },
    };
    shot.card("odd", place)
}

/// The picture as the network has seen it.
fn seen_by_network(image: &NetworkImage) -> Picture {
    Picture {
        width: image.width() as u32,
        height: image.height() as u32,
        samples: Samples::Sixteen(image.samples().to_vec()),
    }
}

fn badge(finding: &Finding) -> Markup {
    let class = if finding.suspect { "ng" } else { "ok" };
    html! { span.badge.(class) { (format!("{:.2}", finding.suspicion)) @if finding.suspect { " suspect" } } }
}

fn reasons(reasons: &[Reason]) -> Markup {
    html! {
        table {
            caption { "Reasons. From a strength of 1 on, the picture is a suspect." }
            thead { tr { th.n scope="col" { "Strength" } th scope="col" { "Reason" } } }
            tbody {
                @for reason in reasons {
                    tr { td.n { (format!("{:.2}", reason.strength)) } td { (reason.words) } }
                }
            }
        }
    }
}

fn all(found: &Audit) -> Markup {
    html! {
        details {
            summary { "All " (found.findings.len()) " pictures, the most suspicious first" }
            div.wide {
                table id="all-pictures" {
                    thead { tr {
                        th.n scope="col" { "Rank" } th scope="col" { "Picture" } th.n scope="col" { "Suspicion" } th scope="col" { "Reasons" }
                    } }
                    tbody {
                        @for (rank, finding) in found.findings.iter().enumerate() {
                            tr {
                                td.n { (rank + 1) }
                                td.path { (found.images[finding.picture].name) }
                                td.n { (badge(finding)) }
                                td { @for (i, r) in finding.reasons.iter().enumerate() { @if i > 0 { "; " } (r.words) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
