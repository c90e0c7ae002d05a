//! Encoder and decoder of a learned autoencoder (M8): maps of rows whose parameters lie in one flat vector that both share.
use crate::Streams;
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;

/// An encoder or a decoder: rows `[B, inputs]` to rows `[B, outputs]`, with an explicit backward pass. A row's bytes do not depend on the other rows.
pub(super) trait Coder: Send + Sync {
    /// Numbers of a row out.
    fn outputs(&self) -> usize;

    /// Draws its part of all `parameters [Q]`; `zero_output` leaves the last layer at zero.
    fn draw(&self, parameters: &mut [f32], zero_output: bool, streams: &Streams);

    /// `x [B, inputs]` → `out [B, outputs]`; leaves on `tape` what [`Self::backward`] needs.
    fn forward(&self, parameters: &[f32], x: &[f32], out: &mut [f32], tape: &mut Tape);

    /// Pulls `d_out [B, outputs]` back to its part of the gradient and to the rows (`dx`, overwritten).
    fn backward(
        &self,
        parameters: &[f32],
        d_out: &[f32],
        tape: &mut Tape,
        gradient: &mut Gradient<'_>,
        dx: Option<&mut [f32]>,
    );
}
