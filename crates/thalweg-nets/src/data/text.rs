//! Data in a line of text: `NAME[@CHANGE…][:PATH][@OPTION…]`, as `--data` takes it.
//!
//! | written | field | what |
//! | --- | --- | --- |
//! | `mnist@rotate=40` | `derive`, `fit` | changes: see [`super::derive`] |
//! | `csv:FILE@label=target` | `label` | the column, or array, of labels (`@y=` is the same) |
//! | `npz:FILE@x=data@y=target` | `inputs`, `label` | the arrays of inputs and of labels |
//! | `csv:FILE@drop=name+notes` | `drop` | columns that are no features |
//! | `npz:FILE@channels=last` | `channels` | images are `[N, height, width, channels]` (or `first`) |
//! | `npz:FILE@raw` | `normalisation` | inputs as they are, pixels of bytes from 0 to 1 |
//! | `mnist@mean=0.1307@std=0.3081` | `normalisation` | standardised by these, one number or one a channel: `0.49+0.48+0.45` |
//! | `csv:FILE@fitted` | `normalisation` | standardised by the moments of their own training pool |
//!
//! A path alone that ends with `.csv`, `.csv.gz` or `.npz` is such a file: `mine.csv@label=target`. Changes and options may stand on either side of the path. A path that holds an `@` is taken as it is where a file of that name exists.
use super::corrupt::Corruption;
use super::derive::Change;
use super::fit::Fit;
use super::normalisation::Standardise;
use super::spec::{Channels, DataSpec};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Keys that are written with a value, beside the names of corruptions.
const KEYS: [&str; 14] = [
    "classes", "relabel", "rotate", "area", "crop", "ink", "label", "y", "x", "inputs", "drop", "channels", "mean",
    "std",
];

/// Words that are written alone.
const WORDS: [&str; 2] = ["raw", "fitted"];

impl DataSpec {
    /// Reads `NAME[@CHANGE…][:PATH][@OPTION…]`, as `--data` takes it: `mnist`, `mnist:/data/mnist`, `mnist@classes=3+7@rotate=40`,
    /// `csv:mine.csv@label=target` (see [`super::text`]).
    ///
    /// # Errors
    /// An unknown name, change or option, an empty path, a value that is none of its kind.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, path) = match (bare(text), text.split_once(':')) {
            (Some(name), _) => (name, Some(text)),
            (None, Some((name, path))) => (name, Some(path)),
            (None, None) => (text, None),
        };
        let (path, behind) = match path {
            Some(path) => split(path)?,
            None => ("", Vec::new()),
        };
        if path.is_empty() && text.contains(':') {
            return Err(Error::parameter("data", format!("a path after {name}:"), "nothing"));
        }
        let mut parts = name.split('@');
        let folder = (!path.is_empty()).then(|| PathBuf::from(path));
        let mut spec = Self { folder, ..Self::named(parts.next().unwrap_or_default()) };
        let mut moments = [None, None];
        for part in parts.chain(behind) {
            take(&mut spec, &mut moments, part)
                .map_err(|expected| Error::parameter(format!("data {text}"), expected, format!("@{part}")))?;
        }
        match moments {
            [None, None] => {}
            [Some(mean), Some(std)] if spec.normalisation.is_none() => {
                spec.normalisation = Some(Standardise::Given { mean, std });
            }
            [Some(_), Some(_)] => {
                return Err(Error::parameter(format!("data {text}"), "mean and std, or raw, or fitted", "two of them"));
            }
            [mean, _] => {
                let (one, other) = if mean.is_some() { ("mean", "std") } else { ("std", "mean") };
                return Err(Error::parameter(format!("data {text}"), format!("@{other}= beside @{one}="), "none"));
            }
        }
        spec.check()?;
        Ok(spec)
    }
}

/// The format of a file that is named without it, by the end of its name.
fn bare(text: &str) -> Option<&'static str> {
    let path = text.split('@').next().unwrap_or_default();
    let ends = |ends: &[&str]| ends.iter().any(|end| path.len() > end.len() && path.ends_with(end));
    match path.contains(':') {
        true => None,
        false if ends(&[".csv", ".csv.gz"]) => Some("csv"),
        false if ends(&[".npz"]) => Some("npz"),
        false => None,
    }
}

/// The path, and what stands behind its `@`s.
fn split(path: &str) -> Result<(&str, Vec<&str>)> {
    let (mut rest, mut behind) = (path, Vec::new());
    while let Some((before, part)) = rest.rsplit_once('@') {
        let key = part.split_once('=').map_or(part, |(key, _)| key);
        let is_option = match part.contains('=') {
            true => KEYS.contains(&key) || Corruption::NAMES.contains(&key),
            false => WORDS.contains(&key),
        };
        if Path::new(rest).exists() {
            break;
        }
        if !is_option {
            // Not a path with an @ in it, where what stands before the @ is there: a slip.
            if before.is_empty() || part.contains('/') || !Path::new(before).exists() {
                break;
            }
            return Err(Error::parameter(format!("data {path}"), known(), format!("@{part}")));
        }
        behind.insert(0, part);
        rest = before;
    }
    Ok((rest, behind))
}

fn known() -> String {
    format!(
        "classes=A+B, relabel=SEED, rotate=DEGREES, area|crop|ink=SIDE, {}=SEVERITY, label=NAME, x=NAME, y=NAME, drop=NAME+NAME, \
         channels=first|last, raw, fitted, or mean=NUMBER with std=NUMBER",
        Corruption::NAMES.join("|")
    )
}

