//! A fit whose field lives on a Burn device makes the model that the native field makes, up to rounding.
#![allow(clippy::unwrap_used)]
use thalweg::field::{FieldConfig, place_fields};
use thalweg::fit::{FitOptions, fit};
use thalweg::model::FitConfig;
use thalweg::model::sample::SampleRequest;
use thalweg_burn::{Device, place};
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Silent;
use thalweg_nets::train::Length;
use thalweg_nets::zoo::{TrainOptions, ZooKind, ZooSpec, train_zoo};

#[test]
fn a_placed_field_is_fitted_and_sampled_as_the_native_one() {
    let dir = tempfile::tempdir().unwrap();
    let network = Preset::Mlp { widths: vec![6] }.build([1, 8, 8], 10).unwrap();
    let kind = ZooKind::Fork { noise: 0.05, steps: 20 };
    let mut spec = ZooSpec::new(network, DataSpec::parse("digits").unwrap(), kind, 12);
    spec.recipe.length = Length::Steps(30);
    let zoo = train_zoo(&spec, &dir.path().join("zoo"), &TrainOptions::default(), &Silent).unwrap();
    let config = FitConfig { steps: 12, batch: 8, field: FieldConfig::default(), ..FitConfig::default() };
    let made = || {
        let model = fit(&zoo, &config, &FitOptions::default(), &Silent).unwrap();
        let samples = model.sample(&SampleRequest::new(3, 1)).unwrap();
        (model.method.parameters().to_vec(), samples.theta)
    };
    let native = made();
    place_fields(Box::new(place(Device::Flex).unwrap())).unwrap();
    let placed = made();
    assert_ne!(native.0, placed.0, "the field did not move: bytes are those of the device");
    for (name, a, b) in [("parameters", &native.0, &placed.0), ("samples", &native.1, &placed.1)] {
        let largest = a.iter().zip(b).map(|(a, b)| (a - b).abs() / (1.0 + a.abs())).fold(0.0, f32::max);
        assert!(largest < 2e-3, "{name}: {largest}");
    }
    assert!(place_fields(Box::new(place(Device::Flex).unwrap())).is_err());
}
