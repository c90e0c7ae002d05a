//! The residual multilayer perceptron over standardised weights, the default field of M4 and M5.
//!
//! With φ(t) the sinusoidal features of time:
//! e = silu(W_t φ + W_c c + b_t);  h = W_in x + b_in;
//! a block: a = norm(h) ⊙ (1 + scale(e)) + shift(e), h ← h + W_down silu(W_up a + b_up) + b_down;
//! v = W_out h + b_out + (G φ + g) ⊙ x.
//! W_out, b_out, G and g start at zero, so an untrained field stands still; the gate G φ + g of each parameter carries shrinkage and
//! growth along t, which a narrow residual stream cannot ([`Gate`]: smaller gates, for large P). `norm` is layer normalisation without parameters: the modulation has them.
//!
//! Cost: 2 B (2 P width + 2 blocks width² expansion) operations for `velocity`, twice that for `backward`. Not for tokens or
//! convolution-shaped weights beyond some 10⁵ numbers, where W_in and W_out dominate: there, use a latent space (M8).
use super::Field;
use super::embedding::{Conditions, Embedding};
use super::gate::{Courses, Gate, TimeGate};
use crate::nn::affine::Affine;
use crate::nn::dense::Accumulate;
use crate::nn::elementwise::{self, Rows};
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::ranges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::{Error, Layout, Result, Streams};

/// The size of a [`ResidualMlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResidualMlpConfig {
    /// Numbers in the residual stream (256; 1 to 8,192).
    pub width: usize,
    /// Residual blocks (2; 0 to 64).
    pub blocks: usize,
    /// Hidden width of a block over `width` (1; 1 to 16).
    pub expansion: usize,
    /// Sinusoidal features of time (32; even, 2 to 1,024).
    pub time_features: usize,
    /// Width of the embedding of time and context, from which blocks are modulated (64; 1 to 4,096).
    pub embedding: usize,
    /// Numbers of a context, D (0: none).
    pub context: usize,
    /// How each weight is scaled along time (full; low-rank and shared take 5 and 1 numbers a weight in the place of 33).
    #[serde(skip_serializing_if = "Gate::is_full")]
    pub gate: Gate,
}

impl Default for ResidualMlpConfig {
    fn default() -> Self {
        Self { width: 256, blocks: 2, expansion: 1, time_features: 32, embedding: 64, context: 0, gate: Gate::Full }
    }
}

impl ResidualMlpConfig {
    /// Parameters of the field over points `[dimension]`, told before it is built.
    pub fn numbers(&self, dimension: usize) -> usize {
        let (w, e, f) = (self.width, self.embedding, self.time_features);
        let context = if self.context > 0 { e.saturating_mul(self.context + 1) } else { 0 };
        let modulation = self.blocks * 2 * w * (e + 1);
        let blocks = self.blocks * (2 * w * w * self.expansion + w * self.expansion + w);
        let small = w + e * (f + 1) + modulation + blocks;
        let ends = dimension.saturating_mul(2 * w + 1);
        [small, context, ends, self.gate.numbers(dimension, f)].into_iter().fold(0, usize::saturating_add)
    }

    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        ranges::check(
            "field.",
            [
                ("width", self.width as u64, 1..=8_192),
                ("blocks", self.blocks as u64, 0..=64),
                ("expansion", self.expansion as u64, 1..=16),
                ("time-features", self.time_features as u64, 2..=1_024),
                ("embedding", self.embedding as u64, 1..=4_096),
                ("context", self.context as u64, 0..=1 << 20),
            ],
        )?;
        if !self.time_features.is_multiple_of(2) {
            return Err(Error::parameter("field.time-features", "an even number", self.time_features));
        }
        Ok(())
    }
}

/// See the module's text for the formula.
#[derive(Clone, Debug)]
pub struct ResidualMlp {
    config: ResidualMlpConfig,
    dimension: usize,
    layout: Layout,
    parameters: Vec<f32>,
    input: Affine,
    embedding: Embedding,
    modulation: Option<Affine>,
    blocks: Vec<[Affine; 2]>,
    output: Affine,
    gate: TimeGate,
}

/// Buffers of one batch of B rows and C conditions: C = B, or 1 where all rows share their time.
#[derive(Default)]
struct Buffers {
    x: Vec<f32>, // [B, P]
    conditions: Conditions,
    modulation: Vec<f32>, // [C, blocks, 2, W]: scale, then shift
    blocks: Vec<BlockBuffers>,
    h: Vec<f32>,    // [B, W]
    gate: Vec<f32>, // [C, P]
    courses: Courses,
    d_gate: Vec<f32>,       // [B, P]
    d_h: Vec<f32>,          // [B, W]
    d_up: Vec<f32>,         // [B, W · expansion]
    d_a: Vec<f32>,          // [B, W]
    d_modulation: Vec<f32>, // [B, blocks, 2, W], or empty where it is not wanted
}

