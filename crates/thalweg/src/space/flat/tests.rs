//! The law of the noise against dense Gauss–Newton matrices by brute force.
use super::*;
use faer::Mat;
use faer::linalg::solvers::Solve;
use thalweg_nets::Architecture;
use thalweg_nets::engine::Engine;
use thalweg_nets::layout::Role;
use thalweg_nets::testing::normals;

const LINEAR: &str = "input = [2, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 3\n";
const CONVOLUTION: &str = "input = [2, 3, 3]\n[[layers]]\nkind = \"conv\"\nout = 3\nkernel = 2\n[[layers]]\nkind = \"relu\"\n\
                           [[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"dense\"\nout = 2\nbias = false\n";

fn engine(text: &str) -> Engine {
    Engine::new(&Architecture::from_toml_str(text).unwrap()).unwrap()
}

/// F of one network over all probe inputs `[P, P]`, from the whole Jacobian.
fn dense(engine: &Engine, theta: &[f32], inputs: &[f32]) -> Mat<f64> {
    let (p, classes) = (theta.len(), engine.classes());
    let probe = ByEngine { engine, inputs };
    let n = probe.probes();
    let mut f = Mat::zeros(p, p);
    for row in 0..n {
        let slopes = |k: usize, _: &[f32], d: &mut [f32]| (0..classes).for_each(|c| d[c] = f32::from(u8::from(c == k)));
        let jacobian = probe.pulled_back(theta, &vec![row; classes], 1, &slopes).unwrap();
        let logits = probe.probe_logits(theta, &[row]).unwrap();
        let total: f64 = logits.iter().map(|z| f64::from(*z).exp()).sum();
        let q: Vec<f64> = logits.iter().map(|z| f64::from(*z).exp() / total).collect();
        for (a, qa) in q.iter().enumerate() {
            for (b, qb) in q.iter().enumerate() {
                let h = (if a == b { *qa } else { 0.0 } - qa * qb) / n as f64;
                for i in 0..p {
                    for j in 0..p {
                        f[(i, j)] += h * f64::from(jacobian[a * p + i]) * f64::from(jacobian[b * p + j]);
                    }
                }
            }
        }
    }
    f
}

/// One classifier on two inputs that are one up to their sign: F is a Kronecker product there.
#[test]
fn where_the_matrix_is_a_product_the_covariance_is_that_of_the_dense_one() {
    let engine = engine(LINEAR);
    let (p, scale) = (engine.parameters(), vec![0.7; 9]);
    let theta = [0.3, -0.2, 0.1, 0.5, -0.4, 0.2, 0.1, -0.3, 0.2];
    let inputs = [1.5f32, -0.5].repeat(9_000);
    let probe = ByEngine { engine: &engine, inputs: &inputs };
    let mut curvature = Curvature::about(engine.layout(), &theta, &scale, &probe, &Streams::new(1)).unwrap();
    for stiffness in [0.0, 3.0, 1e4] {
        let noise = curvature.noise(stiffness).clone();
        let f = dense(&engine, &theta, &inputs[..2]);
        let inverse = Mat::from_fn(p, p, |i, j| f64::from(u8::from(i == j)) + 0.49 * stiffness * f[(i, j)]);
        let truth = inverse.partial_piv_lu().solve(Mat::<f64>::identity(p, p));
        let (n, mut found) = (40_000, Mat::<f64>::zeros(p, p));
        for k in 0..n {
            let e = noise.draw(&Streams::new(2).index(k));
            for i in 0..p {
                for j in 0..p {
                    found[(i, j)] += f64::from(e[i]) * f64::from(e[j]) / n as f64;
                }
            }
        }
        for i in 0..p {
            for j in 0..p {
                // 4,096 inputs were sketched, all alike.
                let (found, truth) = (found[(i, j)], truth[(i, j)]);
                assert!((found - truth).abs() < 0.03, "{stiffness}: {i} {j}: {found} {truth}");
            }
        }
    }
}

