//! One shard of a zoo: `theta [n, K, P]` with `loss` and `accuracy` `[n, K]`, `run` and `died` `[n]`, in one safetensors file.
//!
//! `died` is the step at which a run left the finite numbers, −1 where it did not. Every number in a shard is finite. The
//! header carries the zoo's id, so that shards of two zoos cannot be mixed unseen, and a checksum. Imported zoos may lack the scores.
//!
//! Runs of a shard that is not complete yet are kept in a file of their own, `shard-NNNNN.partial`, written alike (see [`super::partial`]).
use super::header::Header;
use crate::checksum;
use crate::error::{Error, Result};
use crate::files::{write_among_others, write_whole};
use crate::layout::Layout;
use crate::progress::Progress;
use crate::sealed::SealedFile;
use crate::train::Trajectory;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What one zoo's shards have in common.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The zoo's id.
    pub id: String,
    /// R, and runs in a full shard.
    pub runs: usize,
    pub shard: usize,
    /// K.
    pub checkpoints: usize,
    pub layout: Layout,
    /// Whether loss and accuracy are there.
    pub scored: bool,
    /// Whether other processes write shards of the same zoo at the same time.
    pub shared: bool,
}

/// A shard in memory, about to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shard {
    pub theta: Vec<f32>,
    pub loss: Vec<f32>,
    pub accuracy: Vec<f32>,
    pub diverged_at: Vec<Option<u64>>,
}

impl Shard {
    /// Appends a run.
    pub(crate) fn push(&mut self, run: &Trajectory) {
        self.theta.extend_from_slice(&run.theta);
        self.loss.extend_from_slice(&run.loss);
        self.accuracy.extend_from_slice(&run.accuracy);
        self.diverged_at.push(run.diverged_at);
    }
}

/// A shard under writing: its networks come one after the other and none is held. Dropped before it is finished, it leaves nothing.
pub(super) struct Writing {
    file: SealedFile,
    /// P.
    width: usize,
    scored: bool,
}

impl Writing {
    /// Writes networks `[m, P]` from row `first` of `[n · K]` on.
    pub(super) fn networks(&mut self, first: usize, theta: &[f32]) -> Result<()> {
        self.file.single("theta", first * self.width, theta)
    }

    /// Writes the rest, which is all of `rest` but θ, and ends.
    pub(super) fn finish(mut self, rest: &Shard) -> Result<()> {
        let died = rest.diverged_at.iter().map(|step| step.map_or(-1, |step| step as i64));
        self.file.whole("died", Dtype::I64, &in_bytes(died))?;
        if self.scored {
            self.file.single("loss", 0, &rest.loss)?;
            self.file.single("accuracy", 0, &rest.accuracy)?;
        }
        self.file.finish()
    }
}

fn in_bytes(words: impl Iterator<Item = i64>) -> Vec<u8> {
    words.flat_map(i64::to_le_bytes).collect()
}

/// What an opened zoo keeps of a shard.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Where `theta` begins in the file.
    pub theta: u64,
    pub loss: Vec<f32>,
    pub accuracy: Vec<f32>,
    pub diverged_at: Vec<Option<u64>>,
}

/// What a validation loss may be by rounding, where it is 0.
const LEAST_LOSS: f32 = -1e-4;

/// Numbers read at once where all of a file is read.
const PIECE: usize = 1 << 15;

/// The file of shard `index` in folder `dir`.
pub(crate) fn path(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("shard-{index:05}.safetensors"))
}

/// Whether a file name is a shard's, and of which index.
pub(crate) fn index_of(name: &str) -> Option<usize> {
    let digits = name.strip_prefix("shard-")?.strip_suffix(".safetensors")?;
    if digits.len() < 5 { None } else { digits.parse().ok() }
}

/// The file of the runs of shard `index` that are done before all are.
pub(super) fn partial_path(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("shard-{index:05}.partial"))
}

/// Whether a file name is that of a shard, or of a part of one.
pub(super) fn is_own(name: &str) -> bool {
    let part = name.strip_suffix(".partial").map(|stem| format!("{stem}.safetensors"));
    index_of(part.as_deref().unwrap_or(name)).is_some()
}

