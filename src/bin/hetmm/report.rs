//! A self-contained page about an evaluation: no network, no script, pictures inline.

use crate::figures::{Figures, Outcome, percent};
use crate::timing;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hetmm::Result;
use hetmm::heatmap;
use hetmm::inspection::Inspector;
use image::RgbImage;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::Path;

/// Pictures shown of the worst good ones and of the best hidden bad ones.
const GALLERY: usize = 6;
/// Bars of the histogram.
const BARS: usize = 40;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}
td.n{text-align:right;font-variant-numeric:tabular-nums}figure{margin:0 0 1.2rem}img{max-width:100%;display:block}
figcaption{color:#555}h2{margin-top:2.2rem}svg{max-width:100%}";

/// The page: figures, score histogram with the threshold, the hardest pictures.
pub fn page(
    inspector: &Inspector,
    dataset: &Path,
    figures: &Figures,
    outcomes: &[Outcome],
) -> Result<String> {
    let mut good: Vec<&Outcome> = outcomes.iter().filter(|o| o.picture.defect.is_none()).collect();
    let mut bad: Vec<&Outcome> = outcomes.iter().filter(|o| o.picture.defect.is_some()).collect();
    good.sort_by(|a, b| b.score.total_cmp(&a.score));
    bad.sort_by(|a, b| a.score.total_cmp(&b.score));
    let worst_good = gallery(inspector, &good[..good.len().min(GALLERY)])?;
    let hidden_bad = gallery(inspector, &bad[..bad.len().min(GALLERY)])?;
    let header = inspector.template().header();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "hetmm: " (dataset.display()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Evaluation of " (dataset.display()) }
                p {
                    (figures.images) " pictures: " (figures.good) " good, " (figures.defective) " defective. "
                    "Template of " (header.build.images.len()) " good pictures, hetmm " (header.build.version) ", "
                    (header.backbone.name) "."
                }
                table {
                    (row("Image AUROC", &percent(figures.image_auroc)))
                    (row("Pixel AUROC", &percent(figures.pixel_auroc)))
                    (row("AUPRO to 30 % false positives", &percent(figures.aupro30)))
                    (row("Threshold", &format!("{:.4}", figures.threshold)))
                    (row("Good pictures rejected", &format!("{} of {}", figures.false_rejects, figures.good)))
                    (row("Defective pictures missed", &format!("{} of {}", figures.missed, figures.defective)))
                    (row("Time a picture, median / p99", &format!("{:.1} / {:.1} ms", figures.timing_ms.total_p50, figures.timing_ms.total_p99)))
                }
                h2 { "Scores" }
                (histogram(outcomes, figures.threshold))
                h2 { "By defect" }
                table {
                    tr { th { "Defect" } th { "Pictures" } th { "Image AUROC" } th { "Missed" } }
                    @for (name, auroc) in &figures.per_defect {
                        @let counts = figures.defects.get(name);
                        tr {
                            td { (name) }
                            td.n { (counts.map_or(0, |c| c.images)) }
                            td.n { (percent(*auroc)) }
                            td.n { (counts.map_or(0, |c| c.missed)) }
                        }
                    }
                }
                p { "Each row below: the picture, the outline of what lies above the threshold, the anomaly map, and the "
                    "colour scale with the threshold marked. The scale is the same for all pictures of a template." }
                h2 { "Good pictures that look worst" }
                (worst_good)
                h2 { "Defective pictures that hide best" }
                (hidden_bad)
            }
        }
    };
    Ok(page.into_string())
}

fn row(name: &str, value: &str) -> Markup {
    html! { tr { td { (name) } td.n { (value) } } }
}

fn gallery(inspector: &Inspector, outcomes: &[&Outcome]) -> Result<Markup> {
    let mut figures = Vec::new();
    for outcome in outcomes {
        let done = timing::inspect(inspector, &outcome.picture.source)?;
        figures.push((outcome, data_url(&heatmap::draw(inspector, &done.picture, &done.scored))?));
    }
    Ok(html! {
        @for (outcome, url) in figures {
            figure {
                img src=(url) alt="picture, outline, anomaly map";
                figcaption {
                    (outcome.picture.defect.as_deref().unwrap_or("good")) " / " (outcome.picture.source.name())
                    ": score " (format!("{:.4}", outcome.score))
                }
            }
        }
    })
}

fn data_url(image: &RgbImage) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(heatmap::png(image)?)))
}

/// Scores of good (blue) and defective (red) pictures, each to its own tallest bar, with the
/// threshold as a line.
fn histogram(outcomes: &[Outcome], threshold: f32) -> Markup {
    let scores = outcomes.iter().map(|o| o.score).chain([threshold]);
    let (low, high) = scores.fold((f32::MAX, f32::MIN), |(l, h), s| (l.min(s), h.max(s)));
    let span = (high - low).max(1e-6);
    let place = |score: f32| 720.0 * (score - low) / span;
    let mut counts = [[0usize; BARS]; 2];
    for outcome in outcomes {
        let bar = ((outcome.score - low) / span * BARS as f32) as usize;
        counts[usize::from(outcome.picture.defect.is_some())][bar.min(BARS - 1)] += 1;
    }
    let tallest = counts.map(|c| c.into_iter().max().unwrap_or(0).max(1));
    let width = 720.0 / BARS as f32;
    html! {
        svg viewBox="-10 -10 740 220" width="740" role="img" aria-label="histogram of scores" {
            @for (class, colour) in ["#2b6cb0", "#c53030"].iter().enumerate() {
                @for (i, &count) in counts[class].iter().enumerate() {
                    @let height = 170.0 * count as f32 / tallest[class] as f32;
                    rect x=(i as f32 * width) y=(170.0 - height) width=(width - 1.0) height=(height)
                        fill=(colour) fill-opacity="0.55" {}
                }
            }
            line x1=(place(threshold)) x2=(place(threshold)) y1="-5" y2="172" stroke="#222" stroke-dasharray="5 4" {}
            line x1="0" x2="720" y1="170.5" y2="170.5" stroke="#888" {}
            text x="0" y="190" font-size="13" { (format!("{low:.3}")) }
            text x="720" y="190" font-size="13" text-anchor="end" { (format!("{high:.3}")) }
            text x="360" y="205" font-size="13" text-anchor="middle" {
                "score: good blue, defective red, threshold " (format!("{threshold:.3}")) " dashed"
            }
        }
    }
}
