//! Many θ on one data set: loss, accuracy, predictions.
use crate::engine::{Engine, Packed};
use crate::error::{Error, Result};
use crate::loss::{CrossEntropy, LogitLoss};
use crate::pieces::Pieces;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How well one network does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean cross-entropy; not finite where the logits are not.
    pub loss: f64,
    /// Share of inputs whose largest logit is that of the label.
    pub accuracy: f64,
}

/// Networks whose logits are held at once.
pub const AT_ONCE: usize = 64;

/// Where the logits `[M, N, C]` of up to [`AT_ONCE`] neighbouring networks `[M, P]` come from, given the number of the first among all and their weights:
/// the engine, or a place where they were kept.
pub type LogitsOf<'a> = dyn Fn(usize, &[f32]) -> Result<Vec<f32>> + Sync + 'a;

/// The logits of networks `theta` `[M, P]` on inputs `x` `[N, D]`: work whose pieces are those of [`AT_ONCE`] networks each.
#[derive(Debug)]
pub struct Blocks<'a> {
    /// Their engine.
    pub engine: &'a Engine,
    /// Inputs.
    pub x: &'a Packed,
    /// Networks.
    pub theta: &'a [f32],
}

impl Pieces for Blocks<'_> {
    fn count(&self) -> usize {
        self.theta.len().div_ceil((AT_ONCE * self.engine.parameters()).max(1))
    }

    fn make(&self, index: usize) -> Result<Vec<f32>> {
        let block = self.theta.chunks((AT_ONCE * self.engine.parameters()).max(1)).nth(index);
        self.engine.logits_of_many(block.unwrap_or_default(), self.x)
    }
}

/// The scores `[M]` of `thetas` `[M, P]` on inputs `x` `[N, D]` with `labels` `[N]`, in parallel.
///
/// # Errors
/// Slices that do not fit, a label beyond the classes, a weight that is not finite.
pub fn evaluate(engine: &Engine, thetas: &[f32], x: &Packed, labels: &[u32]) -> Result<Vec<Score>> {
    evaluate_by(engine, thetas, x, labels, &|_, thetas| engine.logits_of_many(thetas, x))
}

/// As [`evaluate`], with logits from elsewhere.
///
/// # Errors
/// As [`evaluate`]; as `logits`.
pub fn evaluate_by(
    engine: &Engine,
    thetas: &[f32],
    x: &Packed,
    labels: &[u32],
    logits: &LogitsOf<'_>,
) -> Result<Vec<Score>> {
    CrossEntropy::new(labels, engine.classes(), 0.0)?;
    if labels.len() != x.len() {
        return Err(Error::shape("labels", format!("[{}]", x.len()), format!("[{}]", labels.len())));
    }
    let score = |logits: &[f32]| vec![score(logits, labels, &mut vec![0.0; logits.len()])];
    of_each(engine, thetas, x, logits, score)?.into_iter().collect()
}

/// The score of logits `[N, C]` against `labels` `[N]`, on this thread; `scratch` has the logits' length.
///
/// # Errors
/// No labels, slices that do not fit, a label beyond the classes.
pub fn score(logits: &[f32], labels: &[u32], scratch: &mut [f32]) -> Result<Score> {
    let classes = logits.len() / labels.len().max(1);
    let loss = CrossEntropy::new(labels, classes, 0.0)?;
    if logits.len() != labels.len() * classes || scratch.len() != logits.len() {
        let found = format!("[{}], with scratch [{}]", logits.len(), scratch.len());
        return Err(Error::shape("logits", format!("[{}, C]", labels.len()), found));
    }
    let hits = logits.chunks_exact(classes).zip(labels).filter(|(z, label)| argmax(z) == **label).count();
    Ok(Score { loss: loss.rows(0, logits, scratch), accuracy: hits as f64 / labels.len() as f64 })
}

