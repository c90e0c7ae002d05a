//! The whole state of a training between two steps, saved and restored bit-exactly.
//!
//! One safetensors file: parameters, the optimiser's slices, the best parameters so far, the validations in f64, and whatever the learner keeps besides;
//! the step and the identity of the training in its metadata. Written whole or not at all.
use super::learner::Learner;
use super::schedule::{Better, TrainingSchedule};
use super::validation::{Running, Validation};
use crate::nn::optimiser::{AdamW, STATE};
use crate::tensors::{Large, TensorReader, TensorWriter};
use crate::{Error, Result};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use thalweg_nets::files::write_whole;

/// A training between two steps, but for what its learner holds.
#[derive(Clone, Debug)]
pub struct TrainState {
    /// Steps done.
    pub step: u64,
    /// The averaged parameters with the best held-out score so far `[Q]`.
    pub best: Vec<f32>,
    /// Every validation so far.
    pub validations: Vec<Validation>,
    /// Wall time so far.
    pub seconds: f64,
    pub(super) optimiser: AdamW,
    pub(super) running: Running,
    better: Better,
}

impl TrainState {
    /// Before the first step.
    ///
    /// # Errors
    /// An optimiser's number outside its range.
    pub(crate) fn new(schedule: &TrainingSchedule, learner: &dyn Learner) -> Result<Self> {
        let best = learner.parameters().concat();
        let optimiser = AdamW::new(schedule.optimiser, schedule.steps.saturating_mul(schedule.updates), &best)?;
        let (validations, better) = (vec![], schedule.validation.better);
        Ok(Self { step: 0, best, validations, seconds: 0.0, optimiser, running: Running::default(), better })
    }

    /// Of parameters that a closed form gave, which stay with the learner: one validation, and nothing to move.
    pub(crate) fn solved(schedule: &TrainingSchedule, held_out: Option<f64>, seconds: f64) -> Result<Self> {
        let optimiser = AdamW::new(schedule.optimiser, schedule.steps, &[])?;
        let (better, validation) =
            (schedule.validation.better, Validation { step: 0, training: None, held_out, distance: None, seconds });
        Ok(Self {
            step: 0,
            best: vec![],
            validations: vec![validation],
            seconds,
            optimiser,
            running: Running::default(),
            better,
        })
    }

    /// Takes note of a validation; keeps the averaged parameters if they are the best, or if nothing is held out.
    pub(super) fn record_validation(&mut self, held_out: Option<f64>) {
        let best = self.best_validation().and_then(|best| best.held_out);
        if held_out.is_none_or(|score| best.is_none_or(|best| self.better.than(score, best))) {
            self.best.copy_from_slice(self.optimiser.average());
        }
        let running = std::mem::take(&mut self.running);
        self.validations.push(Validation {
            step: self.step,
            training: running.mean_score(),
            held_out,
            distance: running.mean_distance(),
            seconds: self.seconds,
        });
    }

    /// The validation whose parameters are kept: the first of the best held-out score, or the last one where nothing is held out.
    pub fn best_validation(&self) -> Option<Validation> {
        let judged = self.validations.iter().filter_map(|v| v.held_out.map(|score| (v, score)));
        let best = judged.reduce(|a, b| if self.better.than(b.1, a.1) { b } else { a });
        best.map(|(v, _)| v).or(self.validations.last()).copied()
    }

    /// Whether a validation is due: every so many steps, after the last one, and before the first where that is asked; once at each step.
    pub(super) fn validation_is_due(&self, schedule: &TrainingSchedule) -> bool {
        let asked = self.step > 0 || schedule.validation.at_start;
        let now = self.step.is_multiple_of(schedule.validation.every) || self.step == schedule.steps;
        asked && now && self.validations.last().is_none_or(|last| last.step != self.step)
    }

    /// Whether no step is left, or patience has run out.
    pub(super) fn is_done(&self, schedule: &TrainingSchedule) -> bool {
        let best = self.best_validation().map_or(0, |best| best.step);
        let since = || self.validations.iter().filter(|v| v.step > best).count();
        let patience = schedule.validation.patience;
        self.step >= schedule.steps || (patience > 0 && since() >= patience)
    }

    /// Writes the state of training `identity` to `path`. One that is `finished` stays for other trainings, and has the same bytes whenever it is
    /// made: the seconds are then in a file beside it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn save(&self, path: &Path, identity: &str, learner: &dyn Learner, finished: bool) -> Result<()> {
        let mut out = TensorWriter::default();
        let (parts, [first, second, average]) = (learner.parameters(), self.optimiser.state());
        let parameters = if let [one] = parts[..] { Cow::Borrowed(one) } else { Cow::Owned(parts.concat()) };
        let slices = SLICES.into_iter().zip([&parameters[..], first, second, average, &self.best]);
        let slices: Vec<Large> = slices.map(|(name, slice)| (name.to_owned(), vec![slice.len()], slice)).collect();
        self.put_validations(&mut out, finished);
        learner.save(&mut out);
        out.word("identity", identity);
        out.word("step", self.step);
        match finished {
            true => out.word("seconds", BESIDE),
            false => out.word("seconds", self.seconds),
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        out.write_with(path, &slices)?;
        match finished {
            true => write_whole(&seconds_of(path), format!("{}\n", self.seconds).as_bytes()),
            false => Ok(()),
        }
    }

