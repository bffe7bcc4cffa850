//! Knows the releases of NVIDIA's Jetson Linux on which letting go of a GPIO line changes its pad.
//!
//! On JetPack 6.2.1 (Jetson Linux 36.4.4) the pad is switched away from the GPIO controller when a line is released.
//! JetPack 6.2.2 (36.5) has mended it. Source: ARK-Electronics/ark_jetson_kernel, issue 54 and pull request 55.

use std::path::Path;

/// The file in which Jetson Linux says its release.
const RELEASE: &str = "/etc/nv_tegra_release";

/// Holds a release of Jetson Linux, as in 36.4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JetsonRelease {
    /// The first number.
    pub major: u32,
    /// The second and the third number.
    pub revision: (u32, u32),
}

impl JetsonRelease {
    /// Returns the release of this machine, if it is a Jetson.
    pub fn of_this_machine() -> Option<Self> {
        Self::parse(&std::fs::read_to_string(Path::new(RELEASE)).ok()?)
    }

    /// Reads a line such as `# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic, EABI: aarch64`.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("# R")?;
        let major = line.split(' ').next()?.parse().ok()?;
        let revision = line.split_once("REVISION: ")?.1.split(',').next()?;
        let (minor, patch) = revision.trim().split_once('.').unwrap_or((revision.trim(), "0"));
        Some(JetsonRelease { major, revision: (minor.parse().ok()?, patch.parse().ok()?) })
    }

    /// Returns whether the pad of a GPIO line no longer belongs to the GPIO controller after the line was released.
    pub fn loses_released_lines(self) -> bool {
        self.major == 36 && self.revision >= (4, 4) && self.revision < (5, 0)
    }
}

impl std::fmt::Display for JetsonRelease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jetson Linux {}.{}.{}", self.major, self.revision.0, self.revision.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affected_releases_are_known_by_their_number() {
        let of = |revision: &str| {
            let text =
                format!("# {revision}, GCID: 41062509, BOARD: generic, EABI: aarch64, DATE: x\n");
            JetsonRelease::parse(&text)
        };
        for (revision, shown, affected) in [
            ("R35 (release), REVISION: 4.1", "Jetson Linux 35.4.1", false),
            ("R36 (release), REVISION: 4.3", "Jetson Linux 36.4.3", false),
            ("R36 (release), REVISION: 4.4", "Jetson Linux 36.4.4", true),
            ("R36 (release), REVISION: 4.7", "Jetson Linux 36.4.7", true),
            ("R36 (release), REVISION: 5.0", "Jetson Linux 36.5.0", false),
            ("R36 (release), REVISION: 5", "Jetson Linux 36.5.0", false),
            ("R38 (release), REVISION: 4.4", "Jetson Linux 38.4.4", false),
        ] {
            let release = of(revision).expect(revision);
            assert_eq!(release.to_string(), shown);
            assert_eq!(release.loses_released_lines(), affected, "{revision}");
        }
        for text in
            ["", "# R", "# Rx (release), REVISION: 4.4", "# R36 (release)", "# R36, REVISION: x"]
        {
            assert_eq!(JetsonRelease::parse(text), None, "{text}");
        }
    }
}
