//! The rivals of M24 at as many gradients: Adam, Muon (Jordan 2024, with Moonlight's scale, so that one rate serves all tensors), SOAP (Vyas et al. 2024) and FOOF (Benzing
//! 2022), each with a rate that falls along half a cosine, to be tuned for the number of steps.
use super::direction::normalise;
use super::orthogonal::orthogonalised;
use super::whitened::whitened;
use super::{INPUTS, check, finite, inputs_of, mix, trained};
use crate::reward::Reward;
use crate::{Error, Layout, Result, Streams, interrupt};
use faer::{Mat, Side};
use rayon::prelude::*;
use thalweg_nets::layout::Slot;
use thalweg_nets::train::Schedule;

/// Decays of SOAP's and Muon's second moments, SOAP's factors among them.
const SECOND: f32 = 0.95;
/// Steps between two eigenbases of SOAP.
const REFRESH: usize = 5;
/// Longest side of a matrix that SOAP takes the eigenbasis of.
const WIDEST: usize = 512;
const EPSILON: f32 = 1e-8;
/// Root mean square of Muon's updates, as large as Adam's are.
const MUON: f32 = 0.2;

/// How a gradient becomes an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam (β₁, β₂) on every tensor.
    Adam {
        /// Memories of the moments.
        betas: [f32; 2],
    },
    /// Matrices by the orthogonal factor of their Nesterov momentum, the rest by Adam.
    Muon {
        /// Memory of the momentum.
        momentum: f32,
    },
    /// Matrices by Adam in the eigenbases of their Kronecker factors, the rest by Adam.
    Soap {
        /// Memory of the first moment.
        momentum: f32,
    },
    /// Weights of dense layers by their momentum with the second moment of their inputs taken out, as large as Muon's updates; the rest by Adam.
    Foof {
        /// Memory of the momentum.
        momentum: f32,
        /// Damping, in mean eigenvalues of the second moment.
        damping: f64,
    },
}

/// Ascent of a reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent {
    /// The rule.
    pub rule: Rule,
    /// The rate of the first step.
    pub rate: f64,
}

impl Ascent {
    /// Networks `[n, P]` after `steps` gradients from `starts [n, P]`, on the batches that [`super::Refiner::refine`] would see.
    ///
    /// # Errors
    /// As [`super::Refiner::refine`].
    pub fn run(
        &self,
        layout: &Layout,
        starts: &[f32],
        steps: usize,
        reward: &dyn Reward,
        streams: &Streams,
    ) -> Result<Vec<f32>> {
        check(layout, starts, reward)?;
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return Err(Error::parameter("rate", "a finite number above 0", self.rate));
        }
        let (p, mut theta) = (layout.len(), starts.to_vec());
        let fresh = || trained(layout).map(|slot| Moments::new(self.rule, slot)).collect::<Vec<_>>();
        let mut all: Vec<Vec<Moments>> = (0..theta.len() / p).map(|_| fresh()).collect();
        for s in 0..steps {
            interrupt::check()?;
            let batch = streams.index(s as u64);
            let gradients = reward.grade(&theta, &batch)?.gradients;
            let inputs = match self.rule {
                Rule::Foof { .. } => reward.layer_inputs(&theta, &batch, INPUTS)?.unwrap_or_default(),
                _ => Vec::new(),
            };
            let rate = Schedule::Cosine.rate(self.rate, s as u64, steps as u64);
            let networks = theta.par_chunks_exact_mut(p).zip(gradients.par_chunks_exact(p)).zip(&mut all);
            networks.enumerate().try_for_each(|(network, ((theta, gradient), all))| -> Result<()> {
                for (slot, moments) in trained(layout).zip(all) {
                    let seen = inputs_of(inputs.get(network), slot);
                    let update = moments.update(self.rule, &gradient[slot.range()], seen, s)?;
                    let moved = theta[slot.range()].iter_mut().zip(update);
                    moved.for_each(|(x, u)| *x += rate as f32 * u);
                }
                Ok(())
            })?;
        }
        finite(theta, layout)
    }
}

/// What a rule remembers of one tensor.
struct Moments {
    rows: usize,
    columns: usize,
    matrix: bool,
    first: Vec<f32>,
    second: Vec<f32>,
    /// SOAP's factors E G Gᵀ and E Gᵀ G with their eigenvectors; none of a side that is too long.
    sides: [Option<Factor>; 2],
}

struct Factor {
    mean: Mat<f32>,
    basis: Mat<f32>,
}

impl Moments {
    fn new(rule: Rule, slot: &Slot) -> Self {
        let matrix = slot.shape.len() > 1 && !matches!(rule, Rule::Adam { .. });
        let rows = if matrix { slot.shape[0] } else { 1 };
        let columns = slot.len() / rows;
        let side = |n: usize| Factor { mean: Mat::zeros(n, n), basis: Mat::identity(n, n) };
        let factored = matrix && matches!(rule, Rule::Soap { .. });
        let sides = [rows, columns].map(|n| (factored && n <= WIDEST).then(|| side(n)));
        Self { rows, columns, matrix, first: vec![0.0; slot.len()], second: vec![0.0; slot.len()], sides }
    }

