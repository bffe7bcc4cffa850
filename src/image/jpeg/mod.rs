//! This module checks whether a JPEG is complete.
//!
//! Decoders fill missing parts with grey. A viewer should do this, but an inspection must not. So
//! this module walks through the scans before they are decoded. Every code must have a meaning,
//! every block must be there, and only a few bytes may be left over.

mod bits;
mod fault;
mod scan;
mod tables;

use super::limits::{check_size, truncated, unreadable};
use crate::error::{Error, Result};
use bits::{Bits, Table};
use fault::Fault;
use scan::{Component, Progressive, Scan, Tables};

/// The most bytes between the last block of a scan and the next marker that are ignored, besides
/// fill bytes. Some cameras send a few.
const MOST_LEFT_BYTES: usize = 4;
/// The most scans of a picture, as the decoder limits them.
const MOST_SCANS: u32 = 100;
/// No bit of a coefficient has come yet.
const NOTHING_CAME: u8 = 255;

/// Refuses a JPEG that is incomplete, or whose data makes no sense.
///
/// The decoder itself refuses the kinds of JPEG that it does not decode, so they pass here.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let mut file = File::new(bytes);
    let mut at = 2;
    while let Some((marker, content)) = next_marker(bytes, at) {
        at = content;
        match marker {
            END => return file.check_coefficients(),
            // These markers stand alone.
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let length =
            bytes.get(at..at + 2).map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]));
        let segment = (length >= 2).then(|| bytes.get(at + 2..at + length)).flatten();
        let segment = segment.ok_or_else(|| truncated("a segment of the JPEG is cut off"))?;
        at += length;
        match marker {
            0xC4 => file.define_tables(segment).ok_or_else(nonsense)?,
            // Lossless, hierarchical, arithmetic and 12-bit JPEGs are not decoded.
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return Ok(()),
            0xC0..=0xC2 if segment.first() != Some(&8) => return Ok(()),
            0xC0..=0xC2 => {
                let frame = Frame::new(marker == 0xC2, segment).ok_or_else(nonsense)?;
                check_size(frame.columns as u32, frame.rows as u32, bytes.len())?;
                file.frame = Some(frame);
            }
            0xDD => file.restart_interval = segment.iter().fold(0, |n, &b| n << 8 | usize::from(b)),
            0xDB => file.define_steps(segment).ok_or_else(nonsense)?,
            0xDA => at = file.scan(segment, at)?,
            _ => {}
        }
    }
    Err(truncated("the JPEG has no end marker"))
}

/// The end-of-image marker.
const END: u8 = 0xD9;

/// Returns the first marker at or after `at`, and where the data after it begins.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        match bytes.get(at + 1)? {
            0 => at += 2,
            0xFF => at += 1,
            &marker => return Some((marker, at + 2)),
        }
    }
}

/// The state of reading a file.
struct File<'a> {
    bytes: &'a [u8],
    tables: Tables,
    /// The unit of the first coefficient, for each quantisation table.
    steps: [i32; 4],
    frame: Option<Frame>,
    /// The number of MCUs between restart markers, or 0 where there are none.
    restart_interval: usize,
    scans: u32,
}

/// The size and the components of a picture.
struct Frame {
    progressive: bool,
    columns: usize,
    rows: usize,
    /// The number of MCUs across and down, and the number of rows of one MCU.
    units: (usize, usize),
    unit_rows: usize,
    components: Vec<Component>,
}