impl Frame {
    /// Number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.runs.div_ceil(self.shard)
    }

    /// The runs of shard `index`.
    pub(crate) fn runs_of(&self, index: usize) -> std::ops::Range<usize> {
        let first = index.saturating_mul(self.shard);
        first..first.saturating_add(self.shard).min(self.runs)
    }

    /// The runs of neighbouring `shards`.
    pub(crate) fn runs_in(&self, shards: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        self.runs_of(shards.start).start..self.runs_of(shards.end).start.min(self.runs)
    }

    /// Those of `shards` that are still to be made in `dir`, in order; those that are there are checked, and told as done.
    pub(crate) fn missing(
        &self,
        dir: &Path,
        shards: std::ops::Range<usize>,
        progress: &dyn Progress,
    ) -> Result<Vec<usize>> {
        let mut missing = Vec::new();
        for index in shards {
            if path(dir, index).exists() {
                self.open(dir, index)?;
                progress.advance(self.runs_of(index).len() as u64);
            } else {
                missing.push(index);
            }
        }
        Ok(missing)
    }

    /// Writes shard `index` whole or not at all.
    pub(crate) fn write(&self, dir: &Path, index: usize, shard: &Shard) -> Result<()> {
        self.write_runs(&path(dir, index), &self.runs_of(index).collect::<Vec<_>>(), shard)
    }

    /// Writes a shard of just these `runs` to `path`.
    pub(super) fn write_runs(&self, path: &Path, runs: &[usize], shard: &Shard) -> Result<()> {
        let mut file = self.begin(path, runs)?;
        debug_assert!(shard.theta.len() == runs.len() * self.checkpoints * self.layout.len());
        file.networks(0, &shard.theta)?;
        file.finish(shard)
    }

    /// Begins a shard of just these `runs` at `path`.
    pub(super) fn begin(&self, path: &Path, runs: &[usize]) -> Result<Writing> {
        let (n, k, p) = (runs.len(), self.checkpoints, self.layout.len());
        let tensor = |name: &str, dtype, shape: &[usize]| (name.to_owned(), dtype, shape.to_vec());
        let mut tensors = vec![
            tensor("theta", Dtype::F32, &[n, k, p]),
            tensor("run", Dtype::I64, &[n]),
            tensor("died", Dtype::I64, &[n]),
        ];
        if self.scored {
            tensors.extend(["loss", "accuracy"].map(|name| tensor(name, Dtype::F32, &[n, k])));
        }
        let words = BTreeMap::from([("zoo".into(), self.id.clone())]);
        let begin = if self.shared { SealedFile::begin_among_others } else { SealedFile::begin };
        let mut file = begin(path, tensors, &words)?;
        file.whole("run", Dtype::I64, &in_bytes(runs.iter().map(|&run| run as i64)))?;
        Ok(Writing { file, width: p, scored: self.scored })
    }

    /// Writes a file of the zoo whole or not at all, whoever else may be writing it.
    pub(super) fn place(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if self.shared { write_among_others(path, bytes) } else { write_whole(path, bytes) }
    }

    /// Opens shard `index` and checks everything that it says, reading it once in pieces.
    ///
    /// # Errors
    /// A missing or short file, a lying header, another zoo's shard, tensors that are missing or of another type or shape,
    /// runs out of place, a number that is not finite.
    pub(crate) fn open(&self, dir: &Path, index: usize) -> Result<Opened> {
        let (path, runs) = (path(dir, index), self.runs_of(index).collect::<Vec<_>>());
        let (header, opened) = self.open_runs(&path, &runs)?;
        self.check_theta(&path, opened.theta, &runs)?;
        // Last, so that whatever can be told more closely is.
        checksum::check_file(&path, header.start())?;
        Ok(opened)
    }

    /// Checks all that `path` says but for θ; it has to hold just these `runs`.
    pub(super) fn open_runs(&self, path: &Path, runs: &[usize]) -> Result<(Header, Opened)> {
        let (n, k, p) = (runs.len(), self.checkpoints, self.layout.len());
        let header = Header::read(path)?;
        let known = ["theta", "run", "died", "loss", "accuracy"];
        if let Some(extra) = header.names().iter().find(|name| !known.contains(&name.as_str())) {
            return Err(Error::format(path, format!("tensor {extra}"), "no such tensor", "a tensor"));
        }
        if header.word("zoo") != Some(&self.id) {
            let found = header.word("zoo").unwrap_or("no zoo id");
            return Err(Error::format(path, "zoo id", format!("{}, this zoo's", self.id), found));
        }
        let theta = header.expect(path, "theta", Dtype::F32, &[n, k, p])?;
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        let at = header.expect(path, "run", Dtype::I64, &[n])?;
        for (row, (found, run)) in words(&mut file, path, at, n)?.into_iter().zip(runs).enumerate() {
            if usize::try_from(found) != Ok(*run) {
                return Err(Error::format(path, format!("tensor run, index {row}"), run, found));
            }
        }
        let at = header.expect(path, "died", Dtype::I64, &[n])?;
        let diverged_at = words(&mut file, path, at, n)?.into_iter().map(|step| u64::try_from(step).ok()).collect();
        let scores = |name: &str, file: &mut File| match self.scored {
            true => {
                let mut values = vec![0.0; n * k];
                let at = header.expect(path, name, Dtype::F32, &[n, k])?;
                read_floats(file, path, at, &mut values, &mut Vec::new())?;
                finite(&values).map_err(|(i, v)| {
                    Error::format(
                        path,
                        format!("tensor {name}, run {}, checkpoint {}", runs[i / k], i % k),
                        "a finite number",
                        v,
                    )
                })?;
                let fits = |v: &f32| if name == "loss" { *v >= LEAST_LOSS } else { (0.0..=1.0).contains(v) };
                match values.iter().position(|v| !fits(v)) {
                    None => Ok(values),
                    Some(i) => {
                        let field = format!("tensor {name}, run {}, checkpoint {}", runs[i / k], i % k);
                        let expected =
                            if name == "loss" { "a cross-entropy, at least 0" } else { "a share from 0 to 1" };
                        Err(Error::format(path, field, expected, values[i]))
                    }
                }
            }
            false => Ok(Vec::new()),
        };
        let (loss, accuracy) = (scores("loss", &mut file)?, scores("accuracy", &mut file)?);
        Ok((header, Opened { theta, loss, accuracy, diverged_at }))
    }

    /// Reads all of `theta`, from byte `at` on, in pieces of some rows `[P]`; memory does not grow with the shard.
    pub(super) fn check_theta(&self, path: &Path, at: u64, runs: &[usize]) -> Result<()> {
        let (k, p) = (self.checkpoints, self.layout.len());
        let (rows, at_once) = (runs.len() * k, (PIECE / p).max(1));
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        let (mut values, mut bytes) = (vec![0.0; p * at_once.min(rows)], Vec::new());
        for first in (0..rows).step_by(at_once) {
            let piece = &mut values[..p * at_once.min(rows - first)];
            crate::interrupt::check()?;
            read_floats(&mut file, path, at + 4 * (first * p) as u64, piece, &mut bytes)?;
            finite(piece).map_err(|(i, v)| {
                let (row, i) = (first + i / p, i % p);
                let slot = self.layout.slots().iter().find(|s| s.range().contains(&i)).map_or("", |s| &s.name);
                let run = runs[row / k];
                let field = format!("tensor theta, run {run}, checkpoint {}, {slot}, index {i}", row % k);
                Error::format(path, field, "a finite number", v)
            })?;
        }
        Ok(())
    }
}

