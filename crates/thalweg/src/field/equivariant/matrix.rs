//! One tensor between two groups of nodes: the messages that it carries both ways in each round, and its own velocity, read off its nodes.
//!
//! X `[n, m K]` joins the n nodes of its rows with the m of its columns by K numbers a pair. Messages are products with X itself.
use super::build::Build;
use super::group::{Backward, GroupBuffers};
use crate::nn::affine::Affine;
use crate::nn::dense::{self, Accumulate, View, vectorised, view};
use crate::nn::elementwise;
use faer::MatMut;
use rayon::prelude::*;

/// A tensor with columns, and what it joins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    /// Its index among the tensors.
    pub tensor: usize,
    /// Where it begins in x.
    pub start: usize,
    /// The groups of its rows and columns.
    pub rows: usize,
    pub columns: usize,
    /// n, m and K.
    pub n: usize,
    pub m: usize,
    pub inner: usize,
}

impl Joined {
    /// m K.
    fn wide(&self) -> usize {
        self.m * self.inner
    }
}

/// One tensor with columns.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    joined: Joined,
    /// Numbers of a state, d.
    width: usize,
    rounds: Vec<Messages>,
    /// States of the rows to (L, l) `[d + 1]`.
    read_rows: Affine,
    /// States of the columns to (R, r) `[K, d + 1]`.
    read_columns: Affine,
}

/// U, states of columns to K messages; V, what K messages are to a state.
#[derive(Clone, Debug)]
struct Messages {
    to_rows: Affine,
    to_columns: Affine,
}

/// Buffers of one tensor for B networks.
#[derive(Default)]
pub(super) struct MatrixBuffers {
    rounds: Vec<Sent>,
    left: Vec<f32>,      // (L, l) [B, n, d + 1]
    right: Vec<f32>,     // (R, r) [B, m K, d + 1]
    d_left: Vec<f32>,    // [B, n, d + 1]
    d_right: Vec<f32>,   // [B, m K, d + 1]
    by_column: Vec<f32>, // r on its own [B, m K]
    d_column: Vec<f32>,  // [B, m K]
    d_sent: Vec<f32>,    // [B, m K, d]
}

#[derive(Default)]
struct Sent {
    /// F = H U, what the columns send `[B, m K, d]`.
    forward: Vec<f32>,
    /// Y = Xᵀ H, what the rows send `[B, m K, d]`.
    back: Vec<f32>,
}

impl Matrix {
    pub fn push(build: &mut Build, joined: Joined) -> Self {
        let Joined { tensor, inner, .. } = joined;
        let (d, name) = (build.width, |part: &str| format!("tensors.{tensor}.{part}"));
        let rounds = (0..build.rounds).map(|r| Messages {
            to_rows: build.linear(&name(&format!("{r}.to_rows")), inner * d, d),
            to_columns: build.linear(&name(&format!("{r}.to_columns")), d, inner * d),
        });
        let rounds = rounds.collect();
        let read_rows = build.still(&name("read_rows"), d + 1, d);
        let read_columns = build.affine(&name("read_columns"), inner * (d + 1), d);
        Self { joined, width: d, rounds, read_rows, read_columns }
    }

    /// Sets r to zero, whatever the states, so that an untrained field stands still.
    pub fn start_still(&self, parameters: &mut [f32]) {
        self.read_columns.clear_outputs(parameters, |output| output % (self.width + 1) == self.width);
    }

