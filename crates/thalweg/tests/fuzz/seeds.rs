//! Good files to begin with.
use super::common;
use super::envelope::zip;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg::fit::{FitOptions, fit};
use thalweg::judge::{ZooRuns, table, write_rows};
use thalweg::model::FitConfig;
use thalweg::model::sample::SampleRequest;
use thalweg::model::{MetaModel, Split};
use thalweg::reward::{OnData, Rows};
use thalweg::shift::calibration::{Calibration, Request};
use thalweg::shift::disagreement::bank_config::BankConfig;
use thalweg::shift::method::{Config, Parts};
use thalweg::shift::{Base, Method, Reference, Sample};
use thalweg::space::latent::Latents;
use thalweg::tune::{Control, TuneConfig, TuneOptions, tune};
use thalweg::{Error, Result};
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::StopAfter;
use thalweg_nets::zoo::{TrainOptions, ZooStore, train_zoo};

/// Whether something that was asked to stop at once got as far as that: it has read its state.
pub fn stopped<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::Interrupted))
}

/// Folders and files of our own, made once.
pub struct Made {
    /// A fork zoo of eight runs, and where it lies.
    pub zoo: PathBuf,
    /// A zoo that was stopped within its shard.
    pub partial: PathBuf,
    /// A model of weights, and one of latents.
    pub plain: PathBuf,
    pub latent: PathBuf,
    /// States of a fit and of a tuning, each in a folder of its own.
    pub fit_state: PathBuf,
    pub tune_state: PathBuf,
    /// Calibrations of a network and of logits.
    pub calibrations: [PathBuf; 2],
    /// A network by PyTorch's names.
    pub network: Vec<u8>,
    /// A stack of networks with states and all that its header can say.
    pub stack: Vec<u8>,
    /// Latents of them, and rows of a judgement.
    pub latents: PathBuf,
    pub results: PathBuf,
    pub config: FitConfig,
}

/// The fit that [`Made::fit_state`] belongs to.
pub fn run_fit(zoo: &ZooStore, config: &FitConfig, state: &Path, stop: u64) -> Result<MetaModel> {
    let options = FitOptions { state: Some(state.into()), save_every: 0, resume: true, ..FitOptions::default() };
    fit(zoo, config, &options, &StopAfter::new(stop))
}

/// The tuning that [`Made::tune_state`] belongs to.
pub fn run_tune(base: &MetaModel, reward: &OnData, state: &Path, stop: u64) -> Result<MetaModel> {
    let config = TuneConfig {
        control: Control::General { noise: 0.3 },
        iterations: 6,
        steps: 4,
        trajectories: 4,
        validate_every: 2,
        validation_samples: 2,
        validation_steps: 3,
        ..TuneConfig::default()
    };
    let options = TuneOptions { state: Some(state.into()), save_every: 0, resume: true };
    tune(base, reward, Some(reward), &config, &options, &StopAfter::new(stop))
}

/// A reward on a few digits.
pub fn reward(zoo: &ZooStore) -> OnData {
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let rows = DataSpec::named("digits").load().unwrap().train.first(40);
    OnData::loss("digits", &engine, rows.inputs, rows.labels, Rows::Batch(16)).unwrap()
}

/// Goes on with the zoo in `dir`, which was stopped, and is stopped at once.
pub fn go_on(dir: &Path, stop: u64) -> Result<ZooStore> {
    let spec = common::spec("independent", 8);
    train_zoo(&spec, dir, &TrainOptions { resume: true, ..TrainOptions::default() }, &StopAfter::new(stop))
}

impl Made {
    pub fn new(home: &Path) -> Self {
        let dir = |name: &str| home.join("seeds").join(name);
        let (zoo_dir, partial) = (dir("zoo"), dir("partial"));
        let zoo = common::zoo("fork", 8, &zoo_dir);
        assert!(stopped(&go_on(&partial, 4)) && partial.join("shard-00000.partial").exists());
        let config = FitConfig { steps: 2, ..common::config() };
        let (plain, latent) = (dir("model"), dir("latent"));
        let base = fit(&zoo, &config, &FitOptions::default(), &Silent).unwrap();
        base.save(&plain, false).unwrap();
        let of_latent = format!("{}\n[latent.pca]\ndimension = 2\n", toml::to_string(&config).unwrap());
        let of_latent = FitConfig::from_toml_str(Path::new("latent"), &of_latent).unwrap();
        fit(&zoo, &of_latent, &FitOptions::default(), &Silent).unwrap().save(&latent, false).unwrap();
        let (fit_state, tune_state) = (dir("fit-state"), dir("tune-state"));
        fs::create_dir_all(&fit_state).unwrap();
        fs::create_dir_all(&tune_state).unwrap();
        assert!(stopped(&run_fit(&zoo, &common::config(), &fit_state.join("state.safetensors"), 5)));
        assert!(stopped(&run_tune(&base, &reward(&zoo), &tune_state.join("state.safetensors"), 3)));
        let theta = zoo.finals(&[0]).unwrap();
        let network = zoo.layout().to_safetensors(&theta).unwrap();
        let calibrations = [dir("network.cal"), dir("logits.cal")];
        let sampled = base.sample(&SampleRequest { at: vec![0.0, 1.0], steps: 2, ..SampleRequest::new(2, 1) }).unwrap();
        let path = home.join("seeds/stack");
        base.networks(sampled.theta).write_stack(&path, &sampled.states).unwrap();
        let stack = fs::read(path).unwrap();
        let (latents, results) = (dir("latents"), dir("results"));
        let (shape, scales) = (vec![2, 3], vec![1.0, 0.5, 2.0]);
        Latents { shape, values: vec![0.25; 6], scales, autoencoder: "pca".into() }.write(&latents).unwrap();
        judged(&zoo, &results);
        calibrated(&zoo, theta, &calibrations);
        Self {
            zoo: zoo_dir,
            partial,
            plain,
            latent,
            fit_state,
            tune_state,
            calibrations,
            network,
            stack,
            latents,
            results,
            config,
        }
    }
}

