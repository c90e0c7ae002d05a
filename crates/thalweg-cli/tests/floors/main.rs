//! Holds the imports of every crate against the floors that ARCHITECTURE.md draws: no file of a lower floor imports one of a higher or of its
//! own floor, and no files import each other in a circle.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
mod floors;
mod fused;
mod imports;
mod words;

use floors::Floors;
use imports::Crate;
use std::fs;
use std::path::Path;

const CRATES: [&str; 5] = ["thalweg-nets", "thalweg", "thalweg-burn", "thalweg-cli", "thalweg-py"];

#[test]
fn imports_follow_the_floors_that_the_architecture_draws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut faults = Vec::new();
    for name in CRATES {
        let read = Crate::read(&root.join("crates").join(name).join("src"));
        faults.extend(read.circles().into_iter().map(|circle| format!("{name}: files in a circle: {circle}")));
        match Floors::of(&map, name) {
            Some(floors) => faults.extend(floors.faults(&read).into_iter().map(|fault| format!("{name}: {fault}"))),
            None => faults.push(format!("ARCHITECTURE.md draws no floors of {name} (a block ```floors {name})")),
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_python_package_knows_the_program_in_one_file_alone() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../thalweg-py/src");
    let paths = fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path());
    let naming = paths.filter(|path| fs::read_to_string(path).unwrap().contains("thalweg_cli"));
    let names: Vec<_> = naming.map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["program.rs"]);
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut folders, mut long) = (vec![crates], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                long.extend((lines > 400).then(|| format!("{}: {lines} lines, more than 400", path.display())));
            }
        }
    }
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

/// Lines of a file, its tests left out.
fn lines_of_code(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// Commands under `dir` that do more than read flags, have the work done and tell.
fn thick(dir: &Path) -> Vec<String> {
    let (mut folders, mut thick) = (vec![dir.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if lines_of_code(&path) > 120 {
                thick.push(format!("{}: {} lines, more than 120", path.display(), lines_of_code(&path)));
            }
        }
    }
    thick
}

#[test]
fn commands_are_thin() {
    let thick = thick(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands"));
    assert!(thick.is_empty(), "what a command does belongs into work/ or the library:\n{}", thick.join("\n"));
}

#[test]
fn a_thick_command_is_found_and_its_tests_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("zoo")).unwrap();
    let (code, test) = ("fn f() {}\n".repeat(120), "#[cfg(test)]\nmod tests {}\n".repeat(9));
    fs::write(dir.path().join("thin.rs"), format!("{code}{test}")).unwrap();
    assert!(thick(dir.path()).is_empty());
    fs::write(dir.path().join("zoo/thick.rs"), format!("{code}fn g() {{}}\n{test}")).unwrap();
    assert!(matches!(&thick(dir.path())[..], [one] if one.ends_with("thick.rs: 121 lines, more than 120")));
}

/// Commands of the program.
const COMMANDS: [&str; 12] =
    ["data", "demo", "encode", "eval", "fit", "gather", "reproduce", "sample", "shift", "submit", "tune", "zoo"];

#[test]
fn the_libraries_do_not_speak_of_the_program() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // The card of a model tells whoever finds the folder what to do with it.
    for (name, exempt) in [("thalweg-nets", &[][..]), ("thalweg", &["model/card.rs"])] {
        let found = words::of_the_program(&crates.join(name).join("src"), &COMMANDS, exempt);
        let remedy = "name what would be valid in the library's own terms; complain.rs of the program adds the way out";
        assert!(found.is_empty(), "{name}: {remedy}:\n{}", found.join("\n"));
    }
}

#[test]
fn what_speaks_of_the_program_is_found_wherever_it_is_said() {
    let found = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.rs"), text).unwrap();
        words::of_the_program(dir.path(), &COMMANDS, &[])
    };
    for guilty in [
        "fn f() -> String { format!(\"run with \\\"a\\\" and --resume: {}\", 1) }",
        "const A: &str = \"fit one with `thalweg fit`\";",
        "#[error(\"exists (--force replaces it)\")] struct E;",
        "enum E { #[error(\"see thalweg data list\")] A }",
    ] {
        assert_eq!(found(guilty).len(), 1, "{guilty}");
    }
    for fine in [
        "/// See `thalweg fit --resume`.\nfn f() {}",
        "const FORMAT: &str = \"thalweg shift calibration 6\";",
        "const A: [&str; 2] = [\"--silent\", \"a thalweg is a line\"];",
        "#[cfg(test)] mod tests { const A: &str = \"run with --resume\"; }",
        "fn f(a: i32) -> bool { assert!(a - -a > 0); true }",
    ] {
        assert!(found(fine).is_empty(), "{fine}");
    }
}

