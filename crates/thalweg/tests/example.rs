//! The example of the whole way does what it says.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)] // its `main`
#[path = "../examples/digits.rs"]
mod digits;

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
