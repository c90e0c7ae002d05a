//! What base networks are trained and judged on: checked data sets, standardised once and recorded.
//!
//! [`DataSpec`] says where data come from and how they are split, and is what a `zoo.toml` records. Its way:
//! a reader gives a raw [`Table`], [`split`] cuts it by a seed, [`Normalisation`] standardises it, and [`Dataset`]
//! `[N, D]` is what the engine sees.
//!
//! ```
//! use thalweg_nets::data::DataSpec;
//! let digits = DataSpec::parse("digits").unwrap().load().unwrap();
//! assert_eq!(digits.train.shape, [1, 8, 8]);
//! assert_eq!(digits.train.len() + digits.validation.len() + digits.test.len(), 1797);
//! ```
pub mod catalogue;
pub mod corrupt;
pub mod dataset;
pub mod derive;
pub mod fetch;
pub mod fit;
mod home;
mod load;
pub mod normalisation;
mod pixels;
pub mod place;
pub mod readers;
pub mod record;
mod site;
pub mod spec;
pub mod split;
pub mod table;
pub mod text;

pub use corrupt::Corruption;
pub use dataset::Dataset;
pub use derive::Change;
pub use fit::Fit;
pub use load::Unlabelled;
pub use normalisation::{Normalisation, Standardise};
pub use record::DataRecord;
pub use site::Site;
pub use spec::{Channels, DataSpec};
pub use split::Splits;
pub use table::Table;
