//! Rewards on data (M13): minus a loss of the base network on given inputs, by minibatches through the engine.
//!
//! r(θ) = −L(X; θ) with L the cross-entropy to labels, the hinge on log-odds ([`Margin`]), or the loss of constrained
//! disagreement (M14), which needs no labels at all: only the predictions of the network to agree or disagree with.
//! All networks of one call see the same rows, so their rewards compare; another call draws others.
//! Cost: one forward and backward pass of `rows` inputs a network. Batch normalisation uses its running statistics.
use super::{Graded, Kind, Margin, Request, Reward, Rows, hash_of_floats, rows};
use crate::{Error, Result, Streams};
use rand::RngExt;
use rayon::prelude::*;
use thalweg_nets::engine::{Engine, LayerInputs, Mode, Packed};
use thalweg_nets::loss::{CrossEntropy, Disagreement, LogitLoss};

/// `loss:DATA`.
pub(super) const LOSS: Kind = Kind {
    name: "loss",
    about: "minus cross-entropy on data",
    make: |r: Request| Ok(Box::new(OnData::loss(r.name, r.engine, r.data.inputs, r.data.labels, r.rows)?)),
};

/// `margin:DATA`.
pub(super) const MARGIN: Kind = Kind {
    name: "margin",
    about: "hinge on log-odds",
    make: |r: Request| Ok(Box::new(OnData::margin(r.name, r.engine, r.data.inputs, r.data.labels, r.margin, r.rows)?)),
};

/// What is measured on the rows.
enum Target {
    CrossEntropy,
    Margin(f32),
    Disagreement { disagree: Vec<bool>, alpha: f32 },
}

/// A reward on inputs `[N, D]` with labels (or predictions to compare with) `[N]`.
pub struct OnData {
    name: String,
    engine: Engine,
    inputs: Vec<f32>,
    labels: Vec<u32>,
    target: Target,
    rows: Rows,
}

impl OnData {
    /// r = −cross-entropy. `name` says in words what the data are.
    ///
    /// # Errors
    /// Inputs and labels that fit neither each other nor the engine.
    pub fn loss(name: &str, engine: &Engine, inputs: Vec<f32>, labels: Vec<u32>, rows: Rows) -> Result<Self> {
        Self { name: name.into(), engine: engine.clone(), inputs, labels, target: Target::CrossEntropy, rows }.checked()
    }

    /// r = −mean max(0, margin − log-odds of the label).
    ///
    /// # Errors
    /// As [`Self::loss`], or a margin that is not finite.
    pub fn margin(
        name: &str,
        engine: &Engine,
        inputs: Vec<f32>,
        labels: Vec<u32>,
        margin: f32,
        rows: Rows,
    ) -> Result<Self> {
        Self { name: name.into(), engine: engine.clone(), inputs, labels, target: Target::Margin(margin), rows }
            .checked()
    }

    /// r = −ℓ_cdc (M14): agree with `predictions [N]` where `disagree [N]` is false, disagree where it is true, the latter
    /// weighed by `alpha`. A batch holds every row to disagree on and is filled up with others.
    ///
    /// # Errors
    /// As [`Self::loss`]; lengths that differ, an α that is not above 0, a batch that cannot hold the rows to disagree on.
    pub fn disagreement(
        name: &str,
        engine: &Engine,
        inputs: Vec<f32>,
        predictions: Vec<u32>,
        disagree: Vec<bool>,
        alpha: f32,
        rows: Rows,
    ) -> Result<Self> {
        let target = Target::Disagreement { disagree, alpha };
        Self { name: name.into(), engine: engine.clone(), inputs, labels: predictions, target, rows }.checked()
    }

    fn checked(self) -> Result<Self> {
        let (n, d) = (self.labels.len(), self.engine.input_len());
        if self.inputs.len() != n * d {
            return Err(Error::shape("reward inputs", format!("[{n}, {d}]"), format!("[{}]", self.inputs.len())));
        }
        // Makes the loss on all rows once, for its checks.
        self.with_loss(&(0..n).collect::<Vec<_>>(), |_| ())?;
        let least = match &self.target {
            Target::Disagreement { disagree, .. } => disagree.iter().filter(|d| **d).count().max(1),
            _ => 1,
        };
        match self.rows {
            Rows::Batch(size) if size < least => {
                Err(Error::parameter("reward.rows", format!("at least {least} in a batch"), size))
            }
            _ => Ok(self),
        }
    }

