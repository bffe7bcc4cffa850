//! This module says in words what the results of a test mean and what to try next.

use hetmm::describe::threshold::fewest_parts;
use hetmm::evaluation::Evaluation;
use hetmm::image::Size;
use hetmm::metrics::advice::{Advice, Choice, Prepared, Remedies, Step};
use hetmm::report::AdviceLine as Line;
use hetmm::template::Template;
use hetmm::wording::{percent, printable};
use std::path::Path;

/// The names of files and folders in the commands that are advised.
pub struct Names {
    /// The template.
    pub template: String,
    /// The folder of good pictures.
    pub good: String,
}

/// What has been done for a template already.
pub fn prepared(template: &Template) -> Prepared {
    let header = template.header();
    let Size { width, height } = header.picture_size();
    Prepared {
        has_mask: template.mask().is_some(),
        leaves_out_strays: header.build.options.iter().any(|(key, _)| key == "left-out"),
        input_side_px: header.backbone.width.min(header.backbone.height),
        picture_side_px: width.max(height),
        pictures: header.build.images.len(),
    }
}

impl Names {
    /// The names as a shell takes them: a template, and the good pictures of a data set where it has them.
    pub fn of(template: &Path, dataset: &Path) -> Self {
        let good = dataset.join("train/good");
        let good = if good.is_dir() { word(&good) } else { "good/".into() };
        Names { template: word(template), good }
    }

    /// The names for a report, without folders, because a report may be sent to somebody else.
    pub fn without_folders(template: &Path) -> Self {
        let name = template.file_name().unwrap_or(template.as_os_str());
        Names { template: word(Path::new(name)), good: "good/".into() }
    }
}

