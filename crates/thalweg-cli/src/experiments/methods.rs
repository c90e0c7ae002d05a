//! Methods on one zoo beside real runs, trivial rivals, new runs and a control: what every picture of accuracy against novelty is made from.
use super::experiment::Run;
use super::flows::Named;
use super::made::{self, model_dir, zoo_dir};
use crate::results::Row;
use crate::study::Study;
use crate::table::Weight;
use crate::verdict::{self, SHUFFLED, Verdict};
use crate::work::judge::{about, judge_all};
use crate::work::new_runs::NewRuns;
use anyhow::{Context, Result, bail};
use thalweg::model::FitConfig;
use thalweg::model::sample::SampleRequest;
use thalweg::space::latent::LatentConfig;
use thalweg_nets::zoo::{RunSplit, Shares, ZooStore};

/// What is fitted to a zoo, and how often.
pub struct Methods<'a> {
    /// Seed of the first fit and of what is drawn.
    pub seed: u64,
    /// Fits of each method, seeds `seed`, `seed + 1`, …
    pub fits: u64,
    /// Networks of each fit.
    pub samples: usize,
    /// Whether the first method is also fitted to weights shuffled within tensors.
    pub control: bool,
    /// What all fits share.
    pub fit: &'a toml::Table,
    /// The methods.
    pub methods: Vec<&'a Named>,
}

impl Methods<'_> {
    /// Refuses methods that cannot be fitted to `runs`.
    ///
    /// # Errors
    /// No method, no fit, fewer than two networks; a configuration that is none; as many principal components as runs to learn from.
    pub fn check(&self, runs: usize) -> Result<()> {
        if self.fits == 0 || self.samples < 2 || self.methods.is_empty() {
            bail!("expected some methods, fits of at least 1 and samples of at least 2");
        }
        self.methods.iter().try_for_each(|method| self.components_are_spanned(method, runs))
    }

    /// The configuration of fit number `fit` of `method`.
    ///
    /// # Errors
    /// A table that is no fit.
    pub fn config(&self, method: &Named, fit: u64) -> Result<FitConfig> {
        method.config(self.fit, self.seed + fit)
    }

    fn components_are_spanned(&self, method: &Named, runs: usize) -> Result<()> {
        let config = self.config(method, 0)?;
        let Some(LatentConfig::Pca(pca)) = &config.latent else { return Ok(()) };
        let shares = Shares { validation: config.split.validation, test: config.split.test };
        let training = RunSplit::new((0..runs).collect(), shares, config.split.seed)?.train.len();
        if pca.dimension >= training {
            bail!(
                "{}: expected fewer principal components than runs to learn from, found {} components and {training} of zoo.runs = {runs}",
                method.name,
                pca.dimension
            );
        }
        Ok(())
    }

    /// Every method on `zoo`, judged beside the control, `new` runs on their way and the trivial generators; and what the rows are about. Models are kept in the
    /// folder of `run`, under `name`.
    ///
    /// # Errors
    /// Fits', judgements'; an interruption.
    pub fn judged(&self, run: &Run, zoo: ZooStore, name: &str, new: Option<&NewRuns>) -> Result<(Vec<Verdict>, Row)> {
        let session = run.session;
        let first = self.methods.first().context("no method")?;
        let split = self.config(first, 0)?.split.of(&zoo)?;
        let mut made = Vec::new();
        let mut fit = |weight, zoo: &ZooStore, named: String, method: &Named, fit: u64| -> Result<()> {
            let model = made::fitted(run, zoo, &self.config(method, fit)?, &model_dir(run, name, &named, fit))?;
            let samples = model.sample(&SampleRequest::new(self.samples, self.seed + fit))?;
            made.push((weight, named, samples, model.record.seconds));
            Ok(())
        };
        for method in &self.methods {
            (0..self.fits).try_for_each(|k| fit(Weight::Strong, &zoo, method.name.clone(), method, k))?;
        }
        if self.control {
            let shuffled = made::shuffled(run, &zoo, &zoo_dir(run, name, "-shuffled"))?;
            fit(Weight::Faint, &shuffled, format!("{}{SHUFFLED}", first.name), first, 0)?;
        }
        let study = Study::new(zoo, split, None, &session.progress)?;
        let fitted = made.iter().map(|(weight, name, samples, _)| (*weight, name.as_str(), &samples.theta[..]));
        let stops = new.iter().flat_map(|new| &new.stops);
        let samples: Vec<_> =
            fitted.chain(stops.map(|(name, theta)| (Weight::Faint, name.as_str(), &theta[..]))).collect();
        let mut judged = judge_all(&study, &samples, true, self.seed, session)?;
        for ((verdict, _), (_, _, samples, seconds)) in judged.iter_mut().zip(&made) {
            verdict.timed(*seconds, samples.seconds);
        }
        Ok((verdict::by_method(judged).0, about(&study)))
    }
}
