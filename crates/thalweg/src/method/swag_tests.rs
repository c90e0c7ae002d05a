//! SWAG against the paper's formulas, written out over the whole covariance.
use super::*;
use crate::solver::Integration;

const D: usize = 4;

/// Iterates that drift and are correlated, as the ends of curves `[2, n, D]`.
fn curves(n: usize) -> Vec<f32> {
    let mut out = vec![0.0; 2 * n * D];
    normal::fill(&mut Streams::new(1).rng(), &mut out);
    for (i, y) in out[n * D..].chunks_exact_mut(D).enumerate() {
        y[1] = 0.8 * y[0] + 0.3 * y[1];
        y[2] = 0.2 * y[2] + i as f32 / n as f32;
        y[3] = 2.0;
    }
    out
}

fn solved(rank: usize, scale: f64, n: usize) -> Swag {
    let mut swag = SwagConfig { rank, scale }.build(&[0.0, 1.0], D).unwrap();
    swag.solve(&curves(n)).unwrap();
    swag
}

/// Mean and covariance of the paper, in doubles.
fn truth(rank: usize, scale: f64, n: usize) -> (Vec<f64>, [[f64; D]; D]) {
    let all = curves(n);
    let rows: Vec<Vec<f64>> = all[n * D..].chunks_exact(D).map(|y| y.iter().map(|v| f64::from(*v)).collect()).collect();
    let mean_of = |m: usize| (0..D).map(|k| rows[..m].iter().map(|r| r[k]).sum::<f64>() / m as f64).collect::<Vec<_>>();
    let mean = mean_of(n);
    let mut covariance = [[0.0; D]; D];
    let half = if rank == 0 { 1.0 } else { 0.5 };
    for k in 0..D {
        let square = rows.iter().map(|r| r[k] * r[k]).sum::<f64>() / n as f64;
        covariance[k][k] += scale * half * (square - mean[k] * mean[k]);
    }
    for i in (n - rank)..n {
        let running = mean_of(i + 1);
        for a in 0..D {
            for b in 0..D {
                let product = (rows[i][a] - running[a]) * (rows[i][b] - running[b]);
                covariance[a][b] += scale * 0.5 * product / (rank - 1) as f64;
            }
        }
    }
    (mean, covariance)
}

fn draws(swag: &Swag, n: usize) -> Vec<f32> {
    let mut x = vec![0.0; n * D];
    normal::fill(&mut Streams::new(2).rng(), &mut x);
    let streams: Vec<_> = (0..n as u64).map(|i| Streams::new(3).index(i)).collect();
    swag.transport(&mut x, None, &Transport { solver: Solver::Euler, steps: 1, at: vec![] }, &streams).unwrap();
    x
}

fn moments(x: &[f32]) -> (Vec<f64>, [[f64; D]; D]) {
    let n = (x.len() / D) as f64;
    let mut mean = vec![0.0; D];
    x.chunks_exact(D).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n));
    let mut covariance = [[0.0; D]; D];
    for row in x.chunks_exact(D) {
        for a in 0..D {
            for b in 0..D {
                covariance[a][b] += (f64::from(row[a]) - mean[a]) * (f64::from(row[b]) - mean[b]) / n;
            }
        }
    }
    (mean, covariance)
}

#[test]
fn the_law_has_the_papers_mean_and_covariance() {
    for (rank, scale) in [(8, 1.0), (0, 1.0), (5, 0.25)] {
        let swag = solved(rank, scale, 30);
        let (mean, covariance) = truth(rank, scale, 30);
        // The parameters themselves, to rounding: diag(s²)/2 + D̂D̂ᵀ/(2 (K − 1)).
        let [own, shared] = swag.factors().map(f64::from);
        for a in 0..D {
            assert!((f64::from(swag.mean()[a]) - mean[a]).abs() < 1e-6);
            for b in 0..D {
                let low: f64 = swag.columns().chunks_exact(D).map(|w| f64::from(w[a]) * f64::from(w[b])).sum::<f64>()
                    * shared.powi(2);
                let diagonal = if a == b { (own * f64::from(swag.deviation()[a])).powi(2) } else { 0.0 };
                let found = low + diagonal;
                assert!((found - covariance[a][b]).abs() < 1e-6, "{rank} {a} {b}: {found} {}", covariance[a][b]);
            }
        }
        let (of_mean, of_covariance) = moments(&draws(&swag, 40_000));
        for a in 0..D {
            assert!((of_mean[a] - mean[a]).abs() < 0.02);
            for b in 0..D {
                let error = (of_covariance[a][b] - covariance[a][b]).abs();
                assert!(error < 0.02 * (1.0 + covariance[a][a]), "{rank} {a} {b}: {error}");
            }
        }
    }
    // Where all iterates agree, so do all samples.
    assert!(draws(&solved(8, 1.0, 30), 50).chunks_exact(D).all(|row| row[3] == 2.0));
}

#[test]
fn the_drift_carries_a_standard_gaussian_there() {
    let swag = solved(8, 1.0, 30);
    let mut x = vec![0.0; 4000 * D];
    normal::fill(&mut Streams::new(5).rng(), &mut x);
    let mut tape = Tape::default();
    let mut drift = |x: &[f32], t: &[f32], v: &mut [f32]| swag.velocity(x, t, None, v, &mut tape);
    let integration = Integration { solver: Solver::Heun, steps: 60, span: [0.0, 0.999], at: vec![] };
    integration.run(&mut x, D, &mut drift, None).unwrap();
    let ((mean, covariance), (of_mean, of_covariance)) = (truth(8, 1.0, 30), moments(&x));
    for a in 0..D {
        assert!((of_mean[a] - mean[a]).abs() < 0.05, "{a}: {} {}", of_mean[a], mean[a]);
        for b in 0..D {
            assert!((of_covariance[a][b] - covariance[a][b]).abs() < 0.05, "{a} {b}: {of_covariance:?} {covariance:?}");
        }
    }
}

#[test]
fn few_points_have_fewer_deviations_and_what_cannot_be_is_refused() {
    let swag = solved(20, 1.0, 6);
    assert_eq!(swag.columns().len() / D, 5, "the first iterate is its own mean");
    let message = |rank, scale| SwagConfig { rank, scale }.check().unwrap_err().to_string();
    assert!(message(1, 1.0).contains("method.swag.rank") && message(1025, 1.0).contains("method.swag.rank"));
    assert!(message(20, 0.0).contains("method.swag.scale"));
    let mut one = SwagConfig::default().build(&[0.0, 1.0], D).unwrap();
    assert!(one.solve(&[0.0; 2 * D]).unwrap_err().to_string().contains("at least 2"));
    let mut x = vec![0.0; D];
    let how = Transport { solver: Solver::Heun, steps: 1, at: vec![] };
    assert!(swag.transport(&mut x, None, &how, &[Streams::new(0)]).unwrap_err().to_string().contains("euler"));
}
