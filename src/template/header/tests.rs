//! These tests hold the frozen bytes of every version of the header, and the values that are
//! refused in one.

use super::*;
use crate::backbone::TapIdentity;
use crate::scoring::rules::{Limit, Zone};

/// Makes a small header with a different value in every field.
pub fn sample() -> HeaderV1 {
    HeaderV1 {
        backbone: Identity {
            name: "net".into(),
            digest: [3; 32],
            height: 32,
            width: 64,
            mean: [0.5, 0.25, 0.125],
            std: [1.0, 2.0, 4.0],
            taps: vec![TapIdentity { name: "t1".into(), channels: 3, height: 2, width: 4 }],
        },
        layers: vec![LayerRecord { sheets: 5, patch_forward: 7, patch_backward: 3, weight: 1.5 }],
        alpha: 0.75,
        sigma: 4.0,
        fusion: Fusion::RootMean,
        storage: Storage::F16,
        rule: Rule::Pts(crate::selection::HardRule::Sum),
        calibration: Calibration { threshold: 0.5, scale_top: 1.0, pictures: 0 },
        probes: vec![ProbeRecord { name: "p".into(), score: 0.25, tolerance: 0.001 }],
        uses: Vec::new(),
        build: Provenance {
            version: "0.1.0".into(),
            options: vec![("sheets".into(), "5".into())],
            images: vec![ImageRecord {
                name: "a.png".into(),
                digest: [9; 32],
                width: 640,
                height: 480,
                score: 0.125,
            }],
        },
    }
}

#[test]
fn version_1_is_frozen() {
    let hex: String = sample()
        .encode(&Settings::default())
        .expect("encodes")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(hex, include_str!("../../../tests/golden/header_v1.hex").trim());
    assert_eq!(
        decode(&sample().encode(&Settings::default()).expect("encodes")).expect("decodes").0,
        sample()
    );
}

fn decided() -> (HeaderV1, Decision) {
    let mut header = sample();
    header.calibration.pictures = 300;
    let decision = Decision {
        review: 0.25,
        basis: Basis::Folds(5),
        false_reject: 0.01,
        rank: 3,
        interval: [0.0025, 0.03125],
    };
    (header, decision)
}

#[test]
fn version_2_is_frozen() {
    let (header, decision) = decided();
    let settings = Settings { decision: Some(decision), ..Settings::default() };
    let bytes = header.encode(&settings).expect("encodes");
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, include_str!("../../../tests/golden/header_v2.hex").trim());
    assert_eq!(decode(&bytes).expect("decodes"), (header, settings));
}

#[test]
fn decisions_that_make_no_sense_are_refused() {
    let breaks: [fn(&mut Decision); 8] = [
        |d| d.review = 0.75,
        |d| d.review = f32::NEG_INFINITY,
        |d| d.basis = Basis::Folds(0),
        |d| d.review = f32::NAN,
        |d| d.false_reject = -0.1,
        |d| d.interval = [0.5, 0.25],
        |d| d.rank = 0,
        |d| d.rank = 301,
    ];
    for (i, spoil) in breaks.iter().enumerate() {
        let (header, mut decision) = decided();
        spoil(&mut decision);
        let settings = Settings { decision: Some(decision), ..Settings::default() };
        assert!(decode(&header.encode(&settings).expect("encodes")).is_err(), "case {i}");
    }
}

fn ruled() -> (HeaderV1, Settings) {
    let zone = |label, limit, min_area_px| Zone {
        label,
        name: format!("zone {label}"),
        limit,
        min_area_px,
    };
    let zones = vec![zone(1, Limit::Factor(1.5), None), zone(254, Limit::Score(0.25), Some(3.0))];
    let rules = Rules { min_area_px: 25.0, max_regions: 2, mm_per_pixel: 0.125, zones };
    let (header, decision) = decided();
    (header, Settings { decision: Some(decision), rules: Some(rules), ..Settings::default() })
}

#[test]
fn version_3_is_frozen() {
    let (header, settings) = ruled();
    let bytes = header.encode(&settings).expect("encodes");
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, include_str!("../../../tests/golden/header_v3.hex").trim());
    assert_eq!(decode(&bytes).expect("decodes"), (header, settings));
}

fn proven() -> (HeaderV1, Settings) {
    let header = sample();
    let maps = header.empty_proof().maps.into_iter().map(MapSummary::numbered).collect();
    let proof = Some(Proof { seal: [5; 32], maps });
    let reading = Reading::of_bits(12).expect("12 bits");
    (header, Settings { proof, reading, ..Settings::default() })
}

