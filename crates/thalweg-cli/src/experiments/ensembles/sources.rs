//! Where the networks of an ensemble come from: a run's own checkpoints, what is made of them, and other runs.
use super::parameters::Ensembles;
use crate::experiments::experiment::Run;
use crate::experiments::made::{self, model_dir, zoo_dir};
use crate::settings;
use crate::study::{Labelled, Study};
use anyhow::{Context, Result};
use std::time::Instant;
use thalweg::Streams;
use thalweg::metric::calibration;
use thalweg::model::sample::SampleRequest;
use thalweg::space::flat::{ByEngine, Curvature};
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{RunSplit, ZooKind, ZooStore};

/// Networks of one source.
pub(super) struct Members {
    /// What they are called.
    pub source: String,
    /// Weights `[M, P]`.
    pub theta: Vec<f32>,
    /// Steps of training behind them, over those of one run.
    pub runs: f64,
    /// Seconds that were spent on making them of checkpoints.
    pub seconds: f64,
}

/// What the Laplace approximation is called.
const LAPLACE: &str = "Laplace, Kronecker factors";

/// One training run that went on, with other runs beside it.
pub(super) struct Base<'a> {
    set: &'a Ensembles,
    run: &'a Run<'a>,
    index: u64,
    /// Judgement's data, and the checkpoints.
    pub study: Study,
    /// Runs of the same recipe from their own starts.
    others: ZooStore,
    /// Steps until the last checkpoint, over those of one run.
    length: f64,
}

impl<'a> Base<'a> {
    /// Number `index`, trained where it is not there.
    ///
    /// # Errors
    /// As the zoos' training.
    pub fn new(set: &'a Ensembles, run: &'a Run<'a>, index: u64) -> Result<Self> {
        let seed = set.seed + index;
        let mut common = set.zoo.clone();
        common.insert("data".into(), set.data.clone().into());
        let tail =
            made::zoo(run, settings::over(&common, &set.tail), seed, &zoo_dir(run, &format!("tail-{index}"), ""))?;
        let length = steps_over_a_runs(&tail)?;
        // As many others as the larger deep ensemble wants.
        let wanted = set.members.max(length.ceil() as usize);
        common.insert("runs".into(), i64::try_from(wanted)?.into());
        let others = made::zoo(run, common, seed, &zoo_dir(run, &format!("runs-{index}"), ""))?;
        let all = RunSplit { train: (0..tail.runs()).collect(), validation: Vec::new(), test: Vec::new() };
        let study = Study::new(tail, all, None, &run.session.progress)?;
        Ok(Self { set, run, index, study, others, length })
    }

    /// Runs of the same recipe from their own starts.
    pub fn others(&self) -> &ZooStore {
        &self.others
    }

    /// Every source, single networks first.
    ///
    /// # Errors
    /// Fits', samples'.
    pub fn all(&self) -> Result<Vec<Members>> {
        let (m, n, p) = (self.set.members, self.study.zoo.runs(), self.study.parameters());
        let finals = &self.study.runs.training;
        let of_run = |source: &str, theta: Vec<f32>, runs: f64, seconds: f64| Members {
            source: source.into(),
            theta,
            runs,
            seconds,
        };
        let own = |source: &str, theta: Vec<f32>| of_run(source, theta, self.length, 0.0);
        let last = finals[(n - 1) * p..].to_vec();
        let evenly: Vec<f32> = (0..m).flat_map(|i| finals[((i + 1) * n / m - 1) * p..][..p].iter().copied()).collect();
        let other = |count: usize| self.others.finals(&(0..count).collect::<Vec<_>>());
        let equal = self.length.ceil() as usize;
        let mut all = vec![
            own("the last checkpoint alone", last.clone()),
            own("the mean of the checkpoints alone", made::mean(finals.chunks_exact(p), p)),
            own("checkpoints, evenly", evenly),
        ];
        for method in &self.set.methods {
            let config = method.config(&self.set.fit, self.set.seed + self.index)?;
            let dir = model_dir(self.run, &format!("tail-{}", self.index), &method.name, 0);
            let model = made::fitted(self.run, &self.study.zoo, &config, &dir)?;
            let samples = model.sample(&SampleRequest::new(m, self.set.seed + self.index))?;
            all.push(of_run(&method.name, samples.theta, self.length, model.record.seconds + samples.seconds));
        }
        let begun = Instant::now();
        let laplace = self.laplace(&last)?;
        all.push(of_run(LAPLACE, laplace, self.length, begun.elapsed().as_secs_f64()));
        all.push(of_run("deep ensemble of as many steps", other(equal)?, equal as f64, 0.0));
        all.push(of_run("deep ensemble of as many networks", other(m)?, m as f64, 0.0));
        Ok(all)
    }

    /// N(θ, (N F + I/s²)⁻¹) about the last checkpoint θ, F by its Kronecker factors and N the training rows; s is the prior of least negative
    /// log-likelihood on validation rows.
    fn laplace(&self, theta: &[f32]) -> Result<Vec<f32>> {
        let Study { engine, probe, validation, .. } = &self.study;
        let rows = self.study.zoo.data().and_then(|data| data.record.as_ref()).map(|record| record.train);
        let rows = rows.context("the zoo does not know how many rows it was trained on")?;
        let streams = Streams::new(self.set.seed + self.index).child("laplace");
        let mut best: Option<(f64, Vec<f32>)> = None;
        for &prior in &self.set.priors {
            let scale = vec![prior as f32; theta.len()];
            let of = ByEngine { engine, inputs: probe };
            let mut curvature = Curvature::about(engine.layout(), theta, &scale, &of, &streams.child("sketches"))?;
            let noise = curvature.noise(rows as f64);
            let draw = |i: usize| {
                let e = noise.draw(&streams.child("noise").index(i as u64));
                theta.iter().zip(e).map(|(w, e)| w + prior as f32 * e).collect::<Vec<f32>>()
            };
            let drawn = (0..self.set.members).map(draw).collect::<Vec<_>>().concat();
            let nll = judged(&self.study, &drawn, validation)?.nll;
            if best.as_ref().is_none_or(|(least, _)| nll < *least) {
                best = Some((nll, drawn));
            }
        }
        best.map(|(_, drawn)| drawn).context("priors: expected at least one")
    }
}

/// The ensemble of `theta [M, P]` on `rows`.
///
/// # Errors
/// Logits that are not finite.
fn judged(study: &Study, theta: &[f32], rows: &Labelled) -> Result<calibration::Calibration> {
    Ok(averaged(study, theta, rows)?.judge(&rows.labels)?)
}

/// The mean answers of `theta [M, P]` on `rows`.
///
/// # Errors
/// As [`judged`].
pub(super) fn averaged(study: &Study, theta: &[f32], rows: &Labelled) -> Result<calibration::Ensemble> {
    let (engine, p) = (&study.engine, study.parameters());
    let mut ensemble = calibration::Ensemble::new(rows.labels.len(), engine.classes())?;
    for network in theta.chunks_exact(p) {
        ensemble.add(&engine.logits_of_many(network, &rows.inputs)?)?;
    }
    Ok(ensemble)
}

/// Steps until the last checkpoint of a tail over those of its recipe alone.
fn steps_over_a_runs(tail: &ZooStore) -> Result<f64> {
    let spec = tail.spec().context("a tail that was not trained here")?;
    let (ZooKind::Tail { every }, Length::Steps(steps)) = (spec.kind, spec.recipe.length) else {
        anyhow::bail!("expected tail.kind a tail and zoo.recipe.length in steps");
    };
    Ok(1.0 + (every * tail.runs() as u64) as f64 / steps as f64)
}
