//! Noise in the place of what a latent space leaves out of networks (M8): p(θ | y) as a law with a spread, not a point.
//!
//! A latent space decodes to what runs share; what is left of each is most of its distance from the others. On the runs of the split's validation part, which no
//! autoencoder saw, that residual θ − θ̂ has a mean square length T. The noise has the same, times the square of the weight that is asked for, and lies along
//! directions that decoded networks hardly feel ([`crate::space::flat`]): curvature about reconstructed runs, on inputs of the zoo's own training data. Its stiffness is the
//! one that changes their answers least, so that decoded networks are as far from each other in weights as runs are and answer as they did without; or, by `residual-answers`,
//! the one that changes as many of them as a share of those by which a run and its reconstruction differ.
use crate::model::FitConfig;
use crate::space::flat::{ByEngine, Curvature, FlatNoise, PROBES};
use crate::space::latent::Space;
use crate::{Error, Result, Streams};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{RunSplit, ZooStore};

/// Runs that the residual is measured on, at most.
const MEASURED: usize = 64;
/// Reconstructed runs that the curvature is measured about, at most.
const CENTRES: usize = 16;

/// The noise that `config` asks for, in units of the standardised weights' scale; none where its weight is 0.
///
/// # Errors
/// A zoo that does not know its architecture or its data, or whose networks are modelled in part; data that cannot be read; [`Error::Interrupted`].
pub(super) fn noise(
    zoo: &ZooStore,
    split: &RunSplit,
    config: &FitConfig,
    space: Space<'_>,
    progress: &dyn Progress,
) -> Result<Option<FlatNoise>> {
    let weight = config.residual_noise;
    if weight == 0.0 {
        return Ok(None);
    }
    let unknown = || {
        let expected = "0, or a zoo of whole networks that knows its architecture and data";
        Error::parameter("residual-noise", expected, weight)
    };
    let (architecture, data) = zoo.architecture().zip(zoo.data()).ok_or_else(unknown)?;
    let (engine, p) = (Engine::new(architecture)?, zoo.parameters());
    if engine.parameters() != p {
        return Err(unknown());
    }
    let inputs = data.load()?.train.first(PROBES).inputs;
    let probe = ByEngine { engine: &engine, inputs: &inputs };
    let runs = if split.validation.is_empty() { &split.train } else { &split.validation };
    let runs = &runs[..MEASURED.min(runs.len())];
    let (mut left, mut centres, mut originals) = (0.0, Vec::new(), Vec::new());
    for (i, run) in runs.iter().enumerate() {
        let theta = zoo.finals(&[*run])?;
        let decoded = space.reconstruct(&theta).0;
        left += theta.iter().zip(&decoded).map(|(w, d)| f64::from(w - d).powi(2)).sum::<f64>() / runs.len() as f64;
        if i < CENTRES {
            centres.extend(decoded);
            originals.extend(theta);
        }
    }
    let (scale, streams) = (space.coordinates.scale(), Streams::new(config.seed).child("fit").child("residual"));
    let mut curvature = Curvature::about(zoo.layout(), &centres, scale, &probe, &streams.child("sketches"))?;
    let (length, lengths) = (weight * left.sqrt(), streams.child("length"));
    let originals: Vec<&[f32]> = originals.chunks_exact(p).collect();
    let share = config.residual_answers;
    let chosen: Vec<&[f32]> = centres.chunks_exact(p).collect();
    let noised = |noise: &FlatNoise, i: usize| {
        let mut theta = chosen[i].to_vec();
        noise.clone().of_length(length, scale, &lengths).add(
            scale,
            &streams.child("noise").index(i as u64),
            &mut theta,
        );
        theta
    };
    let stiffness = curvature.choose((share, &originals), &chosen, &noised, &probe)?;
    progress.note(&format!("residual noise: length {length:.3}, stiffness {stiffness:e}"));
    Ok(Some(curvature.noise(stiffness).clone().of_length(length, scale, &lengths)))
}
