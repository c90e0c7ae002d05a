//! f's estimated accuracy under shifts that it was not made for: how often the truth lies in the interval, and how often one is given.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
use std::sync::Arc;
use thalweg::shift::Base;
use thalweg::shift::disagreement::bank_config::BankConfig;
use thalweg::shift::law::power::Share;
use thalweg::shift::method::{Config, Parts};
use thalweg::shift::{Method, Reference};
use thalweg::{Calibration, Outcome, Request, Streams};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::{Corruption, DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;
use thalweg_nets::progress::Silent;
use thalweg_nets::streams::shuffle;
use thalweg_nets::train::{Length, Recipe, Trainer};

const LEVEL: f64 = 0.05;
const ROWS: usize = 50;
const QUERIES: u64 = 40;

/// Digits, a small network that knows them, and a calibration of the bank and two tests of difference.
fn calibrated() -> (Arc<Base>, Dataset, Calibration) {
    let data = DataSpec::named("digits").load().unwrap();
    let net = Preset::Mlp { widths: vec![24] }.build(data.train.shape, 10).unwrap();
    let engine = Engine::new(&net).unwrap();
    let recipe =
        Recipe { learning_rate: 0.01, length: Length::Steps(300), checkpoints: vec![1.0], ..Recipe::default() };
    let trainer = Trainer::new(&engine, &net, &data.train, &data.validation, &recipe).unwrap();
    let start = Initialisation::default().draw(engine.layout(), &Streams::new(1));
    let run = trainer.train(&start, &Streams::new(2), &|| false).unwrap();
    let base = Arc::new(Base::new(&net, run.theta).unwrap());
    // A random half of the test rows is held out, the other half is asked about.
    let mut order: Vec<usize> = (0..data.test.len()).collect();
    shuffle(&mut order, &mut Streams::new(3).rng());
    let (held_out, fresh) = order.split_at(order.len() / 2);
    let (held_out, fresh) = (data.test.subset(held_out), data.test.subset(fresh));
    let rows = |of: &Dataset| base.sample(&of.inputs).unwrap();
    let reference = Reference::new(rows(&data.train), rows(&data.validation), rows(&held_out)).unwrap();
    let images = Config::like(true);
    let config = Config { bank: BankConfig { size: 30, ..images.bank }, ..images };
    let methods = ["bank", "bbsd", "feature-mmd"].map(|name| Method::named(name).unwrap());
    let parts = Parts {
        base: Some(base.clone()),
        reference: &reference,
        labels: &data.train.labels,
        size: ROWS,
        config: &config,
    };
    let request = Request {
        held_out_labels: &held_out.labels,
        null: 99,
        level: LEVEL,
        data: "digits".into(),
        ..Request::new(parts, &methods)
    };
    let made = Calibration::make(&request, &Silent).unwrap();
    (base, fresh, made)
}

#[test]
fn under_shift_the_truth_lies_in_the_interval_or_nothing_is_claimed() {
    let (base, fresh, calibration) = calibrated();
    let corrupted = |name: &str, severity| Corruption::named(name, severity).unwrap().apply(&fresh, 3).unwrap();
    let class = |wanted: &dyn Fn(u32) -> bool| {
        let rows: Vec<usize> = (0..fresh.len()).filter(|&i| wanted(fresh.labels[i])).collect();
        fresh.subset(&rows)
    };
    let shifts = [
        ("none", fresh.clone()),
        ("rotation 1", corrupted("rotation", 1)),
        ("rotation 2", corrupted("rotation", 2)),
        ("rotation 3", corrupted("rotation", 3)),
        ("rotation 5", corrupted("rotation", 5)),
        ("noise 1", corrupted("noise", 1)),
        ("noise 3", corrupted("noise", 3)),
        ("noise 5", corrupted("noise", 5)),
        ("blur 2", corrupted("blur", 2)),
        ("occlusion 2", corrupted("occlusion", 2)),
        ("translation 1", corrupted("translation", 1)),
        ("ones, eights, nines", class(&|label| [1, 8, 9].contains(&label))),
        ("zeros and sixes", class(&|label| [0, 6].contains(&label))),
    ];
    println!("| shift | accuracy | harm, shifted | mean AC, DoC, ATC, bound | told | covered |");
    for (s, (name, data)) in shifts.iter().enumerate() {
        let (mut covered, mut told, mut alarms, mut truth, mut means) = (0, 0, [0; 2], 0.0, [0.0; 4]);
        for q in 0..QUERIES {
            let mut rng = Streams::new(9).index(s as u64).index(q).rng();
            let mut rows: Vec<usize> = (0..data.len()).collect();
            shuffle(&mut rows, &mut rng);
            let part = data.subset(&rows[..ROWS.min(rows.len())]);
            let query = base.sample(&part.inputs).unwrap();
            let right = query.predictions().iter().zip(&part.labels).filter(|(a, b)| a == b).count();
            let right = right as f64 / part.len() as f64;
            let verdict = calibration.test(&query, LEVEL, q, &Silent).unwrap();
            let estimate = verdict.estimate.unwrap();
            alarms[0] += usize::from(verdict.outcome == Outcome::HarmfulShift);
            alarms[1] += usize::from(verdict.outcome == Outcome::ShiftedHarmNotEstablished);
            told += usize::from(estimate.interval.is_some());
            covered += usize::from(estimate.interval.is_none_or(|[low, high]| low <= right && right <= high));
            truth += right / QUERIES as f64;
            let each = [
                estimate.average_confidence,
                estimate.difference_of_confidences,
                estimate.average_thresholded_confidence,
                estimate.disagreement_bound.unwrap(),
            ];
            means.iter_mut().zip(each).for_each(|(m, e)| *m += e / QUERIES as f64);
        }
        let share = Share::of(covered, QUERIES as usize).unwrap();
        println!("| {name} | {truth:.2} | {alarms:?} | {means:.2?} | {told} of {QUERIES} | {covered} |");
        assert!(share.high >= 1.0 - LEVEL, "{name}: {share:?}");
    }
}
