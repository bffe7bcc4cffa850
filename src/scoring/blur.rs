//! This module blurs maps by a Gaussian with reflecting borders.

use rayon::prelude::*;

/// Maps of more pixels than this are blurred on all threads. Every row is computed alone, so the
/// result is the same.
const LARGE: usize = 1024 * 1024;

/// A Gaussian of standard deviation `sigma` pixels, truncated at 4 sigma. It is applied separably
/// with reflecting borders (`d c b a | a b c d | d c b a`), as in Eq. 11 of the paper.
#[derive(Debug, Clone)]
pub struct GaussianBlur {
    /// The weight of the centre and of each distance from it. The weights sum to 1 over both sides.
    weights: Vec<f32>,
}

impl GaussianBlur {
    /// Makes the blur. `sigma` is in pixels, and 0 leaves a map as it is.
    pub fn new(sigma: f32) -> Self {
        let sigma = f64::from(sigma.max(0.0));
        let radius = (4.0 * sigma + 0.5) as usize;
        let raw: Vec<f64> = (0..=radius)
            .map(|d| if d == 0 { 1.0 } else { (-0.5 * (d as f64 / sigma).powi(2)).exp() })
            .collect();
        let total = raw[0] + 2.0 * raw[1..].iter().sum::<f64>();
        GaussianBlur { weights: raw.iter().map(|w| (w / total) as f32).collect() }
    }

    /// Blurs a map of `width` columns.
    pub fn apply(&self, map: &[f32], width: usize) -> Vec<f32> {
        if self.weights.len() == 1 || map.is_empty() || width == 0 {
            return map.to_vec();
        }
        let height = map.len() / width;
        let mut rows = vec![0.0; map.len()];
        for_rows(&mut rows, width, |y, out, _| {
            let row = |y: usize| &map[y * width..(y + 1) * width];
            scaled(out, row(y), self.weights[0]);
            for (d, &weight) in self.weights.iter().enumerate().skip(1) {
                let above = row(reflect(y as isize - d as isize, height));
                let below = row(reflect(y as isize + d as isize, height));
                for ((out, a), b) in out.iter_mut().zip(above).zip(below) {
                    *out += weight * (a + b);
                }
            }
        });
        let radius = self.weights.len() - 1;
        for_rows(&mut rows, width, |_, out, padded| {
            padded.resize(width + 2 * radius, 0.0);
            for (i, value) in padded.iter_mut().enumerate() {
                *value = out[reflect(i as isize - radius as isize, width)];
            }
            scaled(out, &padded[radius..radius + width], self.weights[0]);
            for (d, &weight) in self.weights.iter().enumerate().skip(1) {
                let left = &padded[radius - d..];
                let right = &padded[radius + d..];
                for ((out, a), b) in out.iter_mut().zip(left).zip(right) {
                    *out += weight * (a + b);
                }
            }
        });
        rows
    }
}

/// Calls `work` with the number and the values of every row of a map, and with a buffer that `work`
/// can use.
fn for_rows(map: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32], &mut Vec<f32>) + Sync) {
    if map.len() > LARGE {
        let rows = map.par_chunks_exact_mut(width).enumerate();
        rows.for_each_init(Vec::new, |buffer, (y, row)| work(y, row, buffer));
        return;
    }
    let mut buffer = Vec::new();
    map.chunks_exact_mut(width).enumerate().for_each(|(y, row)| work(y, row, &mut buffer));
}

fn scaled(out: &mut [f32], values: &[f32], weight: f32) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = value * weight;
    }
}

/// Returns the index to which a position outside `0..size` mirrors. The edge value is repeated.
fn reflect(at: isize, size: usize) -> usize {
    let period = 2 * size as isize;
    let inside = at.rem_euclid(period);
    (if inside < size as isize { inside } else { period - 1 - inside }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_constant_even_where_the_kernel_is_wider_than_the_map() {
        for (width, height) in [(1, 1), (3, 2), (40, 9)] {
            for value in GaussianBlur::new(4.0).apply(&vec![0.7; width * height], width) {
                assert!((value - 0.7).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn mirrors_repeat_the_edge() {
        let at: Vec<usize> = (-5..8).map(|i| reflect(i, 3)).collect();
        assert_eq!(at, [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
    }
}
