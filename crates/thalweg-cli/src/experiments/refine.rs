//! Few steps along gradients with trained coefficients (M24), on a task that they were not trained on, beside tuned optimisers at as many gradients: the price of a
//! network by each way, in gradients and in milliseconds, with how accurate and how novel it is.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::few_gradients::{Goal, Made, Optimiser, TRAINED, Training, Tuning};
use super::made::{self, zoo_dir};

use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::row;
use crate::study::Study;
use crate::table::{Cell, Table, Weight};
use crate::verdict::Verdict;
use crate::work::judge::judge_all;
use crate::{data, settings};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use thalweg::Streams;
use thalweg::reward::{OnData, Rows};
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{InitialLaw, Shares, ZooStore};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Refine {
    seed: u64,
    /// Where coefficients are trained.
    home: String,
    unseen: String,
    architecture: String,
    widths: Vec<usize>,
    /// Rows of a gradient.
    rows: usize,
    /// Gradients of a network.
    steps: Vec<usize>,
    networks: usize,
    tuning: Tuning,
    training: Training,
    /// Runs on the unseen task.
    zoo: toml::Table,
}

/// The rivals of trained steps.
const RIVALS: [Optimiser; 4] = [Optimiser::Adam, Optimiser::Muon, Optimiser::Soap, Optimiser::Foof];

/// What a row is called.
fn name(made: &Made) -> String {
    format!("{}, {} gradients", made.way, made.gradients)
}

/// The unseen task with what its networks start from.
struct Task<'a> {
    set: &'a Refine,
    study: Study,
    law: InitialLaw,
    /// On training rows, a batch at a time.
    reward: OnData,
    /// On all validation rows.
    chooses: OnData,
}

impl Refine {
    fn table(&self, data: &str) -> toml::Table {
        let mut own = toml::Table::from_iter([("architecture".to_owned(), self.architecture.clone().into())]);
        own.insert("data".into(), data.into());
        let widths = self.widths.iter().map(|&width| toml::Value::Integer(width as i64)).collect::<Vec<_>>();
        if !widths.is_empty() {
            own.insert("widths".into(), widths.into());
        }
        settings::over(&self.zoo, &own)
    }

    fn task(&self, run: &Run) -> Result<Task<'_>> {
        let zoo = made::zoo(run, self.table(&self.unseen), self.seed, &zoo_dir(run, "unseen", ""))?;
        let law = zoo.initial_law()?;
        let named = zoo.data().context("the zoo does not know its data")?;
        let splits = data::load(named, &run.session.progress)?;
        let study = study(zoo, run)?;
        let reward = loss_on(&self.unseen, &study.engine, &splits.train, Rows::Batch(self.rows))?;
        let chooses = loss_on(&self.unseen, &study.engine, &splits.validation, Rows::All)?;
        Ok(Task { set: self, study, law, reward, chooses })
    }

    /// Trained steps, and its rivals tuned on validation rows of the unseen task itself, which is in their favour.
    fn all(&self, run: &Run, task: &Task) -> Result<Vec<Made>> {
        let spec = DataSpec::parse(&self.home)?;
        let splits = data::load(&spec, &run.session.progress)?;
        let home = loss_on(&self.home, &task.study.engine, &splits.train, Rows::Batch(self.rows))?;
        let [training, tuning, fresh] = ["refine", "tuning", "fresh"].map(|name| Streams::new(self.seed).child(name));
        let (starts, steps) = (task.starts(self.networks, &fresh.child("starts"))?, fresh.child("steps"));
        let tune = task.starts(self.tuning.networks, &tuning.child("starts"))?;
        let goal = Goal { layout: task.study.engine.layout(), reward: &task.reward, chooses: &task.chooses };
        let draw = |streams: &Streams| task.starts(self.training.starts, streams);
        let mut all = Vec::new();
        let count = self.steps.len() * (1 + RIVALS.len());
        run.session.progress.begin("refining", count as u64);
        for &gradients in &self.steps {
            let trained = self.training.made(
                &goal,
                (&home, &draw),
                &starts,
                gradients,
                [&training.index(gradients as u64), &steps],
            )?;
            all.push(Made { chosen: format!("trained on {}", self.home), ..trained });
            run.session.progress.advance(1);
            for rival in RIVALS {
                all.push(self.tuning.made(rival, &goal, &tune, &starts, gradients, [&tuning, &steps])?);
                run.session.progress.advance(1);
            }
        }
        run.session.progress.end();
        Ok(all)
    }

    fn words(&self, made: &[Made], verdicts: &[Verdict]) -> String {
        let accuracy = |name: &str| verdicts.iter().find(|v| v.method == name).map(|v| v.accuracy().0);
        let of = |way: &str| -> Vec<(usize, f64)> {
            let own = made.iter().filter(|m| m.way == way);
            own.filter_map(|m| Some((m.gradients, accuracy(&name(m))?))).collect()
        };
        let adam = of(Optimiser::Adam.name());
        let sentence = |(gradients, ours): (usize, f64)| {
            let enough = adam.iter().find(|(_, theirs)| *theirs >= ours).map(|(n, _)| *n);
            let price = match enough {
                Some(n) => format!("tuned Adam reaches it with {n}"),
                None => "tuned Adam does not reach it with any of these".into(),
            };
            format!("{gradients} gradients: accuracy {ours:.4}; {price}.")
        };
        let each: Vec<String> = of(TRAINED).into_iter().map(sentence).collect();
        format!("Of trained steps: {}", each.join(" "))
    }
}

