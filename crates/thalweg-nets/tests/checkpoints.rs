//! Folders of networks that others wrote: what is read as what, in which order, what is told, what is refused.
#![allow(clippy::unwrap_used)]

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg_nets::Architecture;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::checkpoints::networks;
use thalweg_nets::zoo::{ImportOptions, ImportPlan, ZooStore, import};

type Tensors<'a> = &'a [(&'a str, Dtype, &'a [usize], Vec<u8>)];

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn write(path: &Path, tensors: Tensors) {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name.to_string(), TensorView::new(*dtype, shape.to_vec(), data).unwrap()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()).unwrap();
}

/// A network of two weights, the first of which says which it is.
fn net(path: &Path, value: f32) {
    write(path, &[("w", Dtype::F32, &[2], bytes(&[value, 1.0]))]);
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("source").join(path)
    }
    fn nets(&self, nets: &[(&str, f32)]) {
        nets.iter().for_each(|(path, value)| net(&self.at(path), *value));
    }
    fn plan(&self) -> ImportPlan {
        ImportPlan::new(&self.at(""), &ImportOptions::default()).unwrap()
    }
    fn refused(&self) -> String {
        ImportPlan::new(&self.at(""), &ImportOptions::default()).err().expect("it should be refused").to_string()
    }
    fn zoo(&self, options: &ImportOptions) -> ZooStore {
        let out = self.dir.path().join("zoo");
        import(&self.at(""), &out, &ImportOptions { force: out.exists(), ..options.clone() }, &Silent).unwrap()
    }
    /// The first weight of every network, `[R][K]`.
    fn values(&self) -> Vec<Vec<f32>> {
        let zoo = self.zoo(&ImportOptions::default());
        (0..zoo.runs()).map(|r| zoo.trajectory(r).unwrap().chunks(zoo.parameters()).map(|t| t[0]).collect()).collect()
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no '{part}' in: {text}");
    }
}

#[test]
fn a_trainers_folder_is_one_run_and_several_of_them_are_several() {
    let one = Place::new();
    one.nets(&[("checkpoint-500/model.safetensors", 1.0), ("checkpoint-1000/model.safetensors", 2.0)]);
    one.nets(&[("checkpoint-1500/model.safetensors", 3.0), ("model.safetensors", 9.0)]);
    for other in ["checkpoint-500/optimizer.pt", "checkpoint-500/rng_state_0.pth", "training_args.bin"] {
        fs::write(one.at(other), b"PK").unwrap();
    }
    fs::write(one.at("trainer_state.json"), b"{}").unwrap();
    fs::create_dir(one.at("runs")).unwrap();
    assert_eq!(one.values(), [[1.0, 2.0, 3.0]]);
    let told = one.plan().to_string();
    has(
        &told,
        &[
            "1 run of 3 checkpoints",
            "at 0.5000  checkpoint-1000",
            "numbers",
            "optimizer.pt",
            "beside",
            "model.safetensors",
        ],
    );

    let two = Place::new();
    for (run, base) in [("run2", 20.0), ("run10", 100.0)] {
        for (step, value) in [("checkpoint-90", 1.0), ("checkpoint-100", 2.0)] {
            two.nets(&[(&format!("{run}/{step}/model.safetensors"), base + value)]);
        }
    }
    assert_eq!(two.values(), [[21.0, 22.0], [101.0, 102.0]]);
    // A folder between a run and its checkpoints, and folders called by words.
    let deep = Place::new();
    deep.nets(&[("a/checkpoints/step-2.safetensors", 2.0), ("a/checkpoints/step-10.safetensors", 10.0)]);
    assert_eq!(deep.values(), [[2.0, 10.0]]);
    let words = Place::new();
    words.nets(&[("final/model.safetensors", 2.0), ("initial/model.safetensors", 1.0)]);
    assert_eq!(words.values(), [[1.0, 2.0]]);
    // Folders with one network each that are called as runs are runs.
    let runs = Place::new();
    runs.nets(&[("seed-1/model.safetensors", 1.0), ("seed-2/model.safetensors", 2.0)]);
    assert_eq!(runs.values(), [[1.0], [2.0]]);
}

