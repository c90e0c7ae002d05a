//! Draws against what a coupling is by definition, on a zoo small enough to know every point of.
use super::*;
use crate::space::coordinates::{Coordinates, Standardiser};
use std::collections::BTreeSet;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::{Length, evenly};
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, train_zoo};

const RUNS: usize = 6;
const ALL: [usize; RUNS] = [0, 1, 2, 3, 4, 5];

struct World {
    zoo: ZooStore,
    coordinates: Coordinates,
    source: Source,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let architecture = Preset::Mlp { widths: vec![3] }.build([1, 8, 8], 10).unwrap();
        let data = DataSpec { train: Some(80), validation: Some(20), ..DataSpec::named("digits") };
        let mut spec = ZooSpec::new(architecture, data, ZooKind::Shared { noise: 0.05 }, RUNS);
        spec.recipe.length = Length::Steps(12);
        spec.recipe.checkpoints = evenly(4);
        let zoo = train_zoo(&spec, &dir.path().join("zoo"), &TrainOptions::default(), &Silent).unwrap();
        let coordinates = Coordinates::fit(Standardiser::PerParameter, zoo.layout(), [zoo.finals(&ALL)]).unwrap();
        let source = Source::Weights(zoo.initial_law().unwrap());
        Self { zoo, coordinates, source, _dir: dir }
    }

    fn space(&self) -> Space<'_> {
        Space { coordinates: &self.coordinates, latent: None }
    }

    fn curves(&self, coupling: Coupling, marginals: &[Marginal], budget: usize) -> Curves<'_> {
        Curves::new(&self.zoo, &ALL, self.space(), &self.source, coupling, marginals.to_vec(), budget).unwrap()
    }

    /// The standardised point of a run at a checkpoint.
    fn point(&self, run: usize, checkpoint: usize) -> Vec<f32> {
        let p = self.zoo.parameters();
        let mut z = self.zoo.trajectory(run).unwrap()[checkpoint * p..(checkpoint + 1) * p].to_vec();
        self.coordinates.standardise(&mut z);
        z
    }

    /// The run that has this point at a checkpoint.
    fn run_of(&self, point: &[f32], checkpoint: usize) -> usize {
        (0..RUNS).find(|&run| self.point(run, checkpoint) == point).expect("a point of the zoo")
    }

    /// The runs of every curve at a marginal that is a checkpoint.
    fn runs_at(&self, drawn: &Anchors, marginal: usize, checkpoint: usize) -> Vec<usize> {
        drawn.marginal(marginal).map(|point| self.run_of(point, checkpoint)).collect()
    }
}

const AT: [Marginal; 3] = [Marginal::Checkpoint(0), Marginal::Checkpoint(2), Marginal::Checkpoint(3)];
const FROM_SOURCE: [Marginal; 3] = [Marginal::Source, Marginal::Checkpoint(2), Marginal::Checkpoint(3)];

#[test]
fn what_is_kept_in_memory_and_what_is_gathered_from_files_are_the_same_curves() {
    let world = World::new();
    for (coupling, marginals) in [
        (Coupling::Paired, &AT),
        (Coupling::Independent, &AT),
        (Coupling::Independent, &FROM_SOURCE),
        (Coupling::OptimalTransport, &FROM_SOURCE),
    ] {
        let (kept, gathered) = (world.curves(coupling, marginals, BUDGET), world.curves(coupling, marginals, 0));
        assert!(!kept.kept.is_empty() && gathered.kept.is_empty());
        for (runs, seed) in [(&ALL[..], 1), (&ALL[1..4], 2)] {
            let of = |curves: &Curves| curves.draw(runs, 9, &Streams::new(seed)).unwrap().to_dense();
            assert_eq!(of(&kept), of(&gathered), "{coupling:?} {marginals:?}");
        }
    }
}

#[test]
fn paired_curves_are_runs_and_take_all_of_them_before_one_comes_twice() {
    let world = World::new();
    let curves = world.curves(Coupling::Paired, &AT, BUDGET);
    let drawn = curves.draw(&ALL, 2 * RUNS + 1, &Streams::new(5)).unwrap();
    let runs = world.runs_at(&drawn, 0, 0);
    assert_eq!(runs, world.runs_at(&drawn, 1, 2));
    assert_eq!(runs, world.runs_at(&drawn, 2, 3));
    for pass in runs.chunks(RUNS).take(2) {
        assert_eq!(pass.iter().copied().collect::<BTreeSet<_>>(), ALL.into());
    }
}

