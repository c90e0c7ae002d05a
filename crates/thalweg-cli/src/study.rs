//! A zoo made ready for judgement: its split by run, final weights of both parts, engine, validation and test data.
//!
//! Fitting sees the training runs and chooses on the validation runs. Judgement compares with the training runs, and holds
//! the test runs, which nobody saw, beside the samples. Whatever is looked at on the way uses validation data; rows of
//! tables use test data.
use crate::data;
use anyhow::{Context, Result};
use thalweg::judge::{ByEngine, Evaluation, PROBES, ZooReference, ZooRuns};
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::{Engine, Packed};
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::fits;
use thalweg_nets::zoo::{RunSplit, ZooStore};

/// Training rows that are kept for statistics of batch normalisation.
pub const SOME: usize = 1_000;

/// Labelled of data as the engine takes them.
pub struct Labelled {
    /// Inputs `[N, D]`.
    pub inputs: Packed,
    /// Labels `[N]`.
    pub labels: Vec<u32>,
}

impl Labelled {
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
    /// Final weights of the training and the test runs, and how they began.
    pub runs: ZooRuns,
    /// Some training rows, for statistics of batch normalisation.
    pub some: Dataset,
    /// Training inputs `[N, D]` on which baselines measure what networks feel.
    pub probe: Vec<f32>,
    /// For curves and choices.
    pub validation: Labelled,
    /// For tables.
    pub test: Labelled,
    /// Checksum of the data.
    pub checksum: String,
}

impl Study {
    /// Reads weights and data; `data` stands in for what the zoo says, and is standardised as the zoo's own were.
    ///
    /// # Errors
    /// A zoo without architecture or data; data that are missing, that changed since the zoo was made, or that its networks do not take.
    pub fn new(zoo: ZooStore, split: RunSplit, data: Option<&DataSpec>, progress: &dyn Progress) -> Result<Self> {
        let dir = zoo.dir().display().to_string();
        let architecture = zoo
            .origin()
            .whole_architecture()
            .with_context(|| format!("{dir} does not know its architecture; import it with --arch and --data"))?;
        let engine = Engine::new(architecture)?;
        let splits = data::load_for(data, zoo.data(), progress)?
            .with_context(|| format!("{dir} does not know its data; name them: --data NAME"))?;
        fits(architecture, &splits.test)?;
        let (some, checksum) = (splits.train.first(SOME), splits.record.checksum);
        let probe = splits.train.first(PROBES).inputs;
        let validation = Labelled::new(&engine, splits.validation)?;
        let test = Labelled::new(&engine, splits.test)?;
        let runs = ZooRuns::of(&zoo, &split)?;
        Ok(Self { zoo, engine, split, runs, some, probe, validation, test, checksum })
    }

    /// P.
    pub fn parameters(&self) -> usize {
        self.engine.parameters()
    }

    /// What networks are judged against.
    pub fn reference(&self) -> ZooReference<'_> {
        let (engine, test, probe) = (&self.engine, &self.test.inputs, &self.probe[..]);
        self.runs.evaluated(Evaluation::Engine(ByEngine { engine, test, probe }), &self.test.labels)
    }
}
