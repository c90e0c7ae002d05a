use super::*;
use crate::shift::calibration::Request;
use crate::shift::config::Config;
use crate::shift::method::{Method, Parts};
use crate::shift::reference::Reference;
use crate::shift::world;
use rand::RngExt;
use thalweg_nets::progress::Silent;

/// Rows of logits whose margin is 2 + `shift` on average, one stream a set.
fn rows(n: usize, shift: f32, streams: &Streams) -> Sample {
    let mut rng = streams.rng();
    let logits = (0..n).flat_map(|_| {
        let margin = (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 1.7 + 2.0 + shift;
        [margin, 0.0]
    });
    Sample::of_logits(logits.collect(), 2).unwrap()
}

/// Tests of logits with `held_out` rows, by `null` redraws a batch.
fn calibration(held_out: usize, null: usize, seed: u64) -> Calibration {
    let streams = Streams::new(seed).child("P");
    let of = |name: &str, n| rows(n, 0.0, &streams.child(name));
    let reference = Reference::new(of("train", 60), of("validation", 60), of("held-out", held_out)).unwrap();
    let config = Config::default();
    let methods = ["entropy", "energy"].map(|name| Method::named(name).unwrap());
    let parts = Parts { base: None, reference: &reference, labels: &[], size: 10, config: &config };
    let request = Request { null, seed, data: "logits".into(), ..world::request(parts, &methods) };
    Calibration::make(&request, &Silent).unwrap()
}

#[test]
fn over_twelve_thousand_batches_without_shift_few_watches_ever_alarm() {
    let (watches, batches, level) = (300, 40, 0.05);
    let ever = (0..watches)
        .filter(|&seed| {
            // So few held-out rows that their own error is as large as that of a batch, which is what breaks a null law that is drawn once.
            let calibration = calibration(40, 99, seed);
            let mut watch = Watch::new(&calibration, level, seed).unwrap();
            for batch in 0..batches {
                let rows = rows(10, 0.0, &Streams::new(seed).child("Q").index(batch));
                watch.add(&calibration, &format!("day {batch}"), &rows, &Silent).unwrap();
            }
            watch.outcome() != Outcome::NoEvidenceOfHarm
        })
        .count();
    let most = level * watches as f64 + 3.0 * (watches as f64 * level * (1.0 - level)).sqrt();
    assert!(ever as f64 <= most, "{ever} of {watches}");
}

#[test]
fn a_shift_is_seen_within_days_where_a_bound_for_each_batch_never_sees_it() {
    let calibration = calibration(200, 199, 3);
    let mut watch = Watch::new(&calibration, 0.05, 1).unwrap();
    let streams = Streams::new(5).child("Q");
    for batch in 0..20 {
        watch.add(&calibration, &format!("{batch}"), &rows(20, 0.0, &streams.index(batch)), &Silent).unwrap();
    }
    assert_eq!(watch.outcome(), Outcome::NoEvidenceOfHarm);
    let (mut days, mut bonferroni) = (None, None);
    for batch in 20..60u64 {
        watch.add(&calibration, &format!("{batch}"), &rows(20, -1.0, &streams.index(batch)), &Silent).unwrap();
        let (day, last) = (batch - 19, watch.batches().last().unwrap());
        let spent = ((batch + 1) * (batch + 2)) as f64;
        bonferroni = bonferroni.or((last.overall <= 0.05 / spent).then_some(day));
        days = days.or((watch.outcome() != Outcome::NoEvidenceOfHarm).then_some(day));
    }
    assert!(days.is_some_and(|days| days <= 6), "{days:?}");
    // A level that is spent over all batches is below the least p-value of 199 redraws.
    assert_eq!(bonferroni, None);
    assert_eq!(watch.outcome(), Outcome::HarmfulShift);
    assert_eq!(watch.since().unwrap().name, format!("{}", 19 + days.unwrap()));
}

#[test]
fn a_file_goes_on_where_the_watch_was_left() {
    let calibration = calibration(60, 99, 1);
    let of = |batch: u64| rows(8, 0.3, &Streams::new(2).index(batch));
    let path = tempfile::tempdir().unwrap().path().join("w.watch");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (mut whole, mut parts) = (Watch::new(&calibration, 0.1, 4).unwrap(), Watch::new(&calibration, 0.1, 4).unwrap());
    for batch in 0..5 {
        std::fs::write(&path, parts.bytes().unwrap()).unwrap();
        parts = Watch::read(&path, &calibration).unwrap();
        whole.add(&calibration, "b", &of(batch), &Silent).unwrap();
        parts.add(&calibration, "b", &of(batch), &Silent).unwrap();
    }
    assert_eq!(parts.bytes().unwrap(), whole.bytes().unwrap());
    assert_eq!((parts.rows(), parts.batches().len()), (40, 5));
    let other = super::tests::calibration(60, 99, 2);
    assert!(
        Watch::read(&path, &other).unwrap_err().to_string().contains("the calibration that the watch was begun with")
    );
    assert!(parts.add(&other, "b", &of(9), &Silent).unwrap_err().to_string().contains("begun with"));
    assert!(Watch::new(&calibration, 0.0, 1).is_err());
    let mut bytes = whole.bytes().unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(Watch::read(&path, &calibration).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn rows_are_watched_once() {
    let calibration = calibration(60, 99, 1);
    let mut watch = Watch::new(&calibration, 0.05, 4).unwrap();
    let all = rows(20, 0.0, &Streams::new(8));
    let first = |n: usize| all.rows(&(0..n).collect::<Vec<_>>());
    let mut add = |name: &str, rows: &Sample| watch.add(&calibration, name, rows, &Silent).unwrap() != Seen::Before;
    assert!(add("log", &first(6)));
    // The same file again, under whatever name; and appended to.
    assert!(!add("log", &first(6)) && !add("copy", &first(6)));
    assert!(add("log", &first(15)) && !add("log", &first(15)) && add("log", &all) && !add("log", &all));
    // A file of one name that begins otherwise is a new day's.
    assert!(add("log", &rows(5, 0.0, &Streams::new(9))));
    let other = rows(9, 0.0, &Streams::new(9));
    assert!(add("log", &other) && !add("log", &other));
    let told: Vec<(usize, bool)> = watch.batches().iter().map(|batch| (batch.rows, batch.appended)).collect();
    assert_eq!(told, [(6, false), (9, true), (5, true), (5, false), (4, true)]);
}
