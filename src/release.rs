//! Says which release a program is of, for machines: version, commit, computer, features, and the formats of its files.

use crate::template::container;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a program says about itself. Fields and formats are only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// The name of the program.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit of the sources, if whoever built the program named it in the variable `HETMM_COMMIT`.
    pub commit: Option<&'static str>,
    /// The kind of computer that the program was built for: processor, system and C library.
    pub target: String,
    /// The features of the library that it was built with.
    pub features: Vec<&'static str>,
    /// The version of each format that the program writes, and reads as well.
    pub formats: BTreeMap<&'static str, String>,
}

impl Release {
    /// Describes a program that was built with this library.
    pub fn of(program: &'static str, version: &'static str) -> Release {
        let library = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
        Release {
            program,
            version,
            commit: option_env!("HETMM_COMMIT").filter(|commit| !commit.is_empty()),
            target: format!("{}-{}-{library}", std::env::consts::ARCH, std::env::consts::OS),
            features: features(),
            formats: formats(),
        }
    }

    /// Returns the description as a JSON object over several lines of text.
    pub fn to_json(&self) -> String {
        // Texts and lists of texts always have a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn features() -> Vec<&'static str> {
    let all = [
        ("desktop", cfg!(feature = "desktop")),
        ("edge", cfg!(feature = "edge")),
        ("line", cfg!(feature = "line")),
        ("network", cfg!(feature = "network")),
        ("onnxruntime", cfg!(feature = "onnxruntime")),
        ("tract-cuda", cfg!(feature = "tract-cuda")),
    ];
    all.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect()
}

fn formats() -> BTreeMap<&'static str, String> {
    let mut formats = BTreeMap::new();
    formats.insert("template", format!("{}.{}", container::MAJOR, container::MINOR));
    #[cfg(feature = "desktop")]
    {
        use crate::builder::features_file;
        let features = format!("{}.{}", features_file::MAJOR, features_file::MINOR);
        formats.insert("features", features);
    }
    #[cfg(feature = "line")]
    {
        formats.insert("records", crate::line::evidence::FORMAT.to_string());
        formats.insert("feed", crate::line::feed::FORMAT.to_string());
    }
    formats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_its_own_name_and_version_and_the_formats_of_the_library() {
        let release = Release::of("a-program", "7.8.9");
        assert_eq!((release.program, release.version), ("a-program", "7.8.9"));
        let read: serde_json::Value = serde_json::from_str(&release.to_json()).expect("is JSON");
        assert_eq!(read["version"], "7.8.9");
        assert_eq!(read["formats"]["template"], "1.0");
        assert_eq!(read["formats"].get("records").is_some(), cfg!(feature = "line"));
        assert!(read["target"].as_str().expect("a text").starts_with(std::env::consts::ARCH));
    }
}
