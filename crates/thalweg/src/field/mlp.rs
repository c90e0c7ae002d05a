//! The plain multilayer perceptron: a velocity field for points of some hundred numbers, and the field of DeepWeightFlow (Gupta et al. 2026, arXiv 2601.05052, as released).
//!
//! e = W₂ gelu(W₁ t + b₁) + b₂;  h₀ = (x, e, c);  hᵢ = drop(gelu(γᵢ ⊙ norm(Wᵢ hᵢ₋₁ + bᵢ) + βᵢ));  v = W_out h + b_out.
//! W_out and b_out start at zero, so an untrained field stands still. γ is held as 1 + scale: decay pulls it to 1. `drop` is dropout after every hidden
//! layer but the last, in training alone ([`Field::velocity_in_training`]).
//!
//! Cost: 2 B (sum of neighbouring widths' products) operations for `velocity`, twice that for `backward`. Not for weights of networks as they are: nothing
//! in it carries a weight's own value to its velocity, as the gate of [`super::ResidualMlp`] does. It lives on the CPU alone.
use super::Field;
use crate::nn::affine::Affine;
use crate::nn::dense::Accumulate;
use crate::nn::elementwise::{self, Rows};
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::ranges;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thalweg_nets::{Error, Layout, Result, Streams};

/// The size of a [`Mlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MlpConfig {
    /// Width of each hidden layer ([512, 256, 512]; 1 to 64 of them, 1 to 8,192 each).
    pub widths: Vec<usize>,
    /// Width of the embedding of time (64; 1 to 4,096).
    pub embedding: usize,
    /// Share of the activations that training sets to zero (0.1; at least 0, below 1).
    pub dropout: f64,
    /// Numbers of a context, D (0: none).
    pub context: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { widths: vec![512, 256, 512], embedding: 64, dropout: 0.1, context: 0 }
    }
}

impl MlpConfig {
    /// Parameters of the field over points `[dimension]`, told before it is built.
    pub fn numbers(&self, dimension: usize) -> usize {
        let (e, mut inputs) = (self.embedding, dimension.saturating_add(self.embedding + self.context));
        let mut all = e * (e + 3);
        for &width in &self.widths {
            all = all.saturating_add(width.saturating_mul(inputs.saturating_add(3)));
            inputs = width;
        }
        all.saturating_add(dimension.saturating_mul(inputs + 1))
    }

    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        if !(1..=64).contains(&self.widths.len()) {
            return Err(Error::parameter("field.mlp.widths", "1 to 64 hidden layers", self.widths.len()));
        }
        let in_range = |width: &usize| ranges::check("field.mlp.", [("widths", *width as u64, 1..=8_192)]);
        self.widths.iter().try_for_each(in_range)?;
        ranges::check(
            "field.mlp.",
            [("embedding", self.embedding as u64, 1..=4_096), ("context", self.context as u64, 0..=1 << 20)],
        )?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::parameter("field.mlp.dropout", "at least 0 and below 1", self.dropout));
        }
        Ok(())
    }
}

/// A hidden layer: an affine map, and scale and shift of its normalisation side by side.
#[derive(Clone, Debug)]
struct Hidden {
    affine: Affine,
    modulation: Range<usize>,
}

impl Hidden {
    fn push(tensors: &mut Vec<(String, Vec<usize>)>, end: &mut usize, i: usize, outputs: usize, inputs: usize) -> Self {
        let affine = Affine::push(tensors, end, &format!("hidden.{i}"), outputs, inputs);
        let modulation = *end..*end + 2 * outputs;
        *end = modulation.end;
        tensors.extend(["scale", "shift"].map(|name| (format!("norm.{i}.{name}"), vec![outputs])));
        Self { affine, modulation }
    }

    /// Scale and shift, the same for all rows.
    fn modulation<'a>(&self, parameters: &'a [f32]) -> [Rows<'a>; 2] {
        let n = self.affine.outputs;
        [0, n].map(|start| Rows::new(&parameters[self.modulation.clone()], 2 * n, start, n))
    }
}

/// See the module's text for the formula.
#[derive(Clone, Debug)]
pub struct Mlp {
    config: MlpConfig,
    dimension: usize,
    layout: Layout,
    parameters: Vec<f32>,
    time: [Affine; 2],
    hidden: Vec<Hidden>,
    output: Affine,
}

