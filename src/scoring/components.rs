//! This module finds the connected regions of a mask.

/// Numbers the 8-connected components of `mask` (rows of `width` pixels) from 1, in the order of
/// their first pixel. 0 is background. Returns the number of each pixel and the number of
/// components.
///
/// Pixels that follow each other in a row are a *run*. Runs that touch are joined. The first run of
/// a component stands for it.
pub fn label_components(mask: &[bool], width: usize) -> (Vec<u32>, u32) {
    let runs = runs(mask, width);
    let mut parent: Vec<u32> = (0..runs.len() as u32).collect();
    // The first run of the row above that can touch the run.
    let mut above = 0;
    for (at, run) in runs.iter().enumerate() {
        while above < at && !runs[above].may_touch(run) {
            above += 1;
        }
        for (other, _) in
            (above..at).zip(&runs[above..at]).take_while(|(_, other)| other.touches(run))
        {
            join(&mut parent, other as u32, at as u32);
        }
    }
    let mut label = vec![0u32; mask.len()];
    let mut numbers = vec![0; runs.len()];
    let mut count = 0;
    for (at, run) in runs.iter().enumerate() {
        let first = root(&mut parent, at as u32) as usize;
        if first == at {
            count += 1;
            numbers[at] = count;
        }
        label[run.row * width + run.start..run.row * width + run.end].fill(numbers[first]);
    }
    (label, count)
}

/// Pixels of a row that follow each other.
struct Run {
    row: usize,
    start: usize,
    /// The column behind the last one.
    end: usize,
}

impl Run {
    /// Returns whether a run of the same row as `later`, or of the row before it, touches it.
    fn touches(&self, later: &Run) -> bool {
        self.row + 1 == later.row && self.start <= later.end && self.end >= later.start
    }

    /// Returns whether `later`, or a run behind it in its row, can touch this run.
    fn may_touch(&self, later: &Run) -> bool {
        self.row + 1 == later.row && self.end >= later.start || self.row >= later.row
    }
}

fn runs(mask: &[bool], width: usize) -> Vec<Run> {
    let mut runs = Vec::new();
    for (row, pixels) in mask.chunks(width.max(1)).enumerate() {
        let mut end = 0;
        while let Some(start) = pixels[end..].iter().position(|&inside| inside) {
            let start = end + start;
            let length = pixels[start..].iter().position(|&inside| !inside);
            end = length.map_or(pixels.len(), |length| start + length);
            runs.push(Run { row, start, end });
        }
    }
    runs
}

fn root(parent: &mut [u32], mut run: u32) -> u32 {
    while parent[run as usize] != run {
        let next = parent[parent[run as usize] as usize];
        parent[run as usize] = next;
        run = next;
    }
    run
}

/// Joins the components of two runs. The earlier first run stands for both.
fn join(parent: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b) as usize] = a.min(b);
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

    /// Looks at all eight neighbours of every pixel, without runs.
    fn plain(mask: &[bool], width: usize) -> (Vec<u32>, u32) {
        let (mut label, mut count) = (vec![0u32; mask.len()], 0);
        for seed in 0..mask.len() {
            if !mask[seed] || label[seed] != 0 {
                continue;
            }
            count += 1;
            label[seed] = count;
            let mut open = vec![seed];
            while let Some(pixel) = open.pop() {
                for near in 0..mask.len() {
                    let apart =
                        |v: fn(usize, usize) -> usize| v(near, width).abs_diff(v(pixel, width));
                    let is_near = apart(|i, w| i % w) <= 1 && apart(|i, w| i / w) <= 1;
                    if is_near && mask[near] && label[near] == 0 {
                        label[near] = count;
                        open.push(near);
                    }
                }
            }
        }
        (label, count)
    }

    #[test]
    fn runs_change_nothing() {
        let mut state = 1u32;
        for (width, height) in [(1, 1), (1, 9), (9, 1), (7, 5), (16, 16)] {
            for share in 1..8 {
                let mask: Vec<bool> = (0..width * height)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        state >> 29 < share
                    })
                    .collect();
                assert_eq!(label_components(&mask, width), plain(&mask, width), "{width} {share}");
            }
        }
        assert_eq!(label_components(&[], 0), (Vec::new(), 0));
    }
}
