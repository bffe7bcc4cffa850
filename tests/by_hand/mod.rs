//! Puts picture files together byte by byte: kinds that no encoder at hand writes, and broken ones.
#![allow(dead_code)]

/// Says how a PNG is laid out.
pub struct Png {
    pub width: u32,
    pub height: u32,
    pub bits: u8,
    /// 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
    pub colour: u8,
    pub interlaced: bool,
    pub palette: Vec<u8>,
    pub transparency: Vec<u8>,
}

impl Png {
    pub fn new(width: u32, height: u32, bits: u8, colour: u8) -> Self {
        let palette = if colour == 3 { (0..48).map(|i| i * 5).collect() } else { Vec::new() };
        Png { width, height, bits, colour, interlaced: false, palette, transparency: Vec::new() }
    }

    /// Returns the file. Every row of samples holds `value` in each of its bytes, and the number of the row is added.
    pub fn bytes(&self, value: u8) -> Vec<u8> {
        let mut rows = Vec::new();
        for (width, height) in self.passes() {
            for y in 0..if width == 0 { 0 } else { height } {
                rows.push(0);
                let channels = match self.colour {
                    2 => 3,
                    4 => 2,
                    6 => 4,
                    _ => 1,
                };
                let bits = width as usize * channels * usize::from(self.bits);
                let byte = |x: usize| value.wrapping_add(y as u8).wrapping_add(x as u8);
                rows.extend((0..bits.div_ceil(8)).map(byte));
            }
        }
        self.file(&rows)
    }

    /// Returns the file of these rows, each with its filter in front.
    fn file(&self, rows: &[u8]) -> Vec<u8> {
        let mut head = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        head.extend([self.bits, self.colour, 0, 0, self.interlaced.into()]);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut file, b"IHDR", &head);
        if !self.palette.is_empty() {
            chunk(&mut file, b"PLTE", &self.palette);
        }
        if !self.transparency.is_empty() {
            chunk(&mut file, b"tRNS", &self.transparency);
        }
        chunk(&mut file, b"IDAT", &stored(rows));
        chunk(&mut file, b"IEND", &[]);
        file
    }

    /// Returns the file of 8-bit samples, one per pixel, that `value` returns.
    pub fn bytes_of(&self, value: &dyn Fn(u32, u32) -> u8) -> Vec<u8> {
        let row = |y: u32| std::iter::once(0).chain((0..self.width).map(move |x| value(x, y)));
        self.file(&(0..self.height).flat_map(row).collect::<Vec<u8>>())
    }

    /// Returns the sizes of the seven passes of an interlaced picture, or that of the picture.
    fn passes(&self) -> Vec<(u32, u32)> {
        if !self.interlaced {
            return vec![(self.width, self.height)];
        }
        [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
        .map(|(x, y, dx, dy): (u32, u32, u32, u32)| {
            let steps = |side: u32, first: u32, step| side.saturating_sub(first).div_ceil(step);
            (steps(self.width, x, dx), steps(self.height, y, dy))
        })
        .to_vec()
    }
}

