//! This module reads the bits of a scan, and the Huffman codes in them (ITU-T T.81, annex F.2.2).

use super::fault::Fault;
use super::tables::Definition;

/// Codes of up to this many bits are found by one look-up.
const FAST_BITS: u32 = 9;
/// An entry of the look-up. The upper byte is the code's length and the lower byte is its meaning.
/// It is 0 where the code is longer.
type Fast = u16;

/// A Huffman table.
#[derive(Clone)]
pub(super) struct Table {
    fast: [Fast; 1 << FAST_BITS],
    /// For each length, the first longer code, aligned to 16 bits.
    end: [u32; 17],
    /// For each length, the number that is added to a code to find its meaning.
    offset: [i32; 17],
    meanings: Vec<u8>,
}

impl Table {
    /// Makes a table with the given number of codes of each length. Returns `None` where there are
    /// more codes than fit.
    pub(super) fn new(counts: &[u8; 16], meanings: &[u8]) -> Option<Self> {
        let mut table = Table {
            fast: [0; 1 << FAST_BITS],
            end: [0; 17],
            offset: [0; 17],
            meanings: meanings.to_vec(),
        };
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = u32::from(counts[length as usize - 1]);
            table.offset[length as usize] = place as i32 - code as i32;
            if code + count > 1 << length || place + count as usize > meanings.len() {
                return None;
            }
            if length <= FAST_BITS {
                for (code, &meaning) in (code..code + count).zip(&meanings[place..]) {
                    let first = (code << (FAST_BITS - length)) as usize;
                    let entry = (length as Fast) << 8 | Fast::from(meaning);
                    table.fast[first..first + (1 << (FAST_BITS - length))].fill(entry);
                }
            }
            code += count;
            place += count as usize;
            table.end[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    pub(super) fn of((counts, meanings): &Definition) -> Option<Self> {
        Self::new(counts, meanings)
    }

    /// Returns the length and the meaning of the code at the start of 16 bits.
    #[inline]
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let fast = self.fast[(bits >> (16 - FAST_BITS)) as usize];
        if fast != 0 {
            return Some((u32::from(fast >> 8), fast as u8));
        }
        self.find_long(bits)
    }

    #[cold]
    fn find_long(&self, bits: u32) -> Option<(u32, u8)> {
        let length = (FAST_BITS + 1..=16).find(|&length| bits < self.end[length as usize])?;
        let code = (bits >> (16 - length)) as i32;
        let place = usize::try_from(code + self.offset[length as usize]).ok()?;
        Some((length, *self.meanings.get(place)?))
    }
}

/// Reads the bits up to the next marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The lowest `count` bits are still to be read.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Bits { bytes, at, buffer: 0, count: 0 }
    }

    /// Takes bytes up to the next marker. Afterwards the buffer holds 32 bits, or all bits that
    /// come before the marker.
    #[inline]
    fn fill(&mut self) {
        // The next four bytes rarely contain a byte of ones.
        if let Some(&[a, b, c, d]) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<4>) {
            let next = u32::from_be_bytes([a, b, c, d]);
            let has_ones = (!next).wrapping_sub(0x0101_0101) & next & 0x8080_8080 != 0;
            if !has_ones && self.count <= 32 {
                self.buffer = self.buffer << 32 | u64::from(next);
                self.count += 32;
                self.at += 4;
                return;
            }
        }
        self.fill_by_bytes();
    }

    #[cold]
    fn fill_by_bytes(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xFF {
                match self.bytes.get(self.at + 1) {
                    Some(0) => self.at += 1,
                    // Bytes of ones may stand before a marker.
                    Some(0xFF) => {
                        self.at += 1;
                        continue;
                    }
                    _ => return,
                }
            }
            self.at += 1;
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// Returns the next `length` bits, up to 16.
    #[inline]
    pub(super) fn take(&mut self, length: u32) -> Result<u32, Fault> {
        if self.count < length {
            self.fill();
        }
        self.count = self.count.checked_sub(length).ok_or(Fault::Missing)?;
        Ok((self.buffer >> self.count) as u32 & ((1 << length) - 1))
    }

    /// Returns the meaning of the next code.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Fault> {
        // 32 bits are also enough for the bits that follow the code.
        if self.count < 32 {
            self.fill();
        }
        let next = match self.count {
            16.. => (self.buffer >> (self.count - 16)) as u32 & 0xFFFF,
            count => (self.buffer << (16 - count)) as u32 & 0xFFFF,
        };
        match table.find(next) {
            Some((length, meaning)) => {
                self.count = self.count.checked_sub(length).ok_or(Fault::Missing)?;
                Ok(meaning)
            }
            None if self.count < 16 => Err(Fault::Missing),
            None => Err(Fault::Nonsense),
        }
    }

    /// Returns where the next marker stands, and how many whole bytes before it have not been read.
    /// It does not count fill bytes, which are all ones or all zeros. Other bits that fill the last
    /// byte count as one byte.
    pub(super) fn end(mut self) -> (usize, usize) {
        let filling = self.count % 8;
        self.count -= filling;
        let bits = (self.buffer >> self.count) as u32 & ((1 << filling) - 1);
        let mut left = usize::from(bits != 0 && bits != (1 << filling) - 1);
        loop {
            while self.count > 0 {
                self.count -= 8;
                left += usize::from(!matches!((self.buffer >> self.count) as u8, 0 | 0xFF));
            }
            let before = self.at;
            self.fill();
            if self.at == before {
                return (self.at, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables;
    use super::*;

    #[test]
    fn codes_of_every_length_are_found() {
        for definition in [
            &tables::DC_LUMINANCE,
            &tables::DC_CHROMINANCE,
            &tables::AC_LUMINANCE,
            &tables::AC_CHROMINANCE,
        ] {
            let table = Table::of(definition).expect("fits");
            let (mut code, mut meanings) = (0u32, definition.1.iter());
            for length in 1..=16u32 {
                for _ in 0..definition.0[length as usize - 1] {
                    let shift = 16 - length;
                    for bits in [code << shift, (code << shift) + ((1 << shift) - 1)] {
                        assert_eq!(
                            table.find(bits),
                            Some((length, *meanings.as_slice().first().expect("one")))
                        );
                    }
                    meanings.next();
                    code += 1;
                }
                code <<= 1;
            }
            assert_eq!(meanings.next(), None);
            assert_eq!(table.find(0xFFFF), None, "all ones are no code");
        }
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_none(), "three codes of one bit");
        counts[0] = 2;
        assert!(Table::new(&counts, &[1]).is_none(), "a code without a meaning");
    }

    #[test]
    fn bits_end_at_a_marker() {
        let bytes = [0b1010_0101, 0xFF, 0x00, 0x0F, 0xFF, 0xFF, 0xD9];
        let mut bits = Bits::new(&bytes, 0);
        assert_eq!(bits.take(4), Ok(0b1010));
        assert_eq!(bits.take(12), Ok(0b0101_1111_1111));
        assert_eq!(bits.take(4), Ok(0));
        assert_eq!(bits.take(5), Err(Fault::Missing));
        let mut bits = Bits::new(&bytes, 0);
        assert_eq!(bits.take(8), Ok(0b1010_0101));
        assert_eq!(bits.end(), (5, 1), "ones are fill bytes, 0x0F is not");
        let mut bits = Bits::new(&bytes, 0);
        assert_eq!(bits.take(3), Ok(0b101));
        assert_eq!(bits.end(), (5, 2), "00101 fills no byte");
        let mut bits = Bits::new(&bytes, 0);
        assert_eq!((bits.take(16), bits.take(8)), (Ok(0xA5FF), Ok(0x0F)));
        assert_eq!(bits.end(), (5, 0));
    }
}
