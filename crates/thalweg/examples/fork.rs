//! A fork zoo of MNIST, NM-CFM and NM-MMFM on it, judged on the test set beside the trivial baselines.
//!
//! `THALWEG_DATA=DIR cargo run --release -p thalweg --example fork -- [RUNS] [FOLDER]`: two minutes on two cores with 150 runs.
use std::path::{Path, PathBuf};
use std::time::Instant;
use thalweg::fit::{FitOptions, fit};
use thalweg::judge::{Row, ZooRuns, table};
use thalweg::method::MethodConfig;
use thalweg::metric::wasserstein::compare;
use thalweg::model::FitConfig;
use thalweg::model::sample::{SampleRequest, Samples};
use thalweg::{Result, Streams};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, ZooStore, train_zoo};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let runs = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(150);
    let folder = arguments.next().map_or_else(|| std::env::temp_dir().join("thalweg-fork"), PathBuf::from);
    let zoo = zoo(runs, &folder)?;
    let split = FitConfig::default().split.of(&zoo)?;
    let runs = ZooRuns::of(&zoo, &split)?;
    let data = zoo.data().expect("trained here").load()?;
    let engine = Engine::new(zoo.architecture().expect("trained here"))?;
    let test = engine.pack(&data.test.inputs)?;
    let mut generated = Vec::new();
    for &name in MethodConfig::NAMES {
        for seed in 0..3 {
            let config = FitConfig { method: MethodConfig::named(name)?, seed, ..FitConfig::default() };
            let model = fit(&zoo, &config, &FitOptions::default(), &Silent)?;
            let request = SampleRequest { at: zoo.times().to_vec(), ..SampleRequest::new(100, seed) };
            let samples = model.sample(&request)?;
            println!(
                "{name}, seed {seed}: fit {:.1} s, step {} of {}, held-out loss {:.4}; sampled 100 in {:.2} s",
                model.record.seconds,
                model.record.best_step,
                config.steps,
                model.record.best_loss.unwrap_or(f64::NAN),
                samples.seconds
            );
            marginals(&zoo, &split.train, &samples)?;
            generated.push((name, samples.theta));
        }
    }
    let generated: Vec<(&str, &[f32])> = generated.iter().map(|(name, theta)| (*name, &theta[..])).collect();
    let reference = runs.reference(&engine, &test, &data.test.labels);
    for judged in table(reference, &generated, Some(&Streams::new(0)), &Silent)? {
        show(&judged.row);
    }
    Ok(())
}

/// W₁ to the zoo at each checkpoint, over its sampling floor, and the ratio of spreads.
fn marginals(zoo: &ZooStore, runs: &[usize], samples: &Samples) -> Result<()> {
    let p = zoo.parameters();
    print!("    W1 / floor (spread ratio):");
    for (k, states) in samples.states.theta.chunks_exact(samples.theta.len()).enumerate() {
        let mut reference = vec![0.0; runs.len() * p];
        zoo.gather(&runs.iter().map(|&run| (run, k)).collect::<Vec<_>>(), &mut reference)?;
        let c = compare(states, &reference, p, 5, &Streams::new(1))?;
        print!("  {:.3} ({:.2})", c.wasserstein.mean / c.floor.mean, c.spread_ratio);
    }
    println!();
    Ok(())
}

/// The zoo in `folder`, trained now if it is not there.
fn zoo(runs: usize, folder: &Path) -> Result<ZooStore> {
    let begun = Instant::now();
    let architecture = Preset::CnnS.build([1, 28, 28], 10)?;
    let mut spec = ZooSpec::new(architecture, DataSpec::named("mnist"), ZooKind::named("fork")?, runs);
    spec.recipe.length = Length::Steps(400);
    let zoo = train_zoo(&spec, folder, &TrainOptions { threads: 0, resume: folder.exists(), force: false }, &Silent)?;
    println!("zoo of {runs} runs in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(zoo)
}

fn show(row: &Row) {
    println!(
        "{:<18} accuracy {:.4} ± {:.4} best {:.4}  d_w {:.3} d_f {:.3}  N&P {:.2}",
        row.method,
        row.accuracy_mean,
        row.accuracy_sem,
        row.accuracy_best,
        row.novelty_weights,
        row.novelty_behaviour,
        row.novel_and_performing
    );
}
