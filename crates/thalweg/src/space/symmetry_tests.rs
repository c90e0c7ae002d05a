//! Permuting by the table must leave logits as they are, for every kind of layer.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::Streams;
use crate::testing::reordered::{golden, orders};
use thalweg_nets::architecture::Preset;
use thalweg_nets::engine::Engine;
use thalweg_nets::init::Initialisation;

/// Networks that use every layer the table must know about.
fn networks() -> Vec<Architecture> {
    let residual = r#"
        input = [2, 8, 8]
        layers = [
          { kind = "conv", out = 6, kernel = 3, padding = 1 },
          { kind = "batch-norm" }, { kind = "relu" },
          { kind = "residual", layers = [
            { kind = "conv", out = 5, kernel = 3, padding = 1 }, { kind = "batch-norm" }, { kind = "gelu" },
            { kind = "conv", out = 6, kernel = 1, bias = false } ] },
          { kind = "avg-pool", size = 2 }, { kind = "flatten" },
          { kind = "residual", layers = [ { kind = "dense", out = 7 }, { kind = "tanh" }, { kind = "dense", out = 96 } ] },
          { kind = "dense", out = 9 }, { kind = "silu" }, { kind = "dense", out = 4 } ]
    "#;
    let mut all = vec![
        Preset::CnnS.build([1, 28, 28], 10).unwrap(),
        Preset::CnnM.build([3, 32, 32], 10).unwrap(),
        Preset::Digits.build([1, 8, 8], 10).unwrap(),
        Preset::Mlp { widths: vec![12, 7] }.build([9, 1, 1], 3).unwrap(),
        Architecture::from_toml_str(residual).unwrap(),
    ];
    all.extend(["resnet8", "mixer", "vit"].map(golden));
    let rest = ["lenet5", "vgg-bn", "resnet20", "resnet18", "mobilenet", "sequence", "groupnet"];
    all.extend(rest.map(golden));
    // Depthwise with two outputs for each channel, behind a flatten and before one; instance norm; tokens that a layer makes anew.
    for text in [
        r#"
        input = [2, 6, 6]
        layers = [
          { kind = "conv", out = 6, kernel = 3 }, { kind = "group-norm", groups = 6 }, { kind = "prelu", channels = true },
          { kind = "conv", out = 12, kernel = 3, groups = 6 }, { kind = "layer-norm", over = "all" }, { kind = "elu" }, { kind = "flatten" },
          { kind = "layer-norm" }, { kind = "dense", out = 4 } ]
        "#,
        r#"
        input = [3, 8]
        layers = [
          { kind = "transpose" }, { kind = "linear", out = 5 }, { kind = "tanh" }, { kind = "transpose" }, { kind = "position-embedding" },
          { kind = "linear", out = 6 }, { kind = "self-attention", heads = 2 }, { kind = "global-avg-pool" }, { kind = "dense", out = 4 } ]
        "#,
    ] {
        all.push(Architecture::from_toml_str(text).unwrap());
    }
    all
}

#[test]
fn any_permutation_leaves_the_logits_alone() {
    for (k, architecture) in networks().iter().enumerate() {
        let (table, engine) = (SymmetryTable::of(architecture), Engine::new(architecture).unwrap());
        let streams = Streams::new(9).index(k as u64);
        let mut theta = Initialisation::KaimingNormal.draw(table.layout(), &streams.child("weights"));
        // Running statistics and scales must differ from unit to unit, or a wrong table would pass.
        theta.iter_mut().enumerate().for_each(|(i, v)| *v += 0.1 * ((i % 17) as f32 / 17.0));
        let mut rng = streams.child("order").rng();
        let permutations = orders(&table, &mut rng);
        let mut moved = theta.clone();
        table.permute(&mut moved, &permutations).unwrap();
        assert_eq!(theta == moved, table.symmetries.is_empty(), "{}", architecture.name());
        let inputs: Vec<f32> =
            (0..20 * architecture.input_len()).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
        let packed = engine.pack(&inputs).unwrap();
        let (a, b) = (engine.logits_of_many(&theta, &packed).unwrap(), engine.logits_of_many(&moved, &packed).unwrap());
        let scale = a.iter().fold(0f32, |m, v| m.max(v.abs()));
        let gap = a.iter().zip(&b).fold(0f32, |m, (x, y)| m.max((x - y).abs()));
        assert!(gap <= 1e-5 * scale.max(1.0), "{}: {gap} of {scale}", architecture.name());
    }
}

#[test]
fn the_groups_are_those_that_one_counts_by_hand() {
    let units = |a: &Architecture| SymmetryTable::of(a).symmetries.iter().map(|s| s.units).collect::<Vec<_>>();
    let all = networks();
    assert_eq!(units(&all[0]), [8, 6, 4, 20]);
    assert_eq!(units(&all[3]), [12, 7]);
    // conv 6 = both ends of the first residual and, through the flatten, of the second; its inner 5; the dense 7 and 9.
    assert_eq!(units(&all[4]), [6, 5, 7, 9]);
    // Stages of the residual stream, and the inner units of each block.
    assert_eq!(units(&all[5]), [4, 4, 5, 5, 6, 6]);
    // The stream's features; in each block the hidden units of both mixers, or of the one multilayer perceptron. Patches keep their places.
    assert_eq!(units(&all[6]), [6, 7, 9, 7, 9]);
    assert_eq!(units(&all[7]), [8, 12, 12]);
    // Channels that zeros stand beside are left out; inner units are not.
    assert_eq!(units(&golden("resnet20")), [2, 2, 2, 3, 3, 3, 4, 4, 4]);
    // A depthwise layer's outputs move with its inputs.
    assert_eq!(units(&golden("mobilenet")), [4, 6, 8]);
    // Five tokens that a linear layer made are units, and so are the attention's outputs.
    assert_eq!(units(all.last().unwrap()), [5, 6, 6]);
}

#[test]
fn what_is_no_permutation_is_refused() {
    let table = SymmetryTable::of(&networks()[3]);
    let mut theta = vec![0.0; table.layout().len()];
    let identity: Vec<Vec<usize>> = table.symmetries.iter().map(|s| (0..s.units).collect()).collect();
    let mut twice = identity.clone();
    twice[1][0] = 1;
    let message = table.permute(&mut theta, &twice).unwrap_err().to_string();
    assert!(message.contains("permutations[1]") && message.contains("each of 0 to 6 once"), "{message}");
    assert!(table.permute(&mut theta[1..], &identity).is_err());
}
