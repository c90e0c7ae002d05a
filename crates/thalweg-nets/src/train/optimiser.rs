//! Steps on flat weights `[P]` with exactly PyTorch's formulas: SGD with momentum, Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019).
//!
//! Running statistics of batch normalisation are part of θ but no gradient moves them: the engine leaves the batch's
//! statistics in their place in the gradient, and the step moves them by momentum, r ← r + m (batch − r).
use super::adam::AdamUpdate;
use crate::architecture::{Architecture, Layer, Operation};
use crate::error::{Error, Result};
use crate::layout::Layout;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The rule of a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Optimiser {
    /// b ← μ b + g, θ ← θ − η b; with Nesterov θ ← θ − η (g + μ b). Weight decay λ is added to the gradient: g ← g + λ θ.
    Sgd {
        /// μ in [0, 1).
        #[serde(default)]
        momentum: f64,
        /// Looks ahead along the momentum; needs μ > 0.
        #[serde(default)]
        nesterov: bool,
    },
    /// θ ← θ − η m̂ / (√v̂ + ε); weight decay is added to the gradient.
    Adam {
        /// Decay of the first and second moment, in [0, 1).
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// ε > 0.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Adam with weight decay apart from the gradient: θ ← (1 − η λ) θ first.
    #[serde(rename = "adamw")]
    AdamW {
        /// Decay of the first and second moment, in [0, 1).
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// ε > 0.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
}

impl Default for Optimiser {
    /// Adam with PyTorch's defaults.
    fn default() -> Self {
        Self::Adam { betas: betas(), epsilon: epsilon() }
    }
}

impl Optimiser {
    /// SGD with the given momentum, without Nesterov.
    pub fn sgd(momentum: f64) -> Self {
        Self::Sgd { momentum, nesterov: false }
    }

    /// AdamW with PyTorch's defaults for all but the weight decay, which is the recipe's.
    pub fn adamw() -> Self {
        Self::AdamW { betas: betas(), epsilon: epsilon() }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the parameter under `recipe.optimiser`.
    pub fn check(&self) -> Result<()> {
        let share = |field: &str, value: f64| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::parameter(format!("recipe.optimiser.{field}"), "a number in [0, 1)", value)),
        };
        match *self {
            Self::Sgd { momentum, nesterov } => {
                share("sgd.momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err(Error::parameter("recipe.optimiser.sgd.nesterov", "a momentum above 0", momentum));
                }
                Ok(())
            }
            Self::Adam { betas, epsilon } | Self::AdamW { betas, epsilon } => {
                let name = if matches!(self, Self::Adam { .. }) { "adam" } else { "adamw" };
                betas.iter().try_for_each(|&beta| share(&format!("{name}.betas"), beta))?;
                if !(epsilon > 0.0 && epsilon.is_finite()) {
                    let field = format!("recipe.optimiser.{name}.epsilon");
                    return Err(Error::parameter(field, "a finite number above 0", epsilon));
                }
                Ok(())
            }
        }
    }
}

/// An optimiser at work on one θ: rule, moments, and which numbers are trained.
#[derive(Clone, Debug)]
pub struct Stepper {
    rule: Optimiser,
    weight_decay: f64,
    trained: Vec<Range<usize>>,
    /// Running statistics with the share of a new batch in them.
    averaged: Vec<(Range<usize>, f32)>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Stepper {
    /// A fresh optimiser for networks of `architecture`.
    pub fn new(rule: Optimiser, weight_decay: f64, architecture: &Architecture) -> Self {
        let layout = Layout::of(architecture);
        let mut momenta = Vec::new();
        push_momenta(architecture.layers(), &mut momenta);
        // Two running statistics a normalisation, in the order of the layout.
        let mut momenta = momenta.into_iter().flat_map(|m| [m, m]);
        let (mut trained, mut averaged) = (Vec::<Range<usize>>::new(), Vec::new());
        for slot in layout.slots() {
            if !slot.role.is_trained() {
                averaged.push((slot.range(), momenta.next().expect("a normalisation for every running statistic")));
            } else if let Some(last) = trained.last_mut().filter(|last| last.end == slot.offset) {
                last.end = slot.range().end;
            } else {
                trained.push(slot.range());
            }
        }
        Self::over(rule, weight_decay, layout.len(), trained, averaged)
    }

    /// A fresh optimiser of `n` numbers, all of them trained.
    pub fn of_numbers(rule: Optimiser, weight_decay: f64, n: usize) -> Self {
        Self::over(rule, weight_decay, n, std::iter::once(0..n).collect(), Vec::new())
    }

    /// The same for `n` θ side by side, `[n, P]`, each of which it moves as it would move it alone.
    pub fn repeated(&self, p: usize, n: usize) -> Self {
        let places = move |range: &Range<usize>| {
            let range = range.clone();
            (0..n).map(move |k| k * p + range.start..k * p + range.end)
        };
        let averaged = self.averaged.iter().flat_map(|(range, share)| places(range).map(|range| (range, *share)));
        Self {
            trained: self.trained.iter().flat_map(places).collect(),
            averaged: averaged.collect(),
            first: self.first.repeat(n),
            second: self.second.repeat(n),
            ..self.clone()
        }
    }

    fn over(
        rule: Optimiser,
        weight_decay: f64,
        p: usize,
        trained: Vec<Range<usize>>,
        averaged: Vec<(Range<usize>, f32)>,
    ) -> Self {
        let moments = match rule {
            Optimiser::Sgd { momentum: 0.0, .. } => [0, 0],
            Optimiser::Sgd { .. } => [p, 0],
            _ => [p, p],
        };
        let [first, second] = moments.map(|n| vec![0.0; n]);
        Self { rule, weight_decay, trained, averaged, first, second, steps: 0 }
    }

    /// One step of `theta [P]` along `gradient [P]`. Panics where the lengths differ from the architecture's.
    pub fn step(&mut self, theta: &mut [f32], gradient: &[f32], learning_rate: f64) {
        self.steps = self.steps.saturating_add(1);
        for range in &self.trained {
            let (theta, gradient) = (&mut theta[range.clone()], &gradient[range.clone()]);
            match self.rule {
                Optimiser::Sgd { momentum: 0.0, .. } => {
                    descend(theta, gradient, learning_rate as f32, self.weight_decay as f32);
                }
                Optimiser::Sgd { momentum, nesterov } => {
                    let buffer = &mut self.first[range.clone()];
                    let decay = self.weight_decay as f32;
                    roll(theta, gradient, buffer, learning_rate as f32, decay, momentum as f32, nesterov);
                }
                Optimiser::Adam { betas, epsilon } | Optimiser::AdamW { betas, epsilon } => {
                    let decoupled = matches!(self.rule, Optimiser::AdamW { .. });
                    let moments = (&mut self.first[range.clone()], &mut self.second[range.clone()]);
                    let how = (learning_rate, self.weight_decay, decoupled);
                    adam((theta, gradient), moments, (betas, epsilon), how, self.steps);
                }
            }
        }
        for (range, share) in &self.averaged {
            for (running, batch) in theta[range.clone()].iter_mut().zip(&gradient[range.clone()]) {
                *running += share * (batch - *running);
            }
        }
    }
}

fn push_momenta(layers: &[Layer], momenta: &mut Vec<f32>) {
    for layer in layers {
        match &layer.operation {
            Operation::BatchNorm { momentum, .. } => momenta.push(*momentum),
            Operation::Residual { layers, shortcut } => {
                push_momenta(layers, momenta);
                push_momenta(shortcut, momenta);
            }
            crate::elementwise!()
            | Operation::Conv { .. }
            | Operation::Conv1d { .. }
            | Operation::Dense { .. }
            | Operation::Linear { .. }
            | Operation::MaxPool { .. }
            | Operation::AvgPool { .. }
            | Operation::AdaptiveAvgPool { .. }
            | Operation::Prelu { .. }
            | Operation::GroupNorm { .. }
            | Operation::LayerNorm { .. }
            | Operation::PadChannels { .. }
            | Operation::Flatten
            | Operation::Tokens
            | Operation::Transpose
            | Operation::ClassToken
            | Operation::PositionEmbedding
            | Operation::SelfAttention { .. }
            | Operation::TakeToken { .. } => {}
        }
    }
}

fn descend(theta: &mut [f32], gradient: &[f32], rate: f32, decay: f32) {
    for (w, g) in theta.iter_mut().zip(gradient) {
        *w -= rate * (g + decay * *w);
    }
}

fn roll(theta: &mut [f32], gradient: &[f32], buffer: &mut [f32], rate: f32, decay: f32, momentum: f32, nesterov: bool) {
    for ((w, g), b) in theta.iter_mut().zip(gradient).zip(buffer) {
        let g = g + decay * *w;
        // The buffer starts at 0, so that the first b is g: PyTorch's first step without dampening.
        *b = momentum * *b + g;
        *w -= rate * if nesterov { g + momentum * *b } else { *b };
    }
}

/// One Adam step on all numbers of a range; decay is decoupled where it is AdamW's, else added to the gradient.
fn adam(
    (theta, gradient): (&mut [f32], &[f32]),
    (first, second): (&mut [f32], &mut [f32]),
    (betas, epsilon): ([f64; 2], f64),
    (rate, decay, decoupled): (f64, f64, bool),
    step: i32,
) {
    let powers = betas.map(|beta| beta.powi(step));
    let update = AdamUpdate::new(betas, powers, epsilon, rate, if decoupled { decay } else { 0.0 });
    let (added, root) = (if decoupled { 0.0 } else { decay as f32 }, (1.0 - powers[1]).sqrt() as f32);
    for (((w, g), m), v) in theta.iter_mut().zip(gradient).zip(first).zip(second) {
        let g = g + added * *w;
        update.apply(w, g, m, v, |spread| spread / root);
    }
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}
fn epsilon() -> f64 {
    1e-8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Preset;

    /// A dense layer from one feature to `classes`: θ is a weight `[classes, 1]` and a bias `[classes]`.
    fn dense(classes: usize) -> Architecture {
        Preset::Mlp { widths: vec![] }.build([1, 1, 1], classes).unwrap()
    }

    fn run(
        rule: Optimiser,
        decay: f64,
        theta: &[f32],
        steps: usize,
        gradient: impl Fn(usize, usize) -> f64,
    ) -> Vec<f32> {
        let mut stepper = Stepper::new(rule, decay, &dense(theta.len() / 2));
        let mut theta = theta.to_vec();
        for t in 1..=steps {
            let gradient: Vec<f32> = (0..theta.len()).map(|i| gradient(t, i) as f32).collect();
            stepper.step(&mut theta, &gradient, 0.1);
        }
        theta
    }

    /// Golden numbers: PyTorch 2.8, six steps at rate .1 and weight decay .2 from (1, −2, .5) with gradients sin(t + i):
    /// `o = RULE([w], lr=.1, weight_decay=.2)`, `w.grad = torch.tensor([sin(t + i) for i in range(3)]); o.step()`, t = 1 … 6.
    #[test]
    fn steps_are_pytorchs() {
        let nesterov = Optimiser::Sgd { momentum: 0.9, nesterov: true };
        let golden = [
            (Optimiser::sgd(0.0), [0.907_226_7, -1.741_885_9, 0.453_737_85]),
            (Optimiser::sgd(0.9), [0.338_690_13, -1.275_930_2, 0.723_338_7]),
            (nesterov, [0.379_666_6, -1.113_936_3, 0.631_539_05]),
            (Optimiser::default(), [0.651_268_36, -1.873_058_9, 0.583_282_5]),
            (Optimiser::adamw(), [0.622_391_64, -1.862_121_5, 0.580_424_5]),
        ];
        for (rule, expected) in golden {
            let found = run(rule, 0.2, &[1.0, -2.0, 0.5, 0.0], 6, |t, i| ((t + i) as f64).sin());
            for (f, e) in found.iter().zip(expected) {
                assert!((f - e).abs() < 2e-6, "{rule:?} {found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn constant_gradients_have_closed_forms() {
        let start = [0.3f32, -0.7];
        // Momentum: b_t = g (1 − μᵗ)/(1 − μ), summed.
        let found = run(Optimiser::sgd(0.5), 0.0, &start, 8, |_, i| i as f64 + 1.0);
        let travel: f64 = (1..=8).map(|t| (1.0 - 0.5f64.powi(t)) / 0.5).sum();
        for i in 0..2 {
            assert!((f64::from(found[i] - start[i]) + 0.1 * travel * (i as f64 + 1.0)).abs() < 1e-5, "{found:?}");
        }
        // Adam: both corrected moments are exact, so every step is η whatever the gradient's size.
        for rule in [Optimiser::default(), Optimiser::adamw()] {
            let found = run(rule, 0.0, &start, 20, |_, i| if i == 0 { 1e-3 } else { -50.0 });
            assert!(
                (found[0] - (start[0] - 2.0)).abs() < 1e-3 && (found[1] - (start[1] + 2.0)).abs() < 1e-3,
                "{found:?}"
            );
        }
        // AdamW without gradient only shrinks.
        let found = run(Optimiser::adamw(), 0.3, &start, 10, |_, _| 0.0);
        assert!((found[0] - 0.3 * 0.97f32.powi(10)).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn adam_agrees_with_the_published_algorithm_in_double_precision() {
        let gradient = |t: usize, i: usize| ((t * 31 + i * 17) % 23) as f64 / 11.0 - 1.0;
        let start = [0.2f32, -0.4, 0.9, 1.3];
        let found = run(Optimiser::default(), 0.0, &start, 200, gradient);
        for i in 0..4 {
            let (mut w, mut m, mut v) = (f64::from(start[i]), 0.0, 0.0);
            for t in 1..=200 {
                let g = f64::from(gradient(t, i) as f32);
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                let (corrected, spread) = (m / (1.0 - 0.9f64.powi(t as i32)), v / (1.0 - 0.999f64.powi(t as i32)));
                w -= 0.1 * corrected / (spread.sqrt() + 1e-8);
            }
            assert!((f64::from(found[i]) - w).abs() < 2e-5, "{i}: {} {w}", found[i]);
        }
    }

    #[test]
    fn running_statistics_move_by_their_own_momentum_and_are_never_decayed() {
        let text = "input = [2]\n[[layers]]\nkind = \"batch-norm\"\nmomentum = 0.25\n[[layers]]\nkind = \"residual\"\nlayers = [{ kind = \"batch-norm\" }]\n[[layers]]\nkind = \"dense\"\nout = 2\n";
        let net = Architecture::from_toml_str(text).unwrap();
        let layout = Layout::of(&net);
        for rule in [Optimiser::sgd(0.0), Optimiser::default(), Optimiser::adamw()] {
            let (mut theta, mut gradient) = (vec![1.0; layout.len()], vec![0.0; layout.len()]);
            let slot = |name: &str| layout.slots().iter().find(|s| s.name == name).unwrap().range();
            for name in ["0.running_mean", "0.running_var", "1.0.running_mean"] {
                gradient[slot(name)].fill(3.0);
            }
            Stepper::new(rule, 0.5, &net).step(&mut theta, &gradient, 0.1);
            assert_eq!(theta[slot("0.running_mean")], [1.5; 2]);
            assert_eq!(theta[slot("0.running_var")], [1.5; 2]);
            assert!((theta[slot("1.0.running_mean")][0] - 1.2).abs() < 1e-6);
            assert!((theta[slot("1.0.running_var")][0] - 0.9).abs() < 1e-6);
            assert!(theta[slot("2.weight")][0] < 1.0, "decay reaches the trained tensors");
        }
    }

    #[test]
    fn wrong_numbers_are_named() {
        let message = |o: Optimiser| o.check().unwrap_err().to_string();
        assert!(message(Optimiser::sgd(1.0)).contains("sgd.momentum"));
        assert!(message(Optimiser::Sgd { momentum: 0.0, nesterov: true }).contains("nesterov"));
        assert!(message(Optimiser::Adam { betas: [0.9, -0.1], epsilon: 1e-8 }).contains("adam.betas"));
        assert!(message(Optimiser::AdamW { betas: betas(), epsilon: 0.0 }).contains("adamw.epsilon"));
    }
}
