//! Figure 3: exact W₁ between generated and real weights at every checkpoint, for every method, with the sampling floor, the spread ratio
//! and the energy distance beside it, and the action gap (M7, M19). W₁ alone rewards shrinkage.
use super::flows::{Flows, look};
use super::{Experiment, Findings, Prepared};
use crate::common::Outcome;
use crate::report::figures::mean_sem;
use crate::report::{Look, Mark, Plot, Report};
use crate::results::{Row, object};
use crate::row;
use crate::session::Session;
use crate::settings;
use crate::table::{Cell, Table, Weight};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::path::Path;
use thalweg::Streams;
use thalweg::judge::action_gap::{ActionGap, action_gap};
use thalweg::metric::wasserstein::{Comparison, compare};
use thalweg::model::sample::SampleRequest;

const TOML: &str = include_str!("../../../../experiments/marginals.toml");
const ORIGIN: &str = "experiments/marginals.toml";
/// The method that the gates are for.
const GATED: &str = "MMFM_5";

/// Its entry in the registry.
pub const EXPERIMENT: Experiment = Experiment { name: "marginals", prepare };

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// Solver steps.
    steps: usize,
    /// Draws of samples of one size that W₁ of a fit is a mean over.
    repeats: usize,
    /// Points that the action gap is measured on.
    gap_points: usize,
    flows: Flows,
}

struct Marginals {
    scale: String,
    settings: Settings,
}

fn prepare(scale: &str, session: &Session) -> Result<Box<dyn Prepared>> {
    let mut settings: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &session.common.set)?;
    settings.flows.seed = session.seed_or(settings.flows.seed);
    settings.flows.check(ORIGIN)?;
    if settings.steps == 0 || settings.repeats == 0 || settings.gap_points == 0 {
        bail!("{ORIGIN}: expected steps, repeats and gap-points of at least 1");
    }
    Ok(Box::new(Marginals { scale: scale.to_owned(), settings }))
}

/// One fit: its marginals against the reference, and its end.
struct Outcomes {
    marginals: Vec<Comparison>,
    accuracy: f64,
    gap: ActionGap,
    seconds: f64,
}

/// One method on one zoo.
struct Course {
    method: String,
    fits: Vec<Outcomes>,
}

impl Course {
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
    courses: Vec<Course>,
}

impl Zoo {
    /// Gates on a fork zoo: accuracy, W₁ within 5 % of the floor, spread within 15 % of the reference's.
    fn gate(&self) -> Option<bool> {
        let course = self.courses.iter().find(|c| c.method == GATED).filter(|_| self.kind == "fork")?;
        let (w, floor) = (course.interior(|c| c.wasserstein.mean).0, course.interior(|c| c.floor.mean).0);
        let spread = (1..self.checkpoints).map(|k| course.at(k, |c| c.spread_ratio).0);
        let holds = course.accuracy().0 >= self.accuracy.0 - 0.015 && w <= 1.05 * floor;
        Some(holds && spread.into_iter().all(|s| (0.85..=1.15).contains(&s)))
    }
}

impl Prepared for Marginals {
    fn seed(&self) -> u64 {
        self.settings.flows.seed
    }

    fn run(&self, out: &Path, session: &Session) -> Result<Findings> {
        let mut zoos = Vec::new();
        for data in &self.settings.flows.data {
            for kind in &self.settings.flows.kinds {
                session.say(&format!("{data}, {kind} zoo"));
                zoos.push(self.zoo(data, kind, out, session)?);
            }
        }
        let failed = self.scale != "smoke" && zoos.iter().any(|z| z.gate() == Some(false));
        let tables: Vec<Table> = zoos.iter().flat_map(|zoo| [by_marginal(zoo), summary(zoo)]).collect();
        Ok(Findings {
            rows: zoos.iter().flat_map(rows).collect(),
            settings: object(&self.settings)?,
            report: self.page(&zoos),
            tables,
            outcome: if failed { Outcome::Negative } else { Outcome::Done },
        })
    }
}

impl Marginals {
    fn zoo(&self, data: &str, kind: &str, out: &Path, session: &Session) -> Result<Zoo> {
        let set = &self.settings;
        let ground = set.flows.ground(ORIGIN, data, kind, out, session)?;
        let (zoo, split) = (&ground.zoo, &ground.split);
        if split.test.len() < 4 {
            bail!("{ORIGIN}: expected at least 4 runs in the test part of the split, found {}", split.test.len());
        }
        let (k, p) = (zoo.checkpoints(), zoo.parameters());
        let references = ground.checkpoints(&split.test)?;
        let mut courses: Vec<Course> = Vec::new();
        set.flows.each_fit(ORIGIN, &ground, out, session, |fit| {
            let at = fit.model.config.time_grid.times(zoo, &split.train)?;
            let request = SampleRequest { steps: set.steps, at, ..SampleRequest::new(set.flows.samples, fit.seed) };
            let samples = fit.model.sample(&request)?;
            let streams = Streams::new(fit.seed).child("marginals");
            let states = samples.states.chunks_exact(samples.theta.len()).zip(&references).enumerate();
            let marginals = states.map(|(k, (states, reference))| {
                Ok(compare(states, reference, p, set.repeats, &streams.index(k as u64))?)
            });
            let outcomes = Outcomes {
                marginals: marginals.collect::<Result<_>>()?,
                accuracy: ground.accuracy(&samples.theta)?.0,
                gap: action_gap(&fit.model, zoo, &split.test, set.gap_points, &streams.child("gap"))?,
                seconds: fit.model.record.seconds,
            };
            match courses.last_mut().filter(|c| c.method == fit.method) {
                Some(course) => course.fits.push(outcomes),
                None => courses.push(Course { method: fit.method, fits: vec![outcomes] }),
            }
            Ok(())
        })?;
        Ok(Zoo {
            data: data.into(),
            kind: kind.into(),
            accuracy: ground.accuracy(&references[k - 1])?,
            checkpoints: k,
            courses,
        })
    }

