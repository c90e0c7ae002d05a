//! Meta-detectron along its tuning (M15; the paper's Figure 4): ℓ_cdc, agreement with f on P and AUROC by iterations of adjoint matching, beside
//! Detectron and the bank that the flow was fitted to, on the same draws.
use super::shift::world::{Home, World, queries, tests, world};
use super::{Experiment, Findings, Prepared};
use crate::common::Outcome;
use crate::report::{Look, Mark, Plot, Report};
use crate::results::{Row, object};
use crate::row;
use crate::session::Session;
use crate::settings;
use crate::table::{Cell, Table, Weight};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;
use thalweg::Streams;
use thalweg::shift::bank::Bank;
use thalweg::shift::base::Base;
use thalweg::shift::cdc::{self, Trainer};
use thalweg::shift::detectron::Detectron;
use thalweg::shift::meta::{MetaConfig, MetaDetectron, MetaRun};
use thalweg::shift::method::Parts;
use thalweg::shift::power::auroc;
use thalweg::shift::{Method, Sample, ShiftTest};
use thalweg_nets::progress::Progress;

const TOML: &str = include_str!("../../../../experiments/shift-curve.toml");
const ORIGIN: &str = "experiments/shift-curve.toml";

/// Its entry in the registry.
pub const EXPERIMENT: Experiment = Experiment { name: "shift-curve", prepare };

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
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

struct Curve {
    scale: String,
    settings: Settings,
}

fn prepare(scale: &str, session: &Session) -> Result<Box<dyn Prepared>> {
    let mut settings: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &session.common.set)?;
    settings.seed = session.seed_or(settings.seed);
    if settings.bases == 0
        || settings.draws < 2
        || settings.size == 0
        || settings.iterations.is_empty()
        || settings.warm.is_empty()
    {
        bail!("{ORIGIN}: bases and size must be at least 1, draws at least 2, iterations and warm name some");
    }
    if settings.home.shifts.len() != 1 {
        bail!("{ORIGIN}: home.shifts: expected one shift, found {}", settings.home.shifts.len());
    }
    tests(ORIGIN, &settings.tests, true)?;
    Ok(Box::new(Curve { scale: scale.to_owned(), settings }))
}

/// What the flow is called in tables.
const FLOW: &str = "meta-detectron";

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
    /// Of count, probability taken and entropy, with standard errors.
    auroc: Vec<(f64, f64)>,
    milliseconds: f64,
}

impl Prepared for Curve {
    fn seed(&self) -> u64 {
        self.settings.seed
    }

    fn run(&self, _: &Path, session: &Session) -> Result<Findings> {
        let set = &self.settings;
        let mut points = Vec::new();
        session.progress.begin("base networks", set.bases);
        for index in 0..set.bases {
            if session.progress.interrupted() {
                return Err(thalweg_nets::Error::Interrupted.into());
            }
            let world = world(&set.home, index, set.seed, session)?;
            self.of_world(&world, index, &mut points)?;
            session.progress.advance(1);
        }
        session.progress.end();
        let merged = merged(&points);
        let rows = merged.iter().map(|p| self.row(p)).collect();
        let table = table(&merged);
        Ok(Findings {
            rows,
            settings: object(set)?,
            report: self.page(&merged, &table),
            tables: vec![table],
            outcome: Outcome::Done,
        })
    }
}

