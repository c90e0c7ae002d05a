//! Accuracy against novelty in what networks answer: one picture a kind of zoo, with every method and every trivial rival in it, and a verdict in words.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::flows::Named;
use super::made::{self, folder, zoo_dir};
use super::methods::Methods;
use super::picture::{figure, goals, unbeaten, words};
use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::row;
use crate::settings;
use crate::table::Weight;
use crate::verdict::{self, Verdict};
use crate::work::new_runs::{self, NewRuns};
use crate::work::outlook::Between;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use thalweg::space::align::Target;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::ZooStore;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Frontier {
    seed: u64,
    data: Vec<String>,
    fits: u64,
    samples: usize,
    /// Whether the first method is also fitted to weights shuffled within tensors, as a control.
    control: bool,
    /// New runs whose course says what training comes to in a method's seconds; none where 0.
    new_runs: usize,
    /// Only zoos and methods of these names; all where empty.
    only: Vec<String>,
    /// What all zoos share; their data are filled in.
    zoo: toml::Table,
    zoos: Vec<Kind>,
    /// What all fits share.
    fit: toml::Table,
    methods: Vec<Named>,
}

/// A kind of zoo.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Kind {
    name: String,
    /// What its runs are aligned to.
    align: Align,
    /// What it changes of the common zoo.
    zoo: toml::Table,
}

/// What runs are aligned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Align {
    /// Nothing: they stay as they are.
    None,
    /// The best of them.
    One,
    /// Their common mean.
    Joint,
}

/// What was found on one zoo.
struct Place {
    title: String,
    verdicts: Vec<Verdict>,
    words: Vec<String>,
    rows: Vec<Row>,
}

impl Frontier {
    fn wanted(&self, name: &str, among: &mut dyn Iterator<Item = &String>) -> bool {
        let named: Vec<&String> = among.filter(|name| self.only.contains(name)).collect();
        named.is_empty() || named.iter().any(|n| *n == name)
    }

    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.zoos.iter().filter(|kind| self.wanted(&kind.name, &mut self.zoos.iter().map(|k| &k.name)))
    }

    fn methods(&self) -> Methods<'_> {
        let names = || self.methods.iter().map(|m| &m.name);
        let methods = self.methods.iter().filter(|m| self.wanted(&m.name, &mut names())).collect();
        let Self { seed, fits, samples, control, ref fit, .. } = *self;
        Methods { seed, fits, samples, control, fit, methods }
    }

    fn table(&self, kind: &Kind) -> toml::Table {
        settings::over(&self.zoo, &kind.zoo)
    }

    fn zoo(&self, run: &Run, data: &str, kind: &Kind) -> Result<ZooStore> {
        let name = folder(data, &kind.name);
        let mut table = self.table(kind);
        table.insert("data".into(), data.into());
        let zoo = made::zoo(run, table, self.seed, &zoo_dir(run, &name, ""))?;
        match kind.align {
            Align::None => Ok(zoo),
            Align::One => made::aligned_to(run, &zoo, Target::Run, &zoo_dir(run, &name, "-aligned")),
            Align::Joint => made::aligned_to(run, &zoo, Target::Mean, &zoo_dir(run, &name, "-joint")),
        }
    }

    fn place(&self, run: &Run, data: &str, kind: &Kind) -> Result<Place> {
        let zoo = self.zoo(run, data, kind)?;
        let between = Between::of(&zoo)?;
        let new = match self.new_runs {
            0 => None,
            runs => Some(NewRuns::train(&zoo, runs, run.session)?),
        };
        let (verdicts, judged) = self.methods().judged(run, zoo, &folder(data, &kind.name), new.as_ref())?;
        let left = unbeaten(&verdicts);
        let rows = verdicts.iter().map(|verdict| {
            let mut about = judged.clone();
            about.extend(row! { "zoo" => kind.name, "unbeaten" => left.iter().any(|v| v.method == verdict.method) });
            if let Some(between) = &between {
                about.extend(between.row());
            }
            verdict.row(&about)
        });
        let rows = rows.collect::<Result<_>>()?;
        let names: Vec<&str> = left.iter().map(|v| v.label.as_str()).collect();
        let line = format!(
            "On the frontier, where nothing as new (counted up to d_f 1) is more accurate by two standard errors: {}.",
            names.join("; ")
        );
        let mut said = vec![words(&verdicts), goals(&verdicts), line];
        if let Some(new) = &new {
            let methods: Vec<&Verdict> = verdicts.iter().filter(|v| v.weight == Weight::Strong).collect();
            said.push(new_runs::words(&methods, &verdicts, new.seconds));
        }
        said.retain(|words| !words.is_empty());
        Ok(Place { title: format!("{data}, {}", kind.name), verdicts, words: said, rows })
    }

    fn page(&self, places: &[Place], scale: Scale) -> Report {
        let lede = format!(
            "Mean test accuracy against novelty in what networks answer (d_f), for every method and every trivial rival. Scale: {scale}."
        );
        let mut report = Report::new("Accuracy and novelty", lede);
        if let Some(caveat) = scale.caveat() {
            report.paragraph(caveat);
        }
        for place in places {
            report.heading(&place.title).figure(
                &figure(&place.title, &place.verdicts),
                "Mean test accuracy against how far answers are from those of the most similar training run; the line joins what nothing beats in both.",
            );
            place.words.iter().for_each(|words| {
                report.paragraph(words.as_str());
            });
            report.table(&verdict::table(&place.verdicts));
        }
        report
    }
}