/// Buffers of one batch of B rows.
#[derive(Default)]
struct Buffers {
    t: Vec<f32>,         // [B, 1]
    time: [Vec<f32>; 2], // slope of gelu, and gelu [B, E]
    embedding: Vec<f32>, // [B, E]
    input: Vec<f32>,     // (x, e, c) [B, N]
    hidden: Vec<HiddenBuffers>,
    d_input: Vec<f32>,      // [B, N]
    d_embedding: Vec<f32>,  // [B, E]
    d_time: Vec<f32>,       // [B, E]
    d_modulation: Vec<f32>, // of one layer [B, 2, W]: scale, then shift; or empty where it is not wanted
    d_before: Vec<f32>,     // of one layer, before its normalisation [B, W]
    dc: Vec<f32>,           // [B, D]
}

#[derive(Default)]
struct HiddenBuffers {
    before: Vec<f32>,  // [B, W]
    normal: Vec<f32>,  // [B, W]
    inverse: Vec<f32>, // [B]
    slope: Vec<f32>,   // of gelu and dropout [B, W]
    after: Vec<f32>,   // [B, W]
    d_after: Vec<f32>, // [B, W]
}

impl Mlp {
    /// A field over points `[dimension]` with initial parameters from `streams`.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn new(dimension: usize, config: &MlpConfig, streams: &Streams) -> Result<Self> {
        config.check()?;
        if dimension == 0 {
            return Err(Error::parameter("field.dimension", "at least 1", dimension));
        }
        let (e, mut inputs) = (config.embedding, dimension + config.embedding + config.context);
        let (mut tensors, mut end) = (Vec::new(), 0);
        let time = [("time.0", 1), ("time.2", e)].map(|(name, n)| Affine::push(&mut tensors, &mut end, name, e, n));
        let mut hidden = Vec::new();
        for (i, &width) in config.widths.iter().enumerate() {
            hidden.push(Hidden::push(&mut tensors, &mut end, i, width, inputs));
            inputs = width;
        }
        let output = Affine::push(&mut tensors, &mut end, "output", dimension, inputs);
        let mut parameters = vec![0.0; end];
        for (i, layer) in time.iter().chain(hidden.iter().map(|layer| &layer.affine)).enumerate() {
            layer.draw(&mut parameters, &streams.child("layer").index(i as u64));
        }
        let layout = Layout::of_tensors(tensors);
        Ok(Self { config: config.clone(), dimension, layout, parameters, time, hidden, output })
    }

    /// The sizes that the field was made with.
    pub fn config(&self) -> &MlpConfig {
        &self.config
    }

    /// Numbers of (x, e, c).
    fn inputs(&self) -> usize {
        self.dimension + self.config.embedding + self.config.context
    }

    fn forward(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape, training: bool) {
        let (q, p, rows, e) = (&self.parameters, self.dimension, t.len(), self.config.embedding);
        assert!(
            rows > 0 && x.len() == rows * p && out.len() == x.len(),
            "points and velocities are [B, {p}] for t [B]"
        );
        let b = tape.of::<Buffers>();
        b.t.clear();
        b.t.extend_from_slice(t);
        b.time.iter_mut().chain([&mut b.embedding]).for_each(|buffer| buffer.resize(rows * e, 0.0));
        let [slope, after] = &mut b.time;
        self.time[0].apply(q, &b.t, Accumulate::Overwrite, slope);
        elementwise::add_bias(slope, self.time[0].bias(q));
        elementwise::gelu(slope, after);
        self.time[1].apply(q, after, Accumulate::Overwrite, &mut b.embedding);
        elementwise::add_bias(&mut b.embedding, self.time[1].bias(q));
        let d = self.config.context;
        let c = if d > 0 { c.expect("a field with context is given one") } else { &[] };
        b.input.clear();
        for i in 0..rows {
            let parts = [&x[i * p..][..p], &b.embedding[i * e..][..e], &c[i * d..][..d]];
            parts.iter().for_each(|part| b.input.extend_from_slice(part));
        }
        b.hidden.resize_with(self.hidden.len(), HiddenBuffers::default);
        let (mut input, last) = (&b.input, self.hidden.len() - 1);
        for (i, (layer, h)) in self.hidden.iter().zip(&mut b.hidden).enumerate() {
            let width = layer.affine.outputs;
            for buffer in [&mut h.before, &mut h.normal, &mut h.slope, &mut h.after] {
                buffer.resize(rows * width, 0.0);
            }
            h.inverse.resize(rows, 0.0);
            layer.affine.apply(q, input, Accumulate::Overwrite, &mut h.before);
            let (bias, modulation) = (layer.affine.bias(q), layer.modulation(q));
            elementwise::normalise(&mut h.before, bias, modulation, &mut h.normal, &mut h.inverse, &mut h.slope);
            elementwise::gelu(&mut h.slope, &mut h.after);
            if training && i < last {
                self.drop(i, t, h);
            }
            input = &h.after;
        }
        self.output.apply(q, input, Accumulate::Overwrite, out);
        elementwise::add_bias(out, self.output.bias(q));
    }

    /// Sets a share of layer `i`'s activations to zero and stretches the others, so that their mean stays. A row's mask follows from its time.
    fn drop(&self, i: usize, t: &[f32], h: &mut HiddenBuffers) {
        let share = self.config.dropout;
        if share == 0.0 {
            return;
        }
        let (width, kept) = (h.after.len() / t.len(), (1.0 / (1.0 - share)) as f32);
        let rows = h.after.chunks_exact_mut(width).zip(h.slope.chunks_exact_mut(width));
        for ((after, slope), t) in rows.zip(t) {
            let mut rng = Streams::new(u64::from(t.to_bits())).child("dropout").index(i as u64).rng();
            for (after, slope) in after.iter_mut().zip(slope) {
                let factor = if rng.random::<f64>() < share { 0.0 } else { kept };
                (*after, *slope) = (factor * *after, factor * *slope);
            }
        }
    }
}

