//! Frozen features: what enters the last layer of a base network (M10), computed by the engine.
use crate::{Error, Layout, Result};
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Operation;
use thalweg_nets::engine::Engine;

/// A base network without its last layer.
#[derive(Debug)]
pub struct Body {
    engine: Engine,
    theta: Vec<f32>,
}

impl Body {
    /// The body of the network `theta [P]`.
    ///
    /// # Errors
    /// An architecture that does not end in a dense layer behind others, or weights that do not fit.
    pub fn of(architecture: &Architecture, theta: &[f32]) -> Result<Self> {
        let engine = Self::body(architecture)?;
        let p = Layout::of(architecture).len();
        if theta.len() != p {
            return Err(Error::shape("network of features", format!("[{p}]"), format!("[{}]", theta.len())));
        }
        let kept = engine.parameters();
        Ok(Self { engine, theta: theta[..kept].to_vec() })
    }

    /// The same from the weights of the body alone `[P']`, as [`Self::theta`] gave them.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_body(architecture: &Architecture, theta: Vec<f32>) -> Result<Self> {
        let engine = Self::body(architecture)?;
        match theta.len() == engine.parameters() {
            true => Ok(Self { engine, theta }),
            false => Err(Error::shape("body", format!("[{}]", engine.parameters()), format!("[{}]", theta.len()))),
        }
    }

    /// P' of the body of `architecture`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn parameters(architecture: &Architecture) -> Result<usize> {
        Ok(Self::body(architecture)?.parameters())
    }

    fn body(architecture: &Architecture) -> Result<Engine> {
        let layers = architecture.layers();
        match layers.split_last() {
            Some((last, body)) if matches!(last.operation, Operation::Dense { .. }) && !body.is_empty() => {
                Engine::new(&Architecture::new("body", architecture.input(), body.to_vec())?)
            }
            _ => Err(Error::parameter(
                "context.features",
                "centre for networks that end in a dense layer behind others",
                architecture.name(),
            )),
        }
    }

    /// Weights of the body `[P']`.
    pub fn theta(&self) -> &[f32] {
        &self.theta
    }

    /// F.
    pub fn features(&self) -> usize {
        self.engine.classes()
    }

    /// Features `[n, F]` of rows `[n, D]`.
    ///
    /// # Errors
    /// Rows of another size.
    pub fn of_rows(&self, rows: &[f32]) -> Result<Vec<f32>> {
        self.engine.logits_of_many(&self.theta, &self.engine.pack(rows)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::init::Initialisation;

    #[test]
    fn the_last_layer_over_the_features_gives_the_logits() {
        let architecture = Preset::Digits.build([1, 8, 8], 10).unwrap();
        let engine = Engine::new(&architecture).unwrap();
        let theta = Initialisation::default().draw(engine.layout(), &Streams::new(1));
        let body = Body::of(&architecture, &theta).unwrap();
        let rows: Vec<f32> = (0..3 * 64).map(|i| (i as f32 * 0.3).sin()).collect();
        let (features, logits) =
            (body.of_rows(&rows).unwrap(), engine.logits_of_many(&theta, &engine.pack(&rows).unwrap()).unwrap());
        let f = body.features();
        let last = &theta[body.theta().len()..];
        for i in 0..3 {
            for k in 0..10 {
                let sum: f32 = (0..f).map(|j| last[k * f + j] * features[i * f + j]).sum();
                assert!((sum + last[10 * f + k] - logits[i * 10 + k]).abs() < 1e-4);
            }
        }
        assert_eq!(Body::of_body(&architecture, body.theta().to_vec()).unwrap().features(), f);
        assert!(Body::of(&architecture, &theta[1..]).is_err());
    }
}
