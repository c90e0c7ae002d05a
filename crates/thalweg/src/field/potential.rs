//! The scalar potential V(x, t) of M6 and M7 as a multilayer perceptron with its gradients written out (book/src/mathematics.md section 7).
//!
//! z_1 = W_1 x + U_1 φ(t) + b_1, z_l = W_l a_{l−1} + U_l φ(t) + b_l, a_l = softplus(z_l),
//! V = w · a_L + ½ Σ g_i x_i² + Σ h_i x_i with (g, h) = G φ(t) + b.
//! w, G and their bias start at zero, so an untrained potential is flat; g and h give ∇V what W_1ᵀ, of low rank, cannot reach.
//!
//! [`Potential::evaluate`] gives V, ∇_x V and ∂_t V: p_L = w ⊙ sigmoid(z_L), p_{l−1} = (p_l W_l) ⊙ sigmoid(z_{l−1}), ∇_x V = p_1 W_1 + g ⊙ x + h.
//! [`Potential::vjp`] differentiates S = Σ_b a V + W · ∇_x V + b ∂_t V once more. S is a V plus the derivative of V along the direction
//! (W, b) in (x, t), so it is one forward pass of tangents (ẋ = W, ṫ = b, ȧ_l = sigmoid(z_l) ⊙ ż_l) and one pass back for the adjoints
//! q_l of z_l, in which the p_l that `evaluate` left are the adjoints of ż_l. Costs: as much as a residual field of the same size
//! for `evaluate`, twice that for `vjp`.
use super::Field;
use super::potential_elementwise as own;
use crate::nn::affine::Affine;
use crate::nn::dense::Accumulate;
use crate::nn::elementwise::{self, Rows};
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::nn::time_features;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::{Error, Layout, Result, Streams};

/// A scalar potential over points `[P]`; as a [`Field`] it is the drift −∇_x V.
pub trait Potential: Field {
    /// V `[B]`, ∇_x V `[B, P]` and, if asked for, ∂_t V `[B]` at `x [B, P]`, `t [B]`.
    fn evaluate(&self, x: &[f32], t: &[f32], out: Jet<'_>, tape: &mut Tape);

    /// The gradient of S = Σ_b a V + W · ∇_x V + b ∂_t V for the last evaluation on `tape`, with respect to the parameters
    /// (`gradient [Q]`) and to x (`dx [B, P]`, overwritten). May be called several times after one `evaluate`.
    fn vjp(&self, weights: &Cotangents<'_>, tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>);
}

/// Where [`Potential::evaluate`] leaves what it finds.
#[derive(Debug)]
pub struct Jet<'a> {
    /// V `[B]`.
    pub value: Option<&'a mut [f32]>,
    /// ∇_x V `[B, P]`.
    pub gradient: &'a mut [f32],
    /// ∂_t V `[B]`.
    pub rate: Option<&'a mut [f32]>,
}

/// The derivatives of a loss with respect to what [`Potential::evaluate`] found; `None` stands for zeros.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cotangents<'a> {
    /// a `[B]`, for V.
    pub value: Option<&'a [f32]>,
    /// W `[B, P]`, for ∇_x V.
    pub gradient: Option<&'a [f32]>,
    /// b `[B]`, for ∂_t V.
    pub rate: Option<&'a [f32]>,
}

/// The size of an [`MlpPotential`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MlpPotentialConfig {
    /// Units of a hidden layer (1 to 8,192; 256, or 16 in a method).
    pub width: usize,
    /// Hidden layers (2; 1 to 64).
    pub layers: usize,
    /// Sinusoidal features of time (32; even, 2 to 1,024).
    pub time_features: usize,
}

impl Default for MlpPotentialConfig {
    fn default() -> Self {
        Self { width: 256, layers: 2, time_features: 32 }
    }
}

impl MlpPotentialConfig {
    /// Parameters of the potential over points `[dimension]`, told before it is built; methods may add some of their own.
    pub fn numbers(&self, dimension: usize) -> usize {
        let (w, f) = (self.width, self.time_features + 1);
        let hidden = w.saturating_mul(dimension).saturating_add((self.layers - 1) * w * w + self.layers * w * f + w);
        hidden.saturating_add((2 * f).saturating_mul(dimension))
    }

    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        for (name, value, range) in [
            ("width", self.width, 1..=8_192),
            ("layers", self.layers, 1..=64),
            ("time-features", self.time_features, 2..=1_024),
        ] {
            if !range.contains(&value) {
                let expected = format!("{} to {}", range.start(), range.end());
                return Err(Error::parameter(format!("potential.{name}"), expected, value));
            }
        }
        if !self.time_features.is_multiple_of(2) {
            return Err(Error::parameter("potential.time-features", "an even number", self.time_features));
        }
        Ok(())
    }
}

