use super::feature::Kind;
use super::*;
use crate::shift::calibration::Request;
use crate::shift::config::small;
use crate::shift::world;
use thalweg_nets::progress::Silent;

fn calibration(methods: &[Method]) -> Calibration {
    let (world, config) = (world::two_clouds(1), small(40));
    let request = Request { seed: 5, ..world::request(world.parts(40, &config), methods) };
    Calibration::make(&request, &Silent).unwrap()
}

fn features() -> Vec<Feature> {
    let of = |(at, name): (usize, &str)| Feature {
        name: name.into(),
        columns: at..at + 1,
        kind: Kind::Number { mean: 10.0, deviation: 2.0 },
    };
    ["across", "along"].into_iter().enumerate().map(|(at, name)| of((at, name))).collect()
}

#[test]
fn the_feature_that_moved_explains_the_disagreement_and_the_other_does_not() {
    let (made, world) = (calibration(&[Method::named("bank").unwrap()]), world::two_clouds(1));
    // The second input of 40 rows is moved by 5, of the 20 others it is as on P.
    let query = world.far(40, 3).joined(&world.near(20, 4));
    let told = explained(&made, &query, &features(), &Streams::new(2)).unwrap();
    let [on_p, on_q] = told.scores.unwrap();
    assert!(on_q > on_p + 0.1, "{on_p} {on_q}");
    assert_eq!(told.features[0].name, "along");
    let explains = told.features.iter().map(|f| f.explains.unwrap()).collect::<Vec<_>>();
    assert!(explains[0] > 0.7 && explains[0] < 1.3 && explains[0] > explains[1] + 0.3, "{:?}", told.features);
    assert!(told.features[0].p_value < 0.01 && told.features[1].p_value > 0.05, "{:?}", told.features);
    let [on_p, on_q] = told.features[0].means.unwrap();
    assert!((on_p - 10.0).abs() < 0.4 && on_q > 15.0, "in the user's units: {on_p} {on_q}");
    // The moved rows score most, and the tree parts them from the others.
    assert!(told.rows.iter().all(|row| row.row < 40) && told.rows[0].values[0].0 == "along", "{:?}", told.rows);
    let worst = &told.subgroups[0];
    assert!(worst.conditions[0].starts_with("along > ") && worst.shares[1] > 5.0 * worst.shares[0], "{worst:?}");
    assert_eq!(told.subgroups.iter().map(|g| g.rows).sum::<usize>(), 60);
    assert_eq!(told.all_scores[1].len(), 60);
    assert_eq!(told, explained(&made, &query, &features(), &Streams::new(2)).unwrap(), "same seed, same answer");
}

#[test]
fn what_cannot_be_told_is_left_out_and_wrong_columns_are_named() {
    let (made, world) = (calibration(&[Method::named("bbsd").unwrap()]), world::two_clouds(1));
    let query = world.near(12, 9);
    let told = explained(&made, &query, &[], &Streams::new(2)).unwrap();
    assert!(told.features.is_empty() && told.subgroups.is_empty() && told.classes.len() == 2);
    let shares: f64 = told.classes.iter().map(|c| c.shares[1]).sum();
    assert!((shares - 1.0).abs() < 1e-12);
    let wrong = Feature { columns: 2..3, ..features().remove(0) };
    let said = explained(&made, &query, &[wrong], &Streams::new(2)).unwrap_err().to_string();
    assert!(said.contains("within the 2 inputs") && said.contains("across"), "{said}");
}
