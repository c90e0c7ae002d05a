//! Generation of trained networks: our methods and published recipes on every kind of zoo, from fresh starts, judged by accuracy and novelty
//! beside the zoo, held-out runs, memorisation probes and every trivial baseline; and ensembles of what was generated (M22).
mod ensembles;
mod parameters;
mod parts;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::made::{self, ALIGNED, folder, model_dir};
use super::parts::{Part, Stage};
use super::picture;
use crate::common::Outcome;
use crate::report::{Report, figures};
use crate::results::Row;
use crate::settings;
use crate::study::Study;
use crate::table::Weight;
use crate::verdict::{self, PROBE, SHUFFLED, Verdict, colour};
use crate::work::judge::{about, judge_all};
use anyhow::{Context, Result, bail};
use ensembles::Ensembles;
pub use parameters::Generation;
use thalweg::Streams;
use thalweg::judge::baseline::{Baseline, Finals};
use thalweg::model::sample::{SampleRequest, Samples};
use thalweg::space::source::Source;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::ZooKind;

/// One zoo with its verdicts and the accuracies behind them.
struct Cell {
    data: String,
    kind: String,
    verdicts: Vec<Verdict>,
    accuracies: Vec<Vec<f64>>,
    ensembles: Vec<Ensembles>,
    rows: Vec<Row>,
}

impl Cell {
    /// The first method's verdict.
    fn flow(&self) -> &Verdict {
        &self.verdicts[0]
    }

    fn named(&self, method: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|v| v.method == method)
    }

    /// The zoo's own.
    fn zoo(&self) -> &Verdict {
        self.named("zoo").unwrap_or(&self.verdicts[0])
    }

    fn title(&self) -> String {
        format!("{}, {} zoo", self.data, self.kind)
    }

    fn ensemble_table(&self) -> Option<crate::table::Table> {
        (!self.ensembles.is_empty()).then(|| ensembles::table(&self.title(), &self.ensembles))
    }
}

impl Experiment for Generation {
    const NAME: &'static str = "generation";
    const TOML: &'static str = include_str!("../../../../../experiments/generation.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        let on = self.methods.iter().flat_map(|m| m.on.keys().chain(&m.kinds));
        for kind in self.kinds.iter().chain(self.zoo.keys()).chain(self.fit.keys()).chain(on).filter(|k| *k != "all") {
            if !ZooKind::NAMES.contains(&kind.as_str()) && kind != ALIGNED {
                bail!("expected kinds among {}, {ALIGNED}, found {kind}", ZooKind::NAMES.join(", "));
            }
        }
        for kind in &self.kinds {
            made::check(&settings::merged(&self.zoo, &["all", kind])).with_context(|| format!("{kind} zoo"))?;
        }
        let names = || self.methods.iter().map(|m| m.name.as_str());
        if let Some(unknown) =
            self.only.iter().chain([&self.shared_gate]).find(|name| !names().any(|n| n == name.as_str()))
        {
            bail!("expected methods among {}, found {unknown}", names().collect::<Vec<_>>().join(", "));
        }
        if self.fits == 0
            || self.samples == 0
            || self.data.is_empty()
            || self.kinds.is_empty()
            || self.ensembles.contains(&0)
        {
            bail!("expected fits, samples and ensembles of at least 1, and some data and kinds");
        }
        for name in &self.data {
            DataSpec::parse(name)?;
        }
        for kind in &self.kinds {
            if self.chosen(kind).next().is_none() {
                bail!("expected at least one method for {kind} zoos, found none");
            }
            for method in self.chosen(kind) {
                self.config(method, kind, 0)?;
            }
        }
        Ok(())
    }

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        self.all_parts(run, stage)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let mut cells = Vec::new();
        for data in &self.data {
            for kind in &self.kinds {
                run.session.say(&format!("{data}, {kind} zoo"));
                cells.push(self.cell(run, data, kind)?);
            }
        }
        let outcome = self.gate(&cells);
        let tables = cells.iter().flat_map(|cell| {
            let mut table = verdict::table(&cell.verdicts);
            table.columns[0] = cell.title();
            table.note = String::new();
            [Some(table), cell.ensemble_table()].into_iter().flatten()
        });
        Ok(Findings {
            tables: tables.collect(),
            report: self.page(&cells, run.scale, outcome),
            rows: cells.into_iter().flat_map(|cell| cell.rows).collect(),
            outcome,
        })
    }
}