/// Appends a PNG chunk with its checksum.
pub fn chunk(file: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    file.extend((content.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(name);
    file.extend(content);
    file.extend(crc32fast::hash(&file[start..]).to_be_bytes());
}

/// Corrects the checksums of a PNG's chunks, as far as its lengths make sense.
pub fn repair_png(file: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = file.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= file.len()) else {
            return;
        };
        let sum = crc32fast::hash(&file[at + 4..end]);
        file[end..end + 4].copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

/// Returns a zlib stream that stores `bytes` as they are.
pub fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}

/// Holds a directory entry of a TIFF: tag, type (3 for 16-bit, 4 for 32-bit numbers), values.
pub type Entry = (u16, u16, Vec<u32>);

/// Holds a page of a TIFF: its entries, without those that say where its data lies, and its strips or tiles.
pub struct Page {
    pub entries: Vec<Entry>,
    pub chunks: Vec<Vec<u8>>,
    pub tiled: bool,
}

impl Page {
    /// Makes an uncompressed page of `channels` interleaved channels in one strip.
    pub fn new((width, height): (u32, u32), bits: u32, channels: u32, photometric: u32) -> Self {
        let entries = vec![
            (256, 4, vec![width]),
            (257, 4, vec![height]),
            (258, 3, vec![bits; channels as usize]),
            (259, 3, vec![1]),
            (262, 3, vec![photometric]),
            (277, 3, vec![channels]),
        ];
        let row_bytes = (width * bits * channels).div_ceil(8);
        let strip = (0..row_bytes * height).map(|i| (i * 7 % 251) as u8).collect();
        let mut page = Page { entries, chunks: vec![strip], tiled: false };
        page.set(278, 4, vec![height]);
        page
    }

    /// Returns the page with one more entry, or another value in it.
    pub fn with(mut self, tag: u16, kind: u16, values: Vec<u32>) -> Self {
        self.set(tag, kind, values);
        self
    }

    /// Returns the page with other strips or tiles.
    pub fn holding(mut self, chunks: Vec<Vec<u8>>) -> Self {
        self.chunks = chunks;
        self
    }

    fn set(&mut self, tag: u16, kind: u16, values: Vec<u32>) {
        self.entries.retain(|entry| entry.0 != tag);
        self.entries.push((tag, kind, values));
    }
}

/// Returns a TIFF of `pages`, little-endian. `big` makes it a BigTIFF.
pub fn tiff(pages: &[Page], big: bool) -> Vec<u8> {
    let word = if big { 8 } else { 4 };
    let number = |value: usize, length: usize| (value as u64).to_le_bytes()[..length].to_vec();
    let mut file = if big { b"II\x2b\0\x08\0\0\0".to_vec() } else { b"II\x2a\0".to_vec() };
    let mut link_at = file.len();
    file.extend(number(0, word));
    for page in pages {
        let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
        for chunk in &page.chunks {
            offsets.push(file.len() as u32);
            lengths.push(chunk.len() as u32);
            file.extend(chunk);
        }
        let mut entries = page.entries.clone();
        let (offset_tag, length_tag) = if page.tiled { (324, 325) } else { (273, 279) };
        entries.push((offset_tag, 4, offsets));
        entries.push((length_tag, 4, lengths));
        entries.sort();
        let mut directory = number(entries.len(), if big { 8 } else { 2 });
        for (tag, kind, values) in &entries {
            directory.extend(tag.to_le_bytes());
            directory.extend(kind.to_le_bytes());
            directory.extend(number(values.len(), word));
            let length = if *kind == 3 { 2 } else { 4 };
            let mut bytes: Vec<u8> =
                values.iter().flat_map(|&v| number(v as usize, length)).collect();
            if bytes.len() <= word {
                bytes.resize(word, 0);
                directory.extend(bytes);
            } else {
                directory.extend(number(file.len(), word));
                file.extend(bytes);
            }
        }
        let at = number(file.len(), word);
        file[link_at..link_at + word].copy_from_slice(&at);
        file.extend(directory);
        link_at = file.len();
        file.extend(number(0, word));
    }
    file
}

/// Returns a BMP of 8 bits with a palette, run-length encoded: each row is one run.
pub fn run_length_bmp(width: u8, height: u8) -> Vec<u8> {
    let mut data = Vec::new();
    for y in 0..height {
        data.extend([width, y * 3, 0, 0]);
    }
    data.extend([0, 1]);
    let offset = 54 + 1024;
    let mut file = b"BM".to_vec();
    file.extend((offset + data.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(offset.to_le_bytes());
    for number in [40, u32::from(width), u32::from(height), 1 | 8 << 16, 1, data.len() as u32] {
        file.extend(number.to_le_bytes());
    }
    file.extend([0; 16]);
    (0..=255u8).for_each(|i| file.extend([i, 255 - i, i / 2, 0]));
    file.extend(data);
    file
}
