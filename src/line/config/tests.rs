use super::*;

const WHOLE: &str = r#"
[template]
file = "part.hetmm"
[trigger]
source = "gpio"
chip = "gpiochip0"
line = 2
[camera]
source = "v4l2"
device = "/dev/video0"
width = 640
height = 480
format = "YUYV"
[reject]
delay_us = 400000
deadline_us = 350000
pulse_width_us = 30000
min_pitch_us = 60000
[outputs]
chip = "gpiochip0"
[outputs.ng]
line = 5
[outputs.fault]
line = 6
"#;

fn error_of(text: &str) -> String {
    match LineConfig::parse(text, "line.toml") {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_left_out_is_filled_in_and_reads_back_the_same() {
    let config = LineConfig::parse(WHOLE, "line.toml").expect("reads");
    assert_eq!(config.reject.max_in_flight, 256);
    let again = LineConfig::parse(&config.to_toml().expect("shows"), "again").expect("reads");
    assert_eq!(again, config);
    let least = WHOLE.replace("deadline_us = 350000\n", "").replace("min_pitch_us = 60000\n", "");
    let config = LineConfig::parse(&least, "line.toml").expect("reads");
    assert_eq!(config.reject.deadline_us, Some(400_000));
    assert_eq!(config.reject.min_pitch_us, Some(30_000));
}

#[test]
fn mistakes_are_named_with_their_line_and_a_remedy() {
    // Each row holds what to replace, the replacement, the place, and a word of the message.
    let table = [
        ("delay_us = 400000", "delay_su = 400000", "line.toml:15", "unknown field `delay_su`"),
        ("pulse_width_us = 30000", "pulse_width_us = \"30 ms\"", "line.toml:17", "invalid type"),
        ("pulse_width_us = 30000\n", "", "line.toml:14", "missing field `pulse_width_us`"),
        ("deadline_us = 350000", "deadline_us = 450000", "line.toml:16", "after the part has"),
        ("pulse_width_us = 30000", "pulse_width_us = 70000", "line.toml:17", "the next part too"),
        ("line = 6", "line = 5", "line.toml:24", "already outputs.ng"),
        ("line = 6", "line = 2", "line.toml:24", "already trigger"),
        ("delay_us = 400000", "delay_counts = 400", "line.toml:15", "counts need an encoder"),
        ("delay_us = 400000\n", "", "line.toml:14", "from trigger to gate is missing"),
        ("source = \"gpio\"", "source = \"software\"", "line.toml:6", "no meaning"),
        ("chip = \"gpiochip0\"\nline = 2", "", "line.toml:4", "is missing"),
        ("device = \"/dev/video0\"\n", "", "line.toml:8", "camera.device: is missing"),
        ("format = \"YUYV\"", "format = \"RAW\"", "line.toml:13", "RAW"),
        ("width = 640", "width = 4", "line.toml:11", "out of range"),
        ("source = \"v4l2\"", "source = \"folder\"", "line.toml", "no meaning"),
        ("line = 2", "line = 2\nedge = \"both\"", "line.toml:8", "a part has one edge"),
        ("line = 5", "line = 5\nactive = \"hgih\"", "line.toml:23", "unknown variant"),
        ("[outputs]\nchip = \"gpiochip0\"", "[outputs]", "line.toml", "has no GPIO chip"),
        ("line = 2", "line = 2\n[encoder]\nline = 3", "line.toml:8", "nothing uses its counts"),
        ("height = 480", "height = 480\nframes_per_second = 0.0", "line.toml", "out of range"),
        ("height = 480", "height = 480\ncapture_delay_us = 360000", "line.toml", "no frame can"),
        ("[template]", "[device]\nname = \"a/b\"\n[template]", "line.toml:3", "as a name"),
        (
            "[template]",
            "[device]\nmax_temperature_c = 19\n[template]",
            "line.toml:3",
            "out of range",
        ),
        ("[template]", "[device]\nserial = \"\"\n[template]", "line.toml:3", "as a name"),
        ("[template]", "[device]\nkey = \"k\"\n[template]", "line.toml:3", "unknown field `key`"),
        ("[trigger]", "keys = [\"RWxyz\"]\n[trigger]", "line.toml:4", "no public key of minisign"),
        ("[trigger]", "device_signs = true\n[trigger]", "line.toml:4", "no meaning without keys"),
        (
            "[outputs.ng]",
            "[records]\nsync_ms = 60001\n[outputs.ng]",
            "line.toml:22",
            "out of range",
        ),
        (
            "[outputs.ng]",
            "[records]\nsegment_mib = 0\n[outputs.ng]",
            "line.toml:22",
            "out of range",
        ),
        (
            "[outputs.ng]",
            "[records]\nfolders = \"r\"\n[outputs.ng]",
            "line.toml:22",
            "unknown field",
        ),
        ("[camera]", "[camera", "line.toml:8", ""),
        ("[trigger]", "slots = { 0 = \"a\" }\n[trigger]", "line.toml:4", "`0` is no slot"),
        ("[trigger]", "slots = { a = \"a\" }\n[trigger]", "line.toml:4", "`a` is no slot"),
        (
            "[trigger]",
            "slots = { 1 = \"a\", 2 = \"a\" }\n[trigger]",
            "line.toml:4",
            "slot 1 has this file",
        ),
        (
            "[trigger]",
            "slots = { 1 = \"a\" }\ninbox = \".\"\n[trigger]",
            "line.toml:5",
            "templates that are used",
        ),
        ("[trigger]", "inbox = \"inbox\"\n[trigger]", "line.toml:4", "there is no slot"),
        (
            "[outputs.ng]",
            "[archive]\npassed_every = 5\n[outputs.ng]",
            "line.toml:22",
            "without a folder",
        ),
        ("line = 5", "line = 5\nfeedback = { line = 6 }", "line.toml:23", "already outputs.fault"),
        ("line = 5", "line = 5\nfeedback = { line = 2 }", "line.toml:23", "already trigger"),
        (
            "line = 5",
            "line = 5\nfeedback = { line = 8, edge = \"both\" }",
            "line.toml:23",
            "one beginning",
        ),
        ("line = 5", "line = 5\nfeedback = { active = 8 }", "line.toml:23", "unknown field"),
        (
            "[outputs.ng]",
            "feedback_max_us = 99\n[outputs.ng]",
            "line.toml:21",
            "99 is out of range",
        ),
        ("line = 2", "line = 2\nlines = 0", "line.toml:8", "0 is out of range"),
        ("[outputs]", "[outputs]\nlines = \"many\"", "line.toml:20", "invalid type"),
        (
            "chip = \"gpiochip0\"\n[outputs.ng]",
            "lines = 8\n[outputs.ng]",
            "line.toml:20",
            "without a chip",
        ),
        (
            "[camera]",
            "[commissioning]\nallowed = true\n[camera]",
            "line.toml:9",
            "needs a control socket",
        ),
        (
            "[camera]",
            "[commissioning]\nminutes = 61\n[camera]",
            "line.toml:9",
            "61 is out of range",
        ),
        (
            "[camera]",
            "[commissioning]\nalowed = true\n[camera]",
            "line.toml:9",
            "unknown field `alowed`",
        ),
    ];
    for (from, to, place, word) in table {
        assert!(WHOLE.contains(from), "{from}");
        let message = error_of(&WHOLE.replacen(from, to, 1));
        assert!(message.starts_with(place) && message.contains(word), "{from} -> {to}: {message}");
        assert!(message.contains("\n  -> "), "no remedy: {message}");
    }
}

#[test]
fn an_encoder_brings_counts() {
    let text = WHOLE
        .replace("delay_us = 400000", "delay_counts = 400")
        .replace("min_pitch_us = 60000", "min_pitch_counts = 40")
        .replace("[camera]", "[encoder]\nline = 3\n[camera]");
    let config = LineConfig::parse(&text, "line.toml").expect("reads");
    assert_eq!(config.tracker_settings().travel, crate::line::tracker::Travel::Counts(400));
    let other = text.replace("line = 3", "line = 3\nchip = \"gpiochip1\"");
    assert!(error_of(&other).contains("no common order"));
    let timeless = text.replace("deadline_us = 350000\n", "");
    assert!(error_of(&timeless).contains("counts say nothing about time"));
}

/// Checks that the file which explains every key is right. It must be readable, its commented keys must exist and show
/// their defaults, and no key may be missing.
#[test]
fn the_explained_configuration_has_every_key_and_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-config/line.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    let config = LineConfig::parse(&text, "firmware-config/line.toml").expect("is valid");
    let mut unsaid = vec![];
    // Every key of a complete configuration must stand in the text, with or without a #.
    let everything = text
        .lines()
        .map(|l| l.strip_prefix('#').filter(|l| l.contains('=') || l.starts_with('[')).unwrap_or(l))
        .filter(|l| !l.starts_with("min_pitch_us") && !l.starts_with("delay_us"))
        .filter(|l| !l.starts_with("folder = \"pictures\""))
        .filter(|l| !l.starts_with("chip = \"gpiochip1\""))
        .collect::<Vec<_>>()
        .join("\n")
        // An expander without outputs is refused.
        .replace("\n[outputs.strobe]", "\n[outputs.strobe]\nchip = \"x1\"")
        // The keys of ONNX Runtime and the warning output have no meaning with the defaults.
        .replace("device = \"usual\"", "device = \"auto\"")
        .replace("watch = false", "watch = true")
        // The keys of sensors have no meaning with a format that holds no samples of a sensor.
        .replace("format = \"YUYV\"", "format = \"RG10\"");
    let all = LineConfig::parse(&everything, "everything").expect("every commented key exists");
    let shown: toml::Table = toml::from_str(&all.to_toml().expect("shows")).expect("reads");
    let mut keys = vec![];
    collect_keys(&shown, &mut keys);
    for key in keys {
        if !text.lines().any(|l| l.trim_start_matches('#').trim_start().starts_with(&key)) {
            unsaid.push(key);
        }
    }
    assert!(unsaid.is_empty(), "not explained: {unsaid:?}");
    // What is commented out shows the default, so it does not change the resolved configuration.
    let defaults = [
        ("max_in_flight", config.reject.max_in_flight as u64),
        ("max_waiting", config.reject.max_waiting as u64),
        ("alarm_after", u64::from(config.reject.alarm_after)),
        ("ok_pulse_width_us", config.outputs.ok_pulse_width_us),
        ("strobe_width_us", config.outputs.strobe_width_us),
        ("heartbeat_half_period_us", config.outputs.heartbeat_half_period_us),
        ("max_bytes", config.records.max_bytes),
        ("keep", u64::from(config.records.keep)),
        ("segment_mib", config.records.segment_mib),
        ("sync_ms", config.records.sync_ms),
        ("keep_days", config.records.keep_days),
        ("max_parts", config.archive.max_parts as u64),
        ("min_free_mib", config.archive.min_free_mib),
        ("passed_every", config.archive.passed_every),
        ("feedback_max_us", config.outputs.feedback_max_us),
        ("queue", config.archive.queue as u64),
        ("priority", u64::from(config.realtime.priority)),
        ("inspection_timeout_us", config.realtime.inspection_timeout_us),
        ("buffers", u64::from(config.camera.buffers)),
        ("threads", config.template.threads as u64),
        ("block_s", config.drift.block_s),
        ("block_parts", u64::from(config.drift.block_parts)),
        ("learn_blocks", u64::from(config.drift.learn_blocks)),
        ("minutes", config.commissioning.minutes),
    ];
    for (key, value) in defaults {
        assert!(text.contains(&format!("#{key} = {value}")), "{key} is {value}");
    }
    let flags = [
        ("watch", config.template.watch),
        ("review_passes", config.template.review_passes),
        ("fp16", config.template.fp16),
        ("tf32", config.template.tf32),
        ("fallback", config.template.fallback),
        ("simulate", config.outputs.simulate),
        ("lock_memory", config.realtime.lock_memory),
        ("sign", config.records.sign),
        ("device_signs", config.template.device_signs),
        ("allowed", config.commissioning.allowed),
    ];
    for (key, value) in flags {
        assert!(text.contains(&format!("#{key} = {value} ")), "{key} is {value}");
    }
    assert_eq!(config.template.device, FeatureDevice::Usual);
    assert_eq!(config.records.min_free_mib, config.archive.min_free_mib);
    assert_eq!(config.records.keep_days, config.archive.keep_days);
    assert!(text.contains(&format!("#name = \"{}\"", config.device.name)));
    assert!(text.contains(&format!("#site = \"{}\"", config.device.site)));
    let (watch, k, h) = (config.drift.watch, config.drift.k, config.drift.h);
    let drift = [
        format!("#watch = {watch} "),
        format!("#k = {k:?} "),
        format!("#h = {h:?} "),
        format!("#horizon_h = {:?} ", config.drift.horizon_h),
    ];
    for line in drift {
        assert!(text.contains(&line), "{line}");
    }
    let bayer = LineConfig::parse(&text.replace("\"YUYV\"", "\"RG10\""), "bayer").expect("reads");
    let shown = bayer.to_toml().expect("shows");
    for default in [
        "align = \"low\"",
        "black = 0",
        "bayer = \"half\"",
        "strobe = \"gpio\"",
        "strobe_must_cover = false",
    ] {
        assert!(text.contains(&format!("#{default}")) && shown.contains(default), "{default}");
    }
    assert!(text.contains("#white_balance = [1.0, 1.0, 1.0]"));
    assert_eq!(bayer.camera.white_balance, Some([1.0; 3]));
}

#[test]
fn keys_of_sensors_and_of_the_light() {
    let with = |format: &str, lines: &str| {
        let text = WHOLE.replace("format = \"YUYV\"", &format!("format = \"{format}\"\n{lines}"));
        let strobe = if lines.contains("must_cover") { "[outputs.strobe]\nline = 7\n" } else { "" };
        LineConfig::parse(&(text + strobe), "line.toml")
    };
    for format in crate::camera::PixelFormat::all() {
        let config = with(format.name(), "").expect("reads");
        assert_eq!(config.camera.format, Some(format));
        assert_eq!(config.camera.align.is_some(), format.has_spare_bits(), "{format}");
        assert_eq!(config.camera.black.is_some(), format.sensor_bits().is_some(), "{format}");
        assert_eq!(config.camera.bayer.is_some(), format.is_bayer(), "{format}");
        let again = LineConfig::parse(&config.to_toml().expect("shows"), "again").expect("reads");
        assert_eq!(again, config);
    }
    let lit = "strobe_must_cover = true\nexposure_us = 2000";
    for (format, lines) in [
        (
            "RG12",
            "align = \"high\"\nblack = 2047\nwhite_balance = [1.9, 1, 16]\nbayer = \"bilinear\"",
        ),
        ("Y10B", "black = 511"),
        ("GREY", "strobe = \"sensor\""),
        ("GREY", lit),
    ] {
        with(format, lines).unwrap_or_else(|why| panic!("{format} {lines}: {why}"));
    }
    // Each row holds the format, what to add, the key, and a word of the refusal.
    let refused = [
        ("YUYV", "align = \"low\"", "camera.align", "no meaning with format = \"YUYV\""),
        ("Y10P", "align = \"low\"", "camera.align", "no meaning"),
        ("RG10", "align = \"top\"", "", "unknown variant `top`"),
        ("GREY", "black = 16", "camera.black", "no meaning"),
        ("Y10", "black = 512", "camera.black", "out of range"),
        ("Y10", "black = -1", "", "invalid value"),
        ("Y10", "white_balance = [1, 1, 1]", "camera.white_balance", "no meaning"),
        ("RG10", "white_balance = [1, 1]", "", "invalid length"),
        ("RG10", "white_balance = [1, nan, 1]", "camera.white_balance", "out of range"),
        ("RG10", "white_balance = [1, 0.05, 1]", "camera.white_balance", "out of range"),
        ("Y12P", "bayer = \"half\"", "camera.bayer", "no meaning"),
        ("pRAA", "bayer = \"linear\"", "", "unknown variant `linear`"),
        ("GREY", "strobe = \"camera\"", "", "unknown variant `camera`"),
        ("GREY", "strobe_must_cover = true", "camera.strobe_must_cover", "camera.exposure_us"),
        (
            "GREY",
            "strobe_must_cover = true\nexposure_us = 5001",
            "camera.strobe_must_cover",
            "longer",
        ),
        (
            "GREY",
            "strobe = \"sensor\"\nstrobe_must_cover = true",
            "outputs.strobe",
            "remove [outputs.strobe]",
        ),
    ];
    for (format, lines, key, word) in refused {
        let error = with(format, lines).expect_err(lines).to_string();
        assert!(error.starts_with("line.toml:") && error.contains("\n  -> "), "{error}");
        assert!(error.contains(key) && error.contains(word), "{lines}: {error}");
    }
    let unlit =
        WHOLE.replace("height = 480", "height = 480\nstrobe_must_cover = true\nexposure_us = 900");
    assert!(error_of(&unlit).contains("there is no [outputs.strobe]"));
    let by_sensor = unlit.replace("height = 480", "height = 480\nstrobe = \"sensor\"");
    assert!(error_of(&by_sensor).contains("times its light itself"));
}

#[test]
fn the_device_key_stands_beside_what_it_signs() {
    let key = |lines: &str, records: &str| {
        let text =
            WHOLE.replace("file = \"part.hetmm\"", &format!("file = \"t/part.hetmm\"\n{lines}"));
        let config = LineConfig::parse(&format!("{text}[records]\n{records}"), "line.toml");
        config.expect("reads").device.key_file.map(|path| path.display().to_string())
    };
    let signs = "keys = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]\ndevice_signs = true";
    assert_eq!(key("", ""), None);
    assert_eq!(key("", "folder = \"d/records\""), Some("d/device.key".into()));
    assert_eq!(key("", "folder = \"d/records\"\nsign = false"), None);
    assert_eq!(key(signs, ""), Some("t/device.key".into()));
}

#[test]
fn devices_and_their_options() {
    use crate::backbone::Device;
    let with = |lines: &str| {
        let text =
            WHOLE.replace("file = \"part.hetmm\"", &format!("file = \"a/part.hetmm\"\n{lines}"));
        LineConfig::parse(&text, "line.toml")
    };
    let devices = |config: &LineConfig| -> Vec<Device> {
        config.recipe().extractors.iter().map(|extractor| extractor.device).collect()
    };
    let plain = with("").expect("reads");
    assert_eq!(plain.recipe().extractors, [crate::backbone::ExtractorOptions::default()]);
    assert!(plain.template.fallback);
    let auto =
        with("device = \"auto\"\nfp16 = true\ntf32 = true\nonnxruntime = \"lib\"").expect("reads");
    assert_eq!(devices(&auto), [Device::TensorRt, Device::Cuda, Device::Cpu, Device::Usual]);
    // Each feature extractor gets only the options that mean something to it. It would refuse others.
    let extractors = auto.recipe().extractors;
    let had = |has: fn(&crate::backbone::ExtractorOptions) -> bool| -> Vec<bool> {
        extractors.iter().map(has).collect()
    };
    assert_eq!(had(|e| e.fp16), [true, false, false, false]);
    assert_eq!(had(|e| e.tf32), [true, true, false, false]);
    assert_eq!(had(|e| e.batch == Some(1)), [true, true, true, false]);
    assert_eq!(had(|e| e.library == Some("lib".into())), [true, true, true, false]);
    assert_eq!(had(|e| e.tensorrt_cache == Some("a/tensorrt".into())), [true, false, false, false]);
    // Each row holds what to add, and a word of the refusal.
    let refused = [
        ("device = \"gpu\"", "unknown variant `gpu`"),
        ("onnxruntime = \"lib\"", "no meaning without device"),
        ("device = \"auto\"\nengine_cache = 3", "invalid type"),
        ("fp16 = true", "no meaning without device"),
        ("tf32 = true", "no meaning without device"),
    ];
    for (lines, word) in refused {
        let error = with(lines).expect_err(lines).to_string();
        assert!(error.contains(word) && error.contains("\n  -> "), "{error}");
        assert!(error.starts_with("line.toml:"), "{error}");
    }
    for word in ["cpu", "cuda", "tensorrt"] {
        let given = with(&format!("device = \"{word}\""));
        if cfg!(feature = "onnxruntime") {
            assert_eq!(devices(&given.expect("reads")).len(), 1);
            let stray = with(&format!("device = \"{word}\"\nfp16 = true"));
            assert_eq!(stray.is_ok(), word == "tensorrt");
            let stray = with(&format!("device = \"{word}\"\ntf32 = true"));
            assert_eq!(stray.is_ok(), word != "cpu");
        } else {
            let error = given.expect_err(word).to_string();
            assert!(
                error.contains("template.device: this hetmm-edge was built without"),
                "{error}"
            );
        }
    }
}

#[test]
fn an_expander_carries_only_what_may_wait_for_a_bus() {
    let expander = "[expander.x]\nkind = \"mcp23017\"\nbus = \"/dev/i2c-1\"\naddress = 32\n";
    let with = |outputs: &str, expander: &str| format!("{WHOLE}{outputs}{expander}");
    let ok = "[outputs.ok]\nchip = \"x\"\nline = 15\n";
    let config = LineConfig::parse(&with(ok, expander), "line.toml").expect("reads");
    let shown = config.to_toml().expect("shows");
    assert!(shown.contains("[expander.x]") && shown.contains("allow_ng = false"), "{shown}");
    assert_eq!(LineConfig::parse(&shown, "again").expect("reads again"), config);
    let ng = WHOLE.replace("line = 5", "chip = \"x\"\nline = 5");
    let allowed = format!("{ng}{expander}allow_ng = true\n");
    assert!(LineConfig::parse(&allowed, "line.toml").is_ok());
    let odd = |from: &str, to: &str| with(ok, &expander.replace(from, to));
    // Each row holds a configuration, the place, and a word of the message.
    for (text, place, word) in [
        (format!("{ng}{expander}"), "line.toml:21", "would wait for a bus"),
        (
            WHOLE.replace("line = 6", "chip = \"x\"\nline = 6") + expander,
            "line.toml:23",
            "keeps its level",
        ),
        (
            with("[outputs.heartbeat]\nchip = \"x\"\nline = 1\n", expander),
            "line.toml:25",
            "keeps its level",
        ),
        (
            WHOLE.replacen("\"gpiochip0\"", "\"x\"", 1) + ok + expander,
            "line.toml:6",
            "no input may be",
        ),
        (with(&ok.replace("15", "16"), expander), "line.toml:27", "no line 16"),
        (with(&ok.replace("15", "\"GPA1\""), expander), "line.toml:27", "no line \"GPA1\""),
        (with("", expander), "line.toml:25", "no output is on it"),
        (odd("address = 32", "address = 40"), "line.toml:31", "0x28 is not an address"),
        (odd("mcp23017", "mcp23018"), "line.toml:29", "unknown variant"),
        (odd("bus =", "buss ="), "line.toml:30", "unknown field `buss`"),
        (odd("address = 32\n", ""), "line.toml:28", "missing field `address`"),
        (
            with(ok, &format!("{expander}[expander.y]{}", expander.replace("[expander.x]", ""))),
            "line.toml",
            "has this address",
        ),
    ] {
        let message = error_of(&text);
        assert!(message.starts_with(place) && message.contains(word), "{word}: {message}");
        assert!(message.contains("\n  -> "), "no remedy: {message}");
    }
}

fn collect_keys(table: &toml::Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            // The keys of this table are numbers.
            toml::Value::Table(inner) if key != "slots" => collect_keys(inner, keys),
            _ => keys.push(key.clone()),
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}", cut in 0usize..600, flip in 0usize..600, byte: u8) {
        let _ = LineConfig::parse(&text, "line.toml");
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes.truncate(cut);
        if let Some(slot) = bytes.get_mut(flip) {
            *slot = byte;
        }
        let _ = LineConfig::parse(&String::from_utf8_lossy(&bytes), "line.toml");
    }
}

