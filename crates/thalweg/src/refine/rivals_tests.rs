//! Adam against the stepper of the base networks (PyTorch's formula), Muon and SOAP against what defines them.
use super::*;
use crate::reward::Graded;
use faer::MatRef;
use thalweg_nets::testing::normals;
use thalweg_nets::train::{Optimiser, Stepper};

/// A reward whose gradient is −(x − target) ⊙ weights.
struct Bowl {
    target: Vec<f32>,
    weights: Vec<f32>,
}

impl Reward for Bowl {
    fn dimension(&self) -> usize {
        self.target.len()
    }

    fn describe(&self) -> String {
        "a bowl".into()
    }

    fn grade(&self, theta: &[f32], _: &Streams) -> Result<Graded> {
        let p = self.target.len();
        let pull = |(i, x): (usize, &f32)| self.weights[i % p] * (self.target[i % p] - x);
        let gradients: Vec<f32> = theta.iter().enumerate().map(pull).collect();
        Ok(Graded { values: vec![0.0; theta.len() / p], gradients })
    }
}

fn bowl(layout: &Layout) -> Bowl {
    let p = layout.len();
    Bowl { target: normals(&Streams::new(1), p), weights: (0..p).map(|i| 0.1 + (i % 7) as f32).collect() }
}

fn layout() -> Layout {
    Layout::of_tensors([("w".to_owned(), vec![4, 6]), ("b".to_owned(), vec![4])])
}

#[test]
fn adam_is_pytorchs() {
    let (layout, steps, rate) = (layout(), 7, 0.03);
    let (reward, starts) = (bowl(&layout), normals(&Streams::new(2), 2 * layout.len()));
    let rule = Rule::Adam { betas: [0.8, 0.95] };
    let found = Ascent { rule, rate }.run(&layout, &starts, steps, &reward, &Streams::new(3)).unwrap();
    let mut stepper = Stepper::of_numbers(Optimiser::Adam { betas: [0.8, 0.95], epsilon: 1e-8 }, 0.0, starts.len());
    let mut theta = starts;
    for s in 0..steps {
        let downhill: Vec<f32> =
            reward.grade(&theta, &Streams::new(0)).unwrap().gradients.into_iter().map(|g| -g).collect();
        let share = 0.5 + 0.5 * (std::f64::consts::PI * s as f64 / steps as f64).cos();
        stepper.step(&mut theta, &downhill, rate * share);
    }
    assert!(found.iter().zip(&theta).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {theta:?}");
}

#[test]
fn muons_first_update_is_the_orthogonal_factor_with_the_root_mean_square_of_adams() {
    let slot = layout().slots()[0].clone();
    let gradient = normals(&Streams::new(4), 24);
    let rule = Rule::Muon { momentum: 0.9 };
    let update = Moments::new(rule, &slot).update(rule, &gradient, None, 0).unwrap();
    let svd = MatRef::from_row_major_slice(&gradient, 4, 6).thin_svd().unwrap();
    let factor = svd.U() * svd.V().transpose();
    let square = update.iter().map(|u| f64::from(u * u)).sum::<f64>() / 24.0;
    assert!((square.sqrt() - 0.2).abs() < 1e-3, "{square}");
    for (k, u) in update.iter().enumerate() {
        let truth = 0.2 * 6f32.sqrt() * factor[(k / 6, k % 6)];
        assert!((u - truth).abs() < 2e-3, "{k}: {u} {truth}");
    }
}

/// SOAP's first update is Adam's; the bases that it leaves make its factors diagonal; and along axes, where they are so from the start, it stays Adam.
#[test]
fn soap_is_adam_at_first_and_along_axes_and_its_bases_are_those_of_the_factors() {
    let (rule, adam) = (Rule::Soap { momentum: 0.9 }, Rule::Adam { betas: [0.9, SECOND] });
    let slot = layout().slots()[0].clone();
    let gradient = normals(&Streams::new(10), 24);
    let mut moments = Moments::new(rule, &slot);
    let first = moments.update(rule, &gradient, None, 0).unwrap();
    assert_eq!(first, Moments::new(adam, &slot).update(adam, &gradient, None, 0).unwrap());
    let g = MatRef::from_row_major_slice(&gradient, 4, 6);
    for (factor, square) in moments.sides.iter().flatten().zip([g * g.transpose(), g.transpose() * g]) {
        let turned = factor.basis.transpose() * &square * &factor.basis;
        for i in 0..turned.nrows() {
            for j in 0..turned.ncols() {
                assert!(i == j || turned[(i, j)].abs() < 1e-4, "{i} {j}: {}", turned[(i, j)]);
            }
        }
    }
    // One number a row and a column, all of other sizes.
    let along: Vec<Vec<f32>> = (0..3)
        .map(|s| (0..24).map(|k| if k / 6 == k % 6 { (1.0 + s as f32) * (k / 6 + 1) as f32 } else { 0.0 }).collect())
        .collect();
    let [mut soap, mut plain] = [rule, adam].map(|rule| Moments::new(rule, &slot));
    for (s, g) in along.iter().enumerate() {
        let (found, truth) = (soap.update(rule, g, None, s).unwrap(), plain.update(adam, g, None, s).unwrap());
        assert!(found.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-4), "{s}: {found:?} {truth:?}");
    }
}

#[test]
fn every_rule_ascends_and_a_rate_of_nothing_is_refused() {
    let layout = layout();
    let (reward, starts) = (bowl(&layout), normals(&Streams::new(2), layout.len()));
    let far = |x: &[f32]| x.iter().zip(&reward.target).map(|(x, t)| f64::from((x - t).powi(2))).sum::<f64>();
    for rule in [Rule::Adam { betas: [0.9, 0.99] }, Rule::Muon { momentum: 0.9 }, Rule::Soap { momentum: 0.9 }] {
        let of = |rate| Ascent { rule, rate }.run(&layout, &starts, 60, &reward, &Streams::new(3));
        assert!(far(&of(0.5).unwrap()) < 0.1 * far(&starts), "{rule:?}");
        assert!(of(0.0).is_err() && of(f64::NAN).is_err());
    }
}

/// On inputs that are not correlated but of different lengths FOOF takes the lengths out of the gradient; without inputs it is Adam.
#[test]
fn foof_takes_the_second_moment_of_the_inputs_out() {
    let slot = layout().slots()[0].clone();
    let (rule, gradient) = (Rule::Foof { momentum: 0.9, damping: 0.1 }, normals(&Streams::new(4), 24));
    // A diagonal second moment (1, 4, 9, …)/6, whose mean is 91/36.
    let inputs: Vec<f32> = (0..36).map(|k| if k / 6 == k % 6 { 1.0 + (k % 6) as f32 } else { 0.0 }).collect();
    let found = Moments::new(rule, &slot).update(rule, &gradient, Some(&inputs), 0).unwrap();
    let truth: Vec<f32> = gradient
        .iter()
        .enumerate()
        .map(|(k, g)| g / ((1.0 + (k % 6) as f32).powi(2) / 6.0 + 0.1 * 91.0 / 36.0))
        .collect();
    let square = truth.iter().map(|v| v * v).sum::<f32>() / 24.0;
    for (found, truth) in found.iter().zip(&truth) {
        assert!((found - 0.2 * truth / square.sqrt()).abs() < 1e-3, "{found} {truth}");
    }
    let plain = Moments::new(rule, &slot).update(rule, &gradient, None, 0).unwrap();
    let adam = Rule::Adam { betas: [0.9, SECOND] };
    assert_eq!(plain, Moments::new(adam, &slot).update(adam, &gradient, None, 0).unwrap());
}
