//! NM-CFM against the closed form for Gaussians (M4): the marginal velocity, and the law of the samples by ODE and by SDE.
use super::*;
use crate::field::{ResidualMlp, ResidualMlpConfig};
use crate::method::Method;
use crate::nn::optimiser::{AdamW, AdamWConfig};
use crate::nn::parameters::Parameters;
use rand::RngExt;
use rand_distr::StandardNormal;
use thalweg_nets::testing::{gradient_error, moments, normals};

const MEAN: [f64; 3] = [1.0, -2.0, 0.5];
const SPREAD: f64 = 0.5;
const P: usize = 3;

/// A field trained from N(0, I) to N(m, s² I), independently coupled.
fn trained() -> FlowMatching {
    let config = ResidualMlpConfig { width: 48, blocks: 1, ..ResidualMlpConfig::default() };
    let field = ResidualMlp::new(P, &config, &Streams::new(1)).unwrap();
    let cfm = CfmConfig { coupling: Coupling::Independent, source: SourceKind::Gaussian, ..CfmConfig::default() };
    let mut method = cfm.build(&[0.0, 1.0], Box::new(field)).unwrap();
    let (steps, rows) = (1500, 256);
    let optimiser = AdamWConfig { learning_rate: 3e-3, weight_decay: 0.0, ..AdamWConfig::default() };
    let mut optimiser = AdamW::new(&optimiser, steps, method.parameters()).unwrap();
    let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
    for step in 0..steps {
        let streams = Streams::new(2).index(step);
        let mut curves = normals(&streams.child("curves"), 2 * rows * P);
        for (i, x) in curves[rows * P..].iter_mut().enumerate() {
            *x = (MEAN[i % P] + SPREAD * f64::from(*x)) as f32;
        }
        let batch = method.batch(&Anchors::dense(&curves, 2, P).unwrap(), None, &streams.child("path")).unwrap();
        method.loss(&batch, &mut scratch, Some(&mut gradient));
        optimiser.step(method.parameters_mut(), &gradient).unwrap();
    }
    method.parameters_mut().copy_from_slice(optimiser.average());
    method
}

/// v*(x, t) = m + ((t s² − (1 − t)) / ((1 − t)² + t² s²)) (x − t m).
fn exact(x: &[f32], t: f64) -> Vec<f64> {
    let slope = (t * SPREAD * SPREAD - (1.0 - t)) / ((1.0 - t).powi(2) + (t * SPREAD).powi(2));
    x.iter().enumerate().map(|(i, &x)| MEAN[i % P] + slope * (f64::from(x) - t * MEAN[i % P])).collect()
}

#[test]
fn a_trained_field_reaches_the_closed_form_and_its_samples_the_target() {
    let method = trained();
    for t in [0.05f64, 0.25, 0.5, 0.75, 0.95] {
        // Points of the marginal p_t = N(t m, ((1 − t)² + t² s²) I).
        let deviation = ((1.0 - t).powi(2) + (t * SPREAD).powi(2)).sqrt();
        let mut x = normals(&Streams::new(3), 500 * P);
        x.iter_mut().enumerate().for_each(|(i, x)| *x = (t * MEAN[i % P] + deviation * f64::from(*x)) as f32);
        let mut v = vec![0.0; x.len()];
        method.field().velocity(&x, &[t as f32; 500], None, &mut v, &mut Scratch::default().tape);
        let exact = exact(&x, t);
        let error: f64 =
            v.iter().zip(&exact).map(|(v, e)| (f64::from(*v) - e).powi(2)).sum::<f64>() / exact.len() as f64;
        // The stated error: 0.1 in root mean square, where velocities are about 1.5.
        assert!(error.sqrt() < 0.1, "t = {t}: root mean square error {}", error.sqrt());
    }
    for solver in [Solver::Heun, Solver::EulerMaruyama { noise: 1.0 }] {
        let mut x = normals(&Streams::new(4), 3000 * P);
        let streams: Vec<Streams> = (0..3000).map(|i| Streams::new(5).index(i)).collect();
        let how = Transport { solver, steps: 100, at: vec![0.5] };
        let solution = method.transport(&mut x, None, &how, &streams).unwrap();
        let middle = 0.25 + 0.25 * SPREAD * SPREAD;
        for (points, t, variance) in [(&solution.states, 0.5, middle), (&x, 1.0, SPREAD * SPREAD)] {
            let (means, covariance) = moments(points, P);
            for k in 0..P {
                let (mean, found) = (means[k], covariance[k * (P + 1)]);
                assert!((mean - t * MEAN[k]).abs() < 0.06, "{solver:?} t = {t}: mean {mean} of {}", t * MEAN[k]);
                assert!((found / variance - 1.0).abs() < 0.15, "{solver:?} t = {t}: variance {found} of {variance}");
            }
        }
    }
}

