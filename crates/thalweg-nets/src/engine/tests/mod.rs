//! The engine against a naive f64 network written from the definitions of the layers: values directly, gradients by
//! central differences of the f64 loss. Then what must not change a result: remainders, threads, instruction sets.
mod layers;
mod reference;
use super::*;
use crate::architecture::Preset;
use crate::init::Initialisation;
use crate::loss::CrossEntropy;
use rand::RngExt;
use rand_distr::StandardNormal;
use reference::{Batch, reference};

struct Case {
    architecture: Architecture,
    theta: Vec<f32>,
    inputs: Vec<f32>,
    labels: Vec<u32>,
}

impl Case {
    fn new(architecture: Architecture, n: usize) -> Self {
        let streams = Streams::new(3).child(architecture.name());
        let layout = Layout::of(&architecture);
        let mut theta = Initialisation::KaimingUniform.draw(&layout, &streams.child("theta"));
        let mut rng = streams.child("inputs").rng();
        // Scales, shifts and running statistics off their defaults, biases and weights a little larger.
        for value in &mut theta {
            *value = 1.3 * *value + 0.1 * (rng.random::<f32>() - 0.5);
        }
        let inputs = (0..n * architecture.input_len()).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
        let labels = (0..n).map(|_| rng.random_range(0..architecture.classes() as u32)).collect();
        Case { architecture, theta, inputs, labels }
    }

    fn toml(name: &str, input: &str, layers: &str, n: usize) -> Self {
        let mut text = format!("name = \"{name}\"\ninput = {input}\n");
        for layer in layers.split(';') {
            text += &format!("[[layers]]\n{}\n", layer.trim().replace(", ", "\n"));
        }
        Case::new(Architecture::from_toml_str(&text).unwrap(), n)
    }

    fn reference_logits(&self, theta: &[f64], train: bool) -> Batch {
        let rows = self.inputs.chunks(self.architecture.input_len());
        let batch = rows.map(|x| x.iter().map(|&v| f64::from(v)).collect()).collect();
        reference(self.architecture.layers(), self.architecture.input(), &mut &theta[..], batch, train)
    }

    fn reference_loss(&self, theta: &[f64], train: bool) -> f64 {
        let logits = self.reference_logits(theta, train);
        let row = |(z, &k): (&Vec<f64>, &u32)| z.iter().map(|v| v.exp()).sum::<f64>().ln() - z[k as usize];
        logits.iter().zip(&self.labels).map(row).sum::<f64>() / self.labels.len() as f64
    }

    fn gradient(&self, instructions: Instructions, mode: Mode) -> (f64, Vec<f32>) {
        let engine = Engine::with_instructions(&self.architecture, instructions).unwrap();
        let loss = CrossEntropy::new(&self.labels, engine.classes(), 0.0).unwrap();
        let mut gradient = vec![f32::NAN; engine.parameters()];
        let x = engine.pack(&self.inputs).unwrap();
        let value = engine.gradient(&self.theta, &x, mode, &loss, &mut gradient, &mut engine.workspace());
        (value, gradient)
    }

    fn logits(&self, instructions: Instructions) -> Vec<f32> {
        let engine = Engine::with_instructions(&self.architecture, instructions).unwrap();
        engine.logits_of_many(&self.theta, &engine.pack(&self.inputs).unwrap()).unwrap()
    }

    /// Logits, loss and up to `checks` gradients of every tensor.
    fn check(&self, mode: Mode, checks: usize) {
        let name = self.architecture.name();
        let train = matches!(mode, Mode::Train { .. });
        let mut theta: Vec<f64> = self.theta.iter().map(|&v| f64::from(v)).collect();
        for instructions in available() {
            let found = self.logits(instructions);
            for (z, truth) in found.iter().zip(self.reference_logits(&theta, false).concat()) {
                assert!((f64::from(*z) - truth).abs() < 2e-5 * (1.0 + truth.abs()), "{name}: logit {z}, truth {truth}");
            }
        }
        let (value, gradient) = self.gradient(Instructions::best(), mode);
        let truth = self.reference_loss(&theta, train);
        assert!((value - truth).abs() < 1e-5 * (1.0 + truth), "{name}: loss {value}, truth {truth}");
        for slot in Layout::of(&self.architecture).slots().iter().filter(|slot| slot.role.is_trained()) {
            let scale = slot.range().map(|i| f64::from(gradient[i]).abs()).fold(1e-2, f64::max);
            for i in slot.range().step_by(slot.len().div_ceil(checks)) {
                let (h, middle) = (1e-5, theta[i]);
                let mut at = |h: f64| {
                    theta[i] = middle + h;
                    self.reference_loss(&theta, train)
                };
                let truth = (at(h) - at(-h)) / (2.0 * h);
                theta[i] = middle;
                let error = (f64::from(gradient[i]) - truth).abs();
                assert!(error < 1e-4 * scale, "{name}: {}[{i}]: {}, truth {truth}", slot.name, gradient[i]);
            }
        }
    }
}

