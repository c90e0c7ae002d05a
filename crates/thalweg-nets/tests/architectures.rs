//! Architectures of the literature against PyTorch: goldens that `data/architectures/make.py` wrote, and the files that users copy.
#![allow(clippy::unwrap_used)]

use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg_nets::engine::{Engine, Mode};
use thalweg_nets::layout::{Layout, floats};
use thalweg_nets::loss::CrossEntropy;
use thalweg_nets::{Architecture, Streams, testing};

const ROWS: usize = 5;

struct Golden {
    architecture: Architecture,
    layout: Layout,
    theta: Vec<f32>,
    inputs: Vec<f32>,
    labels: Vec<u32>,
    logits: Vec<f32>,
    /// Of each trained tensor, what the gradient sums to against fixed numbers.
    slopes: Vec<(std::ops::Range<usize>, String, f32)>,
}

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/architectures").join(file)
}

fn golden(name: &str) -> Golden {
    let architecture = Architecture::read(&data(&format!("{name}.toml"))).unwrap();
    let layout = Layout::of(&architecture);
    let path = data(&format!("{name}.safetensors"));
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |key: &str| {
        let view = file.tensor(key).unwrap_or_else(|_| panic!("{name}: {key}"));
        (view.shape().to_vec(), floats(&path, key, &view).unwrap())
    };
    let mut theta = Vec::new();
    for slot in layout.slots() {
        let (shape, values) = read(&format!("state/{}", slot.name));
        assert_eq!(shape, slot.shape, "{name}: {}", slot.name);
        theta.extend(values);
    }
    let states = file.names().iter().filter(|key| key.starts_with("state/")).count();
    assert_eq!(states, layout.slots().len(), "{name}: tensors that the layout lacks");
    let trained = layout.slots().iter().filter(|slot| slot.role.is_trained());
    let slopes =
        trained.map(|slot| (slot.range(), slot.name.clone(), read(&format!("slope/{}", slot.name)).1[0])).collect();
    let d = architecture.input_len();
    let inputs = (0..ROWS * d).map(|k| ((37 * (k % d) + 11 * (k / d)) % 101) as f32 / 50.0 - 1.0).collect();
    let labels = (0..ROWS).map(|n| (n % architecture.classes()) as u32).collect();
    Golden { logits: read("logits").1, architecture, layout, theta, inputs, labels, slopes }
}

impl Golden {
    fn gradient(&self, theta: &[f32], mode: Mode) -> (f64, Vec<f32>) {
        let engine = Engine::new(&self.architecture).unwrap();
        let loss = CrossEntropy::new(&self.labels, engine.classes(), 0.0).unwrap();
        let mut gradient = vec![0.0; theta.len()];
        let x = engine.pack(&self.inputs).unwrap();
        let value = engine.gradient(theta, &x, mode, &loss, &mut gradient, &mut engine.workspace());
        (value, gradient)
    }
}

const NAMES: [&str; 10] =
    ["lenet5", "vgg-bn", "resnet8", "resnet20", "resnet18", "mobilenet", "sequence", "groupnet", "mixer", "vit"];

#[test]
fn logits_and_gradients_are_those_of_pytorch() {
    println!("{:<12} {:>6} {:>10} {:>10}", "network", "P", "logits", "slopes");
    for name in NAMES {
        let golden = golden(name);
        let engine = Engine::new(&golden.architecture).unwrap();
        let found = engine.logits_of_many(&golden.theta, &engine.pack(&golden.inputs).unwrap()).unwrap();
        assert_eq!(found.len(), golden.logits.len());
        let logits = found.iter().zip(&golden.logits).fold(0f32, |m, (a, b)| m.max((a - b).abs() / (1.0 + b.abs())));
        let (_, gradient) = golden.gradient(&golden.theta, Mode::Train { dropout: Streams::new(1) });
        let mut worst = (0f64, "");
        for (range, tensor, truth) in &golden.slopes {
            let own = &gradient[range.clone()];
            let against = |i: usize| ((29 * i) % 97) as f64 / 48.0 - 1.0;
            let slope: f64 = own.iter().enumerate().map(|(i, g)| f64::from(*g) * against(i)).sum();
            let size = own.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt().max(1e-3);
            let gap = (slope - f64::from(*truth)).abs() / size;
            if gap > worst.0 {
                worst = (gap, tensor);
            }
        }
        println!("{name:<12} {:>6} {logits:>10.1e} {:>10.1e}", golden.layout.len(), worst.0);
        assert!(logits < 1e-4, "{name}: logits differ by {logits}");
        assert!(worst.0 < 1e-3, "{name}: {worst:?}");
    }
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    for name in NAMES {
        let golden = golden(name);
        let (_, gradient) = golden.gradient(&golden.theta, Mode::Evaluate);
        // Along the signs of the gradient; what it does not move, running statistics, stays.
        let signs: Vec<f32> = gradient.iter().map(|g| if *g == 0.0 { 0.0 } else { g.signum() }).collect();
        let said: f64 = gradient.iter().map(|g| f64::from(g.abs())).sum();
        let slope = testing::slope(&golden.theta, &signs, 2e-5, |theta| golden.gradient(theta, Mode::Evaluate).0);
        let error = (slope / said - 1.0).abs();
        assert!(error < 2e-2, "{name}: {error}");
    }
}

