//! What a model of one's own checkpoints is worth as an ensemble: checkpoints from the end of a training run, and what SWAG, flows and a Laplace
//! approximation make of them, beside deep ensembles (Lakshminarayanan et al. 2017) of as many training steps and of as many networks.
mod parameters;
mod sources;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::made;
use crate::common::Outcome;
use crate::report::Report;
use crate::report::figures::mean_sem;
use crate::results::Row;
use crate::row;
use crate::settings;
use crate::study::Labelled;
use crate::table::{Cell, Table, Weight, estimate};
use crate::{data, work::new_runs::NewRuns};
use anyhow::{Context, Result, bail};
pub use parameters::Ensembles;
use sources::{Base, Members, averaged};
use thalweg::shift::law::power::auroc;
use thalweg_nets::data::DataSpec;

/// How well the answers of one ensemble predict.
#[derive(Clone, Copy, Debug)]
struct Judged {
    accuracy: f64,
    nll: f64,
    ece: f64,
    /// How well the probability of the named class tells rows from elsewhere.
    auroc: f64,
}

/// One source of networks, judged for every base.
struct Source {
    name: String,
    networks: usize,
    runs: f64,
    seconds: Vec<f64>,
    judged: Vec<Judged>,
}

impl Source {
    fn estimate(&self, of: impl Fn(&Judged) -> f64) -> (f64, f64) {
        mean_sem(&self.judged.iter().map(of).collect::<Vec<_>>())
    }

    fn row(&self, about: &Row) -> Row {
        let [accuracy, nll, ece, auroc] = self.estimates();
        let mut row = row! { "method" => self.name, "networks" => self.networks };
        row.extend(about.clone());
        row.extend(row! {
            "training_runs" => self.runs, "seconds" => mean_sem(&self.seconds).0,
            "accuracy_mean" => accuracy.0, "accuracy_sem" => accuracy.1, "nll_mean" => nll.0, "nll_sem" => nll.1,
            "ece_mean" => ece.0, "ece_sem" => ece.1, "auroc_mean" => auroc.0, "auroc_sem" => auroc.1, "n" => self.judged.len(),
        });
        row
    }

    fn estimates(&self) -> [(f64, f64); 4] {
        [self.estimate(|j| j.accuracy), self.estimate(|j| j.nll), self.estimate(|j| j.ece), self.estimate(|j| j.auroc)]
    }
}

impl Ensembles {
    fn judge(&self, base: &Base, elsewhere: &Labelled, members: &Members) -> Result<Judged> {
        let (study, c) = (&base.study, base.study.engine.classes());
        let home = averaged(study, &members.theta, &study.test)?;
        let unsure = |probabilities: &[f64]| -> Vec<f64> {
            probabilities.chunks_exact(c).map(|row| 1.0 - row.iter().copied().fold(0.0, f64::max)).collect()
        };
        let away = averaged(study, &members.theta, elsewhere)?;
        let (auroc, _) = auroc(&unsure(&away.probabilities()?), &unsure(&home.probabilities()?))?;
        let found = home.judge(&study.test.labels)?;
        Ok(Judged { accuracy: found.accuracy, nll: found.nll, ece: found.ece, auroc })
    }

    /// Every source on every base, and the seconds of a training run.
    fn sources(&self, run: &Run) -> Result<(Vec<Source>, f64)> {
        let (mut sources, mut seconds): (Vec<Source>, Vec<f64>) = (Vec::new(), Vec::new());
        for index in 0..self.bases {
            run.session.say(&format!("training run {} of {}", index + 1, self.bases));
            let base = Base::new(self, run, index)?;
            seconds.push(NewRuns::train(base.others(), 2, run.session)?.seconds);
            let spec = DataSpec::parse(&self.elsewhere)?;
            let rows = data::load_for_reward(&spec, base.study.zoo.data(), &run.session.progress)?.test;
            let elsewhere = Labelled::new(&base.study.engine, rows)?;
            for members in base.all()? {
                let judged = self.judge(&base, &elsewhere, &members)?;
                let at = sources.iter().position(|source| source.name == members.source).unwrap_or_else(|| {
                    let networks = members.theta.len() / base.study.parameters();
                    let name = members.source.clone();
                    sources.push(Source {
                        name,
                        networks,
                        runs: members.runs,
                        seconds: Vec::new(),
                        judged: Vec::new(),
                    });
                    sources.len() - 1
                });
                sources[at].judged.push(judged);
                sources[at].seconds.push(members.seconds);
            }
        }
        Ok((sources, mean_sem(&seconds).0))
    }

