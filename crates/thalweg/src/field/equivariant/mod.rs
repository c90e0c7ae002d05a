//! A velocity field that is equivariant to permutations of hidden units (M23): v(g·x, t) = g·v(x, t) for every reordering g in the base network's
//! [`SymmetryTable`](crate::space::symmetry::SymmetryTable). A run teaches the field about all its reorderings, and a law of starts that does not depend on
//! the order of units is carried to one that does not either.
//!
//! Messages along the graph of the base network (Zhou et al. 2023, Kofinas et al. 2024), whose nodes are its units and whose edges its weights
//! ([`Wiring`]). With e = silu(W_t φ(t) + W_c c + b), the n nodes of every group have states H `[n, d]`:
//!
//! - start: H = E + S e + s + Σⱼ xⱼ aⱼᵀ over the vectors xⱼ `[n]` of the group (biases, scales). E is a table where nodes have a fixed order, else none;
//! - a round: G = H + Σ X (H' U)/√(m K) over the tensors X `[n, m K]` that the group is the rows of, + Σ (Xᵀ H') V/√n over those that it is the columns
//!   of, + b. H' are the states of the other group; K is the numbers of X for each pair of nodes, and U `[d, K d]` and V `[K d, d]` treat each of them on its own.
//!   Then H ← G + W₂ silu(W₁ (norm(G) ⊙ (1 + γ) + β) + b₁);
//! - velocities: v_X = L Rᵀ + (Γ_X(e) + l + r) ⊙ X, where (L, l) `[n, d + 1]` are affine in the states of the rows and (R, r) `[m K, d + 1]` in those of the
//!   columns; vⱼ = (Γⱼ(e) + h) ⊙ xⱼ + k, where h and k are affine in H.
//!
//! Γ, L, l, r, h and k start at zero, so an untrained field stands still. What the field adds to a matrix beyond scaling its own entries has rank d at most.
//! It is equivariant in θ where the weights of a tensor share one mean and scale: every `standardiser` but `per-parameter`.
//!
//! Cost for each network, with N nodes and M = Σ m K over its matrices: 4 P d + 4 M d² + 8 N d² operations a round and 2 P d + 2 M d² for the velocities; twice
//! that for `backward`.
mod build;
mod group;
mod matrix;
mod wiring;

use super::Field;
use super::embedding::{Conditions, Embedding};
use crate::nn::affine::Affine;
use crate::nn::dense::Accumulate;
use crate::nn::elementwise;
use crate::nn::gradient::Gradient;
use crate::nn::parameters::impl_parameters;
use crate::nn::tape::Tape;
use crate::ranges;
use build::Build;
use group::{Backward, Group, GroupBuffers};
use matrix::{Joined, Matrix, MatrixBuffers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thalweg_nets::{Error, Layout, Result, Streams};
pub use wiring::{Nodes, Wire, Wiring};

/// The size of an [`Equivariant`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EquivariantConfig {
    /// Numbers of a node's state, and the rank of what is new in a tensor's velocity (32; 1 to 1,024).
    pub width: usize,
    /// Rounds of messages (2; 1 to 16).
    pub rounds: usize,
    /// Sinusoidal features of time (32; even, 2 to 1,024).
    pub time_features: usize,
    /// Width of the embedding of time and context (64; 1 to 4,096).
    pub embedding: usize,
    /// Numbers of a context, D (0: none).
    pub context: usize,
    /// Not to be set: what the tensors of the base network join, filled in from the architecture by every fit, whatever stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wiring: Option<Wiring>,
}

impl Default for EquivariantConfig {
    fn default() -> Self {
        Self { width: 32, rounds: 2, time_features: 32, embedding: 64, context: 0, wiring: None }
    }
}

impl EquivariantConfig {
    /// # Errors
    /// A size outside its range.
    pub fn check(&self) -> Result<()> {
        ranges::check(
            "field.equivariant.",
            [
                ("width", self.width as u64, 1..=1_024),
                ("rounds", self.rounds as u64, 1..=16),
                ("time-features", self.time_features as u64, 2..=1_024),
                ("embedding", self.embedding as u64, 1..=4_096),
                ("context", self.context as u64, 0..=1 << 20),
            ],
        )?;
        if !self.time_features.is_multiple_of(2) {
            return Err(Error::parameter("field.equivariant.time-features", "an even number", self.time_features));
        }
        self.wiring.as_ref().map_or(Ok(()), Wiring::check)
    }

