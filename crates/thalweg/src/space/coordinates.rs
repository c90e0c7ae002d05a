//! Standardised coordinates z = (y − μ)/s of weights θ (M2), where a flow is trained and integrated.
//!
//! y = θ, save for the running variances of batch normalisation, y = log(v + 1e-5): whatever the flow does to them, the
//! inverse max(e^y − 1e-5, 0) is a variance, and a large one does not stretch its scale. (1e-5 is what batch
//! normalisation itself adds before the root, so nothing that the network can see is lost near zero.)
//!
//! μ and s come from the final checkpoints of the training runs, streamed: memory is a few vectors `[P]`, whatever the zoo.
//! s is floored at 1e-6 of its median (1 where every number is constant), so a weight that never varies keeps its value
//! to six digits whatever the flow does. `Error` where such a weight would throw its source far off is the fit's business.
use crate::nn::dense;
use crate::{Error, Layout, Result};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thalweg_nets::layout::Role;

const VARIANCE_OFFSET: f32 = 1e-5;
const FLOOR: f64 = 1e-6;

/// How many numbers share one μ and s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standardiser {
    /// One μ and s for each weight: the default, and the recipe that trains best.
    #[default]
    PerParameter,
    /// One for each tensor: keeps the shape of a tensor's own spread.
    PerTensor,
    /// One for all weights (and one for all running variances): distances stay proportional to those between weights.
    Global,
    /// μ = 0 and s = 1: weights as they are. For recipes that have it so; steps and noise are then in the units of weights.
    None,
}

/// The map between weights θ and coordinates z. Invertible; stored in the model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinates {
    standardiser: Standardiser,
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// Ranges of θ that are taken by their logarithm.
    variances: Vec<Range<usize>>,
}

impl Coordinates {
    /// Fits μ and s to chunks of networks `[n, P]`, each read once and dropped.
    ///
    /// # Errors
    /// No network at all, a chunk that is not `[n, P]` or not finite, a negative running variance, or the chunk's own error.
    pub fn fit(
        standardiser: Standardiser,
        layout: &Layout,
        chunks: impl IntoIterator<Item = Result<Vec<f32>>>,
    ) -> Result<Self> {
        let variances = variances(layout);
        let mut moments = Moments::new(layout.len());
        for chunk in chunks {
            let mut chunk = chunk?;
            layout.check("weights to standardise by", &chunk)?;
            logarithms(&variances, layout, &mut chunk)?;
            moments.push(&chunk);
        }
        if moments.count == 0 {
            return Err(Error::parameter("standardiser", "at least one network to fit to", "none"));
        }
        let (mean, mut scale) = moments.pooled(standardiser, layout, &variances);
        scale.iter_mut().for_each(|v| *v = v.sqrt());
        // The median of an all but constant set can be 0 itself: then the largest stands in for it, then 1.
        let (mut order, middle) = (scale.clone(), scale.len() / 2);
        let median = *order.select_nth_unstable_by(middle, f64::total_cmp).1;
        let largest = order.iter().copied().fold(0.0, f64::max);
        drop(order);
        let typical = [median, largest, 1.0 / FLOOR].into_iter().find(|&s| s > 0.0).unwrap_or(1.0);
        scale.iter_mut().for_each(|s| *s = s.max(FLOOR * typical));
        let single = |x: Vec<f64>| x.into_iter().map(|v| v as f32).collect();
        Ok(Self { standardiser, mean: single(mean), scale: single(scale), variances })
    }

    /// Puts together what a model file holds.
    ///
    /// ```
    /// use thalweg::{Coordinates, Layout, Standardiser};
    /// let layout = Layout::of_tensors([("w".to_owned(), vec![2])]);
    /// let coordinates = Coordinates::from_parts(Standardiser::PerParameter, &layout, vec![1.0, -2.0], vec![0.5, 4.0])?;
    /// let mut theta = [2.0, 2.0];
    /// coordinates.standardise(&mut theta); // (θ − μ)/s
    /// assert_eq!(theta, [2.0, 1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where μ or s is not `[P]`, not finite, or s is not above 0.
    pub fn from_parts(standardiser: Standardiser, layout: &Layout, mean: Vec<f32>, scale: Vec<f32>) -> Result<Self> {
        for (what, x) in [("coordinates.mean", &mean), ("coordinates.scale", &scale)] {
            if x.len() != layout.len() {
                return Err(Error::shape(what, format!("[{}]", layout.len()), format!("[{}]", x.len())));
            }
            if let Some(i) = x.iter().position(|v| !v.is_finite()) {
                let place = format!("index {i}");
                return Err(Error::NotFinite { what: what.into(), place, value: f64::from(x[i]) });
            }
        }
        if let Some(i) = scale.iter().position(|&s| s <= 0.0) {
            return Err(Error::parameter(format!("coordinates.scale[{i}]"), "a number above 0", scale[i]));
        }
        Ok(Self { standardiser, mean, scale, variances: variances(layout) })
    }

