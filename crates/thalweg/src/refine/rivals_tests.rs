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
    let found = Descent { rule, rate }.run(&layout, &starts, steps, &reward, &Streams::new(3)).unwrap();
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
    let update = Moments::new(rule, &slot).update(rule, &gradient, 0).unwrap();
    let svd = MatRef::from_row_major_slice(&gradient, 4, 6).thin_svd().unwrap();
    let factor = svd.U() * svd.V().transpose();
    let square = update.iter().map(|u| f64::from(u * u)).sum::<f64>() / 24.0;
    assert!((square.sqrt() - 0.2).abs() < 1e-3, "{square}");
    for (k, u) in update.iter().enumerate() {
        let truth = 0.2 * 6f32.sqrt() * factor[(k / 6, k % 6)];
        assert!((u - truth).abs() < 2e-3, "{k}: {u} {truth}");
    }
}

/// What SOAP does is turned with the matrix, whatever the rotation of its rows; and it is Adam where the factors are diagonal already.
#[test]
fn soap_turns_with_its_matrix_and_is_adam_along_axes() {
    let rule = Rule::Soap { momentum: 0.9 };
    let course = |slot: &Slot, gradients: &[Vec<f32>]| {
        let mut moments = Moments::new(rule, slot);
        gradients.iter().enumerate().map(|(s, g)| moments.update(rule, g, s).unwrap()).collect::<Vec<_>>()
    };
    // Square, so that no eigenvector is free to choose.
    let square = Layout::of_tensors([("w".to_owned(), vec![4, 4])]).slots()[0].clone();
    let gradients: Vec<Vec<f32>> = (0..3).map(|s| normals(&Streams::new(10 + s), 16)).collect();
    let turn = MatRef::from_row_major_slice(&normals(&Streams::new(5), 16), 4, 4).thin_svd().unwrap().U().to_owned();
    let turned = |x: &[f32]| flat(&(&turn * MatRef::from_row_major_slice(x, 4, 4)));
    let after = course(&square, &gradients.iter().map(|g| turned(g)).collect::<Vec<_>>());
    for (plain, after) in course(&square, &gradients).iter().zip(&after) {
        for (a, b) in turned(plain).iter().zip(after) {
            assert!((a - b).abs() < 5e-3, "{a} {b}");
        }
    }
    let slot = layout().slots()[0].clone();
    // One number a row and a column, all of other sizes.
    let along: Vec<Vec<f32>> = (0..3)
        .map(|s| (0..24).map(|k| if k / 6 == k % 6 { (1.0 + s as f32) * (k / 6 + 1) as f32 } else { 0.0 }).collect())
        .collect();
    let adam = Rule::Adam { betas: [0.9, SECOND] };
    let mut moments = Moments::new(adam, &slot);
    for (s, (g, found)) in along.iter().zip(course(&slot, &along)).enumerate() {
        let truth = moments.update(adam, g, s).unwrap();
        assert!(found.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {truth:?}");
    }
}

#[test]
fn every_rule_descends_and_a_rate_of_nothing_is_refused() {
    let layout = layout();
    let (reward, starts) = (bowl(&layout), normals(&Streams::new(2), layout.len()));
    let far = |x: &[f32]| x.iter().zip(&reward.target).map(|(x, t)| f64::from((x - t).powi(2))).sum::<f64>();
    for rule in [Rule::Adam { betas: [0.9, 0.99] }, Rule::Muon { momentum: 0.9 }, Rule::Soap { momentum: 0.9 }] {
        let of = |rate| Descent { rule, rate }.run(&layout, &starts, 60, &reward, &Streams::new(3));
        assert!(far(&of(0.5).unwrap()) < 0.1 * far(&starts), "{rule:?}");
        assert!(of(0.0).is_err() && of(f64::NAN).is_err());
    }
}
