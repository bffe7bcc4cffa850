//! Refuses what a configuration must not say.

use super::camera;
use super::check_expanders;
use super::check_plant;
use super::locate::Located;
use super::schema::{FeatureDevice, LineConfig, TriggerSource};
use crate::error::Result;
use crate::files;
use crate::gpio::{EdgeKind, LineRef};
use crate::template::signature::TrustedKey;

/// One hour, the longest value of any time.
const HOUR_US: u64 = 3_600_000_000;

pub(super) fn check(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    ranges(config, at)?;
    device(config, at)?;
    slots(config, at)?;
    signatures(config, at)?;
    features(config, at)?;
    trigger(config, at)?;
    camera::check(config, at)?;
    reject(config, at)?;
    outputs(config, at)?;
    archive(config, at)?;
    drift(config, at)?;
    commissioning(config, at)?;
    check_expanders::check(config, at)?;
    check_plant::check(config, at)?;
    pins(config, at)
}

fn ranges(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let (reject, outputs) = (&config.reject, &config.outputs);
    let rows = [
        ("trigger.debounce_us", Some(config.trigger.debounce_us), 0, 1_000_000),
        ("trigger.lines", config.trigger.lines.map(u64::from), 1, 65_536),
        ("outputs.lines", outputs.lines.map(u64::from), 1, 65_536),
        ("camera.capture_delay_us", Some(config.camera.capture_delay_us), 0, HOUR_US),
        ("camera.buffers", Some(u64::from(config.camera.buffers)), 2, 32),
        ("camera.width", config.camera.width.map(u64::from), 8, 16_384),
        ("camera.height", config.camera.height.map(u64::from), 8, 16_384),
        ("reject.delay_us", reject.delay_us, 1_000, HOUR_US),
        ("reject.delay_counts", reject.delay_counts, 1, u64::from(u32::MAX)),
        ("reject.deadline_us", reject.deadline_us, 1_000, HOUR_US),
        ("reject.pulse_width_us", Some(reject.pulse_width_us), 100, 60_000_000),
        ("reject.min_pitch_us", reject.min_pitch_us, 0, HOUR_US),
        ("reject.min_pitch_counts", reject.min_pitch_counts, 0, u64::from(u32::MAX)),
        ("reject.max_in_flight", Some(reject.max_in_flight as u64), 1, 4096),
        ("reject.max_waiting", Some(reject.max_waiting as u64), 1, 64),
        ("outputs.ok_pulse_width_us", Some(outputs.ok_pulse_width_us), 100, 60_000_000),
        ("outputs.feedback_max_us", Some(outputs.feedback_max_us), 100, 1_000_000),
        ("outputs.strobe_delay_us", Some(outputs.strobe_delay_us), 0, 60_000_000),
        ("outputs.strobe_width_us", Some(outputs.strobe_width_us), 10, 60_000_000),
        (
            "outputs.heartbeat_half_period_us",
            Some(outputs.heartbeat_half_period_us),
            1_000,
            HOUR_US,
        ),
        ("records.max_bytes", Some(config.records.max_bytes), 10_000, 1 << 40),
        ("records.keep", Some(u64::from(config.records.keep)), 0, 1000),
        ("records.segment_mib", Some(config.records.segment_mib), 1, 1024),
        ("records.sync_ms", Some(config.records.sync_ms), 0, 60_000),
        ("records.keep_days", Some(config.records.keep_days), 0, 36_500),
        ("records.min_free_mib", Some(config.records.min_free_mib), 0, 1 << 40),
        ("archive.max_parts", Some(config.archive.max_parts as u64), 1, 1_000_000),
        ("archive.min_free_mib", Some(config.archive.min_free_mib), 0, 1 << 40),
        ("archive.keep_days", Some(config.archive.keep_days), 0, 36_500),
        ("archive.passed_every", Some(config.archive.passed_every), 0, 1_000_000_000),
        ("archive.queue", Some(config.archive.queue as u64), 1, 256),
        ("device.max_temperature_c", config.device.max_temperature_c.map(u64::from), 20, 150),
        ("feed.queue", Some(config.feed.queue as u64), 16, 65_536),
        ("realtime.priority", Some(u64::from(config.realtime.priority)), 0, 98),
        (
            "realtime.inspection_timeout_us",
            Some(config.realtime.inspection_timeout_us),
            10_000,
            HOUR_US,
        ),
        ("commissioning.minutes", Some(config.commissioning.minutes), 1, 60),
        ("template.threads", Some(config.template.threads as u64), 0, 1024),
    ];
    for (path, value, low, high) in rows {
        if let Some(value) = value.filter(|v| !(low..=high).contains(v)) {
            let remedy = format!("give a value from {low} to {high}");
            return Err(at.error(path, &format!("{value} is out of range"), &remedy));
        }
    }
    let previews = config.feed.preview_per_second;
    if !(0.1..=30.0).contains(&previews) {
        let why = format!("{previews} is out of range");
        return Err(at.error("feed.preview_per_second", &why, "give 0.1 to 30"));
    }
    let rate = config.camera.frames_per_second;
    if let Some(rate) = rate.filter(|r| !(0.01..=10_000.0).contains(r)) {
        let why = format!("{rate} is out of range");
        return Err(at.error("camera.frames_per_second", &why, "give 0.01 to 10000"));
    }
    Ok(())
}

