//! What happens with data that are not what they say: every case asserts that the message names the file, the field, what was expected and
//! what was found.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
use std::io::{Cursor, Write};
use std::path::Path;
use thalweg_nets::data::{Corruption, DataSpec};
use zip::{ZipWriter, write::SimpleFileOptions};

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

fn images(n: u32, pixels: usize) -> Vec<u8> {
    [&[0, 0, 8, 3][..], &n.to_be_bytes(), &2u32.to_be_bytes(), &2u32.to_be_bytes(), &vec![7; pixels]].concat()
}

fn labels(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1][..], &(labels.len() as u32).to_be_bytes(), labels].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn cut(mut bytes: Vec<u8>, end: usize) -> Vec<u8> {
    bytes.truncate(end);
    bytes
}

fn npy(dtype: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), values].concat()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Files of one case, the data text (`*` stands for the folder), and what the message must hold.
type Case<'a> = (&'a str, Vec<(&'a str, Vec<u8>)>, &'a str, &'a [&'a str]);

fn idx<'a>(name: &'a str, x: Vec<u8>, y: Vec<u8>, parts: &'a [&'a str]) -> Case<'a> {
    (name, vec![(IMAGES, x), (LABELS, y)], "mnist:*", parts)
}

fn numpy<'a>(name: &'a str, x: Vec<u8>, y: Vec<u8>, parts: &'a [&'a str]) -> Case<'a> {
    (name, vec![("d.npz", npz(&[("x", x), ("y", y)]))], "npz:*/d.npz", parts)
}

fn csv<'a>(name: &'a str, text: &str, parts: &'a [&'a str]) -> Case<'a> {
    (name, vec![("d.csv", text.as_bytes().to_vec())], "csv:*/d.csv", parts)
}

