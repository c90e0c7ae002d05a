//! Multi-head attention (Vaswani et al. 2017), self and cross, with an explicit backward pass: what encoders of sets (M10) and transformers
//! over weight tokens are built from.
//!
//! For every item of a batch, x `[N, W]` asks and y `[M, V]` answers (y = x for self-attention). With heads h of width d = W / H:
//! Q = x W_qᵀ + b_q, K = y W_kᵀ + b_k, V = y W_vᵀ + b_v; P_h = softmax(Q_h K_hᵀ / √d) over the keys that are there; out = concat_h(P_h V_h) W_oᵀ + b_o.
//! There is no position in it: it is equivariant to the order of x and invariant to the order of y, up to rounding (sums over keys
//! are taken in the order given). A query that meets no key at all receives b_o.
//!
//! Shapes are flat and row-major: x `[B, N, W]`, y `[B, M, V]`, mask `[B, M]`, P `[B, H, N, M]`.
//! Cost: 4 products over all rows and 2 B N M W operations twice; P is kept for the backward pass. One task an item, so that bytes do not
//! depend on the number of threads; a single item of thousands of tokens would run on one core.
use super::affine::Affine;
use super::dense::{self, Accumulate, sequential, vectorised, view};
use super::elementwise;
use super::gradient::Gradient;
use crate::{Error, Result, Streams};
use faer::MatMut;
use rayon::prelude::*;

/// The four projections of one attention layer, as places within flat parameters.
#[derive(Clone, Debug)]
pub struct Attention {
    heads: usize,
    width: usize,
    query: Affine,
    key: Affine,
    value: Affine,
    output: Affine,
}

/// What a forward pass leaves for the backward pass; grown once and used again.
#[derive(Default)]
pub struct AttentionBuffers {
    items: usize,
    /// y is x.
    own: bool,
    x: Vec<f32>,
    y: Vec<f32>,
    /// Q `[B, N, W]`, K and V `[B, M, W]`, concatenated heads `[B, N, W]`.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    o: Vec<f32>,
    /// P `[B, H, N, M]`.
    p: Vec<f32>,
    d_q: Vec<f32>,
    d_k: Vec<f32>,
    d_v: Vec<f32>,
    d_o: Vec<f32>,
    d_p: Vec<f32>,
}

impl Attention {
    /// Appends the layer's tensors `NAME.query.weight [W, W]`, `NAME.key.weight [W, V]` and so on to the list that `end` numbers precede.
    ///
    /// # Errors
    /// A width that heads do not divide.
    pub fn push(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        name: &str,
        [width, answering]: [usize; 2],
        heads: usize,
    ) -> Result<Self> {
        if heads == 0 || width == 0 || answering == 0 || !width.is_multiple_of(heads) {
            let expected = format!("a number that divides the width {width}");
            return Err(Error::parameter(format!("{name}.heads"), expected, heads));
        }
        let mut push = |part: &str, inputs| Affine::push(tensors, end, &format!("{name}.{part}"), width, inputs);
        let (query, key) = (push("query", width), push("key", answering));
        let (value, output) = (push("value", answering), push("output", width));
        Ok(Self { heads, width, query, key, value, output })
    }

    /// Draws all four projections from U(−1/√in, 1/√in).
    pub fn draw(&self, parameters: &mut [f32], streams: &Streams) {
        for (name, layer) in
            [("query", &self.query), ("key", &self.key), ("value", &self.value), ("output", &self.output)]
        {
            layer.draw(parameters, &streams.child(name));
        }
    }