/// Refuses names that could not stand in a topic, a file name or a table.
fn device(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let device = &config.device;
    let rows = [
        ("device.name", Some(&device.name)),
        ("device.site", Some(&device.site)),
        ("device.serial", device.serial.as_ref()),
    ];
    for (path, name) in rows {
        let is_bad = |c: char| c.is_control() || matches!(c, '+' | '#' | '/');
        let is_wrong = |name: &&String| !(1..=64).contains(&name.len()) || name.contains(is_bad);
        if let Some(name) = name.filter(is_wrong) {
            let why = format!("{name:?} cannot be used as a name");
            let remedy = "give 1 to 64 bytes, without +, #, / and control characters";
            return Err(at.error(path, &why, remedy));
        }
    }
    Ok(())
}

/// Refuses one file in two slots, because both would keep what is taught to either.
fn slots(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let slots = &config.template.slots;
    for (place, (slot, file)) in slots.iter().enumerate() {
        let same = slots.iter().take(place).find(|(_, other)| *other == file);
        if let Some((other, _)) = same {
            let why = format!("slot {other} has this file already");
            return Err(at.error(
                &format!("template.slots.{slot}"),
                &why,
                "give each slot a file of its own",
            ));
        }
    }
    inbox(config, at)
}

/// Refuses an inbox among the templates: the program that writes there must not reach a template that is used.
fn inbox(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let template = &config.template;
    let Some(inbox) = &template.inbox else { return Ok(()) };
    let mut files = template.slots.values().chain([&template.file]);
    if files.any(|file| files::folder_of(file) == inbox) {
        let remedy = "give a folder of its own, such as /var/lib/hetmm/inbox";
        return Err(at.error(
            "template.inbox",
            "templates that are used lie in this folder",
            remedy,
        ));
    }
    if template.slots.is_empty() {
        let remedy = "add template.slots, into which an uploaded template is copied";
        return Err(at.error(
            "template.inbox",
            "there is no slot for an uploaded template",
            remedy,
        ));
    }
    Ok(())
}

fn signatures(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let template = &config.template;
    if let Some(key) = template.keys.iter().find(|key| TrustedKey::parse(key).is_none()) {
        let why = format!("{key:?} is no public key of minisign");
        let remedy = "give the second line of a minisign.pub, which begins with RW";
        return Err(at.error("template.keys", &why, remedy));
    }
    if template.device_signs && template.keys.is_empty() {
        let remedy = "give template.keys, or remove device_signs";
        return Err(at.error("template.device_signs", "has no meaning without keys", remedy));
    }
    Ok(())
}

fn features(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let template = &config.template;
    let device = template.device;
    let own = matches!(device, FeatureDevice::Usual | FeatureDevice::Int8 | FeatureDevice::Tract);
    if !cfg!(feature = "onnxruntime") && !own && device != FeatureDevice::Auto {
        let why = "this hetmm-edge was built without ONNX Runtime";
        let remedy = "build it with its feature onnxruntime (cross/README.md says how), or use device = \"usual\" or \
                      \"auto\"";
        return Err(at.error("template.device", why, remedy));
    }
    let tensorrt = matches!(device, FeatureDevice::TensorRt | FeatureDevice::Auto);
    let gpu = tensorrt || device == FeatureDevice::Cuda;
    let stray = [
        ("template.onnxruntime", template.onnxruntime.is_some() && own, "cpu\", \"cuda"),
        ("template.fp16", template.fp16 && !tensorrt, "tensorrt"),
        ("template.tf32", template.tf32 && !gpu, "cuda\", \"tensorrt"),
        ("template.engine_cache", template.engine_cache.is_some() && !tensorrt, "tensorrt"),
    ];
    for (path, is_stray, device) in stray {
        if is_stray {
            let why = format!("has no meaning without device = \"{device}\" or \"auto\"");
            return Err(at.error(path, &why, "remove it, or change template.device"));
        }
    }
    Ok(())
}

