//! The keys that are told are the keys that are read: the readers themselves say, for every table and every choice, what they expect there.
use super::*;
use crate::settings;
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use thalweg::shift::method::Config;
use thalweg::{FitConfig, TuneConfig};
use thalweg_nets::zoo::ZooSpec;

const ZOO: &str = "runs = 2\n[data]\nname = \"digits\"\n[architecture]\ninput = [1, 8, 8]\nlayers = [{ kind = \"flatten\" }, { kind = \"dense\", out = 10 }]\n";

/// What the reader of `S` expects where `set` is said, as its own complaint lists it.
fn expected<S: DeserializeOwned>(text: &str, set: &str) -> Option<BTreeSet<String>> {
    let said = format!("{:#}", settings::read::<S>("test", text, &[set.into()]).err()?);
    // Of the fields of a choice, the reader of TOML complains itself.
    if let Some((_, listed)) = said.split_once("unexpected keys in table: probe, available keys: ") {
        let listed = listed.split("; did you mean").next()?.lines().next()?;
        return Some(listed.split(", ").map(str::to_owned).collect());
    }
    let (_, listed) = said
        .split_once("unknown field `probe`, expected ")
        .or_else(|| said.split_once("unknown variant `probe`, expected "))?;
    let listed = listed.split("; did you mean").next()?.lines().next()?;
    Some(listed.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Compares the listing of `S` with its reader, at every table and every choice; returns how many places were compared.
fn compared<S: DeserializeOwned + JsonSchema>(text: &str) -> usize {
    let schema = serde_json::to_value(schema_for!(S)).unwrap();
    let keys = keys(&schema);
    let paths: BTreeSet<&str> = keys.iter().map(|key| key.path.as_str()).collect();
    assert_eq!(paths.len(), keys.len(), "a key is listed twice");
    let tables = keys.iter().filter(|key| key.table).map(|key| key.path.as_str()).chain([""]);
    let mut places = 0;
    // Elements of lists cannot be set one by one.
    for table in tables.filter(|table| !table.contains('[')) {
        let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
        let children =
            paths.iter().filter_map(|path| path.strip_prefix(&prefix)).filter(|rest| !rest.contains(['.', '[']));
        let listed: BTreeSet<String> = children.map(str::to_owned).collect();
        let found = expected::<S>(text, &format!("{prefix}probe=1"));
        assert_eq!(Some(listed), found, "keys of [{table}]");
        places += 1;
    }
    for key in keys.iter().filter(|key| key.kind.contains(" | ") && !key.table && !key.path.contains('[')) {
        if key.kind == "true | false" {
            continue;
        }
        let listed: BTreeSet<String> = key.kind.split(" | ").map(str::to_owned).collect();
        let Some(mut found) = expected::<S>(text, &format!("{}=probe", key.path)) else { continue };
        // A method of one's own is there for programs that bring it along, not for files.
        found.remove("own");
        assert_eq!(listed, found, "choices of {}", key.path);
        places += 1;
    }
    places
}

#[test]
fn every_key_that_is_read_is_listed_and_nothing_else() {
    assert!(compared::<FitConfig>("") > 30);
    assert!(compared::<TuneConfig>("") > 4);
    assert!(compared::<Config>("") > 8);
    assert!(compared::<ZooSpec>(ZOO) > 8);
}

#[test]
fn defaults_are_those_that_are_in_force() {
    let all = keys(&serde_json::to_value(schema_for!(FitConfig)).unwrap());
    let of = |path: &str| all.iter().find(|key| key.path == path).unwrap().default.clone();
    assert_eq!(of("steps"), Some(FitConfig::default().steps.to_string()));
    // The field of a fit is narrower than the field by itself.
    assert_eq!(of("field.residual-mlp.width").as_deref(), Some("4"));
    assert_eq!(of("method").as_deref(), Some("cfm"));
    assert_eq!(of("latent"), None);
    // Other choices have their own defaults.
    assert_eq!(of("method.jko.noise").as_deref(), Some("0.3"));
    let all = keys(&serde_json::to_value(schema_for!(Config)).unwrap());
    let of = |path: &str| all.iter().find(|key| key.path == path).unwrap().default.clone();
    assert_eq!(of("bank-cdc.kappa").as_deref(), Some("0.01"));
    let tune = keys(&serde_json::to_value(schema_for!(TuneConfig)).unwrap());
    assert_eq!(tune.iter().find(|key| key.path == "reward-clip").unwrap().default.as_deref(), Some("inf"));
}

#[test]
fn ranges_stand_with_the_keys_wherever_the_types_have_them() {
    let about = |schema: schemars::Schema, path: &str| {
        let keys = keys(&serde_json::to_value(schema).unwrap());
        keys.into_iter().find(|key| key.path == path).unwrap().about
    };
    assert_eq!(about(schema_for!(FitConfig), "steps"), "Optimiser steps (1,200; 1 to 1,000,000,000).");
    let kappa = about(schema_for!(Config), "bank-cdc.kappa");
    assert!(kappa.starts_with("κ (> 0: weight of disagreement"), "{kappa}");
    assert!(about(schema_for!(ZooSpec), "recipe.label-smoothing").contains("[0, 1)"));
    assert!(about(schema_for!(FitConfig), "context.heads").contains("set transformer"));
}

#[test]
fn every_key_says_what_it_means() {
    for schema in [schema_for!(FitConfig), schema_for!(TuneConfig), schema_for!(Config), schema_for!(ZooSpec)] {
        let keys = keys(&serde_json::to_value(schema).unwrap());
        let silent: Vec<&String> = keys.iter().filter(|key| key.about.is_empty()).map(|key| &key.path).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }
}

#[test]
fn the_choices_of_an_enum_are_named_with_what_they_are() {
    let latents = variants(&serde_json::to_value(schema_for!(thalweg::LatentConfig)).unwrap());
    assert_eq!(latents[0], ("pca".into(), "Principal components".into()));
    let presets = variants(&serde_json::to_value(schema_for!(thalweg_nets::architecture::Preset)).unwrap());
    assert_eq!(presets.iter().map(|p| p.0.as_str()).collect::<Vec<_>>(), ["cnn-s", "cnn-m", "mlp", "digits"]);
}
