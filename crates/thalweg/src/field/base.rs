//! [`Field`], what every velocity field can do.
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;
use thalweg_nets::{Error, Layout, Result};

/// A velocity field over points `[P]`, with flat parameters `[Q]`.
///
/// The calls on the hot path take shapes for granted, and panic where a slice does not fit; callers that take slices from
/// outside use [`Field::check`] first.
pub trait Field: Send + Sync {
    /// Numbers of a point, P.
    fn dimension(&self) -> usize;

    /// Numbers of a context, D; 0 where the field takes none.
    fn context(&self) -> usize;

    /// Names, shapes and places of the parameters' tensors, as they are saved.
    fn layout(&self) -> &Layout;

    /// All parameters, flat `[Q]`.
    fn parameters(&self) -> &[f32];

    /// All parameters, to be moved by an optimiser `[Q]`.
    fn parameters_mut(&mut self) -> &mut [f32];

    /// v(x, t, c) for a batch: `x [B, P]`, `t [B]`, `c [B, D]` → `out [B, P]`. A row's bytes do not
    /// depend on the other rows, nor on how many there are.
    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape);

    /// Pulls `dv [B, P]`, the derivative of a scalar with respect to the last velocities on `tape`, back to the parameters
    /// (`gradient [Q]`) and to the points (`dx [B, P]`, overwritten). May be called several times after one `velocity`.
    fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>);

    /// The derivative with respect to the contexts, `dc [B, D]`, of what the last [`Self::backward`] that computed a gradient pulled back.
    /// Fields that cannot say leave NaNs, which no optimiser takes.
    fn pull_context(&self, _tape: &mut Tape, dc: &mut [f32]) {
        dc.fill(f32::NAN);
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
