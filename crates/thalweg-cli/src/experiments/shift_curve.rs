//! Meta-detectron along its tuning (M15; the paper's Figure 4): ℓ_cdc, agreement with f on P and AUROC by iterations of adjoint matching, beside
//! Detectron and the bank, on the same draws.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::shift::world::{Home, Shifted, World, queries, tests, world};
use crate::common::Outcome;
use crate::report::{Look, Mark, Plot, Report};
use crate::results::Row;
use crate::row;
use crate::table::{Cell, Table, Weight};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use thalweg::Streams;
use thalweg::shift::Sample;
use thalweg::shift::baselines::entropy::Reading;
use thalweg::shift::disagreement::bank::{self, Bank};
use thalweg::shift::disagreement::cdc::{Trainer, mean_agreement};
use thalweg::shift::disagreement::detectron::{self, Detectron};
use thalweg::shift::disagreement::members::Members;
use thalweg::shift::disagreement::meta::{self, MetaConfig, MetaDetectron};
use thalweg::shift::law::power::auroc;
use thalweg_nets::progress::Progress;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftCurve {
    seed: u64,
    bases: u64,
    draws: usize,
    size: usize,
    iterations: Vec<u64>,
    /// Iterations of warm starts; 0 for tuning from the flow as it was fitted.
    warm: Vec<u64>,
    /// What differs from the parameters measured for the kind of rows (`Config::like`).
    #[serde(default)]
    tests: toml::Table,
    home: Home,
}

/// What the tests are called.
const BANK: &str = bank::FACTORY.name;
const DETECTRON: &str = detectron::FACTORY.name;
const FLOW: &str = meta::FACTORY.name;

/// Name, colour and value of a line.
type Series<'a> = (&'a str, usize, fn(&Point) -> f64);

/// What one method has on one base network.
#[derive(Clone, Debug)]
struct Point {
    method: String,
    iterations: Option<u64>,
    /// Of the shifted draws; not for methods that are no samples of a flow.
    loss: f64,
    /// On training rows of P, and on held-out rows.
    agreement: [f64; 2],
    /// Of count, greatest drop and entropy, with standard errors.
    auroc: Vec<(f64, f64)>,
    milliseconds: f64,
}

impl Experiment for ShiftCurve {
    const NAME: &'static str = "shift-curve";
    const TOML: &'static str = include_str!("../../../../experiments/shift-curve.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        let counts = self.bases == 0 || self.draws < 2 || self.size == 0;
        if counts || self.iterations.is_empty() || self.warm.is_empty() {
            bail!("bases and size must be at least 1, draws at least 2, iterations and warm name some");
        }
        if self.home.shifts.len() != 1 {
            bail!("home.shifts: expected one shift, found {}", self.home.shifts.len());
        }
        tests(&self.tests, true)?;
        Ok(())
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let (mut points, progress) = (Vec::new(), &run.session.progress);
        progress.begin("base networks", self.bases);
        for index in 0..self.bases {
            if progress.interrupted() {
                return Err(thalweg_nets::Error::Interrupted.into());
            }
            let world = world(&self.home, index, self.seed, false, run.session)?;
            self.of_world(&world, index, &mut points)?;
            progress.advance(1);
        }
        progress.end();
        let merged = merged(&points);
        let table = table(&merged);
        Ok(Findings {
            rows: merged.iter().map(|p| self.row(p)).collect(),
            report: self.page(&merged, &table, run.scale),
            tables: vec![table],
            outcome: Outcome::Done,
        })
    }
}

