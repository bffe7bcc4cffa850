//! This module finds the connected regions of a mask.

/// Numbers the 8-connected components of `mask` (rows of `width` pixels) from 1, in the order of
/// their first pixel. 0 is background. Returns the number of each pixel and the number of
/// components.
pub fn label_components(mask: &[bool], width: usize) -> (Vec<u32>, u32) {
    let mut label = vec![0u32; mask.len()];
    let mut count = 0;
    let mut open = Vec::new();
    for seed in 0..mask.len() {
        if !mask[seed] || label[seed] != 0 {
            continue;
        }
        count += 1;
        label[seed] = count;
        open.push(seed);
        while let Some(pixel) = open.pop() {
            let (x, y) = (pixel % width, pixel / width);
            let rows = y.saturating_sub(1)..=(y + 1).min(mask.len() / width - 1);
            for near in rows.flat_map(|v| {
                (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |u| v * width + u)
            }) {
                if mask[near] && label[near] == 0 {
                    label[near] = count;
                    open.push(near);
                }
            }
        }
    }
    (label, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonal_neighbours_are_one_region() {
        let art = "#..#\n.#..\n...#\n##.#";
        let mask: Vec<bool> = art.chars().filter(|c| *c != '\n').map(|c| c == '#').collect();
        let (label, count) = label_components(&mask, 4);
        assert_eq!(count, 4);
        assert_eq!(label, [1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 3, 4, 4, 0, 3]);
    }
}
