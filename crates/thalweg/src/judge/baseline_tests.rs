//! Moments, places and lengths of the trivial generators, from closed forms and from geometry.
use super::*;
use crate::coupling::distance::by_differences;
use crate::judge::evaluator::ByEngine;
use crate::metric::wasserstein::spread;
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::Engine;
use thalweg_nets::testing::normals;

/// Finals whose covariance is known: three strong directions and one weak, in P = 50.
fn zoo(runs: usize) -> (Layout, Vec<f32>) {
    let layout = Layout::of_tensors([("a".into(), vec![7, 7]), ("b".into(), vec![1])]);
    let mut rng = Streams::new(1).rng();
    let mut points = vec![1.0f32; runs * 50];
    for row in points.chunks_exact_mut(50) {
        for (j, scale) in [(0, 3.0f32), (1, 2.0), (2, 1.0), (3, 0.01)] {
            row[j] += scale * rng.sample::<f32, _>(StandardNormal);
        }
    }
    (layout, points)
}

fn finals<'a>(layout: &'a Layout, training: &'a [f32]) -> Finals<'a> {
    Finals { layout, training, median: None, start: None, courses: None, probe: None, symmetry: None }
}

fn draw(baseline: Baseline, layout: &Layout, training: &[f32], n: usize) -> Vec<f32> {
    baseline.sample(&finals(layout, training), n, &Streams::new(2)).unwrap()
}

#[test]
fn gaussians_have_the_moments_of_the_zoo() {
    for runs in [30, 300] {
        let (layout, points) = zoo(runs);
        for baseline in [Baseline::DiagonalGaussian, Baseline::PcaGaussian] {
            let samples = draw(baseline, &layout, &points, 20_000);
            let (m, m0, s, s0) =
                (mean(&samples, 50), mean(&points, 50), deviation(&samples, 50), deviation(&points, 50));
            for j in 0..3 {
                assert!((m[j] - m0[j]).abs() < 5.0 * s0[j] / 20_000f64.sqrt(), "{baseline:?} mean {j}");
                assert!((s[j] / s0[j] - 1.0).abs() < 0.03, "{baseline:?} deviation {j}: {} {}", s[j], s0[j]);
            }
            assert!(samples.chunks(50).all(|row| row[4..].iter().all(|v| (v - 1.0).abs() < 1e-5)));
            // 9 + 4 + 1 hold the variance: the weak direction is no component, though a diagonal keeps it.
            assert_eq!(s[3] < 0.5 * s0[3], baseline == Baseline::PcaGaussian, "{} {}", s[3], s0[3]);
        }
    }
}

#[test]
fn the_pca_gaussian_keeps_correlations() {
    let layout = Layout::of_tensors([("a".into(), vec![2])]);
    let points: Vec<f32> = (0..20).flat_map(|i| [i as f32, 2.0 * i as f32 + 1.0]).collect();
    let samples = draw(Baseline::PcaGaussian, &layout, &points, 100);
    assert!(samples.chunks(2).all(|x| (x[1] - 2.0 * x[0] - 1.0).abs() < 1e-4));
}

#[test]
fn means_soups_and_interpolations_lie_where_they_should() {
    let (layout, points) = zoo(40);
    let middle = narrow(&mean(&points, 50));
    assert_eq!(draw(Baseline::Mean, &layout, &points, 9), middle);
    assert_eq!(draw(Baseline::Soup { members: 40 }, &layout, &points, 1).len(), 50);
    let whole = draw(Baseline::Soup { members: 40 }, &layout, &points, 1);
    assert!(by_differences(&whole, &middle) < 1e-5);
    // A mean of m of R without repetition has variance (1/m)(1 − m/R) of one.
    let soups = draw(Baseline::Soup { members: 16 }, &layout, &points, 4_000);
    let ratio = spread(&soups, 50).unwrap() / spread(&points, 50).unwrap();
    assert!((ratio / ((1.0 - 16.0 / 40.0) / 16.0f64).sqrt() - 1.0).abs() < 0.05, "{ratio}");
    // Each interpolation lies on the segment of one pair: the two distances sum to the pair's.
    for x in draw(Baseline::Interpolation, &layout, &points, 20).chunks(50) {
        let on_segment =
            |a: &[f32], b: &[f32]| by_differences(a, x) + by_differences(x, b) - by_differences(a, b) < 1e-5;
        let pairs = points.chunks(50).enumerate().flat_map(|(i, a)| points.chunks(50).skip(i + 1).map(move |b| (a, b)));
        assert_eq!(pairs.filter(|(a, b)| on_segment(a, b)).count(), 1);
    }
}

