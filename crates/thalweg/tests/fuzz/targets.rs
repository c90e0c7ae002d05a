//! Readers of texts and of single files.
use super::drive::{Target, of_file, of_text};
use super::envelope::gzip;
use super::seeds::{self, Made};
use std::fs;
use std::path::Path;
use thalweg::context::Onnx;
use thalweg::judge::read_rows;
use thalweg::model::{FitConfig, Networks, States};
use thalweg::shift::Sample;
use thalweg::shift::calibration::Calibration;
use thalweg::space::latent::Latents;
use thalweg::tune::TuneConfig;
use thalweg_nets::data::readers::{cifar, heart, npy, silhouettes, sklearn};
use thalweg_nets::data::{DataSpec, Site};
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::checkpoints::Network;
use thalweg_nets::zoo::checkpoints::pytorch::pickle::Pickle;
use thalweg_nets::zoo::{ZooSpec, ZooStore};
use thalweg_nets::{Architecture, Layout};

/// A reader of a data file: the input is put at `file`, and `spec` names it.
fn of_data(name: &'static str, file: &'static str, format: &'static str, seeds: Vec<Vec<u8>>) -> Target {
    of_file(name, file, seeds, move |path| {
        let named = if format == "idx" { path.parent().unwrap() } else { path };
        DataSpec::parse(&format!("{format}:{}", named.display())).is_ok_and(|spec| spec.load().is_ok())
    })
}

/// The same plain and packed.
fn both(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    vec![gzip(&bytes), bytes]
}

fn data(made: &Made) -> Vec<Target> {
    let pixels: Vec<u8> = (0..40 * 16).map(|i| (i * 5 % 256) as u8).collect();
    let labels: Vec<u8> = (0..40).map(|i| i % 4).collect();
    let (images, classes) = (seeds::idx(&[40, 4, 4], &pixels), seeds::idx(&[40], &labels));
    let (of_images, of_labels) = (images.clone(), classes.clone());
    let _ = made;
    vec![
        of_data("csv", "t.csv", "csv", both(seeds::csv())),
        of_file("csv-named", "t.csv", both(seeds::csv()), |path| {
            DataSpec::parse(&format!("csv:{}@label=b", path.display())).is_ok_and(|spec| spec.load().is_ok())
                | DataSpec::parse(&format!("csv:{}", path.display())).is_ok_and(|s| s.load_unlabelled(None).is_ok())
        }),
        of_data("npz", "t.npz", "npz", vec![seeds::npz(), seeds::npz_of_floats()]),
        of_file("npy", "t.npz", vec![seeds::npz(), seeds::npz_of_floats()], |path| {
            let text = |more: &str| format!("npz:{}{more}", path.display());
            DataSpec::parse(&text("@x=x@y=y")).is_ok_and(|spec| spec.load_whole().is_ok())
                | DataSpec::parse(&text("")).is_ok_and(|spec| spec.load_unlabelled(None).is_ok())
        }),
        of_text("npy-header", &["{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n"], |header| {
            let length = u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes();
            let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 48]].concat();
            npy::decode(bytes, Path::new("a.npz"), "x").is_ok()
        }),
        of_file("idx-images", "train-images-idx3-ubyte", both(images), move |path| {
            let dir = path.parent().unwrap();
            fs::write(dir.join("train-labels-idx1-ubyte"), &of_labels).unwrap();
            DataSpec::parse(&format!("idx:{}", dir.display())).is_ok_and(|spec| spec.load().is_ok())
        }),
        of_file("idx-labels", "train-labels-idx1-ubyte", both(classes), move |path| {
            let dir = path.parent().unwrap();
            fs::write(dir.join("train-images-idx3-ubyte"), &of_images).unwrap();
            DataSpec::parse(&format!("idx:{}", dir.display())).is_ok_and(|spec| spec.load().is_ok())
        }),
        of_file("cifar", "data_batch_1.bin", both(seeds::cifar()), |path| {
            let dir = path.parent().unwrap();
            for name in
                ["data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"]
            {
                if !dir.join(name).exists() {
                    fs::write(dir.join(name), seeds::cifar()).unwrap();
                }
            }
            cifar::read(dir).is_ok()
        }),
        of_file("sklearn", "t.csv", both(seeds::sklearn()), |path| sklearn::read("iris", path).is_ok()),
        of_file("heart", "heart.csv", both(seeds::heart()), |path| {
            heart::read(path, Site::Cleveland).is_ok() | heart::read_cells(path, &[Site::Others]).is_ok()
        }),
        of_file("silhouettes", "labels.gz", both(seeds::silhouette_labels()), |path| {
            let images = path.with_file_name("images.gz");
            if !images.exists() {
                let head = [&[0; 145][..], b"B", &7_840_000u32.to_le_bytes(), &vec![9; 7_840_000]].concat();
                fs::write(&images, gzip(&head)).unwrap();
            }
            silhouettes::read(&images, path).is_ok()
        }),
    ]
}

