//! JKO in a double well: points move down V(x) = (x₁² − 1)²/4 + x₂²/2, only their places after each of five steps are seen, and the potential is fitted
//! to them in closed form. Fresh points that follow it end in the wells, as many in each as the true flow takes there.
//!
//! `cargo run --release -p thalweg --example double_well`: under a second, nothing to fetch.
use thalweg::field::FieldConfig;
use thalweg::field::feature_potential::FeatureConfig;
use thalweg::method::jko::PotentialConfig;
use thalweg::method::{JkoConfig, MethodConfig, Transport};
use thalweg::{Error, Result, Solver, Streams};
use thalweg_nets::testing::normals;

/// Steps of the scheme.
const STEPS: usize = 5;

fn main() -> Result<()> {
    let found = run(4000)?;
    println!("in the right-hand well: {:.3}, by the true flow {:.3}", found.right, found.right_true);
    println!("distance to where the true flow ends: {:.3} (root mean square)", found.error);
    Ok(())
}

/// What came out.
pub struct Found {
    /// Share of fresh points that end on the right.
    pub right: f64,
    /// The same by the true potential.
    pub right_true: f64,
    /// Root mean square distance between the two ends of a point.
    pub error: f64,
}

/// One explicit step of length 1/STEPS down the true potential.
fn step(x: &mut [f32]) {
    let tau = 1.0 / STEPS as f32;
    for x in x.chunks_exact_mut(2) {
        (x[0], x[1]) = (x[0] - tau * x[0] * (x[0] * x[0] - 1.0), x[1] - tau * x[1]);
    }
}

/// Points around the origin, a little to the right.
fn start(n: usize, seed: u64) -> Vec<f32> {
    let mut x = normals(&Streams::new(seed), 2 * n);
    x.iter_mut().enumerate().for_each(|(i, x)| *x = 0.6 * *x + if i % 2 == 0 { 0.2 } else { 0.0 });
    x
}

/// Fits to `n` points, and carries as many fresh ones.
pub fn run(n: usize) -> Result<Found> {
    // [STEPS + 1, n, 2]: every marginal, each point in its place.
    let (mut x, mut curves) = (start(n, 1), Vec::new());
    curves.extend(&x);
    for _ in 0..STEPS {
        step(&mut x);
        curves.extend(&x);
    }
    let potential = PotentialConfig::Features(FeatureConfig { fourier: 200, ..FeatureConfig::default() });
    let config = JkoConfig { steps: STEPS, noise: 0.0, time_dependent: false, potential, ..JkoConfig::default() };
    let times: Vec<f64> = (0..=STEPS).map(|k| k as f64 / STEPS as f64).collect();
    let mut method = MethodConfig::Jko(config).build(&times, 2, &FieldConfig::default(), &Streams::new(2))?;
    let Some(solve) = method.closed_form() else {
        return Err(Error::parameter("potential", "features, which are solved in closed form", "a network"));
    };
    solve(&curves)?;

    let fresh = start(n, 3);
    let (mut carried, mut truth) = (fresh.clone(), fresh);
    method.transport(&mut carried, None, &Transport { solver: Solver::Euler, steps: STEPS, at: vec![] }, &[])?;
    (0..STEPS).for_each(|_| step(&mut truth));
    let right = |x: &[f32]| x.iter().step_by(2).filter(|x| **x > 0.0).count() as f64 / n as f64;
    let error = carried.iter().zip(&truth).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / n as f64;
    Ok(Found { right: right(&carried), right_true: right(&truth), error: error.sqrt() })
}
