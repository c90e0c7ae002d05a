//! One training run: from a start θ `[P]` down to trained weights, with the checkpoints that make it a trajectory `[K, P]`.
//!
//! [`Recipe`] says how, [`Trainer`] does it: single-threaded, a pure function of (recipe, data, start, streams), no
//! allocation in a step. Many runs at once are the zoo's business ([`crate::zoo`]). For a loss of one's own, write the
//! loop with [`Stepper`] and [`Order`]: ten lines.
mod adam;
pub mod optimiser;
pub mod order;
pub mod recalibrate;
pub mod recipe;
pub mod reptile;
pub mod schedule;
pub mod trainer;

pub use adam::AdamUpdate;
pub use optimiser::{Optimiser, Stepper};
pub use order::Order;
pub use recalibrate::{has_statistics, recalibrate};
pub use recipe::{Length, Recipe, evenly};
pub use reptile::Reptile;
pub use schedule::Schedule;
pub use trainer::{Checkpoint, Run, Trainer, Trajectory, Validation, fits};
