//! This module writes labels into pictures. It has a small bitmap font with the letters that the
//! labels need.

use image::{Rgb, RgbImage};

/// The columns and rows of a letter, without the space around it.
const COLUMNS: u32 = 5;
const ROWS: u32 = 8;
/// The distance from one letter to the next, in font pixels.
const ADVANCE: u32 = COLUMNS + 1;

/// Every letter with its eight rows of five pixels. The leftmost pixel is in the highest bit. The
/// last row is below the line.
#[rustfmt::skip]
const LETTERS: [(char, [u8; ROWS as usize]); 45] = [
    ('0', [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110, 0]),
    ('1', [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110, 0]),
    ('2', [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111, 0]),
    ('3', [0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110, 0]),
    ('4', [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010, 0]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110, 0]),
    ('6', [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110, 0]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000, 0]),
    ('8', [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110, 0]),
    ('9', [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100, 0]),
    ('a', [0b00000, 0b00000, 0b01110, 0b00001, 0b01111, 0b10001, 0b01111, 0]),
    ('b', [0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b10001, 0b11110, 0]),
    ('c', [0b00000, 0b00000, 0b01110, 0b10001, 0b10000, 0b10001, 0b01110, 0]),
    ('d', [0b00001, 0b00001, 0b01111, 0b10001, 0b10001, 0b10001, 0b01111, 0]),
    ('e', [0b00000, 0b00000, 0b01110, 0b10001, 0b11111, 0b10000, 0b01110, 0]),
    ('f', [0b00110, 0b01001, 0b01000, 0b11100, 0b01000, 0b01000, 0b01000, 0]),
    ('g', [0b00000, 0b00000, 0b01111, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('h', [0b10000, 0b10000, 0b10110, 0b11001, 0b10001, 0b10001, 0b10001, 0]),
    ('i', [0b00100, 0b00000, 0b01100, 0b00100, 0b00100, 0b00100, 0b01110, 0]),
    ('j', [0b00010, 0b00000, 0b00110, 0b00010, 0b00010, 0b00010, 0b10010, 0b01100]),
    ('k', [0b10000, 0b10000, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0]),
    ('l', [0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110, 0]),
    ('m', [0b00000, 0b00000, 0b11010, 0b10101, 0b10101, 0b10101, 0b10101, 0]),
    ('n', [0b00000, 0b00000, 0b10110, 0b11001, 0b10001, 0b10001, 0b10001, 0]),
    ('o', [0b00000, 0b00000, 0b01110, 0b10001, 0b10001, 0b10001, 0b01110, 0]),
    ('p', [0b00000, 0b00000, 0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000]),
    ('q', [0b00000, 0b00000, 0b01111, 0b10001, 0b10001, 0b01111, 0b00001, 0b00001]),
    ('r', [0b00000, 0b00000, 0b10110, 0b11001, 0b10000, 0b10000, 0b10000, 0]),
    ('s', [0b00000, 0b00000, 0b01111, 0b10000, 0b01110, 0b00001, 0b11110, 0]),
    ('t', [0b01000, 0b01000, 0b11100, 0b01000, 0b01000, 0b01001, 0b00110, 0]),
    ('u', [0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b10011, 0b01101, 0]),
    ('v', [0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b01010, 0b00100, 0]),
    ('w', [0b00000, 0b00000, 0b10001, 0b10001, 0b10101, 0b10101, 0b01010, 0]),
    ('x', [0b00000, 0b00000, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0]),
    ('y', [0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('z', [0b00000, 0b00000, 0b11111, 0b00010, 0b00100, 0b01000, 0b11111, 0]),
    ('.', [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100, 0]),
    (',', [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b00100, 0b01000]),
    (':', [0b00000, 0b01100, 0b01100, 0b00000, 0b01100, 0b01100, 0b00000, 0]),
    ('-', [0b00000, 0b00000, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000, 0]),
    ('+', [0b00000, 0b00100, 0b00100, 0b11111, 0b00100, 0b00100, 0b00000, 0]),
    ('/', [0b00001, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b10000, 0]),
    ('%', [0b11000, 0b11001, 0b00010, 0b00100, 0b01000, 0b10011, 0b00011, 0]),
    ('?', [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b00000, 0b00100, 0]),
    (' ', [0; ROWS as usize]),
];

/// Returns the size of a line of letters, in pixels. Every pixel of the font is `scale` pixels wide
/// and high.
pub fn size(text: &str, scale: u32) -> (u32, u32) {
    (text.chars().count() as u32 * ADVANCE * scale, ROWS * scale)
}

/// Writes `text` into `image`, with its upper left corner at `x`, `y`. It leaves out what lies
/// beyond the picture. A letter that the font does not have becomes a question mark.
pub fn write(image: &mut RgbImage, text: &str, (x, y): (u32, u32), scale: u32, ink: Rgb<u8>) {
    for (number, letter) in (0u32..).zip(text.chars()) {
        let left = x + number * ADVANCE * scale;
        let rows = rows_of(letter);
        for (row, column) in (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (row, column)))
        {
            let is_set =
                rows.get(row as usize).is_some_and(|bits| bits >> (COLUMNS - 1 - column) & 1 == 1);
            if is_set {
                fill(image, (left + column * scale, y + row * scale), scale, ink);
            }
        }
    }
}

fn rows_of(letter: char) -> [u8; ROWS as usize] {
    let of = |wanted: char| LETTERS.iter().find(|(letter, _)| *letter == wanted);
    of(letter).or_else(|| of('?')).map_or([0; ROWS as usize], |(_, rows)| *rows)
}

fn fill(image: &mut RgbImage, (x, y): (u32, u32), side: u32, ink: Rgb<u8>) {
    for (u, v) in (0..side).flat_map(|v| (0..side).map(move |u| (x + u, y + v))) {
        if let Some(pixel) = image.get_pixel_mut_checked(u, v) {
            *pixel = ink;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_written_where_they_belong_and_cut_at_the_border() {
        let mut image = RgbImage::new(13, 9);
        write(&mut image, "1-", (1, 1), 1, Rgb([255; 3]));
        let row = |y: u32| -> String {
            (0..13).map(|x| if image.get_pixel(x, y).0 == [255; 3] { '#' } else { '.' }).collect()
        };
        let rows: Vec<String> = (0..9).map(row).collect();
        assert_eq!(
            rows,
            [
                ".............",
                "...#.........",
                "..##.........",
                "...#.........",
                "...#...#####.",
                "...#.........",
                "...#.........",
                "..###........",
                ".............",
            ]
        );
        assert_eq!(size("1-", 1), (12, 8));
        let ink = |text: &str, scale| {
            let mut image = RgbImage::new(60, 20);
            write(&mut image, text, (0, 0), scale, Rgb([255; 3]));
            image.pixels().filter(|p| p.0 == [255; 3]).count()
        };
        assert_eq!((ink("-", 1), ink("-", 2)), (5, 20));
        assert_eq!(ink("\u{e4}", 1), ink("?", 1));
        write(&mut image, "www", (10, 5), 2, Rgb([255; 3]));
    }

    #[test]
    fn no_two_letters_look_alike() {
        for (i, (one, rows)) in LETTERS.iter().enumerate() {
            assert!(LETTERS[..i].iter().all(|(_, other)| other != rows), "{one}");
        }
    }
}
