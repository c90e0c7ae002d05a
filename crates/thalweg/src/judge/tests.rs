//! A small zoo trained on the embedded digits, and generators whose rows are known beforehand.
use super::baseline::Start;
use super::*;
use crate::metric::answers::Answers;
use crate::space::symmetry::SymmetryTable;
use crate::testing::kept;
use crate::{Error, Streams};
use rayon::prelude::*;
use std::sync::OnceLock;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::{DataSpec, Splits};
use thalweg_nets::engine::{Engine, Mode, Packed};
use thalweg_nets::init::Initialisation;
use thalweg_nets::loss::CrossEntropy;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::InitialLaw;

const WIDTH: usize = 12;

struct Toy {
    engine: Engine,
    training: Vec<f32>,
    held_out: Vec<f32>,
    test: Packed,
    labels: Vec<u32>,
    start: Vec<f32>,
    symmetry: SymmetryTable,
    probe: Vec<f32>,
}

/// Twelve training and six held-out runs of an MLP from one noisy start, trained by plain gradient descent and kept.
fn toy() -> &'static Toy {
    static TOY: OnceLock<Toy> = OnceLock::new();
    TOY.get_or_init(|| {
        let (engine, start, splits) = setting();
        let runs = kept::read(KEPT);
        let (training, held_out) = runs.split_at(12 * engine.parameters());
        Toy {
            training: training.to_vec(),
            held_out: held_out.to_vec(),
            test: engine.pack(&splits.test.inputs).unwrap(),
            labels: splits.test.labels,
            start,
            symmetry: SymmetryTable::of(&architecture()),
            probe: splits.train.first(256).inputs,
            engine,
        }
    })
}

const KEPT: &str = "judge-runs.f32";

fn architecture() -> Architecture {
    Preset::Mlp { widths: vec![WIDTH] }.build([1, 8, 8], 10).unwrap()
}

fn setting() -> (Engine, Vec<f32>, Splits) {
    let engine = Engine::new(&architecture()).unwrap();
    let start = Initialisation::default().draw(engine.layout(), &Streams::new(1));
    (engine, start, DataSpec::named("digits").load().unwrap())
}

fn trained() -> Vec<f32> {
    let (engine, start, splits) = setting();
    (0..18u64).into_par_iter().flat_map_iter(|run| train(&engine, &start, run, &splits.train)).collect()
}

#[test]
#[ignore = "writes tests/data/judge-runs.f32"]
fn writes_the_runs() {
    kept::write(KEPT, &trained());
}

#[test]
fn the_kept_runs_are_those_that_training_makes() {
    assert!(kept::is(KEPT, &trained()));
}

fn train(engine: &Engine, start: &[f32], run: u64, data: &thalweg_nets::data::Dataset) -> Vec<f32> {
    let noise = Initialisation::default().draw(engine.layout(), &Streams::new(2).index(run));
    let mut theta: Vec<f32> = start.iter().zip(noise).map(|(w, e)| w + 0.3 * e).collect();
    let (mut gradient, mut workspace) = (vec![0.0; theta.len()], engine.workspace());
    let mut packed = engine.pack(&[]).unwrap();
    for step in 0..150 {
        let rows: Vec<usize> = (0..128).map(|i| (step * 128 + i * 7 + run as usize * 31) % data.len()).collect();
        engine.pack_rows(&data.inputs, &rows, &mut packed).unwrap();
        let labels: Vec<u32> = rows.iter().map(|&r| data.labels[r]).collect();
        let loss = CrossEntropy::new(&labels, 10, 0.0).unwrap();
        engine.gradient(&theta, &packed, Mode::Evaluate, &loss, &mut gradient, &mut workspace);
        theta.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= 0.5 * g);
    }
    theta
}

fn reference(toy: &Toy) -> ZooReference<'_> {
    ZooReference {
        networks: by(toy, &toy.engine),
        training: &toy.training,
        held_out: &toy.held_out,
        labels: &toy.labels,
        start: None,
        courses: None,
        symmetry: Some(&toy.symmetry),
        logits: None,
    }
}

