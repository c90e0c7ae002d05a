//! [`Character`]: what a zoo is, as far as its weights and its own description tell, and the fit that follows from it ([`suited`]).
//!
//! Measured on the final networks of at most 400 runs, at 20,000 evenly chosen weights. *Common share*: the part of the mean squared norm that the runs' mean
//! holds (without bias), over weights of matrices and kernels: near 1 for runs of one start, near 0 for independent starts (trained cnn-s on 2,000 rows of MNIST:
//! forks .997, iterates of one run 1.000, independent runs .037). *Serial ratio*: the mean squared distance of consecutive runs over that of any two, on
//! standardised weights (von Neumann's ratio): 1 for runs in no order, near 0 for iterates of one run (.010 in the same setting). *Families*: clusters with nothing
//! between them.
use crate::Result;
use crate::coupling::Coupling;
use crate::method::MethodConfig;
use crate::model::FitConfig;
use crate::space::families::Families;
use crate::space::source::{POINTS, SourceKind, evenly};
use thalweg_nets::zoo::{ZooKind, ZooStore};

/// Weights that are looked at, at most.
const WEIGHTS: usize = 20_000;
/// Numbers of all networks together that are read, at most, as long as sixteen networks are.
const NUMBERS: usize = 1 << 28;
/// Fewest runs whose order is looked at.
const FEWEST: usize = 8;

/// How the runs of a zoo belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Each has a start of its own.
    Independent,
    /// All share a start, up to noise.
    CommonStart,
    /// They are iterates of one run, in order.
    Iterates,
    /// There are too few of them to tell.
    Unknown,
}

impl Relation {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Independent => "runs from independent starts",
            Self::CommonStart => "runs that share a start",
            Self::Iterates => "iterates of one run, in order",
            Self::Unknown => "too few runs to tell how they belong together",
        }
    }
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Character {
    /// How the runs belong together: as the zoo's own description says, or else as the weights tell.
    pub relation: Relation,
    /// Whether the zoo's own description says so.
    pub recorded: bool,
    /// Common share, of the largest family; NaN for fewer than two runs.
    pub common: f64,
    /// Serial ratio, of the largest family; NaN for fewer than eight runs.
    pub serial: f64,
    /// Runs in each family among those looked at, the largest first.
    pub families: Vec<usize>,
    /// Whether the law of the runs' starts is known, and their starts are recorded.
    pub starts: bool,
}

impl Character {
    /// Of the runs of `zoo` that did not fail.
    ///
    /// # Errors
    /// A zoo that cannot be read, or whose starts should be known and cannot be.
    pub fn of(zoo: &ZooStore) -> Result<Self> {
        let p = zoo.parameters();
        let runs = evenly(&zoo.finished_runs(), POINTS.min((NUMBERS / p).max(16)));
        let c = p.min(WEIGHTS);
        let chosen: Vec<usize> = (0..c).map(|i| (i as u128 * p as u128 / c as u128) as usize).collect();
        let mut points = Vec::with_capacity(runs.len() * c);
        for &run in &runs {
            let theta = zoo.finals(&[run])?;
            points.extend(chosen.iter().map(|&i| theta[i]));
        }
        let standard = standardised(&points, c);
        let width = standard.len() / runs.len().max(1);
        let families = match (runs.len(), width) {
            (0, _) => Families { of_point: vec![], sizes: vec![] },
            (n, 0) => Families { of_point: vec![0; n], sizes: vec![n] },
            _ => Families::of(&standard, width)?,
        };
        let members: Vec<usize> = (0..runs.len()).filter(|&i| families.of_point[i] == 0).collect();
        let matrices = in_matrices(zoo, &chosen);
        let common = common(&points, c, &members, &matrices);
        let serial = serial(&standard, width, &members);
        let kind = zoo.spec().map(|spec| spec.kind);
        let relation = match kind {
            Some(ZooKind::Independent) => Relation::Independent,
            Some(ZooKind::Shared { .. } | ZooKind::Fork { .. }) => Relation::CommonStart,
            Some(ZooKind::Tail { .. }) => Relation::Iterates,
            None if members.len() < 2 => Relation::Unknown,
            None if serial < 0.5 => Relation::Iterates,
            None if common < 0.5 => Relation::Independent,
            None => Relation::CommonStart,
        };
        let starts = zoo.checkpoints() > 1 && zoo.times().first() == Some(&0.0) && zoo.initial_law().is_ok();
        Ok(Self { relation, recorded: kind.is_some(), common, serial, families: families.sizes, starts })
    }

    /// What is worth saying of it, a sentence each.
    pub fn told(&self) -> Vec<String> {
        let mut said = Vec::new();
        let mut evidence = Vec::new();
        if self.common.is_finite() {
            evidence.push(format!("{:.1} % of the squared norm is common to the runs", 100.0 * self.common));
        }
        if self.serial.is_finite() {
            let ratio = self.serial;
            evidence.push(format!("squared distance of consecutive runs {ratio:.2} of that of any two"));
        }
        let by = if self.recorded { "as its description says" } else { "by its weights" };
        let evidence = if evidence.is_empty() { String::new() } else { format!(": {}", evidence.join(", ")) };
        said.push(format!("{} ({by}){evidence}", self.relation.describe()));
        if self.families.len() > 1 {
            let sizes: Vec<_> = self.families.iter().map(ToString::to_string).collect();
            said.push(format!("{} families with nothing between them, of {} runs", sizes.len(), sizes.join(" and ")));
        }
        said
    }
}