#[derive(Default)]
struct BlockBuffers {
    normal: Vec<f32>,  // norm(h) [B, W]
    inverse: Vec<f32>, // 1 / deviation of h [B]
    a: Vec<f32>,       // [B, W]
    up: [Vec<f32>; 2], // slope of silu, and silu [B, W · expansion]
}

impl ResidualMlp {
    /// A field over points `[dimension]` with initial parameters from `streams`.
    ///
    /// # Errors
    /// A size outside its range.
    pub fn new(dimension: usize, config: &ResidualMlpConfig, streams: &Streams) -> Result<Self> {
        config.check()?;
        if dimension == 0 {
            return Err(Error::parameter("field.dimension", "at least 1", dimension));
        }
        let (w, e, f) = (config.width, config.embedding, config.time_features);
        let (mut tensors, mut end) = (Vec::new(), 0);
        let mut push = |name: &str, outputs, inputs| Affine::push(&mut tensors, &mut end, name, outputs, inputs);
        let input = push("input", w, dimension);
        let time = push("time", e, f);
        let context = (config.context > 0).then(|| push("context", e, config.context));
        let modulation = (config.blocks > 0).then(|| push("modulation", config.blocks * 2 * w, e));
        let blocks = (0..config.blocks)
            .map(|i| {
                let hidden = w * config.expansion;
                [push(&format!("blocks.{i}.up"), hidden, w), push(&format!("blocks.{i}.down"), w, hidden)]
            })
            .collect::<Vec<_>>();
        let output = push("output", dimension, w);
        let gate = TimeGate::push(&mut tensors, &mut end, config.gate, dimension, f);
        let mut parameters = vec![0.0; end];
        for (name, layer) in [
            ("input", Some(&input)),
            ("time", Some(&time)),
            ("context", context.as_ref()),
            ("modulation", modulation.as_ref()),
        ] {
            if let Some(layer) = layer {
                layer.draw(&mut parameters, &streams.child(name));
            }
        }
        for (i, [up, down]) in blocks.iter().enumerate() {
            let streams = streams.child("block").index(i as u64);
            up.draw(&mut parameters, &streams.child("up"));
            down.draw(&mut parameters, &streams.child("down"));
        }
        gate.draw(&mut parameters, &streams.child("gate"));
        let layout = Layout::of_tensors(tensors);
        Ok(Self {
            config: config.clone(),
            dimension,
            layout,
            parameters,
            input,
            embedding: Embedding { time, context },
            modulation,
            blocks,
            output,
            gate,
        })
    }

    /// The sizes that the field was made with.
    pub fn config(&self) -> &ResidualMlpConfig {
        &self.config
    }
}

impl Buffers {
    fn fit(&mut self, field: &ResidualMlp, rows: usize, conditions: usize) {
        let config = &field.config;
        let (p, w) = (field.dimension, config.width);
        self.x.resize(rows * p, 0.0);
        self.modulation.resize(conditions * config.blocks * 2 * w, 0.0);
        self.gate.resize(conditions * p, 0.0);
        self.h.resize(rows * w, 0.0);
        self.blocks.resize_with(config.blocks, BlockBuffers::default);
        for block in &mut self.blocks {
            block.normal.resize(rows * w, 0.0);
            block.inverse.resize(rows, 0.0);
            block.a.resize(rows * w, 0.0);
            block.up.iter_mut().for_each(|buffer| buffer.resize(rows * w * config.expansion, 0.0));
        }
    }

    /// The number of conditions C; gradients of parameters need buffers of their own.
    fn fit_backward(&mut self, field: &ResidualMlp, wanted: bool) -> usize {
        let config = &field.config;
        let (rows, w) = (self.h.len() / config.width, config.width);
        let conditions = self.conditions.phi.len() / config.time_features;
        self.d_h.resize(rows * w, 0.0);
        self.d_up.resize(rows * w * config.expansion, 0.0);
        self.d_a.resize(rows * w, 0.0);
        self.d_modulation.resize(if wanted { rows * config.blocks * 2 * w } else { 0 }, 0.0);
        if wanted {
            self.d_gate.resize(rows * field.dimension, 0.0);
            self.conditions.d_e.resize(conditions * config.embedding, 0.0);
        }
        conditions
    }
}

impl_parameters!(ResidualMlp);