fn by<'a>(toy: &'a Toy, engine: &'a Engine) -> Evaluation<'a> {
    Evaluation::Engine(ByEngine { engine, test: &toy.test, probe: &toy.probe })
}

fn judge() -> Judge<'static> {
    Judge::new(reference(toy())).unwrap()
}

/// θ with the hidden units in reverse order: the same function elsewhere.
fn reversed(theta: &[f32], engine: &Engine) -> Vec<f32> {
    let mut out = theta.to_vec();
    let slots = engine.layout().slots();
    for (slot, by_row) in [(&slots[0], true), (&slots[1], true), (&slots[2], false)] {
        let (from, to) = (&theta[slot.range()], &mut out[slot.range()]);
        let wide = if by_row { slot.len() / WIDTH } else { WIDTH };
        for (k, value) in to.iter_mut().enumerate() {
            let (row, column) = (k / wide, k % wide);
            *value =
                if by_row { from[(WIDTH - 1 - row) * wide + column] } else { from[row * wide + WIDTH - 1 - column] };
        }
    }
    out
}

#[test]
fn copies_are_seen_to_be_copies() {
    let judge = judge();
    let row = judge.row("copies", &toy().training, 1.5).unwrap();
    let zoo = judge.zoo_row().unwrap();
    assert_eq!(
        (row.novelty_l2, row.novelty_l2_nearest, row.novelty_iou, row.novel_and_performing),
        (0.0, 0.0, 1.0, 0.0)
    );
    assert_eq!((row.accuracy_mean, row.loss_mean, row.n, row.seconds), (zoo.accuracy_mean, zoo.loss_mean, 12, 1.5));
    assert_eq!((row.novelty_weights, row.novelty_behaviour, row.novel_performing_weights), (0.0, 0.0, 0.0));
    // Nearer to the training runs than all six held-out runs: U = 0 of twelve and six, all twelve distances tied.
    let truth = -36.0 / (6.0 * (19.0 - (12.0 * 12.0 * 12.0 - 12.0) / (18.0 * 17.0f64))).sqrt();
    assert!((row.copying_weights - truth).abs() < 1e-9, "{row:?} {truth}");
    assert!((row.spread_weights - 1.0).abs() < 1e-12 && (row.spread_behaviour - 1.0).abs() < 1e-12);
    assert!((zoo.spread_weights, zoo.spread_behaviour) == (1.0, 1.0) && row.ensemble_gain.is_nan());
    // Among themselves they are as different as the zoo is.
    assert_eq!((row.diversity_l2, row.diversity_iou), (zoo.novelty_l2, zoo.novelty_iou));
    // One network many times: nothing of diversity.
    let one = toy().training[..toy().engine.parameters()].repeat(3);
    let row = judge.row("one", &one, 0.0).unwrap();
    assert_eq!((row.diversity_l2, row.diversity_iou, row.accuracy_sem), (0.0, 1.0, 0.0));
}

#[test]
fn the_zoo_and_its_held_out_runs_score_as_real_runs_do() {
    let judge = judge();
    let (zoo, held_out) = (judge.zoo_row().unwrap(), judge.row("held-out", &toy().held_out, f64::NAN).unwrap());
    assert!(zoo.accuracy_mean > 0.88, "{zoo:?}");
    assert!((held_out.accuracy_mean - zoo.accuracy_mean).abs() < 0.02, "{held_out:?}");
    for row in [&zoo, &held_out] {
        assert!((0.8..1.3).contains(&row.novelty_l2), "{row:?}");
        assert!((0.2..0.9).contains(&row.novelty_iou), "{row:?}");
        assert!((0.8..1.3).contains(&row.novelty_weights) && (0.7..1.4).contains(&row.novelty_behaviour), "{row:?}");
        assert!(row.novel_and_performing > 0.5 && row.accuracy_floor <= zoo.accuracy_mean, "{row:?}");
        assert!(row.performing >= row.novel_and_performing && row.spread_weights > 0.8, "{row:?}");
    }
    assert!(zoo.copying_weights.abs() < 2.5 && zoo.copying_behaviour.abs() < 2.5, "{zoo:?}");
    // The one of twelve below each of the three quantiles of 5 %, or fewer where one network is below several.
    assert!((zoo.performing - 11.0 / 12.0).abs() < 1e-12 && zoo.novel_and_performing >= 9.0 / 12.0, "{zoo:?}");
    // By the definition of a median: half of the zoo at d ≤ 1.
    let far = judge.training.0.d.iter().filter(|d| **d > 1.0).count();
    assert_eq!(far, 6);
    // Against scores from the engine's own path.
    let scores = thalweg_nets::evaluate::evaluate(&toy().engine, &toy().training, &toy().test, &toy().labels).unwrap();
    for (score, (accuracy, loss)) in scores.iter().zip(judge.training.0.accuracy.iter().zip(&judge.training.0.loss)) {
        assert!((score.accuracy - accuracy).abs() < 1e-12 && (score.loss - loss).abs() < 1e-12);
    }
}