/// Makes a header and settings with everything that a header can hold.
fn evident() -> (HeaderV1, Settings) {
    let (mut header, settings) = ruled();
    let second = ImageRecord { name: "b.png".into(), ..header.build.images[0].clone() };
    let third = ImageRecord { name: "c.png".into(), ..second.clone() };
    header.build.images.extend([second, third]);
    let evidence = Some(Evidence {
        origin: Origin::Estimate,
        grouping: Grouping::Names,
        items: 1,
        parts: vec![0, 1, 0],
        scores: vec![0.25, 1.5],
    });
    let Settings { proof, reading, .. } = proven().1;
    (header, Settings { proof, evidence, reading, ..settings })
}

#[test]
fn versions_4_and_5_are_frozen() {
    let golden = [
        (proven(), include_str!("../../../tests/golden/header_v4.hex")),
        (evident(), include_str!("../../../tests/golden/header_v5.hex")),
    ];
    for ((header, settings), expected) in golden {
        let bytes = header.encode(&settings).expect("encodes");
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected.trim());
        assert_eq!(decode(&bytes).expect("decodes"), (header, settings));
    }
}

/// Adds a second layer, which is position-free on the tap of the first.
fn shared() -> (HeaderV1, Settings) {
    let (mut header, settings) = evident();
    header.layers.push(LayerRecord { sheets: 9, patch_forward: 0, patch_backward: 0, weight: 0.5 });
    header.uses = vec![
        LayerUse { tap: 0, position_free: false, votes: 0.75 },
        LayerUse { tap: 0, position_free: true, votes: 1.0 },
    ];
    let maps = header.empty_proof().maps.into_iter().map(MapSummary::numbered).collect();
    let proof = Some(Proof { seal: [5; 32], maps });
    (header, Settings { proof, ..settings })
}

#[test]
fn version_6_is_frozen() {
    let (header, settings) = shared();
    let bytes = header.encode(&settings).expect("encodes");
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, include_str!("../../../tests/golden/header_v6.hex").trim());
    assert_eq!(decode(&bytes).expect("decodes"), (header.clone(), settings));
    let free = header.shape(1).expect("a shape");
    assert_eq!((free.height, free.width, free.channels, free.sheets), (1, 1, 3, 9));
    assert_eq!(header.map_pixels(1), Some(8));
}

#[test]
fn uses_of_taps_that_make_no_sense_are_refused() {
    let breaks: [fn(&mut HeaderV1); 9] = [
        |h| h.uses[1].tap = 1,
        |h| h.uses[0].votes = 0.0,
        |h| h.uses[0].votes = f32::NAN,
        |h| h.uses[0].votes = f32::INFINITY,
        |h| h.uses[1].position_free = false,
        |h| h.layers[1].patch_forward = 3,
        |h| h.layers[1].patch_backward = 3,
        |h| h.layers[0].patch_backward = 0,
        |h| {
            h.uses.pop();
        },
    ];
    for (i, spoil) in breaks.iter().enumerate() {
        let (mut header, settings) = shared();
        spoil(&mut header);
        assert!(decode(&header.encode(&settings).expect("encodes")).is_err(), "case {i}");
    }
    let (mut header, settings) = shared();
    header.uses.clear();
    assert!(decode(&header.encode(&settings).expect("encodes")).is_err(), "two layers, one tap");
}

#[test]
fn proofs_that_do_not_fit_are_refused() {
    let breaks: [fn(&mut HeaderV1, &mut Proof); 5] = [
        |_, proof| proof.maps.clear(),
        |_, proof| proof.maps.push(proof.maps[0].clone()),
        |h, _| h.backbone.height = 8,
        |h, _| h.layers[0].patch_backward = 0,
        |h, _| h.probes.push(h.probes[0].clone()),
    ];
    for (i, spoil) in breaks.iter().enumerate() {
        let (mut header, mut settings) = proven();
        header.alpha = 1.0;
        spoil(&mut header, settings.proof.as_mut().expect("a proof"));
        assert!(decode(&header.encode(&settings).expect("encodes")).is_err(), "case {i}");
    }
}

#[test]
fn evidence_that_makes_no_sense_is_refused() {
    let breaks: [fn(&mut Evidence); 5] = [
        |e| e.parts.push(0),
        |e| e.parts[1] = 3,
        |e| e.items = 3,
        |e| e.scores.truncate(1),
        |e| e.scores[0] = f32::NAN,
    ];
    for (i, spoil) in breaks.iter().enumerate() {
        let (header, mut settings) = evident();
        spoil(settings.evidence.as_mut().expect("evidence"));
        assert!(decode(&header.encode(&settings).expect("encodes")).is_err(), "case {i}");
    }
}

