//! A path of one's own, x_t = cos(πt/2) x₀ + sin(πt/2) x₁, whose points keep their variance between independent ends of equal variance; trained by the
//! regression of every flow, its samples have the law of the ends.
use std::f64::consts::FRAC_PI_2;
use thalweg::field::{ResidualMlp, ResidualMlpConfig};
use thalweg::method::{FlowMatching, Method, Scratch, Transport};
use thalweg::path::anchors::Anchors;
use thalweg::path::{Batch, ProbabilityPath};
use thalweg::solver::Solver;
use thalweg::{AdamW, AdamWConfig, Error, Parameters, Result, Streams};
use thalweg_nets::testing::{derivative, moments, normals};

const P: usize = 2;

/// See the file's text.
struct QuarterCircle;

/// x and u at `t`.
fn at(t: f64, [from, to]: [f32; 2]) -> [f64; 2] {
    let ((s, c), [from, to]) = ((FRAC_PI_2 * t).sin_cos(), [from, to].map(f64::from));
    [c * from + s * to, FRAC_PI_2 * (c * to - s * from)]
}

impl ProbabilityPath for QuarterCircle {
    fn batch(&self, anchors: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        use rand::RngExt;
        if anchors.marginals() != 2 {
            return Err(Error::shape("anchors of a curve", 2, anchors.marginals()));
        }
        let mut batch = Batch { x: vec![], t: vec![], u: vec![], c, scores: None };
        for i in 0..anchors.curves() {
            let t: f64 = streams.index(i as u64).rng().random();
            batch.t.push(t as f32);
            for (from, to) in anchors.point(0, i).iter().zip(anchors.point(1, i)) {
                let [x, u] = at(t, [*from, *to]);
                batch.x.push(x as f32);
                batch.u.push(u as f32);
            }
        }
        Ok(batch)
    }
}

#[test]
fn a_path_of_ones_own_is_trained_and_its_samples_reach_the_target() {
    for t in [0.1, 0.5, 0.8] {
        let velocity = derivative(t, 1e-4, |t| at(t, [0.7, -1.3])[0]);
        assert!((velocity - at(t, [0.7, -1.3])[1]).abs() < 1e-6, "u is the velocity of x");
    }
    let (mean, deviation) = ([1.0, -0.5], 0.5);
    let config = ResidualMlpConfig { width: 48, blocks: 1, ..ResidualMlpConfig::default() };
    let field = ResidualMlp::new(P, &config, &Streams::new(1)).unwrap();
    let mut method = FlowMatching::new(QuarterCircle, Box::new(field), false);
    let (steps, rows) = (1000, 256);
    let adam = AdamWConfig { learning_rate: 3e-3, weight_decay: 0.0, ..AdamWConfig::default() };
    let mut adam = AdamW::new(&adam, steps, method.parameters()).unwrap();
    let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
    for step in 0..steps {
        let streams = Streams::new(2).index(step);
        let mut curves = normals(&streams.child("ends"), 2 * rows * P);
        curves[rows * P..].iter_mut().enumerate().for_each(|(i, x)| *x = mean[i % P] + deviation * *x);
        let batch = method.batch(&Anchors::dense(&curves, 2, P).unwrap(), None, &streams).unwrap();
        method.loss(&batch, &mut scratch, Some(&mut gradient));
        adam.step(method.parameters_mut(), &gradient).unwrap();
    }
    method.parameters_mut().copy_from_slice(adam.average());
    let mut x = normals(&Streams::new(3), 3000 * P);
    let how = Transport { solver: Solver::Heun, steps: 50, at: vec![0.5] };
    let states = method.transport(&mut x, None, &how, &[]).unwrap().states;
    // At t = ½ both weights are √½: mean √½ m, variance ½ (1 + s²). Stated error: .08 in means, 15 % in variances.
    let half = 0.5f64.sqrt();
    let s2 = f64::from(deviation).powi(2);
    for (points, share, variance) in [(&states, half, 0.5 * (1.0 + s2)), (&x, 1.0, s2)] {
        let (means, covariance) = moments(points, P);
        for k in 0..P {
            assert!((means[k] - share * f64::from(mean[k])).abs() < 0.08, "{share}: {means:?}");
            assert!((covariance[k * (P + 1)] / variance - 1.0).abs() < 0.15, "{share}: {covariance:?}");
        }
    }
    // Noise needs the score, which a path of one's own does not have.
    let noisy = Transport { solver: Solver::EulerMaruyama { noise: 1.0 }, steps: 5, at: vec![] };
    assert!(method.transport(&mut [0.0; P], None, &noisy, &[Streams::new(0)]).is_err());
}
