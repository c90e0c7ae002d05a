//! TODO
pub mod cifar;
mod columns;
pub mod csv_file;
mod csv_index;
pub mod digits;
pub mod gzip;
pub mod heart;
pub mod idx;
mod labels;
pub mod npy;
pub mod npz;
mod npz_images;
pub mod open;
mod pixels;
pub mod silhouettes;
pub mod sklearn;
