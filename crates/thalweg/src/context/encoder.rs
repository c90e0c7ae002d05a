//! The encoder of support sets (M10): {(x_i, y_i)} → c `[D]`.
//!
//! f_i = MLP(x_i) (silu after every layer); per class k that has samples: m_k = mean f_i, and m̄ their mean over classes; token
//! z_k = W ((m_k − m̄)/s, m̄, ln(1 + n_k), code_k) + b, with s the root mean square of all m_k − m̄ of the set; blocks of a set transformer over the class tokens that are there, a last norm; then two
//! readouts: `pooled` numbers W_g a + b_g, a what a learned seed asks of all tokens by attention, and for `each` class a block of numbers
//! W_r (z_k − z̄) in the place of class k (zeros for a class without samples). Each readout is divided by its root mean square, so 0
//! means no context and is never a context: it is what c is dropped to. Differences between classes are small beside what classes
//! have in common, and beside the codes: without m̄ and z̄ apart and s, two labellings of one set have nearly one context (cosine .998 on the digits).
//!
//! Codes are the C vertices of a regular simplex (equiangular; √(C/(C−1)) (e_k − 1/C)): no label is nearer to one than to another. Without them
//! the encoder is equivariant to relabelling: the pooled part does not change, the blocks of the classes change places. With them it is so up to
//! the same permutation of the codes. In the samples it is invariant to the last bit, since a [`Support`] has a canonical order.
//!
//! Cost: the row net over all samples, and next to nothing more. Not for tasks without classes.
use super::block::{Block, BlockBuffers, Norm, NormBuffers};
use super::centre::{centre, centre_backward, scale, scale_backward};
use super::config::ContextConfig;
use super::support::Support;
use crate::nn::affine::Affine;
use crate::nn::attention::{Attention, AttentionBuffers};
use crate::nn::dense::{Accumulate, column_sums};
use crate::nn::elementwise;
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::{Error, Layout, Result, Streams};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::ops::Range;

/// Added to the mean square of c.
const EPSILON: f32 = 1e-6;

/// The encoder with its parameters.
#[derive(Clone, Debug)]
pub struct Encoder {
    inputs: usize,
    classes: usize,
    codes: bool,
    width: usize,
    pooled: usize,
    each: usize,
    layout: Layout,
    parameters: Vec<f32>,
    rows: Vec<Affine>,
    token: Affine,
    blocks: Vec<Block>,
    norm: Norm,
    seed: Range<usize>,
    pool: Attention,
    global: Option<Affine>,
    local: Option<Affine>,
}

/// What a forward pass leaves for the backward pass.
#[derive(Default)]
pub struct EncoderBuffers {
    sets: usize,
    /// The place among all tokens `[S, C]` of every row, and how many rows each token has.
    places: Vec<usize>,
    counts: Vec<f32>,
    mask: Vec<bool>,
    x: Vec<f32>,
    /// Slope of silu, and silu, of each layer of the row net.
    rows: Vec<[Vec<f32>; 2]>,
    tokens: Vec<f32>,
    /// 1 / root mean square of what tells the classes of a set apart `[S]`.
    spread: Vec<f32>,
    blocks: Vec<BlockBuffers>,
    z: Vec<f32>,
    norm: NormBuffers,
    /// Tokens `[S, C, W]` after the norm; then less their mean over the classes that are there.
    last: Vec<f32>,
    apart: Vec<f32>,
    seeds: Vec<f32>,
    pool: AttentionBuffers,
    answer: Vec<f32>,
    /// 1 / root mean square of each readout `[S, 2]`, and c `[S, D]`.
    inverse: Vec<[f32; 2]>,
    c: Vec<f32>,
}

impl_parameters!(Encoder);

