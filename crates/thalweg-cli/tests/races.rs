//! Two processes on one output: one makes it, the other refuses, whatever the command.
#![allow(clippy::unwrap_used)] // helpers of tests, outside of any #[test]
#![cfg(unix)]
mod support;

use std::fs;
use std::process::Stdio;
use support::{JOBS, difference, done, inputs, promised, thalweg};

#[test]
fn of_two_processes_on_one_output_one_makes_it_and_one_refuses() {
    let home = tempfile::tempdir().unwrap();
    inputs(home.path());
    for job in &JOBS {
        let folder = |name: &str| {
            let dir = home.path().join(format!("{}-{name}", job.name));
            fs::create_dir(&dir).unwrap();
            dir
        };
        let (alone, both) = (folder("alone"), folder("both"));
        // As another thalweg would hold it: the folder itself, or the file's temporary neighbour. No command waits for it.
        let held = if job.file {
            fs::File::create(alone.join(".out.part")).unwrap()
        } else {
            fs::create_dir(alone.join("out")).unwrap();
            fs::File::open(alone.join("out")).unwrap()
        };
        held.lock().unwrap();
        for flag in ["", "--force", "--resume"].iter().filter(|flag| **flag != "--resume" || job.resumes) {
            let output = thalweg(&alone, &job.line(flag)).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{} {flag}: {said}", job.name);
            assert!(said.contains("out") && said.contains("another process"), "{} {flag}: {said}", job.name);
        }
        // Let go of, it stands in nobody's way.
        drop(held);
        done(&alone, &job.line(""));
        assert!(!alone.join(".out.part").exists(), "{}", job.name);
        let children = [0, 1].map(|_| thalweg(&both, &job.line("")).stderr(Stdio::piped()).spawn().unwrap());
        let outputs = children.map(|child| child.wait_with_output().unwrap());
        let said: Vec<String> = outputs.iter().map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).collect();
        let mut codes = outputs.map(|output| output.status.code());
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(2)], "{}: {said:?}", job.name);
        let refusal = said.iter().any(|text| text.contains("another process") || text.contains("exists already"));
        assert!(refusal, "{}: {said:?}", job.name);
        if let Some(what) = difference(&promised(&alone), &promised(&both)) {
            panic!("{}: {what}", job.name);
        }
    }
}
