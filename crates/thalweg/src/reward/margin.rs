//! A hinge on the smooth margin: mean of max(0, m − (z_y − log Σ_{c≠y} exp z_c)) over rows.
//!
//! With logits z and label y the bracket is the log-odds of the label. Cross-entropy is the softplus of its negative and
//! rewards confidence without end; the hinge stops at odds of eᵐ, so a generator tuned by it keeps what spread it can.
use crate::{Error, Result};
use thalweg_nets::loss::LogitLoss;

/// The hinge loss on log-odds, for labels `[N]`.
#[derive(Clone, Copy, Debug)]
pub struct Margin<'a> {
    labels: &'a [u32],
    classes: usize,
    margin: f32,
}

impl<'a> Margin<'a> {
    /// A loss on `labels.len()` rows of `classes` logits.
    ///
    /// # Errors
    /// No labels, a label beyond the classes, fewer than two classes, a margin that is not finite.
    pub fn new(labels: &'a [u32], classes: usize, margin: f32) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::shape("labels", "[N ≥ 1]", "[0]"));
        }
        if classes < 2 {
            return Err(Error::parameter("classes", "at least 2", classes));
        }
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            return Err(Error::parameter("labels", format!("classes below {classes}"), label));
        }
        if !margin.is_finite() {
            return Err(Error::parameter("margin", "a finite number", margin));
        }
        Ok(Self { labels, classes, margin })
    }
}

impl LogitLoss for Margin<'_> {
    fn rows(&self, first: usize, logits: &[f32], d: &mut [f32]) -> f64 {
        let (c, n) = (self.classes, self.labels.len());
        let mut total = 0.0;
        let labels = self.labels[first..].iter().map(|&label| label as usize);
        for ((z, d), label) in logits.chunks_exact(c).zip(d.chunks_exact_mut(c)).zip(labels) {
            let others = || (0..c).filter(|&k| k != label);
            let most = others().map(|k| z[k]).fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = others().map(|k| (z[k] - most).exp()).sum();
            let odds = z[label] - (most + sum.ln());
            let short = self.margin - odds;
            d.fill(0.0);
            // A logit that is not a number must stay visible, so the comparison is with what is satisfied.
            if short <= 0.0 {
                continue;
            }
            total += f64::from(short);
            for k in others() {
                d[k] = (z[k] - most).exp() / sum / n as f32;
            }
            d[label] = -1.0 / n as f32;
        }
        total / n as f64
    }

    fn len(&self) -> Option<usize> {
        Some(self.labels.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::loss::CrossEntropy;

    #[test]
    fn its_slopes_are_differences_and_its_softplus_is_cross_entropy() {
        let (labels, z) = ([2, 0, 1], [0.3f32, -1.2, 0.8, 2.0, 0.1, 0.0, -0.4, 3.0, -2.0]);
        let loss = Margin::new(&labels, 3, 2.5).unwrap();
        let mut d = [0.0; 9];
        loss.rows(0, &z, &mut d);
        let at = |i: usize, h: f32| {
            let mut z = z;
            z[i] += h;
            loss.rows(0, &z, &mut [0.0; 9])
        };
        let h = 1.0 / 64.0;
        for i in 0..9 {
            let slope = (at(i, h) - at(i, -h)) / (2.0 * f64::from(h));
            assert!((slope - f64::from(d[i])).abs() < 5e-5, "{i}: {slope} {}", d[i]);
        }
        assert_eq!(d[6..], [0.0; 3], "odds of the third row are beyond the margin");
        let one = Margin::new(&labels[..1], 3, 100.0).unwrap().rows(0, &z[..3], &mut [0.0; 3]) - 100.0;
        let entropy = CrossEntropy::new(&labels[..1], 3, 0.0).unwrap().rows(0, &z[..3], &mut [0.0; 3]);
        assert!((one.exp().ln_1p() - entropy).abs() < 1e-5, "{one} {entropy}");
        assert!(Margin::new(&[3], 3, 1.0).is_err() && Margin::new(&[0], 1, 1.0).is_err());
    }
}
