//! Readers of data files, one a format, and [`open`], which knows which reader opens what.
pub mod cifar;
pub(in crate::data) mod columns;
mod csv_error;
pub mod csv_file;
mod csv_index;
pub mod digits;
pub mod gzip;
pub mod heart;
pub mod idx;
pub(in crate::data) mod labels;
pub mod npy;
pub mod npz;
mod npz_images;
pub mod open;
pub mod silhouettes;
pub mod sklearn;
pub(in crate::data) mod source;