    fn page(&self, zoos: &[Zoo]) -> Report {
        let set = &self.settings;
        let mut report = Report::new(
            "Marginals along inference",
            format!(
                "Exact W₁ between generated weights and real runs that no fit saw, at every checkpoint: {} fits a method, {} networks a fit, \
                 mean over {} draws. Beside it the sampling floor (two halves of the real runs), the spread ratio, the energy distance and \
                 the action gap. Scale: {}.",
                set.flows.fits, set.flows.samples, set.repeats, self.scale
            ),
        );
        for zoo in zoos {
            report.heading(format!("{}, {} zoo", zoo.data, zoo.kind));
            if let (Some(holds), true) = (zoo.gate(), self.scale != "smoke") {
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
    let line = |course: &Course, of: &dyn Fn(&Comparison) -> f64| {
        (0..zoo.checkpoints).map(|k| (k as f64, 100.0 * course.at(k, of).0)).collect::<Vec<_>>()
    };
    for (i, course) in zoo.courses.iter().enumerate() {
        let points = line(course, &|c| c.wasserstein.mean);
        plot.marks.push(Mark::Line { points, arrow: false, look: look(i, &course.method) });
    }
    if let Some(course) = zoo.courses.first() {
        let look = Look::new(0, "floor").dashed();
        plot.marks.push(Mark::Line { points: line(course, &|c| c.floor.mean), arrow: false, look });
    }
    plot
}

fn by_marginal(zoo: &Zoo) -> Table {
    let mut columns = vec![format!("W₁ × 100, {}, {} zoo", zoo.data, zoo.kind)];
    columns.extend((0..zoo.checkpoints).map(|k| format!("t_{k}")));
    let heads: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&heads).note("± is one standard error over fits.");
    let row = |course: &Course, name: &str, of: &dyn Fn(&Comparison) -> f64| {
        let mut cells = vec![Cell::Text(name.into())];
        cells.extend((0..zoo.checkpoints).map(|k| {
            let (mean, sem) = course.at(k, of);
            Cell::Estimate(100.0 * mean, 100.0 * sem, 1)
        }));
        cells
    };
    for course in &zoo.courses {
        table.rows.push((Weight::Strong, row(course, &course.method, &|c| c.wasserstein.mean)));
    }
    if let Some(course) = zoo.courses.first() {
        table.rows.push((Weight::Plain, row(course, "floor", &|c| c.floor.mean)));
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
    for course in &zoo.courses {
        let last = zoo.checkpoints - 1;
        let gap = mean_sem(&course.fits.iter().map(|f| f.gap.gap).collect::<Vec<_>>());
        table.rows.push((
            Weight::Strong,
            vec![
                Cell::Text(course.method.clone()),
                estimate(course.interior(|c| c.wasserstein.mean / c.floor.mean), 3),
                estimate(course.interior(|c| c.spread_ratio), 2),
                estimate(course.at(last, |c| c.spread_ratio), 2),
                estimate(course.interior(|c| c.energy), 3),
                estimate(gap, 3),
                estimate(course.accuracy(), 4),
                Cell::Number(mean_sem(&course.fits.iter().map(|f| f.seconds).collect::<Vec<_>>()).0, 1),
            ],
        ));
    }
    if let Some(fit) = zoo.courses.first().and_then(|c| c.fits.first()) {
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
    for course in &zoo.courses {
        let about =
            row! { "method" => course.method, "data" => zoo.data, "zoo_kind" => zoo.kind, "fits" => course.fits.len() };
        for k in 0..zoo.checkpoints {
            let (w, floor) = (course.at(k, |c| c.wasserstein.mean), course.at(k, |c| c.floor.mean));
            let mut row = about.clone();
            row.extend(row! {
                "marginal" => k, "w1_x100_mean" => 100.0 * w.0, "w1_x100_sem" => 100.0 * w.1, "floor_x100_mean" => 100.0 * floor.0,
                "spread_ratio" => course.at(k, |c| c.spread_ratio).0, "energy_distance" => course.at(k, |c| c.energy).0,
                "n" => course.fits.first().map_or(0, |f| f.marginals[k].n),
            });
            rows.push(row);
        }
        let (ratio, accuracy) = (course.interior(|c| c.wasserstein.mean / c.floor.mean), course.accuracy());
        let gap = mean_sem(&course.fits.iter().map(|f| f.gap.gap).collect::<Vec<_>>());
        let mut row = about;
        row.extend(row! {
            "interior_w1_over_floor" => ratio.0, "interior_w1_over_floor_sem" => ratio.1,
            "interior_spread_ratio" => course.interior(|c| c.spread_ratio).0, "action_gap" => gap.0, "action_gap_sem" => gap.1,
            "action_gap_still" => course.fits.first().map_or(f64::NAN, |f| f.gap.still),
            "action_gap_mean_velocity" => course.fits.first().map_or(f64::NAN, |f| f.gap.mean),
            "accuracy_mean" => accuracy.0, "accuracy_sem" => accuracy.1, "zoo_accuracy_mean" => zoo.accuracy.0,
            "fit_seconds" => mean_sem(&course.fits.iter().map(|f| f.seconds).collect::<Vec<_>>()).0,
        });
        rows.push(row);
    }
    rows
}
