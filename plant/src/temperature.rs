//! Reads the temperatures that the kernel knows.

use crate::board::Board;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The folder of the kernel's zones.
const ZONES: &str = "/sys/class/thermal";
/// The time between two readings.
const EVERY: Duration = Duration::from_secs(5);
/// The most zones that are watched.
const MOST_ZONES: usize = 24;
/// The most zones that are shown, so that metrics stay few.
const MOST_SHOWN: usize = 7;
/// The most trip points of a zone that are read. The kernel has no more than 12.
const MOST_TRIPS: usize = 12;
/// The trip points at which the kernel slows the processor down, tells somebody, or switches the computer off.
const TRIPS: [&str; 3] = ["passive", "hot", "critical"];

/// Holds one zone of the kernel.
#[derive(Debug, Clone, PartialEq)]
struct Zone {
    /// What the zone measures, such as `cpu-thermal`. Two zones with one name get their numbers behind it.
    name: String,
    /// The temperature, in degrees Celsius.
    celsius: f64,
    /// The temperature from which on it is too hot: the limit of the configuration or the least trip point, whichever is
    /// lower.
    limit: Option<f64>,
}

impl Zone {
    /// Returns whether the zone is too hot.
    fn is_too_hot(&self) -> bool {
        self.limit.is_some_and(|limit| self.celsius >= limit)
    }
}

/// Tells the board the temperatures again and again, for as long as this program runs. `limit` is that of the
/// configuration, in degrees Celsius.
pub fn watch(board: &Board, limit: Option<f64>) {
    loop {
        board.temperature(to_json(&read(Path::new(ZONES), limit)));
        std::thread::sleep(EVERY);
    }
}

/// Reads all zones below a folder. `limit` is that of the configuration, in degrees Celsius. A zone that cannot be read
/// is left out: many kernels have some whose sensor is off.
fn read(folder: &Path, limit: Option<f64>) -> Vec<Zone> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let number =
            entry.file_name().to_str()?.strip_prefix("thermal_zone")?.parse::<u32>().ok()?;
        Some((number, entry.path()))
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort();
    numbered.truncate(MOST_ZONES);
    let zones = numbered.iter().filter_map(|(number, path)| Some((number, zone(path, limit)?)));
    let zones: Vec<(&u32, Zone)> = zones.collect();
    let is_twice = |name: &str| zones.iter().filter(|(_, zone)| zone.name == name).count() > 1;
    let named = zones.iter().map(|(number, zone)| match is_twice(&zone.name) {
        true => Zone { name: format!("{} {number}", zone.name), ..zone.clone() },
        false => zone.clone(),
    });
    named.collect()
}

fn zone(folder: &Path, limit: Option<f64>) -> Option<Zone> {
    let celsius = degrees(&folder.join("temp"))?;
    let trips = (0..MOST_TRIPS).filter_map(|number| {
        let kind = text(&folder.join(format!("trip_point_{number}_type")))?;
        let at = degrees(&folder.join(format!("trip_point_{number}_temp")))?;
        // Trip points at or below zero are ones that nobody has set.
        (TRIPS.contains(&kind.as_str()) && at > 0.0).then_some(at)
    });
    let limit = trips.chain(limit).reduce(f64::min);
    Some(Zone { name: text(&folder.join("type"))?, celsius, limit })
}

/// Returns a temperature. The kernel writes thousandths of a degree.
fn degrees(file: &Path) -> Option<f64> {
    text(file)?.parse::<i32>().ok().map(|thousandths| f64::from(thousandths) / 1000.0)
}

/// Returns the first words of one of the kernel's small files.
fn text(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let text: String = text.trim().chars().take(32).collect();
    (!text.is_empty()).then_some(text)
}

/// Returns what page, metrics and registers show of the zones.
fn to_json(zones: &[Zone]) -> Value {
    let named = zones.iter().take(MOST_SHOWN).map(|zone| (zone.name.clone(), json!(zone.celsius)));
    let highest = zones.iter().map(|zone| zone.celsius).reduce(f64::max);
    json!({
        "zones": Value::Object(named.collect()),
        "highest_c": highest,
        "too_hot": zones.iter().any(Zone::is_too_hot),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(folder: &Path, number: u32, files: &[(&str, &str)]) {
        let zone = folder.join(format!("thermal_zone{number}"));
        std::fs::create_dir(&zone).expect("makes");
        for (name, text) in files {
            std::fs::write(zone.join(name), format!("{text}\n")).expect("writes");
        }
    }

    #[test]
    fn zones_are_read_as_the_kernel_writes_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        assert_eq!(read(&at.join("missing"), None), []);
        make(at, 10, &[("type", "gpu"), ("temp", "-1500")]);
        make(at, 2, &[("type", "acpitz"), ("temp", "40000")]);
        make(at, 1, &[("type", "acpitz"), ("temp", "41250")]);
        make(at, 3, &[("type", "off")]);
        make(at, 4, &[("type", "odd"), ("temp", "warm")]);
        std::fs::create_dir(at.join("cooling_device0")).expect("makes");
        let zone = |name: &str, celsius| Zone { name: name.into(), celsius, limit: None };
        let zones = [zone("acpitz 1", 41.25), zone("acpitz 2", 40.0), zone("gpu", -1.5)];
        assert_eq!(read(at, None), zones);
        let all = to_json(&zones);
        assert_eq!((&all["zones"]["acpitz 1"], &all["highest_c"]), (&json!(41.25), &json!(41.25)));
        assert_eq!(all["too_hot"], false);
        let many: Vec<Zone> = (0..10).map(|i| zone(&format!("z{i}"), f64::from(i))).collect();
        let all = to_json(&many);
        assert_eq!(all["zones"].as_object().map(serde_json::Map::len), Some(MOST_SHOWN));
        assert_eq!(all["highest_c"], 9.0, "the others are watched all the same");
        assert_eq!(to_json(&[]), json!({"zones": {}, "highest_c": null, "too_hot": false}));
    }

    #[test]
    fn the_lowest_of_limit_and_trip_points_says_what_is_too_hot() {
        let folder = tempfile::tempdir().expect("a folder");
        make(
            folder.path(),
            0,
            &[
                ("type", "cpu-thermal"),
                ("temp", "80000"),
                ("trip_point_0_type", "active"),
                ("trip_point_0_temp", "50000"),
                ("trip_point_1_type", "critical"),
                ("trip_point_1_temp", "110000"),
                ("trip_point_2_type", "passive"),
                ("trip_point_2_temp", "-274000"),
                ("trip_point_3_type", "hot"),
                ("trip_point_3_temp", "95000"),
            ],
        );
        for (limit, wanted, is_too_hot) in [
            (None, 95.0, false),
            (Some(80.0), 80.0, true),
            (Some(81.0), 81.0, false),
            (Some(100.0), 95.0, false),
        ] {
            let zones = read(folder.path(), limit);
            assert_eq!(zones[0].limit, Some(wanted), "{limit:?}");
            assert_eq!(to_json(&zones)["too_hot"], is_too_hot, "{limit:?}");
        }
        std::fs::write(folder.path().join("thermal_zone0/temp"), "95000").expect("writes");
        assert!(read(folder.path(), None)[0].is_too_hot(), "the kernel's own point is reached");
    }
}
