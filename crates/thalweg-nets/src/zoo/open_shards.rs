//! Files of shards that are held open while networks are read from them in any order.
use super::shard;
use crate::error::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::Path;

/// Some files of shards; the one that was opened first is closed first.
#[derive(Debug)]
pub(super) struct OpenShards {
    most: usize,
    files: HashMap<usize, File>,
    order: VecDeque<usize>,
}

/// Files that one zoo holds open at most: a process may open a thousand or so.
const MOST: usize = 128;

impl OpenShards {
    /// As many as go with `budget` bytes of networks: where many zoos share them, each holds few.
    pub(super) fn new(budget: usize) -> Self {
        Self { most: (budget >> 21).clamp(1, MOST), files: HashMap::new(), order: VecDeque::new() }
    }

    /// Shard `index` of the zoo in `dir`.
    pub(super) fn get(&mut self, dir: &Path, index: usize) -> Result<&mut File> {
        if !self.files.contains_key(&index) {
            if self.order.len() >= self.most
                && let Some(first) = self.order.pop_front()
            {
                self.files.remove(&first);
            }
            let path = shard::path(dir, index);
            self.files.insert(index, File::open(&path).map_err(Error::io("read", &path))?);
            self.order.push_back(index);
        }
        Ok(self.files.get_mut(&index).expect("opened just now"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_file_is_the_one_that_is_asked_for_and_few_are_open() {
        let dir = tempfile::tempdir().unwrap();
        for index in 0..5 {
            std::fs::write(shard::path(dir.path(), index), [index as u8; 3]).unwrap();
        }
        let mut open = OpenShards::new(2 << 21);
        for index in [0, 1, 0, 4, 2, 4, 0] {
            let (file, mut first) = (open.get(dir.path(), index).unwrap(), [9]);
            // From where the file stands: from its beginning where it was opened anew.
            if file.read(&mut first).unwrap() == 1 {
                assert_eq!(usize::from(first[0]), index);
            }
            assert!(open.files.len() <= 2 && open.files.len() == open.order.len());
        }
        assert!(open.get(dir.path(), 7).unwrap_err().to_string().contains("shard-00007"));
        assert_eq!((OpenShards::new(0).most, OpenShards::new(usize::MAX).most), (1, MOST));
    }
}
