//! Figure 3: exact W₁ between generated and real weights at every checkpoint, for every method, with the sampling floor, the spread ratio
//! and the energy distance beside it, and the action gap (M7, M19). W₁ alone rewards shrinkage.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::flows::{Flows, look};
use super::parts::{Part, Stage};
use crate::common::Outcome;
use crate::report::figures::mean_sem;
use crate::report::{Look, Mark, Plot, Report};
use crate::results::Row;
use crate::row;
use crate::table::{Cell, Table, Weight};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use thalweg::Streams;
use thalweg::judge::action_gap::{ActionGap, action_gap};
use thalweg::metric::wasserstein::{Comparison, compare};
use thalweg::model::sample::SampleRequest;

/// The method that the gates are for.
const GATED: &str = "MMFM_5";

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Marginals {
    /// Solver steps.
    steps: usize,
    /// Draws of samples of one size that W₁ of a fit is a mean over.
    repeats: usize,
    /// Points that the action gap is measured on.
    gap_points: usize,
    flows: Flows,
}

/// One fit: its marginals against the reference, and its end.
struct Outcomes {
    marginals: Vec<Comparison>,
    accuracy: f64,
    gap: ActionGap,
    seconds: f64,
}

/// One method on one zoo.
struct OfMethod {
    name: String,
    fits: Vec<Outcomes>,
}

impl OfMethod {
    /// Mean and standard error over fits of a number at marginal `k`.
    fn at(&self, k: usize, of: impl Fn(&Comparison) -> f64) -> (f64, f64) {
        mean_sem(&self.fits.iter().map(|f| of(&f.marginals[k])).collect::<Vec<_>>())
    }

    /// Mean and standard error over fits of the mean of a number over the interior marginals.
    fn interior(&self, of: impl Fn(&Comparison) -> f64) -> (f64, f64) {
        let inside = |f: &Outcomes| {
            let inner = &f.marginals[1..f.marginals.len() - 1];
            inner.iter().map(&of).sum::<f64>() / inner.len().max(1) as f64
        };
        mean_sem(&self.fits.iter().map(inside).collect::<Vec<_>>())
    }

    fn accuracy(&self) -> (f64, f64) {
        mean_sem(&self.fits.iter().map(|f| f.accuracy).collect::<Vec<_>>())
    }
}

/// One zoo.
struct Zoo {
    data: String,
    kind: String,
    accuracy: (f64, f64),
    checkpoints: usize,
    methods: Vec<OfMethod>,
}

impl Zoo {
    /// Gates on a fork zoo: accuracy, W₁ within 5 % of the floor, spread within 15 % of the reference's.
    fn gate(&self) -> Option<bool> {
        let method = self.methods.iter().find(|c| c.name == GATED).filter(|_| self.kind == "fork")?;
        let (w, floor) = (method.interior(|c| c.wasserstein.mean).0, method.interior(|c| c.floor.mean).0);
        let spread = (1..self.checkpoints).map(|k| method.at(k, |c| c.spread_ratio).0);
        let holds = method.accuracy().0 >= self.accuracy.0 - 0.015 && w <= 1.05 * floor;
        Some(holds && spread.into_iter().all(|s| (0.85..=1.15).contains(&s)))
    }
}

impl Experiment for Marginals {
    const NAME: &'static str = "marginals";
    const TOML: &'static str = include_str!("../../../../experiments/marginals.toml");

    fn seed(&self) -> u64 {
        self.flows.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.flows.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        self.flows.check()?;
        if self.steps == 0 || self.repeats == 0 || self.gap_points == 0 {
            bail!("expected steps, repeats and gap-points of at least 1");
        }
        Ok(())
    }

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        self.flows.parts(run, stage, |data, kind| self.flows.fits(run, data, kind))
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let zoos = self.flows.each_zoo(run, |data, kind| self.zoo(run, data, kind))?;
        let failed = zoos.iter().any(|zoo| zoo.gate() == Some(false));
        Ok(Findings {
            rows: zoos.iter().flat_map(rows).collect(),
            report: self.page(&zoos, run.scale),
            tables: zoos.iter().flat_map(|zoo| [by_marginal(zoo), summary(zoo)]).collect(),
            outcome: if failed { Outcome::Negative } else { Outcome::Done },
        })
    }
}

