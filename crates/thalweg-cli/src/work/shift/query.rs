//! Rows to be tested: queries as a calibration wants them.
use super::predict::Predictor;
use super::{command, logits, rows, stream};
use crate::data;
use crate::output::Inputs;
use crate::session::Session;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use thalweg::Streams;
use thalweg::shift::Sample;
use thalweg::shift::calibration::Calibration;
use thalweg::shift::explain::feature::Feature;
use thalweg::shift::law::permutation;
use thalweg::shift::reference::drawn;

/// Flags that name Q.
#[derive(clap::Args, Clone, Debug)]
pub struct QueryFlags {
    /// Query Q: FILE.csv, - for a table on stdin, or NAME[:DIR]; rows with or without labels
    #[arg(
        long,
        visible_alias = "q",
        value_name = "NAME[:DIR]",
        required_unless_present = "query_logits",
        conflicts_with = "query_logits"
    )]
    pub query: Option<String>,
    /// The hospital, for --query heart
    #[arg(long, value_name = "SITE", requires = "query")]
    pub site: Option<String>,
    /// f's logits on Q: a CSV file, or - for stdin
    #[arg(long, visible_alias = "q-logits", value_name = "FILE", conflicts_with = "predict")]
    pub query_logits: Option<PathBuf>,
    /// Where Q has more rows than were calibrated for: test that many only, drawn by --seed
    #[arg(long)]
    pub draw: bool,
}

impl QueryFlags {
    /// The flags with a file in place of stdin, which holds all that came from there for as long as what stands beside it.
    ///
    /// # Errors
    /// A stdin that cannot be read; interruption.
    pub fn in_files(&self) -> Result<(Self, Option<stream::Batches>)> {
        let text = self.query.clone().or_else(|| self.query_logits.as_ref().map(|path| path.display().to_string()));
        let Some(text) = text.filter(|text| stream::is_stdin(text)) else { return Ok((self.clone(), None)) };
        let mut batches = stream::Batches::of_stdin(None)?;
        let file = batches.next()?.map(|batch| stream::in_file(&text, &batch.file));
        let of_logits = file.clone().map(PathBuf::from);
        let held = |of: &Self| match of.query {
            Some(_) => Self { query: file.clone(), ..of.clone() },
            None => Self { query_logits: of_logits.clone(), ..of.clone() },
        };
        Ok((held(self), Some(batches)))
    }

    /// The rows as `calibration`, of the file `of`, takes them, and their numbers in Q.
    ///
    /// # Errors
    /// As [`of_data`] and [`of_logits`].
    pub fn rows(
        &self,
        (model, probabilities): (Option<&Predictor>, bool),
        calibration: &Calibration,
        of: &Path,
        session: &Session,
    ) -> Result<(Sample, Vec<usize>)> {
        let all = match (&self.query, &self.query_logits) {
            (Some(text), _) => of_data(text, (self.site.as_deref(), model), calibration, of, session)?,
            (None, Some(path)) => of_logits(path, probabilities, calibration, of, session)?,
            (None, None) => bail!("name the rows to test by --query or --query-logits"),
        };
        Ok(self.picked(all, calibration.record.size, session))
    }

    /// The rows that are tested, and their numbers in Q.
    pub fn picked(&self, all: Sample, size: usize, session: &Session) -> (Sample, Vec<usize>) {
        let picked = match self.draw && all.len() > size {
            true => drawn(all.len(), size, &Streams::new(session.seed_or(1)).child("draw")),
            false => (0..all.len()).collect(),
        };
        (all.rows(&picked), picked)
    }

    /// What they read.
    pub fn inputs(&self, inputs: Inputs) -> Inputs {
        inputs.text(self.query.as_deref()).paths(&self.query_logits)
    }
}

/// Rows to be tested.
pub struct Rows {
    /// With what f makes of them.
    pub sample: Sample,
    /// Their numbers in Q.
    pub picked: Vec<usize>,
    /// What their inputs are called; none for images, and where inputs are not known.
    pub features: Vec<Feature>,
}

/// The level asked for, or that of `calibration`, of the file `of`.
///
/// # Errors
/// One outside (0, 1), or one that its redraws cannot reach.
pub fn level(asked: Option<f64>, calibration: &Calibration, of: &Path) -> Result<f64> {
    let level = asked.unwrap_or(calibration.record.level);
    if !(level > 0.0 && level < 1.0) {
        bail!("--level: expected a number between 0 and 1, found {level}");
    }
    let least = permutation::needed(level);
    if calibration.record.null < least {
        bail!(
            "{} was calibrated with --null {}, which cannot lead to a p-value at or below level {level}: calibrate with --null {least} --level {level}, or more",
            of.display(),
            calibration.record.null
        );
    }
    Ok(level)
}

/// The rows of the data `text`, of a hospital `site` for the heart data, as the classifier in `calibration`, of the file `of`, takes them; where that is a
/// command, `model` is asked about them.
///
/// # Errors
/// A calibration on logits alone; a command that is missing or one too many; data that cannot be read or do not fit.
pub fn of_data(
    text: &str,
    (site, model): (Option<&str>, Option<&Predictor>),
    calibration: &Calibration,
    of: &Path,
    session: &Session,
) -> Result<Sample> {
    if let Some(model) = model {
        return command::query(model, &rows::spec(text, site, session)?, calibration, of, session);
    }
    of_no_stand_in(calibration, of)?;
    let (Some(base), Some(source)) = (calibration.base(), &calibration.record.source) else {
        bail!("{} was calibrated on logits alone: give Q's by --query-logits", of.display())
    };
    let spec = data::with_settings(&rows::spec(text, site, session)?, &session.common.set)?;
    Ok(base.sample(&rows::as_source(&spec, source, session)?.inputs)?)
}

/// Refuses a calibration of a model that is a command, which has to be named.
fn of_no_stand_in(calibration: &Calibration, of: &Path) -> Result<()> {
    if calibration.record.stand_in.is_some() {
        bail!("{} was calibrated with --predict: give the same command again, --predict COMMAND", of.display())
    }
    Ok(())
}

/// The rows of a file of logits, or of probabilities; with `probabilities` nothing else is taken.
///
/// # Errors
/// A calibration of a network; a file that cannot be read, or has other columns.
pub fn of_logits(
    path: &Path,
    probabilities: bool,
    calibration: &Calibration,
    of: &Path,
    session: &Session,
) -> Result<Sample> {
    of_no_stand_in(calibration, of)?;
    if calibration.base().is_some() {
        bail!("{} was calibrated with f's weights: name Q by --query", of.display())
    }
    let record = &calibration.record;
    let like = logits::read(path, probabilities)?.like(path, &record.columns, record.classes, record.probabilities)?;
    like.notes.iter().for_each(|note| session.say(note));
    Ok(like.sample)
}
