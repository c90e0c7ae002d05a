//! Calibrations before they are written and after they are read.
use super::*;
use crate::nn::steps::counted;
use crate::shift::config::small;
use crate::shift::world::{self, World};
use thalweg_nets::pieces::{PieceFolder, Pieces, Task};
use thalweg_nets::progress::Silent;

fn request<'a>(world: &'a World, methods: &'a [Method], config: &'a Config) -> Request<'a> {
    Request { columns: vec!["a".into(), "b".into()], choose: true, ..world::request(world.parts(10, config), methods) }
}

#[test]
fn a_file_says_of_a_query_what_was_said_before_it_was_written_and_reading_it_trains_nothing() {
    let world = world::two_clouds(1);
    let config = small(30);
    let labels: Vec<u32> =
        world.reference.held_out.predictions().iter().enumerate().map(|(i, p)| p ^ u32::from(i % 10 == 0)).collect();
    let request = Request { held_out_labels: &labels, ..request(world, Method::ALL, &config) };
    let (made, trained) = counted(|| Calibration::make(&request, &Silent).unwrap());
    assert!(trained > 1000, "{trained}");
    assert!(made.record.choice.as_ref().is_some_and(|c| c.inside));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.safetensors");
    made.write(&path).unwrap();
    let (read, trained) = counted(|| Calibration::read(&path).unwrap());
    assert_eq!(trained, 0, "optimiser steps while the file is read");
    assert_eq!(read.record, made.record);
    let of = |c: &Calibration, query: &Sample| {
        let verdict = c.test(query, 0.05, 9, &Silent).unwrap();
        let each = verdict.findings.into_iter().map(|f| (f.method, f.statistics, f.p_value));
        (verdict.outcome, verdict.answer, verdict.row_scores, each.collect::<Vec<_>>(), verdict.estimate)
    };
    let (near, far) = (world.near(10, 5), world.far(12, 5));
    let said = of(&read, &far);
    assert_eq!(of(&made, &far), said);
    // What has moved, and far, is the coordinate that decides nothing: rows of P with such values are classified as before.
    assert_eq!(said.0, Outcome::ShiftedHarmNotEstablished);
    assert!(said.1.adjusted(Question::Harm).is_some_and(|p| p <= 0.05));
    assert!(said.3[0].0.name() == "bank" && said.3[0].2 < 0.03, "{:?}", said.3[0]);
    assert_eq!(said.2.len(), 12);
    // Of far rows nothing is claimed, and of near ones what held-out rows with labels allow.
    let estimate = said.4.unwrap();
    assert!(
        estimate.interval.is_none() && estimate.disagreement_bound.is_some_and(|bound| bound < 0.5),
        "{estimate:?}"
    );
    let near_said = of(&read, &near);
    assert_eq!(near_said.0, Outcome::NoEvidenceOfHarm);
    let estimate = near_said.4.unwrap();
    assert!((estimate.accuracy_on_p - 0.9).abs() < 1e-9, "{estimate:?}");
    assert!(estimate.interval.is_none_or(|[low, high]| low < 0.9 && high > 0.89), "{estimate:?}");
    assert!(read.test(&near, 0.01, 9, &Silent).unwrap_err().to_string().contains("at least 99"));
    // Written again it has the same bytes.
    let again = dir.path().join("again.safetensors");
    read.write(&again).unwrap();
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap());
    std::fs::write(&path, b"no").unwrap();
    assert!(Calibration::read(&path).is_err());
}

#[test]
fn what_is_kept_of_held_out_rows_changes_no_number_and_files_without_it_are_read() {
    let world = world::two_clouds(1);
    let config = small(30);
    let methods: Vec<Method> = Method::ALL.iter().copied().filter(|method| !method.trains_per_query()).collect();
    let made = Calibration::make(&request(world, &methods, &config), &Silent).unwrap();
    let held_out = &made.reference.held_out;
    let rows = held_out.clone().joined(&world.far(12, 5));
    let n = held_out.len();
    let queries = permutation::redraws(n, 12, 40, &Streams::new(1)).unwrap();
    for (test, method) in made.tests.iter().zip(&methods) {
        let [kept, anew] = [n, 0].map(|kept| test.measure_rows(&rows, kept, &queries, &Streams::new(2)).unwrap());
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-5 * a.abs().max(1.0);
        assert!(kept.values.iter().zip(&anew.values).all(close), "{method:?}");
    }
    // Other rows than those that are kept are not taken for them.
    assert!(rows.begins_with(held_out) && !world.near(n + 1, 8).begins_with(held_out));
    // A file as older versions wrote it.
    let dir = tempfile::tempdir().unwrap();
    let paths = ["new", "old"].map(|name| dir.path().join(name));
    made.write(&paths[0]).unwrap();
    let Calibration { record, seconds, base, reference, accuracy, .. } =
        Calibration::make(&request(world, &methods, &config), &Silent).unwrap();
    let parts = Parts { config: &config, ..request(world, &methods, &config).parts };
    let tests: Vec<_> =
        methods.iter().map(|m| m.prepare(&parts, None, &Streams::new(3).child("shift")).unwrap()).collect();
    Calibration { record, seconds, base, reference, accuracy, tests, known: OnceLock::new() }.write(&paths[1]).unwrap();
    let [new, old] = [0, 1].map(|i| std::fs::metadata(&paths[i]).unwrap().len());
    assert!(new > old + (4 * 30 * n) as u64, "{new} {old}");
    let [new, old] = [0, 1].map(|i| Calibration::read(&paths[i]).unwrap().test(&world.near(9, 4), 0.05, 9, &Silent));
    assert_eq!(new.unwrap().answer, old.unwrap().answer);
}

