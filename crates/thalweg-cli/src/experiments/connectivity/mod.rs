//! Whether independent runs can be generated is a question of their linear connectivity: the loss barrier between runs by width and weight decay,
//! before and after alignment (to one run, and jointly to the common mean), beside what flows and trivial generators reach on the same zoo.
mod parameters;
mod parts;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::flows::Named;
use super::frontier;
use super::made;
use super::new_runs::{self, NewRuns};
use super::parts::{Part, Stage};
use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::row;
use crate::study::Study;
use crate::table::{Cell, Table, Weight};
use crate::verdict::{self, SHUFFLED, Verdict};
use crate::work::judge::{about, judge_all};
use crate::work::outlook::Between;
use anyhow::{Context, Result, bail};
pub use parameters::Connectivity;
use parts::{ALIGNED, better, model_dir, name, zoo_dir};
use thalweg::model::sample::SampleRequest;
use thalweg::space::latent::LatentConfig;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::{RunSplit, Shares, ZooStore};

/// One zoo: what lies between its runs as they are, aligned to one, and aligned jointly, and what was made from the better of the two.
struct Place {
    data: String,
    width: usize,
    decay: f64,
    between: [Option<Between>; 3],
    verdicts: Vec<Verdict>,
    /// What training comes to in the methods' seconds, in words.
    price: String,
    rows: Vec<Row>,
}

const AS: [&str; 3] = ["as they are", "aligned to one run", "aligned jointly"];

impl Connectivity {
    /// Checks before anything is trained that a method's principal components are fewer than the runs that it learns from.
    fn components_are_spanned(&self, method: &Named) -> Result<()> {
        let config = self.config(method, 0)?;
        let Some(LatentConfig::Pca(pca)) = &config.latent else { return Ok(()) };
        let runs = self.zoo.get("runs").and_then(toml::Value::as_integer).unwrap_or(0);
        let shares = Shares { validation: config.split.validation, test: config.split.test };
        let training = RunSplit::new((0..usize::try_from(runs)?).collect(), shares, config.split.seed)?.train.len();
        if pca.dimension >= training {
            bail!(
                "{}: expected fewer principal components than runs to learn from, found {} components and {training} of zoo.runs = {runs}",
                method.name,
                pca.dimension
            );
        }
        Ok(())
    }

    fn place(&self, run: &Run, data: &str, width: usize, decay: f64) -> Result<Place> {
        let (session, name) = (run.session, name(data, width, decay));
        let zoo = made::zoo(run, self.table(data, width, decay)?, self.seed, &zoo_dir(run, &name, ""))?;
        let aligned =
            ALIGNED.iter().map(|(how, target)| made::aligned_to(run, &zoo, *target, &zoo_dir(run, &name, how)));
        let (best, [one, joint]) = better(aligned.collect::<Result<_>>()?)?;
        let between = [Between::of(&zoo)?, one, joint];
        let mut rows: Vec<Row> = AS.iter().zip(&between).map(|(how, b)| told(data, width, decay, how, b)).collect();
        let new = match self.new_runs {
            0 => None,
            runs => Some(NewRuns::train(&zoo, runs, session)?),
        };
        let (verdicts, judged) = self.judged(run, best, &name, new.as_ref())?;
        for verdict in &verdicts {
            let mut about = judged.clone();
            about.extend(row! { "width" => width, "decay" => decay });
            if let (Some(new), Some(price)) = (&new, verdict.seconds_a_network()) {
                about.extend(row! { "seconds_a_network" => price, "seconds_a_run" => new.seconds });
            }
            rows.push(verdict.row(&about)?);
        }
        let methods: Vec<&Verdict> = verdicts.iter().filter(|v| v.weight == Weight::Strong).collect();
        let price = new.map_or(String::new(), |new| new_runs::words(&methods, &verdicts, new.seconds));
        Ok(Place { data: data.into(), width, decay, between, verdicts, price, rows })
    }

    /// Every method on `zoo`, judged beside the control, `new` runs on their way and the trivial generators; and what the rows are about.
    fn judged(&self, run: &Run, zoo: ZooStore, name: &str, new: Option<&NewRuns>) -> Result<(Vec<Verdict>, Row)> {
        let session = run.session;
        let first = self.chosen().next().context("no method")?;
        let split = self.config(first, 0)?.split.of(&zoo)?;
        let mut made = Vec::new();
        let mut fit = |weight, zoo: &ZooStore, named: String, method: &Named, fit: u64| -> Result<()> {
            let model = made::fitted(run, zoo, &self.config(method, fit)?, &model_dir(run, name, &named, fit))?;
            let samples = model.sample(&SampleRequest::new(self.samples, self.seed + fit))?;
            made.push((weight, named, samples, model.record.seconds));
            Ok(())
        };
        for method in self.chosen() {
            (0..self.fits).try_for_each(|k| fit(Weight::Strong, &zoo, method.name.clone(), method, k))?;
        }
        if self.control {
            let shuffled = made::shuffled(run, &zoo, &zoo_dir(run, name, "-shuffled"))?;
            fit(Weight::Faint, &shuffled, format!("{}{SHUFFLED}", first.name), first, 0)?;
        }
        let study = Study::new(zoo, split, None, &session.progress)?;
        let fitted = made.iter().map(|(weight, name, samples, _)| (*weight, name.as_str(), &samples.theta[..]));
        let stops = new.iter().flat_map(|new| &new.stops);
        let samples: Vec<_> =
            fitted.chain(stops.map(|(name, theta)| (Weight::Faint, name.as_str(), &theta[..]))).collect();
        let mut judged = judge_all(&study, &samples, true, self.seed, session)?;
        for ((verdict, _), (_, _, samples, seconds)) in judged.iter_mut().zip(&made) {
            verdict.timed(*seconds, samples.seconds);
        }
        Ok((verdict::by_method(judged).0, about(&study)))
    }