    /// The rows of one call.
    fn draw(&self, streams: &Streams) -> Vec<usize> {
        let n = self.labels.len();
        let Rows::Batch(size) = self.rows else { return (0..n).collect() };
        let mut rng = streams.child("rows").rng();
        match &self.target {
            Target::Disagreement { disagree, .. } => {
                let (mut drawn, others): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| disagree[i]);
                if !others.is_empty() {
                    drawn.extend((drawn.len()..size).map(|_| others[rng.random_range(0..others.len())]));
                }
                drawn
            }
            _ if size >= n => (0..n).collect(),
            _ => (0..size).map(|_| rng.random_range(0..n)).collect(),
        }
    }

    fn with_loss<T>(&self, rows: &[usize], f: impl FnOnce(&dyn LogitLoss) -> T) -> Result<T> {
        let labels: Vec<u32> = rows.iter().map(|&i| self.labels[i]).collect();
        let classes = self.engine.classes();
        Ok(match &self.target {
            Target::CrossEntropy => f(&CrossEntropy::new(&labels, classes, 0.0)?),
            Target::Margin(margin) => f(&Margin::new(&labels, classes, *margin)?),
            Target::Disagreement { disagree, alpha } => {
                if disagree.len() != self.labels.len() {
                    let expected = format!("[{}]", self.labels.len());
                    return Err(Error::shape("disagree", expected, format!("[{}]", disagree.len())));
                }
                let disagree: Vec<bool> = rows.iter().map(|&i| disagree[i]).collect();
                f(&Disagreement::new(&labels, &disagree, *alpha, classes)?)
            }
        })
    }

    fn pack(&self, rows: &[usize]) -> Result<Packed> {
        let d = self.engine.input_len();
        let mut inputs = Vec::with_capacity(rows.len() * d);
        rows.iter().for_each(|&i| inputs.extend_from_slice(&self.inputs[i * d..(i + 1) * d]));
        self.engine.pack(&inputs)
    }
}

/// Networks whose logits are held at once.
const AT_ONCE: usize = 32;

impl Reward for OnData {
    fn dimension(&self) -> usize {
        self.engine.parameters()
    }

    fn describe(&self) -> String {
        let what = match &self.target {
            Target::CrossEntropy => "minus cross-entropy".to_string(),
            Target::Margin(margin) => format!("minus hinge at log-odds {margin}"),
            Target::Disagreement { disagree, alpha } => {
                let n = disagree.iter().filter(|d| **d).count();
                format!("minus disagreement loss ({n} rows to disagree on, alpha {alpha})")
            }
        };
        let rows = match self.rows {
            Rows::All => String::new(),
            Rows::Batch(size) => format!(" by {size}"),
        };
        format!("{what} on {} ({} rows{rows})", self.name, self.labels.len())
    }

    fn identity(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(hash_of_floats(&[&self.inputs]).as_bytes());
        hasher.update(&self.labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>());
        if let Target::Disagreement { disagree, .. } = &self.target {
            hasher.update(&disagree.iter().map(|&d| u8::from(d)).collect::<Vec<u8>>());
        }
        format!("{}, data {}", self.describe(), hasher.finalize())
    }

    fn grade(&self, theta: &[f32], streams: &Streams) -> Result<Graded> {
        rows(theta, self.dimension())?;
        let drawn = self.draw(streams);
        let x = self.pack(&drawn)?;
        let (losses, mut gradients) =
            self.with_loss(&drawn, |loss| self.engine.gradients_of_many(theta, &x, Mode::Evaluate, loss))??;
        gradients.par_iter_mut().for_each(|g| *g = -*g);
        Ok(Graded { values: losses.into_iter().map(|loss| -loss).collect(), gradients })
    }

    fn values(&self, theta: &[f32], streams: &Streams) -> Result<Vec<f64>> {
        rows(theta, self.dimension())?;
        let drawn = self.draw(streams);
        let x = self.pack(&drawn)?;
        let mut values = Vec::new();
        for theta in theta.chunks(AT_ONCE * self.dimension()) {
            let logits = self.engine.logits_of_many(theta, &x)?;
            let each = logits.par_chunks(drawn.len() * self.engine.classes());
            let part: Vec<f64> = self.with_loss(&drawn, |loss| {
                each.map_init(Vec::new, |scratch, z: &[f32]| {
                    scratch.resize(z.len(), 0.0);
                    -loss.rows(0, z, scratch)
                })
                .collect()
            })?;
            values.extend(part);
        }
        Ok(values)
    }

    fn layer_inputs(&self, theta: &[f32], streams: &Streams, most: usize) -> Result<Option<Vec<Vec<LayerInputs>>>> {
        rows(theta, self.dimension())?;
        let drawn = self.draw(streams);
        let x = self.pack(&drawn[..most.min(drawn.len())])?;
        let networks = theta.par_chunks(self.dimension());
        let each =
            networks.map_init(|| self.engine.workspace(), |room, theta| self.engine.layer_inputs(theta, &x, room));
        Ok(Some(each.collect()))
    }
}
