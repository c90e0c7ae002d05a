//! Whether independent runs can be generated is a question of their linear connectivity: the loss barrier between runs by width and weight decay,
//! before and after alignment (to one run, and jointly to the common mean), beside what flows and trivial generators reach on the same zoo.
mod parameters;
mod parts;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::made::{self, zoo_dir};
use super::parts::{Part, Stage};
use super::picture;
use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::row;
use crate::table::{Cell, Table, Weight};
use crate::verdict::{self, Verdict};
use crate::work::new_runs::{self, NewRuns};
use crate::work::outlook::Between;
use anyhow::{Result, bail};
pub use parameters::Connectivity;
use parts::{ALIGNED, better, name};
use thalweg_nets::data::DataSpec;

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
        let (verdicts, judged) = self.methods().judged(run, best, &name, new.as_ref())?;
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
                &picture::figure(&format!("Accuracy and novelty, {}", place.title()), &place.verdicts),
                "Mean test accuracy against how far answers are from those of the most similar training run.",
            );
            report.paragraph(place.words());
        }
        report
    }
}

impl Place {
    fn words(&self) -> String {
        format!("{} {}", picture::words(&self.verdicts), self.price).trim().to_owned()
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
        if self.data.is_empty() || self.widths.is_empty() || self.decays.is_empty() || self.widths.contains(&0) {
            bail!("expected some data, widths of at least 1 and decays");
        }
        for name in &self.data {
            DataSpec::parse(name)?;
        }
        made::check(&self.zoo)?;
        let runs = self.zoo.get("runs").and_then(toml::Value::as_integer).unwrap_or(0);
        self.methods().check(usize::try_from(runs)?)
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
