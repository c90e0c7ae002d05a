//! Pictures of a flow over weights: the loss along it, and its paths over the landscape of the loss.
use super::contour::filled;
use super::figures::fan;
use super::plane::Plane;
use super::{Axis, Look, Mark, Plot, Point, Scale};
use crate::study::Study;
use anyhow::Result;
use thalweg_nets::evaluate::evaluate;

/// Cells of the landscape: rows, columns.
const GRID: (usize, usize) = (40, 60);
/// Networks that the plane is fitted to, at least one run's: fewer would let it show the noise of those few, and the work grows as their cube.
const PLANE_NETWORKS: usize = 1_000;
/// Colour classes of heights.
const LEVELS: usize = 8;

/// States of a sampler: `theta[k]` is `[n, P]` at `times[k]`.
pub struct Trajectory<'a> {
    /// The method's name, for people.
    pub name: &'a str,
    /// Its colour class.
    pub colour: usize,
    /// Times `[T]`, rising.
    pub times: &'a [f64],
    /// States `[T][n, P]`.
    pub theta: Vec<&'a [f32]>,
}

/// Validation loss along the flow (M18), with the recorded checkpoints of the zoo beside it.
///
/// # Errors
/// States that do not fit the engine.
pub fn losses(study: &Study, trajectories: &[Trajectory]) -> Result<Plot> {
    let of_states = |theta: &&[f32]| -> Result<Vec<f64>> {
        let scores = evaluate(&study.engine, theta, &study.validation.inputs, &study.validation.labels)?;
        Ok(scores.iter().map(|s| s.loss).collect())
    };
    let (k, recorded) = (study.zoo.checkpoints(), study.zoo.losses());
    let runs: Vec<Vec<f64>> = study
        .split
        .train
        .iter()
        .filter_map(|&run| recorded.get(run * k..(run + 1) * k))
        .map(|losses| losses.iter().map(|&v| f64::from(v)).collect())
        .collect();
    let mut plot = Plot { title: "Validation loss along the flow".into(), size: (820.0, 340.0), ..Plot::default() };
    plot.x.label = "time t: 0 is an initialisation, 1 a trained network".into();
    plot.y = Axis { label: "validation loss".into(), scale: Scale::Log, ..Axis::default() };
    for trajectory in trajectories {
        let columns: Vec<Vec<f64>> = trajectory.theta.iter().map(of_states).collect::<Result<_>>()?;
        let n = columns.first().map_or(0, Vec::len);
        let curves: Vec<Vec<f64>> = (0..n).map(|i| columns.iter().map(|c| c[i]).collect()).collect();
        plot.marks.extend(fan(
            trajectory.times,
            &curves,
            &Look::new(trajectory.colour, &format!("{}: networks on the way", trajectory.name)),
        ));
    }
    if k > 1 {
        let zoo = fan(study.zoo.times(), &runs, &Look::new(0, "training runs at their checkpoints").dashed());
        if let Some(Mark::Line { points, .. }) = zoo.last() {
            let points = points.clone();
            plot.marks.push(Mark::Dots { points, look: Look::new(0, "").size(4.0).opacity(1.0) });
        }
        plot.marks.extend(zoo.into_iter().skip(1));
    }
    Ok(plot)
}