/// An experiment that is a [`Frontier`] with values of its own.
pub trait Recipe: 'static {
    /// [`Experiment::NAME`].
    const NAME: &'static str;
    /// [`Experiment::TOML`].
    const TOML: &'static str;
}

/// The frontier of a recipe.
#[derive(Deserialize, Serialize)]
#[serde(transparent, bound = "")]
pub struct Of<R: Recipe> {
    frontier: Frontier,
    #[serde(skip)]
    recipe: PhantomData<R>,
}

impl<R: Recipe> Experiment for Of<R> {
    const NAME: &'static str = R::NAME;
    const TOML: &'static str = R::TOML;

    fn seed(&self) -> u64 {
        self.frontier.seed()
    }

    fn set_seed(&mut self, seed: u64) {
        self.frontier.set_seed(seed);
    }

    fn check(&self, scale: Scale) -> Result<()> {
        self.frontier.check(scale)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        self.frontier.run(run)
    }
}

impl Experiment for Frontier {
    const NAME: &'static str = "frontier";
    const TOML: &'static str = include_str!("../../../../experiments/frontier.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        if self.data.is_empty() || self.zoos.is_empty() {
            bail!("expected some data and zoos");
        }
        let known = |name: &String| {
            self.zoos.iter().map(|k| &k.name).chain(self.methods.iter().map(|m| &m.name)).any(|n| n == name)
        };
        if let Some(name) = self.only.iter().find(|name| !known(name)) {
            bail!("only: expected names of zoos and methods, found {name}");
        }
        for name in &self.data {
            DataSpec::parse(name)?;
        }
        for kind in self.kinds() {
            made::check(&self.table(kind)).with_context(|| kind.name.clone())?;
            let runs = self.table(kind).get("runs").and_then(toml::Value::as_integer).unwrap_or(0);
            self.methods().check(usize::try_from(runs)?)?;
        }
        Ok(())
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let mut places = Vec::new();
        for data in &self.data {
            for kind in self.kinds() {
                run.session.say(&format!("{data}, {}", kind.name));
                places.push(self.place(run, data, kind)?);
            }
        }
        let tables = places.iter().map(|place| {
            let mut table = verdict::table(&place.verdicts);
            table.columns[0] = place.title.clone();
            table.note = place.words.join(" ");
            table
        });
        let (tables, report) = (tables.collect(), self.page(&places, run.scale));
        let rows = places.into_iter().flat_map(|place| place.rows).collect();
        Ok(Findings { rows, tables, report, outcome: Outcome::Done })
    }
}
