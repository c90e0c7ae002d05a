//! What is held against mutations: a reader, and good files to begin with.
use super::common;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg::context::Onnx;
use thalweg::fit::{FitOptions, fit};
use thalweg::model::FitConfig;
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg::tune::TuneConfig;
use thalweg_nets::Architecture;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::{ImportOptions, ZooSpec, ZooStore, import};

/// Whether the input was read (rather than refused); the folder is for the target's own use.
type Read = Box<dyn Fn(&[u8], &Path) -> bool>;

/// A reader with good inputs.
pub struct Target {
    pub name: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub read: Read,
}

fn target(name: &'static str, seeds: Vec<Vec<u8>>, read: impl Fn(&[u8], &Path) -> bool + 'static) -> Target {
    Target { name, seeds, read: Box::new(read) }
}

/// A reader of a text.
fn of_text(name: &'static str, seeds: &[&str], read: impl Fn(&str) -> bool + 'static) -> Target {
    let seeds = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    target(name, seeds, move |bytes, _| std::str::from_utf8(bytes).is_ok_and(&read))
}

/// A reader of a data file: the input is put at `file`, and `spec` names it.
fn of_data(name: &'static str, file: &'static str, format: &'static str, seeds: Vec<Vec<u8>>) -> Target {
    target(name, seeds, move |bytes, home| {
        let path = home.join(name).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let named = if format == "idx" { path.parent().unwrap() } else { &path };
        DataSpec::parse(&format!("{format}:{}", named.display())).is_ok_and(|spec| spec.load().is_ok())
    })
}

/// A reader of a folder: a copy of `good` in which `file` is the input.
fn of_folder(name: &'static str, good: PathBuf, file: &'static str, read: impl Fn(&Path) -> bool + 'static) -> Target {
    let seeds = vec![fs::read(good.join(file)).unwrap()];
    target(name, seeds, move |bytes, home| {
        let copy = home.join(name);
        if !copy.exists() {
            fs::create_dir_all(&copy).unwrap();
            for entry in fs::read_dir(&good).unwrap() {
                let entry = entry.unwrap();
                if entry.path().is_file() {
                    fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
                }
            }
        }
        fs::write(copy.join(file), bytes).unwrap();
        read(&copy)
    })
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &u16::try_from(header.len()).unwrap().to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Three small pictures of 4 × 4 with labels, twelve times, stored without compression.
fn npz() -> Vec<u8> {
    let pictures: Vec<u8> = (0..36 * 16).map(|i| (i * 7 % 256) as u8).collect();
    let labels: Vec<u8> = (0..36i64).flat_map(|i| (i % 3).to_le_bytes()).collect();
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, array) in [("x.npy", npy("|u1", "(36, 4, 4)", &pictures)), ("y.npy", npy("<i8", "(36,)", &labels))] {
        writer.start_file(name, stored).unwrap();
        std::io::Write::write_all(&mut writer, &array).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn csv() -> Vec<u8> {
    let rows = (0..40).map(|i| format!("{},{}.5,{},{}\n", i, i * i % 17, -i, ["cat", "dog"][i as usize % 2]));
    format!("a,b,\"c, d\",label\n{}", rows.collect::<String>()).into_bytes()
}

fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let magic = [0, 0, 8, shape.len() as u8];
    let sizes: Vec<u8> = shape.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&magic[..], &sizes, data].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, bytes).unwrap();
    packer.finish().unwrap()
}

