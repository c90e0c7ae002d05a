//! Networks in files judged: beside a zoo and the trivial baselines, or on data alone.
use super::judge::{about, judge_beside, streams};
use super::networks;
use super::new_runs::NewRuns;
use super::pieces::{Found, Site, Step};
use crate::data::{self, NormalisationFlags};
use crate::output::settings;
use crate::report::figures::mean_sem;
use crate::report::{Report, figures};
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::study::{Labelled, SOME, Study};
use crate::table::{Cell, Table, Weight};
use crate::verdict::{self, Verdict, colour, label};
use anyhow::{Context, Result};
use std::path::Path;
use thalweg::Streams;
use thalweg::judge::{Groups, ZooReference};
use thalweg::metric::calibration::{Calibration, of_groups_by};
use thalweg::metric::novelty::Neighbourhood;
use thalweg::metric::summary::{Better, Summary};
use thalweg_nets::Architecture;
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::evaluate::{AT_ONCE, Blocks, LogitsOf, evaluate_by};
use thalweg_nets::progress::Progress;
use thalweg_nets::train::{fits, has_statistics, recalibrate};
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
    /// What tasks had left of it.
    pub found: Found,
}

/// Judges the networks of `file` beside those of `zoo`; beside trivial `baselines` too where they are wanted, and beside so many `new_runs` of its recipe on their way. `data` stands in for what the zoo
/// says, and `inputs` for how its networks take them. None where this process has made the logits of one task at its `site`.
///
/// # Errors
/// Files that do not fit, data that cannot be had; as [`Site::begin`].
pub fn beside(
    file: &Path,
    zoo: ZooStore,
    (data, inputs): (Option<DataSpec>, &NormalisationFlags),
    (baselines, new_runs): (bool, usize),
    site: Site<'_>,
    session: &Session,
) -> Result<Option<Judged>> {
    let networks = networks::of_zoo(file, &zoo, session)?;
    // Networks from elsewhere do not say; the default split then at least keeps some real runs beside them.
    let split = networks.split.unwrap_or_default().of(&zoo)?;
    let data = in_place_of(data, zoo.data(), inputs)?;
    let study = Study::new(zoo, split, data.as_ref(), &session.progress)?;
    let (theta, reference) = (&networks.theta[..], study.reference());
    let streams = baselines.then(|| streams(session.seed_or(0)));
    // Their number needs the zoo's own distances, which are the judge's to measure otherwise.
    let median = match site.is_shared() {
        true => Neighbourhood::new(reference.training, study.parameters())?.median(),
        false => f64::NAN,
    };
    let new = (new_runs > 0).then(|| NewRuns::train(&study.zoo, new_runs, session)).transpose()?;
    let mut samples = vec![(Weight::Strong, "samples", theta)];
    let stops = new.iter().flat_map(|new| &new.stops);
    samples.extend(stops.map(|(name, theta)| (Weight::Faint, name.as_str(), &theta[..])));
    let generated: Vec<&[f32]> = samples.iter().map(|(.., theta)| *theta).collect();
    let groups = Groups::new(reference, &generated, streams.as_ref(), median);
    let work = || {
        settings([
            ("networks", of_singles(theta).into()),
            ("zoo", study.zoo.origin().id().into()),
            ("runs", of_singles(reference.training).into()),
            ("held-out", of_singles(reference.held_out).into()),
            ("data", study.checksum.as_str().into()),
            ("seed", session.seed_or(0).to_string().into()),
            ("baselines", baselines.into()),
            ("new-runs", new_runs.to_string().into()),
        ])
    };
    let found = match site.begin(work, &groups, session)? {
        Step::Told => return Ok(None),
        Step::All(found) => found,
    };
    let logits = |group: usize, first: usize, theta: &[f32]| match found.piece(groups.piece(group, first))? {
        Some(logits) => Ok(logits),
        None => study.engine.logits_of_many(theta, &study.test.inputs),
    };
    let zoo = ZooReference { logits: Some(&logits), ..reference };
    let judged = judge_beside(zoo, &samples, streams.as_ref(), session)?;
    let about = about(&study);
    let verdicts: Vec<Verdict> = judged.iter().map(|(verdict, _)| verdict.clone()).collect();
    let mut table = verdict::table(&verdicts);
    let together =
        together(&study.engine, theta, &study.test, &|first, theta| logits(Groups::generated(0), first, theta))?;
    let norms = statistics(&study.engine, &networks.theta, &study.some, &study.test, session)?;
    let price = new.as_ref().map_or(String::new(), NewRuns::price);
    table.note = format!("{} {}{norms}{price}", table.note, said(together));
    let title = format!("{} beside their zoo and the trivial baselines.", file.display());
    let mut report = Report::new("Networks, judged", title);
    let (accuracy, sem) = verdicts[0].accuracy();
    report.fact("mean test accuracy", format!("{accuracy:.3}"), sem.is_finite().then(|| format!("± {sem:.3}")));
    report.fact("novel and performing", format!("{:.2}", verdicts[0].novel_and_performing().0), None);
    report.table(&table);
    let mut rows = judged.iter().map(|(verdict, _)| verdict.row(&about)).collect::<Result<Vec<_>>>()?;
    rows[0].extend(ensemble_row(together));
    let groups: Vec<_> = judged.into_iter().map(|(v, a)| (v.label, colour(&v.method), a)).collect();
    report.figure(
        &figures::strips("Test accuracy", "test accuracy", &groups),
        "Test accuracy of every network: a dot each; the tick is the mean, the bar its standard error.",
    );
    Ok(Some(Judged { accuracy, table, rows, report: Some(report), found }))
}

