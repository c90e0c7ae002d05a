//! Networks in files judged: beside a zoo and the trivial baselines, or on data alone.
use super::judge::{about, judge_all};
use super::networks;
use crate::data::{self, NormalisationFlags};
use crate::report::{Report, figures};
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::study::{Labelled, Study};
use crate::table::{Cell, Table, Weight};
use crate::verdict::{self, Verdict, colour, label};
use anyhow::{Context, Result};
use std::path::Path;
use thalweg::metric::summary::{Better, Summary};
use thalweg_nets::Architecture;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::fits;
use thalweg_nets::zoo::ZooStore;

/// What networks are worth.
pub struct Judged {
    /// Mean test accuracy of the networks.
    pub accuracy: f64,
    /// For the terminal.
    pub table: Table,
    /// For results.json.
    pub rows: Vec<Row>,
    /// For people, where they are judged beside a zoo.
    pub report: Option<Report>,
}

/// Judges the networks of `file` beside those of `zoo`; beside trivial `baselines` too where they are wanted. `data` stands in for what the zoo
/// says, and `inputs` for how its networks take them.
///
/// # Errors
/// Files that do not fit, data that cannot be had.
pub fn beside(
    file: &Path,
    zoo: ZooStore,
    data: Option<DataSpec>,
    inputs: &NormalisationFlags,
    baselines: bool,
    session: &Session,
) -> Result<Judged> {
    let networks = networks::of_zoo(file, &zoo, session)?;
    // Networks from elsewhere do not say; the default split then at least keeps some real runs beside them.
    let split = networks.split.unwrap_or_default().of(&zoo)?;
    let data = in_place_of(data, zoo.data(), inputs)?;
    let study = Study::new(zoo, split, data.as_ref(), &session.progress)?;
    let samples = [(Weight::Strong, "samples", &networks.theta[..])];
    let judged = judge_all(&study, &samples, baselines, session.seed_or(0), session)?;
    let about = about(&study);
    let verdicts: Vec<Verdict> = judged.iter().map(|(verdict, _)| verdict.clone()).collect();
    let table = verdict::table(&verdicts);
    let title = format!("{} beside their zoo and the trivial baselines.", file.display());
    let mut report = Report::new("Networks, judged", title);
    let (accuracy, sem) = verdicts[0].accuracy();
    report.fact("mean test accuracy", format!("{accuracy:.3}"), sem.is_finite().then(|| format!("± {sem:.3}")));
    report.fact("novel and performing", format!("{:.2}", verdicts[0].novel_and_performing().0), None);
    report.table(&table);
    let rows = judged.iter().map(|(verdict, _)| verdict.row(&about)).collect::<Result<_>>()?;
    let groups: Vec<_> = judged.into_iter().map(|(v, a)| (v.label, colour(&v.method), a)).collect();
    report.figure(
        &figures::strips("Test accuracy", "test accuracy", &groups),
        "Test accuracy of every network: a dot each; the tick is the mean, the bar its standard error.",
    );
    Ok(Judged { accuracy, table, rows, report: Some(report) })
}

/// Judges the networks of `file`, which are of the `known` architecture or of what the file says, on `data` or on what the file says.
///
/// # Errors
/// Files that do not fit or say too little, data that cannot be had.
pub fn alone(
    file: &Path,
    known: Option<&Architecture>,
    data: Option<DataSpec>,
    inputs: &NormalisationFlags,
    session: &Session,
) -> Result<Judged> {
    let networks = networks::read(file, known, session)?;
    let (home, name) = (networks.data, file.display().to_string());
    let named = in_place_of(data, home.as_ref(), inputs)?;
    let architecture = networks.architecture.with_context(|| format!("{name} does not say what it is: --arch NAME"))?;
    let engine = Engine::new(&architecture)?;
    let splits = data::load_for(named.as_ref(), home.as_ref(), &session.progress)?
        .with_context(|| format!("{name} does not say what it is for: --data NAME"))?;
    fits(&architecture, &splits.test)?;
    let normalisation = splits.record.normalisation;
    let data = named.unwrap_or_else(|| DataSpec::named(splits.record.name.clone()));
    let record = home.and_then(|home| home.record);
    let inputs = data::told(&DataSpec { record, ..data.clone() }, &normalisation);
    let test = Labelled::new(&engine, splits.test)?;
    session.progress.begin("evaluating", 1);
    let scores = evaluate(&engine, &networks.theta, &test.inputs, &test.labels)?;
    session.progress.end();
    let accuracies: Vec<f64> = scores.iter().map(|s| s.accuracy).collect();
    let losses: Vec<f64> = scores.iter().map(|s| if s.loss.is_nan() { f64::INFINITY } else { s.loss }).collect();
    let accuracy = Summary::of("accuracy", &accuracies, Better::Higher)?;
    let loss = Summary::of("loss", &losses, Better::Lower)?;
    let mut table = Table::new(&["networks", "accuracy", "best", "top 5", "median", "loss", "n"]).note(format!(
        "On the {} test rows of {}. ± is one standard error over networks. {inputs}.",
        test.labels.len(),
        data.name
    ));
    let (estimate, number) = (|s: &Summary| Cell::Estimate(s.mean, s.sem, 4), |v| Cell::Number(v, 4));
    let cells =
        [estimate(&accuracy), number(accuracy.best), number(accuracy.top5), number(accuracy.median), estimate(&loss)];
    table.push(Weight::Strong, [vec![name.clone().into()], cells.to_vec(), vec![accuracy.n.into()]].concat());
    let row = row! {
        "method" => label("samples"), "networks" => name, "data" => data.name, "accuracy_mean" => accuracy.mean, "accuracy_sem" => accuracy.sem,
        "accuracy_best" => accuracy.best, "accuracy_top5" => accuracy.top5, "accuracy_median" => accuracy.median,
        "loss_mean" => loss.mean, "loss_sem" => loss.sem, "n" => accuracy.n, "inputs" => inputs,
    };
    Ok(Judged { accuracy: accuracy.mean, table, rows: vec![row], report: None })
}

/// The `data` named; or else those that the networks were trained on, where flags say anew how they take `inputs`.
fn in_place_of(
    data: Option<DataSpec>,
    home: Option<&DataSpec>,
    inputs: &NormalisationFlags,
) -> Result<Option<DataSpec>> {
    match (data, home) {
        (None, Some(home)) if inputs.given().is_some() => {
            Ok(Some(inputs.applied(DataSpec { record: None, ..home.clone() })?))
        }
        (data, _) => Ok(data),
    }
}
