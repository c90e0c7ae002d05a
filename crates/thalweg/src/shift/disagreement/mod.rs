//! TODO
pub mod bank;
pub mod cdc;
pub mod choose;
pub mod conditional;
pub mod detectron;
pub mod members;
pub mod meta;
mod pairs;
