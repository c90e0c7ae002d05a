//! Homes (P with base networks trained on it) and the shifts that lead away from them.
use super::hearts;
use crate::data::ensure;
use crate::session::Session;
use crate::settings;
use crate::work::architecture::architecture;
use anyhow::{Result, bail};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use thalweg::Streams;
use thalweg::shift::method::Config;
use thalweg::shift::{Base, Reference, Sample};
use thalweg_nets::data::{Corruption, DataSpec, Dataset, Fit, Site, Splits};
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::init::Initialisation;
use thalweg_nets::streams::shuffle;
use thalweg_nets::train::{Recipe, Trainer};

/// The benign control, in tables.
pub const BENIGN: &str = "benign";
/// Held-out rows from which on unshifted draws come from others than the null law's.
const PLENTY: usize = 2_000;

/// Where P comes from and what f is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    pub data: String,
    /// Of the heart data: the hospitals that are P. All their rows are taken, gaps filled with the means of P's training rows.
    #[serde(default)]
    pub sites: Vec<Site>,
    pub architecture: String,
    #[serde(default)]
    pub widths: Vec<usize>,
    pub train: Option<usize>,
    pub validation: Option<usize>,
    pub test: Option<usize>,
    pub fit: Option<Fit>,
    pub recipe: Recipe,
    #[serde(default)]
    pub shifts: Vec<Shift>,
}

/// A way to get away from P.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shift {
    /// Other hospitals of the heart data.
    Sites { sites: Vec<Site> },
    /// Rows of the first shift at this share, the rest held-out rows of P.
    Mixture { share: f64 },
    /// Other hospitals with cholesterol "not measured" set to P's mean, so that the inputs do not give the shift away.
    Imputed { sites: Vec<Site> },
    /// Images of P, corrupted.
    Corruption { name: String, severity: u8 },
    /// Another data set, brought to P's size.
    Data { data: String },
    /// Held-out rows of P of which f is surer than of most, and right: shifted, and nothing is wrong.
    Benign,
}

impl Shift {
    /// Its name in tables.
    pub fn name(&self) -> String {
        match self {
            Shift::Sites { sites } => named(sites),
            Shift::Mixture { share } => format!("{:.0} % mixture", 100.0 * share),
            Shift::Imputed { sites } => format!("{}, imputed", named(sites)),
            Shift::Corruption { name, severity } => format!("{name} {severity}"),
            Shift::Data { data } => match data.split_once(':') {
                Some((name, path)) => Path::new(path).file_stem().map_or(name.into(), |s| s.to_string_lossy().into()),
                None => data.clone(),
            },
            Shift::Benign => BENIGN.into(),
        }
    }
}

