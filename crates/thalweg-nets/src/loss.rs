//! Losses on logits: cross-entropy, soft labels, and the loss of constrained disagreement (M14).
//!
//! A loss sees blocks of rows in any order and gives each block's share of the total with its gradient, so that any of
//! them can stand behind [`Engine::gradient`](crate::engine::Engine::gradient). Values are sums in f64.
use crate::error::{Error, Result};
use rayon::prelude::*;

/// A loss that is a sum over rows of logits.
pub trait LogitLoss: Sync {
    /// The loss of rows `first..first + n`, given their `logits` `[n, C]`; writes dL/dlogits to `d` `[n, C]`.
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64;

    /// The number of rows that the loss is made for, where it is.
    fn len(&self) -> Option<usize> {
        None
    }

    /// Whether the loss is made for no rows at all.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// Mean cross-entropy to labels `[N]`; with smoothing s the target is 1 − s at the label plus s/C everywhere.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a> {
    labels: &'a [u32],
    classes: usize,
    smoothing: f32,
}

impl<'a> CrossEntropy<'a> {
    /// A loss on `labels.len()` rows.
    ///
    /// # Errors
    /// No labels, a label beyond the classes, or smoothing outside [0, 1).
    pub fn new(labels: &'a [u32], classes: usize, smoothing: f32) -> Result<Self> {
        check_labels(labels, classes)?;
        if !(0.0..1.0).contains(&smoothing) {
            return Err(Error::parameter("label-smoothing", "a number in [0, 1)", smoothing));
        }
        Ok(Self { labels, classes, smoothing })
    }
}

impl LogitLoss for CrossEntropy<'_> {
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        let (c, share) = (self.classes, 1.0 / self.labels.len() as f32);
        let (label_weight, uniform) = (1.0 - self.smoothing, self.smoothing / c as f32);
        let mut total = 0.0;
        let labels = &self.labels[first..];
        for ((z, d), &label) in logits.chunks_exact(c).zip(d.chunks_exact_mut(c)).zip(labels) {
            let log_sum = softmax(z, d);
            let mut value = f64::from(label_weight) * (log_sum - f64::from(z[label as usize]));
            if uniform > 0.0 {
                value += z.iter().map(|&z| f64::from(uniform) * (log_sum - f64::from(z))).sum::<f64>();
            }
            total += value;
            d[label as usize] -= label_weight;
            for d in d {
                *d = (*d - uniform) * share;
            }
        }
        total / self.labels.len() as f64
    }

    fn len(&self) -> Option<usize> {
        Some(self.labels.len())
    }
}

/// Mean cross-entropy to soft targets `[N, C]`, rows of which should sum to 1.
#[derive(Clone, Copy, Debug)]
pub struct SoftCrossEntropy<'a> {
    targets: &'a [f32],
    classes: usize,
}

impl<'a> SoftCrossEntropy<'a> {
    /// A loss on `targets.len() / classes` rows.
    ///
    /// # Errors
    /// Targets that are not `[N, C]` with N ≥ 1, or a number that is negative or not finite.
    pub fn new(targets: &'a [f32], classes: usize) -> Result<Self> {
        if classes == 0 || targets.is_empty() || !targets.len().is_multiple_of(classes) {
            return Err(Error::shape("targets", format!("[N ≥ 1, {classes}]"), format!("[{}]", targets.len())));
        }
        if let Some(t) = targets.iter().find(|t| !(t.is_finite() && **t >= 0.0)) {
            return Err(Error::parameter("targets", "finite numbers of at least 0", t));
        }
        Ok(Self { targets, classes })
    }
}

impl LogitLoss for SoftCrossEntropy<'_> {
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        let c = self.classes;
        let n = self.targets.len() / c;
        let mut total = 0.0;
        let targets = self.targets[first * c..].chunks_exact(c);
        for ((z, d), target) in logits.chunks_exact(c).zip(d.chunks_exact_mut(c)).zip(targets) {
            let log_sum = softmax(z, d);
            let mass: f32 = target.iter().sum();
            for k in 0..c {
                total += f64::from(target[k]) * (log_sum - f64::from(z[k]));
                d[k] = (mass * d[k] - target[k]) / n as f32;
            }
        }
        total / n as f64
    }

    fn len(&self) -> Option<usize> {
        Some(self.targets.len() / self.classes)
    }
}

/// The loss of constrained disagreement (M14): over all rows the mean of the cross-entropy to f(x) where g shall agree,
/// and of α · (logsumexp(z) − Σ_{c ≠ f(x)} z_c/(C − 1)) where it shall disagree.
#[derive(Clone, Copy, Debug)]
pub struct Disagreement<'a> {
    predictions: &'a [u32],
    disagree: &'a [bool],
    alpha: f32,
    classes: usize,
}

impl<'a> Disagreement<'a> {
    /// `predictions` `[N]` are f(x); `disagree` `[N]` marks the rows to disagree on; `alpha` weighs them.
    ///
    /// # Errors
    /// Lengths that differ, a prediction beyond the classes, fewer than two classes, an α that is not positive.
    pub fn new(predictions: &'a [u32], disagree: &'a [bool], alpha: f32, classes: usize) -> Result<Self> {
        check_labels(predictions, classes)?;
        if disagree.len() != predictions.len() {
            return Err(Error::shape("disagree", format!("[{}]", predictions.len()), format!("[{}]", disagree.len())));
        }
        if classes < 2 {
            return Err(Error::parameter("classes", "at least 2", classes));
        }
        if !(alpha > 0.0 && alpha.is_finite()) {
            return Err(Error::parameter("alpha", "a finite number above 0", alpha));
        }
        Ok(Self { predictions, disagree, alpha, classes })
    }
}

