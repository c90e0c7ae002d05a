//! What networks start from: seven kinds, each by its support set where it takes one.
use super::parameters::Initialisation;
use crate::experiments::context::Made;
use crate::experiments::made;
use anyhow::{Context, Result, bail};
use rand::seq::SliceRandom;
use thalweg::Streams;
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg_nets::data::Dataset;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::init;
use thalweg_nets::zoo::InitialLaw;

/// A fresh draw of PyTorch's law.
pub const KAIMING: &str = "Kaiming";
/// A sample of the conditional flow for the support set.
pub const CONDITIONAL: &str = "conditional flow";
/// The network of all zoos with the least loss on the support set.
pub const NEAREST: &str = "nearest zoo network";

/// All kinds, in the order of tables.
pub const KINDS: [&str; 7] = [
    KAIMING,
    "common start of the zoos",
    "flow over one task",
    CONDITIONAL,
    NEAREST,
    "soup of zoo networks",
    "mean of samples",
];

/// Everything that starts are made from.
pub struct Starts<'a> {
    made: &'a Made,
    home: &'a MetaModel,
    set: &'a Initialisation,
    engine: &'a Engine,
    /// Final networks of the training runs of all zoos `[n, P]`.
    finals: Vec<f32>,
    law: InitialLaw,
}

impl<'a> Starts<'a> {
    /// # Errors
    /// Zoos that cannot be read.
    pub fn new(
        made: &'a Made,
        home: &'a MetaModel,
        fit: &FitConfig,
        set: &'a Initialisation,
        engine: &'a Engine,
    ) -> Result<Self> {
        let mut finals = Vec::new();
        for zoo in &made.zoos {
            finals.extend(zoo.finals(&fit.split.of(zoo)?.train)?);
        }
        let law = made.zoos.first().context("there is a zoo")?.initial_law()?;
        Ok(Self { made, home, set, engine, finals, law })
    }

    /// A start for each support set, `[n, P]`.
    ///
    /// # Errors
    /// A kind that is none.
    pub fn draw(&self, kind: &str, supports: &[Dataset], streams: &Streams) -> Result<Vec<f32>> {
        let streams = streams.child(kind);
        let layout = self.engine.layout();
        let law = |law: &InitialLaw| {
            let drawn = (0..supports.len()).map(|i| law.draw(layout, &streams.index(i as u64)));
            Ok(drawn.collect::<Result<Vec<_>, _>>()?.concat())
        };
        let each = |f: &dyn Fn(usize, &Dataset) -> Result<Vec<f32>>| {
            let made = supports.iter().enumerate().map(|(i, support)| f(i, support));
            Ok(made.collect::<Result<Vec<_>>>()?.concat())
        };
        match kind {
            KAIMING => law(&InitialLaw::Kaiming(init::Initialisation::default())),
            "common start of the zoos" => law(&self.law),
            "flow over one task" => Ok(self.home.sample(&SampleRequest::new(supports.len(), self.set.seed))?.theta),
            CONDITIONAL => each(&|i, support| self.samples(support, i, 1)),
            NEAREST => each(&|_, support| {
                let best = self.ranked(support)?[0];
                Ok(self.network(best).to_vec())
            }),
            "soup of zoo networks" => each(&|i, support| {
                let mut ranked = self.ranked(support)?;
                ranked.truncate(2 * self.set.soup);
                ranked.shuffle(&mut streams.index(i as u64).rng());
                ranked.truncate(self.set.soup);
                Ok(made::mean(ranked.iter().map(|&i| self.network(i)), self.engine.parameters()))
            }),
            "mean of samples" => each(&|i, support| {
                let samples = self.samples(support, i, self.set.soup)?;
                Ok(made::mean(samples.chunks_exact(self.engine.parameters()), self.engine.parameters()))
            }),
            other => bail!("no kind of start {other}"),
        }
    }

    /// `n` samples of the conditional flow for a support set.
    fn samples(&self, support: &Dataset, i: usize, n: usize) -> Result<Vec<f32>> {
        let context = Some(self.made.model.condition_on(support, 1.0)?);
        let seed = self.set.seed.wrapping_mul(1000) + i as u64;
        Ok(self.made.model.sample(&SampleRequest { context, ..SampleRequest::new(n, seed) })?.theta)
    }

    fn network(&self, i: usize) -> &[f32] {
        let p = self.engine.parameters();
        &self.finals[i * p..(i + 1) * p]
    }

    /// All networks of the zoos by their loss on the support set.
    fn ranked(&self, support: &Dataset) -> Result<Vec<usize>> {
        let x = self.engine.pack(&support.inputs)?;
        let losses: Vec<f64> =
            evaluate(self.engine, &self.finals, &x, &support.labels)?.iter().map(|s| s.loss).collect();
        let mut order: Vec<usize> = (0..losses.len()).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        Ok(order)
    }
}
