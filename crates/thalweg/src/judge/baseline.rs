//! The trivial generators that every table carries (book/src/mathematics.md, section 14), since they beat many published ones.
//!
//! Each is a pure function of the zoo's training finals `[R, P]` and a stream. Only the flat noise needs gradients; most need no model
//! at all. A method that does not beat them in accuracy *and* in novelty has shown nothing.
//!
//! | name | networks | what it shows |
//! | --- | --- | --- |
//! | `mean` | 1 | the mean of all training finals |
//! | `soup-m` | n | means of m random training finals without repetition (m = 2: midpoints, 3, and 16, or R/2 for smaller zoos) |
//! | `interpolation` | n | (1 − λ) θ_i + λ θ_j, a random pair i ≠ j, λ ~ U(0, 1) |
//! | `aligned-interpolation` | n | the same after θ_j's hidden units are brought into the order of θ_i's (M3); where that brings runs nearer to each other |
//! | `noise-l` | n | a random training final + noise; the noise is Gaussian with the zoo's deviation per weight, scaled to mean square length (l · leave-one-out median)², so its d is about l |
//! | `flat-noise-l`, `soup-m-flat-noise-l`, `interpolation-flat-noise-l` | n | a training final, a mean of m, or an interpolation, + noise that the network hardly feels, so long that d comes to l (`space::flat`) |
//! | `soup-m-felt-s-noise-l` | n | the same about a mean of m, with noise that changes the share s of the answers by which training runs differ from it |
//! | `diagonal-gaussian` | n | N(mean, diag(variance)) of the finals |
//! | `pca-gaussian` | n | the Gaussian of the leading principal components that hold 95 % of the variance |
//! | `swag` | n | SWAG's Gaussian (mean, diagonal, rank 20) of the finals in their order; of a tail zoo that is SWAG itself |
//! | `run-swag` | n | SWAG's Gaussian of a random training run's own checkpoints behind the half of its way; where a zoo keeps three of them |
//! | `mean-move` | n | a fresh initialisation + (mean final − mean initialisation): the zoo's mean move |
//!
//! Running variances of batch normalisation are cut at 0 from below: a Gaussian does not know that they are squares.
use super::evaluator::Evaluator;
use super::flat::Noisy;
use super::gaussians::{deviation, mean, narrow, pca_gaussian, run_swag, swag};
use crate::coupling::distance::count;
use crate::metric::novelty::Neighbourhood;
use crate::space::align::match_weights;
use crate::space::symmetry::SymmetryTable;
use crate::{Error, Layout, Result, Streams};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use thalweg_nets::layout::Role;
use thalweg_nets::zoo::InitialLaw;

/// How the zoo's runs began: what `mean-move` needs.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Mean recorded initialisation `[P]` of the training runs.
    pub mean: &'a [f32],
    /// The law that fresh initialisations are drawn from.
    pub law: &'a InitialLaw,
}

/// Checkpoints of some training runs behind the half of their way.
#[derive(Clone, Debug)]
pub struct Courses {
    /// Their weights `[runs, checkpoints, P]`.
    pub late: Vec<f32>,
    /// Checkpoints of a run.
    pub checkpoints: usize,
}

/// What baselines are made from.
#[derive(Clone, Copy)]
pub struct Finals<'a> {
    /// Names and places of the weights.
    pub layout: &'a Layout,
    /// Training finals `[R, P]`, R ≥ 2.
    pub training: &'a [f32],
    /// Their leave-one-out median ([`Neighbourhood::median`]), the unit of the noise; none: it is measured where it is needed.
    pub median: Option<f64>,
    /// How the runs began, where that is known.
    pub start: Option<Start<'a>>,
    /// How some of the runs went on, where that is kept.
    pub courses: Option<&'a Courses>,
    /// Unlabelled inputs for noise that networks hardly feel, where there are some.
    pub probe: Option<&'a dyn Evaluator>,
    /// Which hidden units may be reordered, where that brings runs nearer to each other.
    pub symmetry: Option<&'a SymmetryTable>,
}

