//! This module joins the distance maps of the layers into one anomaly map at picture resolution
//! (Eq. 10).

/// The distance map of one layer, `height * width` values in pixel order.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceMap {
    /// The number of rows.
    pub height: usize,
    /// The number of columns.
    pub width: usize,
    /// The distances, 0 (same) to 2 (opposite).
    pub data: Vec<f32>,
}

/// Computes `alpha * forward + (1 - alpha) * backward` (Eq. 6), pixel by pixel.
pub fn mutual(forward: &[f32], backward: &[f32], alpha: f32) -> Vec<f32> {
    forward.iter().zip(backward).map(|(f, b)| alpha * f + (1.0 - alpha) * b).collect()
}

/// Adds `weight` times `map` to `sum`, a map of `height` rows and `width` columns. The map is
/// upsampled bilinearly with aligned corners.
pub fn add_upsampled(map: &DistanceMap, weight: f32, sum: &mut [f32], height: usize, width: usize) {
    let columns: Vec<Position> = (0..width).map(|x| position(x, width, map.width)).collect();
    let mut row = vec![0.0; map.width];
    for (y, out) in sum.chunks_exact_mut(width).enumerate().take(height) {
        let at = position(y, height, map.height);
        let above = &map.data[at.low * map.width..(at.low + 1) * map.width];
        let below = &map.data[at.high * map.width..(at.high + 1) * map.width];
        for ((row, a), b) in row.iter_mut().zip(above).zip(below) {
            *row = weight * (a + at.fraction * (b - a));
        }
        for (out, at) in out.iter_mut().zip(&columns) {
            *out += row[at.low] + at.fraction * (row[at.high] - row[at.low]);
        }
    }
}

/// Two neighbouring source positions, and how far the target lies between them.
struct Position {
    low: usize,
    high: usize,
    fraction: f32,
}

fn position(target: usize, target_size: usize, source_size: usize) -> Position {
    if target_size <= 1 || source_size <= 1 {
        return Position { low: 0, high: 0, fraction: 0.0 };
    }
    // The numbers are whole up to the division, so the corners align exactly.
    let scaled = target * (source_size - 1);
    let low = (scaled / (target_size - 1)).min(source_size - 1);
    let fraction = (scaled % (target_size - 1)) as f32 / (target_size - 1) as f32;
    Position { low, high: (low + 1).min(source_size - 1), fraction }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_stay_corners() {
        let map = DistanceMap { height: 2, width: 3, data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 7.0] };
        let mut sum = vec![0.0; 5 * 7];
        add_upsampled(&map, 2.0, &mut sum, 5, 7);
        assert_eq!([sum[0], sum[6], sum[28], sum[34]], [2.0, 6.0, 8.0, 14.0]);
        assert_eq!(sum[3], 4.0);
    }

    #[test]
    fn single_pixels_spread_and_collapse() {
        let dot = DistanceMap { height: 1, width: 1, data: vec![0.5] };
        let mut sum = vec![0.0; 6];
        add_upsampled(&dot, 1.0, &mut sum, 2, 3);
        assert_eq!(sum, [0.5; 6]);
        let line = DistanceMap { height: 1, width: 3, data: vec![1.0, 2.0, 3.0] };
        let mut sum = vec![0.0; 1];
        add_upsampled(&line, 1.0, &mut sum, 1, 1);
        assert_eq!(sum, [1.0]);
    }
}
