//! Directions against decompositions, symmetry and threads by comparison.
use super::orthogonal::orthogonalised;
use super::*;
use crate::reward::{OnData, Rows, ToPoint};
use crate::space::symmetry::SymmetryTable;
use faer::MatRef;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;
use thalweg_nets::testing::normals;

const ROWS: usize = 96;

/// A task whose labels a linear map decides, over `[5, 1, 1]` and 3 classes.
fn task(rows: Rows) -> (Architecture, OnData) {
    let architecture = Preset::Mlp { widths: vec![7] }.build([5, 1, 1], 3).unwrap();
    let inputs = normals(&Streams::new(4), ROWS * 5);
    let largest = |x: &[f32]| (0..3u32).max_by(|&a, &b| x[a as usize].total_cmp(&x[b as usize])).unwrap();
    let labels = inputs.chunks(5).map(largest).collect();
    let engine = Engine::new(&architecture).unwrap();
    (architecture, OnData::loss("a linear task", &engine, inputs, labels, rows).unwrap())
}

fn draws(layout: &Layout, n: u64, streams: &Streams) -> Vec<f32> {
    (0..n).flat_map(|i| Initialisation::KaimingUniform.draw(layout, &streams.index(i))).collect()
}

#[test]
fn orthogonalised_is_the_factor_of_a_singular_value_decomposition() {
    for (seed, (rows, columns)) in [(6, 17), (17, 6), (5, 5), (1, 9)].into_iter().enumerate() {
        let m = normals(&Streams::new(seed as u64), rows * columns);
        let svd = MatRef::from_row_major_slice(&m, rows, columns).thin_svd().unwrap();
        let truth = svd.U() * svd.V().transpose();
        for (k, found) in orthogonalised(&m, rows, columns).into_iter().enumerate() {
            let truth = truth[(k / columns, k % columns)];
            assert!((found - truth).abs() < 2e-3, "[{rows}, {columns}] {k}: {found} {truth}");
        }
    }
    assert_eq!(orthogonalised(&[0.0; 6], 2, 3), [0.0; 6]);
}

#[test]
fn permuted_starts_have_permuted_results() {
    let (architecture, reward) = task(Rows::Batch(64));
    let symmetries = SymmetryTable::of(&architecture);
    let refiner = Refiner::new(symmetries.layout(), 5, 0.02).unwrap();
    let (starts, streams) = (draws(symmetries.layout(), 3, &Streams::new(1)), Streams::new(2));
    let permutation = [vec![3, 1, 6, 0, 5, 2, 4]];
    let (mut moved, mut truth) = (starts.clone(), refiner.refine(&starts, &reward, &streams).unwrap());
    symmetries.permute(&mut moved, &permutation).unwrap();
    symmetries.permute(&mut truth, &permutation).unwrap();
    let found = refiner.refine(&moved, &reward, &streams).unwrap();
    let furthest = found.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Sums of single precision in another order, through five steps.
    assert!(furthest < 2e-5, "{furthest}");
    assert_ne!(moved, starts);
}

#[test]
fn training_raises_the_reward_of_unseen_starts_on_any_number_of_threads() {
    let (architecture, reward) = task(Rows::Batch(64));
    let layout = Layout::of(&architecture);
    let config = TrainingConfig { iterations: 40, pairs: 6, ..TrainingConfig::default() };
    let trained_on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut refiner = Refiner::new(&layout, 4, 0.005).unwrap();
            let starts = |streams: &Streams| Ok(draws(&layout, 4, streams));
            let course = train(&mut refiner, &config, &starts, &reward, &Streams::new(5)).unwrap();
            (refiner, course)
        })
    };
    let (one, three) = (trained_on(1), trained_on(3));
    assert_eq!(one, three);
    let unseen = draws(&layout, 16, &Streams::new(77));
    let after = |refiner: &Refiner| {
        let refined = refiner.refine(&unseen, &reward, &Streams::new(78)).unwrap();
        reward.values(&refined, &Streams::new(79)).unwrap().iter().sum::<f64>() / 16.0
    };
    let (before, after) = (after(&Refiner::new(&layout, 4, 0.005).unwrap()), after(&one.0));
    assert!(after > before + 0.2, "{before} {after}");
}

#[test]
fn what_cannot_be_refined_is_named() {
    let layout = Layout::of(&task(Rows::All).0);
    let told = |e: Result<Refiner>, what: &str| assert!(e.unwrap_err().to_string().contains(what));
    told(Refiner::new(&layout, 0, 0.1), "refine.steps");
    told(Refiner::new(&layout, 3, 0.0), "refine.first");
    told(Refiner::new(&layout, 3, f64::NAN), "refine.first");
    for wrong in
        [TrainingConfig { pairs: 0, ..Default::default() }, TrainingConfig { deviation: 0.0, ..Default::default() }]
    {
        assert!(wrong.check().unwrap_err().to_string().contains("refine."));
    }
    let refiner = Refiner::new(&layout, 1, 0.1).unwrap();
    let elsewhere = ToPoint::new(vec![0.0; 3], 1.0).unwrap();
    let error = refiner.refine(&vec![0.0; layout.len()], &elsewhere, &Streams::new(1)).unwrap_err();
    assert!(error.to_string().contains("reward"), "{error}");
    assert!(refiner.refine(&[0.0; 2], &elsewhere, &Streams::new(1)).is_err());
}
