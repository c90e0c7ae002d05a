//! What a judge compares with.
use super::baseline::Start;
use crate::Result;
use crate::space::symmetry::SymmetryTable;
use thalweg_nets::engine::{Engine, Packed};

/// What generated networks are judged against.
#[derive(Clone, Copy)]
pub struct ZooReference<'a> {
    /// The base network's engine.
    pub engine: &'a Engine,
    /// Final weights of the training runs `[R, P]`: what generators saw.
    pub training: &'a [f32],
    /// Final weights of held-out runs `[H, P]`, which no generator saw; may be empty.
    pub held_out: &'a [f32],
    /// Test inputs `[N, D]`, packed by the engine.
    pub test: &'a Packed,
    /// Their labels `[N]`.
    pub labels: &'a [u32],
    /// How the runs began, where that is known: for the baseline `mean-move`.
    pub start: Option<Start<'a>>,
    /// Which hidden units may be reordered, of the engine's architecture; without it weights are compared as they are.
    pub symmetry: Option<&'a SymmetryTable>,
    /// Unlabelled inputs `[M, D]` for the baselines of noise that networks hardly feel, training rows best; without them those are left out.
    pub probe: &'a [f32],
    /// Where logits on the test inputs come from for the groups of a [`table`](super::table); the engine without it.
    pub logits: Option<&'a GroupLogits<'a>>,
}

/// Where the logits `[M, N, C]` of neighbouring networks `[M, P]` of a group come from, given the group's number ([`super::Groups`]), that of the first
/// network in it, and their weights.
pub type GroupLogits<'a> = dyn Fn(usize, usize, &[f32]) -> Result<Vec<f32>> + Sync + 'a;
