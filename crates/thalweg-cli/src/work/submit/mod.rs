//! `thalweg submit`: the tasks of a command as an array of an engine's, submitted and followed. Scheduling, placement and trying again are the engine's.
mod array;
mod hyperqueue;

pub use array::{Array, Shared, called};
pub use hyperqueue::{follow, settled};
