//! Statistics of batch normalisation re-estimated from data, as networks need them whose weights were averaged, sampled or merged.
//!
//! As PyTorch's `torch.optim.swa_utils.update_bn`: every batch goes through the network in training mode, and the running means and variances become the plain
//! means over the batches of the batches' means and unbiased variances. Cost: a forward and a backward pass a batch.
use crate::data::Dataset;
use crate::engine::{Engine, Mode};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::layout::Role;
use crate::loss::CrossEntropy;
use crate::streams::Streams;
use rayon::prelude::*;

/// Whether networks of this engine have statistics to estimate.
pub fn has_statistics(engine: &Engine) -> bool {
    engine.layout().slots().iter().any(|slot| slot.role == Role::RunningVariance)
}

/// Re-estimates the statistics of networks `thetas` `[M, P]` from `rows` in batches of `batch`, in the order of the rows; a last batch of one row is left out.
/// Dropout, where there is some, draws from `streams`, by the numbers of the networks: `first` and on. Networks without batch normalisation stay as they are.
///
/// # Errors
/// Rows that do not fit, no batch of two rows, statistics that are not finite, [`Error::Interrupted`].
pub fn recalibrate(
    engine: &Engine,
    thetas: &mut [f32],
    first: usize,
    rows: &Dataset,
    batch: usize,
    streams: &Streams,
) -> Result<()> {
    if !has_statistics(engine) {
        return Ok(());
    }
    engine.layout().check("networks", thetas)?;
    let order: Vec<usize> = (0..rows.len()).collect();
    let batches = order.chunks(batch.max(2)).filter(|rows| rows.len() > 1);
    let parts = batches.map(|own| {
        let part = rows.subset(own);
        Ok((engine.pack(&part.inputs)?, part.labels))
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    if parts.is_empty() {
        return Err(Error::parameter("rows to estimate statistics from", "at least 2", rows.len()));
    }
    let statistics: Vec<std::ops::Range<usize>> = engine
        .layout()
        .slots()
        .iter()
        .filter(|slot| matches!(slot.role, Role::RunningMean | Role::RunningVariance))
        .map(|slot| slot.range())
        .collect();
    thetas.par_chunks_exact_mut(engine.parameters()).enumerate().try_for_each(|(m, theta)| {
        let mut workspace = engine.workspace();
        let (mut gradient, mut mean) = (vec![0.0; theta.len()], vec![0.0f64; theta.len()]);
        for (i, (x, labels)) in parts.iter().enumerate() {
            interrupt::check()?;
            let loss = CrossEntropy::new(labels, engine.classes(), 0.0)?;
            let mode = Mode::Train { dropout: streams.index((first + m) as u64).index(i as u64) };
            engine.gradient(theta, x, mode, &loss, &mut gradient, &mut workspace);
            for at in statistics.iter().flat_map(Clone::clone) {
                mean[at] += (f64::from(gradient[at]) - mean[at]) / (i + 1) as f64;
            }
        }
        statistics.iter().flat_map(Clone::clone).for_each(|at| theta[at] = mean[at] as f32);
        Ok(())
    })?;
    engine.layout().check("re-estimated networks", thetas).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::init::Initialisation;

    #[test]
    fn statistics_are_means_over_batches_of_means_and_unbiased_variances() {
        let text = "input = [3]\n[[layers]]\nkind = \"batch-norm\"\n[[layers]]\nkind = \"dense\"\nout = 2\n";
        let engine = Engine::new(&Architecture::from_toml_str(text).unwrap()).unwrap();
        let mut theta = Initialisation::default().draw(engine.layout(), &Streams::new(1)).repeat(2);
        let before = theta.clone();
        let inputs: Vec<f32> = (0..33).map(|i| (i as f32 * 0.7).sin() * (1 + i % 3) as f32 + i as f32 / 9.0).collect();
        let labels: Vec<u32> = (0..11).map(|i| i % 2).collect();
        let normalisation =
            crate::data::Normalisation { mean: vec![0.0; 3], std: vec![1.0; 3], range: None, offset: vec![] };
        let rows = Dataset::new("rows", [3, 1, 1], 2, inputs.clone(), labels, normalisation).unwrap();
        // Batches of 4, 4 and 3 rows.
        recalibrate(&engine, &mut theta, 0, &rows, 4, &Streams::new(2)).unwrap();
        let slot = |role| engine.layout().slots().iter().find(|slot| slot.role == role).unwrap().range();
        let (means, variances) = (slot(Role::RunningMean), slot(Role::RunningVariance));
        for c in 0..3 {
            let (mut mean, mut variance) = (0.0, 0.0);
            for batch in inputs.chunks(12) {
                let column: Vec<f64> = batch.chunks(3).map(|row| f64::from(row[c])).collect();
                let m = column.iter().sum::<f64>() / column.len() as f64;
                mean += m / 3.0;
                variance += column.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (column.len() - 1) as f64 / 3.0;
            }
            for network in theta.chunks(engine.parameters()) {
                assert!((f64::from(network[means.start + c]) - mean).abs() < 1e-5);
                assert!((f64::from(network[variances.start + c]) - variance).abs() < 1e-4);
            }
        }
        let others = (0..engine.parameters()).filter(|i| !means.contains(i) && !variances.contains(i));
        assert!(others.into_iter().all(|i| theta[i] == before[i]), "weights stay");
        assert!(recalibrate(&engine, &mut theta, 0, &rows.first(1), 4, &Streams::new(2)).is_err());
    }
}
