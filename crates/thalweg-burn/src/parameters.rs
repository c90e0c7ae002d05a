//! Flat parameters `[Q]` of a field on the host, where optimisers and files expect them, and on the device, whereto they
//! go when they are first needed after a change; and gradients of scalars in them.
use crate::device::{Device, numbers, tensor};
use burn::tensor::Tensor;
use std::sync::OnceLock;
use thalweg::field::{Field, Gradient};
use thalweg_nets::layout::Slot;
use thalweg_nets::{Layout, Result};

/// The parameters of one field.
#[derive(Clone, Debug)]
pub(crate) struct DeviceParameters {
    pub layout: Layout,
    pub host: Vec<f32>,
    pub device: burn::tensor::Device,
    resident: OnceLock<Tensor<1>>,
}

impl DeviceParameters {
    pub(crate) fn of(field: &dyn Field, device: Device) -> Result<Self> {
        let (layout, host) = (field.layout().clone(), field.parameters().to_vec());
        Ok(Self { layout, host, device: device.open()?, resident: OnceLock::new() })
    }

    pub(crate) fn host_mut(&mut self) -> &mut [f32] {
        self.resident.take();
        &mut self.host
    }

    /// All of them on the device `[Q]`, as constants.
    pub(crate) fn resident(&self) -> &Tensor<1> {
        self.resident.get_or_init(|| self.tensor(&self.host, [self.host.len()]))
    }

    /// `values` on the device.
    pub(crate) fn tensor<const D: usize>(&self, values: &[f32], shape: [usize; D]) -> Tensor<D> {
        tensor(values, shape, &self.device)
    }

    /// The tensors of `q [Q]` by name.
    pub(crate) fn layers<'a>(&'a self, q: &'a Tensor<1>) -> Layers<'a> {
        Layers { layout: &self.layout, q }
    }

    /// Leaves the gradients of `scalar(q, x)` in the parameters and the points `x [B, P]` where they are asked for. Where
    /// neither is, nothing runs.
    pub(crate) fn vjp(
        &self,
        x: &Tensor<2>,
        gradient: Gradient<'_>,
        dx: Option<&mut [f32]>,
        scalar: impl FnOnce(&Tensor<1>, Tensor<2>) -> Tensor<1>,
    ) {
        let (mut q, mut x) = (self.resident().clone(), x.clone());
        let wanted = !matches!(gradient, Gradient::Skip);
        if wanted {
            q = q.autodiff().require_grad();
        }
        if dx.is_some() {
            x = x.autodiff().require_grad();
        }
        if !wanted && dx.is_none() {
            return;
        }
        let scalar = scalar(&q, x.clone());
        let gradients = scalar.is_tracked().then(|| scalar.backward());
        let gradients = gradients.as_ref();
        // A leaf that the scalar does not depend on has no gradient: it is zero.
        let of_q = || gradients.and_then(|g| q.grad(g)).map_or_else(|| vec![0.0; self.host.len()], read);
        match gradient {
            Gradient::Skip => {}
            Gradient::Write(slice) => slice.copy_from_slice(&of_q()),
            Gradient::Add(slice) => slice.iter_mut().zip(of_q()).for_each(|(to, from)| *to += from),
        }
        if let Some(dx) = dx {
            match gradients.and_then(|g| x.grad(g)) {
                Some(found) => dx.copy_from_slice(&read(found)),
                None => dx.fill(0.0),
            }
        }
    }
}

/// The numbers of a tensor, for calls that return no error: a device that fails half-way leaves nothing to go on with.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    numbers(tensor).expect("the device was open and does its work")
}

/// Affine layers within flat parameters, found by the names under which `thalweg` saves them.
pub(crate) struct Layers<'a> {
    layout: &'a Layout,
    q: &'a Tensor<1>,
}

impl Layers<'_> {
    /// `x [B, in]` → x Wᵀ + b `[B, out]`.
    pub(crate) fn affine(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        self.linear(name, x) + self.bias(name)
    }

    /// `x [B, in]` → x Wᵀ `[B, out]`.
    pub(crate) fn linear(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight(name).transpose())
    }

    /// W `[out, in]`.
    pub(crate) fn weight(&self, name: &str) -> Tensor<2> {
        let slot = self.slot(&format!("{name}.weight"));
        let shape: [usize; 2] = slot.shape[..].try_into().expect("a weight is a matrix");
        self.q.clone().slice([slot.range()]).reshape(shape)
    }

    /// b as a row `[1, out]`.
    pub(crate) fn bias(&self, name: &str) -> Tensor<2> {
        let slot = self.slot(&format!("{name}.bias"));
        self.q.clone().slice([slot.range()]).reshape([1, slot.len()])
    }

    fn slot(&self, name: &str) -> &Slot {
        self.layout.slots().iter().find(|slot| slot.name == name).expect("the field was built with this tensor")
    }
}
