//! A cache of rows `[P]` under a byte budget: the row that has rested longest goes first (second chance).
use std::collections::HashMap;

#[derive(Debug)]
struct Slot {
    key: usize,
    row: Box<[f32]>,
    /// Used since the hand last passed.
    used: bool,
}

/// Rows by key. Memory is taken as rows come, up to the capacity, and then reused.
#[derive(Debug)]
pub(super) struct Cache {
    capacity: usize,
    width: usize,
    slots: Vec<Slot>,
    places: HashMap<usize, usize>,
    hand: usize,
}

/// Bytes that a row costs beside its numbers.
const OVERHEAD: usize = 64;

impl Cache {
    /// Room for rows of `width` numbers within `budget` bytes, but for one at least.
    pub(super) fn new(width: usize, budget: usize) -> Self {
        let capacity = (budget / (4 * width + OVERHEAD)).max(1);
        Self { capacity, width, slots: Vec::new(), places: HashMap::new(), hand: 0 }
    }

    /// The row under `key`, if it is here.
    pub(super) fn get(&mut self, key: usize) -> Option<&[f32]> {
        let slot = &mut self.slots[*self.places.get(&key)?];
        slot.used = true;
        Some(&slot.row)
    }

    /// Keeps a row that is not here yet.
    pub(super) fn insert(&mut self, key: usize, row: &[f32]) {
        debug_assert!(row.len() == self.width && !self.places.contains_key(&key));
        if self.slots.len() < self.capacity {
            self.places.insert(key, self.slots.len());
            self.slots.push(Slot { key, row: row.into(), used: false });
            return;
        }
        while self.slots[self.hand].used {
            self.slots[self.hand].used = false;
            self.hand = (self.hand + 1) % self.slots.len();
        }
        let slot = &mut self.slots[self.hand];
        self.places.remove(&slot.key);
        self.places.insert(key, self.hand);
        slot.row.copy_from_slice(row);
        slot.key = key;
        self.hand = (self.hand + 1) % self.slots.len();
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * (4 * self.width + OVERHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_the_budget_holds() {
        let mut cache = Cache::new(4, 10 * (16 + OVERHEAD));
        for key in 0..1000 {
            cache.insert(key, &[key as f32; 4]);
            assert!(cache.bytes() <= 10 * (16 + OVERHEAD));
            // Row 0 is always in use, so it stays.
            assert_eq!(cache.get(0), Some(&[0.0; 4][..]));
        }
        let kept: Vec<usize> = (0..1000).filter(|&k| cache.get(k).is_some_and(|row| row == [k as f32; 4])).collect();
        assert!(kept.len() == 10 && kept.contains(&999), "{kept:?}");
    }
}
