//! What tuning is held against, each with its clock: best of n, gradient ascent on samples (and on fresh initialisations),
//! guidance. A rival's settings are chosen for it on validation rows, and only its chosen run's seconds are counted.
use super::bench::Bench;
use super::task::Task;
use anyhow::{Context, Result};
use std::time::Instant;
use thalweg::Streams;
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg::reward::{InSpace, Reward};
use thalweg::space::latent::Decoder;
use thalweg::tune::rivals::{ascend, best, guide};
use thalweg_nets::Error;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Progress;

/// Steps of guided sampling: each costs a reward gradient.
const GUIDED_STEPS: usize = 20;

/// Networks that a way to the task made, and what it took.
pub struct Made {
    /// The way.
    pub method: String,
    /// What was chosen on validation rows, in words.
    pub setting: String,
    /// The networks `[n, P]`.
    pub theta: Vec<f32>,
    /// Seconds for all of them.
    pub seconds: f64,
}

/// An ascent with its course.
pub struct Ascent {
    /// What it made.
    pub made: Made,
    /// Its learning rate.
    pub rate: f64,
    /// (steps, seconds so far, mean validation accuracy).
    pub course: Vec<(u64, f64, f64)>,
}

/// The best `samples` of `best-of` networks of the base by reward on the validation rows.
pub fn best_of(bench: &Bench, task: &Task) -> Result<Made> {
    let set = &bench.settings;
    let begun = Instant::now();
    let theta = bench.generator.model.sample(&SampleRequest::new(set.best_of, set.seed + 1000))?.theta;
    let scores = evaluate(&bench.engine, &theta, &task.validation.inputs, &task.validation.labels)?;
    let rewards: Vec<f64> = scores.iter().map(|s| -s.loss).collect();
    let p = bench.engine.parameters();
    let theta = best(&rewards, set.samples).into_iter().flat_map(|i| theta[i * p..(i + 1) * p].to_vec()).collect();
    let setting = format!("{} of {}", set.samples.min(set.best_of), set.best_of);
    Ok(Made { method: "best-of-n".into(), setting, theta, seconds: begun.elapsed().as_secs_f64() })
}

/// Gradient ascent for `budget` seconds from `theta [n, P]`, at the rate of the best validation accuracy.
pub fn ascent(bench: &Bench, task: &Task, method: &str, theta: &[f32], budget: f64) -> Result<Ascent> {
    let mut runs = Vec::new();
    for &rate in &bench.settings.ascent_rates {
        runs.push(ascent_at(bench, task, method, theta.to_vec(), rate, budget)?);
        bench.session.progress.advance(1);
    }
    let last = |a: &Ascent| a.course.last().map_or(0.0, |c| c.2);
    runs.into_iter().max_by(|a, b| last(a).total_cmp(&last(b))).context("ascent-rates must name some")
}

/// At which step counts the course is looked at: every step at first, then at equal ratios.
fn look_at(step: u64) -> bool {
    step <= 4 || step.is_multiple_of(1 << (63 - step.leading_zeros()).saturating_sub(2))
}

fn ascent_at(bench: &Bench, task: &Task, method: &str, mut theta: Vec<f32>, rate: f64, budget: f64) -> Result<Ascent> {
    let streams = bench.streams.child("ascent");
    let mut course = Vec::new();
    let mut broke: Option<anyhow::Error> = None;
    // The clock stands still while the course is looked at.
    let (mut clock, mut seconds) = (Instant::now(), 0.0);
    let steps = ascend(&mut theta, &task.reward, u64::MAX >> 1, rate, &streams, |step, theta| {
        seconds += clock.elapsed().as_secs_f64();
        let over = seconds >= budget;
        if bench.session.progress.interrupted() {
            return Err(Error::Interrupted);
        }
        if over || look_at(step) {
            match task.validation.accuracies(&bench.engine, theta) {
                Ok(found) => course.push((step, seconds, mean(&found))),
                Err(e) => broke = Some(e),
            }
        }
        clock = Instant::now();
        Ok(!over && broke.is_none())
    })?;
    if let Some(e) = broke {
        return Err(e);
    }
    let setting = format!("rate {rate}, {steps} steps");
    Ok(Ascent { made: Made { method: method.into(), setting, theta, seconds }, rate, course })
}

/// Guided sampling, at the strength of the best validation accuracy.
pub fn guidance(bench: &Bench, task: &Task) -> Result<Made> {
    let set = &bench.settings;
    let base: &MetaModel = &bench.generator.model;
    let field = base.method.velocity_field().context("the base has a velocity field")?;
    let space = base.space();
    let reward = InSpace { reward: &task.reward, space: &space };
    let mut found: Option<(f64, Made)> = None;
    for &strength in &set.guidance {
        let begun = Instant::now();
        // The starts that `MetaModel::sample` draws, so that moves from the base's samples can be measured.
        let (streams, starts) =
            (bench.streams.child("guidance"), Streams::new(set.seed).child("sample").child("source"));
        let p = reward.dimension();
        let mut z = vec![0.0; set.samples * p];
        for (i, z) in z.chunks_exact_mut(p).enumerate() {
            z.copy_from_slice(&space.draw(&base.source, i as u64, &base.layout, &starts)?);
        }
        guide(field, &mut z, &reward, strength, GUIDED_STEPS, &streams)?;
        let theta = space.decode(&z);
        let seconds = begun.elapsed().as_secs_f64();
        let accuracy = mean(&task.validation.accuracies(&bench.engine, &theta)?);
        let setting = format!("length {strength}");
        let made = Made { method: "guidance".into(), setting, theta, seconds };
        if found.as_ref().is_none_or(|(best, _)| accuracy > *best) {
            found = Some((accuracy, made));
        }
        bench.session.progress.advance(1);
    }
    Ok(found.context("guidance must name some")?.1)
}

/// Seconds of one ascent step on `n` networks, the mean of three after one to warm up.
pub fn seconds_a_step(bench: &Bench, task: &Task, n: usize, rate: f64) -> Result<f64> {
    let mut theta = bench.generator.model.sample(&SampleRequest::new(n, bench.settings.seed))?.theta;
    let mut times = Vec::new();
    let mut clock = Instant::now();
    ascend(&mut theta, &task.reward, 4, rate, &bench.streams.child("clock"), |_, _| {
        times.push(clock.elapsed().as_secs_f64());
        clock = Instant::now();
        Ok(true)
    })?;
    Ok(mean(&times[1..]))
}

/// The mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
