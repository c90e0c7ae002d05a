//! The nodes of one group: their states `[B, n, d]` at first, their update at the end of a round, and what is read off them for the vectors over them.
use super::build::Build;
use crate::nn::affine::Affine;
use crate::nn::dense::{Accumulate, column_sums};
use crate::nn::elementwise::{self, Rows};
use crate::nn::gradient::Gradient;
use rayon::prelude::*;
use std::ops::Range;

/// One group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Nodes, n.
    pub units: usize,
    /// Numbers of a state, d.
    width: usize,
    /// Each vector over the nodes: its index among the tensors, and where it begins in x.
    vectors: Vec<(usize, usize)>,
    /// S and s.
    time: Affine,
    /// E `[n, d]`; none where the nodes have no order.
    table: Option<Range<usize>>,
    /// (aⱼ) of the J vectors; none where there are none.
    write: Option<Affine>,
    rounds: Vec<Update>,
    /// States to (h, k) of the J vectors; none where there are none.
    read: Option<Affine>,
}

/// G ← G + b; H ← G + W₂ silu(W₁ (norm(G) ⊙ (1 + γ) + β) + b₁).
#[derive(Clone, Debug)]
struct Update {
    bias: Range<usize>,
    /// γ, then β.
    modulation: Range<usize>,
    up: Affine,
    down: Affine,
}

/// Buffers of one group for B networks.
#[derive(Default)]
pub(super) struct GroupBuffers {
    vectors: Vec<f32>, // [B, n, J]
    time: Vec<f32>,    // [B, d]
    /// H before the first round and after each `[B, n, d]`.
    pub states: Vec<Vec<f32>>,
    /// G, what the nodes know after the messages of each round: H with all that they were sent `[B, n, d]`.
    pub heard: Vec<Vec<f32>>,
    rounds: Vec<RoundBuffers>,
    read: Vec<f32>, // [B, n, 2 J]
    /// With respect to the states at hand `[B, n, d]`.
    pub d_state: Vec<f32>,
    /// With respect to G of the round at hand `[B, n, d]`.
    pub d_heard: Vec<f32>,
    d_wide: Vec<f32>,       // [B, n, 2 d]
    d_a: Vec<f32>,          // [B, n, d]
    d_modulation: Vec<f32>, // [B, n, 2 d]
    d_vectors: Vec<f32>,    // [B, n, J]
}

#[derive(Default)]
struct RoundBuffers {
    normal: Vec<f32>,  // [B, n, d]
    inverse: Vec<f32>, // [B, n]
    a: Vec<f32>,       // [B, n, d]
    slope: Vec<f32>,   // of silu [B, n, 2 d]
    after: Vec<f32>,   // [B, n, 2 d]
}

impl Group {
    /// Group `i` of `units` nodes with these `vectors`.
    pub fn push(build: &mut Build, i: usize, units: usize, fixed: bool, vectors: Vec<(usize, usize)>) -> Self {
        let (d, j, name) = (build.width, vectors.len(), |part: &str| format!("nodes.{i}.{part}"));
        let time = build.affine(&name("time"), d, build.embedding);
        let table = fixed.then(|| build.table(name("table"), vec![units, d]));
        let write = (j > 0).then(|| build.linear(&name("write"), d, j));
        let rounds = (0..build.rounds).map(|r| {
            let bias = build.tensor(name(&format!("{r}.bias")), vec![d]);
            let scale = build.tensor(name(&format!("{r}.scale")), vec![d]);
            let shift = build.tensor(name(&format!("{r}.shift")), vec![d]);
            let up = build.affine(&name(&format!("{r}.up")), 2 * d, d);
            let down = build.linear(&name(&format!("{r}.down")), d, 2 * d);
            Update { bias, modulation: scale.start..shift.end, up, down }
        });
        let rounds = rounds.collect();
        let read = (j > 0).then(|| build.still(&name("read"), 2 * j, d));
        Self { units, width: d, vectors, time, table, write, rounds, read }
    }

    /// H = E + S e + s + Σⱼ xⱼ aⱼᵀ for points `x [B, P]` and embeddings `e [B, E]`.
    pub fn start(&self, q: &[f32], x: &[f32], p: usize, e: &[f32], b: &mut GroupBuffers) {
        let (n, d, rows) = (self.units, self.width, x.len() / p);
        b.time.resize(rows * d, 0.0);
        self.time.apply(q, e, Accumulate::Overwrite, &mut b.time);
        elementwise::add_bias(&mut b.time, self.time.bias(q));
        b.states.resize_with(self.rounds.len() + 1, Vec::new);
        let h = &mut b.states[0];
        h.resize(rows * n * d, 0.0);
        h.par_chunks_exact_mut(n * d).zip(b.time.par_chunks_exact(d)).for_each(|(h, time)| {
            h.chunks_exact_mut(d).for_each(|h| h.copy_from_slice(time));
            if let Some(table) = &self.table {
                h.iter_mut().zip(&q[table.clone()]).for_each(|(h, place)| *h += place);
            }
        });
        if let Some(write) = &self.write {
            let j = self.vectors.len();
            b.vectors.resize(rows * n * j, 0.0);
            for (vectors, x) in b.vectors.chunks_exact_mut(n * j).zip(x.chunks_exact(p)) {
                for (column, (_, start)) in self.vectors.iter().enumerate() {
                    vectors[column..].iter_mut().step_by(j).zip(&x[*start..][..n]).for_each(|(to, from)| *to = *from);
                }
            }
            write.apply(q, &b.vectors, Accumulate::Add, h);
        }
    }

