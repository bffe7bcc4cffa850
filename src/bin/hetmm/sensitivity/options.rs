//! The kinds and contrasts of artificial defects, as the command line names them.

use clap::ValueEnum;
use hetmm::sensitivity::Kind;

/// A kind of artificial defect, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub enum KindName {
    Scratch,
    DarkSpot,
    BrightSpot,
    Missing,
    Moved,
    Smoothed,
}

/// The kinds that are asked for, each once, in their usual order. All kinds if none is asked for.
pub fn kinds(asked: &[KindName]) -> Vec<Kind> {
    let of_name = |name: &KindName| match name {
        KindName::Scratch => Kind::Scratch,
        KindName::DarkSpot => Kind::DarkSpot,
        KindName::BrightSpot => Kind::BrightSpot,
        KindName::Missing => Kind::Missing,
        KindName::Moved => Kind::Moved,
        KindName::Smoothed => Kind::Smoothed,
    };
    let asked: Vec<Kind> = asked.iter().map(of_name).collect();
    Kind::ALL.into_iter().filter(|kind| asked.is_empty() || asked.contains(kind)).collect()
}

/// A contrast in grey levels.
pub fn parse_contrast(text: &str) -> Result<f32, String> {
    match text.trim().parse::<f32>() {
        Ok(levels) if (1.0..=255.0).contains(&levels) => Ok(levels),
        _ => Err("give a number of grey levels from 1 to 255".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_once_and_in_order() {
        assert_eq!(kinds(&[]), Kind::ALL);
        let asked = [KindName::Moved, KindName::Scratch, KindName::Moved];
        assert_eq!(kinds(&asked), [Kind::Scratch, Kind::Moved]);
        assert_eq!(parse_contrast("12.5"), Ok(12.5));
        for text in ["0", "256", "NaN", "dark"] {
            assert!(parse_contrast(text).is_err(), "{text}");
        }
    }
}
