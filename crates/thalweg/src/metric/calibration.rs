//! Ensembles of generated networks (M22): their probabilities are averaged; accuracy, negative log-likelihood and expected
//! calibration error of the average.
//!
//! ECE is that of Guo et al. (ICML 2017): confidences in fifteen equal bins of (0, 1], Σ_b (n_b/N) |accuracy_b − confidence_b|.
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_nets::engine::{Engine, Packed};
use thalweg_nets::evaluate::{AT_ONCE, LogitsOf};

/// Bins of the calibration error.
pub const BINS: usize = 15;

/// How well averaged probabilities predict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Networks averaged.
    pub members: usize,
    /// Share of inputs whose most probable class is the label; the first of equally probable ones.
    pub accuracy: f64,
    /// Mean of −log p(label); infinite where a label has probability 0.
    #[serde(with = "super::summary::finite_or_null")]
    pub nll: f64,
    /// Expected calibration error.
    pub ece: f64,
}

/// The running mean of probabilities `[N, C]` over networks.
#[derive(Clone, Debug)]
pub struct Ensemble {
    total: Vec<f64>,
    classes: usize,
    members: usize,
}

impl Ensemble {
    /// No member yet; for `inputs` N ≥ 1 and `classes` C ≥ 1.
    ///
    /// # Errors
    /// No input or no class.
    pub fn new(inputs: usize, classes: usize) -> Result<Self> {
        if inputs == 0 || classes == 0 {
            return Err(Error::shape("probabilities", "[N, C], both at least 1", format!("[{inputs}, {classes}]")));
        }
        Ok(Self { total: vec![0.0; inputs * classes], classes, members: 0 })
    }

    /// Adds the softmax of one network's `logits [N, C]`.
    ///
    /// # Errors
    /// Logits of another shape or not finite.
    pub fn add(&mut self, logits: &[f32]) -> Result<()> {
        if logits.len() != self.total.len() {
            let shape = |n: usize| format!("[{}, {}]", n / self.classes, self.classes);
            return Err(Error::shape("logits", shape(self.total.len()), shape(logits.len())));
        }
        if let Some(i) = logits.iter().position(|z| !z.is_finite()) {
            let place = format!("member {}, input {}", self.members, i / self.classes);
            return Err(Error::NotFinite { what: "logit".into(), place, value: f64::from(logits[i]) });
        }
        for (total, z) in self.total.chunks_exact_mut(self.classes).zip(logits.chunks_exact(self.classes)) {
            total.iter_mut().zip(probabilities(z)).for_each(|(t, p)| *t += p);
        }
        self.members += 1;
        Ok(())
    }

    /// The averaged probabilities `[N, C]`.
    ///
    /// # Errors
    /// No member.
    pub fn probabilities(&self) -> Result<Vec<f64>> {
        if self.members == 0 {
            return Err(Error::parameter("ensemble", "at least one member", 0));
        }
        Ok(self.total.iter().map(|t| t / self.members as f64).collect())
    }

    /// The ensemble judged by `labels [N]`.
    ///
    /// # Errors
    /// No member, or labels that do not fit.
    pub fn judge(&self, labels: &[u32]) -> Result<Calibration> {
        let probabilities = self.probabilities()?;
        calibration(&probabilities, labels, self.classes, self.members)
    }
}