    /// The choice made at the fit.
    pub fn standardiser(&self) -> Standardiser {
        self.standardiser
    }

    /// μ `[P]`.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// s `[P]`.
    pub fn scale(&self) -> &[f32] {
        &self.scale
    }

    /// P.
    pub fn dimension(&self) -> usize {
        self.mean.len()
    }

    /// θ → z in place, `[n, P]`.
    pub fn standardise(&self, theta: &mut [f32]) {
        self.standardise_columns(0..self.dimension(), theta);
    }

    /// θ → z of the numbers `columns` alone, in place, `[n, columns]`.
    pub(crate) fn standardise_columns(&self, columns: Range<usize>, theta: &mut [f32]) {
        let (mean, scale, wide) = (&self.mean[columns.clone()], &self.scale[columns.clone()], columns.len().max(1));
        let within = |v: &Range<usize>| v.start.max(columns.start)..v.end.min(columns.end);
        let logged: Vec<_> = self.variances.iter().map(within).filter(|v| !v.is_empty()).collect();
        theta.par_chunks_exact_mut(wide).for_each(|row| {
            for v in logged.iter().flat_map(Clone::clone) {
                let value = &mut row[v - columns.start];
                *value = (value.max(0.0) + VARIANCE_OFFSET).ln();
            }
            for (x, (m, s)) in row.iter_mut().zip(mean.iter().zip(scale)) {
                *x = (*x - m) / s;
            }
        });
    }

    /// z → θ in place, `[n, P]`.
    pub fn destandardise(&self, z: &mut [f32]) {
        z.par_chunks_exact_mut(self.dimension()).for_each(|row| {
            dense::multiply_add(row, &self.scale, &self.mean);
            for v in self.variances.iter().flat_map(Clone::clone) {
                row[v] = (row[v].exp() - VARIANCE_OFFSET).max(0.0);
            }
        });
    }

    /// Pulls a gradient with respect to θ back to z in place, `[n, P]`, at weights `theta [n, P]` (M13).
    pub fn pull_back(&self, theta: &[f32], gradient: &mut [f32]) {
        let p = self.dimension();
        gradient.par_chunks_exact_mut(p).zip(theta.par_chunks_exact(p)).for_each(|(row, theta)| {
            for v in self.variances.iter().flat_map(Clone::clone) {
                row[v] *= theta[v] + VARIANCE_OFFSET;
            }
            for (g, s) in row.iter_mut().zip(&self.scale) {
                *g *= s;
            }
        });
    }
}

/// Where running variances lie; imported layouts know no roles, but PyTorch's name tells.
fn variances(layout: &Layout) -> Vec<Range<usize>> {
    let is_variance = |role, name: &str| match role {
        Role::RunningVariance => true,
        Role::Unknown => name.rsplit('.').next() == Some("running_var"),
        _ => false,
    };
    layout.slots().iter().filter(|s| is_variance(s.role, &s.name)).map(|s| s.range()).collect()
}

/// Takes the logarithms of running variances in `theta [n, P]`.
fn logarithms(variances: &[Range<usize>], layout: &Layout, theta: &mut [f32]) -> Result<()> {
    for row in theta.chunks_exact_mut(layout.len()) {
        for v in variances.iter().flat_map(Clone::clone) {
            if row[v] < 0.0 {
                return Err(Error::parameter(format!("running variance at weight {v}"), "at least 0", row[v]));
            }
            row[v] = (row[v] + VARIANCE_OFFSET).ln();
        }
    }
    Ok(())
}

/// Mean and squared deviations of rows, updated one row at a time (Welford), in the order of the rows.
struct Moments {
    count: usize,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn new(dimension: usize) -> Self {
        Self { count: 0, mean: vec![0.0; dimension], squares: vec![0.0; dimension] }
    }