fn named(sites: &[Site]) -> String {
    let name = |site: &Site| match site {
        Site::Cleveland => "Cleveland",
        Site::Hungary => "Hungary",
        Site::Switzerland => "Switzerland",
        Site::LongBeach => "Long Beach",
        Site::Others => "others",
    };
    sites.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// One f with its P and everything that queries are drawn from.
pub struct World {
    pub base: Arc<Base>,
    pub reference: Reference,
    pub labels: Vec<u32>,
    /// Of the validation rows.
    pub validation_labels: Vec<u32>,
    /// Of the held-out rows.
    pub held_out_labels: Vec<u32>,
    /// Rows that unshifted draws come from, with labels.
    pub data: Dataset,
    /// All rows that f was not trained on, with labels.
    pub unseen: Dataset,
    /// Rows that unshifted draws come from, and f's accuracy there.
    pub fresh: (Sample, f64),
    /// Whether those are the null law's own rows.
    pub shared: bool,
    pub shifted: Vec<Shifted>,
    pub seconds: f64,
}

/// The rows that a shift leads to.
pub struct Shifted {
    /// The shift's name in tables.
    pub name: String,
    pub rows: Sample,
    pub labels: Vec<u32>,
    /// f's there.
    pub accuracy: f64,
    /// The share of a query that they make.
    pub share: f64,
}

/// Parameters of tests: those measured for rows of features or for images, with `over` in their place.
///
/// # Errors
/// Unknown keys and values of a wrong type, under `tests`.
pub fn tests(over: &toml::Table, images: bool) -> Result<Config> {
    settings::laid_over("tests", &Config::like(images), over)
}

/// Trains f number `index` of a home and draws up its shifts. With `apart`, held-out rows and those that unshifted draws come from are others even where
/// there are few.
///
/// # Errors
/// Data that cannot be had, a shift that does not fit the data.
pub fn world(home: &Home, index: u64, seed: u64, apart: bool, session: &Session) -> Result<World> {
    let mut spec = DataSpec::parse(&home.data)?;
    (spec.train, spec.validation, spec.test, spec.fit, spec.seed) =
        (home.train, home.validation, home.test, home.fit, seed + index);
    ensure(&spec, &session.progress)?;
    let net = architecture(&home.architecture, &home.widths, &spec, &session.progress)?;
    let splits = match &home.sites[..] {
        [] => Parts::of(spec.load()?),
        sites => {
            let [train, validation, test] = hearts::of_sites(&spec, sites)?;
            Parts { train, validation, test }
        }
    };
    let start = Instant::now();
    let engine = Engine::new(&net)?;
    let recipe = Recipe { checkpoints: vec![1.0], ..home.recipe.clone() };
    let trainer = Trainer::new(&engine, &net, &splits.train, &splits.validation, &recipe)?;
    let streams = Streams::new(seed).child("base").index(index);
    let theta = Initialisation::default().draw(engine.layout(), &streams.child("start"));
    let run = trainer.train(&theta, &streams, &|| false)?;
    if let Some(step) = run.diverged_at {
        bail!("the base network of {} diverged at step {step}: a smaller recipe.learning-rate may help", home.data);
    }
    let seconds = start.elapsed().as_secs_f64();
    let base = Arc::new(Base::new(&net, run.theta)?);
    let rows = |data: &Dataset| base.sample(&data.inputs);
    let shared = !apart && splits.test.len() < PLENTY;
    // In random order: the first half of MNIST's test rows is harder than the second.
    let mut order: Vec<usize> = (0..splits.test.len()).collect();
    shuffle(&mut order, &mut streams.child("halves").rng());
    let (half, rest) = order.split_at(order.len() / 2);
    let (held, fresh) = match shared {
        true => (splits.test.clone(), splits.test.clone()),
        false => (splits.test.subset(half), splits.test.subset(rest)),
    };
    let reference = Reference::new(rows(&splits.train)?, rows(&splits.validation)?, rows(&held)?)?;
    let mut shifted = Vec::new();
    for shift in &home.shifts {
        let (data, share) = shifted_rows(shift, home, &splits, &fresh, &base, seed + index)?;
        let (rows, accuracy) = (rows(&data)?, accuracy(&base, &data)?);
        shifted.push(Shifted { name: shift.name(), rows, labels: data.labels, accuracy, share });
    }
    let known = accuracy(&base, &fresh)?;
    let mut unseen = splits.validation.clone();
    unseen.inputs.extend_from_slice(&splits.test.inputs);
    unseen.labels.extend_from_slice(&splits.test.labels);
    Ok(World {
        labels: splits.train.labels.clone(),
        validation_labels: splits.validation.labels.clone(),
        held_out_labels: held.labels.clone(),
        fresh: (rows(&fresh)?, known),
        data: fresh,
        unseen,
        base,
        reference,
        shared,
        shifted,
        seconds,
    })
}

/// P in three parts, standardised alike.
struct Parts {
    train: Dataset,
    validation: Dataset,
    test: Dataset,
}

impl Parts {
    fn of(splits: Splits) -> Self {
        Self { train: splits.train, validation: splits.validation, test: splits.test }
    }
}

/// The share of rows on which `base` names the label.
///
/// # Errors
/// Rows that do not fit.
pub fn accuracy(base: &Base, data: &Dataset) -> Result<f64> {
    let (_, engine) = base.engine()?;
    let x = engine.pack(&data.inputs)?;
    Ok(evaluate(engine, base.theta(), &x, &data.labels)?[0].accuracy)
}

fn shifted_rows(
    shift: &Shift,
    home: &Home,
    splits: &Parts,
    fresh: &Dataset,
    base: &Base,
    seed: u64,
) -> Result<(Dataset, f64)> {
    let normal = &splits.train.normalisation;
    let away = |sites: &[Site]| hearts::away(&DataSpec::parse(&home.data)?, sites, normal);
    Ok(match shift {
        Shift::Sites { sites } => (away(sites)?, 1.0),
        Shift::Mixture { share } => match home.shifts.first() {
            Some(first) if !matches!(first, Shift::Mixture { .. }) && (0.0..=1.0).contains(share) => {
                (shifted_rows(first, home, splits, fresh, base, seed)?.0, *share)
            }
            _ => bail!("a mixture wants a share from 0 to 1 and another shift before it"),
        },
        Shift::Imputed { sites } => (hearts::imputed(away(sites)?, normal), 1.0),
        Shift::Corruption { name, severity } => (Corruption::named(name, *severity)?.apply(fresh, seed)?, 1.0),
        Shift::Data { data } => {
            let mut spec = DataSpec::parse(data)?;
            let [_, height, width] = fresh.shape;
            if height == width && height > 1 {
                spec.fit = Some(Fit::Area { side: height });
            }
            (spec.load_whole()?.standardised_as(normal)?, 1.0)
        }
        Shift::Benign => {
            let sample = base.sample(&fresh.inputs)?;
            let (p, predictions, c) = (sample.probabilities(), sample.predictions(), sample.classes());
            let sure = |i: usize| p[i * c + predictions[i] as usize];
            let mut sorted: Vec<f32> = (0..fresh.len()).map(sure).collect();
            sorted.sort_by(f32::total_cmp);
            let middle = sorted[sorted.len() * 3 / 10];
            let kept: Vec<usize> =
                (0..fresh.len()).filter(|&i| sure(i) >= middle && predictions[i] == fresh.labels[i]).collect();
            if kept.is_empty() {
                bail!("{}: f is right on none of the rows it is surest of", home.data);
            }
            (fresh.subset(&kept), 1.0)
        }
    })
}

/// `count` queries of `size` rows: each row is of `away` with probability `share` (a fixed number of rows, rounded), else of `home`.
/// None where the rows do not suffice.
pub fn queries(
    away: &Sample,
    home: &Sample,
    share: f64,
    size: usize,
    count: usize,
    streams: &Streams,
) -> Option<Vec<Sample>> {
    let from_away = ((share * size as f64).round() as usize).min(size);
    if from_away > away.len() || size - from_away > home.len() {
        return None;
    }
    let one = |i: usize| {
        let streams = streams.index(i as u64);
        let a = away.rows(&picked(from_away, away.len(), &streams.child("away")));
        match size - from_away {
            0 => a,
            rest => a.joined(&home.rows(&picked(rest, home.len(), &streams.child("home")))),
        }
    };
    Some((0..count).map(one).collect())
}

/// Which rows of `of` such queries have that are of `away` alone; none where they do not suffice.
pub fn drawn(of: usize, size: usize, count: usize, streams: &Streams) -> Option<Vec<Vec<usize>>> {
    let one = |i: usize| picked(size, of, &streams.index(i as u64).child("away"));
    (size <= of).then(|| (0..count).map(one).collect())
}

/// `n` of `of` rows, none twice.
fn picked(n: usize, of: usize, streams: &Streams) -> Vec<usize> {
    let mut all: Vec<usize> = (0..of).collect();
    let mut rng = streams.rng();
    for i in 0..n {
        let j = rng.random_range(i as u64..of as u64) as usize;
        all.swap(i, j);
    }
    all.truncate(n);
    all
}
