//! f and P read from what flags name: logits in a file, a command that is asked, a network with its data.
use super::classifier::{self, Found};
use super::command::{Tables, asked};
use super::parts::{Flags, Ready};
use super::predict::Predictor;
use super::{logits, rows};
use crate::data;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::Arc;
use thalweg::shift::reference::{kept, quarters};
use thalweg::shift::{Reference, Sample};
use thalweg_nets::data::{DataSpec, Splits, Standardise};

/// What `flags` name.
///
/// # Errors
/// Flags that do not fit together; what cannot be read.
pub fn read(flags: &Flags, seed: u64, session: &Session) -> Result<Ready> {
    match (&flags.logits, flags.asking.predictor()) {
        (Some(path), _) => of_logits(path, flags.probabilities, seed, session),
        (None, Some(model)) => Ok(by_command(flags, &model, None, seed, session)?.0),
        (None, None) => of_model(flags, seed, session),
    }
}

/// What a command says of P, and of the rows to test where they are named by `q`.
///
/// # Errors
/// No P; as [`asked`].
pub fn by_command(
    flags: &Flags,
    model: &Predictor,
    q: Option<&str>,
    seed: u64,
    session: &Session,
) -> Result<(Ready, Option<Sample>)> {
    let spec = |text: &str| rows::spec(text, None, session);
    let p = spec(flags.reference.as_deref().context("with --predict, P is a table: name it by --p FILE.csv")?)?;
    let held_out = flags.held_out.as_deref().map(spec).transpose()?;
    let q = q.map(spec).transpose()?;
    let tables = Tables { p: &p, held_out: held_out.as_ref(), q: q.as_ref() };
    asked(model, &tables, flags.probabilities, seed, session)
}

/// Half of the rows held out for the null law, a quarter each for the other parts.
fn of_logits(path: &Path, probabilities: bool, seed: u64, session: &Session) -> Result<Ready> {
    let logits::Logits { sample: rows, names: columns, probabilities, notes } = logits::read(path, probabilities)?;
    notes.iter().for_each(|note| session.say(note));
    let data = path.display().to_string();
    if rows.len() < 8 {
        bail!("{data}: expected at least 8 rows of logits, found {}", rows.len());
    }
    let [train, validation, held_out] = quarters(rows.len(), seed)?;
    let reference = Reference::new(rows.rows(&train), rows.rows(&validation), rows.rows(&held_out))?;
    let (labels, held_out_labels) = (Vec::new(), Vec::new());
    Ok(Ready {
        base: None,
        reference,
        labels,
        held_out_labels,
        columns,
        probabilities,
        stand_in: None,
        encoding: None,
        source: None,
        data,
    })
}

fn of_model(args: &Flags, seed: u64, session: &Session) -> Result<Ready> {
    let Some(model) = &args.classifier else {
        bail!(
            "name f by --classifier, --arch and --reference, by --logits or by --predict; e.g. thalweg shift calibrate --classifier f.safetensors --arch cnn-s --reference mnist --size 20"
        );
    };
    let Found { base, spec } = classifier::found(args, model, session)?;
    let base = Arc::new(base);
    let spec = match args.raw {
        true => DataSpec { normalisation: Some(Standardise::Raw), ..spec },
        false => spec,
    };
    let splits = data::load(&spec, &session.progress)?;
    let Splits { train, validation, test, record } = splits;
    let (held_out, labels) = match &args.held_out {
        Some(held_out) => {
            let held_out = rows::as_source(&rows::spec(held_out, None, session)?, &record, session)?;
            (base.sample(&held_out.inputs)?, held_out.labels)
        }
        None => (base.sample(&test.inputs)?, Some(test.labels)),
    };
    let train = train.subset(&kept(train.len(), "train", seed));
    let validation = validation.subset(&kept(validation.len(), "validation", seed));
    let reference = Reference::new(base.sample(&train.inputs)?, base.sample(&validation.inputs)?, held_out)?;
    if let Some(labels) = &labels {
        let right = reference.held_out.predictions().iter().zip(labels).filter(|(a, b)| a == b).count();
        session.say(&format!(
            "f is right on {:.1} % of {} held-out rows of P. Far below what you know of it? Then it expects other inputs (--raw).",
            100.0 * right as f64 / labels.len() as f64,
            labels.len()
        ));
    }
    let held_out_labels = labels.unwrap_or_default();
    Ok(Ready {
        base: Some(base),
        reference,
        labels: train.labels,
        held_out_labels,
        columns: Vec::new(),
        probabilities: false,
        stand_in: None,
        encoding: None,
        source: Some(record),
        data: spec.name,
    })
}
