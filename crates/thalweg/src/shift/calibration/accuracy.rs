//! [`Accuracy`]: what a calibration keeps for estimates of f's accuracy, where held-out rows have labels.
use crate::shift::base::Sample;
use crate::shift::estimate::{Estimate, Evidence, Known, reach, relation};
use crate::shift::law::outcome::Outcome;
use crate::shift::method::Method;
use crate::shift::reference::Reference;
use crate::shift::test::ShiftTest;
use crate::tensors::{TensorReader, TensorWriter};
use crate::{Error, Result};
use std::path::Path;

/// Names of the tensors: labels of held-out rows, the distance within reach, and shares of held-out rows on which each network of a test (named after
/// it) disagrees with f.
const LABELS: &str = "labels";
const REACH: &str = "reach";
const DISAGREEMENTS: &str = "disagreements";

/// See the module's text.
pub struct Accuracy {
    labels: Vec<u32>,
    known: Known,
    /// See [`reach::limit`]; none where inputs are not known.
    limit: Option<f64>,
    /// See [`relation::unrelated`].
    unrelated: Option<String>,
    /// Which test has networks that are the same for all queries, and on which share of held-out rows each disagrees with f.
    disagreements: Option<(usize, Vec<f64>)>,
}

impl Accuracy {
    /// From the labels of the held-out rows; none without any.
    ///
    /// # Errors
    /// Labels of another number; rows that do not fit the tests.
    pub fn new(reference: &Reference, labels: Vec<u32>, tests: &[&dyn ShiftTest]) -> Result<Option<Self>> {
        if labels.is_empty() {
            return Ok(None);
        }
        let mut disagreements = None;
        for (i, test) in tests.iter().enumerate() {
            let shares = test.disagreements(&reference.held_out)?;
            if !shares.is_empty() {
                disagreements = Some((i, shares));
                break;
            }
        }
        let known = Known::new(&reference.held_out, &labels)?;
        let limit = reach::limit(&reference.train, &reference.held_out);
        let unrelated = relation::unrelated(&reference.held_out, &labels);
        Ok(Some(Self { labels, known, limit, unrelated, disagreements }))
    }

    /// What is to be said of an f that is right no more often than by chance.
    pub fn unrelated(&self) -> Option<&String> {
        self.unrelated.as_ref()
    }

    /// Of the held-out rows.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// f's accuracy on `query`, of which each test has `found` how its networks disagree with f, where it has.
    ///
    /// # Errors
    /// A query that does not fit; networks of another number than were calibrated.
    pub fn estimate(
        &self,
        query: &Sample,
        outcome: Outcome,
        level: f64,
        (reference, tests): (&Reference, &[&dyn ShiftTest]),
        found: &[Vec<f64>],
    ) -> Result<Estimate> {
        let excess = match &self.disagreements {
            Some((test, on_p)) => {
                let on_q = match found.get(*test).filter(|found| !found.is_empty()) {
                    Some(found) => found.clone(),
                    None => tests[*test].disagreements(query)?,
                };
                if on_q.len() != on_p.len() {
                    let found = format!("[{}]", on_q.len());
                    return Err(Error::shape("disagreements", format!("[{}]", on_p.len()), found));
                }
                on_q.iter().zip(on_p).map(|(q, p)| q - p).max_by(f64::total_cmp)
            }
            None => None,
        };
        let outside = self.limit.map(|limit| reach::outside(&reference.train, query, limit));
        self.known.estimate(query, Evidence { outcome, excess, outside }, level)
    }

    /// Adds it to a calibration file.
    pub(super) fn save(&self, out: &mut TensorWriter, methods: &[Method]) {
        let labels: Vec<f64> = self.labels.iter().map(|&label| f64::from(label)).collect();
        out.double(LABELS, &[labels.len()], &labels);
        if let Some(limit) = self.limit {
            out.double(REACH, &[1], &[limit]);
        }
        if let Some((test, shares)) = &self.disagreements {
            out.double(format!("{DISAGREEMENTS}.{}", methods[*test].name()), &[shares.len()], shares);
        }
    }

    /// What [`Self::save`] added; none where it added nothing.
    ///
    /// # Errors
    /// Labels that are no classes of the held-out rows.
    pub(super) fn read(
        path: &Path,
        file: &TensorReader,
        reference: &Reference,
        methods: &[Method],
    ) -> Result<Option<Self>> {
        if file.shape(LABELS).is_none() {
            return Ok(None);
        }
        let labels = labels(path, &file.double(LABELS)?, reference)?;
        let of_test = |(i, method): (usize, &Method)| {
            let name = format!("{DISAGREEMENTS}.{}", method.name());
            file.shape(&name).map(|_| file.double(&name).map(|shares| (i, shares)))
        };
        let disagreements = methods.iter().enumerate().find_map(of_test).transpose()?;
        let limit = file.shape(REACH).map(|_| file.double(REACH)).transpose()?.and_then(|limit| limit.first().copied());
        let known = Known::new(&reference.held_out, &labels)?;
        let limit = limit.filter(|_| reference.held_out.width() > 0);
        let unrelated = relation::unrelated(&reference.held_out, &labels);
        Ok(Some(Self { labels, known, limit, unrelated, disagreements }))
    }
}

/// Classes of the held-out rows, one each.
fn labels(path: &Path, stored: &[f64], reference: &Reference) -> Result<Vec<u32>> {
    let (rows, classes) = (reference.held_out.len(), reference.held_out.classes());
    let class = |v: &f64| v.fract() == 0.0 && (0.0..classes as f64).contains(v);
    if stored.len() != rows || !stored.iter().all(class) {
        let expected = format!("a class below {classes} for each of {rows} held-out rows");
        return Err(Error::format(path, "tensor labels", expected, format!("{} numbers", stored.len())));
    }
    Ok(stored.iter().map(|v| *v as u32).collect())
}
