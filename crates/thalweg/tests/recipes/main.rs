//! The recipes of book/src/recipes, each followed from outside of the library: a toy member of every family, held against what is known of it.
#![allow(clippy::unwrap_used)]
#[path = "../common/mod.rs"]
mod common;
mod layer;
mod method;
#[allow(dead_code, reason = "the example's own main is not run here")]
#[path = "../../examples/own_reward.rs"]
mod own_reward;
mod path;
mod reward;
mod shift;
