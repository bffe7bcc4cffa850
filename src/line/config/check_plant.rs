//! Refuses what the tables of `hetmm-plant` must not say.

use super::locate::Located;
use super::schema::LineConfig;
use crate::error::Result;
use crate::line::request::Request;
use std::net::SocketAddr;

pub(super) fn check(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    ranges(config, at)?;
    control(config, at)?;
    listeners(config, at)?;
    modbus(config, at)?;
    mqtt(config, at)?;
    web(config, at)
}

fn ranges(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let (modbus, mqtt) = (&config.modbus, &config.mqtt);
    let rows = [
        ("modbus.max_connections", modbus.max_connections as u64, 1, 64),
        ("modbus.idle_s", modbus.idle_s, 1, 86_400),
        ("modbus.plc_alive_ms", modbus.plc_alive_ms, 0, 600_000),
        ("mqtt.part_qos", u64::from(mqtt.part_qos), 0, 1),
        ("mqtt.queue", mqtt.queue as u64, 16, 65_536),
        ("mqtt.keep_alive_s", u64::from(mqtt.keep_alive_s), 5, 3600),
        ("web.max_connections", config.web.max_connections as u64, 4, 256),
    ];
    for (path, value, low, high) in rows {
        if !(low..=high).contains(&value) {
            let remedy = format!("give a value from {low} to {high}");
            return Err(at.error(path, &format!("{value} is out of range"), &remedy));
        }
    }
    Ok(())
}

/// Refuses requests that nobody may send over a network, and names that no request has.
fn control(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    for verb in &config.control.plant_may {
        let why = match verb.as_str() {
            "resume" | "commission" => "nobody may do this over a network",
            verb if Request::VERBS.contains(&verb) => continue,
            _ => "there is no such request",
        };
        let allowed: Vec<&str> =
            Request::VERBS.into_iter().filter(|v| !matches!(*v, "resume" | "commission")).collect();
        let remedy = format!("give some of: {}", allowed.join(", "));
        return Err(at.error("control.plant_may", &format!("{verb:?}: {why}"), &remedy));
    }
    Ok(())
}

/// Refuses ports that no one could connect to, and listeners without what they show.
fn listeners(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let rows = [
        ("modbus.listen", config.modbus.listen),
        ("metrics.listen", config.metrics.listen),
        ("web.listen", config.web.listen),
    ];
    for (i, (path, address)) in rows.iter().enumerate() {
        let Some(address) = address else { continue };
        if address.port() == 0 {
            return Err(at.error(path, "port 0 is no port", "give the port that clients use"));
        }
        let same = |(_, other): &&(&str, Option<SocketAddr>)| *other == Some(*address);
        if let Some((other, _)) = rows.iter().take(i).find(same) {
            let why = format!("{address} is already {other}");
            return Err(at.error(path, &why, "give another port"));
        }
    }
    let needs = rows.iter().find(|(_, address)| address.is_some()).map(|(path, _)| *path);
    let needs = needs.or_else(|| config.mqtt.broker.as_ref().map(|_| "mqtt.broker"));
    match needs {
        Some(path) if config.feed.socket.is_none() => {
            let remedy = "set feed.socket to a path such as /run/hetmm/feed.sock";
            Err(at.error(path, "it shows what the feed says, and there is no feed", remedy))
        }
        _ => Ok(()),
    }
}

fn modbus(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let modbus = &config.modbus;
    if modbus.write && modbus.writers.is_empty() {
        let remedy = "give the address of the PLC, as in writers = [\"192.168.1.10\"]";
        return Err(at.error("modbus.write", "nobody is in modbus.writers", remedy));
    }
    if modbus.write && config.control.socket.is_none() {
        let remedy = "set control.socket to a path such as /run/hetmm/edge.sock";
        return Err(at.error("modbus.write", "true needs a control socket", remedy));
    }
    Ok(())
}

fn mqtt(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let mqtt = &config.mqtt;
    if mqtt.broker.is_none() {
        return Ok(());
    }
    let Some(broker) = mqtt.address() else {
        let remedy = "give mqtts://HOST:PORT, or mqtt://HOST:PORT without encryption";
        return Err(at.error("mqtt.broker", "the address cannot be understood", remedy));
    };
    if mqtt.cert.is_some() != mqtt.key_file.is_some() {
        let remedy = "give both mqtt.cert and mqtt.key_file, or none of them";
        return Err(at.error("mqtt", "a certificate needs its key", remedy));
    }
    let is_open = !broker.is_encrypted && !broker.is_loopback();
    if is_open && mqtt.password_file.is_some() && !mqtt.plain_password {
        let remedy = "use mqtts://, or set mqtt.plain_password = true";
        let why = "the password would cross the network without encryption";
        return Err(at.error("mqtt.password_file", why, remedy));
    }
    if mqtt.commands && config.control.socket.is_none() {
        let remedy = "set control.socket to a path such as /run/hetmm/edge.sock";
        return Err(at.error("mqtt.commands", "true needs a control socket", remedy));
    }
    Ok(())
}

fn web(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let web = &config.web;
    if web.tls_cert.is_some() != web.tls_key.is_some() {
        let remedy = "give both web.tls_cert and web.tls_key, or none of them";
        return Err(at.error("web", "a certificate needs its key", remedy));
    }
    let Some(listen) = web.listen else { return Ok(()) };
    if !listen.ip().is_loopback() && web.tls_cert.is_none() && !web.plain_http {
        let why = "passwords would cross the network without encryption";
        let remedy = "give web.tls_cert and web.tls_key, or set web.plain_http = true";
        return Err(at.error("web.listen", why, remedy));
    }
    if config.control.socket.is_none() {
        let remedy = "set control.socket to a path such as /run/hetmm/edge.sock";
        return Err(at.error("web.listen", "the page needs a control socket", remedy));
    }
    Ok(())
}
