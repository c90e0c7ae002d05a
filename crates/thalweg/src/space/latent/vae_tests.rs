//! The VAE against what is known in closed form (probabilistic principal components), against PCA on a curve, and its promises.
use super::*;
use crate::nn::optimiser::AdamWConfig;
use crate::nn::parameters::Parameters;
use crate::space::latent::Checkpointing;
use crate::space::latent::{Autoencoder, Decoder, DenoisingConfig, LatentConfig, Pca, PcaConfig, StackConfig};
use rand::RngExt;
use rand_distr::StandardNormal;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::{StopAfter, moments, normals, partial};

fn plain(p: usize) -> Layout {
    Layout::of_tensors([("w".to_string(), vec![p])])
}

fn task<'a>(layout: &'a Layout, points: &'a [f32], held_out: &'a [f32], streams: &'a Streams) -> LatentTask<'a> {
    LatentTask { layout, points, held_out, functional: None, streams, saving: None, progress: &Silent }
}

fn training(steps: u64, batch: usize, learning_rate: f64) -> TrainingConfig {
    let optimiser = AdamWConfig { learning_rate, weight_decay: 0.0, ..AdamWConfig::default() };
    TrainingConfig { steps, batch, optimiser, ..TrainingConfig::default() }
}

/// n points of N(0, diag(λ)).
fn gaussian(n: usize, deviations: &[f32], seed: u64) -> Vec<f32> {
    let z = normals(&Streams::new(seed), n * deviations.len());
    z.iter().zip(deviations.iter().cycle()).map(|(z, s)| s * z).collect()
}

#[test]
fn a_linear_vae_reaches_the_evidence_of_probabilistic_principal_components() {
    // Tipping & Bishop 1999: with noise of variance s² the best evidence of D latents has covariance eigenvalues c_k = max(λ_k, s²) for the
    // first D and s² for the rest; a linear encoder makes the bound tight. In the loss's units, s² = β P/(2 D), that is
    // (s²/P) Σ_k [ln(c_k/s²) + λ_k/c_k].
    let (p, d, beta) = (12, 3, 0.08);
    let deviations: Vec<f32> = (0..p).map(|k| [2.0, 1.2, 0.35].get(k).copied().unwrap_or(0.2)).collect();
    let (points, held_out) = (gaussian(4000, &deviations, 1), gaussian(4000, &deviations, 2));
    let s2 = beta * p as f64 / (2.0 * d as f64);
    let term = |k: usize| {
        let lambda = f64::from(deviations[k]).powi(2);
        let c = if k < d { lambda.max(s2) } else { s2 };
        (c / s2).ln() + lambda / c
    };
    let truth = s2 / p as f64 * (0..p).map(term).sum::<f64>();
    let coder = CoderConfig::Mlp(StackConfig { width: 16, blocks: 0 });
    let config = VaeConfig { dimension: d, beta, noise: 0.0, coder, training: training(1500, 128, 5e-3) };
    let (net, trained) = config.fit(&task(&plain(p), &points, &held_out, &Streams::new(3))).unwrap();
    // The bound at its optimum, by one draw of the noise for each held-out point looked at.
    let found = trained.best_loss.unwrap();
    assert!((found / truth - 1.0).abs() < 0.05, "{found}, in closed form {truth}");
    // The third direction varies by less than s²: no latent is spent on it.
    assert!(s2 > 0.35 * 0.35 && s2 < 1.2 * 1.2);
    let mut scales = net.scales().to_vec();
    scales.sort_by(f32::total_cmp);
    assert!(scales[0] < 0.1 && scales[1] > 0.5, "{scales:?}");
}

/// Points on a curve that no plane of few dimensions holds.
fn curve(n: usize, p: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).rng();
    let mut points = Vec::new();
    for _ in 0..n {
        let t: f32 = rng.random_range(-1.5..1.5);
        points.extend((0..p).map(|i| {
            ((1.0 + 0.25 * i as f32) * t + i as f32).sin() * 1.4 + 0.02 * rng.sample::<f32, _>(StandardNormal)
        }));
    }
    points
}

