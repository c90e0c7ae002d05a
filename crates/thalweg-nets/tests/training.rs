//! Single runs: against a loop written out by hand, and the layers that behave differently in training.
#![allow(clippy::unwrap_used)]
mod common;

use common::digits;
use thalweg_nets::data::{DataSpec, Splits};
use thalweg_nets::engine::{Engine, Mode};
use thalweg_nets::init::Initialisation;
use thalweg_nets::loss::CrossEntropy;
use thalweg_nets::streams::Streams;
use thalweg_nets::train::{Length, Optimiser, Recipe, Schedule, Trainer};
use thalweg_nets::{Architecture, Layout};

fn data() -> Splits {
    DataSpec::named("digits").load().unwrap()
}

#[test]
fn whole_batches_follow_the_gradient_of_the_whole_data() {
    let (net, data) = (digits(), data());
    let n = data.train.len();
    let recipe = Recipe {
        optimiser: Optimiser::sgd(0.0),
        learning_rate: 0.2,
        schedule: Schedule::Cosine,
        weight_decay: 0.01,
        batch: n,
        length: Length::Steps(6),
        label_smoothing: 0.1,
        checkpoints: vec![0.0, 0.5, 1.0],
    };
    let engine = Engine::new(&net).unwrap();
    let trainer = Trainer::new(&engine, &net, &data.train, &data.validation, &recipe).unwrap();
    let start = Initialisation::default().draw(engine.layout(), &Streams::new(1));
    let found = trainer.train(&start, &Streams::new(2), &|| false).unwrap();
    assert_eq!(found.theta[..start.len()], start);

    // By hand, in f64, on the whole data in their own order, with PyTorch's cosine rates.
    let x = engine.pack(&data.train.inputs).unwrap();
    let loss = CrossEntropy::new(&data.train.labels, 10, 0.1).unwrap();
    let mut theta: Vec<f64> = start.iter().map(|&w| f64::from(w)).collect();
    for t in 0..6 {
        let rounded: Vec<f32> = theta.iter().map(|&w| w as f32).collect();
        let mut gradient = vec![0.0; rounded.len()];
        engine.gradient(&rounded, &x, Mode::Evaluate, &loss, &mut gradient, &mut engine.workspace());
        let rate = 0.1 * (1.0 + (std::f64::consts::PI * f64::from(t) / 6.0).cos());
        for (w, g) in theta.iter_mut().zip(gradient) {
            *w -= rate * (f64::from(g) + 0.01 * *w);
        }
        let at = match t {
            2 => 1,
            5 => 2,
            _ => continue,
        };
        let worst = theta
            .iter()
            .zip(&found.theta[at * start.len()..])
            .map(|(a, &b)| (a - f64::from(b)).abs())
            .fold(0.0, f64::max);
        assert!(worst < 3e-6, "checkpoint {at}: {worst}");
    }
    assert!(found.loss[2] < found.loss[1] && found.loss[1] < found.loss[0]);
}

#[test]
fn dropout_and_batch_normalisation_train_and_repeat() {
    let text = "input = [1, 8, 8]
        [[layers]]\nkind = \"conv\"\nout = 4\nkernel = 3
        [[layers]]\nkind = \"batch-norm\"
        [[layers]]\nkind = \"relu\"
        [[layers]]\nkind = \"flatten\"
        [[layers]]\nkind = \"dropout\"\np = 0.3
        [[layers]]\nkind = \"dense\"\nout = 10";
    let net = Architecture::from_toml_str(text).unwrap();
    let (layout, data) = (Layout::of(&net), data());
    let recipe =
        Recipe { learning_rate: 3e-3, length: Length::Epochs(3.0), checkpoints: vec![0.0, 1.0], ..Recipe::default() };
    let engine = Engine::new(&net).unwrap();
    let trainer = Trainer::new(&engine, &net, &data.train, &data.validation, &recipe).unwrap();
    let start = Initialisation::default().draw(&layout, &Streams::new(1));
    let run = |seed| trainer.train(&start, &Streams::new(seed), &|| false).unwrap();
    let (a, b, c) = (run(1), run(1), run(2));
    assert_eq!(a, b);
    assert_ne!(a.theta, c.theta);
    assert!(a.accuracy[1] > 0.8 && a.diverged_at.is_none(), "{:?}", a.accuracy);
}

#[test]
fn running_statistics_are_those_of_the_batches_by_pytorchs_momentum() {
    let conv = "input = [1, 8, 8]\n[[layers]]\nkind = \"conv\"\nout = 4\nkernel = 3\n";
    let rest =
        "[[layers]]\nkind = \"batch-norm\"\n[[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"dense\"\nout = 10\n";
    let net = Architecture::from_toml_str(&format!("{conv}{rest}")).unwrap();
    let (layout, data) = (Layout::of(&net), data());
    let n = data.train.len();
    let recipe = Recipe { batch: n, length: Length::Steps(3), checkpoints: vec![1.0], ..Recipe::default() };
    let engine = Engine::new(&net).unwrap();
    let trainer = Trainer::new(&engine, &net, &data.train, &data.validation, &recipe).unwrap();
    let start = Initialisation::default().draw(&layout, &Streams::new(1));
    let mut run = trainer.begin(&start, &Streams::new(2)).unwrap();
    // No learning rate: the weights stay, every batch is all of the data, and only the running statistics move.
    for _ in 0..3 {
        run.step(0.0).unwrap();
    }
    // What the normalisation sees, by a network that ends before it.
    let before = Architecture::from_toml_str(&format!("{conv}[[layers]]\nkind = \"flatten\"\n")).unwrap();
    let before = Engine::new(&before).unwrap();
    let seen = before.logits_of_many(&start[..before.parameters()], &before.pack(&data.train.inputs).unwrap()).unwrap();
    let plane = seen.len() / (n * 4);
    let slot = |name: &str| layout.slots().iter().find(|s| s.name == name).unwrap().range();
    let (means, variances) = (&run.theta()[slot("1.running_mean")], &run.theta()[slot("1.running_var")]);
    for channel in 0..4 {
        let of = || seen.chunks(plane).skip(channel).step_by(4).flatten().map(|v| f64::from(*v));
        let count = (n * plane) as f64;
        let mean = of().sum::<f64>() / count;
        let variance = of().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // Three times r ← .9 r + .1 (batch's), from mean 0 and variance 1, as PyTorch has it.
        let kept = 0.9f64.powi(3);
        let expected = [(1.0 - kept) * mean, kept + (1.0 - kept) * variance];
        let found = [means[channel], variances[channel]].map(f64::from);
        assert!((0..2).all(|i| (found[i] - expected[i]).abs() < 1e-5), "{channel}: {found:?} {expected:?}");
        assert!((variance - 1.0).abs() > 0.05, "{variance} would not be told from the start");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let (net, data) = (digits(), data());
    let engine = Engine::new(&net).unwrap();
    let message =
        |recipe: Recipe| Trainer::new(&engine, &net, &data.train, &data.validation, &recipe).unwrap_err().to_string();
    assert!(message(Recipe { batch: 1080, ..Recipe::default() }).contains("1079 training rows"));
    assert!(message(Recipe { length: Length::Steps(3), ..Recipe::default() }).contains("recipe.checkpoints"));
    let other = Architecture::from_toml_str("input = [64]\n[[layers]]\nkind = \"dense\"\nout = 10").unwrap();
    let engine = Engine::new(&other).unwrap();
    let recipe = Recipe::default();
    let error = Trainer::new(&engine, &other, &data.train, &data.validation, &recipe).unwrap_err().to_string();
    assert!(error.contains("[1, 8, 8] of digits"), "{error}");
}
