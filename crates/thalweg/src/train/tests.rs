//! The loop on a learner of a few numbers: its resumption, its interruption, its early stop, and parameters in parts.
use super::*;
use crate::nn::optimiser::AdamWConfig;
use crate::tensors::{TensorReader, TensorWriter};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use thalweg_nets::progress::Silent;

/// Two sets of parameters that go towards a point which moves with the step; what it saves besides is how many steps it took.
struct Towards {
    parts: [Vec<f32>; 2],
    taken: u64,
    /// The step that is interrupted after its first update, the first time.
    stumbles: Option<u64>,
}

const Q: usize = 5;

impl Towards {
    fn new(first: usize) -> Self {
        let all: Vec<f32> = (0..Q).map(|i| i as f32).collect();
        Self { parts: [all[..first].to_vec(), all[first..].to_vec()], taken: 0, stumbles: None }
    }

    fn error(&self, step: u64) -> Vec<f32> {
        self.parts.concat().iter().map(|w| w - 1.0 - (step as f32).sin()).collect()
    }
}

impl Learner for Towards {
    fn parameters(&self) -> Vec<&[f32]> {
        self.parts.iter().map(|part| &part[..]).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        self.parts.iter_mut().map(|part| &mut part[..]).collect()
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let before = (updates.snapshot(), self.parts.clone());
        for update in 0..2 {
            if update == 1 && self.stumbles.take_if(|at| *at == step).is_some() {
                updates.restore(before.0);
                self.parts = before.1;
                return Err(Error::Interrupted);
            }
            let error = self.error(step);
            updates.gradient.copy_from_slice(&error);
            updates.update(self.parameters_mut())?;
            updates.note(f64::from(error[0]), (step > 2).then_some(1.0));
        }
        self.taken += 1;
        Ok(())
    }

    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        Ok(Some(self.error(0).iter().map(|e| f64::from(e * e)).sum()))
    }

    fn save(&self, state: &mut TensorWriter) {
        state.word("taken", self.taken);
    }

    fn load(&mut self, state: &TensorReader<'_>) -> Result<()> {
        self.taken = state.number("taken")? as u64;
        Ok(())
    }
}

fn schedule(optimiser: &AdamWConfig) -> TrainingSchedule<'_> {
    let schedule = TrainingSchedule::new("going", 20, 4, optimiser);
    TrainingSchedule {
        updates: 2,
        validation: ValidationSchedule { at_start: true, ..schedule.validation },
        ..schedule
    }
}

fn at(path: &Path) -> Checkpointing<'_> {
    Checkpointing { path, identity: "it", every: 0, last: false, resume: true }
}

/// Asks to stop after so many steps.
struct After(AtomicU64);

impl Progress for After {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }
    fn resumed(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Trains to the end; the best parameters, the validations without their seconds, the learner.
fn trained(mut learner: Towards, saving: Option<Checkpointing>) -> (Vec<f32>, Vec<Validation>, Towards) {
    let optimiser = AdamWConfig { average: 0.5, learning_rate: 0.1, ..AdamWConfig::default() };
    let mut state = start(&mut learner, &schedule(&optimiser), saving).unwrap();
    run(&mut learner, &mut state, &schedule(&optimiser), saving, &Silent).unwrap();
    state.validations.iter_mut().for_each(|v| v.seconds = 0.0);
    (state.best, state.validations, learner)
}

#[test]
fn stopped_between_steps_or_within_one_it_goes_on_to_the_same_bytes_however_parameters_are_parted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let whole = trained(Towards::new(2), None);
    let steps: Vec<u64> = whole.1.iter().map(|v| v.step).collect();
    assert_eq!(steps, [0, 4, 8, 12, 16, 20]);
    assert!(whole.1[0].training.is_none() && whole.1[0].distance.is_none() && whole.1[2].distance == Some(1.0));
    assert_eq!(whole.2.taken, 20);
    for first in [0, 1, Q] {
        assert_eq!(whole.0, trained(Towards::new(first), None).0);
    }
    let optimiser = AdamWConfig { average: 0.5, learning_rate: 0.1, ..AdamWConfig::default() };
    for (between, within) in [(7, None), (u64::MAX, Some(9))] {
        let mut learner = Towards { stumbles: within, ..Towards::new(2) };
        let mut state = start(&mut learner, &schedule(&optimiser), None).unwrap();
        let stop = After(AtomicU64::new(between));
        let end = run(&mut learner, &mut state, &schedule(&optimiser), Some(at(&path)), &stop);
        assert!(matches!(end, Err(Error::Interrupted)));
        let again = trained(Towards::new(2), Some(at(&path)));
        assert_eq!((&again.0, &again.1, again.2.taken), (&whole.0, &whole.1, whole.2.taken));
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn patience_ends_it_and_the_better_score_is_kept_whichever_way_it_goes() {
    // It begins beyond its goal and is driven off it: the first validation is the best by a score that should rise.
    let optimiser = AdamWConfig { average: 0.0, learning_rate: 0.1, ..AdamWConfig::default() };
    let mut schedule = schedule(&optimiser);
    (schedule.validation.better, schedule.validation.patience) = (Better::Higher, 2);
    let mut learner = Towards::new(2);
    let before = learner.parts.concat();
    let mut state = start(&mut learner, &schedule, None).unwrap();
    run(&mut learner, &mut state, &schedule, None, &Silent).unwrap();
    assert_eq!((state.step, state.validations.len()), (8, 3));
    assert_eq!((state.best_validation().unwrap().step, &state.best), (0, &before));
    schedule.validation.better = Better::Lower;
    let mut learner = Towards::new(2);
    let mut state = start(&mut learner, &schedule, None).unwrap();
    run(&mut learner, &mut state, &schedule, None, &Silent).unwrap();
    let best = state.best_validation().unwrap();
    assert!(best.step > 0 && state.validations.iter().all(|v| v.held_out >= best.held_out));
}

#[test]
fn states_of_fits_before_distances_were_kept_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let optimiser = AdamWConfig::default();
    let mut out = TensorWriter::default();
    for name in ["parameters", "optimiser.first", "optimiser.second", "optimiser.average", "best"] {
        out.single(name, &[Q], &[2.0; Q]);
    }
    out.double("history", &[5], &[4.0, 0.5, f64::NAN, 3.0, 2.0]);
    for (key, value) in [("identity", "it"), ("step", "6"), ("seconds", "1.5"), ("taken", "6")] {
        out.word(key, value);
    }
    out.write_state(&path).unwrap();
    let mut learner = Towards::new(2);
    let state = start(&mut learner, &schedule(&optimiser), Some(at(&path))).unwrap();
    let old = Validation { step: 4, training: Some(0.5), held_out: None, distance: None, seconds: 0.0 };
    assert_eq!((state.step, state.validations.as_slice(), state.seconds), (6, [old].as_slice(), 1.5));
    assert_eq!((learner.taken, learner.parts[0].as_slice()), (6, [2.0; 2].as_slice()));
}