    /// `x [B, N, W]` asks `y [B, M, V]` (itself, where that is none) → `out [B, N, W]`, for `items` B. `mask [B, M]` says which keys are there
    /// (all, where there is none).
    ///
    /// # Panics
    /// Where slices do not fit.
    #[allow(clippy::too_many_arguments)]
    pub fn forward(
        &self,
        parameters: &[f32],
        items: usize,
        x: &[f32],
        y: Option<&[f32]>,
        mask: Option<&[bool]>,
        out: &mut [f32],
        b: &mut AttentionBuffers,
    ) {
        let (w, own) = (self.width, y.is_none());
        let y = y.unwrap_or(x);
        let (n, m) = (x.len() / (items * w), y.len() / (items * self.key.inputs));
        assert!(items > 0 && n > 0 && m > 0, "at least one item, one query and one key each");
        assert!(x.len() == items * n * w && y.len() == items * m * self.key.inputs && out.len() == x.len());
        assert!(mask.is_none_or(|mask| mask.len() == items * m), "a mask is [B, M]");
        (b.items, b.own) = (items, own);
        copy(&mut b.x, x);
        copy(&mut b.y, if own { &[] } else { y });
        for (layer, from, to) in [(&self.query, x, &mut b.q), (&self.key, y, &mut b.k), (&self.value, y, &mut b.v)] {
            to.resize(from.len() / layer.inputs * w, 0.0);
            layer.apply(parameters, from, Accumulate::Overwrite, to);
            elementwise::add_bias(to, layer.bias(parameters));
        }
        b.o.resize(items * n * w, 0.0);
        b.p.resize(items * self.heads * n * m, 0.0);
        let scale = self.scale();
        let answers = b.k.par_chunks_exact(m * w).zip(b.v.par_chunks_exact(m * w));
        let all = b.q.par_chunks_exact(n * w).zip(answers).zip(b.o.par_chunks_exact_mut(n * w));
        all.zip(b.p.par_chunks_exact_mut(self.heads * n * m)).enumerate().for_each(|(i, (((q, (k, v)), o), p))| {
            let mask = mask.map(|mask| &mask[i * m..(i + 1) * m]);
            for (h, p) in p.chunks_exact_mut(n * m).enumerate() {
                let [q, k, v] = [(q, n), (k, m), (v, m)].map(|(all, rows)| self.head(all, rows, h));
                sequential(MatMut::from_row_major_slice_mut(p, n, m), Accumulate::Overwrite, q, k.transpose(), scale);
                p.chunks_exact_mut(m).for_each(|row| softmax(row, mask));
                sequential(self.head_mut(o, n, h), Accumulate::Overwrite, view(p, n, m), v, 1.0);
            }
        });
        self.output.apply(parameters, &b.o, Accumulate::Overwrite, out);
        elementwise::add_bias(out, self.output.bias(parameters));
    }

