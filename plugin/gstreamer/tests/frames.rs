//! Frames of every layout give the results of the Rust interface, and what cannot be inspected is rejected.

mod common;

use common::*;
use gst::prelude::*;
use gst_video::VideoFormat;

/// [`pixels`] in another format: the bytes of each pixel, made from red, green and blue.
fn laid(pixel: impl Fn([u8; 3]) -> Vec<u8>) -> Vec<u8> {
    let pixels = pixels();
    let rows = pixels
        .chunks(3 * SIDE)
        .map(|row| -> Vec<u8> { row.chunks(3).flat_map(|p| pixel([p[0], p[1], p[2]])).collect() });
    let rows: Vec<Vec<u8>> = rows.collect();
    padded(&rows.concat(), rows[0].len())
}

#[test]
fn every_colour_format_gives_the_same_bits() {
    let want = expected();
    type Pixel = fn([u8; 3]) -> Vec<u8>;
    let formats: [(VideoFormat, Pixel); 10] = [
        (VideoFormat::Rgb, |[r, g, b]| vec![r, g, b]),
        (VideoFormat::Bgr, |[r, g, b]| vec![b, g, r]),
        (VideoFormat::Rgbx, |[r, g, b]| vec![r, g, b, 1]),
        (VideoFormat::Bgrx, |[r, g, b]| vec![b, g, r, 2]),
        (VideoFormat::Xrgb, |[r, g, b]| vec![3, r, g, b]),
        (VideoFormat::Xbgr, |[r, g, b]| vec![4, b, g, r]),
        (VideoFormat::Rgba, |[r, g, b]| vec![r, g, b, 5]),
        (VideoFormat::Bgra, |[r, g, b]| vec![b, g, r, 6]),
        (VideoFormat::Argb, |[r, g, b]| vec![7, r, g, b]),
        (VideoFormat::Abgr, |[r, g, b]| vec![8, b, g, r]),
    ];
    for (format, pixel) in formats {
        let mut rig = rig_of(&[], caps(format, SIDE, SIDE));
        let sent = frame(laid(pixel), 1);
        let bytes = sent.map_readable().expect("reads").to_vec();
        let back = rig.harness.push_and_pull(sent).expect("passes");
        let told = rig.message(gsthetmm::INSPECTION).unwrap_or_else(|| panic!("{format}"));
        assert_same(&told, &want);
        assert_eq!(back.map_readable().expect("reads").to_vec(), bytes, "{format}: pixels change");
        assert_same(&meta_of(&back).expect("a meta"), &want);
    }
}

#[test]
fn grey_frames_of_8_and_16_bits_give_the_same_bits_in_both_byte_orders() {
    let side = SIDE as u32;
    let grey: Vec<u16> = (0..SIDE * SIDE).map(|i| (i * 61 % 65521) as u16).collect();
    let view = hetmm::PictureView::gray16(&grey, side, side, 2 * SIDE).expect("fits");
    let want = inspector().inspect(&view).expect("inspects");
    let little: Vec<u8> = grey.iter().flat_map(|value| value.to_le_bytes()).collect();
    let big: Vec<u8> = grey.iter().flat_map(|value| value.to_be_bytes()).collect();
    for (format, bytes) in [(VideoFormat::Gray16Le, little), (VideoFormat::Gray16Be, big)] {
        let mut rig = rig_of(&[], caps(format, SIDE, SIDE));
        rig.harness.push(frame(padded(&bytes, 2 * SIDE), 1)).expect("passes");
        assert_same(&rig.message(gsthetmm::INSPECTION).expect("a result"), &want);
        // Rows that start at odd places in memory.
        let (stride, offset) = (2 * SIDE + 1, 3);
        let mut odd = vec![0xEE; offset];
        bytes.chunks(2 * SIDE).for_each(|row| odd.extend(row.iter().chain(&[0xEE])));
        rig.harness.push(with_meta(odd, format, offset, stride)).expect("passes");
        assert_same(&rig.message(gsthetmm::INSPECTION).expect("a result"), &want);
    }
    let grey: Vec<u8> = (0..SIDE * SIDE).map(|i| (i * 61 % 251) as u8).collect();
    let view = hetmm::PictureView::gray8(&grey, side, side, SIDE).expect("fits");
    let mut rig = rig_of(&[], caps(VideoFormat::Gray8, SIDE, SIDE));
    rig.harness.push(frame(padded(&grey, SIDE), 1)).expect("passes");
    let want = inspector().inspect(&view).expect("inspects");
    assert_same(&rig.message(gsthetmm::INSPECTION).expect("a result"), &want);
}