#[test]
fn only_tests_that_say_so_train_for_a_query() {
    let world = world::two_clouds(1);
    let config = small(30);
    let streams = Streams::new(4);
    let parts = request(world, Method::ALL, &config).parts;
    let queries = [world.near(10, 1), world.far(10, 2)];
    for method in Method::ALL {
        let test = method.prepare(&parts, None, &streams).unwrap();
        let (_, steps) = counted(|| test.measure(&queries, &streams).unwrap());
        assert_eq!(steps > 0, method.trains_per_query(), "{method:?}: {steps}");
        let rows = queries[0].clone().joined(&queries[1]);
        let (_, once) = counted(|| test.measure_rows(&rows, 0, &[(0..10).collect()], &streams).unwrap());
        assert!(once <= steps, "{method:?}: {once} for one query, {steps} for two");
    }
}

#[test]
fn another_size_leaves_what_was_trained() {
    let world = world::two_clouds(1);
    let config = small(30);
    let streams = Streams::new(4);
    let parts = request(world, Method::ALL, &config).parts;
    let query = [world.near(7, 1)];
    for name in ["bank", "ensemble", "conditional", "entropy"] {
        let method = Method::named(name).unwrap();
        let said = |test: &dyn ShiftTest| test.measure(&query, &streams).unwrap();
        let mut test = method.prepare(&parts, None, &streams).unwrap();
        let own = streams.child(method.name());
        let ((), steps) = counted(|| test.resize(&world.reference, 20, &own).unwrap());
        let anew = method.prepare(&Parts { size: 20, ..parts.clone() }, None, &streams).unwrap();
        assert!(steps == 0 && said(&*test) == said(&*anew), "{name}");
    }
}

#[test]
fn labels_of_one_class_are_refused() {
    let world = world::two_clouds(1);
    let config = small(30);
    let mut request = request(world, Method::ALL, &config);
    let ones = vec![1; world.labels.len()];
    request.parts.labels = &ones;
    let said = request.check().unwrap_err().to_string();
    assert!(said.contains("at least two classes") && said.contains("class 1 alone"), "{said}");
    request.parts.labels = &world.labels;
    request.held_out_labels = &ones;
    assert!(request.check().unwrap_err().to_string().contains("held-out rows"));
}

#[test]
fn logits_alone_calibrate_what_needs_no_more() {
    let world = world::two_clouds(1);
    let of = |s: &Sample| Sample::of_logits(s.logits.clone(), 2).unwrap();
    let r = &world.reference;
    let reference = Reference::new(of(&r.train), of(&r.validation), of(&r.held_out)).unwrap();
    let config = Config::default();
    let [entropy, bbsd, bank] = ["entropy", "bbsd", "bank"].map(|name| Method::named(name).unwrap());
    let make = |methods: &[Method], null, size| {
        let parts = Parts { base: None, reference: &reference, labels: &[], size, config: &config };
        let of_logits = Request {
            parts,
            methods,
            null,
            columns: Vec::new(),
            data: "logits".into(),
            ..request(world, &[], &config)
        };
        Calibration::make(&of_logits, &Silent)
    };
    let made = make(&[entropy, bbsd], 99, 8).unwrap();
    // With 19 redraws difference could never be told beside harm: 99 are taken.
    let few = make(&[entropy, bbsd], 19, 8).unwrap();
    let asked = |of: &Calibration| of.test(&reference.validation, 0.05, 4, &Silent).unwrap().answer;
    assert_eq!(asked(&few), asked(&made));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.safetensors");
    made.write(&path).unwrap();
    let read = Calibration::read(&path).unwrap();
    let query = of(&world.near(8, 2));
    let p = |c: &Calibration| c.test(&query, 0.05, 0, &Silent).unwrap().answer;
    assert_eq!(p(&read), p(&made));
    let says = |methods: &[Method], null, size, what: &str| {
        make(methods, null, size).err().is_some_and(|e| e.to_string().contains(what))
    };
    assert!(says(&[bank], 50, 8, "logits alone"));
    assert!(says(&[entropy, entropy], 50, 8, "none twice"));
    assert!(says(&[], 50, 8, "at least one"));
    assert!(says(&[entropy], 18, 8, "at least 19"));
    assert!(says(&[entropy], 50, 0, "at least 1"));
}

#[test]
fn networks_that_tasks_made_are_those_of_one_process_and_none_is_trained_again() {
    let world = world::two_clouds(1);
    let config = small(30);
    let methods: Vec<Method> =
        ["entropy", "bank", "ensemble", "conditional", "meta-detectron"].map(|m| Method::named(m).unwrap()).to_vec();
    let request = request(world, &methods, &config);
    let dir = tempfile::tempdir().unwrap();
    let work = request.pieces().unwrap();
    let folder = PieceFolder::new(dir.path(), &request.key(), work.count());
    for index in [2, 0, 1] {
        folder.make(&work, Task::new(index, 3).unwrap(), &Silent).unwrap();
    }
    let (one, trained) = counted(|| Calibration::make(&request, &Silent).unwrap());
    let from = |first: usize, work: &dyn Pieces| (0..work.count()).map(|i| folder.get(work, first, i)).collect();
    // What follows the networks (fits of generators, warm starts) is made here both times.
    let (many, rest) = counted(|| Calibration::make_by(&request, &from, &Silent).unwrap());
    assert!(rest < trained / 2, "{rest} of {trained} steps");
    let bytes = |calibration: &Calibration, name: &str| {
        let path = dir.path().join(name);
        calibration.write(&path).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(bytes(&one, "one") == bytes(&many, "many"));
    let logits = Parts { base: None, ..request.parts.clone() };
    assert!(Request { parts: logits, ..request.clone() }.pieces().is_err(), "a bank needs a network");
}
