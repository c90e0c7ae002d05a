//! Figure 2: the base networks' validation loss along inference, for every method, beside the zoo's own at its checkpoints.
//! Is the claim shown that it falls monotonically, at no cost of accuracy at the end?
use super::experiment::{Experiment, Findings, Run, Scale};
use super::flows::{Flows, look};
use super::parts::{Part, Stage};
use crate::common::Outcome;
use crate::report::figures::mean_sem;
use crate::report::{Look, Mark, Plot, Report};
use crate::results::Row;
use crate::row;
use crate::study::Labelled;
use crate::table::{Cell, Table, Weight};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use thalweg::metric::along::{At, loss_along};
use thalweg::model::sample::SampleRequest;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceLoss {
    /// Solver steps.
    steps: usize,
    /// Times at which networks are looked at, ends included.
    looks: usize,
    /// Validation rows that they are looked at on.
    rows: usize,
    flows: Flows,
}

/// One method on one zoo: a curve a fit, and test accuracies at the end.
struct Curve {
    method: String,
    fits: Vec<Vec<At>>,
    accuracy: Vec<f64>,
    fit_seconds: Vec<f64>,
}

impl Curve {
    /// Mean loss over fits at each look, with its standard error.
    fn losses(&self) -> Vec<(f64, f64, f64)> {
        let at = |i: usize| self.fits.iter().map(|f| f[i].loss.mean).collect::<Vec<_>>();
        (0..self.fits[0].len())
            .map(|i| {
                let (mean, sem) = mean_sem(&at(i));
                (self.fits[0][i].t, mean, sem)
            })
            .collect()
    }

    /// The most that the mean loss rises above what it had been, and over the whole fall: 0 for a monotone curve.
    fn rise(&self) -> f64 {
        let losses = self.losses();
        let (mut least, mut rise) = (f64::INFINITY, 0.0f64);
        for (_, loss, _) in &losses {
            rise = rise.max(loss - least);
            least = least.min(*loss);
        }
        rise / (losses[0].1 - least).max(1e-12)
    }
}

/// One zoo.
struct Zoo {
    data: String,
    kind: String,
    /// Time, mean loss, standard error of the runs that nobody saw.
    reference: Vec<(f64, f64, f64)>,
    accuracy: (f64, f64),
    curves: Vec<Curve>,
}

impl Experiment for InferenceLoss {
    const NAME: &'static str = "inference-loss";
    const TOML: &'static str = include_str!("../../../../experiments/inference-loss.toml");

    fn seed(&self) -> u64 {
        self.flows.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.flows.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        self.flows.check()?;
        if self.steps == 0 || self.looks < 2 || self.rows == 0 {
            bail!("expected steps and rows of at least 1 and looks of at least 2");
        }
        Ok(())
    }

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        self.flows.parts(run, stage, |data, kind| self.flows.fits(run, data, kind))
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let zoos = self.flows.each_zoo(run, |data, kind| self.zoo(run, data, kind))?;
        let tables: Vec<Table> = zoos.iter().map(table).collect();
        Ok(Findings {
            rows: zoos.iter().flat_map(rows).collect(),
            report: self.page(&zoos, &tables, run.scale),
            tables,
            outcome: Outcome::Done,
        })
    }
}