impl Generation {
    fn cell(&self, run: &Run, data: &str, kind: &str) -> Result<Cell> {
        let session = run.session;
        let zoo = self.zoos(*run).get(data, kind)?;
        let first = self.chosen(kind).next().context("no method")?;
        let split = self.config(first, kind, 0)?.split.of(&zoo)?;
        let (mut fresh, mut probes) = (Vec::new(), Vec::new());
        for method in self.chosen(kind) {
            for fit in 0..self.fits {
                let dir = model_dir(run, &folder(data, kind), &method.name, fit);
                let model = made::fitted(run, &zoo, &self.config(method, kind, fit)?, &dir)?;
                let request =
                    SampleRequest { steps: method.steps, ..SampleRequest::new(self.samples, self.seed + fit) };
                let made = |name: String, samples: Samples| Made { name, samples, fit_seconds: model.record.seconds };
                fresh.push(made(method.name.clone(), model.sample(&request)?));
                // Iterates of a tail have no starts to begin from.
                if method.probe && zoo.checkpoints() > 1 {
                    let from_training =
                        SampleRequest { source: Some(Source::recorded(&zoo, &split.train)?), ..request };
                    probes.push(made(format!("{}{PROBE}", method.name), model.sample(&from_training)?));
                }
            }
        }
        if self.control {
            let model = self.shuffled(run, &zoo, data, kind, first)?;
            let samples =
                model.sample(&SampleRequest { steps: first.steps, ..SampleRequest::new(self.samples, self.seed) })?;
            probes.push(Made { name: format!("{}{SHUFFLED}", first.name), samples, fit_seconds: model.record.seconds });
        }
        let study = Study::new(zoo, split, None, &session.progress)?;
        let named = |weight: Weight| move |m: &'_ Made| (weight, m.name.clone(), m.samples.theta.clone());
        let all: Vec<_> =
            fresh.iter().map(named(Weight::Strong)).chain(probes.iter().map(named(Weight::Faint))).collect();
        let samples: Vec<_> = all.iter().map(|(weight, name, theta)| (*weight, name.as_str(), &theta[..])).collect();
        let mut judged = judge_all(&study, &samples, true, self.seed, session)?;
        for ((verdict, _), made) in judged.iter_mut().zip(fresh.iter().chain(&probes)) {
            verdict.timed(made.fit_seconds, made.samples.seconds);
        }
        let (verdicts, accuracies) = verdict::by_method(judged);
        let ensembles = self.ensembles(&study, &fresh)?;
        let mut about = about(&study);
        about.insert("zoo_kind".into(), kind.into());
        let mut rows = verdicts.iter().map(|v| v.row(&about)).collect::<Result<Vec<_>>>()?;
        rows.extend(ensembles.iter().map(|e| e.row(&about)));
        Ok(Cell { data: data.into(), kind: kind.into(), verdicts, accuracies, ensembles, rows })
    }

    /// Ensembles of the methods' networks, of trained ones, and of a diagonal Gaussian's.
    fn ensembles(&self, study: &Study, fresh: &[Made]) -> Result<Vec<Ensembles>> {
        let sizes = &self.ensembles;
        if sizes.is_empty() {
            return Ok(vec![]);
        }
        let most = sizes.iter().copied().max().unwrap_or(1);
        let zoo = study.reference();
        let (layout, training) = (study.engine.layout(), zoo.training);
        let (start, courses) = (zoo.start, zoo.courses);
        let finals = Finals { layout, training, median: None, start, courses, probe: None, symmetry: None };
        let streams = Streams::new(self.seed).child("ensembles");
        let gaussian = Baseline::DiagonalGaussian.sample(&finals, most, &streams)?;
        let mut all = ensembles::of_fits(study, "trained runs", Weight::Faint, &[&study.runs.training], sizes)?;
        let mut names: Vec<&str> = fresh.iter().map(|m| m.name.as_str()).collect();
        names.dedup();
        for name in names {
            let fits: Vec<&[f32]> = fresh.iter().filter(|m| m.name == name).map(|m| &m.samples.theta[..]).collect();
            all.extend(ensembles::of_fits(study, name, Weight::Strong, &fits, sizes)?);
        }
        let label = verdict::label("diagonal-gaussian");
        all.extend(ensembles::of_fits(study, &label, Weight::Plain, &[&gaussian], sizes)?);
        Ok(all)
    }