/// A path as a word of a shell command.
fn word(path: &Path) -> String {
    let text = printable(&path.display().to_string());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// What an evaluation means and what to try next.
pub fn of_evaluation(evaluation: &Evaluation, names: &Names) -> Vec<Line> {
    let f = &evaluation.figures;
    let part = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let caught = 1.0 - part(f.missed, f.defective);
    lines(&evaluation.advice, caught, part(f.false_rejects, f.good), names)
}

/// What the results mean, then what to try, the next step first. Empty if good or defective pictures are missing.
pub fn lines(advice: &Advice, caught: f64, rejected: f64, names: &Names) -> Vec<Line> {
    let said = |words: String| Line { words, command: None };
    let calibrate = |choice: &Choice| Line {
        words: format!(
            "Set the threshold from at least {} fresh good parts, which are neither in the template nor in this test:",
            fewest_parts(choice.rate)
        ),
        command: Some(calibrate(choice, names)),
    };
    match advice {
        Advice::Incomplete => Vec::new(),
        Advice::Sound => {
            vec![said("The template ranks these pictures well, and its threshold fits.".into())]
        }
        Advice::RulesHideDefects { passed } => vec![Line {
            words: format!(
                "The region rules let {passed} defective pictures pass whose score is above the threshold. Show the rules:"
            ),
            command: Some(format!("hetmm rules {}", names.template)),
        }],
        Advice::ThresholdTooHigh(choice) => vec![
            said(format!(
                "The template ranks these pictures well, but its threshold is too high: it catches {} of the defects. \
                 A threshold of {:.4}, which {} of these good pictures exceed, would catch {}.",
                percent(Some(caught)),
                choice.limit,
                rate(choice.rate),
                percent(Some(choice.caught)),
            )),
            calibrate(choice),
        ],
        Advice::ThresholdTooLow(choice) => vec![
            said(format!(
                "The template ranks these pictures well, but its threshold is too low: it rejects {} of the good \
                 pictures. A threshold of {:.4}, which {} of them exceed, would still catch {} of the defects.",
                percent(Some(rejected)),
                choice.limit,
                rate(choice.rate),
                percent(Some(choice.caught)),
            )),
            calibrate(choice),
        ],
        Advice::AtItsLimit(remedies) => {
            let words = format!(
                "The template ranks these pictures well, and its threshold makes use of that. Even a threshold that \
                 rejects 5 % of the good pictures catches {} of the defects.",
                percent(Some(remedies.caught_at_5))
            );
            with_steps(words, remedies, names)
        }
        Advice::DoesNotRank(remedies) => {
            let words = format!(
                "The template does not rank these defects above good parts: a threshold that rejects 5 % of the good \
                 pictures catches {} of the defects. Another threshold alone does not help.",
                percent(Some(remedies.caught_at_5))
            );
            with_steps(words, remedies, names)
        }
    }
}

fn with_steps(words: String, remedies: &Remedies, names: &Names) -> Vec<Line> {
    let mut lines = vec![Line { words, command: None }];
    let first = |number: usize| if number == 0 { "Try next: " } else { "Then: " };
    let numbered = remedies.steps.iter().enumerate();
    lines.extend(numbered.map(|(number, step)| {
        let (words, command) = step_in_words(step, names);
        Line { words: format!("{}{words}", first(number)), command: Some(command) }
    }));
    lines.push(Line {
        words: "docs/when-defects-are-missed.md explains these steps.".into(),
        command: None,
    });
    lines
}

fn step_in_words(step: &Step, Names { template, good }: &Names) -> (String, String) {
    let names = Names { template: template.clone(), good: good.clone() };
    match step {
        Step::Mask => (
            "leave out everything that does not belong to the part, such as background, fixtures and ragged edges.".into(),
            format!("hetmm build {good} -o new.hetmm --mask roi.png"),
        ),
        Step::Strays => (
            "look for pictures among the good ones that do not belong there.".into(),
            format!("hetmm audit {good} --report audit.html"),
        ),
        Step::Threshold(choice) => (
            format!(
                "set a threshold for {} false rejects. In this test it catches {} of the defects.",
                rate(choice.rate),
                percent(Some(choice.caught))
            ),
            calibrate(choice, &names),
        ),
        Step::Size(side) => (
            format!("show the network smaller details, with an input of {side} x {side} pixels."),
            format!("hetmm build {good} -o new.hetmm --size {side}"),
        ),
        Step::MorePictures => (
            "take pictures of more good parts, then build again.".into(),
            format!("hetmm build {good} -o new.hetmm"),
        ),
    }
}

fn calibrate(choice: &Choice, names: &Names) -> String {
    let rate = 100.0 * choice.rate;
    format!("hetmm calibrate {} --images fresh/ --false-reject {rate}%", names.template)
}

fn rate(rate: f64) -> String {
    format!("{:.0} %", 100.0 * rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { template: "p.hetmm".into(), good: "good/".into() }
    }

    #[test]
    fn a_threshold_and_a_ranking_get_other_words_and_other_commands() {
        let choice = Choice { rate: 0.02, limit: 1.25, caught: 0.9 };
        let told = |advice: &Advice| -> String {
            let line = |line: &Line| {
                format!("{} {}", line.words, line.command.as_deref().unwrap_or_default())
            };
            lines(advice, 0.25, 0.0, &names()).iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let too_high = told(&Advice::ThresholdTooHigh(choice));
        assert!(too_high.contains("threshold is too high: it catches 25.00 %"), "{too_high}");
        assert!(too_high.contains("at least 49 fresh good parts"), "{too_high}");
        let command = "hetmm calibrate p.hetmm --images fresh/ --false-reject 2%";
        assert!(too_high.contains(command), "{too_high}");
        let steps = vec![Step::Strays, Step::Threshold(choice), Step::Size(384)];
        let bad = told(&Advice::DoesNotRank(Remedies { caught_at_5: 0.3, steps }));
        let places =
            ["does not rank", "Try next: look for", "hetmm audit good/", command, "--size 384"]
                .map(|words| bad.find(words).expect(words));
        assert!(places.is_sorted(), "{bad}");
        assert!(told(&Advice::Incomplete).is_empty());
    }

    #[test]
    fn paths_are_words_of_a_shell() {
        for (path, want) in
            [("a/b-1.hetmm", "a/b-1.hetmm"), ("a b", "'a b'"), ("it's", r"'it'\''s'")]
        {
            assert_eq!(word(Path::new(path)), want);
        }
    }
}