#[test]
fn a_permuted_copy_is_new_in_weights_and_old_in_behaviour() {
    let (judge, engine) = (judge(), &toy().engine);
    let permuted: Vec<f32> = toy().training.chunks(engine.parameters()).flat_map(|x| reversed(x, engine)).collect();
    let (row, zoo) = (judge.row("permuted", &permuted, 0.0).unwrap(), judge.zoo_row().unwrap());
    assert!((row.accuracy_mean - zoo.accuracy_mean).abs() < 1e-3);
    assert!(row.novelty_l2 > 2.0 && row.novelty_iou > 0.99, "{row:?}");
    // The old measure takes it for new; alignment and answers do not.
    assert!(row.novel_performing_weights > 0.8 && row.novel_and_performing == 0.0, "{row:?}");
    assert!(row.novelty_weights < 1e-6 && row.novelty_behaviour < 0.05 && row.copying_weights < -2.0, "{row:?}");
}

#[test]
fn the_numbers_of_each_network_are_those_of_brute_force() {
    let (toy, judge) = (toy(), judge());
    let p = toy.engine.parameters();
    let new: Vec<f32> = toy.held_out.repeat(3);
    let (judged, row) = (judge.judge(&new).unwrap(), judge.row("thrice", &new, 0.0).unwrap());
    let classes = |theta: &[f32]| -> Vec<u32> {
        let logits = toy.engine.logits_of_many(theta, &toy.test).unwrap();
        logits.chunks(10).map(thalweg_nets::evaluate::argmax).collect()
    };
    let inputs = toy.labels.len();
    let (of_new, of_zoo) = (classes(&new), classes(&toy.training));
    let differing = |a: &[u32], b: &[u32]| a.iter().zip(b).filter(|(a, b)| a != b).count() as f64 / inputs as f64;
    let near = |x: &[u32], skip: usize| {
        let others = of_zoo.chunks(inputs).enumerate().filter(|(j, _)| *j != skip);
        others.map(|(_, y)| differing(x, y)).fold(f64::INFINITY, f64::min)
    };
    let own: Vec<f64> = of_zoo.chunks(inputs).enumerate().map(|(i, x)| near(x, i)).collect();
    let (middle, least) = (quantile("own", &own, 0.5).unwrap(), quantile("own", &own, 0.05).unwrap());
    let weights = distances(&judge.training.0.aligned);
    let far = quantile("own", &weights, 0.05).unwrap();
    for (i, x) in of_new.chunks(inputs).enumerate() {
        let found = near(x, usize::MAX);
        assert!((judged.alike[i].distance - found).abs() < 1e-12);
        assert!((judged.d_behaviour[i] - found / middle).abs() < 1e-12);
        assert!(judged.aligned[i].distance <= judged.nearest[i].distance);
        let counts =
            judged.accuracy[i] >= judge.accuracy_floor() && found >= least && judged.aligned[i].distance >= far;
        assert_eq!(judged.novel_and_performing[i], counts);
    }
    let share = |reaches: &dyn Fn(usize) -> bool| {
        (0..judged.d.len()).filter(|i| reaches(*i)).count() as f64 / judged.d.len() as f64
    };
    assert_eq!(row.new_in_weights, share(&|i| judged.aligned[i].distance >= far));
    assert_eq!(row.new_in_behaviour, share(&|i| judged.alike[i].distance >= least));
    // Sixteen of the eighteen make one ensemble; pairs of the same network differ nowhere.
    let mut ensemble = crate::metric::calibration::Ensemble::new(inputs, 10).unwrap();
    for theta in new.chunks(p).take(16) {
        ensemble.add(&toy.engine.logits_of_many(theta, &toy.test).unwrap()).unwrap();
    }
    let gain = ensemble.judge(&toy.labels).unwrap().accuracy - mean(&judged.accuracy[..16]);
    assert!((row.ensemble_gain - gain).abs() < 1e-12, "{row:?} {gain}");
    let spread = |classes: &[u32]| Answers::new(classes, inputs).unwrap().spread().unwrap();
    assert!((row.spread_behaviour - spread(&of_new) / spread(&of_zoo)).abs() < 1e-12);
}