impl LogitLoss for Disagreement<'_> {
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        let c = self.classes;
        let n = self.predictions.len();
        let mut total = 0.0;
        for (r, (z, d)) in logits.chunks_exact(c).zip(d.chunks_exact_mut(c)).enumerate() {
            let label = self.predictions[first + r] as usize;
            let log_sum = softmax(z, d);
            if self.disagree[first + r] {
                let other = 1.0 / (c - 1) as f32;
                let others: f64 = (0..c).filter(|&k| k != label).map(|k| f64::from(z[k])).sum();
                total += f64::from(self.alpha) * (log_sum - others / (c - 1) as f64);
                for k in 0..c {
                    d[k] = self.alpha * (d[k] - if k == label { 0.0 } else { other }) / n as f32;
                }
            } else {
                total += log_sum - f64::from(z[label]);
                d[label] -= 1.0;
                for d in d {
                    *d /= n as f32;
                }
            }
        }
        total / n as f64
    }

    fn len(&self) -> Option<usize> {
        Some(self.predictions.len())
    }
}

/// Writes softmax(z) to `p`, both `[C]`; returns log Σ exp(z).
pub fn softmax(z: &[f32], p: &mut [f32]) -> f64 {
    let most = z.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let mut sum = 0.0;
    for (p, &z) in p.iter_mut().zip(z) {
        *p = (z - most).exp();
        sum += *p;
    }
    for p in p {
        *p /= sum;
    }
    f64::from(most) + f64::from(sum).ln()
}

/// Softmax of each row of logits `[N, C]`.
pub fn softmax_rows(logits: &[f32], classes: usize) -> Vec<f32> {
    let (mut out, classes) = (vec![0.0; logits.len()], classes.max(1));
    let rows = logits.par_chunks_exact(classes).zip(out.par_chunks_exact_mut(classes));
    rows.for_each(|(z, p)| {
        softmax(z, p);
    });
    out
}

fn check_labels(labels: &[u32], classes: usize) -> Result<()> {
    if labels.is_empty() {
        return Err(Error::shape("labels", "[N ≥ 1]", "[0]"));
    }
    match labels.iter().find(|&&label| label as usize >= classes) {
        Some(label) => Err(Error::parameter("labels", format!("classes below {classes}"), label)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 12] = [0.3, -1.2, 0.8, 2.0, 0.1, 0.0, -0.4, 3.0, -2.0, 1.5, 1.4, 1.6];

    /// Central differences of the value against the gradient, all rows at once and block by block.
    fn check(loss: &dyn LogitLoss) {
        let mut d = [0.0; 12];
        let value = loss.rows(0, &LOGITS, &mut d);
        let mut parts = [0.0; 12];
        let (a, b) = parts.split_at_mut(6);
        let sum = loss.rows(0, &LOGITS[..6], a) + loss.rows(2, &LOGITS[6..], b);
        assert!((value - sum).abs() < 1e-12 && d == parts);
        for i in 0..12 {
            let at = |h: f32| {
                let mut z = LOGITS;
                z[i] += h;
                loss.rows(0, &z, &mut [0.0; 12])
            };
            let h = 1.0 / 64.0;
            let slope = (at(h) - at(-h)) / (2.0 * f64::from(h));
            assert!((slope - f64::from(d[i])).abs() < 3e-5, "{i}: {slope} {}", d[i]);
        }
    }

    #[test]
    fn gradients_are_the_slopes() {
        let labels = [2, 0, 1, 1];
        check(&CrossEntropy::new(&labels, 3, 0.0).unwrap());
        check(&CrossEntropy::new(&labels, 3, 0.2).unwrap());
        check(&SoftCrossEntropy::new(&[0.2, 0.3, 0.5, 0., 1., 0., 0.25, 0.5, 0.25, 0.9, 0., 0.1], 3).unwrap());
        check(&Disagreement::new(&labels, &[true, false, true, false], 0.3, 3).unwrap());
    }

    #[test]
    fn known_values() {
        let uniform = [0.0; 4];
        let d = &mut [0.0; 4];
        let ln2 = 2f64.ln();
        assert!((CrossEntropy::new(&[0, 1], 2, 0.1).unwrap().rows(0, &uniform, d) - ln2).abs() < 1e-7);
        // Two classes: disagreeing with one is agreeing with the other.
        let other = CrossEntropy::new(&[1, 0], 2, 0.0).unwrap().rows(0, &[1.0, 0.5, -1.0, 2.0], d);
        let away = Disagreement::new(&[0, 1], &[true; 2], 1.0, 2).unwrap().rows(0, &[1.0, 0.5, -1.0, 2.0], d);
        assert!((other - away).abs() < 1e-7);
    }

    #[test]
    fn bad_arguments_are_named() {
        let message = CrossEntropy::new(&[3], 3, 0.0).unwrap_err().to_string();
        assert!(message.contains("labels") && message.contains('3'), "{message}");
        assert!(CrossEntropy::new(&[], 3, 0.0).is_err());
        assert!(SoftCrossEntropy::new(&[0.5; 4], 3).is_err());
        assert!(Disagreement::new(&[0, 1], &[true], 1.0, 2).is_err());
    }
}
