//! The embedding of time and context that fields are conditioned on: e = silu(W_t φ(t) + W_c c + b), with φ(t) the sinusoidal features of time.
use crate::nn::affine::Affine;
use crate::nn::dense::Accumulate;
use crate::nn::elementwise;
use crate::nn::gradient::Gradient;
use crate::nn::time_features;

/// The layers, as ranges of a field's parameters.
#[derive(Clone, Debug)]
pub(super) struct Embedding {
    /// W_t and a bias.
    pub time: Affine,
    /// W_c, with a bias or without; none in a field without contexts.
    pub context: Option<Affine>,
}

/// Buffers of C conditions.
#[derive(Default)]
pub(super) struct Conditions {
    c: Vec<f32>, // [C, D]
    /// φ(t) `[C, F]`.
    pub phi: Vec<f32>,
    slope: Vec<f32>, // of silu [C, E]
    /// e `[C, E]`.
    pub e: Vec<f32>,
    /// The derivative with respect to e `[C, E]`, which [`Embedding::gradient`] turns into that before silu.
    pub d_e: Vec<f32>,
}

impl Embedding {
    /// φ and e of the first `conditions` times and contexts.
    pub fn apply(&self, q: &[f32], t: &[f32], c: Option<&[f32]>, conditions: usize, b: &mut Conditions) {
        let (features, e) = (self.time.inputs, self.time.outputs);
        b.phi.resize(conditions * features, 0.0);
        [&mut b.slope, &mut b.e].into_iter().for_each(|buffer| buffer.resize(conditions * e, 0.0));
        time_features::features(t, features, &mut b.phi);
        self.time.apply(q, &b.phi, Accumulate::Overwrite, &mut b.slope);
        if let Some(context) = &self.context {
            b.c.clear();
            b.c.extend_from_slice(c.expect("a field with context is given one"));
            context.apply(q, &b.c, Accumulate::Add, &mut b.slope);
            if !context.bias(q).is_empty() {
                elementwise::add_bias(&mut b.slope, context.bias(q));
            }
        }
        elementwise::silu(&mut b.slope, self.time.bias(q), &mut b.e);
    }

    /// Pulls `d_e` back to the layers.
    pub fn gradient(&self, gradient: &mut Gradient<'_>, b: &mut Conditions) {
        elementwise::times_into(&mut b.d_e, &b.slope);
        self.time.gradient(gradient, &b.d_e, &b.phi);
        if let Some(context) = &self.context {
            context.gradient(gradient, &b.d_e, &b.c);
        }
    }

    /// The derivative with respect to the contexts `[C, D]` after [`Self::gradient`]; none without contexts.
    pub fn context_gradient(&self, q: &[f32], b: &Conditions) -> Option<Vec<f32>> {
        let context = self.context.as_ref()?;
        let mut dc = vec![0.0; b.d_e.len() / context.outputs * context.inputs];
        context.input_gradient(q, &b.d_e, Accumulate::Overwrite, &mut dc);
        Some(dc)
    }
}
