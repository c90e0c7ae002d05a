//! The residual multilayer perceptron over standardised weights, the default field of M4 and M5.
//!
//! With φ(t) the sinusoidal features of time:
//! e = silu(W_t φ + W_c c + b_t);  h = W_in x + b_in;
//! a block: a = norm(h) ⊙ (1 + scale(e)) + shift(e), h ← h + W_down silu(W_up a + b_up) + b_down;
//! v = W_out h + b_out + (G φ + g) ⊙ x.
//! W_out, b_out, G and g start at zero, so an untrained field stands still; the gate G φ + g of each parameter carries shrinkage and
//! growth along t, which a narrow residual stream cannot. `norm` is layer normalisation without parameters: the modulation has them.
//!
//! Cost: 2 B (2 P width + 2 blocks width² expansion) operations for `velocity`, twice that for `backward`. Not for tokens or
//! convolution-shaped weights beyond some 10⁵ numbers, where W_in and W_out dominate: there, use a latent space (M8).
use super::affine::Affine;
use super::passes;
use super::{Field, Gradient, Tape, time};
use crate::dense::Put;
use serde::{Deserialize, Serialize};
use thalweg_nets::{Error, Layout, Result, Streams};

/// The size of a [`ResidualMlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

impl Default for ResidualMlpConfig {
    fn default() -> Self {
        Self { width: 256, blocks: 2, expansion: 1, time_features: 32, embedding: 64, context: 0 }
    }
}

impl ResidualMlpConfig {
    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        for (name, value, range) in [
            ("width", self.width, 1..=8_192),
            ("blocks", self.blocks, 0..=64),
            ("expansion", self.expansion, 1..=16),
            ("time-features", self.time_features, 2..=1_024),
            ("embedding", self.embedding, 1..=4_096),
            ("context", self.context, 0..=1 << 20),
        ] {
            if !range.contains(&value) {
                let expected = format!("{} to {}", range.start(), range.end());
                return Err(Error::parameter(format!("field.{name}"), expected, value));
            }
        }
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
    time: Affine,
    context: Option<Affine>,
    modulation: Option<Affine>,
    blocks: Vec<[Affine; 2]>,
    output: Affine,
    gate: Affine,
}

/// Buffers of one batch.
#[derive(Default)]
struct Buffers {
    x: Vec<f32>,              // [B, P]
    c: Vec<f32>,              // [B, D]
    phi: Vec<f32>,            // [B, F]
    embedding: [Vec<f32>; 2], // before and after silu [B, E]
    modulation: Vec<f32>,     // [B, blocks, 2, W]: scale, then shift
    blocks: Vec<BlockBuffers>,
    h: Vec<f32>,    // [B, W]
    gate: Vec<f32>, // [B, P]
    // of the backward pass
    d_gate: Vec<f32>,       // [B, P]
    d_h: Vec<f32>,          // [B, W]
    d_up: Vec<f32>,         // [B, W · expansion]
    d_a: Vec<f32>,          // [B, W]
    d_modulation: Vec<f32>, // [B, blocks, 2, W]
    d_embedding: Vec<f32>,  // [B, E]
}

