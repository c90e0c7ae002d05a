//! Tests of the solvers: against the closed form of a linear system, and an Ornstein–Uhlenbeck process.
use super::*;
use thalweg_nets::Streams;

const ODE: [Solver; 5] =
    [Solver::Euler, Solver::Heun, Solver::Midpoint, Solver::Rk4, Solver::DormandPrince { tolerance: 1e-6 }];

/// x' = A(t) x with a turn of 2 + 4t radians a unit of time and a decay of 0.5: e^{−t/2} R(2t + 2t²) x₀.
fn spiral(x: &[f32], t: &[f32], v: &mut [f32]) {
    for ((v, x), t) in v.chunks_exact_mut(2).zip(x.chunks_exact(2)).zip(t) {
        let turn = 2.0 + 4.0 * t;
        (v[0], v[1]) = (-0.5 * x[0] - turn * x[1], turn * x[0] - 0.5 * x[1]);
    }
}

fn exact(x: &[f32], t: f64) -> Vec<f64> {
    let (sin, cos) = (2.0 * t + 2.0 * t * t).sin_cos();
    x.chunks_exact(2)
        .flat_map(|x| {
            let (a, b) = (f64::from(x[0]), f64::from(x[1]));
            [(-0.5 * t).exp() * (cos * a - sin * b), (-0.5 * t).exp() * (sin * a + cos * b)]
        })
        .collect()
}

fn distance(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt()
}

fn run(solver: Solver, steps: usize, span: [f64; 2], at: &[f64], x: &mut [f32]) -> Solution {
    Integration { solver, steps, span, at: at.to_vec() }.run(x, 2, &mut spiral, None).unwrap()
}

#[test]
fn errors_fall_with_the_order_of_the_method() {
    let start = [1.0, 0.5];
    for (solver, order, coarse) in
        [(Solver::Euler, 1.0, 64), (Solver::Heun, 2.0, 32), (Solver::Midpoint, 2.0, 32), (Solver::Rk4, 4.0, 8)]
    {
        // The slope of log error over log steps, fitted over four doublings.
        let points: Vec<(f64, f64)> = (0..4)
            .map(|i| {
                let (mut x, steps) = (start, coarse << i);
                let solution = run(solver, steps, [0.0, 1.0], &[], &mut x);
                assert_eq!(solution.evaluations, steps * solver.tableau().b.len());
                ((steps as f64).ln(), distance(&x, &exact(&start, 1.0)).ln())
            })
            .collect();
        let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / 4.0, points.iter().map(|p| p.1).sum::<f64>() / 4.0);
        let slope = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>()
            / points.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>();
        assert!((slope + order).abs() < 0.2, "{solver:?}: slope {slope}");
    }
}

#[test]
fn dormand_prince_keeps_its_tolerance_and_takes_few_steps() {
    let start = [1.0, 0.5];
    for tolerance in [1e-2, 1e-4, 1e-6] {
        let mut x = start;
        let solution = run(Solver::DormandPrince { tolerance }, 10, [0.0, 1.0], &[], &mut x);
        let error = distance(&x, &exact(&start, 1.0));
        assert!(error < 10.0 * tolerance, "{tolerance}: {error}");
        assert!(solution.evaluations < 150, "{tolerance}: {}", solution.evaluations);
    }
}

#[test]
fn rows_do_not_know_each_other() {
    let rows = [1.0, 0.5, 30.0, -20.0, 0.001, 0.0];
    for solver in ODE {
        let mut together = rows;
        let kept = run(solver, 20, [0.0, 1.0], &[0.33], &mut together).states;
        for (i, row) in rows.chunks(2).enumerate() {
            let mut alone = row.to_vec();
            let state = run(solver, 20, [0.0, 1.0], &[0.33], &mut alone).states;
            assert_eq!(alone, together[2 * i..2 * i + 2], "{solver:?}");
            assert_eq!(state, kept[2 * i..2 * i + 2], "{solver:?}");
        }
    }
}

