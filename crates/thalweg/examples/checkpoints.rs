//! Checkpoints in and out: runs that another program trained are imported as a zoo, a flow is fitted to them, and sampled networks are written with the
//! tensors' own names, a file each.
//!
//! `cargo run --release -p thalweg --example checkpoints -- [FOLDER]`: some seconds, nothing to fetch. The "other program" is a few lines here that
//! write safetensors; files of `torch.save` are read the same way.
use std::fs;
use std::path::{Path, PathBuf};
use thalweg::{Error, FitConfig, FitOptions, Layout, Networks, Result, SampleRequest, Streams, fit};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::{Length, Recipe, Trainer};
use thalweg_nets::zoo::{ImportOptions, import};

fn main() -> Result<()> {
    let folder =
        std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("thalweg-checkpoints"), PathBuf::from);
    drop(fs::remove_dir_all(&folder));
    let (networks, accuracy) = run(&folder)?;
    println!("{networks} networks in {}, mean test accuracy {accuracy:.3}", folder.join("nets").display());
    Ok(())
}

/// Does all of it in `folder`; returns how many networks were written and read again, and their accuracy.
pub fn run(folder: &Path) -> Result<(usize, f64)> {
    let (source, data) = (folder.join("checkpoints"), DataSpec::named("digits").load()?);
    let architecture = Preset::Digits.build([1, 8, 8], 10)?;
    let engine = Engine::new(&architecture)?;
    let layout = engine.layout().clone();

    // The other program: twenty runs from one partly trained network, three checkpoints each.
    let recipe = |steps, checkpoints| Recipe {
        learning_rate: 3e-3,
        length: Length::Steps(steps),
        checkpoints,
        ..Recipe::default()
    };
    let train = |start: &[f32], recipe: &Recipe, streams: &Streams| {
        Trainer::new(&engine, &architecture, &data.train, &data.validation, recipe)?.train(start, streams, &|| false)
    };
    let draw = thalweg_nets::init::Initialisation::default().draw(&layout, &Streams::new(1));
    let trunk = train(&draw, &recipe(60, vec![1.0]), &Streams::new(2))?.theta;
    for run in 0..20 {
        let thetas = train(&trunk, &recipe(120, vec![0.0, 0.5, 1.0]), &Streams::new(3).index(run))?.theta;
        for (k, theta) in thetas.chunks_exact(layout.len()).enumerate() {
            write(&source.join(format!("run-{run}/step-{}.safetensors", 60 * k)), &layout, theta)?;
        }
    }

    // In: folders are runs, files are checkpoints, in the order of their numbers.
    let options = ImportOptions {
        architecture: Some(architecture),
        data: Some(DataSpec::named("digits")),
        ..ImportOptions::default()
    };
    let zoo = import(&source, &folder.join("zoo"), &options, &Silent)?;

    // The law of the starts is not known, so the flow starts from a Gaussian.
    let mut config = FitConfig { steps: 300, ..FitConfig::default() };
    config.method = thalweg::MethodConfig::Cfm(thalweg::method::CfmConfig {
        coupling: thalweg::Coupling::Independent,
        source: thalweg::SourceKind::Gaussian,
        ..thalweg::method::CfmConfig::default()
    });
    let model = fit(&zoo, &config, &FitOptions::default(), &Silent)?;

    // Out: a file a network, with the names that came in; and in again.
    let nets = folder.join("nets");
    fs::create_dir_all(&nets).map_err(Error::io("create", &nets))?;
    model.networks(model.sample(&SampleRequest::new(30, 1))?.theta).write_each(&nets, &model.layout)?;
    let again = Networks::read(&nets, zoo.architecture(), &|_| ())?;
    let test = engine.pack(&data.test.inputs)?;
    let thetas: Vec<f32> = (0..again.len()).filter_map(|i| again.network(i)).flatten().copied().collect();
    let scores = evaluate(&engine, &thetas, &test, &data.test.labels)?;
    Ok((again.len(), scores.iter().map(|score| score.accuracy).sum::<f64>() / scores.len() as f64))
}

fn write(path: &Path, layout: &Layout, theta: &[f32]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    fs::write(path, layout.to_safetensors(theta)?).map_err(Error::io("write", path))
}
