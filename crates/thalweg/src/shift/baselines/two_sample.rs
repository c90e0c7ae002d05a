//! Classifier two-sample test (M16; Lopez-Paz and Oquab 2017): can a network tell Q from P?
//!
//! A small MLP on the inputs is trained to name the domain, on half of the query's rows against batches of P, and judged on the other half;
//! then the halves change places. The statistic is the mean AUROC on rows not trained on. Two-sided: fires on any difference, harmful or not.
//! Cost: two short trainings a query.
use crate::shift::base::Sample;
use crate::shift::test::{self, ShiftTest, Statistic};
use crate::train;
use crate::{Error, Result, Streams};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::{Engine, Mode, Packed, Workspace};
use thalweg_nets::init::Initialisation;
use thalweg_nets::loss::CrossEntropy;
use thalweg_nets::streams::shuffle;
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
    like: Sample,
}

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
        Ok(Self { judged: engine.pack(&judged.inputs)?, like: validation.rows(&[0]), net, engine, batches })
    }

    fn of(&self, query: &Sample, streams: &Streams, workspace: &mut Workspace) -> Result<f64> {
        test::check(query, &self.like, true)?;
        crossed(query, 2, "to be halved", streams, |name, train, judge, rng| {
            self.fold(query, train, judge, streams.child(name), rng, workspace)
        })
    }

    fn fold(
        &self,
        query: &Sample,
        train: &[usize],
        judge: &[usize],
        streams: Streams,
        rng: &mut ChaCha8Rng,
        workspace: &mut Workspace,
    ) -> Result<f64> {
        let engine = &self.engine;
        let mut theta = Initialisation::default().draw(engine.layout(), &streams);
        let mut other = vec![0.0; theta.len()];
        let (q, home, away) = (engine.pack(&query.rows(train).inputs)?, vec![0; BATCH], vec![1; train.len()]);
        let (home, away) = (CrossEntropy::new(&home, 2, 0.0)?, CrossEntropy::new(&away, 2, 0.0)?);
        let mut stepper = Stepper::new(Optimiser::default(), 1e-3, &self.net);
        train::descend(&mut theta, &mut stepper, (STEPS, RATE), |_, theta, gradient| {
            let batch = &self.batches[rng.random_range(0..self.batches.len() as u64) as usize];
            engine.gradient(theta, batch, Mode::Evaluate, &home, gradient, workspace);
            engine.gradient(theta, &q, Mode::Evaluate, &away, &mut other, workspace);
            gradient.iter_mut().zip(&other).for_each(|(g, o)| *g += o);
            Ok(())
        })?;
        let mut scores = |x: &Packed| {
            let mut logits = vec![0.0; x.len() * 2];
            engine.logits(&theta, x, &mut logits, workspace);
            logits.chunks_exact(2).map(|z| f64::from(z[1] - z[0])).collect::<Vec<f64>>()
        };
        let (q, p) = (scores(&engine.pack(&query.rows(judge).inputs)?), scores(&self.judged));
        Ok(crate::shift::law::power::auroc(&q, &p)?.0)
    }
}

/// The mean of what `fold` says of the two halves of a query in random order: trained on one (called "first") and judged on the other, then the
/// other way about ("second").
///
/// # Errors
/// Fewer than `least` rows, and why so many; those of `fold`.
pub(in crate::shift) fn crossed(
    query: &Sample,
    least: usize,
    why: &str,
    streams: &Streams,
    mut fold: impl FnMut(&str, &[usize], &[usize], &mut ChaCha8Rng) -> Result<f64>,
) -> Result<f64> {
    if query.len() < least {
        return Err(Error::shape("query Q", format!("[N ≥ {least}, D], {why}"), format!("[{}, D]", query.len())));
    }
    let mut order: Vec<usize> = (0..query.len()).collect();
    let mut rng = streams.rng();
    shuffle(&mut order, &mut rng);
    let (a, b) = order.split_at(order.len() / 2);
    Ok(0.5 * (fold("first", a, b, &mut rng)? + fold("second", b, a, &mut rng)?))
}

impl ShiftTest for TwoSample {
    fn name(&self) -> &'static str {
        "two-sample"
    }

    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("auroc")] }
    }

    fn measure(&self, queries: &[Sample], streams: &Streams) -> Result<Vec<f64>> {
        let each = queries.par_iter().enumerate();
        each.map_init(|| self.engine.workspace(), |workspace, (i, q)| self.of(q, &streams.index(i as u64), workspace))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::world;

    #[test]
    fn a_planted_shift_is_told_apart_and_home_is_not() {
        let world = world::two_clouds(1);
        let test = TwoSample::new(&world.reference.train, &world.reference.validation, &Streams::new(1)).unwrap();
        let queries: Vec<Sample> = (0..60).map(|i| world.near(20, i)).chain([world.far(20, 1)]).collect();
        let s = test.measure(&queries, &Streams::new(0)).unwrap();
        let home = s[..60].iter().sum::<f64>() / 60.0;
        // The AUROC of m rows against n of the same law has variance (m + n + 1)/(12 m n) (Mann and Whitney); the two folds of a query may be as one.
        let (m, n) = (10.0, BATCH as f64);
        let error = 3.7 * ((m + n + 1.0) / (12.0 * m * n) / 60.0f64).sqrt();
        assert!((home - 0.5).abs() < error && error < 0.05 && s[60] > 0.95, "{home} {error} {s:?}");
        assert!(test.measure(&[world.near(1, 0)], &Streams::new(0)).unwrap_err().to_string().contains("N ≥ 2"));
    }
}
