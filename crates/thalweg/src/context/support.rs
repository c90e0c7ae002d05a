//! Support sets: a few labelled rows that say what task it is (M10).
//!
//! Rows are kept in one canonical order (by label, then by their numbers), whatever order they came in, so everything computed from a
//! support set is invariant to the order of its samples down to the last bit.
use crate::{Error, Result, Streams};
use thalweg_nets::data::Dataset;
use thalweg_nets::streams::shuffle;

/// Labelled rows in canonical order.
#[derive(Clone, Debug, PartialEq)]
pub struct Support {
    /// Rows `[n, D]`.
    pub(super) inputs: Vec<f32>,
    /// Labels `[n]`, rising.
    pub(super) labels: Vec<u32>,
}

impl Support {
    /// A support set of `inputs [n, D]` with `labels [n]`.
    ///
    /// # Errors
    /// No row, slices that do not fit each other, a number that is not finite.
    pub fn new(inputs: &[f32], labels: &[u32]) -> Result<Self> {
        let n = labels.len();
        if n == 0 || inputs.is_empty() || !inputs.len().is_multiple_of(n) {
            let expected = format!("[{n}, D], with n at least 1");
            return Err(Error::shape("support set", expected, format!("{} numbers", inputs.len())));
        }
        if let Some(at) = inputs.iter().position(|x| !x.is_finite()) {
            let place = format!("number {at}");
            return Err(Error::NotFinite { what: "support set".into(), place, value: f64::from(inputs[at]) });
        }
        let wide = inputs.len() / n;
        let row = |i: usize| &inputs[i * wide..(i + 1) * wide];
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| {
            let numbers = || row(a).iter().zip(row(b)).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne());
            labels[a].cmp(&labels[b]).then_with(|| numbers().unwrap_or(std::cmp::Ordering::Equal))
        });
        Ok(Self {
            inputs: order.iter().flat_map(|&i| row(i)).copied().collect(),
            labels: order.iter().map(|&i| labels[i]).collect(),
        })
    }

    /// `each` random rows of every class of `data` that has some (all of a class that has fewer).
    ///
    /// # Errors
    /// `each` of 0.
    pub fn draw(data: &Dataset, each: usize, streams: &Streams) -> Result<Self> {
        if each == 0 {
            return Err(Error::parameter("samples a class", "at least 1", each));
        }
        let rows = Self::rows(&data.labels, each, streams);
        let chosen = data.subset(&rows);
        Self::new(&chosen.inputs, &chosen.labels)
    }

    /// Which rows [`Self::draw`] takes.
    pub fn rows(labels: &[u32], each: usize, streams: &Streams) -> Vec<usize> {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        shuffle(&mut order, &mut streams.rng());
        let mut taken = vec![0; labels.iter().max().map_or(0, |&most| most as usize + 1)];
        order.retain(|&row| {
            let taken = &mut taken[labels[row] as usize];
            *taken += 1;
            *taken <= each
        });
        order
    }

    /// The same rows with label k called `becomes[k]`.
    ///
    /// # Panics
    /// Where a label is beyond `becomes`.
    #[must_use]
    pub fn relabelled(&self, becomes: &[usize]) -> Self {
        let wide = self.inputs.len() / self.labels.len();
        let labels: Vec<u32> = self.labels.iter().map(|&label| becomes[label as usize] as u32).collect();
        // Within a class rows are in order already, so classes move as blocks.
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&i| labels[i]);
        Self {
            inputs: order.iter().flat_map(|&i| &self.inputs[i * wide..(i + 1) * wide]).copied().collect(),
            labels: order.iter().map(|&i| labels[i]).collect(),
        }
    }

    /// Rows, n.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never so: a support set has a row.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows `[n, D]`, in canonical order.
    pub fn inputs(&self) -> &[f32] {
        &self.inputs
    }

    /// Labels `[n]`.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::data::DataSpec;

    #[test]
    fn the_order_of_samples_leaves_no_trace() {
        let inputs = [3.0, 1.0, 2.0, 5.0, 2.0, 4.0, -1.0, 0.0];
        let one = Support::new(&inputs, &[1, 0, 0, 1]).unwrap();
        let other = Support::new(&[2.0, 4.0, 3.0, 1.0, -1.0, 0.0, 2.0, 5.0], &[0, 1, 1, 0]).unwrap();
        assert_eq!(one, other);
        assert_eq!((one.inputs(), one.labels()), (&[2.0, 4.0, 2.0, 5.0, -1.0, 0.0, 3.0, 1.0][..], &[0, 0, 1, 1][..]));
        let renamed = one.relabelled(&[4, 2]);
        assert_eq!(renamed, Support::new(&inputs, &[2, 4, 4, 2]).unwrap());
        assert!(Support::new(&[1.0, f32::NAN], &[0]).is_err() && Support::new(&[1.0], &[0, 1]).is_err());
    }

    #[test]
    fn draws_hold_every_class_equally_often() {
        let data = DataSpec::parse("digits@classes=4+5+6").unwrap().load().unwrap().train;
        let support = Support::draw(&data, 7, &Streams::new(1)).unwrap();
        assert_eq!(
            (0..4).map(|k| support.labels().iter().filter(|l| **l == k).count()).collect::<Vec<_>>(),
            [7, 7, 7, 0]
        );
        assert_ne!(support, Support::draw(&data, 7, &Streams::new(2)).unwrap());
        assert_eq!(Support::draw(&data, 10_000, &Streams::new(2)).unwrap().len(), data.len());
    }
}