impl Frame {
    fn new(progressive: bool, segment: &[u8]) -> Option<Self> {
        let [_, high_rows, low_rows, high_columns, low_columns, count, rest @ ..] = segment else {
            return None;
        };
        let rows = usize::from(*high_rows) << 8 | usize::from(*low_rows);
        let columns = usize::from(*high_columns) << 8 | usize::from(*low_columns);
        let named: Vec<(u8, usize, usize, u8)> = (rest.chunks_exact(3).take((*count).into()))
            .map(|c| (c[0], usize::from(c[1] >> 4), usize::from(c[1] & 15), c[2]))
            .collect();
        let fits = |side: usize| (1..=4).contains(&side);
        let valid = named.iter().all(|&(_, h, v, table)| fits(h) && fits(v) && table < 4);
        if !valid || named.is_empty() || named.len() != usize::from(*count) || rows * columns == 0 {
            return None;
        }
        let most_h = named.iter().map(|c| c.1).max()?;
        let most_v = named.iter().map(|c| c.2).max()?;
        let units = (columns.div_ceil(8 * most_h), rows.div_ceil(8 * most_v));
        let components = named.iter().map(|&(id, h, v, table)| Component {
            id,
            sampling: (h, v),
            blocks: ((columns * h).div_ceil(8 * most_h), (rows * v).div_ceil(8 * most_v)),
            nonzero: Vec::new(),
            quantisation: table.into(),
            last_mean: 0,
            low_bits_missing: [NOTHING_CAME; 64],
        });
        let components = components.collect();
        Some(Frame { progressive, columns, rows, units, unit_rows: 8 * most_v, components })
    }
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut tables = Tables::default();
        tables.dc[0] = Table::of(&tables::DC_LUMINANCE);
        tables.dc[1] = Table::of(&tables::DC_CHROMINANCE);
        tables.ac[0] = Table::of(&tables::AC_LUMINANCE);
        tables.ac[1] = Table::of(&tables::AC_CHROMINANCE);
        File { bytes, tables, steps: [1; 4], frame: None, restart_interval: 0, scans: 0 }
    }

    fn define_tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((head, rest)) = segment.split_first_chunk::<17>() {
            let counts: [u8; 16] = head[1..].try_into().ok()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (meanings, rest) = rest.split_at_checked(total)?;
            let tables = if head[0] >> 4 == 0 { &mut self.tables.dc } else { &mut self.tables.ac };
            *tables.get_mut(usize::from(head[0] & 15))? = Table::new(&counts, meanings);
            segment = rest;
        }
        Some(())
    }

    /// Reads only the first number of each quantisation table. It is the unit of a block's mean.
    fn define_steps(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = segment.split_first() {
            let (table, rest) = rest.split_at_checked(if head >> 4 == 0 { 64 } else { 128 })?;
            let step = match head >> 4 {
                0 => i32::from(table[0]),
                _ => i32::from(table[0]) << 8 | i32::from(table[1]),
            };
            *self.steps.get_mut(usize::from(head & 15))? = step;
            segment = rest;
        }
        Some(())
    }

    /// Walks through the scan whose data begins at `at`, and returns where it ends.
    fn scan(&mut self, segment: &[u8], at: usize) -> Result<usize> {
        self.scans += 1;
        if self.scans > MOST_SCANS {
            return Err(unreadable(format!("a JPEG of more than {MOST_SCANS} scans"))
                .advise("save it again, or remove it"));
        }
        let Some(frame) = &mut self.frame else { return Err(nonsense()) };
        let scan = frame.parse_scan(segment).ok_or_else(nonsense)?;
        frame.note(&scan);
        let mut walk = Walk {
            bytes: self.bytes,
            bits: Bits::new(self.bytes, at),
            tables: &self.tables,
            steps: self.steps,
            interval: self.restart_interval,
            done: 0,
        };
        let walked = match frame.progressive {
            true => walk.progressive(frame, &scan),
            false => walk.sequential(frame, &scan),
        };
        let alone = scan.components.len() == 1;
        let across =
            if alone { frame.components[scan.components[0].0].blocks.0 } else { frame.units.0 };
        let unit_rows = if alone { 8 } else { frame.unit_rows };
        let row = (walk.done / across.max(1) * unit_rows).min(frame.rows);
        walked.map_err(|fault| said(fault, row, frame.rows))?;
        let (end, left) = walk.bits.end();
        if left > MOST_LEFT_BYTES {
            return Err(said(Fault::Nonsense, frame.rows, frame.rows));
        }
        Ok(end)
    }

    /// Refuses a picture with a whole scan missing.
    fn check_coefficients(&self) -> Result<()> {
        let Some(frame) = &self.frame else { return Err(truncated("the JPEG holds no picture")) };
        let complete =
            |component: &Component| component.low_bits_missing.iter().all(|&bits| bits == 0);
        match frame.components.iter().all(complete) {
            true => Ok(()),
            false => Err(truncated("the JPEG ends before its last scan")),
        }
    }
}

impl Frame {
    fn parse_scan(&self, segment: &[u8]) -> Option<Scan> {
        let (&count, rest) = segment.split_first()?;
        let (named, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let components: Option<Vec<_>> = (named.chunks_exact(2))
            .map(|c| {
                let place = self.components.iter().position(|component| component.id == c[0])?;
                Some((place, usize::from(c[1] >> 4), usize::from(c[1] & 15)))
            })
            .collect();
        let components = components.filter(|c| (1..=4).contains(&c.len()))?;
        let [first, last, bits, ..] = *rest else { return None };
        let (band, approximation) = match self.progressive {
            true => ((first.into(), last.into()), (bits >> 4, bits & 15)),
            false => ((0, 63), (0, 0)),
        };
        // DC comes alone, and AC comes for one component at a time.
        let sensible = band.0 <= band.1
            && band.1 < 64
            && (!self.progressive || (band.0 == 0) == (band.1 == 0))
            && (!self.progressive || band.0 == 0 || components.len() == 1);
        sensible.then_some(Scan { components, band, approximation })
    }

    /// Records which bits of the coefficients come with `scan`.
    fn note(&mut self, scan: &Scan) {
        for &(place, ..) in &scan.components {
            let component = &mut self.components[place];
            component.last_mean = 0;
            component.low_bits_missing[scan.band.0..=scan.band.1].fill(scan.approximation.1);
            if self.progressive && component.nonzero.is_empty() {
                component.nonzero = vec![0; component.blocks.0 * component.blocks.1];
            }
        }
    }
}

/// The state of a walk through a scan.
struct Walk<'a> {
    bytes: &'a [u8],
    bits: Bits<'a>,
    tables: &'a Tables,
    steps: [i32; 4],
    interval: usize,
    /// The number of MCUs that are done, or of blocks where the component is alone in the scan.
    done: usize,
}

