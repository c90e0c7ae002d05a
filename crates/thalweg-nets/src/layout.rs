//! Where each named tensor lies in flat θ `[P]`, as PyTorch would name and order it; conversion to and from safetensors.
//!
//! A base network's state is one flat vector: trainable tensors and, for batch normalisation, the running statistics
//! ([`Role::is_trained`] tells them apart), since a network is only whole with both.
pub use crate::architecture::Role;
use crate::architecture::{Architecture, each_tensor};
use crate::error::{Error, Result};
use crate::numbers::decoded;
use crate::sealed;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers that [`Layout::check`] looks at before it asks whether all are finite.
const BLOCK: usize = 1024;

pub use crate::numbers::is_float;
/// One named tensor within θ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// PyTorch's name, e.g. `0.weight`.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Index of the first number in θ.
    pub offset: usize,
    /// Its part in the layer.
    pub role: Role,
    /// Inputs of one output of the layer: the fan-in of Kaiming's law; 0 where there is none.
    pub fan_in: usize,
}

impl Slot {
    /// Numbers in the tensor.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor holds no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its place in θ.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The table of all tensors in θ, in order, without gaps.
///
/// ```
/// use thalweg_nets::architecture::Preset;
/// use thalweg_nets::layout::Layout;
/// let layout = Layout::of(&Preset::Mlp { widths: vec![4] }.build([3, 1, 1], 2)?);
/// let names: Vec<&str> = layout.slots().iter().map(|slot| slot.name.as_str()).collect();
/// assert_eq!((layout.len(), names), (26, vec!["1.weight", "1.bias", "3.weight", "3.bias"])); // as nn.Sequential numbers them
/// # Ok::<(), thalweg_nets::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    slots: Vec<Slot>,
}

impl Layout {
    /// The layout of `architecture`, tensors in PyTorch's `state_dict` order.
    pub fn of(architecture: &Architecture) -> Self {
        let mut layout = Layout { slots: Vec::new() };
        each_tensor(architecture.layers(), architecture.input(), &mut |name, tensor| {
            layout.push(name, tensor.shape, tensor.role, tensor.fan_in);
            Ok(())
        })
        .expect("a checked architecture");
        layout
    }

    /// A layout of tensors known only by name and shape, in the given order (imported checkpoints).
    pub fn of_tensors(tensors: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let mut layout = Layout { slots: Vec::new() };
        for (name, shape) in tensors {
            layout.push(name, shape, Role::Unknown, 0);
        }
        layout
    }

    /// A layout of these tensors side by side in the given order, whatever their offsets were.
    pub fn of_slots(slots: impl IntoIterator<Item = Slot>) -> Self {
        let mut layout = Layout { slots: Vec::new() };
        for slot in slots {
            let offset = layout.len();
            layout.slots.push(Slot { offset, ..slot });
        }
        layout
    }

    fn push(&mut self, name: String, shape: Vec<usize>, role: Role, fan_in: usize) {
        let offset = self.len();
        self.slots.push(Slot { name, shape, offset, role, fan_in });
    }

    /// P: numbers in θ.
    pub fn len(&self) -> usize {
        self.slots.last().map_or(0, |s| s.offset + s.len())
    }

    /// Whether there is no tensor at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensors in order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Checks that `theta` is `[n, P]` for some n and finite; returns n.
    ///
    /// # Errors
    /// A length that is no multiple of P, or the first tensor with a NaN or infinity.
    pub fn check(&self, what: &str, theta: &[f32]) -> Result<usize> {
        let p = self.len();
        if p == 0 || !theta.len().is_multiple_of(p) {
            return Err(Error::shape(what, format!("[n, {p}]"), format!("[{}]", theta.len())));
        }
        // In blocks without an early way out, which compare many numbers at a time.
        let finite = |block: &[f32]| block.iter().fold(true, |so_far, v| so_far & v.is_finite());
        let spoiled = theta.chunks(BLOCK).position(|block| !finite(block));
        let place = spoiled.and_then(|block| (block * BLOCK..theta.len()).find(|i| !theta[*i].is_finite()));
        if let Some(i) = place {
            let slot = self.slots.iter().find(|s| s.range().contains(&(i % p))).map_or("", |s| &s.name);
            return Err(Error::NotFinite {
                what: what.into(),
                place: format!("network {}, tensor {slot}, index {}", i / p, i % p),
                value: f64::from(theta[i]),
            });
        }
        Ok(theta.len() / p)
    }

    /// One network `theta [P]` as safetensors bytes that `torch.load_state_dict` takes as they are.
    ///
    /// # Errors
    /// Where `theta` is not `[P]` or not finite.
    pub fn to_safetensors(&self, theta: &[f32]) -> Result<Vec<u8>> {
        if self.check("theta", theta)? != 1 {
            return Err(Error::shape("theta", format!("[{}]", self.len()), format!("[{}]", theta.len())));
        }
        let bytes = little_endian(theta);
        sealed::plain(self.views(&bytes), &sealed::pytorch_words())
    }