impl InferenceLoss {
    fn zoo(&self, run: &Run, data: &str, kind: &str) -> Result<Zoo> {
        let ground = self.flows.ground(run, data, kind)?;
        let (engine, split) = (&ground.engine, &ground.split);
        let validation = Labelled::new(engine, ground.validation.first(self.rows))?;
        let along = |times: &[f64], states: &[&[f32]]| {
            loss_along(engine, times, states, &validation.inputs, &validation.labels)
        };
        let states = ground.checkpoints(if split.test.is_empty() { &split.train } else { &split.test })?;
        let reference = along(&ground.times, &states.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let last = self.looks as f64 - 1.0;
        let at: Vec<f64> = (0..self.looks).map(|i| i as f64 / last).collect();
        let mut curves: Vec<Curve> = Vec::new();
        self.flows.each_fit(run, &ground, |fit| {
            let request =
                SampleRequest { steps: self.steps, at: at.clone(), ..SampleRequest::new(self.flows.samples, fit.seed) };
            let samples = fit.model.sample(&request)?;
            let states: Vec<&[f32]> = samples.states.theta.chunks_exact(samples.theta.len()).collect();
            let (along, accuracy) = (along(&at, &states)?, ground.accuracy(&samples.theta)?.0);
            if curves.last().is_none_or(|c| c.method != fit.method) {
                let (method, fits) = (fit.method.clone(), Vec::new());
                curves.push(Curve { method, fits, accuracy: Vec::new(), fit_seconds: Vec::new() });
            }
            if let Some(curve) = curves.last_mut() {
                curve.fits.push(along);
                curve.accuracy.push(accuracy);
                curve.fit_seconds.push(fit.model.record.seconds);
            }
            Ok(())
        })?;
        Ok(Zoo {
            data: data.into(),
            kind: kind.into(),
            reference: reference.iter().map(|a| (a.t, a.loss.mean, a.loss.sem)).collect(),
            accuracy: ground.accuracy(&states[states.len() - 1])?,
            curves,
        })
    }

    fn page(&self, zoos: &[Zoo], tables: &[Table], scale: Scale) -> Report {
        let mut report = Report::new(
            "Loss along inference",
            format!(
                "Validation loss of the base networks at {} of {} points of the way from fresh starts, {} networks a fit, {} fits a method, \
                 beside real runs that no fit saw, at their checkpoints. Scale: {}.",
                self.looks, self.steps, self.flows.samples, self.flows.fits, scale
            ),
        );
        for (zoo, table) in zoos.iter().zip(tables) {
            report.heading(format!("{}, {} zoo", zoo.data, zoo.kind));
            let mut plot = Plot {
                title: format!("Validation loss along inference, {}, {} zoo", zoo.data, zoo.kind),
                size: (820.0, 420.0),
                ..Plot::default()
            };
            plot.x.label = "t".into();
            plot.y.label = "validation loss".into();
            plot.y.scale = crate::report::Scale::Log;
            for (i, curve) in zoo.curves.iter().enumerate() {
                let points = curve.losses().into_iter().map(|(t, loss, _)| (t, loss)).collect();
                plot.marks.push(Mark::Line { points, arrow: false, look: look(i, &curve.method) });
            }
            let points: Vec<_> = zoo.reference.iter().map(|(t, loss, _)| (*t, *loss)).collect();
            plot.marks.push(Mark::Dots { points, look: Look::new(0, "real runs").size(5.0) });
            report.figure(
                &plot,
                "Mean validation loss at the states of the sampler; dots: real runs at their checkpoints.",
            );
            report.table(table);
        }
        report
    }
}

fn table(zoo: &Zoo) -> Table {
    let head = format!("{}, {} zoo", zoo.data, zoo.kind);
    let columns = [head.as_str(), "loss at 0", "at 1/4", "at 1/2", "at 3/4", "at 1", "rise", "test accuracy", "fit, s"];
    let mut table = Table::new(&columns).note(
        "Loss on validation data, accuracy on test data. ± is one standard error over fits (for the real runs: over runs). Rise: the most that the \
         mean loss goes up again, over its whole fall; 0 for a monotone curve.",
    );
    let at = |losses: &[(f64, f64, f64)], t: f64| {
        let nearest = losses.iter().min_by(|a, b| (a.0 - t).abs().total_cmp(&(b.0 - t).abs()));
        nearest.map_or(Cell::Text("–".into()), |(_, mean, sem)| Cell::Estimate(*mean, *sem, 3))
    };
    let quarters = [0.0, 0.25, 0.5, 0.75, 1.0];
    for curve in &zoo.curves {
        let (losses, (accuracy, sem)) = (curve.losses(), mean_sem(&curve.accuracy));
        let mut cells = vec![Cell::Text(curve.method.clone())];
        cells.extend(quarters.iter().map(|&t| at(&losses, t)));
        cells.extend([
            Cell::Number(curve.rise(), 3),
            Cell::Estimate(accuracy, sem, 4),
            Cell::Number(mean_sem(&curve.fit_seconds).0, 1),
        ]);
        table.rows.push((Weight::Strong, cells));
    }
    let mut cells = vec![Cell::Text("real runs (nearest checkpoint)".into())];
    cells.extend(quarters.iter().map(|&t| at(&zoo.reference, t)));
    cells.extend(["–".into(), Cell::Estimate(zoo.accuracy.0, zoo.accuracy.1, 4), "–".into()]);
    table.rows.push((Weight::Plain, cells));
    table
}

fn rows(zoo: &Zoo) -> Vec<Row> {
    let about = |method: &str, t: f64, loss: f64, sem: f64| {
        row! {
            "method" => method, "data" => zoo.data, "zoo_kind" => zoo.kind, "t" => t, "loss_mean" => loss, "loss_sem" => sem,
        }
    };
    let mut rows: Vec<Row> = zoo.reference.iter().map(|(t, l, s)| about("real-runs", *t, *l, *s)).collect();
    for curve in &zoo.curves {
        for (i, (t, loss, sem)) in curve.losses().into_iter().enumerate() {
            let mut row = about(&curve.method, t, loss, sem);
            let accuracy: Vec<f64> = curve.fits.iter().map(|f| f[i].accuracy.mean).collect();
            row.extend(row! {
                "validation_accuracy_mean" => mean_sem(&accuracy).0, "fits" => curve.fits.len(),
                "n" => curve.fits.iter().map(|f| f[i].loss.n).sum::<usize>(),
            });
            rows.push(row);
        }
        let (accuracy, sem) = mean_sem(&curve.accuracy);
        rows.push(row! {
            "method" => curve.method, "data" => zoo.data, "zoo_kind" => zoo.kind, "accuracy_mean" => accuracy, "accuracy_sem" => sem,
            "zoo_accuracy_mean" => zoo.accuracy.0, "rise" => curve.rise(), "fit_seconds" => mean_sem(&curve.fit_seconds).0,
        });
    }
    rows
}
