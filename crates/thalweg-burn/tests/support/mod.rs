//! What the tests of this crate share: architectures that show every layer, draws, comparisons, and a naive forward.
#![allow(dead_code)] // every test binary takes a part
#![allow(clippy::unwrap_used)] // a test fails by panicking
pub mod naive;

use rand::RngExt;
use rand_distr::StandardNormal;
use thalweg_nets::architecture::Preset;
use thalweg_nets::init::Initialisation;
use thalweg_nets::layout::{Layout, Role};
use thalweg_nets::{Architecture, Streams};

/// An architecture from inline TOML tables.
pub fn net(input: &str, layers: &[&str]) -> Architecture {
    let layers: Vec<String> = layers.iter().map(|layer| format!("{{ kind = {layer} }}")).collect();
    Architecture::from_toml_str(&format!("input = {input}\nlayers = [{}]", layers.join(", "))).unwrap()
}

/// Small architectures in which every layer kind stands with every option that changes its arithmetic.
pub fn layer_cases() -> Vec<(String, Architecture)> {
    let head = [r#""flatten""#, r#""dense", out = 3"#];
    let conv = r#""conv", out = 5, kernel = 3"#;
    let with = |input: &str, body: &[&str]| net(input, &[body, &head].concat());
    let mut cases = vec![
        ("flatten alone".to_string(), with("[3, 4, 2]", &[])),
        ("dense without bias".into(), net("[7]", &[r#""dense", out = 4, bias = false"#])),
        ("dense on dense".into(), net("[37]", &[r#""dense", out = 19"#, r#""dense", out = 2"#])),
        ("conv of a non-square input".into(), with("[2, 7, 4]", &[conv])),
        ("conv 1×1".into(), with("[3, 3, 5]", &[r#""conv", out = 7, kernel = 1"#])),
        ("conv as large as the input".into(), with("[2, 4, 4]", &[r#""conv", out = 6, kernel = 4"#])),
        (
            "conv with stride that leaves a rest".into(),
            with("[2, 8, 6]", &[r#""conv", out = 3, kernel = 3, stride = 2"#]),
        ),
        (
            "conv with stride above the kernel".into(),
            with("[1, 9, 9]", &[r#""conv", out = 3, kernel = 2, stride = 3"#]),
        ),
        ("conv with padding".into(), with("[2, 5, 4]", &[r#""conv", out = 9, kernel = 3, padding = 1"#])),
        (
            "conv with padding, stride, no bias".into(),
            with("[3, 7, 8]", &[r#""conv", out = 4, kernel = 5, stride = 2, padding = 3, bias = false"#, conv]),
        ),
        ("dropout".into(), with("[1, 4, 4]", &[conv, r#""dropout", p = 0.5"#])),
        ("max pool that drops a rest".into(), with("[2, 7, 9]", &[conv, r#""max-pool", size = 2"#])),
        ("max pool that overlaps".into(), with("[1, 9, 8]", &[conv, r#""max-pool", size = 3, stride = 2"#])),
        ("max pool that skips".into(), with("[1, 9, 10]", &[conv, r#""max-pool", size = 2, stride = 3"#])),
        ("max pool first".into(), with("[3, 5, 5]", &[r#""max-pool", size = 2"#, r#""conv", out = 2, kernel = 2"#])),
        ("average pool that drops a rest".into(), with("[2, 7, 9]", &[conv, r#""avg-pool", size = 2"#])),
        ("average pool that overlaps".into(), with("[1, 9, 8]", &[conv, r#""avg-pool", size = 3, stride = 1"#])),
        ("average pool of everything".into(), with("[1, 6, 6]", &[conv, r#""avg-pool", size = 4"#])),
        ("batch norm after conv".into(), with("[2, 6, 5]", &[conv, r#""batch-norm", eps = 1e-3"#, r#""relu""#])),
        ("batch norm first".into(), with("[3, 3, 3]", &[r#""batch-norm""#, conv])),
        (
            "batch norm after dense".into(),
            net("[9]", &[r#""dense", out = 21"#, r#""batch-norm""#, r#""tanh""#, head[1]]),
        ),
        (
            "residual of convolutions".into(),
            with(
                "[4, 5, 5]",
                &[
                    r#""residual", layers = [
                        { kind = "conv", out = 4, kernel = 3, padding = 1, bias = false }, { kind = "batch-norm" },
                        { kind = "relu" }, { kind = "conv", out = 4, kernel = 3, padding = 1 }]"#,
                    r#""relu""#,
                ],
            ),
        ),
        (
            "residual in residual".into(),
            net(
                "[6]",
                &[
                    r#""residual", layers = [{ kind = "dense", out = 6 }, { kind = "silu" },
                        { kind = "residual", layers = [{ kind = "dense", out = 6 }, { kind = "gelu" }] }]"#,
                    r#""dense", out = 2"#,
                ],
            ),
        ),
        (
            "all at once".into(),
            net(
                "[3, 11, 10]",
                &[
                    r#""conv", out = 8, kernel = 3, padding = 1"#,
                    r#""batch-norm""#,
                    r#""relu""#,
                    r#""max-pool", size = 2"#,
                    r#""residual", layers = [{ kind = "conv", out = 8, kernel = 3, padding = 1 },
                        { kind = "batch-norm" }, { kind = "silu" }]"#,
                    r#""conv", out = 5, kernel = 3, stride = 2"#,
                    r#""leaky-relu""#,
                    r#""avg-pool", size = 2"#,
                    r#""flatten""#,
                    r#""dense", out = 17"#,
                    r#""softplus""#,
                    r#""dropout", p = 0.0"#,
                    r#""dense", out = 10"#,
                ],
            ),
        ),
    ];
    for kind in ["relu", "leaky-relu", "tanh", "gelu", "silu", "softplus"] {
        let options = if kind == "leaky-relu" { ", slope = 0.2" } else { "" };
        let layer = format!("\"{kind}\"{options}");
        cases.push((format!("{kind} after conv"), with("[2, 5, 4]", &[conv, &layer])));
        cases.push((format!("{kind} after dense"), net("[6]", &[r#""dense", out = 18"#, &layer, head[1]])));
        cases.push((format!("{kind} on the input"), net("[6]", &[&layer, head[1]])));
    }
    cases
}

/// Every preset at the sizes that its documentation names.
pub fn preset_cases() -> Vec<(String, Architecture)> {
    [
        ("cnn-s, one channel", Preset::CnnS, [1, 28, 28]),
        ("cnn-s, three channels", Preset::CnnS, [3, 28, 28]),
        ("cnn-m", Preset::CnnM, [3, 32, 32]),
        ("mlp", Preset::Mlp { widths: vec![33, 16] }, [1, 14, 14]),
        ("digits", Preset::Digits, [1, 8, 8]),
    ]
    .map(|(name, preset, input)| (name.to_string(), preset.build(input, 10).unwrap()))
    .into()
}

/// θ `[P]` with running statistics, scales and shifts that are not those of a fresh network.
pub fn theta(layout: &Layout, streams: &Streams) -> Vec<f32> {
    let mut theta = Initialisation::KaimingUniform.draw(layout, &streams.child("theta"));
    let mut rng = streams.child("statistics").rng();
    for slot in layout.slots() {
        for value in &mut theta[slot.range()] {
            match slot.role {
                Role::RunningMean | Role::Shift => *value = rng.random_range(-0.5..0.5),
                Role::RunningVariance | Role::Scale => *value = rng.random_range(0.4..1.6),
                _ => {}
            }
        }
    }
    theta
}

/// `n` standard normal numbers.
pub fn normal(n: usize, streams: &Streams) -> Vec<f32> {
    let mut rng = streams.rng();
    (0..n).map(|_| rng.sample(StandardNormal)).collect()
}

/// `n` labels below `classes`.
pub fn labels(n: usize, classes: usize, streams: &Streams) -> Vec<u32> {
    let mut rng = streams.rng();
    (0..n).map(|_| rng.random_range(0..classes as u32)).collect()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// ‖found − truth‖ / ‖truth‖.
pub fn relative(found: &[f32], truth: &[f32]) -> f64 {
    assert_eq!(found.len(), truth.len());
    let difference = norm(found.iter().zip(truth).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(truth.iter().map(|b| f64::from(*b))).max(1e-30)
}

/// The worst relative difference over the tensors of a gradient; a tensor whose true gradient is nil beside the whole
/// (a bias before a batch norm) is measured against a hundredth of the whole.
pub fn relative_by_tensor(layout: &Layout, found: &[f32], truth: &[f32]) -> (f64, String) {
    assert_eq!(found.len(), truth.len());
    let whole = norm(truth.iter().map(|b| f64::from(*b)));
    let mut worst = (0.0, String::new());
    for slot in layout.slots() {
        let (a, b) = (&found[slot.range()], &truth[slot.range()]);
        let scale = norm(b.iter().map(|b| f64::from(*b))).max(1e-2 * whole);
        let difference = norm(a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b))) / scale.max(1e-30);
        if difference.is_nan() || difference > worst.0 {
            worst = (difference, slot.name.clone());
        }
    }
    worst
}
