//! f, and rows as f sees them: inputs, logits, and features (the last hidden layer).
//!
//! A classifier known only by its logits gives [`Sample`]s without inputs; tests that need no more work on those.
use crate::network::{Inputs, Network};
use crate::{Error, Result};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use thalweg_nets::engine::{Engine, Workspace};
use thalweg_nets::evaluate::argmax;
use thalweg_nets::loss::softmax_rows;
use thalweg_nets::streams::shuffle;
use thalweg_nets::{Architecture, architecture::Operation};

/// What rows of P look like, for queries to be held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// D; 0 where inputs are unknown.
    pub width: usize,
    /// C.
    pub classes: usize,
}

/// Rows with what f makes of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    len: usize,
    /// Inputs `[N, D]`; empty where only logits are known.
    pub inputs: Vec<f32>,
    /// f's logits `[N, C]`.
    pub logits: Vec<f32>,
    /// f's last hidden layer `[N, F]`; the logits where there is none.
    pub features: Vec<f32>,
}

impl Sample {
    /// Rows of a classifier known by its logits `[N, C]` only; the logits serve as features.
    ///
    /// # Errors
    /// Not `[N ≥ 1, C ≥ 2]`, or a number that is not finite.
    pub fn of_logits(logits: Vec<f32>, classes: usize) -> Result<Self> {
        if classes < 2 || logits.is_empty() || !logits.len().is_multiple_of(classes) {
            return Err(Error::shape("logits", format!("[N ≥ 1, {}]", classes.max(2)), format!("[{}]", logits.len())));
        }
        finite("logits", &logits, classes)?;
        Ok(Self { len: logits.len() / classes, inputs: Vec::new(), features: logits.clone(), logits })
    }

    /// Rows of a classifier known by its answers alone: inputs `[N, D]` with its logits `[N, C]`, which serve as features.
    ///
    /// # Errors
    /// As [`Self::of_logits`]; inputs of another number of rows, or that are not finite.
    pub fn of_rows(inputs: Vec<f32>, logits: Vec<f32>, classes: usize) -> Result<Self> {
        let rows = Self::of_logits(logits, classes)?;
        if inputs.is_empty() || !inputs.len().is_multiple_of(rows.len) {
            return Err(Error::shape("inputs", format!("[{}, D ≥ 1]", rows.len), format!("[{}]", inputs.len())));
        }
        finite("inputs", &inputs, inputs.len() / rows.len)?;
        Ok(Self { inputs, ..rows })
    }

    /// The same rows with logits `[N, C]` of a classifier that the network of [`Base`] only stands in for; features stay the network's.
    ///
    /// # Errors
    /// Another number of them, or one that is not finite.
    pub fn with_logits(self, logits: Vec<f32>) -> Result<Self> {
        if logits.len() != self.logits.len() {
            let expected = format!("[{}, {}]", self.len, self.classes());
            return Err(Error::shape("logits", expected, format!("[{}]", logits.len())));
        }
        finite("logits", &logits, self.classes())?;
        Ok(Self { logits, ..self })
    }

    /// N.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// D; 0 where inputs are unknown.
    pub fn width(&self) -> usize {
        self.inputs.len().checked_div(self.len).unwrap_or(0)
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.logits.len().checked_div(self.len).unwrap_or(0)
    }

    /// Widths that queries must have too.
    pub fn schema(&self) -> Schema {
        Schema { width: self.width(), classes: self.classes() }
    }

    /// F.
    pub fn feature_width(&self) -> usize {
        self.features.len().checked_div(self.len).unwrap_or(0)
    }

    /// The given rows, in their order; a row may come twice. Panics where a row does not exist.
    pub fn rows(&self, rows: &[usize]) -> Sample {
        let of = |values: &[f32]| {
            let wide = values.len().checked_div(self.len).unwrap_or(0);
            rows.iter().flat_map(|&r| values[r * wide..(r + 1) * wide].iter().copied()).collect()
        };
        Sample { len: rows.len(), inputs: of(&self.inputs), logits: of(&self.logits), features: of(&self.features) }
    }

    /// Whether its first rows are those of `other`.
    pub fn begins_with(&self, other: &Sample) -> bool {
        let same = |a: &[f32], b: &[f32]| a.get(..b.len()).is_some_and(|first| first == b);
        self.len >= other.len && same(&self.inputs, &other.inputs) && same(&self.logits, &other.logits)
    }

