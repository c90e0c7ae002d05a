//! The whole state of a tuning between two iterations, saved and read back without a bit's loss.
//!
//! One safetensors file: parameters, the optimiser's slices, the best parameters so far, the buffer's trajectories, the looks in f64;
//! the iteration and the identity of the tuning in its metadata. Written whole or not at all.
use super::config::TuneConfig;
use super::trajectory::Trajectories;
use crate::method::Method;
use crate::optimiser::{AdamW, STATE};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use thalweg_nets::files::write_whole;
use thalweg_nets::layout;

/// One look along a tuning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TuneLook {
    /// Iterations done.
    pub iteration: u64,
    /// Mean reward of the simulated ends since the look before (NaN before the first iteration).
    pub training: f64,
    /// Mean held-out reward of networks sampled by the ODE; NaN where there is no held-out reward.
    pub held_out: f64,
    /// Relative entropy of the tuned path law to the base one, mean since the look before.
    pub distance: f64,
    /// Wall time so far in seconds.
    pub seconds: f64,
}

const LOOK: usize = 5;

/// A tuning between two iterations, but for the method's own parameters.
pub struct TuneState {
    /// Iterations done.
    pub iteration: u64,
    /// The optimiser.
    pub optimiser: AdamW,
    /// The averaged parameters with the best held-out reward so far `[Q]`.
    pub best: Vec<f32>,
    /// Every look so far.
    pub looks: Vec<TuneLook>,
    /// Trajectories for reuse, newest last.
    pub buffer: VecDeque<Trajectories>,
    /// Sums of rewards and distances since the last look, and their number.
    running: [f64; 3],
    /// Wall time so far.
    pub seconds: f64,
}

impl TuneState {
    /// Before the first iteration.
    ///
    /// # Errors
    /// An optimiser's number outside its range.
    pub fn new(config: &TuneConfig, method: &dyn Method) -> Result<Self> {
        Ok(Self {
            iteration: 0,
            optimiser: AdamW::new(&config.optimiser, config.iterations * config.updates, method.parameters())?,
            best: method.parameters().to_vec(),
            looks: Vec::new(),
            buffer: VecDeque::new(),
            running: [0.0; 3],
            seconds: 0.0,
        })
    }

    /// Takes note of an iteration's mean reward and mean distance.
    pub fn note(&mut self, reward: f64, distance: f64) {
        for (sum, value) in self.running.iter_mut().zip([reward, distance, 1.0]) {
            *sum += value;
        }
    }

    /// Takes note of a look; keeps the averaged parameters if they are the best, or if nothing is held out.
    pub fn judge(&mut self, held_out: Option<f64>) {
        let better = held_out.is_none_or(|r| self.best_look().is_none_or(|best| r > best.held_out));
        if better {
            self.best.copy_from_slice(self.optimiser.average());
        }
        let [reward, distance, n] = self.running;
        self.looks.push(TuneLook {
            iteration: self.iteration,
            training: reward / n,
            held_out: held_out.unwrap_or(f64::NAN),
            distance: if n > 0.0 { distance / n } else { 0.0 },
            seconds: self.seconds,
        });
        self.running = [0.0; 3];
    }

    /// The look whose parameters are kept: the first of the largest held-out reward, or the last one where nothing is held out.
    pub fn best_look(&self) -> Option<TuneLook> {
        let mut judged = self.looks.iter().filter(|look| !look.held_out.is_nan());
        let first = judged.next();
        let best = first.map(|first| judged.fold(first, |a, b| if b.held_out > a.held_out { b } else { a }));
        best.or(self.looks.last()).copied()
    }

    /// Looks since the best one.
    pub fn looks_since_best(&self) -> usize {
        let best = self.best_look().map_or(0, |look| look.iteration);
        self.looks.iter().filter(|look| look.iteration > best).count()
    }

