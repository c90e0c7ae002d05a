//! [`MetaModel`]: everything that sampling needs, in one folder on disk.
//!
//! `model.safetensors` holds the net's parameters (`net.*`), the coordinates (`coordinates.mean`, `coordinates.scale` `[P]`) and the
//! source's weights where it has some; `features.onnx` is the network of frozen features of a conditional model that has one; `model.toml` the rest, down to the configuration of the fit and a hash of the weights, so that
//! files of two models are never mixed; `README.md` is the model card. Files are written whole, `model.toml` last, and carry checksums.
//!
//! All of these are functions of zoo, configuration and seed. What is not, the seconds that the work took, is in a file of its own, `timing.toml`,
//! which a model does without.
mod card;
mod condition;
mod config;
mod file;
mod meta_model;
mod networks;
mod record;
mod renamed;
pub mod sample;
mod stack;
mod timing;
mod tune_config;
mod tuned;

pub use config::{FitConfig, Split};
pub use file::FILES;
pub use meta_model::MetaModel;
pub use networks::{Networks, States};
pub use record::Record;
pub use renamed::renamed;
pub use stack::StackWriter;
pub use tune_config::{Control, TuneConfig};
pub use tuned::{TuneRecord, TuneValidation};