/// What flat noise is drawn about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Centre {
    /// The mean of so many random training finals; 1: a training run.
    Soup(usize),
    /// A random point between two random training finals.
    Interpolation,
}

/// A trivial generator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// The mean of all training finals: one network.
    Mean,
    /// Means of random training finals.
    Soup {
        /// Networks in a soup.
        members: usize,
    },
    /// A random point between two random training finals.
    Interpolation,
    /// A random point between a random training final and another that is aligned to it.
    AlignedInterpolation,
    /// A training final plus noise.
    Noise {
        /// Length of the noise in units of the leave-one-out median.
        level: f64,
    },
    /// A network made of training finals plus noise along directions that it hardly feels.
    FlatNoise {
        /// What the noise is drawn about.
        centre: Centre,
        /// The share of the answers by which training runs differ from the centre that the noise changes; 0: as few as can be.
        felt: f64,
        /// Distance to the nearest training run that the noise brings networks to, in units of the leave-one-out median.
        level: f64,
    },
    /// A Gaussian of independent weights.
    DiagonalGaussian,
    /// A Gaussian of principal components.
    PcaGaussian,
    /// SWAG's Gaussian of the finals.
    Swag,
    /// SWAG's Gaussian of a run's own late checkpoints.
    RunSwag,
    /// A fresh initialisation plus the mean move.
    MeanMove,
}

/// The level of flat noise: new in weights by a little, and by no more than that, since all noise is felt a little.
const FLAT_LEVEL: f64 = 1.02;
/// Shares of the answers by which runs differ from a soup that noise about it is to change.
const FELT: [f64; 3] = [0.25, 0.33, 0.5];

