//! What a judge compares with.
use super::baseline::{Courses, Start};
use super::evaluator::Evaluation;
use crate::space::symmetry::SymmetryTable;
use crate::{Layout, Result};

/// What generated networks are judged against.
#[derive(Clone, Copy)]
pub struct ZooReference<'a> {
    /// What evaluates networks on the test inputs `[N, D]`.
    pub networks: Evaluation<'a>,
    /// Final weights of the training runs `[R, P]`: what generators saw.
    pub training: &'a [f32],
    /// Final weights of held-out runs `[H, P]`, which no generator saw; may be empty.
    pub held_out: &'a [f32],
    /// Labels of the test inputs `[N]`.
    pub labels: &'a [u32],
    /// How the runs began, where that is known: for the baseline `mean-move`.
    pub start: Option<Start<'a>>,
    /// How some of the runs went on, where that is kept: for the baseline `run-swag`.
    pub courses: Option<&'a Courses>,
    /// Which hidden units may be reordered, of an architecture with the same layout; without it weights are compared as they are.
    pub symmetry: Option<&'a SymmetryTable>,
    /// Where logits on the test inputs come from for the groups of a [`table`](super::table); what evaluates networks without it.
    pub logits: Option<&'a GroupLogits<'a>>,
}

impl ZooReference<'_> {
    /// Names and places of the weights.
    pub fn layout(&self) -> &Layout {
        self.networks.evaluator().layout()
    }
}

/// Where the logits `[M, N, C]` of neighbouring networks `[M, P]` of a group come from, given the group's number ([`super::Groups`]), that of the first
/// network in it, and their weights.
pub type GroupLogits<'a> = dyn Fn(usize, usize, &[f32]) -> Result<Vec<f32>> + Sync + 'a;
