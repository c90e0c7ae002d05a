//! Direct differentiation of a reward through the explicit steps of a potential model (M12, last case; NM-JKO, M6).
//!
//! x_{k+1} = x_k − τ_k ∇V(x_k, t_k) is k steps long by design, so no adjoint matching is needed: what is lowered is
//! mean over rows of −λ r(x_K) + Σ_k τ_k/(2 σ_k²) ‖∇V(x_k) − ∇V₀(x_k)‖², the second sum being the relative entropy that the drifts would have under the
//! noise σ of the general process. Backwards, with w_k = τ_k/σ_k² (∇V − ∇V₀)(x_k): a_K = −λ ∇r(x_K),
//! a_k = a_{k+1} + ∇²V (w_k − τ_k a_{k+1}) − ∇²V₀ w_k, and the parameters get ∂(∇V)ᵀ (w_k − τ_k a_{k+1}). Exact: a test holds it against differences.
//! The steps have no noise, so starts decide ends: the law is tilted given its starts, by transport only.
use super::process::Process;
use super::trajectory::{Terminal, descent};
use crate::field::Field;
use crate::field::Steps;
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;
use crate::reward::Reward;
use crate::{Error, Result, Streams};

/// What is differentiated through.
pub struct Unrolled<'a> {
    /// V₀.
    pub base: Steps<'a>,
    /// V.
    pub tuned: Steps<'a>,
    /// Starts, and the noise that the distance is measured by.
    pub process: &'a Process<'a>,
    /// r over the process's coordinates.
    pub reward: &'a dyn Reward,
    /// λ.
    pub strength: f64,
    /// Largest norm of ∇r.
    pub clip: f64,
}

/// Tapes of every step, kept from iteration to iteration.
#[derive(Default)]
pub struct Buffers {
    tuned: Vec<Tape>,
    base: Vec<Tape>,
}

impl Unrolled<'_> {
    /// One simulation of `rows` starts, and the gradient of the loss over what was in `gradient [Q]`: a pure function of the streams.
    ///
    /// # Errors
    /// A state that is not finite, or whatever the reward refuses.
    pub fn run(&self, rows: usize, streams: &Streams, buffers: &mut Buffers, gradient: &mut [f32]) -> Result<Terminal> {
        let (p, steps) = (self.tuned.potential.dimension(), self.tuned.times.len() - 1);
        let mut x = vec![0.0; rows * p];
        for (i, z) in x.chunks_exact_mut(p).enumerate() {
            self.process.start.draw(i as u64, &streams.child("start"), z)?;
        }
        buffers.tuned.resize_with(steps, Tape::default);
        buffers.base.resize_with(steps, Tape::default);
        let (mut differences, mut distances) = (Vec::with_capacity(steps), vec![0.0f64; rows]);
        for k in 0..steps {
            let g = self.tuned.gradient(&x, k, &mut buffers.tuned[k]);
            let mut w = self.base.gradient(&x, k, &mut buffers.base[k]);
            let (tau, weight) = (self.tuned.tau(k), self.weight(k));
            x.iter_mut().zip(&g).for_each(|(x, g)| *x -= tau * g);
            w.iter_mut().zip(&g).for_each(|(w, g)| *w = g - *w);
            for (distance, w) in distances.iter_mut().zip(w.chunks_exact(p)) {
                *distance += 0.5 * f64::from(weight) * w.iter().map(|w| f64::from(w * w)).sum::<f64>();
            }
            w.iter_mut().for_each(|w| *w *= weight);
            differences.push(w);
        }
        if let Some(i) = x.iter().position(|v| !v.is_finite()) {
            let place = format!("row {}, coordinate {} (a smaller strength or learning rate may help)", i / p, i % p);
            return Err(Error::NotFinite { what: "the end of the steps".into(), place, value: x[i].into() });
        }
        let graded = self.reward.grade(&x, &streams.child("reward"))?;
        let mut a = graded.gradients;
        descent(&mut a, p, self.strength, self.clip)?;
        gradient.fill(0.0);
        let mean = 1.0 / rows as f32;
        for (k, w) in differences.iter().enumerate().rev() {
            let tau = self.tuned.tau(k);
            let pushed: Vec<f32> = w.iter().zip(&a).map(|(w, a)| mean * (w - tau * a)).collect();
            let through = self.tuned.vjp(&pushed, &mut buffers.tuned[k], Gradient::Add(gradient));
            let kept = self.base.vjp(w, &mut buffers.base[k], Gradient::Skip);
            a.iter_mut().zip(through.iter().zip(&kept)).for_each(|(a, (t, b))| *a += t / mean - b);
        }
        Ok(Terminal { x, rewards: graded.values, distances })
    }

    /// τ/σ² of step `k`.
    fn weight(&self, k: usize) -> f32 {
        let tau = self.tuned.tau(k);
        tau / self.process.at(self.tuned.times[k], f64::from(tau)).sigma.powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::MlpPotential;
    use crate::field::MlpPotentialConfig;
    use crate::nn::parameters::Parameters;
    use crate::reward::ToPoint;
    use crate::tune::process::Start;
    use rand::RngExt;
    use rand_distr::StandardNormal;

    const P: usize = 3;
    const TIMES: [f64; 4] = [0.0, 0.3, 0.6, 1.0];

    fn potential(seed: u64) -> MlpPotential {
        let config = MlpPotentialConfig { width: 8, layers: 2, time_features: 4 };
        let mut potential = MlpPotential::new(P, &config, &Streams::new(seed)).unwrap();
        let mut rng = Streams::new(seed + 50).rng();
        potential.parameters_mut().iter_mut().for_each(|q| *q += 0.3 * rng.sample::<f32, _>(StandardNormal));
        potential
    }

    fn loss(base: &MlpPotential, tuned: &MlpPotential, strength: f64, gradient: &mut [f32]) -> f64 {
        let steps = |potential| Steps { potential, times: &TIMES, time_dependent: true };
        let start = Start::Normal { mean: vec![0.2; P], deviation: vec![1.0; P] };
        let (process, reward) = (Process::general(start, 0.3, 20), ToPoint::new(vec![1.0; P], 1.0).unwrap());
        let clip = f64::INFINITY;
        let through =
            Unrolled { base: steps(base), tuned: steps(tuned), process: &process, reward: &reward, strength, clip };
        let ends = through.run(6, &Streams::new(3), &mut Buffers::default(), gradient).unwrap();
        let each = ends.rewards.iter().zip(&ends.distances);
        each.map(|(r, d)| d - strength * r).sum::<f64>() / 6.0
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let (base, tuned) = (potential(1), potential(2));
        let mut gradient = vec![0.0; tuned.parameters().len()];
        loss(&base, &tuned, 2.0, &mut gradient);
        let (mut unused, norm) =
            (vec![0.0; gradient.len()], gradient.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt());
        let mut at = |h: f64| {
            let mut moved = tuned.clone();
            let step = moved.parameters_mut().iter_mut().zip(&gradient);
            step.for_each(|(q, g)| *q += (h * f64::from(*g) / norm) as f32);
            loss(&base, &moved, 2.0, &mut unused)
        };
        let slope = (at(2e-3) - at(-2e-3)) / 4e-3;
        assert!((slope / norm - 1.0).abs() < 0.01, "{slope} {norm}");
    }

    #[test]
    fn without_a_reward_the_base_stays_where_it_is() {
        let base = potential(1);
        let mut gradient = vec![1.0; base.parameters().len()];
        assert!(loss(&base, &base, 1e-30, &mut gradient).abs() < 1e-20);
        assert!(gradient.iter().all(|g| g.abs() < 1e-12));
    }
}
