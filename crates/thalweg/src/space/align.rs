//! Canonicalisation: permutation symmetry removed by aligning networks to a reference (M3; Ainsworth et al. 2023, Git Re-Basin, algorithm 1).
//!
//! ‖a − P b‖² over all hidden orders P is lowered by coordinate ascent on ⟨a, P b⟩: with all other permutations held, the best
//! permutation of one layer is a linear assignment. Each step is exact, so the distance never grows and the ascent ends. It finds a local optimum, which
//! for wide layers is often the planted one. A trajectory is aligned whole by the permutation of its final checkpoint, so that it stays continuous.
//! Cost: O(P · units) for the inner products of one sweep, and O(units³) for each assignment.
use super::symmetry::{SymmetryTable, strides};
use crate::coupling::assignment::{assign, squared_distance};
use crate::{Error, Result, Streams};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;
use thalweg_nets::pieces::Task;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{DeriveOptions, Step, ZooStore, derive, derive_task};

/// Sweeps after which an ascent that still moves is left; it converges in about ten.
const SWEEPS: usize = 200;

/// The permutations, one for each symmetry of the table, that bring `theta [P]` closest to `reference [P]` (a local optimum).
///
/// # Errors
/// Weights that are not `[P]` or not finite.
pub fn match_weights(
    table: &SymmetryTable,
    reference: &[f32],
    theta: &[f32],
    streams: &Streams,
) -> Result<Vec<Vec<usize>>> {
    let layout = table.layout();
    for (what, weights) in [("reference", reference), ("theta", theta)] {
        if layout.check(what, weights)? != 1 {
            return Err(Error::shape(what, format!("[{}]", layout.len()), format!("[{}]", weights.len())));
        }
    }
    let identity = |units: usize| (0..units).collect::<Vec<_>>();
    let mut total: Vec<Vec<usize>> = table.symmetries.iter().map(|s| identity(s.units)).collect();
    let mut moved = theta.to_vec();
    let mut order: Vec<usize> = (0..total.len()).collect();
    let mut rng = streams.rng();
    for _ in 0..SWEEPS {
        order.shuffle(&mut rng);
        let mut progress = false;
        for &s in &order {
            let gains = gains(table, s, reference, &moved);
            let units = table.symmetries[s].units;
            let cost: Vec<f64> = gains.iter().map(|g| -g).collect();
            let best = assign(&cost, units, units)?;
            let value = |p: &[usize]| p.iter().enumerate().map(|(i, &j)| gains[i * units + j]).sum::<f64>();
            let (kept, won) = (value(&identity(units)), value(&best));
            // A gain within rounding is none: otherwise equal optima could be exchanged for ever.
            if won > kept + 1e-9 * kept.abs().max(1e-30) {
                let mut step: Vec<Vec<usize>> = table.symmetries.iter().map(|s| identity(s.units)).collect();
                total[s] = best.iter().map(|&j| total[s][j]).collect();
                step[s] = best;
                table.permute(&mut moved, &step)?;
                progress = true;
            }
        }
        if !progress {
            break;
        }
    }
    Ok(total)
}

/// gains[i, j]: what ⟨reference, θ⟩ gets from putting θ's unit j at the place of unit i, all tensors of symmetry `s` together `[units, units]`.
fn gains(table: &SymmetryTable, s: usize, reference: &[f32], theta: &[f32]) -> Vec<f64> {
    let symmetry = &table.symmetries[s];
    let units = symmetry.units;
    let mut gains = vec![0.0; units * units];
    for moved in &symmetry.axes {
        let slot = &table.layout().slots()[moved.slot];
        let (outer, run) = strides(&slot.shape, moved);
        let wide = |weights: &[f32]| weights[slot.range()].iter().map(|w| f64::from(*w)).collect::<Vec<f64>>();
        let (a, b) = (wide(reference), wide(theta));
        let out = MatMut::from_row_major_slice_mut(&mut gains, units, units);
        if run == 1 {
            let view = |weights| MatRef::from_row_major_slice(weights, outer, units);
            matmul(out, Accum::Add, view(&a).transpose(), view(&b), 1.0, Par::Seq);
        } else if outer == 1 {
            let view = |weights| MatRef::from_row_major_slice(weights, units, run);
            matmul(out, Accum::Add, view(&a), view(&b).transpose(), 1.0, Par::Seq);
        } else {
            for (a, b) in a.chunks_exact(units * run).zip(b.chunks_exact(units * run)) {
                for (a, gains) in a.chunks_exact(run).zip(gains.chunks_exact_mut(units)) {
                    let products = b.chunks_exact(run).map(|b| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>());
                    gains.iter_mut().zip(products).for_each(|(gain, product)| *gain += product);
                }
            }
        }
    }
    gains
}

