//! [`Field`], what every velocity field can do.
use crate::nn::gradient::Gradient;
use crate::nn::parameters::Parameters;
use crate::nn::tape::Tape;
use thalweg_nets::{Error, Result};

/// A velocity field over points `[P]`, with flat parameters `[Q]`.
///
/// The calls on the hot path take shapes for granted, and panic where a slice does not fit; callers that take slices from
/// outside use [`Field::check`] first.
pub trait Field: Parameters + Send + Sync {
    /// Numbers of a point, P.
    fn dimension(&self) -> usize;

    /// Numbers of a context, D; 0 where the field takes none.
    fn context(&self) -> usize;

    /// Numbers that a tape of this field holds for each row, beside the row's own.
    fn numbers_at_work(&self) -> usize {
        0
    }

    /// v(x, t, c) for a batch: `x [B, P]`, `t [B]`, `c [B, D]` → `out [B, P]`. A row's bytes do not
    /// depend on the other rows, nor on how many there are.
    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape);

    /// [`Self::velocity`] as a step of training sees it: with dropout, where the field has some. A pure function of the same arguments.
    fn velocity_in_training(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        self.velocity(x, t, c, out, tape);
    }

    /// Pulls `dv [B, P]`, the derivative of a scalar with respect to the last velocities on `tape`, back to the parameters
    /// (`gradient [Q]`) and to the points (`dx [B, P]`, overwritten). May be called several times after one `velocity`.
    fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>);

    /// The derivative with respect to the contexts `[B, D]` of the scalar whose derivatives the last [`Self::backward`] on `tape` computed, where
    /// it asked for those of the parameters; none from a field without contexts, or one that encoders of contexts cannot be trained through.
    fn context_gradient(&self, _tape: &mut Tape) -> Option<Vec<f32>> {
        None
    }

    /// The number of rows B of a batch.
    ///
    /// # Errors
    /// Slices that fit neither each other nor this field.
    fn check(&self, x: &[f32], t: &[f32], c: Option<&[f32]>) -> Result<usize> {
        let (rows, p, d) = (t.len(), self.dimension(), self.context());
        if x.len() != rows * p {
            return Err(Error::shape("points", format!("[{rows}, {p}]"), format!("{} numbers", x.len())));
        }
        match c {
            None if d == 0 => Ok(rows),
            Some(c) if d > 0 && c.len() == rows * d => Ok(rows),
            _ => Err(Error::shape(
                "contexts",
                format!("[{rows}, {d}]"),
                c.map_or("none".to_string(), |c| format!("{} numbers", c.len())),
            )),
        }
    }
}