#[test]
fn files_that_users_copy_have_the_sizes_of_pytorchs_modules() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/architectures");
    // Parameters and running statistics, as `make.py docs` counted them in the modules.
    let sizes = [
        ("lenet5", 61_706, 0),
        ("vgg11-bn", 9_231_114, 5_504),
        ("resnet8", 78_042, 672),
        ("resnet20", 269_722, 1_376),
        ("resnet18", 11_689_512, 9_600),
        ("resnet18-cifar", 11_173_962, 9_600),
        ("mobilenet", 19_114, 960),
        ("sequence", 19_366, 64),
        ("groupnet", 9_106, 0),
        ("mixer", 88_010, 0),
        ("vit", 142_026, 0),
    ];
    assert_eq!(
        fs::read_dir(&folder)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "toml"))
            .count(),
        sizes.len()
    );
    for (name, parameters, statistics) in sizes {
        let architecture = Architecture::read(&folder.join(format!("{name}.toml"))).unwrap();
        let layout = Layout::of(&architecture);
        let of = |trained: bool| {
            layout.slots().iter().filter(|slot| slot.role.is_trained() == trained).map(|slot| slot.len()).sum::<usize>()
        };
        assert_eq!((of(true), of(false)), (parameters, statistics), "{name}");
        assert_eq!(Architecture::from_toml_str(&toml::to_string(&architecture).unwrap()).unwrap(), architecture);
    }
}

#[test]
fn what_does_not_fit_is_named_with_its_layer() {
    let said = |input: &str, layers: &str| {
        Architecture::from_toml_str(&format!("input = {input}\nlayers = [{layers}]")).unwrap_err().to_string()
    };
    let head = "{ kind = \"flatten\" }, { kind = \"dense\", out = 2 }";
    for (input, layer, parts) in [
        (
            "[4, 6, 6]",
            "{ kind = \"conv\", out = 6, kernel = 3, groups = 4 }",
            &["layers[0]", "4 channels before and the 6 behind"][..],
        ),
        ("[4, 6, 6]", "{ kind = \"conv\", out = 6, kernel = [3, 7] }", &["the kernel [3, 7]", "input [4, 6, 6]"]),
        (
            "[4, 6, 6]",
            "{ kind = \"conv\", out = 6, kernel = [3, 3, 3] }",
            &["a number of at least 0 or [height, width]"],
        ),
        ("[4, 6, 6]", "{ kind = \"conv1d\", out = 6, kernel = 3 }", &["input = [channels, length]"]),
        ("[4, 30]", "{ kind = \"max-pool\", size = 2 }", &["[1, 2]", "input [4, 1, 30]"]),
        ("[4, 6, 6]", "{ kind = \"max-pool\", size = 3, padding = 2 }", &["at most half the size"]),
        ("[4, 6, 6]", "{ kind = \"group-norm\", groups = 3 }", &["groups that divide the 4 channels"]),
        ("[4, 6, 6]", "{ kind = \"self-attention\", heads = 2 }", &["put a tokens layer before"]),
        ("[4, 6]", "{ kind = \"self-attention\", heads = 3 }", &["heads that divide the 4 features"]),
        ("[4, 6]", "{ kind = \"take-token\", index = 6 }", &["an index below the 6 tokens"]),
        ("[4, 6, 6]", "{ kind = \"adaptive-avg-pool\", size = [7, 1] }", &["at least the output [7, 1]"]),
        (
            "[4, 6, 6]",
            "{ kind = \"residual\", layers = [{ kind = \"conv\", out = 6, kernel = 1, stride = 2 }], shortcut = [{ kind = \"conv\", out = 6, kernel = 1 }] }",
            &["a branch and a shortcut to one shape", "[6, 3, 3]", "[6, 6, 6]"],
        ),
        (
            "[4, 6, 6]",
            "{ kind = \"residual\", layers = [{ kind = \"conv\", out = 6, kernel = 1 }] }",
            &["or a shortcut beside it"],
        ),
        (
            "[4, 6, 6]",
            "{ kind = \"batch-norm\", name = \"a\" }, { kind = \"batch-norm\", name = \"a\" }",
            &["a.weight twice"],
        ),
    ] {
        let found = said(input, &format!("{layer}, {head}"));
        assert!(parts.iter().all(|part| found.contains(part)), "{layer}: {found}");
    }
}
