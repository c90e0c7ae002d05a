//! `thalweg submit`: the tasks of a command as an array of an engine's, submitted and followed. Scheduling, placement and trying again are the engine's.
mod array;
mod engine;
mod follow;
mod hyperqueue;
mod slurm;
mod workers;

pub use array::{Array, Shared, unfinished};
pub use engine::Engine;
pub use follow::{follow, settled};
pub use workers::{ENGINES, Workers};
