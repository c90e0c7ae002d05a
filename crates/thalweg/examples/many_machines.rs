//! One machine to many: a zoo whose shards are trained as tasks that know nothing of each other, as processes on many machines would, one of
//! which fails; what is missing is found and made, and the zoo has the bytes that one process gives it.
//!
//! `cargo run --release -p thalweg --example many_machines -- [FOLDER]`; the program's way is `thalweg zoo train --shard` and `thalweg gather`.
use std::path::{Path, PathBuf};
use thalweg::Result;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::pieces::Task;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, ZooStore, gather, train_task, train_zoo};

/// Tasks that share the work.
pub const TASKS: usize = 4;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("thalweg-many"), PathBuf::from);
    let found = run(&folder)?;
    println!("shards missing after the first round: {:?}", found.missing);
    println!("the bytes of one process: {}", if found.same { "yes" } else { "no" });
    println!("{} runs in {}", found.zoo.runs(), folder.join("shared").display());
    Ok(())
}

/// What came of it.
pub struct Found {
    /// Shards that were not there after a task had failed.
    pub missing: Vec<usize>,
    /// Whether every run has the weights that it has in a zoo of one process.
    pub same: bool,
    /// The zoo that the tasks made.
    pub zoo: ZooStore,
}

/// Trains a zoo of 32 runs in 8 shards twice in `folder`, which is empty: shared out to tasks, and by one process.
pub fn run(folder: &Path) -> Result<Found> {
    let architecture = Preset::Digits.build([1, 8, 8], 10)?;
    let mut spec = ZooSpec::new(architecture, DataSpec::named("digits"), ZooKind::named("independent")?, 32);
    (spec.recipe.length, spec.shard) = (Length::Steps(50), 4);
    let shared = folder.join("shared");

    // Each of these lines may run on a machine of its own, at any time and in any order: it needs the settings, the data, and the folder.
    for index in (0..TASKS).filter(|&index| index != 2) {
        train_task(&spec, &shared, Task::new(index, TASKS)?, &Silent)?;
    }

    // Task 2 has failed. Gathering reads and checks every shard, and says what is missing.
    let first = gather(&shared, false, &Silent)?;
    train_task(&spec, &shared, Task::new(2, TASKS)?, &Silent)?;
    assert!(gather(&shared, false, &Silent)?.is_whole(), "all tasks have made their shards");

    let (zoo, alone) =
        (ZooStore::open(&shared)?, train_zoo(&spec, &folder.join("alone"), &TrainOptions::default(), &Silent)?);
    let mut same = true;
    for run in 0..zoo.runs() {
        same &= zoo.trajectory(run)? == alone.trajectory(run)?;
    }
    Ok(Found { missing: first.missing, same, zoo })
}
