//! Files of a zoo.
use crate::output::JSON;

/// Names of the files of a zoo, and of what is told of it.
pub(super) const FILES: &[&str] = &["zoo.toml", "centre.safetensors", "shard-*.safetensors", JSON];
