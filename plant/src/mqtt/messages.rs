//! Makes the topics and the contents of messages.

use crate::board::Now;
use crate::part::Part;
use hetmm::line::config::DeviceConfig;
use serde_json::{Map, Value, json};

/// The most regions of a part that are published.
const MOST_REGIONS: usize = 16;
/// The longest content of a part, in bytes.
const LONGEST_PART: usize = 2048;

/// Holds one message for the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The whole topic.
    pub topic: String,
    /// What is published, as JSON. A text is published without quotation marks.
    pub content: Value,
    /// Whether the broker keeps it for clients that come later.
    pub is_retained: bool,
    /// Whether the broker acknowledges it.
    pub at_least_once: bool,
    /// Whether it says how many messages before it were dropped.
    pub tells_losses: bool,
}

impl Message {
    /// Returns the message with the number of messages that were dropped before it, if it can say that.
    pub fn after_losing(&self, count: u64) -> Self {
        let mut message = self.clone();
        if let Some(fields) = message.content.as_object_mut().filter(|_| self.tells_losses) {
            fields.insert("dropped".into(), count.into());
        }
        message
    }

    /// Returns the bytes that are published.
    pub fn payload(&self) -> Vec<u8> {
        match &self.content {
            Value::String(text) => text.clone().into_bytes(),
            content => content.to_string().into_bytes(),
        }
    }
}

/// Makes messages for one device.
#[derive(Debug, Clone)]
pub struct Topics {
    prefix: String,
}

impl Topics {
    /// Makes the topics of a device: `hetmm/v1/SITE/DEVICE/`.
    pub fn new(device: &DeviceConfig) -> Self {
        Topics { prefix: format!("hetmm/v1/{}/{}/", device.site, device.name) }
    }

    /// Returns a whole topic.
    pub fn of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Returns the verb of a command's topic.
    pub fn verb<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(&*self.prefix)?.strip_prefix("cmd/")
    }

    /// Says whether the device's connection lives.
    pub fn alive(&self, is_online: bool) -> Message {
        let word = if is_online { "online" } else { "offline" };
        self.retained("alive", word.into())
    }

    /// Says the state of the device, without what changes at every moment.
    pub fn status(&self, now: &Now) -> Message {
        let field = |path: &str| now.status.pointer(path).cloned().unwrap_or_default();
        let content = json!({
            "state": field("/state"),
            "faults": field("/faults"),
            "warnings": field("/drift/warnings"),
            "template": field("/template/identity"),
            "counters": field("/counters"),
            "version": now.version,
        });
        self.retained("status", content)
    }

    /// Says how far light, focus and parts have drifted.
    pub fn drift(&self, now: &Now) -> Message {
        self.retained("drift", now.status.get("drift").cloned().unwrap_or_default())
    }

    /// Says the newest record of the evidence: an anchor outside the device.
    pub fn evidence(&self, now: &Now, unix_ms: u64) -> Option<Message> {
        let chain = now.status.pointer("/records/chain")?;
        // Before the first record there is no anchor.
        chain.get("seq")?.as_u64()?;
        let field = |name: &str| chain.get(name).cloned().unwrap_or_default();
        let content = json!({"seq": field("seq"), "blake3": field("blake3"), "unix_ms": unix_ms});
        Some(self.retained("evidence/head", content))
    }

    /// Says what became of a part. Regions beyond sixteen are left out; if it is still too long, all of them.
    pub fn part(&self, part: &Part, qos: u8) -> Message {
        let mut content = part.json.clone();
        if let Some(fields) = content.as_object_mut() {
            fields.remove("type");
            shorten(fields);
        }
        Message {
            topic: self.of("part"),
            content,
            is_retained: false,
            at_least_once: qos > 0,
            tells_losses: true,
        }
    }

    fn retained(&self, name: &str, content: Value) -> Message {
        Message {
            topic: self.of(name),
            content,
            is_retained: true,
            at_least_once: true,
            tells_losses: false,
        }
    }
}

fn shorten(fields: &mut Map<String, Value>) {
    let regions = fields.get_mut("regions").and_then(Value::as_array_mut);
    if let Some(regions) = regions.filter(|regions| regions.len() > MOST_REGIONS) {
        regions.truncate(MOST_REGIONS);
        fields.insert("regions_cut".into(), true.into());
    }
    let length = |fields: &Map<String, Value>| serde_json::to_vec(fields).map_or(0, |v| v.len());
    if length(fields) > LONGEST_PART {
        fields.insert("regions".into(), json!([]));
        fields.insert("regions_cut".into(), true.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics::new(&DeviceConfig::default())
    }

    #[test]
    fn a_part_with_many_regions_stays_short() {
        for (count, width, left) in [(3, 1, 3), (40, 1, 16), (16, 200, 0)] {
            let region = json!({"x": 1, "note": "x".repeat(width)});
            let message = json!({
                "type": "part", "part": 1, "unix_ms": 0, "trigger_us": 0, "outcome": "passed", "why": null,
                "score": 1.0, "threshold": 2.0, "regions": vec![region; count],
            });
            let message = topics().part(&Part::read(message).expect("a part"), 0);
            assert_eq!(message.topic, "hetmm/v1/plant/cam1/part");
            let regions = message.content["regions"].as_array().expect("a list").len();
            assert_eq!(regions, left, "{count}");
            assert_eq!(message.content["regions_cut"] == true, left != count);
            assert!(message.payload().len() <= LONGEST_PART);
            assert_eq!(message.content.get("type"), None);
        }
    }

    #[test]
    fn only_commands_of_this_device_have_a_verb() {
        let topics = topics();
        assert_eq!(topics.verb("hetmm/v1/plant/cam1/cmd/safe"), Some("safe"));
        assert_eq!(topics.verb("hetmm/v1/plant/cam2/cmd/safe"), None);
        assert_eq!(topics.verb("hetmm/v1/plant/cam1/status"), None);
    }
}