#[test]
fn checkpoints_stand_in_the_order_of_time_and_the_order_is_told() {
    for (names, order) in [
        (["init", "final"], "words"),
        (["before", "after"], "words"),
        (["step_1k", "step_1M"], "numbers"),
        (["epoch_3.5", "epoch_10"], "numbers"),
        (["a", "b"], "alphabetical"),
    ] {
        let place = Place::new();
        for run in ["run0", "run1"] {
            for (value, name) in names.iter().enumerate() {
                place.nets(&[(&format!("{run}/{name}.safetensors"), value as f32)]);
            }
        }
        assert_eq!(place.values(), [[0.0, 1.0], [0.0, 1.0]], "{names:?}");
        has(
            &place.plan().to_string(),
            &[order, &format!("at 0.0000  {}", names[0]), &format!("at 1.0000  {}", names[1])],
        );
    }
    let uneven = Place::new();
    uneven.nets(&[("r/step-0.safetensors", 0.0), ("r/step-10.safetensors", 1.0), ("r/step-1000.safetensors", 2.0)]);
    has(&uneven.plan().to_string(), &["equally spaced", "0,0.01,1"]);
}

#[test]
fn runs_that_differ_are_told_or_refused() {
    let place = Place::new();
    place.nets(&[("a/step-1.safetensors", 0.0), ("a/step-2.safetensors", 0.0), ("b/step-1.safetensors", 0.0)]);
    has(&place.refused(), &["2 checkpoints, as in", "1 checkpoints", "step-2"]);
    place.nets(&[("b/step-3.safetensors", 0.0)]);
    has(&place.plan().to_string(), &["step-2 in a, step-3 in b"]);
    let mixed = Place::new();
    mixed.nets(&[("checkpoint-5/model.safetensors", 0.0), ("baseline/model.safetensors", 0.0)]);
    has(&mixed.refused(), &["checkpoint-5", "baseline", "all runs, or all checkpoints"]);
    let empty = Place::new();
    empty.nets(&[("checkpoint-5/model.safetensors", 0.0)]);
    fs::create_dir(empty.at("checkpoint-6")).unwrap();
    has(&empty.refused(), &["checkpoint-6", "none"]);
    let both = Place::new();
    both.nets(&[("a.safetensors", 0.0), ("run/b.safetensors", 0.0)]);
    has(&both.refused(), &["both", "a.safetensors", "run"]);
    let two = Place::new();
    two.nets(&[("r/step-1/a.safetensors", 0.0), ("r/step-2/a.safetensors", 0.0), ("r/step-2/b.safetensors", 0.0)]);
    has(&two.refused(), &["one network", "b.safetensors"]);
}