    /// The rows from number `first` on.
    pub fn from(&self, first: usize) -> Sample {
        let of = |values: &[f32]| values[first * values.len().checked_div(self.len).unwrap_or(0)..].to_vec();
        let [inputs, logits, features] = [&self.inputs, &self.logits, &self.features].map(|values| of(values));
        Sample { len: self.len - first, inputs, logits, features }
    }

    /// All rows where there are no more than `most`, else `most` of them at random, with replacement.
    pub fn some(&self, most: usize, rng: &mut ChaCha8Rng) -> Sample {
        if self.len <= most {
            return self.clone();
        }
        self.rows(&(0..most).map(|_| rng.random_range(0..self.len as u64) as usize).collect::<Vec<_>>())
    }

    /// Numbers of all rows where there are no more than `most`, else of `most` different ones at random, in random order.
    pub fn part(&self, most: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.len).collect();
        if self.len > most {
            shuffle(&mut all, rng);
            all.truncate(most);
        }
        all
    }

    /// These rows and, after them, those of `other`, which has the same widths.
    pub fn joined(mut self, other: &Sample) -> Sample {
        self.len += other.len;
        self.inputs.extend_from_slice(&other.inputs);
        self.logits.extend_from_slice(&other.logits);
        self.features.extend_from_slice(&other.features);
        self
    }

    /// f(x) of every row, `[N]`: the first of equal logits.
    pub fn predictions(&self) -> Vec<u32> {
        self.logits.chunks_exact(self.classes().max(1)).map(argmax).collect()
    }

    /// Softmax of f's logits, `[N, C]`.
    pub fn probabilities(&self) -> Vec<f32> {
        softmax_rows(&self.logits, self.classes())
    }
}

/// The base classifier f: its weights, and what evaluates them and other networks of its shape.
#[derive(Clone, Debug)]
pub struct Base {
    network: Arc<dyn Network>,
    theta: Vec<f32>,
    kind: Kind,
}

/// What f is.
#[derive(Clone, Debug)]
enum Kind {
    /// A network of the engine's.
    Known(Box<Known>),
    /// The caller's, by the name that tells it from all others.
    Other(String),
}

#[derive(Clone, Debug)]
struct Known {
    architecture: Architecture,
    engine: Engine,
    /// f without its last layer, and how many of its weights that takes; absent where the last layer is no plain dense one.
    trunk: Option<(Engine, usize)>,
}

impl Known {
    fn new(architecture: &Architecture, engine: Engine) -> Result<Self> {
        let trunk = match architecture.layers().split_last() {
            Some((last, before)) if matches!(last.operation, Operation::Dense { .. }) && !before.is_empty() => {
                let name = format!("{}-features", architecture.name());
                let trunk = Architecture::new(name, architecture.input(), before.to_vec());
                trunk.ok().map(|trunk| Engine::new(&trunk)).transpose()?
            }
            _ => None,
        };
        let trunk = trunk
            .map(|engine| {
                let p = engine.parameters();
                (engine, p)
            })
            .filter(|(_, p)| *p > 0);
        Ok(Self { architecture: architecture.clone(), engine, trunk })
    }
}

impl Base {
    /// f with weights `theta [P]`.
    ///
    /// # Errors
    /// Weights that are not one finite network of the architecture; fewer than two classes.
    pub fn new(architecture: &Architecture, theta: Vec<f32>) -> Result<Self> {
        let engine = Engine::new(architecture)?;
        let known = Known::new(architecture, engine.clone())?;
        Self::of(Arc::new(engine), theta, Kind::Known(Box::new(known)))
    }