/// See the module's text for the formula.
#[derive(Clone, Debug)]
pub struct MlpPotential {
    config: MlpPotentialConfig,
    dimension: usize,
    layout: Layout,
    parameters: Vec<f32>,
    layers: Vec<HiddenLayer>,
    output: Affine,
    gate: Affine,
}

#[derive(Clone, Debug)]
struct HiddenLayer {
    weight: Affine, // W_l
    time: Affine,   // U_l, b_l
}

/// Buffers of B rows and C conditions (C = B, or 1 where all rows share their time). Where two sets of B rows stand one upon the other,
/// `vjp` lays the tangents below what `evaluate` left, so that one product makes a layer's whole gradient.
#[derive(Default)]
struct Buffers {
    x: Vec<f32>,    // x; ẋ [2B, P]
    phi: Vec<f32>,  // φ [C, F]
    dphi: Vec<f32>, // φ' [C, F]
    layers: Vec<LayerBuffers>,
    gate: Vec<f32>, // g, h [C, 2P]
    // scratch
    conditions: Vec<f32>,    // U_l φ or U_l φ' [C, width]
    rates: Vec<f32>,         // ∂_t g, ∂_t h [C, 2P]
    d_a: Vec<f32>,           // [B, width]
    time_tangents: Vec<f32>, // φ; φ' b [2B, F]
    d_gate: Vec<f32>,        // [2B, 2P]
    row_weights: Vec<f32>,   // [2B]
    direction: Vec<f32>,     // −dv [B, P]
}

#[derive(Default)]
struct LayerBuffers {
    a: Vec<f32>,       // a; ȧ [2B, width]
    sigmoid: Vec<f32>, // [B, width]
    d: Vec<f32>,       // q; p [2B, width]
    z_dot: Vec<f32>,   // ż [B, width]
}

impl MlpPotential {
    /// A potential over points `[dimension]` with initial parameters from `streams`.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn new(dimension: usize, config: &MlpPotentialConfig, streams: &Streams) -> Result<Self> {
        Self::with_scalars(dimension, config, &[], streams)
    }

    /// As [`Self::new`], with numbers of a method's own at the end of the parameters (β of M6), to be trained and saved with the net. They
    /// start at zero; the net neither reads them nor writes their gradients.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn with_scalars(
        dimension: usize,
        config: &MlpPotentialConfig,
        scalars: &[&str],
        streams: &Streams,
    ) -> Result<Self> {
        config.check()?;
        if dimension == 0 {
            return Err(Error::parameter("potential.dimension", "at least 1", dimension));
        }
        let (w, f) = (config.width, config.time_features);
        let (mut tensors, mut end) = (Vec::new(), 0);
        let layers: Vec<_> = (0..config.layers)
            .map(|i| {
                let inputs = if i == 0 { dimension } else { w };
                let weight = Affine::push_linear(&mut tensors, &mut end, &format!("layers.{i}"), w, inputs);
                let time = Affine::push(&mut tensors, &mut end, &format!("time.{i}"), w, f);
                HiddenLayer { weight, time }
            })
            .collect();
        let output = Affine::push_linear(&mut tensors, &mut end, "output", 1, w);
        let gate = Affine::push(&mut tensors, &mut end, "gate", 2 * dimension, f);
        tensors.extend(scalars.iter().map(|name| (name.to_string(), vec![1])));
        let mut parameters = vec![0.0; end + scalars.len()];
        for (i, layer) in layers.iter().enumerate() {
            let streams = streams.child("layer").index(i as u64);
            layer.weight.draw(&mut parameters, &streams.child("weight"));
            layer.time.draw(&mut parameters, &streams.child("time"));
        }
        let layout = Layout::of_tensors(tensors);
        Ok(Self { config: config.clone(), dimension, layout, parameters, layers, output, gate })
    }

    /// The sizes that the potential was made with.
    pub fn config(&self) -> &MlpPotentialConfig {
        &self.config
    }
}