#[test]
fn shards_are_one_network_by_their_index_or_by_their_numbers() {
    let place = Place::new();
    let shards = |run: &str, value: f32| {
        let file = |n: usize| place.at(&format!("{run}/model-0000{n}-of-00002.safetensors"));
        write(&file(1), &[("a", Dtype::F32, &[1], bytes(&[value]))]);
        write(&file(2), &[("b", Dtype::F32, &[2], bytes(&[5.0, 6.0]))]);
    };
    let index = r#"{"metadata": {"total_size": 12}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    for (run, value) in [("run0", 1.0), ("run1", 2.0)] {
        shards(run, value);
        fs::write(place.at(&format!("{run}/model.safetensors.index.json")), index).unwrap();
    }
    let zoo = place.zoo(&ImportOptions::default());
    assert_eq!((zoo.runs(), zoo.checkpoints(), zoo.parameters()), (2, 1, 3));
    assert_eq!(zoo.trajectory(1).unwrap(), [2.0, 5.0, 6.0]);
    assert_eq!(networks(&place.at("run0")).unwrap().0.len(), 1);
    assert_eq!(networks(&place.at("run0/model.safetensors.index.json")).unwrap().0[0].files.len(), 2);
    let alone = networks(&place.at("run0/model-00001-of-00002.safetensors")).unwrap_err().to_string();
    has(&alone, &["one of 2 shards", "index.json"]);
    // Without the index their numbers say that they are whole.
    fs::remove_file(place.at("run0/model.safetensors.index.json")).unwrap();
    assert_eq!(place.zoo(&ImportOptions::default()).trajectory(0).unwrap(), [1.0, 5.0, 6.0]);
    fs::remove_file(place.at("run0/model-00002-of-00002.safetensors")).unwrap();
    has(&place.refused(), &["model-00001-of-00002.safetensors", "all 2 shards", "1 of them"]);
    fs::remove_dir_all(place.at("run0")).unwrap();
    fs::remove_file(place.at("run1/model-00002-of-00002.safetensors")).unwrap();
    has(&place.refused(), &["index.json", "no model-00002-of-00002.safetensors"]);
    write(&place.at("run1/model-00002-of-00002.safetensors"), &[("c", Dtype::F32, &[1], bytes(&[0.0]))]);
    has(&place.refused(), &["tensor b", "as the index says"]);
}

#[test]
fn a_folder_of_networks_is_read_as_people_count_and_hidden_files_are_told() {
    let place = Place::new();
    place.nets(&[("net-0.safetensors", 0.0), ("net-10.safetensors", 10.0), ("net-2.safetensors", 2.0)]);
    fs::write(place.at("._net-0.safetensors"), b"what macOS leaves").unwrap();
    fs::write(place.at("net-0.pt"), b"PK").unwrap();
    let (found, passed_over) = networks(&place.at("")).unwrap();
    let names: Vec<&str> = found.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["net-0", "net-2", "net-10"]);
    assert_eq!(passed_over.len(), 2);
    has(&place.plan().to_string(), &["3 runs of 1 checkpoint\n", "hidden: ._net-0.safetensors", "not read: net-0.pt"]);
    assert_eq!(place.values(), [[0.0], [2.0], [10.0]]);
}

const NET: &str = "input = [2]\n[[layers]]\nname = \"fc\"\nkind = \"dense\"\nout = 2\n";

#[test]
fn prefixes_of_wrappers_are_taken_off_and_told() {
    let options = |architecture: bool| ImportOptions {
        architecture: architecture.then(|| Architecture::from_toml_str(NET).unwrap()),
        ..ImportOptions::default()
    };
    let place = Place::new();
    let prefixes = ["", "module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module.", "backbone."];
    for (i, prefix) in prefixes.iter().enumerate() {
        let (weight, bias) = (format!("{prefix}fc.weight"), format!("{prefix}fc.bias"));
        let tensors = [
            (bias.as_str(), Dtype::F32, &[2usize][..], bytes(&[5.0, i as f32])),
            (weight.as_str(), Dtype::F32, &[2, 2][..], bytes(&[1.0, 2.0, 3.0, 4.0])),
        ];
        write(&place.at(&format!("net-{i}.safetensors")), &tensors);
    }
    let zoo = place.zoo(&options(true));
    for run in 0..prefixes.len() {
        assert_eq!(zoo.trajectory(run).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, run as f32]);
    }
    let told = ImportPlan::new(&place.at(""), &options(true)).unwrap().to_string();
    has(&told, &["without the prefix module.", "without the prefix _orig_mod.", "without the prefix backbone."]);
    // Without architecture the first network's names and the order of its file are kept, and the others are found under them.
    fs::remove_file(place.at("net-0.safetensors")).unwrap();
    fs::remove_file(place.at("net-6.safetensors")).unwrap();
    let zoo = place.zoo(&options(false));
    assert_eq!(
        zoo.layout().slots().iter().map(|slot| &slot.name[..]).collect::<Vec<_>>(),
        ["module.fc.bias", "module.fc.weight"]
    );
    assert_eq!(zoo.trajectory(4).unwrap(), [5.0, 5.0, 1.0, 2.0, 3.0, 4.0]);
    // A name that does not fit is told beside those that are there.
    net(&place.at("net-9.safetensors"), 0.0);
    has(&place.refused(), &["net-9.safetensors", "module.fc.bias", "no such tensor, but w"]);
}

