//! Generation of trained networks: NM-CFM on every kind of zoo, from fresh initialisations, judged by accuracy and novelty
//! beside the zoo, held-out runs, the memorisation probe and every trivial baseline.
use super::made::{self, folder};
use super::{Experiment, Findings, Prepared};
use crate::commands::eval::{about, judge_all};
use crate::common::Outcome;
use crate::report::{Look, Mark, Plot, Report, figures};
use crate::results::{Row, object};
use crate::session::Session;
use crate::settings;
use crate::study::Study;
use crate::table::Weight;
use crate::verdict::{self, PROBE, Verdict, colour};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::fit::FitConfig;
use thalweg::method::MethodConfig;
use thalweg::sample::{SampleRequest, Samples};
use thalweg::source::Source;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::ZooKind;
use toml::{Table, Value};

const TOML: &str = include_str!("../../../../experiments/generation.toml");
const ORIGIN: &str = "experiments/generation.toml";

/// Its entry in the registry.
pub const EXPERIMENT: Experiment = Experiment { name: "generation", prepare };

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    seed: u64,
    data: Vec<String>,
    kinds: Vec<String>,
    methods: Vec<String>,
    fits: u64,
    samples: usize,
    zoo: BTreeMap<String, Table>,
    fit: BTreeMap<String, Table>,
}

struct Generation {
    scale: String,
    settings: Settings,
}

fn prepare(scale: &str, session: &Session) -> Result<Box<dyn Prepared>> {
    let mut settings: Settings = settings::read_at_scale(ORIGIN, TOML, scale, &session.common.set)?;
    settings.seed = session.seed_or(settings.seed);
    let tables = settings
        .zoo
        .keys()
        .chain(settings.fit.keys())
        .filter(|t| *t != "all" && !MethodConfig::NAMES.contains(&t.as_str()));
    for kind in settings.kinds.iter().chain(tables) {
        if !ZooKind::NAMES.contains(&kind.as_str()) {
            bail!("{ORIGIN}: expected kinds among {}, found {kind}", ZooKind::NAMES.join(", "));
        }
    }
    let empty = [settings.data.is_empty(), settings.kinds.is_empty(), settings.methods.is_empty()];
    if settings.fits == 0 || settings.samples == 0 || empty.contains(&true) {
        bail!("{ORIGIN}: fits and samples must be at least 1; data, kinds and methods must name some");
    }
    for name in &settings.data {
        DataSpec::parse(name)?;
    }
    for kind in &settings.kinds {
        for method in methods_for(&settings, kind) {
            fit_config(&settings, method, kind, 0)?;
        }
    }
    Ok(Box::new(Generation { scale: scale.to_owned(), settings }))
}

fn fit_config(settings: &Settings, method: &str, kind: &str, fit: u64) -> Result<FitConfig> {
    let table = settings::merged(&settings.fit, &["all", method, kind]);
    let mut config = FitConfig::from_toml_str(Path::new(ORIGIN), &toml::to_string(&table)?)?;
    if config.method.name() != method {
        bail!("{ORIGIN}: [fit.{method}] asks for method {}", config.method.name());
    }
    config.seed = settings.seed + fit;
    Ok(config)
}

/// Iterates of a tail have one checkpoint each, no marginals between ends: only methods of two marginals can be fitted.
fn methods_for<'a>(settings: &'a Settings, kind: &str) -> Vec<&'a str> {
    let two = |method: &&str| kind != "tail" || *method == "cfm";
    settings.methods.iter().map(String::as_str).filter(two).collect()
}

/// One zoo with its verdicts and the accuracies behind them.
struct Cell {
    data: String,
    kind: String,
    verdicts: Vec<Verdict>,
    accuracies: Vec<Vec<f64>>,
    rows: Vec<Row>,
}

impl Cell {
    /// The first method's verdict.
    fn flow(&self) -> &Verdict {
        &self.verdicts[0]
    }

    /// The zoo's own.
    fn zoo(&self) -> &Verdict {
        self.verdicts.iter().find(|v| v.method == "zoo").unwrap_or(&self.verdicts[0])
    }
}

impl Prepared for Generation {
    fn seed(&self) -> u64 {
        self.settings.seed
    }

