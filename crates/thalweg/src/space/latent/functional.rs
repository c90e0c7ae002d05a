//! The functional term of a weight autoencoder (M8): mean over networks, probe inputs and classes of the squared difference between the
//! logits of a decoded network and those of the original.
//!
//! Weights that the network hardly feels then cost little, and those that decide its answers cost much. Gradients come from the engine at the
//! decoded weights and are pulled back through M2. Cost: two logit passes and one gradient of `rows` inputs a network and step, which is
//! most of the training's time: off by default.
//!
//! Worth it: with weight .02 the finals of unseen MNIST runs around one start decode to networks of .940 test accuracy (themselves .944;
//! .919 without the term, .913 by principal components), and a flow in the latent space samples networks of .934 (.914 without).
use crate::ranges::{self, MOST};
use crate::space::coordinates::Coordinates;
use crate::{Error, Result};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::engine::{Engine, Mode, Packed, Workspace};
use thalweg_nets::loss::LogitLoss;
use thalweg_nets::zoo::ZooStore;

/// Whether and how a functional term is added.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FunctionalConfig {
    /// Weight of the term (0: none).
    pub weight: f64,
    /// Probe inputs, the first of the zoo's own training data (64; at least 1).
    pub rows: usize,
}

impl Default for FunctionalConfig {
    fn default() -> Self {
        Self { weight: 0.0, rows: 64 }
    }
}

impl FunctionalConfig {
    /// `field` names the place in errors.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn check(self, field: &str) -> Result<()> {
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            return Err(Error::parameter(format!("{field}.weight"), "a finite number of at least 0", self.weight));
        }
        ranges::check(&format!("{field}."), [("rows", self.rows as u64, 1..=MOST)])
    }

    /// The term for networks of `zoo`; none where its weight is 0.
    ///
    /// # Errors
    /// A zoo that does not know its architecture or its data, or data that cannot be read.
    pub fn of_zoo(self, zoo: &ZooStore, coordinates: &Coordinates) -> Result<Option<Functional>> {
        if self.weight == 0.0 {
            return Ok(None);
        }
        let (Some(architecture), Some(data)) = (zoo.architecture(), zoo.data()) else {
            let expected = "a zoo that knows its architecture and data, for a functional term";
            return Err(Error::parameter("functional.weight", expected, self.weight));
        };
        let engine = Engine::new(architecture)?;
        let probe = data.load()?.train.first(self.rows);
        Functional::new(self.weight, engine, &probe.inputs, coordinates.clone()).map(Some)
    }
}

/// The term, ready to be taken.
pub struct Functional {
    weight: f64,
    engine: Engine,
    probe: Packed,
    coordinates: Coordinates,
}

impl Functional {
    /// The term with probe `inputs [N, D]` of `engine`, for points in `coordinates`.
    ///
    /// # Errors
    /// Inputs or coordinates that do not fit the engine.
    pub fn new(weight: f64, engine: Engine, inputs: &[f32], coordinates: Coordinates) -> Result<Self> {
        let p = engine.parameters();
        if coordinates.dimension() != p {
            return Err(Error::shape("coordinates", format!("[{p}]"), format!("[{}]", coordinates.dimension())));
        }
        Ok(Self { weight, probe: engine.pack(inputs)?, engine, coordinates })
    }

