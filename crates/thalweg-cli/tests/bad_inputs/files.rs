//! The wrong files that rows name, small ones made here; the good ones are those of `support`.
use crate::support::done;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A safetensors file of the given header and data.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn csv(rows: usize, cell: impl Fn(usize) -> String) -> String {
    (0..rows).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "{}", cell(i));
        text
    })
}

/// Writes all of them into `dir`, where the good ones lie.
pub fn write(dir: &Path) {
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    data(&put);
    texts(&put);
    networks(dir, &put);
    damaged(dir, &put);
}

type Put<'a> = &'a dyn Fn(&str, &[u8]);

fn data(put: Put) {
    put("empty.csv", b"");
    put("header.csv", b"a,b,label\n");
    put("rag.csv", b"a,b,label\n1,2,0\n1,2\n");
    put("words.csv", b"a,b,label\n1,two,0\n3,4,1\n");
    put("latin.csv", b"a,b,label\n1,2,caf\xe9\n");
    put("good.csv", ("a,b,label\n".to_owned() + &csv(120, |i| format!("{},{},{}", i % 13, i % 7, i % 2))).as_bytes());
    put("regression.csv", ("a,y\n".to_owned() + &csv(90, |i| format!("{i},{}.5", i * 3))).as_bytes());
    put("twice.csv", b"a,a,label\n1,2,0\n3,4,1\n");
    put("idx/train-images-idx3-ubyte", b"\x00\x00\x08\x03\x00\x00\x00\x02");
    put("idx/train-labels-idx1-ubyte", b"\x00\x00\x08\x01\x00\x00\x00\x02\x00\x01");
    put("not.npz", b"PK\x03\x04 this is no archive");
    put("not.gz.csv", b"\x1f\x8b\x08\x00 this is no gzip");
    put("cifar/data_batch_1.bin", &[11; 3073]);
    put("l-words.csv", b"p,q\n0.5,high\n");
    put("l-one.csv", b"0.5\n1.5\n-3\n");
    put("l-few.csv", b"0.5,1.5\n-3,2\n");
    put("l-percent.csv", b"25,75\n40,60\n12,88\n50,50\n10,90\n");
    put("l-rag.csv", b"0.5,1.5\n-3,2,4\n");
    put("l-good.csv", csv(200, |i| format!("{}.5,{}.25", i % 17, (i * 7) % 23)).as_bytes());
    put("l-three.csv", csv(20, |i| format!("{}.5,{}.25,1", i % 17, i % 23)).as_bytes());
}

fn texts(put: Put) {
    put("broken.toml", b"runs = = 3\n");
    put("list.toml", b"[[layers]]\n");
    put("kind.toml", b"name = \"n\"\ninput = [1, 8, 8]\n[[layers]]\nname = \"a\"\noperation = \"magic\"\n");
    put("unknown.toml", b"runs = 2\nspeed = 3\narchitecture = \"digits\"\ndata = \"digits\"\n");
    put("type.toml", b"runs = \"many\"\narchitecture = \"digits\"\ndata = \"digits\"\n");
    put("zero.toml", b"runs = 0\narchitecture = \"digits\"\ndata = \"digits\"\n");
    put("nested.toml", &[b"a = ".to_vec(), vec![b'['; 5000]].concat());
    put("binary.toml", b"\xff\xfe\x00\x01");
    put("fit.toml", b"steps = 3\nstpes = 4\n");
    put("tune.toml", b"iterations = -1\n");
    put("text.txt", b"hello\n");
}

fn networks(dir: &Path, put: Put) {
    put("hello.safetensors", b"hello");
    put("empty.safetensors", b"");
    put("cut.safetensors", &fs::read(dir.join("nets/network-00000.safetensors")).unwrap()[..600]);
    put("long.safetensors", &safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", &[0; 8]));
    put("ints.safetensors", &safetensors("{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", &[0; 8]));
    put("other.safetensors", &safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", &[0; 8]));
    let nan = [f32::NAN.to_le_bytes(), 1f32.to_le_bytes()].concat();
    put("nan/a.safetensors", &safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", &nan));
    let one = fs::read(dir.join("other.safetensors")).unwrap();
    put("uneven/a/0.safetensors", &one);
    put("uneven/a/1.safetensors", &one);
    put("uneven/b/0.safetensors", &one);
    put("mixed/a/0.safetensors", &one);
    put("mixed/b.safetensors", &one);
    put("shapes/a.safetensors", &one);
    put(
        "shapes/b.safetensors",
        &safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", &[0; 4]),
    );
    put("pickles/a.pt", b"PK\x03\x04");
    put("shards/model-00001-of-00003.safetensors", &one);
    put("index/model.safetensors.index.json", b"{\"weight_map\": 3}");
    put("index/model-00001-of-00001.safetensors", &one);
    fs::create_dir(dir.join("hollow")).unwrap();
    put("notes/readme.txt", b"nothing here\n");
}

/// Copies of good folders with one thing wrong.
fn damaged(dir: &Path, put: Put) {
    let copy = |from: &str, to: &str| {
        for entry in fs::read_dir(dir.join(from)).unwrap() {
            let entry = entry.unwrap();
            put(&format!("{to}/{}", entry.file_name().to_string_lossy()), &fs::read(entry.path()).unwrap());
        }
    };
    let flip = |name: &str| {
        let mut bytes = fs::read(dir.join(name)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 4;
        put(name, &bytes);
    };
    copy("zoo", "zoo-flipped");
    flip("zoo-flipped/shard-00001.safetensors");
    copy("zoo", "zoo-short");
    fs::remove_file(dir.join("zoo-short/shard-00002.safetensors")).unwrap();
    copy("zoo", "zoo-edited");
    let text = fs::read_to_string(dir.join("zoo/zoo.toml")).unwrap();
    put("zoo-edited/zoo.toml", text.replacen("batch = 16", "batch = 17", 1).as_bytes());
    copy("zoo", "zoo-swapped");
    put("zoo-swapped/shard-00000.safetensors", &fs::read(dir.join("zoo/shard-00001.safetensors")).unwrap());
    copy("model", "model-flipped");
    flip("model-flipped/model.safetensors");
    copy("model", "model-bare");
    fs::remove_file(dir.join("model-bare/model.safetensors")).unwrap();
    copy("model", "model-edited");
    let text = fs::read_to_string(dir.join("model/model.toml")).unwrap();
    put("model-edited/model.toml", text.replacen("steps = 40", "steps = 41", 1).as_bytes());
    copy("model", "model-swapped");
    put("model-swapped/model.safetensors", &fs::read(dir.join("latent/model.safetensors")).unwrap());
    let calibration = fs::read(dir.join("c.cal")).unwrap();
    put("flipped.cal", &calibration);
    flip("flipped.cal");
    put("cut.cal", &calibration[..calibration.len() / 2]);
    let stack = fs::read(dir.join("s.safetensors")).unwrap();
    put("flipped.safetensors", &stack);
    flip("flipped.safetensors");
    done(
        dir,
        "zoo train --arch mlp --widths 4 --data csv:good.csv --runs 4 --steps 40 --checkpoints 3 --kind shared --out zoo-csv -q",
    );
    done(dir, "shift calibrate --logits l-good.csv -n 10 --null 99 --out l.cal -q");
}
