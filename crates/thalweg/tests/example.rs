//! The examples do what they say. (`own_reward` is held by the recipe of a reward.)
#![allow(clippy::unwrap_used)]
#![allow(dead_code)] // their `main`
#[path = "../examples/checkpoints.rs"]
mod checkpoints;
#[path = "../examples/digits.rs"]
mod digits;
#[path = "../examples/double_well.rs"]
mod double_well;
#[path = "../examples/many_machines.rs"]
mod many_machines;
#[path = "../examples/shift_test.rs"]
mod shift_test;
#[path = "../examples/two_gaussians.rs"]
mod two_gaussians;

use thalweg::Outcome;
use thalweg::judge::read_rows;

#[test]
fn the_whole_way_ends_with_a_table_in_which_samples_perform() {
    let dir = tempfile::tempdir().unwrap();
    let rows = digits::run(dir.path()).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.method.as_str()).collect();
    assert_eq!(names[..4], ["samples", "zoo", "held-out", "mean"]);
    assert_eq!((rows[0].n, rows[1].n, rows[2].n), (50, 48, 6));
    let [samples, zoo] = [&rows[0], &rows[1]].map(|row| row.accuracy_mean);
    assert!(zoo > 0.85 && samples > zoo - 0.03, "samples {samples}, zoo {zoo}");
    assert!(rows[0].novelty_l2 > 0.5, "samples are no copies: {:?}", rows[0]);
    assert_eq!(read_rows(&dir.path().join("results.json")).unwrap().len(), rows.len());
    // A second time: the zoo is there, and everything comes out the same.
    let again = digits::run(dir.path()).unwrap();
    assert_eq!(
        again.iter().map(|r| r.accuracy_mean).collect::<Vec<_>>(),
        rows.iter().map(|r| r.accuracy_mean).collect::<Vec<_>>()
    );
}

#[test]
fn two_gaussians_are_joined_by_the_flow() {
    let (means, variances) = two_gaussians::run(1000, 3000).unwrap();
    let variance = f64::from(two_gaussians::SPREAD).powi(2);
    for k in 0..2 {
        assert!((means[k] - f64::from(two_gaussians::MEAN[k])).abs() < 0.08, "{means:?}");
        assert!((variances[k] / variance - 1.0).abs() < 0.15, "{variances:?}");
    }
}

#[test]
fn points_end_in_the_wells_that_the_true_flow_takes_them_to() {
    let found = double_well::run(2000).unwrap();
    assert!((0.55..0.75).contains(&found.right_true), "more start on the right: {}", found.right_true);
    // Points that start at the ridge may go either way.
    assert!((found.right - found.right_true).abs() < 0.02, "{} {}", found.right, found.right_true);
    assert!(found.error < 0.1, "{}", found.error);
}

#[test]
fn checkpoints_go_in_and_networks_come_out() {
    let dir = tempfile::tempdir().unwrap();
    let (networks, accuracy) = checkpoints::run(dir.path()).unwrap();
    assert_eq!(networks, 30);
    assert!(accuracy > 0.75, "{accuracy}");
}

#[test]
fn rotated_digits_alarm_and_others_do_not() {
    let [same, turned] = shift_test::run().unwrap();
    assert_eq!((same.outcome, turned.outcome), (Outcome::NoEvidenceOfHarm, Outcome::HarmfulShift));
}

#[test]
fn tasks_make_the_zoo_of_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let found = many_machines::run(dir.path()).unwrap();
    assert_eq!(
        (found.missing, found.zoo.runs()),
        (vec![4, 5], 32),
        "8 shards are two for each of 4 tasks: task 2 has 4 and 5"
    );
    assert!(found.same);
    for shard in 0..8 {
        let name = format!("shard-{shard:05}.safetensors");
        let [shared, alone] =
            ["shared", "alone"].map(|folder| std::fs::read(dir.path().join(folder).join(&name)).unwrap());
        assert_eq!(shared, alone, "{name}");
    }
}
