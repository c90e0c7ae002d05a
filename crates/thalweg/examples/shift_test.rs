//! A test of shift for one's own classifier: trained on digits, calibrated on rows that it was not trained on, asked about rows like these and about
//! rotated ones.
//!
//! `cargo run --release -p thalweg --example shift_test`: some seconds, nothing to fetch.
use std::sync::Arc;
use thalweg::shift::calibration::Verdict;
use thalweg::shift::disagreement::bank_config::BankConfig;
use thalweg::shift::method::{Config, Parts};
use thalweg::shift::{Base, Method, Reference};
use thalweg::{Calibration, Request, Result, Streams};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::{Corruption, DataSpec};
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::{Length, Recipe, Trainer};

fn main() -> Result<()> {
    let [same, turned] = run()?;
    for (name, verdict) in [("rows like P", same), ("rotated rows", turned)] {
        println!("{name}: {:?}, p = {:.3}", verdict.outcome, verdict.p_value);
        if let Some(estimate) = verdict.estimate {
            println!("  accuracy on them: {:?}", estimate.interval);
        }
    }
    Ok(())
}

/// Verdicts on 30 rows as they are and on 30 rotated ones.
pub fn run() -> Result<[Verdict; 2]> {
    // f, trained here; `Base::new` takes the weights of any network of a known architecture.
    let data = DataSpec::named("digits").load()?;
    let net = Preset::Mlp { widths: vec![24] }.build(data.train.shape, 10)?;
    let engine = Engine::new(&net)?;
    let recipe =
        Recipe { learning_rate: 0.01, length: Length::Steps(300), checkpoints: vec![1.0], ..Recipe::default() };
    let start = Initialisation::default().draw(engine.layout(), &Streams::new(1));
    let trainer = Trainer::new(&engine, &net, &data.train, &data.validation, &recipe)?;
    let base = Arc::new(Base::new(&net, trainer.train(&start, &Streams::new(2), &|| false)?.theta)?);

    // P: what f was trained on, validation rows, and held-out rows; the rest of the test rows is asked about.
    let [held_out, fresh] = [0, 1].map(|part| {
        let rows: Vec<usize> = (0..data.test.len()).filter(|row| row % 2 == part).collect();
        data.test.subset(&rows)
    });
    let rows = |of: &[f32]| base.sample(of);
    let reference = Reference::new(rows(&data.train.inputs)?, rows(&data.validation.inputs)?, rows(&held_out.inputs)?)?;
    let images = Config::like(true);
    let config = Config { bank: BankConfig { size: 24, ..images.bank }, ..images };
    let methods = [Method::named("bank")?, Method::named("bbsd")?];
    let parts = Parts {
        base: Some(base.clone()),
        reference: &reference,
        labels: &data.train.labels,
        size: 30,
        config: &config,
    };
    let request = Request {
        held_out_labels: &held_out.labels,
        null: 199,
        data: "digits".into(),
        ..Request::new(parts, &methods)
    };
    let calibration = Calibration::make(&request, &Silent)?;

    let query = fresh.subset(&(0..30).collect::<Vec<_>>());
    let turned = Corruption::named("rotation", 5)?.apply(&query, 3)?;
    let ask = |inputs: &[f32]| calibration.test(&base.sample(inputs)?, 0.05, 7, &Silent);
    Ok([ask(&query.inputs)?, ask(&turned.inputs)?])
}
