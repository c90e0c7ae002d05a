//! Reward fine-tuning by adjoint matching (M12, M13): a flow over MNIST networks steered to other tasks, beside best of n, gradient
//! ascent on samples, and guidance; and from how many networks on it pays to tune the generator.
mod bench;
mod found;
mod page;
mod rivals;
mod task;
mod tuning;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::made;
use super::parts::{Part, Stage};
use crate::common::Outcome;
use crate::results::Row;
use crate::row;
use crate::study::Labelled;
use anyhow::{Context, Result, bail};
pub use bench::Rewards;
use bench::{Bench, Gate, Generator};
use found::{Cost, Found};
use rivals::{Ascent, Made};
use std::path::{Path, PathBuf};
use task::Task;
use thalweg::Streams;
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FitConfig, MetaModel};
use thalweg::tune::TuneConfig;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;
use tuning::{Tuning, prefix};

impl Experiment for Rewards {
    const NAME: &'static str = "reward";
    const TOML: &'static str = include_str!("../../../../../experiments/reward.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        (self.seed, self.fit.seed, self.tune.seed) = (seed, seed, seed);
        self.others.iter_mut().for_each(|other| other.fit.seed = seed);
    }

    fn check(&self, _: Scale) -> Result<()> {
        self.fit.check()?;
        for other in &self.others {
            other.fit.check()?;
            if other.strengths.is_empty() || other.name.is_empty() {
                bail!("others must have names and strengths");
            }
        }
        let sizes = [self.samples, self.rows, self.validation_rows, self.best_of, self.tunings as usize];
        let lists = [&self.strengths, &self.ascent_rates, &self.guidance];
        let empty = lists.iter().any(|list| list.is_empty()) || self.tasks.is_empty();
        if sizes.contains(&0) || empty || self.cost_at.contains(&0) {
            bail!("sizes must be at least 1; strengths, ascent-rates, guidance and tasks must name some");
        }
        for name in &self.tasks {
            let task = self.task.get(name).with_context(|| format!("task {name} has no table [task.{name}]"))?;
            DataSpec::parse(&task.data)?;
        }
        for &strength in self.strengths.iter().chain(self.others.iter().flat_map(|other| &other.strengths)) {
            TuneConfig { strength, ..self.tune.clone() }.check()?;
        }
        Ok(())
    }

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        let fits = [("", &self.fit)].into_iter().chain(self.others.iter().map(|other| (&*other.name, &other.fit)));
        let model = |(name, fit): (&'a str, &'a FitConfig)| {
            Part::model(model_dir(&run, name), move || self.generator(&run, &self.zoo(&run)?, name, fit).map(drop))
        };
        Ok(match stage {
            Stage::Zoos => made::recipe(&run, self.zoo.clone(), self.seed, &run.out.join("zoo"))?.parts(run),
            Stage::Fits => fits.map(model).collect(),
            Stage::Starts | Stage::Derived => Vec::new(),
        })
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let bench = self.bench(run)?;
        let mut found = Vec::new();
        for name in &self.tasks {
            run.session.say(name);
            found.push(bench.task(name, run.out)?);
        }
        let outcome = gate(&self.gate, &found);
        Ok(Findings {
            rows: found.iter().flat_map(rows).collect(),
            tables: found.iter().map(page::table).collect(),
            report: page::page(self, run.scale, &found, outcome),
            outcome,
        })
    }
}

impl Generator {
    /// As what a way made: what the generator makes untuned.
    fn made(&self) -> Made {
        let method = format!("{}base", prefix(&self.name));
        Made { method, setting: String::new(), theta: self.before.clone(), seconds: 0.0 }
    }
}

/// The folder of the generator called `name`.
fn model_dir(run: &Run, name: &str) -> PathBuf {
    run.out.join("models").join(format!("{}base", prefix(name)))
}

impl Rewards {
    fn zoo(&self, run: &Run) -> Result<ZooStore> {
        made::zoo(run, self.zoo.clone(), self.seed, &run.out.join("zoo"))
    }

