//! Readers of folders: zoos, models, states, checkpoints.
use super::drive::{Target, target};
use super::seeds::{self, Made, stopped};
use std::fs;
use std::path::{Component, Path, PathBuf};
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg_nets::checksum;
use thalweg_nets::progress::Silent;
use thalweg_nets::zoo::{ImportOptions, ImportPlan, ZooStore, import};

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A reader of a folder: a copy of `good` in which `file` is the input.
fn of_folder(name: &'static str, good: &Path, file: &'static str, read: impl Fn(&Path) -> bool + 'static) -> Target {
    let (seeds, good) = (vec![fs::read(good.join(file)).unwrap()], good.to_path_buf());
    target(name, seeds, move |bytes, home| {
        let copy = home.join(name);
        if !copy.exists() {
            copied(&good, &copy);
        }
        fs::write(copy.join(file), bytes).unwrap();
        read(&copy)
    })
}

fn sampled(dir: &Path) -> bool {
    let model = MetaModel::load(dir);
    model.is_ok_and(|model| model.sample(&SampleRequest { steps: 2, ..SampleRequest::new(1, 0) }).is_ok())
}

fn opened(dir: &Path) -> bool {
    ZooStore::open(dir).is_ok_and(|zoo| {
        let read = zoo.finals(&zoo.finished_runs()).is_ok();
        read && zoo.centre().is_ok()
    })
}

/// The weights of a model, whose hash its `model.toml` then says.
fn weights(name: &'static str, good: &Path) -> Target {
    let text = fs::read_to_string(good.join("model.toml")).unwrap();
    let whole = fs::read(good.join("model.safetensors")).unwrap();
    let hash = blake3::hash(&whole).to_hex();
    assert!(text.contains(hash.as_str()), "model.toml says the hash of the weights");
    of_folder(name, good, "model.safetensors", move |dir| {
        let now = blake3::hash(&fs::read(dir.join("model.safetensors")).unwrap()).to_hex();
        let text = checksum::seal_text(text.replace(hash.as_str(), now.as_str()));
        fs::write(dir.join("model.toml"), text).unwrap();
        sampled(dir)
    })
}

/// Files in a folder by the lines of a text: networks where the name says so, else a few bytes. Only ever within the folder.
fn laid_out(dir: &Path, text: &str, network: &[u8]) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
    fs::create_dir_all(dir).unwrap();
    for line in text.lines().take(24) {
        let path = Path::new(line);
        let within = path.components().all(|c| matches!(c, Component::Normal(_)));
        if !within || line.contains('\0') || path.components().count() > 4 {
            continue;
        }
        let path = dir.join(path);
        // A name that is too long, or a file in the way of a folder: the next one.
        if fs::create_dir_all(path.parent().unwrap_or(dir)).is_ok() {
            let index = br#"{"weight_map": {"0.weight": "model-00001-of-00002.safetensors"}}"#;
            let bytes = if line.ends_with(".json") { &index[..] } else { network };
            drop(fs::write(&path, bytes));
        }
    }
}

const LAYOUTS: [&str; 6] = [
    "run-0/step-0.safetensors\nrun-0/step-10.safetensors\nrun-1/step-0.safetensors\nrun-1/step-10.safetensors\n",
    "run-0/checkpoint-500/model.safetensors\nrun-0/checkpoint-1k/model.safetensors\nrun-0/checkpoint-1k/optimizer.pt\n",
    "net-0.safetensors\nnet-1.safetensors\nnet-10.safetensors\n._net-1.safetensors\nREADME.md\n",
    "a/init.safetensors\na/final.safetensors\nb/before.safetensors\nb/after.safetensors\n",
    "a/epoch=1-step=3.safetensors\na/epoch=12-step=1e3.safetensors\na/ckpt_2024-01-02T03-04-05.safetensors\n",
    "0001.safetensors\n1M.safetensors\n1704164645123.safetensors\n1704164645124.safetensors\n99999999999999999999.safetensors\n",
];