fn available() -> impl Iterator<Item = Instructions> {
    Instructions::ALL.into_iter().filter(|i| i.is_available())
}

fn train() -> Mode {
    Mode::Train { dropout: Streams::new(9) }
}

/// One small network for every layer and every way to set it.
fn small_cases() -> Vec<Case> {
    let head = "kind = \"flatten\"; kind = \"dense\", out = 3";
    let conv = |name: &str, conv: &str| {
        Case::toml(
            name,
            "[2, 7, 6]",
            &format!("kind = \"conv\", {conv}; kind = \"tanh\"; kind = \"conv\", {conv}; {head}"),
            19,
        )
    };
    let mut cases = vec![
        conv("conv", "out = 5, kernel = 2"),
        conv("wide", "out = 11, kernel = 3"),
        conv("no bias", "out = 3, kernel = 3, bias = false"),
        conv("stride", "out = 4, kernel = 3, stride = 2, padding = 1"),
        conv("stride beyond kernel", "out = 2, kernel = 2, stride = 3, padding = 1"),
        conv("padding", "out = 9, kernel = 5, padding = 2"),
        conv("one", "out = 8, kernel = 1"),
    ];
    for (name, layer) in [
        ("max-pool", "kind = \"max-pool\", size = 2"),
        ("max-pool 3/1", "kind = \"max-pool\", size = 3, stride = 1"),
        ("avg-pool", "kind = \"avg-pool\", size = 2"),
        ("avg-pool 3/2", "kind = \"avg-pool\", size = 3, stride = 2"),
        ("relu", "kind = \"relu\""),
        ("leaky-relu", "kind = \"leaky-relu\", slope = 0.2"),
        ("tanh", "kind = \"tanh\""),
        ("gelu", "kind = \"gelu\""),
        ("silu", "kind = \"silu\""),
        ("softplus", "kind = \"softplus\""),
        ("batch-norm", "kind = \"batch-norm\""),
        ("pool then relu", "kind = \"max-pool\", size = 2; kind = \"relu\""),
        ("relu then pool", "kind = \"relu\"; kind = \"max-pool\", size = 2"),
        ("norm first", "kind = \"batch-norm\"; kind = \"silu\"; kind = \"batch-norm\", eps = 0.1"),
    ] {
        for (size, kernel) in [("[2, 7, 6]", 2), ("[1, 8, 8]", 3), ("[1, 9, 10]", 5)] {
            let text = format!("kind = \"conv\", out = 5, kernel = {kernel}; {layer}; {head}");
            cases.push(Case::toml(&format!("{name} {kernel}"), size, &text, 19));
        }
    }
    // Two fused pools in a row, odd sizes left over, for every kernel side that is fused and one that is not.
    for side in [2, 3, 4, 5, 6] {
        let pooled =
            |out| format!("kind = \"conv\", out = {out}, kernel = {side}, padding = 1; kind = \"max-pool\", size = 2");
        let text = format!("{}; kind = \"relu\"; {}; {head}", pooled(7), pooled(4));
        cases.push(Case::toml(&format!("pools {side}"), "[2, 13, 15]", &text, 18));
    }
    let branch = "kind = \"residual\", layers = [{ kind = \"batch-norm\" }, { kind = \"relu\" }, { kind = \"conv\", out = 4, kernel = 3, padding = 1 }]";
    let branch = branch.replace(", ", "\u{1}").replace("{ ", "{").replace(" }", "}");
    let nested = "kind = \"residual\"\u{1}layers = [{kind = \"residual\"\u{1}layers = [{kind = \"dense\"\u{1}out = 20}\u{1}{kind = \"tanh\"}]}\u{1}{kind = \"dense\"\u{1}out = 20}]";
    let layers = [
        ("residual", "[1, 6, 6]", format!("kind = \"conv\", out = 4, kernel = 3; {branch}; {branch}; {head}")),
        ("residual on the input", "[4, 3, 3]", format!("{branch}; {head}")),
        ("nested residual", "[20]", format!("{nested}; kind = \"gelu\"; kind = \"dense\", out = 4, bias = false")),
        ("norm of features", "[5]", "kind = \"batch-norm\"; kind = \"dense\", out = 33; kind = \"batch-norm\"; kind = \"relu\"; kind = \"dense\", out = 2".into()),
    ];
    for (name, input, text) in layers {
        let mut toml = format!("name = \"{name}\"\ninput = {input}\n");
        for layer in text.split("; ") {
            let (first, rest) = layer.split_once('\u{1}').unwrap_or((layer, ""));
            let fields = first.replace(", ", "\n");
            toml += &format!("[[layers]]\n{fields}\n{}\n", rest.replace('\u{1}', ", "));
        }
        cases.push(Case::new(Architecture::from_toml_str(&toml).unwrap(), 21));
    }
    cases
}