    /// As [`Self::to_safetensors`], with a [checksum](crate::checksum) in the header.
    ///
    /// # Errors
    /// As [`Self::to_safetensors`].
    pub fn to_sealed(&self, theta: &[f32]) -> Result<Vec<u8>> {
        self.check("theta", theta)?;
        let bytes = little_endian(theta);
        sealed::serialise(self.views(&bytes), &BTreeMap::new())
    }

    /// The tensors of one network, whose bytes these are.
    fn views<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, TensorView<'a>)> {
        self.slots.iter().map(|s| {
            let data = &bytes[4 * s.offset..4 * (s.offset + s.len())];
            (s.name.as_str(), TensorView::new(Dtype::F32, s.shape.clone(), data).expect("length fits shape"))
        })
    }

    /// Reads one network `[P]` from safetensors `bytes` read from `path`; f32, f16, bf16 and f64 tensors are taken.
    /// Extra integer tensors (`num_batches_tracked`) are passed over.
    ///
    /// # Errors
    /// A tensor that is missing, of another shape or type, extra, or not finite.
    pub fn from_safetensors(&self, path: &Path, bytes: &[u8]) -> Result<Vec<f32>> {
        let file = open(path, bytes)?;
        let mut theta = Vec::with_capacity(self.len());
        for slot in &self.slots {
            let view = file.tensor(&slot.name).map_err(|_| {
                Error::format(
                    path,
                    format!("tensor {}", slot.name),
                    format!("shape {:?}", slot.shape),
                    "no such tensor",
                )
            })?;
            if view.shape() != slot.shape {
                return Err(Error::format(
                    path,
                    format!("tensor {}", slot.name),
                    format!("shape {:?}", slot.shape),
                    format!("shape {:?}", view.shape()),
                ));
            }
            theta.extend(floats(path, &slot.name, &view)?);
        }
        let known = |name: &str| self.slots.iter().any(|s| s.name == name);
        if let Some((name, view)) = file.iter().find(|(name, view)| is_float(view.dtype()) && !known(name)) {
            return Err(Error::format(
                path,
                format!("tensor {name}"),
                "no such tensor",
                format!("shape {:?}", view.shape()),
            ));
        }
        Ok(theta)
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Opens safetensors bytes, naming `path` in the error.
///
/// # Errors
/// A header that lies about sizes, is too large, or is not JSON.
pub fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).map_err(|e| {
        Error::format(path, "safetensors header", "a valid safetensors file", format!("{e} ({} bytes)", bytes.len()))
    })
}

/// The numbers of a tensor as f32.
///
/// # Errors
/// A type that is not a float, or a number that is not finite.
pub fn floats(path: &Path, name: &str, view: &TensorView) -> Result<Vec<f32>> {
    decoded(path, name, view.dtype(), view.data())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Preset;

    #[test]
    fn presets_have_the_published_sizes() {
        let size = |p: Preset, input, classes| Layout::of(&p.build(input, classes).unwrap()).len();
        assert_eq!(size(Preset::CnnS, [1, 28, 28], 10), 2_464);
        assert_eq!(size(Preset::CnnS, [3, 28, 28], 10), 2_864);
        assert_eq!(size(Preset::CnnM, [3, 32, 32], 10), 10_853);
        assert_eq!(size(Preset::Digits, [1, 8, 8], 10), 1_110);
    }

    #[test]
    fn safetensors_round_trip_is_exact() {
        let layout = Layout::of(&Preset::Digits.build([1, 8, 8], 10).unwrap());
        let theta: Vec<f32> = (0..layout.len()).map(|i| (i as f32).sin()).collect();
        let bytes = layout.to_safetensors(&theta).unwrap();
        assert_eq!(layout.from_safetensors(Path::new("x"), &bytes).unwrap(), theta);
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_named_wherever_it_stands() {
        let layout = Layout::of(&Preset::Digits.build([1, 8, 8], 10).unwrap());
        let p = layout.len();
        for (at, later) in [(0, p), (1_023, 1_024), (p + 1_024, 3 * p - 1), (3 * p - 1, 3 * p - 1)] {
            let mut thetas = vec![0.5; 3 * p];
            (thetas[later.min(3 * p - 1)], thetas[at]) = (f32::NAN, f32::NEG_INFINITY);
            let message = layout.check("networks", &thetas).unwrap_err().to_string();
            let place = [format!("network {}", at / p), format!("index {}", at % p), "-inf".into()];
            assert!(place.iter().all(|part| message.contains(part)), "{at}: {message}");
        }
        assert_eq!(layout.check("networks", &vec![f32::MAX; 3 * p]).unwrap(), 3);
        assert!(layout.check("networks", &vec![0.5; p + 1]).is_err());
    }
}
