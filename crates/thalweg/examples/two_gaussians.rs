//! Flow matching where the answer is known: from N(0, I) to N(m, s² I) in the plane. The samples' means and variances are printed beside m and s².
//!
//! `cargo run --release -p thalweg --example two_gaussians`: two seconds, nothing to fetch.
use thalweg::field::{ResidualMlp, ResidualMlpConfig};
use thalweg::method::{FlowMatching, Method, Scratch, Transport};
use thalweg::path::anchors::Anchors;
use thalweg::{AdamW, AdamWConfig, Parameters, Result, Solver, Streams};
use thalweg_nets::testing::{moments, normals};

/// The target's mean.
pub const MEAN: [f32; 2] = [2.0, -1.0];
/// The target's standard deviation.
pub const SPREAD: f32 = 0.5;

fn main() -> Result<()> {
    let (means, variances) = run(1000, 4000)?;
    println!("mean      {means:.3?}, wanted {MEAN:.3?}");
    println!("variance  {variances:.3?}, wanted {:.3}", SPREAD * SPREAD);
    Ok(())
}

/// Trains for so many steps and draws `n` samples; returns their means and variances.
pub fn run(steps: u64, n: usize) -> Result<([f64; 2], [f64; 2])> {
    let field = ResidualMlpConfig { width: 48, blocks: 1, ..ResidualMlpConfig::default() };
    let field = ResidualMlp::new(2, &field, &Streams::new(1))?;
    let mut method = FlowMatching::from_gaussian(Box::new(field))?;
    let optimiser = AdamWConfig { learning_rate: 3e-3, weight_decay: 0.0, ..AdamWConfig::default() };
    let mut optimiser = AdamW::new(&optimiser, steps, method.parameters())?;
    let (mut scratch, mut gradient, rows) = (Scratch::default(), vec![0.0; method.parameters().len()], 256);
    for step in 0..steps {
        let streams = Streams::new(2).index(step);
        // Curves of two marginals: rows of the source, then as many of the target.
        let mut curves = normals(&streams.child("curves"), 2 * rows * 2);
        curves[rows * 2..].iter_mut().enumerate().for_each(|(i, x)| *x = MEAN[i % 2] + SPREAD * *x);
        let batch = method.batch(&Anchors::dense(&curves, 2, 2)?, None, &streams.child("path"))?;
        method.loss(&batch, &mut scratch, Some(&mut gradient));
        optimiser.step(method.parameters_mut(), &gradient)?;
    }
    method.parameters_mut().copy_from_slice(optimiser.average());
    // Samples: fresh points of the source, carried along dx/dt = v(x, t).
    let mut x = normals(&Streams::new(3), n * 2);
    method.transport(&mut x, None, &Transport { solver: Solver::Heun, steps: 50, at: vec![] }, &[])?;
    let (means, covariance) = moments(&x, 2);
    Ok(([means[0], means[1]], [covariance[0], covariance[3]]))
}
