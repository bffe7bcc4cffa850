//! This module walks through the blocks of a scan without computing a pixel (ITU-T T.81, annexes F
//! and G).

use super::bits::{Bits, Table};
use super::fault::Fault;

/// A component of a picture, such as luminance.
pub(super) struct Component {
    pub(super) id: u8,
    /// The number of blocks of this component across and down an MCU.
    pub(super) sampling: (usize, usize),
    /// The number of blocks across and down where the component is alone in a scan.
    pub(super) blocks: (usize, usize),
    /// For each block, the coefficients that are not zero: bit k stands for coefficient k in zigzag
    /// order. Only progressive JPEGs need it.
    pub(super) nonzero: Vec<u64>,
    /// The index of the component's quantisation table, and the mean brightness of the last block.
    /// The mean is times 8, in steps of that table.
    pub(super) quantisation: usize,
    pub(super) last_mean: i32,
    /// For each coefficient, how many of its lowest bits have not come yet. 255 stands for all
    /// bits.
    pub(super) low_bits_missing: [u8; 64],
}

/// The contents of a start-of-scan marker.
pub(super) struct Scan {
    /// For each component of the scan: its index in the frame, its DC table and its AC table.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// The first and the last coefficient.
    pub(super) band: (usize, usize),
    /// The bit position of the preceding scan of these coefficients (0 for none), and the bit
    /// position of this scan.
    pub(super) approximation: (u8, u8),
}

/// The defined tables: four for DC, four for AC.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
}

impl Tables {
    fn dc(&self, place: usize) -> Result<&Table, Fault> {
        self.dc.get(place).and_then(Option::as_ref).ok_or(Fault::Nonsense)
    }

    fn ac(&self, place: usize) -> Result<&Table, Fault> {
        self.ac.get(place).and_then(Option::as_ref).ok_or(Fault::Nonsense)
    }
}

/// The largest difference of means and the largest other coefficient that 8 bits a sample can give,
/// in bits.
const MOST_DIFFERENCE_BITS: u8 = 11;
const MOST_COEFFICIENT_BITS: u8 = 10;
/// The largest mean, times 8. 8 bits a sample can give half of it, and the other half allows for
/// rounding.
const MOST_MEAN: i32 = 2 * 1024;

/// Reads the first coefficient of a block: the difference between its mean and that of the last
/// block. `step` is its unit.
fn mean(bits: &mut Bits, table: &Table, last: &mut i32, step: i32) -> Result<(), Fault> {
    let size = bits.symbol(table)?;
    if size > MOST_DIFFERENCE_BITS {
        return Err(Fault::Nonsense);
    }
    let value = bits.take(size.into())? as i32;
    let is_negative = size > 0 && value >> (size - 1) == 0;
    *last += if is_negative { value - (1 << size) + 1 } else { value };
    match last.checked_mul(step) {
        Some(mean) if mean.abs() <= MOST_MEAN + step => Ok(()),
        _ => Err(Fault::Nonsense),
    }
}

/// Reads a whole block of a sequential JPEG.
pub(super) fn sequential(
    bits: &mut Bits,
    dc: &Table,
    ac: &Table,
    last: &mut i32,
    step: i32,
) -> Result<(), Fault> {
    mean(bits, dc, last, step)?;
    let mut at = 1;
    while at < 64 {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (usize::from(symbol >> 4), symbol & 15);
        match (run, size) {
            (15, 0) => at += 16,
            // Only a run of 15 or a run of 0 may come with size 0.
            (0, 0) => break,
            (_, 0) => return Err(Fault::Nonsense),
            _ if size > MOST_COEFFICIENT_BITS => return Err(Fault::Nonsense),
            _ => {
                at += run + 1;
                bits.take(u32::from(size))?;
            }
        }
    }
    if at > 64 { Err(Fault::Nonsense) } else { Ok(()) }
}

/// Walks through the blocks of a progressive scan.
pub(super) struct Progressive<'a> {
    pub(super) scan: &'a Scan,
    pub(super) tables: &'a Tables,
    /// The number of coming blocks that an end-of-band symbol already covers.
    pub(super) end_of_band_run: u32,
}

impl Progressive<'_> {
    /// Reads one block of the component at `place` of the scan. `step` is the unit of its mean.
    pub(super) fn block(
        &mut self,
        bits: &mut Bits,
        place: usize,
        (nonzero, last): (&mut u64, &mut i32),
        step: i32,
    ) -> Result<(), Fault> {
        let &(_, dc, ac) = self.scan.components.get(place).ok_or(Fault::Nonsense)?;
        match (self.scan.band.0, self.scan.approximation.0) {
            (0, 0) => mean(bits, self.tables.dc(dc)?, last, step << self.scan.approximation.1),
            (0, _) => bits.take(1).map(drop),
            (_, 0) => self.first(bits, self.tables.ac(ac)?, nonzero),
            _ => self.refinement(bits, self.tables.ac(ac)?, nonzero),
        }
    }

    /// Returns the number of blocks that an end-of-band symbol stands for, including this one.
    fn run(bits: &mut Bits, exponent: usize) -> Result<u32, Fault> {
        Ok((1 << exponent) + bits.take(exponent as u32)?)
    }

    fn first(&mut self, bits: &mut Bits, table: &Table, nonzero: &mut u64) -> Result<(), Fault> {
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            return Ok(());
        }
        let (mut at, last) = self.scan.band;
        while at <= last {
            let symbol = bits.symbol(table)?;
            let (run, size) = (usize::from(symbol >> 4), symbol & 15);
            match (run, size) {
                (15, 0) => at += 16,
                (exponent, 0) => {
                    self.end_of_band_run = Self::run(bits, exponent)? - 1;
                    return Ok(());
                }
                _ => {
                    at += run;
                    bits.take(u32::from(size))?;
                    if at > last || size > MOST_COEFFICIENT_BITS {
                        return Err(Fault::Nonsense);
                    }
                    *nonzero |= 1 << at;
                    at += 1;
                }
            }
        }
        if at > last + 1 { Err(Fault::Nonsense) } else { Ok(()) }
    }

    fn refinement(
        &mut self,
        bits: &mut Bits,
        table: &Table,
        nonzero: &mut u64,
    ) -> Result<(), Fault> {
        let (mut at, last) = self.scan.band;
        while self.end_of_band_run == 0 && at <= last {
            let symbol = bits.symbol(table)?;
            let (mut run, size) = (usize::from(symbol >> 4), symbol & 15);
            match (run, size) {
                (15, 0) => {}
                (exponent, 0) => {
                    self.end_of_band_run = Self::run(bits, exponent)?;
                    break;
                }
                (_, 1) => drop(bits.take(1)?),
                _ => return Err(Fault::Nonsense),
            }
            // The run counts coefficients that were zero. Each coefficient that was not zero has
            // one more bit here.
            while at <= last {
                if *nonzero >> at & 1 == 1 {
                    bits.take(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if size == 1 {
                if at > last {
                    return Err(Fault::Nonsense);
                }
                *nonzero |= 1 << at;
            }
            at += 1;
        }
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            for at in at..=last {
                bits.take((*nonzero >> at & 1) as u32)?;
            }
        }
        Ok(())
    }
}

impl Scan {
    /// Returns the tables of every component of a sequential scan.
    pub(super) fn tables<'t>(
        &self,
        tables: &'t Tables,
    ) -> Result<Vec<(&'t Table, &'t Table)>, Fault> {
        let of = |&(_, dc, ac): &(usize, usize, usize)| Ok((tables.dc(dc)?, tables.ac(ac)?));
        self.components.iter().map(of).collect()
    }
}
