//! Kernels: one computation each over sixteen images at a time, for any register type.
pub(super) mod attention;
pub(super) mod blocks;
pub(super) mod conv;
mod conv_dilated;
pub(super) mod conv_gradient;
pub(super) mod conv_pool;
pub(super) mod dense;
pub(super) mod depthwise;
pub(super) mod image_norm;
pub(super) mod norm;
pub(super) mod pointwise;
pub(super) mod pool;
pub(super) mod regions;
pub(super) mod slopes;
pub(super) mod tokens;
pub(super) mod winograd;
