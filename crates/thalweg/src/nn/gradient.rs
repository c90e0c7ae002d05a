//! Where backward passes leave gradients.

/// Where [`Field::backward`](crate::field::Field::backward) leaves the gradient with respect to the parameters.
#[derive(Debug)]
pub enum Gradient<'a> {
    /// Nowhere: it is not computed.
    Skip,
    /// In this slice, over what was there: one write instead of clearing, reading and writing.
    Write(&'a mut [f32]),
    /// Added to this slice.
    Add(&'a mut [f32]),
}
