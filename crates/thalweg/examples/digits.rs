//! The whole way with the library, in seconds: a zoo of small networks on the embedded digits, a flow fitted to its runs, networks sampled from the
//! flow, written and read back, and judged beside the zoo and the trivial baselines.
//!
//! `cargo run --release -p thalweg --example digits -- [FOLDER]`
use std::path::{Path, PathBuf};
use thalweg::judge::{Row, ZooRuns, table, write_rows};
use thalweg::{FitConfig, FitOptions, MetaModel, Networks, Result, SampleRequest, Streams, fit};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, train_zoo};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("thalweg-digits"), PathBuf::from);
    for row in run(&folder)? {
        let Row { method, accuracy_mean, novelty_behaviour, novel_and_performing, .. } = row;
        println!("{method:<18} accuracy {accuracy_mean:.4}  d_f {novelty_behaviour:.3}  N&P {novel_and_performing:.2}");
    }
    println!("zoo, model, networks and results lie in {}", folder.display());
    Ok(())
}

/// Makes everything in `folder`; returns the rows of the judgement.
pub fn run(folder: &Path) -> Result<Vec<Row>> {
    // Sixty runs from one trunk; with an unfinished zoo in the folder, what is missing of it.
    let architecture = Preset::Digits.build([1, 8, 8], 10)?;
    let mut spec = ZooSpec::new(architecture, DataSpec::named("digits"), ZooKind::named("fork")?, 60);
    spec.recipe.length = Length::Steps(100);
    let options = TrainOptions { resume: folder.join("zoo").exists(), ..TrainOptions::default() };
    let zoo = train_zoo(&spec, &folder.join("zoo"), &options, &Silent)?;

    // A flow from initialisations to trained networks; a tenth of the runs is held out.
    let config = FitConfig { steps: 200, ..FitConfig::default() };
    fit(&zoo, &config, &FitOptions::default(), &Silent)?.save(&folder.join("model"), true)?;

    // Networks, in the file that `thalweg sample` would write.
    let (model, path) = (MetaModel::load(&folder.join("model"))?, folder.join("samples.safetensors"));
    let samples = model.sample(&SampleRequest::new(50, 7))?;
    model.networks(samples.theta).write_stack(&path, &samples.states)?;
    let networks = Networks::read(&path, zoo.architecture(), &|line| eprintln!("{line}"))?;

    // The judgement, on test data.
    let engine = Engine::new(&spec.architecture)?;
    let test = spec.data.load()?.test;
    let inputs = engine.pack(&test.inputs)?;
    let runs = ZooRuns::of(&zoo, &config.split.of(&zoo)?)?;
    let zoo = runs.reference(&engine, &inputs, &test.labels);
    let rows = table(zoo, &[("samples", &networks.theta)], Some(&Streams::new(0)), &Silent)?;
    let rows: Vec<Row> = rows.into_iter().map(|judged| judged.row).collect();
    write_rows(&folder.join("results.json"), &rows)?;
    Ok(rows)
}
