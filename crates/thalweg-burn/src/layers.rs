//! Affine layers within flat parameters `[Q]`, found by the names under which `thalweg` saves them.
use burn::tensor::Tensor;
use thalweg_nets::Layout;
use thalweg_nets::layout::Slot;

/// Parameters with the names of their tensors.
pub(crate) struct Layers<'a> {
    layout: &'a Layout,
    parameters: &'a Tensor<1>,
}

impl<'a> Layers<'a> {
    pub(crate) fn new(layout: &'a Layout, parameters: &'a Tensor<1>) -> Self {
        Self { layout, parameters }
    }

    /// `x [B, in]` → x Wᵀ + b `[B, out]`.
    pub(crate) fn affine(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight(name).transpose()) + self.bias(name)
    }

    /// W `[out, in]`.
    pub(crate) fn weight(&self, name: &str) -> Tensor<2> {
        let slot = self.slot(&format!("{name}.weight"));
        let shape: [usize; 2] = slot.shape[..].try_into().expect("a weight is a matrix");
        self.parameters.clone().slice([slot.range()]).reshape(shape)
    }

    /// b as a row `[1, out]`.
    pub(crate) fn bias(&self, name: &str) -> Tensor<2> {
        let slot = self.slot(&format!("{name}.bias"));
        self.parameters.clone().slice([slot.range()]).reshape([1, slot.len()])
    }

    fn slot(&self, name: &str) -> &Slot {
        self.layout.slots().iter().find(|slot| slot.name == name).expect("the field was built with this tensor")
    }
}