fn checkpoints(made: &Made) -> Vec<Target> {
    let single = [("import", made.network.clone())];
    let mut all: Vec<Target> = single
        .into_iter()
        .map(|(name, network)| {
            target(name, vec![network], move |bytes, home| {
                let (source, out) = (home.join(name), home.join("imported"));
                fs::create_dir_all(&source).unwrap();
                fs::write(source.join("a.safetensors"), bytes).unwrap();
                import(&source, &out, &ImportOptions { force: true, ..ImportOptions::default() }, &Silent).is_ok()
            })
        })
        .collect();
    let network = made.network.clone();
    let layouts = LAYOUTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.push(target("checkpoint-names", layouts, move |bytes, home| {
        let dir = home.join("checkpoint-names");
        laid_out(&dir, &String::from_utf8_lossy(bytes), &network);
        let plan = ImportPlan::new(&dir, &ImportOptions::default());
        plan.is_ok_and(|plan| plan.runs() * plan.checkpoints() > 0 && !plan.notes().contains(&String::new()))
    }));
    // Two shards of one network, and the index that says which tensor lies in which.
    let (shards, index) = split(&made.network);
    let read = |dir: &Path| ImportPlan::new(dir, &ImportOptions::default()).is_ok();
    let good = move |home: &Path| -> PathBuf {
        let dir = home.join("shard-index");
        fs::create_dir_all(&dir).unwrap();
        for (i, shard) in shards.iter().enumerate() {
            let path = dir.join(format!("model-0000{}-of-00002.safetensors", i + 1));
            if !path.exists() {
                fs::write(path, shard).unwrap();
            }
        }
        dir
    };
    all.push(target("shard-index", vec![index.into_bytes()], move |bytes, home| {
        let dir = good(home);
        fs::write(dir.join("model.safetensors.index.json"), bytes).unwrap();
        read(&dir)
    }));
    all
}

/// A network's tensors in two files, with their index.
fn split(network: &[u8]) -> ([Vec<u8>; 2], String) {
    let whole = safetensors::SafeTensors::deserialize(network).unwrap();
    let names: Vec<String> = whole.names().iter().map(ToString::to_string).collect();
    let half = |part: usize| {
        let views = names.iter().enumerate().filter(|(i, _)| i % 2 == part).map(|(_, n)| (n, whole.tensor(n).unwrap()));
        safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
    };
    let entry = |(i, name): (usize, &String)| format!("\"{name}\": \"model-0000{}-of-00002.safetensors\"", i % 2 + 1);
    let map: Vec<String> = names.iter().enumerate().map(entry).collect();
    ([half(0), half(1)], format!("{{\"metadata\": {{\"total_size\": 1}}, \"weight_map\": {{{}}}}}", map.join(",\n")))
}

fn states(made: &Made) -> Vec<Target> {
    let fit_zoo = ZooStore::open(&made.zoo).unwrap();
    let tuned = MetaModel::load(&made.plain).unwrap();
    let reward = seeds::reward(&fit_zoo);
    let config = super::common::config();
    vec![
        of_folder("fit-state", &made.fit_state, "state.safetensors", move |dir| {
            stopped(&seeds::run_fit(&fit_zoo, &config, &dir.join("state.safetensors"), 0))
        }),
        of_folder("tune-state", &made.tune_state, "state.safetensors", move |dir| {
            stopped(&seeds::run_tune(&tuned, &reward, &dir.join("state.safetensors"), 0))
        }),
        of_folder("zoo-partial", &made.partial, "shard-00000.partial", |dir| stopped(&seeds::go_on(dir, 0))),
    ]
}

/// All of them.
pub fn all(made: &Made) -> Vec<Target> {
    let mut all = vec![
        of_folder("zoo-spec", &made.zoo, "zoo.toml", opened),
        of_folder("zoo-shard", &made.zoo, "shard-00000.safetensors", opened),
        of_folder("zoo-centre", &made.zoo, "centre.safetensors", opened),
        of_folder("model-toml", &made.plain, "model.toml", sampled),
        of_folder("model-timing", &made.plain, "timing.toml", sampled),
        of_folder("latent-toml", &made.latent, "model.toml", sampled),
        weights("model-weights", &made.plain),
        weights("latent-weights", &made.latent),
    ];
    all.extend(states(made));
    all.extend(checkpoints(made));
    all
}
