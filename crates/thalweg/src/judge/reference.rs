//! What a judge compares with.
use super::baseline::Start;
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
}