#[test]
fn noise_has_the_stated_length() {
    let (layout, points) = zoo(40);
    let zoo = Neighbourhood::new(&points, 50).unwrap();
    let noisy = draw(Baseline::Noise { level: 0.01 }, &layout, &points, 2_000);
    let d = zoo.relative(&zoo.nearest(&noisy).unwrap());
    let rms = (d.iter().map(|d| d * d).sum::<f64>() / 2_000.0).sqrt();
    assert!((rms / 0.01 - 1.0).abs() < 0.05, "{rms}");
}

#[test]
fn the_mean_move_moves_fresh_draws() {
    let (layout, points) = zoo(10);
    let (law, first) = (InitialLaw::AroundCentre { centre: vec![5.0; 50], noise: 0.0 }, vec![2.0; 50]);
    let finals = Finals { start: Some(Start { mean: &first, law: &law }), ..finals(&layout, &points) };
    let moved = Baseline::MeanMove.sample(&finals, 3, &Streams::new(3)).unwrap();
    let last = mean(&points, 50);
    assert!(
        moved
            .chunks(50)
            .all(|x| x.iter().zip(&last).all(|(x, last)| (f64::from(*x) - (5.0 + last - 2.0)).abs() < 1e-4))
    );
    assert!(Baseline::MeanMove.sample(&Finals { start: None, ..finals }, 3, &Streams::new(3)).is_err());
}

#[test]
fn seeds_decide_and_threads_do_not() {
    let (layout, points) = zoo(40);
    for baseline in Baseline::table(&finals(&layout, &points)) {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| draw(baseline, &layout, &points, 7))
        };
        assert_eq!(run(1), run(3), "{baseline:?}");
    }
}

#[test]
fn running_variances_stay_variances() {
    let text = "input = [1, 1, 1]\n[[layers]]\nkind = \"batch-norm\"\n";
    let layout = Layout::of(&thalweg_nets::Architecture::from_toml_str(text).unwrap());
    let variance = layout.slots().iter().find(|s| s.role == Role::RunningVariance).unwrap().offset;
    let mut points = vec![1.0; 2 * layout.len()];
    points[variance] = 0.0;
    let samples = draw(Baseline::DiagonalGaussian, &layout, &points, 100);
    let column: Vec<f32> = samples.chunks(layout.len()).map(|x| x[variance]).collect();
    assert!(column.iter().all(|v| *v >= 0.0) && column.contains(&0.0));
}

#[test]
fn rows_are_of_what_the_zoo_has() {
    let (layout, points) = zoo(40);
    let bare = finals(&layout, &points);
    let architecture = Preset::Mlp { widths: vec![5] }.build([4, 1, 1], 3).unwrap();
    let (engine, table) = (Engine::new(&architecture).unwrap(), SymmetryTable::of(&architecture));
    let law = InitialLaw::AroundCentre { centre: vec![5.0; 50], noise: 0.0 };
    let test = engine.pack(&[]).unwrap();
    let by_engine = ByEngine { engine: &engine, test: &test, probe: &[0.0; 4] };
    let whole = Finals {
        start: Some(Start { mean: &points[..50], law: &law }),
        probe: Some(&by_engine),
        symmetry: Some(&table),
        ..bare
    };
    let names = |zoo: &Finals<'_>| Baseline::table(zoo).iter().map(Baseline::name).collect::<Vec<_>>();
    let (few, all) = (names(&bare), names(&whole));
    let added: Vec<&str> = all.iter().filter(|name| !few.contains(name)).map(String::as_str).collect();
    let flat = ["", "soup-2-", "soup-3-", "soup-16-", "interpolation-"].map(|of| format!("{of}flat-noise-1.02"));
    let flat: Vec<&str> = flat.iter().map(String::as_str).collect();
    let felt = ["0.25", "0.33", "0.5"].map(|share| format!("soup-16-felt-{share}-noise-1.02"));
    let felt: Vec<&str> = felt.iter().map(String::as_str).collect();
    assert_eq!(added, [&["aligned-interpolation"], &flat[..], &felt, &["mean-move"]].concat());
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), few.len() + 10);
    // Of three runs no soup of three is drawn, with noise or without.
    let three = names(&Finals { training: &points[..150], ..whole });
    assert!(three.contains(&"soup-1".into()) && three.contains(&"flat-noise-1.02".into()), "{three:?}");
}