impl Walk<'_> {
    fn sequential(&mut self, frame: &mut Frame, scan: &Scan) -> std::result::Result<(), Fault> {
        let tables = scan.tables(self.tables)?;
        let alone = scan.components.len() == 1;
        let of_unit: Vec<usize> = (scan.components.iter())
            .map(|&(place, ..)| match frame.components[place].sampling {
                _ if alone => 1,
                (h, v) => h * v,
            })
            .collect();
        let units = units(frame, scan);
        while self.done < units {
            if self.restart(units)? {
                frame.components.iter_mut().for_each(|component| component.last_mean = 0);
            }
            for ((&(dc, ac), &blocks), &(place, ..)) in
                tables.iter().zip(&of_unit).zip(&scan.components)
            {
                let component = &mut frame.components[place];
                let step = self.steps[component.quantisation];
                for _ in 0..blocks {
                    scan::sequential(&mut self.bits, dc, ac, &mut component.last_mean, step)?;
                }
            }
            self.done += 1;
        }
        Ok(())
    }

    fn progressive(&mut self, frame: &mut Frame, scan: &Scan) -> std::result::Result<(), Fault> {
        let mut blocks = Progressive { scan, tables: self.tables, end_of_band_run: 0 };
        let units = units(frame, scan);
        let alone = scan.components.len() == 1;
        let mut none = 0;
        while self.done < units {
            if self.restart(units)? {
                blocks.end_of_band_run = 0;
                frame.components.iter_mut().for_each(|component| component.last_mean = 0);
            }
            for (number, &(place, ..)) in scan.components.iter().enumerate() {
                let component = &mut frame.components[place];
                let (h, v) = if alone { (1, 1) } else { component.sampling };
                let step = self.steps[component.quantisation];
                for _ in 0..h * v {
                    let nonzero = match alone {
                        true => component.nonzero.get_mut(self.done).unwrap_or(&mut none),
                        // The scan holds DC only.
                        false => &mut none,
                    };
                    let state = (nonzero, &mut component.last_mean);
                    blocks.block(&mut self.bits, number, state, step)?;
                }
            }
            self.done += 1;
        }
        Ok(())
    }

    /// Skips the restart marker that is due, and returns whether one was due.
    fn restart(&mut self, units: usize) -> std::result::Result<bool, Fault> {
        let due = self.interval > 0 && self.done > 0 && self.done < units;
        if !due || !self.done.is_multiple_of(self.interval) {
            return Ok(false);
        }
        let bits = std::mem::replace(&mut self.bits, Bits::new(self.bytes, 0));
        let (at, left) = bits.end();
        if left > 0 {
            return Err(Fault::Nonsense);
        }
        let number = (self.done / self.interval - 1) % 8;
        match next_marker(self.bytes, at) {
            Some((marker, after)) if usize::from(marker) == 0xD0 + number => {
                self.bits = Bits::new(self.bytes, after);
                Ok(true)
            }
            _ => Err(Fault::Missing),
        }
    }
}

/// Returns the number of MCUs of a scan, or of blocks where a component is alone in it.
fn units(frame: &Frame, scan: &Scan) -> usize {
    match scan.components.as_slice() {
        [(place, ..)] => frame.components[*place].blocks.0 * frame.components[*place].blocks.1,
        _ => frame.units.0 * frame.units.1,
    }
}

fn nonsense() -> Error {
    unreadable("damaged: the JPEG's header is not valid")
        .advise("copy the picture again from its source, or remove it")
}

/// Makes the error for a scan that is wrong in row `row` of `rows`.
fn said(fault: Fault, row: usize, rows: usize) -> Error {
    match fault {
        Fault::Missing => truncated(&format!("the JPEG's data ends in row {row} of {rows}")),
        Fault::Nonsense => {
            unreadable(format!("damaged: the JPEG's data is not valid in row {row} of {rows}"))
                .advise("copy the picture again from its source, or remove it")
        }
    }
}
