//! Orders the bytes of a file of 32-bit numbers so that common compressors make it smaller, and back.
//!
//! The exponents of a network's weights are much alike, and their mantissas are not. Side by side, alike bytes compress
//! well. So the ordered file holds four *planes*: bytes 0, 4, 8 and so on of the file, then bytes 1, 5, 9, then 2, 6, 10,
//! then 3, 7, 11. Of the bundled model, gzip makes 10.1 MB in this order, and 10.9 MB in the usual one. Registries accept
//! 10 MiB.

/// The number of bytes of one value, which is the number of planes.
const PLANES: usize = 4;

/// Orders the bytes of a file plane by plane.
pub fn split(file: &[u8]) -> Vec<u8> {
    (0..PLANES).flat_map(|plane| file.iter().skip(plane).step_by(PLANES)).copied().collect()
}

/// Takes back [`split`].
pub fn join(planes: &[u8]) -> Vec<u8> {
    let mut file = vec![0; planes.len()];
    let mut next = planes.iter();
    for plane in 0..PLANES {
        for (byte, &value) in file.iter_mut().skip(plane).step_by(PLANES).zip(&mut next) {
            *byte = value;
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_ordered_by_their_place_in_a_number() {
        assert_eq!(split(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), [1, 5, 9, 2, 6, 10, 3, 7, 4, 8]);
    }

    #[test]
    fn files_of_every_length_come_back_as_they_were() {
        for length in 0..40u8 {
            let file: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37)).collect();
            assert_eq!(join(&split(&file)), file, "{length} bytes");
        }
        assert_eq!(join(&split(crate::MODEL)), crate::MODEL);
    }
}