/// Takes one change or option into `spec`, or says what was expected.
fn take(spec: &mut DataSpec, moments: &mut [Option<Vec<f32>>; 2], part: &str) -> Result<(), String> {
    let standardise = match part {
        "raw" => Some(Standardise::Raw),
        "fitted" => Some(Standardise::Fitted),
        _ => None,
    };
    if let Some(standardise) = standardise {
        return match spec.normalisation.replace(standardise) {
            None => Ok(()),
            Some(_) => Err("raw or fitted, once".into()),
        };
    }
    let (key, value) = part.split_once('=').ok_or_else(known)?;
    let side = || value.parse::<usize>().map_err(|_| "a side in pixels".to_owned());
    let word = || if value.is_empty() { Err("a name".to_owned()) } else { Ok(value.to_owned()) };
    match key {
        "classes" => {
            let classes: Option<Vec<u32>> = value.split('+').map(|c| c.parse().ok()).collect();
            spec.derive.push(Change::Classes(classes.ok_or("classes joined by +, e.g. 3+7")?));
        }
        "relabel" => spec.derive.push(Change::Relabel(value.parse().map_err(|_| "a seed")?)),
        "rotate" => spec.derive.push(Change::Rotate(value.parse().map_err(|_| "whole degrees")?)),
        "area" => spec.fit = Some(Fit::Area { side: side()? }),
        "crop" => spec.fit = Some(Fit::Crop { side: side()? }),
        "ink" => spec.fit = Some(Fit::Ink { side: side()? }),
        "label" | "y" => spec.label = Some(word()?),
        "x" | "inputs" => spec.inputs = Some(word()?),
        "drop" => spec.drop.extend(value.split('+').map(str::to_owned)),
        "channels" => {
            spec.channels = Some(match value {
                "first" => Channels::First,
                "last" => Channels::Last,
                _ => return Err("channels=first or channels=last".into()),
            });
        }
        "mean" | "std" => {
            let numbers: Option<Vec<f32>> = value.split('+').map(|n| n.trim().parse().ok()).collect();
            let numbers = numbers.ok_or("numbers joined by +, one a channel, e.g. 0.49+0.48+0.45")?;
            moments[usize::from(key == "std")] = Some(numbers);
        }
        kind if Corruption::NAMES.contains(&kind) => {
            let severity = value.parse().map_err(|_| "a severity from 0 to 5")?;
            spec.derive.push(Change::Corrupt { kind: kind.into(), severity });
        }
        _ => return Err(known()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> DataSpec {
        DataSpec::parse(text).unwrap()
    }

    #[test]
    fn options_are_read_on_both_sides_of_the_path() {
        let spec = parsed("npz:/a/d.npz@x=data@y=target@raw");
        let folder = Some(PathBuf::from("/a/d.npz"));
        let expected = DataSpec {
            folder: folder.clone(),
            inputs: Some("data".into()),
            label: Some("target".into()),
            normalisation: Some(Standardise::Raw),
            ..DataSpec::named("npz")
        };
        assert_eq!(spec, expected);
        assert_eq!(parsed("npz@x=data@raw:/a/d.npz@y=target"), expected);
        assert_eq!(parsed("npz:/a/d.npz@area=8").fit, Some(Fit::Area { side: 8 }));
        assert_eq!(parsed("csv:/a/d.csv@drop=name+id").drop, ["name", "id"]);
        let given = parsed("mnist@mean=0.1307@std=0.3081").normalisation;
        assert_eq!(given, Some(Standardise::Given { mean: vec![0.1307], std: vec![0.3081] }));
        let given = parsed("npz:/a@std=1+2@mean=-0.5+3e-1").normalisation;
        assert_eq!(given, Some(Standardise::Given { mean: vec![-0.5, 0.3], std: vec![1.0, 2.0] }));
        for spec in [parsed("npz:/a@std=1+2@mean=-0.5+3"), spec, parsed("csv:/a@drop=b@fitted")] {
            assert_eq!(toml::from_str::<DataSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        }
    }

    #[test]
    fn paths_with_an_at_sign_are_paths() {
        assert_eq!(parsed("csv:/home/a@b/d.csv").folder, Some(PathBuf::from("/home/a@b/d.csv")));
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("d@raw");
        std::fs::write(&odd, "a,label\n").unwrap();
        assert_eq!(parsed(&format!("csv:{}", odd.display())).folder.as_deref(), Some(odd.as_path()));
        let plain = dir.path().join("d.csv");
        std::fs::write(&plain, "a,label\n").unwrap();
        let message = DataSpec::parse(&format!("csv:{}@lable=x", plain.display())).unwrap_err().to_string();
        assert!(message.contains("label=NAME") && message.contains("@lable=x"), "{message}");
    }

    #[test]
    fn wrong_options_are_named() {
        for (text, part) in [
            ("csv:/a@label=", "a name"),
            ("npz:/a@mean=0.5", "@std= beside @mean="),
            ("npz:/a@mean=x@std=1", "joined by +"),
            ("npz:/a@raw@fitted", "once"),
            ("npz:/a@raw@mean=0@std=1", "two of them"),
            ("npz:/a@mean=0@std=0", "positive"),
            ("npz:/a@channels=middle", "channels=last"),
            ("digits@label=x", "data.label"),
            ("csv:/a@channels=last", "data.channels"),
            ("npz:/a@drop=b", "data.drop"),
        ] {
            let message = DataSpec::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
