//! What a fit holds in memory at its peak, told before anything is allocated, and settings that fit where it does not.
use crate::Result;
use crate::field::{EquivariantConfig, FieldConfig, Gate, ResidualMlpConfig};
use crate::method::regression::judged_at_once;
use crate::model::FitConfig;
use crate::path::curves;
use crate::space::latent::{CoderConfig, LatentConfig, PcaConfig};
use crate::space::principal::BLOCK;
use thalweg_nets::memory::{self, Need};
use thalweg_nets::zoo::{RunSplit, ZooStore};

/// Sets of parameters of a training by steps: its own, the gradient, two moments, the average, the best.
const SETS: usize = 6;

/// Numbers of a batch's points that a step holds for each number of a curve's end: x and u, the field's copy of x, its gates and their derivatives,
/// velocities.
const STEP: usize = 7;

/// Components of the latent space that is proposed where a field over weights does not fit.
const PROPOSED: usize = 16;

/// What a fit is to be made to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// P.
    pub parameters: usize,
    /// Runs trained on and chosen on.
    pub runs: usize,
    /// K.
    pub checkpoints: usize,
}

/// Checks that the memory budget holds a fit of `config` to the runs of `zoo` in `split`.
///
/// # Errors
/// [`crate::Error::Memory`], with settings that fit.
pub(super) fn check(zoo: &ZooStore, config: &FitConfig, split: &RunSplit) -> Result<()> {
    let runs = split.train.len() + split.validation.len();
    let sizes = Sizes { parameters: zoo.parameters(), runs, checkpoints: zoo.checkpoints() };
    of_sizes(config, sizes).check(|| instead(config, sizes))
}

/// The need of a fit of `config` to so much.
pub(super) fn of_sizes(config: &FitConfig, sizes: Sizes) -> Need {
    let (p, name) = (sizes.parameters, config.method.name());
    let space = config.latent.as_ref().map_or("weights".to_owned(), |latent| format!("latents ({})", latent.name()));
    let d = config.latent.as_ref().map_or(p, LatentConfig::dimension);
    let marginals = config.method.marginals();
    let q = config.method.numbers(sizes.runs, d, &config.field);
    let closed = config.method.is_solved();
    let kept =
        [marginals, sizes.runs, d, 4].iter().fold(1usize, |n, &size| n.saturating_mul(size)).min(curves::budget());
    // Mean, squares and the order of their roots in double precision while they are made, then mean and scale.
    let mut need = Need::of(format!("fitting {name} on {space} to networks of {p} weights"))
        .numbers("standardisation", &[p, 9])
        .numbers("parameters with the optimiser's state", &[q, if closed { 1 } else { SETS }])
        .bytes("points that are kept", &[kept])
        .bytes("a cache of networks", &[memory::cached(thalweg_nets::zoo::BUDGET)]);
    if closed {
        // Both marginals of all runs: as rows, and together.
        need = need.numbers("curves to solve from", &[sizes.runs, d, 4]);
    } else {
        let fresh = marginals + if config.latent.is_some() { 0 } else { 1 };
        need = need.numbers("a batch", &[config.batch, d, STEP + fresh]);
        let at_work = config.field.numbers_at_work();
        if at_work > 0 {
            let rows = config.batch.max(judged_at_once(d).min(config.validation_points));
            need = need.numbers("states of nodes and their messages", &[rows, at_work]);
        }
    }
    if config.residual_noise > 0.0 {
        // Deviations, eigenvectors of both axes, and the sums that they are made from, of tensors about as wide as high.
        need = need.numbers("residual noise", &[p, 9]);
    }
    need = need.numbers("validation points", &[config.validation_points.min(1 << 40), d, 2 + marginals]);
    match &config.latent {
        None => need,
        Some(LatentConfig::Pca(pca)) => need
            .numbers("principal components", &[p, pca.dimension + 1])
            .bytes(
                "a block of networks",
                &[BLOCK.min(sizes.runs.saturating_mul(sizes.checkpoints).saturating_mul(p)), 20],
            )
            .bytes("networks under reconstruction", &[memory::rows(64 * p as u64, 256), p, 16]),
        Some(latent @ (LatentConfig::Vae(_) | LatentConfig::Denoising(_))) => {
            let (coder, training) = match latent {
                LatentConfig::Vae(c) => (&c.coder, &c.training),
                LatentConfig::Denoising(c) => (&c.coder, &c.training),
                LatentConfig::Pca(_) => unreachable!("matched above"),
            };
            // The first layer of the encoder and the last of the decoder are what grows with P.
            let wide = match coder {
                CoderConfig::Mlp(c) => [p, 2 * c.width + 1, SETS],
                CoderConfig::Tokens(c) => [c.width * c.width, 16 * (c.blocks + 1), SETS],
            };
            let points = latent.most_points(p).min(sizes.runs.saturating_mul(sizes.checkpoints));
            need.numbers("the autoencoder with its optimiser's state", &wide)
                .numbers("networks that it learns from", &[points, p, 2])
                .numbers("a batch of networks", &[training.batch, p, 6])
        }
    }
}