    /// X of the network whose weights are `x`.
    fn of<'a>(&self, x: &'a [f32]) -> View<'a> {
        view(&x[self.joined.start..][..self.joined.n * self.joined.wide()], self.joined.n, self.joined.wide())
    }

    /// 1/√(m K), 1/√n: messages have the size of states.
    fn scales(&self) -> [f32; 2] {
        [self.joined.wide(), self.joined.n].map(|terms| (terms as f32).sqrt().recip())
    }

    /// Adds the messages of round `r` to G of both groups: X (H U)/√(m K) to the rows, (Xᵀ H) V/√n to the columns.
    pub fn send(&self, q: &[f32], r: usize, x: &[f32], p: usize, groups: &mut [GroupBuffers], b: &mut MatrixBuffers) {
        let (d, n, wide, [to_rows, to_columns]) = (self.width, self.joined.n, self.joined.wide(), self.scales());
        b.rounds.resize_with(self.rounds.len(), Sent::default);
        let (messages, sent, batch) = (&self.rounds[r], &mut b.rounds[r], x.len() / p);
        [&mut sent.forward, &mut sent.back].into_iter().for_each(|buffer| buffer.resize(batch * wide * d, 0.0));

        messages.to_rows.apply(q, &groups[self.joined.columns].states[r], Accumulate::Overwrite, &mut sent.forward);
        let heard = groups[self.joined.rows].heard[r].par_chunks_exact_mut(n * d);
        heard.zip(sent.forward.par_chunks_exact(wide * d)).zip(x.par_chunks_exact(p)).for_each(|((heard, sent), x)| {
            let heard = MatMut::from_row_major_slice_mut(heard, n, d);
            dense::sequential(heard, Accumulate::Add, self.of(x), view(sent, wide, d), to_rows);
        });

        let states = groups[self.joined.rows].states[r].par_chunks_exact(n * d);
        sent.back.par_chunks_exact_mut(wide * d).zip(states).zip(x.par_chunks_exact(p)).for_each(|((back, h), x)| {
            let back = MatMut::from_row_major_slice_mut(back, wide, d);
            dense::sequential(back, Accumulate::Overwrite, self.of(x).transpose(), view(h, n, d), to_columns);
        });
        messages.to_columns.apply(q, &sent.back, Accumulate::Add, &mut groups[self.joined.columns].heard[r]);
    }

    /// Pulls the derivatives with respect to G of both groups back through [`Self::send`], adding to those of the states and, where it is wanted, of x.
    pub fn send_backward(
        &self,
        r: usize,
        pass: &mut Backward<'_, '_>,
        groups: &mut [GroupBuffers],
        b: &mut MatrixBuffers,
    ) {
        let Backward { q, x, dx, p, gradient, .. } = pass;
        let (d, n, wide, p, [to_rows, to_columns]) = (self.width, self.joined.n, self.joined.wide(), *p, self.scales());
        let (messages, sent) = (&self.rounds[r], &b.rounds[r]);
        b.d_sent.resize(sent.forward.len(), 0.0);

        let d_heard = &groups[self.joined.rows].d_heard;
        let each = b.d_sent.par_chunks_exact_mut(wide * d).zip(d_heard.par_chunks_exact(n * d));
        each.zip(x.par_chunks_exact(p)).for_each(|((d_sent, d_heard), x)| {
            let d_sent = MatMut::from_row_major_slice_mut(d_sent, wide, d);
            dense::sequential(d_sent, Accumulate::Overwrite, self.of(x).transpose(), view(d_heard, n, d), to_rows);
        });
        if let Some(dx) = dx {
            self.add_products(dx, p, d_heard, &sent.forward, to_rows);
        }
        let columns = &mut groups[self.joined.columns];
        messages.to_rows.gradient(gradient, &b.d_sent, &columns.states[r]);
        messages.to_rows.input_gradient(q, &b.d_sent, Accumulate::Add, &mut columns.d_state);

        messages.to_columns.gradient(gradient, &columns.d_heard, &sent.back);
        messages.to_columns.input_gradient(q, &columns.d_heard, Accumulate::Overwrite, &mut b.d_sent);
        let rows = &mut groups[self.joined.rows];
        let each = rows.d_state.par_chunks_exact_mut(n * d).zip(b.d_sent.par_chunks_exact(wide * d));
        each.zip(x.par_chunks_exact(p)).for_each(|((d_state, d_sent), x)| {
            let d_state = MatMut::from_row_major_slice_mut(d_state, n, d);
            dense::sequential(d_state, Accumulate::Add, self.of(x), view(d_sent, wide, d), to_columns);
        });
        if let Some(dx) = dx {
            self.add_products(dx, p, &rows.states[r], &b.d_sent, to_columns);
        }
    }

    /// dX += scale · left rightᵀ, for `left [B, n, d]` and `right [B, m K, d]`.
    fn add_products(&self, dx: &mut [f32], p: usize, left: &[f32], right: &[f32], scale: f32) {
        let (d, n, wide) = (self.width, self.joined.n, self.joined.wide());
        let each = dx.par_chunks_exact_mut(p).zip(left.par_chunks_exact(n * d)).zip(right.par_chunks_exact(wide * d));
        each.for_each(|((dx, left), right)| {
            let dx = MatMut::from_row_major_slice_mut(&mut dx[self.joined.start..][..n * wide], n, wide);
            dense::sequential(dx, Accumulate::Add, view(left, n, d), view(right, wide, d).transpose(), scale);
        });
    }

    /// v = L Rᵀ + (Γ + l + r) ⊙ X for the states after the last round and `gates [B, T]`.
    pub fn velocities(
        &self,
        q: &[f32],
        x: &[f32],
        gates: &[f32],
        out: &mut [f32],
        groups: &[GroupBuffers],
        b: &mut MatrixBuffers,
    ) {
        let (d, n, wide, last) = (self.width, self.joined.n, self.joined.wide(), self.rounds.len());
        let (states, batch) = (
            [self.joined.rows, self.joined.columns].map(|group| &groups[group].states[last]),
            groups[self.joined.rows].states[last].len() / (n * d),
        );
        let (p, tensors) = (x.len() / batch, gates.len() / batch);
        b.left.resize(batch * n * (d + 1), 0.0);
        b.right.resize(batch * wide * (d + 1), 0.0);
        b.by_column.resize(batch * wide, 0.0);
        for (read, states, to) in
            [(&self.read_rows, states[0], &mut b.left), (&self.read_columns, states[1], &mut b.right)]
        {
            read.apply(q, states, Accumulate::Overwrite, to);
            elementwise::add_bias(to, read.bias(q));
        }
        b.by_column.iter_mut().zip(b.right.iter().skip(d).step_by(d + 1)).for_each(|(to, r)| *to = *r);
        let read = b.left.par_chunks_exact(n * (d + 1)).zip(b.right.par_chunks_exact(wide * (d + 1)));
        let read = read.zip(b.by_column.par_chunks_exact(wide));
        let each = out.par_chunks_exact_mut(p).zip(x.par_chunks_exact(p)).zip(gates.par_chunks_exact(tensors));
        each.zip(read).for_each(|(((out, x), gates), ((left, right), by_column))| {
            let (out, x) = (&mut out[self.joined.start..][..n * wide], &x[self.joined.start..][..n * wide]);
            let [of_rows, of_columns] = self.factors(left, right);
            let v = MatMut::from_row_major_slice_mut(out, n, wide);
            dense::sequential(v, Accumulate::Overwrite, of_rows, of_columns.transpose(), 1.0);
            for (u, (out, x)) in out.chunks_exact_mut(wide).zip(x.chunks_exact(wide)).enumerate() {
                let by_row = gates[self.joined.tensor] + left[u * (d + 1) + d];
                vectorised(|| {
                    out.iter_mut().zip(x).zip(by_column).for_each(|((v, x), by_column)| *v += (by_row + by_column) * x);
                });
            }
        });
    }

    /// L and R of one network.
    fn factors<'a>(&self, left: &'a [f32], right: &'a [f32]) -> [View<'a>; 2] {
        let d = self.width;
        [view(left, self.joined.n, d + 1), view(right, self.joined.wide(), d + 1)].map(|read| read.subcols(0, d))
    }

    /// Pulls `dv` back through [`Self::velocities`]: adds to the states after the last round and to `d_gates`, and writes `dx` where it is wanted.
    pub fn velocities_backward(&self, pass: &mut Backward<'_, '_>, groups: &mut [GroupBuffers], b: &mut MatrixBuffers) {
        let Backward { q, x, dv, gates, d_gates, dx, p, gradient } = pass;
        let (d, n, wide, p, last) = (self.width, self.joined.n, self.joined.wide(), *p, self.rounds.len());
        let tensors = gates.len() / (x.len() / p);
        if let Some(dx) = dx {
            let each = dx.par_chunks_exact_mut(p).zip(dv.par_chunks_exact(p)).zip(gates.par_chunks_exact(tensors));
            let read = b.left.par_chunks_exact(n * (d + 1)).zip(b.by_column.par_chunks_exact(wide));
            each.zip(read).for_each(|(((dx, dv), gates), (left, by_column))| {
                let (dx, dv) = (&mut dx[self.joined.start..][..n * wide], &dv[self.joined.start..][..n * wide]);
                for (u, (dx, dv)) in dx.chunks_exact_mut(wide).zip(dv.chunks_exact(wide)).enumerate() {
                    let by_row = gates[self.joined.tensor] + left[u * (d + 1) + d];
                    vectorised(|| {
                        dx.iter_mut().zip(dv).zip(by_column).for_each(|((dx, dv), r)| *dx = (by_row + r) * dv);
                    });
                }
            });
        }
        b.d_left.resize(b.left.len(), 0.0);
        b.d_right.resize(b.right.len(), 0.0);
        b.d_column.resize(b.by_column.len(), 0.0);
        let derivatives =
            b.d_left.par_chunks_exact_mut(n * (d + 1)).zip(b.d_right.par_chunks_exact_mut(wide * (d + 1)));
        let derivatives = derivatives.zip(b.d_column.par_chunks_exact_mut(wide));
        let read = b.left.par_chunks_exact(n * (d + 1)).zip(b.right.par_chunks_exact(wide * (d + 1)));
        let points = x.par_chunks_exact(p).zip(dv.par_chunks_exact(p)).zip(d_gates.par_chunks_exact_mut(tensors));
        derivatives.zip(read).zip(points).for_each(
            |((((d_left, d_right), d_column), (left, right)), ((x, dv), d_gates))| {
                let (x, dv) = (&x[self.joined.start..][..n * wide], &dv[self.joined.start..][..n * wide]);
                let ([of_rows, of_columns], of_v) = (self.factors(left, right), view(dv, n, wide));
                let to = MatMut::from_row_major_slice_mut(&mut *d_left, n, d + 1).subcols_mut(0, d);
                dense::sequential(to, Accumulate::Overwrite, of_v, of_columns, 1.0);
                let to = MatMut::from_row_major_slice_mut(&mut *d_right, wide, d + 1).subcols_mut(0, d);
                dense::sequential(to, Accumulate::Overwrite, of_v.transpose(), of_rows, 1.0);
                d_column.fill(0.0);
                for (u, (dv, x)) in dv.chunks_exact(wide).zip(x.chunks_exact(wide)).enumerate() {
                    let by_row = vectorised(|| elementwise::sum(dv, x, |dv, x| dv * x));
                    vectorised(|| d_column.iter_mut().zip(dv).zip(x).for_each(|((sum, dv), x)| *sum += dv * x));
                    d_left[u * (d + 1) + d] = by_row;
                    d_gates[self.joined.tensor] += by_row;
                }
                d_right.iter_mut().skip(d).step_by(d + 1).zip(d_column).for_each(|(to, sum)| *to = *sum);
            },
        );
        for (read, group, d_read) in
            [(&self.read_rows, self.joined.rows, &b.d_left), (&self.read_columns, self.joined.columns, &b.d_right)]
        {
            read.gradient(gradient, d_read, &groups[group].states[last]);
            read.input_gradient(q, d_read, Accumulate::Add, &mut groups[group].d_state);
        }
    }
}
