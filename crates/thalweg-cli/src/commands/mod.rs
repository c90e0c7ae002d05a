//! One file (or folder) a command: its flags, what it does, what it says at the end.
pub mod config;
pub mod data;
pub mod demo;
pub mod encode;
pub mod eval;
pub mod fit;
pub mod gather;
pub mod list;
pub mod reproduce;
pub mod sample;
pub mod shell;
pub mod shift;
pub mod submit;
pub mod tune;
pub mod zoo;