impl Encoder {
    /// An encoder of rows `[inputs]` with labels below `classes`, its parameters drawn from `streams`.
    ///
    /// # Errors
    /// Sizes outside their ranges.
    pub fn new(inputs: usize, classes: usize, config: &ContextConfig, streams: &Streams) -> Result<Self> {
        config.check()?;
        if inputs == 0 || classes < 2 {
            let found = format!("{inputs} numbers, {classes} classes");
            return Err(Error::parameter("context", "rows of numbers in at least two classes", found));
        }
        let (mut tensors, mut end) = (vec![], 0);
        let mut wide = inputs;
        let mut rows = vec![];
        for (i, &hidden) in config.hidden.iter().enumerate() {
            rows.push(Affine::push(&mut tensors, &mut end, &format!("rows.{i}"), hidden, wide));
            wide = hidden;
        }
        let w = config.width;
        let token =
            Affine::push(&mut tensors, &mut end, "token", w, 2 * wide + 1 + if config.codes { classes } else { 0 });
        let blocks = (0..config.blocks)
            .map(|i| Block::push(&mut tensors, &mut end, &format!("blocks.{i}"), w, config.heads))
            .collect::<Result<Vec<_>>>()?;
        let norm = Norm::push(&mut tensors, &mut end, "norm", w);
        let seed = end..end + w;
        tensors.push(("seed".into(), vec![w]));
        end = seed.end;
        let pool = Attention::push(&mut tensors, &mut end, "pool", [w, w], config.heads)?;
        let global =
            (config.global_width > 0).then(|| Affine::push(&mut tensors, &mut end, "global", config.global_width, w));
        let local = (config.class_width > 0)
            .then(|| Affine::push_linear(&mut tensors, &mut end, "local", config.class_width, w));
        let mut parameters = vec![0.0; end];
        for (i, layer) in rows.iter().enumerate() {
            layer.draw(&mut parameters, &streams.child("rows").index(i as u64));
        }
        token.draw(&mut parameters, &streams.child("token"));
        for (i, block) in blocks.iter().enumerate() {
            block.draw(&mut parameters, &streams.child("block").index(i as u64));
        }
        let mut rng = streams.child("seed").rng();
        parameters[seed.clone()].iter_mut().for_each(|s| *s = rng.sample(StandardNormal));
        pool.draw(&mut parameters, &streams.child("pool"));
        for (name, layer) in [("global", &global), ("local", &local)] {
            if let Some(layer) = layer {
                layer.draw(&mut parameters, &streams.child(name));
            }
        }
        let layout = Layout::of_tensors(tensors);
        let (codes, pooled, each) = (config.codes, config.global_width, config.class_width);
        Ok(Self {
            inputs,
            classes,
            codes,
            width: w,
            pooled,
            each,
            layout,
            parameters,
            rows,
            token,
            blocks,
            norm,
            seed,
            pool,
            global,
            local,
        })
    }

    /// D, numbers of a context.
    pub fn dimension(&self) -> usize {
        self.pooled + self.classes * self.each
    }

    /// Numbers of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Checks that a support set fits.
    ///
    /// # Errors
    /// Rows of another size, or a label beyond the classes.
    pub fn check(&self, support: &Support) -> Result<()> {
        let wide = support.inputs.len() / support.labels.len();
        if wide != self.inputs {
            return Err(Error::shape("support set", format!("[n, {}]", self.inputs), format!("[n, {wide}]")));
        }
        match support.labels.iter().find(|&&label| label as usize >= self.classes) {
            Some(label) => Err(Error::parameter("support set", format!("labels below {}", self.classes), label)),
            None => Ok(()),
        }
    }

