//! [`Summary`]: a zoo at a glance, for `thalweg zoo info`: sizes, course of the scores, spread of the final accuracies.
use super::origin::Origin;
use super::store::ZooStore;
use super::template::Template;
use crate::error::Result;
use crate::numbers::{is_float, quantile_of_rising};
use serde::Serialize;
use std::fmt;

/// What is worth knowing of a zoo. Scores are over the runs that did not fail; absent where a zoo has none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// What the user calls it.
    pub name: String,
    /// Its kind: independent, shared, fork, tail or imported.
    pub kind: String,
    /// What it is made of: an architecture's name, or "unknown".
    pub architecture: String,
    /// What it was trained on: a set's name, or "unknown".
    pub data: String,
    /// R.
    pub runs: usize,
    /// Dead runs among them.
    pub failed: usize,
    /// K.
    pub checkpoints: usize,
    /// P.
    pub parameters: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Scores at every checkpoint, `[K]`.
    pub course: Vec<Moment>,
    /// Final accuracies.
    pub accuracy: Option<Spread>,
    /// Final accuracies in ten bins of equal width.
    pub histogram: Vec<Bin>,
}

/// Means over runs at one checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Share of the run.
    pub time: f64,
    /// Mean validation loss.
    pub loss: f64,
    /// Mean validation accuracy.
    pub accuracy: f64,
}

/// Mean and quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Least.
    pub least: f64,
    /// 5 % quantile: the bar that a generated network must reach to count as good (M20).
    pub low: f64,
    /// Median.
    pub median: f64,
    /// 95 % quantile.
    pub high: f64,
    /// Largest.
    pub most: f64,
}

/// One bar.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Runs within; the last bin holds its upper edge.
    pub runs: usize,
}

const BINS: usize = 10;

impl Summary {
    /// Why there are no scores, where there are none.
    pub fn no_scores(&self) -> String {
        match self.failed == self.runs {
            true => format!("no scores: all {} runs failed (their losses left the finite numbers)", self.runs),
            false => "no scores: imported without architecture or data".into(),
        }
    }

    /// Of an opened zoo.
    ///
    /// # Errors
    /// A folder that cannot be read any more.
    pub fn of(zoo: &ZooStore) -> Result<Self> {
        let (name, kind) = (zoo.origin().name().to_owned(), zoo.spec().map_or("imported", |spec| spec.kind.name()));
        let kind = match zoo.origin() {
            Origin::Derived(derived) => format!("{kind}, {}", derived.how),
            _ => kind.to_owned(),
        };
        let (finished, k) = (zoo.finished_runs(), zoo.checkpoints());
        let scored = zoo.is_scored() && !finished.is_empty();
        let mean = |values: &[f32], at: usize| {
            finished.iter().map(|&run| f64::from(values[run * k + at])).sum::<f64>() / finished.len() as f64
        };
        let moment = |(at, &time): (usize, &f64)| Moment {
            time,
            loss: mean(zoo.losses(), at),
            accuracy: mean(zoo.accuracies(), at),
        };
        let mut finals: Vec<f64> = match scored {
            true => finished.iter().map(|&run| f64::from(zoo.accuracies()[run * k + k - 1])).collect(),
            false => Vec::new(),
        };
        finals.sort_unstable_by(f64::total_cmp);
        Ok(Self {
            name,
            kind,
            architecture: architecture(zoo)?,
            data: zoo.data().map_or("unknown".into(), |d| d.name.clone()),
            runs: zoo.runs(),
            failed: zoo.runs() - finished.len(),
            checkpoints: k,
            parameters: zoo.parameters(),
            bytes: zoo.bytes_on_disk()?,
            course: if scored { zoo.times().iter().enumerate().map(moment).collect() } else { Vec::new() },
            accuracy: spread(&finals),
            histogram: histogram(&finals),
        })
    }
}

/// What its networks are, and how much of them is modelled.
fn architecture(zoo: &ZooStore) -> Result<String> {
    let name = zoo.origin().whole_architecture().map_or("unknown", |a| a.name());
    let frozen = |template: &Template| {
        template.kept().filter(|(tensor, _)| is_float(tensor.dtype) && !tensor.shape.contains(&0)).count()
    };
    match zoo.template()?.as_ref().map(frozen) {
        Some(frozen) if frozen > 0 => {
            let modelled = zoo.layout().slots().len();
            Ok(format!("{name} ({modelled} tensors of {} modelled, the others frozen)", modelled + frozen))
        }
        _ => Ok(name.into()),
    }
}

/// Of rising values.
fn spread(sorted: &[f64]) -> Option<Spread> {
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let at = |share| quantile_of_rising(sorted, share);
    Some(Spread { mean, least, low: at(0.05), median: at(0.5), high: at(0.95), most })
}

fn histogram(sorted: &[f64]) -> Vec<Bin> {
    let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let width = (most - least) / BINS as f64;
    if width <= 0.0 {
        return vec![Bin { from: least, to: most, runs: sorted.len() }];
    }
    let edge = |i: usize| if i == BINS { most } else { least + i as f64 * width };
    let mut bins: Vec<Bin> = (0..BINS).map(|i| Bin { from: edge(i), to: edge(i + 1), runs: 0 }).collect();
    for value in sorted {
        bins[(((value - least) / width) as usize).min(BINS - 1)].runs += 1;
    }
    bins
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
        writeln!(f, "{name}{} zoo of {} on {}", self.kind, self.architecture, self.data)?;
        writeln!(
            f,
            "{} runs ({} failed), {} checkpoints, {} weights, {:.1} MB",
            self.runs,
            self.failed,
            self.checkpoints,
            self.parameters,
            self.bytes as f64 / 1e6
        )?;
        if !self.course.is_empty() {
            writeln!(f, "\n  time    loss  accuracy")?;
        }
        for moment in &self.course {
            writeln!(f, "  {:.2}  {:>6.3}  {:>8.3}", moment.time, moment.loss, moment.accuracy)?;
        }
        let Some(a) = &self.accuracy else { return writeln!(f, "\n{}", self.no_scores()) };
        writeln!(
            f,
            "\nfinal accuracy: mean {:.3}, least {:.3}, 5 % {:.3}, median {:.3}, 95 % {:.3}, most {:.3}",
            a.mean, a.least, a.low, a.median, a.high, a.most
        )?;
        let tallest = self.histogram.iter().map(|b| b.runs).max().unwrap_or(0).max(1);
        for bin in &self.histogram {
            let bar = "█".repeat((bin.runs * 40).div_ceil(tallest));
            writeln!(f, "  {:.3} – {:.3}  {:>6}  {bar}", bin.from, bin.to, bin.runs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_bins_of_known_values() {
        let values: Vec<f64> = (0..=100).map(|i| f64::from(i) / 100.0).collect();
        let s = spread(&values).unwrap();
        for (found, expected) in [(s.mean, 0.5), (s.low, 0.05), (s.median, 0.5), (s.high, 0.95), (s.most, 1.0)] {
            assert!((found - expected).abs() < 1e-12);
        }
        let bins = histogram(&values);
        assert_eq!(bins.iter().map(|b| b.runs).sum::<usize>(), 101);
        assert!(bins.len() == 10 && bins.iter().all(|b| (9..=12).contains(&b.runs)), "{bins:?}");
        assert_eq!(histogram(&[0.5; 4]), [Bin { from: 0.5, to: 0.5, runs: 4 }]);
        assert_eq!((spread(&[]), histogram(&[])), (None, vec![]));
    }
}
