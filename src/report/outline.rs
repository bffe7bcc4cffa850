//! Outlines of what lies above a level of a map, as SVG path data (marching squares).

/// Path data of the lines along which `map`, of `width` columns, crosses `level`, in pixels of the
/// map, pixel centres at .5. What reaches beyond the border is closed along it. Values may be
/// minus infinity.
pub fn outline(map: &[f32], width: usize, level: f32) -> String {
    let height = map.len() / width.max(1);
    let value = |x: i64, y: i64| {
        let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
        if inside { map[y as usize * width + x as usize] } else { f32::NEG_INFINITY }
    };
    let mut path = String::new();
    for y in -1..height as i64 {
        for x in -1..width as i64 {
            // Corners clockwise from the top left; an edge is crossed between two of them.
            let corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)];
            let values = corners.map(|(x, y)| value(x, y));
            if matches!(values.iter().filter(|v| **v > level).count(), 0 | 4) {
                continue;
            }
            let crossings: Vec<(f32, f32)> = (0..4)
                .filter_map(|i| {
                    let j = (i + 1) % 4;
                    crossing((corners[i], values[i]), (corners[j], values[j]), level)
                })
                .collect();
            // Two crossings, or four at a saddle, which is cut at its corners.
            for pair in crossings.chunks_exact(2) {
                let (from, to) = (pair[0], pair[1]);
                path.push_str(&format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1));
            }
        }
    }
    path
}

/// A corner of a cell and the value there.
type Corner = ((i64, i64), f32);

/// Where the way from one corner to the next goes through `level`, seen from the higher one.
fn crossing(a: Corner, b: Corner, level: f32) -> Option<(f32, f32)> {
    let (high, low) = if a.1 > b.1 { (a, b) } else { (b, a) };
    let crosses = high.1 > level && low.1 <= level;
    if !crosses {
        return None;
    }
    let part = if low.1.is_finite() { (high.1 - level) / (high.1 - low.1) } else { 0.0 };
    let on = |from: i64, to: i64| from as f32 + 0.5 + part * (to - from) as f32;
    Some((on(high.0.0, low.0.0), on(high.0.1, low.0.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pixel_gives_a_diamond_halfway_to_its_neighbours() {
        let mut map = [0.0; 9];
        map[4] = 2.0;
        let path = outline(&map, 3, 1.0);
        assert_eq!(path.matches('M').count(), 4);
        for corner in ["1.5 1.0", "2.0 1.5", "1.5 2.0", "1.0 1.5"] {
            assert_eq!(path.matches(corner).count(), 2, "{corner} in {path}");
        }
    }

    #[test]
    fn borders_close_and_nothing_gives_nothing() {
        assert_eq!(outline(&[0.0; 12], 4, 1.0), "");
        assert_eq!(outline(&[f32::NEG_INFINITY; 12], 4, 1.0), "");
        // All above: one closed line along the outer pixel centres.
        let path = outline(&[5.0; 12], 4, 1.0);
        let ends: Vec<&str> = path.split(['M', 'L']).filter(|p| !p.is_empty()).collect();
        assert!(ends.iter().all(|end| ends.iter().filter(|e| *e == end).count() % 2 == 0));
        assert!(path.contains("0.5 0.5") && path.contains("3.5 2.5"));
    }
}