    /// The weighed term for points `z [B, P]` decoded as `decoded [B, P]`; its derivative by `decoded` is added to `d [B, P]` if given.
    ///
    /// # Errors
    /// Weights that are not finite.
    pub fn loss(&self, z: &[f32], decoded: &[f32], d: Option<&mut [f32]>) -> Result<f64> {
        let p = self.engine.parameters();
        let (mut truth, mut theta) = (z.to_vec(), decoded.to_vec());
        self.coordinates.destandardise(&mut truth);
        self.coordinates.destandardise(&mut theta);
        let wanted = self.engine.logits_of_many(&truth, &self.probe)?;
        let (rows, each) = (z.len() / p, self.probe.len() * self.engine.classes());
        let scale = self.weight / (rows * each) as f64;
        if d.is_none() {
            let found = self.engine.logits_of_many(&theta, &self.probe)?;
            let squares = found
                .par_chunks(each)
                .zip(wanted.par_chunks(each))
                .map(|(a, b)| a.iter().zip(b).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>());
            return Ok(scale * squares.collect::<Vec<f64>>().iter().sum::<f64>());
        }
        let mut gradients = vec![0.0; theta.len()];
        let networks =
            theta.par_chunks_exact(p).zip(gradients.par_chunks_exact_mut(p)).zip(wanted.par_chunks_exact(each));
        let values: Vec<f64> = networks
            .map_init(Workspace::default, |workspace, ((theta, gradient), wanted)| {
                let loss = SquaredDifference { wanted, classes: self.engine.classes(), scale };
                self.engine.gradient(theta, &self.probe, Mode::Evaluate, &loss, gradient, workspace)
            })
            .collect();
        if let Some(d) = d {
            self.coordinates.pull_back(&theta, &mut gradients);
            d.par_iter_mut().zip(&gradients).for_each(|(d, g)| *d += g);
        }
        Ok(values.iter().sum())
    }
}

/// scale · Σ (logit − wanted)², wanted `[N, C]`.
struct SquaredDifference<'a> {
    wanted: &'a [f32],
    classes: usize,
    scale: f64,
}

impl LogitLoss for SquaredDifference<'_> {
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        let wanted = &self.wanted[first * self.classes..];
        let mut total = 0.0;
        for ((z, w), d) in logits.iter().zip(wanted).zip(d) {
            total += f64::from((z - w) * (z - w));
            *d = 2.0 * self.scale as f32 * (z - w);
        }
        self.scale * total
    }

    fn len(&self) -> Option<usize> {
        Some(self.wanted.len() / self.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use crate::space::coordinates::Standardiser;
    use rand::RngExt;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::testing::partial;

    #[test]
    fn it_is_the_squared_difference_of_logits_and_its_gradient_that_of_differences() {
        let engine = Engine::new(&Preset::Mlp { widths: vec![6] }.build([5, 1, 1], 3).unwrap()).unwrap();
        let (p, layout, mut rng) = (engine.parameters(), engine.layout().clone(), Streams::new(1).rng());
        let mut random = |n: usize| (0..n).map(|_| rng.random::<f32>() - 0.5).collect::<Vec<_>>();
        let (inputs, z, decoded, mean) = (random(20 * 5), random(2 * p), random(2 * p), random(p));
        let scale: Vec<f32> = random(p).iter().map(|v| v + 1.0).collect();
        let coordinates = Coordinates::from_parts(Standardiser::PerParameter, &layout, mean, scale).unwrap();
        let term = Functional::new(3.0, engine.clone(), &inputs, coordinates.clone()).unwrap();
        let logits = |z: &[f32]| {
            let mut theta = z.to_vec();
            coordinates.destandardise(&mut theta);
            engine.logits_of_many(&theta, &engine.pack(&inputs).unwrap()).unwrap()
        };
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        let truth = 3.0 * logits(&z).iter().zip(&logits(&decoded)).map(square).sum::<f64>() / (2.0 * 20.0 * 3.0);
        let mut d = vec![0.0; decoded.len()];
        let value = term.loss(&z, &decoded, Some(&mut d)).unwrap();
        assert!(
            (value / truth - 1.0).abs() < 1e-5 && (term.loss(&z, &decoded, None).unwrap() / truth - 1.0).abs() < 1e-5
        );
        for i in (0..2 * p).step_by(7) {
            let slope = partial(&decoded, i, 1e-2, |moved| term.loss(&z, moved, None).unwrap());
            assert!((slope - f64::from(d[i])).abs() < 2e-3 * (1.0 + slope.abs()), "{i}: {slope} {}", d[i]);
        }
        assert!(FunctionalConfig { weight: -1.0, rows: 1 }.check("functional").is_err());
        assert!(FunctionalConfig { weight: 1.0, rows: 0 }.check("functional").is_err());
    }
}
