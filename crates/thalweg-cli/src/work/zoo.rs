//! Runs of a zoo.
use thalweg_nets::zoo::ZooStore;

/// The run with the least final validation loss of those that are alive; the first where losses are not known.
pub fn best_run(zoo: &ZooStore) -> Option<usize> {
    let (alive, k) = (zoo.alive(), zoo.checkpoints());
    match zoo.is_scored() {
        true => alive.iter().copied().min_by(|a, b| {
            let last = |run: &usize| zoo.losses()[run * k + k - 1];
            last(a).total_cmp(&last(b))
        }),
        false => alive.first().copied(),
    }
}
