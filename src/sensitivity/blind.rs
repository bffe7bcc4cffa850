//! This module finds places in the picture where fewer defects are found than elsewhere.
//!
//! Every try belongs to the cell of a coarse grid in which its middle lies. The number found in a
//! cell is compared with an expected number. The curves of probability of detection give it for
//! these kinds and sizes. A cell counts as blind under two conditions. Less than half of the
//! expected number is found there. And the probability that any cell has so few by chance is less
//! than 5 %.

use serde::Serialize;

/// The number of columns of the grid.
pub const COLUMNS: usize = 8;
/// The number of rows of the grid.
pub const ROWS: usize = 8;
/// The probability that any cell is called blind by chance.
const BY_CHANCE: f64 = 0.05;
/// The part of the expected number below which a cell may be blind.
const BLIND: f64 = 0.5;

/// The tries, by the place where they were made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlindMap {
    /// The number of columns of the grid.
    pub columns: usize,
    /// The number of rows of the grid.
    pub rows: usize,
    /// The cells, row by row.
    pub cells: Vec<Cell>,
}

/// One cell of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Cell {
    /// How many defects were placed there.
    pub tries: usize,
    /// How many of them were found.
    pub found: usize,
    /// How many would be found if the cell were like the rest of the picture.
    pub expected: f64,
    /// Whether clearly fewer are found there.
    pub blind: bool,
}

/// A try with its place, for the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// The cell of the try.
    pub cell: usize,
    /// Whether it was found.
    pub found: bool,
    /// The probability to find such a defect anywhere in the picture.
    pub expected: f64,
}

/// Returns the cell of a place. `x` and `y` are parts of the picture's sides, from the left and
/// from the top.
pub fn cell_of(x: f64, y: f64) -> usize {
    let along = |part: f64, cells: usize| ((part * cells as f64).max(0.0) as usize).min(cells - 1);
    along(y, ROWS) * COLUMNS + along(x, COLUMNS)
}

impl BlindMap {
    /// Counts `tries` by cell.
    pub fn new(tries: &[Placed]) -> Self {
        let mut cells = vec![Cell::default(); COLUMNS * ROWS];
        let mut chances = vec![Vec::new(); COLUMNS * ROWS];
        for placed in tries {
            let (Some(cell), Some(chances)) =
                (cells.get_mut(placed.cell), chances.get_mut(placed.cell))
            else {
                continue;
            };
            cell.tries += 1;
            cell.found += usize::from(placed.found);
            cell.expected += placed.expected;
            chances.push(placed.expected);
        }
        let tried = cells.iter().filter(|cell| cell.tries > 0).count().max(1);
        for (cell, chances) in cells.iter_mut().zip(&chances) {
            let is_little = (cell.found as f64) < BLIND * cell.expected;
            cell.blind = is_little && at_most(cell.found, chances) < BY_CHANCE / tried as f64;
        }
        BlindMap { columns: COLUMNS, rows: ROWS, cells }
    }

    /// Returns how many cells are blind, and how many were tried.
    pub fn blind(&self) -> (usize, usize) {
        let count = |of: &dyn Fn(&Cell) -> bool| self.cells.iter().filter(|cell| of(cell)).count();
        (count(&|cell| cell.blind), count(&|cell| cell.tries > 0))
    }
}

/// Returns the probability of at most `found` successes in independent tries with these `chances`.
fn at_most(found: usize, chances: &[f64]) -> f64 {
    let mut of_count = vec![0.0; chances.len() + 1];
    of_count[0] = 1.0;
    for (tried, chance) in chances.iter().enumerate() {
        for count in (0..=tried + 1).rev() {
            let one_less = if count > 0 { of_count[count - 1] } else { 0.0 };
            of_count[count] = of_count[count] * (1.0 - chance) + one_less * chance;
        }
    }
    of_count.iter().take(found + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_binomial() {
        for (found, tries, p, want) in [
            (0, 10, 0.5, 9.765_625e-4),
            (3, 10, 0.5, 0.171_875),
            (2, 5, 0.9, 0.00856),
            (0, 0, 0.5, 1.0),
        ] {
            let got = at_most(found, &vec![p; tries]);
            assert!((got - want).abs() < 1e-12, "{found} of {tries} at {p}: {got}");
        }
    }

    #[test]
    fn a_cell_is_blind_only_where_clearly_less_is_found() {
        let mut tries = Vec::new();
        for cell in 0..64 {
            for number in 0..20 {
                let found = match cell {
                    9 => number < 2,
                    10 => number < 11,
                    _ => number < 16,
                };
                tries.push(Placed { cell, found, expected: 0.8 });
            }
        }
        let map = BlindMap::new(&tries);
        let blind: Vec<usize> = (0..64).filter(|&cell| map.cells[cell].blind).collect();
        assert_eq!((blind, map.blind()), (vec![9], (1, 64)));
        let few: Vec<Placed> =
            (0..3).map(|_| Placed { cell: 1, found: false, expected: 0.5 }).collect();
        assert_eq!(BlindMap::new(&few).blind(), (0, 1));
        assert_eq!(BlindMap::new(&[]).blind(), (0, 0));
    }

    #[test]
    fn cells_go_row_by_row() {
        assert_eq!(cell_of(0.0, 0.0), 0);
        assert_eq!(cell_of(0.99, 0.13), 15);
        assert_eq!(cell_of(1.0, 1.0), 63);
    }
}
