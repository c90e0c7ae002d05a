//! [`PieceFolder`]: pieces of numbers as files in a folder that many processes fill.
use super::{Kept, Pieces, Task};
use crate::checksum;
use crate::error::{Error, Result};
use crate::files::{remove_parts, write_among_others};
use crate::progress::Progress;
use crate::sealed;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The header's word for such a file, with its version.
const FORMAT: &str = "thalweg piece 1";

/// The one tensor of a file.
const NUMBERS: &str = "numbers";

/// The files `piece-00000.safetensors`, … of one work. Each names the work by its key, its own number and the count of all, and carries a checksum.
#[derive(Clone, Debug)]
pub struct PieceFolder {
    dir: PathBuf,
    key: String,
    count: usize,
}

impl PieceFolder {
    /// The pieces in `dir` of the work that `key` tells from all others (a hash of all that decides its numbers), `count` in number.
    pub fn new(dir: &Path, key: &str, count: usize) -> Self {
        Self { dir: dir.into(), key: key.into(), count }
    }

    /// Makes those pieces of `task` that are not there, one after the other, each whole or not at all; those that are there are checked and left. Gives
    /// the task's pieces back.
    ///
    /// # Errors
    /// More tasks than pieces; a piece that is damaged or of other work; the work's own; a full disk; [`Error::Interrupted`].
    pub fn make(&self, work: &dyn Pieces, task: Task, progress: &dyn Progress) -> Result<Range<usize>> {
        let own = task.pieces(self.count)?;
        progress.begin("making pieces", own.len() as u64);
        for index in own.clone() {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            match self.stands(index) {
                true => self.check(index)?,
                false => self.write(index, &work.make(index)?)?,
            }
            progress.advance(1);
        }
        Ok(own)
    }

    /// Piece `index` of `part`, work whose piece 0 is piece `first` here: read where it is there, and made where it is not.
    ///
    /// # Errors
    /// A piece that is damaged or of other work; the work's own.
    pub fn get(&self, part: &dyn Pieces, first: usize, index: usize) -> Result<Vec<f32>> {
        if self.stands(first + index) { self.read(first + index) } else { part.make(index) }
    }

    /// Piece `index`; none where it is not there.
    ///
    /// # Errors
    /// A piece that is damaged or of other work.
    pub fn found(&self, index: usize) -> Result<Option<Vec<f32>>> {
        self.stands(index).then(|| self.read(index)).transpose()
    }

