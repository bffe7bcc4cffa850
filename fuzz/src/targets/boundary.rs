//! The C boundary against the Rust interface: the same picture gives the same bits or is refused by both.

use crate::bytes::Bytes;
use crate::ffi::*;
use hetmm::{Inspector, Options, PictureView, Template, Verdict};
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::sync::OnceLock;

const TEMPLATE: &[u8] = include_bytes!("../../../tests/golden/template_v1.hetmm");

struct Both {
    rust: Inspector,
    /// The address of the C handle.
    c: usize,
}

fn both() -> &'static Both {
    static BOTH: OnceLock<Both> = OnceLock::new();
    BOTH.get_or_init(|| {
        let options = Options::builder().threads(1).any_shape(true).build();
        let template = Template::from_bytes(TEMPLATE).expect("opens");
        let rust = Inspector::new(template, &options).expect("joins");
        let (mut template, mut inspector) = (null_mut(), null_mut());
        // SAFETY: the pointers are those of living values, as the header asks.
        unsafe {
            assert_eq!(
                hetmm_template_from_bytes(TEMPLATE.as_ptr().cast(), TEMPLATE.len(), &mut template),
                HETMM_OK
            );
            let mut options = std::mem::zeroed::<hetmm_options>();
            hetmm_options_init(&mut options, size_of::<hetmm_options>());
            options.threads = 1;
            options.flags = HETMM_ANY_SHAPE;
            assert_eq!(hetmm_inspector_new(template, &options, &mut inspector), HETMM_OK);
            hetmm_template_free(template);
        }
        Both { rust, c: inspector.expose_provenance() }
    })
}

fn view<'a>(
    data: &'a [u8],
    wide: &'a [u16],
    picture: &hetmm_picture,
) -> hetmm::Result<PictureView<'a>> {
    let (width, height, stride) = (picture.width, picture.height, picture.stride);
    match picture.format {
        HETMM_GRAY8 => PictureView::gray8(data, width, height, stride),
        HETMM_RGB8 => PictureView::rgb8(data, width, height, stride),
        HETMM_BGR8 => PictureView::bgr8(data, width, height, stride),
        HETMM_RGBX8 => PictureView::rgbx8(data, width, height, stride),
        HETMM_BGRX8 => PictureView::bgrx8(data, width, height, stride),
        HETMM_XRGB8 => PictureView::xrgb8(data, width, height, stride),
        HETMM_XBGR8 => PictureView::xbgr8(data, width, height, stride),
        HETMM_GRAY16 => PictureView::gray16(wide, width, height, stride),
        HETMM_RGB16 => PictureView::rgb16(wide, width, height, stride),
        _ => PictureView::bgr16(wide, width, height, stride),
    }
}

pub fn run(input: &[u8]) {
    let both = both();
    let mut bytes = Bytes(input);
    let format = i32::from(bytes.u8() % 13) - 1;
    let side = |bytes: &mut Bytes| match bytes.u8() {
        255 => bytes.u32(),
        small => u32::from(small % 64),
    };
    let (width, height) = (side(&mut bytes), side(&mut bytes));
    let stride = match bytes.u8() {
        255 => bytes.u32() as usize | usize::from(bytes.u16()) << 48,
        small => (width as usize).saturating_mul(usize::from(small % 8)) + usize::from(small / 8),
    };
    let (struct_size, reserved) = match bytes.u8() {
        0..=239 => (size_of::<hetmm_picture>(), 0),
        wrong => (usize::from(wrong), u32::from(wrong & 1)),
    };
    let times = bytes.between(1, 64);
    let wide: Vec<u16> =
        bytes.0.repeat(times).chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    let data: Vec<u8> = wide.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let picture = hetmm_picture {
        struct_size,
        data: wide.as_ptr().cast(),
        data_size: data.len(),
        width,
        height,
        stride,
        format,
        reserved,
    };
    let mut verdict = HETMM_VERDICT_NONE;
    let mut found = null_mut();
    let inspector = with_exposed_provenance_mut(both.c);
    // SAFETY: the handle was never freed, and the picture's memory lives longer than the call.
    let status = unsafe { hetmm_inspect(inspector, &picture, &mut verdict, &mut found) };
    if status != HETMM_OK {
        assert!(
            found.is_null() && verdict == HETMM_VERDICT_NG,
            "status {status}, verdict {verdict}"
        );
        assert!([HETMM_USAGE, HETMM_IMAGE].contains(&status), "status {status}");
    }
    let is_plain = (HETMM_GRAY8..=HETMM_BGR16).contains(&format)
        && struct_size == size_of::<hetmm_picture>()
        && reserved == 0;
    if !is_plain {
        // SAFETY: NULL or a handle that was not freed.
        unsafe { hetmm_inspection_free(found) };
        return;
    }
    let own = view(&data, &wide, &picture).and_then(|view| both.rust.inspect(&view));
    assert_eq!(own.is_ok(), status == HETMM_OK, "{:?}, status {status}", own.as_ref().err());
    let Ok(own) = own else { return };
    let want = match own.verdict {
        Verdict::Ok => HETMM_VERDICT_OK,
        Verdict::Review => HETMM_VERDICT_REVIEW,
        _ => HETMM_VERDICT_NG,
    };
    // SAFETY: the handle was not freed.
    unsafe {
        assert_eq!((verdict, hetmm_inspection_verdict(found)), (want, want));
        assert_eq!(hetmm_inspection_score(found).to_bits(), own.score.to_bits());
        assert_eq!(hetmm_inspection_region_count(found), own.regions.len());
        for (index, region) in own.regions.iter().enumerate() {
            let mut out = std::mem::zeroed::<hetmm_region>();
            out.struct_size = size_of::<hetmm_region>();
            assert_eq!(hetmm_inspection_region(found, index, &mut out), HETMM_OK);
            let same = (out.x, out.y, out.width, out.height)
                == (region.x, region.y, region.width, region.height);
            assert!(same && out.peak.to_bits() == region.peak.to_bits());
        }
        hetmm_inspection_free(found);
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    (1..=10u8)
        .map(|format| {
            let pixel = [1, 3, 3, 4, 4, 4, 4, 2, 6, 6][usize::from(format) - 1];
            let mut seed = vec![format + 1, 40, 40, pixel, 0, 63];
            seed.extend((0..=255u8).map(|i| i.wrapping_mul(format * 7 + 1)));
            seed
        })
        .collect()
}