/// A frame of SIDE x SIDE pixels whose rows start where the meta says.
fn with_meta(bytes: Vec<u8>, format: VideoFormat, offset: usize, stride: usize) -> gst::Buffer {
    let mut buffer = frame(bytes, 1);
    let (filled, side) = (buffer.get_mut().expect("nobody else has it"), SIDE as u32);
    let (flags, stride) = (gst_video::VideoFrameFlags::empty(), stride as i32);
    gst_video::VideoMeta::add_full(filled, flags, format, side, side, &[offset], &[stride])
        .expect("is added");
    buffer
}

#[test]
fn strides_come_from_the_meta_and_the_last_row_may_lack_its_padding() {
    let (want, row) = (expected(), 3 * SIDE);
    for (offset, padding) in [(0, 0), (0, 5), (7, 1), (13, 64)] {
        let mut bytes = vec![0xEE; offset];
        for row in pixels().chunks(row) {
            bytes.extend(row);
            bytes.extend(vec![0xEE; padding]);
        }
        bytes.truncate(bytes.len() - padding);
        let mut rig = rig(&[]);
        let sent = with_meta(bytes, VideoFormat::Rgb, offset, row + padding);
        rig.harness.push(sent).expect("passes");
        assert_same(&rig.message(gsthetmm::INSPECTION).expect("a result"), &want);
    }
}

#[test]
fn a_cropped_frame_gives_the_result_of_the_cropped_picture() {
    use gst_video::{VideoCropMeta, VideoMeta};
    init();
    let all = [VideoMeta::meta_api(), VideoCropMeta::meta_api()];
    for read_downstream in [&all[..0], &all[..1], &all[..]] {
        let element = element(&[]);
        let bin = gst::Bin::new();
        let crop = gst::ElementFactory::make("videocrop")
            .property("left", 31)
            .property("top", 31)
            .build()
            .expect("apt-get install gstreamer1.0-plugins-good");
        bin.add_many([&crop, &element]).expect("adds");
        crop.link(&element).expect("links");
        for (name, of) in [("sink", &crop), ("src", &element)] {
            let pad = of.static_pad(name).expect("a pad");
            bin.add_pad(&gst::GhostPad::with_target(&pad).expect("a pad")).expect("adds");
        }
        let mut harness = gst_check::Harness::with_element(&bin, Some("sink"), Some("src"));
        for meta in read_downstream {
            harness.add_propose_allocation_meta(*meta, None);
        }
        harness.set_src_caps(caps(VideoFormat::Rgb, 64, 64));
        let whole: Vec<u8> = (0..3 * 64 * 64).map(|i| (i * i % 251) as u8).collect();
        let back = harness.push_and_pull(frame(whole.clone(), 1)).expect("passes");
        let corner: Vec<u8> =
            whole[192 * 31..].chunks(192).flat_map(|row| row[93..].to_vec()).collect();
        let view = hetmm::PictureView::rgb8(&corner, 33, 33, 99).expect("fits");
        let want = inspector().inspect(&view).expect("inspects");
        assert_same(&meta_of(&back).expect("a meta"), &want);
    }
}

/// Frames go on as they came, so what comes before may use only what is read behind.
#[test]
fn strides_in_metas_are_offered_only_if_they_are_read_downstream_and_crops_are_never_offered() {
    use gst_video::{VideoCropMeta, VideoMeta};
    for is_read in [true, false] {
        let mut rig = rig(&[]);
        if is_read {
            rig.harness.add_propose_allocation_meta(VideoMeta::meta_api(), None);
            rig.harness.add_propose_allocation_meta(VideoCropMeta::meta_api(), None);
        }
        rig.harness.push(usual_frame(1)).expect("passes");
        let pad = rig.element.static_pad("sink").expect("a pad");
        let mut query =
            gst::query::Allocation::new(Some(&caps(VideoFormat::Rgb, SIDE, SIDE)), false);
        assert!(pad.query(&mut query) || !is_read);
        assert_eq!(query.find_allocation_meta::<VideoMeta>().is_some(), is_read);
        assert_eq!(query.find_allocation_meta::<VideoCropMeta>(), None);
    }
}