impl_parameters!(Mlp);

impl Field for Mlp {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn context(&self) -> usize {
        self.config.context
    }

    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        self.forward(x, t, c, out, tape, false);
    }

    fn velocity_in_training(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        self.forward(x, t, c, out, tape, true);
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, mut gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let (q, p, e, n) = (&self.parameters, self.dimension, self.config.embedding, self.inputs());
        let b = tape.of::<Buffers>();
        let rows = b.t.len();
        assert!(dv.len() == rows * p && rows > 0, "dv has the shape of the velocities on the tape");
        let wanted = !matches!(gradient, Gradient::Skip);
        b.d_input.resize(rows * n, 0.0);
        let last = b.hidden.last_mut().expect("a field has hidden layers");
        last.d_after.resize(last.after.len(), 0.0);
        self.output.gradient(&mut gradient, dv, &last.after);
        self.output.input_gradient(q, dv, Accumulate::Overwrite, &mut last.d_after);
        for (i, layer) in self.hidden.iter().enumerate().rev() {
            let (before, rest) = b.hidden.split_at_mut(i);
            let (h, width) = (&mut rest[0], layer.affine.outputs);
            elementwise::times_into(&mut h.d_after, &h.slope);
            b.d_modulation.resize(if wanted { rows * 2 * width } else { 0 }, 0.0);
            b.d_before.clear();
            b.d_before.resize(rows * width, 0.0);
            let scale = layer.modulation(q)[0];
            let (d_before, d_modulation) = (&mut b.d_before, &mut b.d_modulation);
            elementwise::normalise_backward(&mut h.d_after, scale, &h.normal, &h.inverse, d_before, d_modulation);
            if wanted {
                elementwise::fold_rows(&mut b.d_modulation, 2 * width);
                gradient.put(layer.modulation.clone(), &b.d_modulation[..2 * width]);
            }
            let (input, d_input) = match before.last_mut() {
                Some(h) => {
                    h.d_after.resize(h.after.len(), 0.0);
                    (&h.after, &mut h.d_after)
                }
                None => (&b.input, &mut b.d_input),
            };
            layer.affine.gradient(&mut gradient, &b.d_before, input);
            layer.affine.input_gradient(q, &b.d_before, Accumulate::Overwrite, d_input);
        }
        if wanted {
            b.d_embedding.clear();
            b.dc.clear();
            for row in b.d_input.chunks_exact(n) {
                b.d_embedding.extend_from_slice(&row[p..p + e]);
                b.dc.extend_from_slice(&row[p + e..]);
            }
            b.d_time.resize(rows * e, 0.0);
            let [slope, after] = &b.time;
            self.time[1].gradient(&mut gradient, &b.d_embedding, after);
            self.time[1].input_gradient(q, &b.d_embedding, Accumulate::Overwrite, &mut b.d_time);
            elementwise::times_into(&mut b.d_time, slope);
            self.time[0].gradient(&mut gradient, &b.d_time, &b.t);
        }
        if let Some(dx) = dx {
            dx.chunks_exact_mut(p).zip(b.d_input.chunks_exact(n)).for_each(|(dx, row)| dx.copy_from_slice(&row[..p]));
        }
    }

    fn context_gradient(&self, tape: &mut Tape) -> Option<Vec<f32>> {
        (self.config.context > 0).then(|| tape.of::<Buffers>().dc.clone())
    }
}

#[cfg(test)]
#[path = "mlp_tests.rs"]
mod tests;