/// All of them; zoos and models to begin with are made in `home`.
pub fn all(home: &Path) -> Vec<Target> {
    let zoo_dir = home.join("seed-zoo");
    let zoo = common::zoo("fork", 8, &zoo_dir);
    let config = FitConfig { steps: 2, ..common::config() };
    let plain = home.join("seed-model");
    fit(&zoo, &config, &FitOptions::default(), &Silent).unwrap().save(&plain, false).unwrap();
    let latent = home.join("seed-latent");
    let of_latent = format!("{}\n[latent.pca]\ndimension = 2\n", toml::to_string(&config).unwrap());
    let of_latent = FitConfig::from_toml_str(Path::new("latent"), &of_latent).unwrap();
    fit(&zoo, &of_latent, &FitOptions::default(), &Silent).unwrap().save(&latent, false).unwrap();
    let network = home.join("seed-network.safetensors");
    let tensors = zoo.layout().slots().iter().map(|slot| (slot.name.clone(), slot.shape.clone()));
    let theta = zoo.finals(&[0]).unwrap();
    let bytes: Vec<u8> = theta.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut at = 0;
    let views: Vec<_> = tensors
        .map(|(name, shape)| {
            let length = 4 * shape.iter().product::<usize>();
            at += length;
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &bytes[at - length..at]);
            (name, view.unwrap())
        })
        .collect();
    safetensors::serialize_to_file(views, None, &network).unwrap();
    let spec = fs::read_to_string(zoo_dir.join("zoo.toml")).unwrap();
    let net = toml::to_string(zoo.architecture().unwrap()).unwrap();
    let fit_toml = toml::to_string(&config).unwrap();
    let tune_toml = toml::to_string(&TuneConfig::default()).unwrap();
    let pixels: Vec<u8> = (0..40 * 16).map(|i| (i * 5 % 256) as u8).collect();
    let labels: Vec<u8> = (0..40).map(|i| i % 4).collect();
    let sampled = |dir: &Path| {
        let model = MetaModel::load(dir);
        model.is_ok_and(|model| model.sample(&SampleRequest { steps: 2, ..SampleRequest::new(1, 0) }).is_ok())
    };
    let opened = |dir: &Path| ZooStore::open(dir).is_ok_and(|zoo| zoo.finals(&zoo.alive()).is_ok());
    vec![
        of_text(
            "data-string",
            &["digits", "csv:a.csv", "npz:/x/y.npz@rotate=40@classes=1,2", "idx:dir@area=2"],
            |text| DataSpec::parse(text).is_ok(),
        ),
        of_text("architecture", &[&net], |text| Architecture::from_toml_str(text).is_ok()),
        of_text("zoo-toml", &[&spec], |text| ZooSpec::from_toml_str(Path::new("zoo.toml"), text).is_ok()),
        of_text("fit-toml", &[&fit_toml], |text| FitConfig::from_toml_str(Path::new("fit.toml"), text).is_ok()),
        of_text("tune-toml", &[&tune_toml], |text| TuneConfig::from_toml_str(Path::new("t.toml"), text).is_ok()),
        of_data("csv", "t.csv", "csv", vec![csv(), gzip(&csv())]),
        of_data("npz", "t.npz", "npz", vec![npz()]),
        target("idx", vec![idx(&[40, 4, 4], &pixels), gzip(&idx(&[40, 4, 4], &pixels))], move |bytes, home| {
            let dir = home.join("idx");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("train-labels-idx1-ubyte"), idx(&[40], &labels)).unwrap();
            fs::write(dir.join("train-images-idx3-ubyte"), bytes).unwrap();
            DataSpec::parse(&format!("idx:{}", dir.display())).is_ok_and(|spec| spec.load().is_ok())
        }),
        of_folder("zoo-spec", zoo_dir.clone(), "zoo.toml", opened),
        of_folder("zoo-shard", zoo_dir.clone(), "shard-00000.safetensors", opened),
        of_folder("model-toml", plain.clone(), "model.toml", sampled),
        of_folder("latent-toml", latent, "model.toml", sampled),
        target("import", vec![fs::read(network).unwrap()], |bytes, home| {
            let (source, out) = (home.join("import"), home.join("imported"));
            fs::create_dir_all(&source).unwrap();
            fs::write(source.join("a.safetensors"), bytes).unwrap();
            let options = ImportOptions { force: true, ..ImportOptions::default() };
            import(&source, &out, &options, &Silent).is_ok()
        }),
        target("onnx", vec![include_bytes!("../data/features.onnx").to_vec()], |bytes, home| {
            let path = home.join("f.onnx");
            fs::write(&path, bytes).unwrap();
            Onnx::open(&path).is_ok()
        }),
    ]
}