    /// G of round `r` begins as H.
    pub fn listen(&self, r: usize, b: &mut GroupBuffers) {
        b.heard.resize_with(self.rounds.len(), Vec::new);
        b.heard[r].clear();
        let states = &b.states[r];
        b.heard[r].extend_from_slice(states);
    }

    /// H after round `r`, from its G.
    pub fn update(&self, q: &[f32], r: usize, b: &mut GroupBuffers) {
        let (update, d, nodes) = (&self.rounds[r], self.width, b.heard[r].len() / self.width);
        b.rounds.resize_with(self.rounds.len(), RoundBuffers::default);
        let (heard, k) = (&mut b.heard[r], &mut b.rounds[r]);
        [&mut k.normal, &mut k.a].into_iter().for_each(|buffer| buffer.resize(nodes * d, 0.0));
        [&mut k.slope, &mut k.after].into_iter().for_each(|buffer| buffer.resize(nodes * 2 * d, 0.0));
        k.inverse.resize(nodes, 0.0);
        let (bias, modulation) = (&q[update.bias.clone()], self.modulation(q, update));
        elementwise::normalise(heard, bias, modulation, &mut k.normal, &mut k.inverse, &mut k.a);
        update.up.apply(q, &k.a, Accumulate::Overwrite, &mut k.slope);
        elementwise::silu(&mut k.slope, update.up.bias(q), &mut k.after);
        let next = &mut b.states[r + 1];
        next.clear();
        next.extend_from_slice(heard);
        update.down.apply(q, &k.after, Accumulate::Add, next);
    }