#[test]
fn untrained_networks_are_new_and_do_not_perform() {
    let toy = toy();
    let fresh: Vec<f32> =
        (0..20).flat_map(|i| Initialisation::default().draw(toy.engine.layout(), &Streams::new(3).index(i))).collect();
    let row = judge().row("fresh", &fresh, 0.0).unwrap();
    assert!(row.novelty_l2 > 1.0 && row.accuracy_mean < 0.25 && row.novel_and_performing == 0.0, "{row:?}");
    assert!(row.loss_mean > 2.0 && row.accuracy_best >= row.accuracy_top5 && row.accuracy_top5 > row.accuracy_mean);
}

/// The names of a table's rows.
fn names(rows: &[Judged]) -> Vec<&str> {
    rows.iter().map(|judged| judged.row.method.as_str()).collect()
}

#[test]
fn a_table_has_its_rows_in_order_and_evaluates_each_network_once() {
    let (toy, p) = (toy(), toy().engine.parameters());
    // The toy's noise is uniform per weight; a Gaussian relative to each tensor is near enough to start from.
    let law = InitialLaw::AroundCentre { centre: toy.start.clone(), noise: 0.3 };
    let start = Some(Start { mean: &toy.start, law: &law });
    // An engine of its own, since tests in other threads evaluate by the toy's.
    let engine = Engine::new(&architecture()).unwrap();
    let zoo = ZooReference { start, networks: by(toy, &engine), ..reference(toy) };
    let (some, streams) = (toy.held_out.repeat(5), Streams::new(4));
    let generated: [(&str, &[f32]); 2] = [("a", &some), ("b", &toy.training[..2 * p])];
    let all = table(zoo, &generated, Some(&streams), &Silent).unwrap();
    let flat = ["flat-noise-1.02", "soup-2-flat-noise-1.02", "soup-3-flat-noise-1.02", "soup-6-flat-noise-1.02"];
    let felt = ["0.25", "0.33", "0.5"].map(|share| format!("soup-6-felt-{share}-noise-1.02"));
    let flat = [&flat[..], &["interpolation-flat-noise-1.02"], &felt.each_ref().map(|name| &name[..])].concat();
    let (means, others) =
        (["soup-2", "soup-3", "soup-6", "interpolation"], ["diagonal-gaussian", "pca-gaussian", "swag"]);
    let baselines = [&means[..], &["noise-0.25", "noise-1.1"], &flat, &others].concat();
    assert_eq!(names(&all), [&["a", "b", "zoo", "held-out", "mean"], &baselines[..], &["mean-move"]].concat());
    let judged = 30 + 2 + 12 + 6 + 1 + 18 * 30;
    // For five flat noises 4 networks on the probe, as they are and with six stiffnesses; for three others 16, and 16 runs, the networks once more, and up to 15 times.
    let chosen = 5 * 4 * 7 + 3 * 16 * (7 + 2);
    assert!((0..=3).any(|n| engine.evaluated() == judged + chosen + 16 * 15 * n), "{}", engine.evaluated());
    assert_eq!(all.iter().map(|judged| judged.row.n).sum::<usize>() as u64, judged);
    let origins = [[Origin::Generated; 2], [Origin::Zoo, Origin::HeldOut]].concat();
    assert!(all.iter().map(|judged| judged.origin).eq(origins.into_iter().chain([Origin::Baseline; 19])));
    let judge = Judge::new(zoo).unwrap();
    assert_eq!(
        (&all[2].networks, &all[2].row.accuracy_mean),
        (&judge.training.0, &judge.zoo_row().unwrap().accuracy_mean)
    );
    assert_eq!(all[3].networks, judge.judge(&toy.held_out).unwrap());
    let row = |name: &str| &all.iter().find(|judged| judged.row.method == name).unwrap().row;
    assert_eq!((row("mean").n, row("soup-6").n), (1, 30));
    assert!(row("mean").accuracy_sem.is_nan() && row("mean").diversity_l2.is_nan());
    assert!((row("noise-0.25").novelty_l2 - 0.25).abs() < 0.02, "{:?}", row("noise-0.25"));
    assert!(row("noise-0.25").accuracy_mean > 0.85 && row("noise-0.25").novel_and_performing == 0.0);
    assert!((row("noise-1.1").novelty_l2 - 1.1).abs() < 0.12, "{:?}", row("noise-1.1"));
    assert!(row("mean-move").accuracy_mean > 0.6, "{:?}", row("mean-move"));
    // A run plus noise that it feels least: as far in weights as plain noise, and more accurate. (Networks of this size feel all noise that large.)
    let flat = row("flat-noise-1.02");
    assert!((flat.novelty_l2 - 1.02).abs() < 0.05 && flat.accuracy_mean > row("noise-1.1").accuracy_mean, "{flat:?}");
    assert!(flat.novelty_behaviour < row("noise-1.1").novelty_behaviour, "{flat:?}");
    let again = table(zoo, &generated, Some(&streams), &Silent).unwrap();
    assert!(all.iter().zip(&again).all(|(a, b)| a.networks == b.networks));
    // Without held-out runs, baselines, or anything generated.
    let bare = table(ZooReference { held_out: &[], ..zoo }, &generated[..1], None, &Silent).unwrap();
    assert_eq!(names(&bare), ["a", "zoo"]);
    assert_eq!(names(&table(zoo, &[], None, &Silent).unwrap()), ["zoo", "held-out"]);
}