    /// Parameters of the field, told before it is built; 0 without a wiring.
    pub fn numbers(&self) -> usize {
        self.wiring.as_ref().map_or(0, |wiring| Parts::lay(self, wiring).1.end)
    }

    /// Numbers that the states of one network's nodes and their messages take at work; 0 without a wiring.
    pub fn numbers_at_work(&self) -> usize {
        let Some(wiring) = &self.wiring else { return 0 };
        let units = |group: usize| wiring.groups[group].units;
        let (d, r, mut numbers) = (self.width, self.rounds, 0usize);
        // R + 1 states; G, norm and a, and four of the inner layer's, a round; seven of derivatives.
        let mut add = |n: usize, each: usize| numbers = numbers.saturating_add(n.saturating_mul(each));
        wiring.groups.iter().for_each(|group| add(group.units, d * (8 * r + 8) + r));
        for wire in &wiring.tensors {
            match wire.columns {
                None => add(units(wire.rows), 6),
                Some(columns) => {
                    add(units(wire.rows), 2 * (d + 1));
                    add(units(columns).saturating_mul(wire.inner), d * (2 * r + 1) + 2 * (d + 1) + 2);
                }
            }
        }
        numbers
    }
}

/// The parts of a field.
#[derive(Clone, Debug)]
struct Parts {
    embedding: Embedding,
    groups: Vec<Group>,
    matrices: Vec<Matrix>,
    gates: Affine,
}

impl Parts {
    /// The parts, and the tensors that they are ranges of.
    fn lay(config: &EquivariantConfig, wiring: &Wiring) -> (Self, Build) {
        let mut build = Build::new(config.width, config.rounds, config.embedding);
        let time = build.affine("time", config.embedding, config.time_features);
        let context = (config.context > 0).then(|| build.linear("context", config.embedding, config.context));
        let (mut start, mut vectors, mut joined) = (0, vec![Vec::new(); wiring.groups.len()], Vec::new());
        for (tensor, wire) in wiring.tensors.iter().enumerate() {
            match wire.columns {
                None => vectors[wire.rows].push((tensor, start)),
                Some(columns) => {
                    let [n, m] = [wire.rows, columns].map(|group| wiring.groups[group].units);
                    joined.push(Joined { tensor, start, rows: wire.rows, columns, n, m, inner: wire.inner });
                }
            }
            start += wiring.numbers(wire);
        }
        let groups = wiring.groups.iter().zip(vectors).enumerate();
        let groups = groups.map(|(i, (nodes, vectors))| Group::push(&mut build, i, nodes.units, nodes.fixed, vectors));
        let groups = groups.collect();
        let matrices = joined.into_iter().map(|joined| Matrix::push(&mut build, joined)).collect();
        let gates = build.still("gates", wiring.tensors.len(), config.embedding);
        (Self { embedding: Embedding { time, context }, groups, matrices, gates }, build)
    }
}

/// See the module's text for the formula.
#[derive(Clone, Debug)]
pub struct Equivariant {
    config: EquivariantConfig,
    dimension: usize,
    layout: Layout,
    parameters: Vec<f32>,
    parts: Parts,
}

/// Buffers of B networks.
#[derive(Default)]
struct Buffers {
    x: Vec<f32>, // [B, P]
    conditions: Conditions,
    gates: Vec<f32>, // Γ [B, T]
    groups: Vec<GroupBuffers>,
    matrices: Vec<MatrixBuffers>,
    d_gates: Vec<f32>, // [B, T]
}

impl Equivariant {
    /// A field over points `[dimension]`, the weights of an architecture whose wiring `config` has, with initial parameters from `streams`.
    ///
    /// # Errors
    /// A size outside its range, no wiring, or one of networks of another size.
    pub fn new(dimension: usize, config: &EquivariantConfig, streams: &Streams) -> Result<Self> {
        config.check()?;
        let Some(wiring) = &config.wiring else {
            let expected = "the wiring of an architecture, as a fit on the weights of networks fills it in";
            return Err(Error::parameter("field.equivariant.wiring", expected, "none"));
        };
        if wiring.dimension() != dimension {
            let expected = format!("tensors of {dimension} numbers together, as many as a point has");
            return Err(Error::parameter("field.equivariant.wiring", expected, wiring.dimension()));
        }
        let (parts, build) = Parts::lay(config, wiring);
        ranges::numbers("field.equivariant", &[build.end])?;
        let mut parameters = build.draw(streams);
        parts.matrices.iter().for_each(|matrix| matrix.start_still(&mut parameters));
        let layout = Layout::of_tensors(build.tensors);
        Ok(Self { config: config.clone(), dimension, layout, parameters, parts })
    }