impl Baseline {
    /// The baselines of a table for `zoo`: those that it has what is needed for. Noise at 0.25 is nearly a copy, at 1.1 as far as a new run.
    pub fn table(zoo: &Finals<'_>) -> Vec<Self> {
        let runs = zoo.training.len() / zoo.layout.len().max(1);
        let most = 16.min(runs / 2).max(1);
        let mut all = vec![Self::Mean];
        all.extend([2, 3].into_iter().filter(|members| *members < most).map(|members| Self::Soup { members }));
        all.extend([Self::Soup { members: most }, Self::Interpolation]);
        all.extend(zoo.symmetry.map(|_| Self::AlignedInterpolation));
        all.extend([Self::Noise { level: 0.25 }, Self::Noise { level: 1.1 }]);
        if zoo.probe.is_some() {
            let mut centres = vec![Centre::Soup(1)];
            centres.extend((most > 2).then_some(Centre::Soup(2)));
            centres.push(Centre::Soup(3.min(most)));
            centres.extend((most > 3).then_some(Centre::Soup(most)));
            centres.push(Centre::Interpolation);
            centres.dedup();
            let flat = |centre, felt| Self::FlatNoise { centre, felt, level: FLAT_LEVEL };
            all.extend(centres.into_iter().map(|centre| flat(centre, 0.0)));
            all.extend(FELT.into_iter().filter(|_| most > 1).map(|felt| flat(Centre::Soup(most), felt)));
        }
        all.extend([Self::DiagonalGaussian, Self::PcaGaussian, Self::Swag]);
        all.extend(zoo.courses.map(|_| Self::RunSwag));
        all.extend(zoo.start.map(|_| Self::MeanMove));
        all
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Mean => "mean".into(),
            Self::Soup { members } => format!("soup-{members}"),
            Self::Interpolation => "interpolation".into(),
            Self::Noise { level } => format!("noise-{level}"),
            Self::AlignedInterpolation => "aligned-interpolation".into(),
            Self::FlatNoise { centre, felt, level } => {
                let of = match centre {
                    Centre::Soup(1) => String::new(),
                    Centre::Soup(members) => format!("soup-{members}-"),
                    Centre::Interpolation => "interpolation-".into(),
                };
                match felt {
                    0.0 => format!("{of}flat-noise-{level}"),
                    share => format!("{of}felt-{share}-noise-{level}"),
                }
            }
            Self::Swag => "swag".into(),
            Self::RunSwag => "run-swag".into(),
            Self::DiagonalGaussian => "diagonal-gaussian".into(),
            Self::PcaGaussian => "pca-gaussian".into(),
            Self::MeanMove => "mean-move".into(),
        }
    }

    /// Draws networks `[n, P]`; [`Self::Mean`] gives one, whatever n.
    ///
    /// # Errors
    /// Finals that are no `[R, P]` with R ≥ 2 or not finite, n = 0, a parameter outside its range, an unknown start.
    pub fn sample(&self, zoo: &Finals<'_>, n: usize, streams: &Streams) -> Result<Vec<f32>> {
        let p = zoo.layout.len();
        let runs = count("training finals", zoo.training, p)?;
        if runs < 2 || n == 0 {
            return Err(Error::parameter(
                "baseline",
                "at least 2 training runs and 1 network",
                format!("{runs} and {n}"),
            ));
        }
        let streams = streams.child(&self.name());
        let mut theta = match *self {
            Self::Mean => narrow(&mean(zoo.training, p)),
            Self::Soup { members } => {
                check_members(members, runs)?;
                each(n, &streams, |streams| Ok(soup(zoo, members, streams)))?
            }
            Self::Interpolation => each(n, &streams, |streams| interpolation(zoo, None, streams))?,
            Self::AlignedInterpolation => {
                let nothing =
                    || Error::parameter("aligned interpolation", "networks whose hidden units are known", "none");
                let table = zoo.symmetry.ok_or_else(nothing)?;
                each(n, &streams, |streams| interpolation(zoo, Some(table), streams))?
            }
            Self::Noise { level } => {
                let deviation = deviation(zoo.training, p);
                let length = deviation.iter().map(|s| s * s).sum::<f64>().sqrt();
                let scale = zoo.noise_length(level)? / length;
                each(n, &streams, |streams| {
                    let mut rng = streams.rng();
                    let chosen = rng.random_range(0..runs);
                    let noisy = |(w, s): (&f32, &f64)| {
                        (f64::from(*w) + scale * s * rng.sample::<f64, _>(StandardNormal)) as f32
                    };
                    Ok(row(zoo, chosen).iter().zip(&deviation).map(noisy).collect())
                })?
            }
            Self::FlatNoise { centre, felt, level } => {
                let unknown = || Error::parameter("flat noise", "inputs to measure curvature on", "none");
                let probe = zoo.probe.ok_or_else(unknown)?;
                if let Centre::Soup(members) = centre {
                    check_members(members, runs)?;
                }
                let centres = each(n, &streams.child("centre"), |streams| match centre {
                    Centre::Soup(members) => Ok(soup(zoo, members, streams)),
                    Centre::Interpolation => interpolation(zoo, None, streams),
                })?;
                let (deviation, reach) = (deviation(zoo.training, p), zoo.noise_length(level)?);
                let noisy =
                    Noisy { layout: zoo.layout, training: zoo.training, deviation: &deviation, reach, felt, probe };
                noisy.about(centres, &streams)?
            }
            Self::DiagonalGaussian => {
                let (mean, deviation) = (mean(zoo.training, p), deviation(zoo.training, p));
                each(n, &streams, |streams| {
                    let mut rng = streams.rng();
                    let draw = |(m, s): (&f64, &f64)| (m + s * rng.sample::<f64, _>(StandardNormal)) as f32;
                    Ok(mean.iter().zip(&deviation).map(draw).collect())
                })?
            }
            Self::PcaGaussian => pca_gaussian(zoo.training, p, n, &streams)?,
            Self::Swag => swag(zoo.training, p, n, &streams)?,
            Self::RunSwag => {
                let unknown = || Error::parameter("run-swag", "a zoo that keeps checkpoints of its runs", "none");
                let Courses { late, checkpoints } = zoo.courses.ok_or_else(unknown)?;
                run_swag(late, checkpoints * p, p, n, &streams)?
            }
            Self::MeanMove => {
                let start = zoo
                    .start
                    .ok_or_else(|| Error::parameter("mean-move", "a zoo whose initialisation is known", "none"))?;
                if start.mean.len() != p {
                    return Err(Error::shape(
                        "mean initialisation",
                        format!("[{p}]"),
                        format!("[{}]", start.mean.len()),
                    ));
                }
                let last = mean(zoo.training, p);
                each(n, &streams, |streams| {
                    let fresh = start.law.draw(zoo.layout, streams)?;
                    if fresh.len() != p {
                        return Err(Error::shape(
                            "fresh initialisation",
                            format!("[{p}]"),
                            format!("[{}]", fresh.len()),
                        ));
                    }
                    let moves = last.iter().zip(start.mean).map(|(last, first)| last - f64::from(*first));
                    Ok(fresh.iter().zip(moves).map(|(x, m)| (f64::from(*x) + m) as f32).collect())
                })?
            }
        };
        for slot in zoo.layout.slots().iter().filter(|slot| slot.role == Role::RunningVariance) {
            theta.chunks_exact_mut(p).flat_map(|theta| &mut theta[slot.range()]).for_each(|v| *v = v.max(0.0));
        }
        Ok(theta)
    }
}