fn message(folder: &Path, files: &[(&str, Vec<u8>)], text: &str) -> String {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let text = text.replace('*', &folder.to_string_lossy());
    match DataSpec::parse(&text).and_then(|spec| spec.load()) {
        Ok(_) => format!("{text} was taken for good"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn every_bad_file_is_named_with_field_expected_and_found() {
    let two = || labels(&[0, 1]);
    let y = || npy("|u1", "(2,)", &[0, 1]);
    let batches = |last: Vec<u8>| -> Vec<(&str, Vec<u8>)> {
        let names = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin"];
        names.iter().map(|name| (*name, vec![0; 3073])).chain([("data_batch_5.bin", last)]).collect()
    };
    let cases: Vec<Case> = vec![
        idx("cut header", cut(images(2, 8), 10), two(), &[IMAGES, "header", "16 bytes", "10 bytes"]),
        idx("empty file", vec![], two(), &[IMAGES, "header", "0 bytes"]),
        idx("sizes that lie upwards", images(3, 8), two(), &[IMAGES, "sizes", "12 bytes", "[3, 2, 2]", "8 bytes"]),
        idx("sizes that lie downwards", images(1, 8), two(), &[IMAGES, "sizes", "4 bytes", "8 bytes"]),
        idx("sizes beyond memory", images(u32::MAX, 8), two(), &[IMAGES, "17179869180 bytes", "8 bytes"]),
        idx("labels in the place of images", two(), two(), &[IMAGES, "header", "16 bytes", "10 bytes"]),
        idx(
            "wrong magic",
            [vec![0, 0, 9, 3], vec![0; 20]].concat(),
            two(),
            &[IMAGES, "magic", "00 00 08 03", "00 00 09 03"],
        ),
        idx(
            "more images than labels",
            images(3, 12),
            two(),
            &[LABELS, "number of labels", "3, one label", IMAGES, "found 2"],
        ),
        idx("a label that is no class", images(2, 8), labels(&[0, 10]), &[LABELS, "label 1", "below 10", "found 10"]),
        idx("gzip cut off", cut(gzip(&images(2, 8)), 20), two(), &[IMAGES, "gzip", "a whole gzip file"]),
        idx(
            "gzip damaged",
            {
                let mut g = gzip(&images(2, 8));
                g[14] ^= 0xff;
                g
            },
            two(),
            &[IMAGES, "gzip"],
        ),
        idx("no rows", images(0, 0), labels(&[]), &[IMAGES, "at least one image", "[0, 2, 2]"]),
        ("test part missing", vec![(IMAGES, images(2, 8)), (LABELS, two())], "mnist:*", &["t10k-images", "mnist:DIR"]),
        ("no folder", vec![], "mnist:*/none", &["/none", "train-images", "mnist:DIR", "no such folder"]),
        ("cifar size", batches(vec![0; 3072]), "cifar10:*", &["data_batch_5.bin", "multiple of 3073", "3072"]),
        (
            "cifar label",
            batches(vec![10; 3073]),
            "cifar10:*",
            &["data_batch_5.bin", "label of record 0", "below 10", "10"],
        ),
        (
            "cifar batch missing",
            vec![("data_batch_1.bin", vec![0; 3073])],
            "cifar10:*",
            &["data_batch_2.bin", "cifar10:DIR"],
        ),
        ("no archive", vec![("d.npz", b"PK no".to_vec())], "npz:*/d.npz", &["d.npz", "archive", "npz"]),
        (
            "array missing",
            vec![("d.npz", npz(&[("x", y()), ("z", y())]))],
            "npz:*/d.npz",
            &["d.npz", "array y", "x, z", "none"],
        ),
        numpy(
            "labels of floats",
            npy("<f4", "(2, 1)", &floats(&[0.0; 2])),
            npy("<f4", "(2,)", &floats(&[0.0; 2])),
            &["array y", "integer", "floats"],
        ),
        numpy("dtype of objects", npy("|O", "(2, 1)", &[0; 16]), y(), &["array x", "dtype", "'|O'"]),
        numpy(
            "shape that lies",
            npy("<f4", "(2, 3)", &floats(&[0.0; 2])),
            y(),
            &["array x", "24 bytes", "[2, 3]", "8 bytes"],
        ),
        numpy(
            "fewer rows than labels",
            npy("<f4", "(1, 2)", &floats(&[0.0; 2])),
            y(),
            &["d.npz", "labels", "1 labels", "found 2"],
        ),
        numpy("rank 1", npy("<f4", "(2,)", &floats(&[0.0; 2])), y(), &["array x: shape", "[N, D]", "[2]"]),
        numpy(
            "NaN",
            npy("<f4", "(2, 2)", &floats(&[0.0, 1.0, 2.0, f32::NAN])),
            y(),
            &["array x: row 1, column 1", "finite", "NaN"],
        ),
        numpy(
            "negative label",
            npy("<f4", "(2, 1)", &floats(&[0.0; 2])),
            npy("<i4", "(2,)", &[0, 0, 0, 0, 255, 255, 255, 255]),
            &["array y[1]", "-1"],
        ),
        numpy("no rows at all", npy("<f4", "(0, 4)", &[]), npy("|u1", "(0,)", &[]), &["array x: shape", "[0, 4]"]),
        csv("text in a numeric column", "a,label\n1,x\ntwo,y\n", &["d.csv", "line 3", "'a'", "finite number", "'two'"]),
        csv("a missing value", "a,label\n1,x\n,y\n", &["d.csv", "line 3", "'a'", "missing"]),
        csv("infinite", "a,label\n1,x\ninf,y\n", &["line 3", "finite", "'inf'"]),
        csv("a ragged row", "a,b,label\n1,2,x\n1,y\n", &["d.csv", "line 3", "3 cells", "2"]),
        csv("no label column", "a,b\n1,2\n", &["d.csv", "header", "'label'", "a, b"]),
        csv("a missing label", "a,label\n1,x\n2,None\n", &["line 3", "'label'", "a label", "'None' (missing)"]),
        csv("a label of no value in capitals", "a,label\n1,0\n2,NULL\n", &["line 3", "'NULL' (missing)"]),
        csv("semicolons", "a;b;label\n1;2;x\n", &["line 1", "names between commas", "';'"]),
        csv("nothing but an index", "id,label\n1,x\n2,y\n", &["at least one feature", "'id'", "index"]),
        csv("too large for 32 bits", "a,label\n1e300,x\n", &["line 2", "finite", "1e300"]),
        (
            "a column to leave out that is not there",
            vec![("d.csv", b"a,label\n1,x\n".to_vec())],
            "csv:*/d.csv@drop=b",
            &["header", "'b'", "a, label"],
        ),
        (
            "another column of labels",
            vec![("d.csv", b"a,label\n1,x\n".to_vec())],
            "csv:*/d.csv@label=target",
            &["'target'", "@label=NAME", "a, label"],
        ),
        (
            "another array of labels",
            vec![("d.npz", npz(&[("x", y()), ("z", y())]))],
            "npz:*/d.npz@y=t",
            &["array t", "x, z", "@y=NAME"],
        ),
        (
            "a slip in an option",
            vec![("d.csv", b"a,label\n1,x\n".to_vec())],
            "csv:*/d.csv@lable=x",
            &["label=NAME", "@lable=x"],
        ),
        ("a folder in the place of a file", vec![], "csv:*", &["a regular file", "found a folder"]),
        (
            "gzip with something behind it",
            vec![("d.csv", [gzip(b"a,label\n1,x\n"), b"\0\0more".to_vec()].concat())],
            "csv:*/d.csv",
            &["d.csv", "behind the end of the gzip stream"],
        ),
        (
            "images that no machine holds",
            vec![],
            "digits@area=4096",
            &["side = 4096", "120594628608 bytes", "half of the memory budget"],
        ),
        csv("a name twice", "a,a,label\n1,2,x\n", &["d.csv", "header", "'a' twice"]),
        csv("only a header", "a,label\n", &["d.csv", "at least one row"]),
        csv("nothing", "", &["d.csv", "line 1", "header"]),
        ("not UTF-8", vec![("d.csv", b"a,label\n1,\xff\xfe\n".to_vec())], "csv:*/d.csv", &["d.csv", "line 2", "UTF-8"]),
        ("no file", vec![], "csv:*/none.csv", &["cannot read", "none.csv"]),
        (
            "heart without columns",
            vec![("heart_disease_uci.csv", b"id,age\n".to_vec())],
            "heart:*",
            &["heart_disease_uci.csv", "'dataset'", "id, age"],
        ),
        (
            "wine that lies",
            vec![("wine_data.csv", b"2,1,a,b\n1.5,0\n".to_vec())],
            "wine:*",
            &["wine_data.csv", "rows", "2, as line 1 says", "1"],
        ),
        (
            "silhouettes of something else",
            vec![("animal_data_version_3.gz", gzip(b"boo")), ("animal_label_version_3.gz", gzip(b"boo"))],
            "silhouettes:*",
            &["animal_data", "pickle", "3 bytes"],
        ),
        ("unknown name", vec![], "emnist", &["data", "fashion-mnist", "npz:PATH", "emnist"]),
        ("a format without its path", vec![], "csv", &["data.folder", "csv:PATH"]),
    ];
    assert!(cases.len() >= 50);
    for (name, files, text, parts) in cases {
        let folder = tempfile::tempdir().unwrap();
        let message = message(folder.path(), &files, text);
        for part in parts {
            assert!(message.contains(part), "{name}: no '{part}' in: {message}");
        }
    }
}

#[test]
fn wrong_parameters_are_named_with_their_range() {
    let error = |toml: &str| {
        let spec: DataSpec = toml::from_str(toml).map_err(|e| e.to_string())?;
        spec.load().map(|_| ()).map_err(|e| e.to_string())
    };
    for (toml, parts) in [
        ("name = \"digits\"\ntrain = 5000", &["data.train", "at most 1079", "5000"][..]),
        ("name = \"digits\"\nvalidation = 1438", &["data.validation", "1797 rows", "1438"]),
        ("name = \"digits\"\nvalidation = 0", &["data.validation", "at least one row"]),
        ("name = \"digits\"\nsite = \"hungary\"", &["data.site", "heart"]),
        ("name = \"heart\"\nsite = \"vienna\"", &["vienna", "cleveland"]),
        ("name = \"digits\"\nlabel = \"y\"", &["data.label", "csv and npz"]),
        ("name = \"digits\"\nfolder = \"/x\"", &["data.folder", "within the program", "/x"]),
        ("name = \"digits\"\nfit = { kind = \"crop\", side = 9 }", &["data.fit.side", "from 1 to 8", "9"]),
        ("name = \"digits\"\nfit = { kind = \"squeeze\", side = 9 }", &["squeeze", "area"]),
        ("name = \"digits\"\ntrian = 3", &["trian"]),
        ("train = 3", &["name"]),
    ] {
        let message = error(toml).unwrap_err();
        for part in parts {
            assert!(message.contains(part), "{toml}: no '{part}' in: {message}");
        }
    }
    assert!(Corruption::named("fog", 1).unwrap_err().to_string().contains("rotation, translation, blur"));
    assert!(Corruption::named("blur", 9).unwrap_err().to_string().contains("from 0 to 5, found 9"));
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_before_they_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("p");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for text in [format!("csv:{}", pipe.display()), format!("npz:{}", pipe.display()), "csv:/dev/zero".into()] {
        let message = message(folder.path(), &[], &text);
        assert!(
            message.contains("a regular file") && (message.contains("pipe") || message.contains("device")),
            "{message}"
        );
    }
}

/// A CSV file of `rows` rows with features a and b and labels from `label`.
fn rows(path: &Path, header: &str, rows: usize, label: impl Fn(usize) -> String) {
    let line = |i: usize| format!("{},{},{}\n", (i * 7 % 11) as f32, (i * 5 % 13) as f32 - 3.0, label(i));
    std::fs::write(path, header.to_owned() + "\n" + &(0..rows).map(line).collect::<String>()).unwrap();
}

#[test]
fn data_tied_to_a_record_are_given_again_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    let word = |i: usize| ["no", "yes"][i % 2].to_owned();
    rows(&path, "a,b,label", 40, word);
    let spec = DataSpec::parse(&format!("csv:{}", path.display())).unwrap();
    let first = spec.load().unwrap();
    assert_eq!(
        (first.record.feature_names.join(","), first.record.class_names.join(",")),
        ("a,b".into(), "no,yes".into())
    );
    let bound = spec.bound(&first.record);
    assert_eq!(bound.load().unwrap().record, first.record);
    // The same rows with their columns in another order are the same data.
    let text = std::fs::read_to_string(&path).unwrap();
    let swapped: String = text
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|cells| format!("{},{},{}\n", cells[2], cells[1], cells[0]))
        .collect();
    std::fs::write(&path, swapped).unwrap();
    assert_eq!(bound.load().unwrap().test.inputs, first.test.inputs);
    // Other labels, fewer rows, other columns are not.
    rows(&path, "a,b,label", 40, |i| word(i / 2));
    let said = || bound.load().unwrap_err().to_string();
    assert!(said().contains("checksum") && said().contains("d.csv"), "{}", said());
    rows(&path, "a,b,label", 30, word);
    assert!(said().contains("24 + 8 + 8") && said().contains("18 + 6 + 6"), "{}", said());
    rows(&path, "a,c,label", 40, word);
    assert!(said().contains("a, b") && said().contains("a, c"), "{}", said());
}

#[test]
fn other_data_are_seen_as_the_networks_expect() {
    let folder = tempfile::tempdir().unwrap();
    let [home, other] = ["home.csv", "other.csv"].map(|name| folder.path().join(name));
    rows(&home, "a,b,label", 40, |i| ["no", "yes"][i % 2].to_owned());
    rows(&other, "b,a,label", 20, |_| "yes".to_owned());
    let spec = |path: &Path| DataSpec::parse(&format!("csv:{}", path.display())).unwrap();
    let home = spec(&home).load().unwrap().record;
    let seen = spec(&other).load_as(&home).unwrap();
    assert_eq!((seen.record.normalisation.clone(), seen.test.classes), (home.normalisation.clone(), 2));
    // A file that only says yes says class 1, not class 0.
    assert!(seen.train.labels.iter().all(|&label| label == 1));
    // The first column of the networks is a, which stands second there: 5 i mod 13, less 3.
    let n = &home.normalisation;
    let raw: Vec<f32> = seen.train.inputs.chunks(2).map(|row| row[0] * n.std[0] + n.mean[0] + 3.0).collect();
    let expected = |v: f32| (0..20).any(|i| ((i * 5 % 13) as f32 - v).abs() < 1e-4);
    assert!(raw.iter().all(|&v| expected(v)), "{raw:?}");
    assert!(seen.train.notes.iter().any(|note| note.contains("differ")), "{:?}", seen.train.notes);
    rows(&other, "a,b,label", 20, |_| "maybe".to_owned());
    let said = spec(&other).load_as(&home).unwrap_err().to_string();
    assert!(said.contains("no, yes") && said.contains("'maybe'"), "{said}");
    // Where nobody needs labels, they may be unknown or absent.
    assert_eq!(spec(&other).load_unlabelled(Some(&home)).unwrap().labels, None);
    rows(&other, "b,a,note", 20, |_| "9".to_owned());
    let free = spec(&other).load_unlabelled(Some(&home)).unwrap();
    assert_eq!((free.len(), free.labels.clone(), &free.normalisation), (20, None, &home.normalisation));
}

#[test]
fn what_a_user_should_know_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |text: &str| {
        std::fs::write(folder.path().join("d.csv"), text).unwrap();
        let spec = DataSpec::parse(&format!("csv:{}", folder.path().join("d.csv").display())).unwrap();
        let splits = spec.load().unwrap();
        (splits.record, splits.train.notes.join("; "))
    };
    let lines = |of: &dyn Fn(usize) -> String| (0..12).map(of).collect::<String>();
    let (record, notes) = told(&format!(",a,label\n{}", lines(&|i| format!("{i},{},{}\n", i * i, i % 2))));
    assert_eq!(record.feature_names, ["a"]);
    assert!(notes.contains("index") && notes.contains("no name"), "{notes}");
    let (record, notes) = told(&format!("a,c,label\n{}", lines(&|i| format!("{i},4,{}\n", ["1", "1.0", "0"][i % 3]))));
    assert_eq!(record.class_names, ["0", "1"]);
    assert!(notes.contains("'1' and '1.0'") && notes.contains("constant") && notes.contains("'c'"), "{notes}");
    let (x, y) = (floats(&[0.0, 1.0, 2.0, 3.0, 4.0]), [1, 2, 1, 2, 1]);
    let arrays = [("x", npy("<f4", "(5, 1)", &x)), ("y", npy("|u1", "(5,)", &y))];
    std::fs::write(folder.path().join("d.npz"), npz(&arrays)).unwrap();
    let spec = DataSpec::parse(&format!("npz:{}", folder.path().join("d.npz").display())).unwrap();
    let notes = spec.load().unwrap().train.notes.join("; ");
    assert!(notes.contains("no row is of class 0") && notes.contains("3 classes"), "{notes}");
}