/// Judges the networks of `file`, which are of the `known` architecture or of what the file says, on `data` or on what the file says. None where this
/// process has made the logits of one task at its `site`.
///
/// # Errors
/// Files that do not fit or say too little, data that cannot be had; as [`Site::begin`].
pub fn alone(
    file: &Path,
    known: Option<&Architecture>,
    (data, inputs): (Option<DataSpec>, &NormalisationFlags),
    site: Site<'_>,
    session: &Session,
) -> Result<Option<Judged>> {
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
    let (some, test) = (splits.train.first(SOME), Labelled::new(&engine, splits.test)?);
    let blocks = Blocks { engine: &engine, x: &test.inputs, theta: &networks.theta };
    let work =
        || settings([("networks", of_singles(blocks.theta).into()), ("data", splits.record.checksum.as_str().into())]);
    let found = match site.begin(work, &blocks, session)? {
        Step::Told => return Ok(None),
        Step::All(found) => found,
    };
    let logits = |first: usize, _: &[f32]| found.get(&blocks, 0, first / AT_ONCE);
    session.progress.begin("evaluating", 1);
    let scores = evaluate_by(&engine, &networks.theta, &test.inputs, &test.labels, &logits)?;
    session.progress.end();
    let accuracies: Vec<f64> = scores.iter().map(|s| s.accuracy).collect();
    let losses: Vec<f64> = scores.iter().map(|s| if s.loss.is_nan() { f64::INFINITY } else { s.loss }).collect();
    let accuracy = Summary::of("accuracy", &accuracies, Better::Higher)?;
    let loss = Summary::of("loss", &losses, Better::Lower)?;
    let together = together(&engine, &networks.theta, &test, &logits)?;
    let mut table = Table::new(&["networks", "accuracy", "best", "top 5", "median", "loss", "n"]).note(format!(
        "On the {} test rows of {}. ± is one standard error over networks. {inputs}. {}{}",
        test.labels.len(),
        data.name,
        said(together),
        statistics(&engine, &networks.theta, &some, &test, session)?,
    ));
    let (estimate, number) = (|s: &Summary| Cell::Estimate(s.mean, s.sem, 4), |v| Cell::Number(v, 4));
    let cells =
        [estimate(&accuracy), number(accuracy.best), number(accuracy.top5), number(accuracy.median), estimate(&loss)];
    table.push(Weight::Strong, [vec![name.clone().into()], cells.to_vec(), vec![accuracy.n.into()]].concat());
    let mut row = row! {
        "method" => label("samples"), "networks" => name, "data" => data.name, "accuracy_mean" => accuracy.mean, "accuracy_sem" => accuracy.sem,
        "accuracy_best" => accuracy.best, "accuracy_top5" => accuracy.top5, "accuracy_median" => accuracy.median,
        "loss_mean" => loss.mean, "loss_sem" => loss.sem, "n" => accuracy.n, "inputs" => inputs,
    };
    row.extend(ensemble_row(together));
    Ok(Some(Judged { accuracy: accuracy.mean, table, rows: vec![row], report: None, found }))
}

