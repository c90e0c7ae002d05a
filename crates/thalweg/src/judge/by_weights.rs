//! Judgement by weights alone, for networks that cannot be evaluated here: distances, diversity, overlap with the zoo; beside scores that someone else gives.
use super::baseline::{Baseline, Finals, Start};
use super::table::Origin;
use crate::coupling::distance::nearest_others;
use crate::metric::manifold::{Overlap, overlap};
use crate::metric::novelty::Neighbourhood;
use crate::metric::summary::mean_sem;
use crate::{Error, Layout, Result, Streams};
use thalweg_nets::progress::Progress;

/// What is known of networks by their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsRow {
    /// Where the networks come from.
    pub origin: Origin,
    /// What they are called.
    pub method: String,
    /// d of each: distance to the nearest training network over the zoo's leave-one-out median `[n]`.
    pub d: Vec<f64>,
    /// Mean distance to the nearest training network.
    pub nearest: f64,
    /// Mean d to the nearest other network of the same row; NaN for one.
    pub diversity: f64,
    /// How far they and the training networks overlap; none for the training networks themselves.
    pub overlap: Option<Overlap>,
    /// Scores from elsewhere `[n]`, where there are some.
    pub scores: Option<Vec<f64>>,
}

/// What networks are judged against.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// Names and places of the weights.
    pub layout: &'a Layout,
    /// Final weights of the training runs `[R, P]`.
    pub training: &'a [f32],
    /// Final weights of runs that no generator saw `[H, P]`; may be empty.
    pub held_out: &'a [f32],
    /// How the runs began, where that is known.
    pub start: Option<Start<'a>>,
}

/// Gives the scores `[n]` of networks `[n, P]` of this origin and name, where it has some.
pub type Scorer<'a> = &'a mut dyn FnMut(Origin, &str, &[f32]) -> Result<Option<Vec<f64>>>;

/// The rows of `generated` networks `[n, P]`, of the zoo, of its held-out runs where there are some, and of the baselines where streams are given.
///
/// # Errors
/// Slices that do not fit, weights that are not finite, fewer than two training networks, copies only; what `score` says; [`Error::Interrupted`].
pub fn by_weights(
    zoo: Weights<'_>,
    generated: (&str, &[f32]),
    baselines: Option<&Streams>,
    score: Scorer<'_>,
    progress: &dyn Progress,
) -> Result<Vec<WeightsRow>> {
    let p = zoo.layout.len();
    let neighbourhood = Neighbourhood::new(zoo.training, p)?;
    let finals = Finals {
        layout: zoo.layout,
        training: zoo.training,
        median: Some(neighbourhood.median()),
        start: zoo.start,
        courses: None,
        probe: None,
        symmetry: None,
    };
    let all = baselines.map_or(Vec::new(), |_| Baseline::table(&finals));
    progress.begin("judging", (3 + all.len()) as u64);
    let mut rows = Vec::new();
    let mut judged = |origin: Origin, name: &str, theta: &[f32]| -> Result<()> {
        let own = origin == Origin::Zoo;
        let nearest = if own { neighbourhood.own().to_vec() } else { neighbourhood.nearest(theta)? };
        let d = neighbourhood.relative(&nearest);
        let diversity = match theta.len() / p {
            0 | 1 => f64::NAN,
            _ => mean_sem(&neighbourhood.relative(&nearest_others(theta, p)?)).0,
        };
        let distances: Vec<f64> = nearest.iter().map(|x| x.distance).collect();
        let overlap = if own { None } else { Some(overlap(theta, zoo.training, p)?) };
        let scores = score(origin, name, theta)?;
        rows.push(WeightsRow {
            origin,
            method: name.into(),
            d,
            nearest: mean_sem(&distances).0,
            diversity,
            overlap,
            scores,
        });
        progress.advance(1);
        if progress.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    };
    judged(Origin::Generated, generated.0, generated.1)?;
    judged(Origin::Zoo, "zoo", zoo.training)?;
    if !zoo.held_out.is_empty() {
        judged(Origin::HeldOut, "held-out", zoo.held_out)?;
    }
    let n = generated.1.len() / p;
    for (baseline, streams) in all.into_iter().zip(std::iter::repeat(baselines)) {
        if let Some(streams) = streams {
            judged(Origin::Baseline, &baseline.name(), &baseline.sample(&finals, n, streams)?)?;
        }
    }
    Ok(rows)
}