fn trigger(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let trigger = &config.trigger;
    let by_gpio = trigger.source == TriggerSource::Gpio;
    for (path, given) in
        [("trigger.chip", trigger.chip.is_some()), ("trigger.line", trigger.line.is_some())]
    {
        if by_gpio && !given {
            let remedy = "name the GPIO chip and line that the sensor is wired to";
            return Err(at.error(path, "is missing, and source = \"gpio\" needs it", remedy));
        }
        if !by_gpio && given && config.encoder.is_none() {
            let remedy = "remove it, or set source = \"gpio\"";
            return Err(at.error(path, "has no meaning without source = \"gpio\"", remedy));
        }
    }
    if trigger.lines.is_some() && trigger.chip.is_none() {
        let remedy = "remove it, or name the chip with trigger.chip";
        return Err(at.error("trigger.lines", "has no meaning without a chip", remedy));
    }
    if trigger.edge == EdgeKind::Both {
        let remedy = "say \"rising\" or \"falling\"";
        return Err(at.error("trigger.edge", "a part has one edge", remedy));
    }
    if trigger.source == TriggerSource::Software && config.control.socket.is_none() {
        let remedy = "set control.socket to a path such as /run/hetmm/edge.sock";
        return Err(at.error("trigger.source", "\"software\" needs a control socket", remedy));
    }
    let Some(encoder) = &config.encoder else { return Ok(()) };
    if !by_gpio {
        let remedy = "remove [encoder], or set trigger.source = \"gpio\"";
        return Err(at.error("encoder", "counts need a GPIO trigger to start from", remedy));
    }
    if encoder.chip != trigger.chip {
        let why = "edges of two chips have no common order";
        let remedy = "wire encoder and trigger to one GPIO chip, and remove encoder.chip";
        return Err(at.error("encoder.chip", why, remedy));
    }
    Ok(())
}

fn reject(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let reject = &config.reject;
    match (reject.delay_us, reject.delay_counts) {
        (None, None) => {
            let why = "the distance from trigger to gate is missing";
            let remedy = "give reject.delay_us, or reject.delay_counts with an [encoder]";
            return Err(at.error("reject", why, remedy));
        }
        (Some(_), Some(_)) => {
            let why = "the distance from trigger to gate is given twice";
            return Err(at.error("reject.delay_counts", why, "give delay_us or delay_counts"));
        }
        _ => {}
    }
    if reject.delay_counts.is_some() != config.encoder.is_some() {
        let (path, why) = match &config.encoder {
            None => ("reject.delay_counts", "counts need an encoder"),
            Some(_) => ("encoder", "nothing uses its counts"),
        };
        let remedy = "give both [encoder] and reject.delay_counts, or neither";
        return Err(at.error(path, why, remedy));
    }
    if reject.min_pitch_us.is_some() && reject.min_pitch_counts.is_some() {
        let why = "the pitch is given twice";
        return Err(at.error("reject.min_pitch_counts", why, "give one of the two"));
    }
    if reject.min_pitch_counts.is_some() && config.encoder.is_none() {
        let why = "counts need an encoder";
        return Err(at.error("reject.min_pitch_counts", why, "give min_pitch_us instead"));
    }
    let Some(deadline) = reject.deadline_us else {
        let why = "is missing, and counts say nothing about time";
        let remedy = "give the time within which a result must be there";
        return Err(at.error("reject.deadline_us", why, remedy));
    };
    if let Some(delay) = reject.delay_us.filter(|delay| deadline > *delay) {
        let why = format!("{deadline} us is after the part has reached the gate ({delay} us)");
        return Err(at.error("reject.deadline_us", &why, "give no more than reject.delay_us"));
    }
    if config.camera.capture_delay_us >= deadline {
        let why = format!("no frame can be there before the deadline ({deadline} us)");
        return Err(at.error("camera.capture_delay_us", &why, "make it shorter"));
    }
    if let Some(pitch) = reject.min_pitch_us.filter(|pitch| reject.pulse_width_us > *pitch) {
        let why = format!(
            "a pulse of {} us would reject the next part too ({pitch} us behind)",
            reject.pulse_width_us
        );
        let remedy = "make the pulse no longer than reject.min_pitch_us";
        return Err(at.error("reject.pulse_width_us", &why, remedy));
    }
    Ok(())
}