    /// Takes `rows [n, P]`.
    fn push(&mut self, rows: &[f32]) {
        const COLUMNS: usize = 1 << 14;
        let (before, p) = (self.count, self.mean.len());
        let columns = self.mean.par_chunks_mut(COLUMNS).zip(self.squares.par_chunks_mut(COLUMNS)).enumerate();
        columns.for_each(|(i, (mean, squares))| {
            for (row, x) in rows.chunks_exact(p).enumerate() {
                let n = (before + row + 1) as f64;
                dense::vectorised(|| {
                    for ((mean, square), &x) in mean.iter_mut().zip(&mut *squares).zip(&x[i * COLUMNS..]) {
                        let delta = f64::from(x) - *mean;
                        *mean += delta / n;
                        *square += delta * (f64::from(x) - *mean);
                    }
                });
            }
        });
        self.count += rows.len() / p;
    }

    /// Mean and variance of every number, `[P]` each, those of its group.
    fn pooled(mut self, standardiser: Standardiser, layout: &Layout, logged: &[Range<usize>]) -> (Vec<f64>, Vec<f64>) {
        let groups: Vec<Vec<Range<usize>>> = match standardiser {
            Standardiser::PerParameter => vec![],
            Standardiser::None => return (vec![0.0; layout.len()], vec![1.0; layout.len()]),
            Standardiser::PerTensor => layout.slots().iter().map(|s| vec![s.range()]).collect(),
            Standardiser::Global => vec![without(logged, layout.len()), logged.to_vec()],
        };
        let pooled: Vec<_> = groups.iter().map(|group| self.pool(group)).collect();
        let count = self.count as f64;
        self.squares.iter_mut().for_each(|s| *s /= count);
        for (group, (mean, variance)) in groups.into_iter().zip(pooled) {
            for range in group {
                self.mean[range.clone()].fill(mean);
                self.squares[range].fill(variance);
            }
        }
        (self.mean, self.squares)
    }

    /// Mean and variance of the numbers of `group` taken together.
    fn pool(&self, group: &[Range<usize>]) -> (f64, f64) {
        let all = || group.iter().flat_map(Clone::clone);
        let n = all().count().max(1) as f64;
        let centre = all().map(|i| self.mean[i]).sum::<f64>() / n;
        let within = all().map(|i| self.squares[i]).sum::<f64>() / (n * self.count as f64);
        let between = all().map(|i| (self.mean[i] - centre).powi(2)).sum::<f64>() / n;
        (centre, within + between)
    }
}

