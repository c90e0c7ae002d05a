//! The closed form of NM-JKO: [`FeaturePotential`]s, one for all steps or one a step, behind flat parameters as every net has them (M6).
//!
//! [`FeatureNet::solve`] is one least-squares problem a potential, over all training curves; there are no optimiser steps. Points are few-dimensional
//! (a PCA or another latent space): O(n d m²) for m = d + d(d + 1)/2 + Fourier features. Parameters are f32, the solve is f64.
use crate::field::feature_potential::{FeatureConfig, FeaturePotential, StepForm, StepPairs};
use crate::nn::parameters::impl_parameters;
use crate::{Error, Layout, Result, Streams};
use rayon::prelude::*;

/// Most dimensions of a space with a closed form: 64 have 2,144 quadratic features.
pub const MOST_DIMENSIONS: usize = 64;

/// Feature potentials whose numbers lie in one flat slice.
pub struct FeatureNet {
    config: FeatureConfig,
    dimension: usize,
    internal_energy: bool,
    streams: Streams,
    layout: Layout,
    parameters: Vec<f32>,
    potentials: usize,
}

impl_parameters!(FeatureNet);

impl FeatureNet {
    /// `potentials` flat potentials over points `[dimension]`; their Fourier features are drawn from `streams`.
    ///
    /// # Errors
    /// More than [`MOST_DIMENSIONS`] dimensions, or a number outside its range.
    pub fn new(
        config: &FeatureConfig,
        dimension: usize,
        potentials: usize,
        internal_energy: bool,
        streams: &Streams,
    ) -> Result<Self> {
        if dimension > MOST_DIMENSIONS {
            let expected = format!("a space of at most {MOST_DIMENSIONS} dimensions (latent = {{ pca = {{ … }} }})");
            return Err(Error::parameter("method.jko.potential = features", expected, dimension));
        }
        let features = FeaturePotential::unfitted(config, dimension, streams)?.features();
        let mut tensors = Vec::new();
        for i in 0..potentials {
            tensors.push((format!("potentials.{i}.weights"), vec![features]));
            if config.fourier > 0 {
                tensors.push((format!("potentials.{i}.frequencies"), vec![config.fourier, dimension]));
                tensors.push((format!("potentials.{i}.phases"), vec![config.fourier]));
            }
            tensors.push((format!("potentials.{i}.beta"), vec![1]));
        }
        let layout = Layout::of_tensors(tensors);
        let parameters = vec![0.0; layout.len()];
        let mut net = Self {
            config: config.clone(),
            dimension,
            internal_energy,
            streams: *streams,
            layout,
            parameters,
            potentials,
        };
        for i in 0..potentials {
            let flat = FeaturePotential::unfitted(config, dimension, &streams.index(i as u64))?;
            net.put(i, &flat);
        }
        Ok(net)
    }

    fn each(&self) -> usize {
        self.parameters.len() / self.potentials
    }

    fn put(&mut self, i: usize, potential: &FeaturePotential) {
        let each = self.each();
        let numbers = potential.numbers().map(|v| v as f32);
        self.parameters[i * each..(i + 1) * each].iter_mut().zip(numbers).for_each(|(p, v)| *p = v);
    }

    fn potential(&self, i: usize) -> FeaturePotential {
        let each = self.each();
        let numbers = self.parameters[i * each..(i + 1) * each].iter().map(|v| f64::from(*v));
        FeaturePotential::from_numbers(&self.config, self.dimension, numbers)
    }

    fn of_step(&self, step: usize) -> usize {
        step.min(self.potentials - 1)
    }

    /// β of `step`.
    pub fn beta(&self, step: usize) -> f64 {
        let each = self.each();
        f64::from(self.parameters[(self.of_step(step) + 1) * each - 1]).max(0.0)
    }

    /// ∇V of each row's step at `x [B, d]`, to `out [B, d]`.
    pub fn gradient(&self, x: &[f32], step_of_row: &dyn Fn(usize) -> usize, out: &mut [f32]) {
        let potentials: Vec<_> = (0..self.potentials).map(|i| self.potential(i)).collect();
        let d = self.dimension;
        let steps: Vec<usize> = (0..x.len() / d).map(|row| self.of_step(step_of_row(row))).collect();
        out.par_chunks_exact_mut(d).zip(x.par_chunks_exact(d)).zip(steps).for_each(|((out, x), step)| {
            let x: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
            let mut g = vec![0.0; d];
            potentials[step].gradient(&x, &mut g);
            out.iter_mut().zip(&g).for_each(|(o, g)| *o = *g as f32);
        });
    }

    /// Solves for all potentials from `curves [k + 1, n, d]` at `times [k + 1]`.
    ///
    /// # Errors
    /// As [`FeaturePotential::fit`].
    pub fn solve(&mut self, curves: &[f32], times: &[f64], form: StepForm) -> Result<()> {
        let (k, size) = (times.len() - 1, curves.len() / times.len());
        let points: Vec<Vec<f64>> =
            curves.chunks_exact(size).map(|m| m.iter().map(|v| f64::from(*v)).collect()).collect();
        let pairs: Vec<StepPairs> =
            (0..k).map(|i| StepPairs { old: &points[i], new: &points[i + 1], tau: times[i + 1] - times[i] }).collect();
        for i in 0..self.potentials {
            let own = if self.potentials == 1 { &pairs[..] } else { &pairs[i..=i] };
            let streams = self.streams.index(i as u64);
            let fitted =
                FeaturePotential::fit(&self.config, self.dimension, own, form, self.internal_energy, &streams)?;
            self.put(i, &fitted);
        }
        Ok(())
    }
}