    /// f with weights `theta [P]` of a network that the engine does not know; its `name` tells it from all others. Its logits serve as features.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn other(network: Arc<dyn Network>, name: impl Into<String>, theta: Vec<f32>) -> Result<Self> {
        Self::of(network, theta, Kind::Other(name.into()))
    }

    fn of(network: Arc<dyn Network>, theta: Vec<f32>, kind: Kind) -> Result<Self> {
        let layout = network.layout();
        if layout.check("theta", &theta)? != 1 {
            return Err(Error::shape("theta", format!("[{}]", layout.len()), format!("[{}]", theta.len())));
        }
        if network.classes() < 2 {
            let expected = "at least 2 logits: f is a classifier, not a regression";
            return Err(Error::parameter("architecture", expected, network.classes()));
        }
        Ok(Self { network, theta, kind })
    }

    /// What evaluates networks of its shape.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// Its architecture, where the engine knows it.
    pub fn architecture(&self) -> Option<&Architecture> {
        match &self.kind {
            Kind::Known(known) => Some(&known.architecture),
            Kind::Other(_) => None,
        }
    }

    /// The name of a network that the engine does not know.
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Known(_) => None,
            Kind::Other(name) => Some(name),
        }
    }

    /// Whether inputs are images: have sides, as far as is known.
    pub fn takes_images(&self) -> bool {
        self.architecture().is_some_and(|net| net.input()[1] > 1)
    }

    /// Its weights `[P]`.
    pub fn theta(&self) -> &[f32] {
        &self.theta
    }

    /// Its architecture and the engine, for what only the engine can do.
    ///
    /// # Errors
    /// A network that the engine does not know.
    pub fn engine(&self) -> Result<(&Architecture, &Engine)> {
        match &self.kind {
            Kind::Known(known) => Ok((&known.architecture, &known.engine)),
            Kind::Other(name) => Err(Error::parameter("classifier f", "an architecture that the engine knows", name)),
        }
    }

    /// Rows `[N, D]` as f sees them.
    ///
    /// # Errors
    /// No row, a length that is no multiple of D, an input that is not finite, logits that are not finite.
    pub fn sample(&self, inputs: &[f32]) -> Result<Sample> {
        let d = self.network.input_len();
        if inputs.is_empty() || !inputs.len().is_multiple_of(d) {
            return Err(Error::shape("inputs", format!("[N ≥ 1, {d}]"), format!("[{}]", inputs.len())));
        }
        finite("inputs", inputs, d)?;
        let logits = self.network.logits(&self.theta, &self.network.inputs(inputs)?)?;
        finite("logits of f", &logits, self.network.classes())?;
        let features = match &self.kind {
            Kind::Known(known) if let Some((engine, p)) = &known.trunk => {
                engine.logits_of_many(&self.theta[..*p], &engine.pack(inputs)?)?
            }
            _ => logits.clone(),
        };
        Ok(Sample { len: inputs.len() / d, inputs: inputs.to_vec(), logits, features })
    }

    /// Logits `[M, N, C]` of networks `thetas [M, P]` of f's shape on rows, in parallel.
    ///
    /// # Errors
    /// As [`Self::inputs`] and [`Network::logits`].
    pub fn logits_of_many(&self, thetas: &[f32], rows: &Sample) -> Result<Vec<f32>> {
        self.network.logits(thetas, &self.inputs(rows)?)
    }

    /// The same on the calling thread.
    ///
    /// # Errors
    /// As [`Self::logits_of_many`].
    pub fn logits_of(&self, thetas: &[f32], query: &Sample) -> Result<Vec<f32>> {
        self.network.logits_here(thetas, &self.inputs(query)?, &mut Workspace::default())
    }

    /// Rows of a sample as the network takes them.
    ///
    /// # Errors
    /// A sample without inputs, or of another width.
    pub fn inputs(&self, sample: &Sample) -> Result<Inputs> {
        if sample.width() != self.network.input_len() {
            let found = format!("[{}, {}]", sample.len(), sample.width());
            return Err(Error::shape("inputs", format!("[N, {}]", self.network.input_len()), found));
        }
        self.network.inputs(&sample.inputs)
    }
}

/// Standard deviation of every input of `rows` `[D]`.
pub(super) fn deviations(rows: &Sample) -> Vec<f32> {
    column_moments(&rows.inputs, rows.width()).into_iter().map(|(_, variance)| variance.sqrt() as f32).collect()
}

/// Mean and variance of every column of `values [N, d]`.
pub(super) fn column_moments(values: &[f32], d: usize) -> Vec<(f64, f64)> {
    let n = (values.len() / d.max(1)) as f64;
    let column = |j: usize| values.iter().skip(j).step_by(d).map(|v| f64::from(*v));
    let of = |j: usize| {
        let mean = column(j).sum::<f64>() / n;
        (mean, column(j).map(|v| (v - mean) * (v - mean)).sum::<f64>() / n)
    };
    (0..d).map(of).collect()
}

/// Checks that all of `[N, wide]` is finite.
pub(super) fn finite(what: &str, values: &[f32], wide: usize) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(Error::NotFinite {
            what: what.into(),
            place: format!("row {}, column {}", i / wide.max(1), i % wide.max(1)),
            value: f64::from(values[i]),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
