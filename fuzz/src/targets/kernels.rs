//! Each kernel of the matching against sums in double precision, and on bytes against the plain one.

use crate::bytes::{Bytes, Numbers};
use half::f16;
use hetmm::feature_map::FeatureMap;
use hetmm::matching::kernel::Kernel;
use hetmm::matching::panel::{BytePanel, PanelView};

/// What is computed: a panel of `width` sheets against query pixels.
struct Case {
    width: usize,
    channels: usize,
    count: usize,
    pixels: Vec<u32>,
    start: [f32; 64],
    before: Vec<f32>,
}

fn case(bytes: &mut Bytes, numbers: &mut Numbers) -> Case {
    let width = 4 * bytes.between(1, 16);
    let channels = bytes.between(1, 70);
    let count = bytes.between(1, 12);
    let length = bytes.between(0, 26);
    let pixels = (0..length).map(|_| (numbers.next() % count as u64) as u32).collect();
    let mut start = [0.0; 64];
    let hidden = bytes.u8();
    for lane in &mut start {
        if numbers.next() % 256 < u64::from(hidden) {
            *lane = f32::NEG_INFINITY;
        }
    }
    let before =
        (0..length).map(|_| if numbers.next().is_multiple_of(4) { 0.5 } else { f32::NEG_INFINITY });
    Case { width, channels, count, pixels, start, before: before.collect() }
}

pub fn run(input: &[u8]) {
    let mut bytes = Bytes(input);
    let mut numbers = bytes.numbers();
    let case = case(&mut bytes, &mut numbers);
    let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.unit()).collect() };
    let (rows, query) = (values(case.channels * case.width), values(case.count * case.channels));
    floats(&case, &rows, &query);
    of_bytes(&case, &mut numbers, query);
    let halves: Vec<f16> =
        (0..case.width * 3).map(|_| f16::from_bits(numbers.next() as u16)).collect();
    for kernel in Kernel::all() {
        let mut wide = vec![0.0; halves.len()];
        kernel.widen(&halves, &mut wide);
        for (wide, half) in wide.iter().zip(&halves) {
            let want = half.to_f32();
            assert!(
                wide.to_bits() == want.to_bits() || (wide.is_nan() && want.is_nan()),
                "{half:?}"
            );
        }
    }
}

fn floats(case: &Case, rows: &[f32], query: &[f32]) {
    let Case { width, channels, ref pixels, ref start, ref before, .. } = *case;
    let view = PanelView { rows, ahead: &rows[..rows.len() / 2], width, start };
    // The sum of the magnitudes bounds what the roundings of a sum can come to.
    let exact = |pixel: u32, lane: usize| {
        let products = (0..channels).map(|c| {
            f64::from(rows[c * width + lane]) * f64::from(query[pixel as usize * channels + c])
        });
        products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
    };
    for kernel in Kernel::all() {
        let mut best = before.clone();
        kernel.largest_cosines(&view, query, pixels, &mut best);
        for ((&pixel, &got), &before) in pixels.iter().zip(&best).zip(before) {
            let mut want = f64::from(before);
            let mut room: f64 = 0.0;
            for lane in (0..width).filter(|lane| start[*lane] == 0.0) {
                let (sum, size) = exact(pixel, lane);
                want = want.max(sum);
                room = room.max(size);
            }
            let bound = room * (channels as f64 + 2.0) * f64::from(f32::EPSILON);
            let fine = f64::from(got) == want || (f64::from(got) - want).abs() <= bound;
            assert!(
                fine,
                "{}: {got}, not {want}, width {width}, channels {channels}",
                kernel.name()
            );
        }
    }
}

fn of_bytes(case: &Case, numbers: &mut Numbers, query: Vec<f32>) {
    let Case { width, channels, count, ref pixels, ref start, ref before } = *case;
    let padded = channels.next_multiple_of(4);
    let mut rows: Vec<i8> = (0..padded * width).map(|_| (numbers.next() % 255) as i8).collect();
    rows.iter_mut().for_each(|value| *value = (*value).max(-127));
    let scale: Vec<f32> = (0..width).map(|_| (numbers.next() % 1000) as f32 / 127_000.0).collect();
    let view =
        BytePanel { rows: &rows, ahead: &rows[..rows.len() / 2], width, scale: &scale, start };
    let query = FeatureMap::normalised(1, count, channels, query);
    let mut plain: Option<Vec<f32>> = None;
    for kernel in Kernel::all() {
        let mut best = before.clone();
        kernel.largest_cosines_of_bytes(&view, &kernel.byte_query(&query), pixels, &mut best);
        let plain = plain.get_or_insert_with(|| best.clone());
        for (got, want) in best.iter().zip(plain) {
            let fine =
                got == want || (*got - *want).abs() <= 4.0 * f32::EPSILON * want.abs().max(1e-6);
            assert!(
                fine,
                "{}: {got}, not {want}, width {width}, channels {channels}",
                kernel.name()
            );
        }
    }
}
