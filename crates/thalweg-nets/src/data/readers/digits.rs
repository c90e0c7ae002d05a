//! The digits that travel within the program: 1,797 images of 8×8, ten classes, so that everything can be tried without a download.
//!
//! Source: Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak; UCI Machine Learning Repository, 1998), CC BY 4.0;
//! see `embedded/NOTICE`. Pixels count ink in blocks of 4×4, 0 to 16; raw values are pixels / 16, in [0, 1].
use super::gzip::unzip;
use crate::data::table::Table;
use crate::error::{Error, Result};
use std::path::Path;

const EMBEDDED: &[u8] = include_bytes!("../embedded/digits.csv.gz");

/// The embedded digits, shape `[1, 8, 8]`, in the order of the source file.
///
/// # Errors
/// Never, unless the program itself is damaged.
pub fn table() -> Result<Table> {
    let place = Path::new("(embedded)/digits.csv.gz");
    let text = unzip(EMBEDDED, place)?;
    let (mut pixels, mut labels) = (Vec::with_capacity(1797 * 64), Vec::with_capacity(1797));
    for (i, line) in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let mut row = line.split(|&b| b == b',').map(|cell| str::from_utf8(cell).ok()?.trim().parse::<u8>().ok());
        for column in 0..65 {
            let value = row.next().flatten().ok_or_else(|| {
                Error::format(
                    place,
                    format!("line {}, column {}", i + 1, column + 1),
                    "a number from 0 to 16",
                    "something else",
                )
            })?;
            if column < 64 {
                pixels.push(value);
            } else {
                labels.push(u32::from(value));
            }
        }
    }
    Table::of_bytes("digits", [1, 8, 8], 10, pixels, 16, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_digits_are_the_published_ones() {
        let digits = table().unwrap();
        assert_eq!(digits.len(), 1797);
        let mut counts = [0; 10];
        digits.labels().iter().for_each(|&y| counts[y as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // First row of the published file.
        let first: Vec<u8> = digits.raw(0).iter().map(|x| (x * 16.0) as u8).collect();
        assert_eq!(first[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
        assert_eq!(digits.labels()[..5], [0, 1, 2, 3, 4]);
        // scikit-learn: load_digits().data.mean() = 4.884164579855314, .std() = 6.016787548672236.
        let normal = digits.normalisation();
        assert!((normal.mean[0] * 16.0 - 4.884_165).abs() < 1e-5, "{normal:?}");
        assert!((normal.std[0] * 16.0 - 6.016_788).abs() < 1e-5, "{normal:?}");
    }
}
