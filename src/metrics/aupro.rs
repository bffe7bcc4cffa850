//! This module computes the area under the per-region-overlap curve (MVTec's localisation figure).

use super::SortedScores;
use crate::scoring::components::label_components;

/// The ground truth of one picture, pixel by pixel. 0 is good, and every other number stands for
/// one defect region.
pub struct PixelTruth {
    region_of: Vec<u32>,
    regions: u32,
}

impl PixelTruth {
    /// Makes regions of the 8-connected components of `defect`, a mask of `width` columns.
    pub fn new(defect: &[bool], width: usize) -> Self {
        let (region_of, regions) = label_components(defect, width);
        PixelTruth { region_of, regions }
    }
}

/// Computes the area under the per-region-overlap curve, and the pixel AUROC of the same pictures.
/// The area is exact, ends at a false-positive rate of `limit` and is divided by `limit` (Eq. 12 of
/// the paper, not rescaled).
///
/// The curve has a vertex at every distinct score, from the highest down. Overlap is averaged over
/// all regions of all pictures, large or small. Straight lines join the vertices, and the last line
/// is cut at `limit`. Each picture is its score map and its truth, of equal size. A figure is
/// `None` where there is no region or no good pixel.
pub fn aupro<T: Copy + PartialOrd + Send>(
    pictures: &[(&[T], &PixelTruth)],
    limit: f64,
) -> (Option<f64>, Option<f64>) {
    let curve = pro_curve(pictures, limit);
    (curve.aupro, curve.pixel_auroc)
}

/// A per-region-overlap curve and the figures that come with it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProCurve {
    /// The area under the curve, as in [`aupro`].
    pub aupro: Option<f64>,
    /// The pixel AUROC, as in [`aupro`].
    pub pixel_auroc: Option<f64>,
    /// The vertices for drawing: (false-positive rate 0..=limit, mean overlap 0..=1). Both rise,
    /// from (0, 0) to the cut at the limit. Of vertices that are nearer to each other than 1/500 of
    /// both ranges, only the first is kept. The list is empty where there is no figure.
    pub points: Vec<(f64, f64)>,
}

/// Each range is divided into this number of steps. Vertices within one step of both ranges are
/// drawn as one.
const DRAWN_STEPS: f64 = 500.0;

/// Does the same as [`aupro`], and also returns the curve itself.
pub fn pro_curve<T: Copy + PartialOrd + Send>(
    pictures: &[(&[T], &PixelTruth)],
    limit: f64,
) -> ProCurve {
    let mut scored = Vec::with_capacity(pictures.iter().map(|(map, _)| map.len()).sum());
    let mut region_sizes = Vec::new();
    for (map, truth) in pictures {
        assert_eq!(map.len(), truth.region_of.len(), "score map and mask sizes");
        let offset = region_sizes.len() as u32;
        region_sizes.resize(region_sizes.len() + truth.regions as usize, 0u64);
        for (&score, &region) in map.iter().zip(&truth.region_of) {
            let class = if region == 0 { 0 } else { region + offset };
            if let Some(size) = class.checked_sub(1).and_then(|r| region_sizes.get_mut(r as usize))
            {
                *size += 1;
            }
            scored.push((score, class));
        }
    }
    let sorted = SortedScores::new(scored);
    let (aupro, points) = area(&sorted, &region_sizes, limit).unzip();
    ProCurve { aupro, pixel_auroc: sorted.auroc(), points: points.unwrap_or_default() }
}