fn outputs(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let outputs = &config.outputs;
    let beat = outputs.heartbeat_half_period_us;
    if outputs.heartbeat.is_some() && beat > 10_000_000 {
        let why =
            "a heartbeat slower than every 10 s does not show in time that the program has stopped";
        return Err(at.error("outputs.heartbeat_half_period_us", why, "give at most 10000000"));
    }
    if outputs.lines.is_some() && outputs.chip.is_none() {
        let remedy = "remove it, or name the chip with outputs.chip";
        return Err(at.error("outputs.lines", "has no meaning without a chip", remedy));
    }
    let feedback = outputs.feedback();
    if feedback.is_some_and(|feedback| feedback.config.edge == EdgeKind::Both) {
        let remedy = "say \"rising\" or \"falling\"";
        return Err(at.error("outputs.ng.feedback", "a pulse has one beginning", remedy));
    }
    if outputs.simulate {
        return Ok(());
    }
    if feedback.is_some_and(|feedback| feedback.chip.is_none()) {
        let remedy = "give outputs.chip, or a chip for this line";
        return Err(at.error("outputs.ng.feedback", "has no GPIO chip", remedy));
    }
    if outputs.ng.is_none() && outputs.ok.is_none() {
        let why = "neither a reject output (ng) nor a pass output (ok) is given";
        let remedy = "give [outputs.ng], or set simulate = true for a trial at the desk";
        return Err(at.error("outputs", why, remedy));
    }
    for wired in outputs.wired() {
        if wired.chip.is_none() {
            let remedy = "give outputs.chip, or a chip for this line";
            return Err(at.error(&format!("outputs.{}", wired.name), "has no GPIO chip", remedy));
        }
    }
    Ok(())
}

fn archive(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let archive = &config.archive;
    if archive.passed_every > 0 && archive.folder.is_none() {
        let remedy = "give archive.folder, or remove passed_every";
        return Err(at.error("archive.passed_every", "has no meaning without a folder", remedy));
    }
    Ok(())
}

fn drift(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let drift = &config.drift;
    let rows = [
        ("drift.block_s", drift.block_s as f64, 1.0, 3600.0),
        ("drift.block_parts", f64::from(drift.block_parts), 1.0, 100_000.0),
        ("drift.learn_blocks", f64::from(drift.learn_blocks), 20.0, 5000.0),
        ("drift.k", drift.k, 0.1, 3.0),
        ("drift.h", drift.h, 3.0, 1000.0),
        ("drift.horizon_h", drift.horizon_h, 1.0, 1000.0),
    ];
    for (path, value, low, high) in rows {
        if !(low..=high).contains(&value) {
            let remedy = format!("give a value from {low} to {high}");
            return Err(at.error(path, &format!("{value} is out of range"), &remedy));
        }
    }
    if drift.watch && drift.file.is_none() {
        let why = "is missing, and watch = true needs it";
        let remedy = "name a file that the program may write, such as /var/lib/hetmm/drift.json";
        return Err(at.error("drift.file", why, remedy));
    }
    if config.outputs.warning.is_some() && !drift.watch {
        let why = "nothing would ever switch this output on";
        let remedy = "set watch = true in [drift], or remove the output";
        return Err(at.error("outputs.warning", why, remedy));
    }
    Ok(())
}

fn commissioning(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    if config.commissioning.allowed && config.control.socket.is_none() {
        let remedy = "set control.socket to a path such as /run/hetmm/edge.sock";
        return Err(at.error("commissioning.allowed", "true needs a control socket", remedy));
    }
    Ok(())
}

/// Refuses two functions on one pin.
fn pins(config: &LineConfig, at: &Located<'_>) -> Result<()> {
    let mut pins: Vec<(String, Option<&str>, &LineRef)> = vec![];
    if let Some(line) = &config.trigger.line {
        pins.push(("trigger.line".into(), config.trigger.chip.as_deref(), line));
    }
    if let Some(encoder) = &config.encoder {
        pins.push(("encoder.line".into(), encoder.chip.as_deref(), &encoder.line));
    }
    for wired in config.outputs.wired() {
        let chip = wired.chip.map(|chip| chip.name);
        pins.push((format!("outputs.{}.line", wired.name), chip, wired.line));
    }
    if let Some(feedback) = config.outputs.feedback() {
        let chip = feedback.chip.map(|chip| chip.name);
        pins.push(("outputs.ng.feedback.line".into(), chip, &feedback.config.line));
    }
    for (i, (path, chip, line)) in pins.iter().enumerate() {
        let same = pins.iter().take(i).find(|(_, c, l)| c == chip && l == line);
        if let Some((other, ..)) = same {
            let why = format!("{line} is already {other}");
            return Err(at.error(path, &why, "wire them to two lines"));
        }
    }
    Ok(())
}