/// Rows of a judgement of the zoo's networks.
fn judged(zoo: &ZooStore, path: &Path) {
    let data = DataSpec::named("digits").load().unwrap().test.first(50);
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let inputs = engine.pack(&data.inputs).unwrap();
    let runs = ZooRuns::of(zoo, &Split::default().of(zoo).unwrap()).unwrap();
    let rows = table(runs.reference(&engine, &inputs, &data.labels), &[], None, &Silent).unwrap();
    write_rows(path, &rows.into_iter().map(|judged| judged.row).collect::<Vec<_>>()).unwrap();
}

/// A calibration of the network `theta`, and one of its logits.
fn calibrated(zoo: &ZooStore, theta: Vec<f32>, paths: &[PathBuf; 2]) {
    let architecture = zoo.architecture().unwrap();
    let base = std::sync::Arc::new(Base::new(architecture, theta).unwrap());
    let data = DataSpec::named("digits").load().unwrap();
    let rows = |from: usize, n: usize| base.sample(&data.train.inputs[64 * from..64 * (from + n)]).unwrap();
    let (train, validation, held) = (rows(0, 60), rows(60, 30), rows(90, 60));
    let plain = |sample: &Sample| Sample::of_logits(sample.logits.clone(), sample.classes()).unwrap();
    let of_logits = Reference::new(plain(&train), plain(&validation), plain(&held)).unwrap();
    let reference = Reference::new(train, validation, held).unwrap();
    let config = Config { bank: BankConfig { size: 4, ..BankConfig::default() }, ..Config::default() };
    let [bank, entropy, mahalanobis, bbsd] =
        ["bank", "entropy", "mahalanobis", "bbsd"].map(|name| Method::named(name).unwrap());
    for (path, reference, base, methods) in [
        (&paths[0], &reference, Some(base.clone()), &[bank, entropy, mahalanobis][..]),
        (&paths[1], &of_logits, None, &[entropy, bbsd][..]),
    ] {
        let parts = Parts { base, reference, labels: &data.train.labels[..60], size: 10, config: &config };
        let request = Request { null: 99, data: "digits".into(), ..Request::new(parts, methods) };
        Calibration::make(&request, &Silent).unwrap().write(path).unwrap();
    }
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &u16::try_from(header.len()).unwrap().to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Pictures of 4 × 4 in three classes.
pub fn npz() -> Vec<u8> {
    let pictures: Vec<u8> = (0..36 * 16).map(|i| (i * 7 % 256) as u8).collect();
    let labels: Vec<u8> = (0..36i64).flat_map(|i| (i % 3).to_le_bytes()).collect();
    let arrays = [("x.npy", npy("|u1", "(36, 4, 4)", &pictures)), ("y.npy", npy("<i8", "(36,)", &labels))];
    zip(&arrays.map(|(name, array)| (name.to_owned(), array))).unwrap()
}

/// Rows of four features in floats, labels in 32 bits.
pub fn npz_of_floats() -> Vec<u8> {
    let rows: Vec<u8> = (0..36 * 4).flat_map(|i| (i as f32 / 7.0).to_le_bytes()).collect();
    let labels: Vec<u8> = (0..36i32).flat_map(|i| (i % 3).to_le_bytes()).collect();
    let arrays = [("x.npy", npy("<f4", "(36, 4)", &rows)), ("y.npy", npy("<i4", "(36, 1)", &labels))];
    zip(&arrays.map(|(name, array)| (name.to_owned(), array))).unwrap()
}

pub fn csv() -> Vec<u8> {
    let rows = (0..40).map(|i| format!("{},{}.5,{},{}\n", i, i * i % 17, -i, ["cat", "dog"][i as usize % 2]));
    format!("a,b,\"c, d\",label\n{}", rows.collect::<String>()).into_bytes()
}

/// As scikit-learn lays its tables.
pub fn sklearn() -> Vec<u8> {
    let rows = (0..30).map(|i| format!("{i}.5,{},{}\n", i * i, i % 3));
    format!("30,2,a,b,c\n{}", rows.collect::<String>()).into_bytes()
}

pub fn heart() -> Vec<u8> {
    "id,age,sex,dataset,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal,num
1,63,Male,Cleveland,typical angina,145,233,TRUE,lv hypertrophy,150,FALSE,2.3,,0,,0
303,38,Female,Cleveland,non-anginal,138,175,FALSE,normal,173,TRUE,0,upsloping,,normal,3
304,28,Male,Cleveland,atypical angina,130,132,FALSE,st-t abnormality,185,FALSE,0,,,,1
306,29,Male,Hungary,atypical angina,140,,FALSE,normal,170,FALSE,0,,,,0
"
    .into()
}

pub fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let magic = [0, 0, 8, shape.len() as u8];
    let sizes: Vec<u8> = shape.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&magic[..], &sizes, data].concat()
}

/// Two records of CIFAR-10.
pub fn cifar() -> Vec<u8> {
    (0..2 * 3073u32).map(|i| if i % 3073 == 0 { (i / 3073) as u8 } else { (i * 11 % 251) as u8 }).collect()
}

/// Pickles are read at fixed places, 7.8 MB of pixels: only labels are small enough to be tried.
pub fn silhouette_labels() -> Vec<u8> {
    let labels = (0..10_000u64).flat_map(|i| (i % 10).to_le_bytes());
    [&[0; 141][..], b"B", &80_000u32.to_le_bytes()].concat().into_iter().chain(labels).chain([b'.']).collect()
}