    fn generator(&self, run: &Run, zoo: &ZooStore, name: &str, fit: &FitConfig) -> Result<MetaModel> {
        made::fitted(run, zoo, fit, &model_dir(run, name))
    }

    fn bench<'a>(&'a self, run: &Run<'a>) -> Result<Bench<'a>> {
        let (session, zoo) = (run.session, self.zoo(run)?);
        let generator = |name: &str, fit: &FitConfig| -> Result<Generator> {
            let model = self.generator(run, &zoo, name, fit)?;
            let before = model.sample(&SampleRequest::new(self.samples, self.seed))?.theta;
            Ok(Generator { name: name.into(), model, before })
        };
        let first = generator("", &self.fit)?;
        let others = self.others.iter().map(|other| Ok((generator(&other.name, &other.fit)?, &other.strengths[..])));
        let others = others.collect::<Result<_>>()?;
        let engine = Engine::new(zoo.architecture().context("the zoo was trained here")?)?;
        let home = zoo.data().context("the zoo was trained here")?.load()?.test;
        let home = Labelled::new(&engine, home)?;
        let streams = Streams::new(self.seed).child("reward");
        Ok(Bench { settings: self, session, generator: first, others, engine, streams, home })
    }
}

impl Bench<'_> {
    fn task(&self, name: &str, out: &Path) -> Result<Found> {
        let (set, progress) = (self.settings, &self.session.progress);
        let spec = &set.task[name];
        let task = Task::new(name, spec, &self.engine, set.rows, set.validation_rows, progress)?;
        let first = &self.generator;
        let (tunings, chosen) = self.tunings(first, &task, &set.strengths, out)?;
        let mut over_seeds = vec![mean_of(&task.test.accuracies(&self.engine, &tunings[chosen].theta)?)];
        for seed in 1..set.tunings {
            let again = self.tuning(first, &task, set.strengths[chosen], set.seed + seed, out)?;
            over_seeds.push(mean_of(&task.test.accuracies(&self.engine, &again.theta)?));
        }
        let budget = tunings[chosen].seconds;
        progress.begin("rivals", (1 + 2 * set.ascent_rates.len() + set.guidance.len()) as u64);
        let best = rivals::best_of(self, &task)?;
        progress.advance(1);
        let ascent = rivals::ascent(self, &task, "ascent", &first.before, budget)?;
        let fresh = self.fresh()?;
        let scratch = rivals::ascent(self, &task, "ascent-from-initialisations", &fresh, budget)?;
        let guided = rivals::guidance(self, &task)?;
        let mut judged = vec![self.judge(first, &task, &first.made(), f64::NAN)?];
        for tuning in &tunings {
            judged.push(self.judge(first, &task, &tuning.made(), tuning.distance)?);
        }
        for made in [&best, &ascent.made, &scratch.made, &guided] {
            judged.push(self.judge(first, &task, made, f64::NAN)?);
        }
        progress.end();
        for (other, strengths) in &self.others {
            let (tunings, chosen) = self.tunings(other, &task, strengths, out)?;
            let tuning = &tunings[chosen];
            judged.push(self.judge(other, &task, &other.made(), f64::NAN)?);
            judged.push(self.judge(other, &task, &tuning.made(), tuning.distance)?);
        }
        let costs = if set.tasks[0] == name { self.costs(&task, &tunings[chosen], &ascent)? } else { Vec::new() };
        Ok(Found { task: name.into(), judged, tunings, chosen, over_seeds, ascent, costs })
    }

    /// A tuning of `generator` to `task` at every strength, and which has the best validation accuracy.
    fn tunings(
        &self,
        generator: &Generator,
        task: &Task,
        strengths: &[f64],
        out: &Path,
    ) -> Result<(Vec<Tuning>, usize)> {
        let mut tunings = Vec::new();
        for &strength in strengths {
            tunings.push(self.tuning(generator, task, strength, self.settings.seed, out)?);
        }
        let best = (0..tunings.len()).max_by(|&a, &b| tunings[a].validation().total_cmp(&tunings[b].validation()));
        Ok((tunings, best.context("strengths are not empty")?))
    }

    /// Fresh initialisations `[n, P]`, Kaiming's.
    fn fresh(&self) -> Result<Vec<f32>> {
        let law = thalweg_nets::init::Initialisation::default();
        let streams = self.streams.child("fresh");
        Ok((0..self.settings.samples)
            .flat_map(|i| law.draw(&self.generator.model.layout, &streams.index(i as u64)))
            .collect())
    }

    /// What n networks as good as the tuned generator's cost each way.
    fn costs(&self, task: &Task, tuning: &Tuning, ascent: &Ascent) -> Result<Vec<Cost>> {
        let bar = tuning.validation();
        let enough = ascent.course.iter().find(|(_, _, accuracy)| *accuracy >= bar).map(|(steps, ..)| *steps as f64);
        let mut costs = Vec::new();
        for &n in &self.settings.cost_at {
            let request = SampleRequest::new(n, self.settings.seed);
            let sampled = tuning.model.sample(&request)?.seconds;
            let step = rivals::seconds_a_step(self, task, n, ascent.rate)?;
            let ascent = enough.map_or(f64::NAN, |steps| sampled + steps * step);
            costs.push(Cost { n, tuned: tuning.seconds + sampled, ascent });
        }
        Ok(costs)
    }
}

