//! A zoo made ready for judgement: its split by run, final weights of both parts, engine, validation and test data.
//!
//! Fitting sees the training runs and chooses on the validation runs. Judgement compares with the training runs, and holds
//! the test runs, which nobody saw, beside the samples. Whatever is looked at on the way uses validation data; rows of
//! tables use test data.
use anyhow::{Context, Result};
use thalweg::baseline::{Finals, Start};
use thalweg::judge::{Judge, ZooReference};
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::{Engine, Packed};
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::zoo::{InitialLaw, RunSplit, ZooStore};

/// Rows of data as the engine takes them.
pub struct Rows {
    /// Inputs `[N, D]`.
    pub inputs: Packed,
    /// Labels `[N]`.
    pub labels: Vec<u32>,
}

impl Rows {
    /// Packs `data`.
    ///
    /// # Errors
    /// Inputs of another size than the engine's.
    pub fn new(engine: &Engine, data: Dataset) -> Result<Self> {
        Ok(Self { inputs: engine.pack(&data.inputs)?, labels: data.labels })
    }

    /// Accuracies `[n]` of networks `theta [n, P]`.
    ///
    /// # Errors
    /// Weights that are not finite.
    pub fn accuracies(&self, engine: &Engine, theta: &[f32]) -> Result<Vec<f64>> {
        Ok(evaluate(engine, theta, &self.inputs, &self.labels)?.iter().map(|score| score.accuracy).collect())
    }
}

/// A zoo with everything that judgement needs.
pub struct Study {
    /// The zoo.
    pub zoo: ZooStore,
    /// Its architecture's engine.
    pub engine: Engine,
    /// Who was trained on, chosen by, reported against.
    pub split: RunSplit,
    /// Final weights of the training runs `[R, P]`.
    pub training: Vec<f32>,
    /// Final weights of the test runs `[H, P]`.
    pub held_out: Vec<f32>,
    /// For curves and choices.
    pub validation: Rows,
    /// For tables.
    pub test: Rows,
    start: Option<(Vec<f32>, InitialLaw)>,
}

impl Study {
    /// Reads weights and data; `data` stands in for what the zoo says (its folder may have moved).
    ///
    /// # Errors
    /// A zoo without architecture or data, missing data.
    pub fn new(zoo: ZooStore, split: RunSplit, data: Option<&DataSpec>) -> Result<Self> {
        let dir = zoo.dir().display().to_string();
        let architecture = zoo
            .architecture()
            .with_context(|| format!("{dir} does not know its architecture; import it with --arch and --data"))?;
        let engine = Engine::new(architecture)?;
        let data =
            data.or(zoo.data()).with_context(|| format!("{dir} does not know its data; name them: --data NAME"))?;
        let splits = data.load()?;
        let validation = Rows::new(&engine, splits.validation)?;
        let test = Rows::new(&engine, splits.test)?;
        let (training, held_out) = (zoo.finals(&split.train)?, zoo.finals(&split.test)?);
        let start = match zoo.initial_law() {
            Ok(law) if zoo.checkpoints() > 1 => Some((mean_start(&zoo, &split.train)?, law)),
            // Iterates of a tail have no starts, and imported zoos may not tell their law: then there is no mean move.
            _ => None,
        };
        Ok(Self { zoo, engine, split, training, held_out, validation, test, start })
    }

    /// P.
    pub fn parameters(&self) -> usize {
        self.engine.parameters()
    }

    /// Hands a judge of this zoo to `f`, and what trivial baselines are made from.
    ///
    /// # Errors
    /// As [`Judge::new`] and as `f`.
    pub fn judged<T>(&self, f: impl FnOnce(&Judge<'_>, &Finals<'_>) -> Result<T>) -> Result<T> {
        let layout = self.engine.layout();
        let start = self.start.as_ref().map(|(mean, law)| Start { mean, law });
        let judge = Judge::new(ZooReference {
            engine: &self.engine,
            training: &self.training,
            held_out: &self.held_out,
            test: &self.test.inputs,
            labels: &self.test.labels,
            start,
        })?;
        let finals = Finals { layout, training: &self.training, median: judge.median(), start };
        f(&judge, &finals)
    }
}

/// Mean recorded start `[P]` of `runs`.
fn mean_start(zoo: &ZooStore, runs: &[usize]) -> Result<Vec<f32>> {
    let p = zoo.parameters();
    let mut sum = vec![0.0f64; p];
    let mut theta = vec![0.0; p];
    for &run in runs {
        zoo.gather(&[(run, 0)], &mut theta)?;
        sum.iter_mut().zip(&theta).for_each(|(s, v)| *s += f64::from(*v));
    }
    Ok(sum.iter().map(|s| (s / runs.len() as f64) as f32).collect())
}