impl ShiftCurve {
    fn of_world(&self, world: &World, index: u64, points: &mut Vec<Point>) -> Result<()> {
        let streams = Streams::new(self.seed).child("shift-curve").index(index);
        let images = world.base.takes_images();
        let config = tests(&self.tests, images)?;
        let Shifted { rows: away, share, .. } = world.shifted.first().context("no shift")?;
        let draw = |rows: &Sample, share: f64, what: &str| {
            queries(rows, &world.fresh.0, share, self.size, self.draws, &streams.child(what))
                .with_context(|| format!("size: {} rows are more than there are", self.size))
        };
        let (shifted, usual) = (draw(away, *share, "away")?, draw(&world.fresh.0, 1.0, "usual")?);
        let (base, reference) = (&world.base, &world.reference);
        let watched = [&reference.train, &reference.held_out];
        let of = streams.child(BANK);
        let trainer = Trainer::new(base.clone(), reference, config.bank_cdc.0, &of)?;
        let bank = Bank::train(&trainer, reference, config.bank, self.size, &of)?;
        let start = Instant::now();
        let (a, u) = (bank.readings(&shifted, &streams)?, bank.readings(&usual, &streams)?);
        points.push(Point {
            method: BANK.into(),
            iterations: None,
            loss: f64::NAN,
            milliseconds: each(start, 2 * self.draws),
            agreement: [
                mean_agreement(base, bank.networks(), watched[0])?,
                mean_agreement(base, bank.networks(), watched[1])?,
            ],
            auroc: aurocs(a.iter(), u.iter())?,
        });
        let trainer = Trainer::new(base.clone(), reference, config.cdc, &streams.child(DETECTRON))?;
        let detectron = Detectron::bare(trainer, reference, config.detectron)?;
        let start = Instant::now();
        let (a, u) = (detectron.run(&shifted, &streams.child("a"))?, detectron.run(&usual, &streams.child("u"))?);
        points.push(Point {
            method: DETECTRON.into(),
            iterations: None,
            loss: f64::NAN,
            milliseconds: each(start, 2 * self.draws),
            agreement: [0, 1].map(|part| u.iter().map(|r| r.agreement[part]).sum::<f64>() / u.len() as f64),
            auroc: aurocs(a.iter().map(|r| &r.reading), u.iter().map(|r| &r.reading))?,
        });
        let trainer = Trainer::new(world.base.clone(), reference, config.meta_cdc.0, &streams)?;
        let zoo = MetaDetectron::zoo(&trainer, reference, config.bank, &config.meta, &streams)?;
        for &warm in &self.warm {
            let config_meta = MetaConfig { warm, ..config.meta };
            let (base, zoo) = (world.base.clone(), (config.bank, zoo.clone()));
            let meta = MetaDetectron::of(base, reference, zoo, config_meta, self.size, &streams.child("meta"))?;
            for &iterations in &self.iterations {
                let start = Instant::now();
                let run = |queries: &[Sample], what: &str| {
                    meta.run(queries, &watched, iterations, 0, &streams.child("run").child(what))
                };
                let (a, u) = (run(&shifted, "a")?, run(&usual, "u")?);
                let milliseconds = each(start, 2 * self.draws);
                let n = a.len() as f64;
                points.push(Point {
                    method: if warm == 0 { FLOW.into() } else { format!("{FLOW}, warm start of {warm}") },
                    iterations: Some(iterations),
                    loss: a.iter().map(|r| r.loss).sum::<f64>() / n,
                    agreement: [0, 1].map(|part| a.iter().map(|r| r.agreement[part]).sum::<f64>() / n),
                    auroc: aurocs(a.iter().map(|r| &r.reading), u.iter().map(|r| &r.reading))?,
                    milliseconds,
                });
            }
        }
        Ok(())
    }

    fn row(&self, p: &Point) -> Row {
        row! {
            "method" => p.method, "iterations" => p.iterations, "query_rows" => self.size, "cdc_loss" => p.loss,
            "agreement_on_training_rows" => p.agreement[0], "agreement_on_held_out_rows" => p.agreement[1],
            "auroc_count" => p.auroc[0].0, "auroc_count_standard_error" => p.auroc[0].1,
            "auroc_max_drop" => p.auroc[1].0, "auroc_max_drop_standard_error" => p.auroc[1].1,
            "auroc_entropy" => p.auroc[2].0, "auroc_entropy_standard_error" => p.auroc[2].1,
            "milliseconds_a_query" => p.milliseconds,
            "base_networks" => self.bases,
        }
    }