impl Finals<'_> {
    /// The length of noise of `level` leave-one-out medians.
    fn noise_length(&self, level: f64) -> Result<f64> {
        if !(level > 0.0 && level.is_finite()) {
            return Err(Error::parameter("noise level", "a number above 0", level));
        }
        let measured = || Ok(Neighbourhood::new(self.training, self.layout.len())?.median());
        Ok(level * self.median.map_or_else(measured, Ok)?)
    }
}

fn check_members(members: usize, runs: usize) -> Result<()> {
    if members == 0 || members > runs {
        return Err(Error::parameter("soup", format!("1 to {runs} members"), members));
    }
    Ok(())
}

/// The mean `[P]` of so many random training finals.
fn soup(zoo: &Finals<'_>, members: usize, streams: &Streams) -> Vec<f32> {
    let p = zoo.layout.len();
    let mut order: Vec<usize> = (0..zoo.training.len() / p).collect();
    let (chosen, _) = order.partial_shuffle(&mut streams.rng(), members);
    let rows: Vec<f32> = chosen.iter().flat_map(|&i| row(zoo, i)).copied().collect();
    narrow(&mean(&rows, p))
}

/// A random point `[P]` between two random training finals, the second brought into the order of the first's hidden units where a table knows them.
fn interpolation(zoo: &Finals<'_>, table: Option<&SymmetryTable>, streams: &Streams) -> Result<Vec<f32>> {
    let (mut rng, runs) = (streams.rng(), zoo.training.len() / zoo.layout.len());
    let (i, step) = (rng.random_range(0..runs), rng.random_range(1..runs));
    let share: f32 = rng.random();
    let (first, mut second) = (row(zoo, i), row(zoo, (i + step) % runs).to_vec());
    if let Some(table) = table {
        let order = match_weights(table, first, &second, &streams.child("align"))?;
        table.permute(&mut second, &order)?;
    }
    Ok(first.iter().zip(&second).map(|(a, b)| a + share * (b - a)).collect())
}

fn row<'a>(zoo: &Finals<'a>, i: usize) -> &'a [f32] {
    let p = zoo.layout.len();
    &zoo.training[i * p..(i + 1) * p]
}

/// `n` networks in parallel, the i-th from stream `index(i)`.
fn each(n: usize, streams: &Streams, draw: impl Fn(&Streams) -> Result<Vec<f32>> + Sync) -> Result<Vec<f32>> {
    let parts: Vec<Vec<f32>> = (0..n as u64).into_par_iter().map(|i| draw(&streams.index(i))).collect::<Result<_>>()?;
    Ok(parts.concat())
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