#[test]
fn noise_that_a_copy_does_not_feel_is_new_in_weights_and_no_longer_novel_and_performing() {
    let (toy, p) = (toy(), toy().engine.parameters());
    let judge = judge();
    // Pixels that are 0 on every test image: the weights behind them decide nothing. Training runs, moved there alone.
    let (first, splits) = (toy.engine.layout().slots()[0].range(), setting().2);
    let dark: Vec<usize> =
        (0..64).filter(|j| splits.test.inputs.chunks_exact(64).all(|row| row[*j] == splits.test.inputs[*j])).collect();
    assert!(!dark.is_empty());
    let constant = |j: usize| splits.test.inputs[j];
    let mut copies = toy.training.clone();
    for theta in copies.chunks_exact_mut(p) {
        for (unit, row) in theta[first.clone()].chunks_exact_mut(64).enumerate() {
            // Opposite moves of two such weights, in proportion to the pixels' constants, cancel; where the constant is 0 any move does.
            for &j in dark.iter().filter(|&&j| constant(j) == 0.0) {
                row[j] += if unit % 2 == 0 { 2.0 } else { -2.0 };
            }
            if let [a, b, ..] = dark.iter().copied().filter(|&j| constant(j) != 0.0).collect::<Vec<_>>()[..] {
                let size = 10.0 / constant(a).hypot(constant(b));
                (row[a], row[b]) = (row[a] + size * constant(b), row[b] - size * constant(a));
            }
        }
    }
    let row = judge.row("copies", &copies, f64::NAN).unwrap();
    assert!(row.novel_performing_weights > 0.8, "the older measure takes them for new: {row:?}");
    assert!(row.novelty_weights > 1.0 && row.novelty_behaviour < 0.2, "{row:?}");
    assert_eq!(row.novel_and_performing, 0.0);
    assert!(row.copying_behaviour < -2.0 && row.copying_weights > 1.0, "{row:?}");
}