impl Marginals {
    fn zoo(&self, run: &Run, data: &str, kind: &str) -> Result<Zoo> {
        let ground = self.flows.ground(run, data, kind)?;
        let (zoo, split) = (&ground.zoo, &ground.split);
        if split.test.len() < 4 {
            bail!("{}: expected at least 4 runs in the test part of the split, found {}", run.origin, split.test.len());
        }
        let (k, p) = (zoo.checkpoints(), zoo.parameters());
        let references = ground.checkpoints(&split.test)?;
        let mut methods: Vec<OfMethod> = Vec::new();
        self.flows.each_fit(run, &ground, |fit| {
            let at = fit.model.config.time_grid.times(zoo, &split.train)?;
            let request = SampleRequest { steps: self.steps, at, ..SampleRequest::new(self.flows.samples, fit.seed) };
            let samples = fit.model.sample(&request)?;
            let streams = Streams::new(fit.seed).child("marginals");
            let states = samples.states.theta.chunks_exact(samples.theta.len()).zip(&references).enumerate();
            let marginals = states.map(|(k, (states, reference))| {
                Ok(compare(states, reference, p, self.repeats, &streams.index(k as u64))?)
            });
            let outcomes = Outcomes {
                marginals: marginals.collect::<Result<_>>()?,
                accuracy: ground.accuracy(&samples.theta)?.0,
                gap: action_gap(&fit.model, zoo, &split.test, self.gap_points, &streams.child("gap"))?,
                seconds: fit.model.record.seconds,
            };
            match methods.last_mut().filter(|c| c.name == fit.method) {
                Some(method) => method.fits.push(outcomes),
                None => methods.push(OfMethod { name: fit.method, fits: vec![outcomes] }),
            }
            Ok(())
        })?;
        Ok(Zoo {
            data: data.into(),
            kind: kind.into(),
            accuracy: ground.accuracy(&references[k - 1])?,
            checkpoints: k,
            methods,
        })
    }

    fn page(&self, zoos: &[Zoo], scale: Scale) -> Report {
        let mut report = Report::new(
            "Marginals along inference",
            format!(
                "Exact W₁ between generated weights and real runs that no fit saw, at every checkpoint: {} fits a method, {} networks a fit, \
                 mean over {} draws. Beside it the sampling floor (two halves of the real runs), the spread ratio, the energy distance and \
                 the action gap. Scale: {}.",
                self.flows.fits, self.flows.samples, self.repeats, scale
            ),
        );
        for zoo in zoos {
            report.heading(format!("{}, {} zoo", zoo.data, zoo.kind));
            if let (Some(holds), None) = (zoo.gate(), scale.caveat()) {
                report.paragraph(match holds {
                    true => format!("{GATED} keeps its promise: accuracy within .015 of the zoo's, interior W₁ within 5 % of the floor, spread within 15 %."),
                    false => format!("Negative finding: {GATED} misses its accuracy, its W₁ or its spread (below)."),
                });
            }
            report.figure(
                &figure(zoo),
                "W₁ × 100 to real runs at each checkpoint; dashed: the floor, below which only shrinkage leads.",
            );
            report.table(&by_marginal(zoo)).table(&summary(zoo));
        }
        report
    }
}

fn figure(zoo: &Zoo) -> Plot {
    let mut plot = Plot {
        title: format!("W₁ at every marginal, {}, {} zoo", zoo.data, zoo.kind),
        size: (820.0, 420.0),
        ..Plot::default()
    };
    plot.x.label = "checkpoint".into();
    plot.y.label = "W₁ × 100".into();
    let line = |method: &OfMethod, of: &dyn Fn(&Comparison) -> f64| {
        (0..zoo.checkpoints).map(|k| (k as f64, 100.0 * method.at(k, of).0)).collect::<Vec<_>>()
    };
    for (i, method) in zoo.methods.iter().enumerate() {
        let points = line(method, &|c| c.wasserstein.mean);
        plot.marks.push(Mark::Line { points, arrow: false, look: look(i, &method.name) });
    }
    if let Some(method) = zoo.methods.first() {
        let look = Look::new(0, "floor").dashed();
        plot.marks.push(Mark::Line { points: line(method, &|c| c.floor.mean), arrow: false, look });
    }
    plot
}

fn by_marginal(zoo: &Zoo) -> Table {
    let mut columns = vec![format!("W₁ × 100, {}, {} zoo", zoo.data, zoo.kind)];
    columns.extend((0..zoo.checkpoints).map(|k| format!("t_{k}")));
    let heads: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&heads).note("± is one standard error over fits.");
    let row = |method: &OfMethod, name: &str, of: &dyn Fn(&Comparison) -> f64| {
        let mut cells = vec![Cell::Text(name.into())];
        cells.extend((0..zoo.checkpoints).map(|k| {
            let (mean, sem) = method.at(k, of);
            Cell::Estimate(100.0 * mean, 100.0 * sem, 1)
        }));
        cells
    };
    for method in &zoo.methods {
        table.rows.push((Weight::Strong, row(method, &method.name, &|c| c.wasserstein.mean)));
    }
    if let Some(method) = zoo.methods.first() {
        table.rows.push((Weight::Plain, row(method, "floor", &|c| c.floor.mean)));
    }
    table
}

