//! The whole state of a fit between two steps, saved and restored bit-exactly.
//!
//! One safetensors file: parameters, the optimiser's slices, the best parameters so far, the history in f64; the step and the
//! identity of the fit in its metadata. Written whole or not at all.
use super::TrainingSchedule;
use crate::nn::optimiser::{AdamW, STATE};
use crate::tensors::{TensorReader, TensorWriter};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use thalweg_nets::files::write_whole;

/// One look at the held-out runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validation {
    /// Steps done.
    pub step: u64,
    /// Mean training loss since the look before.
    pub training: f64,
    /// Loss on the held-out runs; NaN where there are none.
    pub held_out: f64,
}

/// A fit between two steps, but for the parameters themselves.
pub struct FitState {
    /// The optimiser.
    pub optimiser: AdamW,
    /// The averaged parameters with the least held-out loss so far `[Q]`.
    pub best: Vec<f32>,
    /// Every look so far.
    pub history: Vec<Validation>,
    /// Sum and number of the training losses since the last look.
    running: [f64; 2],
    /// Wall time so far.
    pub seconds: f64,
}

impl FitState {
    /// Before the first step.
    ///
    /// # Errors
    /// An optimiser's number outside its range.
    pub(crate) fn new(schedule: &TrainingSchedule, parameters: &[f32]) -> Result<Self> {
        let optimiser = AdamW::new(schedule.optimiser, schedule.steps, parameters)?;
        Ok(Self { optimiser, best: parameters.to_vec(), history: vec![], running: [0.0; 2], seconds: 0.0 })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.optimiser.steps_done()
    }

    /// Takes note of a step's training loss.
    pub fn record_training_loss(&mut self, loss: f64) {
        self.running[0] += loss;
        self.running[1] += 1.0;
    }

    /// Takes note of a look; keeps the averaged parameters if they are the best, or if nothing is held out.
    pub fn record_validation(&mut self, held_out: Option<f64>) {
        let better = held_out.is_none_or(|loss| self.best_validation().is_none_or(|best| loss < best.held_out));
        if better {
            self.best.copy_from_slice(self.optimiser.average());
        }
        let training = self.running[0] / self.running[1].max(1.0);
        self.history.push(Validation { step: self.step(), training, held_out: held_out.unwrap_or(f64::NAN) });
        self.running = [0.0; 2];
    }

    /// The look whose parameters are kept: the first of the least held-out loss, or the last one where nothing is held out.
    pub fn best_validation(&self) -> Option<Validation> {
        let judged = self.history.iter().filter(|look| !look.held_out.is_nan());
        judged.min_by(|a, b| a.held_out.total_cmp(&b.held_out)).or(self.history.last()).copied()
    }

    /// Writes the state of fit `identity` to `path`. One that is `finished` stays for other fits, and has the same bytes whenever it is made: the
    /// seconds are then in a file beside it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path, identity: &str, parameters: &[f32], finished: bool) -> Result<()> {
        let looks = self.history.iter().flat_map(|look| [look.step as f64, look.training, look.held_out]);
        let history: Vec<f64> = looks.chain(self.running).collect();
        let mut out = TensorWriter::default();
        put_training(&mut out, parameters, &self.optimiser, &self.best);
        out.double("history", &[history.len()], &history);
        out.word("identity", identity);
        out.word("step", self.step());
        match finished {
            true => out.word("seconds", BESIDE),
            false => out.word("seconds", self.seconds),
        }
        out.write_state(path)?;
        match finished {
            true => write_whole(&seconds_of(path), format!("{}\n", self.seconds).as_bytes()),
            false => Ok(()),
        }
    }

    /// Reads the state of fit `identity` from `path`, and its parameters into `parameters [Q]`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or belongs to another fit.
    pub(crate) fn load(
        path: &Path,
        identity: &str,
        schedule: &TrainingSchedule,
        parameters: &mut [f32],
    ) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = TensorReader::open(path, &bytes)?;
        file.check_identity(identity, "fit (same zoo, same configuration)")?;
        let step = file.number("step")?;
        // Nothing depends on them, so a file that is lost is no error.
        let beside = || std::fs::read_to_string(seconds_of(path)).ok()?.trim().parse().ok();
        let seconds = if file.word("seconds") == BESIDE { beside().unwrap_or(0.0) } else { file.number("seconds")? };
        let [current, first, second, average, best] = training_slices(&file, parameters.len())?;
        let history = file.double("history")?;
        let Some((looks, running)) = history.split_last_chunk::<2>().filter(|(looks, _)| looks.len() % 3 == 0) else {
            return Err(Error::format(path, "history", "three numbers a look and two more", history.len()));
        };
        let history = looks
            .as_chunks::<3>()
            .0
            .iter()
            .map(|l| Validation { step: l[0] as u64, training: l[1], held_out: l[2] })
            .collect();
        let optimiser = AdamW::resume(schedule.optimiser, schedule.steps, step as u64, [first, second, average])?;
        parameters.copy_from_slice(&current);
        Ok(Self { optimiser, best, history, running: *running, seconds })
    }
}

/// In the place of the seconds: they are in [`seconds_of`].
const BESIDE: &str = "beside";

/// The file of the seconds of a finished state.
fn seconds_of(state: &Path) -> PathBuf {
    state.with_extension("seconds")
}

const NAMES: [&str; 5] = ["parameters", STATE[0], STATE[1], STATE[2], "best"];

/// What every training by [`AdamW`] keeps between two steps: parameters, the optimiser's slices, the best parameters.
pub(crate) fn put_training(out: &mut TensorWriter, parameters: &[f32], optimiser: &AdamW, best: &[f32]) {
    let [first, second, average] = optimiser.state();
    for (name, slice) in NAMES.into_iter().zip([parameters, first, second, average, best]) {
        out.single(name, &[slice.len()], slice);
    }
}

/// The slices that [`put_training`] put, `[q]` each.
///
/// # Errors
/// A slice that is missing or of another length.
pub(crate) fn training_slices(file: &TensorReader<'_>, q: usize) -> Result<[Vec<f32>; 5]> {
    let [parameters, first, second, average, best] = NAMES.map(|name| file.single(name, &[q]));
    Ok([parameters?, first?, second?, average?, best?])
}