impl Task<'_> {
    /// Fresh starts `[n, P]`.
    fn starts(&self, n: usize, streams: &Streams) -> thalweg::Result<Vec<f32>> {
        let layout = self.study.engine.layout();
        let draw = |i: usize| self.law.draw(layout, &streams.index(i as u64));
        Ok((0..n).map(draw).collect::<thalweg::Result<Vec<_>>>()?.concat())
    }

    fn judged(&self, made: &[Made], run: &Run) -> Result<Vec<Verdict>> {
        let named: Vec<(Weight, String)> =
            made.iter().map(|m| (if m.way == TRAINED { Weight::Strong } else { Weight::Plain }, name(m))).collect();
        let samples: Vec<(Weight, &str, &[f32])> =
            named.iter().zip(made).map(|((weight, name), m)| (*weight, name.as_str(), &m.theta[..])).collect();
        let judged = judge_all(&self.study, &samples, true, self.set.seed, run.session)?;
        Ok(judged.into_iter().map(|(verdict, _)| verdict).collect())
    }
}

/// The reward of the least cross-entropy on `data`.
fn loss_on(name: &str, engine: &Engine, data: &Dataset, rows: Rows) -> Result<OnData> {
    Ok(OnData::loss(name, engine, data.inputs.clone(), data.labels.clone(), rows)?)
}

fn study(zoo: ZooStore, run: &Run) -> Result<Study> {
    let split = zoo.split(Shares { validation: 0.0, test: 0.25 }, 0)?;
    Study::new(zoo, split, None, &run.session.progress)
}

fn rows(made: &[Made], verdicts: &[Verdict], about: &Row) -> Result<Vec<Row>> {
    let of = |verdict: &Verdict| {
        let mut row = verdict.row(about)?;
        if let Some(m) = made.iter().find(|m| name(m) == verdict.method) {
            row.extend(row! {
                "way" => m.way, "gradients" => m.gradients, "milliseconds" => m.milliseconds, "chosen" => m.chosen,
                "seconds_to_choose" => m.seconds,
            });
        }
        Ok(row)
    };
    verdicts.iter().map(of).collect()
}

fn table(made: &[Made], verdicts: &[Verdict], words: &str) -> Table {
    let note = format!(
        "Milliseconds of one network, all of them made together on all threads. Rivals are tuned on validation rows of the unseen task itself. d_w, d_f: distance in \
         weights and in answers to the nearest run. ± is one standard error over networks. {words}"
    );
    let mut table = Table::new(&["way", "gradients", "ms", "accuracy", "d_w", "d_f", "N&P", "settings"]).note(note);
    for verdict in verdicts {
        let m = made.iter().find(|m| name(m) == verdict.method);
        if m.is_none() && !["zoo", "held-out"].contains(&verdict.method.as_str()) {
            continue;
        }
        let (accuracy, sem) = verdict.accuracy();
        let [(weights, _), (behaviour, _)] = verdict.novelty();
        let (novel, novel_sem) = verdict.novel_and_performing();
        let cells = vec![
            m.map_or(verdict.label.clone(), |m| m.way.into()).into(),
            m.map_or(Cell::from(""), |m| m.gradients.into()),
            m.map_or(Cell::from(""), |m| Cell::Number(m.milliseconds, 2)),
            Cell::Estimate(accuracy, sem, 4),
            Cell::Number(weights, 2),
            Cell::Number(behaviour, 2),
            Cell::Estimate(novel, novel_sem, 2),
            m.map_or(String::new(), |m| m.chosen.clone()).into(),
        ];
        table.push(verdict.weight, cells);
    }
    table
}

impl Experiment for Refine {
    const NAME: &'static str = "refine";
    const TOML: &'static str = include_str!("../../../../experiments/refine.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        if self.steps.is_empty() || self.steps.contains(&0) || self.networks < 2 {
            bail!("expected steps of at least 1 and networks of at least 2");
        }
        for name in [&self.home, &self.unseen] {
            DataSpec::parse(name)?;
        }
        self.tuning.check()?;
        self.training.check()?;
        made::check(&self.zoo)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let task = self.task(run)?;
        let made = self.all(run, &task)?;
        let verdicts = task.judged(&made, run)?;
        let words = self.words(&made, &verdicts);
        let about = row! { "data" => self.unseen, "home" => self.home };
        let table = table(&made, &verdicts, &words);
        let lede = format!(
            "Networks for {} from fresh starts by a few gradients: steps whose coefficients were trained on {}, beside optimisers tuned for {} itself. Scale: {}.",
            self.unseen, self.home, self.unseen, run.scale
        );
        let mut report = Report::new("Few steps along gradients", lede);
        if let Some(caveat) = run.scale.caveat() {
            report.paragraph(caveat);
        }
        report.table(&table).paragraph(&words);
        Ok(Findings { rows: rows(&made, &verdicts, &about)?, report, tables: vec![table], outcome: Outcome::Done })
    }
}
