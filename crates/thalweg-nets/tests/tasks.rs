//! A zoo whose shards are made by many tasks: the same bytes as by one process, whatever order they come in and however often.
#![allow(clippy::unwrap_used)]
mod common;

use common::{RESUME, spec, sums, train};
use std::fs::{self, File};
use std::path::Path;
use thalweg_nets::Result;
use thalweg_nets::checksum::seal_text;
use thalweg_nets::data::DataSpec;
use thalweg_nets::files::lock;
use thalweg_nets::pieces::Task;
use thalweg_nets::progress::Silent;
use thalweg_nets::testing::StopAfter;
use thalweg_nets::zoo::gather::unfinished;
use thalweg_nets::zoo::{DeriveOptions, ZooStore, derive, derive_task, gather, train_task, train_zoo};

fn task(kind: &str, dir: &Path, index: usize, of: usize) -> Result<std::ops::Range<usize>> {
    train_task(&spec(kind), dir, Task::new(index, of)?, &Silent)
}

#[test]
fn tasks_in_any_order_and_twice_at_once_make_the_bytes_of_one_process() {
    let root = tempfile::tempdir().unwrap();
    for kind in ["independent", "shared", "fork"] {
        let (one, many) = (root.path().join(format!("{kind}-one")), root.path().join(format!("{kind}-many")));
        train(&spec(kind), &one).unwrap();
        assert_eq!(unfinished(&many, 3).unwrap(), [0, 1, 2]);
        // Ten runs in four shards: the tasks of three have one, one and two of them.
        assert_eq!(task(kind, &many, 2, 3).unwrap(), 6..10);
        assert_eq!(unfinished(&many, 3).unwrap(), [0, 1]);
        let found = gather(&many, false, &Silent).unwrap();
        assert_eq!((found.pieces, &found.missing[..], found.is_whole()), (4, &[0, 1][..], false));
        std::thread::scope(|scope| {
            for index in [0, 0, 1, 1] {
                let many = &many;
                scope.spawn(move || task(kind, many, index, 3).unwrap());
            }
        });
        // What a kill leaves behind.
        fs::write(many.join(".shard-00001.safetensors.0123456789abcdef.part"), "half").unwrap();
        fs::copy(many.join("shard-00001.safetensors"), many.join("shard-00001.partial")).unwrap();
        let before = fs::metadata(many.join("shard-00002.safetensors")).unwrap().modified().unwrap();
        assert_eq!(task(kind, &many, 2, 3).unwrap(), 6..10, "a task that is done is done again at no cost");
        assert_eq!(fs::metadata(many.join("shard-00002.safetensors")).unwrap().modified().unwrap(), before);
        assert!(gather(&many, false, &Silent).unwrap().is_whole());
        assert_eq!(sums(&one), sums(&many), "{kind}");
        ZooStore::open(&many).unwrap();
    }
}

#[test]
fn a_task_that_was_stopped_goes_on_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let (one, many) = (root.path().join("one"), root.path().join("many"));
    train(&spec("fork"), &one).unwrap();
    let stopped = train_task(&spec("fork"), &many, Task::new(0, 1).unwrap(), &StopAfter::new(4));
    assert!(matches!(stopped, Err(thalweg_nets::Error::Interrupted)));
    assert_eq!(task("fork", &many, 0, 1).unwrap(), 0..10);
    assert!(gather(&many, false, &Silent).unwrap().is_whole());
    assert_eq!(sums(&one), sums(&many));
    // One process may end what tasks began.
    fs::remove_file(many.join("shard-00003.safetensors")).unwrap();
    train_zoo(&spec("fork"), &many, &RESUME, &Silent).unwrap();
    assert_eq!(sums(&one), sums(&many));
}

