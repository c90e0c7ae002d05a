//! A folder with everything that the examples of the help and of the README name, in tiny form, and a shell to run them in.
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use thalweg_nets::Layout;
use thalweg_nets::architecture::Preset;
use thalweg_nets::data::catalogue::{Origin, SETS};
use thalweg_nets::zoo::ZooStore;

/// What a command left: exit code, stdout, stderr.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs a line as a shell does, with our program first in the path and the data of `dir`.
pub fn shell(dir: &Path, line: &str) -> Said {
    let program = assert_cmd::cargo::cargo_bin("thalweg");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(dir)
        .env("PATH", path)
        .env("HOME", dir)
        .env("THALWEG_DATA", dir.join("data"));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Runs a line that has to work.
pub fn run(dir: &Path, line: &str) -> Said {
    let said = shell(dir, line);
    assert_eq!(said.code, 0, "{line}\n{}{}", said.out, said.err);
    said
}

/// Numbers from 0 to 1 in a fixed order.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// Patients, as the heart data code them: nine features, of which age, blood pressure and heart rate tell the class.
fn patients(n: usize, seed: u64, shift: f64) -> Vec<([f64; 9], u8)> {
    let mut noise = Noise(seed);
    let patient = |i: usize| {
        let sick = (i % 5 < 2) as u8;
        let mut around = |middle: f64, by: f64, spread: f64| {
            (middle + by * (f64::from(sick) - 0.5) + spread * (noise.next() - 0.5) + shift * spread).round()
        };
        let (age, pressure, rate) = (around(54.0, 14.0, 22.0), around(130.0, 24.0, 40.0), around(150.0, -40.0, 60.0));
        let mut of = |n: f64| (noise.next() * n).floor();
        ([age, of(2.0), 1.0 + of(4.0), pressure, 200.0 + of(80.0), of(2.0), of(3.0), rate, of(2.0)], sick)
    };
    (0..n).map(patient).collect()
}

/// The heart data's file: Cleveland, and three hospitals that differ from it.
fn heart() -> String {
    let mut text =
        String::from("id,age,sex,dataset,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal,num\n");
    let mut id = 0;
    for (site, n, shift) in
        [("Cleveland", 303, 0.0), ("Hungary", 60, 0.8), ("Switzerland", 40, 0.5), ("VA Long Beach", 40, 0.6)]
    {
        for (x, sick) in patients(n, 7 + id, shift) {
            id += 1;
            let word = |words: &[&'static str], code: f64| words[code as usize];
            let (sex, fbs, exang) =
                (word(&["Female", "Male"], x[1]), word(&["FALSE", "TRUE"], x[5]), word(&["FALSE", "TRUE"], x[8]));
            let cp = word(&["", "typical angina", "atypical angina", "non-anginal", "asymptomatic"], x[2]);
            let restecg = word(&["normal", "st-t abnormality", "lv hypertrophy"], x[6]);
            let [age, _, _, pressure, chol, _, _, rate, _] = x;
            let _ = writeln!(
                text,
                "{id},{age},{sex},{site},{cp},{pressure},{chol},{fbs},{restecg},{rate},{exang},,,,,{sick}"
            );
        }
    }
    text
}

/// Patients as a table of one's own; `labelled` or not.
pub fn csv(n: usize, seed: u64, shift: f64, labelled: bool) -> String {
    let names = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang"];
    let mut text = names.join(",") + if labelled { ",label\n" } else { "\n" };
    for (x, sick) in patients(n, seed, shift) {
        let cells: Vec<String> = x.iter().map(f64::to_string).chain(labelled.then(|| sick.to_string())).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}

/// A small classifier that knows nothing, with tables of its own.
fn cells(dir: &Path) {
    let mut noise = Noise(12);
    let tensors = [("0.weight", vec![16, 9]), ("0.bias", vec![16]), ("2.weight", vec![2, 16]), ("2.bias", vec![2])];
    let layout = Layout::of_tensors(tensors.map(|(name, shape)| (name.to_string(), shape)));
    let theta: Vec<f32> = (0..layout.len()).map(|_| 0.1 * noise.next() as f32).collect();
    fs::write(dir.join("cells.pt"), layout.to_safetensors(&theta).unwrap()).unwrap();
    for (name, n, seed, shift, labelled) in [
        ("train", 200, 7, 0.0, true),
        ("held", 120, 8, 0.0, true),
        ("today", 30, 9, 0.0, false),
        ("broken", 30, 10, 2.0, false),
    ] {
        fs::write(dir.join(format!("cells-{name}.csv")), csv(n, seed, shift, labelled)).unwrap();
    }
}

/// The same as `x [n, 9]` and `y [n]` in an archive.
fn npz(n: usize, seed: u64, shift: f64) -> Vec<u8> {
    let rows = patients(n, seed, shift);
    let array = |kind: &str, shape: String, values: Vec<u8>| {
        let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), &values].concat()
    };
    let x = rows.iter().flat_map(|(x, _)| x).flat_map(|&v| (v as f32).to_le_bytes()).collect();
    let (x, y) =
        (array("<f4", format!("({n}, 9)"), x), array("|u1", format!("({n},)"), rows.iter().map(|r| r.1).collect()));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("x.npy", x), ("y.npy", y)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Pictures in IDX files as MNIST's: a bright block whose place tells the class; `turn` gives another task.
fn pictures(dir: &Path, turn: usize) {
    let mut noise = Noise(turn as u64 + 1);
    for (part, n) in [("train", 500usize), ("t10k", 200)] {
        let header = |magic: u32, sizes: &[u32]| {
            [&[magic], sizes].concat().iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>()
        };
        let (mut images, mut labels) = (header(0x803, &[n as u32, 28, 28]), header(0x801, &[n as u32]));
        for i in 0..n {
            let at = (i % 10 * 3 + turn) % 10;
            let (top, left) = (at / 4 * 9, at % 4 * 7);
            let bright = |y: usize, x: usize| (top..top + 9).contains(&y) && (left..left + 7).contains(&x);
            let pixel = |k: usize| if bright(k / 28, k % 28) { 150.0 } else { 20.0 };
            images.extend((0..784).map(|k| (pixel(k) + 90.0 * noise.next()) as u8));
            labels.push((i % 10) as u8);
        }
        fs::write(dir.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }
}

/// A model of the user's own: rows as CSV in, probabilities out.
const MODEL: &str = "import csv, math, sys
for row in csv.DictReader(sys.stdin):
    z = 0.1 * (float(row['age']) - 54) + 0.05 * (float(row['trestbps']) - 130) - 0.05 * (float(row['thalch']) - 150)
    p = 1 / (1 + math.exp(-z))
    print(1 - p, p)
";

/// The data folder and the user's own files.
pub fn files(dir: &Path) {
    // A score of one's own: that of a network's file.
    fs::write(dir.join("score.sh"), "#!/bin/sh\nwc -c < \"$1\"\n").unwrap();
    #[cfg(unix)]
    fs::set_permissions(dir.join("score.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for set in &SETS {
        let Origin::Package(package) = set.origin else { continue };
        let folder = dir.join("data").join(set.folder);
        fs::create_dir_all(&folder).unwrap();
        for (_, name) in package.members {
            fs::write(folder.join(name), if set.name == "heart" { heart() } else { String::new() }).unwrap();
        }
    }
    pictures(&dir.join("data/mnist"), 0);
    pictures(&dir.join("data/fashion-mnist"), 1);
    for (name, n, seed, shift) in
        [("mine.npz", 300, 2, 0.0), ("train.npz", 300, 3, 0.0), ("held.npz", 120, 4, 0.0), ("new.npz", 50, 5, 0.7)]
    {
        fs::write(dir.join(name), npz(n, seed, shift)).unwrap();
    }
    for (name, n, seed) in [("mine.csv", 300, 2), ("train.csv", 300, 3), ("held.csv", 120, 4)] {
        fs::write(dir.join(name), csv(n, seed, 0.0, true)).unwrap();
    }
    fs::write(dir.join("new.csv"), csv(50, 6, 0.0, false)).unwrap();
    cells(dir);
    fs::write(dir.join("f.py"), MODEL).unwrap();
    let mut noise = Noise(9);
    for (name, n) in [("held-logits.csv", 200), ("new-logits.csv", 40)] {
        let mut text = String::from("no,yes\n");
        (0..n).for_each(|i| {
            let _ = writeln!(text, "{:.4},{:.4}", noise.next() * 2.0, (i % 2) as f64 * 3.0 + noise.next() - 1.0);
        });
        fs::write(dir.join(name), text).unwrap();
    }
    parts(dir);
    let net = Preset::Mlp { widths: vec![16, 16, 16] }.build([9, 1, 1], 2).unwrap();
    fs::write(dir.join("net.toml"), toml::to_string(&net).unwrap()).unwrap();
    fs::write(dir.join("fit.toml"), "steps = 30\nbatch = 32\n").unwrap();
    fs::write(
        dir.join("zoo.toml"),
        "runs = 4\narchitecture = \"digits\"\ndata = \"digits\"\nrecipe = { length = { steps = 20 } }\n",
    )
    .unwrap();
}

/// What other programs wrote: the networks of the zoo in `zoo` as files of their own, every checkpoint of a run in a folder of `runs`, and the
/// last of each in `finals`.
pub fn written(dir: &Path, zoo: &str, runs: &str, finals: &str) {
    let zoo = ZooStore::open(&dir.join(zoo)).unwrap();
    let k = zoo.checkpoints();
    for run in 0..zoo.runs() {
        let trajectory = zoo.trajectory(run).unwrap();
        for (step, theta) in trajectory.chunks_exact(zoo.parameters()).enumerate() {
            let save = |path: PathBuf| {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, zoo.layout().to_safetensors(theta).unwrap()).unwrap();
            };
            save(dir.join(format!("{runs}/run-{run}/step-{step}.safetensors")));
            if step + 1 == k {
                save(dir.join(format!("{finals}/net-{run}.safetensors")));
            }
        }
    }
}

/// Fine-tuned networks, whole and as heads alone, with what they were tuned from; and adapters of one.
fn parts(dir: &Path) {
    let mut noise = Noise(11);
    let mut save = |path: &str, tuned: bool, names: &[&str]| {
        let layout = Layout::of_tensors(names.iter().map(|name| (name.to_string(), vec![2, 2])));
        let mut theta = Vec::new();
        for name in names {
            let moves = tuned && !name.starts_with("conv1.");
            theta.extend((0..4).map(|i| i as f32 + if moves { noise.next() as f32 } else { 0.0 }));
        }
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, layout.to_safetensors(&theta).unwrap()).unwrap();
    };
    let whole = ["conv1.weight", "layer1.bn1.weight", "layer4.conv.weight", "fc.weight"];
    save("resnet.safetensors", false, &whole);
    for i in 0..4 {
        save(&format!("resnets/net-{i}.safetensors"), true, &whole);
        save(&format!("heads/net-{i}.safetensors"), true, &whole[3..]);
        let adapter = format!("adapters/run-{i}/adapter_model.safetensors");
        save(&adapter, true, &["q.lora_A.weight", "q.lora_B.weight"]);
        let config = r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4}"#;
        fs::write(dir.join(adapter).with_file_name("adapter_config.json"), config).unwrap();
    }
}

/// A copy of a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