#[derive(Default)]
struct BlockBuffers {
    normal: Vec<f32>,  // norm(h) [B, W]
    scale: Vec<f32>,   // 1 / deviation of h [B]
    a: Vec<f32>,       // [B, W]
    up: [Vec<f32>; 2], // before and after silu [B, W · expansion]
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
        let gate = push("gate", dimension, f);
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
        let layout = Layout::of_tensors(tensors);
        Ok(Self {
            config: config.clone(),
            dimension,
            layout,
            parameters,
            input,
            time,
            context,
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
    fn fit(&mut self, field: &ResidualMlp, rows: usize) {
        let config = &field.config;
        let (p, w, f, e) = (field.dimension, config.width, config.time_features, config.embedding);
        let hidden = w * config.expansion;
        self.blocks.resize_with(config.blocks, BlockBuffers::default);
        let mut sizes = vec![
            (&mut self.x, p),
            (&mut self.c, config.context),
            (&mut self.phi, f),
            (&mut self.modulation, config.blocks * 2 * w),
            (&mut self.h, w),
            (&mut self.gate, p),
        ];
        sizes.extend(self.embedding.iter_mut().map(|buffer| (buffer, e)));
        for block in &mut self.blocks {
            sizes.extend([(&mut block.normal, w), (&mut block.scale, 1), (&mut block.a, w)]);
            sizes.extend(block.up.iter_mut().map(|buffer| (buffer, hidden)));
        }
        for (buffer, size) in sizes {
            buffer.resize(rows * size, 0.0);
        }
    }

    fn fit_backward(&mut self, field: &ResidualMlp) {
        let config = &field.config;
        let (rows, w) = (self.h.len() / config.width, config.width);
        for (buffer, size) in [
            (&mut self.d_gate, field.dimension),
            (&mut self.d_h, w),
            (&mut self.d_up, w * config.expansion),
            (&mut self.d_a, w),
            (&mut self.d_modulation, config.blocks * 2 * w),
            (&mut self.d_embedding, config.embedding),
        ] {
            buffer.resize(rows * size, 0.0);
        }
    }
}

impl Field for ResidualMlp {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn context(&self) -> usize {
        self.config.context
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        let (q, w, p) = (&self.parameters, self.config.width, self.dimension);
        assert!(x.len() == t.len() * p && out.len() == x.len(), "points and velocities are [B, {p}] for t [B]");
        let b = tape.of::<Buffers>();
        b.fit(self, t.len());
        b.x.copy_from_slice(x);
        time::features(t, self.config.time_features, &mut b.phi);
        let [before, after] = &mut b.embedding;
        self.time.apply(q, &b.phi, Put::Replace, before);
        if let Some(context) = &self.context {
            b.c.copy_from_slice(c.expect("a field with context is given one"));
            context.apply(q, &b.c, Put::Add, before);
            passes::add_bias(before, context.bias(q));
        }
        passes::silu(before, self.time.bias(q), after);
        if let Some(modulation) = &self.modulation {
            modulation.apply(q, after, Put::Replace, &mut b.modulation);
            passes::add_bias(&mut b.modulation, modulation.bias(q));
        }
        self.input.apply(q, x, Put::Replace, &mut b.h);
        let mut bias = self.input.bias(q);
        for (i, ([up, down], block)) in self.blocks.iter().zip(&mut b.blocks).enumerate() {
            passes::normalise(&mut b.h, bias, &mut block.normal, &mut block.scale);
            passes::modulate(&block.normal, passes::Part { all: &b.modulation, index: i, width: w }, &mut block.a);
            let [before, after] = &mut block.up;
            up.apply(q, &block.a, Put::Replace, before);
            passes::silu(before, up.bias(q), after);
            down.apply(q, after, Put::Add, &mut b.h);
            bias = down.bias(q);
        }
        passes::add_bias(&mut b.h, bias);
        self.gate.apply(q, &b.phi, Put::Replace, &mut b.gate);
        passes::add_bias(&mut b.gate, self.gate.bias(q));
        self.output.apply(q, &b.h, Put::Replace, out);
        passes::add_gated(out, self.output.bias(q), &b.gate, x);
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, mut gradient: Gradient<'_>, mut dx: Option<&mut [f32]>) {
        let (q, w) = (&self.parameters, self.config.width);
        let b = tape.of::<Buffers>();
        assert!(dv.len() == b.x.len(), "dv has the shape of the velocities on the tape");
        b.fit_backward(self);
        let wanted = !matches!(gradient, Gradient::Skip);
        if wanted {
            passes::times(dv, &b.x, &mut b.d_gate);
            self.gate.gradient(&mut gradient, &b.d_gate, &b.phi);
            self.output.gradient(&mut gradient, dv, &b.h);
        }
        self.output.pull(q, dv, Put::Replace, &mut b.d_h);
        for (i, ([up, down], block)) in self.blocks.iter().zip(&b.blocks).enumerate().rev() {
            let [before, after] = &block.up;
            down.gradient(&mut gradient, &b.d_h, after);
            down.pull(q, &b.d_h, Put::Replace, &mut b.d_up);
            passes::times_silu_slope(&mut b.d_up, before);
            up.gradient(&mut gradient, &b.d_up, &block.a);
            up.pull(q, &b.d_up, Put::Replace, &mut b.d_a);
            if wanted {
                passes::modulation_gradient(&b.d_a, &block.normal, &mut b.d_modulation, i, w);
            }
            let part = passes::Part { all: &b.modulation, index: i, width: w };
            passes::normalise_backward(&mut b.d_a, part, &block.normal, &block.scale, &mut b.d_h);
        }
        self.input.gradient(&mut gradient, &b.d_h, &b.x);
        if wanted {
            match &self.modulation {
                None => b.d_embedding.fill(0.0),
                Some(modulation) => {
                    modulation.gradient(&mut gradient, &b.d_modulation, &b.embedding[1]);
                    modulation.pull(q, &b.d_modulation, Put::Replace, &mut b.d_embedding);
                }
            }
            passes::times_silu_slope(&mut b.d_embedding, &b.embedding[0]);
            self.time.gradient(&mut gradient, &b.d_embedding, &b.phi);
            if let Some(context) = &self.context {
                context.gradient(&mut gradient, &b.d_embedding, &b.c);
            }
        }
        if let Some(dx) = &mut dx {
            passes::times(dv, &b.gate, dx);
            self.input.pull(q, &b.d_h, Put::Add, dx);
        }
    }
}

#[cfg(test)]
#[path = "residual_tests.rs"]
mod tests;
