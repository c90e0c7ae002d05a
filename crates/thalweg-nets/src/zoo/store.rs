//! [`ZooStore`]: an opened zoo folder: θ `[R, K, P]` on disk, scores `[R, K]` in memory.
//!
//! Opening checks every file: sizes, types, shapes, that all shards belong to this zoo and hold the runs they should, and that
//! every number is finite (one streaming pass, about a second a gigabyte). Weights are read by offset through a cache of rows under a byte budget, so
//! memory does not grow with the number of runs but for eight bytes a checkpoint of scores.
use super::cache::Cache;
use super::folder;
use super::law::InitialLaw;
use super::open_shards::OpenShards;
use super::origin::Origin;
use super::origin::toml_of;
use super::shard::{self, Frame, Opened};
use super::spec::ZooSpec;
use super::split::{RunSplit, Shares};
use super::template::{self, Assembly, Template};
use crate::architecture::Architecture;
use crate::checksum;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::memory::{self, Need};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Bytes of weights that a store keeps in memory by default, at most.
pub const BUDGET: usize = 256 << 20;

/// A zoo folder, opened and checked.
#[derive(Debug)]
pub struct ZooStore {
    dir: PathBuf,
    origin: Origin,
    data: Option<DataSpec>,
    frame: Frame,
    times: Vec<f64>,
    /// Where `theta` begins in each shard's file.
    offsets: Vec<u64>,
    losses: Vec<f32>,
    accuracies: Vec<f32>,
    diverged_at: Vec<Option<u64>>,
    failed: Vec<bool>,
    reader: Mutex<Reader>,
}

/// The cache, and the files that networks are read from.
#[derive(Debug)]
struct Reader {
    cache: Cache,
    shards: OpenShards,
    bytes: Vec<u8>,
}