/// The seal covers everything except itself.
#[test]
fn a_seal_changes_with_header_and_table_and_not_with_itself() {
    let (header, mut settings) = proven();
    let seal = |header: &HeaderV1, settings: &Settings, table: &[u8]| {
        header.seal(settings, table).expect("encodes")
    };
    let first = seal(&header, &settings, b"table");
    assert!(first.is_some());
    settings.proof.as_mut().expect("a proof").seal = [7; 32];
    assert_eq!(seal(&header, &settings, b"table"), first);
    assert_ne!(seal(&header, &settings, b"tablf"), first);
    let mut other = header.clone();
    other.calibration.threshold *= 2.0;
    assert_ne!(seal(&other, &settings, b"table"), first);
    let as_they_are = Settings { reading: Reading::default(), ..settings.clone() };
    assert_ne!(seal(&header, &as_they_are, b"table"), first);
    let known = Settings { evidence: evident().1.evidence, ..settings.clone() };
    assert_ne!(seal(&header, &known, b"table"), first);
    assert_eq!(seal(&header, &Settings::default(), b"table"), None);
}

#[test]
fn bits_of_a_sample_are_kept_with_or_without_a_proof_and_checked() {
    let reading = Reading::of_bits(12).expect("12 bits");
    let (header, settings) = ruled();
    for settings in [Settings::default(), settings, proven().1] {
        let settings = Settings { reading, ..settings };
        let bytes = header.encode(&settings).expect("encodes");
        assert_eq!(decode(&bytes).expect("decodes"), (header.clone(), settings));
        let last = bytes.len() - 1;
        for bits in [1, 7, 16, 127] {
            assert!(decode(&[&bytes[..last], &[bits]].concat()).is_err(), "{bits} bits");
        }
    }
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let breaks: [fn(&mut HeaderV1, &mut Rules); 11] = [
        |_, r| r.min_area_px = f32::NAN,
        |_, r| r.min_area_px = -1.0,
        |_, r| r.max_regions = u32::MAX,
        |_, r| r.mm_per_pixel = f32::INFINITY,
        |_, r| r.zones[0].label = 0,
        |_, r| r.zones[0].label = 255,
        |_, r| r.zones[0].label = 254,
        |_, r| r.zones[0].name.clear(),
        |_, r| r.zones[0].limit = Limit::Factor(0.0),
        |_, r| r.zones[1].min_area_px = Some(f32::NEG_INFINITY),
        |h, _| h.calibration.threshold = -0.5,
    ];
    for (i, spoil) in breaks.iter().enumerate() {
        let (mut header, mut settings) = ruled();
        settings.decision = None;
        spoil(&mut header, settings.rules.as_mut().expect("rules"));
        assert!(decode(&header.encode(&settings).expect("encodes")).is_err(), "case {i}");
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let breaks: [fn(&mut HeaderV1); 23] = [
        |h| h.layers.clear(),
        |h| h.layers[0].sheets = 0,
        |h| h.layers[0].patch_forward = 4,
        |h| h.layers[0].patch_backward = 0,
        |h| h.layers[0].weight = f32::NAN,
        |h| h.alpha = 1.5,
        |h| h.sigma = -1.0,
        |h| h.calibration.threshold = f32::INFINITY,
        |h| h.calibration.threshold = 0.0,
        |h| h.calibration.threshold = -0.5,
        |h| h.layers[0].weight = 0.0,
        |h| h.layers[0].patch_forward = 257,
        |h| h.layers[0].patch_backward = 257,
        |h| h.alpha = f32::NAN,
        |h| h.sigma = 65.0,
        |h| h.probes[0].tolerance = f32::INFINITY,
        |h| h.probes[0].tolerance = f32::NAN,
        |h| h.probes[0].tolerance = 1.0,
        |h| h.build.images[0].score = f32::INFINITY,
        |h| h.backbone.std[1] = 0.0,
        |h| h.backbone.taps[0].height = 0,
        |h| h.probes.clear(),
        |h| h.build.images.clear(),
    ];
    for (i, spoil) in breaks.iter().enumerate() {
        let mut header = sample();
        spoil(&mut header);
        assert!(
            decode(&header.encode(&Settings::default()).expect("encodes")).is_err(),
            "case {i}"
        );
    }
}

#[test]
fn random_bytes_never_panic() {
    let good = sample().encode(&Settings::default()).expect("encodes");
    for at in 0..good.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..at]);
        }
    }
}