/// Trace and partial traces of the dense matrix, of a convolution and a dense layer behind a ReLU.
#[test]
fn factors_have_the_partial_traces_of_the_dense_matrix() {
    let engine = engine(CONVOLUTION);
    let p = engine.parameters();
    let theta: Vec<f32> = normals(&Streams::new(1), p).iter().map(|w| 0.5 * w).collect();
    // 256 sketches of 16 go through the first 14 inputs of 16 many times.
    let inputs = normals(&Streams::new(2), 16 * 18);
    let scale: Vec<f32> = (0..p).map(|i| 0.5 + 0.1 * (i % 4) as f32).collect();
    let probe = ByEngine { engine: &engine, inputs: &inputs };
    let curvature = Curvature::about(engine.layout(), &theta, &scale, &probe, &Streams::new(3)).unwrap();
    let f = dense(&engine, &theta, &inputs[..14 * 18]);
    let scaled = |i: usize, j: usize| f64::from(scale[i]) * f[(i, j)] * f64::from(scale[j]);
    // The convolution `[3, 2 · 2 · 2]` with its bias, then the dense layer `[2, 12]`: places in θ of their rows and columns.
    let conv = |i: usize, j: usize| if j < 8 { i * 8 + j } else { 24 + i };
    let last = |i: usize, j: usize| 27 + i * 12 + j;
    assert_eq!(curvature.factors.len(), 2);
    let at: [&dyn Fn(usize, usize) -> usize; 2] = [&conv, &last];
    let places = [(3, 9, at[0]), (2, 12, at[1])];
    for (factors, (m, n, at)) in curvature.factors.iter().zip(places) {
        let left = Mat::<f64>::from_fn(m, m, |a, b| (0..n).map(|j| scaled(at(a, j), at(b, j))).sum());
        let right = Mat::<f64>::from_fn(n, n, |a, b| (0..m).map(|i| scaled(at(i, a), at(i, b))).sum());
        let trace: f64 = (0..m).map(|i| left[(i, i)]).sum();
        for (axis, truth) in factors.axes().into_iter().zip([left, right]) {
            let n = truth.nrows();
            for a in 0..n {
                for b in 0..n {
                    let v = |i: usize, k: usize| f64::from(axis.vectors[i * n + k]);
                    let found: f64 = (0..n).map(|k| axis.values[k] * v(a, k) * v(b, k)).sum();
                    let gap: f64 = found - truth[(a, b)];
                    assert!(gap.abs() < 0.06 * trace, "{a} {b}: {found} {}", truth[(a, b)]);
                }
            }
        }
    }
}

#[test]
fn the_stiffness_that_changes_answers_least_is_chosen_and_what_is_dead_stays() {
    // A hidden unit that never fires, and inputs in two of six dimensions.
    let text = "input = [6, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 5\n[[layers]]\nkind = \"relu\"\n[[layers]]\nkind = \"dense\"\nout = 3\n";
    let engine = engine(text);
    let (p, mut theta) = (engine.parameters(), normals(&Streams::new(1), engine.parameters()));
    theta[30] = -100.0;
    let mut inputs = normals(&Streams::new(2), 1_600 * 6);
    inputs.chunks_mut(6).for_each(|row| row[2..].fill(0.0));
    let probe = ByEngine { engine: &engine, inputs: &inputs };
    let mut curvature = Curvature::about(engine.layout(), &theta, &vec![1.0; p], &probe, &Streams::new(3)).unwrap();
    let noised = |noise: &FlatNoise, _: usize| -> Vec<f32> {
        let e = noise.draw(&Streams::new(4));
        theta.iter().zip(&e).map(|(w, e)| w + 3.0 * e).collect()
    };
    let stiffness = curvature.choose((0.0, &[]), &[&theta], &noised, &probe).unwrap();
    let rows: Vec<usize> = (1_400..1_600).collect();
    let before = probe.probe_logits(&theta, &rows).unwrap();
    let mut change = |stiffness: f64| {
        let noise = curvature.noise(stiffness);
        divergence(&before, &probe.probe_logits(&noised(noise, 0), &rows).unwrap(), 3)
    };
    assert!(STIFFNESSES.iter().all(|other| change(stiffness) <= change(*other)), "{stiffness}");
    assert!(change(stiffness) < 1e-3 && change(0.0) > 0.05, "{} {}", change(stiffness), change(0.0));
    // A tenth of the answers by which another network differs; of next to none, none; of more than any noise changes, the softest.
    let other = normals(&Streams::new(6), p);
    let asked = disagreement(&before, &probe.probe_logits(&other, &rows).unwrap(), 3);
    let mut found = |share: f64| curvature.choose((share, &[&other]), &[&theta], &noised, &probe).unwrap();
    let [some, none, all] = [0.1, 1e-9, 1e9].map(&mut found);
    assert!(all < 2.0 * SOFTEST && some < none, "{none} {some} {all}");
    let [felt, none] = [some, none].map(|stiffness| {
        let noise = curvature.noise(stiffness);
        disagreement(&before, &probe.probe_logits(&noised(noise, 0), &rows).unwrap(), 3)
    });
    // As much as is asked at most, and a fiftieth of the inputs less at most: some change together.
    assert!((-1e-9..0.02).contains(&(0.1 * asked - felt)) && none == 0.0, "{felt} {asked} {none}");
    // The four inputs that are always 0 have the whole deviation in every unit.
    let noise = curvature.noise(1e12).clone();
    let mean: f64 = (0..2_000)
        .map(|k| {
            let e = noise.draw(&Streams::new(5).index(k));
            e[..30].chunks(6).flat_map(|row| &row[2..]).map(|v| f64::from(*v).powi(2)).sum::<f64>() / 20.0
        })
        .sum::<f64>()
        / 2_000.0;
    assert!((mean - 1.0).abs() < 0.05, "{mean}");
}

