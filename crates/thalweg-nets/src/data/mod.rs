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
pub mod cifar;
mod columns;
pub mod corrupt;
pub mod csv_file;
mod csv_index;
pub mod dataset;
pub mod derive;
pub mod digits;
pub mod fetch;
pub mod fit;
pub mod gzip;
pub mod heart;
mod home;
pub mod idx;
pub mod known;
mod labels;
mod load;
pub mod normalisation;
pub mod npy;
pub mod npz;
mod npz_images;
mod pixels;
pub mod place;
pub mod record;
pub mod silhouettes;
pub mod sklearn;
pub mod spec;
pub mod split;
pub mod table;
pub mod text;

pub use corrupt::Corruption;
pub use dataset::Dataset;
pub use derive::Change;
pub use fit::Fit;
pub use heart::Site;
pub use load::Unlabelled;
pub use normalisation::{Normalisation, Standardise};
pub use record::DataRecord;
pub use spec::{Channels, DataSpec};
pub use split::Splits;
pub use table::Table;
