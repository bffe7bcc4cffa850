//! Which settings the studies compare. Each leaves everything but its own matter as it was given.

use clap::ValueEnum;
use hetmm::builder::ablation::Setting;
use hetmm::builder::{Options, Sheets};
use hetmm::selection::{HardRule, Rule};
use serde::Serialize;

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Study {
    /// Forward, backward, both
    Direction,
    /// The weight of the forward direction, from 0 to 1
    Alpha,
    /// Single taps, pairs, all of them
    Layers,
    /// Windows of 1 (pixel to pixel), 3, 5, 7 and 9
    Patch,
    /// Sheets from 1 to all
    Sheets,
    /// The rules that choose prototypes, at several numbers of sheets
    Rules,
    /// k-means at every pixel: takes minutes a row, and runs only where it is asked for
    KmeansPixel,
}

impl Study {
    /// What runs where nothing is asked for.
    pub const USUAL: [Study; 6] =
        [Study::Direction, Study::Alpha, Study::Layers, Study::Patch, Study::Sheets, Study::Rules];

    /// Its title, and what its x axis is.
    pub fn titles(self) -> (&'static str, &'static str) {
        match self {
            Study::Direction => ("Direction", ""),
            Study::Alpha => ("Weight of the forward direction", "alpha"),
            Study::Layers => ("Layers", ""),
            Study::Patch => ("Windows", "window, pixels of the layer"),
            Study::Sheets => ("Sheets", "sheets"),
            Study::Rules => ("Selection rules", "sheets"),
            Study::KmeansPixel => ("k-means at every pixel", "sheets"),
        }
    }
}

/// One row of a study: a setting, or the same with several seeds.
pub struct Case {
    pub study: Study,
    /// The line of a chart that it belongs to.
    pub line: String,
    /// What it is in that line.
    pub name: String,
    /// Its place on the x axis.
    pub x: f64,
    pub settings: Vec<Setting>,
}

/// Seeds of rules that draw at random.
const SEEDS: u64 = 3;
const WINDOWS: [usize; 5] = [1, 3, 5, 7, 9];
const SHEETS: [usize; 9] = [1, 5, 10, 20, 40, 60, 100, 200, 400];
const SHEETS_OF_RULES: [usize; 5] = [5, 10, 20, 40, 60];

/// All rows of `study`, those next to each other that share the most work. `good` is the number of good
/// pictures.
pub fn cases(study: Study, options: &Options, taps: &[&str], good: usize) -> Vec<Case> {
    let all: Vec<usize> = (0..taps.len()).collect();
    let mutual = if options.alpha > 0.0 && options.alpha < 1.0 { options.alpha } else { 0.8 };
    let with = |options: Options| vec![Setting { options, layers: all.clone() }];
    let alpha = |alpha: f32| with(Options { alpha, ..options.clone() });
    let case = |line: &str, name: String, x: f64, settings| Case {
        study,
        line: line.into(),
        name,
        x,
        settings,
    };
    match study {
        Study::Direction => vec![
            case("", "forward".into(), 0.0, alpha(1.0)),
            case("", "backward".into(), 1.0, alpha(0.0)),
            case("", format!("mutual, alpha {mutual}"), 2.0, alpha(mutual)),
            case("", "mutual, alpha 0.5".into(), 3.0, alpha(0.5)),
        ],
        Study::Alpha => (0..=10)
            .map(|tenth| {
                let value = tenth as f32 / 10.0;
                case("alpha", format!("{value:.1}"), f64::from(tenth) / 10.0, alpha(value))
            })
            .collect(),
        Study::Layers => {
            let pairs = all.iter().flat_map(|&a| all[a + 1..].iter().map(move |&b| vec![a, b]));
            let mut sets: Vec<Vec<usize>> =
                all.iter().map(|&layer| vec![layer]).chain(pairs).collect();
            if all.len() > 2 {
                sets.push(all.clone());
            }
            sets.into_iter()
                .enumerate()
                .map(|(i, layers)| {
                    let names: Vec<&str> = layers.iter().map(|&l| taps[l]).collect();
                    let name = if layers.len() > 2 {
                        format!("all {}", layers.len())
                    } else {
                        names.join(" + ")
                    };
                    case("", name, i as f64, vec![Setting { options: options.clone(), layers }])
                })
                .collect()
        }
        Study::Patch => WINDOWS
            .into_iter()
            .flat_map(|window| {
                let patches = vec![window; taps.len()];
                let of = |alpha| {
                    with(Options {
                        patches_forward: patches.clone(),
                        patches_backward: patches.clone(),
                        alpha,
                        ..options.clone()
                    })
                };
                [
                    case("forward", format!("{window} x {window}"), window as f64, of(1.0)),
                    case("mutual", format!("{window} x {window}"), window as f64, of(mutual)),
                ]
            })
            .collect(),
        Study::Sheets => SHEETS
            .into_iter()
            .filter(|&sheets| sheets < good)
            .map(|sheets| {
                let options = Options { sheets: Sheets::Count(sheets), ..options.clone() };
                case(&options.rule.to_string(), sheets.to_string(), sheets as f64, with(options))
            })
            .chain([case(
                &options.rule.to_string(),
                format!("all {good}"),
                good as f64,
                with(Options { sheets: Sheets::All, ..options.clone() }),
            )])
            .collect(),
        Study::Rules | Study::KmeansPixel => {
            let rules = match study {
                Study::KmeansPixel => vec![Rule::KmeansPixel],
                _ => vec![
                    Rule::Pts(HardRule::MaxMin),
                    Rule::Pts(HardRule::Sum),
                    Rule::RandomImage,
                    Rule::RandomPixel,
                    Rule::KmeansImage,
                ],
            };
            rules
                .into_iter()
                .flat_map(|rule| {
                    let sheets = SHEETS_OF_RULES.into_iter().filter(|&sheets| sheets < good);
                    sheets.map(move |sheets| (rule, sheets))
                })
                .map(|(rule, sheets)| {
                    let seeds = match rule {
                        Rule::RandomImage | Rule::RandomPixel | Rule::KmeansImage => SEEDS,
                        _ => 1,
                    };
                    let settings = (0..seeds)
                        .flat_map(|more| {
                            let seed = options.seed + more;
                            let sheets = Sheets::Count(sheets);
                            with(Options { rule, sheets, seed, ..options.clone() })
                        })
                        .collect();
                    case(&rule.to_string(), sheets.to_string(), sheets as f64, settings)
                })
                .collect()
        }
    }
}
