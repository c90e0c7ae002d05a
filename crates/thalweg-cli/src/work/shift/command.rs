//! f as a command of the user's, with P and Q as tables: rows that it was not trained on, its answers, a network that stands in for it.
use super::frame::{self, Frame};
use super::logits;
use super::parts::Ready;
use super::predict::Predictor;
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::Path;
use std::sync::Arc;
use thalweg::Streams;
use thalweg::shift::calibration::Calibration;
use thalweg::shift::disagreement::distil::distilled;
use thalweg::shift::encoding::Encoding;
use thalweg::shift::reference::{drawn, kept, quarters};
use thalweg::shift::{Base, Reference, Sample};
use thalweg_nets::data::DataSpec;

/// Agreement below which the stand-in is told to be a poor one.
const POOR: f64 = 0.8;
/// Rows of P that the model is asked about, at most.
const MOST: usize = 12_288;

/// Tables of the user's: P, held-out rows of P where they are apart, Q.
pub struct Tables<'a> {
    /// Rows of P that f was not trained on, or, with `held_out`, any.
    pub p: &'a DataSpec,
    /// Rows of P that f was not trained on.
    pub held_out: Option<&'a DataSpec>,
    /// Q, where it is asked about at once.
    pub q: Option<&'a DataSpec>,
}

/// Asks the model for all rows, and fits the network that stands in for it to its answers on a part of P.
///
/// # Errors
/// Files that cannot be read or lack columns; as [`Predictor::answers`]; too few rows.
pub fn asked(
    model: &Predictor,
    tables: &Tables,
    probabilities: bool,
    seed: u64,
    session: &Session,
) -> Result<(Ready, Option<Sample>)> {
    let mut p = frame::read(tables.p, None)?;
    let held_out = tables.held_out.map(|spec| frame::read(spec, Some(&p.names))).transpose()?;
    let q = tables.q.map(|spec| frame::read(spec, Some(&p.names))).transpose()?;
    let few = drawn(p.rows.len(), MOST, &Streams::new(seed).child("rows of P"));
    if p.rows.len() > MOST {
        p = part(&p, &few);
    }
    let all: Vec<&Frame> = [Some(&p), held_out.as_ref(), q.as_ref()].into_iter().flatten().collect();
    all.iter().flat_map(|frame| &frame.notes).for_each(|note| session.say(note));
    let [train, validation, rest] = parts(&p, held_out.is_some(), seed)?;
    let others = train.iter().chain(&validation).map(|&row| p.rows[row].as_slice());
    let encoding = Encoding::learnt(&p.names, others);
    for name in encoding.unseen() {
        session.say(&format!(
            "column '{name}' holds another word in nearly every row: the model gets it, the tests do not look at it"
        ));
    }
    let rows: Vec<Vec<String>> = all.iter().flat_map(|frame| frame.rows.iter().cloned()).collect();
    let mut answers = model.answers(&p.names, &rows, &session.progress)?;
    session.progress.end();
    let (mut notes, classes, called) = (Vec::new(), answers.classes, model.called());
    let of_q = answers.values.len() - q.as_ref().map_or(0, |q| q.rows.len()) * classes;
    let (on_p, on_q) = answers.values.split_at_mut(of_q);
    let normal = logits::taken(&called, on_p, classes, probabilities, &mut notes)?;
    notes.iter().for_each(|note| session.say(note));
    let (of_p, held_rows) = on_p.split_at(p.rows.len() * classes);
    let of_p = sample(&encoding, &p, of_p, classes)?;
    let held_rows = held_out.as_ref().map(|frame| sample(&encoding, frame, held_rows, classes)).transpose()?;
    let (own, labels) = match (&held_rows, &held_out) {
        (Some(rows), Some(frame)) => (rows.clone(), frame.labels.clone()),
        _ => (of_p.rows(&rest), p.labels.as_ref().map(|labels| rest.iter().map(|&r| labels[r].clone()).collect())),
    };
    let (train, validation) = (of_p.rows(&train), of_p.rows(&validation));
    let (base, agreement) = distilled(&train, &validation, &Streams::new(seed).child("stand-in"))?;
    if agreement < POOR {
        session.say(&format!(
            "The network that stands in for the model names the model's class on {:.0} % of other rows of P only: tests by disagreement have little power here; others do not need it.",
            100.0 * agreement
        ));
    }
    let reference = Reference::new(seen(&base, train)?, seen(&base, validation)?, seen(&base, own)?)?;
    let query = q.map(|q| answered(&q, on_q, &encoding, (&base, normal, &called), session)).transpose()?;
    let held_out_labels = labels.map_or(Vec::new(), |cells| of_classes(&cells, &answers.names, classes, session));
    let ready = Ready {
        base: Some(Arc::new(base)),
        reference,
        labels: Vec::new(),
        held_out_labels,
        columns: Vec::new(),
        probabilities: normal,
        stand_in: Some(agreement),
        encoding: Some(encoding),
        source: None,
        data: tables.p.place(),
    };
    Ok((ready, query))
}

