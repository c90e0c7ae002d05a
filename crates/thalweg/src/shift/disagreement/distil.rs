//! A network that stands in for a classifier f known by its answers alone (a forest, a rule, a service), so that tests by networks beside f can be had:
//! a perceptron fitted to f's probabilities on rows of P (distillation; Hinton, Vinyals, Dean 2015).
//!
//! What is asked of a query stays f's own: its logits ([`Sample::with_logits`]). Disagreement classifiers begin at the stand-in, are held to it on P, and
//! part from f wherever it does; where it fits f badly they do so on P too, which costs power and not validity (P and Q go the same way).
use crate::shift::base::{Base, Sample};
use crate::train::descend;
use crate::{Result, Streams};
use rand::RngExt;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::{Engine, Mode, Workspace};
use thalweg_nets::init::Initialisation;
use thalweg_nets::loss::SoftCrossEntropy;
use thalweg_nets::train::optimiser::{Optimiser, Stepper};

/// Hidden widths.
const WIDTHS: [usize; 2] = [32, 32];
/// Steps and learning rates of Adam, one after the other.
const COURSE: [(usize, f64); 2] = [(1000, 0.01), (500, 0.001)];
/// Rows of a step, and how many such batches are packed.
const ROWS: usize = 128;
const BATCHES: usize = 64;

/// The network fitted to the logits of `rows`, which hold inputs, and the share of `validation` rows to which it gives f's class.
///
/// # Errors
/// Rows without inputs; weights that left the finite numbers; interruption.
pub fn distilled(rows: &Sample, validation: &Sample, streams: &Streams) -> Result<(Base, f64)> {
    let net: Architecture = Preset::Mlp { widths: WIDTHS.to_vec() }.build([rows.width(), 1, 1], rows.classes())?;
    let engine = Engine::new(&net)?;
    let mut rng = streams.child("batches").rng();
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let some = rows.some(ROWS, &mut rng);
        batches.push((engine.pack(&some.inputs)?, some.probabilities()));
    }
    let mut theta = Initialisation::default().draw(engine.layout(), &streams.child("start"));
    let mut stepper = Stepper::new(Optimiser::default(), 0.0, &net);
    let mut workspace = Workspace::default();
    for (steps, rate) in COURSE {
        descend(&mut theta, &mut stepper, (steps, rate), |_, theta, gradient| {
            let (inputs, targets) = &batches[rng.random_range(0..BATCHES as u64) as usize];
            let loss = SoftCrossEntropy::new(targets, rows.classes())?;
            engine.gradient(theta, inputs, Mode::Evaluate, &loss, gradient, &mut workspace);
            Ok(())
        })?;
    }
    let base = Base::new(&net, theta)?;
    let own = base.sample(&validation.inputs)?.predictions();
    let same = own.iter().zip(validation.predictions()).filter(|(a, b)| **a == *b).count();
    Ok((base, same as f64 / validation.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::testing;

    fn normals(n: usize, seed: u64) -> Vec<f32> {
        testing::normals(&Streams::new(seed), n)
    }

    #[test]
    fn a_rule_in_the_plane_is_learnt_from_its_answers() {
        let of = |seed: u64| {
            let inputs = normals(1600, seed);
            let logits = inputs.chunks_exact(2).flat_map(|x| if x[0] * x[1] > 0.0 { [2.0, -2.0] } else { [-2.0, 2.0] });
            Sample::of_rows(inputs.clone(), logits.collect(), 2).unwrap()
        };
        let (base, agreement) = distilled(&of(1), &of(2), &Streams::new(3)).unwrap();
        assert!(agreement > 0.93, "{agreement}");
        let rows = of(4);
        let seen = base.sample(&rows.inputs).unwrap().with_logits(rows.logits.clone()).unwrap();
        assert_eq!((&seen.logits, &seen.inputs, seen.feature_width()), (&rows.logits, &rows.inputs, 32));
        assert!(base.sample(&rows.inputs).unwrap().with_logits(vec![0.0; 3]).is_err());
    }
}