/// The predicted classes `[M, N]` of `thetas` `[M, P]` on inputs `x` `[N, D]`; the first of equal logits.
///
/// # Errors
/// Slices that do not fit, a weight that is not finite.
pub fn predictions(engine: &Engine, thetas: &[f32], x: &Packed) -> Result<Vec<u32>> {
    let of_engine = |_, thetas: &[f32]| engine.logits_of_many(thetas, x);
    of_each(engine, thetas, x, &of_engine, |logits| logits.chunks_exact(engine.classes()).map(argmax).collect())
}

/// Applies `f` to the logits `[N, C]` of every network and joins the results in order.
fn of_each<T: Send>(
    engine: &Engine,
    thetas: &[f32],
    x: &Packed,
    logits_of: &LogitsOf<'_>,
    f: impl Fn(&[f32]) -> Vec<T> + Sync,
) -> Result<Vec<T>> {
    let mut out = Vec::new();
    let rows = (x.len() * engine.classes()).max(1);
    for (block, thetas) in thetas.chunks((AT_ONCE * engine.parameters()).max(1)).enumerate() {
        let logits = logits_of(block * AT_ONCE, thetas)?;
        let parts: Vec<Vec<T>> = logits.par_chunks(rows).map(&f).collect();
        out.extend(parts.into_iter().flatten());
    }
    Ok(out)
}

/// The class that logits `[C]` name: the first of equal largest ones.
pub fn argmax(z: &[f32]) -> u32 {
    let mut best = 0;
    for (k, value) in z.iter().enumerate() {
        if *value > z[best] {
            best = k;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{Architecture, Layer, Operation};

    /// A linear classifier whose logits are its inputs.
    fn identity() -> (Engine, Vec<f32>) {
        let layers = vec![Layer { name: None, operation: Operation::Dense { out: 3, bias: false } }];
        let engine = Engine::new(&Architecture::new("identity", [3, 1, 1], layers).unwrap()).unwrap();
        (engine, vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    }

    #[test]
    fn scores_and_predictions_of_known_logits() {
        let (engine, theta) = identity();
        let n = 37;
        let inputs: Vec<f32> = (0..n).flat_map(|i| [0.0, if i % 2 == 0 { 1.0 } else { -1.0 }, -2.0]).collect();
        let labels: Vec<u32> = (0..n).map(|i| if i < 30 { u32::from(i % 2 == 0) } else { 2 }).collect();
        let x = engine.pack(&inputs).unwrap();
        let opposite: Vec<f32> = theta.iter().map(|v| -v).collect();
        let both = [theta, opposite].concat();
        let found = predictions(&engine, &both, &x).unwrap();
        assert!((0..n as usize).all(|i| found[i] == u32::from(i % 2 == 0) && found[n as usize + i] == 2));
        let scores = evaluate(&engine, &both, &x, &labels).unwrap();
        assert_eq!(scores.len(), 2);
        assert!((scores[0].accuracy - 30.0 / 37.0).abs() < 1e-12 && (scores[1].accuracy - 7.0 / 37.0).abs() < 1e-12);
        let term = |z: [f64; 3], k: usize| z.iter().map(|v| v.exp()).sum::<f64>().ln() - z[k];
        let truth: f64 = (0..n)
            .map(|i| term([0.0, if i % 2 == 0 { 1.0 } else { -1.0 }, -2.0], labels[i as usize] as usize))
            .sum::<f64>()
            / f64::from(n);
        assert!((scores[0].loss - truth).abs() < 1e-6);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (engine, theta) = identity();
        let x = engine.pack(&[0.0; 6]).unwrap();
        assert!(evaluate(&engine, &theta, &x, &[0]).is_err());
        assert!(evaluate(&engine, &theta, &x, &[0, 3]).is_err());
        assert!(evaluate(&engine, &theta[1..], &x, &[0, 1]).is_err());
        assert!(predictions(&engine, &[f32::NAN; 9], &x).is_err());
        assert!(engine.pack(&[0.0; 7]).is_err());
    }
}