#[test]
fn files_of_torch_save_are_networks_whatever_their_ending() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pytorch");
    for name in ["n0.pt", "n0.pth", "n0.bin", "n0.ckpt", "run0/step-0.pt", "run0/checkpoint-5/pytorch_model.bin"] {
        for file in ["state.pt", "legacy.pt"] {
            let place = Place::new();
            fs::create_dir_all(place.at(name).parent().unwrap()).unwrap();
            fs::copy(data.join(file), place.at(name)).unwrap();
            let plan = place.plan();
            assert_eq!((plan.runs(), plan.checkpoints(), plan.layout.slots()[0].name.as_str()), (1, 1, "first.weight"));
        }
    }
    let place = Place::new();
    fs::create_dir_all(place.at("")).unwrap();
    has(&place.refused(), &["at least one .safetensors file", "none"]);
    fs::write(place.at("n.pt"), b"\x01\x02 of no known kind").unwrap();
    has(&place.refused(), &["files of another format (.pt)", "torch.save"]);
    fs::copy(data.join("state.pt"), place.at("n.safetensors")).unwrap();
    has(&place.refused(), &["n.safetensors", "torch.save", "call it .pt"]);
}

#[test]
fn shards_of_torch_files_are_one_network_by_their_index() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pytorch");
    let place = Place::new();
    fs::create_dir_all(place.at("")).unwrap();
    let shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
    for (file, shard) in ["state.pt", "views.bin"].iter().zip(shards) {
        fs::copy(data.join(file), place.at(shard)).unwrap();
    }
    let names = |shard: &str, all: &[&str]| {
        all.iter().map(|name| format!("\"{name}\": \"{shard}\"")).collect::<Vec<_>>().join(", ")
    };
    let map = [names(shards[0], &["first.weight", "last.bias"]), names(shards[1], &["base", "part"])].join(", ");
    fs::write(place.at("pytorch_model.bin.index.json"), format!("{{\"weight_map\": {{{map}}}}}")).unwrap();
    let plan = place.plan();
    assert_eq!((plan.runs(), plan.checkpoints()), (1, 1));
    let has_slot = |name: &str| plan.layout.slots().iter().any(|slot| slot.name == name);
    assert!(has_slot("first.weight") && has_slot("base"));
    assert_eq!(plan.found.runs[0].name, "pytorch_model");
}

