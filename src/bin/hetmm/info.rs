//! `hetmm info` shows what a template contains.

use crate::console::{Console, say};
use hetmm::heatmap::Scale;
use hetmm::template::signature::{Signature, TrustedKey};
use hetmm::template::{Evidence, Grouping, HeaderV1, Origin, Template};
use hetmm::update::journal;
use hetmm::wording::{counted, printable};
use hetmm::{Error, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what a template contains
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hetmm info part.hetmm\n  hetmm info part.hetmm --json | jq .calibration"
)]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
    /// Check that this public key of minisign has signed the template, as RWQf6LRC...
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    key: Option<TrustedKey>,
}

fn public_key(text: &str) -> std::result::Result<TrustedKey, String> {
    let why = "this is no public key of minisign: give the second line of a minisign.pub";
    TrustedKey::parse(text).ok_or_else(|| why.into())
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let template = Template::map(&args.template)?;
    let signature = signature(&args.template, args.key.as_ref())?;
    let text = match args.json {
        true => {
            let mut object = to_json(&template);
            object["signature"] = signature.as_ref().map_or(Value::Null, |signature| {
                json!({"key": signature.key_id(), "name": signature.name(), "checked": args.key.is_some()})
            });
            format!("{object:#}\n")
        }
        false => in_words(args, &template, signature.as_ref()),
    };
    console.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The signature beside the template, if there is one. With `key`, it must be there and right.
fn signature(template: &Path, key: Option<&TrustedKey>) -> Result<Option<Signature>> {
    let path = Signature::path_of(template);
    let signature = Signature::read(&path)?;
    let Some(key) = key else { return Ok(signature) };
    let Some(signature) = signature else {
        let what = format!("the template is not signed: there is no {}", path.display());
        return Err(Error::template(what).advise("sign it with minisign"));
    };
    let mut file = File::open(template).map_err(|e| Error::io(template, "cannot be opened", &e))?;
    signature.check(&mut file, std::slice::from_ref(key))?;
    Ok(Some(signature))
}

/// What the template contains, for programs.
fn to_json(template: &Template) -> Value {
    let h = template.header();
    let id = &h.backbone;
    let images: Vec<_> = h
        .build
        .images
        .iter()
        .map(|i| {
            json!({"name": i.name, "blake3": hex(&i.digest), "width": i.width, "height": i.height, "score": i.score})
        })
        .collect();
    json!({
        "bytes": template.size(),
        "blake3": hex(&template.digest()),
        "backbone": {"name": id.name, "blake3": hex(&id.digest), "height": id.height, "width": id.width,
                     "mean": id.mean, "std": id.std},
        "defects": {"smallest_px": h.smallest_defect_px(), "mm_per_pixel": h.build.mm_per_pixel()},
        "layers": layers_to_json(h),
        "alpha": h.alpha,
        "fusion": h.fusion.to_string(),
        "sigma": h.sigma,
        "storage": h.storage.to_string(),
        "selection": h.rule.to_string(),
        "mask": template.mask().map(|m| m.count()),
        "bits": template.settings().reading.bits(),
        "calibration": {"threshold": h.calibration.threshold, "scale_top": Scale::of(h).top,
                        "provisional": template.decision().is_none() && !h.build.has_given_threshold(),
                        "given": template.decision().is_none() && h.build.has_given_threshold(),
                        "decision": template.decision().map(|d| json!({
                            "review": d.review, "basis": d.basis.to_string(), "false_reject": d.false_reject,
                            "rank": d.rank, "pictures": h.calibration.pictures, "interval": d.interval})),
                        "evidence": template.settings().evidence.as_ref().map(evidence)},
        "rules": hetmm::describe::rules::to_json(template.settings().rules.as_ref(), template.zones()),
        "inserted": template.pictures().1.len(),
        "probes": h.probes.iter().map(|p| json!({"name": p.name, "score": p.score, "tolerance": p.tolerance}))
            .collect::<Vec<_>>(),
        "build": {"version": h.build.version,
                  "options": h.build.options.iter().map(|(k, v)| (k.clone(), json!(v)))
                      .collect::<serde_json::Map<_, _>>(),
                  "images": images},
    })
}

fn layers_to_json(h: &HeaderV1) -> Vec<Value> {
    (h.layers.iter().enumerate())
        .filter_map(|(at, layer)| Some((h.tap(at)?, h.layer_use(at), layer)))
        .map(|(tap, how, layer)| {
            json!({
                "tap": tap.name, "channels": tap.channels, "height": tap.height, "width": tap.width,
                "sheets": layer.sheets, "patch_forward": layer.patch_forward,
                "patch_backward": layer.patch_backward, "weight": layer.weight,
                "position_free": how.position_free, "votes": how.votes,
            })
        })
        .collect()
}

/// What the template contains, for people.
fn in_words(args: &Args, template: &Template, signature: Option<&Signature>) -> String {
    let mut text = String::new();
    let h = template.header();
    let id = &h.backbone;
    say!(
        text,
        "{}: {:.1} MB, built by hetmm {}",
        printable(&args.template.display().to_string()),
        template.size() as f64 / 1e6,
        printable(&h.build.version)
    );
    if let Some(signature) = signature {
        let checked = if args.key.is_some() { "checked" } else { "not checked; --key checks it" };
        say!(
            text,
            "signature  of key {} as \"{}\" ({checked})",
            signature.key_id(),
            printable(signature.name())
        );
    }
    say!(
        text,
        "backbone   {} {}, input {} x {}",
        printable(&id.name),
        id.short_digest(),
        id.width,
        id.height
    );
    if let Some(line) = hetmm::describe::defects::laid_out_for(template) {
        say!(text, "defects    {line}");
    }
    text += &layers_in_words(h);
    say!(
        text,
        "selection  {}; stored as {}; alpha {}, {} over layers, sigma {}",
        h.rule,
        h.storage,
        h.alpha,
        h.fusion,
        h.sigma
    );
    if let Some(bits) = template.settings().reading.bits() {
        say!(text, "samples    {bits} bits in 16");
    }
    if let Some(mask) = template.mask() {
        say!(
            text,
            "mask       {:.0} % of the picture counts",
            100.0 * mask.count() as f64 / mask.inside().len() as f64
        );
    }
    say!(text, "{}", hetmm::describe::threshold::threshold(template));
    if let Some(rules) = &template.settings().rules {
        if template.decision().is_some() {
            say!(text, "{}", hetmm::describe::threshold::ABOUT_THE_SCORE);
        }
        hetmm::describe::rules::lines(Some(rules), template.zones())
            .iter()
            .for_each(|line| say!(text, "{line}"));
    }
    text += &pictures_in_words(template);
    for (key, value) in &h.build.options {
        say!(text, "option     {}: {}", printable(key), printable(value));
    }
    text
}

fn layers_in_words(h: &HeaderV1) -> String {
    let mut text = String::new();
    for (at, layer) in h.layers.iter().enumerate() {
        let (Some(tap), how) = (h.tap(at), h.layer_use(at)) else { continue };
        let matched = match how.position_free {
            true => format!("{} patches for all positions", layer.sheets),
            false => format!(
                "{}, window {} forward {} backward",
                counted(layer.sheets as usize, "sheet"),
                layer.patch_forward,
                layer.patch_backward
            ),
        };
        let votes = match h.uses.is_empty() {
            true => String::new(),
            false => format!(", votes {:.2}", how.votes),
        };
        say!(
            text,
            "layer      {}: {} channels, {} x {}, {matched}, weight {:.4}{votes}",
            printable(&tap.name),
            tap.channels,
            tap.width,
            tap.height,
            layer.weight
        );
    }
    text
}

fn pictures_in_words(template: &Template) -> String {
    let mut text = String::new();
    let (built_from, inserted) = template.pictures();
    if !inserted.is_empty() {
        let pictures = if inserted.len() == 1 { "picture" } else { "pictures" };
        // If the journal cannot be read, the rest is shown all the same.
        let since = journal::read(template).map_or_else(
            |_| String::new(),
            |entries| {
                let since = journal::since_threshold(template, &entries);
                format!(", {since} of them since the threshold was set")
            },
        );
        let count = inserted.len();
        say!(text, "inserted   {count} {pictures} later{since} (`hetmm history` shows them)");
    }
    say!(
        text,
        "built from {}, {} to {}",
        counted(built_from.len(), "picture"),
        built_from.first().map_or_else(String::new, |i| printable(&i.name)),
        built_from.last().map_or_else(String::new, |i| printable(&i.name))
    );
    text
}

/// What the build knew about good parts.
fn evidence(evidence: &Evidence) -> Value {
    json!({
        "origin": match evidence.origin {
            Origin::Given => "given",
            Origin::Estimate => "estimate",
            Origin::Rank => "rank",
        },
        "grouping": match evidence.grouping {
            Grouping::Order => "order",
            Grouping::Names => "names",
            Grouping::Pattern => "pattern",
        },
        "parts": evidence.part_count(), "items": evidence.items, "part_of_picture": evidence.parts,
        "held_out_scores": evidence.scores,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