    /// Writes the state of tuning `identity` to `path`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path, identity: &str, method: &dyn Method) -> Result<()> {
        let [first, second, average] = self.optimiser.state();
        let mut tensors: Vec<(String, Dtype, Vec<u8>)> = Vec::new();
        let single = |x: &[f32]| x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let double = |x: &[f64]| x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        for (name, slice) in names().into_iter().zip([method.parameters(), first, second, average, &self.best]) {
            tensors.push((name.into(), Dtype::F32, single(slice)));
        }
        for (i, made) in self.buffer.iter().enumerate() {
            tensors.push((format!("buffer.{i}.grid"), Dtype::F64, double(&made.grid)));
            for (name, slice) in PARTS.into_iter().zip([&made.x, &made.base, &made.adjoint]) {
                tensors.push((format!("buffer.{i}.{name}"), Dtype::F32, single(slice)));
            }
        }
        let looks: Vec<f64> = self
            .looks
            .iter()
            .flat_map(|l| [l.iteration as f64, l.training, l.held_out, l.distance, l.seconds])
            .chain(self.running)
            .collect();
        tensors.push(("looks".into(), Dtype::F64, double(&looks)));
        let views = tensors.iter().map(|(name, dtype, bytes)| {
            let count = bytes.len() / if *dtype == Dtype::F32 { 4 } else { 8 };
            (name.as_str(), TensorView::new(*dtype, vec![count], bytes).expect("length fits shape"))
        });
        let metadata = HashMap::from([
            ("identity".to_string(), identity.to_string()),
            ("iteration".to_string(), self.iteration.to_string()),
            ("updates".to_string(), self.optimiser.steps_done().to_string()),
            ("buffer".to_string(), self.buffer.len().to_string()),
            ("seconds".to_string(), self.seconds.to_string()),
        ]);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|e| Error::parameter("state", "serialisable tensors", e))?;
        write_whole(path, &bytes)
    }

    /// Reads the state of tuning `identity` from `path`, and its parameters into `method`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or belongs to another tuning.
    pub fn load(path: &Path, identity: &str, config: &TuneConfig, method: &mut dyn Method) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = File { path, tensors: layout::open(path, &bytes)? };
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|e| Error::format(path, "header", "a safetensors header", e))?;
        let value = |key: &str| header.metadata().as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default();
        if value("identity") != identity {
            let expected = "the state of this very tuning (same model, reward and configuration)";
            let found = "that of another; run without --resume, or with the configuration it had";
            return Err(Error::format(path, "identity", expected, found));
        }
        let number =
            |key: &str| value(key).parse::<f64>().map_err(|_| Error::format(path, key, "a number", value(key)));
        let (q, p) = (method.parameters().len(), method.velocity_field().map_or(0, |f| f.dimension()));
        let slices: Vec<Vec<f32>> = names().into_iter().map(|name| file.single(name, q)).collect::<Result<_>>()?;
        let mut buffer = VecDeque::new();
        for i in 0..number("buffer")? as usize {
            let grid = file.double(&format!("buffer.{i}.grid"))?;
            let size = grid.len().saturating_sub(1) * config.trajectories * p;
            let [x, base, adjoint] = PARTS.map(|name| file.single(&format!("buffer.{i}.{name}"), size));
            buffer.push_back(Trajectories { grid, x: x?, base: base?, adjoint: adjoint? });
        }
        let looks = file.double("looks")?;
        let Some((looks, running)) = looks.split_last_chunk::<3>().filter(|(looks, _)| looks.len() % LOOK == 0) else {
            return Err(Error::format(path, "looks", "five numbers a look and three more", looks.len()));
        };
        let look = |l: &[f64; LOOK]| TuneLook {
            iteration: l[0] as u64,
            training: l[1],
            held_out: l[2],
            distance: l[3],
            seconds: l[4],
        };
        let looks = looks.as_chunks::<LOOK>().0.iter().map(look).collect();
        let [parameters, first, second, average, best] = slices.try_into().expect("as many as names");
        let (updates, total) = (number("updates")? as u64, config.iterations * config.updates);
        let optimiser = AdamW::resume(&config.optimiser, total, updates, [first, second, average])?;
        method.parameters_mut().copy_from_slice(&parameters);
        let (iteration, seconds) = (number("iteration")? as u64, number("seconds")?);
        Ok(Self { iteration, optimiser, best, looks, buffer, running: *running, seconds })
    }
}

/// A state file under reading.
struct File<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl File<'_> {
    fn single(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let wrong = |found: String| Error::format(self.path, name, format!("shape [{len}] of F32"), found);
        let view = self.tensors.tensor(name).map_err(|e| wrong(e.to_string()))?;
        if view.shape() != [len] || view.dtype() != Dtype::F32 {
            return Err(wrong(format!("shape {:?} of {:?}", view.shape(), view.dtype())));
        }
        layout::floats(self.path, name, &view)
    }

    fn double(&self, name: &str) -> Result<Vec<f64>> {
        let wrong = |found: String| Error::format(self.path, name, "numbers in F64", found);
        let view = self.tensors.tensor(name).map_err(|e| wrong(e.to_string()))?;
        match view.dtype() {
            Dtype::F64 => Ok(view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
            other => Err(wrong(format!("{other:?}"))),
        }
    }
}

const PARTS: [&str; 3] = ["x", "base", "adjoint"];

fn names() -> [&'static str; 5] {
    ["parameters", STATE[0], STATE[1], STATE[2], "best"]
}
