//! Base networks as points θ `[P]` of weight space: their architectures, their engine, their training, their data, zoos of them.
//!
//! Knows nothing of generative models. Start at [`architecture`] and [`layout`], then [`engine`], [`train`] and [`zoo`].
pub mod architecture;
pub mod checksum;
pub mod data;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod init;
pub mod interrupt;
pub mod layout;
pub mod loss;
pub mod memory;
pub mod numbers;
pub mod onnx;
pub mod pieces;
pub mod progress;
pub mod sealed;
pub mod streams;
pub mod testing;
pub mod torch;
pub mod train;
pub mod zoo;

pub use architecture::Architecture;
pub use error::{Artefact, Error, Result};
pub use layout::Layout;
pub use streams::Streams;
