//! One NumPy array (`.npy`, versions 1 to 3) from bytes: header checked before values are believed. Little- and big-endian integers,
//! unsigned integers and floats; C order only; no objects, records or strings.
//!
//! Not by `npyz` (0.9.1), which is made for files that one trusts: it multiplies sizes unchecked (a shape of 2³² × 2³² × 4 panics, or counts as empty),
//! allocates 4 GiB for a file of 12 bytes that claims so long a header, and comes with a grammar of Python and twenty crates.
use crate::error::{Error, Result};
use std::path::Path;

/// Values of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// `u1`.
    Bytes(Vec<u8>),
    /// Other integers, signed or not.
    Integers(Vec<i64>),
    /// `f4`.
    Floats(Vec<f32>),
    /// `f8`.
    Doubles(Vec<f64>),
}

/// An array with its sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes, slowest first.
    pub sizes: Vec<usize>,
    /// Values.
    pub numbers: Numbers,
}

/// Decodes an array; `path` and `name` are for errors.
///
/// # Errors
/// No NumPy file, a damaged header, a dtype or order that is not read here, sizes that do not fit the length.
pub fn decode(mut bytes: Vec<u8>, path: &Path, name: &str) -> Result<Array> {
    let wrong = |field: &str, expected: &str, found: String| {
        Err(Error::format(path, format!("array {name}: {field}"), expected, found))
    };
    let (text, values) = match &bytes[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, rest @ ..] => {
            (rest.split_at_checked(usize::from(u16::from_le_bytes([*a, *b])))).unzip()
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, rest @ ..] => {
            (rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)).unzip()
        }
        _ => {
            return wrong(
                "magic",
                "\\x93NUMPY and a version from 1 to 3",
                format!("{:02x?}", &bytes[..bytes.len().min(8)]),
            );
        }
    };
    let (Some(text), Some(values)) = (text, values) else {
        return wrong("header", "a whole header", format!("{} bytes in all", bytes.len()));
    };
    let text = String::from_utf8_lossy(text);
    let Some((dtype, fortran, sizes)) = header(&text) else {
        return wrong("header", "{'descr': …, 'fortran_order': …, 'shape': (…)}", text.chars().take(120).collect());
    };
    if fortran && sizes.len() > 1 {
        return wrong("order", "C order (save numpy.ascontiguousarray of it)", "Fortran order".into());
    }
    let mut kind = dtype.chars();
    let (order, kind, width) = (kind.next(), kind.next(), kind.as_str().parse::<usize>().unwrap_or(0));
    let (Some(order @ ('<' | '>' | '|' | '=')), Some(kind @ ('f' | 'i' | 'u')), true) =
        (order, kind, matches!((kind, width), (Some('f'), 4 | 8) | (Some('i' | 'u'), 1 | 2 | 4 | 8)))
    else {
        return wrong("dtype", "a float of 4 or 8 bytes or an integer of 1, 2, 4 or 8", format!("'{dtype}'"));
    };
    let claimed = sizes.iter().try_fold(width, |product, &size| product.checked_mul(size));
    if claimed != Some(values.len()) {
        let claimed = claimed.map_or("more than memory".into(), |n| n.to_string());
        let expected = format!("{claimed} bytes, as shape {sizes:?} of {dtype} says");
        return wrong("size", &expected, format!("{} bytes", values.len()));
    }
    let items = values.chunks_exact(width).map(|item| {
        let mut little = [0; 8];
        little[..width].copy_from_slice(item);
        if order == '>' {
            little[..width].reverse();
        }
        u64::from_le_bytes(little)
    });
    let unused = 64 - 8 * width as u32;
    let numbers = match (kind, width) {
        ('u', 1) => {
            let start = bytes.len() - values.len();
            bytes.drain(..start);
            Numbers::Bytes(bytes)
        }
        ('u', 8) => {
            let wide: Option<Vec<i64>> = items.map(|n| i64::try_from(n).ok()).collect();
            match wide {
                Some(wide) => Numbers::Integers(wide),
                None => return wrong("values", "integers below 2^63", "a larger one".into()),
            }
        }
        ('u', _) => Numbers::Integers(items.map(|n| n as i64).collect()),
        ('i', _) => Numbers::Integers(items.map(|n| ((n << unused) as i64) >> unused).collect()),
        (_, 4) => Numbers::Floats(items.map(|n| f32::from_bits(n as u32)).collect()),
        _ => Numbers::Doubles(items.map(f64::from_bits).collect()),
    };
    Ok(Array { sizes, numbers })
}