#[test]
fn requested_states_lie_on_the_curve_and_do_not_bend_it() {
    let start = [1.0, 0.5];
    let at = [0.0, 0.1234, 0.5, 0.5001, 0.99, 1.0];
    for solver in &ODE[1..] {
        let (mut x, mut y) = (start, start);
        let states = run(*solver, 200, [0.0, 1.0], &at, &mut x).states;
        run(*solver, 200, [0.0, 1.0], &[], &mut y);
        assert_eq!(x, y, "{solver:?}");
        assert_eq!(states[10..], x, "the state at the end is the end");
        for (state, t) in states.chunks_exact(2).zip(at) {
            let error = distance(state, &exact(&start, t));
            assert!(error < 3e-4, "{solver:?} at {t}: {error}");
        }
    }
}

#[test]
fn there_and_back() {
    for solver in [Solver::Rk4, Solver::DormandPrince { tolerance: 1e-6 }] {
        let mut x = [1.0, 0.5, -2.0, 3.0];
        run(solver, 50, [0.0, 1.0], &[], &mut x);
        let states = run(solver, 50, [1.0, 0.0], &[0.5], &mut x).states;
        assert!(distance(&x, &[1.0, 0.5, -2.0, 3.0]) < 2e-5, "{solver:?}: {x:?}");
        assert!(distance(&states, &exact(&[1.0, 0.5, -2.0, 3.0], 0.5)) < 2e-5);
    }
}

#[test]
fn euler_maruyama_has_the_marginals_of_ornstein_uhlenbeck() {
    // dX = −a X dt + g dW from x₀: mean x₀ e^{−at}, variance g²(1 − e^{−2at})/(2a).
    let (a, g, n) = (1.5f64, 0.8, 4000);
    let mut x = vec![2.0; n];
    let mut rngs: Vec<_> = (0..n as u64).map(|i| Streams::new(3).index(i).rng()).collect();
    let mut drift = |x: &[f32], _: &[f32], v: &mut [f32]| v.iter_mut().zip(x).for_each(|(v, x)| *v = -1.5 * x);
    let integration = Integration {
        solver: Solver::EulerMaruyama { noise: 1.0 },
        steps: 200,
        span: [0.0, 1.0],
        at: vec![0.25, 0.5013],
    };
    let diffusion = Diffusion { scale: &|_| g, rngs: &mut rngs };
    let solution = integration.run(&mut x, 1, &mut drift, Some(diffusion)).unwrap();
    for (t, x) in [(0.25, &solution.states[..n]), (0.5013, &solution.states[n..]), (1.0, &x)] {
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n as f64;
        let expected = g * g * (1.0 - (-2.0 * a * t).exp()) / (2.0 * a);
        assert!((mean - 2.0 * (-a * t).exp()).abs() < 4.0 * (expected / n as f64).sqrt() + 0.01, "{t}: {mean}");
        assert!((variance / expected - 1.0).abs() < 0.1, "{t}: {variance} {expected}");
    }
}

#[test]
fn what_cannot_be_solved_is_said() {
    let base = Integration { solver: Solver::Euler, steps: 10, span: [0.0, 1.0], at: vec![] };
    let message = |i: &Integration, x: f32| {
        let mut blow = |x: &[f32], _: &[f32], v: &mut [f32]| v.iter_mut().zip(x).for_each(|(v, x)| *v = x * x);
        i.run(&mut [x], 1, &mut blow, None).unwrap_err().to_string()
    };
    let with = |solver| Integration { solver, ..base.clone() };
    assert!(message(&base, 1e30).contains("not finite at row 0"));
    assert!(message(&with(Solver::DormandPrince { tolerance: 1e-6 }), 2.0).contains("row 0"));
    assert!(message(&with(Solver::DormandPrince { tolerance: 0.0 }), 1.0).contains("tolerance"));
    assert!(message(&with(Solver::EulerMaruyama { noise: 1.0 }), 1.0).contains("diffusion"));
    assert!(message(&Integration { steps: 0, ..base.clone() }, 1.0).contains("steps"));
    assert!(message(&Integration { at: vec![1.5], ..base.clone() }, 1.0).contains("times from 0 to 1"));
    assert!(message(&Integration { span: [1.0, 1.0], ..base.clone() }, 1.0).contains("span"));
    assert!(Solver::named("leapfrog").unwrap_err().to_string().contains("dormand-prince"));
}