#[test]
fn independent_curves_take_runs_of_their_own_at_every_marginal_and_the_source_is_drawn_by_its_law() {
    let world = World::new();
    let streams = Streams::new(7);
    let curves = world.curves(Coupling::Independent, &FROM_SOURCE, BUDGET);
    let drawn = curves.draw(&ALL, RUNS, &streams).unwrap();
    let runs = [world.runs_at(&drawn, 1, 2), world.runs_at(&drawn, 2, 3)];
    for of_marginal in &runs {
        assert_eq!(of_marginal.iter().copied().collect::<BTreeSet<_>>(), ALL.into(), "each run once");
    }
    assert_ne!(runs[0], runs[1], "with another seed once in 720 it would be");
    let fresh = |i: u64| world.space().draw(&world.source, i, world.zoo.layout(), &streams.child("source")).unwrap();
    let mut expected: Vec<Vec<f32>> = (0..RUNS as u64).map(fresh).collect();
    let mut found: Vec<Vec<f32>> = drawn.marginal(0).map(<[f32]>::to_vec).collect();
    let order = |a: &Vec<f32>, b: &Vec<f32>| a[0].total_cmp(&b[0]);
    expected.sort_by(order);
    found.sort_by(order);
    assert_eq!(found, expected);
}

#[test]
fn transported_curves_cost_no_more_than_any_other_pairing() {
    let world = World::new();
    let curves = world.curves(Coupling::OptimalTransport, &FROM_SOURCE, BUDGET);
    let drawn = curves.draw(&ALL, 5, &Streams::new(11)).unwrap();
    let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    for m in 0..2 {
        let (from, to): (Vec<_>, Vec<_>) = (drawn.marginal(m).collect(), drawn.marginal(m + 1).collect());
        let cost = |order: &[usize]| order.iter().enumerate().map(|(i, &j)| square(from[i], to[j])).sum::<f64>();
        let found = cost(&[0, 1, 2, 3, 4]);
        let mut orders = 0;
        // Numbers in base 5 whose digits all differ are the 120 orders.
        for number in 0..5usize.pow(5) {
            let order: Vec<usize> = (0..5).map(|digit| number / 5usize.pow(digit) % 5).collect();
            if order.iter().collect::<BTreeSet<_>>().len() == 5 {
                orders += 1;
                assert!(found <= cost(&order) * (1.0 + 1e-6), "{order:?} of marginals {m} and {}", m + 1);
            }
        }
        assert_eq!(orders, 120);
    }
}

#[test]
fn curves_that_cannot_be_are_refused() {
    let world = World::new();
    let (zoo, space, source) = (&world.zoo, world.space(), &world.source);
    let paired = Curves::new(zoo, &ALL, space, source, Coupling::Paired, FROM_SOURCE.to_vec(), BUDGET);
    assert!(paired.err().unwrap().to_string().contains("independent or optimal-transport"));
    let none = world.curves(Coupling::Paired, &AT, BUDGET).draw(&[], 3, &Streams::new(0)).err().unwrap();
    assert!(none.to_string().contains("at least one run"));
}

#[test]
fn draws_among_many_runs_are_draws_without_replacement_too() {
    let runs: Vec<usize> = (0..MANY + 904).map(|i| 3 * i).collect();
    let half = 3 * runs.len() / 2;
    let (mut low, mut first_low) = (0, 0);
    for i in 0..400 {
        let streams = Streams::new(1).index(i);
        let found = drawn(&runs, 64, &streams);
        assert!(found.len() == 64 && found.iter().all(|run| run.is_multiple_of(3) && run / 3 < runs.len()));
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 64, "no run comes twice");
        assert_eq!(found, drawn(&runs, 64, &streams));
        low += found.iter().filter(|run| **run < half).count();
        first_low += usize::from(found[0] < half);
    }
    // Fair coins, four standard errors.
    assert!((low as f64 - 12_800.0).abs() < 4.0 * 6400f64.sqrt(), "{low}");
    assert!((first_low as f64 - 200.0).abs() < 4.0 * 100f64.sqrt(), "the order is random: {first_low}");
    // More than there are: each once before one comes twice.
    let found = drawn(&runs, runs.len() + 10, &Streams::new(2));
    assert_eq!(found[..runs.len()].iter().collect::<BTreeSet<_>>().len(), runs.len());
    assert_eq!(found[runs.len()..], found[..10]);
}

#[test]
fn starts_that_are_drawn_once_come_again_and_again() {
    let world = World::new();
    let distinct = |curves: &Curves| {
        let mut starts: Vec<Vec<u32>> = (0..5)
            .flat_map(|step| {
                let drawn = curves.draw(&ALL, 6, &Streams::new(1).index(step)).unwrap();
                drawn.marginal(0).map(|z| z.iter().map(|v| v.to_bits()).collect()).collect::<Vec<Vec<u32>>>()
            })
            .collect();
        starts.sort();
        let counts: Vec<usize> = starts.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
        counts
    };
    let curves = || world.curves(Coupling::Independent, &FROM_SOURCE, BUDGET);
    // Five draws of six, each start twice in every one of them.
    assert_eq!(distinct(&curves().with_starts(3, Streams::new(9))), [10, 10, 10]);
    assert_eq!(distinct(&curves().with_starts(0, Streams::new(9))), [1; 30]);
}
