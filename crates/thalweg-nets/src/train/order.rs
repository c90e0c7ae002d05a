//! In which order a run sees its data: a new permutation every epoch, a pure function of (streams, epoch).
use crate::streams::{Streams, shuffle};

/// Mini-batches of rows 0..n without replacement; the last batch of an epoch is smaller where it must be, as in PyTorch's loader.
#[derive(Clone, Debug)]
pub struct Order {
    rows: Vec<usize>,
    batch: usize,
    next: usize,
    epoch: u64,
    streams: Streams,
}

impl Order {
    /// Batches of `batch` of `n` rows, both at least 1.
    pub fn new(n: usize, batch: usize, streams: Streams) -> Self {
        let mut order = Self { rows: vec![0; n], batch, next: 0, epoch: 0, streams };
        order.reshuffle();
        order
    }

    fn reshuffle(&mut self) {
        // From the identity, so that an epoch's order does not depend on the epochs before it.
        self.rows.iter_mut().enumerate().for_each(|(i, row)| *row = i);
        shuffle(&mut self.rows, &mut self.streams.index(self.epoch).rng());
    }

    /// The rows of the next batch; allocates nothing.
    pub fn next_batch(&mut self) -> &[usize] {
        if self.next == self.rows.len() {
            (self.next, self.epoch) = (0, self.epoch + 1);
            self.reshuffle();
        }
        let first = self.next;
        self.next = (first + self.batch).min(self.rows.len());
        &self.rows[first..self.next]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_sees_every_row_once_in_its_own_order() {
        let mut order = Order::new(10, 4, Streams::new(3));
        let mut epochs = Vec::new();
        for _ in 0..3 {
            let batches: Vec<Vec<usize>> = (0..3).map(|_| order.next_batch().to_vec()).collect();
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
            epochs.push(batches.concat());
        }
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    }
}