#[test]
fn the_index_of_the_methods_leads_to_files_that_cite_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("book/src/mathematics.md")).unwrap();
    let rows = text.lines().skip_while(|line| *line != "## Index").filter(|line| line.starts_with("| M"));
    let mut numbers = 0;
    for row in rows {
        let (number, files) = row.trim_matches(['|', ' ']).split_once('|').unwrap();
        let mut source = root.join("crates/thalweg/src");
        for name in files.split('`').skip(1).step_by(2) {
            if CRATES.contains(&name) {
                source = root.join("crates").join(name).join("src");
                continue;
            }
            let path = source.join(name);
            assert!(path.exists(), "{row}: no {}", path.display());
            let cites = |path: &Path| fs::read_to_string(path).unwrap().contains(number.trim());
            let any = if path.is_dir() {
                fs::read_dir(&path).unwrap().any(|e| e.as_ref().is_ok_and(|e| e.path().is_file() && cites(&e.path())))
            } else {
                true
            };
            assert!(any, "{row}: no file of {} cites {number}", path.display());
        }
        numbers += 1;
    }
    assert_eq!(numbers, 24);
}

/// A crate of these files.
fn planted(files: &[(&str, &str)]) -> Crate {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Crate::read(dir.path())
}

const MAP: &str = "Text.\n\n```floors planted\nroof\nattic | loft\ncellar\n```\n";

#[test]
fn a_circle_is_found_through_re_exports_bodies_and_macros() {
    let circle = |low: &str| {
        let high = "mod low;\npub use low::Low;\npub struct High;\n";
        planted(&[("lib.rs", "mod room;\n"), ("room/mod.rs", high), ("room/low.rs", low)]).circles()
    };
    // A signpost alone is no use, so the child may use what its parent defines.
    assert!(circle("use super::High;\npub struct Low(High);\n").is_empty());
    for body in ["use crate::b::B;", "fn f() { crate::b::B::new(); }", "fn f() { println!(\"{}\", crate::b::B); }"] {
        let b = "use super::a::A;\npub struct B(A);\n";
        let files = [("lib.rs", "mod a;\nmod b;\n"), ("a.rs", &format!("{body}\npub struct A;\n")[..]), ("b.rs", b)];
        assert_eq!(planted(&files).circles(), ["a, b"], "{body}");
    }
    let through = [
        ("lib.rs", "mod a;\nmod house;\n"),
        ("a.rs", "use crate::house::B;\npub struct A;\n"),
        ("house/mod.rs", "mod b;\npub use b::B;\n"),
        ("house/b.rs", "use crate::a::A;\npub struct B(A);\n"),
    ];
    assert_eq!(planted(&through).circles(), ["a, house::b"]);
    // Tests may look anywhere.
    let tests = [
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "pub struct A;\n#[cfg(test)]\nmod tests {\n use crate::b::B;\n}\n"),
        ("b.rs", "use crate::a::A;\npub struct B(A);\n"),
    ];
    assert!(planted(&tests).circles().is_empty());
}

#[test]
fn an_import_upward_or_on_one_floor_is_found_and_every_room_must_be_drawn() {
    let floors = Floors::of(MAP, "planted").unwrap();
    assert!(Floors::of(MAP, "other").is_none());
    let with = |cellar: &str, attic: &str| {
        let lib = "mod roof;\nmod attic;\nmod loft;\nmod cellar;\n";
        let files = [
            ("lib.rs", lib),
            ("roof.rs", "use crate::cellar::C;"),
            ("attic.rs", attic),
            ("loft.rs", "pub struct L;"),
            ("cellar.rs", cellar),
        ];
        floors.faults(&planted(&files))
    };
    assert!(with("pub struct C;", "use crate::cellar::C;").is_empty());
    assert_eq!(with("use crate::roof::R;", ""), ["cellar imports roof, which is above it"]);
    assert_eq!(with("", "use crate::loft::L;"), ["attic imports loft, which is on its floor"]);
    let unknown = floors.faults(&planted(&[
        ("lib.rs", "mod shed;\nmod roof;\nmod attic;\nmod loft;\n"),
        ("shed.rs", ""),
        ("roof.rs", ""),
        ("attic.rs", ""),
        ("loft.rs", ""),
    ]));
    assert_eq!(unknown, ["shed stands on no floor", "cellar is drawn and is not there"]);
}