#[test]
fn a_good_picture_is_ok_and_has_no_regions() {
    let (pixels, side) = good_pixels();
    let mut rig = rig_of(&[], caps(VideoFormat::Rgb, side, side));
    let back = rig.harness.push_and_pull(frame(padded(&pixels, 3 * side), 1)).expect("passes");
    let told = rig.message(gsthetmm::INSPECTION).expect("a result");
    assert_eq!(told.get::<String>("verdict").expect("a verdict"), "ok", "{told}");
    assert_eq!(back.iter_meta::<gst_video::VideoRegionOfInterestMeta>().count(), 0);
}

#[test]
fn each_region_is_a_region_of_interest() {
    let mut rig = rig(&[]);
    let back = rig.harness.push_and_pull(usual_frame(1)).expect("passes");
    let want = expected();
    assert!(!want.regions.is_empty(), "this test needs a picture with regions");
    let metas = back.iter_meta::<gst_video::VideoRegionOfInterestMeta>();
    let metas: Vec<_> = metas.collect();
    assert_eq!(metas.len(), want.regions.len());
    for (meta, region) in metas.iter().zip(&want.regions) {
        assert_eq!(meta.rect(), (region.x, region.y, region.width, region.height));
        assert_eq!(meta.roi_type(), "hetmm-defect");
        let params = meta.param("hetmm").expect("a structure");
        assert_eq!(params.get::<f32>("peak").expect("a float").to_bits(), region.peak.to_bits());
        assert_eq!(params.get::<String>("verdict").expect("a verdict"), "ng");
    }
}

#[test]
fn the_map_is_attached_if_it_is_wanted() {
    let mut rig = rig(&[("attach-map", "true")]);
    let back = rig.harness.push_and_pull(usual_frame(1)).expect("passes");
    let (meta, want) = (meta_of(&back).expect("a meta"), expected());
    let bits = |name: &str| -> Vec<u32> {
        let bytes = meta.get::<gst::glib::Bytes>(name).expect("bytes");
        bytes.chunks(4).map(|b| u32::from_ne_bytes(b.try_into().expect("four"))).collect()
    };
    let wanted = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits("map"), wanted(want.map().values));
    assert_eq!(bits("excess"), wanted(&want.excess()));
    let size = ["map-width", "map-height"].map(|name| meta.get::<u32>(name).expect("a number"));
    assert_eq!(size.map(|side| side as usize), [want.map().width, want.map().height]);
    let message = rig.message(gsthetmm::INSPECTION).expect("a result");
    assert!(!message.has_field("map"), "the bus gets no maps");
}

#[test]
fn times_and_numbers_are_those_of_the_stream() {
    let mut rig = rig(&[]);
    for number in 1..=3 {
        rig.harness.push(usual_frame(number)).expect("passes");
        let told = rig.message(gsthetmm::INSPECTION).expect("a result");
        let ns = |name| told.get::<u64>(name).expect("a number");
        assert_eq!(
            [ns("timestamp"), ns("stream-time"), ns("running-time")],
            [40_000_000 * number; 3]
        );
        assert_eq!([ns("duration"), ns("frame"), ns("generation")], [40_000_000, number, 1]);
        assert!(!told.has_field("trigger-id"));
        assert_eq!(told.get::<u32>("width").expect("a number") as usize, SIDE);
    }
    rig.harness.push(gst::Buffer::from_slice(padded(&pixels(), 3 * SIDE))).expect("passes");
    let told = rig.message(gsthetmm::INSPECTION).expect("a result");
    assert_eq!(told.get::<u64>("timestamp").expect("a number"), u64::MAX, "no time is known");
}

/// Frames that cannot be inspected, with a word of the reason.
fn unusable() -> Vec<(gst::Buffer, &'static str)> {
    let mut corrupted = usual_frame(1);
    corrupted.get_mut().expect("own").set_flags(gst::BufferFlags::CORRUPTED);
    let mut cropped = usual_frame(1);
    gst_video::VideoCropMeta::add(cropped.get_mut().expect("own"), (0, 0, 16, 16));
    let whole = padded(&pixels(), 3 * SIDE);
    let mut other = frame(whole.clone(), 1);
    let flags = gst_video::VideoFrameFlags::empty();
    let owned = other.get_mut().expect("own");
    gst_video::VideoMeta::add(owned, flags, VideoFormat::Rgb, 16, 16).expect("is added");
    let outside = with_meta(whole.clone(), VideoFormat::Rgb, 1 << 40, 100);
    let upside_down = with_meta(whole.clone(), VideoFormat::Rgb, 0, usize::MAX);
    let long_rows = with_meta(whole.clone(), VideoFormat::Rgb, 0, 101);
    vec![
        (corrupted, "corrupted"),
        (cropped, "GstVideoCropMeta"),
        (other, "16 x 16"),
        (frame(whole[..whole.len() / 2].to_vec(), 1), "too few"),
        (outside, "too few"),
        (upside_down, "upside down"),
        (long_rows, "too few"),
    ]
}

