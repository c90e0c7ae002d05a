//! Methods in a latent space: every autoencoder learns more than the mean, and comes back from the disk with what was fitted in it.
#![allow(clippy::unwrap_used)]
mod common;

use common::{config, zoo};
use thalweg::coupling::Coupling;
use thalweg::field::feature_potential::FeatureConfig;
use thalweg::fit::{FitOptions, fit};
use thalweg::method::jko::PotentialConfig;
use thalweg::method::{CfmConfig, JkoConfig, MethodConfig, MmfmConfig};
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FitConfig, MetaModel};
use thalweg::space::latent::{DenoisingConfig, FunctionalConfig, LatentConfig, PcaConfig, TrainingConfig, VaeConfig};
use thalweg::space::source::SourceKind;
use thalweg::{AdamWConfig, Error, Streams};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::{StopAfter, normals};
use thalweg_nets::zoo::ZooStore;

fn quick(zoo: &ZooStore, config: &FitConfig) -> MetaModel {
    fit(zoo, config, &FitOptions::default(), &Silent).unwrap()
}

/// Means of the columns of `z [n, p]`.
fn column_means(z: &[f32], p: usize) -> Vec<f64> {
    let n = z.len() / p;
    let mut mean = vec![0.0; p];
    z.iter().enumerate().for_each(|(i, z)| mean[i % p] += f64::from(*z) / n as f64);
    mean
}

#[test]
fn methods_run_in_a_latent_space_and_come_back_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 30, &dir.path().join("zoo"));
    let features = PotentialConfig::Features(FeatureConfig::default());
    let jko = |internal_energy| {
        let potential = features.clone();
        MethodConfig::Jko(JkoConfig { steps: 3, internal_energy, noise: 0.0, potential, ..JkoConfig::default() })
    };
    let gaussian = CfmConfig { coupling: Coupling::Independent, source: SourceKind::Gaussian, ..CfmConfig::default() };
    for method in [MethodConfig::default(), MethodConfig::Cfm(gaussian), jko(false), jko(true)] {
        let latent = Some(LatentConfig::Pca(PcaConfig::of(4)));
        let model = quick(&zoo, &FitConfig { method, latent, ..config() });
        assert_eq!(model.latent.as_ref().unwrap().scales().len(), 4);
        model.save(&dir.path().join("model"), true).unwrap();
        let loaded = MetaModel::load(&dir.path().join("model")).unwrap();
        let request = SampleRequest { at: vec![0.0, 0.5], ..SampleRequest::new(35, 2) };
        let (a, b) = (model.sample(&request).unwrap(), loaded.sample(&request).unwrap());
        assert_eq!((a.theta.len(), &a.theta, &a.states), (35 * zoo.parameters(), &b.theta, &b.states));
        let few = loaded.sample(&SampleRequest { n: 3, ..request }).unwrap();
        assert_eq!(few.theta, a.theta[..3 * zoo.parameters()]);
    }
    // Learned ones: any method, with a functional term, and with a network that is decoded as it was before it went to disk.
    let functional = FunctionalConfig { weight: 0.1, rows: 16, ..FunctionalConfig::default() };
    let optimiser = AdamWConfig { learning_rate: 3e-3, ..AdamWConfig::default() };
    let training = TrainingConfig { steps: 120, batch: 16, optimiser, functional, ..TrainingConfig::default() };
    let vae = VaeConfig { dimension: 4, training: training.clone(), ..VaeConfig::default() };
    let denoising = DenoisingConfig { dimension: 4, training, ..DenoisingConfig::default() };
    let mmfm = MethodConfig::Mmfm(MmfmConfig { marginals: 2, ..MmfmConfig::default() });
    for (method, latent) in [
        (MethodConfig::default(), LatentConfig::Vae(vae.clone())),
        (jko(false), LatentConfig::Vae(vae.clone())),
        (mmfm, LatentConfig::Denoising(denoising.clone())),
        (MethodConfig::named("ddpm").unwrap(), LatentConfig::Denoising(denoising)),
    ] {
        let model = quick(&zoo, &FitConfig { method, latent: Some(latent.clone()), ..config() });
        let record = model.record.latent.clone().unwrap();
        let split = model.config.split.of(&zoo).unwrap();
        let points = |runs: &[usize]| {
            let items: Vec<_> =
                runs.iter().flat_map(|&run| record.checkpoints.iter().map(move |&k| (run, k))).collect();
            let mut z = vec![0.0; items.len() * zoo.parameters()];
            zoo.gather(&items, &mut z).unwrap();
            model.coordinates.standardise(&mut z);
            z
        };
        let (learned, others) = (points(&split.train), points(&split.validation));
        // What the record says of both is so, and what was learned from is told better than by its mean, whose error is 1.
        let autoencoder = model.latent.as_ref().unwrap();
        let error = [&learned, &others].map(|z| {
            let back = autoencoder.decode(&autoencoder.encode(z));
            z.iter().zip(&back).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / z.len() as f64
        });
        let told = [record.error, record.error_held_out.unwrap()];
        assert!((0..2).all(|i| (told[i] / error[i] - 1.0).abs() < 1e-5), "{told:?} {error:?}");
        let mean = column_means(&learned, zoo.parameters());
        let of_mean = learned.iter().enumerate().map(|(i, z)| (f64::from(*z) - mean[i % mean.len()]).powi(2));
        let of_mean = of_mean.sum::<f64>() / learned.len() as f64;
        assert!(error[0] < 0.95 * of_mean, "{error:?}, of the mean {of_mean}: {latent:?}");
        assert!(record.best_step > 0 && model.record.seconds > record.seconds);
        model.save(&dir.path().join("model"), true).unwrap();
        let loaded = MetaModel::load(&dir.path().join("model")).unwrap();
        assert_eq!(
            (&loaded.record.latent, loaded.latent.as_ref().unwrap().parameters()),
            (&model.record.latent, model.latent.as_ref().unwrap().parameters())
        );
        let request = SampleRequest::new(35, 2);
        assert_eq!(model.sample(&request).unwrap().theta, loaded.sample(&request).unwrap().theta);
    }
    // An interruption while the autoencoder is trained is one of the fit.
    let learned = FitConfig { latent: Some(LatentConfig::Vae(vae)), ..config() };
    let stopped = fit(&zoo, &learned, &FitOptions::default(), &StopAfter::new(7));
    assert!(matches!(stopped, Err(Error::Interrupted)));
    // In weight space there are too many features for a closed form.
    let message = fit(&zoo, &FitConfig { method: jko(false), ..config() }, &FitOptions::default(), &Silent);
    assert!(message.err().unwrap().to_string().contains("latent"));
}