/// Runs that are one network in different orders of its hidden units: all between them after alignment is that network.
#[test]
fn aligned_interpolations_of_reordered_copies_are_the_network() {
    // One hidden layer: matching is exact.
    let table = SymmetryTable::of(&Preset::Mlp { widths: vec![8] }.build([4, 1, 1], 3).unwrap());
    let (p, network) = (table.layout().len(), normals(&Streams::new(1), table.layout().len()));
    let mut runs = network.repeat(6);
    for (r, run) in runs.chunks_exact_mut(p).enumerate() {
        table.permute(run, &[(0..8).map(|u| (u + r) % 8).collect()]).unwrap();
    }
    let zoo = Finals { symmetry: Some(&table), ..finals(table.layout(), &runs) };
    let of = |baseline: Baseline| baseline.sample(&zoo, 20, &Streams::new(3)).unwrap();
    let nearest = |x: &[f32]| runs.chunks(p).map(|run| by_differences(run, x)).fold(f64::INFINITY, f64::min);
    assert!(of(Baseline::AlignedInterpolation).chunks(p).all(|x| nearest(x) < 1e-5));
    assert!(of(Baseline::Interpolation).chunks(p).any(|x| nearest(x) > 0.1));
    assert!(Baseline::AlignedInterpolation.sample(&Finals { symmetry: None, ..zoo }, 1, &Streams::new(3)).is_err());
}

/// Every draw belongs to one run: its checkpoints' mean, with half their variance on the diagonal and half in the deviations from running means.
#[test]
fn run_swag_draws_about_the_checkpoints_of_one_run() {
    let (layout, points) = zoo(40);
    // Two runs far apart, four checkpoints each.
    let late: Vec<f32> = (0..8 * 50).map(|i| if i < 200 { 100.0 } else { -100.0 } + points[i]).collect();
    let courses = Courses { late, checkpoints: 4 };
    let zoo = Finals { courses: Some(&courses), ..finals(&layout, &points) };
    assert!(
        Baseline::table(&zoo).contains(&Baseline::RunSwag)
            && !Baseline::table(&finals(&layout, &points)).contains(&Baseline::RunSwag)
    );
    let samples = Baseline::RunSwag.sample(&zoo, 4_000, &Streams::new(4)).unwrap();
    let first = samples.chunks(50).filter(|x| x[0] > 0.0).count();
    assert!((1_800..2_200).contains(&first), "{first}");
    for (sign, run) in [(1.0f32, &courses.late[..200]), (-1.0, &courses.late[200..])] {
        for j in 0..3 {
            let column: Vec<f64> = run.chunks(50).map(|row| f64::from(row[j])).collect();
            let middle = column.iter().sum::<f64>() / 4.0;
            let own = samples.chunks(50).filter(|x| x[0] * sign > 0.0).map(|x| f64::from(x[j]));
            let drawn = own.clone().sum::<f64>() / own.count() as f64;
            assert!((drawn - middle).abs() < 0.3, "{j}: {drawn} {middle}");
        }
    }
    assert!(Baseline::RunSwag.sample(&finals(&layout, &points), 1, &Streams::new(4)).is_err());
}

/// The covariance that SWAG states: half the diagonal of the variances, half that of the last twenty deviations from running means.
#[test]
fn swag_has_the_variances_of_its_law() {
    let (layout, points) = zoo(60);
    let samples = draw(Baseline::Swag, &layout, &points, 20_000);
    for j in 0..3 {
        let column: Vec<f64> = points.chunks(50).map(|row| f64::from(row[j])).collect();
        let mean_of = |n: usize| column[..n].iter().sum::<f64>() / n as f64;
        let variance = column.iter().map(|v| (v - mean_of(60)).powi(2)).sum::<f64>() / 60.0;
        let low: f64 = (40..60).map(|i| (column[i] - mean_of(i + 1)).powi(2)).sum::<f64>() / 19.0;
        let (law, drawn): (f64, Vec<f64>) =
            ((variance + low) / 2.0, samples.chunks(50).map(|row| f64::from(row[j])).collect());
        let middle = drawn.iter().sum::<f64>() / 20_000.0;
        let found = drawn.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / 20_000.0;
        assert!((middle - mean_of(60)).abs() < 5.0 * (law / 20_000.0).sqrt(), "{j}: {middle}");
        assert!((found / law - 1.0).abs() < 0.05, "{j}: {found} {law}");
    }
}