/// What of 0..p lies outside `ranges`, which rise.
fn without(ranges: &[Range<usize>], p: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain([p]);
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;
    use thalweg_nets::Architecture;
    use thalweg_nets::testing::partial;

    const NET: &str = "input = [1, 4, 4]\nlayers = [{ kind = \"conv\", out = 3, kernel = 2 }, { kind = \"batch-norm\" }, { kind = \"flatten\" }, { kind = \"dense\", out = 2 }]";

    fn networks(layout: &Layout, n: usize) -> Vec<f32> {
        let mut rng = Streams::new(5).rng();
        (0..n * layout.len()).map(|i| rng.random::<f32>() * (1.0 + (i % layout.len()) as f32)).collect()
    }

    fn fit(standardiser: Standardiser, layout: &Layout, theta: &[f32]) -> Coordinates {
        let chunks = theta.chunks(3 * layout.len()).map(|c| Ok(c.to_vec()));
        Coordinates::fit(standardiser, layout, chunks).unwrap()
    }

    #[test]
    fn standardised_weights_have_mean_zero_and_variance_one_in_every_group() {
        let layout = Layout::of(&Architecture::from_toml_str(NET).unwrap());
        let (p, n) = (layout.len(), 40);
        let theta = networks(&layout, n);
        let all = [Standardiser::PerParameter, Standardiser::PerTensor, Standardiser::Global, Standardiser::None];
        for standardiser in all {
            let coordinates = fit(standardiser, &layout, &theta);
            let mut z = theta.clone();
            coordinates.standardise(&mut z);
            let groups: Vec<Vec<usize>> = match standardiser {
                Standardiser::PerParameter => (0..p).map(|i| vec![i]).collect(),
                Standardiser::PerTensor => layout.slots().iter().map(|s| s.range().collect()).collect(),
                Standardiser::None => vec![],
                Standardiser::Global => {
                    vec![(0..p).filter(|i| !coordinates.variances[0].contains(i)).collect()]
                }
            };
            for group in groups {
                let values: Vec<f64> =
                    (0..n).flat_map(|r| group.iter().map(|i| f64::from(z[r * p + i])).collect::<Vec<_>>()).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
                assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{standardiser:?} {mean} {variance}");
            }
            let weights = ..coordinates.variances[0].start;
            assert!(standardiser != Standardiser::None || z[weights] == theta[weights], "weights as they are");
            coordinates.destandardise(&mut z);
            for (a, b) in z.iter().zip(&theta) {
                assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{standardiser:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn columns_standardise_as_whole_networks_do() {
        let layout = Layout::of(&Architecture::from_toml_str(NET).unwrap());
        let (p, theta) = (layout.len(), networks(&layout, 6));
        let coordinates = fit(Standardiser::Global, &layout, &theta);
        let mut whole = theta.clone();
        coordinates.standardise(&mut whole);
        for columns in [0..p, 3..4, 10..p - 2, 0..0] {
            let of =
                |all: &[f32]| all.chunks_exact(p).flat_map(|row| row[columns.clone()].to_vec()).collect::<Vec<_>>();
            let mut part = of(&theta);
            coordinates.standardise_columns(columns.clone(), &mut part);
            assert_eq!(part, of(&whole));
        }
        assert_eq!(without(&[2..4, 4..5, 8..9], 9), vec![0..2, 5..8]);
    }

    #[test]
    fn running_variances_stay_variances() {
        let layout = Layout::of(&Architecture::from_toml_str(NET).unwrap());
        let coordinates = fit(Standardiser::PerParameter, &layout, &networks(&layout, 10));
        let slot = layout.slots().iter().find(|s| s.role == Role::RunningVariance).unwrap();
        let mut z = vec![-20.0; layout.len()];
        coordinates.destandardise(&mut z);
        assert!(z[slot.range()].iter().all(|&v| v >= 0.0), "{:?}", &z[slot.range()]);
        assert!(z[0] < 0.0);
        let imported = Layout::of_tensors([("bn.running_var".to_string(), vec![2]), ("w".to_string(), vec![3])]);
        assert_eq!(variances(&imported), vec![0..2]);
    }

    #[test]
    fn constant_weights_keep_their_value() {
        let layout = Layout::of_tensors([("w".to_string(), vec![4])]);
        let theta = [1.0, 5.0, 7.0, 2.0, 1.0, 6.0, 8.0, 4.0];
        let coordinates = fit(Standardiser::PerParameter, &layout, &theta);
        assert!(coordinates.scale()[0] > 0.0 && coordinates.scale()[0] <= 1e-6);
        let mut z = [3.0, 0.0, 0.0, 0.0];
        coordinates.destandardise(&mut z);
        assert!((z[0] - 1.0).abs() < 1e-5 && z[1..] == [5.5, 7.5, 3.0], "{z:?}");
        // No spread at all: the identity but for the mean.
        assert_eq!(fit(Standardiser::PerParameter, &layout, &theta[..4]).scale(), [1.0; 4]);
    }

    #[test]
    fn gradients_pull_back_as_finite_differences_say() {
        let layout = Layout::of(&Architecture::from_toml_str(NET).unwrap());
        let p = layout.len();
        let theta = networks(&layout, 8);
        let coordinates = fit(Standardiser::PerParameter, &layout, &theta);
        let r = |theta: &[f32]| theta.iter().map(|t| (f64::from(*t) / 20.0).sin()).sum::<f64>();
        let mut gradient: Vec<f32> = theta[..p].iter().map(|t| (t / 20.0).cos() / 20.0).collect();
        coordinates.pull_back(&theta[..p], &mut gradient);
        let mut z = theta[..p].to_vec();
        coordinates.standardise(&mut z);
        for i in 0..p {
            let numeric = partial(&z, i, 1e-2, |z| {
                let mut theta = z.to_vec();
                coordinates.destandardise(&mut theta);
                r(&theta)
            });
            assert!(
                (numeric - f64::from(gradient[i])).abs() < 1e-2 * (0.1 + numeric.abs()),
                "{i}: {numeric} {}",
                gradient[i]
            );
        }
    }

    #[test]
    fn nothing_and_nonsense_are_refused() {
        let layout = Layout::of_tensors([("w".to_string(), vec![2])]);
        assert!(Coordinates::fit(Standardiser::Global, &layout, []).is_err());
        assert!(Coordinates::fit(Standardiser::Global, &layout, [Ok(vec![1.0, f32::NAN])]).is_err());
        let message = Coordinates::from_parts(Standardiser::Global, &layout, vec![0.0; 2], vec![1.0, 0.0])
            .unwrap_err()
            .to_string();
        assert!(message.contains("coordinates.scale[1]"), "{message}");
    }
}