#[test]
fn the_loss_and_its_gradient_agree_by_finite_differences() {
    let field = ResidualMlp::new(P, &ResidualMlpConfig { width: 8, ..Default::default() }, &Streams::new(6)).unwrap();
    let mut method = CfmConfig::default().build(&[0.0, 1.0], Box::new(field)).unwrap();
    let mut rng = Streams::new(7).rng();
    method.parameters_mut().iter_mut().for_each(|p| *p += 0.3 * rng.sample::<f32, _>(StandardNormal));
    let curves = normals(&Streams::new(8), 20 * P);
    let batch = method.batch(&Anchors::dense(&curves, 2, P).unwrap(), None, &Streams::new(9)).unwrap();
    let (mut scratch, mut gradient) = (Scratch::default(), vec![0.0; method.parameters().len()]);
    let loss = method.loss(&batch, &mut scratch, Some(&mut gradient));
    let own = method.parameters().to_vec();
    let error = gradient_error(&own, &gradient, 1e-4, |q| {
        method.parameters_mut().copy_from_slice(q);
        method.loss(&batch, &mut scratch, None)
    });
    assert!(loss > 0.0 && error < 0.02, "{error}");
}

#[test]
fn noise_is_refused_where_the_score_is_not_known() {
    let field = ResidualMlp::new(P, &ResidualMlpConfig::default(), &Streams::new(6)).unwrap();
    let method = CfmConfig::default().build(&[0.0, 1.0], Box::new(field)).unwrap();
    let how = Transport { solver: Solver::EulerMaruyama { noise: 1.0 }, steps: 10, at: vec![] };
    let message = method.transport(&mut [0.0; P], None, &how, &[Streams::new(0)]).unwrap_err().to_string();
    assert!(message.contains("source gaussian"), "{message}");
}

#[test]
fn a_narrow_source_is_gaussian_and_has_no_score() {
    let narrow = |source, source_deviation, source_points| CfmConfig {
        coupling: Coupling::Independent,
        source,
        source_deviation,
        source_points,
        ..CfmConfig::default()
    };
    for (config, told) in [
        (narrow(SourceKind::Zoo, 0.1, 0), "method.cfm.source"),
        (narrow(SourceKind::Zoo, 1.0, 5), "method.cfm.source"),
        (narrow(SourceKind::Gaussian, 0.0, 0), "method.cfm.source-deviation"),
        (narrow(SourceKind::Gaussian, f64::NAN, 0), "method.cfm.source-deviation"),
    ] {
        let message = MethodParameters::check(&config).unwrap_err().to_string();
        assert!(message.contains(told), "{message}");
    }
    let config = narrow(SourceKind::Gaussian, 0.1, 5);
    MethodParameters::check(&config).unwrap();
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<CfmConfig>(&text).unwrap(), config);
    assert!(!toml::to_string(&CfmConfig::default()).unwrap().contains("source-"), "as older versions read them");
    let field = || Box::new(ResidualMlp::new(P, &ResidualMlpConfig::default(), &Streams::new(1)).unwrap());
    let scored = |config: &CfmConfig| config.build(&[0.0, 1.0], field()).unwrap().has_score;
    assert!(scored(&narrow(SourceKind::Gaussian, 1.0, 0)) && !scored(&config));
}