/// Paths of some training runs and of the sampler over the plane on which the runs spread most, coloured by the validation
/// loss of the plane's networks.
///
/// # Errors
/// A zoo that cannot be read, states that do not fit.
pub fn landscape(study: &Study, trajectories: &[Trajectory], paths: usize) -> Result<Plot> {
    let p = study.parameters();
    let fitted = (PLANE_NETWORKS / study.zoo.checkpoints()).max(1);
    let of_plane = study.split.train.iter().take(paths.max(fitted));
    let mut runs: Vec<Vec<f32>> = of_plane.map(|&run| study.zoo.trajectory(run)).collect::<Result<_, _>>()?;
    let starts: Vec<f32> = runs.iter().flat_map(|run| run[..p].to_vec()).collect();
    let plane = Plane::of(&runs[..fitted.min(runs.len())].concat(), &starts, p)?;
    runs.truncate(paths);
    let of_run = |run: &Vec<f32>| run.chunks_exact(p).map(|theta| plane.project(theta)).collect::<Vec<_>>();
    let of_trajectory = |trajectory: &Trajectory| {
        let n = trajectory.theta.first().map_or(0, |at| at.len() / p).min(paths);
        let path =
            |i: usize| trajectory.theta.iter().map(|at| plane.project(&at[i * p..(i + 1) * p])).collect::<Vec<_>>();
        (0..n).map(path).collect::<Vec<_>>()
    };
    let trained: Vec<Vec<Point>> = runs.iter().map(of_run).collect();
    let sampled: Vec<Vec<Vec<Point>>> = trajectories.iter().map(of_trajectory).collect();
    let all = || trained.iter().chain(sampled.iter().flatten()).flatten();
    let (x, y) = (bounds(all().map(|q| q.0)), bounds(all().map(|q| q.1)));
    let mut plot =
        Plot { title: "Paths over the landscape of the loss".into(), size: (820.0, 540.0), ..Plot::default() };
    plot.x = Axis { label: "first principal direction".into(), domain: Some(x), bare: true, ..Axis::default() };
    plot.y = Axis { label: "second principal direction".into(), domain: Some(y), bare: true, ..Axis::default() };
    plot.marks = heights(study, &plane, x, y)?;
    for points in trained {
        plot.marks.push(Mark::Dots { points: points.clone(), look: Look::new(8, "").size(1.7).opacity(0.55) });
        plot.marks.push(Mark::Line {
            points,
            arrow: false,
            look: Look::new(8, "training runs").size(0.9).opacity(0.45),
        });
    }
    for (trajectory, paths) in trajectories.iter().zip(&sampled) {
        for points in paths.iter().cloned() {
            let look = Look::new(trajectory.colour, &format!("paths of {}", trajectory.name)).size(1.3).opacity(0.8);
            plot.marks.push(Mark::Line { points, arrow: true, look });
        }
    }
    let times = trajectories.first().map_or(&[][..], |trajectory| trajectory.times);
    for (k, &t) in times.iter().enumerate() {
        let points = runs.iter().map(|run| between(study.zoo.times(), &of_run(run), t)).collect();
        plot.marks.push(Mark::Dots { points, look: Look::new(8, "").size(3.4).opacity(1.0).at(k) });
        for (trajectory, paths) in trajectories.iter().zip(&sampled) {
            let points = paths.iter().filter_map(|path| path.get(k).copied()).collect();
            plot.marks.push(Mark::Dots { points, look: Look::new(trajectory.colour, "").size(3.8).opacity(1.0).at(k) });
        }
    }
    Ok(plot)
}

/// Where a run is at `t`, on the straight line between the checkpoints around it.
fn between(times: &[f64], path: &[Point], t: f64) -> Point {
    let last = path.len() - 1;
    let after = times.iter().position(|&at| at >= t).unwrap_or(last).clamp(usize::from(last > 0), last);
    let (from, to) = (after.saturating_sub(1), after);
    let share = if to == from { 0.0 } else { ((t - times[from]) / (times[to] - times[from])).clamp(0.0, 1.0) };
    let at = |a: f64, b: f64| a + share * (b - a);
    (at(path[from].0, path[to].0), at(path[from].1, path[to].1))
}

fn heights(study: &Study, plane: &Plane, x: Point, y: Point) -> Result<Vec<Mark>> {
    let grid = plane.grid(GRID.0, GRID.1, x, y);
    let scores = evaluate(&study.engine, &grid, &study.validation.inputs, &study.validation.labels)?;
    // The logarithm, in which training goes down evenly.
    let finite = |loss: f64| if loss.is_finite() { loss.max(1e-9).ln() } else { f64::MAX.ln() };
    let values: Vec<f64> = scores.iter().map(|s| finite(s.loss)).collect();
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[0], sorted[sorted.len() * 97 / 100]);
    let levels: Vec<f64> = (0..LEVELS)
        .map(|i| if i == 0 { f64::NEG_INFINITY } else { low + (high - low) * i as f64 / LEVELS as f64 })
        .collect();
    Ok(filled(&values, GRID.1, x, y, &levels))
}

/// What the values span, with room around.
fn bounds(values: impl Iterator<Item = f64> + Clone) -> Point {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let room = 0.12 * (high - low).max(1e-6);
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_on_the_line_between_its_checkpoints() {
        let (times, path) = ([0.0, 0.5, 1.0], [(0.0, 0.0), (1.0, 2.0), (3.0, 2.0)]);
        for (t, expected) in
            [(0.0, (0.0, 0.0)), (0.25, (0.5, 1.0)), (0.5, (1.0, 2.0)), (0.75, (2.0, 2.0)), (1.0, (3.0, 2.0))]
        {
            assert_eq!(between(&times, &path, t), expected, "{t}");
        }
        assert_eq!(between(&[1.0], &[(4.0, 5.0)], 0.3), (4.0, 5.0));
    }
}
