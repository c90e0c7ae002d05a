//! Ways in which rows that are like P's become others: some harm f and some do not, which is measured and not assumed.
use serde::{Deserialize, Serialize};
use thalweg::Streams;
use thalweg::shift::Base;
use thalweg_nets::data::Dataset;
use thalweg_nets::streams::shuffle;
use thalweg_nets::testing::normals;

/// A change of rows.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// All values in the file's units times a factor.
    Gain { factor: f32 },
    /// Gaussian noise, in deviations of each feature.
    Noise { deviations: f32 },
    /// The feature that f relies on most stands still, so many deviations above its mean.
    Stuck { deviations: f32 },
    /// The feature that f relies on least, moved.
    Irrelevant { deviations: f32 },
    /// Rows of the class that f knows least alone.
    Hardest,
    /// Rows of the class that f knows best alone.
    Easiest,
    /// Rows that f is surer of than of three tenths of them.
    Sure,
}

impl Change {
    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Change::Gain { factor } => format!("values × {factor}"),
            Change::Noise { deviations } => format!("noise of {deviations} deviations"),
            Change::Stuck { deviations } => format!("weightiest feature stuck at {deviations}"),
            Change::Irrelevant { deviations } => format!("idlest feature moved by {deviations}"),
            Change::Hardest => "hardest class alone".into(),
            Change::Easiest => "easiest class alone".into(),
            Change::Sure => "rows that f is sure of".into(),
        }
    }

    /// `rows` changed, of which f says what `base` does; which features and classes f knows is found on `known` rows.
    ///
    /// # Errors
    /// Rows that do not fit f.
    pub fn of(self, rows: &Dataset, known: &Dataset, base: &Base, streams: &Streams) -> thalweg::Result<Dataset> {
        let wide = rows.input_len();
        let mut out = rows.clone();
        let each = |out: &mut Dataset, column: usize, of: &dyn Fn(f32) -> f32| {
            out.inputs.iter_mut().skip(column).step_by(wide).for_each(|x| *x = of(*x));
        };
        match self {
            Change::Gain { factor } => {
                let normal = &rows.normalisation;
                let plane = wide / normal.mean.len();
                for (j, x) in out.inputs.iter_mut().enumerate() {
                    let c = j % wide / plane;
                    *x = (factor * (*x * normal.std[c] + normal.mean[c]) - normal.mean[c]) / normal.std[c];
                }
            }
            Change::Noise { deviations } => {
                let noise = normals(&streams.child("noise"), out.inputs.len());
                out.inputs.iter_mut().zip(noise).for_each(|(x, e)| *x += deviations * e);
            }
            Change::Stuck { deviations } => {
                let most = weights(known, base, streams)?.last().copied().unwrap_or(0);
                each(&mut out, most, &|_| deviations);
            }
            Change::Irrelevant { deviations } => {
                let least = weights(known, base, streams)?.first().copied().unwrap_or(0);
                each(&mut out, least, &|x| x + deviations);
            }
            Change::Hardest | Change::Easiest => {
                let classes = by_accuracy(known, base)?;
                let class = if self == Change::Hardest { classes.first() } else { classes.last() };
                let kept: Vec<usize> = (0..rows.len()).filter(|&i| Some(&rows.labels[i]) == class).collect();
                out = rows.subset(&kept);
            }
            Change::Sure => {
                let sure = |rows: &Dataset| -> thalweg::Result<Vec<f32>> {
                    let sample = base.sample(&rows.inputs)?;
                    let most = |p: &[f32]| p.iter().copied().fold(0.0, f32::max);
                    Ok(sample.probabilities().chunks_exact(sample.classes()).map(most).collect())
                };
                let (sure, mut sorted) = (sure(rows)?, sure(known)?);
                sorted.sort_by(f32::total_cmp);
                let least = sorted[sorted.len() * 3 / 10];
                out = rows.subset(&(0..rows.len()).filter(|&i| sure[i] >= least).collect::<Vec<_>>());
            }
        }
        Ok(out)
    }
}

fn right(base: &Base, inputs: &[f32], labels: &[u32]) -> thalweg::Result<f64> {
    let predictions = base.sample(inputs)?.predictions();
    Ok(predictions.iter().zip(labels).filter(|(a, b)| a == b).count() as f64 / labels.len() as f64)
}

/// The features by how much accuracy f loses where their values are permuted among the rows, the least first.
fn weights(rows: &Dataset, base: &Base, streams: &Streams) -> thalweg::Result<Vec<usize>> {
    let (wide, n) = (rows.input_len(), rows.len());
    let mut lost = Vec::with_capacity(wide);
    for column in 0..wide {
        let mut order: Vec<usize> = (0..n).collect();
        shuffle(&mut order, &mut streams.child("weights").index(column as u64).rng());
        let mut inputs = rows.inputs.clone();
        (0..n).for_each(|i| inputs[i * wide + column] = rows.inputs[order[i] * wide + column]);
        lost.push((-right(base, &inputs, &rows.labels)?, column));
    }
    lost.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    Ok(lost.into_iter().map(|(_, column)| column).collect())
}

/// The classes by f's accuracy on their rows, the least first.
fn by_accuracy(rows: &Dataset, base: &Base) -> thalweg::Result<Vec<u32>> {
    let mut classes: Vec<u32> = rows.labels.clone();
    classes.sort_unstable();
    classes.dedup();
    let predictions = base.sample(&rows.inputs)?.predictions();
    let share = |class: u32| {
        let own = predictions.iter().zip(&rows.labels).filter(|(_, label)| **label == class);
        let (right, n) = own.fold((0.0, 0.0), |(right, n), (p, _)| (right + f64::from(u8::from(*p == class)), n + 1.0));
        right / n
    };
    classes.sort_by(|a, b| share(*a).total_cmp(&share(*b)));
    Ok(classes)
}