    fn modulation<'a>(&self, q: &'a [f32], update: &Update) -> [Rows<'a>; 2] {
        let d = self.width;
        [0, d].map(|start| Rows::new(&q[update.modulation.clone()], 2 * d, start, d))
    }

    /// vⱼ = (Γⱼ + hⱼ) ⊙ xⱼ + kⱼ for `gates [B, T]`.
    pub fn velocities(&self, q: &[f32], x: &[f32], gates: &[f32], out: &mut [f32], p: usize, b: &mut GroupBuffers) {
        let Some(read) = &self.read else { return };
        let (n, j, rows) = (self.units, self.vectors.len(), x.len() / p);
        b.read.resize(rows * n * 2 * j, 0.0);
        read.apply(q, &b.states[self.rounds.len()], Accumulate::Overwrite, &mut b.read);
        elementwise::add_bias(&mut b.read, read.bias(q));
        let each = out.chunks_exact_mut(p).zip(x.chunks_exact(p)).zip(gates.chunks_exact(gates.len() / rows));
        for (((out, x), gates), read) in each.zip(b.read.chunks_exact(n * 2 * j)) {
            for (column, &(tensor, start)) in self.vectors.iter().enumerate() {
                for (u, read) in read.chunks_exact(2 * j).enumerate() {
                    out[start + u] = (gates[tensor] + read[column]) * x[start + u] + read[j + column];
                }
            }
        }
    }

    /// Pulls `dv [B, P]` back through [`Self::velocities`]: into the states after the last round, `gradient`, `d_gates [B, T]` and, where it is wanted, `dx [B, P]`.
    pub fn velocities_backward(&self, pass: &mut Backward<'_, '_>, b: &mut GroupBuffers) {
        let h = &b.states[self.rounds.len()];
        b.d_state.clear();
        b.d_state.resize(h.len(), 0.0);
        let Some(read) = &self.read else { return };
        let Backward { q, x, dv, gates, d_gates, dx, p, gradient } = pass;
        let (n, j, p) = (self.units, self.vectors.len(), *p);
        let tensors = gates.len() / (x.len() / p);
        b.d_wide.resize(b.read.len(), 0.0);
        let each = b.d_wide.chunks_exact_mut(n * 2 * j).zip(b.read.chunks_exact(n * 2 * j)).enumerate();
        for (row, (d_read, read)) in each {
            for (column, &(tensor, start)) in self.vectors.iter().enumerate() {
                let places = d_read.chunks_exact_mut(2 * j).zip(read.chunks_exact(2 * j)).enumerate();
                for (u, (d_read, read)) in places {
                    let at = row * p + start + u;
                    (d_read[column], d_read[j + column]) = (dv[at] * x[at], dv[at]);
                    d_gates[row * tensors + tensor] += dv[at] * x[at];
                    if let Some(dx) = dx {
                        dx[at] = (gates[row * tensors + tensor] + read[column]) * dv[at];
                    }
                }
            }
        }
        read.gradient(gradient, &b.d_wide, h);
        read.input_gradient(q, &b.d_wide, Accumulate::Overwrite, &mut b.d_state);
    }

    /// Pulls the derivative with respect to H after round `r` back to its G, where messages are pulled back from, and to H before it.
    pub fn update_backward(&self, q: &[f32], r: usize, gradient: &mut Gradient<'_>, b: &mut GroupBuffers) {
        let (update, k, wanted) = (&self.rounds[r], &b.rounds[r], !matches!(gradient, Gradient::Skip));
        b.d_wide.resize(k.after.len(), 0.0);
        b.d_a.resize(k.a.len(), 0.0);
        update.down.gradient(gradient, &b.d_state, &k.after);
        update.down.input_gradient(q, &b.d_state, Accumulate::Overwrite, &mut b.d_wide);
        elementwise::times_into(&mut b.d_wide, &k.slope);
        update.up.gradient(gradient, &b.d_wide, &k.a);
        update.up.input_gradient(q, &b.d_wide, Accumulate::Overwrite, &mut b.d_a);
        let scale = self.modulation(q, update)[0];
        b.d_modulation.resize(if wanted { 2 * k.a.len() } else { 0 }, 0.0);
        let (d_state, d_modulation) = (&mut b.d_state, &mut b.d_modulation);
        elementwise::normalise_backward(&mut b.d_a, scale, &k.normal, &k.inverse, d_state, d_modulation);
        if wanted {
            sums(gradient, update.modulation.clone(), d_modulation);
            sums(gradient, update.bias.clone(), d_state);
        }
        b.d_heard.clear();
        b.d_heard.extend_from_slice(d_state);
    }

    /// Pulls the derivative with respect to H before the first round back to `d_e [B, E]`, `gradient` and, where it is wanted, the vectors in `dx [B, P]`.
    pub fn start_backward(&self, pass: &mut Backward<'_, '_>, e: &[f32], d_e: &mut [f32], b: &mut GroupBuffers) {
        let Backward { q, dx, p, gradient, .. } = pass;
        let (n, d) = (self.units, self.width);
        b.time.par_chunks_exact_mut(d).zip(b.d_state.par_chunks_exact(n * d)).for_each(|(sum, d_state)| {
            sum.fill(0.0);
            d_state.chunks_exact(d).for_each(|one| sum.iter_mut().zip(one).for_each(|(sum, v)| *sum += v));
        });
        self.time.gradient(gradient, &b.time, e);
        self.time.input_gradient(q, &b.time, Accumulate::Add, d_e);
        if let (Some(table), false) = (&self.table, matches!(gradient, Gradient::Skip)) {
            sums(gradient, table.clone(), &b.d_state);
        }
        let Some(write) = &self.write else { return };
        write.gradient(gradient, &b.d_state, &b.vectors);
        let Some(dx) = dx else { return };
        let j = self.vectors.len();
        b.d_vectors.resize(b.vectors.len(), 0.0);
        write.input_gradient(q, &b.d_state, Accumulate::Overwrite, &mut b.d_vectors);
        for (dx, vectors) in dx.chunks_exact_mut(*p).zip(b.d_vectors.chunks_exact(n * j)) {
            for (column, (_, start)) in self.vectors.iter().enumerate() {
                let dx = dx[*start..][..n].iter_mut();
                dx.zip(vectors[column..].iter().step_by(j)).for_each(|(dx, v)| *dx += v);
            }
        }
    }
}

/// What a backward pass of the whole field carries along.
pub(super) struct Backward<'a, 'g> {
    /// Parameters.
    pub q: &'a [f32],
    /// `[B, P]`.
    pub x: &'a [f32],
    /// `[B, P]`.
    pub dv: &'a [f32],
    /// Γ `[B, T]`.
    pub gates: &'a [f32],
    /// `[B, T]`.
    pub d_gates: &'a mut [f32],
    /// `[B, P]`, where it is wanted.
    pub dx: Option<&'a mut [f32]>,
    /// P.
    pub p: usize,
    /// Of the parameters.
    pub gradient: Gradient<'g>,
}

/// Leaves the sums over the rows of `matrix [rows, range]` in `gradient`.
fn sums(gradient: &mut Gradient<'_>, range: Range<usize>, matrix: &[f32]) {
    match gradient {
        Gradient::Skip => {}
        Gradient::Write(slice) => column_sums(&mut slice[range], Accumulate::Overwrite, matrix),
        Gradient::Add(slice) => column_sums(&mut slice[range], Accumulate::Add, matrix),
    }
}