    /// The contexts `[S, D]` of checked support sets.
    pub fn forward<'b>(&self, supports: &[Support], b: &'b mut EncoderBuffers) -> &'b [f32] {
        let (q, w, sets, classes) = (&self.parameters, self.width, supports.len(), self.classes);
        b.sets = sets;
        b.x.clear();
        b.places.clear();
        b.counts.clear();
        b.counts.resize(sets * classes, 0.0);
        for (s, support) in supports.iter().enumerate() {
            b.x.extend_from_slice(&support.inputs);
            for &label in &support.labels {
                let place = s * classes + label as usize;
                b.places.push(place);
                b.counts[place] += 1.0;
            }
        }
        b.mask = b.counts.iter().map(|n| *n > 0.0).collect();
        b.rows.resize_with(self.rows.len(), Default::default);
        for (i, layer) in self.rows.iter().enumerate() {
            let (before, rest) = b.rows.split_at_mut(i);
            let x = before.last().map_or(&b.x, |[_, after]| after);
            let [slope, after] = &mut rest[0];
            slope.resize(b.places.len() * layer.outputs, 0.0);
            after.resize(slope.len(), 0.0);
            layer.apply(q, x, Accumulate::Overwrite, slope);
            elementwise::silu(slope, layer.bias(q), after);
        }
        let features = b.rows.last().map_or(&b.x, |[_, after]| after);
        let (f, wide) = (features.len() / b.places.len(), self.token.inputs);
        b.tokens.clear();
        b.tokens.resize(sets * classes * wide, 0.0);
        for (row, &place) in features.chunks_exact(f).zip(&b.places) {
            let n = b.counts[place];
            b.tokens[place * wide..][..f].iter_mut().zip(row).for_each(|(m, x)| *m += x / n);
        }
        centre(&mut b.tokens, wide, f, &b.mask, classes, true);
        b.spread = scale(&mut b.tokens, wide, f, &b.mask, classes);
        for (place, token) in b.tokens.chunks_exact_mut(wide).enumerate() {
            token[2 * f] = b.counts[place].ln_1p();
            if self.codes {
                let (size, k) = (classes as f32, place % classes);
                let stretch = (size / (size - 1.0)).sqrt();
                token[2 * f + 1..].iter_mut().enumerate().for_each(|(j, code)| {
                    *code = stretch * (if j == k { 1.0 } else { 0.0 } - 1.0 / size);
                });
            }
        }
        b.z.resize(sets * classes * w, 0.0);
        self.token.apply(q, &b.tokens, Accumulate::Overwrite, &mut b.z);
        elementwise::add_bias(&mut b.z, self.token.bias(q));
        b.blocks.resize_with(self.blocks.len(), BlockBuffers::default);
        for (block, buffers) in self.blocks.iter().zip(&mut b.blocks) {
            block.forward(q, sets, &mut b.z, &b.mask, buffers);
        }
        self.norm.forward(q, &mut b.z, &mut b.norm);
        b.last.clone_from(&b.norm.a);
        b.seeds = q[self.seed.clone()].repeat(sets);
        b.answer.resize(sets * w, 0.0);
        self.pool.forward(q, sets, &b.seeds, Some(&b.last), Some(&b.mask), &mut b.answer, &mut b.pool);
        self.read_out(b);
        &b.c
    }

    /// Both readouts, normalised, to `b.c`.
    fn read_out(&self, b: &mut EncoderBuffers) {
        let (q, d, classes, each) = (&self.parameters, self.dimension(), self.classes, self.each);
        b.c.clear();
        b.c.resize(b.sets * d, 0.0);
        if let Some(global) = &self.global {
            let mut part = vec![0.0; b.sets * self.pooled];
            global.apply(q, &b.answer, Accumulate::Overwrite, &mut part);
            elementwise::add_bias(&mut part, global.bias(q));
            b.c.chunks_exact_mut(d)
                .zip(part.chunks_exact(self.pooled))
                .for_each(|(c, g)| c[..self.pooled].copy_from_slice(g));
        }
        if let Some(local) = &self.local {
            b.apart.clone_from(&b.last);
            centre(&mut b.apart, self.width, self.width, &b.mask, classes, false);
            let mut part = vec![0.0; b.sets * classes * each];
            local.apply(q, &b.apart, Accumulate::Overwrite, &mut part);
            for (place, numbers) in part.chunks_exact(each).enumerate().filter(|(place, _)| b.mask[*place]) {
                let start = place / classes * d + self.pooled + place % classes * each;
                b.c[start..start + each].copy_from_slice(numbers);
            }
        }
        b.inverse.clear();
        for c in b.c.chunks_exact_mut(d) {
            let (pooled, each) = c.split_at_mut(self.pooled);
            b.inverse.push([pooled, each].map(|part| {
                let inverse =
                    (elementwise::sum(part, part, |a, b| a * b) / part.len().max(1) as f32 + EPSILON).sqrt().recip();
                part.iter_mut().for_each(|c| *c *= inverse);
                inverse
            }));
        }
    }

    /// Leaves in `gradient` what `d_c [S, D]`, the derivative with respect to the last contexts, comes to in the parameters.
    pub fn backward(&self, d_c: &[f32], b: &mut EncoderBuffers, gradient: &mut [f32]) {
        let (q, w, d, classes) = (&self.parameters, self.width, self.dimension(), self.classes);
        let mut gradient = Gradient::Write(gradient);
        let mut d_c = d_c.to_vec();
        for ((d_c, c), inverse) in d_c.chunks_exact_mut(d).zip(b.c.chunks_exact(d)).zip(&b.inverse) {
            for (part, inverse) in [0..self.pooled, self.pooled..d].into_iter().zip(inverse) {
                let (d_c, c) = (&mut d_c[part.clone()], &c[part.clone()]);
                let along = elementwise::sum(d_c, c, |a, b| a * b) / part.len().max(1) as f32;
                d_c.iter_mut().zip(c).for_each(|(d, c)| *d = inverse * (*d - c * along));
            }
        }
        let mut d_z = vec![0.0; b.sets * classes * w];
        let mut d_answer = vec![0.0; b.sets * w];
        if let Some(global) = &self.global {
            let part: Vec<f32> = d_c.chunks_exact(d).flat_map(|d_c| &d_c[..self.pooled]).copied().collect();
            global.gradient(&mut gradient, &part, &b.answer);
            global.input_gradient(q, &part, Accumulate::Overwrite, &mut d_answer);
        }
        self.pool_backward(&d_answer, &mut d_z, b, &mut gradient);
        if let Some(local) = &self.local {
            let mut part = vec![0.0; b.sets * classes * self.each];
            for (place, numbers) in part.chunks_exact_mut(self.each).enumerate().filter(|(place, _)| b.mask[*place]) {
                let start = place / classes * d + self.pooled + place % classes * self.each;
                numbers.copy_from_slice(&d_c[start..start + self.each]);
            }
            local.gradient(&mut gradient, &part, &b.apart);
            let mut d_apart = vec![0.0; d_z.len()];
            local.input_gradient(q, &part, Accumulate::Overwrite, &mut d_apart);
            // Taking the mean away is its own transpose.
            centre(&mut d_apart, w, w, &b.mask, classes, false);
            d_z.iter_mut().zip(&d_apart).for_each(|(d, a)| *d += a);
        }
        b.norm.a.copy_from_slice(&d_z);
        d_z.fill(0.0);
        self.norm.backward(q, &mut b.norm, &mut d_z, &mut gradient);
        for (block, buffers) in self.blocks.iter().zip(&mut b.blocks).rev() {
            block.backward(q, &mut d_z, buffers, &mut gradient);
        }
        self.token.gradient(&mut gradient, &d_z, &b.tokens);
        let Some(last) = self.rows.last() else { return };
        let (f, wide) = (last.outputs, self.token.inputs);
        let mut d_tokens = vec![0.0; b.sets * classes * wide];
        self.token.input_gradient(q, &d_z, Accumulate::Overwrite, &mut d_tokens);
        scale_backward(&mut d_tokens, &b.tokens, &b.spread, [wide, f], &b.mask, classes);
        centre_backward(&mut d_tokens, wide, f, &b.mask, classes);
        let mut d_rows: Vec<f32> = Vec::with_capacity(b.places.len() * f);
        for &place in &b.places {
            let n = b.counts[place];
            d_rows.extend(d_tokens[place * wide..][..f].iter().map(|d| d / n));
        }
        for (i, layer) in self.rows.iter().enumerate().rev() {
            elementwise::times_into(&mut d_rows, &b.rows[i][0]);
            let x = if i == 0 { &b.x } else { &b.rows[i - 1][1] };
            layer.gradient(&mut gradient, &d_rows, x);
            if i > 0 {
                let mut below = vec![0.0; b.places.len() * layer.inputs];
                layer.input_gradient(q, &d_rows, Accumulate::Overwrite, &mut below);
                d_rows = below;
            }
        }
    }

    fn pool_backward(&self, d_answer: &[f32], d_z: &mut [f32], b: &mut EncoderBuffers, gradient: &mut Gradient<'_>) {
        let mut d_seeds = vec![0.0; b.seeds.len()];
        self.pool.backward(&self.parameters, d_answer, &mut b.pool, gradient, Some(&mut d_seeds), Some(d_z));
        if let Gradient::Write(slice) = gradient {
            column_sums(&mut slice[self.seed.clone()], Accumulate::Overwrite, &d_seeds);
        }
    }
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
