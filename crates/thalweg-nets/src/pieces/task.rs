//! [`Task`]: a part of the pieces of work that many processes on many machines share.
use crate::error::{Error, Result};
use std::fmt;
use std::ops::Range;

/// Task `index` of the `of` tasks that pieces (the shards of a zoo, the networks of a calibration) are shared out to. Tasks take neighbouring pieces, as
/// evenly as they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    index: usize,
    of: usize,
}

impl Task {
    /// Task `index`, from 0, of `of`.
    ///
    /// # Errors
    /// No task, or an index beyond them.
    pub fn new(index: usize, of: usize) -> Result<Self> {
        match index < of {
            true => Ok(Self { index, of }),
            false => Err(Error::parameter("task", "i of n with i from 0 to n - 1", format!("{index} of {of}"))),
        }
    }

    /// Its number, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// The number of tasks.
    pub fn of(self) -> usize {
        self.of
    }

    /// Which of `count` pieces of work are its own.
    ///
    /// # Errors
    /// More tasks than pieces: some would have nothing to do.
    pub fn pieces(self, count: usize) -> Result<Range<usize>> {
        self.part(count, format!("at most {count}, the pieces of this work"))
    }

    /// Which of the `shards` of a zoo are its own.
    ///
    /// # Errors
    /// More tasks than shards.
    pub fn shards(self, shards: usize) -> Result<Range<usize>> {
        self.part(shards, format!("at most {shards}, the shards of this zoo (smaller shards make more of them)"))
    }

    fn part(self, count: usize, expected: String) -> Result<Range<usize>> {
        if self.of > count {
            return Err(Error::parameter("tasks", expected, self.of));
        }
        let at = |index: usize| (index as u128 * count as u128 / self.of as u128) as usize;
        Ok(at(self.index)..at(self.index + 1))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Numbers in rising order as ranges: `0,3,7-9`, as schedulers take them.
pub fn ranges(numbers: &[usize]) -> String {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => found.push((number, number)),
        }
    }
    let shown = |&(a, b): &(usize, usize)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    found.iter().map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_shard_is_one_task_s_and_none_has_nothing(shards in 1usize..500, of in 1usize..500) {
            let parts: Vec<_> = (0..of).map(|i| Task::new(i, of).unwrap().shards(shards)).collect();
            if of > shards {
                prop_assert!(parts.iter().all(Result::is_err));
            } else {
                let parts: Vec<_> = parts.into_iter().map(Result::unwrap).collect();
                prop_assert!(parts.iter().all(|part| !part.is_empty()));
                prop_assert_eq!(parts.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..shards).collect::<Vec<_>>());
                let sizes: Vec<_> = parts.iter().map(ExactSizeIterator::len).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn tasks_and_ranges_read_as_schedulers_write_them() {
        assert_eq!(Task::new(3, 16).unwrap().to_string(), "3/16");
        assert!(Task::new(16, 16).is_err() && Task::new(0, 0).is_err());
        assert_eq!(ranges(&[0, 3, 7, 8, 9, 11]), "0,3,7-9,11");
        assert_eq!(ranges(&[]), "");
    }
}