#[test]
fn every_layer_agrees_with_its_definition() {
    for case in small_cases() {
        case.check(Mode::Evaluate, 16);
        case.check(train(), 16);
    }
}

#[test]
fn every_layer_of_the_literature_agrees_with_its_definition() {
    for case in layers::cases() {
        case.check(Mode::Evaluate, 6);
        case.check(train(), 6);
    }
}

#[test]
fn every_preset_agrees_with_the_definitions() {
    let mlp = Preset::Mlp { widths: vec![32, 17] };
    for (preset, input, classes, n) in [
        (Preset::CnnS, [1, 28, 28], 10, 17),
        (Preset::CnnS, [3, 28, 28], 10, 2),
        (Preset::CnnM, [3, 32, 32], 10, 2),
        (Preset::Digits, [1, 8, 8], 10, 35),
        (mlp, [1, 8, 8], 7, 35),
    ] {
        Case::new(preset.build(input, classes).unwrap(), n).check(Mode::Evaluate, 4);
    }
}

#[test]
fn absent_images_contribute_nothing() {
    // Mean gradients over 19 images are those over the first 16 and the last 3, joined by hand.
    for case in small_cases().into_iter().chain(layers::cases()) {
        let (_, whole) = case.gradient(Instructions::best(), Mode::Evaluate);
        let d = case.architecture.input_len();
        let n = case.labels.len();
        let part = |a: usize, b: usize| {
            let (inputs, labels) = (case.inputs[a * d..b * d].to_vec(), case.labels[a..b].to_vec());
            let part = Case { architecture: case.architecture.clone(), theta: case.theta.clone(), inputs, labels };
            part.gradient(Instructions::best(), Mode::Evaluate).1
        };
        let (first, last) = (part(0, 16), part(16, n));
        for i in 0..whole.len() {
            let joined = (16.0 * first[i] + (n - 16) as f32 * last[i]) / n as f32;
            assert!((whole[i] - joined).abs() < 2e-6 * (1.0 + joined.abs()), "{}", case.architecture.name());
        }
    }
}

#[test]
fn threads_change_no_byte() {
    let case = Case::new(Preset::Digits.build([1, 8, 8], 10).unwrap(), 700);
    let engine = Engine::new(&case.architecture).unwrap();
    let x = engine.pack(&case.inputs).unwrap();
    let loss = CrossEntropy::new(&case.labels, 10, 0.0).unwrap();
    for models in [1, 3, 9] {
        let thetas: Vec<f32> =
            (0..models).flat_map(|m| case.theta.iter().map(move |v| v * (1.0 + 0.1 * m as f32))).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let gradients = engine.gradients_of_many(&thetas, &x, Mode::Evaluate, &loss).unwrap();
                (gradients, engine.logits_of_many(&thetas, &x).unwrap())
            })
        };
        let one = on(1);
        assert!(one == on(2) && one == on(3));
        let mut alone = vec![0.0; engine.parameters()];
        let value =
            engine.gradient(&thetas[..alone.len()], &x, Mode::Evaluate, &loss, &mut alone, &mut engine.workspace());
        assert!(value == one.0.0[0] && alone == one.0.1[..alone.len()]);
    }
}