    fn update(&mut self, rule: Rule, gradient: &[f32], inputs: Option<&[f32]>, s: usize) -> Result<Vec<f32>> {
        match (rule, self.matrix) {
            (Rule::Foof { momentum, damping }, true) => match inputs {
                Some(inputs) => Ok(self.foof(gradient, momentum, inputs, damping)),
                None => Ok(self.adam(gradient, [momentum, SECOND], s)),
            },
            (Rule::Foof { momentum, .. }, false) => Ok(self.adam(gradient, [momentum, SECOND], s)),
            (Rule::Adam { betas }, _) => Ok(self.adam(gradient, betas, s)),
            (Rule::Muon { momentum } | Rule::Soap { momentum }, false) => {
                Ok(self.adam(gradient, [momentum, SECOND], s))
            }
            (Rule::Muon { momentum }, true) => Ok(self.muon(gradient, momentum)),
            (Rule::Soap { momentum }, true) => self.soap(gradient, momentum, s),
        }
    }

    /// m̂ / (√v̂ + ε).
    fn adam(&mut self, gradient: &[f32], [b1, b2]: [f32; 2], s: usize) -> Vec<f32> {
        mix(&mut self.first, gradient, b1, |g| g);
        mix(&mut self.second, gradient, b2, |g| g * g);
        quotient(&self.first, &self.second, [b1, b2], s)
    }

    /// The orthogonal factor of g + μ m, m ← μ m + g, with root mean square [`MUON`].
    fn muon(&mut self, gradient: &[f32], momentum: f32) -> Vec<f32> {
        self.first.iter_mut().zip(gradient).for_each(|(m, g)| *m = momentum * *m + g);
        let ahead: Vec<f32> = self.first.iter().zip(gradient).map(|(m, g)| g + momentum * m).collect();
        let scale = MUON * (self.rows.max(self.columns) as f32).sqrt();
        orthogonalised(&ahead, self.rows, self.columns).into_iter().map(|u| scale * u).collect()
    }

    /// The momentum with the second moment of the layer's inputs taken out, of root mean square [`MUON`].
    fn foof(&mut self, gradient: &[f32], momentum: f32, inputs: &[f32], damping: f64) -> Vec<f32> {
        mix(&mut self.first, gradient, momentum, |g| g);
        let mut update = whitened(&self.first, inputs, self.columns, damping);
        normalise(&mut update);
        update.iter_mut().for_each(|u| *u *= MUON);
        update
    }

    /// Adam's quotient of first and second moments in the eigenbases that the gradients so far have given, turned back; the first update is Adam's own. (In
    /// the basis of its own factors a gradient is diagonal, and Adam would make noise of rounding as large as the rest.)
    fn soap(&mut self, gradient: &[f32], momentum: f32, s: usize) -> Result<Vec<f32>> {
        let (m, n) = (self.rows, self.columns);
        let matrix = |x: &[f32]| Mat::from_fn(m, n, |i, j| x[i * n + j]);
        let g = matrix(gradient);
        mix(&mut self.first, gradient, momentum, |g| g);
        let (turned, first) = (self.turned(&g, false), self.turned(&matrix(&self.first), false));
        mix(&mut self.second, &flat(&turned), SECOND, |g| g * g);
        let quotient = matrix(&quotient(&flat(&first), &self.second, [momentum, SECOND], s));
        let update = flat(&self.turned(&quotient, true));
        for (side, factor) in self.sides.iter_mut().enumerate() {
            let Some(factor) = factor else { continue };
            let square = if side == 0 { &g * g.transpose() } else { g.transpose() * &g };
            let kept = if s == 0 { 0.0 } else { SECOND };
            factor.mean = Mat::from_fn(square.nrows(), square.ncols(), |i, j| {
                kept * factor.mean[(i, j)] + (1.0 - kept) * square[(i, j)]
            });
            if s.is_multiple_of(REFRESH) {
                let failed = |e| Error::parameter("SOAP's factor", "a matrix with eigenvalues", format!("{e:?}"));
                factor.basis = factor.mean.self_adjoint_eigen(Side::Lower).map_err(failed)?.U().to_owned();
            }
        }
        if s == 0 {
            // What was seen so far, in the new bases.
            let turned = flat(&self.turned(&g, false));
            self.second.iter_mut().zip(turned).for_each(|(v, g)| *v = (1.0 - SECOND) * g * g);
        }
        Ok(update)
    }

    /// Q_Lᵀ X Q_R, or Q_L X Q_Rᵀ for the way `back`.
    fn turned(&self, x: &Mat<f32>, back: bool) -> Mat<f32> {
        let [left, right] = &self.sides;
        let x = match (left, back) {
            (Some(left), false) => left.basis.transpose() * x,
            (Some(left), true) => &left.basis * x,
            (None, _) => x.clone(),
        };
        match (right, back) {
            (Some(right), false) => &x * &right.basis,
            (Some(right), true) => &x * right.basis.transpose(),
            (None, _) => x,
        }
    }
}

fn flat(x: &Mat<f32>) -> Vec<f32> {
    (0..x.nrows()).flat_map(|i| (0..x.ncols()).map(move |j| x[(i, j)])).collect()
}

/// m̂ / (√v̂ + ε) after step `s`, counted from 0.
fn quotient(first: &[f32], second: &[f32], betas: [f32; 2], s: usize) -> Vec<f32> {
    let [one, two] = betas.map(|b| 1.0 - b.powi(s as i32 + 1));
    first.iter().zip(second).map(|(m, v)| (m / one) / ((v / two).sqrt() + EPSILON)).collect()
}

#[cfg(test)]
#[path = "rivals_tests.rs"]
mod tests;
