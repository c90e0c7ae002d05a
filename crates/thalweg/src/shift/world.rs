//! A small world for tests: two clouds in the plane, a network that tells them apart, and queries near and far.
use super::base::{Base, Sample};
use super::calibration::Request;
use super::method::{Config, Method, Parts};
use super::reference::Reference;
use crate::Streams;
use crate::testing::kept;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::sync::{Arc, OnceLock};
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::{Dataset, Normalisation};
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;
use thalweg_nets::train::{Length, Recipe, Trainer};

pub struct World {
    pub base: Arc<Base>,
    pub reference: Reference,
    pub labels: Vec<u32>,
}

impl World {
    /// What tests for queries of `size` rows are made from.
    pub fn parts<'a>(&'a self, size: usize, config: &'a Config) -> Parts<'a> {
        Parts { base: Some(self.base.clone()), reference: &self.reference, labels: &self.labels, size, config }
    }
}

/// The request for a calibration of `methods` by 40 redraws, and nothing chosen.
pub fn request<'a>(parts: Parts<'a>, methods: &'a [Method]) -> Request<'a> {
    Request { null: 40, seed: 3, data: "clouds".into(), ..Request::new(parts, methods) }
}

/// Clouds about (±1.5, 0) with unit spread across and along; the label is the cloud.
fn rows(n: usize, streams: &Streams, shift: f32, benign: bool) -> (Vec<f32>, Vec<u32>) {
    let mut rng = streams.rng();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in 0..n {
        let side = if i % 2 == 0 { 1.0 } else { -1.0 };
        let (a, b): (f32, f32) = (rng.sample(StandardNormal), rng.sample(StandardNormal));
        // Benign: the same rows but for those near the boundary.
        let across = if benign { 1.2 + (0.7 * a).abs().min(1.2) } else { 1.5 + 0.7 * a };
        x.extend([side * across, b + shift]);
        y.push(u32::from(side > 0.0));
    }
    (x, y)
}

/// The world of a seed, 1 or 2; made once a process, of a network that was trained before.
pub fn two_clouds(seed: u64) -> &'static World {
    static WORLDS: [OnceLock<World>; 3] = [const { OnceLock::new() }; 3];
    WORLDS[seed as usize].get_or_init(|| make(seed))
}

fn make(seed: u64) -> World {
    let streams = Streams::new(seed).child("world");
    let (x, labels) = rows(200, &streams.child("train"), 0.0, false);
    let base = Arc::new(Base::new(&network(), kept::read(&format!("clouds-{seed}.f32"))).unwrap());
    let sample = |name: &str, n: usize| base.sample(&rows(n, &streams.child(name), 0.0, false).0).unwrap();
    let reference = Reference::new(base.sample(&x).unwrap(), sample("validation", 200), sample("held", 400)).unwrap();
    World { base, reference, labels }
}

fn network() -> Architecture {
    Preset::Mlp { widths: vec![16, 16] }.build([2, 1, 1], 2).unwrap()
}

/// f of a seed.
fn trained(seed: u64) -> Vec<f32> {
    let streams = Streams::new(seed).child("world");
    let (x, labels) = rows(200, &streams.child("train"), 0.0, false);
    let as_they_are = Normalisation::identity([2, 1, 1]);
    let data = Dataset::new("clouds", [2, 1, 1], 2, x, labels, as_they_are).unwrap();
    let (net, engine) = (network(), Engine::new(&network()).unwrap());
    let recipe = Recipe {
        learning_rate: 0.01,
        batch: 50,
        checkpoints: vec![1.0],
        length: Length::Steps(200),
        ..Recipe::default()
    };
    let start = Initialisation::default().draw(engine.layout(), &streams.child("init"));
    let trainer = Trainer::new(&engine, &net, &data, &data, &recipe).unwrap();
    trainer.train(&start, &streams, &|| false).unwrap().theta
}

#[test]
#[ignore = "writes tests/data/clouds-1.f32 and clouds-2.f32"]
fn writes_the_networks() {
    for seed in [1, 2] {
        kept::write(&format!("clouds-{seed}.f32"), &trained(seed));
    }
}

#[test]
fn the_kept_networks_are_those_that_training_makes() {
    assert!([1, 2].iter().all(|seed| kept::is(&format!("clouds-{seed}.f32"), &trained(*seed))));
}

impl World {
    /// Fresh rows of P.
    pub fn near(&self, n: usize, seed: u64) -> Sample {
        self.base.sample(&rows(n, &Streams::new(seed).child("near"), 0.0, false).0).unwrap()
    }

    /// Rows that f has seen nothing like.
    pub fn far(&self, n: usize, seed: u64) -> Sample {
        self.base.sample(&rows(n, &Streams::new(seed).child("far"), 5.0, false).0).unwrap()
    }

    /// Rows where P's are, but none near the boundary: shifted, and f is better there than on P.
    pub fn benign(&self, n: usize, seed: u64) -> Sample {
        self.base.sample(&rows(n, &Streams::new(seed).child("benign"), 0.0, true).0).unwrap()
    }
}
