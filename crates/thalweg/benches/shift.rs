//! A query of 20 rows by the default tests, after all that a calibration prepares; rows as P's are, and rotated ones, of which harmless explanations may be
//! asked. The goal for the former is 5 ms.
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use thalweg::shift::method::{Config, Parts};
use thalweg::shift::{Base, Method, Reference};
use thalweg::{Calibration, Request, Streams};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::{Corruption, DataSpec};
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::{Length, Recipe, Trainer};

fn queries(c: &mut Criterion) {
    let data = DataSpec::named("digits").load().expect("embedded data");
    let net = Preset::Digits.build(data.train.shape, 10).expect("a preset");
    let engine = Engine::new(&net).expect("a preset");
    let recipe = Recipe { length: Length::Steps(400), checkpoints: vec![1.0], ..Recipe::default() };
    let start = Initialisation::default().draw(engine.layout(), &Streams::new(1));
    let trainer = Trainer::new(&engine, &net, &data.train, &data.validation, &recipe).expect("a recipe that fits");
    let theta = trainer.train(&start, &Streams::new(2), &|| false).expect("a run").theta;
    let base = Arc::new(Base::new(&net, theta).expect("weights of the network"));
    let rows = |of: &[f32]| base.sample(of).expect("rows that fit");
    let [held_out, fresh] = [0, 1].map(|part| {
        let rows: Vec<usize> = (0..data.test.len()).filter(|row| (row % 8) / 7 == part).collect();
        data.test.subset(&rows)
    });
    let reference = [&data.train.inputs, &data.validation.inputs, &held_out.inputs].map(|of| rows(of));
    let [train, validation, kept] = reference;
    let reference = Reference::new(train, validation, kept).expect("rows of one kind");
    let config = Config::like(true);
    let methods = Method::defaults(true);
    let parts = Parts {
        base: Some(base.clone()),
        reference: &reference,
        labels: &data.train.labels,
        size: 20,
        config: &config,
    };
    let request = Request { held_out_labels: &held_out.labels, data: "digits".into(), ..Request::new(parts, &methods) };
    let calibration = Calibration::make(&request, &Silent).expect("rows that suffice");
    let query = fresh.subset(&(0..20).collect::<Vec<_>>());
    let turned = Corruption::named("rotation", 5).and_then(|turn| turn.apply(&query, 3)).expect("images to be turned");
    let mut group = c.benchmark_group("shift");
    group.sample_size(20);
    for (name, of) in [("query_of_20", &query), ("query_of_20_rotated", &turned)] {
        let sample = rows(&of.inputs);
        group.bench_function(name, |bench| {
            bench.iter(|| calibration.test(black_box(&sample), 0.05, 7, &Silent).expect("a query that fits"));
        });
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
