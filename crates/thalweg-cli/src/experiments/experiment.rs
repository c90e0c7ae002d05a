//! What an experiment is, how it is made ready, and what it comes to.
use super::parts::{Part, Stage};
use crate::common::Outcome;
use crate::report::Report;
use crate::results::{Row, object};
use crate::session::Session;
use crate::settings;
use crate::table::Table;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::Path;

/// Sizes of experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Within a minute: whether it runs, not what comes out
    Smoke,
    /// Minutes to an hour on two cores
    Laptop,
    /// The paper's own sizes
    Paper,
}

impl Scale {
    /// What a page has to say of its numbers at this scale.
    pub fn caveat(self) -> Option<&'static str> {
        let nothing = "At this scale the numbers mean nothing; it shows that everything runs.";
        (self == Scale::Smoke).then_some(nothing)
    }
}

impl fmt::Display for Scale {
    /// Its name in TOML files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scale::Smoke => "smoke",
            Scale::Laptop => "laptop",
            Scale::Paper => "paper",
        })
    }
}

/// A table or figure of the paper. The type is its parameters, as `experiments/NAME.toml` has them.
pub trait Experiment: Serialize + DeserializeOwned + 'static {
    /// The NAME of `reproduce NAME`.
    const NAME: &'static str;
    /// The text of `experiments/NAME.toml`.
    const TOML: &'static str;

    /// Its seed.
    fn seed(&self) -> u64;

    /// Gives it another seed.
    fn set_seed(&mut self, seed: u64);

    /// Refuses parameters that do not hold together, before anything is touched.
    ///
    /// # Errors
    /// Such parameters; the file is named by the caller.
    fn check(&self, scale: Scale) -> Result<()>;

    /// Runs it.
    ///
    /// # Errors
    /// Whatever goes wrong on the way.
    fn run(&self, run: &Run) -> Result<Findings>;

    /// The parts of a stage that it is made from and that [`Self::run`] then finds: zoos and fits, so far as they do not need what it finds itself.
    /// None by default. They depend on its parameters alone.
    ///
    /// # Errors
    /// Parameters that say no zoo or fit, data that cannot be had.
    fn parts<'a>(&'a self, _run: Run<'a>, _stage: Stage) -> Result<Vec<Part<'a>>> {
        Ok(Vec::new())
    }
}

/// Where an experiment runs.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The file that its parameters are from, for errors.
    pub origin: &'a str,
    /// How large it is.
    pub scale: Scale,
    /// Its folder, claimed already, for what it wants to keep.
    pub out: &'a Path,
    /// Where zoos lie that several experiments share, each in a folder with the hash of its recipe; without it they lie in the experiment's own.
    pub zoos: Option<&'a Path>,
    /// Whether other processes make what it is made from at the same time.
    pub among_others: bool,
    /// The running command.
    pub session: &'a Session,
}

/// What an experiment found.
pub struct Findings {
    /// For results.json.
    pub rows: Vec<Row>,
    /// For the terminal.
    pub tables: Vec<Table>,
    /// For people.
    pub report: Report,
    /// [`Outcome::Negative`] where the experiment contradicts what it was to show; at the scale smoke that is not looked at.
    pub outcome: Outcome,
}

/// Makes an experiment ready at a scale, with settings and a seed.
pub type Prepare = fn(Scale, &[String], Option<u64>) -> Result<Box<dyn Prepared>>;

/// An experiment in the list of all.
pub struct Entry {
    /// The NAME of `reproduce NAME`.
    pub name: &'static str,
    /// The text of `experiments/NAME.toml`.
    pub toml: &'static str,
    /// Reads its parameters at a scale, with settings changed as by `--set`, and another seed if one is given; touches nothing on disk.
    pub prepare: Prepare,
}

impl Entry {
    /// The entry of `E`.
    pub const fn of<E: Experiment>() -> Self {
        Self { name: E::NAME, toml: E::TOML, prepare: prepare::<E> }
    }

    /// What it shows: the comment that its file begins with, on one line.
    pub fn about(&self) -> String {
        let comment = self.toml.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        comment.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// An experiment with its parameters in force.
pub trait Prepared {
    /// The seed that it will use.
    fn seed(&self) -> u64;

    /// Its parameters, for results.json.
    ///
    /// # Errors
    /// Never for plain structs.
    fn settings(&self) -> Result<Row>;

    /// Runs it in the claimed folder `out`; `zoos` as in [`Run::zoos`].
    ///
    /// # Errors
    /// As the experiment's own.
    fn run(&self, out: &Path, zoos: Option<&Path>, session: &Session) -> Result<Findings>;

    /// What it is made from, of one stage, for processes that make it together.
    ///
    /// # Errors
    /// As [`Experiment::parts`].
    fn parts<'a>(
        &'a self,
        out: &'a Path,
        zoos: Option<&'a Path>,
        session: &'a Session,
        stage: Stage,
    ) -> Result<Vec<Part<'a>>>;
}

/// The parameters of `E` at a scale, with `overrides`.
///
/// # Errors
/// Unknown keys, values of a wrong type.
pub fn parameters<E: Experiment>(scale: Scale, overrides: &[String]) -> Result<E> {
    settings::read_at_scale(&origin(E::NAME), E::TOML, &scale.to_string(), overrides)
}

fn origin(name: &str) -> String {
    format!("experiments/{name}.toml")
}

fn prepare<E: Experiment>(scale: Scale, set: &[String], seed: Option<u64>) -> Result<Box<dyn Prepared>> {
    let mut experiment: E = parameters(scale, set)?;
    experiment.set_seed(seed.unwrap_or(experiment.seed()));
    experiment.check(scale).with_context(|| origin(E::NAME))?;
    Ok(Box::new(Ready { origin: origin(E::NAME), scale, experiment }))
}

struct Ready<E> {
    origin: String,
    scale: Scale,
    experiment: E,
}

impl<E: Experiment> Prepared for Ready<E> {
    fn seed(&self) -> u64 {
        self.experiment.seed()
    }