#[test]
fn instruction_sets_agree() {
    let mut cases = small_cases();
    cases.extend(layers::cases());
    cases.push(Case::new(Preset::CnnS.build([1, 28, 28], 10).unwrap(), 37));
    cases.push(Case::new(Preset::CnnM.build([3, 32, 32], 10).unwrap(), 18));
    for case in cases {
        for mode in [Mode::Evaluate, train()] {
            let all: Vec<_> = available().map(|i| (i, case.gradient(i, mode).1, case.logits(i))).collect();
            let (_, gradient, logits) = &all[0];
            let close = |a: &[f32], b: &[f32]| {
                let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| v * v).sum::<f32>().sqrt();
                norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) <= 1e-4 * norm(&mut a.iter().copied())
            };
            for (_, g, z) in &all[1..] {
                assert!(close(gradient, g) && close(logits, z), "{}", case.architecture.name());
            }
            // The fused sets do the same operations in the same order.
            if let [_, (_, g2, z2), (_, g3, z3)] = &all[..] {
                assert!(g2 == g3 && z2 == z3, "{}", case.architecture.name());
            }
        }
    }
}

#[test]
fn batch_statistics_are_reported_for_the_running_ones() {
    let case = Case::toml("statistics", "[3]", "kind = \"batch-norm\"; kind = \"dense\", out = 2", 37);
    let (_, gradient) = case.gradient(Instructions::best(), train());
    for c in 0..3 {
        let values: Vec<f64> = case.inputs.chunks(3).map(|x| f64::from(x[c])).collect();
        let mean = values.iter().sum::<f64>() / 37.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 36.0;
        assert!(
            (f64::from(gradient[6 + c]) - mean).abs() < 1e-6 && (f64::from(gradient[9 + c]) - variance).abs() < 1e-5
        );
    }
    let (_, gradient) = case.gradient(Instructions::best(), Mode::Evaluate);
    assert_eq!(gradient[6..12], [0.0; 6]);
}

#[test]
fn dropout_draws_its_share_and_has_the_gradient_of_its_loss() {
    let p = 0.3;
    let text = "kind = \"dense\", out = 12; kind = \"tanh\"; kind = \"dropout\", p = 0.3; kind = \"dense\", out = 3";
    let mut case = Case::toml("dropout", "[6]", text, 150);
    let (_, gradient) = case.gradient(Instructions::best(), train());
    for i in (0..gradient.len()).step_by(7) {
        let (h, middle) = (1.0 / 64.0, case.theta[i]);
        let mut at = |h: f32| {
            case.theta[i] = middle + h;
            case.gradient(Instructions::best(), train()).0
        };
        let slope = (at(h) - at(-h)) / f64::from(2.0 * h);
        case.theta[i] = middle;
        assert!((slope - f64::from(gradient[i])).abs() < 2e-4, "{i}: {slope} {}", gradient[i]);
    }
    assert_ne!(gradient, case.gradient(Instructions::best(), Mode::Train { dropout: Streams::new(10) }).1);
    let mut multipliers = vec![vector::Vector::ZERO; 4_000];
    super::kernels::pointwise::draw_multipliers(p, &mut Streams::new(1).rng(), &mut multipliers);
    let all: Vec<f32> = multipliers.iter().flat_map(|v| v.0).collect();
    let zeros = all.iter().filter(|v| **v == 0.0).count() as f64 / 64_000.0;
    assert!((zeros - 0.3).abs() < 4.0 * (0.21f64 / 64_000.0).sqrt(), "{zeros}");
    assert!(all.iter().all(|&v| v == 0.0 || v == 1.0 / (1.0 - p)));
}

#[test]
fn misfits_are_named() {
    let engine = Engine::new(&Preset::Digits.build([1, 8, 8], 10).unwrap()).unwrap();
    let other = Engine::new(&Preset::CnnS.build([1, 28, 28], 10).unwrap()).unwrap();
    let x = other.pack(&vec![0.0; 784]).unwrap();
    let theta = vec![0.0; engine.parameters()];
    assert!(engine.logits_of_many(&theta, &x).unwrap_err().to_string().contains("[N, 64]"));
    let x = engine.pack(&[0.0; 64]).unwrap();
    let loss = CrossEntropy::new(&[0, 1], 10, 0.0).unwrap();
    let message = engine.gradients_of_many(&theta, &x, Mode::Evaluate, &loss).unwrap_err().to_string();
    assert!(message.contains("[2, D]"), "{message}");
    let mut packed = engine.pack(&[0.0; 64]).unwrap();
    assert!(engine.pack_rows(&[0.0; 128], &[0, 2], &mut packed).is_err());
    engine.pack_rows(&[1.0; 128], &[1, 0, 1], &mut packed).unwrap();
    assert_eq!(packed, engine.pack(&[1.0; 192]).unwrap());
}