/// Computes the area, and the vertices that are far enough from each other to be seen.
fn area<T: Copy + PartialOrd + Send>(
    sorted: &SortedScores<T>,
    region_sizes: &[u64],
    limit: f64,
) -> Option<(f64, Vec<(f64, f64)>)> {
    let defect_pixels: u64 = region_sizes.iter().sum();
    let pixels: u64 = sorted.ties().map(|tie| tie.len() as u64).sum();
    let good_pixels = pixels - defect_pixels;
    if region_sizes.is_empty() || good_pixels == 0 {
        return None;
    }
    // The share that one pixel of region r adds to the mean overlap.
    let share: Vec<f64> =
        region_sizes.iter().map(|&size| 1.0 / (size as f64 * region_sizes.len() as f64)).collect();
    let (mut false_positives, mut overlap, mut area) = (0u64, 0.0, 0.0);
    let (mut last_fpr, mut last_overlap) = (0.0, 0.0);
    let (mut points, mut drawn) = (vec![(0.0, 0.0)], (0.0, 0.0));
    for tie in sorted.ties() {
        for (_, class) in tie {
            match class.checked_sub(1) {
                None => false_positives += 1,
                Some(region) => overlap += share[region as usize],
            }
        }
        let fpr = false_positives as f64 / good_pixels as f64;
        if fpr > limit {
            let cut =
                last_overlap + (overlap - last_overlap) * (limit - last_fpr) / (fpr - last_fpr);
            area += (limit - last_fpr) * (last_overlap + cut) / 2.0;
            points.push((limit, cut));
            return Some((area / limit, points));
        }
        area += (fpr - last_fpr) * (last_overlap + overlap) / 2.0;
        (last_fpr, last_overlap) = (fpr, overlap);
        if (fpr - drawn.0) * DRAWN_STEPS >= limit || (overlap - drawn.1) * DRAWN_STEPS >= 1.0 {
            drawn = (fpr, overlap);
            points.push(drawn);
        }
    }
    points.push((last_fpr, last_overlap));
    Some((area / limit, points))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_map_scores_one_and_blind_map_scores_like_chance() {
        let mask: Vec<bool> = (0..64).map(|i| i % 8 < 2 && i < 32).collect();
        let truth = PixelTruth::new(&mask, 8);
        let perfect: Vec<f32> = mask.iter().map(|&m| f32::from(u8::from(m))).collect();
        assert_eq!(aupro(&[(&perfect, &truth)], 0.3), (Some(1.0), Some(1.0)));
        let (pro, auroc) = aupro(&[(&[0.5f32; 64][..], &truth)], 0.3);
        assert!((pro.unwrap_or(0.0) - 0.15).abs() < 1e-12);
        assert_eq!(auroc, Some(0.5));
    }

    #[test]
    fn the_drawn_curve_has_the_same_area_and_few_points() {
        // The test has 200 x 200 pixels and two regions. The scores tell them apart only partly.
        let mask: Vec<bool> =
            (0..40_000).map(|i| i % 200 < 20 && !(4000..=36_000).contains(&i)).collect();
        let truth = PixelTruth::new(&mask, 200);
        let map: Vec<f64> = (0..40_000u64)
            .map(|i| {
                let noise = (i * 2_654_435_761 % 40_009) as f64 / 40_009.0;
                noise + if mask[i as usize] { 0.6 } else { 0.0 }
            })
            .collect();
        let curve = pro_curve(&[(&map, &truth)], 0.3);
        assert_eq!(aupro(&[(&map, &truth)], 0.3), (curve.aupro, curve.pixel_auroc));
        let (first, last) = (curve.points[0], curve.points[curve.points.len() - 1]);
        assert_eq!((first, last.0), ((0.0, 0.0), 0.3));
        assert!((50..=1002).contains(&curve.points.len()), "{}", curve.points.len());
        let mut area = 0.0;
        for pair in curve.points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            assert!(x0 <= x1 && y0 <= y1, "{pair:?}");
            area += (x1 - x0) * (y0 + y1) / 2.0 / 0.3;
        }
        assert!((area - curve.aupro.unwrap_or(0.0)).abs() < 2e-3, "{area} {:?}", curve.aupro);
    }

    #[test]
    fn no_region_or_no_good_pixel_gives_no_figure() {
        let none = PixelTruth::new(&[false; 4], 2);
        let all = PixelTruth::new(&[true; 4], 2);
        assert_eq!(aupro(&[(&[0.0f32; 4][..], &none)], 0.3), (None, None));
        assert_eq!(aupro(&[(&[0.0f32; 4][..], &all)], 0.3), (None, None));
        assert!(pro_curve(&[(&[0.0f32; 4][..], &all)], 0.3).points.is_empty());
    }
}