#[test]
fn tensors_that_are_no_weights_are_told_and_weights_in_other_forms_refused() {
    for (dtype, shape, size, word) in [
        (Dtype::F8_E4M3, &[2usize, 2][..], 4, "F8_E4M3"),
        (Dtype::F8_E5M2, &[4], 4, "F8_E5M2"),
        (Dtype::I8, &[2, 2], 4, "I8"),
        (Dtype::U8, &[8], 8, "U8"),
        (Dtype::C64, &[2], 16, "C64"),
    ] {
        let place = Place::new();
        let tensors: Tensors =
            &[("layer.scale", Dtype::F32, &[1], bytes(&[0.5])), ("layer.weight", dtype, shape, vec![1; size])];
        write(&place.at("n.safetensors"), tensors);
        has(&place.refused(), &["n.safetensors", "layer.weight", word, "Dequantise"]);
    }
    let gptq = Place::new();
    let tensors: Tensors =
        &[("l.scales", Dtype::F16, &[1], vec![0, 0x3c]), ("l.qweight", Dtype::I32, &[1], vec![1, 2, 3, 4])];
    write(&gptq.at("n.safetensors"), tensors);
    has(&gptq.refused(), &["l.qweight", "I32"]);
    let place = Place::new();
    let tensors: Tensors = &[
        ("bn.num_batches_tracked", Dtype::I64, &[], vec![0; 8]),
        ("mask", Dtype::BOOL, &[2], vec![0, 1]),
        ("none", Dtype::F32, &[2, 0], vec![]),
        ("w", Dtype::F64, &[1], 2.5f64.to_le_bytes().to_vec()),
    ];
    write(&place.at("n.safetensors"), tensors);
    let zoo = place.zoo(&ImportOptions::default());
    assert_eq!((zoo.parameters(), zoo.trajectory(0).unwrap()), (1, vec![2.5]));
    has(&place.plan().to_string(), &["bn.num_batches_tracked (I64 [])", "mask (BOOL", "none (F32 [2, 0])"]);
    let zeros = Place::new();
    write(&zeros.at("n.safetensors"), &[("none", Dtype::F32, &[0], vec![])]);
    has(&zeros.refused(), &["at least one number"]);
}

#[test]
fn a_number_that_is_not_finite_is_named_before_anything_is_written() {
    let place = Place::new();
    place.nets(&[("a.safetensors", 1.0), ("b.safetensors", f32::NAN)]);
    let out = place.dir.path().join("zoo");
    let said = import(&place.at(""), &out, &ImportOptions::default(), &Silent).unwrap_err().to_string();
    has(&said, &["b.safetensors", "tensor w", "finite", "NaN"]);
    assert!(!out.exists());
}

#[test]
fn a_zoos_name_is_that_of_its_numbers_and_not_of_its_place() {
    let (a, b) = (Place::new(), Place::new());
    for place in [&a, &b] {
        place.nets(&[("n-1.safetensors", 1.0), ("n-2.safetensors", 2.0)]);
    }
    let id = |place: &Place| place.zoo(&ImportOptions::default()).origin().id().to_owned();
    let first = id(&a);
    assert_eq!(first, id(&b), "the same numbers elsewhere");
    net(&a.at("n-2.safetensors"), 2.000_001);
    assert_ne!(first, id(&a), "one number changed a little");
    b.nets(&[("n-1.safetensors", 2.0), ("n-2.safetensors", 1.0)]);
    assert_ne!(first, id(&b), "the same numbers in another order");
}

#[test]
fn an_initialisation_needs_an_architecture() {
    let place = Place::new();
    place.nets(&[("a.safetensors", 1.0)]);
    let law = Some(thalweg_nets::init::Initialisation::KaimingUniform);
    let options = ImportOptions { initialisation: law, ..ImportOptions::default() };
    has(&ImportPlan::new(&place.at(""), &options).err().unwrap().to_string(), &["initialisation", "architecture"]);
}

#[test]
fn files_of_thalwegs_own_are_not_taken_for_networks() {
    let place = Place::new();
    place.nets(&[("a.safetensors", 1.0)]);
    let zoo = place.zoo(&ImportOptions::default());
    let again = ImportPlan::new(zoo.dir(), &ImportOptions::default()).err().unwrap().to_string();
    has(&again, &["shard-00000.safetensors", "a shard of the zoo"]);
    let theta = bytes(&[1.0, 2.0]);
    let view = TensorView::new(Dtype::F32, vec![1, 2], &theta).unwrap();
    let word = Some(std::collections::HashMap::from([("format".to_owned(), "thalweg networks 1".to_owned())]));
    fs::write(place.at("a.safetensors"), safetensors::serialize([("theta", view)], word).unwrap()).unwrap();
    has(&place.refused(), &["a.safetensors", "thalweg networks 1", "one network"]);
}