/// Noise in the place of what the components leave out: as long as the residual of unseen runs, hardly felt, the same from the disk and for few networks.
#[test]
fn residual_noise_has_the_length_of_the_residual_and_is_hardly_felt() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 30, &dir.path().join("zoo"));
    let latent = Some(LatentConfig::Pca(PcaConfig::of(4)));
    let plain = FitConfig { latent, ..config() };
    let noisy = FitConfig { residual_noise: 0.5, ..plain.clone() };
    let (without, with) = (quick(&zoo, &plain), quick(&zoo, &noisy));
    with.save(&dir.path().join("model"), false).unwrap();
    let loaded = MetaModel::load(&dir.path().join("model")).unwrap();
    let request = SampleRequest::new(40, 2);
    let [before, after, again] = [&without, &with, &loaded].map(|model| model.sample(&request).unwrap().theta);
    let p = zoo.parameters();
    assert_eq!((&after, &after[..3 * p]), (&again, &with.sample(&SampleRequest::new(3, 2)).unwrap().theta[..]));
    let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let runs = with.config.split.of(&zoo).unwrap().validation;
    let finals = zoo.finals(&runs).unwrap();
    let residual = square(&finals, &with.space().reconstruct(&finals).0) / runs.len() as f64;
    let noise = square(&before, &after) / 40.0;
    assert!((noise / (0.25 * residual) - 1.0).abs() < 0.15, "{noise} {residual}");
    // Noise of the same length in all directions is felt.
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let test = zoo.data().unwrap().load().unwrap().test;
    let packed = engine.pack(&test.inputs).unwrap();
    let answers = |theta: &[f32]| {
        let logits = engine.logits_of_many(theta, &packed).unwrap();
        let argmax = |z: &[f32]| (0..z.len()).max_by(|a, b| z[*a].total_cmp(&z[*b])).unwrap();
        logits.chunks(engine.classes()).map(argmax).collect::<Vec<_>>()
    };
    let differing = |theta: &[f32]| {
        let (a, b) = (answers(&before), answers(theta));
        a.iter().zip(&b).filter(|(a, b)| a != b).count() as f64 / a.len() as f64
    };
    let (mut isotropic, each) = (before.clone(), (noise / p as f64).sqrt() as f32);
    isotropic.iter_mut().zip(normals(&Streams::new(5), 40 * p)).for_each(|(w, e)| *w += each * e);
    let (felt, all) = (differing(&after), differing(&isotropic));
    assert!(felt < 0.5 * all, "{felt} {all}");
    // Asked to be felt as the residual is, answers change by more, and lengths stay.
    let answering = quick(&zoo, &FitConfig { residual_answers: 1.0, ..noisy.clone() }).sample(&request).unwrap().theta;
    let length = square(&before, &answering) / 40.0;
    assert!((length / noise - 1.0).abs() < 0.1 && differing(&answering) >= felt, "{length} {noise}");
    for wrong in [
        FitConfig { latent: None, ..noisy.clone() },
        FitConfig { residual_noise: -1.0, ..noisy.clone() },
        FitConfig { residual_noise: f64::NAN, ..noisy.clone() },
        FitConfig { residual_noise: 0.0, residual_answers: 1.0, ..noisy.clone() },
        FitConfig { residual_answers: -1.0, ..noisy },
    ] {
        let told = wrong.check().unwrap_err().to_string();
        assert!(told.contains("residual-noise") || told.contains("residual-answers"), "{told}");
    }
}
