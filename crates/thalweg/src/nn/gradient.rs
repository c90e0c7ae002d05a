//! Where backward passes leave gradients.
use std::ops::Range;

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

impl Gradient<'_> {
    /// Leaves `values` in `range`.
    pub(crate) fn put(&mut self, range: Range<usize>, values: &[f32]) {
        match self {
            Self::Skip => {}
            Self::Write(slice) => slice[range].copy_from_slice(values),
            Self::Add(slice) => slice[range].iter_mut().zip(values).for_each(|(sum, v)| *sum += v),
        }
    }
}