impl Buffers {
    fn fit(&mut self, net: &MlpPotential, rows: usize, conditions: usize) {
        let (p, w, f) = (net.dimension, net.config.width, net.config.time_features);
        self.x.resize(2 * rows * p, 0.0);
        self.phi.resize(conditions * f, 0.0);
        self.dphi.resize(conditions * f, 0.0);
        self.gate.resize(conditions * 2 * p, 0.0);
        self.rates.resize(conditions * 2 * p, 0.0);
        self.conditions.resize(conditions * w, 0.0);
        self.d_a.resize(rows * w, 0.0);
        self.layers.resize_with(net.layers.len(), LayerBuffers::default);
        for layer in &mut self.layers {
            layer.a.resize(2 * rows * w, 0.0);
            layer.d.resize(2 * rows * w, 0.0);
            layer.sigmoid.resize(rows * w, 0.0);
            layer.z_dot.resize(rows * w, 0.0);
        }
    }
}

impl Potential for MlpPotential {
    fn evaluate(&self, x: &[f32], t: &[f32], out: Jet<'_>, tape: &mut Tape) {
        let (q, p, rows, w) = (&self.parameters, self.dimension, t.len(), self.config.width);
        assert!(rows > 0 && x.len() == rows * p && out.gradient.len() == x.len(), "points are [B, {p}] for t [B]");
        let b = tape.of::<Buffers>();
        b.fit(self, rows, if t.iter().all(|other| *other == t[0]) { 1 } else { rows });
        b.x[..x.len()].copy_from_slice(x);
        time_features::features(t, self.config.time_features, &mut b.phi);
        for i in 0..self.layers.len() {
            let (layer, (below, rest)) = (&self.layers[i], b.layers.split_at_mut(i));
            let here = &mut rest[0];
            let input = below.last().map_or(x, |below| &below.a[..rows * w]);
            layer.time.apply(q, &b.phi, Accumulate::Overwrite, &mut b.conditions);
            layer.weight.apply(q, input, Accumulate::Overwrite, &mut here.a[..rows * w]);
            let conditions = Rows::new(&b.conditions, w, 0, w);
            own::softplus(&mut here.a[..rows * w], conditions, layer.time.bias(q), &mut here.sigmoid);
        }
        self.gate.apply(q, &b.phi, Accumulate::Overwrite, &mut b.gate);
        elementwise::add_bias(&mut b.gate, self.gate.bias(q));
        let top = b.layers.last_mut().expect("at least one layer");
        own::top(self.output.weight(q), &top.sigmoid, &mut top.d[rows * w..]);
        for i in (1..self.layers.len()).rev() {
            let (below, here) = b.layers.split_at_mut(i);
            let p_below = &mut below[i - 1].d[rows * w..];
            self.layers[i].weight.input_gradient(q, &here[0].d[rows * w..], Accumulate::Overwrite, p_below);
            elementwise::times_into(p_below, &below[i - 1].sigmoid);
        }
        self.layers[0].weight.input_gradient(q, &b.layers[0].d[rows * w..], Accumulate::Overwrite, out.gradient);
        own::add_linear(out.gradient, Rows::new(&b.gate, 2 * p, 0, 2 * p), x);
        if let Some(value) = out.value {
            let top = &b.layers[self.layers.len() - 1].a[..rows * w];
            own::dots(top, Rows::new(self.output.weight(q), w, 0, w), Accumulate::Overwrite, value);
            own::quadratic(Rows::new(&b.gate, 2 * p, 0, 2 * p), x, Accumulate::Add, value);
        }
        if let Some(rate) = out.rate {
            time_features::slopes(&b.phi, self.config.time_features, &mut b.dphi);
            self.gate.apply(q, &b.dphi, Accumulate::Overwrite, &mut b.rates);
            own::quadratic(Rows::new(&b.rates, 2 * p, 0, 2 * p), x, Accumulate::Overwrite, rate);
            for (layer, here) in self.layers.iter().zip(&b.layers) {
                layer.time.apply(q, &b.dphi, Accumulate::Overwrite, &mut b.conditions);
                own::dots(&here.d[rows * w..], Rows::new(&b.conditions, w, 0, w), Accumulate::Add, rate);
            }
        }
    }