    fn settings(&self) -> Result<Row> {
        object(&self.experiment)
    }

    fn run(&self, out: &Path, zoos: Option<&Path>, session: &Session) -> Result<Findings> {
        let run = Run { origin: &self.origin, scale: self.scale, out, zoos, among_others: false, session };
        let mut findings = self.experiment.run(&run)?;
        if self.scale == Scale::Smoke {
            findings.outcome = Outcome::Done;
        }
        Ok(findings)
    }

    fn parts<'a>(
        &'a self,
        out: &'a Path,
        zoos: Option<&'a Path>,
        session: &'a Session,
        stage: Stage,
    ) -> Result<Vec<Part<'a>>> {
        let run = Run { origin: &self.origin, scale: self.scale, out, zoos, among_others: true, session };
        self.experiment.parts(run, stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::Common;
    use crate::row;
    use anyhow::bail;
    use serde::Deserialize;

    /// All that a new experiment has to say of itself.
    #[derive(Debug, Deserialize, Serialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Toy {
        seed: u64,
        row_count: usize,
    }

    impl Experiment for Toy {
        const NAME: &'static str = "toy";
        const TOML: &'static str = "seed = 3\nrow-count = 5\n[scales.smoke]\nrow-count = 2\n[scales.laptop]\n";

        fn seed(&self) -> u64 {
            self.seed
        }

        fn set_seed(&mut self, seed: u64) {
            self.seed = seed;
        }

        fn check(&self, _: Scale) -> Result<()> {
            if self.row_count == 0 {
                bail!("row-count: expected at least 1, found 0");
            }
            Ok(())
        }

        fn run(&self, run: &Run) -> Result<Findings> {
            let row = |i: usize| row! { "i" => i, "seed" => self.seed, "origin" => run.origin };
            let mut report = Report::new("Toy", format!("Scale: {}.", run.scale));
            if let Some(caveat) = run.scale.caveat() {
                report.paragraph(caveat);
            }
            let rows = (0..self.row_count).map(row).collect();
            Ok(Findings { rows, tables: vec![], report, outcome: Outcome::Negative })
        }
    }

    fn made(scale: Scale, set: &[&str], seed: Option<u64>) -> Result<(Row, Findings)> {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let session = Session::start(Common { quiet: true, ..Common::default() })?;
        let prepared = (Entry::of::<Toy>().prepare)(scale, &set, seed)?;
        assert_eq!(prepared.seed(), seed.unwrap_or(3));
        Ok((prepared.settings()?, prepared.run(Path::new("nowhere"), None, &session)?))
    }

    #[test]
    fn an_experiment_is_its_parameters_and_what_it_does_with_them() {
        let (settings, found) = made(Scale::Laptop, &[], None).unwrap();
        assert_eq!((found.rows.len(), found.outcome), (5, Outcome::Negative));
        assert_eq!(settings, row! { "seed" => 3, "row-count" => 5 });
        let (settings, found) = made(Scale::Smoke, &[], Some(8)).unwrap();
        assert_eq!(found.outcome, Outcome::Done, "what comes out at this scale means nothing");
        assert_eq!(found.rows[1], row! { "i" => 1, "seed" => 8, "origin" => "experiments/toy.toml" });
        assert_eq!(settings, row! { "seed" => 8, "row-count" => 2 });
        assert_eq!(made(Scale::Smoke, &["row-count=4"], None).unwrap().1.rows.len(), 4);
    }

    #[test]
    fn wrong_parameters_are_told_with_their_file_before_anything_runs() {
        let said = |scale, set| format!("{:#}", made(scale, &[set], None).err().unwrap());
        assert_eq!(said(Scale::Smoke, "row-count=0"), "experiments/toy.toml: row-count: expected at least 1, found 0");
        assert!(said(Scale::Smoke, "rows=1").contains("experiments/toy.toml with --set rows=1"));
        assert!(said(Scale::Paper, "row-count=1").contains("no table [scales.paper]"));
    }
}