#[test]
fn on_a_curve_two_learned_latents_beat_two_principal_components() {
    let (p, layout) = (10, plain(10));
    let (points, held_out) = (curve(600, p, 1), curve(200, p, 2));
    let unseen = crate::space::points::Held::new(&held_out, p).unwrap();
    let error = |a: &dyn Autoencoder| crate::space::latent::config::squared_error(a, &unseen).unwrap().unwrap();
    let pca = Pca::fit(&PcaConfig::of(2), &points, p).unwrap();
    let coder = CoderConfig::Mlp(StackConfig { width: 48, blocks: 2 });
    let vae =
        VaeConfig { dimension: 2, beta: 1e-3, noise: 0.0, coder: coder.clone(), training: training(1500, 64, 3e-3) };
    let denoising =
        DenoisingConfig { dimension: 2, coder, training: training(1500, 64, 3e-3), ..DenoisingConfig::default() };
    let streams = Streams::new(5);
    for config in [LatentConfig::Vae(vae), LatentConfig::Denoising(denoising)] {
        let (net, record) = config.fit(&task(&layout, &points, &held_out, &streams)).unwrap();
        let (learned, linear) = (error(&*net), error(&pca));
        assert!(learned < 0.3 * linear, "{}: {learned}, principal components {linear}", config.name());
        assert_eq!((record.error_held_out, record.points), (Some(learned), 600));
        // Latents are normalised on what it was trained on.
        let y = net.encode(&points);
        let (mean, covariance) = moments(&y, 2);
        for k in 0..2 {
            assert!(mean[k].abs() < 1e-3 && (covariance[3 * k] - 1.0).abs() < 1e-3, "{mean:?} {covariance:?}");
        }
        // A row's bytes do not depend on its company; gradients pull back as differences say.
        assert_eq!(net.encode(&points[3 * p..4 * p]), y[6..8]);
        assert_eq!(net.decode(&y[6..8]), net.decode(&y[..40])[3 * p..4 * p]);
        let dz: Vec<f32> = (0..2 * p).map(|i| (i as f32).sin()).collect();
        let dy = net.pull_back(&y[..4], &[], dz.clone());
        for k in 0..4 {
            let along = |y: &[f32]| net.decode(y).iter().zip(&dz).map(|(z, d)| f64::from(z * d)).sum();
            let slope = partial(&y[..4], k, 2e-3, along);
            assert!((slope - f64::from(dy[k])).abs() < 0.02 * (1.0 + slope.abs()), "{k}: {slope} {}", dy[k]);
        }
    }
}

#[test]
fn the_same_bytes_on_any_number_of_threads_and_a_stop_where_one_is_asked_for() {
    let (layout, points) = (plain(300), gaussian(50, &[1.0; 300], 1));
    let (streams, config) = (Streams::new(2), VaeConfig { training: training(12, 33, 1e-3), ..VaeConfig::default() });
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (net, _) = config.fit(&task(&layout, &points, &points[..3000], &streams)).unwrap();
            (net.parameters().to_vec(), net.decode(&net.encode(&points)))
        })
    };
    assert!(run(1) == run(2));
    let (dir, stop) = (tempfile::tempdir().unwrap(), StopAfter::new(5));
    let path = dir.path().join("state");
    let saving = Checkpointing { path: &path, identity: "this one", every: 0, last: true, resume: true };
    let task = LatentTask { saving: Some(saving), ..task(&layout, &points, &points[..3000], &streams) };
    assert!(matches!(config.fit(&LatentTask { progress: &stop, ..task }), Err(Error::Interrupted)));
    // The first goes on from the fifth step, the second finds it finished.
    for _ in 0..2 {
        assert!(config.fit(&task).unwrap().0.parameters() == run(1).0);
    }
    let other = LatentTask { saving: Some(Checkpointing { identity: "another", ..saving }), ..task };
    assert!(config.fit(&other).err().unwrap().to_string().contains("state"));
}

#[test]
fn held_out_points_choose_and_nonsense_is_refused() {
    // Pure noise in many dimensions: whatever is learned of 20 points is wrong for others, so an early step is kept.
    let (layout, points) = (plain(200), gaussian(20, &[1.0; 200], 1));
    let held_out = gaussian(30, &[1.0; 200], 2);
    let config = VaeConfig { beta: 1e-3, training: training(240, 20, 3e-3), ..VaeConfig::default() };
    let streams = Streams::new(3);
    let (_, chosen) = config.fit(&task(&layout, &points, &held_out, &streams)).unwrap();
    assert!(chosen.best_step < 200, "{chosen:?}");
    let (_, last) = config.fit(&task(&layout, &points, &[], &streams)).unwrap();
    assert_eq!((last.best_step, last.best_loss), (240, None));

    let said = |text: &str| {
        let config: Result<LatentConfig, _> = toml::from_str(text);
        config.map_or_else(|e| e.to_string(), |config| config.check().unwrap_err().to_string())
    };
    for (text, name) in [
        ("[vae]\nbeta = -1.0", "latent.vae.beta"),
        ("[vae]\ndimension = 0", "latent.vae.dimension"),
        ("[vae]\ntraining = { batch = 0 }", "latent.vae.training.batch"),
        ("[vae]\ntraining = { optimiser = { epsilon = 0.0 } }", "latent.vae.training.optimiser.epsilon"),
        ("[vae]\ncoder = { mlp = { width = 0 } }", "latent.vae.coder.mlp.width"),
        ("[denoising]\nlatent-noise = -0.1", "latent.denoising.latent-noise"),
        ("[vae]\nbetta = 1.0", "betta"),
    ] {
        assert!(said(text).contains(name), "{}", said(text));
    }
}
