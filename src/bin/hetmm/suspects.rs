//! This module words what a build says about pictures that look unlike the rest.

use hetmm::builder::Suspect;

/// The number of kept suspects of each sort that are named.
const SUSPECTS_TOLD: usize = 3;

/// The lines about pictures that look unlike the rest: all that were left out, and the first of those that were kept.
pub fn told(suspects: &[Suspect]) -> Vec<String> {
    let line = |s: &&Suspect| format!("  {}: {}", s.name, s.reason);
    let count = |count: usize| match count {
        1 => "1 picture looks".to_string(),
        count => format!("{count} pictures look"),
    };
    let (dropped, kept): (Vec<&Suspect>, Vec<&Suspect>) = suspects.iter().partition(|s| s.dropped);
    let mut told = Vec::new();
    if !dropped.is_empty() {
        let (was, them) = if dropped.len() == 1 { ("was", "it") } else { ("were", "them") };
        told.push(format!(
            "warning: {} unlike the rest and {was} left out (--keep-suspects keeps {them}):",
            count(dropped.len())
        ));
        told.extend(dropped.iter().map(line));
    }
    let (doubles, kept): (Vec<&Suspect>, Vec<&Suspect>) = kept.iter().partition(|s| s.is_double);
    let mut tell = |suspects: &[&Suspect], what: String| {
        if suspects.is_empty() {
            return;
        }
        told.push(what);
        told.extend(suspects.iter().take(SUSPECTS_TOLD).map(line));
        let more = suspects.len().saturating_sub(SUSPECTS_TOLD);
        told.extend((more > 0).then(|| format!("  and {more} more")));
    };
    let unlike = count(kept.len());
    tell(
        &kept,
        format!(
            "warning: {unlike} unlike the rest (`hetmm audit` shows them, --drop-suspects leaves them out):"
        ),
    );
    tell(
        &doubles,
        "note: these pictures show the same exposure as another one (--drop-suspects leaves them out):".into(),
    );
    told
}