    fn page(&self, places: &[Place], scale: Scale) -> Report {
        let lede = format!(
            "Perceptrons of one hidden layer from independent starts, {:?} hidden units, weight decay {:?}: the loss barrier between runs on \
             validation rows, and what is generated from them. Scale: {scale}.",
            self.widths, self.decays
        );
        let mut report = Report::new("Connectivity and generation", lede);
        if let Some(caveat) = scale.caveat() {
            report.paragraph(caveat);
        }
        report.table(&barriers(places));
        for place in places {
            report.heading(place.title()).table(&verdict::table(&place.verdicts));
            report.figure(
                &frontier::figure(&format!("Accuracy and novelty, {}", place.title()), &place.verdicts),
                "Mean test accuracy against how far answers are from those of the most similar training run.",
            );
            report.paragraph(place.words());
        }
        report
    }
}

impl Place {
    fn words(&self) -> String {
        format!("{} {}", frontier::words(&self.verdicts), self.price).trim().to_owned()
    }

    fn title(&self) -> String {
        format!("{}, {} hidden units, decay {}", self.data, self.width, self.decay)
    }
}

/// The row of results.json of what lies between runs.
fn told(data: &str, width: usize, decay: f64, how: &str, between: &Option<Between>) -> Row {
    let mut row = row! { "method" => how, "data" => data, "width" => width, "decay" => decay };
    if let Some(between) = between {
        row.extend(row! { "accuracy_mean" => between.trained });
        row.extend(between.row());
    }
    row
}

/// Barriers of all zoos, with the verdict on what was generated.
fn barriers(places: &[Place]) -> Table {
    let mut table = Table::new(&["zoo", "runs are", "accuracy of runs", "halfway", "loss barrier"])
        .note("On validation rows, ± standard errors over pairs of runs.");
    for place in places {
        for (how, between) in AS.iter().zip(&place.between) {
            let Some(b) = between else { continue };
            table.push(
                Weight::Plain,
                vec![
                    place.title().into(),
                    (*how).into(),
                    Cell::Number(b.trained, 4),
                    Cell::Estimate(b.middle.mean, b.middle.sem, 4),
                    Cell::Estimate(b.barrier.mean, b.barrier.sem, 3),
                ],
            );
        }
    }
    table
}

impl Experiment for Connectivity {
    const NAME: &'static str = "connectivity";
    const TOML: &'static str = include_str!("../../../../../experiments/connectivity.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        if self.fits == 0 || self.samples < 2 || self.widths.contains(&0) {
            bail!("expected fits and widths of at least 1, samples of at least 2");
        }
        if self.data.is_empty() || self.widths.is_empty() || self.decays.is_empty() || self.chosen().next().is_none() {
            bail!("expected some data, widths, decays and methods");
        }
        for name in &self.data {
            DataSpec::parse(name)?;
        }
        self.chosen().try_for_each(|method| self.components_are_spanned(method))
    }

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        parts::of(self, run, stage)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let mut places = Vec::new();
        for data in &self.data {
            for &width in &self.widths {
                for &decay in &self.decays {
                    run.session.say(&format!("{data}, {width} hidden units, decay {decay}"));
                    places.push(self.place(run, data, width, decay)?);
                }
            }
        }
        let mut tables = vec![barriers(&places)];
        for place in &places {
            let mut table = verdict::table(&place.verdicts);
            table.columns[0] = place.title();
            table.note = place.words();
            tables.push(table);
        }
        let report = self.page(&places, run.scale);
        let rows = places.into_iter().flat_map(|place| place.rows).collect();
        Ok(Findings { rows, tables, report, outcome: Outcome::Done })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_runs_for_the_components_are_told_before_a_zoo_is_trained() {
        let mut table: toml::Table = toml::from_str(Connectivity::TOML).unwrap();
        table.remove("scales");
        let of = |runs: i64| {
            let mut table = table.clone();
            table["zoo"].as_table_mut().unwrap().insert("runs".into(), runs.into());
            table.try_into::<Connectivity>().unwrap().check(Scale::Laptop)
        };
        of(100).unwrap();
        let told = of(40).unwrap_err().to_string();
        assert!(
            told.contains("NM-CFM, PCA: expected fewer principal components than runs")
                && told.contains("zoo.runs = 40"),
            "{told}"
        );
    }
}
