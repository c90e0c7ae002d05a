//! A part of foreign networks made a zoo, and what the zoo keeps of the rest: names, types, counters, ties, frozen tensors.
#![allow(clippy::unwrap_used)]

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::path::{Path, PathBuf};
use thalweg_nets::data::DataSpec;
use thalweg_nets::layout::Role;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::{ImportOptions, ImportPlan, ZooStore, import};
use thalweg_nets::{Architecture, Layout};

/// Name, type, shape, bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn floats(name: &str, shape: &[usize], values: impl IntoIterator<Item = f32>) -> Tensor {
    let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
    (name.into(), Dtype::F32, shape.to_vec(), bytes)
}

fn integers(name: &str, values: &[i64]) -> Tensor {
    (name.into(), Dtype::I64, vec![values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn eights(name: &str) -> Tensor {
    (name.into(), Dtype::F8_E4M3, vec![2, 2], vec![1, 2, 3, 4])
}

fn write(path: &Path, tensors: &[Tensor]) {
    let views = tensors.iter().map(|t| (t.0.clone(), TensorView::new(t.1, t.2.clone(), &t.3).unwrap()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let words = [("removed.weight".to_string(), "fc.weight".to_string())].into();
    fs::write(path, safetensors::serialize(views.collect::<Vec<_>>(), Some(words)).unwrap()).unwrap();
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }
    /// Three runs of one checkpoint.
    fn of(net: impl Fn(usize) -> Vec<Tensor>) -> Self {
        let place = Self::new();
        (0..3).for_each(|run| write(&place.at(&format!("source/net-{run}.safetensors")), &net(run)));
        place
    }
    fn plan(&self, options: &ImportOptions) -> ImportPlan {
        ImportPlan::new(&self.at("source"), options).unwrap()
    }
    fn refused(&self, options: &ImportOptions) -> String {
        ImportPlan::new(&self.at("source"), options).err().expect("it should be refused").to_string()
    }
    fn zoo(&self, options: &ImportOptions) -> ZooStore {
        let out = self.at("zoo");
        import(&self.at("source"), &out, &ImportOptions { force: out.exists(), ..options.clone() }, &Silent).unwrap()
    }
    /// The network with the weights `theta`, as the zoo writes it.
    fn written(&self, zoo: &ZooStore, theta: &[f32]) -> Vec<Tensor> {
        let template = zoo.template().unwrap().unwrap();
        let path = template.write(zoo.layout(), theta, &self.at(""), "network").unwrap();
        let bytes = fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let of = |(name, view): (String, TensorView)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec());
        let mut all: Vec<Tensor> = file.tensors().into_iter().map(of).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

fn sorted(mut tensors: Vec<Tensor>) -> Vec<Tensor> {
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

fn choice(tensors: &[&str], except: &[&str]) -> ImportOptions {
    let texts = |all: &[&str]| all.iter().map(|text| text.to_string()).collect();
    ImportOptions { tensors: texts(tensors), except: texts(except), ..ImportOptions::default() }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no '{part}' in: {text}");
    }
}

fn ramp(run: usize, n: usize) -> impl Iterator<Item = f32> {
    (0..n).map(move |i| i as f32 + 0.5 * run as f32)
}

/// A backbone that is the same in all runs (but its counter), a tensor in 8 bits, a head.
fn tuned(run: usize) -> Vec<Tensor> {
    vec![
        floats("conv.weight", &[2, 2], ramp(0, 4)),
        integers("conv.steps", &[run as i64]),
        eights("conv.packed"),
        floats("fc.weight", &[2, 2], ramp(run, 4)),
        floats("fc.bias", &[2], ramp(run, 2)),
        floats("empty", &[0, 3], []),
    ]
}

#[test]
fn every_network_is_written_as_it_came_in() {
    let place = Place::of(tuned);
    let zoo = place.zoo(&choice(&["fc.*"], &[]));
    assert_eq!((zoo.parameters(), zoo.layout().slots().len()), (6, 2));
    for run in 0..3 {
        // Counters are those of the first run's last checkpoint.
        let mut expected = tuned(run);
        expected[1] = tuned(0).remove(1);
        assert_eq!(place.written(&zoo, &zoo.finals(&[run]).unwrap()), sorted(expected));
    }
    let told = place.plan(&choice(&["fc.*"], &[])).to_string();
    has(&told, &["2 of 3 tensors are modelled, 6 of 10 weights", "net-0.safetensors, the last checkpoint"]);
    has(&told, &["not the same in all networks: conv.steps", "conv.packed (F8_E4M3 [2, 2])", "empty"]);
    // The same by what is left out; what is in another form is refused where it would be modelled.
    let other = place.zoo(&choice(&[], &["conv*", "empty"]));
    assert_eq!(other.finals(&[2]).unwrap(), ramp(2, 2).chain(ramp(2, 4)).collect::<Vec<_>>());
    has(&place.refused(&choice(&[], &["fc.*"])), &["conv.packed", "8 bits", "leave the tensor out"]);
    has(&place.refused(&choice(&[], &[])), &["conv.packed"]);
    has(&place.refused(&choice(&["fc"], &[])), &["fc.* matches 2"]);
    has(&place.refused(&choice(&["*"], &["*"])), &["none of its tensors modelled"]);
    has(&place.refused(&ImportOptions { canonical: true, ..choice(&["fc.*"], &[]) }), &["lora_A"]);
    // The zoo without its template, or with another's, is damaged.
    let path = zoo.dir().join("template.safetensors");
    fs::remove_file(&path).unwrap();
    has(&zoo.template().unwrap_err().to_string(), &["template.safetensors"]);
}

#[test]
fn frozen_tensors_that_differ_are_refused_with_the_greatest_difference() {
    let place = Place::of(|run| {
        let mut net = tuned(run);
        net[0] = floats("conv.weight", &[2, 2], [0.0, 1.0, 2.0 + 0.25 * run as f32, 3.0]);
        net
    });
    let said = place.refused(&choice(&["fc.*"], &[]));
    has(&said, &["net-2.safetensors", "tensor conv.weight", "5.000e-1 away", "net-0.safetensors", "not modelled"]);
    // A base checkpoint that is named decides, and is told.
    let based = ImportOptions { base: Some(place.at("source/net-1.safetensors")), ..choice(&["fc.*"], &[]) };
    has(&place.plan(&based).to_string(), &["frozen, yet not the same", "conv.weight", "2.500e-1"]);
    let zoo = place.zoo(&based);
    let written = place.written(&zoo, &zoo.finals(&[0]).unwrap());
    assert!(written.contains(&floats("conv.weight", &[2, 2], [0.0, 1.0, 2.25, 3.0])));
    assert!(written.contains(&integers("conv.steps", &[1])), "its counters too");
    // The same numbers in another type are no others.
    let half = Place::of(|run| {
        let mut net = tuned(run);
        if run == 1 {
            let bytes = [0f64, 1.0, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
            net[0] = ("conv.weight".into(), Dtype::F64, vec![2, 2], bytes);
        }
        net
    });
    half.plan(&choice(&["fc.*"], &[]));
    let packed = Place::of(|run| {
        let mut net = tuned(run);
        net[2].3[0] = run as u8;
        net
    });
    has(&packed.refused(&choice(&["fc.*"], &[])), &["conv.packed", "other bytes"]);
}

#[test]
fn checkpoints_may_hold_only_what_is_modelled_beside_a_base() {
    let place = Place::of(|run| {
        tuned(run)[3..5].iter().map(|t| (format!("module.{}", t.0), t.1, t.2.clone(), t.3.clone())).collect()
    });
    write(&place.at("base.safetensors"), &tuned(7));
    let based = ImportOptions { base: Some(place.at("base.safetensors")), ..ImportOptions::default() };
    let zoo = place.zoo(&based);
    let mut expected = tuned(7);
    (expected[3], expected[4]) = (tuned(1).remove(3), tuned(1).remove(4));
    assert_eq!(place.written(&zoo, &zoo.finals(&[1]).unwrap()), sorted(expected));
    // A base without what they hold, and one that is not needed.
    write(&place.at("base.safetensors"), &tuned(7)[..4]);
    has(&place.refused(&based), &["fc.bias", "base.safetensors"]);
    write(&place.at("base.safetensors"), &tuned(7)[3..5]);
    has(&place.refused(&based), &["parameter base", "every tensor modelled"]);
}

#[test]
fn tensors_that_are_equal_everywhere_are_one_parameter() {
    let tied = |broken: bool| {
        Place::of(move |run| {
            let other = if broken && run == 2 { ramp(9, 4) } else { ramp(run, 4) };
            vec![
                floats("embed.weight", &[2, 2], ramp(run, 4)),
                floats("head.weight", &[2, 2], other),
                // Constant at the start, and vectors: equal by chance.
                floats("a.weight", &[2, 2], [0.0; 4]),
                floats("b.weight", &[2, 2], [0.0; 4]),
                floats("c", &[3], ramp(run, 3)),
                floats("d", &[3], ramp(run, 3)),
            ]
        })
    };
    let place = tied(false);
    let zoo = place.zoo(&ImportOptions::default());
    assert_eq!(zoo.parameters(), 18);
    has(
        &place.plan(&ImportOptions::default()).to_string(),
        &["one parameter, equal in every network: embed.weight and head.weight"],
    );
    // In another order of the tensors too.
    let order = ["head.weight", "a.weight", "embed.weight", "b.weight"].map(|name| (name.to_owned(), vec![2, 2]));
    let order = order.into_iter().chain(["d", "c"].map(|name| (name.to_owned(), vec![3])));
    let options = ImportOptions { layout: Some(Layout::of_tensors(order)), ..ImportOptions::default() };
    has(&place.plan(&options).to_string(), &["one parameter, equal in every network: head.weight and embed.weight"]);
    let theta: Vec<f32> = (0..18).map(|i| (i as f32).sin()).collect();
    let written = place.written(&zoo, &theta);
    let of = |name: &str| written.iter().find(|t| t.0 == name).unwrap().3.clone();
    assert_eq!(of("embed.weight"), of("head.weight"));
    assert_ne!(of("a.weight"), of("b.weight"));
    let place = tied(true);
    assert_eq!(place.zoo(&ImportOptions::default()).parameters(), 22);
    has(&place.plan(&ImportOptions::default()).to_string(), &["not in", "net-2.safetensors: two parameters"]);
}

#[test]
fn tensors_of_one_storage_are_one_parameter() {
    let place = Place::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pytorch/tied.pt");
    fs::create_dir_all(place.at("source")).unwrap();
    (0..2).for_each(|run| assert!(fs::copy(&data, place.at(&format!("source/net-{run}.pt"))).is_ok()));
    let zoo = place.zoo(&ImportOptions::default());
    // embed.weight [3, 2] is head.weight, norm.bias [2] is head.own; steps is a counter.
    let names: Vec<&str> = zoo.layout().slots().iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(names, ["embed.weight", "norm.weight", "norm.bias"]);
    let written = place.written(&zoo, &zoo.finals(&[0]).unwrap());
    let names: Vec<&str> = written.iter().map(|t| t.0.as_str()).collect();
    assert_eq!(names, ["embed.weight", "head.own", "head.weight", "norm.bias", "norm.weight", "steps"]);
    let kinds: Vec<Dtype> = written.iter().map(|t| t.1).collect();
    assert_eq!(kinds, [Dtype::BF16, Dtype::F32, Dtype::BF16, Dtype::F32, Dtype::F32, Dtype::I64]);
}

#[test]
fn running_variances_are_found_by_other_names_and_by_what_they_hold() {
    let place = Place::of(|run| {
        let positive = |n: usize| (0..n).map(move |i| 0.1 + (i + run) as f32);
        let mut net = vec![
            floats("a.moving_variance", &[3], positive(3)),
            floats("a.moving_mean", &[3], ramp(run, 3)),
            // Of four vectors of one length those that are positive everywhere.
            floats("b.s", &[3], positive(3)),
            floats("b.t", &[3], [-1.0, 0.0, 1.0]),
            floats("b.u", &[3], ramp(run, 3)),
            floats("b.v", &[3], positive(3)),
            // Neither: layer normalisation, and a variance that is none.
            floats("c.weight", &[3], positive(3)),
            floats("c.bias", &[3], positive(3)),
            floats("d.var", &[2], [1.0, if run == 2 { -1.0 } else { 1.0 }]),
        ];
        net.push(floats("e.running_var", &[2], positive(2)));
        net
    });
    let zoo = place.zoo(&ImportOptions::default());
    let slots = zoo.layout().slots();
    let found: Vec<&str> = slots.iter().filter(|s| s.role == Role::RunningVariance).map(|s| s.name.as_str()).collect();
    // PyTorch's own name needs no role; u is 0 in the first network.
    assert_eq!(found, ["a.moving_variance", "b.s", "b.v"]);
    assert_eq!(ZooStore::open(zoo.dir()).unwrap().layout(), zoo.layout());
}

const NET: &str = "input = [1]\n[[layers]]\nname = \"hidden\"\nkind = \"dense\"\nout = 2\n[[layers]]\nkind = \"relu\"\n[[layers]]\nname = \"fc\"\nkind = \"dense\"\nout = 2\n";

#[test]
fn a_part_of_a_known_architecture_is_scored_as_whole_networks() {
    let dense = |run: usize| {
        vec![
            floats("module.hidden.weight", &[2, 1], [1.0, -1.0]),
            floats("module.hidden.bias", &[2], [0.0, 0.0]),
            floats("module.fc.weight", &[2, 2], [0.0, 0.0, 1.0, 0.0]),
            floats("module.fc.bias", &[2], [0.0, -8.2 - 0.1 * run as f32]),
        ]
    };
    let place = Place::of(dense);
    let rows: String = (0..100).map(|i| format!("{},{}\n", 1 + i % 10, u8::from(1 + i % 10 > 8))).collect();
    fs::write(place.at("d.csv"), format!("x,label\n{rows}")).unwrap();
    let mut data = DataSpec::parse(&format!("csv:{}", place.at("d.csv").display())).unwrap();
    data.normalisation = Some(thalweg_nets::data::Standardise::Raw);
    let known = ImportOptions {
        architecture: Some(Architecture::from_toml_str(NET).unwrap()),
        data: Some(data),
        ..choice(&["fc.*"], &[])
    };
    let zoo = place.zoo(&known);
    assert_eq!((zoo.parameters(), zoo.architecture()), (6, None));
    assert!(zoo.is_scored() && zoo.accuracies().iter().all(|a| *a == 1.0), "{:?}", zoo.accuracies());
    assert_eq!(zoo.layout().slots()[0].role, Role::Weight);
    let assembly = zoo.assembly().unwrap().unwrap();
    let whole = assembly.whole(&zoo.finals(&[1, 2]).unwrap()).unwrap();
    assert_eq!(whole[10..14], [1.0, -1.0, 0.0, 0.0]);
    assert_eq!(whole[18..], [0.0, -8.4]);
    assert_eq!(place.written(&zoo, &zoo.finals(&[2]).unwrap()), sorted(dense(2)));
}
