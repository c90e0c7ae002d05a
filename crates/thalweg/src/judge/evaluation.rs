//! One pass over the test set for each network: all that judgement wants to know of its answers.
use super::reference::ZooReference;
use crate::metric::answers::Answers;
use crate::metric::behaviour::WrongSets;
use crate::metric::calibration::Ensemble;
use crate::metric::probabilities::Probabilities;
use crate::metric::summary::mean;
use crate::{Error, Result};
use rayon::prelude::*;
use thalweg_nets::evaluate::{AT_ONCE, argmax};
use thalweg_nets::loss::{CrossEntropy, LogitLoss};

/// Networks of an ensemble.
const MEMBERS: usize = 16;
// Blocks of networks are whole ensembles.
const _: () = assert!(AT_ONCE.is_multiple_of(MEMBERS));

/// What n networks did on the test set.
pub(super) struct Evaluated {
    pub accuracy: Vec<f64>,                   // [n]
    pub loss: Vec<f64>,                       // [n], +∞ where it overflows
    pub wrong: WrongSets,                     // [n, N]
    pub answers: Answers,                     // [n, N]
    pub probabilities: Option<Probabilities>, // [n, N, C], where they were wanted
    pub ensemble_gain: f64,                   // NaN for n < MEMBERS, or logits that are not finite
}

/// Numbers of class probabilities that are kept of a zoo, at most (128 MiB).
const KEPT: usize = 1 << 25;

/// Whether the class probabilities of the zoo's training runs are few enough to be kept.
pub(super) fn keeps_probabilities(zoo: &ZooReference<'_>) -> bool {
    let runs = zoo.training.len() / zoo.layout().len().max(1);
    runs.saturating_mul(zoo.labels.len()).saturating_mul(zoo.networks.evaluator().classes()) <= KEPT
}

/// Evaluates `theta [n, P]`, every network once, the networks of a `group` of the table by logits from where the reference has them; with the class
/// probabilities where they are `wanted`.
pub(super) fn evaluate(zoo: &ZooReference<'_>, group: Option<usize>, theta: &[f32], wanted: bool) -> Result<Evaluated> {
    let (networks, labels) = (zoo.networks.evaluator(), zoo.labels);
    let (rows, classes, p) = (networks.rows(), networks.classes(), networks.layout().len());
    if labels.len() != rows {
        return Err(Error::shape("labels", format!("[{rows}]"), format!("[{}]", labels.len())));
    }
    let cross_entropy = CrossEntropy::new(labels, classes, 0.0)?;
    let (mut accuracy, mut loss, mut gains) = (Vec::new(), Vec::new(), Vec::new());
    let (mut wrong, mut answers) = (WrongSets::new(&[], labels)?, Answers::new(&[], labels.len())?);
    let of_logits = |logits: &[f32]| Probabilities::of_logits(logits, labels.len(), classes);
    let mut probabilities = wanted.then(|| of_logits(&[])).transpose()?;
    for (block, theta) in theta.chunks((AT_ONCE * p).max(1)).enumerate() {
        let logits = match (zoo.logits, group) {
            (Some(logits), Some(group)) => logits(group, block * AT_ONCE, theta)?,
            _ => networks.logits(theta)?,
        };
        if let Some(all) = &mut probabilities {
            all.append(of_logits(&logits)?);
        }
        let each = labels.len() * classes;
        let of_one = |logits: &[f32]| {
            let value = cross_entropy.rows(0, logits, &mut vec![0.0; logits.len()]);
            let given: Vec<u32> = logits.chunks_exact(classes).map(argmax).collect();
            let both = (WrongSets::new(&given, labels)?, Answers::new(&given, labels.len())?);
            Ok((if value.is_nan() { f64::INFINITY } else { value }, both))
        };
        let parts: Vec<Result<(f64, (WrongSets, Answers))>> = logits.par_chunks_exact(each).map(of_one).collect();
        let first = accuracy.len();
        for part in parts {
            let (value, (sets, given)) = part?;
            accuracy.push(1.0 - sets.errors(0) as f64 / labels.len() as f64);
            loss.push(value);
            wrong.append(sets)?;
            answers.append(given)?;
        }
        let groups = logits.par_chunks_exact(MEMBERS * each).zip(accuracy[first..].par_chunks_exact(MEMBERS));
        let gain = |(logits, accuracy): (&[f32], &[f64])| match ensemble(logits, labels, classes) {
            Ok(together) => together - mean(accuracy),
            // Logits that are not finite have no probabilities.
            Err(_) => f64::NAN,
        };
        gains.extend(groups.map(gain).collect::<Vec<f64>>());
    }
    Ok(Evaluated { accuracy, loss, wrong, answers, probabilities, ensemble_gain: mean(&gains) })
}

/// Accuracy of the averaged probabilities of networks with `logits [MEMBERS, N, C]`.
fn ensemble(logits: &[f32], labels: &[u32], classes: usize) -> Result<f64> {
    let mut ensemble = Ensemble::new(labels.len(), classes)?;
    logits.chunks_exact(labels.len() * classes).try_for_each(|logits| ensemble.add(logits))?;
    Ok(ensemble.judge(labels)?.accuracy)
}
