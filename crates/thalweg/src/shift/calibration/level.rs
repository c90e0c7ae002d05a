//! The level by simulation: fresh held-out rows and a fresh unshifted query for every repetition, sizes from few to as many as there are.
use super::*;
use crate::shift::config::small;
use crate::shift::law::power::Share;
use crate::shift::world;
use rand::RngExt;
use rayon::prelude::*;
use thalweg_nets::progress::Silent;

const LEVEL: f64 = 0.05;

/// Alarms of every test by itself, of harm, and of any kind.
struct Alarms {
    each: Vec<(Method, usize)>,
    harm: usize,
    any: usize,
    repetitions: usize,
}

/// `n` fresh rows, each independent of the others (of [`world`]'s rows every second is of either class, so that of each pair a random one is taken),
/// rounded to multiples of `grid` where there is one: many are copies of others then, and statistics tie.
fn fresh(n: usize, seed: u64, grid: Option<f32>) -> Sample {
    let world = world::two_clouds(1);
    let mut rng = Streams::new(seed).child("classes").rng();
    let one_of_each: Vec<usize> = (0..n).map(|pair| 2 * pair + usize::from(rng.random::<bool>())).collect();
    let rows = world.near(2 * n, seed).rows(&one_of_each);
    match grid {
        Some(grid) => {
            let inputs: Vec<f32> = rows.inputs.iter().map(|x| (x / grid).round() * grid).collect();
            world.base.sample(&inputs).unwrap()
        }
        None => rows,
    }
}

/// `repetitions` of `held` rows and `query` rows, all fresh, judged by the same tests with `null` redraws.
fn simulated(
    methods: &[Method],
    config: &Config,
    [held, query]: [usize; 2],
    (null, grid): (usize, Option<f32>),
    repetitions: usize,
) -> Alarms {
    let world = world::two_clouds(1);
    let request = Request { null, level: LEVEL, seed: 5, ..world::request(world.parts(query, config), methods) };
    let made = Calibration::make(&request, &Silent).unwrap();
    let one = |i: usize| {
        let seed = (held * 10_000_000 + query * 10_000 + i) as u64;
        let (held_out, rows) = (fresh(held, 2 * seed, grid), fresh(query, 2 * seed + 1, grid));
        let streams = Streams::new(seed).child("shift query");
        let verdict = made.against(&held_out, &rows, LEVEL, None, &streams, &Silent).unwrap();
        let each = verdict.findings.iter().map(|finding| finding.p_value <= LEVEL).collect();
        // Harm as the tests see it: a harmless change that explains what they see can only take such alarms back.
        let harm = verdict.answer.adjusted(Question::Harm).is_some_and(|p| p <= LEVEL);
        assert!(harm || verdict.outcome != Outcome::HarmfulShift);
        (each, harm, verdict.outcome)
    };
    let found: Vec<(Vec<bool>, bool, Outcome)> = (0..repetitions).into_par_iter().map(one).collect();
    let alarms = |t: usize| found.iter().filter(|(each, ..)| each[t]).count();
    Alarms {
        each: methods.iter().enumerate().map(|(t, &method)| (method, alarms(t))).collect(),
        harm: found.iter().filter(|(_, harm, _)| *harm).count(),
        any: found.iter().filter(|(.., outcome)| *outcome != Outcome::NoEvidenceOfHarm).count(),
        repetitions,
    }
}

/// Whether so many alarms are more than chance gives at the level: beyond 3.7 deviations, one in ten thousand.
fn is_above(alarms: usize, n: usize) -> bool {
    let n = n as f64;
    alarms as f64 > LEVEL * n + 3.7 * (LEVEL * (1.0 - LEVEL) * n).sqrt() + 1.0
}

fn holds(methods: &[Method], config: &Config, cells: &[([usize; 2], usize)], how: (usize, Option<f32>)) {
    let (mut any, mut all) = (0, 0);
    for &(sizes, repetitions) in cells {
        let alarms = simulated(methods, config, sizes, how, repetitions);
        let n = alarms.repetitions;
        for (method, hits) in &alarms.each {
            assert!(!is_above(*hits, n), "{sizes:?}: {} alarms {hits} times in {n}", method.name());
        }
        assert!(!is_above(alarms.harm, n) && !is_above(alarms.any, n), "{sizes:?}: {} {}", alarms.harm, alarms.any);
        let share = |hits| Share::of(hits, n).map(|s| format!("{:.3} [{:.3}, {:.3}]", s.share, s.low, s.high)).unwrap();
        let each: Vec<String> = alarms.each.iter().map(|(m, hits)| format!("{} {}", m.name(), share(*hits))).collect();
        println!("{sizes:?} × {n}: harm {}, any {}; {}", share(alarms.harm), share(alarms.any), each.join(", "));
        (any, all) = (any + alarms.any, all + n);
    }
    // All cells together: the exact interval reaches down to the level at most.
    let share = Share::of(any, all).unwrap();
    assert!(share.low <= LEVEL, "{share:?}");
}

fn named(names: &[&str]) -> Vec<Method> {
    names.iter().map(|name| Method::named(name).unwrap()).collect()
}

#[test]
fn few_held_out_rows_do_not_raise_the_level() {
    let cells = [
        [40, 5],
        [40, 10],
        [40, 20],
        [40, 40],
        [40, 50],
        [60, 5],
        [60, 10],
        [60, 20],
        [60, 30],
        [60, 50],
        [60, 60],
        [100, 5],
        [100, 10],
        [100, 20],
        [100, 50],
        [100, 100],
    ];
    let fixed = [
        "bank",
        "ensemble",
        "entropy",
        "bbsd",
        "energy",
        "mahalanobis",
        "relative-mahalanobis",
        "hotelling",
        "feature-mmd",
        "h-divergence",
    ];
    holds(&named(&fixed), &small(20), &cells.map(|sizes| (sizes, 800)), (99, None));
}

#[test]
fn nor_do_queries_as_large_as_a_large_pool() {
    let cells = [
        ([1000, 5], 600),
        ([1000, 10], 600),
        ([1000, 20], 600),
        ([1000, 50], 400),
        ([1000, 500], 150),
        ([1000, 1000], 100),
    ];
    holds(&named(&["bank", "entropy", "bbsd", "mahalanobis"]), &small(12), &cells, (99, None));
}

#[test]
fn nor_do_rows_that_equal_each_other_and_statistics_that_tie() {
    let cells = [[40, 10], [60, 20], [100, 50], [100, 100]].map(|sizes| (sizes, 600));
    let some = named(&["bank", "entropy", "bbsd", "mahalanobis", "feature-mmd"]);
    holds(&some, &small(12), &cells, (99, Some(1.5)));
}

#[test]
fn nor_do_networks_trained_for_every_query() {
    let mut config = small(12);
    config.cdc.steps = 10;
    config.detectron.rounds = 2;
    holds(&named(&["detectron", "two-sample"]), &config, &[([40, 10], 150)], (19, None));
}