fn texts(made: &Made) -> Vec<Target> {
    let spec = fs::read_to_string(made.zoo.join("zoo.toml")).unwrap();
    let net = toml::to_string(ZooStore::open(&made.zoo).unwrap().architecture().unwrap()).unwrap();
    let convolutional = toml::to_string(&thalweg_nets::architecture::Preset::CnnS.build([1, 28, 28], 10).unwrap());
    let fit_toml = toml::to_string(&made.config).unwrap();
    let tune_toml = toml::to_string(&TuneConfig::default()).unwrap();
    let shift_toml = toml::to_string(&thalweg::shift::method::Config::default()).unwrap();
    vec![
        of_text(
            "data-string",
            &["digits", "csv:a.csv", "npz:/x/y.npz@rotate=40@classes=1+2", "idx:dir@area=2", "csv:F@label=target"],
            |text| DataSpec::parse(text).is_ok(),
        ),
        of_text("architecture", &[&net, &convolutional.unwrap()], |text| {
            Architecture::from_toml_str(text).is_ok_and(|net| {
                Layout::of(&net);
                true
            })
        }),
        of_text("zoo-toml", &[&spec], |text| ZooSpec::from_toml_str(Path::new("zoo.toml"), text).is_ok()),
        of_text("fit-toml", &[&fit_toml], |text| {
            FitConfig::from_toml_str(Path::new("fit.toml"), text).is_ok_and(|config| config.check().is_ok())
        }),
        of_text("tune-toml", &[&tune_toml], |text| {
            TuneConfig::from_toml_str(Path::new("t.toml"), text).is_ok_and(|config| config.check().is_ok())
        }),
        of_text("shift-toml", &[&shift_toml], |text| toml::from_str::<thalweg::shift::method::Config>(text).is_ok()),
    ]
}

/// Reads a calibration and tests a few rows by it.
fn tested(path: &Path) -> bool {
    Calibration::read(path).is_ok_and(|calibration| {
        let c = calibration.record.classes;
        let query = match calibration.base() {
            Some(base) => base.sample(&vec![0.5; 6 * base.network().input_len()]),
            None => Sample::of_logits(vec![0.25; 6 * c.min(1000)], c),
        };
        query.is_ok_and(|query| calibration.test(&query, 0.05, 1, &Silent).is_ok())
    })
}

/// Files that PyTorch wrote.
fn torch(names: &[&str]) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../thalweg-nets/tests/data/pytorch");
    names.iter().map(|name| fs::read(dir.join(name)).unwrap()).collect()
}

/// Reads a network that was written elsewhere.
fn network(path: &Path) -> bool {
    let network = Network::single(path);
    network.layout().is_ok_and(|layout| {
        network
            .reading(&layout)
            .and_then(|reading| network.read(&layout, &reading))
            .is_ok_and(|theta| theta.len() == layout.len())
    })
}

/// All of them.
pub fn all(made: &Made) -> Vec<Target> {
    let calibrations = made.calibrations.iter().map(|path| fs::read(path).unwrap()).collect();
    let architecture = ZooStore::open(&made.zoo).unwrap().architecture().unwrap().clone();
    let files = vec![
        of_file("calibration", "c.cal", calibrations, tested),
        of_file("samples-stack", "s.safetensors", vec![made.stack.clone()], |path| {
            let read = Networks::read(path, None, &|_| ()).is_ok();
            States::read(path).is_ok() && read
        }),
        of_file("network", "n.safetensors", vec![made.network.clone()], move |path| {
            Networks::read(path, Some(&architecture), &|_| ()).is_ok()
        }),
        of_file("results", "r.json", vec![fs::read(&made.results).unwrap()], |path| read_rows(path).is_ok()),
        of_file("latents", "l.safetensors", vec![fs::read(&made.latents).unwrap()], |path| Latents::read(path).is_ok()),
        of_file("onnx", "f.onnx", vec![include_bytes!("../data/features.onnx").to_vec()], |path| {
            Onnx::open(path).is_ok()
        }),
        of_file("torch-zip", "net.pt", torch(&["state.pt", "training.ckpt", "module.pth", "views.bin"]), network),
        of_file("torch-pickles", "net.pt", torch(&["legacy.pt", "legacy-views.pt"]), network),
        of_file("pickle", "values.pkl", torch(&["protocol-2.pkl", "protocol-4.pkl"]), |path| {
            Pickle::read(&fs::read(path).unwrap()).is_ok()
        }),
    ];
    texts(made).into_iter().chain(data(made)).chain(files).collect()
}
