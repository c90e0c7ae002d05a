//! Zoos in folders: their files, and the best of their runs.
use crate::output::JSON;
use thalweg_nets::zoo::ZooStore;

/// Names of the files of a zoo, and of what is told of it.
pub const FILES: &[&str] = &["zoo.toml", "centre.safetensors", "template.safetensors", "shard-*.safetensors", JSON];

/// The run with the least final validation loss of those that did not fail; the first where losses are not known.
pub fn best_run(zoo: &ZooStore) -> Option<usize> {
    let (finished, k) = (zoo.finished_runs(), zoo.checkpoints());
    match zoo.is_scored() {
        true => finished.iter().copied().min_by(|a, b| {
            let last = |run: &usize| zoo.losses()[run * k + k - 1];
            last(a).total_cmp(&last(b))
        }),
        false => finished.first().copied(),
    }
}