/// Columns `[n, c]` to mean 0 and deviation 1; without those that are constant.
fn standardised(points: &[f32], c: usize) -> Vec<f32> {
    let n = points.len() / c.max(1);
    let moments = |k: usize| {
        let column = || (0..n).map(|i| f64::from(points[i * c + k]));
        let mean = column().sum::<f64>() / n as f64;
        (mean, (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt())
    };
    let all: Vec<(usize, f64, f64)> = (0..c).map(|k| (k, moments(k))).map(|(k, (m, s))| (k, m, s)).collect();
    let kept: Vec<_> = all.into_iter().filter(|(_, mean, s)| *s > 1e-7 * mean.abs() && *s > 0.0).collect();
    let row = |i: usize| kept.iter().map(move |(k, mean, s)| ((f64::from(points[i * c + k]) - mean) / s) as f32);
    (0..n).flat_map(row).collect()
}

/// Which of the chosen weights lie in matrices and kernels; all, where none do.
fn in_matrices(zoo: &ZooStore, chosen: &[usize]) -> Vec<bool> {
    let slots = zoo.layout().slots();
    let within = |i: usize| slots.iter().any(|slot| slot.shape.len() > 1 && slot.range().contains(&i));
    let found: Vec<bool> = chosen.iter().map(|&i| within(i)).collect();
    if found.contains(&true) { found } else { vec![true; chosen.len()] }
}

/// (‖mean‖² − s²/n) / mean ‖θ‖² of some rows of `points [n, c]`, s² the total variance.
fn common(points: &[f32], c: usize, members: &[usize], of: &[bool]) -> f64 {
    let n = members.len();
    if n < 2 {
        return f64::NAN;
    }
    let (mut of_mean, mut of_all) = (0.0, 0.0);
    for k in (0..c).filter(|&k| of[k]) {
        let column = || members.iter().map(|&i| f64::from(points[i * c + k]));
        let mean = column().sum::<f64>() / n as f64;
        let variance = column().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        of_mean += mean * mean - variance / n as f64;
        of_all += column().map(|v| v * v).sum::<f64>() / n as f64;
    }
    if of_all > 0.0 { of_mean / of_all } else { 1.0 }
}

/// Mean squared distance of consecutive members over that of any two, of `points [n, c]`.
fn serial(points: &[f32], c: usize, members: &[usize]) -> f64 {
    let n = members.len();
    if n < FEWEST || c == 0 {
        return f64::NAN;
    }
    let row = |i: usize| &points[members[i] * c..(members[i] + 1) * c];
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let next = (1..n).map(|i| far(row(i - 1), row(i))).sum::<f64>() / (n - 1) as f64;
    let variance: f64 = (0..c)
        .map(|k| {
            let column = || (0..n).map(|i| f64::from(row(i)[k]));
            let mean = column().sum::<f64>() / n as f64;
            column().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64
        })
        .sum();
    if variance > 0.0 { next / (2.0 * variance) } else { f64::NAN }
}

/// A configuration with what follows from a zoo, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Suited {
    /// The configuration.
    pub config: FitConfig,
    /// What differs from the general defaults, and why: a clause each.
    pub because: Vec<String>,
}

/// The defaults of a fit to `zoo` of this `character`, by the method of this name or by the one that suits it.
///
/// # Errors
/// An unknown method.
pub fn suited(zoo: &ZooStore, character: &Character, method: Option<&str>) -> Result<Suited> {
    let mut config = FitConfig::default();
    let mut because = Vec::new();
    match method {
        Some(name) => config.method = MethodConfig::named(name)?,
        // SWAG needs two of them, and a run each for choosing and reporting.
        None if character.relation == Relation::Iterates && zoo.finished_runs().len() > 3 => {
            config.method = MethodConfig::named("swag")?;
            because.push("iterates of one run are drawn from by SWAG".into());
        }
        None => {}
    }
    adapt(&mut config, zoo, character, &mut because);
    Ok(Suited { config, because })
}

/// Lets source, coupling, marginals and split of `config` follow from `zoo`; says why. What its method has no choice of stays.
pub fn adapt(config: &mut FitConfig, zoo: &ZooStore, character: &Character, because: &mut Vec<String>) {
    let checkpoints = zoo.checkpoints();
    let method = config.method.clone();
    if method.coupling() == Coupling::Paired && !character.starts {
        let several = character.families.len() > 1;
        let source = if several { SourceKind::Families } else { SourceKind::Gaussian };
        config.method = config.method.clone().from_source(source);
        if config.method != method {
            let why = match checkpoints {
                1 => "only final networks are kept",
                _ => "the law that its runs started from is not known",
            };
            let from = match several {
                true => {
                    format!("a Gaussian for each of the {} families, and stays within it", character.families.len())
                }
                false => "a Gaussian".into(),
            };
            because.push(format!("{why}, so the flow starts from {from}"));
        }
    }
    if checkpoints > 0 && config.method.marginals() > checkpoints.max(2) {
        let fewer = config.method.clone().within(checkpoints);
        if fewer.marginals() <= checkpoints.max(2) {
            config.method = fewer;
            because.push(format!(
                "runs have {checkpoints} checkpoints, so it has {} marginals",
                config.method.marginals()
            ));
        }
    }
    if config.split == FitConfig::default().split {
        let split = &mut config.split;
        let why = match (zoo.finished_runs().len(), config.method.is_solved()) {
            (2, false) => {
                split.test = 0.0;
                "of two runs one is learned from and one chosen on"
            }
            // A closed form needs two runs to have a spread, and chooses no step.
            (2, true) => {
                (split.validation, split.test) = (0.0, 0.0);
                "both runs are learned from"
            }
            (3, true) => {
                split.validation = 0.0;
                "of three runs two are learned from and one is left to report on"
            }
            _ => return,
        };
        because.push(why.into());
    }
}