/// Aligns whole trajectories `[R, K, P]` in place to `reference [P]`, each by the permutation of its final checkpoint, in parallel over runs.
/// Returns each run's distance ‖θ_K − reference‖ before and after, `[R]`.
///
/// # Errors
/// Weights of another shape or not finite.
pub fn align(
    table: &SymmetryTable,
    reference: &[f32],
    trajectories: &mut [f32],
    checkpoints: usize,
    streams: &Streams,
) -> Result<Vec<[f64; 2]>> {
    let p = table.layout().len();
    if checkpoints == 0 || !trajectories.len().is_multiple_of(checkpoints * p) {
        let expected = format!("[R, {checkpoints}, {p}]");
        return Err(Error::shape("trajectories", expected, format!("[{}]", trajectories.len())));
    }
    let runs = trajectories.par_chunks_exact_mut(checkpoints * p).enumerate();
    runs.map(|(r, run)| align_run(table, reference, run, &streams.index(r as u64))).collect()
}

/// Aligns one trajectory `[K, P]`; distances before and after.
fn align_run(table: &SymmetryTable, reference: &[f32], run: &mut [f32], streams: &Streams) -> Result<[f64; 2]> {
    let last = run.len() - reference.len();
    let before = squared_distance(reference, &run[last..]).sqrt();
    let permutations = match_weights(table, reference, &run[last..], streams)?;
    table.permute(run, &permutations)?;
    Ok([before, squared_distance(reference, &run[last..]).sqrt()])
}

/// Passes over all runs after which a search for the common mean is left; it ends after about ten.
const PASSES: usize = 50;

/// The mean `[P]` of `networks [R, P]`, each in the order of hidden units that brings it closest to that mean: the joint alignment of them all, from
/// `first [P]`. Networks that are aligned to it are aligned to each other without contradictions: going round by several of them changes nothing.
///
/// Σ_r ‖θ_r − m‖² is lowered in turn by the orders, each network's by weight matching, and by the mean m; neither step raises it, so it ends, in a
/// local optimum. One reference run has peculiarities of its own, which the mean of many has not. Cost: a matching a network and pass.
///
/// # Errors
/// Weights of another shape or not finite; [`Error::Interrupted`].
pub fn common_mean(
    table: &SymmetryTable,
    first: &[f32],
    networks: &[f32],
    streams: &Streams,
    progress: &dyn Progress,
) -> Result<Vec<f32>> {
    let p = table.layout().len();
    let runs = table.layout().check("networks", networks)?;
    let (mut moved, mut mean, mut least) = (networks.to_vec(), first.to_vec(), f64::INFINITY);
    progress.begin("aligning to the common mean", PASSES as u64);
    for pass in 0..PASSES {
        let streams = streams.index(pass as u64);
        let own = |(r, run): (usize, &mut [f32])| align_run(table, &mean, run, &streams.index(r as u64)).map(drop);
        moved.par_chunks_exact_mut(p).enumerate().try_for_each(own)?;
        let mut sums = vec![0.0f64; p];
        moved.chunks_exact(p).for_each(|run| sums.iter_mut().zip(run).for_each(|(sum, w)| *sum += f64::from(*w)));
        mean = sums.iter().map(|sum| (sum / runs as f64) as f32).collect();
        let total: f64 = moved.chunks_exact(p).map(|run| squared_distance(&mean, run)).sum();
        if progress.interrupted() {
            return Err(Error::Interrupted);
        }
        progress.advance(1);
        if total > least * (1.0 - 1e-6) {
            break;
        }
        least = total;
    }
    Ok(mean)
}

/// What the runs of a zoo are aligned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The final network of one run.
    Run(usize),
    /// Their common mean, found jointly from the order of this run ([`common_mean`]).
    Mean(usize),
}

/// The zoo `source` aligned to a `target`, as a zoo of its own in `out`.
///
/// # Errors
/// A zoo whose architecture is not known, a run that does not exist, and whatever [`derive()`] says.
pub fn align_zoo(
    source: &ZooStore,
    target: Target,
    out: &Path,
    options: DeriveOptions,
    progress: &dyn Progress,
) -> Result<ZooStore> {
    aligned(source, target, progress, |how, step| derive(source, out, how, options, step, progress))
}

