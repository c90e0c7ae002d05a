//! f as a command of the user's, with P and Q as tables: rows that it was not trained on, its answers, a network that stands in for it.
use super::encoding::Encoding;
use super::frame::{self, Frame};
use super::logits;
use super::parts::Ready;
use super::predict::Predictor;
use crate::session::Session;
use anyhow::{Result, bail};
use std::sync::Arc;
use thalweg::Streams;
use thalweg::shift::disagreement::distil::distilled;
use thalweg::shift::explain::feature::Feature;
use thalweg::shift::reference::{drawn, kept, quarters};
use thalweg::shift::{Reference, Sample};
use thalweg_nets::data::DataSpec;

/// Agreement below which the stand-in is told to be a poor one.
const POOR: f64 = 0.8;
/// Rows of P that the model is asked about, at most.
const MOST: usize = 12_288;

/// What a calibration is made from, and the rows to test.
pub struct Asked {
    /// P, and the network that stands in for f.
    pub ready: Ready,
    /// Q.
    pub query: Sample,
    /// What the tests' inputs are.
    pub features: Vec<Feature>,
}

/// Tables of the user's: P, held-out rows of P where they are apart, Q.
pub struct Tables<'a> {
    /// Rows of P that f was not trained on, or, with `held_out`, any.
    pub p: &'a DataSpec,
    /// Rows of P that f was not trained on.
    pub held_out: Option<&'a DataSpec>,
    /// Q.
    pub q: &'a DataSpec,
}

/// Asks the model for all rows, and fits the network that stands in for it to its answers on a part of P.
///
/// # Errors
/// Files that cannot be read or lack columns; as [`Predictor::answers`]; too few rows.
pub fn asked(model: &Predictor, tables: &Tables, probabilities: bool, seed: u64, session: &Session) -> Result<Asked> {
    let mut p = frame::read(tables.p, None)?;
    let held_out = tables.held_out.map(|spec| frame::read(spec, Some(&p.names))).transpose()?;
    let q = frame::read(tables.q, Some(&p.names))?;
    let few = drawn(p.rows.len(), MOST, &Streams::new(seed).child("rows of P"));
    if p.rows.len() > MOST {
        p = part(&p, &few);
    }
    for frame in [Some(&p), held_out.as_ref(), Some(&q)].into_iter().flatten() {
        frame.notes.iter().for_each(|note| session.say(note));
    }
    let [train, validation, rest] = parts(&p, held_out.is_some(), seed)?;
    let encoding = Encoding::learnt(&p, &train);
    encoding.notes.iter().chain(&encoding.strange(&q)).for_each(|note| session.say(note));
    let all = [Some(&p), held_out.as_ref(), Some(&q)].into_iter().flatten().collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = all.iter().flat_map(|frame| frame.rows.iter().cloned()).collect();
    let mut answers = model.answers(&p.names, &rows, &session.progress)?;
    session.progress.end();
    let (mut notes, classes) = (Vec::new(), answers.classes);
    let called = model.called();
    let normal = logits::taken(&called, &mut answers.values, classes, probabilities, &mut notes)?;
    notes.iter().for_each(|note| session.say(note));
    let mut values = answers.values.iter().map(|v| *v as f32);
    let mut sample = |frame: &Frame| -> Result<Sample> {
        let logits = values.by_ref().take(frame.rows.len() * classes).collect();
        Ok(Sample::of_rows(encoding.inputs(frame), logits, classes)?)
    };
    let of_p = sample(&p)?;
    let held_rows = held_out.as_ref().map(&mut sample).transpose()?;
    let of_q = sample(&q)?;
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
    let seen = |rows: Sample| -> Result<Sample> { Ok(base.sample(&rows.inputs)?.with_logits(rows.logits)?) };
    let reference = Reference::new(seen(train)?, seen(validation)?, seen(own)?)?;
    let query = seen(of_q)?;
    let held_out_labels = labels.map_or(Vec::new(), |cells| of_classes(&cells, &answers.names, classes, session));
    let ready = Ready {
        base: Some(Arc::new(base)),
        reference,
        labels: Vec::new(),
        held_out_labels,
        columns: Vec::new(),
        probabilities: normal,
        stand_in: Some(agreement),
        source: None,
        data: tables.p.place(),
    };
    Ok(Asked { ready, query, features: encoding.features() })
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
