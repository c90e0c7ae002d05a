//! Zoos: many training runs of one recipe, on disk as a folder of shards, read back in bounded memory.
//!
//! | piece | what |
//! | --- | --- |
//! | [`spec`] | [`ZooSpec`]: all that decides a zoo; its `zoo.toml` |
//! | `record` | [`Record`]: what a zoo was made from |
//! | [`law`] | [`InitialLaw`]: the law that runs start from, drawn afresh by samplers |
//! | [`trainer`] | [`train_zoo`]: runs in parallel, resumable, same bytes on any number of threads |
//! | `task`, [`mod@gather`] | a zoo's shards shared out to many processes; what is there of them, checked |
//! | [`store`] | [`ZooStore`]: an opened folder, checked; θ `[runs, K, P]` through a bounded cache |
//! | [`checkpoints`] | networks in files that were written elsewhere: which, in which order, what each holds |
//! | [`mod@import`] | a folder of foreign safetensors checkpoints made a zoo |
//! | [`template`] | what the file of one imported network looks like: names, types, buffers, frozen tensors |
//! | [`mod@derive`] | a zoo moved within weight space: aligned |
//! | [`info`] | what `thalweg zoo info` shows |
//!
//! On disk: `zoo.toml`, `shard-NNNNN.safetensors` (`theta [runs, K, P]`, `loss`, `accuracy [runs, K]`, `run`, `died [runs]`),
//! and `centre.safetensors` for the kinds that have one.
//!
//! ```
//! use thalweg_nets::{architecture::Preset, data::DataSpec, progress::Silent, train::Length, zoo::*};
//! let folder = tempfile::tempdir().expect("a folder");
//! let net = Preset::Digits.build([1, 8, 8], 10)?;
//! let mut spec = ZooSpec::new(net, DataSpec::named("digits"), ZooKind::named("independent")?, 3);
//! spec.recipe.length = Length::Steps(10);
//! let zoo = train_zoo(&spec, &folder.path().join("zoo"), &TrainOptions::default(), &Silent)?;
//! let path = zoo.trajectory(1)?; // θ of run 1 at every checkpoint, [K, P]
//! assert_eq!(path.len(), zoo.checkpoints() * zoo.parameters());
//! # Ok::<(), thalweg_nets::Error>(())
//! ```
mod cache;
pub mod checkpoints;
pub mod derive;
pub mod folder;
pub mod gather;
pub(crate) mod header;
pub mod import;
pub mod info;
pub mod law;
mod open_shards;
pub mod origin;
mod partial;
mod record;
mod shard;
pub mod spec;
pub mod split;
pub mod store;

pub mod template;
pub mod trainer;

pub use derive::{DeriveOptions, Step, derive, derive_task};
pub use folder::files;
pub use gather::gather;
pub use import::{ImportOptions, ImportPlan, import};
pub use info::Summary;
pub use law::InitialLaw;
pub use origin::{Derived, Imported, Origin};
pub use spec::{Record, ZooKind, ZooSpec};
pub use split::{RunSplit, Shares};
pub use store::{BUDGET, ZooStore};

pub use template::Template;
pub use trainer::{TrainOptions, train_task, train_zoo};