/// The softmax of one row of logits `[C]`, in double precision.
pub fn probabilities(z: &[f32]) -> Vec<f64> {
    let top = f64::from(z.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let mut p: Vec<f64> = z.iter().map(|&z| (f64::from(z) - top).exp()).collect();
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    p
}

/// For each of `sizes` the ensembles that groups of so many neighbours among `thetas [M, P]` make, none in two and at most `most` of a size, on
/// inputs `x [N, D]` with `labels [N]`. Every network is evaluated once; the logits of 64 are held at a time.
///
/// # Errors
/// A size of 0, slices that do not fit, weights or logits that are not finite.
pub fn of_groups(
    engine: &Engine,
    thetas: &[f32],
    x: &Packed,
    labels: &[u32],
    sizes: &[usize],
    most: usize,
) -> Result<Vec<Vec<Calibration>>> {
    of_groups_by(engine, thetas, (x, labels), &|_, thetas| engine.logits_of_many(thetas, x), sizes, most)
}

/// As [`of_groups`], with logits from elsewhere.
///
/// # Errors
/// As [`of_groups`]; as `logits`.
pub fn of_groups_by(
    engine: &Engine,
    thetas: &[f32],
    (x, labels): (&Packed, &[u32]),
    logits: &LogitsOf<'_>,
    sizes: &[usize],
    most: usize,
) -> Result<Vec<Vec<Calibration>>> {
    if sizes.contains(&0) {
        return Err(Error::parameter("networks of an ensemble", "at least 1", 0));
    }
    let p = engine.parameters();
    let groups = |members: usize| (thetas.len() / p / members).min(most);
    let empty = |&members: &usize| (0..groups(members)).map(|_| Ensemble::new(x.len(), engine.classes())).collect();
    let mut ensembles: Vec<Vec<Ensemble>> = sizes.iter().map(empty).collect::<Result<_>>()?;
    let used = sizes.iter().map(|&members| groups(members) * members).max().unwrap_or(0);
    for (block, thetas) in thetas[..used * p].chunks(AT_ONCE * p).enumerate() {
        let logits = logits(block * AT_ONCE, thetas)?;
        for (&members, ensembles) in sizes.iter().zip(&mut ensembles) {
            ensembles.par_iter_mut().enumerate().try_for_each(|(group, ensemble)| {
                let all = logits.chunks_exact(x.len() * engine.classes()).enumerate();
                let own = all.filter(|(i, _)| (block * AT_ONCE + i) / members == group);
                own.map(|(_, logits)| logits).try_for_each(|logits| ensemble.add(logits))
            })?;
        }
    }
    ensembles.iter().map(|groups| groups.iter().map(|ensemble| ensemble.judge(labels)).collect()).collect()
}

fn calibration(probabilities: &[f64], labels: &[u32], classes: usize, members: usize) -> Result<Calibration> {
    let n = probabilities.len() / classes;
    if labels.len() != n {
        return Err(Error::shape("labels", format!("[{n}]"), format!("[{}]", labels.len())));
    }
    if let Some(i) = labels.iter().position(|&l| l as usize >= classes) {
        return Err(Error::parameter(format!("labels[{i}]"), format!("a class below {classes}"), labels[i]));
    }
    let (mut hits, mut nll) = (0usize, 0.0);
    // Per bin: inputs, hits, sum of confidences.
    let mut bins = [(0usize, 0usize, 0.0f64); BINS];
    for (p, &label) in probabilities.chunks_exact(classes).zip(labels) {
        let (mut class, mut confidence) = (0, p[0]);
        for (k, &p) in p.iter().enumerate() {
            if p > confidence {
                (class, confidence) = (k, p);
            }
        }
        let hit = class == label as usize;
        hits += usize::from(hit);
        nll -= p[label as usize].ln();
        let bin = &mut bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        *bin = (bin.0 + 1, bin.1 + usize::from(hit), bin.2 + confidence);
    }
    let ece = bins.iter().map(|(_, hits, confidence)| (*hits as f64 - confidence).abs()).sum::<f64>() / n as f64;
    Ok(Calibration { members, accuracy: hits as f64 / n as f64, nll: nll / n as f64, ece })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits whose softmax is `p`.
    fn logits(p: &[f64]) -> Vec<f32> {
        p.iter().map(|p| p.ln() as f32).collect()
    }

    #[test]
    fn probabilities_are_averaged_not_logits() {
        let mut ensemble = Ensemble::new(1, 2).unwrap();
        ensemble.add(&logits(&[0.9, 0.1])).unwrap();
        ensemble.add(&logits(&[0.5, 0.5])).unwrap();
        let p = ensemble.probabilities().unwrap();
        assert!((p[0] - 0.7).abs() < 1e-7 && (p[1] - 0.3).abs() < 1e-7, "{p:?}");
        let judged = ensemble.judge(&[1]).unwrap();
        assert_eq!((judged.members, judged.accuracy), (2, 0.0));
        assert!((judged.nll + 0.3f64.ln()).abs() < 1e-6 && (judged.ece - 0.7).abs() < 1e-7, "{judged:?}");
    }

    #[test]
    fn a_calibrated_forecast_has_no_calibration_error() {
        // Ten inputs at confidence 0.8, eight of them right, and five at 0.6, three right: each bin is exact.
        let mut ensemble = Ensemble::new(15, 2).unwrap();
        let p: Vec<f64> = (0..15).flat_map(|i| if i < 10 { [0.8, 0.2] } else { [0.4, 0.6] }).collect();
        ensemble.add(&logits(&p)).unwrap();
        let labels: Vec<u32> = (0..15).map(|i| u32::from((8..13).contains(&i))).collect();
        let judged = ensemble.judge(&labels).unwrap();
        assert!(judged.ece < 1e-7 && (judged.accuracy - 11.0 / 15.0).abs() < 1e-12, "{judged:?}");
        let truth = -(8.0 * 0.8f64.ln() + 2.0 * 0.2f64.ln() + 3.0 * 0.6f64.ln() + 2.0 * 0.4f64.ln()) / 15.0;
        assert!((judged.nll - truth).abs() < 1e-6);
    }

    #[test]
    fn errors_of_one_bin_cancel_and_of_two_bins_do_not() {
        // 0.65 and 0.73 in bins (0.6, 0.667] and (0.667, 0.733]: |1 − 0.65| and |0 − 0.73|, each over two inputs.
        let mut ensemble = Ensemble::new(2, 2).unwrap();
        ensemble.add(&logits(&[0.65, 0.35, 0.73, 0.27])).unwrap();
        assert!((ensemble.judge(&[0, 1]).unwrap().ece - (0.35 + 0.73) / 2.0).abs() < 1e-7);
        // 0.68 and 0.72 share a bin: |1 − 1.40| over two inputs.
        let mut ensemble = Ensemble::new(2, 2).unwrap();
        ensemble.add(&logits(&[0.68, 0.32, 0.72, 0.28])).unwrap();
        assert!((ensemble.judge(&[0, 1]).unwrap().ece - 0.2).abs() < 1e-7);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Ensemble::new(0, 2).is_err());
        let mut ensemble = Ensemble::new(1, 2).unwrap();
        assert!(ensemble.judge(&[0]).is_err());
        assert!(ensemble.add(&[0.0]).is_err());
        assert!(ensemble.add(&[f32::NAN, 0.0]).is_err());
        ensemble.add(&[0.0, 0.0]).unwrap();
        assert!(ensemble.judge(&[2]).is_err() && ensemble.judge(&[0, 0]).is_err());
    }

    #[test]
    fn groups_are_the_ensembles_of_their_networks() {
        let text = "input = [2, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 2\nbias = false\n";
        let engine = Engine::new(&thalweg_nets::Architecture::from_toml_str(text).unwrap()).unwrap();
        let (x, labels) = (engine.pack(&[1.0, 0.0, 0.0, 1.0, 0.5, 0.2]).unwrap(), [0, 1, 1]);
        let thetas: Vec<f32> = (0..5 * 4).map(|i| (i as f32).sin()).collect();
        let found = of_groups(&engine, &thetas, &x, &labels, &[1, 2, 3], 2).unwrap();
        for (groups, members) in found.iter().zip(1..) {
            assert_eq!(groups.len(), [2, 2, 1][members - 1], "groups of {members} among 5 networks, at most 2");
            for (group, judged) in groups.iter().enumerate() {
                let mut ensemble = Ensemble::new(3, 2).unwrap();
                for theta in thetas[group * members * 4..].chunks(4).take(members) {
                    ensemble.add(&engine.logits_of_many(theta, &x).unwrap()).unwrap();
                }
                assert_eq!(*judged, ensemble.judge(&labels).unwrap());
            }
        }
        assert!(of_groups(&engine, &thetas, &x, &labels, &[0], 2).is_err());
    }
}