/// The BLAKE3 of numbers, hexadecimal.
fn of_singles(values: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    for values in values.chunks(1 << 16) {
        hasher.update(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    }
    hasher.finalize().to_hex().to_string()
}

/// The ensemble of all networks `theta [n, P]` on some rows; none where logits are not finite.
fn together(engine: &Engine, theta: &[f32], rows: &Labelled, logits: &LogitsOf<'_>) -> Result<Option<Calibration>> {
    let n = theta.len() / engine.parameters();
    match of_groups_by(engine, theta, (&rows.inputs, &rows.labels), logits, &[n], 1) {
        Ok(found) => Ok(found.into_iter().flatten().next()),
        Err(thalweg_nets::Error::NotFinite { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Networks whose statistics of batch normalisation are re-estimated, at most.
const NETWORKS: usize = 16;

/// Says where networks `theta [n, P]` with batch normalisation answer better, by more than a standard error, once their statistics are re-estimated from
/// training rows; empty where they do not.
fn statistics(engine: &Engine, theta: &[f32], some: &Dataset, test: &Labelled, session: &Session) -> Result<String> {
    if !has_statistics(engine) || some.len() < 2 {
        return Ok(String::new());
    }
    let mut again = theta[..theta.len().min(NETWORKS * engine.parameters())].to_vec();
    let before = test.accuracies(engine, &again)?;
    recalibrate(engine, &mut again, 0, some, 128, &Streams::new(session.seed_or(0)).child("statistics"))?;
    let after = test.accuracies(engine, &again)?;
    let gains: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    let (gain, sem) = mean_sem(&gains);
    // A single network has the error of a share of rows.
    let (accuracy, rows) = (mean_sem(&before).0, test.labels.len() as f64);
    let sem = if sem.is_finite() { sem } else { (accuracy * (1.0 - accuracy) / rows).sqrt() };
    Ok(match gain > sem && gain > 0.0 {
        true => format!(
            " With statistics of batch normalisation re-estimated from {} training rows accuracy is {:.4} where it is {accuracy:.4} without ({} networks): \
             thalweg sample … --recalibrate DATA.",
            some.len(),
            mean_sem(&after).0,
            before.len(),
        ),
        false => String::new(),
    })
}

/// An ensemble in a sentence.
fn said(together: Option<Calibration>) -> String {
    together.map_or(String::new(), |Calibration { members, accuracy, nll, ece }| {
        let of = match members {
            1 => "Its probabilities".to_owned(),
            _ => format!("The {members} networks together (mean probabilities)"),
        };
        format!("{of}: accuracy {accuracy:.4}, NLL {nll:.4}, ECE {ece:.4}.")
    })
}

/// What a row of results says of an ensemble.
fn ensemble_row(together: Option<Calibration>) -> Row {
    together.map_or_else(Row::new, |c| {
        row! { "ensemble" => c.members, "ensemble_accuracy" => c.accuracy, "ensemble_nll" => c.nll, "ensemble_ece" => c.ece }
    })
}

/// The `data` named; or else those that the networks were trained on, where flags say anew how they take `inputs`.
pub fn in_place_of(
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