/// The shards of one `task` of the zoo that [`align_zoo`] makes, into a folder that other processes fill with theirs. Gives their runs back.
///
/// # Errors
/// As [`align_zoo`], and whatever [`derive_task`] says.
pub fn align_task(
    source: &ZooStore,
    target: Target,
    out: &Path,
    task: Task,
    progress: &dyn Progress,
) -> Result<Range<usize>> {
    aligned(source, target, progress, |how, step| derive_task(source, out, how, task, step, progress))
}

/// What `derive` makes of `source`, given in words what is done and the step that does it.
fn aligned<T>(
    source: &ZooStore,
    target: Target,
    progress: &dyn Progress,
    derive: impl FnOnce(&str, &Step<'_>) -> Result<T>,
) -> Result<T> {
    let architecture = source.architecture().ok_or_else(|| {
        let found = format!("{}, imported without", source.dir().display());
        Error::parameter("zoo to align", "a zoo whose architecture is known (import it with one)", found)
    })?;
    let (Target::Run(reference) | Target::Mean(reference)) = target;
    if reference >= source.runs() {
        return Err(Error::parameter("reference", format!("a run below {}", source.runs()), reference));
    }
    let table = SymmetryTable::of(architecture);
    let first = source.finals(&[reference])?;
    let streams = Streams::new(0).child("align");
    let (point, how) = match target {
        Target::Run(_) => (first, format!("aligned to run {reference} by weight matching")),
        Target::Mean(_) => {
            let finals = source.finals(&source.finished_runs())?;
            let mean = common_mean(&table, &first, &finals, &streams.child("mean"), progress)?;
            (mean, format!("aligned to the common mean by weight matching from run {reference}"))
        }
    };
    let step = |run: usize, trajectory: &mut [f32]| {
        align_run(&table, &point, trajectory, &streams.index(run as u64)).map(|_| ())
    };
    derive(&how, &step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use rand_distr::StandardNormal;
    use thalweg_nets::Architecture;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::init::Initialisation;
    use thalweg_nets::progress::Silent;

    fn random_permutations(table: &SymmetryTable, streams: &Streams) -> Vec<Vec<usize>> {
        let mut rng = streams.rng();
        let mut shuffled = |units: usize| {
            let mut order: Vec<usize> = (0..units).collect();
            order.shuffle(&mut rng);
            order
        };
        table.symmetries.iter().map(|s| shuffled(s.units)).collect()
    }

    fn networks() -> Vec<Architecture> {
        let residual = "input = [1, 8, 8]\nlayers = [{ kind = \"conv\", out = 12, kernel = 3 }, { kind = \"batch-norm\" }, \
            { kind = \"residual\", layers = [{ kind = \"conv\", out = 10, kernel = 3, padding = 1 }, { kind = \"relu\" }, \
            { kind = \"conv\", out = 12, kernel = 3, padding = 1 }] }, { kind = \"flatten\" }, { kind = \"dense\", out = 5 }]";
        vec![
            Preset::CnnS.build([1, 28, 28], 10).unwrap(),
            Preset::Mlp { widths: vec![32, 32] }.build([20, 1, 1], 5).unwrap(),
            Architecture::from_toml_str(residual).unwrap(),
        ]
    }

    #[test]
    fn planted_permutations_are_recovered_from_noisy_copies() {
        for (k, architecture) in networks().iter().enumerate() {
            let table = SymmetryTable::of(architecture);
            let streams = Streams::new(4).index(k as u64);
            let reference = Initialisation::KaimingNormal.draw(table.layout(), &streams.child("weights"));
            let mut rng = streams.child("noise").rng();
            let noisy: Vec<f32> =
                reference.iter().map(|w| w + 0.02 * w.abs() * rng.sample::<f32, _>(StandardNormal)).collect();
            let mut hidden = noisy.clone();
            table.permute(&mut hidden, &random_permutations(&table, &streams.child("order"))).unwrap();
            let distances = align(&table, &reference, &mut hidden, 1, &streams.child("ascent")).unwrap();
            assert_eq!(hidden, noisy, "{}: {distances:?}", architecture.name());
        }
    }

    #[test]
    fn aligned_distance_never_grows_and_trajectories_move_as_one() {
        for (k, architecture) in networks().iter().enumerate() {
            let table = SymmetryTable::of(architecture);
            let p = table.layout().len();
            let streams = Streams::new(5).index(k as u64);
            let draw = |i: u64| Initialisation::KaimingUniform.draw(table.layout(), &streams.index(i));
            let reference = draw(0);
            let run: Vec<f32> = (1..=6).flat_map(draw).collect();
            let mut aligned = run.clone();
            for [before, after] in align(&table, &reference, &mut aligned, 3, &streams.child("ascent")).unwrap() {
                assert!(after <= before, "{before} {after}");
                assert!(after < 0.99 * before, "nothing gained: {before} {after}");
            }
            // Distances within a trajectory are those of before: one permutation for all its checkpoints.
            for (a, b) in [(0, 1), (1, 2), (3, 5)] {
                let d = |x: &[f32]| squared_distance(&x[a * p..(a + 1) * p], &x[b * p..(b + 1) * p]);
                assert!((d(&run) - d(&aligned)).abs() < 1e-5 * d(&run));
            }
            let mut two = run.clone();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            pool.install(|| align(&table, &reference, &mut two, 3, &streams.child("ascent")).unwrap());
            assert_eq!(two, aligned);
        }
    }

    #[test]
    fn many_noisy_copies_meet_at_the_network_behind_them_and_cycles_close() {
        for (k, architecture) in networks().iter().enumerate() {
            let table = SymmetryTable::of(architecture);
            let p = table.layout().len();
            let streams = Streams::new(6).index(k as u64);
            let truth = Initialisation::KaimingNormal.draw(table.layout(), &streams.child("weights"));
            let deviation = (truth.iter().map(|w| w * w).sum::<f32>() / p as f32).sqrt();
            let mut all = Vec::new();
            for r in 0..12 {
                let streams = streams.child("run").index(r);
                let mut rng = streams.child("noise").rng();
                let mut run: Vec<f32> =
                    truth.iter().map(|w| w + 0.5 * deviation * rng.sample::<f32, _>(StandardNormal)).collect();
                table.permute(&mut run, &random_permutations(&table, &streams.child("order"))).unwrap();
                all.extend(run);
            }
            let mean = common_mean(&table, &all[..p], &all, &streams.child("mean"), &Silent).unwrap();
            // The truth in the first run's order, with the noise of twelve averaged: a twelfth of the variance.
            let orders = match_weights(&table, &mean, &truth, &streams.child("back")).unwrap();
            let mut back = truth.clone();
            table.permute(&mut back, &orders).unwrap();
            let error = (squared_distance(&mean, &back) / p as f64).sqrt() / f64::from(0.5 * deviation);
            assert!((error - 12f64.sqrt().recip()).abs() < 0.05, "{}: {error}", architecture.name());
            // Jointly aligned networks lie closer together than when aligned to one of them.
            let spread = |target: &[f32]| {
                let mut moved = all.clone();
                align(&table, target, &mut moved, 1, &streams.child("ascent")).unwrap();
                let runs: Vec<&[f32]> = moved.chunks(p).collect();
                let pairs = (0..12).flat_map(|i| (0..i).map(move |j| (i, j)));
                pairs.map(|(i, j)| squared_distance(runs[i], runs[j])).sum::<f64>()
            };
            assert!(spread(&mean) <= spread(&all[..p]), "{}", architecture.name());
        }
    }

    #[test]
    fn one_sweep_of_one_layer_is_the_best_of_all_orders() {
        // One hidden layer of five units: the ascent is exact, so brute force over 120 orders must not beat it.
        let table = SymmetryTable::of(&Preset::Mlp { widths: vec![5] }.build([4, 1, 1], 3).unwrap());
        for seed in 0..10 {
            let streams = Streams::new(seed);
            let [a, b] = ["a", "b"].map(|n| Initialisation::KaimingNormal.draw(table.layout(), &streams.child(n)));
            let found = match_weights(&table, &a, &b, &streams).unwrap();
            let distance = |order: &[usize]| {
                let mut moved = b.clone();
                table.permute(&mut moved, &[order.to_vec()]).unwrap();
                squared_distance(&a, &moved)
            };
            let mut best = f64::INFINITY;
            let mut orders = vec![vec![]];
            for _ in 0..5 {
                orders = orders
                    .into_iter()
                    .flat_map(|o: Vec<usize>| {
                        (0..5).filter(|i| !o.contains(i)).map(|i| [&o[..], &[i]].concat()).collect::<Vec<_>>()
                    })
                    .collect();
            }
            for order in &orders {
                best = best.min(distance(order));
            }
            assert!(distance(&found[0]) <= best + 1e-6, "seed {seed}");
        }
    }
}