fn summary(zoo: &Zoo) -> Table {
    let head = format!("{}, {} zoo", zoo.data, zoo.kind);
    let columns = [
        head.as_str(),
        "interior W₁/floor",
        "spread, interior",
        "spread at 1",
        "energy, interior",
        "action gap",
        "test accuracy",
        "fit, s",
    ];
    let mut table = Table::new(&columns).note(
        "Spread: generated over real, 1 is right. Energy: unbiased energy distance, 0 in the mean for equal laws. Action gap: half the mean square, over \
         weights, of drift minus the empirical velocity of runs that no fit saw, in standardised units; no drift of (x, t) brings it to 0. Accuracy on \
         test data. ± is one standard error over fits (for the real runs: over runs).",
    );
    let estimate = |(mean, sem): (f64, f64), digits| Cell::Estimate(mean, sem, digits);
    for method in &zoo.methods {
        let last = zoo.checkpoints - 1;
        let gap = mean_sem(&method.fits.iter().map(|f| f.gap.gap).collect::<Vec<_>>());
        table.rows.push((
            Weight::Strong,
            vec![
                Cell::Text(method.name.clone()),
                estimate(method.interior(|c| c.wasserstein.mean / c.floor.mean), 3),
                estimate(method.interior(|c| c.spread_ratio), 2),
                estimate(method.at(last, |c| c.spread_ratio), 2),
                estimate(method.interior(|c| c.energy), 3),
                estimate(gap, 3),
                estimate(method.accuracy(), 4),
                Cell::Number(mean_sem(&method.fits.iter().map(|f| f.seconds).collect::<Vec<_>>()).0, 1),
            ],
        ));
    }
    if let Some(fit) = zoo.methods.first().and_then(|c| c.fits.first()) {
        let plain = |name: &str, gap: Cell, accuracy: Cell| {
            let dash = || Cell::Text("–".into());
            (Weight::Plain, vec![name.into(), dash(), dash(), dash(), dash(), gap, accuracy, dash()])
        };
        table.rows.push(plain("no drift", Cell::Number(fit.gap.still, 3), "–".into()));
        table.rows.push(plain("mean velocity at each time", Cell::Number(fit.gap.mean, 3), "–".into()));
        table.rows.push(plain("real runs", "–".into(), estimate(zoo.accuracy, 4)));
    }
    table
}

fn rows(zoo: &Zoo) -> Vec<Row> {
    let mut rows = Vec::new();
    for method in &zoo.methods {
        let about =
            row! { "method" => method.name, "data" => zoo.data, "zoo_kind" => zoo.kind, "fits" => method.fits.len() };
        for k in 0..zoo.checkpoints {
            let (w, floor) = (method.at(k, |c| c.wasserstein.mean), method.at(k, |c| c.floor.mean));
            let mut row = about.clone();
            row.extend(row! {
                "marginal" => k, "w1_x100_mean" => 100.0 * w.0, "w1_x100_sem" => 100.0 * w.1, "floor_x100_mean" => 100.0 * floor.0,
                "spread_ratio" => method.at(k, |c| c.spread_ratio).0, "energy_distance" => method.at(k, |c| c.energy).0,
                "energy_distance_sem" => method.at(k, |c| c.energy).1,
                "n" => method.fits.first().map_or(0, |f| f.marginals[k].n),
            });
            rows.push(row);
        }
        let (ratio, accuracy) = (method.interior(|c| c.wasserstein.mean / c.floor.mean), method.accuracy());
        let gap = mean_sem(&method.fits.iter().map(|f| f.gap.gap).collect::<Vec<_>>());
        let mut row = about;
        row.extend(row! {
            "interior_w1_over_floor" => ratio.0, "interior_w1_over_floor_sem" => ratio.1,
            "interior_spread_ratio" => method.interior(|c| c.spread_ratio).0, "action_gap" => gap.0, "action_gap_sem" => gap.1,
            "action_gap_still" => method.fits.first().map_or(f64::NAN, |f| f.gap.still),
            "action_gap_mean_velocity" => method.fits.first().map_or(f64::NAN, |f| f.gap.mean),
            "accuracy_mean" => accuracy.0, "accuracy_sem" => accuracy.1, "zoo_accuracy_mean" => zoo.accuracy.0,
            "fit_seconds" => mean_sem(&method.fits.iter().map(|f| f.seconds).collect::<Vec<_>>()).0,
        });
        rows.push(row);
    }
    rows
}
