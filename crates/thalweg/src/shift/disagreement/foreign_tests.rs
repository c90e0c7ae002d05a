//! Tests by networks that the engine does not know, against the same tests by the engine: what is trained several at a time is what is trained alone.
use super::bank::{self, Bank};
use super::bank_config::BankConfig;
use super::cdc::{CdcConfig, Trainer};
use super::detectron::{Detectron, Rounds};
use crate::Streams;
use crate::network::Network;
use crate::shift::base::{Base, Sample};
use crate::shift::calibration::Calibration;
use crate::shift::config::small;
use crate::shift::method::{Method, Parts};
use crate::shift::reference::Reference;
use crate::shift::test::ShiftTest;
use crate::shift::world::{self, World};
use crate::testing::foreign::foreign;
use std::sync::Arc;
use thalweg_nets::progress::Silent;

/// f and P of the world, by networks that are not the engine's.
fn of_foreign(world: &World) -> (Arc<Base>, Reference) {
    let network = foreign(world.base.architecture().unwrap(), 7);
    let base = Arc::new(Base::other(network, "foreign", world.base.theta().to_vec()).unwrap());
    let seen = |rows: &Sample| base.sample(&rows.inputs).unwrap();
    let Reference { train, validation, held_out } = &world.reference;
    let reference = Reference::new(seen(train), seen(validation), seen(held_out)).unwrap();
    (base, reference)
}

#[test]
fn networks_trained_in_step_are_those_trained_alone() {
    let world = world::two_clouds(1);
    let (base, reference) = of_foreign(world);
    assert!(base.architecture().is_none() && base.engine().unwrap_err().to_string().contains("foreign"));
    assert_eq!(reference.train.features, reference.train.logits);
    let (streams, cdc) = (Streams::new(7), CdcConfig { steps: 25, ..CdcConfig::default() });
    let trainers = [(&world.base, &world.reference), (&base, &reference)]
        .map(|(base, reference)| Trainer::new(base.clone(), reference, cdc, &streams).unwrap());
    let config = BankConfig { size: 16, ..BankConfig::default() };
    let cdcs = |trainer: &Trainer| bank::cdcs(trainer, &world.reference, config, &streams).unwrap();
    let [engine, other] = trainers.each_ref().map(cdcs);
    assert!(engine == other, "CDCs of the bank");
    let of = Bank::of(base.clone(), &reference, config, other, 10, &streams).unwrap();
    let own = Bank::of(world.base.clone(), &world.reference, config, engine, 10, &streams).unwrap();
    let queries = [world.far(10, 1), world.near(9, 2)];
    assert_eq!(of.measure(&queries, &streams).unwrap().values, own.measure(&queries, &streams).unwrap().values);
    // Queries whose rounds end after one another, more of them than are trained together.
    let queries: Vec<Sample> =
        (0..9).map(|i| if i % 2 == 0 { world.far(9 + i, 1) } else { world.near(9, 2) }).collect();
    let [engine, other] = trainers.map(|trainer| {
        let test = Detectron::bare(trainer, &world.reference, Rounds::default()).unwrap();
        test.run(&queries, &streams).unwrap()
    });
    assert_eq!(engine, other);
    assert!(engine.iter().any(|run| run.members != engine[0].members), "all queries have the same number of rounds");
}

#[test]
fn a_calibration_is_read_with_its_network_alone() {
    let world = world::two_clouds(1);
    let (base, reference) = of_foreign(world);
    let config = small(20);
    let methods = ["bank", "conditional", "bbsd", "two-sample"].map(|name| Method::named(name).unwrap());
    let parts =
        Parts { base: Some(base.clone()), reference: &reference, labels: &world.labels, size: 10, config: &config };
    let made = Calibration::make(&world::request(parts.clone(), &methods), &Silent).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.safetensors");
    made.write(&path).unwrap();
    let said = Calibration::read(&path).err().unwrap().to_string();
    assert!(said.contains("foreign") && said.contains("nothing that evaluates it"), "{said}");
    let with = |called: &str| {
        let net = foreign(world.base.architecture().unwrap(), 3);
        Calibration::read_with(&path, &|_| Ok(Some((net.clone() as Arc<dyn Network>, called.to_owned()))))
    };
    let said = with("another").err().unwrap().to_string();
    assert!(said.contains("foreign") && said.contains("found another"), "{said}");
    let (read, query) = (with("foreign").unwrap(), base.sample(&world.far(12, 5).inputs).unwrap());
    let answer = |of: &Calibration| of.test(&query, 0.05, 9, &Silent).unwrap().answer;
    assert_eq!(answer(&read), answer(&made));
    for name in ["ensemble", "meta-detectron"] {
        let method = [Method::named(name).unwrap()];
        let said = Calibration::make(&world::request(parts.clone(), &method), &Silent).err().unwrap().to_string();
        assert!(said.contains(name) && said.contains("the engine knows") && said.contains("foreign"), "{said}");
    }
}
