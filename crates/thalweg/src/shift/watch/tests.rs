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
    println!("{ever} of {watches} watches of {batches} batches ever alarm");
    assert!(ever as f64 <= most, "{ever} of {watches}");
}

#[test]
fn a_shift_is_seen_within_days_after_many_without_one() {
    let calibration = calibration(200, 199, 3);
    let mut watch = Watch::new(&calibration, 0.05, 1).unwrap();
    let streams = Streams::new(5).child("Q");
    let mut add = |batch: u64, shift: f32| {
        watch.add(&calibration, &format!("{batch}"), &rows(20, shift, &streams.index(batch)), &Silent).unwrap();
        watch.outcome()
    };
    for batch in 0..20 {
        assert_eq!(add(batch, 0.0), Outcome::NoEvidenceOfHarm);
    }
    let seen = (20..60).find(|&batch| add(batch, -1.0) != Outcome::NoEvidenceOfHarm).unwrap();
    assert!(seen < 26, "{seen}");
    assert_eq!(watch.outcome(), Outcome::HarmfulShift);
    assert_eq!(watch.since().unwrap().name, seen.to_string());
}

/// Days to an alarm, on average over eight watches of twelve batches, by the watch and by a rival on the same p-values that divides the level among all
/// batches, α/(k(k + 1)) for the k-th. The shift begins after five; no alarm at all counts as one on the day after the last. 3,199 redraws let the rival
/// alarm with any of the twelve.
fn days_to_an_alarm(calibration: &Calibration, shift: f32) -> [f64; 2] {
    let (watches, batches, quiet, level) = (8, 12u64, 5, 0.05);
    let mut days = [0.0; 2];
    for seed in 0..watches {
        let mut watch = Watch::new(calibration, level, seed).unwrap();
        let streams = Streams::new(seed).child("delay");
        let mut seen = [None; 2];
        for k in 1..=batches {
            let moved = if k > quiet { shift } else { 0.0 };
            watch.add(calibration, &k.to_string(), &rows(20, moved, &streams.index(k)), &Silent).unwrap();
            let p = watch.batches().last().unwrap().overall;
            let alarms = [watch.outcome() != Outcome::NoEvidenceOfHarm, p <= level / (k * (k + 1)) as f64];
            for (seen, alarms) in seen.iter_mut().zip(alarms) {
                *seen = seen.or_else(|| (alarms && k > quiet).then(|| k - quiet));
            }
        }
        for (days, seen) in days.iter_mut().zip(seen) {
            *days += seen.unwrap_or(batches + 1 - quiet) as f64 / watches as f64;
        }
    }
    days
}

#[test]
fn evidence_that_adds_up_sees_a_small_shift_sooner_than_a_level_divided_among_all_batches() {
    let calibration = calibration(200, 3_199, 3);
    let [[small, small_rival], [great, great_rival]] = [-0.4, -1.5].map(|shift| days_to_an_alarm(&calibration, shift));
    println!("days: {small} and {small_rival} for a small shift, {great} and {great_rival} for a great one");
    // The rival can alarm, and at once; then it is the sooner by no more than a day.
    assert!(great_rival < 1.5 && great <= great_rival + 1.0, "{great} {great_rival}");
    assert!(small + 1.0 < small_rival, "{small} {small_rival}");
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