    /// The sizes that the field was made with.
    pub fn config(&self) -> &EquivariantConfig {
        &self.config
    }
}

impl_parameters!(Equivariant);

impl Field for Equivariant {
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
        b.x.clear();
        b.x.extend_from_slice(x);
        b.groups.resize_with(self.parts.groups.len(), GroupBuffers::default);
        b.matrices.resize_with(self.parts.matrices.len(), MatrixBuffers::default);
        self.parts.embedding.apply(q, t, c, rows, &mut b.conditions);
        b.gates.resize(rows * self.parts.gates.outputs, 0.0);
        self.parts.gates.apply(q, &b.conditions.e, Accumulate::Overwrite, &mut b.gates);
        elementwise::add_bias(&mut b.gates, self.parts.gates.bias(q));
        for (group, state) in self.parts.groups.iter().zip(&mut b.groups) {
            group.start(q, x, p, &b.conditions.e, state);
        }
        for r in 0..self.config.rounds {
            self.parts.groups.iter().zip(&mut b.groups).for_each(|(group, state)| group.listen(r, state));
            for (matrix, sent) in self.parts.matrices.iter().zip(&mut b.matrices) {
                matrix.send(q, r, x, p, &mut b.groups, sent);
            }
            self.parts.groups.iter().zip(&mut b.groups).for_each(|(group, state)| group.update(q, r, state));
        }
        for (group, state) in self.parts.groups.iter().zip(&mut b.groups) {
            group.velocities(q, x, &b.gates, out, p, state);
        }
        for (matrix, sent) in self.parts.matrices.iter().zip(&mut b.matrices) {
            matrix.velocities(q, x, &b.gates, out, &b.groups, sent);
        }
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let (q, p) = (&self.parameters, self.dimension);
        let b = tape.of::<Buffers>();
        assert!(dv.len() == b.x.len() && !dv.is_empty(), "dv has the shape of the velocities on the tape");
        b.d_gates.clear();
        b.d_gates.resize(b.gates.len(), 0.0);
        let (x, gates, d_gates) = (&b.x[..], &b.gates[..], &mut b.d_gates[..]);
        let mut pass = Backward { q, x, dv, gates, d_gates, dx, p, gradient };
        for (group, state) in self.parts.groups.iter().zip(&mut b.groups) {
            group.velocities_backward(&mut pass, state);
        }
        for (matrix, sent) in self.parts.matrices.iter().zip(&mut b.matrices) {
            matrix.velocities_backward(&mut pass, &mut b.groups, sent);
        }
        for r in (0..self.config.rounds).rev() {
            for (group, state) in self.parts.groups.iter().zip(&mut b.groups) {
                group.update_backward(q, r, &mut pass.gradient, state);
            }
            for (matrix, sent) in self.parts.matrices.iter().zip(&mut b.matrices) {
                matrix.send_backward(r, &mut pass, &mut b.groups, sent);
            }
        }
        let Conditions { e, d_e, .. } = &mut b.conditions;
        d_e.resize(e.len(), 0.0);
        self.parts.gates.gradient(&mut pass.gradient, pass.d_gates, e);
        self.parts.gates.input_gradient(q, pass.d_gates, Accumulate::Overwrite, d_e);
        for (group, state) in self.parts.groups.iter().zip(&mut b.groups) {
            group.start_backward(&mut pass, e, d_e, state);
        }
        self.parts.embedding.gradient(&mut pass.gradient, &mut b.conditions);
    }

    fn numbers_at_work(&self) -> usize {
        self.config.numbers_at_work()
    }

    fn context_gradient(&self, tape: &mut Tape) -> Option<Vec<f32>> {
        self.parts.embedding.context_gradient(&self.parameters, &tape.of::<Buffers>().conditions)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