/// Rows to test, as the calibration in the file `of` wants them, with what the model says of them.
///
/// # Errors
/// A calibration of another kind of model; as [`asked`]; answers of another length than for P.
pub fn query(
    model: &Predictor,
    spec: &DataSpec,
    calibration: &Calibration,
    of: &Path,
    session: &Session,
) -> Result<Sample> {
    let record = &calibration.record;
    let (Some(encoding), Some(base)) = (&record.encoding, calibration.base()) else {
        match record.stand_in {
            Some(_) => bail!(
                "{}: a calibration of an older version, which does not say how tables become inputs: calibrate again",
                of.display()
            ),
            None => bail!("{} was not calibrated with --predict: leave the flag out", of.display()),
        }
    };
    let frame = frame::read(spec, Some(encoding.names()))?;
    frame.notes.iter().for_each(|note| session.say(note));
    let mut answers = model.answers(&frame.names, &frame.rows, &session.progress)?;
    session.progress.end();
    let called = model.called();
    if answers.classes != record.classes {
        bail!("{called}: expected {} numbers a row, as for P, found {}", record.classes, answers.classes);
    }
    answered(&frame, &mut answers.values, encoding, (base, record.probabilities, &called), session)
}

/// What the model says of rows that have these inputs `[N, D]`, as the stand-in of `calibration` sees them: it is given the cells that have such inputs.
///
/// # Errors
/// A calibration of another kind of model; as [`Predictor::answers`].
pub fn of_inputs(model: &Predictor, inputs: &[f32], calibration: &Calibration, session: &Session) -> Result<Sample> {
    let record = &calibration.record;
    let (Some(encoding), Some(base)) = (&record.encoding, calibration.base()) else {
        bail!("the calibration does not say how tables become inputs: calibrate again")
    };
    let rows = encoding.cells(inputs);
    let mut answers = model.answers(encoding.names(), &rows, &session.progress)?;
    logits::taken_alike(&model.called(), &mut answers.values, record.classes, record.probabilities)?;
    let logits = answers.values.iter().map(|v| *v as f32).collect();
    seen(base, Sample::of_rows(encoding.inputs(&rows), logits, record.classes)?)
}

/// Rows of Q with the model's answers `[N, C]`, as the stand-in sees them.
fn answered(
    frame: &Frame,
    values: &mut [f64],
    encoding: &Encoding,
    (base, normal, called): (&Base, bool, &str),
    session: &Session,
) -> Result<Sample> {
    let classes = values.len() / frame.rows.len();
    for told in encoding.strange(&frame.rows) {
        session.say(&format!("{}: {told}", frame.path.display()));
    }
    logits::taken_alike(called, values, classes, normal)?;
    seen(base, sample(encoding, frame, values, classes)?)
}

fn sample(encoding: &Encoding, frame: &Frame, values: &[f64], classes: usize) -> Result<Sample> {
    Ok(Sample::of_rows(encoding.inputs(&frame.rows), values.iter().map(|v| *v as f32).collect(), classes)?)
}

/// Rows with the features of the stand-in, and the model's own logits.
fn seen(base: &Base, rows: Sample) -> Result<Sample> {
    Ok(base.sample(&rows.inputs)?.with_logits(rows.logits)?)
}

/// Rows of P to fit the stand-in to, to choose on, and held out; none of the last where they are in a file of their own.
fn parts(p: &Frame, held_out: bool, seed: u64) -> Result<[Vec<usize>; 3]> {
    let n = p.rows.len();
    if n < 40 {
        bail!("{}: expected at least 40 rows of P, found {n}", p.path.display());
    }
    if !held_out {
        return Ok(quarters(n, seed)?);
    }
    let order = kept(n, "train", seed);
    let (validation, train) = order.split_at(order.len() / 4);
    Ok([train.to_vec(), validation.to_vec(), Vec::new()])
}

fn part(frame: &Frame, rows: &[usize]) -> Frame {
    Frame {
        rows: rows.iter().map(|&r| frame.rows[r].clone()).collect(),
        labels: frame.labels.as_ref().map(|labels| rows.iter().map(|&r| labels[r].clone()).collect()),
        ..frame.clone()
    }
}

/// Labels as numbers of the model's outputs: by the names that it gives them, or as the numbers that they are; none where neither fits, which is told.
fn of_classes(cells: &[String], names: &[String], classes: usize, session: &Session) -> Vec<u32> {
    let names = if names.len() == classes { names } else { &[] };
    let of = |cell: &String| -> Option<u32> {
        let named = names.iter().position(|name| name == cell).and_then(|at| u32::try_from(at).ok());
        let number = || cell.parse::<f64>().ok().filter(|v| v.fract() == 0.0 && (0.0..classes as f64).contains(v));
        named.or_else(|| number().map(|v| v as u32))
    };
    let labels: Option<Vec<u32>> = cells.iter().map(of).collect();
    if labels.is_none() {
        session.say(&format!(
            "Labels of P are not numbers below {classes}, and the model does not write the names of its classes in a first line: how often it is right is not estimated."
        ));
    }
    labels.unwrap_or_default()
}