#[test]
fn tensors_without_gradients_get_no_noise_and_long_axes_diagonal_factors() {
    let text = "input = [2100, 1, 1]\n[[layers]]\nkind = \"batch-norm\"\n[[layers]]\nkind = \"dense\"\nout = 2\n";
    let engine = engine(text);
    let (p, slots) = (engine.parameters(), engine.layout().slots().to_vec());
    let mut theta: Vec<f32> = normals(&Streams::new(1), p).iter().map(|w| 0.01 * w).collect();
    let of = |role: Role| slots.iter().find(|slot| slot.role == role).unwrap().range();
    theta[of(Role::RunningVariance)].fill(1.0);
    let inputs = normals(&Streams::new(2), 9 * 2100);
    let probe = ByEngine { engine: &engine, inputs: &inputs };
    let mut curvature = Curvature::about(engine.layout(), &theta, &vec![1.0; p], &probe, &Streams::new(3)).unwrap();
    let noise = curvature.noise(1e3).clone();
    let e = noise.draw(&Streams::new(4));
    for role in [Role::RunningMean, Role::RunningVariance] {
        assert!(e[of(role)].iter().all(|v| *v == 0.0));
    }
    assert!(e[of(Role::Weight)].iter().all(|v| *v != 0.0));
    // The same numbers in another one draw the same.
    let mut again = FlatNoise::unfitted(engine.layout());
    again.numbers_mut().copy_from_slice(noise.numbers());
    assert_eq!(again.draw(&Streams::new(4)), e);
    assert!(noise.numbers().len() < 5 * p, "no matrix of 2,100 by 2,100");
}

/// Inputs in three of twenty dimensions leave many eigenvalues at 0, whose eigenvectors are rounding's choice.
#[test]
fn draws_do_not_depend_on_the_eigenvectors_of_a_common_eigenvalue() {
    let engine = engine("input = [20, 1, 1]\n[[layers]]\nkind = \"dense\"\nout = 4\n");
    let p = engine.parameters();
    let theta = normals(&Streams::new(1), p);
    let mut inputs = normals(&Streams::new(2), 64 * 20);
    inputs.chunks_mut(20).for_each(|row| row[3..].fill(0.0));
    // Turned by a hair in the dimensions that were silent.
    let other: Vec<f32> = inputs.iter().zip(normals(&Streams::new(3), 64 * 20)).map(|(x, e)| x + 1e-6 * e).collect();
    let mut curvatures = [&inputs, &other].map(|inputs| {
        let probe = ByEngine { engine: &engine, inputs };
        Curvature::about(engine.layout(), &theta, &vec![1.0; p], &probe, &Streams::new(4)).unwrap()
    });
    for stiffness in [0.0, 10.0, 1e3] {
        let [a, b] = curvatures.each_mut().map(|curvature| curvature.noise(stiffness).draw(&Streams::new(5)));
        let gap = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-3, "{stiffness}: {gap}");
    }
    // Without stiffness a draw is the standard normals that went in: of one tensor of 4 x (20 + 1), weights first.
    let mut own = vec![0.0; 4 * 21];
    normal::fill(&mut Streams::new(5).index(0).rng(), &mut own);
    let draw = curvatures[0].noise(0.0).draw(&Streams::new(5));
    for (i, row) in own.chunks(21).enumerate() {
        let gap = row[..20].iter().zip(&draw[i * 20..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-4 && (row[20] - draw[80 + i]).abs() < 1e-4, "{i}: {gap}");
    }
}
