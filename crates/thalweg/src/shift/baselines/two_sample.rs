//! Classifier two-sample test (M16; Lopez-Paz and Oquab 2017): can a network tell Q from P?
//!
//! A small MLP on the inputs is trained to name the domain, on half of the query's rows against batches of P, and judged on the other half;
//! then the halves change places. The statistic is the mean AUROC on rows not trained on. Two-sided: fires on any difference, harmful or not.
//! Cost: two short trainings a query.
use super::halves::{Fold, Halves};
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs};
use crate::shift::test::{Measured, ShiftTest, Statistic};
use crate::train::descend;
use crate::{Error, Result, Streams};
use rand::RngExt;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::{Engine, Mode, Packed};
use thalweg_nets::init::Initialisation;
use thalweg_nets::loss::CrossEntropy;
use thalweg_nets::train::{Optimiser, Stepper};

/// Hidden units of the domain classifier.
const WIDTH: usize = 16;
/// Steps of a training, of `BATCH` rows of P and half the query.
const STEPS: usize = 60;
/// Rows of P a step, and rows of P that are judged on.
const BATCH: usize = 64;
/// Adam's learning rate.
const RATE: f64 = 0.01;

/// The test.
#[derive(Clone, Debug)]
pub struct TwoSample {
    net: Architecture,
    engine: Engine,
    batches: Vec<Packed>,
    judged: Packed,
    schema: Schema,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "two-sample",
    looks_at: "how well a network can tell the inputs from those of P",
    needs: Needs::Inputs,
    trains_per_query: true,
    prepare: |parts, _, streams| {
        Ok(Box::new(TwoSample::new(&parts.reference.train, &parts.reference.validation, streams)?))
    },
    trained: None,
};

impl TwoSample {
    /// Trains against `train`, judges against `validation`.
    ///
    /// # Errors
    /// Rows without inputs.
    pub fn new(train: &Sample, validation: &Sample, streams: &Streams) -> Result<Self> {
        if train.width() == 0 {
            return Err(Error::parameter("two-sample", "rows with inputs", "logits alone"));
        }
        let net = Preset::Mlp { widths: vec![WIDTH] }.build([train.width(), 1, 1], 2)?;
        let engine = Engine::new(&net)?;
        let mut rng = streams.child("batches").rng();
        let mut batch = || {
            let rows: Vec<usize> = (0..BATCH).map(|_| rng.random_range(0..train.len() as u64) as usize).collect();
            engine.pack(&train.rows(&rows).inputs)
        };
        let batches = (0..STEPS).map(|_| batch()).collect::<Result<_>>()?;
        let judged = validation.rows(&(0..validation.len().min(BATCH)).collect::<Vec<_>>());
        Ok(Self { judged: engine.pack(&judged.inputs)?, schema: validation.schema(), net, engine, batches })
    }

    fn fold(&self, fold: Fold) -> Result<f64> {
        let Fold { train, judge, streams, rng, workspace } = fold;
        let engine = &self.engine;
        let mut theta = Initialisation::default().draw(engine.layout(), &streams);
        let mut other = vec![0.0; theta.len()];
        let (q, of_p, of_q) = (engine.pack(&train.inputs)?, vec![0; BATCH], vec![1; train.len()]);
        let (of_p, of_q) = (CrossEntropy::new(&of_p, 2, 0.0)?, CrossEntropy::new(&of_q, 2, 0.0)?);
        let mut stepper = Stepper::new(Optimiser::default(), 1e-3, &self.net);
        descend(&mut theta, &mut stepper, (STEPS, RATE), |_, theta, gradient| {
            let batch = &self.batches[rng.random_range(0..self.batches.len() as u64) as usize];
            engine.gradient(theta, batch, Mode::Evaluate, &of_p, gradient, workspace);
            engine.gradient(theta, &q, Mode::Evaluate, &of_q, &mut other, workspace);
            gradient.iter_mut().zip(&other).for_each(|(g, o)| *g += o);
            Ok(())
        })?;
        let mut scores = |x: &Packed| {
            let mut logits = vec![0.0; x.len() * 2];
            engine.logits(&theta, x, &mut logits, workspace);
            logits.chunks_exact(2).map(|z| f64::from(z[1] - z[0])).collect::<Vec<f64>>()
        };
        let (q, p) = (scores(&engine.pack(&judge.inputs)?), scores(&self.judged));
        Ok(crate::shift::law::power::auroc(&q, &p)?.0)
    }
}

impl ShiftTest for TwoSample {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("auroc")] }
    }

    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Measured> {
        let halves = Halves { schema: &self.schema, least: (2, "to be halved"), engine: &self.engine };
        halves.measure(queries, streams, |fold| self.fold(fold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;

    #[test]
    fn a_planted_shift_is_told_apart_and_rows_of_p_are_not() {
        let world = world::two_clouds(1);
        let test = TwoSample::new(&world.reference.train, &world.reference.validation, &Streams::new(1)).unwrap();
        let queries: Vec<Sample> = (0..60).map(|i| world.near(20, i)).chain([world.far(20, 1)]).collect();
        let s = test.measure(&queries, &Streams::new(0)).unwrap().values;
        let near = s[..60].iter().sum::<f64>() / 60.0;
        // The AUROC of m rows against n of the same law has variance (m + n + 1)/(12 m n) (Mann and Whitney); the two folds of a query may be as one.
        let (m, n) = (10.0, BATCH as f64);
        let error = 3.7 * ((m + n + 1.0) / (12.0 * m * n) / 60.0f64).sqrt();
        assert!((near - 0.5).abs() < error && error < 0.05 && s[60] > 0.95, "{near} {error} {s:?}");
        assert!(test.measure(&[world.near(1, 0)], &Streams::new(0)).unwrap_err().to_string().contains("N ≥ 2"));
    }
}
