//! The whole state of a tuning between two iterations, saved and restored bit-exactly.
//!
//! One safetensors file: parameters, the optimiser's slices, the best parameters so far, the buffer's trajectories, the looks in f64;
//! the iteration and the identity of the tuning in its metadata. Written whole or not at all.
use super::trajectory::Trajectories;
use crate::method::Method;
use crate::model::{TuneConfig, TuneLook};
use crate::nn::optimiser::AdamW;
use crate::tensors::{TensorReader, TensorWriter};
use crate::train::state::{put_training, training_slices};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::path::Path;

const LOOK: usize = 5;

/// A tuning between two iterations, but for the method's own parameters.
#[derive(Clone)]
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

    /// Whether the held-out reward is to be looked at now: before the first iteration, every so many, and after the last.
    pub fn look_is_due(&self, config: &TuneConfig) -> bool {
        let now = self.iteration.is_multiple_of(config.look_every) || self.iteration == config.iterations;
        now && self.looks.last().is_none_or(|look| look.iteration != self.iteration)
    }

    /// Whether no iteration is left, or patience has run out.
    pub fn is_done(&self, config: &TuneConfig) -> bool {
        self.iteration >= config.iterations || (config.patience > 0 && self.looks_since_best() >= config.patience)
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
        let mut out = TensorWriter::default();
        put_training(&mut out, method.parameters(), &self.optimiser, &self.best);
        for (i, made) in self.buffer.iter().enumerate() {
            out.double(format!("buffer.{i}.grid"), &[made.grid.len()], &made.grid);
            for (name, slice) in PARTS.into_iter().zip([&made.x, &made.base, &made.adjoint]) {
                out.single(format!("buffer.{i}.{name}"), &[slice.len()], slice);
            }
        }
        let looks = self.looks.iter();
        let looks = looks.flat_map(|l| [l.iteration as f64, l.training, l.held_out, l.distance, l.seconds]);
        let looks: Vec<f64> = looks.chain(self.running).collect();
        out.double("looks", &[looks.len()], &looks);
        out.word("identity", identity);
        out.word("iteration", self.iteration);
        out.word("updates", self.optimiser.steps_done());
        out.word("buffer", self.buffer.len());
        out.word("seconds", self.seconds);
        out.write_state(path)
    }

    /// Reads the state of tuning `identity` from `path`, and its parameters into `method`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or belongs to another tuning.
    pub fn load(path: &Path, identity: &str, config: &TuneConfig, method: &mut dyn Method) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = TensorReader::open(path, &bytes)?;
        file.check_identity(identity, "tuning (same model, reward and configuration)")?;
        let (q, p) = (method.parameters().len(), method.velocity_field().map_or(0, |f| f.dimension()));
        let [parameters, first, second, average, best] = training_slices(&file, q)?;
        let mut buffer = VecDeque::new();
        for i in 0..file.number("buffer")? as usize {
            let grid = file.double(&format!("buffer.{i}.grid"))?;
            let size = grid.len().saturating_sub(1) * config.trajectories * p;
            let [x, base, adjoint] = PARTS.map(|name| file.single(&format!("buffer.{i}.{name}"), &[size]));
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
        let (updates, total) = (file.number("updates")? as u64, config.iterations * config.updates);
        let optimiser = AdamW::resume(&config.optimiser, total, updates, [first, second, average])?;
        method.parameters_mut().copy_from_slice(&parameters);
        let (iteration, seconds) = (file.number("iteration")? as u64, file.number("seconds")?);
        Ok(Self { iteration, optimiser, best, looks, buffer, running: *running, seconds })
    }
}

const PARTS: [&str; 3] = ["x", "base", "adjoint"];