    /// Fork zoos: the first method reaches the zoo's accuracy within .005 and more novel-and-performing networks than every baseline. Shared
    /// zoos of MNIST: the latent flow reaches the accuracy asked for, and more than a fresh start plus the mean move.
    fn gate(&self, cells: &[Cell]) -> Outcome {
        let fork = |cell: &Cell| {
            let (flow, zoo) = (cell.flow(), cell.zoo());
            let baselines = cell.verdicts.iter().filter(|v| v.weight == Weight::Plain);
            let best = baselines.map(|v| v.novel_and_performing().0).fold(0.0, f64::max);
            flow.accuracy().0 >= zoo.accuracy().0 - 0.005 && flow.novel_and_performing().0 > best
        };
        let shared = |cell: &Cell| {
            let accuracy = |method: &str| cell.named(method).map_or(f64::NAN, |v| v.accuracy().0);
            let flow = accuracy(&self.shared_gate);
            // A method that was left out has not failed.
            flow.is_nan() || (flow >= self.shared_accuracy && flow > accuracy("mean-move"))
        };
        let holds = |cell: &Cell| match cell.kind.as_str() {
            "fork" => fork(cell),
            "shared" if cell.data.starts_with("mnist") => shared(cell),
            _ => true,
        };
        if cells.iter().all(holds) { Outcome::Done } else { Outcome::Negative }
    }

    fn page(&self, cells: &[Cell], scale: Scale, outcome: Outcome) -> Report {
        let mut report = Report::new(
            "Generation of trained networks",
            format!(
                "{} methods on zoos of {} kinds, {} fits each, {} networks a fit from fresh starts, beside the zoo, held-out \
                 real runs, memorisation probes (samples from training initialisations) and every trivial baseline. Scale: {}.",
                self.methods.len(),
                self.kinds.len(),
                self.fits,
                self.samples,
                scale
            ),
        );
        let judged: usize = cells.iter().flat_map(|c| &c.accuracies).map(Vec::len).sum();
        report.fact("networks judged", judged.to_string(), None);
        for cell in cells.iter().filter(|c| c.kind == "fork") {
            let ((accuracy, sem), zoo) = (cell.flow().accuracy(), cell.zoo().accuracy().0);
            let name = format!("{}, fork: flow (zoo: {zoo:.3})", cell.data);
            report.fact(&name, format!("{accuracy:.3}"), sem.is_finite().then(|| format!("± {sem:.3}")));
        }
        report.paragraph(match (scale.caveat(), outcome) {
            (Some(caveat), _) => caveat,
            (_, Outcome::Done) => "On fork zoos the flow keeps its promise: as accurate as the zoo, as far from the training runs as new runs are, and ahead of every trivial baseline in both at once. On shared zoos of MNIST the latent flow beats a fresh start plus the mean move.",
            (_, Outcome::Negative | Outcome::Open) => "Negative finding: on a fork zoo the flow is below the zoo's accuracy by more than .005, or a trivial baseline has as large a share of novel and performing networks; or on a shared zoo of MNIST the latent flow does not reach what was asked, or not more than a fresh start plus the mean move.",
        });
        for cell in cells {
            report.heading(cell.title()).paragraph(explained(&cell.kind));
            let mut table = verdict::table(&cell.verdicts);
            if !std::ptr::eq(cell, &cells[0]) {
                table.note = String::new();
            }
            report.table(&table);
            report.figure(
                &picture::figure(&format!("Accuracy and novelty, {}", cell.title()), &cell.verdicts),
                "Mean test accuracy against how far answers are from those of the most similar training run (1 = as far as a new run's). Good \
                 generators stand at the upper rule; copies stand on the left.",
            );
            report.paragraph(picture::words(&cell.verdicts));
            let groups = cell.verdicts.iter().zip(&cell.accuracies);
            let groups: Vec<_> = groups.map(|(v, a)| (v.label.clone(), colour(&v.method), a.clone())).collect();
            report.figure(
                &figures::strips("Test accuracy by method", "test accuracy", &groups),
                "Test accuracy of every network, a dot each; the tick is the mean.",
            );
            if let Some(table) = cell.ensemble_table() {
                report.table(&table);
            }
        }
        report
    }
}

/// What one fit made.
struct Made {
    name: String,
    samples: Samples,
    fit_seconds: f64,
}

fn explained(kind: &str) -> &'static str {
    match kind {
        "independent" => {
            "Every run from its own random draw. Some hundred pairs do not determine the map from starts to ends over thousands of dimensions: no method here makes working networks that are not copies. The probe shows the memorisation: from training starts the flow returns the training networks."
        }
        ALIGNED => {
            "The independent zoo, every run permuted to lie close to its best run (weight matching). Distances are among aligned networks."
        }
        "shared" => "Every run from one draw plus a little noise, with its own order of the data.",
        "fork" => {
            "Every run from one network that was trained for a while, plus noise, with its own order of the data."
        }
        _ => {
            "Iterates of one single run. The mean of the iterates is better than every iterate, so reaching the zoo's mean proves nothing here; and as iterates are close to each other, everything else counts as novel (d is in units of their distance)."
        }
    }
}
