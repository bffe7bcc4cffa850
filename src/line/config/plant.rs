//! Holds the tables that `hetmm-plant` reads: what listens or dials on a network. `hetmm-edge` checks them and uses none.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Holds the table `[modbus]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModbusConfig {
    /// The address to listen on. Without it, there is no Modbus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The order of the two registers of a number of 32 bits.
    pub word_order: WordOrder,
    /// Whether `writers` may write.
    pub write: bool,
    /// The addresses that may write.
    pub writers: Vec<IpAddr>,
    /// The addresses that may connect. If there are none, every address may.
    pub allow: Vec<IpAddr>,
    /// The largest number of connections at the same time.
    pub max_connections: usize,
    /// The time after which a silent connection is closed, in seconds.
    pub idle_s: u64,
    /// The time within which the PLC has to toggle its sign of life, in milliseconds; 0 for never.
    pub plc_alive_ms: u64,
}

impl Default for ModbusConfig {
    fn default() -> Self {
        ModbusConfig {
            listen: None,
            word_order: WordOrder::HighFirst,
            write: false,
            writers: vec![],
            allow: vec![],
            max_connections: 8,
            idle_s: 60,
            plc_alive_ms: 0,
        }
    }
}

/// Names the order of the registers of a number of 32 or 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WordOrder {
    /// The register with the highest bits comes first.
    #[default]
    HighFirst,
    /// The register with the lowest bits comes first.
    LowFirst,
}

/// Holds the table `[mqtt]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// The broker: `mqtt://HOST:PORT` or `mqtts://HOST:PORT`. Without it, there is no MQTT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// The certificates that may sign the broker's certificate, in PEM. Without them, those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The certificate of this client, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// The key of this client's certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The file with the password of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The parts that are published.
    pub parts: PublishedParts,
    /// The quality of service of parts: 0 or 1.
    pub part_qos: u8,
    /// The number of messages that may wait for the broker. If there are more, the oldest are dropped.
    pub queue: usize,
    /// The time after which a silent connection is tested, in seconds.
    pub keep_alive_s: u16,
    /// Whether commands are accepted.
    pub commands: bool,
    /// Whether a password may be sent without TLS.
    pub plain_password: bool,
}

impl Default for MqttConfig {
    fn default() -> Self {
        MqttConfig {
            broker: None,
            ca: None,
            cert: None,
            key_file: None,
            user: None,
            password_file: None,
            parts: PublishedParts::All,
            part_qos: 0,
            queue: 4096,
            keep_alive_s: 30,
            commands: false,
            plain_password: false,
        }
    }
}

impl MqttConfig {
    /// Returns host, port and whether the connection is encrypted. It is `None` without a broker, or if the broker's
    /// address cannot be understood.
    pub fn address(&self) -> Option<Broker<'_>> {
        let broker = self.broker.as_deref()?;
        let (is_encrypted, rest) = match broker.split_once("://")? {
            ("mqtt", rest) => (false, rest),
            ("mqtts", rest) => (true, rest),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
            None => (rest, if is_encrypted { 8883 } else { 1883 }),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?');
        (!host.is_empty() && !host.contains(is_bad)).then_some(Broker { host, port, is_encrypted })
    }
}

/// Says where the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broker<'a> {
    /// The name or the address of the host.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// Whether the connection uses TLS.
    pub is_encrypted: bool,
}

impl Broker<'_> {
    /// Returns whether the broker runs on this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

/// Names the parts that are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishedParts {
    /// Every part.
    #[default]
    All,
    /// The rejected parts.
    Rejected,
    /// No part.
    None,
}

/// Holds the table `[metrics]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// The address to listen on. Without it, there are no metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The addresses that may ask. If there are none, every address may.
    pub allow: Vec<IpAddr>,
}

/// Holds the table `[web]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// The address to listen on. Without it, there is no page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The names under which the page may be asked for, beside the address and `localhost`.
    pub hosts: Vec<String>,
    /// The certificate of the page, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the page's certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Whether the page may be served without encryption to other machines.
    pub plain_http: bool,
    /// Whether everybody may look without a password.
    pub anonymous_observer: bool,
    /// The largest number of connections at the same time.
    pub max_connections: usize,
    /// The language that the page begins with.
    pub language: Language,
    /// The file of users and their passwords' hashes.
    pub users: PathBuf,
}

impl Default for WebConfig {
    fn default() -> Self {
        WebConfig {
            listen: None,
            hosts: vec![],
            tls_cert: None,
            tls_key: None,
            plain_http: false,
            anonymous_observer: false,
            max_connections: 32,
            language: Language::En,
            users: "/var/lib/hetmm-plant/users.json".into(),
        }
    }
}

/// Names a language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}