    /// Removes what killed tasks left beside the pieces.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn remove_parts(&self) -> Result<()> {
        remove_parts(&self.dir, |name| name.starts_with("piece-"))
    }

    fn path(&self, index: usize) -> PathBuf {
        self.dir.join(format!("piece-{index:05}.safetensors"))
    }

    /// What the header of piece `index` says.
    fn words(&self, index: usize) -> BTreeMap<String, String> {
        let words =
            [("format", FORMAT.into()), ("work", self.key.clone()), ("piece", format!("{index} of {}", self.count))];
        words.into_iter().map(|(key, value): (&str, String)| (key.to_owned(), value)).collect()
    }

    fn write(&self, index: usize, numbers: &[f32]) -> Result<()> {
        let mut bytes = vec![0; 4 * numbers.len()];
        sealed::put_bytes(numbers, &mut bytes);
        let view = TensorView::new(Dtype::F32, vec![numbers.len()], &bytes)
            .map_err(|e| Error::parameter("piece", "numbers that fit their shape", e))?;
        write_among_others(&self.path(index), &sealed::serialise([(NUMBERS, view)], &self.words(index))?)
    }

    fn read(&self, index: usize) -> Result<Vec<f32>> {
        let path = self.path(index);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let wrong = |e| Error::format(&path, "safetensors header", "valid JSON with tensors side by side", e);
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
        let found = header.metadata().clone().unwrap_or_default();
        for (key, expected) in self.words(index) {
            match found.get(&key) {
                Some(word) if *word == expected => {}
                word => {
                    let word = word.map_or("nothing", String::as_str);
                    return Err(Error::format(&path, key, expected, word));
                }
            }
        }
        checksum::check(&path, &bytes)?;
        let file = SafeTensors::deserialize(&bytes).map_err(wrong)?;
        let tensor = file.tensor(NUMBERS).map_err(wrong)?;
        if tensor.dtype() != Dtype::F32 {
            return Err(Error::format(&path, "tensor numbers", "F32", format!("{:?}", tensor.dtype())));
        }
        Ok(tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

impl Kept for PieceFolder {
    fn count(&self) -> usize {
        self.count
    }

    fn stands(&self, index: usize) -> bool {
        self.path(index).exists()
    }

    fn check(&self, index: usize) -> Result<()> {
        self.read(index).map(|_| ())
    }

    fn remove(&self, index: usize) -> Result<()> {
        let path = self.path(index);
        fs::remove_file(&path).map_err(Error::io("remove", path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gathered, gather, here, unfinished};
    use super::*;
    use crate::progress::Silent;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Piece i is i, i + 1/2, …, of i + 1 numbers; it counts how often it was asked.
    struct Halves(AtomicUsize);

    impl Pieces for Halves {
        fn count(&self) -> usize {
            7
        }

        fn make(&self, index: usize) -> Result<Vec<f32>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok((0..=index).map(|j| index as f32 + 0.5 * j as f32).collect())
        }
    }

    fn all(folder: &PieceFolder, work: &dyn Pieces) -> Vec<Vec<f32>> {
        (0..7).map(|i| folder.get(work, 0, i).unwrap()).collect()
    }

    #[test]
    fn pieces_of_tasks_are_those_of_one_process_however_often_they_are_made() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, work) = (PieceFolder::new(dir.path(), "k", 7), Halves(AtomicUsize::new(0)));
        let truth = here(&work).unwrap();
        let task = |i| folder.make(&work, Task::new(i, 3).unwrap(), &Silent).unwrap();
        assert_eq!(task(2), 4..7);
        assert_eq!(unfinished(&folder, 3).unwrap(), [0, 1]);
        assert_eq!(all(&folder, &work), truth, "what is not there is made");
        std::thread::scope(|scope| {
            for i in [0, 0, 1, 1] {
                let task = &task;
                scope.spawn(move || task(i));
            }
        });
        let made = work.0.load(Ordering::Relaxed);
        assert_eq!(all(&folder, &work), truth);
        assert_eq!(task(0), 0..2);
        assert_eq!(work.0.load(Ordering::Relaxed), made, "what is there is read");
        assert!(gather(&folder, "pieces", false, &Silent).unwrap().is_whole());
        fs::write(dir.path().join(".piece-00001.safetensors.0123456789abcdef.part"), "half").unwrap();
        folder.remove_parts().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 7);
        assert!(folder.make(&work, Task::new(0, 8).unwrap(), &Silent).unwrap_err().to_string().contains("at most 7"));
    }

    #[test]
    fn what_is_missing_damaged_or_of_other_work_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, work) = (PieceFolder::new(dir.path(), "k", 7), Halves(AtomicUsize::new(0)));
        folder.make(&work, Task::new(0, 1).unwrap(), &Silent).unwrap();
        let piece = |i: usize| dir.path().join(format!("piece-{i:05}.safetensors"));
        fs::remove_file(piece(3)).unwrap();
        let mut bytes = fs::read(piece(5)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(piece(5), &bytes).unwrap();
        fs::copy(piece(0), piece(1)).unwrap();
        let found = gather(&folder, "pieces", false, &Silent).unwrap();
        let Gathered { pieces, missing, damaged } = &found;
        assert_eq!((*pieces, &missing[..], found.to_make()), (7, &[3][..], vec![1, 3, 5]));
        assert!(damaged[0].1.contains("piece: expected 1 of 7, found 0 of 7"), "{damaged:?}");
        assert!(damaged[1].1.contains("checksum"), "{damaged:?}");
        let of_other = PieceFolder::new(dir.path(), "other", 7);
        assert!(of_other.found(0).unwrap_err().to_string().contains("work: expected other, found k"));
        assert_eq!(gather(&folder, "pieces", true, &Silent).unwrap(), found);
        assert_eq!(gather(&folder, "pieces", false, &Silent).unwrap().missing, [1, 3, 5]);
    }
}
