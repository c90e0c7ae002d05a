//! Where tensors live: the choice of a device by name, and the way of slices to tensors and back.
//!
//! `flex` (pure Rust, CPU) is always there; `cuda` and `wgpu` need the cargo feature of the same name. A name whose
//! feature was not built in is an error that says so, never a silent fall back to the CPU. Building with `cuda` fetches an
//! LLVM archive (crate tracel-llvm-bundler) and so needs the network; the others do not.
use burn::tensor::{Tensor, TensorData};
use std::fmt;
use std::str::FromStr;
use thalweg_nets::{Error, Result};

/// A device by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Burn's CPU backend.
    #[default]
    Flex,
    /// An NVIDIA card.
    Cuda {
        /// Its number on this machine.
        index: usize,
    },
    /// The graphics card that WebGPU, Vulkan or Metal reaches first.
    Wgpu,
}

impl Device {
    /// Burn's handle, without automatic differentiation.
    ///
    /// # Errors
    /// Where the cargo feature was not built in, or the machine has no such card.
    pub fn open(self) -> Result<burn::tensor::Device> {
        match self {
            Device::Flex => Ok(burn::tensor::Device::flex()),
            #[cfg(feature = "cuda")]
            Device::Cuda { index } => {
                let found = cards(burn::tensor::DeviceType::Cuda);
                if index < found { Ok(burn::tensor::Device::cuda(index)) } else { Err(self.absent(found)) }
            }
            #[cfg(feature = "wgpu")]
            Device::Wgpu => match cards(burn::tensor::DeviceType::Wgpu) {
                0 => Err(self.absent(0)),
                _ => Ok(burn::tensor::Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            },
            #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
            other => Err(Error::parameter(
                "device",
                "a device that this program was built for",
                format!("{other} (build with `--features {}`)", other.feature()),
            )),
        }
    }

    #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
    fn feature(self) -> &'static str {
        match self {
            Device::Flex => "burn",
            Device::Cuda { .. } => "cuda",
            Device::Wgpu => "wgpu",
        }
    }

    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    fn absent(self, found: usize) -> Error {
        Error::parameter("device", "a device of this machine", format!("{self}, but there are {found} of its kind"))
    }
}

/// How many devices of one kind this machine has. A driver that is not installed makes the backend panic; that is
/// none.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn cards(kind: burn::tensor::DeviceType) -> usize {
    std::panic::catch_unwind(move || burn::tensor::Device::enumerate(kind).into_vec().len()).unwrap_or(0)
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Flex => f.write_str("flex"),
            Device::Cuda { index } => write!(f, "cuda:{index}"),
            Device::Wgpu => f.write_str("wgpu"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    /// `flex`, `cuda`, `cuda:1`, `wgpu`.
    fn from_str(name: &str) -> Result<Self> {
        let index = name.strip_prefix("cuda:").map(str::parse);
        match (name, index) {
            ("flex", _) => Ok(Device::Flex),
            ("wgpu", _) => Ok(Device::Wgpu),
            ("cuda", _) => Ok(Device::Cuda { index: 0 }),
            (_, Some(Ok(index))) => Ok(Device::Cuda { index }),
            _ => Err(Error::parameter("device", "flex, cuda, cuda:INDEX or wgpu", name)),
        }
    }
}

/// The numbers `values` as a tensor of `shape` on `device`; the caller has checked the length.
pub(crate) fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &burn::tensor::Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The numbers of a tensor, row-major.
///
/// # Errors
/// Where the device failed on the way to this tensor.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|e| Error::parameter("device", "one that finishes its work", e))
}

/// Checks that `values` is `[n, width]` for some n of at least one; returns n.
///
/// # Errors
/// Another length.
pub(crate) fn rows(what: &str, values: &[f32], width: usize) -> Result<usize> {
    if values.is_empty() || width == 0 || !values.len().is_multiple_of(width) {
        return Err(Error::shape(what, format!("[n, {width}] with n of at least 1"), format!("[{}]", values.len())));
    }
    Ok(values.len() / width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_as_they_are_written() {
        for device in [Device::Flex, Device::Cuda { index: 0 }, Device::Cuda { index: 3 }, Device::Wgpu] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda { index: 0 });
        for name in ["", "cpu", "cuda:", "cuda:x", "CUDA"] {
            assert!(name.parse::<Device>().is_err(), "{name}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_was_not_built_in_is_an_error_that_says_how() {
        let message = Device::Cuda { index: 1 }.open().unwrap_err().to_string();
        assert!(message.contains("cuda:1") && message.contains("--features cuda"), "{message}");
    }
}
