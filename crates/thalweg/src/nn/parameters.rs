//! [`Parameters`]: what everything that is fitted here has.
use crate::Layout;

/// Parameters as one flat slice `[Q]`, with names and shapes of the tensors in it.
pub trait Parameters {
    /// Names, shapes and places of the parameters' tensors, as they are saved.
    fn layout(&self) -> &Layout;

    /// All parameters, flat `[Q]`.
    fn parameters(&self) -> &[f32];

    /// All parameters, to be moved by an optimiser or read back `[Q]`.
    fn parameters_mut(&mut self) -> &mut [f32];
}

/// Implements [`Parameters`] for a type by its fields `layout` and `parameters`, or by those of the field that is named.
macro_rules! impl_parameters {
    ($type:ty) => {
        impl $crate::nn::parameters::Parameters for $type {
            fn layout(&self) -> &$crate::Layout {
                &self.layout
            }

            fn parameters(&self) -> &[f32] {
                &self.parameters
            }

            fn parameters_mut(&mut self) -> &mut [f32] {
                &mut self.parameters
            }
        }
    };
    ($type:ty, $inner:ident) => {
        impl $crate::nn::parameters::Parameters for $type {
            fn layout(&self) -> &$crate::Layout {
                self.$inner.layout()
            }

            fn parameters(&self) -> &[f32] {
                self.$inner.parameters()
            }

            fn parameters_mut(&mut self) -> &mut [f32] {
                self.$inner.parameters_mut()
            }
        }
    };
}
pub(crate) use impl_parameters;