#[test]
fn a_row_has_the_agreed_names_and_comes_back_from_json() {
    let theta = &toy().training[..toy().engine.parameters()];
    let row = judge().row("one", theta, 0.25).unwrap();
    let json = serde_json::to_value(&row).unwrap();
    let names = [
        "method",
        "accuracy_mean",
        "accuracy_sem",
        "accuracy_best",
        "accuracy_top5",
        "loss_mean",
        "novelty_l2",
        "novelty_l2_nearest",
        "novelty_iou",
        "novel_and_performing",
        "diversity_l2",
        "diversity_iou",
        "n",
        "seconds",
    ];
    assert!(names.iter().all(|name| json.get(name).is_some()), "{json}");
    assert!(json["accuracy_sem"].is_null() && json["diversity_iou"].is_null() && json["seconds"] == 0.25);
    let back: Row = serde_json::from_value(json).unwrap();
    assert!(back.accuracy_sem.is_nan() && back.accuracy_mean == row.accuracy_mean);
}

#[test]
fn overflowing_networks_are_a_finding_and_nan_weights_an_error() {
    let judge = judge();
    let huge = vec![1e30; toy().engine.parameters()];
    let row = judge.row("diverged", &huge, 0.0).unwrap();
    assert!(row.loss_mean.is_infinite() && row.accuracy_mean < 0.3 && row.novel_and_performing == 0.0, "{row:?}");
    assert!(serde_json::to_value(&row).unwrap()["loss_mean"].is_null());
    assert!(matches!(judge.row("nan", &vec![f32::NAN; huge.len()], 0.0), Err(Error::NotFinite { .. })));
    assert!(judge.row("short", &huge[1..], 0.0).is_err());
    assert!(Judge::new(ZooReference { labels: &toy().labels[1..], ..reference(toy()) }).is_err());
    assert!(Judge::new(ZooReference { training: &huge, ..reference(toy()) }).is_err());
}

#[test]
fn a_zoo_on_disk_is_judged_whole() {
    use thalweg_nets::zoo::{Shares, TrainOptions, ZooKind, ZooSpec, train_zoo};
    let architecture = architecture();
    let engine = Engine::new(&architecture).unwrap();
    let spec = ZooSpec::new(architecture, DataSpec::named("digits"), ZooKind::Shared { noise: 0.05 }, 10);
    let dir = tempfile::tempdir().unwrap();
    let store = train_zoo(&spec, &dir.path().join("zoo"), &TrainOptions::default(), &Silent).unwrap();
    let split = store.split(Shares { validation: 0.1, test: 0.2 }, 0).unwrap();
    let runs = ZooRuns::of(&store, &split).unwrap();
    let p = engine.parameters();
    assert_eq!((runs.training.len() / p, runs.held_out.len() / p), (split.train.len(), split.test.len()));
    // The mean start is the centre, up to the noise of so many runs.
    let (mean, centre) = (&runs.start.as_ref().unwrap().0, store.centre().unwrap().unwrap());
    let far = crate::coupling::distance::by_differences(mean, &centre);
    let one = crate::coupling::distance::by_differences(&store.trajectory(split.train[0]).unwrap()[..p], &centre);
    assert!(far < 0.7 * one && far > 0.0, "{far} {one}");
    let data = store.data().unwrap().load().unwrap();
    let test = engine.pack(&data.test.inputs).unwrap();
    let reference = runs.reference(&engine, &test, &data.test.labels);
    let rows = table(reference, &[], Some(&Streams::new(1)), &Silent).unwrap();
    assert_eq!(names(&rows).last(), Some(&"mean-move"));
    assert_eq!([rows[0].row.n, rows[1].row.n], [split.train.len(), split.test.len()]);
}