impl Curve {
    fn of_world(&self, world: &World, index: u64, points: &mut Vec<Point>) -> Result<()> {
        let set = &self.settings;
        let streams = Streams::new(set.seed).child("shift-curve").index(index);
        let images = world.base.architecture().input()[1] > 1;
        let config = tests(ORIGIN, &set.tests, images)?;
        let (_, away, _, share) = world.shifted.first().context("no shift")?;
        let draw = |rows: &Sample, share: f64, what: &str| {
            queries(rows, &world.fresh.0, share, set.size, set.draws, &streams.child(what))
                .with_context(|| format!("size: {} rows are more than there are", set.size))
        };
        let (shifted, usual) = (draw(away, *share, "away")?, draw(&world.fresh.0, 1.0, "usual")?);
        let (base, labels) = (Some(world.base.clone()), &world.labels[..]);
        let parts = Parts { base, reference: &world.reference, labels, size: set.size, config: &config };
        let reference = &world.reference;
        let watched = [&reference.train, &reference.held];
        let bank = Method::Bank.prepare(&parts, None, &streams)?;
        let detectron = Method::Detectron.prepare(&parts, None, &streams)?;
        let trainer = Trainer::new(world.base.clone(), reference, config.cdc, &streams)?;
        let runs = Detectron::bare(trainer, reference, config.detectron)?.run(&usual, &streams.child("agreement"))?;
        let of_detectron = [0, 1].map(|part| runs.iter().map(|r| r.agreement[part]).sum::<f64>() / runs.len() as f64);
        let of_bank = |rows: &Sample| -> Result<f64> { Ok(agreement(&world.base, bank.weights(), rows)?) };
        let of_bank = [of_bank(watched[0])?, of_bank(watched[1])?];
        for (test, agreement) in [(&bank, of_bank), (&detectron, of_detectron)] {
            let start = Instant::now();
            let (a, u) = (test.measure(&shifted, &streams.child("a"))?, test.measure(&usual, &streams.child("u"))?);
            let of =
                |v: &[f64], s: usize| v.iter().skip(s).step_by(test.statistics().len()).copied().collect::<Vec<f64>>();
            points.push(Point {
                method: test.name().into(),
                iterations: None,
                loss: f64::NAN,
                agreement,
                auroc: [0, 1, 2].map(|s| auroc(&of(&a, s), &of(&u, s))).into_iter().collect::<Result<Vec<_>, _>>()?,
                milliseconds: each(start, 2 * set.draws),
            });
        }
        let trainer = Trainer::new(world.base.clone(), reference, config.meta_cdc.0, &streams)?;
        let zoo = Bank::train(&trainer, reference, config.bank, set.size, &streams.child("zoo"))?;
        for &warm in &set.warm {
            let config_meta = MetaConfig { warm, ..config.meta };
            let (base, zoo) = (world.base.clone(), (config.bank, zoo.weights().to_vec()));
            let meta = MetaDetectron::of(base, reference, zoo, config_meta, set.size, &streams.child("meta"))?;
            for &iterations in &set.iterations {
                let start = Instant::now();
                let run = |queries: &[Sample], what: &str| {
                    meta.run(queries, &watched, iterations, 0, &streams.child("run").child(what))
                };
                let (a, u) = (run(&shifted, "a")?, run(&usual, "u")?);
                let milliseconds = each(start, 2 * set.draws);
                let of = |runs: &[MetaRun], s: usize| {
                    runs.iter().map(|r| r.reading.statistics(&[])[s]).collect::<Vec<f64>>()
                };
                let n = a.len() as f64;
                points.push(Point {
                    method: if warm == 0 { FLOW.into() } else { format!("{FLOW}, warm start of {warm}") },
                    iterations: Some(iterations),
                    loss: a.iter().map(|r| r.loss).sum::<f64>() / n,
                    agreement: [0, 1].map(|part| a.iter().map(|r| r.agreement[part]).sum::<f64>() / n),
                    auroc: [0, 1, 2]
                        .map(|s| auroc(&of(&a, s), &of(&u, s)))
                        .into_iter()
                        .collect::<Result<Vec<_>, _>>()?,
                    milliseconds,
                });
            }
        }
        Ok(())
    }

    fn row(&self, p: &Point) -> Row {
        row! {
            "method" => p.method, "iterations" => p.iterations, "query_rows" => self.settings.size, "cdc_loss" => p.loss,
            "agreement_on_training_rows" => p.agreement[0], "agreement_on_held_out_rows" => p.agreement[1],
            "auroc_count" => p.auroc[0].0, "auroc_count_standard_error" => p.auroc[0].1,
            "auroc_taken" => p.auroc[1].0, "auroc_taken_standard_error" => p.auroc[1].1,
            "auroc_entropy" => p.auroc[2].0, "auroc_entropy_standard_error" => p.auroc[2].1,
            "milliseconds_a_query" => p.milliseconds,
            "base_networks" => self.settings.bases,
        }
    }

    fn page(&self, points: &[Point], table: &Table) -> Report {
        let set = &self.settings;
        let mut report = Report::new(
            "Detection while the flow is tuned",
            format!(
                "A flow over disagreement classifiers of f is tuned to each query by adjoint matching. {} shifted and as many unshifted draws of \
                 {} rows for each of {} base networks. Scale: {}.",
                set.draws, set.size, set.bases, self.scale
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
                &[("count", 1, |p| p.auroc[0].0), ("taken", 2, |p| p.auroc[1].0), ("entropy", 3, |p| p.auroc[2].0)],
            ),
            "How well shifted draws are told from unshifted ones.",
        );
        report.table(table);
        report
    }
}

/// Mean agreement of networks `[M, P]` with f on `rows`.
fn agreement(base: &Base, thetas: &[f32], rows: &Sample) -> thalweg::Result<f64> {
    let (logits, expected) = (base.engine().logits_of_many(thetas, &base.pack(rows)?)?, rows.predictions());
    let each: Vec<f64> = logits.chunks_exact(rows.logits.len()).map(|l| cdc::agreement(l, &expected)).collect();
    Ok(each.iter().sum::<f64>() / each.len() as f64)
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
        Table::new(&["method", "iterations", "ℓ_cdc", "agrees, trained", "agrees, held out", "AUROC count", "AUROC taken", "AUROC entropy", "ms a query"])
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
