//! Ranges of whole numbers in configurations. What is held at once has an upper end, so that a slip of the keyboard is an error and no allocation.
use crate::{Error, Result};
use std::ops::RangeInclusive;
use thalweg_nets::memory;

/// Most rows, points, networks or trajectories that anything holds at once.
pub(crate) const MOST: u64 = 1_000_000;

/// Most steps, iterations or draws of anything.
pub(crate) const LONGEST: u64 = 1_000_000_000;

/// Checks numbers, each called by `prefix` and its name.
///
/// # Errors
/// The first that lies outside its range.
pub(crate) fn check<const N: usize>(prefix: &str, numbers: [(&str, u64, RangeInclusive<u64>); N]) -> Result<()> {
    match numbers.into_iter().find(|(_, value, range)| !range.contains(value)) {
        None => Ok(()),
        Some((name, value, range)) => {
            let expected = format!("{} to {}", range.start(), range.end());
            Err(Error::parameter(format!("{prefix}{name}"), expected, value))
        }
    }
}

/// Checks that so many numbers in single precision, the product of `sizes`, fit into the memory that one thing may take.
///
/// # Errors
/// More than that, with the number of bytes.
pub(crate) fn numbers(what: &str, sizes: &[usize]) -> Result<()> {
    memory::check(what, sizes.iter().try_fold(4u64, |n, &size| n.checked_mul(size as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_and_products_beyond_memory_are_named() {
        check("a.", [("b", 3, 1..=3), ("c", 0, 0..=0)]).unwrap();
        let said = check("a.", [("b", 3, 1..=3), ("c", 9, 1..=8)]).unwrap_err().to_string();
        assert_eq!(said, "parameter a.c: expected 1 to 8, found 9");
        numbers("points", &[1000, 1000]).unwrap();
        assert!(numbers("points", &[1 << 40, 3]).unwrap_err().to_string().contains("13194139533312 bytes"));
        assert!(numbers("points", &[1 << 40, 1 << 40]).unwrap_err().to_string().contains("2^64"));
    }
}