    fn vjp(&self, weights: &Cotangents<'_>, tape: &mut Tape, mut gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let (q, p, w, f) = (&self.parameters, self.dimension, self.config.width, self.config.time_features);
        let b = tape.of::<Buffers>();
        let rows = b.x.len() / (2 * p);
        assert!(rows > 0, "a vector-Jacobian product follows an evaluation");
        let timed = weights.rate.is_some();
        // Forward: tangents along (W, b). Without W and b they are zero, and half of each pair is left out.
        let tangents = weights.gradient.is_some() || timed;
        let span = if tangents { 2 * rows } else { rows };
        match weights.gradient {
            Some(direction) => b.x[rows * p..].copy_from_slice(direction),
            None => b.x[rows * p..].fill(0.0),
        }
        b.time_tangents.resize(2 * rows * f, 0.0);
        own::time_tangents(&mut b.time_tangents, Rows::new(&b.phi, f, 0, f), weights.rate);
        let time_tangents = &b.time_tangents[..if timed { 2 * rows } else { rows } * f];
        for i in 0..self.layers.len() {
            let (layer, (below, rest)) = (&self.layers[i], b.layers.split_at_mut(i));
            let here = &mut rest[0];
            if tangents {
                let input = below.last().map_or(&b.x[rows * p..], |below| &below.a[rows * w..]);
                layer.weight.apply(q, input, Accumulate::Overwrite, &mut here.z_dot);
                if timed {
                    layer.time.apply(q, &time_tangents[rows * f..], Accumulate::Add, &mut here.z_dot);
                }
                elementwise::times(&here.z_dot, &here.sigmoid, &mut here.a[rows * w..]);
            } else {
                here.z_dot.fill(0.0);
            }
        }
        // Back: the adjoints q of z; those of ż are the p that evaluation left.
        let top = b.layers.last().expect("at least one layer");
        own::row_weights(weights.value, rows, span - rows, &mut b.row_weights);
        self.output.gradient(&mut gradient, &b.row_weights, &top.a[..span * w]);
        own::outer(weights.value, self.output.weight(q), &mut b.d_a);
        for i in (0..self.layers.len()).rev() {
            let (below, rest) = b.layers.split_at_mut(i);
            let here = &mut rest[0];
            let (q_here, p_here) = here.d.split_at_mut(rows * w);
            own::adjoint(q_here, &b.d_a, &here.sigmoid, p_here, &here.z_dot);
            let layer = &self.layers[i];
            let input = below.last().map_or(&b.x[..span * p], |below| &below.a[..span * w]);
            layer.weight.gradient(&mut gradient, &here.d[..span * w], input);
            let timed_rows = time_tangents.len() / f * w;
            layer.time.gradient_with_tangents(&mut gradient, &here.d[..timed_rows], time_tangents, rows);
            if i > 0 {
                layer.weight.input_gradient(q, &here.d[..rows * w], Accumulate::Overwrite, &mut b.d_a);
            }
        }
        let (x, x_dot) = b.x.split_at(rows * p);
        if !matches!(gradient, Gradient::Skip) {
            b.d_gate.resize(2 * rows * 2 * p, 0.0);
            own::gate_gradient(&mut b.d_gate, p, x, x_dot, weights.value);
            let d = &b.d_gate[..time_tangents.len() / f * 2 * p];
            self.gate.gradient_with_tangents(&mut gradient, d, time_tangents, rows);
        }
        if let Some(dx) = dx {
            own::gate_input_gradient(dx, Rows::new(&b.gate, 2 * p, 0, 2 * p), x, x_dot, weights.value);
            if timed {
                b.d_gate.resize(2 * rows * 2 * p, 0.0);
                let rates = &mut b.d_gate[..rows * 2 * p];
                self.gate.apply(q, &time_tangents[rows * f..], Accumulate::Overwrite, rates);
                own::add_linear(dx, Rows::new(rates, 2 * p, 0, 2 * p), x);
            }
            self.layers[0].weight.input_gradient(q, &b.layers[0].d[..rows * w], Accumulate::Add, dx);
        }
    }
}

impl_parameters!(MlpPotential);

impl Field for MlpPotential {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn context(&self) -> usize {
        0
    }

    fn velocity(&self, x: &[f32], t: &[f32], _: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        self.evaluate(x, t, Jet { value: None, gradient: out, rate: None }, tape);
        own::negate(out);
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let mut direction = std::mem::take(&mut tape.of::<Buffers>().direction);
        direction.clear();
        direction.extend(dv.iter().map(|d| -d));
        let weights = Cotangents { gradient: Some(&direction), ..Cotangents::default() };
        self.vjp(&weights, tape, gradient, dx);
        tape.of::<Buffers>().direction = direction;
    }
}

#[cfg(test)]
#[path = "potential_tests.rs"]
mod tests;