/// The numbers of the runs that `path` holds, at most `most`.
pub(super) fn runs_in(path: &Path, most: usize) -> Result<Vec<usize>> {
    let header = Header::read(path)?;
    let n = match header.info("run").map(|info| &info.shape[..]) {
        Some(&[n]) if (1..=most).contains(&n) => n,
        other => {
            let found = other.map_or("no such tensor".into(), |shape| format!("shape {shape:?}"));
            return Err(Error::format(path, "tensor run", format!("1 to {most} runs"), found));
        }
    };
    let at = header.expect(path, "run", Dtype::I64, &[n])?;
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    Ok(words(&mut file, path, at, n)?.into_iter().map(|run| usize::try_from(run).unwrap_or(usize::MAX)).collect())
}

fn finite(values: &[f32]) -> std::result::Result<(), (usize, f32)> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err((i, values[i])),
        None => Ok(()),
    }
}

fn words(file: &mut File, path: &Path, at: u64, n: usize) -> Result<Vec<i64>> {
    let mut bytes = vec![0; 8 * n];
    read_at(file, path, at, &mut bytes)?;
    Ok(bytes.chunks_exact(8).map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect())
}

/// Fills `out` with the little-endian f32 from byte `at` on; `bytes` is scratch room.
pub(crate) fn read_floats(file: &mut File, path: &Path, at: u64, out: &mut [f32], bytes: &mut Vec<u8>) -> Result<()> {
    bytes.resize(4 * out.len(), 0);
    read_at(file, path, at, bytes)?;
    for (value, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
        *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    }
    Ok(())
}

#[cfg(unix)]
fn read_at(file: &mut File, path: &Path, at: u64, out: &mut [u8]) -> Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at).map_err(Error::io("read", path))
}

#[cfg(not(unix))]
fn read_at(file: &mut File, path: &Path, at: u64, out: &mut [u8]) -> Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(out)).map_err(Error::io("read", path))
}