fn mean_of(values: &[f64]) -> f64 {
    rivals::mean(values)
}

/// The gate's task: accuracy on test data at the chosen strength, within so many iterations and seconds.
fn gate(gate: &Gate, found: &[Found]) -> Outcome {
    let holds = |found: &Found| {
        let tuning = &found.tunings[found.chosen];
        found.over_seeds[0] >= gate.accuracy && tuning.iterations <= gate.iterations && tuning.seconds <= gate.seconds
    };
    match found.iter().filter(|f| f.task == gate.task).all(holds) {
        true => Outcome::Done,
        false => Outcome::Negative,
    }
}

fn rows(found: &Found) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for j in &found.judged {
        rows.push(row! {
            "task" => found.task, "method" => j.method, "setting" => j.setting, "accuracy_mean" => j.accuracy.mean,
            "accuracy_sem" => j.accuracy.sem, "accuracy_best" => j.accuracy.best, "home_accuracy_mean" => j.home,
            "moved" => j.moved, "spread" => j.spread, "distance" => j.distance, "seconds" => j.seconds, "n" => j.accuracy.n,
        });
    }
    let (accuracy, sem) = crate::report::figures::mean_sem(&found.over_seeds);
    rows.push(row! {
        "task" => found.task, "method" => "tuned", "strength" => found.tunings[found.chosen].strength,
        "accuracy_mean_over_tunings" => accuracy, "accuracy_sem_over_tunings" => sem, "tunings" => found.over_seeds.len(),
    });
    for tuning in &found.tunings {
        for (look, accuracy) in tuning.looks.iter().zip(&tuning.accuracies) {
            rows.push(row! {
                "task" => found.task, "method" => "tuned", "strength" => tuning.strength, "iteration" => look.iteration,
                "reward_training" => look.training, "reward_validation" => look.held_out, "accuracy_validation" => accuracy,
                "distance" => look.distance, "seconds" => look.seconds,
            });
        }
    }
    for (steps, seconds, accuracy) in &found.ascent.course {
        rows.push(row! {
            "task" => found.task, "method" => "ascent", "step" => steps, "seconds" => seconds, "accuracy_validation" => accuracy,
        });
    }
    for cost in &found.costs {
        rows.push(row! {
            "task" => found.task, "networks" => cost.n, "seconds_tuned" => cost.tuned, "seconds_ascent" => cost.ascent,
        });
    }
    rows
}