/// Settings with which the fit fits, if any do: fewer points at once, a smaller gate, or principal components.
fn instead(config: &FitConfig, sizes: Sizes) -> Option<String> {
    let told = |config: &FitConfig, settings: String| {
        let need = of_sizes(config, sizes);
        need.fits().then(|| format!("{settings} ({})", need.total().map_or(String::new(), memory::size)))
    };
    let fewer = [2, 4, 8].into_iter().find_map(|less| {
        let (batch, points) = ((config.batch / less).max(1), (config.validation_points / (4 * less)).max(1));
        let smaller = FitConfig { batch, validation_points: points, ..config.clone() };
        told(&smaller, format!("batch={batch} validation-points={points}"))
    });
    if let FieldConfig::Equivariant(field) = &config.field {
        return fewer.or_else(|| {
            [2, 4, 8].into_iter().find_map(|less| {
                let width = (field.width / less).max(1);
                let field = FieldConfig::Equivariant(EquivariantConfig { width, ..field.clone() });
                let batch = (config.batch / 8).max(1);
                let points = (config.validation_points / 32).max(1);
                let smaller = FitConfig { batch, validation_points: points, field, ..config.clone() };
                told(&smaller, format!("field.equivariant.width={width} batch={batch} validation-points={points}"))
            })
        });
    }
    let leaner = || {
        let FieldConfig::ResidualMlp(field) = &config.field else { return None };
        if !field.gate.is_full() {
            return None;
        }
        let field = FieldConfig::ResidualMlp(ResidualMlpConfig { gate: Gate::LowRank, ..field.clone() });
        let (batch, points) = ((config.batch / 8).max(1), (config.validation_points / 32).max(1));
        let smaller = FitConfig { batch, validation_points: points, field, ..config.clone() };
        told(&smaller, format!("field.residual-mlp.gate=low-rank batch={batch} validation-points={points}"))
    };
    fewer.or_else(leaner).or_else(|| {
        let pca = LatentConfig::Pca(PcaConfig::of(PROPOSED));
        let smaller = FitConfig { latent: Some(pca), ..config.clone() };
        let few = sizes.runs.saturating_mul(sizes.checkpoints) <= PROPOSED;
        told(&smaller, format!("latent.pca.dimension={PROPOSED}")).filter(|_| config.latent.is_none() && !few)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::MethodConfig;

    const LARGE: Sizes = Sizes { parameters: 11_000_000_000, runs: 30, checkpoints: 1 };

    #[test]
    fn what_does_not_fit_is_refused_with_bytes_and_what_can_be_had_is_named() {
        let config = FitConfig::default();
        let said = of_sizes(&config, LARGE).check(|| instead(&config, LARGE)).unwrap_err().to_string();
        assert!(said.contains("fitting cfm on weights to networks of 11000000000 weights: needs"), "{said}");
        assert!(
            said.contains("parameters with the optimiser's state 11.1 TB") && !said.contains("what fits"),
            "{said}"
        );
        let small = Sizes { parameters: 100_000, ..LARGE };
        let many = FitConfig { validation_points: 1 << 20, batch: 1 << 16, ..config.clone() };
        let said = of_sizes(&many, small).check(|| instead(&many, small)).unwrap_err().to_string();
        assert!(said.contains("what fits: latent.pca.dimension=16") || said.contains("what fits: batch="), "{said}");
        assert!(of_sizes(&config, small).fits());
    }

    #[test]
    fn needs_grow_as_the_sizes_do() {
        let at =
            |config: &FitConfig, p: usize| of_sizes(config, Sizes { parameters: p, ..LARGE }).total().unwrap() as f64;
        let mut config = FitConfig::default();
        let fixed = at(&config, 0);
        let full = (at(&config, 2_000_000) - fixed) / (at(&config, 1_000_000) - fixed);
        assert!((full - 2.0).abs() < 0.05, "{full}");
        let before = at(&config, 1_000_000);
        config.field =
            FieldConfig::ResidualMlp(ResidualMlpConfig { width: 4, gate: Gate::Shared, ..Default::default() });
        assert!(before - at(&config, 1_000_000) > 32e6 * 4.0 * SETS as f64 * 0.99);
        for name in MethodConfig::NAMES {
            let config = FitConfig { method: MethodConfig::named(name).unwrap(), ..FitConfig::default() };
            assert!(at(&config, 1_000_000) > 4e6 * 10.0, "{name}");
        }
    }
}
