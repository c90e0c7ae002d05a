//! A test of shift of one's own: how far the inputs of a query lie from the mean of P's, measured along every axis. Its null law is drawn from the
//! held-out rows, its level is held against fresh queries of P, its power against moved ones.
use rand::RngExt;
use thalweg::shift::law::permutation;
use thalweg::shift::law::power::Share;
use thalweg::shift::test::Measured;
use thalweg::shift::{Base, NullLaw, Reference, Sample, ShiftTest, Statistic};
use thalweg::{Result, Streams};
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;

/// Mean over rows of |x − m|², a sum over rows that are independent: no order of the queries plays a part.
struct Distance {
    mean: Vec<f64>,
}

impl Distance {
    fn of(rows: &Sample) -> Self {
        let d = rows.width();
        let column = |j: usize| rows.inputs.iter().skip(j).step_by(d).map(|x| f64::from(*x)).sum::<f64>();
        Self { mean: (0..d).map(|j| column(j) / rows.len() as f64).collect() }
    }
}

impl ShiftTest for Distance {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("distance")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        let far = |x: &[f32]| x.iter().zip(&self.mean).map(|(x, m)| (f64::from(*x) - m).powi(2)).sum();
        let rows = |query: &Sample| query.inputs.chunks_exact(self.mean.len()).map(far).collect::<Vec<f64>>();
        let all: Vec<Vec<f64>> = queries.iter().map(rows).collect();
        let mean = |rows: &Vec<f64>| rows.iter().sum::<f64>() / rows.len() as f64;
        let values = all.iter().map(mean).collect();
        Ok(Measured { values, row_scores: all.into_iter().next().unwrap_or_default(), ..Measured::default() })
    }
}

/// `n` rows of U(0, 1)² + `by`, as a classifier sees them.
fn rows(base: &Base, n: usize, by: f32, seed: u64) -> Sample {
    let mut rng = Streams::new(seed).rng();
    base.sample(&(0..2 * n).map(|_| by + rng.random::<f32>()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_test_of_ones_own_keeps_its_level_and_finds_what_moved() {
    let net = Preset::Mlp { widths: vec![4] }.build([2, 1, 1], 2).unwrap();
    let engine = Engine::new(&net).unwrap();
    let base = Base::new(&net, Initialisation::default().draw(engine.layout(), &Streams::new(1))).unwrap();
    let part = |n, seed| rows(&base, n, 0.0, seed);
    let reference = Reference::new(part(200, 1), part(200, 2), part(400, 3)).unwrap();
    let test = Distance::of(&reference.train);
    let streams = Streams::new(4);

    // By redraws of held-out rows, as a calibration draws them.
    let (drawn, _) = reference.draws(10, 999, &streams).unwrap();
    let drawn: Vec<Sample> = drawn.iter().map(|rows| reference.held_out.rows(rows)).collect();
    let null = NullLaw::new(test.measure(&drawn, &streams).unwrap().values, 1).unwrap();
    let p_values = |by: f32, n: u64| -> Vec<f64> {
        let queries: Vec<Sample> = (0..n).map(|i| rows(&base, 10, by, 1000 + i)).collect();
        let measured = test.measure(&queries, &streams).unwrap().values;
        measured.iter().map(|s| null.p_values(&[*s]).unwrap()[0]).collect()
    };
    let share = |p: &[f64]| Share::rejected(p, 0.1).unwrap().share;
    // 2,000 queries against 999 draws, all of 400 held-out rows, whose mean distance is off by its own error: √(.09/2000 + .09/999) and that of
    // 10 rows against 400, about √(10/400) · .175 (the slope of the level in the statistic's deviations).
    let error = 3.7 * (0.09 / 2000.0 + 0.09 / 999.0 + (0.175f64 * (10.0f64 / 400.0).sqrt()).powi(2)).sqrt();
    let level = share(&p_values(0.0, 2000));
    assert!(level < 0.1 + error && level > 0.1 - error && 0.1 + error < 0.22, "{level} {error}");
    assert!(share(&p_values(1.0, 50)) == 1.0, "moved by a whole width");

    // By permutation of the query with the held-out rows: exact, whatever the held-out rows happen to be.
    let permuted = |i: u64| {
        let streams = Streams::new(5).index(i);
        let (held, query) = (part(40, 3000 + i), part(10, 9000 + i));
        let all = held.joined(&query);
        let queries = permutation::redraws(40, 10, 99, &streams).unwrap();
        let s = test.measure_rows(&all, 0, &queries, &streams).unwrap().values;
        (s[1..].iter().filter(|other| **other >= s[0]).count() + 1) as f64 / s.len() as f64
    };
    let level = share(&(0..2000).map(permuted).collect::<Vec<_>>());
    assert!((level - 0.1).abs() < 3.7 * (0.09f64 / 2000.0).sqrt(), "{level}");
}