/// The three entries of a header, a Python dictionary: dtype, Fortran order, sizes. Anything else gives nothing.
fn header(text: &str) -> Option<(&str, bool, Vec<usize>)> {
    let after = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let place = quoted.iter().find_map(|quoted| Some(text.find(quoted.as_str())? + quoted.len()))?;
        text[place..].trim_start().strip_prefix(':').map(str::trim_start)
    };
    let descr = after("descr")?;
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let dtype = descr[1..].split_once(quote)?.0;
    let order = after("fortran_order")?;
    let fortran = match () {
        () if order.starts_with("True") => true,
        () if order.starts_with("False") => false,
        () => return None,
    };
    let sizes = after("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: Option<Vec<usize>> = sizes.map(|size| size.parse().ok()).collect();
    Some((dtype, fortran, sizes?))
}

#[cfg(test)]
pub(in crate::data) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A version-1 file with the given dtype and shape texts.
    pub fn npy(dtype: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let mut text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
        while (10 + text.len() + 1) % 64 != 0 {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(values);
        bytes
    }

    fn read(dtype: &str, shape: &str, values: &[u8]) -> Result<Array> {
        decode(npy(dtype, shape, values), Path::new("x.npz"), "x")
    }

    #[test]
    fn every_dtype_decodes_to_the_value_that_was_meant() {
        let one = |dtype: &str, bytes: &[u8]| read(dtype, "(1,)", bytes).unwrap().numbers;
        assert_eq!(one("|u1", &[200]), Numbers::Bytes(vec![200]));
        assert_eq!(one("|i1", &[0xfe]), Numbers::Integers(vec![-2]));
        assert_eq!(one("<i2", &[0xfe, 0xff]), Numbers::Integers(vec![-2]));
        assert_eq!(one(">i2", &[0xff, 0xfe]), Numbers::Integers(vec![-2]));
        assert_eq!(one("<u4", &(u32::MAX).to_le_bytes()), Numbers::Integers(vec![4_294_967_295]));
        assert_eq!(one("<i8", &(-5i64).to_le_bytes()), Numbers::Integers(vec![-5]));
        assert_eq!(one("<f4", &1.5f32.to_le_bytes()), Numbers::Floats(vec![1.5]));
        assert_eq!(one(">f8", &1.5f64.to_be_bytes()), Numbers::Doubles(vec![1.5]));
        assert!(read("<u8", "(1,)", &u64::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn lies_are_refused() {
        let message = |dtype, shape, values: &[u8]| read(dtype, shape, values).unwrap_err().to_string();
        assert!(message("<f4", "(3,)", &[0; 8]).contains("12 bytes"));
        assert!(message("<f4", "(4294967296, 4294967296, 4)", &[0; 8]).contains("more than memory"));
        assert!(message("|O", "(1,)", &[0; 8]).contains("dtype"));
        assert!(message("<f2", "(1,)", &[0; 2]).contains("dtype"));
        assert!(message("<U4", "(1,)", &[0; 16]).contains("dtype"));
        assert!(message("<f4", "(-1,)", &[0; 4]).contains("header"));
        assert!(message("é4", "(1,)", &[0; 4]).contains("dtype"));
    }

    proptest! {
        #[test]
        fn cut_or_changed_bytes_never_panic(cut in 0usize..132, place in 0usize..132, value: u8) {
            let mut bytes = npy("<f4", "(1,)", &[0; 4]);
            let end = bytes.len();
            bytes[place % end] = value;
            bytes.truncate(cut);
            let _ = decode(bytes, Path::new("x"), "x");
        }
    }
}