    fn run(&self, out: &Path, session: &Session) -> Result<Findings> {
        let mut cells = Vec::new();
        for data in &self.settings.data {
            for kind in &self.settings.kinds {
                session.say(&format!("{data}, {kind} zoo"));
                cells.push(self.cell(data, kind, out, session)?);
            }
        }
        let outcome = if self.scale == "smoke" { Outcome::Done } else { gate(&cells) };
        let tables = cells.iter().map(|cell| {
            let mut table = verdict::table(&cell.verdicts);
            table.columns[0] = format!("{}, {} zoo", cell.data, cell.kind);
            table.note = String::new();
            table
        });
        Ok(Findings {
            tables: tables.collect(),
            report: self.page(&cells, outcome),
            rows: cells.into_iter().flat_map(|cell| cell.rows).collect(),
            settings: object(&self.settings)?,
            outcome,
        })
    }
}

impl Generation {
    fn cell(&self, data: &str, kind: &str, out: &Path, session: &Session) -> Result<Cell> {
        let set = &self.settings;
        let mut table = settings::merged(&set.zoo, &["all", kind]);
        table.insert("data".into(), Value::String(data.into()));
        let folder = folder(data, kind);
        let zoo = made::zoo(ORIGIN, table, set.seed, &out.join("zoos").join(&folder), session)?;
        let methods = methods_for(set, kind);
        let split = fit_config(set, methods[0], kind, 0)?.split.of(&zoo)?;
        let (mut fresh, mut probes) = (Vec::new(), Vec::new());
        for method in &methods {
            for fit in 0..set.fits {
                let dir = out.join("models").join(format!("{folder}-{method}-{fit}"));
                let model = made::fitted(&zoo, &fit_config(set, method, kind, fit)?, &dir, session)?;
                let request = SampleRequest::new(set.samples, set.seed + fit);
                let made = |name: String, samples: Samples| Made { name, samples, fit_seconds: model.record.seconds };
                fresh.push(made((*method).to_owned(), model.sample(&request)?));
                // Iterates of a tail have no starts to begin from.
                if zoo.checkpoints() > 1 {
                    let from_training =
                        SampleRequest { source: Some(Source::recorded(&zoo, &split.train)?), ..request };
                    probes.push(made(format!("{method}{PROBE}"), model.sample(&from_training)?));
                }
            }
        }
        let study = Study::new(zoo, split, None)?;
        let named = |weight: Weight| move |m: &'_ Made| (weight, m.name.clone(), m.samples.theta.clone());
        let all: Vec<_> =
            fresh.iter().map(named(Weight::Strong)).chain(probes.iter().map(named(Weight::Faint))).collect();
        let samples: Vec<_> = all.iter().map(|(weight, name, theta)| (*weight, name.as_str(), &theta[..])).collect();
        let mut judged = judge_all(&study, &samples, true, set.seed, session)?;
        for ((verdict, _), made) in judged.iter_mut().zip(fresh.iter().chain(&probes)) {
            verdict.fit_seconds = vec![made.fit_seconds];
            verdict.rows[0].seconds = made.samples.seconds;
        }
        // Fits of one method become one verdict.
        let (mut verdicts, mut accuracies): (Vec<Verdict>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
        for (verdict, accuracy) in judged {
            match verdicts.iter().position(|v| v.method == verdict.method) {
                Some(at) => {
                    verdicts[at].rows.extend(verdict.rows);
                    verdicts[at].fit_seconds.extend(verdict.fit_seconds);
                    accuracies[at].extend(accuracy);
                }
                None => {
                    verdicts.push(verdict);
                    accuracies.push(accuracy);
                }
            }
        }
        let about = about(&study);
        let rows = verdicts.iter().map(|v| v.row(&about)).collect::<Result<_>>()?;
        Ok(Cell { data: data.into(), kind: kind.into(), verdicts, accuracies, rows })
    }

    fn page(&self, cells: &[Cell], outcome: Outcome) -> Report {
        let set = &self.settings;
        let mut report = Report::new(
            "Generation of trained networks",
            format!(
                "{} on zoos of {} kinds, {} fits each, {} networks a fit from fresh initialisations, beside the zoo, held-out \
                 real runs, a memorisation probe (samples from training initialisations) and every trivial baseline. Scale: {}.",
                set.methods.iter().map(|m| verdict::label(m)).collect::<Vec<_>>().join(" and "),
                set.kinds.len(),
                set.fits,
                set.samples,
                self.scale
            ),
        );
        let judged: usize = cells.iter().flat_map(|c| &c.accuracies).map(Vec::len).sum();
        report.fact("networks judged", judged.to_string(), None);
        for cell in cells.iter().filter(|c| c.kind == "fork") {
            let ((accuracy, sem), zoo) = (cell.flow().accuracy(), cell.zoo().accuracy().0);
            let name = format!("{}, fork: flow (zoo: {zoo:.3})", cell.data);
            report.fact(&name, format!("{accuracy:.3}"), sem.is_finite().then(|| format!("± {sem:.3}")));
        }
        report.paragraph(match (self.scale.as_str(), outcome) {
            ("smoke", _) => "At this scale the numbers mean nothing; it shows that everything runs.",
            (_, Outcome::Done) => "On the fork zoos the flow keeps its promise: as accurate as the zoo, as far from the training runs as new runs are, and ahead of every trivial baseline in both at once.",
            (_, Outcome::Negative) => "Negative finding: on a fork zoo the flow is below the zoo's accuracy by more than .005, or a trivial baseline has as large a share of novel and performing networks.",
        });
        for cell in cells {
            report.heading(format!("{}, {} zoo", cell.data, cell.kind)).paragraph(explained(&cell.kind));
            let mut table = verdict::table(&cell.verdicts);
            if !std::ptr::eq(cell, &cells[0]) {
                table.note = String::new();
            }
            report.table(&table);
            report.figure(
                &accuracy_and_novelty(cell),
                "Mean test accuracy against distance to the nearest training run (1 = as far as a new run is). Good generators stand \
                 in the upper right; copies stand on the left.",
            );
            let groups = cell.verdicts.iter().zip(&cell.accuracies);
            let groups: Vec<_> = groups.map(|(v, a)| (v.label.clone(), colour(&v.method), a.clone())).collect();
            report.figure(
                &figures::strips("Test accuracy by method", "test accuracy", &groups),
                "Test accuracy of every network, a dot each; the tick is the mean.",
            );
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

/// Fork zoos: the flow reaches the zoo's accuracy within .005 and more novel-and-performing networks than every baseline.
fn gate(cells: &[Cell]) -> Outcome {
    let holds = |cell: &Cell| {
        let (flow, zoo) = (cell.flow(), cell.zoo());
        let baselines = cell.verdicts.iter().filter(|v| v.weight == Weight::Plain);
        let best = baselines.map(|v| v.novel_and_performing().0).fold(0.0, f64::max);
        flow.accuracy().0 >= zoo.accuracy().0 - 0.005 && flow.novel_and_performing().0 > best
    };
    match cells.iter().filter(|c| c.kind == "fork").all(holds) {
        true => Outcome::Done,
        false => Outcome::Negative,
    }
}

fn accuracy_and_novelty(cell: &Cell) -> Plot {
    let title = format!("Accuracy and novelty, {}, {} zoo", cell.data, cell.kind);
    let mut plot = Plot { title, size: (820.0, 400.0), ..Plot::default() };
    plot.x.label = "distance to the nearest training run, d".into();
    plot.y.label = "mean test accuracy".into();
    plot.marks.push(Mark::Rule { at: 1.0, upright: true, look: Look::new(0, "").dashed() });
    for v in &cell.verdicts {
        let at = (v.novelty().0, v.accuracy().0);
        let (colour, size) = (colour(&v.method), if v.weight == Weight::Strong { 6.5 } else { 4.5 });
        plot.marks.push(Mark::Dots { points: vec![at], look: Look::new(colour, "").size(size).opacity(0.95) });
        plot.marks.push(Mark::Label { at, text: v.label.clone(), look: Look::new(colour, "") });
    }
    plot
}

fn explained(kind: &str) -> &'static str {
    match kind {
        "independent" => {
            "Every run from its own random draw. Some hundred pairs do not determine the map from starts to ends over thousands of dimensions: no method here makes working networks that are not copies. The probe shows the memorisation: from training starts the flow returns the training networks."
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
