//! Whether independent runs can be generated is a question of their linear connectivity: the loss barrier between runs by width and weight decay,
//! before and after alignment (to one run, and jointly to the common mean), beside what flows and trivial generators reach on the same zoo.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::flows::Named;
use super::made::{self, folder};
use super::methods::Methods;
use super::picture;
use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::row;
use crate::settings;
use crate::table::{Cell, Table, Weight};
use crate::verdict::{self, Verdict};
use crate::work::new_runs::{self, NewRuns};
use crate::work::outlook::Between;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use thalweg::space::align::Target;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::ZooStore;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Connectivity {
    seed: u64,
    data: Vec<String>,
    /// Hidden units of the perceptrons, one layer.
    widths: Vec<usize>,
    /// Weight decays.
    decays: Vec<f64>,
    fits: u64,
    samples: usize,
    /// Whether the first method is also fitted to weights shuffled within tensors, as a control.
    control: bool,
    /// New runs whose course says what training comes to in a method's seconds; none where 0.
    new_runs: usize,
    /// Only these of the methods; all where empty.
    only: Vec<String>,
    /// What all zoos share; width, decay and data are filled in.
    zoo: toml::Table,
    /// What all fits share.
    fit: toml::Table,
    methods: Vec<Named>,
}

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
    fn methods(&self) -> Methods<'_> {
        let methods = self.methods.iter().filter(|m| self.only.is_empty() || self.only.contains(&m.name)).collect();
        let Self { seed, fits, samples, control, ref fit, .. } = *self;
        Methods { seed, fits, samples, control, fit, methods }
    }

    fn place(&self, run: &Run, data: &str, width: usize, decay: f64) -> Result<Place> {
        let (session, name) = (run.session, folder(data, &format!("{width}-{decay}")));
        let zoos = run.out.join("zoos");
        let zoo = self.trained(run, data, width, decay, &zoos.join(&name))?;
        let one = made::aligned_to(&zoo, Target::Run, &zoos.join(format!("{name}-aligned")), session)?;
        let joint = made::aligned_to(&zoo, Target::Mean, &zoos.join(format!("{name}-joint")), session)?;
        let between = [Between::of(&zoo)?, Between::of(&one)?, Between::of(&joint)?];
        let barrier = |b: &Option<Between>| b.as_ref().map_or(f64::NAN, |b| b.barrier.mean);
        // The better one by validation rows, as everything that is chosen.
        let best = if barrier(&between[2]) <= barrier(&between[1]) { joint } else { one };
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

    fn trained(&self, run: &Run, data: &str, width: usize, decay: f64, dir: &Path) -> Result<ZooStore> {
        let mut own = toml::Table::from_iter([("architecture".to_owned(), "mlp".into())]);
        own.insert("data".into(), data.into());
        own.insert("widths".into(), vec![i64::try_from(width)?].into());
        own.insert("recipe".into(), toml::Table::from_iter([("weight-decay".to_owned(), decay.into())]).into());
        let tables = BTreeMap::from([("all".to_owned(), self.zoo.clone()), ("own".to_owned(), own)]);
        made::zoo(run, settings::merged(&tables, &["all", "own"]), self.seed, dir)
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
    const TOML: &'static str = include_str!("../../../../experiments/connectivity.toml");

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
        let runs = self.zoo.get("runs").and_then(toml::Value::as_integer).unwrap_or(0);
        self.methods().check(usize::try_from(runs)?)
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