    fn page(&self, points: &[Point], table: &Table, scale: Scale) -> Report {
        let mut report = Report::new(
            "Detection while the flow is tuned",
            format!(
                "A flow over disagreement classifiers of f is tuned to each query by adjoint matching. {} shifted and as many unshifted draws of \
                 {} rows for each of {} base networks. Scale: {}.",
                self.draws, self.size, self.bases, scale
            ),
        );
        let along = |title: &str, label: &str, of: &[Series]| {
            let mut plot = Plot { title: title.into(), size: (820.0, 300.0), ..Plot::default() };
            plot.x.label = "iterations of adjoint matching".into();
            plot.y.label = label.into();
            for (name, colour, value) in of {
                let cold = points.iter().filter(|p| p.method == FLOW);
                let points = cold.filter_map(|p| Some((p.iterations? as f64, value(p)))).collect();
                plot.marks.push(Mark::Line { points, arrow: false, look: Look::new(*colour, name) });
            }
            plot
        };
        report
            .figure(&along("Loss", "ℓ_cdc", &[("on shifted draws", 2, |p| p.loss)]), "ℓ_cdc of the sampled networks.");
        report.figure(
            &along(
                "AUROC",
                "AUROC",
                &[("count", 1, |p| p.auroc[0].0), ("max-drop", 2, |p| p.auroc[1].0), ("entropy", 3, |p| p.auroc[2].0)],
            ),
            "How well shifted draws are told from unshifted ones.",
        );
        report.table(table);
        report
    }
}

/// AUROC of count, greatest drop and entropy, with standard errors, of readings of shifted draws against those of unshifted ones.
fn aurocs<'a>(
    away: impl Iterator<Item = &'a Reading>,
    usual: impl Iterator<Item = &'a Reading>,
) -> Result<Vec<(f64, f64)>> {
    let (away, usual) = (statistics(away), statistics(usual));
    let of = |all: &[[f64; 5]], s: usize| all.iter().map(|values| values[s]).collect::<Vec<f64>>();
    (0..3).map(|s| Ok(auroc(&of(&away, s), &of(&usual, s))?)).collect()
}

/// Without reference entropies: the last statistic, which compares with them, means nothing.
fn statistics<'a>(readings: impl Iterator<Item = &'a Reading>) -> Vec<[f64; 5]> {
    readings.map(|reading| reading.statistics(&[])).collect()
}

fn each(start: Instant, queries: usize) -> f64 {
    1e3 * start.elapsed().as_secs_f64() / queries as f64
}

/// Means over the base networks; errors of the draws, joined.
fn merged(points: &[Point]) -> Vec<Point> {
    let mut out: Vec<Point> = Vec::new();
    for p in points {
        let same = |q: &&Point| q.method == p.method && q.iterations == p.iterations;
        if out.iter().any(|q| same(&q)) {
            continue;
        }
        let all: Vec<&Point> = points.iter().filter(same).collect();
        let n = all.len() as f64;
        let mean = |of: &dyn Fn(&Point) -> f64| all.iter().map(|p| of(p)).sum::<f64>() / n;
        let joined = |of: &dyn Fn(&Point) -> f64| all.iter().map(|p| of(p).powi(2)).sum::<f64>().sqrt() / n;
        out.push(Point {
            loss: mean(&|p| p.loss),
            agreement: [mean(&|p| p.agreement[0]), mean(&|p| p.agreement[1])],
            auroc: (0..p.auroc.len()).map(|s| (mean(&|p| p.auroc[s].0), joined(&|p| p.auroc[s].1))).collect(),
            milliseconds: mean(&|p| p.milliseconds),
            ..p.clone()
        });
    }
    out
}

fn table(points: &[Point]) -> Table {
    let mut table =
        Table::new(&["method", "iterations", "ℓ_cdc", "agrees, trained", "agrees, held out", "AUROC count", "AUROC max-drop", "AUROC entropy", "ms a query"])
            .note("Agreement with f on training rows of P and on rows that nothing was held to. ± are standard errors of the draws. Milliseconds: many queries in parallel, per query.");
    for p in points {
        let weight = if p.iterations.is_some() { Weight::Strong } else { Weight::Plain };
        table.push(
            weight,
            vec![
                p.method.clone().into(),
                p.iterations.map_or(Cell::from("–"), |i| Cell::from(i.to_string())),
                Cell::Number(p.loss, 4),
                Cell::Number(p.agreement[0], 4),
                Cell::Number(p.agreement[1], 4),
                Cell::Estimate(p.auroc[0].0, p.auroc[0].1, 3),
                Cell::Estimate(p.auroc[1].0, p.auroc[1].1, 3),
                Cell::Estimate(p.auroc[2].0, p.auroc[2].1, 3),
                Cell::Number(p.milliseconds, 2),
            ],
        );
    }
    table
}