    /// Pulls `d_out [B, N, W]` back through the last [`Self::forward`]: gradients of the parameters, `dx [B, N, W]` and `dy [B, M, V]`, both
    /// overwritten. In self-attention dx is the whole derivative, and there is no dy.
    ///
    /// # Panics
    /// Where slices do not fit.
    pub fn backward(
        &self,
        parameters: &[f32],
        d_out: &[f32],
        b: &mut AttentionBuffers,
        gradient: &mut Gradient<'_>,
        dx: Option<&mut [f32]>,
        dy: Option<&mut [f32]>,
    ) {
        let (w, heads, items) = (self.width, self.heads, b.items);
        let (n, m) = (b.q.len() / (items * w), b.k.len() / (items * w));
        assert!(d_out.len() == b.o.len() && !(b.own && dy.is_some()));
        self.output.gradient(gradient, d_out, &b.o);
        for (buffer, size) in [(&mut b.d_o, b.o.len()), (&mut b.d_q, b.q.len()), (&mut b.d_p, b.p.len())] {
            buffer.resize(size, 0.0);
        }
        b.d_k.resize(b.k.len(), 0.0);
        b.d_v.resize(b.v.len(), 0.0);
        self.output.input_gradient(parameters, d_out, Accumulate::Overwrite, &mut b.d_o);
        let scale = self.scale();
        let inputs = b.q.par_chunks_exact(n * w).zip(b.k.par_chunks_exact(m * w)).zip(b.v.par_chunks_exact(m * w));
        let inner = b.p.par_chunks_exact(heads * n * m).zip(b.d_p.par_chunks_exact_mut(heads * n * m));
        let pulled = b.d_q.par_chunks_exact_mut(n * w).zip(b.d_k.par_chunks_exact_mut(m * w));
        let pulled = pulled.zip(b.d_v.par_chunks_exact_mut(m * w));
        let items = inputs.zip(inner).zip(pulled).zip(b.d_o.par_chunks_exact(n * w));
        items.for_each(|(((((q, k), v), (p, d_p)), ((d_q, d_k), d_v)), d_o)| {
            for (h, (p, d_p)) in p.chunks_exact(n * m).zip(d_p.chunks_exact_mut(n * m)).enumerate() {
                let [q, k, v, d_o] = [(q, n), (k, m), (v, m), (d_o, n)].map(|(all, rows)| self.head(all, rows, h));
                let share = view(p, n, m);
                sequential(self.head_mut(d_v, m, h), Accumulate::Overwrite, share.transpose(), d_o, 1.0);
                sequential(MatMut::from_row_major_slice_mut(d_p, n, m), Accumulate::Overwrite, d_o, v.transpose(), 1.0);
                // dS = P ⊙ (dP − Σ_keys P dP), in the place of dP.
                p.chunks_exact(m).zip(d_p.chunks_exact_mut(m)).for_each(|(p, d)| {
                    vectorised(|| {
                        let mean = elementwise::sum(p, d, |p, d| p * d);
                        d.iter_mut().zip(p).for_each(|(d, p)| *d = p * (*d - mean));
                    });
                });
                let d_s = view(d_p, n, m);
                sequential(self.head_mut(d_q, n, h), Accumulate::Overwrite, d_s, k, scale);
                sequential(self.head_mut(d_k, m, h), Accumulate::Overwrite, d_s.transpose(), q, scale);
            }
        });
        let y = if b.own { &b.x } else { &b.y };
        self.query.gradient(gradient, &b.d_q, &b.x);
        self.key.gradient(gradient, &b.d_k, y);
        self.value.gradient(gradient, &b.d_v, y);
        let answers = |put, d: &mut [f32]| {
            self.key.input_gradient(parameters, &b.d_k, put, d);
            self.value.input_gradient(parameters, &b.d_v, Accumulate::Add, d);
        };
        if let Some(dx) = dx {
            self.query.input_gradient(parameters, &b.d_q, Accumulate::Overwrite, dx);
            if b.own {
                answers(Accumulate::Add, dx);
            }
        }
        if let Some(dy) = dy {
            answers(Accumulate::Overwrite, dy);
        }
    }

    fn scale(&self) -> f32 {
        ((self.width / self.heads) as f32).sqrt().recip()
    }

    /// Columns of head `h` within rows `[rows, W]`.
    fn head<'a>(&self, all: &'a [f32], rows: usize, h: usize) -> dense::View<'a> {
        let d = self.width / self.heads;
        view(all, rows, self.width).subcols(h * d, d)
    }

    fn head_mut<'a>(&self, all: &'a mut [f32], rows: usize, h: usize) -> MatMut<'a, f32> {
        let d = self.width / self.heads;
        MatMut::from_row_major_slice_mut(all, rows, self.width).subcols_mut(h * d, d)
    }
}

/// Softmax of one row of scores over the keys that are there; the others get 0.
fn softmax(row: &mut [f32], mask: Option<&[bool]>) {
    if let Some(mask) = mask {
        row.iter_mut().zip(mask).for_each(|(score, there)| {
            if !there {
                *score = f32::NEG_INFINITY;
            }
        });
    }
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if most == f32::NEG_INFINITY {
        return row.fill(0.0);
    }
    vectorised(|| {
        row.iter_mut().for_each(|s| *s = if *s == f32::NEG_INFINITY { 0.0 } else { dense::exp(*s - most) });
        let total = elementwise::sum(row, row, |a, _| a);
        row.iter_mut().for_each(|s| *s /= total);
    });
}

fn copy(to: &mut Vec<f32>, from: &[f32]) {
    to.clear();
    to.extend_from_slice(from);
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