impl ZooStore {
    /// Opens the zoo in `dir` with the default byte budget.
    ///
    /// # Errors
    /// Anything that is not as it should be, with file, tensor, expected and found.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_within(dir, memory::cached(BUDGET))
    }

    /// Opens the zoo in `dir`; at most `budget` bytes of weights (one network at least) are kept in memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_within(dir: &Path, budget: usize) -> Result<Self> {
        let origin = Origin::read(dir)?;
        let frame = origin.frame(dir)?;
        folder::no_shard_beyond(dir, &frame)?;
        let missing = (0..frame.shards()).find(|&index| !shard::path(dir, index).is_file());
        if let Some(index) = missing {
            return Err(Error::Unfinished { path: shard::path(dir, index), runs: frame.runs_of(index) });
        }
        let opened: Vec<Opened> =
            (0..frame.shards()).into_par_iter().map(|index| frame.open(dir, index)).collect::<Result<_>>()?;
        let diverged_at: Vec<Option<u64>> = opened.iter().flat_map(|s| s.diverged_at.iter().copied()).collect();
        let accuracies: Vec<f32> = opened.iter().flat_map(|s| s.accuracy.iter().copied()).collect();
        let finals: Vec<f32> = accuracies.chunks_exact(frame.checkpoints).map(|row| row[row.len() - 1]).collect();
        let classes = origin.architecture().map_or(0, Architecture::classes);
        let floor = failure_floor(&finals, classes);
        let failed =
            diverged_at.iter().enumerate().map(|(r, d)| d.is_some() || floor.is_some_and(|f| finals[r] < f)).collect();
        let reader = Reader {
            cache: Cache::new(frame.layout.len(), budget),
            shards: OpenShards::new(budget),
            bytes: Vec::new(),
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            times: origin.times().to_vec(),
            offsets: opened.iter().map(|s| s.theta).collect(),
            losses: opened.iter().flat_map(|s| s.loss.iter().copied()).collect(),
            accuracies,
            diverged_at,
            failed,
            reader: Mutex::new(reader),
            data: origin.bound_data(),
            origin,
            frame,
        })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Trained here, or imported.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The specification that its runs were trained by; none for imported runs.
    pub fn spec(&self) -> Option<&ZooSpec> {
        self.origin.spec()
    }

    /// The architecture of its networks; imported zoos may not know, or hold only a part of its tensors.
    pub fn architecture(&self) -> Option<&Architecture> {
        self.origin.architecture()
    }

    /// The data that its networks are for, tied to what was found there when they were trained: loading them again gives the same rows, standardised
    /// as then, or refuses. Imported zoos may not know.
    pub fn data(&self) -> Option<&DataSpec> {
        self.data.as_ref()
    }

    /// Where each tensor lies in θ.
    pub fn layout(&self) -> &Layout {
        &self.frame.layout
    }

    /// P.
    pub fn parameters(&self) -> usize {
        self.frame.layout.len()
    }

    /// R, failed runs included.
    pub fn runs(&self) -> usize {
        self.frame.runs
    }

    /// K.
    pub fn checkpoints(&self) -> usize {
        self.frame.checkpoints
    }

    /// When checkpoints were taken, `[K]`, as shares of a run, rising from 0 to 1; `[1.0]` where only finals are kept.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// Whether losses and accuracies are known; imported zoos have them only if architecture and data were given.
    pub fn is_scored(&self) -> bool {
        self.frame.scored
    }

    /// Validation losses `[R, K]`; empty where not known.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// Validation accuracies `[R, K]`; empty where not known.
    pub fn accuracies(&self) -> &[f32] {
        &self.accuracies
    }

    /// The step at which each run's loss left the finite numbers, `[R]`, if it did.
    pub fn diverged_at(&self) -> &[Option<u64>] {
        &self.diverged_at
    }

    /// Which runs are failed, `[R]`: their loss left the finite numbers, or they have come less than a quarter of the way from
    /// chance 1/C to the zoo's median final accuracy. The second rule holds only in a zoo that has learned: whose median is at
    /// least a quarter of the way from chance to 1.
    pub fn failed(&self) -> &[bool] {
        &self.failed
    }

    /// The runs that are not failed, rising. Whatever learns from a zoo should use these.
    pub fn finished_runs(&self) -> Vec<usize> {
        (0..self.runs()).filter(|&run| !self.failed[run]).collect()
    }

    /// Copies the networks of `items` (run, checkpoint) to `out` `[items, P]`, from the cache or the disk.
    ///
    /// # Errors
    /// A run or checkpoint that does not exist, an `out` of another length, a file that cannot be read any more.
    pub fn gather(&self, items: &[(usize, usize)], out: &mut [f32]) -> Result<()> {
        let (k, p) = (self.checkpoints(), self.parameters());
        if out.len() != items.len() * p {
            return Err(Error::shape("out", format!("[{}, {p}]", items.len()), format!("[{}]", out.len())));
        }
        if let Some(item) = items.iter().find(|(run, checkpoint)| *run >= self.runs() || *checkpoint >= k) {
            let expected = format!("a run below {} and a checkpoint below {k}", self.runs());
            return Err(Error::parameter("items", expected, format!("{item:?}")));
        }
        // A panic elsewhere cannot leave the cache half-changed: rows enter it whole.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // In the order of the files: neighbours are read from the same one.
        let mut rows: Vec<_> = items.iter().zip(out.chunks_exact_mut(p)).collect();
        rows.sort_unstable_by_key(|(item, _)| **item);
        for (&(run, checkpoint), row) in rows {
            let key = run * k + checkpoint;
            if let Some(kept) = reader.cache.get(key) {
                row.copy_from_slice(kept);
            } else {
                self.read(&mut reader, run, checkpoint, 0, row)?;
                reader.cache.insert(key, row);
            }
        }
        Ok(())
    }

    fn read(&self, reader: &mut Reader, run: usize, checkpoint: usize, first: usize, row: &mut [f32]) -> Result<()> {
        let (index, within) = (run / self.frame.shard, run % self.frame.shard);
        let (path, file) = (shard::path(&self.dir, index), reader.shards.get(&self.dir, index)?);
        let before = (within * self.checkpoints() + checkpoint) * self.parameters() + first;
        shard::read_floats(file, &path, self.offsets[index] + 4 * before as u64, row, &mut reader.bytes)
    }

    /// Copies the numbers of one network from its number `first` on to `out`, from the disk: what takes few columns of many networks at a time never
    /// holds them whole.
    ///
    /// # Errors
    /// A run or checkpoint that does not exist, numbers beyond P, a file that cannot be read any more.
    pub fn part(&self, run: usize, checkpoint: usize, first: usize, out: &mut [f32]) -> Result<()> {
        let (k, p) = (self.checkpoints(), self.parameters());
        if run >= self.runs() || checkpoint >= k || first + out.len() > p {
            let expected = format!("a run below {}, a checkpoint below {k}, numbers below {p}", self.runs());
            let found = format!("run {run}, checkpoint {checkpoint}, {} numbers from {first} on", out.len());
            return Err(Error::parameter("part of a network", expected, found));
        }
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(&mut reader, run, checkpoint, first, out)
    }

    /// The final networks of `runs`, `[runs, P]`.
    ///
    /// # Errors
    /// As [`Self::gather`]; networks beyond the memory budget.
    pub fn finals(&self, runs: &[usize]) -> Result<Vec<f32>> {
        self.gathered(runs.iter().map(|&run| (run, self.checkpoints() - 1)))
    }

    /// All checkpoints of one run, `[K, P]`.
    ///
    /// # Errors
    /// As [`Self::finals`].
    pub fn trajectory(&self, run: usize) -> Result<Vec<f32>> {
        self.gathered((0..self.checkpoints()).map(|checkpoint| (run, checkpoint)))
    }

    fn gathered(&self, items: impl Iterator<Item = (usize, usize)>) -> Result<Vec<f32>> {
        let items: Vec<_> = items.collect();
        let (n, p) = (items.len(), self.parameters());
        Need::of(format!("holding {n} networks of {}", self.dir.display()))
            .numbers("weights", &[n, p])
            .check(|| None)?;
        let mut out = vec![0.0; n * p];
        self.gather(&items, &mut out)?;
        Ok(out)
    }

    /// Splits the runs that did not fail, by run: a pure function of (zoo, shares, seed).
    ///
    /// # Errors
    /// Shares outside their range, or a part that would be empty.
    pub fn split(&self, shares: Shares, seed: u64) -> Result<RunSplit> {
        RunSplit::new(self.finished_runs(), shares, seed)
    }

    /// The network `[P]` around which all runs of a shared or fork zoo start; none for other kinds.
    ///
    /// # Errors
    /// A file that is missing, lies, or does not fit the architecture.
    pub fn centre(&self) -> Result<Option<Vec<f32>>> {
        if !self.spec().is_some_and(|spec| spec.kind.has_centre()) {
            return Ok(None);
        }
        let path = folder::centre_of(&self.dir);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let centre = self.layout().from_safetensors(&path, &bytes)?;
        checksum::check(&path, &bytes).map(|()| Some(centre))
    }

    /// What the file of one of its networks looks like; none for zoos trained here, and for those that older versions imported.
    ///
    /// # Errors
    /// A file that is missing, damaged, or another zoo's.
    pub fn template(&self) -> Result<Option<Template>> {
        let Some(hash) = self.origin.template() else { return Ok(None) };
        let path = self.dir.join(template::FILE);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let template = Template::from_bytes(&path, &bytes, self.layout())?;
        let found = blake3::hash(&bytes).to_hex();
        match found.as_str() == hash {
            true => Ok(Some(template)),
            false => Err(Error::format(&path, "BLAKE3", format!("{hash}, as zoo.toml says"), found)),
        }
    }

    /// How whole networks are put together, where only a part of an architecture's tensors is modelled; else θ is the whole network.
    ///
    /// # Errors
    /// As [`Self::template`].
    pub fn assembly(&self) -> Result<Option<Assembly>> {
        match (self.origin.whole_architecture(), self.template()?) {
            (Some(architecture), Some(template)) if self.origin.is_part() => {
                Assembly::new(template, self.layout(), architecture).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The law that the runs started from; draws from it are fresh starts just as the zoo's own.
    ///
    /// # Errors
    /// A centre that cannot be read; an imported zoo whose initialisation was not recorded.
    pub fn initial_law(&self) -> Result<InitialLaw> {
        match self.origin.root() {
            Origin::Trained(spec) => InitialLaw::of(spec, self.centre()?),
            origin => match origin.initialisation() {
                Some(law) => Ok(InitialLaw::Kaiming(law)),
                None => Err(Error::parameter(
                    "initial law",
                    "a zoo whose initialisation is known (import it with an architecture and its initialisation)",
                    format!("{}, imported without", self.dir.display()),
                )),
            },
        }
    }

    /// Bytes of weights that are in memory now.
    pub fn cached_bytes(&self) -> usize {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).cache.bytes()
    }

    /// Bytes of its files.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn bytes_on_disk(&self) -> Result<u64> {
        let shards = (0..self.frame.shards()).map(|index| shard::path(&self.dir, index));
        let mut total = 0;
        let template = self.origin.template().map(|_| self.dir.join(template::FILE));
        for path in shards.chain([toml_of(&self.dir)]).chain(template) {
            total += fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        }
        Ok(total)
    }
}

/// The final accuracy below which a run counts as failed, where there is such a rule (see [`ZooStore::failed`]).
fn failure_floor(finals: &[f32], classes: usize) -> Option<f32> {
    if classes < 2 || finals.is_empty() {
        return None;
    }
    let mut sorted = finals.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let (median, chance) = (sorted[sorted.len() / 2], 1.0 / classes as f32);
    let learned = median >= chance + (1.0 - chance) / 4.0;
    learned.then_some(chance + (median - chance) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_runs_are_far_below_a_median_that_has_learned() {
        let floor = failure_floor(&[0.94, 0.1, 0.95, 0.93, 0.11], 10).unwrap();
        assert!((floor - (0.1 + 0.83 / 4.0)).abs() < 1e-6);
        assert_eq!(failure_floor(&[0.1, 0.2, 0.15], 10), None, "nothing has learned, nobody has failed");
        let binary = failure_floor(&[0.5, 0.85, 0.86], 2).unwrap();
        assert!(binary > 0.5 && binary < 0.6, "{binary}");
        assert_eq!(failure_floor(&[], 10), None);
    }
}
