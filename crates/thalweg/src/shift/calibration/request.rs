//! What a calibration is made from, and what is checked of that before any work.
use super::networks::Networks;
use crate::shift::encoding::Encoding;
use crate::shift::law::permutation;
use crate::shift::method::{Method, Parts};
use crate::{Error, Result, Streams};
use thalweg_nets::data::DataRecord;

/// What a calibration is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// f, rows, |Q|, parameters.
    pub parts: Parts<'a>,
    /// Labels of the held-out rows `[N]`, which an estimate of f's accuracy needs; empty where they are not known.
    pub held_out_labels: &'a [u32],
    /// Tests.
    pub methods: &'a [Method],
    /// Redraws of every query.
    pub null: usize,
    /// Level that they are for.
    pub level: f64,
    /// Seed.
    pub seed: u64,
    /// Names of the columns of logits; empty where they have none.
    pub columns: Vec<String>,
    /// Whether logits were made of probabilities.
    pub probabilities: bool,
    /// Where the network only stands in for f: on which share of validation rows the two name the same class.
    pub stand_in: Option<f64>,
    /// How tables become inputs, where f takes tables as they are.
    pub encoding: Option<Encoding>,
    /// What P's inputs are; none where only logits are known.
    pub source: Option<DataRecord>,
    /// What P is called.
    pub data: String,
    /// Whether CDC parameters are to be found on validation draws.
    pub choose: bool,
}

impl<'a> Request<'a> {
    /// `methods` by 200 redraws at the level .05 and seed 1, their parameters as they are, of rows of which no more is known than `parts` hold.
    pub fn new(parts: Parts<'a>, methods: &'a [Method]) -> Self {
        Self {
            parts,
            held_out_labels: &[],
            methods,
            null: 200,
            level: 0.05,
            seed: 1,
            columns: Vec::new(),
            probabilities: false,
            stand_in: None,
            encoding: None,
            source: None,
            data: String::new(),
            choose: false,
        }
    }
}

impl Request<'_> {
    /// Checks what needs no work.
    ///
    /// # Errors
    /// No method, one twice; a size of 0; labels of one class only or of another number than rows; redraws or held-out rows that could never reject;
    /// held-out rows that are training rows; an f that answers alike whatever the row.
    pub fn check(&self) -> Result<()> {
        let methods = self.methods;
        if methods.is_empty() || (1..methods.len()).any(|i| methods[..i].contains(&methods[i])) {
            let found = methods.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ");
            return Err(Error::parameter("methods", "at least one, none twice", found));
        }
        if self.parts.size == 0 {
            return Err(Error::parameter("query size |Q|", "at least 1", 0));
        }
        self.check_labels()?;
        permutation::check(self.null, self.level)?;
        permutation::enough(self.parts.reference.held_out.len(), self.parts.size, self.level)?;
        self.parts.reference.held_out_is_fresh()?;
        self.check_answers()
    }

    /// The networks that all its tests train independently of one another, a piece each, test after test: work that many processes may share.
    ///
    /// # Errors
    /// As [`Self::check`]; a test that needs more than is known.
    pub fn pieces(&self) -> Result<Networks<'_>> {
        self.check()?;
        let streams = Streams::new(self.seed).child("shift");
        let all = self.methods.iter().map(|method| method.pieces(&self.parts, &streams));
        Ok(Networks::new(all.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()))
    }

    fn check_answers(&self) -> Result<()> {
        let rows = &self.parts.reference.held_out;
        let mut answers = rows.logits.chunks_exact(rows.classes());
        let first = answers.next();
        if rows.len() < 2 || answers.any(|answer| Some(answer) != first) {
            return Ok(());
        }
        let found = format!("the same for all of {} held-out rows", rows.len());
        Err(Error::parameter("the model's answers", "some that depend on the row", found))
    }

    fn check_labels(&self) -> Result<()> {
        let (labels, held_out) = (self.parts.labels, self.held_out_labels);
        if let Some(first) = labels.first().filter(|first| labels.iter().all(|label| label == *first)) {
            let expected =
                "rows of at least two classes: where there is one, a classifier has nothing to be wrong about";
            return Err(Error::parameter("labels of P", expected, format!("class {first} alone")));
        }
        let (rows, classes) = (self.parts.reference.held_out.len(), self.parts.reference.held_out.classes());
        if !held_out.is_empty() && (held_out.len() != rows || held_out.iter().any(|&label| label as usize >= classes)) {
            let expected = format!("{rows} below {classes}");
            let found = format!("{} up to {}", held_out.len(), held_out.iter().max().unwrap_or(&0));
            return Err(Error::parameter("labels of held-out rows", expected, found));
        }
        Ok(())
    }
}