    /// Of each method and of the deep ensemble of as many steps, whether its negative log-likelihood is below that of the first method, base by base.
    fn words(&self, sources: &[Source]) -> String {
        let first = self.methods.first().map_or("", |m| m.name.as_str());
        let Some(of_first) = sources.iter().find(|source| source.name == first) else { return String::new() };
        let rivals = sources.iter().filter(|source| source.networks > 1 && source.name != first);
        let sentence = |source: &Source| {
            let differences: Vec<f64> =
                source.judged.iter().zip(&of_first.judged).map(|(a, b)| a.nll - b.nll).collect();
            let (mean, sem) = mean_sem(&differences);
            let verdict = match () {
                () if mean < -2.0 * sem => "better than",
                () if mean > 2.0 * sem => "worse than",
                () => "not told apart from",
            };
            format!("{} is {verdict} {first} by negative log-likelihood ({}).", source.name, estimate(mean, sem, 4))
        };
        let each: Vec<String> = rivals.map(sentence).collect();
        format!("Differences over the training runs, two standard errors: {}", each.join(" "))
    }

    fn table(&self, sources: &[Source], run: f64) -> Table {
        let note = format!(
            "Probabilities are averaged over the networks. ± is one standard error over {} training runs. Steps of training are in those of one run, which takes \
             {run:.1} s here. Seconds: fit and sampling, beyond the training. AUROC: how well the probability of the named class tells {} from {}.",
            self.bases, self.elsewhere, self.data
        );
        let mut table =
            Table::new(&["networks from", "networks", "runs", "seconds", "accuracy", "NLL", "ECE", "AUROC"]).note(note);
        for source in sources {
            let is_method = self.methods.iter().any(|method| method.name == source.name);
            let weight = if is_method { Weight::Strong } else { Weight::Plain };
            let cells = source.estimates().map(|(mean, sem)| Cell::Estimate(mean, sem, 4));
            let about = vec![
                source.name.clone().into(),
                source.networks.into(),
                Cell::Number(source.runs, 1),
                Cell::Number(mean_sem(&source.seconds).0, 1),
            ];
            table.push(weight, [about, cells.to_vec()].concat());
        }
        table
    }

    fn page(&self, table: &Table, words: &str, scale: Scale) -> Report {
        let lede = format!(
            "Checkpoints from the end of a training run on {}, what is made of them, and other runs, as ensembles. Scale: {scale}.",
            self.data
        );
        let mut report = Report::new("Ensembles from one's own checkpoints", lede);
        if let Some(caveat) = scale.caveat() {
            report.paragraph(caveat);
        }
        report.table(table).paragraph(words);
        report
    }
}

impl Experiment for Ensembles {
    const NAME: &'static str = "ensembles";
    const TOML: &'static str = include_str!("../../../../../experiments/ensembles.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        if self.bases == 0 || self.members < 2 || self.priors.is_empty() || self.methods.is_empty() {
            bail!("expected bases of at least 1, members of at least 2, some priors and methods");
        }
        if let Some(prior) = self.priors.iter().find(|prior| !(**prior > 0.0 && prior.is_finite())) {
            bail!("priors: expected finite numbers above 0, found {prior}");
        }
        for name in [&self.data, &self.elsewhere] {
            DataSpec::parse(name)?;
        }
        made::check(&self.zoo)?;
        made::check(&settings::over(&self.zoo, &self.tail)).context("tail")?;
        self.methods.iter().try_for_each(|method| method.config(&self.fit, self.seed).map(drop))
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let (sources, seconds) = self.sources(run)?;
        let (words, table) = (self.words(&sources), self.table(&sources, seconds));
        let about = row! { "data" => self.data, "elsewhere" => self.elsewhere, "seconds_a_run" => seconds };
        Ok(Findings {
            rows: sources.iter().map(|source| source.row(&about)).collect(),
            report: self.page(&table, &words, run.scale),
            tables: vec![Table { note: format!("{} {words}", table.note), ..table }],
            outcome: Outcome::Done,
        })
    }
}