impl Field for ResidualMlp {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn context(&self) -> usize {
        self.config.context
    }

    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        let (q, p, rows) = (&self.parameters, self.dimension, t.len());
        assert!(
            rows > 0 && x.len() == rows * p && out.len() == x.len(),
            "points and velocities are [B, {p}] for t [B]"
        );
        let b = tape.of::<Buffers>();
        // Samplers ask for one time at all points: what depends on time alone is then computed once.
        let shared = self.embedding.context.is_none() && t.iter().all(|other| *other == t[0]);
        let conditions = if shared { 1 } else { rows };
        b.fit(self, rows, conditions);
        b.x.copy_from_slice(x);
        self.embedding.apply(q, t, c, conditions, &mut b.conditions);
        if let Some(modulation) = &self.modulation {
            modulation.apply(q, &b.conditions.e, Accumulate::Overwrite, &mut b.modulation);
            elementwise::add_bias(&mut b.modulation, modulation.bias(q));
        }
        self.input.apply(q, x, Accumulate::Overwrite, &mut b.h);
        let mut bias = self.input.bias(q);
        for (i, ([up, down], block)) in self.blocks.iter().zip(&mut b.blocks).enumerate() {
            let modulation = self.modulation_of(&b.modulation, i);
            elementwise::normalise(&mut b.h, bias, modulation, &mut block.normal, &mut block.inverse, &mut block.a);
            let [slope, after] = &mut block.up;
            up.apply(q, &block.a, Accumulate::Overwrite, slope);
            elementwise::silu(slope, up.bias(q), after);
            down.apply(q, after, Accumulate::Add, &mut b.h);
            bias = down.bias(q);
        }
        elementwise::add_bias(&mut b.h, bias);
        self.gate.apply(q, &b.conditions.phi, &mut b.courses, &mut b.gate);
        self.output.apply(q, &b.h, Accumulate::Overwrite, out);
        elementwise::add_gated(out, self.output.bias(q), Rows::new(&b.gate, p, 0, p), x);
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, mut gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let (q, p) = (&self.parameters, self.dimension);
        let b = tape.of::<Buffers>();
        assert!(dv.len() == b.x.len() && !dv.is_empty(), "dv has the shape of the velocities on the tape");
        let wanted = !matches!(gradient, Gradient::Skip);
        let conditions = b.fit_backward(self, wanted);
        if wanted {
            elementwise::times(dv, &b.x, &mut b.d_gate);
            if conditions == 1 {
                elementwise::fold_rows(&mut b.d_gate, p);
            }
            self.gate.gradient(q, &mut gradient, &b.d_gate[..conditions * p], &b.conditions.phi, &mut b.courses);
            self.output.gradient(&mut gradient, dv, &b.h);
        }
        self.output.input_gradient(q, dv, Accumulate::Overwrite, &mut b.d_h);
        for (i, ([up, down], block)) in self.blocks.iter().zip(&b.blocks).enumerate().rev() {
            let [slope, after] = &block.up;
            down.gradient(&mut gradient, &b.d_h, after);
            down.input_gradient(q, &b.d_h, Accumulate::Overwrite, &mut b.d_up);
            elementwise::times_into(&mut b.d_up, slope);
            up.gradient(&mut gradient, &b.d_up, &block.a);
            up.input_gradient(q, &b.d_up, Accumulate::Overwrite, &mut b.d_a);
            let scale = self.modulation_of(&b.modulation, i)[0];
            let (normal, inverse) = (&block.normal, &block.inverse);
            elementwise::normalise_backward(&mut b.d_a, scale, normal, inverse, &mut b.d_h, &mut b.d_modulation);
        }
        self.input.gradient(&mut gradient, &b.d_h, &b.x);
        if wanted {
            self.conditions_backward(b, conditions, &mut gradient);
        }
        if let Some(dx) = dx {
            elementwise::times_rows(Rows::new(&b.gate, p, 0, p), dv, dx);
            self.input.input_gradient(q, &b.d_h, Accumulate::Add, dx);
        }
    }

    fn context_gradient(&self, tape: &mut Tape) -> Option<Vec<f32>> {
        self.embedding.context_gradient(&self.parameters, &tape.of::<Buffers>().conditions)
    }
}

impl ResidualMlp {
    /// Scale and shift of block `i` within all modulations `[B or 1, blocks, 2, W]`.
    fn modulation_of<'a>(&self, all: &'a [f32], i: usize) -> [Rows<'a>; 2] {
        let w = self.config.width;
        [2 * i, 2 * i + 1].map(|part| Rows::new(all, self.config.blocks * 2 * w, part * w, w))
    }

    /// The part of the backward pass that belongs to time and context.
    fn conditions_backward(&self, b: &mut Buffers, conditions: usize, gradient: &mut Gradient<'_>) {
        match &self.modulation {
            None => b.conditions.d_e.fill(0.0),
            Some(modulation) => {
                if conditions == 1 {
                    elementwise::fold_rows(&mut b.d_modulation, modulation.outputs);
                }
                let d = &b.d_modulation[..conditions * modulation.outputs];
                modulation.gradient(gradient, d, &b.conditions.e);
                modulation.input_gradient(&self.parameters, d, Accumulate::Overwrite, &mut b.conditions.d_e);
            }
        }
        self.embedding.gradient(gradient, &mut b.conditions);
    }
}

#[cfg(test)]
#[path = "residual_tests.rs"]
mod tests;