#[test]
fn what_cannot_be_inspected_is_rejected_and_the_stream_goes_on_if_that_is_wanted() {
    for (frame, word) in unusable() {
        let mut rig = rig(&[("on-error", "reject")]);
        let back = rig.harness.push_and_pull(frame).expect("passes");
        let told = rig.message(gsthetmm::INSPECTION).expect("a result");
        let text = |name| told.get::<String>(name).expect("a string");
        assert_eq!([text("verdict"), text("rule")], ["ng", "failed"], "{word}");
        assert!(text("what").contains(word), "{word}: {told}");
        let json: serde_json::Value = serde_json::from_str(&text("json")).expect("JSON");
        assert_eq!(
            (&json["verdict"], &json["decided_by"]["rule"]),
            (&"ng".into(), &"failed".into())
        );
        let (score, threshold) = (told.get::<f32>("score"), told.get::<f32>("threshold"));
        assert!(score.expect("a score") > threshold.expect("a threshold"));
        assert_eq!(meta_of(&back).expect("a meta").get::<String>("verdict").expect("ng"), "ng");
        assert_eq!(rig.complaint(), None);
        rig.harness.push(usual_frame(2)).expect("passes");
        assert_same(&rig.message(gsthetmm::INSPECTION).expect("a result"), &expected());
        assert_eq!([rig.count("failed"), rig.count("inspected"), rig.count("ng")], [1, 1, 1]);
    }
}

#[test]
fn what_cannot_be_inspected_stops_the_stream_with_an_error_and_is_rejected() {
    for (frame, word) in unusable() {
        let mut rig = rig(&[]);
        assert_eq!(rig.harness.push(frame), Err(gst::FlowError::Error), "{word}");
        let told = rig.message(gsthetmm::INSPECTION);
        assert_eq!(told.expect("a result").get::<String>("rule").expect("a rule"), "failed");
        assert_eq!(rig.harness.buffers_received(), 0);
    }
    // The bus is read once more, for the error.
    let mut rig = rig(&[("post-messages", "none")]);
    let (frame, word) = unusable().swap_remove(0);
    assert!(rig.harness.push(frame).is_err());
    let told = rig.complaint().expect("an error");
    assert!(told.contains(word) && told.contains("frame 1") && told.contains("->"), "{told}");
}

#[test]
fn frames_of_another_shape_are_rejected() {
    let mut rig = rig_of(&[("on-error", "reject")], caps(VideoFormat::Gray8, 64, 16));
    rig.harness.push(frame(vec![90; 64 * 16], 1)).expect("passes");
    let told = rig.message(gsthetmm::INSPECTION).expect("a result");
    let what = told.get::<String>("what").expect("a reason");
    assert!(what.contains("another shape") && what.contains("64 x 16"), "{what}");
    let mut rig = rig_of(&[("any-shape", "true")], caps(VideoFormat::Gray8, 64, 16));
    rig.harness.push(frame(vec![90; 64 * 16], 1)).expect("passes");
    let told = rig.message(gsthetmm::INSPECTION).expect("a result");
    assert!(!told.has_field("what") && told.get::<f32>("score").is_ok(), "{told}");
}

#[test]
fn caps_that_cannot_be_inspected_are_not_negotiated() {
    let template = element(&[]).pad_template("sink").expect("a template").caps().to_owned();
    let refused = [
        "video/x-raw,format=I420,width=64,height=64",
        "video/x-raw,format=NV12,width=64,height=64",
        "video/x-raw,format=RGB,width=7,height=64",
        "video/x-raw,format=RGB,width=64,height=7",
        "video/x-raw(memory:NVMM),format=BGRx,width=64,height=64",
    ];
    for caps in refused {
        let caps: gst::Caps = caps.parse().expect("caps");
        assert!(!template.can_intersect(&caps), "{caps}");
    }
    let interlaced = "video/x-raw,format=RGB,width=64,height=64,interlace-mode=interleaved";
    let mut rig = rig_of(&[], interlaced.parse().expect("caps"));
    assert_eq!(
        rig.harness.push(frame(vec![0; 3 * 64 * 64], 1)),
        Err(gst::FlowError::NotNegotiated)
    );
    let told = rig.complaint().expect("an error");
    assert!(told.contains("interlaced") && told.contains("deinterlace"), "{told}");
}