    /// `history`: step, training and held-out score of each validation, then the running sum and count. Where distances are measured, `distances`:
    /// one a validation and the running sum. Before the end, `seconds`: the seconds of each. A number that is not there is a NaN.
    fn put_validations(&self, out: &mut TensorWriter, finished: bool) {
        let number = |v: Option<f64>| v.unwrap_or(f64::NAN);
        let each = self.validations.iter();
        let history = each.clone().flat_map(|v| [v.step as f64, number(v.training), number(v.held_out)]);
        let history: Vec<f64> = history.chain([self.running.score, self.running.count]).collect();
        out.double("history", &[history.len()], &history);
        let distances: Vec<f64> = each.clone().map(|v| v.distance).chain([self.running.distance]).map(number).collect();
        if distances.iter().any(|distance| !distance.is_nan()) {
            out.double("distances", &[distances.len()], &distances);
        }
        if !finished {
            out.double("seconds", &[self.validations.len()], &each.map(|v| v.seconds).collect::<Vec<f64>>());
        }
    }

    /// Reads the state of training `identity` from `path`, and what its learner holds into `learner`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or belongs to another training.
    pub(super) fn load(
        path: &Path,
        identity: &str,
        schedule: &TrainingSchedule,
        learner: &mut dyn Learner,
    ) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = TensorReader::open(path, &bytes)?;
        file.check_identity(identity, &format!("work ({}, of the same inputs and configuration)", schedule.what))?;
        let q = learner.parameters().iter().map(|part| part.len()).sum();
        let [current, first, second, average, best] = SLICES.map(|name| file.single(name, &[q]));
        let step = file.number("step")? as u64;
        let updates = schedule.updates;
        let (total, done) = (schedule.steps.saturating_mul(updates), step.saturating_mul(updates));
        let optimiser = AdamW::resume(schedule.optimiser, total, done, [first?, second?, average?])?;
        let (validations, running) = validations_of(&file, path)?;
        // Nothing depends on them, so a file that is lost is no error.
        let beside = || std::fs::read_to_string(seconds_of(path)).ok()?.trim().parse().ok();
        let seconds = if file.word("seconds") == BESIDE { beside().unwrap_or(0.0) } else { file.number("seconds")? };
        let (current, best) = (current?, best?);
        learner.load(&file)?;
        let mut rest = &current[..];
        for part in learner.parameters_mut() {
            let (head, tail) = rest.split_at(part.len());
            part.copy_from_slice(head);
            rest = tail;
        }
        Ok(Self { step, best, validations, seconds, optimiser, running, better: schedule.validation.better })
    }
}

/// What [`TrainState::put_validations`] put.
fn validations_of(file: &TensorReader<'_>, path: &Path) -> Result<(Vec<Validation>, Running)> {
    let history = file.double("history")?;
    let Some((each, [score, count])) = history.split_last_chunk::<2>().filter(|(each, _)| each.len() % 3 == 0) else {
        return Err(Error::format(path, "history", "three numbers a validation and two more", history.len()));
    };
    let n = each.len() / 3;
    let optional = |name: &str, length: usize| match file.shape(name) {
        None => Ok(vec![f64::NAN; length]),
        Some(_) => file.double(name).and_then(|values| match values.len() == length {
            true => Ok(values),
            false => Err(Error::format(path, name, format!("{length} numbers"), values.len())),
        }),
    };
    let (distances, seconds) = (optional("distances", n + 1)?, optional("seconds", n)?);
    let number = |v: f64| (!v.is_nan()).then_some(v);
    let rows = each.as_chunks::<3>().0.iter().zip(distances.iter().zip(seconds));
    let validations = rows.map(|([step, training, held_out], (distance, seconds))| Validation {
        step: *step as u64,
        training: number(*training),
        held_out: number(*held_out),
        distance: number(*distance),
        seconds: number(seconds).unwrap_or(0.0),
    });
    Ok((validations.collect(), Running { score: *score, distance: number(distances[n]), count: *count }))
}

/// In the place of the seconds: they are in [`seconds_of`].
const BESIDE: &str = "beside";

/// The file of the seconds of a finished state.
fn seconds_of(state: &Path) -> PathBuf {
    state.with_extension("seconds")
}

/// Parameters, the optimiser's slices, the best parameters.
const SLICES: [&str; 5] = ["parameters", STATE[0], STATE[1], STATE[2], "best"];