/// The smallest tables of `hetmm-plant` that are accepted.
const PLANT: &str = "[control]\nsocket = \"c\"\n[feed]\nsocket = \"f\"\n[modbus]\nlisten = \"0.0.0.0:502\"\n[mqtt]\n\
                     broker = \"mqtts://broker\"\n[metrics]\nlisten = \"[::]:9464\"\n[web]\nlisten = \"127.0.0.1:8080\"\n";

#[test]
fn what_a_network_could_misuse_is_refused() {
    let config = LineConfig::parse(&format!("{WHOLE}{PLANT}"), "line.toml").expect("reads");
    let broker = config.mqtt.address().expect("an address");
    assert_eq!((broker.host, broker.port, broker.is_encrypted), ("broker", 8883, true));
    // Each row holds what to replace, the replacement, and a word of the message.
    let table = [
        ("0.0.0.0:502", "0.0.0.0:0", "modbus.listen: port 0"),
        ("[::]:9464", "0.0.0.0:502", "metrics.listen: 0.0.0.0:502 is already modbus.listen"),
        ("[modbus]", "[modbus]\nwrite = true", "modbus.write: nobody is in modbus.writers"),
        ("[modbus]", "[modbus]\nmax_connections = 0", "modbus.max_connections: 0 is out"),
        ("[feed]\nsocket = \"f\"", "", "modbus.listen: it shows what the feed says"),
        ("mqtts://broker", "broker:1883", "mqtt.broker: the address cannot be understood"),
        ("mqtts://broker", "mqtts://a@broker", "mqtt.broker: the address cannot be understood"),
        ("mqtts://broker", "mqtt://broker:0", "mqtt.broker: the address cannot be understood"),
        ("mqtts://broker\"", "mqtt://broker\"\npassword_file = \"p\"", "without encryption"),
        ("[mqtt]", "[mqtt]\ncert = \"c\"", "mqtt: a certificate needs its key"),
        ("[mqtt]", "[mqtt]\npart_qos = 2", "mqtt.part_qos: 2 is out of range"),
        ("127.0.0.1:8080", "0.0.0.0:8080", "web.listen: passwords would cross the network"),
        ("[web]", "[web]\ntls_key = \"k\"", "web: a certificate needs its key"),
        ("[web]", "[web]\nlanguage = \"fr\"", "unknown variant `fr`"),
        ("[control]\nsocket = \"c\"", "[control]", "web.listen: the page needs a control socket"),
        ("[control]", "[control]\nplant_may = [\"resume\"]", "nobody may do this over a network"),
        ("[control]", "[control]\nplant_may = [\"fly\"]", "there is no such request"),
    ];
    for (from, to, word) in table {
        assert!(PLANT.contains(from), "{from}");
        let error = error_of(&format!("{WHOLE}{}", PLANT.replace(from, to)));
        assert!(error.contains(word), "{from} -> {to}: {error}");
    }
    for (from, to) in [
        ("mqtts://broker\"", "mqtt://127.0.0.1\"\npassword_file = \"p\""),
        ("mqtts://broker\"", "mqtt://broker\"\npassword_file = \"p\"\nplain_password = true"),
        ("127.0.0.1:8080\"", "0.0.0.0:8080\"\nplain_http = true"),
        ("[web]", "[web]\ntls_key = \"k\"\ntls_cert = \"c\""),
        ("[control]", "[control]\nplant_may = [\"teach\", \"drift accept\"]"),
    ] {
        let text = format!("{WHOLE}{}", PLANT.replace(from, to));
        LineConfig::parse(&text, "line.toml").expect(to);
    }
}
