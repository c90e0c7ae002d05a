//! One file (or folder) a command: its flags, what it does, what it says at the end.
pub mod data;
pub mod demo;
pub mod encode;
pub mod eval;
pub mod fit;
pub mod predict;
pub mod reproduce;
pub mod sample;
pub mod shift;
pub mod tune;
pub mod zoo;