#[test]
fn tasks_of_another_specification_version_or_data_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("zoo");
    task("fork", &dir, 0, 4).unwrap();
    let before = sums(&dir);
    let refused = |change: &dyn Fn(&mut thalweg_nets::zoo::ZooSpec)| {
        let mut other = spec("fork");
        change(&mut other);
        let said = train_task(&other, &dir, Task::new(1, 4).unwrap(), &Silent).unwrap_err().to_string();
        assert_eq!(sums(&dir), before, "{said}");
        said
    };
    assert!(refused(&|spec| spec.seed = 8).contains("seed: expected 7"));
    assert!(refused(&|spec| spec.recipe.batch = 5).contains("recipe.batch"));
    assert!(refused(&|spec| spec.data = DataSpec::parse("digits@relabel=1").unwrap()).contains("data"));
    // The same rows in another content, and another program.
    let path = dir.join("zoo.toml");
    let text = fs::read_to_string(&path).unwrap();
    for (key, value, other) in [
        ("version", format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"0.0.9\""),
        ("checksum", text.split("\nchecksum = ").nth(1).unwrap().lines().next().unwrap().to_owned(), "\"00ff\""),
    ] {
        let changed = text.replacen(&format!("\n{key} = {value}\n"), &format!("\n{key} = {other}\n"), 1);
        assert_ne!(changed, text);
        fs::write(&path, seal_text(changed)).unwrap();
        let said = task("fork", &dir, 1, 4).unwrap_err().to_string();
        assert!(said.contains(key) && said.contains(other.trim_matches('"')), "{said}");
        assert!(!dir.join("shard-00001.safetensors").exists());
    }
}

#[test]
fn what_cannot_be_shared_out_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("zoo");
    let said = |result: Result<std::ops::Range<usize>>| result.unwrap_err().to_string();
    assert!(said(task("tail", &dir, 0, 2)).contains("tail"));
    assert!(said(task("fork", &dir, 0, 5)).contains("at most 4"));
    assert!(!dir.exists(), "nothing is written");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("notes.txt"), "mine").unwrap();
    assert!(said(task("fork", &dir, 0, 4)).contains("other content"));
    fs::remove_file(dir.join("notes.txt")).unwrap();
    task("fork", &dir, 0, 4).unwrap();
    let held = File::open(dir.join("zoo.toml")).unwrap();
    lock(&held, &dir).unwrap();
    assert!(said(task("fork", &dir, 1, 4)).contains("another process"));
    assert!(gather(&dir, false, &Silent).unwrap_err().to_string().contains("another process"));
}

#[test]
fn damaged_shards_are_named_and_made_again() {
    let root = tempfile::tempdir().unwrap();
    let (one, many) = (root.path().join("one"), root.path().join("many"));
    train(&spec("fork"), &one).unwrap();
    for index in 0..4 {
        task("fork", &many, index, 4).unwrap();
    }
    let path = many.join("shard-00002.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::remove_file(many.join("shard-00000.safetensors")).unwrap();
    let found = gather(&many, false, &Silent).unwrap();
    assert_eq!((&found.missing[..], found.to_make()), (&[0][..], vec![0, 2]));
    assert!(found.damaged.len() == 1 && found.damaged[0].1.contains("shard-00002"), "{found:?}");
    assert!(task("fork", &many, 2, 4).is_err(), "a task does not believe a damaged shard");
    gather(&many, true, &Silent).unwrap();
    assert_eq!(unfinished(&many, 4).unwrap(), [0, 2]);
    for index in [0, 2] {
        task("fork", &many, index, 4).unwrap();
    }
    assert!(gather(&many, false, &Silent).unwrap().is_whole());
    assert_eq!(sums(&one), sums(&many));
    fs::copy(&path, many.join("shard-00004.safetensors")).unwrap();
    assert!(gather(&many, false, &Silent).unwrap_err().to_string().contains("4 shards only"));
}

#[test]
fn derived_zoos_are_shared_out_as_well() {
    let root = tempfile::tempdir().unwrap();
    let source = train(&spec("shared"), &root.path().join("source")).unwrap();
    let (one, many) = (root.path().join("one"), root.path().join("many"));
    let step = |run: usize, theta: &mut [f32]| {
        theta.iter_mut().for_each(|w| *w += run as f32);
        Ok(())
    };
    derive(&source, &one, "moved", DeriveOptions::default(), &step, &Silent).unwrap();
    for index in [1, 0, 1] {
        derive_task(&source, &many, "moved", Task::new(index, 2).unwrap(), &step, &Silent).unwrap();
    }
    assert!(gather(&many, false, &Silent).unwrap().is_whole());
    assert_eq!(sums(&one), sums(&many));
    let said = derive_task(&source, &many, "otherwise", Task::new(0, 2).unwrap(), &step, &Silent);
    assert!(said.unwrap_err().to_string().contains("derived.id"));
}
